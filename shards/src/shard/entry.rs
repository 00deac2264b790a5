//! Layout of an entry: header, key and value in one run of bytes.
//!
//! ```text
//! kind      u8    low 4 bits: type of the value, see [`ValueType`]; 16: has a deadline;
//!                 32: the value's length is a u32, not a varint; 64: the value is large
//! stamp     u48   Seq of the last batch that changed the entry
//! access    u24   when or how often it was used, as the eviction policy needs it
//! deadline  u48   Unix milliseconds, only when the kind says so
//! key       length as varint, then the value's length, then the key's bytes
//! value     bytes: a string, or the elements of a container in its packed form; of a large
//!           container its number in the shard, u32
//! ```
//!
//! A 20-byte key with a 100-byte value takes 12 bytes of header: 132, in a cell of 136.

use crate::seq::Seq;

use super::slab::CELL_BYTES_MAX;

/// From this number on types live in namespaces ([`crate::key::Namespace`]). They have no packed
/// form, and own no cells of their shard.
const FIRST_NAMED: u8 = 6;
const DEADLINE: u8 = 16;
const WIDE: u8 = 32;
const LARGE: u8 = 64;
const KIND_MASK: u8 = 15;
const FIXED_BYTES: usize = 10;
const ACCESS_AT: usize = 7;
const DEADLINE_BYTES: usize = 6;
const WIDE_BYTES: usize = 4;

/// What type of value an entry holds. The numbers are part of entries, records and images.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum ValueType {
    /// A byte string.
    String = 0,
    /// A list.
    List = 1,
    /// A set.
    Set = 2,
    /// A sorted set.
    SortedSet = 3,
    /// A hash.
    Hash = 4,
    /// A stream as `XADD` makes them.
    Stream = 5,
    /// A message queue.
    Queue = 6,
    /// A partition of a topic, or a room.
    Partition = 7,
    /// A consumer group.
    Group = 8,
}

impl ValueType {
    /// Every type, by number.
    pub const ALL: [Self; 9] = [
        Self::String,
        Self::List,
        Self::Set,
        Self::SortedSet,
        Self::Hash,
        Self::Stream,
        Self::Queue,
        Self::Partition,
        Self::Group,
    ];

    /// The name that `TYPE` answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "zset",
            Self::Hash => "hash",
            Self::Stream => "stream",
            Self::Queue => "queue",
            Self::Partition => "partition",
            Self::Group => "group",
        }
    }

    /// The type of this number.
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether it lives under a name in a namespace, not under a key of clients: commands about
    /// all keys pass it over.
    pub fn is_named(self) -> bool {
        self as u8 >= FIRST_NAMED
    }

    /// Whether it holds elements.
    pub fn is_container(self) -> bool {
        self != Self::String
    }
}

/// A decoded view of an entry's bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    kind: u8,
    key_at: u8,
    key_bytes: u32,
    value_bytes: u32,
}

/// What an entry is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) value_type: ValueType,
    /// The value is the number of a large container.
    pub(crate) large: bool,
    pub(crate) stamp: Seq,
    pub(crate) access: u32,
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Those of a string.
    pub(crate) fn string(
        (key, value): (&'a [u8], &'a [u8]),
        stamp: Seq,
        access: u32,
        deadline_ms: Option<u64>,
    ) -> Self {
        let value_type = ValueType::String;
        Self { value_type, large: false, stamp, access, deadline_ms, key, value }
    }
}

impl Parts<'_> {
    fn kind(&self) -> u8 {
        self.value_type as u8
            | if self.deadline_ms.is_some() { DEADLINE } else { 0 }
            | if self.large { LARGE } else { 0 }
    }

    /// Bytes the entry takes.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        entry_bytes(self.key.len(), self.value.len(), self.deadline_ms.is_some())
    }

    /// Writes the entry to the front of `out`, which is long enough.
    pub(crate) fn write(&self, out: &mut [u8]) {
        let mut at = write_header(self, out);
        out[at..at + self.key.len()].copy_from_slice(self.key);
        at += self.key.len();
        out[at..at + self.value.len()].copy_from_slice(self.value);
    }
}

/// Bytes of an entry with such a key and value.
#[inline]
pub(crate) fn entry_bytes(key_bytes: usize, value_bytes: usize, deadline: bool) -> usize {
    let deadline = if deadline { DEADLINE_BYTES } else { 0 };
    let key = FIXED_BYTES + deadline + varint_bytes(key_bytes) + key_bytes + value_bytes;
    let narrow = key + varint_bytes(value_bytes);
    // Above the cell limit the length is fixed in width, so that a value can grow in place.
    if narrow > CELL_BYTES_MAX { key + WIDE_BYTES } else { narrow }
}

fn write_header(parts: &Parts<'_>, out: &mut [u8]) -> usize {
    let value_bytes = parts.value.len();
    let wide = parts.bytes() > CELL_BYTES_MAX;
    out[0] = parts.kind() | if wide { WIDE } else { 0 };
    out[1..7].copy_from_slice(&parts.stamp.to_bytes());
    set_access(out, parts.access);
    let mut at = FIXED_BYTES;
    if let Some(deadline) = parts.deadline_ms {
        out[at..at + DEADLINE_BYTES].copy_from_slice(&deadline.to_le_bytes()[..DEADLINE_BYTES]);
        at += DEADLINE_BYTES;
    }
    at += write_varint(parts.key.len(), &mut out[at..]);
    if wide {
        out[at..at + WIDE_BYTES].copy_from_slice(&(value_bytes as u32).to_le_bytes());
        at + WIDE_BYTES
    } else {
        at + write_varint(value_bytes, &mut out[at..])
    }
}

impl Layout {
    /// Reads the header at the front of `bytes`.
    #[inline]
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let kind = bytes[0];
        let mut at = FIXED_BYTES + if kind & DEADLINE == 0 { 0 } else { DEADLINE_BYTES };
        let key_bytes = read_varint(bytes, &mut at);
        let value_bytes = if kind & WIDE == 0 {
            read_varint(bytes, &mut at)
        } else {
            let wide = &bytes[at..at + WIDE_BYTES];
            at += WIDE_BYTES;
            u32::from_le_bytes([wide[0], wide[1], wide[2], wide[3]]) as usize
        };
        let (key_bytes, value_bytes) = (key_bytes as u32, value_bytes as u32);
        Self { kind, key_at: at as u8, key_bytes, value_bytes }
    }

    #[inline]
    pub(crate) fn key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[usize::from(self.key_at)..self.value_at()]
    }

    /// Whether an entry of these parts differs from this one, which has the same key, only in what
    /// stands where: its bytes can be written over field by field.
    #[inline]
    pub(crate) fn has_shape_of(&self, parts: &Parts<'_>) -> bool {
        self.value_bytes as usize == parts.value.len() && self.kind & !WIDE == parts.kind()
    }

    /// Writes parts of the same shape over the entry in `bytes`.
    #[inline]
    pub(crate) fn overwrite(&self, bytes: &mut [u8], parts: &Parts<'_>) {
        set_stamp(bytes, parts.stamp);
        set_access(bytes, parts.access);
        if let Some(deadline_ms) = parts.deadline_ms {
            set_deadline(bytes, deadline_ms);
        }
        self.value_mut(bytes).copy_from_slice(parts.value);
    }

    /// Bytes of the entry.
    pub(crate) fn bytes(&self) -> usize {
        self.value_at() + self.value_bytes as usize
    }

    fn value_at(&self) -> usize {
        usize::from(self.key_at) + self.key_bytes as usize
    }

    #[inline]
    pub(crate) fn value<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.value_at()..self.bytes()]
    }

    pub(crate) fn value_mut<'a>(&self, bytes: &'a mut [u8]) -> &'a mut [u8] {
        &mut bytes[self.value_at()..self.bytes()]
    }

    #[inline]
    pub(crate) fn value_type(&self) -> ValueType {
        ValueType::of(self.kind & KIND_MASK).expect("only known types are ever written")
    }

    /// Whether the value is the number of a large container.
    #[inline]
    pub(crate) fn is_large(&self) -> bool {
        self.kind & LARGE != 0
    }
}

/// Makes the value of a large entry `value_bytes` long, with zeros where it grew.
pub(crate) fn resize_large(memory: &mut Vec<u8>, layout: &Layout, value_bytes: usize) {
    assert!(memory[0] & WIDE != 0, "large entries state their length in fixed width");
    let key_at = usize::from(layout.key_at);
    memory[key_at - WIDE_BYTES..key_at].copy_from_slice(&(value_bytes as u32).to_le_bytes());
    memory.resize(layout.value_at() + value_bytes, 0);
}

#[inline]
pub(crate) fn stamp(bytes: &[u8]) -> Seq {
    // One load; the byte before it is the kind, the one behind it belongs to the access bits.
    let word = bytes.first_chunk::<8>().expect("an entry has more than eight bytes");
    Seq::new(u64::from_le_bytes(*word) >> 8 & Seq::MAX.get())
}

#[inline]
pub(crate) fn set_stamp(bytes: &mut [u8], stamp: Seq) {
    bytes[1..7].copy_from_slice(&stamp.to_bytes());
}

#[inline]
pub(crate) fn access(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[ACCESS_AT], bytes[ACCESS_AT + 1], bytes[ACCESS_AT + 2], 0])
}

/// Only the low 24 bits are kept.
#[inline]
pub(crate) fn set_access(bytes: &mut [u8], access: u32) {
    bytes[ACCESS_AT..FIXED_BYTES].copy_from_slice(&access.to_le_bytes()[..3]);
}

#[inline]
pub(crate) fn deadline_ms(bytes: &[u8]) -> Option<u64> {
    if bytes[0] & DEADLINE == 0 {
        return None;
    }
    let d = &bytes[FIXED_BYTES..FIXED_BYTES + DEADLINE_BYTES];
    Some(u64::from_le_bytes([d[0], d[1], d[2], d[3], d[4], d[5], 0, 0]))
}

/// Overwrites the deadline of an entry that has one.
pub(crate) fn set_deadline(bytes: &mut [u8], deadline_ms: u64) {
    assert!(bytes[0] & DEADLINE != 0, "an entry without a deadline has no room for one");
    bytes[FIXED_BYTES..FIXED_BYTES + DEADLINE_BYTES]
        .copy_from_slice(&deadline_ms.to_le_bytes()[..DEADLINE_BYTES]);
}

/// Asks the processor to bring the cache line of these bytes closer. A hint: it changes nothing and
/// cannot fail. Lookups of one pipeline ask for all their lines first and read them afterwards, so
/// that their cache misses overlap.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "the instruction is only reachable through a raw pointer")]
pub(crate) fn prefetch(bytes: &[u8]) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch does not access memory architecturally; it is allowed for any address,
    // and this one comes from a live reference.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().cast()) }
}

/// On other processors a read does the same, a little less well.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn prefetch(bytes: &[u8]) {
    std::hint::black_box(bytes.first());
}

#[inline]
pub(crate) fn varint_bytes(number: usize) -> usize {
    match number {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        0x20_0000..0x1000_0000 => 4,
        _ => 5,
    }
}

#[inline]
pub(crate) fn write_varint(mut number: usize, out: &mut [u8]) -> usize {
    let mut at = 0;
    while number >= 0x80 {
        out[at] = number as u8 | 0x80;
        number >>= 7;
        at += 1;
    }
    out[at] = number as u8;
    at + 1
}

#[inline]
pub(crate) fn read_varint(bytes: &[u8], at: &mut usize) -> usize {
    // Nearly all lengths are short.
    let first = bytes[*at];
    if first & 0x80 == 0 {
        *at += 1;
        return usize::from(first);
    }
    read_long_varint(bytes, at)
}

fn read_long_varint(bytes: &[u8], at: &mut usize) -> usize {
    let mut number = 0;
    let mut shift = 0;
    loop {
        let byte = bytes[*at];
        *at += 1;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return number;
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for key_bytes in [0usize, 1, 20, 127, 128, 300, 70_000] {
            for value_bytes in [0usize, 1, 100, 127, 128, 999, 1024, 20_000] {
                for deadline_ms in [None, Some(1_800_000_000_123)] {
                    let key = vec![b'k'; key_bytes];
                    let value = vec![b'v'; value_bytes];
                    let parts = Parts {
                        value_type: ValueType::Hash,
                        large: false,
                        stamp: Seq::new(77),
                        access: 0x0012_3456,
                        deadline_ms,
                        key: &key,
                        value: &value,
                    };
                    let mut bytes = vec![0; parts.bytes()];
                    parts.write(&mut bytes);
                    let layout = Layout::read(&bytes);
                    assert_eq!(layout.key(&bytes), key);
                    assert_eq!(layout.value(&bytes), value);
                    assert_eq!((layout.value_type(), layout.is_large()), (ValueType::Hash, false));
                    assert_eq!(stamp(&bytes), Seq::new(77));
                    assert_eq!(access(&bytes), 0x0012_3456);
                    assert_eq!(super::deadline_ms(&bytes), deadline_ms);
                }
            }
        }
    }

    #[test]
    fn the_common_entry_fits_its_cell() {
        assert_eq!(entry_bytes(20, 100, false), 132);
    }
}

//! The packed form of a hash: its fields and values in one run of bytes, in the order in which the
//! fields came.
//!
//! ```text
//! flags  u8    1: fields may have deadlines
//! count  u16   fields
//! least  u48   the nearest deadline, zero for none; only with flag 1
//! count x      [deadline u48, zero for none; only with flag 1],
//!              length of the field as varint, field, length of the value as varint, value
//! ```
//!
//! Numbers are little endian. No bytes at all are a hash without fields. Once there was a deadline
//! there is room for one in every field, as in Redis.

use std::ops::Range;

use crate::shard::entry::{read_varint, varint_bytes, write_varint};

const DEADLINES: u8 = 1;
const COUNT_AT: usize = 1;
const LEAST_AT: usize = 3;
const DEADLINE_BYTES: usize = 6;
const HEADER_BYTES: usize = LEAST_AT;

/// Most fields of a packed hash: as many as can be counted.
pub(super) const FIELDS_MAX: usize = u16::MAX as usize;

/// A field of a hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Field<'s> {
    /// Its name.
    pub(crate) name: &'s [u8],
    /// Its value.
    pub(crate) value: &'s [u8],
    /// When it expires, Unix milliseconds.
    pub(crate) deadline_ms: Option<u64>,
}

impl Field<'_> {
    /// Whether its deadline has passed.
    pub(crate) fn is_due(&self, now_ms: u64) -> bool {
        self.deadline_ms.is_some_and(|deadline| deadline <= now_ms)
    }
}

/// A packed hash, for reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed<'s> {
    bytes: &'s [u8],
}

impl<'s> Packed<'s> {
    pub(super) fn over(bytes: &'s [u8]) -> Self {
        Self { bytes }
    }

    /// Number of fields.
    #[inline]
    pub(super) fn len(self) -> usize {
        match self.bytes {
            [] => 0,
            bytes => usize::from(u16::from_le_bytes([bytes[COUNT_AT], bytes[COUNT_AT + 1]])),
        }
    }

    /// Whether fields may have deadlines.
    pub(super) fn has_deadlines(self) -> bool {
        self.bytes.first().is_some_and(|flags| flags & DEADLINES != 0)
    }

    /// The nearest deadline of a field.
    pub(super) fn least_deadline(self) -> Option<u64> {
        if self.has_deadlines() { read_deadline(&self.bytes[LEAST_AT..]) } else { None }
    }

    /// The fields in their order.
    pub(super) fn fields(self) -> Fields<'s> {
        let deadlines = self.has_deadlines();
        let header = HEADER_BYTES + if deadlines { DEADLINE_BYTES } else { 0 };
        Fields { bytes: self.bytes, at: header.min(self.bytes.len()), deadlines }
    }

    /// The field of this name.
    #[inline]
    pub(super) fn get(self, name: &[u8]) -> Option<Field<'s>> {
        self.fields().find(|field| field.name == name)
    }
}

/// Iterator over the fields of a packed hash.
#[derive(Clone, Debug)]
pub(super) struct Fields<'s> {
    bytes: &'s [u8],
    at: usize,
    deadlines: bool,
}

impl<'s> Iterator for Fields<'s> {
    type Item = Field<'s>;

    #[inline]
    fn next(&mut self) -> Option<Field<'s>> {
        if self.at == self.bytes.len() {
            return None;
        }
        let mut deadline_ms = None;
        if self.deadlines {
            deadline_ms = read_deadline(&self.bytes[self.at..]);
            self.at += DEADLINE_BYTES;
        }
        let name = self.string();
        let value = self.string();
        Some(Field { name, value, deadline_ms })
    }
}

impl<'s> Fields<'s> {
    #[inline]
    fn string(&mut self) -> &'s [u8] {
        let length = read_varint(self.bytes, &mut self.at);
        let start = self.at;
        self.at += length;
        &self.bytes[start..self.at]
    }
}

fn read_deadline(bytes: &[u8]) -> Option<u64> {
    let deadline =
        u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], 0, 0]);
    (deadline != 0).then_some(deadline)
}

fn write_deadline(out: &mut [u8], deadline_ms: Option<u64>) {
    out[..DEADLINE_BYTES]
        .copy_from_slice(&deadline_ms.unwrap_or(0).to_le_bytes()[..DEADLINE_BYTES]);
}

/// Where a field stands.
#[derive(Clone, Debug)]
struct Spot {
    /// All of it.
    whole: Range<usize>,
    /// Its value with the length before it.
    value: Range<usize>,
    deadline_ms: Option<u64>,
}

/// A packed hash, for writing.
#[derive(Debug)]
pub(super) struct PackedMut<'v> {
    bytes: &'v mut Vec<u8>,
}

impl<'v> PackedMut<'v> {
    /// Over the bytes of one; none are a new hash.
    pub(super) fn over(bytes: &'v mut Vec<u8>) -> Self {
        if bytes.is_empty() {
            bytes.extend_from_slice(&[0; HEADER_BYTES]);
        }
        Self { bytes }
    }

    pub(super) fn read(&self) -> Packed<'_> {
        Packed { bytes: self.bytes }
    }

    fn find(&self, name: &[u8]) -> Option<Spot> {
        let mut fields = self.read().fields();
        loop {
            let start = fields.at;
            let field = fields.next()?;
            if field.name == name {
                let end = fields.at;
                let value = field.value.len();
                return Some(Spot {
                    whole: start..end,
                    value: end - value - varint_bytes(value)..end,
                    deadline_ms: field.deadline_ms,
                });
            }
        }
    }

    /// Makes the field this value, if it is there or fewer than `fields_max` fields are; false,
    /// and no change, otherwise.
    pub(super) fn set(&mut self, field: &Field<'_>, fields_max: usize) -> bool {
        let Field { name, value, deadline_ms } = *field;
        let found = self.find(name);
        if found.is_none() && self.read().len() >= fields_max {
            return false;
        }
        if deadline_ms.is_some() && !self.read().has_deadlines() {
            self.add_deadlines();
            return self.set(field, fields_max);
        }
        match found {
            Some(spot) => {
                let length = varint_bytes(value.len()) + value.len();
                self.resize(&spot.value, length);
                write_string(&mut self.bytes[spot.value.start..], value);
                self.change_deadline(&spot, deadline_ms);
            }
            None => {
                self.append(field);
                self.note(None, deadline_ms);
            }
        }
        true
    }

    fn append(&mut self, field: &Field<'_>) {
        let Field { name, value, deadline_ms } = *field;
        let strings =
            varint_bytes(name.len()) + name.len() + varint_bytes(value.len()) + value.len();
        let mut at = self.bytes.len();
        if self.read().has_deadlines() {
            self.bytes.resize(at + DEADLINE_BYTES + strings, 0);
            write_deadline(&mut self.bytes[at..], deadline_ms);
            at += DEADLINE_BYTES;
        } else {
            self.bytes.resize(at + strings, 0);
        }
        at += write_string(&mut self.bytes[at..], name);
        write_string(&mut self.bytes[at..], value);
        self.set_len(self.read().len() + 1);
    }

    /// Gives the field this deadline, or none; nothing when it is not there.
    pub(super) fn set_deadline(&mut self, name: &[u8], deadline_ms: Option<u64>) {
        if deadline_ms.is_some() && !self.read().has_deadlines() && self.find(name).is_some() {
            self.add_deadlines();
        }
        if let Some(spot) = self.find(name) {
            self.change_deadline(&spot, deadline_ms);
        }
    }

    fn change_deadline(&mut self, spot: &Spot, deadline_ms: Option<u64>) {
        if self.read().has_deadlines() {
            write_deadline(&mut self.bytes[spot.whole.start..], deadline_ms);
            self.note(spot.deadline_ms, deadline_ms);
        }
    }

    /// Takes the field out, if it is there.
    pub(super) fn remove(&mut self, name: &[u8]) {
        let Some(spot) = self.find(name) else { return };
        self.bytes.drain(spot.whole);
        self.set_len(self.read().len() - 1);
        self.note(spot.deadline_ms, None);
    }

    /// Keeps the nearest deadline right after that of a field changed.
    fn note(&mut self, before: Option<u64>, after: Option<u64>) {
        let least = self.read().least_deadline();
        if before.is_some() && before == least {
            let least = self.read().fields().filter_map(|field| field.deadline_ms).min();
            write_deadline(&mut self.bytes[LEAST_AT..], least);
        } else if after.is_some_and(|after| least.is_none_or(|least| after < least)) {
            write_deadline(&mut self.bytes[LEAST_AT..], after);
        }
    }

    /// Makes room for a deadline in every field.
    fn add_deadlines(&mut self) {
        let old = std::mem::take(self.bytes);
        self.bytes.extend_from_slice(&[0; HEADER_BYTES + DEADLINE_BYTES]);
        self.bytes[0] = DEADLINES;
        Packed { bytes: &old }.fields().for_each(|field| self.append(&field));
    }

    fn set_len(&mut self, count: usize) {
        let count = u16::try_from(count).expect("the caller keeps to the limit of fields");
        self.bytes[COUNT_AT..LEAST_AT].copy_from_slice(&count.to_le_bytes());
    }

    /// Makes a part of the bytes longer or shorter; what stands behind it moves.
    fn resize(&mut self, part: &Range<usize>, length: usize) {
        let end = self.bytes.len();
        if length > part.len() {
            let more = length - part.len();
            self.bytes.resize(end + more, 0);
            self.bytes.copy_within(part.end..end, part.end + more);
        } else if length < part.len() {
            self.bytes.drain(part.start + length..part.end);
        }
    }
}

/// Writes length and bytes to the front of `out`; how many bytes that were.
fn write_string(out: &mut [u8], bytes: &[u8]) -> usize {
    let at = write_varint(bytes.len(), out);
    out[at..at + bytes.len()].copy_from_slice(bytes);
    at + bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn field<'s>(name: &'s [u8], value: &'s [u8], deadline_ms: Option<u64>) -> Field<'s> {
        Field { name, value, deadline_ms }
    }

    #[test]
    fn it_holds_what_a_list_of_fields_holds() {
        for with_deadlines in [false, true] {
            let mut bytes = Vec::new();
            let mut model: Vec<(Vec<u8>, Vec<u8>, Option<u64>)> = Vec::new();
            let mut rng = Rng::new(4);
            for _ in 0..3000 {
                let name = format!("f{}", rng.below(30)).into_bytes();
                let value = vec![rng.draw() as u8; rng.below(300)];
                let until = (with_deadlines && rng.below(2) == 0).then(|| 1 + rng.draw() % 100);
                let at = model.iter().position(|(known, ..)| *known == name);
                let mut packed = PackedMut::over(&mut bytes);
                match (rng.below(4), at) {
                    (0, _) => {
                        packed.remove(&name);
                        if let Some(at) = at {
                            model.remove(at);
                        }
                    }
                    (1, _) => {
                        packed.set_deadline(&name, until);
                        if let Some(at) = at {
                            model[at].2 = until;
                        }
                    }
                    (_, Some(at)) => {
                        assert!(packed.set(&field(&name, &value, until), 20));
                        model[at] = (name, value, until);
                    }
                    (_, None) => {
                        let fits = model.len() < 20;
                        assert_eq!(packed.set(&field(&name, &value, until), 20), fits);
                        if fits {
                            model.push((name, value, until));
                        }
                    }
                }
                let packed = Packed::over(&bytes);
                let seen =
                    packed.fields().map(|f| (f.name.to_vec(), f.value.to_vec(), f.deadline_ms));
                assert!(seen.eq(model.iter().cloned()));
                assert_eq!(packed.len(), model.len());
                assert_eq!(packed.least_deadline(), model.iter().filter_map(|f| f.2).min());
            }
        }
    }

    #[test]
    fn no_bytes_are_no_fields() {
        let none = Packed::over(b"");
        assert_eq!((none.len(), none.least_deadline(), none.get(b"f")), (0, None, None));
        assert_eq!(none.fields().count(), 0);
    }

    #[test]
    fn five_small_fields_take_little() {
        let mut bytes = Vec::new();
        for number in 0..5 {
            let name = format!("field{number}");
            assert!(PackedMut::over(&mut bytes).set(&field(name.as_bytes(), b"value", None), 128));
        }
        assert_eq!(bytes.len(), HEADER_BYTES + 5 * (2 + 6 + 5));
    }
}

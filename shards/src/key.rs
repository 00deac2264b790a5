//! From a key to the shard that holds it, and from a shard to the core that owns it.
//!
//! The slot is Redis Cluster's: CRC16 (XMODEM) of the key, or of the part between the first `{`
//! and the next `}` if that is not empty, modulo 16384 (Redis Cluster specification, "Key
//! distribution model"). A shard is a run of 256 slots, so a cluster-aware client that knows the
//! slots knows the shards.

use crate::id::{CoreId, ShardId};
use crate::limits::{CORES_MAX, SHARDS, SLOTS, SLOTS_PER_SHARD};

/// Tables for taking eight bytes at a time ("slicing by 8"): `TABLES[n][b]` is the CRC of byte `b`
/// followed by `n` zero bytes.
static TABLES: [[u16; 256]; 8] = tables();

const fn tables() -> [[u16; 256]; 8] {
    let mut tables = [[0u16; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut slice = 1;
    while slice < 8 {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[slice - 1][byte];
            tables[slice][byte] = (crc << 8) ^ tables[0][(crc >> 8) as usize];
            byte += 1;
        }
        slice += 1;
    }
    tables
}

/// CRC16/XMODEM: polynomial 0x1021, initial value 0, not reflected.
#[inline]
pub fn crc16(bytes: &[u8]) -> u16 {
    let mut crc: u16 = 0;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        let [high, low] = crc.to_be_bytes();
        crc = TABLES[7][usize::from(chunk[0] ^ high)]
            ^ TABLES[6][usize::from(chunk[1] ^ low)]
            ^ TABLES[5][usize::from(chunk[2])]
            ^ TABLES[4][usize::from(chunk[3])]
            ^ TABLES[3][usize::from(chunk[4])]
            ^ TABLES[2][usize::from(chunk[5])]
            ^ TABLES[1][usize::from(chunk[6])]
            ^ TABLES[0][usize::from(chunk[7])];
    }
    let (chunks, rest) = rest.as_chunks::<4>();
    for chunk in chunks {
        let [high, low] = crc.to_be_bytes();
        crc = TABLES[3][usize::from(chunk[0] ^ high)]
            ^ TABLES[2][usize::from(chunk[1] ^ low)]
            ^ TABLES[1][usize::from(chunk[2])]
            ^ TABLES[0][usize::from(chunk[3])];
    }
    for byte in rest {
        crc = (crc << 8) ^ TABLES[0][usize::from((crc >> 8) as u8 ^ byte)];
    }
    crc
}

/// Whether there is a `{`, eight bytes at a time: the zero byte of an exclusive or borrows (Warren,
/// "Hacker's Delight", 6-1). It may say yes falsely, never no.
#[inline]
fn has_brace(key: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (chunks, rest) = key.as_chunks::<8>();
    let in_chunk = |chunk: &[u8; 8]| {
        let word = u64::from_le_bytes(*chunk) ^ (ONES * b'{' as u64);
        word.wrapping_sub(ONES) & !word & (ONES << 7) != 0
    };
    chunks.iter().any(in_chunk) || rest.contains(&b'{')
}

/// The part of the key that decides its slot.
#[inline]
fn hash_tag(key: &[u8]) -> &[u8] {
    if !has_brace(key) {
        return key;
    }
    let Some(open) = key.iter().position(|byte| *byte == b'{') else { return key };
    let inner = &key[open + 1..];
    match inner.iter().position(|byte| *byte == b'}') {
        None | Some(0) => key,
        Some(close) => &inner[..close],
    }
}

/// The slot of a key, below [`SLOTS`].
#[inline]
pub fn slot_of(key: &[u8]) -> u16 {
    crc16(hash_tag(key)) % (SLOTS as u16)
}

/// The shard that holds a key.
#[inline]
pub fn shard_of(key: &[u8]) -> ShardId {
    ShardId::new(usize::from(slot_of(key)) / SLOTS_PER_SHARD)
}

/// What lives in shards beside the keys of clients, under names of its own: its key is
/// `00 letter 00 name`, so that the two never meet. Keys of clients may not look like that.
///
/// Commands about such things declare their names as [`ArgKind::Name`], and
/// [`crate::command::names`] makes keys of them where a request comes in; behind that nothing
/// tells them from keys.
///
/// [`ArgKind::Name`]: crate::command::spec::ArgKind::Name
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Namespace {
    /// Message queues.
    Queue = b'q',
    /// Partitions of topics and rooms.
    Partition = b't',
    /// Consumer groups.
    Group = b'g',
    /// Captures of changes.
    Capture = b'c',
    /// Message queues of the interface of distributed-sync-system.
    Dss = b'd',
}

impl Namespace {
    /// Every namespace.
    pub const ALL: [Self; 5] =
        [Self::Queue, Self::Partition, Self::Group, Self::Capture, Self::Dss];
    /// Bytes that its keys have before the name.
    pub const PREFIX_BYTES: usize = 3;

    /// What the keys of all its members begin with.
    pub const fn prefix(self) -> [u8; Self::PREFIX_BYTES] {
        [0, self as u8, 0]
    }

    /// The key of a name.
    pub fn key(self, name: &[u8]) -> Vec<u8> {
        [&self.prefix(), name].concat()
    }

    /// The namespace that a key belongs to, and its name there; nothing for a client's key.
    #[inline]
    pub fn split(key: &[u8]) -> Option<(Self, &[u8])> {
        let [0, letter, 0, name @ ..] = key else { return None };
        let space = Self::ALL.into_iter().find(|space| *space as u8 == *letter)?;
        Some((space, name))
    }

    /// Whether a key is none of a client's.
    #[inline]
    pub fn has(key: &[u8]) -> bool {
        key.first() == Some(&0) && Self::split(key).is_some()
    }
}

/// Which core owns which shard; fixed for the life of the process. Cores own contiguous runs of
/// shards, so that each is one range of slots to cluster-aware clients.
#[derive(Clone, Debug)]
pub struct ShardMap {
    cores: usize,
    owners: [CoreId; SHARDS],
}

impl ShardMap {
    /// Lays the shards over `cores` cores, at most one shard more on one than on another.
    pub fn new(cores: usize) -> Self {
        assert!((1..=CORES_MAX).contains(&cores), "{cores} cores are not in 1..={CORES_MAX}");
        let owners = std::array::from_fn(|shard| CoreId::new(shard * cores / SHARDS));
        Self { cores, owners }
    }

    /// Number of cores.
    pub fn cores(&self) -> usize {
        self.cores
    }

    /// The core that owns a shard.
    pub fn owner(&self, shard: ShardId) -> CoreId {
        self.owners[shard.index()]
    }

    /// The shards that a core owns, ascending.
    pub fn owned_by(&self, core: CoreId) -> impl Iterator<Item = ShardId> + '_ {
        ShardId::all().filter(move |shard| self.owner(*shard) == core)
    }

    /// First and last slot of a core, both inclusive.
    pub fn slots_of(&self, core: CoreId) -> (u16, u16) {
        let first = self.owned_by(core).next().expect("every core owns a shard").index();
        let count = self.owned_by(core).count();
        let start = first * SLOTS_PER_SHARD;
        (start as u16, (start + count * SLOTS_PER_SHARD - 1) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot_of(b"foo"), 12182);
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"{user1000}.followers"));
        assert_eq!(slot_of(b"foo{}{bar}"), crc16(b"foo{}{bar}") % 16384);
        assert_eq!(slot_of(b"foo{{bar}}zap"), crc16(b"{bar") % 16384);
        assert_eq!(slot_of(b""), 0);
    }

    #[test]
    fn slicing_equals_byte_by_byte() {
        let bytes: Vec<u8> = (0..100u8).map(|n| n.wrapping_mul(37)).collect();
        for end in 0..bytes.len() {
            let slow = bytes[..end].iter().fold(0u16, |crc, byte| {
                (crc << 8) ^ TABLES[0][usize::from((crc >> 8) as u8 ^ byte)]
            });
            assert_eq!(crc16(&bytes[..end]), slow);
        }
    }

    #[test]
    fn names_have_keys_that_no_client_has() {
        for space in Namespace::ALL {
            let key = space.key(b"orders");
            assert_eq!(Namespace::split(&key), Some((space, &b"orders"[..])));
            assert_eq!(slot_of(&key), crc16(&key) % 16384);
            assert_eq!(slot_of(&space.key(b"{a}x")), slot_of(b"a"), "a hash tag counts");
        }
        for key in [&b""[..], b"q", b"\0q", b"\0x\0name", b"\0q-name"] {
            assert!(!Namespace::has(key), "{key:?}");
        }
    }

    #[test]
    fn every_core_owns_one_range() {
        for cores in 1..=SHARDS {
            let map = ShardMap::new(cores);
            let mut next = 0;
            for core in (0..cores).map(CoreId::new) {
                let (first, last) = map.slots_of(core);
                assert_eq!(usize::from(first), next);
                next = usize::from(last) + 1;
            }
            assert_eq!(next, SLOTS);
        }
    }
}

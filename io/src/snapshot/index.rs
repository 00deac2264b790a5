//! The index: the small file that makes parts a snapshot. It states what every part comes to, so
//! nothing of it can be exchanged, shortened or left out unnoticed.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crc32c::crc32c;
use synap_shards::id::ShardId;
use synap_shards::limits::SHARDS;
use synap_shards::seq::{Seq, ShardSeqs};

use super::codec::Codec;
use super::files::{self, SnapshotName};
use super::format::{PartFacts, PartId, PartKind, SNAPSHOT_FORMAT, get, get_u32, get_u64, put};
use crate::disk;
use crate::file_error::FileError;

const MAGIC: [u8; 8] = *b"SYNAPSNP";
const HEADER: usize = 48;
const FACTS: usize = 32;
const SHARD_BYTES: usize = 8 + 8 + FACTS;
const TAIL_BYTES: usize = 8 + FACTS;
/// Tails of an index: one per core that the format can name is far more than there can be.
const TAILS_MAX: usize = 1024;
/// Bytes of the version that it names.
const VERSION_BYTES_MAX: usize = 255;
/// Bytes of an index.
const INDEX_BYTES_MAX: usize =
    HEADER + SHARDS * SHARD_BYTES + TAILS_MAX * TAIL_BYTES + VERSION_BYTES_MAX;

/// The image of a shard, as the index states it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShardImage {
    /// The shard's Seq before its first entry was written: what is replayed begins behind it.
    pub start: Seq,
    /// Its Seq when the last entry was written: what is replayed must reach it.
    pub end: Seq,
    /// The part; no blocks, no file.
    pub part: PartFacts,
}

/// What a core appended meanwhile, as the index states it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tail {
    /// The core.
    pub core: u16,
    /// The part; no blocks, no file.
    pub part: PartFacts,
}

/// A snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Index {
    /// Drawn at random; every part carries it.
    pub snapshot: u64,
    /// When it began, Unix milliseconds.
    pub created_ms: u64,
    /// The epoch in force.
    pub epoch: u32,
    /// How the parts are compressed.
    pub codec: Codec,
    /// The version of the program that wrote it.
    pub version: String,
    /// Every shard, by number.
    pub shards: Vec<ShardImage>,
    /// Every core that had a log, ascending.
    pub tails: Vec<Tail>,
}

impl Index {
    /// The name that goes with it.
    pub fn name(&self) -> SnapshotName {
        let offset = self.shards.iter().map(|shard| shard.start.get()).sum();
        SnapshotName { unix_secs: self.created_ms / 1000, offset }
    }

    /// Where each shard begins.
    pub fn starts(&self) -> ShardSeqs {
        let mut seqs = ShardSeqs::zero();
        for (shard, image) in ShardId::all().zip(&self.shards) {
            seqs.set(shard, image.start);
        }
        seqs
    }

    /// The parts that have a file.
    pub fn parts(&self) -> impl Iterator<Item = (PartId, PartFacts)> + '_ {
        let id = |kind, number| PartId { snapshot: self.snapshot, kind, number };
        let shards = (0..)
            .zip(&self.shards)
            .map(move |(number, shard)| (id(PartKind::Shard, number), shard.part));
        let tails = self.tails.iter().map(move |tail| (id(PartKind::Tail, tail.core), tail.part));
        shards.chain(tails).filter(|(_, facts)| facts.blocks > 0)
    }

    /// Bytes of all its files, its own left out.
    pub fn file_bytes(&self) -> u64 {
        self.parts().map(|(_, facts)| facts.file_bytes).sum()
    }

    /// Entries of all its images; a key may have more than one.
    pub fn entries(&self) -> u64 {
        self.shards.iter().map(|shard| shard.part.entries).sum()
    }

    fn encode(&self) -> Vec<u8> {
        assert_eq!(self.shards.len(), SHARDS, "an index names every shard");
        assert!(self.tails.len() <= TAILS_MAX && self.version.len() <= VERSION_BYTES_MAX);
        let mut bytes = vec![0; HEADER];
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, 12, SNAPSHOT_FORMAT.to_le_bytes());
        bytes[14] = self.codec.byte();
        bytes[15] = self.version.len() as u8;
        put(&mut bytes, 16, self.snapshot.to_le_bytes());
        put(&mut bytes, 24, self.created_ms.to_le_bytes());
        put(&mut bytes, 32, self.epoch.to_le_bytes());
        put(&mut bytes, 36, (self.shards.len() as u16).to_le_bytes());
        put(&mut bytes, 38, (self.tails.len() as u16).to_le_bytes());
        for shard in &self.shards {
            bytes.extend_from_slice(&shard.start.get().to_le_bytes());
            bytes.extend_from_slice(&shard.end.get().to_le_bytes());
            push_facts(&mut bytes, &shard.part);
        }
        for tail in &self.tails {
            bytes.extend_from_slice(&u64::from(tail.core).to_le_bytes());
            push_facts(&mut bytes, &tail.part);
        }
        bytes.extend_from_slice(self.version.as_bytes());
        let total = bytes.len() as u64;
        put(&mut bytes, 40, total.to_le_bytes());
        let crc = crc32c(&bytes[12..]);
        put(&mut bytes, 8, crc.to_le_bytes());
        bytes
    }

    /// Makes the snapshot exist: the names of its parts durable, then the index written, synced and
    /// renamed, then its name durable. Returns the path of the index.
    ///
    /// # Errors
    /// [`FileError::Io`]; then there is no snapshot.
    pub fn store(&self, directory: &Path) -> Result<PathBuf, FileError> {
        files::sync_dir(directory)?;
        let name = self.name();
        let (new, path) = (files::new_index_path(directory, name), name.index_path(directory));
        let write = || {
            let file = File::create(&new)?;
            disk::write_all_at(&file, &self.encode(), 0)?;
            disk::sync_all(&file)
        };
        let stored = write().map_err(FileError::io("write", &new));
        let stored = stored.and_then(|()| files::rename(&new, &path));
        if let Err(error) = stored {
            // What cannot be removed now is swept before the next snapshot.
            let _left = files::delete(&new);
            return Err(error);
        }
        files::sync_dir(directory)?;
        Ok(path)
    }

    /// Reads and checks the index of the snapshot of this name.
    ///
    /// # Errors
    /// Any [`FileError`].
    pub fn load(directory: &Path, name: SnapshotName) -> Result<Self, FileError> {
        let path = name.index_path(directory);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(FileError::Missing { path });
            }
            Err(error) => return Err(FileError::io("open", &path)(error)),
        };
        let mut bytes = Vec::new();
        let read = file.take(INDEX_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
        read.map_err(FileError::io("read", &path))?;
        let index = Self::decode(&bytes, &path)?;
        if index.name() != name {
            let what = "the index is that of a snapshot of another name";
            return Err(FileError::corrupt(&path, 16, what));
        }
        Ok(index)
    }

    fn decode(bytes: &[u8], path: &Path) -> Result<Self, FileError> {
        let corrupt = |offset: usize, what| FileError::corrupt(path, offset as u64, what);
        if bytes.len() < HEADER {
            return Err(corrupt(bytes.len(), "the file ends too early"));
        }
        if get(bytes, 0) != MAGIC || get_u32(bytes, 8) != crc32c(&bytes[12..]) {
            return Err(corrupt(0, "the checksum of the index is wrong"));
        }
        let found = u16::from_le_bytes(get(bytes, 12));
        if found > SNAPSHOT_FORMAT {
            let supported = SNAPSHOT_FORMAT;
            return Err(FileError::Version { path: path.to_owned(), found, supported });
        }
        let codec = Codec::from_byte(bytes[14]).ok_or_else(|| corrupt(14, "unknown codec"))?;
        let shards = usize::from(u16::from_le_bytes(get(bytes, 36)));
        let tails = usize::from(u16::from_le_bytes(get(bytes, 38)));
        let version_at = HEADER + shards * SHARD_BYTES + tails * TAIL_BYTES;
        let total = version_at + usize::from(bytes[15]);
        if shards != SHARDS || total != bytes.len() || get_u64(bytes, 40) != total as u64 {
            return Err(corrupt(36, "the counts do not fit the file"));
        }
        let (images, rest) = bytes[HEADER..version_at].split_at(shards * SHARD_BYTES);
        let images = images.as_chunks::<SHARD_BYTES>().0.iter().map(|image| {
            let seq = |at| {
                let number = get_u64(image, at);
                (number <= Seq::MAX.get()).then(|| Seq::new(number))
            };
            Some(ShardImage { start: seq(0)?, end: seq(8)?, part: facts_at(image, 16) })
        });
        let images = images.collect::<Option<Vec<_>>>();
        let read_tail = |tail: &[u8; TAIL_BYTES]| {
            let core = u16::try_from(get_u64(tail, 0)).ok()?;
            Some(Tail { core, part: facts_at(tail, 8) })
        };
        let tails = rest.as_chunks::<TAIL_BYTES>().0.iter().map(read_tail);
        let version = std::str::from_utf8(&bytes[version_at..]).ok();
        Ok(Self {
            snapshot: get_u64(bytes, 16),
            created_ms: get_u64(bytes, 24),
            epoch: get_u32(bytes, 32),
            codec,
            version: version.ok_or_else(|| corrupt(version_at, "no text"))?.to_owned(),
            shards: images.ok_or_else(|| corrupt(HEADER, "a Seq beyond 48 bits"))?,
            tails: tails
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| corrupt(HEADER, "a core that cannot be"))?,
        })
    }
}

fn push_facts(bytes: &mut Vec<u8>, facts: &PartFacts) {
    for number in [facts.blocks, facts.entries, facts.raw_bytes, facts.file_bytes] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
}

fn facts_at(bytes: &[u8], at: usize) -> PartFacts {
    PartFacts {
        blocks: get_u64(bytes, at),
        entries: get_u64(bytes, at + 8),
        raw_bytes: get_u64(bytes, at + 16),
        file_bytes: get_u64(bytes, at + 24),
    }
}

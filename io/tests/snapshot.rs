//! Snapshots written and read back, whole and damaged in every way that bytes can be.

use std::fs;
use std::path::{Path, PathBuf};

use synap_io::snapshot::{
    Codec, Compression, FileError, Index, NewPart, PartFacts, PartId, PartKind, PartReader,
    PartWriter, ShardImage, Tail, list, remove, sweep,
};
use synap_shards::limits::SHARDS;
use synap_shards::seq::Seq;

const SNAPSHOT: u64 = 0x00c0_ffee;
const CREATED_MS: u64 = 1_700_000_000_123;

fn id(kind: PartKind, number: u16) -> PartId {
    PartId { snapshot: SNAPSHOT, kind, number }
}

fn new_part(kind: PartKind, number: u16, codec: Codec) -> NewPart {
    let compression = Compression { codec, level: 3 };
    NewPart { id: id(kind, number), compression, epoch: 4, created_ms: CREATED_MS }
}

fn blocks() -> Vec<Vec<u8>> {
    let noise = |n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8;
    vec![b"small".to_vec(), vec![7; 3000], (0..500).map(noise).collect(), vec![1; 90_000]]
}

fn index() -> Index {
    let mut shards = vec![ShardImage::default(); SHARDS];
    shards[3] = ShardImage { start: Seq::new(40), end: Seq::new(44), part: PartFacts::default() };
    shards[63].start = Seq::new(2);
    Index {
        snapshot: SNAPSHOT,
        created_ms: CREATED_MS,
        epoch: 4,
        codec: Codec::Lz4,
        version: "0.1.0".to_owned(),
        shards,
        tails: vec![Tail { core: 0, part: PartFacts::default() }],
    }
}

fn write(directory: &Path, codec: Codec, blocks: &[Vec<u8>]) -> (PathBuf, PartFacts) {
    let part = new_part(PartKind::Shard, 3, codec);
    let mut writer = PartWriter::create(directory, &part).expect("begun");
    for (entries, block) in (1..).zip(blocks) {
        writer.write_block(block, entries).expect("written");
    }
    let name = index().name();
    let part = writer.finish().expect("finished");
    let facts = part.facts();
    part.publish(name).expect("named");
    (name.part_path(directory, PartKind::Shard, 3), facts)
}

fn read(path: &Path, expected: Option<PartFacts>) -> Result<Vec<(Vec<u8>, u32)>, FileError> {
    let mut reader = PartReader::open(path, &id(PartKind::Shard, 3), expected)?;
    let mut blocks = Vec::new();
    while let Some(block) = reader.next_block()? {
        blocks.push((block.bytes.to_vec(), block.entries));
    }
    assert!(reader.next_block()?.is_none(), "the end stays the end");
    assert!(expected.is_none_or(|expected| expected == reader.facts()));
    Ok(blocks)
}

#[test]
fn parts_come_back_in_every_codec() {
    for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
        let directory = tempfile::tempdir().expect("directory");
        let (path, facts) = write(directory.path(), codec, &blocks());
        assert_eq!((facts.blocks, facts.entries, facts.raw_bytes), (4, 10, 93_505));
        assert_eq!(facts.file_bytes, fs::metadata(&path).expect("a file").len());
        let expected: Vec<_> = blocks().into_iter().zip(1..).collect();
        assert_eq!(read(&path, Some(facts)).expect("sound"), expected);
        assert_eq!(read(&path, None).expect("sound"), expected);
        let smaller = facts.file_bytes < facts.raw_bytes / 10;
        assert_eq!(smaller, codec != Codec::None, "{codec}: {}", facts.file_bytes);
    }
}

#[test]
fn a_part_without_its_end_leaves_nothing() {
    let directory = tempfile::tempdir().expect("directory");
    let part = new_part(PartKind::Tail, 0, Codec::None);
    let mut writer = PartWriter::create(directory.path(), &part).expect("begun");
    writer.write_block(b"x", 1).expect("written");
    drop(writer);
    let mut writer = PartWriter::create(directory.path(), &part).expect("begun");
    writer.write_block(b"x", 1).expect("written");
    drop(writer.finish().expect("finished"));
    assert_eq!(fs::read_dir(directory.path()).expect("readable").count(), 0);
}

/// Reads a damaged part and checks that the damage is named with its file, at an offset that lies
/// no further than the damage.
fn expect_damage(path: &Path, expected: Option<PartFacts>, at: usize, bytes: &[u8]) {
    fs::write(path, bytes).expect("damage");
    match read(path, expected) {
        Err(FileError::Corrupt { path: named, offset, .. }) => {
            assert_eq!(named, path);
            assert!(offset <= at as u64, "damage at {at}, noticed at {offset}");
        }
        other => panic!("damage at {at} was not noticed: {other:?}"),
    }
}

fn small_blocks() -> Vec<Vec<u8>> {
    vec![b"one entry and another".to_vec(), vec![7; 300]]
}

#[test]
fn a_part_cut_anywhere_or_continued_is_refused() {
    for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
        let directory = tempfile::tempdir().expect("directory");
        let (path, facts) = write(directory.path(), codec, &small_blocks());
        let whole = fs::read(&path).expect("readable");
        for end in 0..whole.len() {
            for expected in [None, Some(facts)] {
                expect_damage(&path, expected, end, &whole[..end]);
            }
        }
        for more in [&b"\0"[..], &whole[40..]] {
            expect_damage(&path, None, whole.len(), &[&whole, more].concat());
        }
        let tail = whole.len() - 40;
        let without_a_block = [&whole[..40], &whole[tail..]].concat();
        expect_damage(&path, None, 40, &without_a_block);
    }
}

#[test]
fn every_flipped_bit_of_a_part_is_noticed() {
    for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
        let directory = tempfile::tempdir().expect("directory");
        let (path, facts) = write(directory.path(), codec, &small_blocks());
        let whole = fs::read(&path).expect("readable");
        for bit in 0..whole.len() * 8 {
            let mut broken = whole.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            for expected in [None, Some(facts)] {
                expect_damage(&path, expected, bit / 8, &broken);
            }
        }
    }
}

#[test]
fn blocks_of_another_part_are_refused() {
    let directory = tempfile::tempdir().expect("directory");
    let (path, facts) = write(directory.path(), Codec::None, &small_blocks());
    let shard = id(PartKind::Shard, 4);
    assert!(matches!(PartReader::open(&path, &shard, None), Err(FileError::Corrupt { .. })));
    let mine = fs::read(&path).expect("readable");
    let mut part = new_part(PartKind::Shard, 3, Codec::None);
    part.epoch = 5;
    let mut writer = PartWriter::create(directory.path(), &part).expect("begun");
    for (entries, block) in (1..).zip(small_blocks()) {
        writer.write_block(&block, entries).expect("written");
    }
    writer.finish().expect("finished").publish(index().name()).expect("named");
    let other = fs::read(&path).expect("readable");
    assert_eq!(mine.len(), other.len());
    expect_damage(&path, Some(facts), 40, &[&mine[..40], &other[40..]].concat());
    fs::remove_file(&path).expect("removed");
    assert!(matches!(read(&path, None), Err(FileError::Missing { .. })));
}

/// Gives a part other header bytes with a checksum that fits.
fn reseal(bytes: &mut [u8]) {
    let crc = crc32c::crc32c(&bytes[12..]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn newer_formats_are_refused_by_both_versions() {
    let directory = tempfile::tempdir().expect("directory");
    let (path, _) = write(directory.path(), Codec::None, &small_blocks());
    let mut bytes = fs::read(&path).expect("readable");
    bytes[12] = 7;
    reseal(&mut bytes[..40]);
    fs::write(&path, bytes).expect("written");
    let error = read(&path, None).expect_err("refused");
    assert!(matches!(error, FileError::Version { found: 7, supported: 1, .. }), "{error}");

    let path = index().store(directory.path()).expect("stored");
    let mut bytes = fs::read(&path).expect("readable");
    bytes[12] = 9;
    reseal(&mut bytes);
    fs::write(&path, bytes).expect("written");
    let error = Index::load(directory.path(), index().name()).expect_err("refused");
    assert!(matches!(error, FileError::Version { found: 9, supported: 1, .. }), "{error}");
}

#[test]
fn hostile_lengths_are_refused_before_memory_is_taken() {
    let directory = tempfile::tempdir().expect("directory");
    let (path, facts) = write(directory.path(), Codec::Lz4, &small_blocks());
    let whole = fs::read(&path).expect("readable");
    let tell = |raw: u32, stored: u32| {
        let mut bytes = whole.clone();
        bytes[40 + 16..40 + 20].copy_from_slice(&raw.to_le_bytes());
        bytes[40 + 20..40 + 24].copy_from_slice(&stored.to_le_bytes());
        let end = (72 + stored as usize).min(bytes.len());
        let crc = crc32c::crc32c(&bytes[48..end]);
        bytes[44..48].copy_from_slice(&crc.to_le_bytes());
        bytes
    };
    for (raw, stored) in [(21, u32::MAX), (u32::MAX, 21), (0, 0), (20, 21), (100_000, 21)] {
        expect_damage(&path, Some(facts), 40, &tell(raw, stored));
    }
    expect_damage(&path, None, 40, &tell(u32::MAX, 21));
}

#[test]
fn an_index_comes_back_and_any_damage_to_it_is_noticed() {
    let directory = tempfile::tempdir().expect("directory");
    let path = index().store(directory.path()).expect("stored");
    let name = index().name();
    assert_eq!(name.to_string(), "snapshot_1700000000_42");
    assert_eq!(list(directory.path()).expect("listed"), [name]);
    assert_eq!(Index::load(directory.path(), name).expect("sound"), index());
    let whole = fs::read(&path).expect("readable");
    let refuse = |bytes: &[u8], what: usize| {
        fs::write(&path, bytes).expect("damage");
        match Index::load(directory.path(), name) {
            Err(FileError::Corrupt { path: named, .. }) => assert_eq!(named, path),
            other => panic!("damage at {what} was not noticed: {other:?}"),
        }
    };
    for end in 0..whole.len() {
        refuse(&whole[..end], end);
    }
    for byte in 0..whole.len() {
        let mut broken = whole.clone();
        broken[byte] ^= 1 << (byte % 8);
        refuse(&broken, byte);
    }
    refuse(&[&whole[..], b"x"].concat(), whole.len());
    let renamed = synap_io::snapshot::SnapshotName { unix_secs: 1, offset: 42 };
    fs::write(renamed.index_path(directory.path()), &whole).expect("copied");
    assert!(Index::load(directory.path(), renamed).is_err());
}

#[test]
fn a_snapshot_goes_with_all_its_parts() {
    let directory = tempfile::tempdir().expect("directory");
    write(directory.path(), Codec::None, &small_blocks());
    index().store(directory.path()).expect("stored");
    assert_eq!(sweep(directory.path()).expect("swept").files, 0);
    remove(directory.path(), index().name()).expect("removed");
    assert_eq!(fs::read_dir(directory.path()).expect("readable").count(), 0);
}

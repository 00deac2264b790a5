//! After damage was skipped: what was recovered is written down as a snapshot, and the logs it came
//! from are put away, so that the next start finds a sound directory. Nothing is deleted.

use std::fs;
use std::path::{Path, PathBuf};

use synap_io::clock;
use synap_io::snapshot::{
    self, BLOCK_RAW_BYTES, Codec, Compression, FileError, FinishedPart, Index, NewPart, PartId,
    PartKind, PartWriter, ShardImage,
};
use synap_io::wal::{manifest, scan_dir};
use synap_shards::recovery::{History, Released};
use synap_shards::shard::Shard;
use synap_shards::snapshot::{push_entry, push_libraries};

use super::Options;
use crate::cold;
use crate::fatal::Fatal;

const COMPRESSION: Compression = Compression { codec: Codec::Lz4, level: 0 };

/// Makes the directory sound: `history` says afterwards what its manifest says.
pub(super) fn run(
    options: &Options,
    history: &mut History,
    shards: &[Box<Shard>],
) -> Result<(), Fatal> {
    let mut mended = 0;
    for shard in shards {
        mended += cold::mend(&options.events, &shard.cold_facts())?;
    }
    if mended > 0 {
        tracing::warn!(files = mended, "files of events were replaced: what they held is lost");
    }
    let index = write(options, history.epoch.0, shards)?;
    let name = index.name();
    history.released = Released { seqs: index.starts(), snapshot: name.to_string() };
    history.logs = Vec::new();
    manifest::store(&options.data, &history.encode())?;
    let away = put_away(&options.logs, name.unix_secs)?;
    tracing::warn!(
        snapshot = %name,
        damaged = %away.display(),
        "repaired: what was recovered is in a snapshot, the logs it came from were put away"
    );
    Ok(())
}

/// Writes a snapshot of shards that nobody changes.
fn write(options: &Options, epoch: u32, shards: &[Box<Shard>]) -> Result<Index, Fatal> {
    let directory = &options.snapshots;
    fs::create_dir_all(directory).map_err(Fatal::data("create", directory))?;
    snapshot::sweep(directory)?;
    let newest = snapshot::list(directory)?.first().map_or(0, |name| name.unix_secs);
    let mut index = Index {
        snapshot: clock::entropy(),
        created_ms: clock::unix_ms().max((newest + 1) * 1000),
        epoch,
        codec: COMPRESSION.codec,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        shards: Vec::with_capacity(shards.len()),
        tails: Vec::new(),
    };
    let mut parts = Vec::new();
    for shard in shards {
        let mut image =
            ShardImage { start: shard.seq(), end: shard.seq(), ..ShardImage::default() };
        if let Some(part) = write_image(directory, &index, shard)? {
            image.part = part.facts();
            parts.push(part);
        }
        index.shards.push(image);
    }
    for part in parts {
        part.publish(index.name())?;
    }
    index.store(directory)?;
    Ok(index)
}

/// Writes the image of one shard; nothing when it is empty.
fn write_image(
    directory: &Path,
    index: &Index,
    shard: &Shard,
) -> Result<Option<FinishedPart>, FileError> {
    if shard.entry_count() == 0 && shard.libraries().set().is_empty() {
        return Ok(None);
    }
    let number = u16::try_from(shard.id().index()).expect("there are 64 shards");
    let part = NewPart {
        id: PartId { snapshot: index.snapshot, kind: PartKind::Shard, number },
        compression: COMPRESSION,
        epoch: index.epoch,
        created_ms: index.created_ms,
    };
    let mut writer = PartWriter::create(directory, &part)?;
    let mut raw = Vec::new();
    let mut entries = push_libraries(&mut raw, shard);
    let mut position = Some(0);
    while let Some(at) = position {
        position = shard.walk(at, |entry| {
            push_entry(&mut raw, &entry);
            entries += 1;
        });
        if raw.len() >= BLOCK_RAW_BYTES || (position.is_none() && !raw.is_empty()) {
            writer.write_block(&raw, entries)?;
            raw.clear();
            entries = 0;
        }
    }
    writer.finish().map(Some)
}

/// Moves every file of every log into a directory beside them; its path.
fn put_away(logs: &Path, unix_secs: u64) -> Result<PathBuf, Fatal> {
    let away = logs.join(format!("damaged-{unix_secs}"));
    fs::create_dir_all(&away).map_err(Fatal::data("create", &away))?;
    for log in scan_dir(logs)? {
        for path in log.segments.values().chain(&log.spares) {
            let name = path.file_name().expect("files of a log have names");
            fs::rename(path, away.join(name)).map_err(Fatal::data("rename", path))?;
        }
    }
    for directory in [&away, logs] {
        let synced = fs::File::open(directory).and_then(|file| file.sync_all());
        synced.map_err(Fatal::data("sync the directory", directory))?;
    }
    Ok(away)
}

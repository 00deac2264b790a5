//! The batches and entries of a data directory, one line each, as text or as JSON.
//!
//! A filter chooses by key, shard and Seq; a batch is shown whole when any of its records is
//! chosen.
//! What is damaged is passed over; [`super::data`] names it.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};
use synap_io::snapshot::{Index, PartKind, PartReader};
use synap_io::wal::ReadOptions;
use synap_shards::batch::{Batch, Record};
use synap_shards::id::ShardId;
use synap_shards::snapshot::{ImageEntry, ImageItem, ImageLibrary, take_item};

use crate::backup::files::Files;
use crate::backup::time::rfc3339;
use crate::fatal::Fatal;

/// Bytes of a value that are shown, unless all are asked for.
const VALUE_BYTES_SHOWN: usize = 64;

/// What is shown, and how.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only this key.
    pub key: Option<Vec<u8>>,
    /// Only this shard.
    pub shard: Option<ShardId>,
    /// Only Seqs (of entries: stamps) from here to there.
    pub seqs: Option<(u64, u64)>,
    /// Only the file of this name.
    pub file: Option<String>,
    /// Values in full.
    pub full: bool,
    /// One JSON object per line.
    pub json: bool,
}

impl Filter {
    fn has_file(&self, path: &Path) -> bool {
        self.file.as_ref().is_none_or(|name| path.file_name().is_some_and(|file| file == &**name))
    }

    fn has_place(&self, shard: ShardId, seq: u64) -> bool {
        self.shard.is_none_or(|wanted| wanted == shard)
            && self.seqs.is_none_or(|(first, last)| (first..=last).contains(&seq))
    }

    fn has_key(&self, key: &[u8]) -> bool {
        self.key.as_ref().is_none_or(|wanted| wanted == key)
    }

    fn has_batch(&self, batch: &Batch<'_>) -> bool {
        batch.parts().any(|part| {
            self.has_place(part.shard, part.seq.get())
                && (self.key.is_none()
                    || batch
                        .records()
                        .any(|(shard, record)| shard == part.shard && self.has_key(record.key())))
        })
    }

    fn value(&self, value: &[u8]) -> String {
        let shown = if self.full { value.len() } else { value.len().min(VALUE_BYTES_SHOWN) };
        let dots = if shown < value.len() { "..." } else { "" };
        format!("{}{dots}", value[..shown].escape_ascii())
    }
}

/// Shows what the filter chooses: snapshots first, then logs. A reader that has gone ends it.
///
/// # Errors
/// What the system said of a file.
pub fn run(files: &Files, filter: &Filter, out: &mut dyn Write) -> Result<(), Fatal> {
    let mut dump = Dump { filter, out, gone: false };
    for name in files.snapshot_names()? {
        let Ok(index) = Index::load(&files.snapshots, name) else { continue };
        for (id, facts) in index.parts().filter(|(_, facts)| facts.blocks > 0) {
            let path = name.part_path(&files.snapshots, id.kind, id.number);
            if id.kind == PartKind::Shard
                && filter.has_file(&path)
                && let Ok(reader) = PartReader::open(&path, &id, Some(facts))
            {
                dump.image(reader, ShardId::new(usize::from(id.number)));
            }
        }
        for tail in files.tail_sources(&index) {
            dump.batches(&tail)?;
        }
    }
    let read = ReadOptions { skip_damage: true, ..ReadOptions::default() };
    for log in files.log_sources(read)? {
        dump.batches(&log)?;
    }
    Ok(())
}

struct Dump<'a> {
    filter: &'a Filter,
    out: &'a mut dyn Write,
    gone: bool,
}

impl Dump<'_> {
    fn say(&mut self, text: &str, object: &Value) {
        let said: io::Result<()> = if self.filter.json {
            writeln!(self.out, "{object}")
        } else {
            writeln!(self.out, "{text}")
        };
        self.gone |= said.is_err();
    }

    fn batches(&mut self, source: &crate::backup::files::Source) -> Result<(), Fatal> {
        let walked = source.walk(&mut |batch, path, offset| {
            if !self.gone && self.filter.has_file(path) && self.filter.has_batch(batch) {
                self.batch(batch, path, offset);
            }
            Ok(())
        });
        match walked {
            Err(Fatal::Corrupt { .. }) => Ok(()),
            other => other.map(drop),
        }
    }

    fn batch(&mut self, batch: &Batch<'_>, path: &Path, offset: u64) {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let parts: Vec<String> = batch
            .parts()
            .map(|part| format!("{}:{}", part.shard.index(), part.seq.get()))
            .collect();
        let (time, epoch) = (rfc3339(batch.time_ms()), batch.epoch().0);
        let records: Vec<(String, Value)> =
            batch.records().map(|(shard, record)| self.record(shard, &record)).collect();
        let mut text = format!(
            "{file} @{offset} batch {} epoch {epoch} {time} {} bytes",
            parts.join(","),
            batch.bytes().len()
        );
        for (line, _) in &records {
            text.push_str("\n    ");
            text.push_str(line);
        }
        let objects: Vec<Value> = records.into_iter().map(|(_, object)| object).collect();
        let object = json!({ "file": file, "offset": offset, "batch": parts, "epoch": epoch,
            "time_ms": batch.time_ms(), "bytes": batch.bytes().len(), "records": objects });
        self.say(&text, &object);
    }

    fn record(&self, shard: ShardId, record: &Record<'_>) -> (String, Value) {
        let (shard, key) = (shard.index(), record.key().escape_ascii().to_string());
        let due = |deadline: &Option<u64>| {
            deadline.map_or(String::new(), |due| format!(" expires {}", rfc3339(due)))
        };
        let creates = if record.creates() { " creates" } else { "" };
        let (kind, rest, value, deadline) = match record {
            Record::Put { value, deadline_ms, .. } => {
                let text = format!("{creates}{} {} bytes", due(deadline_ms), value.len());
                ("put", text, Some(self.filter.value(value)), *deadline_ms)
            }
            Record::Patch { offset, bytes, .. } => {
                let text = format!("{creates} {} bytes at {offset}", bytes.len());
                ("patch", text, Some(self.filter.value(bytes)), None)
            }
            Record::Delete { .. } => ("delete", String::new(), None, None),
            Record::Expire { deadline_ms, .. } => {
                let text = deadline_ms.map_or(" never".to_owned(), |_| due(deadline_ms));
                ("expire", text, None, *deadline_ms)
            }
            Record::Clear => ("clear", " every key of the shard".to_owned(), None, None),
            Record::Library { name, code } => {
                let name = name.escape_ascii();
                let text = match code {
                    Some(code) => format!(" {name} {} bytes", code.len()),
                    None => format!(" {name} gone"),
                };
                ("library", text, code.map(|code| self.filter.value(code)), None)
            }
            Record::Edit { value_type, edits, .. } => {
                let text = format!("{creates} {} {} bytes", value_type.name(), edits.len());
                ("edit", text, Some(self.filter.value(edits)), None)
            }
            Record::Store { value_type, edits, deadline_ms, .. } => {
                let name = value_type.name();
                let text = format!("{creates}{} {name} {} bytes", due(deadline_ms), edits.len());
                ("store", text, Some(self.filter.value(edits)), *deadline_ms)
            }
        };
        let shown = value.as_ref().map_or(String::new(), |value| format!(" \"{value}\""));
        let text = format!("shard {shard} {kind} \"{key}\"{rest}{shown}");
        let object = json!({ "shard": shard, "record": kind, "key": key, "value": value,
            "deadline_ms": deadline, "creates": record.creates() });
        (text, object)
    }

    fn image(&mut self, mut reader: PartReader, shard: ShardId) {
        let path = reader.path().to_owned();
        while let Ok(Some(block)) = reader.next_block() {
            let (mut bytes, offset) = (block.bytes, block.offset);
            while let Ok(item) = take_item(&mut bytes) {
                let (key, stamp) = match &item {
                    ImageItem::Entry(entry) => (entry.key, entry.stamp),
                    ImageItem::Library(library) => (library.name, library.stamp),
                };
                if self.gone
                    || !self.filter.has_place(shard, stamp.get())
                    || !self.filter.has_key(key)
                {
                    continue;
                }
                match item {
                    ImageItem::Entry(entry) => self.entry(&entry, shard, &path, offset),
                    ImageItem::Library(library) => self.library(&library, &path, offset),
                }
            }
        }
    }

    fn library(&mut self, library: &ImageLibrary<'_>, path: &Path, offset: u64) {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let (name, bytes) = (library.name.escape_ascii().to_string(), library.code.len());
        let code = self.filter.value(library.code);
        let text = format!("{file} @{offset} library \"{name}\" {bytes} bytes \"{code}\"");
        let object = json!({ "file": file, "offset": offset, "library": name, "code": code,
            "bytes": bytes });
        self.say(&text, &object);
    }

    fn entry(&mut self, entry: &ImageEntry<'_>, shard: ShardId, path: &Path, offset: u64) {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let (key, value) = (entry.key.escape_ascii().to_string(), self.filter.value(entry.value));
        let (shard, stamp, bytes) = (shard.index(), entry.stamp.get(), entry.value.len());
        let due =
            entry.deadline_ms.map_or(String::new(), |due| format!(" expires {}", rfc3339(due)));
        let text = format!(
            "{file} @{offset} entry shard {shard} stamp {stamp} \"{key}\"{due} {bytes} bytes \
             \"{value}\""
        );
        let object = json!({ "file": file, "offset": offset, "shard": shard, "stamp": stamp,
            "key": key, "value": value, "deadline_ms": entry.deadline_ms, "bytes": bytes });
        self.say(&text, &object);
    }
}

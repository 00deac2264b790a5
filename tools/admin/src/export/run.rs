//! `synap-admin export`: walks the keys with SCAN and asks for value and deadline of each in
//! pipelines.
//!
//! Every key that is there from the beginning to the end is in the file, once or, when the tables
//! grow meanwhile, more than once; keys written meanwhile have the value of some moment in between.
//! A backup is what gives one moment.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::binary;
use super::checkpoint::Checkpoint;
use super::json::{self, CRC_MARK, FORMAT, FORMAT_LINES, VERSION};
use super::output::Output;
use crate::args::{ExportArgs, ExportFormat, Target};
use crate::entry::{Entry, now_ms};
use crate::error::AdminError;
use crate::progress::Progress;
use crate::resp::{Connection, Reply, push_command};
use crate::server;

/// Keys asked for at once.
const KEYS_PER_STEP: &[u8] = b"1000";
/// How often the place is noted from which an interrupted export can go on.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(2);
const STATE: &str = ".part.state";

/// Where an export is.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    format: String,
    cursor: String,
    bytes: u64,
    crc: u32,
    entries: u64,
    blocks: u64,
}

struct Export {
    form: ExportFormat,
    output: Output,
    cursor: Vec<u8>,
    entries: u64,
    block: Vec<u8>,
    in_block: u32,
    blocks: u64,
}

/// Writes all keys to a file.
pub(crate) fn run(target: &Target, args: &ExportArgs, quiet: bool) -> Result<Value, AdminError> {
    let mut connection = server::connect(target)?;
    let total = match connection.demand(&[b"DBSIZE"])? {
        Reply::Integer(count) => u64::try_from(count).unwrap_or(0),
        _ => 0,
    };
    let checkpoint = Checkpoint::beside(&args.output, STATE);
    let mut export = Export::open(args, &checkpoint, &mut connection)?;
    let mut progress = Progress::new("export", total, quiet);
    let mut noted = Instant::now();
    loop {
        let done = export.step(&mut connection)?;
        progress.tell(export.entries, export.entries);
        if done {
            break;
        }
        if export.output.is_file() && noted.elapsed() >= CHECKPOINT_INTERVAL {
            export.note(&checkpoint)?;
            noted = Instant::now();
        }
    }
    progress.end();
    let entries = export.entries;
    let (bytes, crc) = export.finish(args)?;
    checkpoint.remove();
    let crc = format!("{crc:08x}");
    Ok(json!({ "entries": entries, "bytes": bytes, "crc32c": crc, "output": args.output }))
}

impl Export {
    fn open(
        args: &ExportArgs,
        checkpoint: &Checkpoint,
        connection: &mut Connection,
    ) -> Result<Self, AdminError> {
        let form = args.format;
        let fresh = State {
            format: format!("{form:?}"),
            cursor: "0".to_owned(),
            bytes: 0,
            crc: 0,
            entries: 0,
            blocks: 0,
        };
        let state = if args.resume { checkpoint.load::<State>()? } else { fresh.clone() };
        if state.format != fresh.format {
            let text = format!("the interrupted export is of the form {}", state.format);
            return Err(AdminError::Usage(text));
        }
        let output = Output::open(&args.output, state.bytes, state.crc)?;
        let (cursor, entries, blocks) = (state.cursor.into_bytes(), state.entries, state.blocks);
        let block = Vec::new();
        let mut export = Self { form, output, cursor, entries, block, in_block: 0, blocks };
        if state.bytes == 0 {
            export.begin(connection)?;
        }
        Ok(export)
    }

    fn begin(&mut self, connection: &mut Connection) -> Result<(), AdminError> {
        let offset = replication_offset(connection)?;
        let created_ms = now_ms();
        let created = synap::backup::time::rfc3339(created_ms);
        let facts = format!(r#""version":{VERSION},"created_at":"{created}","offset":{offset}"#);
        match self.form {
            ExportFormat::Json => {
                let head = format!("{{\"format\":\"{FORMAT}\",{facts},\"kv\":[\n");
                self.output.write(head.as_bytes())
            }
            ExportFormat::Lines => {
                let head = format!("{{\"format\":\"{FORMAT_LINES}\",{facts}}}\n");
                self.output.write(head.as_bytes())
            }
            ExportFormat::Binary => self.output.write(&binary::head(created_ms, offset)),
        }
    }

    /// The keys of one step of SCAN; whether they were the last.
    fn step(&mut self, connection: &mut Connection) -> Result<bool, AdminError> {
        let reply = connection.demand(&[b"SCAN", &self.cursor, b"COUNT", KEYS_PER_STEP])?;
        let Reply::Array(parts) = reply else { return Err(strange("SCAN")) };
        let [Reply::Bulk(cursor), Reply::Array(keys)] = &parts[..] else {
            return Err(strange("SCAN"));
        };
        let mut request = Vec::new();
        let mut names = Vec::with_capacity(keys.len());
        for key in keys {
            let Reply::Bulk(key) = key else { return Err(strange("SCAN")) };
            push_command(&mut request, &[b"GET", key]);
            push_command(&mut request, &[b"PEXPIRETIME", key]);
            names.push(key);
        }
        connection.send(&request)?;
        for key in names {
            let (value, due) = (connection.receive()?, connection.receive()?);
            if let Some(entry) = as_entry(key, value, &due)? {
                self.push(&entry)?;
            }
        }
        self.cursor.clone_from(cursor);
        Ok(self.cursor == b"0")
    }

    fn push(&mut self, entry: &Entry) -> Result<(), AdminError> {
        self.entries += 1;
        match self.form {
            ExportFormat::Json => {
                let comma: &[u8] = if self.entries > 1 { b",\n" } else { b"" };
                self.output.write(comma)?;
                self.output.write(&json::encode(entry, now_ms()))
            }
            ExportFormat::Lines => {
                let mut line = json::encode(entry, now_ms());
                line.push(b'\n');
                self.output.write(&line)
            }
            ExportFormat::Binary => {
                binary::push(&mut self.block, entry);
                self.in_block += 1;
                if self.block.len() >= binary::BLOCK_BYTES { self.close_block() } else { Ok(()) }
            }
        }
    }

    fn close_block(&mut self) -> Result<(), AdminError> {
        if self.in_block > 0 {
            self.output.write(&binary::block(self.blocks, self.in_block, &self.block))?;
            self.blocks += 1;
            self.in_block = 0;
            self.block.clear();
        }
        Ok(())
    }

    fn note(&mut self, checkpoint: &Checkpoint) -> Result<(), AdminError> {
        self.close_block()?;
        self.output.sync()?;
        let (bytes, crc) = self.output.place();
        checkpoint.store(&State {
            format: format!("{:?}", self.form),
            cursor: String::from_utf8_lossy(&self.cursor).into_owned(),
            bytes,
            crc,
            entries: self.entries,
            blocks: self.blocks,
        })
    }

    fn finish(mut self, args: &ExportArgs) -> Result<(u64, u32), AdminError> {
        self.close_block()?;
        let entries = self.entries;
        let end = match self.form {
            ExportFormat::Json => format!("\n],\"entries\":{entries}"),
            ExportFormat::Lines => format!("{{\"entries\":{entries}"),
            ExportFormat::Binary => String::new(),
        };
        self.output.write(end.as_bytes())?;
        let (_, crc) = self.output.place();
        match self.form {
            ExportFormat::Json | ExportFormat::Lines => {
                self.output.write(format!("{CRC_MARK}{crc:08x}\"}}\n").as_bytes())?;
            }
            ExportFormat::Binary => {
                self.output.write(&binary::block(self.blocks, 0, &entries.to_le_bytes()))?;
            }
        }
        let (bytes, _) = self.output.place();
        self.output.finish(&args.output)?;
        Ok((bytes, crc))
    }
}

fn strange(request: &str) -> AdminError {
    let answer = "an answer of another shape than expected".to_owned();
    AdminError::Refused { request: request.to_owned(), answer }
}

/// A key as it was when it was asked for; nothing when it has gone since the walk saw it.
fn as_entry(key: &[u8], value: Reply, due: &Reply) -> Result<Option<Entry>, AdminError> {
    match (value, due) {
        (Reply::Nil, _) => Ok(None),
        (Reply::Bulk(value), Reply::Integer(due)) => {
            let deadline_ms = u64::try_from(*due).ok();
            Ok(Some(Entry { key: key.to_vec(), value, deadline_ms }))
        }
        (value, due) => match value.error().or_else(|| due.error()) {
            Some(answer) => {
                let request = format!("the value of {}", key.escape_ascii());
                Err(AdminError::Refused { request, answer: answer.to_owned() })
            }
            None => Err(strange("GET")),
        },
    }
}

fn replication_offset(connection: &mut Connection) -> Result<u64, AdminError> {
    let Reply::Bulk(text) = connection.demand(&[b"INFO", b"replication"])? else {
        return Err(strange("INFO"));
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    let found = text.lines().find_map(|line| line.strip_prefix("master_repl_offset:"));
    Ok(found.and_then(|number| number.trim().parse().ok()).unwrap_or(0))
}

//! Jobs of the server's program that end without serving: looking at data, restoring it.
//!
//! Exit code 0 when all is well; 2 when data is damaged; otherwise as [`Fatal::code`].

use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;
use synap_shards::id::ShardId;

use crate::backup::files::Files;
use crate::backup::restore::{self, Until};
use crate::backup::salvage::{self, Salvaged};
use crate::backup::time;
use crate::config::Loaded;
use crate::doctor::{self, data, dump, show};
use crate::fatal::Fatal;

/// Exit code for damaged data, as of a start.
const DAMAGED: u8 = 2;

/// Jobs other than serving.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Job {
    /// Check whether this machine lets the server run, and run well; with --data, look at data
    Doctor(DoctorArgs),
    /// Write a new data directory of a backup, or of a data directory, as it was at a moment
    Restore(RestoreArgs),
}

/// Of `doctor`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct DoctorArgs {
    /// List and verify this data directory or backup; exit 2 when something is damaged
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Show the batches of the logs and the entries of the snapshots
    #[arg(long, requires = "data")]
    pub dump: bool,
    /// Show only this file
    #[arg(long, requires = "dump", value_name = "NAME")]
    pub file: Option<String>,
    /// Show only what concerns this key
    #[arg(long, requires = "dump")]
    pub key: Option<String>,
    /// Show only this shard
    #[arg(long, requires = "dump", value_name = "N", value_parser = shard)]
    pub shard: Option<usize>,
    /// Show only these Seqs of shards, and stamps of entries
    #[arg(long, requires = "dump", value_name = "FIRST..LAST", value_parser = seqs)]
    pub seq: Option<(u64, u64)>,
    /// Show values in full
    #[arg(long, requires = "dump")]
    pub full: bool,
    /// Write what is sound to a new data directory
    #[arg(long, requires = "data", conflicts_with = "dump", value_name = "NEWDIR")]
    pub salvage_to: Option<PathBuf>,
    /// Salvage also what follows lost batches; keys they changed have older values then
    #[arg(long, requires = "salvage_to")]
    pub past_damage: bool,
    /// One JSON object instead of text; one per line with --dump
    #[arg(long, requires = "data")]
    pub json: bool,
}

/// Of `restore`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct RestoreArgs {
    /// The backup, or the data directory of a server that is stopped
    #[arg(long, value_name = "BACKUP")]
    pub from: PathBuf,
    /// The new data directory; must be empty or not there
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// Only up to this moment: 2026-11-21T08:30:00Z, seconds since 1970, or SHARD:SEQ,SHARD:SEQ,…
    #[arg(long, value_name = "TIME|SEQ", value_parser = |text: &str| Until::parse(text))]
    pub until: Option<Until>,
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

fn shard(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().and_then(ShardId::checked);
    number.map(ShardId::index).ok_or_else(|| "expected a shard, 0 to 63".to_owned())
}

fn seqs(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str, open: u64| if text.is_empty() { Ok(open) } else { text.parse() };
    match (number(first, 0), number(last, u64::MAX)) {
        (Ok(first), Ok(last)) => Ok((first, last)),
        _ => Err("expected FIRST..LAST, FIRST.., ..LAST or one number".to_owned()),
    }
}

impl Job {
    /// Does it.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(&self, loaded: &Loaded) -> Result<ExitCode, Fatal> {
        match self {
            Self::Doctor(DoctorArgs { data: None, .. }) => Ok(machine(loaded)),
            Self::Doctor(args) => examine(args, loaded),
            Self::Restore(args) => restore(args),
        }
    }
}

/// Writes to standard output; a reader that has gone is no failure of ours.
pub(crate) fn say(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn machine(loaded: &Loaded) -> ExitCode {
    let (table, runs) = doctor::table(&doctor::examine(&loaded.config));
    let said = say(&table);
    if runs { said } else { ExitCode::FAILURE }
}

/// Where the data is: below the directory named, unless the configuration has moved a part of it.
fn files_of(args: &DoctorArgs, loaded: &Loaded) -> Files {
    let root = args.data.clone().unwrap_or_default();
    let (usual, moved) = (Files::below(&root), Files::from_config(&loaded.config));
    if moved.root == root { moved } else { usual }
}

fn examine(args: &DoctorArgs, loaded: &Loaded) -> Result<ExitCode, Fatal> {
    let files = files_of(args, loaded);
    if let Some(to) = &args.salvage_to {
        return salvage(args, &files, to);
    }
    if args.dump {
        let filter = dump::Filter {
            key: args.key.as_ref().map(|key| key.clone().into_bytes()),
            shard: args.shard.map(ShardId::new),
            seqs: args.seq,
            file: args.file.clone(),
            full: args.full,
            json: args.json,
        };
        let mut out = BufWriter::new(io::stdout().lock());
        dump::run(&files, &filter, &mut out)?;
        // A reader that has gone is no failure of ours.
        let _ = out.flush();
        return Ok(ExitCode::SUCCESS);
    }
    let report = data::examine(&files)?;
    let said =
        if args.json { say(&format!("{}\n", json!(report))) } else { say(&show::text(&report)) };
    Ok(if report.damage.is_empty() { said } else { ExitCode::from(DAMAGED) })
}

fn salvage(args: &DoctorArgs, files: &Files, to: &std::path::Path) -> Result<ExitCode, Fatal> {
    let Salvaged { snapshot, keys, batches, left_out, image_entries, lost, damage } =
        salvage::run(files, to, args.past_damage)?;
    if args.json {
        let lost: serde_json::Map<_, _> =
            lost.iter().map(|(shard, gaps)| (shard.index().to_string(), json!(gaps))).collect();
        return Ok(say(&format!(
            "{}\n",
            json!({ "to": to, "snapshot": snapshot, "keys": keys, "batches": batches,
                "left_out": left_out, "image_entries": image_entries, "lost": lost,
                "damage": damage })
        )));
    }
    let mut text = String::new();
    for what in &damage {
        text.push_str(&format!("damage: {what}\n"));
    }
    for (shard, gaps) in &lost {
        for (first, last) in gaps {
            text.push_str(&format!("lost: shard {} Seqs {first} to {last}\n", shard.index()));
        }
    }
    let base = snapshot.map_or_else(|| "no snapshot".to_owned(), |name| format!("snapshot {name}"));
    text.push_str(&format!(
        "{}: {keys} keys, from {base}, {image_entries} entries of damaged images and {batches} \
         batches\n",
        to.display()
    ));
    if left_out > 0 {
        text.push_str(&format!(
            "left out: {left_out} sound batches behind lost ones; --past-damage takes them\n"
        ));
    }
    Ok(say(&text))
}

fn restore(args: &RestoreArgs) -> Result<ExitCode, Fatal> {
    let until = args.until.clone().unwrap_or(Until::End);
    let restored = restore::run(&Files::below(&args.from), &args.to, &until)?;
    let last = restored.last_ms.map(time::rfc3339);
    if args.json {
        return Ok(say(&format!(
            "{}\n",
            json!({ "to": args.to, "snapshot": restored.snapshot, "keys": restored.keys,
                "batches": restored.batches, "last": last, "orphans": restored.orphans,
                "unusable": restored.unusable })
        )));
    }
    let mut text = String::new();
    for reason in &restored.unusable {
        text.push_str(&format!("passed over: {reason}\n"));
    }
    let base = restored
        .snapshot
        .map_or_else(|| "no snapshot".to_owned(), |name| format!("snapshot {name}"));
    text.push_str(&format!(
        "{}: {} keys, from {base} and {} batches behind it",
        args.to.display(),
        restored.keys,
        restored.batches
    ));
    if let Some(last) = last {
        text.push_str(&format!(", the last of {last}"));
    }
    text.push('\n');
    if restored.orphans > 0 {
        text.push_str(&format!(
            "left out: {} batches up to that moment, which follow ones that are not there\n",
            restored.orphans
        ));
    }
    Ok(say(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_shards_are_read() {
        assert_eq!(seqs("3..7"), Ok((3, 7)));
        assert_eq!(seqs("3.."), Ok((3, u64::MAX)));
        assert_eq!(seqs("..7"), Ok((0, 7)));
        assert_eq!(seqs("5"), Ok((5, 5)));
        assert!(seqs("x").is_err() && seqs("1..x").is_err());
        assert_eq!(shard("63"), Ok(63));
        assert!(shard("64").is_err() && shard("x").is_err());
    }
}

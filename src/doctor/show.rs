//! The report about a data directory as text.

use std::fmt::Write as _;

use super::data::{LogReport, Report, SegmentReport, SnapshotReport};
use crate::backup::time::rfc3339;

/// A number of bytes, rounded.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes / 1024),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// All of a report; its last line says whether the data is sound.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    let _infallible = show(report, &mut text);
    text
}

fn show(report: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(out, "{}", report.root.display())?;
    if report.in_use {
        writeln!(out, "  a server uses it: what it is writing now may look torn or damaged")?;
    }
    if let Some(files) = report.backup_files {
        writeln!(out, "  a backup; its {files} files are as its list says")?;
    }
    for copy in &report.manifests {
        let name = copy.file.file_name().unwrap_or_default().to_string_lossy();
        write!(out, "  {name:<24} {:<8}", copy.state)?;
        if let (Some(sequence), Some(epoch)) = (copy.sequence, copy.epoch) {
            write!(out, " sequence {sequence}, epoch {epoch}")?;
        }
        if let Some(needed) = &copy.needs_snapshot {
            write!(out, ", needs {needed} or a newer one")?;
        }
        writeln!(out)?;
    }
    report.snapshots.iter().try_for_each(|snapshot| show_snapshot(snapshot, out))?;
    report.logs.iter().try_for_each(|log| show_log(log, out))?;
    show_events(report, out)?;
    if let Some(state) = report.access {
        writeln!(out, "  users and API keys {state}")?;
    }
    for (shard, gaps) in &report.gaps {
        for (first, last) in gaps {
            writeln!(out, "  shard {shard}: Seqs {first} to {last} are lost; what follows is cut")?;
        }
    }
    for damage in &report.damage {
        writeln!(out, "  DAMAGE  {damage}")?;
    }
    match report.damage.len() {
        0 => writeln!(out, "sound"),
        1 => writeln!(out, "1 thing is damaged"),
        count => writeln!(out, "{count} things are damaged"),
    }
}

fn show_events(report: &Report, out: &mut String) -> std::fmt::Result {
    if report.events.is_empty() {
        return Ok(());
    }
    let sound = report.events.iter().filter(|file| file.sound).count();
    let bytes: u64 = report.events.iter().filter_map(|file| file.bytes).sum();
    writeln!(out, "  {} files of events, {sound} sound, {bytes} bytes", report.events.len())
}

fn show_snapshot(snapshot: &SnapshotReport, out: &mut String) -> std::fmt::Result {
    let state = if snapshot.sound { "sound" } else { "damaged" };
    write!(out, "  {} {state}", snapshot.name)?;
    if let (Some(created), Some(codec)) = (snapshot.created_ms, snapshot.codec) {
        write!(
            out,
            "  begun {}, {} entries, {} batches, {} files, {}, {codec}",
            rfc3339(created),
            snapshot.entries,
            snapshot.batches,
            snapshot.parts,
            size(snapshot.bytes)
        )?;
    }
    writeln!(out)
}

fn show_log(log: &LogReport, out: &mut String) -> std::fmt::Result {
    writeln!(out, "  log of core {}, {} spare files", log.core, log.spares)?;
    log.segments.iter().try_for_each(|segment| show_segment(segment, out))?;
    if let Some((file, offset, bytes)) = &log.torn {
        let file = file.display();
        writeln!(
            out,
            "    torn at its end: {file}, byte {offset}, {bytes} bytes; a start cuts it"
        )?;
    }
    Ok(())
}

fn show_segment(segment: &SegmentReport, out: &mut String) -> std::fmt::Result {
    let name = segment.file.file_name().unwrap_or_default().to_string_lossy();
    let SegmentReport { header, groups, batches, .. } = segment;
    write!(out, "    {name:<22} {header:<8} {:>9}", size(segment.bytes))?;
    if let Some(epoch) = segment.epoch {
        write!(out, "  epoch {epoch}, {groups} groups, {batches} batches")?;
    }
    if let Some((first, last)) = segment.times_ms {
        write!(out, ", {} to {}", rfc3339(first), rfc3339(last))?;
    }
    writeln!(out)
}

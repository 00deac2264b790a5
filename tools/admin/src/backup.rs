//! `synap-admin backup` and `verify`: the copying and checking is that of the server's own crate;
//! here a running server is asked for a snapshot first.

use std::path::Path;

use serde_json::{Value, json};
use synap::backup::copy;
use synap::backup::files::Files;
use synap::backup::index::{BackupIndex, INDEX_FILE};
use synap::doctor::{data, show};

use crate::Outcome;
use crate::args::{BackupArgs, Target};
use crate::error::AdminError;
use crate::http::Http;
use crate::server;

/// Takes a backup, or checks one.
pub(crate) fn run(target: &Target, args: &BackupArgs) -> Result<Value, AdminError> {
    let Some(data_dir) = args.data_dir.as_ref().filter(|_| !args.verify) else {
        return check(&args.to);
    };
    if !data_dir.is_dir() {
        return Err(AdminError::Usage(format!("{} is no directory", data_dir.display())));
    }
    let snapshot = server::snapshot(target)?;
    let files = Files::below(data_dir);
    // The server may name its directory from where it was started, so only the file's name counts.
    let written = snapshot["path"].as_str().map(Path::new);
    if let Some(name) = written.and_then(Path::file_name)
        && !files.snapshots.join(name).exists()
    {
        let (url, here) = (Http::new(target)?.address().to_owned(), files.snapshots.display());
        let text = format!("{url} wrote {}, which is not in {here}", name.display());
        return Err(AdminError::Usage(text));
    }
    let copied = copy::run(&files, &args.to)?;
    Ok(json!({
        "backup": args.to,
        "snapshot": copied.snapshot,
        "files_copied": copied.files,
        "bytes_copied": copied.bytes,
        "files_kept": copied.kept,
    }))
}

/// Compares every file of a backup with its list, and with its own checksums.
fn check(root: &Path) -> Result<Value, AdminError> {
    if BackupIndex::load(root)?.is_none() {
        let text = format!("{} has no {INDEX_FILE}: it is no backup", root.display());
        return Err(AdminError::Usage(text));
    }
    let report = data::examine(&Files::below(root))?;
    if !report.damage.is_empty() {
        return Err(AdminError::Found(report.damage.join("\n")));
    }
    let snapshots: Vec<&str> =
        report.snapshots.iter().map(|snapshot| snapshot.name.as_str()).collect();
    Ok(json!({ "backup": root, "sound": true, "files": report.backup_files,
        "snapshots": snapshots }))
}

/// `synap-admin verify`.
pub(crate) fn verify(data_dir: &Path, as_json: bool) -> Result<Outcome, AdminError> {
    let report = data::examine(&Files::below(data_dir))?;
    let text = if as_json { format!("{}\n", json!(report)) } else { show::text(&report) };
    Ok(Outcome { text, well: report.damage.is_empty() })
}

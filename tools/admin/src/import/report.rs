//! What an import found and did, as one object.

use serde_json::{Value, json};

use super::input::Input;
use super::send::Done;
use super::survey::Survey;
use crate::error::AdminError;

/// Everything that is worth knowing afterwards; without `done`, nothing was changed.
pub(super) fn report(survey: &Survey, done: Option<&Done>, input: &Input) -> Value {
    let mut report = json!({
        "input": input.path(),
        "format": input.name(),
        "dry_run": done.is_none(),
        "keys_found": survey.keys,
        "keys_expired": done.map_or(survey.expired, |done| done.expired),
        "commands_found": survey.commands.values().sum::<u64>(),
    });
    if let Some(done) = done {
        report["keys_imported"] = json!(done.keys);
        report["commands_run"] = json!(done.commands);
        report["commands_left_out"] = json!(done.skipped);
    }
    for (name, counts) in
        [("types_left_out", &survey.others), ("sections_left_out", &survey.sections)]
    {
        if !counts.is_empty() {
            report[name] = json!(counts);
        }
    }
    if !survey.elsewhere.is_empty() {
        report["other_databases_left_out"] = json!(survey.elsewhere);
    }
    if let Some((path, offset)) = &survey.cut {
        report["cut_off"] = json!({ "file": path, "whole_up_to_byte": offset });
    }
    if survey.unchecked {
        report["checksum"] = json!("none in the file");
    }
    report
}

/// The error for an input that may not be imported as asked.
pub(super) fn refuse(reasons: &[String]) -> AdminError {
    AdminError::Found(format!("nothing was imported: {}", reasons.join("; ")))
}

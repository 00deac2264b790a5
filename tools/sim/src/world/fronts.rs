//! Where each log begins. The manifest says from which segment on a log has to be there, so that
//! one whose front was let go can be told from one whose front is missing.

use std::collections::BTreeMap;

use synap_shards::recovery::{History, LogFront};

use crate::disk::Name;
use crate::disk::read::{LogContent, Refusal};

/// What the manifest of this start will say of the logs it found.
pub(super) fn of(contents: &BTreeMap<usize, LogContent>) -> Vec<LogFront> {
    let fronts = contents.iter().filter_map(|(log, content)| Some((*log, content.front?.0)));
    fronts.map(|(log, segment)| LogFront { core: log as u16, segment }).collect()
}

/// Whether every log begins where it has to.
pub(super) fn check(
    history: &History,
    contents: &BTreeMap<usize, LogContent>,
) -> Result<(), Refusal> {
    for (log, content) in contents {
        let Some((_, Some(before))) = content.front else { continue };
        let needed = history.logs.iter().find(|front| usize::from(front.core) == *log);
        // A log that is not named was begun in the epoch of the manifest and is whole, or is what
        // is left of one that a snapshot of that epoch made superfluous.
        let begun = content.epoch == u64::from(history.epoch.0);
        let kept = if begun || history.released.snapshot.is_empty() { 1 } else { u64::MAX };
        if needed.map_or(kept, |front| front.segment) <= before {
            let name = Name::Segment { log: *log, number: before };
            return Err(Refusal { name, at: 0, evidence: "it is missing" });
        }
    }
    for front in &history.logs {
        let log = usize::from(front.core);
        if contents.get(&log).and_then(|content| content.front).is_none() {
            let name = Name::Segment { log, number: front.segment };
            return Err(Refusal { name, at: 0, evidence: "the log is missing from here on" });
        }
    }
    Ok(())
}

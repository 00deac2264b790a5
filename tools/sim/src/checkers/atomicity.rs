//! Transactions are whole: the keys of a group are only ever written together with one value, so
//! they are equal or all absent; and the one token that is renamed again and again has exactly one
//! name.

use std::collections::BTreeMap;

use super::{Finding, Verdict, Violation};
use crate::story::show;

/// The checker.
#[derive(Debug, Default)]
pub(crate) struct Atomicity {
    dealt: bool,
}

/// Prefixes of group keys, with the number of members of a group.
const GROUPS: [(&[u8], usize); 2] = [(b"grp:", 5), (b"once:", 2)];

impl Atomicity {
    /// From now on there is a token.
    pub(crate) fn dealt(&mut self) {
        self.dealt = true;
    }

    pub(crate) fn found(&mut self, finding: Finding<'_>) -> Verdict {
        let mut groups: BTreeMap<&[u8], (usize, Vec<&[u8]>)> = BTreeMap::new();
        let mut tokens = Vec::new();
        for (key, (value, _)) in finding.dump {
            if key.starts_with(b"tok:") {
                tokens.push(show(key));
            }
            for (_, members) in GROUPS.iter().filter(|(prefix, _)| key.starts_with(prefix)) {
                let cut = key.iter().rposition(|byte| *byte == b':').unwrap_or(key.len());
                let group = groups.entry(&key[..cut]).or_insert_with(|| (*members, Vec::new()));
                group.1.push(value);
            }
        }
        for (name, (members, values)) in groups {
            if values.len() != members || values.iter().any(|value| *value != values[0]) {
                let values: Vec<String> = values.iter().map(|value| show(value)).collect();
                return violation(format!("{} is torn: {values:?}", show(name)));
            }
        }
        if finding.may_lose && tokens.is_empty() {
            // The deal itself may be lost where acknowledging does not wait for the disk.
            self.dealt = false;
        }
        if tokens.len() != usize::from(self.dealt) {
            return violation(format!("the token has these names: {tokens:?}"));
        }
        Ok(())
    }
}

fn violation(message: String) -> Verdict {
    Err(Violation { checker: "atomicity", message })
}

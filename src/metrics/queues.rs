//! What metrics tell of each queue. Names are users', so their number is bounded: beyond
//! [`NAMES_MAX`] queues stand together under `other`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use synap_shards::types::queue::Gauge;

/// Queues that are told apart.
pub const NAMES_MAX: usize = 1_000;
/// The name that all others share.
pub const OTHER: &str = "other";

/// The queues of one core as they were at the last look. Who serves requests never waits for it.
#[derive(Debug, Default)]
pub struct Queues(Mutex<BTreeMap<String, Gauge>>);

impl Queues {
    /// Looks at these queues; nothing while somebody reads what was seen before.
    pub fn refresh<'s>(&self, queues: impl Iterator<Item = (&'s [u8], Gauge)>) {
        let Ok(mut seen) = self.0.try_lock() else { return };
        seen.clear();
        for (name, gauge) in queues {
            add(&mut seen, &String::from_utf8_lossy(name), &gauge);
        }
    }

    /// Adds what was seen to what was seen of other cores.
    pub fn add_to(&self, all: &mut BTreeMap<String, Gauge>) {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, gauge) in seen.iter() {
            add(all, name, gauge);
        }
    }
}

fn add(all: &mut BTreeMap<String, Gauge>, name: &str, gauge: &Gauge) {
    let is_new = all.len() >= NAMES_MAX && !all.contains_key(name);
    all.entry(if is_new { OTHER } else { name }.to_owned()).or_default().add(gauge);
}

/// A name as the value of a label: the format wants backslashes and quotation marks escaped.
pub fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for letter in name.chars() {
        if matches!(letter, '\\' | '"') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_names_share_one() {
        let mut all = BTreeMap::new();
        let one = Gauge { ready: 1, ..Gauge::default() };
        for number in 0..NAMES_MAX + 7 {
            add(&mut all, &format!("q{number}"), &one);
        }
        assert_eq!((all.len(), all[OTHER].ready), (NAMES_MAX + 1, 7));
        assert_eq!(escaped("a\"b\\c"), "a\\\"b\\\\c");
    }
}

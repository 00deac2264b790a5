//! The scripts of the process, shared by all cores, and the means to end one that runs.
//!
//! A lock, held for a lookup or an insertion: cores come here for scripts that are new to them, not
//! for every run.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synap_shards::script::gauge::{Gauge, Killing};
use synap_shards::script::registry::{HexDigest, Origin, Registry};

/// Scripts that came with `EVAL` and are kept; of more, the oldest go.
const EVALUATED_MAX: usize = 4096;
/// Bytes of them together.
const EVALUATED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of scripts that were loaded; more are refused.
const LOADED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What a script takes beside its text, about.
const ENTRY_BYTES: usize = 128;

/// The scripts of the process.
#[derive(Debug, Default)]
pub struct Scripts {
    generation: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    texts: BTreeMap<HexDigest, (Arc<[u8]>, Origin)>,
    /// Those that came with `EVAL`, oldest first; some were loaded since.
    evaluated: VecDeque<HexDigest>,
    evaluated_bytes: usize,
    loaded_bytes: usize,
}

impl Kept {
    fn drop_oldest(&mut self) {
        while self.evaluated.len() > EVALUATED_MAX || self.evaluated_bytes > EVALUATED_BYTES_MAX {
            let Some(oldest) = self.evaluated.pop_front() else { return };
            if let Some((text, Origin::Evaluated)) = self.texts.get(&oldest) {
                self.evaluated_bytes -= text.len() + ENTRY_BYTES;
                self.texts.remove(&oldest);
            }
        }
    }
}

impl Scripts {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing in here is left half done by a panic.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of scripts, and bytes of their texts.
    pub fn sizes(&self) -> (usize, usize) {
        let kept = self.kept();
        (kept.texts.len(), kept.evaluated_bytes + kept.loaded_bytes)
    }
}

impl Registry for Scripts {
    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn find(&self, name: &HexDigest) -> Option<Arc<[u8]>> {
        self.kept().texts.get(name).map(|(text, _)| Arc::clone(text))
    }

    fn add(&self, name: HexDigest, text: &[u8], origin: Origin) -> bool {
        let mut kept = self.kept();
        let bytes = text.len() + ENTRY_BYTES;
        let known = kept.texts.get(&name).map(|(_, origin)| *origin);
        if known == Some(Origin::Loaded) || known == Some(origin) {
            return true;
        }
        match origin {
            Origin::Loaded if kept.loaded_bytes + bytes > LOADED_BYTES_MAX => return false,
            Origin::Evaluated if bytes > EVALUATED_BYTES_MAX => return false,
            Origin::Loaded => {
                kept.loaded_bytes += bytes;
                if known.is_some() {
                    kept.evaluated_bytes -= bytes;
                }
            }
            Origin::Evaluated => {
                kept.evaluated_bytes += bytes;
                kept.evaluated.push_back(name);
            }
        }
        kept.texts.insert(name, (text.into(), origin));
        kept.drop_oldest();
        true
    }

    fn flush(&self) -> usize {
        let mut kept = self.kept();
        // While the lock is held, or a core could take a script in between and keep it.
        self.generation.fetch_add(1, Ordering::AcqRel);
        let count = kept.texts.len();
        *kept = Kept::default();
        count
    }
}

/// Asks every core to end the script it runs; the best of what came of it.
pub fn kill(gauges: &[Arc<Gauge>]) -> Killing {
    gauges.iter().map(|gauge| gauge.kill()).max().unwrap_or(Killing::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> HexDigest {
        let mut name = [b'0'; 40];
        name[..8].copy_from_slice(format!("{number:08}").as_bytes());
        name
    }

    #[test]
    fn the_oldest_that_were_evaluated_go_and_those_loaded_stay() {
        let scripts = Scripts::default();
        assert!(scripts.add(name(0), b"a", Origin::Evaluated));
        assert!(scripts.add(name(0), b"a", Origin::Loaded));
        for number in 1..EVALUATED_MAX + 10 {
            assert!(scripts.add(name(number), b"text", Origin::Evaluated));
        }
        assert_eq!(scripts.find(&name(0)).as_deref(), Some(&b"a"[..]));
        assert!(scripts.find(&name(1)).is_none());
        assert!(scripts.find(&name(EVALUATED_MAX + 9)).is_some());
        assert_eq!(scripts.sizes().0, EVALUATED_MAX + 1);
        assert_eq!(scripts.generation(), 0);
        assert_eq!(scripts.flush(), EVALUATED_MAX + 1);
        assert_eq!((scripts.generation(), scripts.sizes()), (1, (0, 0)));
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let scripts = Scripts::default();
        let half = vec![b' '; LOADED_BYTES_MAX / 2];
        assert!(scripts.add(name(1), &half, Origin::Loaded));
        assert!(!scripts.add(name(2), &half, Origin::Loaded));
        assert!(!scripts.add(name(3), &half, Origin::Evaluated));
    }
}

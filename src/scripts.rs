//! The scripts and libraries of the process, shared by all cores, and the means to end what runs.
//!
//! A lock, held for a lookup or an insertion: cores come here for scripts that are new to them, not
//! for every run.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synap_shards::id::CoreId;
use synap_shards::limits::CORES_MAX;
use synap_shards::script::gauge::{Gauge, Killing, Kind};
use synap_shards::script::registry::{HexDigest, Origin, Registry, Running};
use synap_shards::shard::libraries::LibrarySet;

/// Scripts that came with `EVAL` and are kept; of more, the oldest go.
const EVALUATED_MAX: usize = 4096;
/// Bytes of them together.
const EVALUATED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of scripts that were loaded; more are refused.
const LOADED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What a script takes beside its text, about.
const ENTRY_BYTES: usize = 128;

/// The scripts of the process.
#[derive(Debug)]
pub struct Scripts {
    generation: AtomicU64,
    kept: Mutex<Kept>,
    libraries: Mutex<Libraries>,
    /// Version of `libraries`, and of those that are stable.
    version: AtomicU64,
    settled: AtomicU64,
    /// What each core runs.
    running: [Mutex<Option<Running>>; CORES_MAX],
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            generation: AtomicU64::new(0),
            kept: Mutex::default(),
            libraries: Mutex::default(),
            version: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            running: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

/// The libraries of functions, as the holder of shard 0 has published them.
#[derive(Debug, Default)]
struct Libraries {
    version: u64,
    set: Arc<LibrarySet>,
    functions: usize,
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

/// Nothing behind these locks is left half done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scripts {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }

    /// Takes the libraries that were recovered; before any core serves.
    pub fn recovered(&self, set: &Arc<LibrarySet>) {
        let version = self.publish(set);
        self.settle(version);
    }

    /// Number of libraries, of their functions, and bytes of their code.
    pub fn library_sizes(&self) -> (usize, usize, usize) {
        let libraries = lock(&self.libraries);
        let bytes = libraries.set.values().map(|code| code.len()).sum();
        (libraries.set.len(), libraries.functions, bytes)
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

    fn library_version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn libraries(&self) -> (u64, Arc<LibrarySet>) {
        let libraries = lock(&self.libraries);
        (libraries.version, Arc::clone(&libraries.set))
    }

    fn publish(&self, set: &Arc<LibrarySet>) -> u64 {
        let mut libraries = lock(&self.libraries);
        libraries.version += 1;
        libraries.set = Arc::clone(set);
        self.version.store(libraries.version, Ordering::Release);
        libraries.version
    }

    fn settle(&self, version: u64) {
        self.settled.fetch_max(version, Ordering::AcqRel);
    }

    fn is_settled(&self, version: u64) -> bool {
        self.settled.load(Ordering::Acquire) >= version
    }

    fn counted(&self, version: u64, functions: usize) {
        let mut libraries = lock(&self.libraries);
        if libraries.version == version {
            libraries.functions = functions;
        }
    }

    fn began(&self, core: CoreId, running: Running) {
        *lock(&self.running[core.index()]) = Some(running);
    }

    fn ended(&self, core: CoreId) {
        *lock(&self.running[core.index()]) = None;
    }

    fn running(&self) -> Option<Running> {
        self.running.iter().find_map(|running| lock(running).clone())
    }
}

/// Asks every core to end what it runs, if it is of this kind; the best of what came of it.
pub fn kill(gauges: &[Arc<Gauge>], kind: Kind) -> Killing {
    gauges.iter().map(|gauge| gauge.kill(kind)).max().unwrap_or(Killing::Nothing)
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
    fn libraries_are_settled_by_version() {
        let scripts = Scripts::default();
        assert!(scripts.is_settled(scripts.library_version()));
        let set = Arc::new(LibrarySet::from([(b"lib"[..].into(), b"code"[..].into())]));
        let version = scripts.publish(&set);
        scripts.counted(version, 7);
        scripts.counted(version - 1, 9);
        assert_eq!(scripts.libraries(), (version, Arc::clone(&set)));
        assert!(!scripts.is_settled(version));
        scripts.recovered(&set);
        assert!(scripts.is_settled(version + 1));
        assert_eq!(scripts.library_sizes(), (1, 7, 4));
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

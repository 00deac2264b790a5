//! The simulated disk of a data directory: files whose writes wait in a cache until they are
//! synced, and directory changes that wait likewise. What a crash makes of the cache, and how the
//! medium may damage what it holds, is decided in [`crate::faults`]; this module knows what every
//! byte ought to be, so that damage can be told from a bug, and be repaired.

pub(crate) mod format;
pub(crate) mod log;
pub(crate) mod manifest;
pub(crate) mod read;

use std::collections::BTreeMap;

/// Bytes of a block: what the medium writes whole or not at all.
pub(crate) const BLOCK: usize = 128;

/// A file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Name {
    /// One of the two copies of the manifest.
    Manifest { copy: usize },
    /// A piece of a log.
    Segment { log: usize, number: u64 },
    /// What ties the parts of a snapshot together.
    Index { snapshot: u64 },
    /// The entries of one shard.
    Image { snapshot: u64, shard: usize },
    /// What one log got while a snapshot was made.
    Tail { snapshot: u64, log: usize },
}

/// A write that is not synced.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) at: usize,
    pub(crate) bytes: Vec<u8>,
    /// The file is cut to nothing first.
    pub(crate) truncates: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    /// What the medium holds.
    pub(crate) bytes: Vec<u8>,
    /// What the cache holds beyond it, oldest first.
    pub(crate) cached: Vec<Write>,
    /// Not renamed to its final name yet: nobody looks at it.
    pub(crate) temporary: bool,
}

/// A change of the directory that a crash may undo; changes are kept in order.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Renamed(Name),
    Removed(Name, File),
}

/// Bytes that are not what was written there.
#[derive(Clone, Debug)]
pub(crate) struct Damage {
    pub(crate) name: Name,
    pub(crate) at: usize,
    /// What ought to be there.
    pub(crate) ought: Vec<u8>,
}

/// The disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) files: BTreeMap<Name, File>,
    pub(crate) changes: Vec<Change>,
    pub(crate) damages: Vec<Damage>,
    /// Contents of segments that were let go, for new ones to begin on.
    spares: Vec<Vec<u8>>,
}

/// Most contents kept for reuse.
const SPARES_MAX: usize = 4;

impl Disk {
    /// Makes a segment of `bytes`, on what an old one held if there is one.
    pub(crate) fn create_segment(&mut self, name: Name, bytes: usize) {
        let mut content = self.spares.pop().unwrap_or_default();
        content.resize(bytes, 0);
        let file = File { bytes: content, cached: Vec::new(), temporary: false };
        assert!(self.files.insert(name, file).is_none(), "{name:?} is new");
    }

    /// Makes a file under a temporary name.
    pub(crate) fn create_temporary(&mut self, name: Name) {
        let file = File { temporary: true, ..File::default() };
        assert!(self.files.insert(name, file).is_none(), "{name:?} is new");
    }

    /// Writes into the cache.
    pub(crate) fn write(&mut self, name: Name, at: usize, bytes: Vec<u8>) {
        let file = self.files.get_mut(&name).expect("only files that are there are written");
        file.cached.push(Write { at, bytes, truncates: false });
    }

    /// Replaces the content of a file, which need not exist, in the cache.
    pub(crate) fn replace(&mut self, name: Name, bytes: Vec<u8>) {
        let file = self.files.entry(name).or_default();
        file.cached.push(Write { at: 0, bytes, truncates: true });
    }

    /// Brings everything cached of a file to the medium.
    pub(crate) fn sync(&mut self, name: Name) {
        let Some(file) = self.files.get_mut(&name) else { return };
        let cached = std::mem::take(&mut file.cached);
        cached.into_iter().for_each(|write| self.apply(name, &write));
    }

    /// Brings one write to the medium.
    pub(crate) fn apply(&mut self, name: Name, write: &Write) {
        let Some(file) = self.files.get_mut(&name) else { return };
        if write.truncates {
            file.bytes.clear();
            self.damages.retain(|damage| damage.name != name);
        }
        let end = write.at + write.bytes.len();
        if file.bytes.len() < end {
            file.bytes.resize(end, 0);
        }
        file.bytes[write.at..end].copy_from_slice(&write.bytes);
        self.heal(name, write.at, end);
    }

    /// Forgets damage between these offsets: it was overwritten.
    fn heal(&mut self, name: Name, start: usize, end: usize) {
        let old = std::mem::take(&mut self.damages);
        for damage in old {
            let (from, to) = (damage.at, damage.at + damage.ought.len());
            if damage.name != name || to <= start || from >= end {
                self.damages.push(damage);
                continue;
            }
            if from < start {
                let ought = damage.ought[..start - from].to_vec();
                self.damages.push(Damage { name, at: from, ought });
            }
            if to > end {
                let ought = damage.ought[end - from..].to_vec();
                self.damages.push(Damage { name, at: end, ought });
            }
        }
    }

    /// Spoils bytes of a file on the medium, and remembers what ought to be there.
    pub(crate) fn spoil(&mut self, name: Name, at: usize, bytes: &[u8]) {
        let Some(file) = self.files.get_mut(&name) else { return };
        let end = (at + bytes.len()).min(file.bytes.len());
        if at >= end {
            return;
        }
        let before = file.bytes[at..end].to_vec();
        file.bytes[at..end].copy_from_slice(&bytes[..end - at]);
        self.damages.push(Damage { name, at, ought: before });
    }

    /// Takes the damage of a range for what ought to be there.
    pub(crate) fn accept(&mut self, name: Name, range: &std::ops::Range<usize>) {
        self.heal(name, range.start, range.end);
    }

    /// Puts a file back to what it ought to be: somebody had a copy.
    pub(crate) fn repair(&mut self, name: Name) {
        let (mut spoilt, others): (Vec<Damage>, Vec<Damage>) =
            std::mem::take(&mut self.damages).into_iter().partition(|damage| damage.name == name);
        self.damages = others;
        while let Some(damage) = spoilt.pop() {
            if let Some(file) = self.files.get_mut(&damage.name) {
                let end = damage.at + damage.ought.len();
                if file.bytes.len() < end {
                    file.bytes.resize(end, 0);
                }
                file.bytes[damage.at..end].copy_from_slice(&damage.ought);
            }
        }
    }

    /// Whether bytes of a file within `range` are not what they ought to be.
    pub(crate) fn is_damaged(&self, name: Name, range: std::ops::Range<usize>) -> bool {
        let Some(file) = self.files.get(&name) else { return false };
        self.damages.iter().filter(|damage| damage.name == name).any(|damage| {
            damage.ought.iter().enumerate().any(|(step, ought)| {
                let at = damage.at + step;
                range.contains(&at) && file.bytes.get(at) != Some(ought)
            })
        })
    }

    /// Gives a file its final name.
    pub(crate) fn rename(&mut self, name: Name) {
        let file = self.files.get_mut(&name).expect("only files that are there are renamed");
        assert!(std::mem::take(&mut file.temporary), "{name:?} has its final name already");
        self.changes.push(Change::Renamed(name));
    }

    /// Removes a file if it is there.
    pub(crate) fn remove(&mut self, name: Name) {
        if let Some(file) = self.files.remove(&name) {
            self.changes.push(Change::Removed(name, file));
        }
    }

    /// Makes all changes of the directory durable.
    pub(crate) fn sync_directory(&mut self) {
        for change in std::mem::take(&mut self.changes) {
            if let Change::Removed(name, file) = change {
                self.damages.retain(|damage| damage.name != name);
                if matches!(name, Name::Segment { .. }) && self.spares.len() < SPARES_MAX {
                    self.spares.push(file.bytes);
                }
            }
        }
    }

    /// What a reader sees of a file, cache included; nothing of temporary ones.
    pub(crate) fn view(&self, name: Name) -> Option<Vec<u8>> {
        let file = self.files.get(&name).filter(|file| !file.temporary)?;
        let mut seen = file.bytes.clone();
        for write in &file.cached {
            if write.truncates {
                seen.clear();
            }
            let end = write.at + write.bytes.len();
            if seen.len() < end {
                seen.resize(end, 0);
            }
            seen[write.at..end].copy_from_slice(&write.bytes);
        }
        Some(seen)
    }

    /// Names of all files but temporary ones.
    pub(crate) fn names(&self) -> impl Iterator<Item = Name> {
        self.files.iter().filter(|(_, file)| !file.temporary).map(|(name, _)| *name)
    }

    /// The segments of all logs, by log.
    pub(crate) fn logs(&self) -> BTreeMap<usize, Vec<u64>> {
        let mut logs: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for name in self.names() {
            if let Name::Segment { log, number } = name {
                logs.entry(log).or_default().push(number);
            }
        }
        logs
    }

    /// The snapshots that have an index, newest first.
    pub(crate) fn snapshots(&self) -> Vec<u64> {
        let mut found: Vec<u64> = self
            .names()
            .filter_map(|name| match name {
                Name::Index { snapshot } => Some(snapshot),
                _ => None,
            })
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found
    }

    /// Removes what no start wants: temporary files, and parts without an index.
    pub(crate) fn tidy_up(&mut self) {
        let snapshots = self.snapshots();
        self.files.retain(|name, file| {
            let whole = match name {
                Name::Image { snapshot, .. } | Name::Tail { snapshot, .. } => {
                    snapshots.contains(snapshot)
                }
                _ => true,
            };
            whole && !file.temporary
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Name = Name::Manifest { copy: 0 };

    #[test]
    fn overwriting_heals_and_repair_restores() {
        let mut disk = Disk::default();
        disk.replace(FILE, vec![7; 300]);
        disk.sync(FILE);
        disk.spoil(FILE, 100, &[9; 100]);
        assert!(disk.is_damaged(FILE, 0..300) && !disk.is_damaged(FILE, 0..100));
        disk.write(FILE, 120, vec![5; 20]);
        disk.sync(FILE);
        assert!(disk.is_damaged(FILE, 100..120) && !disk.is_damaged(FILE, 120..140));
        disk.repair(FILE);
        let seen = disk.view(FILE).expect("it was written");
        assert_eq!((seen[110], seen[130], seen[150]), (7, 5, 7));
        assert!(!disk.is_damaged(FILE, 0..300));
    }
}

//! Events of partitions that go to files, and come back: which are to be written and read is
//! decided here, whoever has a disk carries it out ([`Engine::take_cold_jobs`]) and says what came
//! of it.
//!
//! A file is durable before the edit that names it is recorded, and only that edit drops events
//! from memory. So a crash, or a file that cannot be written, loses nothing: events stay where they
//! are, and are tried again later. Nothing here waits: a command whose events have to be read
//! stands in line for its key and is run again when they were.

use std::collections::{BTreeMap, VecDeque};

use super::Engine;
use super::event::Outbound;
use crate::command::spec::Pause;
use crate::id::ShardId;
use crate::key::shard_of;
use crate::shard::plan::{Now, Plan, View};
use crate::types::topic::cold::{Fetch, SealedFile, Sealing};
use crate::types::topic::{partition_in, record_sealed};

/// Files that a core has written at a time.
const SEALS_MAX: usize = 4;
/// Readings of a core that are under way.
const FETCHES_MAX: usize = 8;
/// Readings of a core that wait for those; who asks for more is run again and asks again.
const WANTED_MAX: usize = 1024;
/// How long nothing is written to files when that has failed.
const REST_NS: u64 = 5_000_000_000;

/// Something to be done with a file.
#[derive(Clone, Debug)]
pub enum ColdJob {
    /// Write a new file, make it durable, and answer [`ColdDone::Sealed`].
    Seal {
        /// For the answer.
        number: u64,
        /// What to write.
        sealing: Sealing,
    },
    /// Read blocks, and answer [`ColdDone::Fetched`].
    Fetch {
        /// For the answer.
        number: u64,
        /// What to read.
        fetch: Fetch,
    },
}

/// What came of a [`ColdJob`].
#[derive(Clone, Debug)]
pub enum ColdDone {
    /// A file is durable; nothing: it is not.
    Sealed {
        /// That of the job.
        number: u64,
        /// The file.
        written: Option<SealedFile>,
    },
    /// Blocks were read.
    Fetched {
        /// That of the job.
        number: u64,
        /// The events of each block, in order, up to one that cannot be read.
        blocks: Vec<Vec<u8>>,
        /// Why the next one cannot be, if there is such.
        failed: Option<String>,
    },
}

/// What a core has under way.
#[derive(Debug, Default)]
pub(super) struct Cold {
    last: u64,
    jobs: Vec<ColdJob>,
    sealing: BTreeMap<u64, (Box<[u8]>, Sealing)>,
    fetching: BTreeMap<u64, (Box<[u8]>, Fetch)>,
    wanted: VecDeque<(Box<[u8]>, Fetch)>,
    /// What came while its shard was away.
    late: Vec<ColdDone>,
    /// Files that are recorded, or will never be.
    settled: Vec<u64>,
    rest_until_ns: u64,
}

impl Cold {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn is_sealing(&self, key: &[u8]) -> bool {
        self.sealing.values().any(|(other, _)| **other == *key)
    }

    fn wants(&mut self, key: &[u8], fetch: &Fetch) {
        let same = |(_, other): &(Box<[u8]>, Fetch)| {
            other.file == fetch.file && other.blocks[0].base == fetch.blocks[0].base
        };
        let known = self.fetching.values().any(same) || self.wanted.iter().any(same);
        if !known && self.wanted.len() < WANTED_MAX {
            self.wanted.push_back((key.into(), fetch.clone()));
        }
        self.begin_fetches();
    }

    fn begin_fetches(&mut self) {
        while self.fetching.len() < FETCHES_MAX
            && let Some((key, fetch)) = self.wanted.pop_front()
        {
            let number = self.number();
            self.jobs.push(ColdJob::Fetch { number, fetch: fetch.clone() });
            self.fetching.insert(number, (key, fetch));
        }
    }

    /// The key that something is about.
    fn key(&self, done: &ColdDone) -> Option<&[u8]> {
        match done {
            ColdDone::Sealed { number, .. } => self.sealing.get(number).map(|(key, _)| &**key),
            ColdDone::Fetched { number, .. } => self.fetching.get(number).map(|(key, _)| &**key),
        }
    }
}

impl Engine {
    /// What is to be done with files, since the last call.
    pub fn take_cold_jobs(&mut self) -> Vec<ColdJob> {
        std::mem::take(&mut self.cold.jobs)
    }

    /// Files that were written for this core and that it has recorded, or never will, since the
    /// last call. Their names are in what it wrote to the log before.
    pub fn take_settled(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.cold.settled)
    }

    /// A command waits for events in a file.
    pub(super) fn want_cold(&mut self, pause: &Pause) {
        let Some(cold) = &pause.cold else { return };
        let (key, fetch) = &**cold;
        let id = shard_of(key);
        if self.map.owner(id) == self.core {
            self.cold.wants(key, fetch);
        } else if let Some(shard) = self.shards[id.index()].as_deref_mut() {
            // It is borrowed, and nobody waits here; its owner reads for the next time.
            shard.warm.wish(key, fetch);
        }
    }

    /// Has events written to files where memory holds too many, and forgets what was read long ago.
    pub(super) fn keep_cold(&mut self, now: Now, out: &mut dyn Outbound) {
        let mut wishes = Vec::new();
        for shard in self.shards.iter_mut().flatten() {
            shard.warm.tick();
            if self.map.owner(shard.id()) == self.core {
                wishes.append(&mut shard.warm.take_wishes());
            }
        }
        wishes.iter().for_each(|(key, fetch)| self.cold.wants(key, fetch));
        for done in std::mem::take(&mut self.cold.late) {
            self.cold_done(now, done, out);
        }
        if now.monotonic_ns < self.cold.rest_until_ns {
            return;
        }
        for id in ShardId::all() {
            if self.cold.sealing.len() >= SEALS_MAX {
                return;
            }
            self.seal_some(id);
        }
    }

    fn seal_some(&mut self, id: ShardId) {
        let is_own = self.map.owner(id) == self.core;
        let Some(shard) = self.shards[id.index()].as_deref_mut().filter(|_| is_own) else { return };
        let hot_max = u64::from(shard.thresholds().partition_hot_kb) * 1024;
        let keys: Vec<Box<[u8]>> = shard.over_hot().map(Box::from).collect();
        for key in keys {
            if self.cold.is_sealing(&key) {
                continue;
            }
            if self.cold.sealing.len() >= SEALS_MAX {
                return;
            }
            let partition = shard.get(&key).map(|entry| partition_in(entry.content()));
            let Some(sealing) = partition.and_then(|partition| partition.sealing(hot_max)) else {
                shard.is_not_over_hot(&key);
                continue;
            };
            let number = self.cold.number();
            self.cold.jobs.push(ColdJob::Seal { number, sealing: sealing.clone() });
            self.cold.sealing.insert(number, (key, sealing));
        }
    }

    /// A job came to an end.
    pub(super) fn cold_done(&mut self, now: Now, done: ColdDone, out: &mut dyn Outbound) {
        let Some(id) = self.cold.key(&done).map(shard_of) else { return };
        if self.away & 1 << id.index() != 0 || self.shards[id.index()].is_none() {
            self.cold.late.push(done);
            return;
        }
        match done {
            ColdDone::Sealed { number, written } => self.file_written(now, number, written),
            ColdDone::Fetched { number, blocks, failed } => {
                self.blocks_read(number, blocks, failed.as_deref());
            }
        }
        self.serve(now, out);
        if let Some(shard) = self.shards[id.index()].as_deref_mut() {
            shard.warm.forget_failures();
        }
        self.cold.begin_fetches();
    }

    fn file_written(&mut self, now: Now, number: u64, written: Option<SealedFile>) {
        let Some((key, sealing)) = self.cold.sealing.remove(&number) else { return };
        let Some(written) = written else {
            self.stats.cold_failures += 1;
            self.cold.rest_until_ns = now.monotonic_ns.saturating_add(REST_NS);
            return;
        };
        self.cold.settled.push(written.id);
        let mut records = std::mem::take(&mut self.records);
        records.clear();
        let (rules, draw) = (self.settings.memory.rules(), self.rng.draw());
        let view = View::new(&self.shards, now, &self.tally, rules, draw, None);
        let mut plan = Plan::new(view, &mut records);
        let recorded = record_sealed(&mut plan, &key, &sealing, &written);
        let touched = plan.touched();
        self.records = records;
        if recorded {
            // Nobody waits for it; what later replies depend on is noted by the commit.
            let _needs = self.commit(now, touched, 0);
            self.stats.cold_files += 1;
            self.stats.cold_bytes += written.bytes;
        }
    }

    fn blocks_read(&mut self, number: u64, blocks: Vec<Vec<u8>>, failed: Option<&str>) {
        let Some((key, fetch)) = self.cold.fetching.remove(&number) else { return };
        self.stats.cold_reads += 1;
        let shard = self.shards[shard_of(&key).index()].as_deref_mut();
        let shard = shard.expect("the caller has seen that it is here");
        let behind = fetch.blocks.get(blocks.len());
        let blocks: Vec<_> = fetch.blocks.iter().copied().zip(blocks).collect();
        shard.warm.put(fetch.file, &blocks);
        if let (Some(why), Some(block)) = (failed, behind) {
            self.stats.cold_failures += 1;
            shard.warm.put_failure(fetch.file, block.base, why);
        }
        if self.waiters.lines.contains_key(&key) {
            self.waiters.fired.push_back((key, 0));
        }
    }
}

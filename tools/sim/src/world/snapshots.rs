//! Snapshots: what the coordinator does between beats, and what cores do for it in their turns.

use std::collections::BTreeMap;

use synap_shards::recovery::{LogFront, Released};

use super::World;
use crate::disk::{Name, manifest};
use crate::faults::{Fault, full_disk, io_error, misdirected};
use crate::plants::Plant;
use crate::snapshot::{Phase, Snapshotting, Step};

impl World {
    /// The coordinator begins a snapshot now and then, and takes the next step of the one under
    /// way.
    pub(super) fn work_on_snapshot(&mut self) {
        if self.snapshot.is_none() {
            let begins = !self.calm && self.dice.chance(self.mix.snapshots);
            if begins && !self.cores.is_empty() {
                self.snapshots += 1;
                let id = self.next_snapshot();
                self.story.tell(|| format!("{:>6} snapshot {id} begins", self.beat));
                self.snapshot = Some(Snapshotting::new(id, self.cores.len()));
            }
            return;
        }
        if !self.calm && !self.dice.chance(500) {
            return;
        }
        let snapshot = self.snapshot.as_mut().expect("checked above");
        let Some(step) = snapshot.steps.pop_front() else {
            if matches!(snapshot.phase, Phase::Writing | Phase::Releasing) {
                self.end_snapshot();
            }
            return;
        };
        if let Err(why) = self.take_step(step) {
            self.give_up(why);
        }
    }

    /// Names rise over all starts, as the time in the server's names does.
    fn next_snapshot(&self) -> u64 {
        self.disk.snapshots().first().map_or(0, |newest| *newest).max(self.snapshots) + 1
    }

    /// A core does its part of a snapshot, at the end of its turn.
    pub(super) fn serve_snapshot(&mut self, at: usize) {
        if !self.calm && !self.dice.chance(self.mix.snapshot_pace) {
            return;
        }
        let early_seqs = self.has(Plant::EarlySeqs);
        let counted = self.has(Plant::CountedWalk);
        let Some(snapshot) = &mut self.snapshot else { return };
        let core = &mut self.cores[at];
        if snapshot.phase >= Phase::Writing || snapshot.is_ready(at) {
            return;
        }
        let over = match snapshot.phase {
            Phase::Copying => {
                core.tail.get_or_insert_default();
                core.began = core.writer.segment();
                !early_seqs || snapshot.ask(core.engine.shards(), core.owned)
            }
            Phase::Asking => snapshot.ask(core.engine.shards(), core.owned),
            Phase::Walking => {
                let buckets = self.mix.slice_buckets;
                snapshot.walk(at, core.engine.shards(), core.owned, buckets, counted)
            }
            Phase::Closing => {
                core.closed = core.tail.take();
                true
            }
            Phase::Writing | Phase::Releasing => unreachable!("returned above"),
        };
        if !over {
            return;
        }
        snapshot.done(at);
        let phase = snapshot.phase;
        if phase == Phase::Writing {
            self.close_snapshot();
        } else if phase == Phase::Closing && self.has(Plant::EarlyRelease) {
            self.release_logs();
            self.disk.sync_directory();
        }
    }

    /// The last tail was closed.
    fn close_snapshot(&mut self) {
        let mut tails = BTreeMap::new();
        for core in &mut self.cores {
            if let Some(tail) = core.closed.take() {
                tails.insert(core.writer.log(), tail);
            }
        }
        let snapshot = self.snapshot.as_mut().expect("its tails were closed");
        snapshot.write_out(self.epoch.0, tails);
    }

    /// One action of the coordinator on the disk. An error gives the snapshot up.
    fn take_step(&mut self, step: Step) -> Result<(), &'static str> {
        match step {
            Step::Write(name, bytes) => {
                self.disk.create_temporary(name);
                self.disk.write(name, 0, bytes);
                if self.strikes(Fault::WriteError) {
                    io_error::fail_write(&mut self.disk, name, &mut self.fault_dice);
                    return Err("a write failed");
                }
                if self.strikes(Fault::FullDisk) {
                    full_disk::refuse_write(&mut self.disk, name);
                    return Err("there is no room");
                }
            }
            Step::Sync(name) => {
                if self.strikes(Fault::SyncError) {
                    io_error::fail_sync(&mut self.disk, name, &mut self.fault_dice);
                    return Err("a sync failed");
                }
                if self.strikes(Fault::Misdirected) {
                    misdirected::misdirect(&mut self.disk, name, &mut self.fault_dice);
                }
                self.disk.sync(name);
            }
            Step::Rename(name) => self.disk.rename(name),
            Step::SyncDirectory => self.disk.sync_directory(),
            Step::Valid => {
                let snapshot = self.snapshot.as_mut().expect("it is under way");
                snapshot.phase = Phase::Releasing;
                self.coverage.snapshots[0] += 1;
                self.story.tell(|| format!("{:>6} the snapshot is valid", self.beat));
            }
            Step::Store => {
                let released = self.snapshot.as_ref().expect("it is under way").released();
                self.store_released(released);
            }
            Step::PruneIndexes => {
                for old in self.disk.snapshots().into_iter().skip(self.mix.snapshots_kept) {
                    self.disk.remove(Name::Index { snapshot: old });
                }
            }
            Step::PruneParts => self.prune_parts(),
            Step::Release => self.release_logs(),
        }
        Ok(())
    }

    /// The manifest says what is released, before anything is let go. An error ends the process.
    fn store_released(&mut self, released: Released) {
        self.history.released = released;
        let live = self.cores.iter();
        self.history.logs = live
            .map(|core| LogFront { core: core.writer.log() as u16, segment: core.began })
            .collect();
        let copies = [0, 1].map(|copy| self.disk.view(Name::Manifest { copy }));
        let stored = manifest::load(copies).ok().flatten();
        let sequence = stored.map_or(1, |manifest| manifest.sequence + 1);
        let bytes = manifest::encode(sequence, &self.history);
        for name in manifest::order(&self.disk) {
            self.disk.replace(name, bytes.clone());
            if self.strikes(Fault::SyncError) {
                io_error::fail_sync(&mut self.disk, name, &mut self.fault_dice);
                self.die("a sync of the manifest failed");
                return;
            }
            self.disk.sync(name);
        }
    }

    fn prune_parts(&mut self) {
        let kept = self.disk.snapshots();
        let names: Vec<Name> = self.disk.names().collect();
        for name in names {
            if let Name::Image { snapshot, .. } | Name::Tail { snapshot, .. } = name
                && !kept.contains(&snapshot)
            {
                self.disk.remove(name);
            }
        }
    }

    /// Lets go of what lies before the segments in which the copying began, and of logs that
    /// nobody writes any more.
    fn release_logs(&mut self) {
        for (log, numbers) in self.disk.logs() {
            let writer = self.cores.iter().find(|core| core.writer.log() == log);
            let kept_from = writer.map_or(u64::MAX, |core| core.began);
            for number in numbers.into_iter().filter(|number| *number < kept_from) {
                self.story.tell(|| format!("{:>6} segment {number} of {log} goes", self.beat));
                self.disk.remove(Name::Segment { log, number });
            }
        }
    }

    fn give_up(&mut self, why: &str) {
        self.story.tell(|| format!("{:>6} the snapshot is given up: {why}", self.beat));
        self.coverage.snapshots[1] += 1;
        self.end_snapshot();
        self.disk.tidy_up();
    }

    fn end_snapshot(&mut self) {
        self.snapshot = None;
        for core in &mut self.cores {
            core.tail = None;
            core.closed = None;
        }
    }
}

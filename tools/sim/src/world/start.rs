//! Starts: what the files hold is read as the server reads it, checked, and given to new cores. A
//! start may be refused, but only because of damage that was really done, and naming a file that
//! has it; then somebody restores the file from a copy and the next start has to find everything.

use std::collections::BTreeMap;

use synap_shards::engine::Engine;
use synap_shards::engine::event::Acknowledge;
use synap_shards::recovery::{EpochStart, History};
use synap_shards::id::{CoreId, Epoch};
use synap_shards::key::ShardMap;
use synap_shards::limits::SHARDS;
use synap_shards::recovery::Cut;
use synap_shards::seq::Seq;
use synap_shards::shard::Shard;

use super::World;
use super::end::living;
use crate::checkers::{Verdict, Violation};
use crate::core::Core;
use crate::coverage::State;
use crate::disk::log::{LogStart, LogWriter, Place};
use crate::disk::manifest;
use crate::disk::read::{Care, LogContent, Refusal, read_log};
use crate::disk::{BLOCK, Disk, Name};
use crate::faults::bit_flip::{self, Bit};
use crate::faults::{Fault, crash, io_error};
use crate::plants::Plant;
use crate::restart;
use crate::snapshot::load::{self, Loaded, Reader};

/// What a start found.
pub(super) struct Recovered {
    pub(super) shards: Vec<Box<Shard>>,
    cut: Cut,
    history: History,
    sequence: u64,
    logs: BTreeMap<usize, (LogStart, Vec<Place>)>,
    /// Segments that hold nothing, and indexes of snapshots newer than the one that was loaded:
    /// they are not sound, and must not be taken for it later.
    unused: Vec<Name>,
    loaded: bool,
}

impl World {
    /// Starts: as often as it takes.
    pub(super) fn start(&mut self) -> Verdict {
        self.snapshot = None;
        self.died = false;
        // What one try misread may be given up for good by a later one that finds it.
        let mut lost = false;
        let recovered = loop {
            self.coverage.starts[0] += 1;
            let flip = self.draw_read_flip();
            let recovered = match self.recover(flip) {
                Ok(recovered) => recovered,
                Err(refusal) => {
                    self.refused(refusal, flip)?;
                    continue;
                }
            };
            lost |= self.check_groups(&recovered, flip)?;
            let (cut, loaded) = (recovered.cut.batches, recovered.loaded);
            self.story.tell(|| {
                let ends: Vec<_> = recovered.logs.iter().map(|(l, (s, _))| (*l, s.last_group)).collect();
                format!("found groups {ends:?}, cut {cut}, snapshot {loaded}, loss {lost}")
            });
            if self.dies_in(State::Recovering) {
                continue;
            }
            self.accept_loss(&recovered, flip);
            if self.take_over(&recovered) {
                break recovered;
            }
        };
        self.judge(&recovered, lost)?;
        self.coverage.loaded += u64::from(recovered.loaded);
        self.start_cores(recovered);
        Ok(())
    }

    fn draw_read_flip(&mut self) -> Option<Bit> {
        if self.calm || !self.mix.rates.strikes(Fault::ReadFlip, &mut self.fault_dice) {
            return None;
        }
        let bit = bit_flip::draw(&self.disk, &mut self.fault_dice)?;
        self.note(Fault::ReadFlip, &[State::Recovering]);
        self.story.tell(|| format!("{:>6} of {:?} byte {} is misread", self.beat, bit.name, bit.at));
        Some(bit)
    }

    /// Reads everything and brings it to memory.
    pub(super) fn recover(&mut self, flip: Option<Bit>) -> Result<Recovered, Refusal> {
        let disk = &self.disk;
        let read = |name| {
            let mut bytes = disk.view(name)?;
            if let Some(bit) = flip.filter(|bit| bit.name == name) {
                bit_flip::flip_read(&mut bytes, bit);
            }
            Some(bytes)
        };
        let mode = restart::access_mode(&self.mix);
        let found = manifest::load([0, 1].map(|copy| read(Name::Manifest { copy })))?;
        let manifest = match found {
            Some(manifest) => manifest,
            None => empty_manifest(disk)?,
        };
        let relative_to = self.has(Plant::RelativeExpiry).then(|| self.clock.now_ms());
        let reader = Reader {
            read: &read,
            starts: &manifest.history.starts,
            mode,
            forgets_stamps: self.has(Plant::NoStamps),
            relative_to,
        };
        let stale = self.has(Plant::StaleSnapshot);
        let loaded =
            newest_sound(disk, &reader, &manifest.history, stale, &mut self.dice.clone())?;
        let care = if self.has(Plant::BlindReader) { Care::None } else { Care::Evidence };
        let mut contents: BTreeMap<usize, LogContent> = BTreeMap::new();
        for (log, numbers) in disk.logs() {
            let bytes = |number| read(Name::Segment { log, number }).unwrap_or_default();
            let segments = numbers.into_iter().map(|number| (number, bytes(number))).collect();
            let mut content = read_log(log, segments, care)?;
            if content.epoch > u64::from(manifest.history.epoch.0) {
                let evidence = "a log was written in an epoch that it does not know";
                return Err(Refusal { name: Name::Manifest { copy: 0 }, at: 0, evidence });
            }
            content.bytes = restart::absolute(content.bytes, relative_to);
            if self.has(Plant::LostPart) && self.beat > 0 {
                content.bytes = restart::lose_parts(&content.bytes, &mut self.dice);
            }
            contents.insert(log, content);
        }
        let mut unused = Vec::new();
        let mut history = manifest.history;
        let loaded_one = loaded.is_some();
        let shards = match loaded {
            Some((snapshot, Loaded { shards, starts })) => {
                let newer = disk.snapshots().into_iter().filter(|newer| *newer > snapshot);
                unused.extend(newer.map(|newer| Name::Index { snapshot: newer }));
                // From now on no older snapshot will do: of what this one's tails held, logs may
                // have lost what was not durable yet.
                history.released.seqs = starts;
                shards
            }
            None => {
                let all = disk.snapshots().into_iter();
                unused.extend(all.map(|snapshot| Name::Index { snapshot }));
                restart::empty_shards(mode, &mut self.dice)
            }
        };
        let logs = contents.values().map(|content| content.bytes.as_slice());
        let (shards, cut) = restart::replay(shards, logs, &history.starts, &mut self.dice);
        for (log, content) in &contents {
            let names = content.unused.iter().map(|number| (*log, *number));
            unused.extend(names.map(|(log, number)| Name::Segment { log, number }));
        }
        let logs = contents.into_iter().map(|(log, read)| (log, (read.start, read.places))).collect();
        let sequence = manifest.sequence;
        Ok(Recovered { shards, cut, history, sequence, logs, unused, loaded: loaded_one })
    }

    /// A start was refused: that is right if the file it names is damaged.
    fn refused(&mut self, refusal: Refusal, flip: Option<Bit>) -> Verdict {
        self.coverage.starts[1] += 1;
        self.story.tell(|| format!("{:>6} the start is refused: {refusal:?}", self.beat));
        let named: Vec<Name> = match refusal.name {
            Name::Manifest { .. } => [0, 1].map(|copy| Name::Manifest { copy }).to_vec(),
            name => vec![name],
        };
        let misread = flip.is_some_and(|bit| named.contains(&bit.name));
        let spoilt = named.iter().any(|name| self.disk.is_damaged(*name, 0..usize::MAX));
        if !misread && !spoilt {
            let message = format!("a start was refused without a reason: {refusal:?}");
            return Err(Violation { checker: "refusal", message });
        }
        named.into_iter().for_each(|name| self.disk.repair(name));
        Ok(())
    }

    /// Compares what was read of the logs with what was durable. Groups may be missing only where
    /// each of them is damaged, and nothing behind says that they were durable; whether any is.
    fn check_groups(&self, found: &Recovered, flip: Option<Bit>) -> Result<bool, Violation> {
        let mut lost = false;
        for (log, (start, _)) in &found.logs {
            let Some(places) = self.durable.get(log) else { continue };
            for place in places.iter().filter(|place| place.group > start.last_group) {
                let name = Name::Segment { log: *log, number: place.segment };
                let ranges = [0..BLOCK, place.at..place.at + place.bytes];
                let misread = |range: &std::ops::Range<usize>| {
                    flip.is_some_and(|bit| bit.name == name && range.contains(&bit.at))
                };
                let disk = &self.disk;
                if !ranges.iter().any(|r| misread(r) || disk.is_damaged(name, r.clone())) {
                    let message = format!("{place:?} of log {log} was durable and is not read");
                    return Err(Violation { checker: "log", message });
                }
                lost = true;
            }
        }
        Ok(lost)
    }

    /// What this start took for the end of a log is the end of it from now on; what it misread
    /// there stays so.
    fn accept_loss(&mut self, found: &Recovered, mut flip: Option<Bit>) {
        for (log, (start, read)) in &found.logs {
            let places = self.durable.entry(*log).or_default();
            for place in places.iter().filter(|place| place.group > start.last_group) {
                let name = Name::Segment { log: *log, number: place.segment };
                if let Some(bit) = flip.take_if(|bit| bit.name == name) {
                    bit_flip::flip(&mut self.disk, bit);
                }
                self.disk.accept(name, &(0..BLOCK));
                self.disk.accept(name, &(place.at..place.at + place.bytes));
            }
            places.clone_from(read);
        }
    }

    /// Whether the start itself ends in a crash.
    fn dies_in(&mut self, state: State) -> bool {
        if self.calm || self.beat == 0 || !self.fault_dice.chance(self.mix.start_crashes) {
            return false;
        }
        self.story.tell(|| format!("{:>6} crash while starting", self.beat));
        self.lose_cache(&[state]);
        true
    }

    /// The checkers look at what a start found.
    fn judge(&mut self, recovered: &Recovered, lost: bool) -> Verdict {
        self.beat += 1;
        let dump = living(&recovered.shards, self.clock.now_ms());
        self.checkers.recovered(&dump, self.beat, &self.clock, lost)?;
        if self.plant.is_none() {
            self.tape.recovered(&recovered.shards)?;
        }
        self.beat += 1;
        Ok(())
    }

    /// Makes what was read the ground to build on: synced, tidied up, and a new epoch in both
    /// copies of the manifest. False when a crash or an error of the disk falls into it.
    fn take_over(&mut self, recovered: &Recovered) -> bool {
        if !self.has(Plant::UnsyncedStart) {
            let names: Vec<Name> = self.disk.files.keys().copied().collect();
            names.into_iter().for_each(|name| self.disk.sync(name));
        }
        self.disk.tidy_up();
        recovered.unused.iter().for_each(|name| self.disk.remove(*name));
        self.disk.sync_directory();
        let mut history = recovered.history.clone();
        let raised = u32::from(!self.has(Plant::SameEpoch) || history.epoch.0 == 0);
        history.epoch = Epoch(history.epoch.0 + raised);
        // As the server does: an epoch that cut nothing needs no remembering.
        if recovered.cut.batches > 0 && !self.has(Plant::ForgottenCut) {
            let seqs = restart::seqs(&recovered.shards);
            history.starts.push(EpochStart { epoch: history.epoch, seqs });
        }
        self.epoch = history.epoch;
        self.history = history;
        let bytes = manifest::encode(recovered.sequence + 1, &self.history);
        for name in manifest::order(&self.disk) {
            self.disk.replace(name, bytes.clone());
            if self.dies_in(State::Starting) {
                return false;
            }
            if self.beat > 0 && self.mix.rates.strikes(Fault::SyncError, &mut self.fault_dice) {
                self.note(Fault::SyncError, &[State::Starting]);
                io_error::fail_sync(&mut self.disk, name, &mut self.fault_dice);
                return false;
            }
            self.disk.sync(name);
        }
        self.disk.sync_directory();
        true
    }

    /// What is cached goes, or stays if only the process dies.
    pub(super) fn lose_cache(&mut self, states: &[State]) {
        if self.mix.rates.strikes(Fault::PowerLoss, &mut self.fault_dice) {
            let rates = &self.mix.rates;
            let faults = crash::power_loss(&mut self.disk, rates, &mut self.fault_dice);
            self.note(Fault::PowerLoss, states);
            faults.into_iter().for_each(|fault| self.note(fault, states));
        } else {
            self.note(Fault::ProcessDeath, states);
        }
    }

    /// Starts a random number of cores on these shards.
    fn start_cores(&mut self, mut recovered: Recovered) {
        let cores = self.dice.between(1, self.mix.cores_max);
        let map = ShardMap::new(cores);
        let mut by_core: Vec<Vec<Box<Shard>>> = (0..cores).map(|_| Vec::new()).collect();
        for shard in recovered.shards {
            by_core[map.owner(shard.id()).index()].push(shard);
        }
        self.mesh = crate::mesh::Mesh::new(cores);
        let first_log = if self.mix.fresh_logs { self.logs } else { 0 };
        let epoch = self.epoch;
        self.story.tell(|| format!("start with {cores} cores in {epoch:?}"));
        self.cores = Vec::new();
        for (at, shards) in by_core.into_iter().enumerate() {
            let held: usize = shards.iter().map(|shard| shard.live_bytes()).sum();
            let room = self.dice.between(100, 3000);
            let mut settings = restart::settings(&self.mix, epoch, held, room);
            if self.has(Plant::AckBeforeAppend) {
                settings.acknowledge = Acknowledge::OnAppend;
            }
            let owned = crate::snapshot::mask(shards.iter().map(|shard| shard.id()));
            let seed = self.dice.draw();
            let engine = Engine::new(CoreId::new(at), map.clone(), shards, settings, seed);
            let connections = (0..self.mix.connections).map(|_| self.connect()).collect();
            let log = first_log + at;
            self.logs = self.logs.max(log + 1);
            let start = recovered.logs.remove(&log).map_or_else(LogStart::fresh, |(start, _)| start);
            let bytes = self.mix.segment_blocks * BLOCK;
            let disk = &mut self.disk;
            let writer = LogWriter::open(disk, log, u64::from(epoch.0), bytes, start);
            self.cores.push(Core::new(engine, connections, writer, owned));
        }
    }
}

/// Without a manifest the directory has to be empty.
fn empty_manifest(disk: &Disk) -> Result<manifest::Manifest, Refusal> {
    match disk.names().next() {
        Some(_) => {
            let name = Name::Manifest { copy: 0 };
            Err(Refusal { name, at: 0, evidence: "there are files but no manifest" })
        }
        None => Ok(manifest::Manifest { sequence: 0, history: History::empty() }),
    }
}

/// The newest snapshot that is sound. An older one will do only if no log was let go since.
fn newest_sound(
    disk: &Disk,
    reader: &Reader<'_>,
    history: &History,
    stale: bool,
    dice: &mut crate::dice::Dice,
) -> Result<Option<(u64, Loaded)>, Refusal> {
    let mut first = None;
    let released = &history.released.seqs;
    for snapshot in disk.snapshots() {
        match load::load(reader, snapshot, dice) {
            Ok(loaded) => {
                let covers = synap_shards::id::ShardId::all()
                    .all(|shard| loaded.starts.get(shard) >= released.get(shard));
                if covers || stale {
                    return Ok(Some((snapshot, loaded)));
                }
                let name = Name::Index { snapshot };
                let evidence = "logs were let go since this snapshot began";
                return Err(first.unwrap_or(Refusal { name, at: 0, evidence }));
            }
            Err(refusal) => first = first.or(Some(refusal)),
        }
    }
    let untouched =
        (0..SHARDS).all(|at| released.get(synap_shards::id::ShardId::new(at)) == Seq::ZERO);
    match first {
        Some(refusal) if !untouched && !stale => Err(refusal),
        None if !untouched && !stale => {
            let name = Name::Index { snapshot: 0 };
            Err(Refusal { name, at: 0, evidence: "logs were let go, and there is no snapshot" })
        }
        _ => Ok(None),
    }
}

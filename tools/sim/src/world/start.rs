//! Starts: what the files hold is read as the server reads it, checked, and given to new cores. A
//! start may be refused, but only because of damage that was really done, and naming a file that
//! has it; then somebody restores the file from a copy and the next start has to find everything.

use std::collections::BTreeMap;

use synap_shards::engine::Engine;
use synap_shards::engine::event::Acknowledge;
use synap_shards::id::{CoreId, Epoch};
use synap_shards::key::ShardMap;
use synap_shards::recovery::{Cut, EpochStart, History, Released};
use synap_shards::shard::Shard;

use super::World;
use super::end::living;
use super::fronts;
use crate::checkers::{Verdict, Violation};
use crate::core::Core;
use crate::coverage::State;
use crate::disk::log::{LogStart, LogWriter, Place};
use crate::disk::manifest;
use crate::disk::read::{Care, LogContent, Refusal, read_log};
use crate::disk::{BLOCK, Disk, Name};
use crate::faults::bit_flip::{self, Bit};
use crate::faults::{Fault, crash, io_error};
use crate::hands;
use crate::plants::{self, Plant};
use crate::restart;
use crate::snapshot::file;
use crate::snapshot::load::{self, Loaded, Reader, Tried};

/// What a start found.
pub(super) struct Recovered {
    pub(super) shards: Vec<Box<Shard>>,
    cut: Cut,
    /// Something that is on the disk is not part of what was found, and must never be again.
    cuts: bool,
    history: History,
    sequence: u64,
    logs: BTreeMap<usize, (LogStart, Vec<Place>)>,
    /// Segments that hold nothing.
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
                let ends: Vec<_> =
                    recovered.logs.iter().map(|(l, (s, _))| (*l, s.last_group)).collect();
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
        self.story
            .tell(|| format!("{:>6} of {:?} byte {} is misread", self.beat, bit.name, bit.at));
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
            history: &manifest.history,
            mode,
            forgets_stamps: self.has(Plant::NoStamps),
            takes_stale: self.has(Plant::StaleSnapshot),
            relative_to,
        };
        let (loaded, passed_over) = newest_sound(disk, &reader, &mut self.dice.clone())?;
        let care = if self.has(Plant::BlindReader) { Care::None } else { Care::Evidence };
        let mut contents: BTreeMap<usize, LogContent> = BTreeMap::new();
        for (log, numbers) in disk.logs() {
            let bytes = |number| read(Name::Segment { log, number }).unwrap_or_default();
            let segments = numbers.into_iter().map(|number| (number, bytes(number))).collect();
            let mut content = read_log(log, segments, care)?;
            content.bytes = restart::absolute(content.bytes, relative_to);
            if self.has(Plant::LostPart) && self.beat > 0 {
                content.bytes = restart::lose_parts(&content.bytes, &mut self.dice);
            }
            if content.epoch > u64::from(manifest.history.epoch.0) && care == Care::Evidence {
                let evidence = "a log was written in an epoch that it does not know";
                return Err(Refusal { name: Name::Manifest { copy: 0 }, at: 0, evidence });
            }
            contents.insert(log, content);
        }
        if care == Care::Evidence {
            fronts::check(&manifest.history, &contents)?;
        }
        let mut history = manifest.history;
        history.logs = fronts::of(&contents);
        let loaded_one = loaded.is_some();
        let shards = match loaded {
            Some(Loaded { shards, starts, snapshot }) => {
                // From now on no older snapshot will do: of what this one's tails held, logs may
                // have lost what was not durable yet.
                history.released = Released { seqs: starts, snapshot: file::name(snapshot) };
                shards
            }
            None => restart::empty_shards(mode, &mut self.dice),
        };
        let logs = contents.values().map(|content| content.bytes.as_slice());
        let (shards, cut) = hands::merge(shards, logs, &history.starts, &mut self.dice);
        let mut unused = Vec::new();
        for (log, content) in &contents {
            let names = content.unused.iter().map(|number| (*log, *number));
            unused.extend(names.map(|(log, number)| Name::Segment { log, number }));
        }
        let logs =
            contents.into_iter().map(|(log, read)| (log, (read.start, read.places))).collect();
        let cuts = cut.batches > 0 || passed_over;
        let sequence = manifest.sequence;
        let loaded = loaded_one;
        Ok(Recovered { shards, cut, cuts, history, sequence, logs, unused, loaded })
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
            if let Some((segment, end)) = start.previous {
                let name = Name::Segment { log: *log, number: segment };
                if let Some(bit) = flip.take_if(|bit| bit.name == name && bit.at >= end as usize) {
                    bit_flip::flip(&mut self.disk, bit);
                }
                self.disk.accept(name, &(end as usize..usize::MAX));
            }
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
        if !plants::rewrites_logs(self.plant) {
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
        if recovered.cuts && !self.has(Plant::ForgottenCut) {
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
            let start = match recovered.logs.remove(&log) {
                Some((start, _)) => start,
                None => {
                    // One that was let go is forgotten.
                    self.durable.remove(&log);
                    LogStart::fresh()
                }
            };
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

/// The newest snapshot that is sound, and whether a newer one was passed over. An older one will do
/// only if no log was let go since.
fn newest_sound(
    disk: &Disk,
    reader: &Reader<'_>,
    dice: &mut crate::dice::Dice,
) -> Result<(Option<Loaded>, bool), Refusal> {
    let mut damage = None;
    for snapshot in disk.snapshots() {
        match load::load(reader, snapshot, dice) {
            Ok(Tried::Loaded(loaded)) => return Ok((Some(*loaded), damage.is_some())),
            // What is older reaches back no further.
            Ok(Tried::Late) => break,
            Ok(Tried::Dead) => {}
            Err(refusal) => damage = damage.or(Some(refusal)),
        }
    }
    let needed = &reader.history.released.snapshot;
    if needed.is_empty() || reader.takes_stale {
        return Ok((None, damage.is_some()));
    }
    let name = Name::Index { snapshot: file::number(needed) };
    let evidence = "it is missing, and the log before it is gone";
    Err(damage.unwrap_or(Refusal { name, at: 0, evidence }))
}

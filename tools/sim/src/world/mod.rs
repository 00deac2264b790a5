//! One run: cores, mesh, disk and clients in one thread, driven by one seed.
//!
//! A run advances in beats; in each, one core takes a turn as the server's pump does: events in,
//! then the log, then parcels, then replies. A crash may fall between any two of these. When all
//! requests are made, faults stop, and everything has to come to rest.

mod end;
mod fronts;
mod snapshots;
mod start;
mod turn;

use std::collections::BTreeMap;

use synap_shards::id::Epoch;
use synap_shards::recovery::History;
use synap_shards::shard::plan::Now;

use crate::checkers::prefix::Tape;
use crate::checkers::replies::Outstanding;
use crate::checkers::{Checkers, Verdict, Violation};
use crate::core::{Asked, Connection, Core};
use crate::coverage::{Coverage, State};
use crate::dice::Dice;
use crate::disk::Disk;
use crate::disk::log::Place;
use crate::faults::clock::Clock;
use crate::faults::{Fault, full_ring};
use crate::mesh::Mesh;
use crate::plants::{self, Plant};
use crate::snapshot::Snapshotting;
use crate::story::{Story, show};
use crate::swarm::{Kind, Limits, Mix, Regime};
use crate::workload::{Intent, Wish, Workload, money};

/// Unix milliseconds at which every run begins.
const START_MS: u64 = 1_800_000_000_000;

/// What a beat is of the monotonic clock, which only those look at who wait for somebody.
const BEAT_NS: u64 = 20_000;

/// Everything there is in a run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) mix: Mix,
    plant: Option<Plant>,
    /// Who does something next, and how much.
    pub(crate) dice: Dice,
    /// Which faults strike.
    fault_dice: Dice,
    /// What clients ask.
    work_dice: Dice,
    pub(crate) story: Story,
    pub(crate) coverage: Coverage,
    pub(crate) beat: u64,
    clock: Clock,
    epoch: Epoch,
    history: History,
    cores: Vec<Core>,
    mesh: Mesh,
    disk: Disk,
    /// Groups that are known to be durable, by log.
    durable: BTreeMap<usize, Vec<Place>>,
    /// Logs that there ever were.
    logs: usize,
    snapshot: Option<Snapshotting>,
    snapshots: u64,
    connections: u64,
    workload: Workload,
    outstanding: Outstanding<Asked>,
    checkers: Checkers,
    tape: Tape,
    /// No more faults, ticks or leaps of time.
    calm: bool,
    /// The process ended itself, as it has to when its log fails.
    died: bool,
}

impl World {
    pub(crate) fn new(
        seed: u64,
        plant: Option<Plant>,
        limits: &Limits,
        telling: bool,
    ) -> Result<Self, Violation> {
        let mut dice = Dice::new(seed);
        let mix = Mix::draw(&mut dice, limits, plant.is_some());
        let may_vanish = matches!(mix.regime, Regime::Evicting(_));
        let sets_back = mix.rates.of(Fault::ClockBack) > 0;
        let checkers = Checkers::new(mix.acknowledge, may_vanish, sets_back);
        let mut world = Self {
            mix,
            plant,
            fault_dice: dice.fork(),
            work_dice: dice.fork(),
            dice,
            story: Story::new(telling),
            coverage: Coverage::default(),
            beat: 0,
            clock: Clock::new(START_MS),
            epoch: Epoch(0),
            history: History::empty(),
            cores: Vec::new(),
            mesh: Mesh::new(1),
            disk: Disk::default(),
            durable: BTreeMap::new(),
            logs: 0,
            snapshot: None,
            snapshots: 0,
            connections: 0,
            workload: Workload::new(),
            outstanding: Outstanding::new(),
            checkers,
            tape: Tape::default(),
            calm: false,
            died: false,
        };
        world.start()?;
        Ok(world)
    }

    fn has(&self, bug: Plant) -> bool {
        plants::has(self.plant, bug)
    }

    fn now(&self) -> Now {
        Now { unix_ms: self.clock.now_ms(), monotonic_ns: self.beat * BEAT_NS }
    }

    /// A fault strikes, if it is on and its rate says so.
    fn strikes(&mut self, fault: Fault) -> bool {
        let strikes = !self.calm && self.mix.rates.strikes(fault, &mut self.fault_dice);
        if strikes {
            self.hit(fault);
        }
        strikes
    }

    /// Notes in which states a fault struck.
    fn hit(&mut self, fault: Fault) {
        let states = self.states();
        self.note(fault, &states);
    }

    fn note(&mut self, fault: Fault, states: &[State]) {
        self.coverage.hit(fault, states);
        self.coverage.met(fault, self.outstanding.requests().map(|asked| asked.family));
        self.story.note_number(fault as u64);
        self.story.tell(|| format!("{:>6} fault: {} ({states:?})", self.beat, fault.name()));
    }

    fn connect(&mut self) -> Connection {
        self.connections += 1;
        Connection::new(self.connections)
    }

    /// A random client makes its next request, if it may have another one open.
    pub(crate) fn ask(&mut self) -> bool {
        let at = self.work_dice.below(self.cores.len());
        let number = self.work_dice.below(self.cores[at].connections.len());
        let connection = &self.cores[at].connections[number];
        if connection.open() >= self.mix.pipeline || connection.is_talking {
            return false;
        }
        let now_ms = self.clock.now_ms();
        let wish = self.workload.next(&self.mix, &mut self.work_dice, connection.number, now_ms);
        if matches!(wish.intent, Intent::Modelled) && !self.checkers.can_follow() {
            return false;
        }
        self.enqueue(at, number, wish);
        true
    }

    fn enqueue(&mut self, core: usize, number: usize, mut wish: Wish) {
        if let Intent::Walk { since, seen } = &mut wish.intent
            && *since == 0
        {
            assert!(seen.is_empty(), "a walk begins with nothing seen");
            *since = self.beat;
        }
        let connection = &mut self.cores[core].connections[number];
        match wish.intent {
            Intent::Watch { .. } => connection.is_talking = true,
            Intent::Settle => connection.is_talking = false,
            _ => {}
        }
        let id = self.checkers.asked(&wish, self.beat);
        let name = connection.number;
        self.story.tell(|| format!("{:>6} c{name} asks {}", self.beat, turn::words(&wish)));
        let family = turn::family(&wish);
        let asked = Asked { wish, family, id, at: self.beat, at_ms: self.clock.now_ms() };
        connection.queue.push_back(asked);
    }

    /// Puts the token and the money into play and waits until everybody knows.
    pub(crate) fn deal(&mut self) -> Verdict {
        let kinds = &self.mix.kinds;
        let (token, paid) = (kinds.contains(&Kind::Token), kinds.contains(&Kind::Money));
        if !token && !paid {
            return Ok(());
        }
        if token {
            self.enqueue(0, 0, Workload::deal());
        }
        if paid {
            self.enqueue(0, 0, money::deal());
        }
        self.rest()?;
        self.checkers.dealt(token, paid);
        Ok(())
    }

    /// Lets time pass: a beat always, now and then more, and now and then less.
    pub(crate) fn pass_time(&mut self) {
        self.beat += 1;
        let before = self.clock.now_ms();
        self.clock.advance(u64::from(self.dice.chance(300)));
        if self.strikes(Fault::ClockAhead) {
            self.clock.advance(self.fault_dice.between(1, 3_000) as u64);
        }
        if self.strikes(Fault::ClockBack) {
            self.clock.set_back(self.beat, self.fault_dice.between(1, 3_000) as u64);
        }
        if self.clock.now_ms() != before {
            self.checkers.clock(self.clock.now_ms());
        }
        self.work_on_snapshot();
    }

    /// Whether a send is refused.
    fn ring_is_full(&mut self) -> bool {
        let full = !self.calm && full_ring::strikes(&self.mix.rates, &mut self.fault_dice);
        if full {
            self.hit(Fault::FullRing);
        }
        full
    }

    /// Whether the process has ended itself; the caller lets it crash.
    pub(crate) fn has_died(&self) -> bool {
        self.died
    }

    fn die(&mut self, why: &str) {
        self.died = true;
        self.story.tell(|| format!("{:>6} the process ends: {why}", self.beat));
    }
}

fn text(bytes: &[u8]) -> String {
    show(bytes)
}

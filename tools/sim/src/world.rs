//! One run: cores, mesh, disks and clients in one thread, driven by one seed.
//!
//! A run advances in beats; in each, one core takes a turn as the server's pump does: events in,
//! then the log, then parcels, then replies. A crash may fall between any two of these. When all
//! requests are made, faults stop, and everything has to come to rest.

use synap_shards::engine::Engine;
use synap_shards::engine::event::{Acknowledge, Event};
use synap_shards::id::{CoreId, Epoch};
use synap_shards::key::ShardMap;
use synap_shards::recovery::{Cut, EpochStart};
use synap_shards::shard::Shard;
use synap_shards::shard::plan::Now;

use crate::checkers::prefix::Tape;
use crate::checkers::replies::Outstanding;
use crate::checkers::{Checkers, Dump, Verdict, Violation, replay};
use crate::core::{Asked, Connection, Core};
use crate::dice::Dice;
use crate::disk::Disk;
use crate::mesh::{LANES, Mesh};
use crate::restart;
use crate::story::{Story, show};
use crate::swarm::{Kind, Mix, Plant, Regime};
use crate::workload::{Wish, Workload};

/// Unix milliseconds at which every run begins.
const START_MS: u64 = 1_800_000_000_000;
/// Beats after which a run that does not come to rest is given up.
const BEATS_MAX: u64 = 400_000;

/// Where in a turn a crash falls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CrashPoint {
    BeforeAppend,
    BeforeSend,
    BeforeReplies,
    AmongReplies,
}

const CRASH_POINTS: [CrashPoint; 4] = [
    CrashPoint::BeforeAppend,
    CrashPoint::BeforeSend,
    CrashPoint::BeforeReplies,
    CrashPoint::AmongReplies,
];

/// Everything there is in a run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) mix: Mix,
    pub(crate) plant: Option<Plant>,
    pub(crate) dice: Dice,
    pub(crate) story: Story,
    pub(crate) beat: u64,
    pub(crate) now_ms: u64,
    pub(crate) epoch: Epoch,
    history: Vec<EpochStart>,
    pub(crate) cores: Vec<Core>,
    mesh: Mesh,
    disks: Vec<Disk>,
    connections: u64,
    workload: Workload,
    pub(crate) outstanding: Outstanding<Asked>,
    pub(crate) checkers: Checkers,
    tape: Tape,
    /// No more faults, ticks or leaps of time.
    pub(crate) calm: bool,
}

impl World {
    pub(crate) fn new(seed: u64, plant: Option<Plant>, telling: bool) -> Self {
        let mut dice = Dice::new(seed);
        let mut mix = Mix::draw(&mut dice);
        if plant.is_some() {
            mix.acknowledge = Acknowledge::OnDisk;
            mix.crashes = mix.crashes.max(1);
        }
        let may_vanish = matches!(mix.regime, Regime::Evicting(_));
        let checkers = Checkers::new(mix.acknowledge, may_vanish);
        let mut world = Self {
            mix,
            plant,
            dice,
            story: Story::new(telling),
            beat: 0,
            now_ms: START_MS,
            epoch: Epoch(1),
            history: Vec::new(),
            cores: Vec::new(),
            mesh: Mesh::new(1),
            disks: Vec::new(),
            connections: 0,
            workload: Workload::new(),
            outstanding: Outstanding::new(),
            checkers,
            tape: Tape::default(),
            calm: false,
        };
        let (shards, _) = world.recover();
        world.start(shards);
        world
    }

    fn now(&self) -> Now {
        Now { unix_ms: self.now_ms, monotonic_ns: self.beat * 1000 }
    }

    /// Recovers all shards from what the disks hold.
    pub(crate) fn recover(&mut self) -> (Vec<Box<Shard>>, Cut) {
        let mode = restart::access_mode(&self.mix);
        let logs = self.disks.iter().map(Disk::bytes);
        restart::recover(logs, &self.history, mode, &mut self.dice)
    }

    /// Starts a random number of cores on these shards.
    fn start(&mut self, shards: Vec<Box<Shard>>) {
        let cores = self.dice.between(1, self.mix.cores_max);
        let map = ShardMap::new(cores);
        let mut by_core: Vec<Vec<Box<Shard>>> = (0..cores).map(|_| Vec::new()).collect();
        for shard in shards {
            by_core[map.owner(shard.id()).index()].push(shard);
        }
        self.mesh = Mesh::new(cores);
        let (epoch, first_log) =
            (self.epoch, if self.mix.fresh_logs { self.disks.len() } else { 0 });
        self.story.tell(|| format!("start with {cores} cores in {epoch:?}"));
        self.cores = Vec::new();
        for (at, shards) in by_core.into_iter().enumerate() {
            let held: usize = shards.iter().map(|shard| shard.live_bytes()).sum();
            let room = self.dice.between(100, 3000);
            let mut settings = restart::settings(&self.mix, epoch, held, room);
            if self.plant == Some(Plant::AckBeforeAppend) {
                settings.acknowledge = Acknowledge::OnAppend;
            }
            let seed = self.dice.draw();
            let engine = Engine::new(CoreId::new(at), map.clone(), shards, settings, seed);
            let connections = (0..self.mix.connections).map(|_| self.connect()).collect();
            let log = first_log + at;
            if log == self.disks.len() {
                self.disks.push(Disk::default());
            }
            self.cores.push(Core::new(engine, connections, log, self.disks[log].len()));
        }
    }

    fn connect(&mut self) -> Connection {
        self.connections += 1;
        Connection::new(self.connections)
    }

    /// A random client makes its next request, if it may have another one open.
    pub(crate) fn ask(&mut self) -> bool {
        let at = self.dice.below(self.cores.len());
        let number = self.dice.below(self.cores[at].connections.len());
        let connection = &self.cores[at].connections[number];
        if connection.open() >= self.mix.pipeline {
            return false;
        }
        let wish = self.workload.next(&self.mix, &mut self.dice, connection.number);
        self.enqueue(at, number, wish);
        true
    }

    fn enqueue(&mut self, core: usize, number: usize, mut wish: Wish) {
        if let crate::workload::Intent::Walk { since, seen } = &mut wish.intent
            && *since == 0
        {
            assert!(seen.is_empty(), "a walk begins with nothing seen");
            *since = self.beat;
        }
        self.checkers.asked(&wish.intent, self.beat);
        let connection = &mut self.cores[core].connections[number];
        let name = connection.number;
        self.story.tell(|| format!("{:>6} c{name} asks {}", self.beat, words(&wish)));
        let asked = Asked { wish, at: self.beat, at_ms: self.now_ms };
        connection.queue.push_back(asked);
    }

    /// Whether the mix plays the token game.
    pub(crate) fn has_tokens(&self) -> bool {
        self.mix.kinds.contains(&Kind::Token)
    }

    /// Puts the token into play and waits until everybody knows.
    pub(crate) fn deal(&mut self) -> Verdict {
        self.enqueue(0, 0, Workload::deal());
        self.rest()?;
        self.checkers.dealt();
        Ok(())
    }

    /// Lets time pass: a beat always, now and then more.
    pub(crate) fn pass_time(&mut self) {
        self.beat += 1;
        self.now_ms += u64::from(self.dice.chance(300));
        if !self.calm && self.dice.chance(self.mix.leaps) {
            self.now_ms += self.dice.between(1, 3_000) as u64;
        }
    }

    /// Lets a random core take a turn.
    pub(crate) fn random_turn(&mut self, crash: Option<CrashPoint>) -> Verdict {
        let at = self.dice.below(self.cores.len());
        self.turn(at, crash).map(|_| ())
    }

    /// A point in a turn.
    pub(crate) fn draw_crash_point(&mut self) -> CrashPoint {
        self.dice.pick(&CRASH_POINTS)
    }

    /// One turn of a core; whether anything happened. A crash cuts it short.
    fn turn(&mut self, at: usize, crash: Option<CrashPoint>) -> Result<bool, Violation> {
        let mut sources = [0, 1, 2, 3];
        self.dice.shuffle(&mut sources);
        let mut busy = false;
        for source in sources {
            busy |= match source {
                0 => self.take_parcels(at),
                1 => self.take_durable(at),
                2 => self.take_requests(at),
                _ => self.take_tick(at),
            };
        }
        if self.plant == Some(Plant::AckBeforeAppend) {
            busy |= self.deliver(at, None)?;
        }
        if crash == Some(CrashPoint::BeforeAppend) {
            return Ok(true);
        }
        busy |= self.append(at);
        if crash == Some(CrashPoint::BeforeSend) {
            return Ok(true);
        }
        busy |= self.send(at);
        if crash == Some(CrashPoint::BeforeReplies) {
            return Ok(true);
        }
        busy |= self.deliver(at, crash)?;
        Ok(busy)
    }

    fn take_parcels(&mut self, at: usize) -> bool {
        let (now, to) = (self.now(), CoreId::new(at));
        let mut any = false;
        for from in (0..self.cores.len()).filter(|from| *from != at).map(CoreId::new) {
            for lane in LANES {
                for _ in 0..self.mix.burst {
                    let Some(parcel) = self.mesh.receive(from, to, lane, self.beat) else { break };
                    any = true;
                    self.story.note_number(parcel.len() as u64);
                    self.cores[at].step(now, Event::Parcel { from, parcel });
                }
            }
        }
        any
    }

    fn take_durable(&mut self, at: usize) -> bool {
        let (now, beat) = (self.now(), self.beat);
        let lying = self.plant == Some(Plant::SkipFsync);
        let core = &mut self.cores[at];
        let Some(offset) = self.disks[core.log].finish_commit(beat, lying) else { return false };
        self.story.tell(|| format!("{beat:>6} core {at} is durable up to {offset}"));
        core.committed = offset;
        let since_start = (offset - core.log_start) as u64;
        core.step(now, Event::Durable(since_start));
        true
    }

    fn take_requests(&mut self, at: usize) -> bool {
        let now = self.now();
        let mut any = false;
        let mut order: Vec<usize> = (0..self.cores[at].connections.len()).collect();
        self.dice.shuffle(&mut order);
        for number in order {
            for _ in 0..self.mix.burst {
                if !self.cores[at].is_ready(number) {
                    break;
                }
                let connection = self.cores[at].connections[number].number;
                if let Some((ticket, asked)) = self.cores[at].hand_in(now, number) {
                    any = true;
                    self.story.tell(|| {
                        format!("{:>6} core {at} takes c{connection} #{ticket}", self.beat)
                    });
                    self.outstanding.asked(connection, ticket, asked);
                }
            }
        }
        any
    }

    fn take_tick(&mut self, at: usize) -> bool {
        if self.calm || !self.dice.chance(self.mix.ticks) {
            return false;
        }
        let now = self.now();
        self.cores[at].step(now, Event::Tick);
        true
    }

    fn append(&mut self, at: usize) -> bool {
        let core = &mut self.cores[at];
        let mut run = Vec::new();
        core.engine.take_log(&mut run);
        let disk = &mut self.disks[core.log];
        disk.append(&run);
        self.story.note(&run);
        if !run.is_empty() {
            self.story.tell(|| {
                format!("{:>6} core {at} appends up to {} {}", self.beat, disk.len(), batches(&run))
            });
        }
        self.tape.appended(&run);
        if !disk.is_quiet(core.committed) {
            let delay = 1 + self.dice.below(self.mix.commit_delay + 1) as u64;
            disk.start_commit(self.beat + delay);
        }
        !run.is_empty()
    }

    fn send(&mut self, at: usize) -> bool {
        let from = CoreId::new(at);
        let mut any = false;
        for to in (0..self.cores.len()).filter(|to| *to != at).map(CoreId::new) {
            for lane in LANES {
                let engine = &mut self.cores[at].engine;
                let Some(parcel) = engine.take_parcel(to, lane) else { continue };
                any = true;
                if !self.calm && self.dice.chance(self.mix.ring_full) {
                    engine.untake_parcel(to, lane, parcel);
                    continue;
                }
                let due = self.beat + 1 + self.dice.below(self.mix.parcel_delay + 1) as u64;
                self.mesh.send(from, to, lane, due, parcel);
            }
        }
        any
    }

    fn deliver(&mut self, at: usize, crash: Option<CrashPoint>) -> Result<bool, Violation> {
        let answers = self.cores[at].take_answers();
        let mut delivered = answers.len();
        if crash == Some(CrashPoint::AmongReplies) && delivered > 0 {
            delivered = self.dice.below(delivered);
        }
        for answer in answers.into_iter().take(delivered) {
            self.beat += 1;
            let asked = self.outstanding.answered(answer.connection, answer.ticket)?;
            self.story.note_number(answer.connection << 32 | answer.ticket);
            let text = format!("{:?}", answer.reply);
            self.story.note(text.as_bytes());
            self.story.tell(|| {
                let (beat, to, ticket) = (self.beat, answer.connection, answer.ticket);
                format!("{beat:>6} c{to} #{ticket} gets {}", show(text.as_bytes()))
            });
            self.conclude(at, answer.connection, asked, &answer.reply)?;
        }
        Ok(delivered > 0)
    }

    /// The main loop's last part: no more faults, until nothing moves. Then nothing may wait.
    pub(crate) fn rest(&mut self) -> Verdict {
        self.calm = true;
        loop {
            let mut busy = false;
            self.pass_time();
            for at in 0..self.cores.len() {
                busy |= self.turn(at, None)?;
            }
            let disks = &self.disks;
            let quiet = self.cores.iter().all(|core| disks[core.log].is_quiet(core.committed));
            if !busy && quiet && self.mesh.is_empty() {
                break;
            }
            if self.beat > BEATS_MAX {
                let message = "the run does not come to rest".to_owned();
                return Err(Violation { checker: "replies", message });
            }
        }
        self.calm = false;
        let idle = self.cores.iter().all(|core| core.engine.is_idle());
        let queued = self.cores.iter().flat_map(|core| &core.connections).any(|c| c.open() > 0);
        self.outstanding.at_rest(idle && !queued)
    }

    /// All cores stop dead, disks lose what they may lose, and a new start follows.
    pub(crate) fn crash(&mut self) -> Verdict {
        self.beat += 1;
        self.story.tell(|| format!("{:>6} crash", self.beat));
        self.cores.clear();
        self.outstanding = Outstanding::new();
        self.checkers.crashed(self.beat, self.now_ms);
        for disk in &mut self.disks {
            disk.crash(&mut self.dice);
            if self.plant == Some(Plant::LostPart) {
                let rewritten = restart::lose_parts(disk.bytes(), &mut self.dice);
                disk.rewrite(rewritten);
            }
        }
        self.beat += 1;
        let (shards, cut) = self.recover();
        let dump = living(&shards, self.now_ms);
        self.checkers.recovered(&dump, self.beat, self.now_ms)?;
        if self.plant.is_none() {
            self.tape.recovered(&shards)?;
        }
        self.beat += 1;
        self.epoch = Epoch(self.epoch.0 + 1);
        // As the server does: an epoch that cut nothing needs no remembering.
        if cut.batches > 0 {
            self.history.push(restart::epoch_start(self.epoch, &shards));
        }
        self.start(shards);
        Ok(())
    }

    /// Everything is at rest: looks at all keys, and compares them with what the logs say.
    pub(crate) fn finish(&mut self) -> Verdict {
        self.beat += 1;
        let cores = std::mem::take(&mut self.cores);
        let mut live: Vec<Box<Shard>> =
            cores.into_iter().flat_map(|core| core.engine.into_shards()).collect();
        live.sort_by_key(|shard| shard.id());
        let dump = living(&live, self.now_ms);
        self.checkers.ended(&dump, self.beat, self.now_ms)?;
        if self.plant.is_some() {
            return Ok(());
        }
        let (replayed, _) = self.recover();
        self.tape.recovered(&replayed)?;
        replay::replay_is_live(&live, &replayed)
    }

    /// A client has its reply: the checkers look at it, and a walk goes on.
    fn conclude(
        &mut self,
        core: usize,
        connection: u64,
        asked: Asked,
        reply: &synap_shards::command::reply::Reply<'_>,
    ) -> Verdict {
        let span = crate::checkers::Span {
            asked: asked.at,
            answered: self.beat,
            asked_ms: asked.at_ms,
            answered_ms: self.now_ms,
        };
        let intent = match crate::walk::step(&asked.wish.intent, reply, &mut self.dice)? {
            crate::walk::Step::Other => asked.wish.intent,
            crate::walk::Step::Ended(intent) => intent,
            crate::walk::Step::Next(wish) => {
                let number =
                    self.cores[core].connections.iter().position(|c| c.number == connection);
                self.enqueue(core, number.expect("its connection is open"), wish);
                return Ok(());
            }
        };
        self.checkers.answered(&intent, span, reply)
    }
}

/// Everything alive at a time, by key.
fn living(shards: &[Box<Shard>], now_ms: u64) -> Dump {
    let mut dump = Dump::new();
    for shard in shards {
        for (key, (value, deadline, _)) in replay::contents(shard) {
            if deadline.is_none_or(|deadline| deadline > now_ms) {
                dump.insert(key, (value, deadline));
            }
        }
    }
    dump
}

fn words(wish: &Wish) -> String {
    let words: Vec<String> = wish.words.iter().map(|word| show(word)).collect();
    words.join(" ")
}

fn batches(mut run: &[u8]) -> String {
    let mut text = Vec::new();
    while let Ok((batch, rest)) = synap_shards::batch::Batch::decode(run) {
        let parts: Vec<String> = batch
            .parts()
            .map(|part| format!("{}:{}", part.shard.index(), part.seq.get()))
            .collect();
        text.push(parts.join("+"));
        run = rest;
    }
    text.join(" ")
}

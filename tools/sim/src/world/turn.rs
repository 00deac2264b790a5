//! Turns: what one core does in one beat, in the order that the server's pump keeps.

use synap_shards::command::reply::Reply;
use synap_shards::command::spec::Family;
use synap_shards::command::table;
use synap_shards::engine::event::Event;
use synap_shards::id::CoreId;

use super::{World, text};
use crate::checkers::{Span, Verdict, Violation};
use crate::core::Asked;
use crate::disk::Name;
use crate::faults::{Fault, full_disk, io_error, misdirected, slow};
use crate::mesh::LANES;
use crate::plants::Plant;
use crate::restart;
use crate::walk::{self, Step};
use crate::workload::Wish;

/// Where in a turn a crash falls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CrashPoint {
    BeforeAppend,
    BeforeCommit,
    BeforeSend,
    BeforeReplies,
    AmongReplies,
}

const CRASH_POINTS: [CrashPoint; 5] = [
    CrashPoint::BeforeAppend,
    CrashPoint::BeforeCommit,
    CrashPoint::BeforeSend,
    CrashPoint::BeforeReplies,
    CrashPoint::AmongReplies,
];

impl World {
    /// Lets a random core take a turn.
    pub(crate) fn random_turn(&mut self, crash: Option<CrashPoint>) -> Verdict {
        let at = self.dice.below(self.cores.len());
        self.turn(at, crash).map(|_| ())
    }

    /// A point in a turn.
    pub(crate) fn draw_crash_point(&mut self) -> CrashPoint {
        self.fault_dice.pick(&CRASH_POINTS)
    }

    /// One turn of a core; whether anything happened. A crash cuts it short.
    pub(super) fn turn(&mut self, at: usize, crash: Option<CrashPoint>) -> Result<bool, Violation> {
        let mut sources = [0, 1, 2, 3, 4];
        self.dice.shuffle(&mut sources);
        let mut busy = false;
        for source in sources {
            busy |= match source {
                0 => self.take_parcels(at),
                1 => self.take_durable(at),
                2 => self.take_requests(at),
                3 => self.take_alarm(at),
                _ => self.take_tick(at),
            };
        }
        if self.has(Plant::AckBeforeAppend) {
            busy |= self.deliver(at, None)?;
        }
        let now = self.now();
        self.cores[at].end_turn(now);
        if crash == Some(CrashPoint::BeforeAppend) || self.died {
            return Ok(true);
        }
        busy |= self.append(at);
        if crash == Some(CrashPoint::BeforeCommit) {
            return Ok(true);
        }
        self.start_commit(at);
        if crash == Some(CrashPoint::BeforeSend) || self.died {
            return Ok(true);
        }
        busy |= self.send(at);
        if crash == Some(CrashPoint::BeforeReplies) {
            return Ok(true);
        }
        busy |= self.deliver(at, crash)?;
        self.serve_snapshot(at);
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
        let Some(name) = self.cores[at].writer.due(beat) else { return false };
        if !self.sync_log(name) {
            return true;
        }
        let core = &mut self.cores[at];
        let offset = core.writer.committed();
        self.story.tell(|| format!("{beat:>6} core {at} is durable up to {offset}"));
        core.step(now, Event::Durable(offset as u64));
        true
    }

    /// Syncs a segment; a failure ends the process.
    fn sync_log(&mut self, name: Name) -> bool {
        if self.strikes(Fault::SyncError) {
            io_error::fail_sync(&mut self.disk, name, &mut self.fault_dice);
            self.die("a sync of its log failed");
            return false;
        }
        if self.has(Plant::SkipFsync) {
            return true;
        }
        if self.strikes(Fault::Misdirected) {
            misdirected::misdirect(&mut self.disk, name, &mut self.fault_dice);
        }
        self.disk.sync(name);
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

    /// Whoever waits for somebody is told when his time is over.
    fn take_alarm(&mut self, at: usize) -> bool {
        let now = self.now();
        self.cores[at].ring(now)
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
        let now = self.now();
        let mut run = Vec::new();
        self.cores[at].engine.take_log(&mut run);
        self.story.note(&run);
        self.tape.appended(&run);
        if self.has(Plant::SplitBatch) {
            run = restart::split_parts(&run);
        }
        if self.has(Plant::RelativeExpiry) {
            run = restart::relative(&run);
        }
        let opens_gates = self.has(Plant::OpenGates) && several_parts(&run);
        let copies = !self.has(Plant::NoTails);
        let core = &mut self.cores[at];
        core.append(&run, copies);
        if !run.is_empty() {
            let end = core.writer.appended();
            self.story.tell(|| {
                format!("{:>6} core {at} appends up to {end} {}", self.beat, batches(&run))
            });
        }
        if opens_gates {
            let offset = self.cores[at].engine.log_end();
            self.cores[at].step(now, Event::Durable(offset));
        }
        !run.is_empty()
    }

    fn start_commit(&mut self, at: usize) {
        let writer = &mut self.cores[at].writer;
        if writer.is_committing() || writer.is_quiet() {
            return;
        }
        let (rates, delay) = (&self.mix.rates, self.mix.commit_delay);
        let (beats, is_slow) = match self.calm {
            true => (1, false),
            false => slow::beats(Fault::SlowCommit, rates, delay, &mut self.fault_dice),
        };
        if !writer.start_commit(&mut self.disk, self.beat + beats) {
            return;
        }
        let name = Name::Segment { log: writer.log(), number: writer.segment() };
        if is_slow {
            self.hit(Fault::SlowCommit);
        }
        if self.strikes(Fault::WriteError) {
            io_error::fail_write(&mut self.disk, name, &mut self.fault_dice);
            self.die("a write to its log failed");
        } else if self.strikes(Fault::FullDisk) {
            full_disk::refuse_write(&mut self.disk, name);
            self.die("there is no room for its log");
        }
    }

    fn send(&mut self, at: usize) -> bool {
        let from = CoreId::new(at);
        let mut any = false;
        for to in (0..self.cores.len()).filter(|to| *to != at).map(CoreId::new) {
            for lane in LANES {
                let engine = &mut self.cores[at].engine;
                let Some(parcel) = engine.take_parcel(to, lane) else { continue };
                any = true;
                if self.ring_is_full() {
                    self.cores[at].engine.untake_parcel(to, lane, parcel);
                    continue;
                }
                let (rates, delay) = (&self.mix.rates, self.mix.parcel_delay);
                let (beats, is_slow) = match self.calm {
                    true => (1, false),
                    false => slow::beats(Fault::SlowParcel, rates, delay, &mut self.fault_dice),
                };
                if is_slow {
                    self.hit(Fault::SlowParcel);
                }
                self.mesh.send(from, to, lane, self.beat + beats, parcel);
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
            self.coverage.answered += 1;
            let asked = self.outstanding.answered(answer.connection, answer.ticket)?;
            self.story.note_number(answer.connection << 32 | answer.ticket);
            let is_error = matches!(answer.reply, Reply::Error(_));
            self.coverage.served(asked.family, is_error);
            let shown = format!("{:?}", answer.reply);
            self.story.note(shown.as_bytes());
            self.story.tell(|| {
                let (beat, to, ticket) = (self.beat, answer.connection, answer.ticket);
                format!("{beat:>6} c{to} #{ticket} gets {}", text(shown.as_bytes()))
            });
            self.conclude(at, answer.connection, asked, &answer.reply)?;
        }
        Ok(delivered > 0)
    }

    /// A client has its reply: the checkers look at it, and a walk goes on.
    fn conclude(
        &mut self,
        core: usize,
        connection: u64,
        asked: Asked,
        reply: &Reply<'_>,
    ) -> Verdict {
        let low_ms = self.clock.lowest_since(asked.at, asked.at_ms);
        let high_ms = self.clock.highest_ms();
        let span = Span { asked: asked.at, answered: self.beat, low_ms, high_ms };
        let mut wish = asked.wish;
        match walk::step(&wish.intent, reply, &mut self.work_dice)? {
            Step::Other => {}
            Step::Ended(intent) => wish.intent = intent,
            Step::Next(next) => {
                let number =
                    self.cores[core].connections.iter().position(|c| c.number == connection);
                self.enqueue(core, number.expect("its connection is open"), next);
                return Ok(());
            }
        }
        self.checkers.answered(&wish.intent, asked.id, span, reply)
    }
}

pub(super) fn words(wish: &Wish) -> String {
    let words: Vec<String> = wish.words.iter().map(|word| text(word)).collect();
    words.join(" ")
}

/// The family of a request, that of transactions for several.
pub(super) fn family(wish: &Wish) -> Family {
    let words: Vec<&[u8]> = wish.words.iter().map(Vec::as_slice).collect();
    table::lookup(&words).map_or(Family::Server, |command| command.spec().family)
}

fn several_parts(mut run: &[u8]) -> bool {
    while let Ok((batch, rest)) = synap_shards::batch::Batch::decode(run) {
        if batch.parts().count() > 1 {
            return true;
        }
        run = rest;
    }
    false
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

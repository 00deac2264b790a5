//! How things end: coming to rest, crashing, and the last look at everything.

use synap_shards::command::table;
use synap_shards::engine::event::Event;
use synap_shards::shard::{Shard, ValueType};

use super::World;
use crate::checkers::replies::Outstanding;
use crate::checkers::{Dump, Verdict, Violation, replay};
use crate::coverage::State;
use crate::disk::Name;
use crate::faults::{Fault, bit_flip};
use crate::plants;

/// Beats after which a run that does not come to rest is given up.
const BEATS_MAX: u64 = 400_000;

impl World {
    /// The main loop's last part: no more faults, until nothing moves. Then nothing may wait.
    pub(crate) fn rest(&mut self) -> Verdict {
        self.calm = true;
        loop {
            let mut busy = false;
            self.pass_time();
            for at in 0..self.cores.len() {
                busy |= self.turn(at, None)?;
            }
            let quiet = self.cores.iter().all(|core| core.writer.is_quiet());
            if !busy && quiet && self.mesh.is_empty() && self.snapshot.is_none() {
                if !self.somebody_waits() {
                    break;
                }
                self.check_waiting()?;
                self.send_home();
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

    /// Whether a client waits for what another one may do.
    fn somebody_waits(&self) -> bool {
        self.cores.iter().any(|core| core.engine.blocked() > 0)
    }

    /// Whoever waits when nothing moves any more has nothing to get.
    fn check_waiting(&self) -> Verdict {
        let shards = || self.cores.iter().flat_map(|core| core.engine.shards());
        for asked in self.outstanding.requests() {
            let words: Vec<&[u8]> = asked.wish.words.iter().map(Vec::as_slice).collect();
            let wanted = match words[0] {
                b"BLPOP" | b"BRPOP" | b"BLMPOP" => ValueType::List,
                b"BZPOPMIN" | b"BZPOPMAX" | b"BZMPOP" => ValueType::SortedSet,
                _ => continue,
            };
            let spec = table::lookup(&words).expect("it was asked before").spec();
            for at in spec.key_positions(&words) {
                let held = shards().find_map(|shard| {
                    // Every shard but the key's own knows nothing of it. Nobody is woken for one
                    // that was over already, and is not by a clock that went back.
                    let entry = shard.get(words[at])?;
                    let lives = !entry.is_expired(self.clock.highest_ms());
                    (lives && entry.value_type() == wanted).then_some(())
                });
                if held.is_some() {
                    let message =
                        format!("{} waits for what is there", super::turn::words(&asked.wish));
                    return Err(Violation { checker: "replies", message });
                }
            }
        }
        Ok(())
    }

    /// Nobody does anything any more: those who wait get what they get when the server stops. Where
    /// that would concern requests that come behind them, they leave instead.
    fn send_home(&mut self) {
        let now = self.now();
        let mut connections = self.cores.iter().flat_map(|core| &core.connections);
        let stops = connections.all(|connection| connection.queue.is_empty());
        for core in &mut self.cores {
            match stops {
                true => core.step(now, Event::Stopping),
                false => core.hang_up(now),
            }
        }
    }

    /// All cores stop dead, the disk loses what it may lose, and a new start follows.
    pub(crate) fn crash(&mut self) -> Verdict {
        self.beat += 1;
        let states = self.states();
        self.story.tell(|| format!("{:>6} crash in {states:?}", self.beat));
        self.lose_cache(&states);
        self.stop();
        self.outstanding = Outstanding::new();
        self.checkers.crashed(self.beat, self.clock.highest_ms());
        if self.mix.rates.strikes(Fault::BitFlip, &mut self.fault_dice)
            && let Some(bit) = bit_flip::draw(&self.disk, &mut self.fault_dice)
        {
            self.note(Fault::BitFlip, &states);
            self.story.tell(|| format!("{:>6} bit flip: {bit:?}", self.beat));
            bit_flip::flip(&mut self.disk, bit);
        }
        self.beat += 1;
        self.start()
    }

    /// The cores are gone; what they knew to be durable is kept for the next start.
    fn stop(&mut self) {
        self.snapshot = None;
        for core in self.cores.drain(..) {
            let places = self.durable.entry(core.writer.log()).or_default();
            places.extend(core.writer.durable);
        }
    }

    /// Everything is at rest: looks at all keys, and compares them with what the disk says.
    pub(crate) fn finish(&mut self) -> Verdict {
        self.beat += 1;
        self.coverage.judged = self.checkers.judged();
        let cores = std::mem::take(&mut self.cores);
        let mut live: Vec<Box<Shard>> =
            cores.into_iter().flat_map(|core| core.engine.into_shards()).collect();
        live.sort_by_key(|shard| shard.id());
        let dump = living(&live, self.clock.now_ms());
        self.checkers.ended(&dump, self.beat, &self.clock)?;
        if plants::rewrites_logs(self.plant) {
            return Ok(());
        }
        // Damage that nobody has met yet is not what is looked for here.
        let names: Vec<Name> = self.disk.files.keys().copied().collect();
        names.into_iter().for_each(|name| self.disk.repair(name));
        match self.recover(None) {
            Ok(again) => {
                self.tape.recovered(&again.shards)?;
                replay::replay_is_live(&live, &again.shards)
            }
            Err(refusal) => {
                let message = format!("a start without damage was refused: {refusal:?}");
                Err(Violation { checker: "refusal", message })
            }
        }
    }

    /// What is going on.
    pub(super) fn states(&self) -> Vec<State> {
        let mut states = Vec::new();
        if self.cores.iter().any(|core| core.writer.is_committing()) {
            states.push(State::Committing);
        }
        if self.cores.iter().any(crate::core::Core::has_lent) {
            states.push(State::LoanOut);
        }
        states.extend(self.snapshot.as_ref().map(crate::snapshot::Snapshotting::state));
        if states.is_empty() {
            states.push(State::Idle);
        }
        states
    }
}

/// Everything alive at a time, by key.
pub(super) fn living(shards: &[Box<Shard>], now_ms: u64) -> Dump {
    let mut dump = Dump::new();
    for shard in shards {
        for (key, (value, deadline, _)) in replay::contents(shard) {
            if deadline.is_none_or(|deadline| deadline > now_ms)
                && let Some(value) = value.living(now_ms)
            {
                dump.insert(key, (value, deadline));
            }
        }
    }
    dump
}

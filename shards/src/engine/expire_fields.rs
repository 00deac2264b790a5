//! Removing fields of hashes whose deadline has passed, when nobody asks for them.

use super::Engine;
use crate::id::ShardId;
use crate::limits::EXPIRY_FIELDS_PER_TICK;
use crate::shard::plan::{Now, Plan, View};
use crate::types::hash::expire_due;

impl Engine {
    /// Removes fields that are due, each hash by a batch of its own; whether there may be more.
    pub(super) fn expire_fields(&mut self, now: Now) -> bool {
        let mut left = EXPIRY_FIELDS_PER_TICK;
        for id in ShardId::all() {
            while let Some(key) = self.due_hash(id, now) {
                if left == 0 {
                    return true;
                }
                left -= self.expire_fields_of(&key, now, left);
            }
        }
        false
    }

    fn due_hash(&self, id: ShardId, now: Now) -> Option<Vec<u8>> {
        let shard = self.shards[id.index()].as_deref()?;
        shard.due_hash(now.unix_ms).map(<[u8]>::to_vec)
    }

    /// How many fields were removed, `most` of them at most.
    fn expire_fields_of(&mut self, key: &[u8], now: Now, most: usize) -> usize {
        let mut records = std::mem::take(&mut self.records);
        records.clear();
        let rules = self.settings.memory.rules();
        let view = View::new(&self.shards, now, &self.tally, rules, 0, None);
        let mut plan = Plan::new(view, &mut records);
        let removed = expire_due(&mut plan, key, most);
        let (touched, told) = (plan.touched(), plan.take_told());
        self.records = records;
        self.told.extend(told);
        // Nobody waits for it; what later replies depend on is noted by the commit.
        let _needs = self.commit(now, touched, 0);
        removed
    }
}

#[cfg(test)]
mod tests {
    use crate::command::args::{Args, Words};
    use crate::command::reply::Reply;
    use crate::command::table::{self, CommandId};
    use crate::engine::Engine;
    use crate::engine::event::{Acknowledge, EngineSettings, Event};
    use crate::engine::event::{MemorySettings, Outbound, Reads};
    use crate::id::{ConnId, CoreId, Epoch, ShardId, Ticket};
    use crate::key::ShardMap;
    use crate::limits::EXPIRY_FIELDS_PER_TICK;
    use crate::shard::Shard;
    use crate::shard::evict::{AccessMode, EvictionPolicy};
    use crate::shard::plan::Now;
    use crate::types::Thresholds;

    #[derive(Default)]
    struct Last(Option<Reply<'static>>);

    impl Outbound for Last {
        fn reply(&mut self, _: ConnId, _: Ticket, reply: Reply<'_>) {
            self.0 = Some(reply.into_owned());
        }

        fn run_on_core(&mut self, _: CommandId, _: &Args<'_>, _: u64) -> Reply<'static> {
            Reply::Ok
        }

        fn run_session(&mut self, _: ConnId, _: CommandId, _: &Args<'_>) -> Reply<'static> {
            Reply::Ok
        }

        fn hear(&mut self, words: &[&[u8]]) {
            unreachable!("nobody listens: {words:?}")
        }
    }

    fn engine() -> Engine {
        let map = ShardMap::new(1);
        let memory = MemorySettings {
            limit_keys: 0,
            limit_bytes: 0,
            policy: EvictionPolicy::NoEviction,
            sample_size: 5,
            mode: AccessMode::Recency,
            notices: 0,
            thresholds: Thresholds::default(),
        };
        let acknowledge = Acknowledge::OnAppend;
        let settings = EngineSettings { epoch: Epoch(1), acknowledge, memory };
        let new = |id: ShardId| Box::new(Shard::new(id, 1, AccessMode::Recency));
        let shards = map.owned_by(CoreId::new(0)).map(new).collect();
        Engine::new(CoreId::new(0), map, shards, settings, 1)
    }

    fn at(unix_ms: u64) -> Now {
        Now { unix_ms, monotonic_ns: 0 }
    }

    fn ask(engine: &mut Engine, now: Now, line: &str) -> Reply<'static> {
        let words: Words<'_> = line.split(' ').map(str::as_bytes).collect();
        let command = table::lookup(&words).expect("the test names commands");
        let args = Args::parse(command.spec(), &words).expect("the test writes good commands");
        let event = Event::Request {
            conn: ConnId(0),
            ticket: Ticket(0),
            caller: 0,
            reads: Reads::default(),
            here: false,
            command,
            args: &args,
            place: None,
        };
        let mut last = Last::default();
        engine.step(now, event, &mut last);
        last.0.expect("it was answered")
    }

    fn tick(engine: &mut Engine, now: Now) {
        engine.step(now, Event::Tick, &mut Last::default());
    }

    #[test]
    fn fields_that_are_due_go_without_being_asked_for() {
        let mut engine = engine();
        let (early, late) = (at(1_000), at(2_000));
        ask(&mut engine, early, "HSET h a 1 b 2 c 3");
        ask(&mut engine, early, "HPEXPIRE h 500 FIELDS 2 a b");
        ask(&mut engine, early, "HSET gone a 1");
        ask(&mut engine, early, "HPEXPIRE gone 500 FIELDS 1 a");
        tick(&mut engine, early);
        assert_eq!(ask(&mut engine, early, "EXISTS h gone"), Reply::Integer(2));
        tick(&mut engine, late);
        assert_eq!(ask(&mut engine, late, "EXISTS h gone"), Reply::Integer(1));
        let standing: usize =
            engine.shards().map(|shard| shard.type_counts().elements.iter().sum::<usize>()).sum();
        assert_eq!(standing, 1);
    }

    #[test]
    fn many_take_several_ticks() {
        let mut engine = engine();
        let (early, late) = (at(1_000), at(2_000));
        let fields = EXPIRY_FIELDS_PER_TICK * 2 + 10;
        for number in 0..fields {
            ask(&mut engine, early, &format!("HSETEX h PX 500 FIELDS 1 f{number} v"));
        }
        for left in [fields - EXPIRY_FIELDS_PER_TICK, 10] {
            tick(&mut engine, late);
            let counts = engine.shards().map(|shard| shard.type_counts());
            assert_eq!(
                counts.map(|counts| counts.elements.iter().sum::<usize>()).sum::<usize>(),
                left
            );
            assert_eq!(ask(&mut engine, late, "HLEN h"), Reply::Integer(0));
        }
        tick(&mut engine, late);
        assert_eq!(ask(&mut engine, late, "EXISTS h"), Reply::Integer(0));
    }

    #[test]
    fn a_key_that_is_due_itself_goes_whole() {
        let mut engine = engine();
        let (early, late) = (at(1_000), at(2_000));
        ask(&mut engine, early, "HSETEX h PX 500 FIELDS 1 f v");
        ask(&mut engine, early, "PEXPIRE h 400");
        tick(&mut engine, late);
        assert_eq!(engine.shards().map(|shard| shard.key_count()).sum::<usize>(), 0);
    }
}

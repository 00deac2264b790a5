//! Waiting over several cores, by hand: the tests move every parcel and the clock.

use super::super::event::{
    Acknowledge, EngineSettings, Event, Flow, MemorySettings, Outbound, Reads,
};
use super::super::{Engine, Lane};
use crate::command::args::{Args, Words};
use crate::command::reply::Reply;
use crate::command::table::{self, CommandId};
use crate::id::{ConnId, CoreId, Epoch, ShardId, Ticket};
use crate::key::{ShardMap, shard_of};
use crate::one_table::show;
use crate::shard::Shard;
use crate::shard::evict::{AccessMode, EvictionPolicy};
use crate::shard::plan::Now;
use crate::types::Thresholds;

#[derive(Default)]
struct Replies(Vec<(u64, Reply<'static>)>);

impl Outbound for Replies {
    fn reply(&mut self, _: ConnId, ticket: Ticket, reply: Reply<'_>) {
        self.0.push((ticket.0, reply.into_owned()));
    }

    fn run_on_core(&mut self, _: CommandId, _: &Args<'_>, _: u64) -> Reply<'static> {
        Reply::Ok
    }

    fn run_session(&mut self, _: ConnId, _: CommandId, _: &Args<'_>) -> Reply<'static> {
        Reply::Ok
    }

    fn hear(&mut self, _: &[&[u8]]) {}
}

struct Cluster {
    engines: Vec<Engine>,
    replies: Replies,
    next_ticket: u64,
    now: Now,
}

impl Cluster {
    fn new(cores: usize, acknowledge: Acknowledge) -> Self {
        let map = ShardMap::new(cores);
        let memory = MemorySettings {
            limit_keys: 0,
            limit_bytes: 0,
            policy: EvictionPolicy::NoEviction,
            sample_size: 5,
            mode: AccessMode::Recency,
            notices: 0,
            thresholds: Thresholds::default(),
        };
        let settings = EngineSettings { epoch: Epoch(1), acknowledge, memory };
        let engine = |core: usize| {
            let core = CoreId::new(core);
            let new = |id: ShardId| Box::new(Shard::new(id, 1, AccessMode::Recency));
            let shards = map.owned_by(core).map(new).collect();
            Engine::new(core, map.clone(), shards, settings, 1)
        };
        let engines = (0..cores).map(engine).collect();
        let now = Now { unix_ms: 1_800_000_000_000, monotonic_ns: 5 };
        Self { engines, replies: Replies::default(), next_ticket: 0, now }
    }

    /// Asks a core, as a client whose connection and number are the ticket that is answered.
    fn send(&mut self, core: usize, line: &str) -> u64 {
        let words: Words<'_> = line.split(' ').map(str::as_bytes).collect();
        let command = table::lookup(&words).expect("the test names commands");
        let args = Args::parse(command.spec(), &words).expect("the test writes good commands");
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let event = Event::Request {
            conn: ConnId(ticket),
            ticket: Ticket(ticket),
            caller: ticket,
            reads: Reads::default(),
            here: false,
            command,
            args: &args,
            place: None,
        };
        let _flow: Flow = self.engines[core].step(self.now, event, &mut self.replies);
        ticket
    }

    fn tell(&mut self, core: usize, event: Event<'_>) {
        self.engines[core].step(self.now, event, &mut self.replies);
    }

    /// Moves the parcels of one core once.
    fn deliver(&mut self, from: usize) -> bool {
        let mut log = Vec::new();
        self.engines[from].end_turn(self.now, &mut self.replies);
        self.engines[from].take_log(&mut log);
        let mut any = false;
        for lane in [Lane::Completions, Lane::Requests] {
            for to in (0..self.engines.len()).filter(|to| *to != from) {
                if let Some(parcel) = self.engines[from].take_parcel(CoreId::new(to), lane) {
                    any = true;
                    let event = Event::Parcel { from: CoreId::new(from), parcel };
                    self.engines[to].step(self.now, event, &mut self.replies);
                }
            }
        }
        any
    }

    /// Moves parcels until there are none.
    fn settle(&mut self) {
        let mut any = true;
        while any {
            any = false;
            for core in 0..self.engines.len() {
                any |= self.deliver(core);
            }
        }
    }

    fn ask(&mut self, core: usize, line: &str) -> u64 {
        let ticket = self.send(core, line);
        self.settle();
        ticket
    }

    fn reply(&self, ticket: u64) -> Option<String> {
        self.replies.0.iter().find(|(each, _)| *each == ticket).map(|(_, reply)| show(reply))
    }

    fn expect(&self, ticket: u64, answer: &str) {
        assert_eq!(self.reply(ticket).as_deref(), Some(answer), "ticket {ticket}");
    }

    fn expect_waiting(&self, ticket: u64) {
        assert_eq!(self.reply(ticket), None, "ticket {ticket} waits");
    }

    fn blocked(&self) -> u64 {
        self.engines.iter().map(Engine::blocked).sum()
    }

    fn expect_idle(&self) {
        assert_eq!(self.blocked(), 0);
        assert!(self.engines.iter().all(Engine::is_idle));
        for shard in self.engines.iter().flat_map(Engine::shards) {
            assert!(shard.interest.is_empty(), "nobody waits for anything");
        }
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now.monotonic_ns += milliseconds * 1_000_000;
        for core in 0..self.engines.len() {
            let due = self.engines[core].next_deadline();
            if due.is_some_and(|deadline_ns| deadline_ns <= self.now.monotonic_ns) {
                self.tell(core, Event::Alarm);
            }
        }
        self.settle();
    }
}

fn two() -> Cluster {
    Cluster::new(2, Acknowledge::OnAppend)
}

/// The `nth` name whose shard belongs to a core; names of one core lie in distinct shards.
fn key(cores: usize, core: usize, nth: usize) -> String {
    let map = ShardMap::new(cores);
    let mut seen = Vec::new();
    (0..)
        .map(|number| format!("k{number}"))
        .filter(|key| {
            let shard = shard_of(key.as_bytes());
            let fits = map.owner(shard).index() == core && !seen.contains(&shard);
            if fits {
                seen.push(shard);
            }
            fits
        })
        .nth(nth)
        .expect("there are names for every shard")
}

#[test]
fn waiters_of_both_cores_are_served_in_the_order_they_came() {
    let mut cluster = two();
    let near = key(2, 0, 0);
    let waiters: Vec<u64> =
        [0, 1, 0, 1].map(|core| cluster.ask(core, &format!("BLPOP {near} 0"))).into();
    waiters.iter().for_each(|waiter| cluster.expect_waiting(*waiter));
    assert_eq!(cluster.blocked(), 4);
    cluster.ask(1, &format!("RPUSH {near} a b"));
    cluster.expect(waiters[0], &format!("[\"{near}\", \"a\"]"));
    cluster.expect(waiters[1], &format!("[\"{near}\", \"b\"]"));
    cluster.expect_waiting(waiters[2]);
    let pushed = cluster.ask(0, &format!("RPUSH {near} c d e"));
    cluster.expect(waiters[2], &format!("[\"{near}\", \"c\"]"));
    cluster.expect(waiters[3], &format!("[\"{near}\", \"d\"]"));
    cluster.expect(pushed, "3");
    let rest = cluster.ask(0, &format!("LRANGE {near} 0 -1"));
    cluster.expect(rest, "[\"e\"]");
    cluster.expect_idle();
}

#[test]
fn what_is_pushed_for_a_waiter_is_not_seen_by_anybody_else() {
    let mut cluster = two();
    let near = key(2, 0, 0);
    let waiter = cluster.ask(1, &format!("BLPOP {near} 0"));
    cluster.send(0, &format!("RPUSH {near} a"));
    let length = cluster.send(0, &format!("LLEN {near}"));
    cluster.settle();
    cluster.expect(length, "0");
    cluster.expect(waiter, &format!("[\"{near}\", \"a\"]"));
    cluster.expect_idle();
}

#[test]
fn keys_of_two_cores_are_waited_for() {
    for pushed_to in 0..2 {
        let mut cluster = two();
        let keys = [key(2, 0, 0), key(2, 1, 0)];
        let waiter = cluster.ask(0, &format!("BLPOP {} {} 0", keys[0], keys[1]));
        cluster.expect_waiting(waiter);
        cluster.ask(pushed_to, &format!("RPUSH {} a b", keys[pushed_to]));
        cluster.expect(waiter, &format!("[\"{}\", \"a\"]", keys[pushed_to]));
        cluster.expect_idle();
    }
}

#[test]
fn an_element_moves_between_cores_when_it_comes() {
    let mut cluster = two();
    let (near, far) = (key(2, 0, 0), key(2, 1, 0));
    let waiter = cluster.ask(1, &format!("BLMOVE {near} {far} LEFT RIGHT 0"));
    cluster.ask(1, &format!("RPUSH {far} before"));
    cluster.expect_waiting(waiter);
    cluster.ask(0, &format!("RPUSH {near} a"));
    cluster.expect(waiter, "\"a\"");
    let all = cluster.ask(0, &format!("LRANGE {far} 0 -1"));
    cluster.expect(all, "[\"before\", \"a\"]");
    cluster.expect_idle();
}

#[test]
fn what_a_waiter_moves_serves_the_next() {
    let mut cluster = two();
    let (first, second, third) = (key(2, 0, 0), key(2, 0, 1), key(2, 1, 0));
    let last = cluster.ask(1, &format!("BLPOP {third} 0"));
    let middle = cluster.ask(0, &format!("BLMOVE {second} {third} LEFT LEFT 0"));
    let head = cluster.ask(1, &format!("BRPOPLPUSH {first} {second} 0"));
    cluster.ask(0, &format!("RPUSH {first} a"));
    cluster.expect(head, "\"a\"");
    cluster.expect(middle, "\"a\"");
    cluster.expect(last, &format!("[\"{third}\", \"a\"]"));
    cluster.expect_idle();
}

#[test]
fn whoever_has_the_turn_is_not_overtaken_by_who_comes_newly() {
    let mut cluster = two();
    let (near, far) = (key(2, 0, 0), key(2, 1, 0));
    let first = cluster.ask(1, &format!("BLPOP {near} {far} 0"));
    // The wake is on its way when the next one comes.
    cluster.send(0, &format!("RPUSH {near} a"));
    let second = cluster.send(0, &format!("BLPOP {near} 0"));
    cluster.settle();
    cluster.expect(first, &format!("[\"{near}\", \"a\"]"));
    cluster.expect_waiting(second);
    cluster.ask(0, &format!("RPUSH {near} b"));
    cluster.expect(second, &format!("[\"{near}\", \"b\"]"));
    cluster.expect_idle();
}

#[test]
fn a_turn_in_vain_is_passed_on() {
    let mut cluster = two();
    let (near, far) = (key(2, 0, 0), key(2, 1, 0));
    let first = cluster.ask(1, &format!("BLPOP {near} {far} 0"));
    let second = cluster.ask(0, &format!("BLPOP {near} 0"));
    cluster.send(0, &format!("RPUSH {near} a"));
    // Somebody who does not wait takes it before the woken one has the shard.
    let thief = cluster.send(0, &format!("LPOP {near}"));
    cluster.settle();
    cluster.expect(thief, "\"a\"");
    cluster.expect_waiting(first);
    cluster.expect_waiting(second);
    cluster.ask(1, &format!("RPUSH {near} b c"));
    cluster.expect(first, &format!("[\"{near}\", \"b\"]"));
    cluster.expect(second, &format!("[\"{near}\", \"c\"]"));
    cluster.expect_idle();
}

#[test]
fn time_runs_out_wherever_one_waits() {
    let mut cluster = two();
    let (near, far) = (key(2, 0, 0), key(2, 1, 0));
    let waiters = [
        cluster.ask(0, &format!("BLPOP {near} 0.1")),
        cluster.ask(1, &format!("BLPOP {near} 0.1")),
        cluster.ask(0, &format!("BLPOP {near} {far} 0.1")),
        cluster.ask(0, &format!("BLMPOP 0.1 1 {far} LEFT")),
    ];
    cluster.pass(99);
    waiters.iter().for_each(|waiter| cluster.expect_waiting(*waiter));
    cluster.pass(1);
    waiters.iter().for_each(|waiter| cluster.expect(*waiter, "nil"));
    cluster.expect_idle();
    let pushed = cluster.ask(1, &format!("RPUSH {near} a"));
    cluster.expect(pushed, "1");
}

#[test]
fn a_client_that_is_gone_takes_nothing() {
    let mut cluster = two();
    let (near, far) = (key(2, 0, 0), key(2, 1, 0));
    let gone = [
        (0, cluster.ask(0, &format!("BLPOP {near} 0"))),
        (1, cluster.ask(1, &format!("BLPOP {near} 0"))),
        (1, cluster.ask(1, &format!("BLPOP {near} {far} 0"))),
    ];
    // This one is gone before its core has said that it waits.
    let sent = cluster.send(1, &format!("BLPOP {near} 0"));
    cluster.tell(1, Event::Gone { conn: ConnId(sent) });
    // And this one while its shards are on their way.
    let asked = cluster.send(1, &format!("BLPOP {near} {far} 0"));
    cluster.tell(1, Event::Gone { conn: ConnId(asked) });
    for (core, conn) in gone {
        cluster.tell(core, Event::Gone { conn: ConnId(conn) });
    }
    cluster.settle();
    cluster.expect_idle();
    let pushed = cluster.ask(0, &format!("RPUSH {near} a"));
    let length = cluster.ask(0, &format!("LLEN {near}"));
    cluster.expect(pushed, "1");
    cluster.expect(length, "1");
}

#[test]
fn others_can_end_the_waiting() {
    let mut cluster = two();
    let (near, far) = (key(2, 0, 0), key(2, 1, 0));
    let first = cluster.ask(1, &format!("BLPOP {near} 0"));
    let second = cluster.ask(1, &format!("BLPOP {near} {far} 0"));
    let done = cluster.ask(0, &format!("CLIENT UNBLOCK {first}"));
    cluster.expect(done, "1");
    cluster.expect(first, "nil");
    let done = cluster.ask(0, &format!("CLIENT UNBLOCK {second} ERROR"));
    cluster.expect(done, "1");
    cluster.expect(second, "UNBLOCKED client unblocked via CLIENT UNBLOCK");
    let none = cluster.ask(1, &format!("CLIENT UNBLOCK {second}"));
    cluster.expect(none, "0");
    cluster.expect_idle();
}

#[test]
fn a_key_of_another_type_wakes_nobody() {
    let mut cluster = two();
    let near = key(2, 0, 0);
    let waiter = cluster.ask(1, &format!("BLPOP {near} 0"));
    cluster.ask(0, &format!("SET {near} v"));
    cluster.expect_waiting(waiter);
    let refused = cluster.ask(0, &format!("BLPOP {near} 0"));
    cluster.expect(refused, "WRONGTYPE Operation against a key holding the wrong kind of value");
    cluster.ask(0, &format!("DEL {near}"));
    cluster.ask(0, &format!("RPUSH {near} a"));
    cluster.expect(waiter, &format!("[\"{near}\", \"a\"]"));
    cluster.expect_idle();
}

#[test]
fn many_waiters_elsewhere_do_not_count_as_unanswered_work() {
    let mut cluster = two();
    let near = key(2, 0, 0);
    for _ in 0..crate::limits::CREDITS_PER_CORE + 10 {
        cluster.ask(1, &format!("BLPOP {near} 0"));
    }
    assert!(!cluster.engines[1].is_congested());
    cluster.tell(1, Event::Stopping);
    cluster.settle();
    cluster.expect_idle();
}

#[test]
fn a_stopping_core_lets_nobody_wait() {
    let mut cluster = two();
    let (near, far) = (key(2, 0, 0), key(2, 1, 0));
    let waiters = [
        cluster.ask(0, &format!("BLPOP {near} 0")),
        cluster.ask(0, &format!("BLPOP {far} 0")),
        cluster.ask(0, &format!("BLPOP {near} {far} 0")),
    ];
    cluster.tell(0, Event::Stopping);
    cluster.settle();
    waiters.iter().for_each(|waiter| cluster.expect(*waiter, "nil"));
    let late = cluster.ask(0, &format!("BLPOP {near} 0"));
    cluster.expect(late, "nil");
    cluster.expect_idle();
}

#[test]
fn a_waiter_is_served_while_its_other_shard_is_lent() {
    let mut cluster = two();
    let (near, other, far) = (key(2, 0, 0), key(2, 0, 1), key(2, 1, 0));
    let waiter = cluster.ask(0, &format!("BLMOVE {near} {other} LEFT LEFT 0"));
    // Another core's transaction holds the shard of the destination.
    cluster.send(1, &format!("MSET {other}x 1 {far} 1"));
    let moved = cluster.send(1, &format!("RENAMENX {other} {far}"));
    cluster.deliver(1);
    cluster.send(0, &format!("RPUSH {near} a"));
    cluster.settle();
    cluster.expect(waiter, "\"a\"");
    cluster.expect(moved, "ERR no such key");
    let all = cluster.ask(0, &format!("LRANGE {other} 0 -1"));
    cluster.expect(all, "[\"a\"]");
    cluster.expect_idle();
}

#[test]
fn an_answer_waits_for_the_disk_as_any_other() {
    let mut cluster = Cluster::new(2, Acknowledge::OnDisk);
    let (near, far) = (key(2, 0, 0), key(2, 1, 0));
    let one = cluster.ask(1, &format!("BLPOP {near} 0"));
    let both = cluster.ask(1, &format!("BLPOP {near} {far} 0"));
    cluster.ask(0, &format!("RPUSH {near} a b"));
    cluster.expect_waiting(one);
    cluster.expect_waiting(both);
    for _ in 0..2 {
        for core in 0..2 {
            let end = cluster.engines[core].log_end();
            cluster.tell(core, Event::Durable(end));
            cluster.settle();
        }
    }
    cluster.expect(one, &format!("[\"{near}\", \"a\"]"));
    cluster.expect(both, &format!("[\"{near}\", \"b\"]"));
    cluster.expect_idle();
}

#[test]
fn too_many_waiters_are_refused_and_leave_nothing_behind() {
    let mut cluster = two();
    let keys = [key(2, 0, 0), key(2, 1, 0)];
    let first = cluster.ask(0, &format!("BLPOP {} 0", keys[0]));
    cluster.engines[0].waiters.fill_up();
    for (core, line) in [
        (0, format!("BLPOP {} 0", keys[0])),
        (1, format!("BLPOP {} 0", keys[0])),
        (0, format!("BLPOP {} {} 0", keys[0], keys[1])),
    ] {
        let refused = cluster.ask(core, &line);
        let reply = cluster.reply(refused).expect("it does not wait");
        assert!(reply.contains("BUSY"), "{reply}");
    }
    assert_eq!(cluster.blocked(), 1);
    cluster.ask(1, &format!("RPUSH {} a", keys[0]));
    cluster.expect(first, &format!("[\"{}\", \"a\"]", keys[0]));
    cluster.expect_idle();
}

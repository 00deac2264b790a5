//! Regressions that the simulator found, each boiled down to the fewest steps: two cores, replies
//! that wait for the disk, and a test that moves every log and parcel by hand.

use super::event::{
    Acknowledge, EngineSettings, Event, Flow, MemorySettings, Outbound, Place, Reads,
};
use super::{Engine, Lane};
use crate::command::args::{Args, Words};
use crate::command::reply::Reply;
use crate::command::table::{self, CommandId};
use crate::id::{ConnId, CoreId, Epoch, ShardId, Ticket};
use crate::key::{ShardMap, shard_of};
use crate::shard::Shard;
use crate::shard::evict::{AccessMode, EvictionPolicy};
use crate::shard::plan::Now;
use crate::types::Thresholds;

const NOW: Now = Now { unix_ms: 1_800_000_000_000, monotonic_ns: 0 };

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

    fn hear(&mut self, words: &[&[u8]]) {
        unreachable!("nobody tells this core anything: {words:?}")
    }
}

struct Pair {
    engines: Vec<Engine>,
    replies: Replies,
    next_ticket: u64,
}

impl Pair {
    fn new() -> Self {
        Self::with(Acknowledge::OnDisk)
    }

    fn with(acknowledge: Acknowledge) -> Self {
        let map = ShardMap::new(2);
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
        Self { engines: (0..2).map(engine).collect(), replies: Replies::default(), next_ticket: 0 }
    }

    /// Asks a core; the ticket to expect.
    fn ask(&mut self, core: usize, line: &str) -> u64 {
        self.ask_at(core, line, None)
    }

    /// The same with what was found out about the key ahead.
    fn ask_at(&mut self, core: usize, line: &str, place: Option<Place>) -> u64 {
        let words: Words<'_> = line.split(' ').map(str::as_bytes).collect();
        let command = table::lookup(&words).expect("the test names commands");
        let args = Args::parse(command.spec(), &words).expect("the test writes good commands");
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let (conn, ticket_id) = (ConnId(0), Ticket(ticket));
        let event = Event::Request {
            conn,
            ticket: ticket_id,
            caller: 0,
            reads: Reads::default(),
            here: false,
            command,
            args: &args,
            place,
        };
        let _flow: Flow = self.engines[core].step(NOW, event, &mut self.replies);
        ticket
    }

    /// Moves parcels until there are none. Logs are appended, nothing becomes durable.
    fn exchange(&mut self) {
        let mut any = true;
        while any {
            any = false;
            for from in 0..2 {
                let mut log = Vec::new();
                self.engines[from].end_turn(NOW, &mut self.replies);
                self.engines[from].take_log(&mut log);
                for lane in [Lane::Completions, Lane::Requests] {
                    let to = CoreId::new(1 - from);
                    if let Some(parcel) = self.engines[from].take_parcel(to, lane) {
                        any = true;
                        let event = Event::Parcel { from: CoreId::new(from), parcel };
                        self.engines[1 - from].step(NOW, event, &mut self.replies);
                    }
                }
            }
        }
    }

    fn sync(&mut self, core: usize) {
        let end = self.engines[core].log_end();
        self.engines[core].step(NOW, Event::Durable(end), &mut self.replies);
        self.exchange();
    }

    fn reply(&self, ticket: u64) -> Option<&Reply<'static>> {
        self.replies.0.iter().find(|(each, _)| *each == ticket).map(|(_, reply)| reply)
    }
}

/// The `nth` name whose shard belongs to a core of two; names of one core lie in distinct shards.
fn key(core: usize, nth: usize) -> String {
    let map = ShardMap::new(2);
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
fn a_read_that_waits_for_another_core_alone_is_answered_when_that_is_durable() {
    let mut pair = Pair::new();
    let (near, far) = (key(0, 0), key(1, 0));
    pair.ask(0, &format!("MSET {near} 1 {far} 1"));
    pair.exchange();
    // The log of the far core is empty, and so durable; only the gate of the shard holds this.
    let read = pair.ask(1, &format!("GET {far}"));
    pair.exchange();
    assert_eq!(pair.reply(read), None, "the transaction is not durable yet");
    pair.sync(0);
    assert_eq!(pair.reply(read), Some(&Reply::borrowed(b"1")));
    assert!(pair.engines.iter().all(Engine::is_idle));
}

#[test]
fn a_shard_that_came_home_untouched_does_not_hold_the_next_transaction() {
    let mut pair = Pair::new();
    let (near, far) = (key(0, 0), key(1, 0));
    pair.ask(0, &format!("SET {near} 1"));
    // Takes the near shard, which is not durable, and waits for the far one.
    let once = pair.ask(0, &format!("MSETNX {near} 2 {far} 2"));
    pair.sync(0);
    assert_eq!(pair.reply(once), Some(&Reply::Integer(0)));
    let both = pair.ask(0, &format!("MSET {near} 3 {far} 3"));
    pair.exchange();
    pair.sync(0);
    assert_eq!(pair.reply(both), Some(&Reply::Ok));
    assert!(pair.engines.iter().all(Engine::is_idle));
}

#[test]
fn a_batch_over_own_shards_waits_for_the_transaction_that_one_of_them_follows() {
    let mut pair = Pair::new();
    let (near, far, other) = (key(0, 0), key(1, 0), key(1, 1));
    pair.ask(0, &format!("MSET {near} 1 {far} 1"));
    pair.exchange();
    let local = pair.ask(1, &format!("MSET {far} 2 {other} 2"));
    pair.exchange();
    pair.sync(1);
    let read = pair.ask(1, &format!("GET {other}"));
    pair.exchange();
    assert_eq!(pair.reply(local), None, "it is cut if the transaction before it is lost");
    assert_eq!(pair.reply(read), None, "and with it what this has read");
    pair.sync(0);
    assert_eq!(pair.reply(local), Some(&Reply::Ok));
    assert_eq!(pair.reply(read), Some(&Reply::borrowed(b"2")));
    assert!(pair.engines.iter().all(Engine::is_idle));
}

#[test]
fn a_parcel_of_many_requests_is_opened_whole() {
    // More than are looked ahead at once, and not a multiple of that.
    const REQUESTS: usize = 3 * crate::limits::PREFETCH_MAX + 1;
    let mut pair = Pair::new();
    let tickets: Vec<u64> =
        (0..REQUESTS).map(|at| pair.ask(0, &format!("INCR {}", key(1, at % 8)))).collect();
    pair.exchange();
    pair.sync(1);
    for ticket in tickets {
        assert!(matches!(pair.reply(ticket), Some(Reply::Integer(_))), "request {ticket}");
    }
    assert!(pair.engines.iter().all(Engine::is_idle));
}

/// Both cores' disks take what is there.
fn sync_both(pair: &mut Pair) {
    for core in [0, 1, 0, 1] {
        pair.sync(core);
    }
}

#[test]
fn keys_of_one_other_core_are_served_there() {
    let mut pair = Pair::new();
    let [a, b, to] = [key(1, 0), key(1, 1), key(1, 2)];
    for line in [format!("SADD {a} 1 2 3"), format!("SADD {b} 2 3 4")] {
        pair.ask(0, &line);
        pair.exchange();
    }
    let stored = pair.ask(0, &format!("SINTERSTORE {to} {a} {b}"));
    pair.exchange();
    assert_eq!(pair.reply(stored), None, "it waits for the disk of the other core");
    sync_both(&mut pair);
    assert_eq!(pair.reply(stored), Some(&Reply::Integer(2)));
    assert_eq!(pair.engines[1].stats().lent, 0, "nothing was borrowed");
    let counted = pair.ask(0, &format!("SINTERCARD 2 {to} {b}"));
    pair.exchange();
    assert_eq!(pair.reply(counted), Some(&Reply::Integer(2)));
}

#[test]
fn sort_reaches_keys_of_every_core() {
    let mut pair = Pair::new();
    let [near, far] = [key(0, 0), key(1, 0)];
    let (n, f) = (&near[1..], &far[1..]);
    let list = key(1, 3);
    for line in [format!("RPUSH {list} {n} {f}"), format!("SET {near} 2"), format!("SET {far} 1")] {
        pair.ask(0, &line);
        pair.exchange();
    }
    sync_both(&mut pair);
    let bytes = |text: &str| Reply::owned(text.as_bytes().to_vec());
    for core in [0, 1] {
        let sorted = pair.ask(core, &format!("SORT {list} BY k* GET # GET k*"));
        pair.exchange();
        sync_both(&mut pair);
        let expected = Reply::Array([f, "1", n, "2"].map(bytes).into());
        assert_eq!(pair.reply(sorted), Some(&expected), "asked of core {core}");
    }
}

/// Both cores have had shards of the other: `lent` so many in all.
fn lent(pair: &Pair) -> u64 {
    pair.engines.iter().map(|engine| engine.stats().lent).sum()
}

#[test]
fn tasks_of_one_turn_borrow_together_and_run_in_order() {
    let mut pair = Pair::new();
    let (near, far) = (key(0, 0), key(1, 0));
    let tickets: Vec<u64> =
        (0..9).map(|at| pair.ask(0, &format!("MSET {near} {at} {far} {at}"))).collect();
    pair.exchange();
    assert_eq!(lent(&pair), 1, "one shard came once for all of them");
    assert_eq!(pair.engines[0].stats().batches, 9, "and each has a batch of its own");
    assert!(tickets.iter().all(|ticket| pair.reply(*ticket).is_none()));
    // Only the far log is durable, and it holds nothing of this.
    pair.sync(1);
    let read = pair.ask(1, &format!("GET {far}"));
    pair.exchange();
    assert_eq!(pair.reply(read), None, "what the convoy left there is not stable");
    pair.sync(0);
    assert!(tickets.iter().all(|ticket| pair.reply(*ticket) == Some(&Reply::Ok)));
    assert_eq!(pair.reply(read), Some(&Reply::borrowed(b"8")));
    assert!(pair.engines.iter().all(Engine::is_idle));
}

#[test]
fn nothing_of_a_convoy_is_stable_because_a_later_batch_is() {
    let mut pair = Pair::new();
    let (near, far, other) = (key(0, 0), key(1, 0), key(0, 1));
    for at in 0..3 {
        pair.ask(0, &format!("MSET {near} {at} {far} {at}"));
    }
    pair.exchange();
    // The owner goes on behind the convoy, and its own log is quick.
    let later = pair.ask(1, &format!("APPEND {far} !"));
    pair.sync(1);
    // A transaction that reads it has to wait for all of it as well.
    let moved = pair.ask(0, &format!("COPY {far} {other}"));
    pair.exchange();
    pair.sync(1);
    assert_eq!(pair.reply(later), None, "it stands on three batches of the other log");
    assert_eq!(pair.reply(moved), None);
    sync_both(&mut pair);
    assert_eq!(pair.reply(later), Some(&Reply::Integer(2)));
    assert_eq!(pair.reply(moved), Some(&Reply::Integer(1)));
    assert!(pair.engines.iter().all(Engine::is_idle));
}

#[test]
fn what_may_take_long_is_the_last_of_its_convoy() {
    let mut pair = Pair::new();
    let (near, far) = (key(0, 0), key(1, 0));
    let quick = format!("MSETNX {near} 1 {far} 1");
    let slow = format!("SINTERSTORE {near} {near} {far}");
    let tickets: Vec<u64> = [&quick, &slow, &slow, &quick].map(|line| pair.ask(0, line)).into();
    pair.exchange();
    assert_eq!(lent(&pair), 3, "quick and slow, slow, quick");
    sync_both(&mut pair);
    assert_eq!(pair.reply(tickets[0]), Some(&Reply::Integer(1)));
    assert!(matches!(pair.reply(tickets[1]), Some(Reply::Error(_))), "they are strings");
    assert_eq!(pair.reply(tickets[3]), Some(&Reply::Integer(0)));
    assert!(pair.engines.iter().all(Engine::is_idle));
}

#[test]
fn somebody_who_waits_is_served_before_the_rest_of_a_convoy() {
    let mut pair = Pair::new();
    let (near, far) = (key(0, 0), key(1, 0));
    pair.ask(0, &format!("RPUSH {near} a b"));
    let waits = pair.ask(1, &format!("BLPOP {far} 0"));
    pair.exchange();
    let fills = format!("SMOVE {near}s {far}s x");
    pair.ask(0, &fills);
    let moved = pair.ask(0, &format!("LMOVE {near} {far} LEFT RIGHT"));
    let looks = pair.ask(0, &format!("MSETNX {near} 1 {far} 1"));
    pair.exchange();
    sync_both(&mut pair);
    let bytes = |text: &str| Reply::owned(text.as_bytes().to_vec());
    assert_eq!(pair.reply(moved), Some(&bytes("a")));
    assert_eq!(pair.reply(waits), Some(&Reply::Array(vec![bytes(&far), bytes("a")])));
    assert_eq!(pair.reply(looks), Some(&Reply::Integer(0)));
    assert!(pair.engines.iter().all(Engine::is_idle));
}

#[test]
fn cores_that_want_the_same_shards_take_turns() {
    let mut pair = Pair::new();
    let (near, far) = (key(0, 0), key(1, 0));
    let mut tickets = Vec::new();
    for _ in 0..20 {
        for core in [0, 1] {
            for at in 0..70 {
                tickets.push(pair.ask(core, &format!("MSET {near} {at} {far} {at}")));
            }
        }
        pair.exchange();
    }
    sync_both(&mut pair);
    assert!(tickets.iter().all(|ticket| pair.reply(*ticket) == Some(&Reply::Ok)));
    assert!(lent(&pair) <= 20 * 4, "{} loans for {} tasks", lent(&pair), tickets.len());
    assert!(pair.engines.iter().all(Engine::is_idle));
}

#[test]
fn where_nobody_keeps_a_log_nothing_waits_and_nothing_is_left() {
    let mut pair = Pair::with(Acknowledge::Unlogged);
    let (near, far) = (key(0, 0), key(1, 0));
    let lines = [
        format!("SET {near} 1"),
        format!("MSET {near} 2 {far} 2"),
        format!("INCR {far}"),
        format!("MGET {near} {far}"),
    ];
    let tickets = lines.map(|line| {
        let ticket = pair.ask(0, &line);
        pair.exchange();
        ticket
    });
    for engine in &mut pair.engines {
        let mut log = Vec::new();
        engine.take_log(&mut log);
        assert!(log.is_empty() && engine.log_end() == 0);
    }
    let values = [b"2", b"3"].map(|value| Reply::borrowed(value)).to_vec();
    let expected = [Reply::Ok, Reply::Ok, Reply::Integer(3), Reply::Array(values)];
    for (ticket, reply) in tickets.into_iter().zip(&expected) {
        assert_eq!(pair.reply(ticket), Some(reply), "request {ticket}");
    }
    assert!(pair.engines.iter().all(Engine::is_idle));
}

#[test]
fn where_a_key_was_ahead_is_where_it_may_not_be_any_more() {
    let (key, other) = (key(0, 0), key(0, 1));
    for between in ["FLUSHALL", &format!("DEL {key}"), &format!("RENAME {key} {other}")] {
        let mut pair = Pair::with(Acknowledge::Unlogged);
        pair.ask(0, &format!("SET {key} old"));
        let [place, ..] = pair.engines[0].prefetch([Some(key.as_bytes())].into_iter());
        let found = |place| matches!(place, Place::Here(spot) if spot.likely.is_some());
        assert!(place.is_some_and(found), "it was found ahead");
        pair.ask(0, between);
        pair.exchange();
        let read = pair.ask_at(0, &format!("GET {key}"), place);
        let write = pair.ask_at(0, &format!("SET {key} new GET"), place);
        let again = pair.ask_at(0, &format!("GET {key}"), place);
        assert_eq!(pair.reply(read), Some(&Reply::Nil), "after {between}");
        assert_eq!(pair.reply(write), Some(&Reply::Nil), "after {between}");
        assert_eq!(pair.reply(again), Some(&Reply::borrowed(b"new")), "after {between}");
    }
}

#[test]
fn parcels_that_are_kept_are_few_and_bounded_in_memory() {
    use super::parcel::{Parcel, Spares};
    let parcel = |bytes: usize| Parcel { bytes: Vec::with_capacity(bytes), ..Parcel::default() };
    let mut spares = Spares::default();
    for _ in 0..1000 {
        spares.keep(parcel(10));
    }
    spares.keep(parcel(1000));
    let mut fitted = 0;
    loop {
        let mut next = Parcel::default();
        spares.fit_out(&mut next, Lane::Requests);
        if next.bytes.capacity() == 0 {
            break;
        }
        fitted += 1;
    }
    assert_eq!(fitted, 32, "no more than that are kept");
    spares.keep(parcel(64 << 20));
    spares.keep(parcel(10));
    spares.keep(parcel(1000));
    let mut answers = Parcel::default();
    spares.fit_out(&mut answers, Lane::Completions);
    assert_eq!(answers.bytes.capacity(), 1000, "the larger for answers, and nothing huge");
}

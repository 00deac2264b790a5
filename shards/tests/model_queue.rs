//! Random commands on queues against plain maps; then the log replayed, and images taken while
//! commands go on, must yield what the commands left behind: messages, who has them, dead letters.

mod one_table;

use std::collections::{BTreeMap, BTreeSet};

use one_table::image::{images, recovered};
use one_table::{OneTable, show};
use synap_shards::command::reply::Reply;
use synap_shards::key::Namespace;
use synap_shards::rng::Rng;
use synap_shards::shard::{Shard, ShardTable};

const QUEUES: &[&str] = &["q", "r"];
/// The last are two sessions of one.
const CONSUMERS: &[&str] = &["a", "b", "c\x001", "c\x002"];
const COMMANDS: usize = 4_000;
/// Commands between two comparisons of everything.
const CHECK_EVERY: usize = 800;

#[derive(Clone, PartialEq, Debug)]
enum Lot {
    Ready,
    Delayed(u64),
    Held(String, u64),
    Dead(&'static str, u64),
}

#[derive(Clone, Debug)]
struct Message {
    id: String,
    priority: u64,
    body: String,
    max_retries: u64,
    failures: u64,
    expires: u64,
    lot: Lot,
}

#[derive(Clone, Default)]
struct Settings {
    depth: u64,
    deadline: u64,
    retries: u64,
    prefetch: u64,
    ttl: u64,
    dead_max: u64,
    retention: u64,
}

#[derive(Clone, Default)]
struct Queue {
    settings: Settings,
    messages: BTreeMap<u64, Message>,
    next: u64,
    keys: BTreeMap<String, (u64, String)>,
    totals: BTreeMap<&'static str, u64>,
}

type Oracle = BTreeMap<String, Queue>;

impl Queue {
    fn count(&mut self, what: &'static str) {
        *self.totals.entry(what).or_default() += 1;
    }

    fn is(&self, wanted: impl Fn(&Lot) -> bool) -> Vec<u64> {
        let found = self.messages.iter().filter(|(_, message)| wanted(&message.lot));
        found.map(|(seq, _)| *seq).collect()
    }

    fn ready(&self) -> Vec<u64> {
        let mut seqs = self.is(|lot| *lot == Lot::Ready);
        seqs.sort_by_key(|seq| (9 - self.messages[seq].priority, *seq));
        seqs
    }

    fn dead(&self) -> Vec<u64> {
        let mut seqs = self.is(|lot| matches!(lot, Lot::Dead(..)));
        seqs.sort_by_key(|seq| match self.messages[seq].lot {
            Lot::Dead(_, at) => (at, *seq),
            _ => unreachable!("only dead letters were picked"),
        });
        seqs
    }

    /// These become dead letters, and the oldest give way.
    fn bury(&mut self, dying: &[(u64, &'static str)], now: u64) {
        let old = self.dead();
        let new = dying.len();
        for (seq, reason) in dying {
            self.count("dead");
            self.messages.get_mut(seq).expect("it dies here").lot = Lot::Dead(reason, now);
        }
        let excess = (old.len() + new).saturating_sub(self.settings.dead_max as usize);
        let by_reason = ["max_retries", "rejected", "expired"].into_iter().flat_map(|reason| {
            dying.iter().filter(move |(_, why)| *why == reason).map(|(seq, _)| *seq)
        });
        if new > 0 {
            let gone: Vec<u64> = old.into_iter().chain(by_reason).take(excess).collect();
            gone.iter().for_each(|seq| {
                self.messages.remove(seq);
            });
        }
    }

    fn fail(&mut self, seq: u64, due: u64) -> Option<(u64, &'static str)> {
        let message = self.messages.get_mut(&seq).expect("it is there");
        message.failures += 1;
        if message.failures > message.max_retries {
            return Some((seq, "max_retries"));
        }
        message.lot = if due > 0 { Lot::Delayed(due) } else { Lot::Ready };
        None
    }

    fn tick(&mut self, now: u64) {
        // What was given back may have waited too long.
        while self.pass(now) {}
    }

    /// Whether a message was given back.
    fn pass(&mut self, now: u64) -> bool {
        let mut dying = Vec::new();
        let mut before = BTreeSet::new();
        // Who was due first dies first, and gives way first.
        let mut late = self.is(|lot| matches!(lot, Lot::Held(_, deadline) if *deadline <= now));
        late.sort_by_key(|seq| match self.messages[seq].lot {
            Lot::Held(_, deadline) => (deadline, *seq),
            _ => unreachable!("only held ones were picked"),
        });
        for seq in late {
            before.insert(seq);
            self.count("timed_out");
            dying.extend(self.fail(seq, 0));
        }
        let waits = |lot: &Lot| matches!(lot, Lot::Ready | Lot::Delayed(_));
        let (mut back, mut expired) = (Vec::new(), Vec::new());
        for (seq, message) in &self.messages {
            let old = message.expires > 0 && message.expires <= now;
            if waits(&message.lot) && old && !before.contains(seq) {
                expired.push((message.expires, *seq));
            } else if matches!(message.lot, Lot::Delayed(due) if due <= now) {
                back.push(*seq);
            }
        }
        expired.sort_unstable();
        dying.extend(expired.into_iter().map(|(_, seq)| (seq, "expired")));
        for seq in back {
            self.messages.get_mut(&seq).expect("it is there").lot = Lot::Ready;
        }
        let old = self.dead();
        self.bury(&dying, now);
        if self.settings.retention > 0 {
            let is_over =
                |lot: &Lot| matches!(lot, Lot::Dead(_, at) if at + self.settings.retention <= now);
            let gone: Vec<u64> =
                self.is(is_over).into_iter().filter(|seq| old.contains(seq)).collect();
            gone.iter().for_each(|seq| {
                self.messages.remove(seq);
            });
        }
        self.keys.retain(|_, (until, _)| *until > now);
        !before.is_empty()
    }
}

fn field<'r>(reply: &'r Reply<'static>, name: &str) -> &'r Reply<'static> {
    let Reply::Map(pairs) = reply else { panic!("a map: {}", show(reply)) };
    let found = pairs.iter().find(|(key, _)| show(key) == format!("\"{name}\""));
    &found.unwrap_or_else(|| panic!("{name} in {}", show(reply))).1
}

fn text(reply: &Reply<'static>) -> String {
    show(reply).trim_matches('"').to_owned()
}

/// Id, body, failures and priority of messages of a reply.
fn messages(reply: &Reply<'static>) -> Vec<String> {
    let Reply::Array(items) = reply else { panic!("a list: {}", show(reply)) };
    let line = |item: &Reply<'static>| {
        let names = ["message_id", "payload", "retry_count", "priority"];
        names.map(|name| text(field(item, name))).join(" ")
    };
    items.iter().map(line).collect()
}

fn lines(queue: &Queue, seqs: &[u64]) -> Vec<String> {
    let line = |seq: &u64| {
        let Message { id, body, failures, priority, .. } = &queue.messages[seq];
        format!("{id} {body} {failures} {priority}")
    };
    seqs.iter().map(line).collect()
}

struct Step<'a> {
    rng: &'a mut Rng,
    db: &'a mut OneTable,
    oracle: &'a mut Oracle,
    name: &'static str,
}

impl Step<'_> {
    fn run(&mut self, line: &str) -> Reply<'static> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.db.run(&words)
    }

    fn expect(&mut self, line: &str, answer: &str) {
        assert_eq!(show(&self.run(line)), answer, "{line}");
    }

    /// A number of one in `times`, else zero.
    fn now_and_then(&mut self, times: usize, number: u64) -> u64 {
        if self.rng.below(times) == 0 { number } else { 0 }
    }

    fn carry_out(&mut self) {
        let name = self.name;
        let Some(mut queue) = self.oracle.remove(name) else {
            if self.rng.below(4) == 0 {
                self.expect(&format!("QPUBLISH {name} x"), "NOQUEUE Queue not found");
            } else {
                self.create();
            }
            return;
        };
        let keep = match self.rng.below(100) {
            0 => {
                self.expect(&format!("QDELETE {name}"), "1");
                false
            }
            1..=2 => self.purge(&mut queue),
            3..=38 => self.publish(&mut queue),
            39..=64 => self.consume(&mut queue),
            65..=78 => self.ack(&mut queue),
            79..=85 => self.nack(&mut queue),
            86..=88 => self.release(&mut queue),
            89..=91 => self.extend(&mut queue),
            92..=95 => self.letters(&mut queue),
            _ => self.cancel(&mut queue),
        };
        if keep {
            self.oracle.insert(name.to_owned(), queue);
        }
    }

    fn create(&mut self) {
        let settings = Settings {
            depth: 10 + self.rng.below(40) as u64,
            deadline: 1 + self.rng.below(3) as u64,
            retries: self.rng.below(4) as u64,
            prefetch: self.now_and_then(2, 3),
            ttl: self.now_and_then(2, 2),
            dead_max: self.rng.below(5) as u64,
            retention: self.now_and_then(2, 4),
        };
        let Settings { depth, deadline, retries, prefetch, ttl, dead_max, retention } = settings;
        let line = format!(
            "QCREATE {} MAXDEPTH {depth} DEADLINE {deadline} RETRIES {retries} PREFETCH {prefetch} \
             TTL {ttl} DLQSIZE {dead_max} DLQRETENTION {retention} DEDUP 1",
            self.name
        );
        self.expect(&line, "OK");
        let settings = Settings {
            deadline: deadline * 1000,
            ttl: ttl * 1000,
            retention: retention * 1000,
            ..settings
        };
        let queue = Queue { settings, ..Queue::default() };
        self.oracle.insert(self.name.to_owned(), queue);
    }

    fn publish(&mut self, queue: &mut Queue) -> bool {
        let (now, name) = (self.db.now_ms, self.name);
        let priority = self.rng.below(10) as u64;
        let delay = self.now_and_then(4, 700);
        let body = format!("{}{}", "b".repeat(self.rng.below(3_000)), queue.next);
        let key = (self.rng.below(4) == 0).then(|| format!("k{}", self.rng.below(20)));
        let mut line = format!("QPUBLISH {name} {body} PRIORITY {priority} DELAY {delay}");
        if let Some(key) = &key {
            line += &format!(" KEY {key}");
        }
        let reply = self.run(&line);
        if let Some((until, id)) = key.as_ref().and_then(|key| queue.keys.get(key))
            && *until > now
        {
            assert_eq!(text(&reply), *id, "the same key is the same message");
            return true;
        }
        let waits = |lot: &Lot| matches!(lot, Lot::Ready | Lot::Delayed(_));
        if queue.is(waits).len() as u64 >= queue.settings.depth {
            assert_eq!(show(&reply), "QUEUEFULL Queue is full");
            return true;
        }
        let id = text(&reply);
        assert!(queue.messages.values().all(|message| message.id != id), "{id} is new");
        if let Some(key) = key {
            queue.keys.insert(key, (now + 1_000, id.clone()));
        }
        let expires = if queue.settings.ttl > 0 { now + delay + queue.settings.ttl } else { 0 };
        let lot = if delay > 0 { Lot::Delayed(now + delay) } else { Lot::Ready };
        let max_retries = queue.settings.retries;
        let message = Message { id, priority, body, max_retries, failures: 0, expires, lot };
        queue.messages.insert(queue.next, message);
        queue.next += 1;
        queue.count("published");
        true
    }

    fn consume(&mut self, queue: &mut Queue) -> bool {
        let (now, name) = (self.db.now_ms, self.name);
        let consumer = CONSUMERS[self.rng.below(CONSUMERS.len())];
        let count = 1 + self.rng.below(6);
        let own = self.now_and_then(3, 2);
        let prefetch = if own > 0 { format!(" PREFETCH {own}") } else { String::new() };
        let line = format!("QCONSUME {name} CONSUMER {consumer} COUNT {count}{prefetch}");
        let reply = self.run(&line);
        let theirs = |lot: &Lot| matches!(lot, Lot::Held(holder, _) if holder == consumer);
        let limits = [queue.settings.prefetch, own].into_iter().filter(|limit| *limit > 0);
        let limit = limits.min().map_or(usize::MAX, |limit| limit as usize);
        let room = limit.saturating_sub(queue.is(theirs).len());
        let is_alive = |seq: &u64| {
            let expires = queue.messages[seq].expires;
            expires == 0 || expires > now
        };
        let ready = queue.ready().into_iter().filter(is_alive);
        let seqs: Vec<u64> = ready.take(count.min(room)).collect();
        assert_eq!(messages(&reply), lines(queue, &seqs));
        for seq in seqs {
            let lot = Lot::Held(consumer.to_owned(), now + queue.settings.deadline);
            queue.messages.get_mut(&seq).expect("it is ready").lot = lot;
            queue.count("consumed");
        }
        true
    }

    /// Some message, mostly one that a consumer has, and who says to have it.
    fn pick(&mut self, queue: &Queue) -> Option<(u64, String, String)> {
        let held = queue.is(|lot| matches!(lot, Lot::Held(..)));
        let all: Vec<u64> = queue.messages.keys().copied().collect();
        let from = if self.rng.below(8) > 0 { held } else { all };
        let seq = *from.get(self.rng.below(from.len().max(1)))?;
        let message = &queue.messages[&seq];
        let consumer = match (&message.lot, self.rng.below(4)) {
            (Lot::Held(holder, _), 0) => holder.clone(),
            // The consumer, of whose sessions one has it.
            (Lot::Held(holder, _), 3) => holder.split('\0').next().unwrap_or_default().to_owned(),
            (_, 1) => CONSUMERS[self.rng.below(CONSUMERS.len())].to_owned(),
            _ => String::new(),
        };
        Some((seq, message.id.clone(), consumer))
    }

    /// What a command says of a message that a consumer may have; whether that consumer has it.
    fn settle(&mut self, queue: &Queue, command: &str) -> Option<u64> {
        let (seq, id, consumer) = self.pick(queue)?;
        let option =
            if consumer.is_empty() { String::new() } else { format!("CONSUMER {consumer} ") };
        let line = command.replace("WHO ", &option).replace("ID", &id);
        let has = match &queue.messages[&seq].lot {
            Lot::Held(holder, _) => {
                let name = holder.split('\0').next().unwrap_or_default();
                consumer.is_empty() || consumer == *holder || consumer == name
            }
            _ => false,
        };
        self.expect(&line, if has { "1" } else { "NOMESSAGE Message not found" });
        has.then_some(seq)
    }

    fn ack(&mut self, queue: &mut Queue) -> bool {
        if let Some(seq) = self.settle(queue, &format!("QACK {} WHO ID", self.name)) {
            queue.messages.remove(&seq);
            queue.count("acked");
        }
        true
    }

    fn nack(&mut self, queue: &mut Queue) -> bool {
        let (now, name) = (self.db.now_ms, self.name);
        let requeue = self.rng.below(5) > 0;
        let delay = self.now_and_then(3, 400);
        let command = format!("QNACK {name} WHO REQUEUE {requeue} DELAY {delay} ID");
        if let Some(seq) = self.settle(queue, &command) {
            queue.count("nacked");
            let dying = match requeue {
                true => queue.fail(seq, if delay > 0 { now + delay } else { 0 }),
                false => Some((seq, "rejected")),
            };
            queue.bury(dying.as_slice(), now);
        }
        true
    }

    /// What is given back unworked is where it was, and has not failed.
    fn release(&mut self, queue: &mut Queue) -> bool {
        if let Some(seq) = self.settle(queue, &format!("QRELEASE {} WHO ID", self.name)) {
            queue.messages.get_mut(&seq).expect("a consumer has it").lot = Lot::Ready;
        }
        true
    }

    fn extend(&mut self, queue: &mut Queue) -> bool {
        let deadline = self.db.now_ms + 5_000;
        if let Some(seq) = self.settle(queue, &format!("QEXTEND {} 5000 WHO ID", self.name))
            && let Some(Message { lot: Lot::Held(_, until), .. }) = queue.messages.get_mut(&seq)
        {
            *until = deadline;
        }
        true
    }

    fn purge(&mut self, queue: &mut Queue) -> bool {
        let (keep_dead, pending) = (self.rng.below(2) == 0, self.rng.below(3) == 0);
        let before = queue.messages.len();
        queue.messages.retain(|_, message| match message.lot {
            Lot::Ready | Lot::Delayed(_) => false,
            Lot::Held(..) => !pending,
            Lot::Dead(..) => keep_dead,
        });
        let options = [(keep_dead, " DLQ no"), (pending, " PENDING")];
        let options: String = options.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect();
        let purged = before - queue.messages.len();
        self.expect(&format!("QPURGE {}{options}", self.name), &purged.to_string());
        true
    }

    fn letters(&mut self, queue: &mut Queue) -> bool {
        let (name, dead) = (self.name, queue.dead());
        match self.rng.below(3) {
            0 => {
                let reply = self.run(&format!("QDLQ CONSUME {name} COUNT 1"));
                let first: Vec<u64> = dead.into_iter().take(1).collect();
                assert_eq!(messages(&reply), lines(queue, &first));
                first.iter().for_each(|seq| {
                    queue.messages.remove(seq);
                });
            }
            1 => {
                self.expect(&format!("QDLQ REQUEUE {name}"), &dead.len().to_string());
                for seq in dead {
                    let message = queue.messages.get_mut(&seq).expect("it is dead");
                    (message.lot, message.failures) = (Lot::Ready, 0);
                }
            }
            _ => {
                let reply = self.run(&format!("QDLQ LIST {name}"));
                assert_eq!(messages(field(&reply, "messages")), lines(queue, &dead));
            }
        }
        true
    }

    fn cancel(&mut self, queue: &mut Queue) -> bool {
        let delayed = queue.is(|lot| matches!(lot, Lot::Delayed(_)));
        let reply = self.run(&format!("QSCHEDULED {}", self.name));
        assert_eq!(show(field(&reply, "total")), delayed.len().to_string());
        if let Some(seq) = delayed.first() {
            let id = queue.messages[seq].id.clone();
            self.expect(&format!("QCANCEL {} {id}", self.name), "1");
            queue.messages.remove(seq);
        }
        true
    }
}

fn carry_out(rng: &mut Rng, db: &mut OneTable, oracle: &mut Oracle) {
    db.now_ms += rng.below(60) as u64;
    db.tick();
    oracle.values_mut().for_each(|queue| queue.tick(db.now_ms));
    let name = QUEUES[rng.below(QUEUES.len())];
    Step { rng, db, oracle, name }.carry_out();
    for (name, queue) in oracle.iter() {
        check_stats(db, name, queue);
    }
}

fn check_stats(db: &mut OneTable, name: &str, queue: &Queue) {
    let reply = db.run(&[b"QSTATS", name.as_bytes()]);
    let holders: BTreeSet<&String> = queue
        .messages
        .values()
        .filter_map(|message| if let Lot::Held(who, _) = &message.lot { Some(who) } else { None })
        .collect();
    let total = |what| queue.totals.get(what).copied().unwrap_or(0) as usize;
    for (name, number) in [
        ("depth", queue.ready().len()),
        ("pending", queue.is(|lot| matches!(lot, Lot::Held(..))).len()),
        ("scheduled", queue.is(|lot| matches!(lot, Lot::Delayed(_))).len()),
        ("dlq_count", queue.dead().len()),
        ("consumers", holders.len()),
        ("published", total("published")),
        ("consumed", total("consumed")),
        ("acked", total("acked")),
        ("nacked", total("nacked")),
        ("dead_lettered", total("dead")),
        ("timed_out", total("timed_out")),
    ] {
        assert_eq!(show(field(&reply, name)), number.to_string(), "{name}");
    }
}

/// The bytes of every queue, as they would stand in an image.
fn images_of(shards: &ShardTable) -> Vec<(Vec<u8>, Vec<u8>)> {
    let of = |shard: &Shard| {
        let keys: Vec<Vec<u8>> = shard.named(Namespace::Queue).map(<[u8]>::to_vec).collect();
        let image = |key: Vec<u8>| {
            let image = shard.get(&key).expect("a name stands for an entry").image();
            (key, image)
        };
        keys.into_iter().map(image).collect::<Vec<_>>()
    };
    shards.iter().flatten().flat_map(|shard| of(shard)).collect()
}

#[test]
fn random_commands_do_what_the_oracle_does() {
    for seed in [1, 2, 3] {
        let (mut rng, mut db) = (Rng::new(seed), OneTable::new());
        let mut oracle = Oracle::new();
        for count in 1..=COMMANDS {
            carry_out(&mut rng, &mut db, &mut oracle);
            if count % CHECK_EVERY == 0 {
                assert_eq!(images_of(&db.replayed()), images_of(&db.shards), "the log says it all");
            }
        }
    }
}

#[test]
fn an_image_taken_while_queues_change_is_made_whole_by_the_log() {
    let mut interrupted = 0;
    for seed in 1..=6 {
        let (mut rng, mut db) = (Rng::new(seed), OneTable::new());
        let mut oracle = Oracle::new();
        (0..600).for_each(|_| carry_out(&mut rng, &mut db, &mut oracle));
        let (images, times) = images(&mut db, |db| {
            (0..40).for_each(|_| carry_out(&mut rng, db, &mut oracle));
        });
        interrupted += times;
        (0..50).for_each(|_| carry_out(&mut rng, &mut db, &mut oracle));
        let shards = recovered(&db, &images);
        let mut again = OneTable::new();
        (again.shards, again.now_ms) = (shards, db.now_ms);
        // What the oracle expects of the live queues, it expects of these.
        for _ in 0..400 {
            carry_out(&mut rng, &mut again, &mut oracle);
        }
    }
    assert!(interrupted > 10, "pieces were taken while queues changed: {interrupted}");
}

#[test]
fn what_consumers_had_is_ready_after_a_start_and_has_not_failed() {
    let mut db = OneTable::new();
    db.expect(&[("QCREATE q RETRIES 0", "OK")]);
    let ids: Vec<String> =
        (0..5).map(|number| text(&db.run(&[b"QPUBLISH", b"q", &[b'0' + number]]))).collect();
    db.run(&[b"QCONSUME", b"q", b"COUNT", b"3"]);
    db.run(&[b"QACK", b"q", ids[1].as_bytes()]);
    let mut again = OneTable::new();
    (again.shards, again.now_ms) = (db.replayed(), db.now_ms);
    again.shards.iter_mut().flatten().for_each(|shard| shard.begin_service());
    again.tick();
    let reply = again.run(&[b"QCONSUME", b"q", b"COUNT", b"9"]);
    let expected = [0, 2, 3, 4].map(|number| format!("{} {number} 0 5", ids[number]));
    assert_eq!(messages(&reply), expected);
}

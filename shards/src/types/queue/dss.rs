//! `DSS.*`: queues of the interface of distributed-sync-system, in a namespace of their own.
//!
//! They are queues like all others (priorities, retries, dead letters, purges), with these
//! differences. The names of their messages are numbers that say their queue as well
//! ([`QueueNumber`]): whoever acknowledges names the message alone. A queue that is not there is
//! empty. What was with a consumer when the server stopped stays there until its time is over:
//! consumers come and go between requests, and may acknowledge after a restart.

use super::answer::{name, number as integer, pair};
use super::consume::{consume, consume_args};
use super::create::{NAME, create_args};
use super::id::QueueNumber;
use super::publish::{publish_args, send};
use super::settings::{Backoff, Settings};
use super::settle::{IDS_SPEC, ack};
use super::state::{Queue, Total};
use super::{consume as consumes, create as creates, dead, find, publish, remove, settle, stats};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Blocked, CommandSpec, Flags, Fold, Keys, ReplySpec, Run,
};
use crate::key::{Namespace, shard_of};
use crate::shard::Shard;
use crate::shard::plan::{Plan, View};
use crate::types::Thresholds;

const NAME_SPEC: ArgSpec = ArgSpec::name("queue_name", Namespace::Dss, "the queue");
const MESSAGE_SPEC: ArgSpec = ArgSpec::bytes("message", "what the message says");

/// Messages with consumers that are listed of one queue.
const HELD_LISTED: usize = 1_000;

/// `DSS.CREATE`.
pub(crate) const CREATE: CommandSpec = CommandSpec {
    id: "dss.create",
    resp: "DSS.CREATE",
    args: &create_args(NAME_SPEC),
    http: &[],
    ..creates::QCREATE
};

/// `DSS.DELETE`.
pub(crate) const DELETE: CommandSpec = CommandSpec {
    id: "dss.delete",
    resp: "DSS.DELETE",
    args: &[NAME_SPEC],
    http: &[],
    ..remove::QDELETE
};

/// `DSS.ENQUEUE`.
pub(crate) const ENQUEUE: CommandSpec = CommandSpec {
    id: "dss.enqueue",
    resp: "DSS.ENQUEUE",
    args: &publish_args(NAME_SPEC, MESSAGE_SPEC),
    http: &[],
    run: Run::Write(send),
    ..publish::QSEND
};

/// `DSS.DEQUEUE`.
pub(crate) const DEQUEUE: CommandSpec = CommandSpec {
    id: "dss.dequeue",
    resp: "DSS.DEQUEUE",
    args: &consume_args(NAME_SPEC),
    http: &[],
    run: Run::Block(dequeue),
    ..consumes::QCONSUME
};

/// `DSS.ACK`.
pub(crate) const ACK: CommandSpec = CommandSpec {
    id: "dss.ack",
    resp: "DSS.ACK",
    args: &[NAME_SPEC, consumes::CONSUMER_SPEC, IDS_SPEC],
    http: &[],
    summary: "Acknowledges messages, which are done then; answers how many, 0 if none is known",
    run: Run::Write(acknowledge),
    ..settle::QACK
};

/// `DSS.STATUS`.
pub(crate) const STATUS: CommandSpec = CommandSpec {
    id: "dss.status",
    resp: "DSS.STATUS",
    args: &[NAME_SPEC],
    http: &[],
    run: Run::Read(status),
    ..stats::QSTATS
};

/// `DSS.QUEUES`.
pub(crate) const QUEUES: CommandSpec = CommandSpec {
    id: "dss.queues",
    resp: "DSS.QUEUES",
    access: Access::Read,
    keys: Keys::AllShards(Fold::Concat),
    args: &[ArgSpec::flag("verbose", "VERBOSE", "with the messages that consumers have")],
    reply: ReplySpec::Array,
    http: &[],
    flags: Flags::NONE,
    summary: "Answers all queues, and what is in them",
    complexity: "O(N) for N queues",
    run: Run::Read(queues),
    ..stats::QLIST
};

/// `DSS.DLQ LIST`.
pub(crate) const DEAD_LIST: CommandSpec = CommandSpec {
    id: "dss.dlq.list",
    resp: "DSS.DLQ LIST",
    args: &[NAME_SPEC, dead::OFFSET_SPEC, dead::LIMIT_SPEC],
    http: &[],
    ..dead::LIST
};

/// `DSS.DLQ REQUEUE`.
pub(crate) const DEAD_REQUEUE: CommandSpec = CommandSpec {
    id: "dss.dlq.requeue",
    resp: "DSS.DLQ REQUEUE",
    args: &[NAME_SPEC, IDS_SPEC.optional()],
    http: &[],
    ..dead::REQUEUE
};

/// `DSS.DLQ PURGE`.
pub(crate) const DEAD_PURGE: CommandSpec = CommandSpec {
    id: "dss.dlq.purge",
    resp: "DSS.DLQ PURGE",
    args: &[NAME_SPEC],
    http: &[],
    ..dead::PURGE
};

/// Whether a key is of such a queue.
pub(super) fn is_one(key: &[u8]) -> bool {
    key.starts_with(&Namespace::Dss.prefix())
}

/// What such a queue is set to where nothing is said. Its consumers have no names, so they have no
/// limit in common.
pub(super) fn settings(limits: &Thresholds) -> Settings {
    Settings {
        ack_deadline_ms: limits.defaults.dss_visible_ms,
        prefetch: 0,
        backoff: Backoff::None,
        ..limits.queue
    }
}

/// A number for a queue that is made now, which no other has: the one behind the last given, so
/// that what was said of a queue that is gone is not said of this one.
pub(super) fn number(plan: &Plan<'_>, key: &[u8]) -> Result<QueueNumber, CommandError> {
    let id = shard_of(key);
    let taken: std::collections::BTreeSet<QueueNumber> =
        numbers(plan.shard(id)).map(|(_, number)| number).collect();
    QueueNumber::free(id, &taken).ok_or(CommandError::Coded {
        code: "LIMIT",
        message: "there are as many queues as their numbers allow",
    })
}

/// The queues of a shard, with their numbers.
pub fn numbers(shard: &Shard) -> impl Iterator<Item = (&[u8], QueueNumber)> {
    shard.named(Namespace::Dss).filter_map(|key| Some((key, number_in(shard, key)?)))
}

/// The number of the queue under this key, if it is one that has a number.
pub(crate) fn number_in(shard: &Shard, key: &[u8]) -> Option<QueueNumber> {
    QueueNumber::of(find::queue_in(&shard.get(key)?)?.incarnation)
}

/// Takes messages as `QCONSUME` does, and says when that was.
fn dequeue(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Blocked, CommandError> {
    const COUNT: Arg = Arg(2);
    if find::peek(plan, args.bytes(NAME))?.is_none() {
        let is_list = args.opt_integer(COUNT).is_some();
        return Ok(Blocked::Done(if is_list { Reply::Array(Vec::new()) } else { Reply::Nil }));
    }
    let now_ms = plan.now().unix_ms;
    Ok(match consume(plan, args)? {
        Blocked::Done(reply) => Blocked::Done(delivered(reply, now_ms)),
        wait @ Blocked::Wait(_) => wait,
    })
}

fn delivered(reply: Reply<'static>, now_ms: u64) -> Reply<'static> {
    match reply {
        Reply::Map(mut pairs) => {
            pairs.push(pair("delivered_ms", integer(now_ms)));
            Reply::Map(pairs)
        }
        Reply::Array(messages) => {
            Reply::Array(messages.into_iter().map(|message| delivered(message, now_ms)).collect())
        }
        other => other,
    }
}

fn acknowledge(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    match ack(plan, args) {
        Err(error) if error == find::NO_QUEUE || error == find::NO_MESSAGE => Ok(Reply::Integer(0)),
        other => other,
    }
}

fn status<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let found = find::peek(view, args.bytes(NAME))?;
    let none = Queue { settings: unsaid(view, args), ..Queue::default() };
    let queue = found.unwrap_or(&none);
    let total = |which: Total| integer(queue.totals[which as usize]);
    Ok(Reply::Map(vec![
        pair("size", Reply::count(queue.ready_count())),
        pair("in_flight", Reply::count(queue.held_count())),
        pair("scheduled", Reply::count(queue.delayed_count())),
        pair("dead_letters", Reply::count(queue.dead_count())),
        pair("enqueued", total(Total::Published)),
        pair("dequeued", total(Total::Consumed)),
        pair("acknowledged", total(Total::Acked)),
        pair("timed_out", total(Total::TimedOut)),
        pair("visibility_timeout_ms", integer(queue.settings.ack_deadline_ms)),
        pair("max_retries", integer(u64::from(queue.settings.max_retries))),
    ]))
}

fn unsaid(view: &View<'_>, args: &Args<'_>) -> Settings {
    settings(&view.thresholds(args.bytes(NAME)))
}

fn queues<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    const VERBOSE: Arg = Arg(0);
    let is_verbose = args.flag(VERBOSE);
    let mut all = Vec::new();
    for shard in view.shards() {
        view.saw_all(shard);
        for key in shard.named(Namespace::Dss) {
            let Some((_, queue_name)) = Namespace::split(key) else { continue };
            let entry = shard.get(key);
            let Some(queue) = entry.as_ref().and_then(find::queue_in) else { continue };
            let mut pairs = vec![
                pair("queue_name", Reply::owned(queue_name.to_vec())),
                pair("size", Reply::count(queue.ready_count())),
                pair("in_flight", Reply::count(queue.held_count())),
            ];
            if is_verbose {
                let held = queue.held_seqs().take(HELD_LISTED);
                let ids = held.map(|seq| name(queue, seq)).collect();
                pairs.push(pair("in_flight_ids", Reply::Array(ids)));
            }
            all.push(Reply::Map(pairs));
        }
    }
    Ok(Reply::Array(all))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    fn id_in(reply: &str) -> String {
        let (_, rest) = reply.split_once("\"message_id\": \"").expect("a message");
        rest.split('"').next().expect("an id").to_owned()
    }

    #[test]
    fn a_number_says_queue_and_message() {
        let mut db = OneTable::new();
        let first = db.ask("DSS.ENQUEUE jobs a").trim_matches('"').to_owned();
        let other = db.ask("DSS.ENQUEUE other x").trim_matches('"').to_owned();
        let second = db.ask("DSS.ENQUEUE jobs b").trim_matches('"').to_owned();
        let number = |text: &str| text.parse::<u64>().expect("a number");
        assert!(number(&second) > number(&first), "{first} {second}");
        assert_ne!(number(&first), number(&other));
        db.expect(&[(&*format!("DSS.ACK jobs {first}"), "0")]);
        assert_eq!(id_in(&db.ask("DSS.DEQUEUE jobs")), first);
        db.expect(&[
            (&*format!("DSS.ACK other {first}"), "0"),
            (&*format!("DSS.ACK nowhere {first}"), "0"),
            (&*format!("DSS.ACK jobs {first}"), "1"),
            (&*format!("DSS.ACK jobs {first}"), "0"),
            ("DSS.ACK jobs 007", "0"),
            ("DSS.DEQUEUE nowhere", "nil"),
            ("DSS.DEQUEUE nowhere COUNT 2", "[]"),
        ]);
    }

    #[test]
    fn the_namespaces_do_not_meet() {
        let mut db = OneTable::new();
        db.ask("DSS.ENQUEUE jobs a");
        db.expect(&[
            ("QLIST", "[]"),
            ("QSTATS jobs", "NOQUEUE Queue not found"),
            ("QCREATE jobs", "OK"),
            ("QCONSUME jobs", "nil"),
            ("DSS.QUEUES", "[{\"queue_name\": \"jobs\", \"size\": 1, \"in_flight\": 0}]"),
            // No route of theirs needs these words.
            ("DSS.CREATE list", "OK"),
            ("DSS.DELETE list", "1"),
        ]);
    }

    #[test]
    fn what_is_not_acknowledged_comes_back_in_its_place() {
        let mut db = OneTable::new();
        db.expect(&[("DSS.CREATE jobs DEADLINE 5 RETRIES 1", "OK")]);
        db.ask("DSS.ENQUEUE jobs a");
        db.ask("DSS.ENQUEUE jobs b");
        let first = id_in(&db.ask("DSS.DEQUEUE jobs"));
        db.now_ms += 4_999;
        db.tick();
        assert!(db.ask("DSS.QUEUES VERBOSE").contains(&first));
        db.now_ms += 1;
        db.tick();
        let again = db.ask("DSS.DEQUEUE jobs");
        assert!(again.contains("\"retry_count\": 1"), "{again}");
        assert_eq!(id_in(&again), first, "before the one behind it");
        db.now_ms += 5_000;
        db.tick();
        let dead = db.ask("DSS.DLQ LIST jobs");
        assert!(dead.contains(&first), "{dead}");
        db.expect(&[(&*format!("DSS.DLQ REQUEUE jobs {first}"), "1")]);
        assert_eq!(id_in(&db.ask("DSS.DEQUEUE jobs")), first);
    }

    #[test]
    fn a_queue_that_is_made_again_has_another_number() {
        let mut db = OneTable::new();
        let first = db.ask("DSS.ENQUEUE jobs a");
        db.expect(&[("DSS.DELETE jobs", "1")]);
        // Another of the same shard keeps the number from being given again.
        db.ask("DSS.ENQUEUE {jobs}2 a");
        db.ask("DSS.ENQUEUE {jobs}3 a");
        db.expect(&[("DSS.DELETE {jobs}2", "1")]);
        let again = db.ask("DSS.ENQUEUE {jobs}4 a");
        assert_ne!(first, again);
    }
}

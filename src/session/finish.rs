//! The last step of commands that every core answers: the engine has folded the answers, but joined
//! lists are not in order yet, and a count is not always what the client is told.

use std::cmp::Reverse;

use synap_shards::capture::Merge;
use synap_shards::command::args::{Arg, Args};
use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::command::table::CommandId;

use super::topics::NO_TOPIC;

/// What is left to do with the folded reply. The pump keeps it with the request's ticket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finish {
    /// `CLIENT KILL address`: OK, or an error when there was no such client.
    Killed,
    /// `SLOWLOG GET`: the latest first, at most so many.
    SlowLog(usize),
    /// `LATENCY LATEST`: one line per kind of event.
    Latest,
    /// `LATENCY HISTORY`: by time.
    History,
    /// `CDC.READ`: one answer of the parts of all shards.
    Changes(Merge),
    /// `SYNAP.TOPICINFO`: what the cores know of this topic together.
    TopicInfo(Box<[u8]>),
}

/// Entries that `SLOWLOG GET` answers unless told otherwise.
const SLOWLOG_ENTRIES: i64 = 10;

/// How many entries `SLOWLOG GET` asks for.
pub(super) fn slowlog_count(args: &Args<'_>) -> Result<usize, CommandError> {
    match args.opt_integer(Arg(0)).unwrap_or(SLOWLOG_ENTRIES) {
        -1 => Ok(usize::MAX),
        count => usize::try_from(count)
            .map_err(|_| CommandError::Invalid("count should be greater than or equal to -1")),
    }
}

impl Finish {
    /// What is to be done with the folded reply of this request; of most nothing.
    pub fn of(command: CommandId, args: &Args<'_>) -> Option<Self> {
        match command.spec().id {
            "client.kill" => (args.rest(Arg(0)).len() == 1).then_some(Self::Killed),
            "slowlog.get" => slowlog_count(args).ok().map(Self::SlowLog),
            "latency.latest" => Some(Self::Latest),
            "latency.history" => Some(Self::History),
            "cdc.read" => Merge::of(args).map(Self::Changes),
            "pubsub.info" => Some(Self::TopicInfo(args.bytes(Arg(0)).into())),
            _ => None,
        }
    }

    /// Does it.
    pub fn apply(&self, reply: Reply<'static>) -> Reply<'static> {
        match (self, reply) {
            (Self::Killed, Reply::Integer(0)) => CommandError::Invalid("No such client").into(),
            (Self::Killed, Reply::Integer(_)) => Reply::Ok,
            (Self::SlowLog(count), Reply::Array(mut entries)) => {
                // By second, and among those of one second and core by number.
                entries.sort_by_key(|entry| Reverse((number(entry, 1), number(entry, 0))));
                entries.truncate(*count);
                Reply::Array(entries)
            }
            (Self::Latest, Reply::Array(events)) => Reply::Array(latest(events)),
            (Self::History, Reply::Array(mut samples)) => {
                samples.sort_by_key(|sample| number(sample, 0));
                Reply::Array(samples)
            }
            (Self::Changes(merge), parts) => merge.apply(parts),
            (Self::TopicInfo(topic), Reply::Array(parts)) => topic_info(topic, &parts),
            (_, other) => other,
        }
    }
}

/// Every core counts the messages that it published, and knows the rest.
fn topic_info(topic: &[u8], parts: &[Reply<'static>]) -> Reply<'static> {
    let Some(first) = parts.first() else { return CommandError::Invalid(NO_TOPIC).into() };
    let messages = parts.iter().map(|part| number(part, 1)).sum();
    let since_ms = parts.iter().map(|part| number(part, 2)).min().unwrap_or(0);
    Reply::Named(vec![
        (Reply::string("topic"), Reply::owned(topic.to_vec())),
        (Reply::string("subscriber_count"), Reply::Integer(number(first, 0))),
        (Reply::string("message_count"), Reply::Integer(messages)),
        (Reply::string("created_at"), Reply::Integer(since_ms / 1000)),
    ])
}

fn number(reply: &Reply<'_>, index: usize) -> i64 {
    match reply {
        Reply::Array(items) => match items.get(index) {
            Some(Reply::Integer(number)) => *number,
            _ => 0,
        },
        _ => 0,
    }
}

/// Each event is name, second and milliseconds of the latest delay, milliseconds of the worst.
fn latest(events: Vec<Reply<'static>>) -> Vec<Reply<'static>> {
    let mut merged: Vec<Vec<Reply<'static>>> = Vec::new();
    for event in events {
        let worst = number(&event, 3);
        let Reply::Array(items) = event else { continue };
        let Some(known) = merged.iter_mut().find(|known| known.first() == items.first()) else {
            merged.push(items);
            continue;
        };
        let known_worst = if let Some(Reply::Integer(worst)) = known.get(3) { *worst } else { 0 };
        if moment(&items) > moment(known) {
            *known = items;
        }
        known[3] = Reply::Integer(worst.max(known_worst));
    }
    merged.into_iter().map(Reply::Array).collect()
}

fn moment(items: &[Reply<'_>]) -> i64 {
    if let Some(Reply::Integer(second)) = items.get(1) { *second } else { 0 }
}

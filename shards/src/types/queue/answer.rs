//! Messages in replies.

use super::id;
use super::state::Queue;
use crate::command::reply::Reply;

/// A name and a value of a reply.
pub(super) type Pair = (Reply<'static>, Reply<'static>);

pub(super) fn pair(name: &'static str, value: Reply<'static>) -> Pair {
    (Reply::borrowed(name.as_bytes()), value)
}

pub(super) fn number(number: u64) -> Reply<'static> {
    Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The name of a message.
pub(super) fn name(queue: &Queue, seq: u64) -> Reply<'static> {
    Reply::owned(id::text(queue.incarnation, seq))
}

/// What a consumer is told of a message that is there.
pub(super) fn message(queue: &Queue, seq: u64) -> Vec<Pair> {
    let Some(message) = queue.message(seq) else { return Vec::new() };
    let headers = message.headers();
    let headers = headers
        .map(|(name, value)| (Reply::owned(name.to_vec()), Reply::owned(value.to_vec())))
        .collect();
    vec![
        pair("message_id", name(queue, seq)),
        pair("payload", Reply::owned(message.body.to_vec())),
        pair("priority", number(u64::from(message.priority))),
        pair("retry_count", number(u64::from(queue.failures(seq)))),
        pair("max_retries", number(u64::from(message.max_retries))),
        pair("headers", Reply::Map(headers)),
        pair("created_at", number(message.published_ms / 1000)),
    ]
}

/// Messages of a list, with how many there are in all.
pub(super) fn listed(messages: Vec<Vec<Pair>>, total: usize) -> Reply<'static> {
    let messages = messages.into_iter().map(Reply::Map).collect();
    Reply::Map(vec![pair("messages", Reply::Array(messages)), pair("total", Reply::count(total))])
}

//! Finding a queue and its messages, and what is said when there is none.

use super::id;
use super::state::Queue;
use crate::command::error::CommandError;
use crate::limits::READ_BYTES_MAX;
use crate::shard::plan::View;
use crate::shard::{Content, Entry, ValueType};
use crate::types::Large;

/// There is no such queue.
pub(super) const NO_QUEUE: CommandError =
    CommandError::Coded { code: "NOQUEUE", message: "Queue not found" };
/// There is no such message, or it is not with who says so.
pub(super) const NO_MESSAGE: CommandError =
    CommandError::Coded { code: "NOMESSAGE", message: "Message not found" };
/// No more messages may wait.
pub(super) const FULL: CommandError =
    CommandError::Coded { code: "QUEUEFULL", message: "Queue is full" };

/// Most messages that one command publishes, takes, lists or settles.
pub(super) const MESSAGES_MAX: usize = 1_000;
/// Bytes of the name of a consumer.
const CONSUMER_BYTES_MAX: usize = 1_024;

/// The queue of a key, if there is one.
pub(super) fn peek<'s>(view: &View<'s>, key: &[u8]) -> Result<Option<&'s Queue>, CommandError> {
    let entry = view.peek_typed(key, ValueType::Queue)?;
    Ok(entry.and_then(|entry| queue_in(&entry)))
}

/// The queue in an entry.
pub(super) fn queue_in<'s>(entry: &Entry<'s>) -> Option<&'s Queue> {
    match entry.content() {
        Content::Large(Large::Queue(queue), _) => Some(queue),
        Content::Large(..) | Content::Packed(_) => None,
    }
}

/// The queue of a key.
pub(super) fn get<'s>(view: &View<'s>, key: &[u8]) -> Result<&'s Queue, CommandError> {
    peek(view, key)?.ok_or(NO_QUEUE)
}

/// The number of the message of a name.
pub(super) fn seq_of(queue: &Queue, name: &[u8]) -> Option<u64> {
    let (incarnation, seq) = id::parse(name)?;
    (incarnation == queue.incarnation).then_some(seq)
}

/// The number of a message that a consumer has: this one, if one is named.
pub(super) fn held(queue: &Queue, name: &[u8], consumer: Option<&[u8]>) -> Option<u64> {
    let seq = seq_of(queue, name)?;
    let hold = queue.hold(seq)?;
    let is_theirs = consumer.is_none_or(|name| is_of(queue.consumers.name(hold.consumer), name));
    is_theirs.then_some(seq)
}

/// Whether a holder is a consumer, or one of its sessions: connections that consume under one name
/// hold under that name, a zero byte and what tells them apart, so that one which ends, or comes
/// late, does not settle what another was given. Who names the consumer alone means all of them.
fn is_of(holder: &[u8], consumer: &[u8]) -> bool {
    holder.strip_prefix(consumer).is_some_and(|rest| matches!(rest, [] | [0, ..]))
}

/// The name of a consumer, or the one that stands for nobody in particular.
pub(super) fn consumer(name: Option<&[u8]>) -> Result<&[u8], CommandError> {
    match name {
        None => Ok(b"anonymous"),
        Some([]) => Err(CommandError::Invalid("a consumer needs a name")),
        Some(name) if name.len() > CONSUMER_BYTES_MAX => {
            Err(CommandError::Invalid("the name of a consumer is longer than 1024 bytes"))
        }
        Some(name) => Ok(name),
    }
}

/// How many messages a command may be about, `default` unless it says.
pub(super) fn count(given: Option<i64>, default: usize) -> Result<usize, CommandError> {
    let Some(number) = given else { return Ok(default) };
    let count = usize::try_from(number).ok().filter(|count| (1..=MESSAGES_MAX).contains(count));
    count.ok_or(CommandError::Invalid("count must be between 1 and 1000"))
}

/// How many to pass over.
pub(super) fn offset(given: Option<i64>) -> Result<usize, CommandError> {
    let offset = usize::try_from(given.unwrap_or(0)).ok();
    offset.ok_or(CommandError::Invalid("offset must not be negative"))
}

/// A choice; it is true unless given.
pub(super) fn truth(word: Option<&[u8]>) -> Result<bool, CommandError> {
    let is = |words: [&str; 3]| {
        word.is_some_and(|word| words.iter().any(|it| word.eq_ignore_ascii_case(it.as_bytes())))
    };
    match word {
        None => Ok(true),
        Some(_) if is(["true", "yes", "1"]) => Ok(true),
        Some(_) if is(["false", "no", "0"]) => Ok(false),
        Some(_) => Err(CommandError::Invalid("a choice must be true or false")),
    }
}

/// As many of these messages from the front as make an answer of [`READ_BYTES_MAX`], one at least:
/// what a consumer is given it must be able to receive.
pub(super) fn that_fit(queue: &Queue, messages: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut bytes = 0;
    let fits = |seq: &u64| {
        let before = bytes;
        bytes += queue.message(*seq).map_or(0, |found| found.body.len() + found.headers.len());
        before == 0 || bytes <= READ_BYTES_MAX
    };
    messages.take_while(fits).collect()
}

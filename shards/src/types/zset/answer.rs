//! Answers about members.

use std::borrow::Cow;

use crate::command::reply::Reply;

/// Members, with their scores if asked for.
pub(super) fn run<'s, M: Into<Cow<'s, [u8]>>>(
    run: impl Iterator<Item = (f64, M)>,
    with_scores: bool,
) -> Reply<'s> {
    let bytes = |member: M| Reply::Bytes(member.into());
    if with_scores {
        Reply::Pairs(run.map(|(score, member)| (bytes(member), Reply::Double(score))).collect())
    } else {
        Reply::Array(run.map(|(_, member)| bytes(member)).collect())
    }
}

/// A score, or nil.
pub(super) fn score(score: Option<f64>) -> Reply<'static> {
    score.map_or(Reply::Nil, Reply::Double)
}

//! `SAVE`, `BGSAVE`, `BGREWRITEAOF`, `LASTSAVE` and `SYNAP.SNAPSHOT`: a word to the coordinator of
//! snapshots. Its answer, where one is waited for, goes to the client when it is there; the
//! connection starts no further request before, the server goes on for everyone else.

use synap_shards::command::args::Args;
use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;

use super::{Handler, SessionContext, Then};
use crate::snapshot::{DISABLED, Snapshots, Wanted};

pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("server.save", |cx, _| wait(cx, Wanted::Word)),
    ("server.snapshot", |cx, _| wait(cx, Wanted::Report)),
    ("server.bgsave", |cx, _| in_background(cx, SAVE)),
    ("server.bgrewriteaof", |cx, _| in_background(cx, REWRITE)),
    ("server.lastsave", last),
];

type Answer = Result<Reply<'static>, CommandError>;

fn snapshots<'c>(cx: &SessionContext<'c>) -> Result<&'c Snapshots, CommandError> {
    cx.shared.snapshots.as_ref().ok_or(DISABLED)
}

fn wait(cx: &mut SessionContext<'_>, wanted: Wanted) -> Answer {
    snapshots(cx)?;
    cx.then = Then::Snapshot(wanted);
    Ok(Reply::Nil)
}

/// What is answered when a snapshot begins, and when one is being written.
type Words = (&'static str, &'static str);
const SAVE: Words = ("Background saving started", "Background save already in progress");
const REWRITE: Words = (
    "Background append only file rewriting started",
    "Background append only file rewriting already in progress",
);

/// `SCHEDULE` matters where another child process may be running; there are none here.
fn in_background(cx: &mut SessionContext<'_>, (begun, busy): Words) -> Answer {
    let begins = snapshots(cx)?.ask_in_background();
    if begins { Ok(Reply::Status(begun)) } else { Err(CommandError::Invalid(busy)) }
}

fn last(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    let started_secs = cx.shared.started_unix_ms / 1000;
    let snapshots = cx.shared.snapshots.as_ref();
    let secs = snapshots.map_or(started_secs, |all| all.facts.last_success_secs.get());
    Ok(Reply::Integer(i64::try_from(secs).unwrap_or(i64::MAX)))
}

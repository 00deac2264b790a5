//! `SAVE`, `BGSAVE`, `LASTSAVE` and `SYNAP.SNAPSHOT`: a word to the coordinator of snapshots. Its
//! answer, where one is waited for, goes to the client when it is there; the connection starts no
//! further request before, the server goes on for everyone else.

use synap_shards::command::args::Args;
use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;

use super::{Handler, SessionContext, Then};
use crate::snapshot::{DISABLED, Snapshots, Wanted};

pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("server.save", |cx, _| wait(cx, Wanted::Word)),
    ("server.snapshot", |cx, _| wait(cx, Wanted::Report)),
    ("server.bgsave", in_background),
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

/// `SCHEDULE` matters where another child process may be running; there are none here.
fn in_background(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    if snapshots(cx)?.ask_in_background() {
        Ok(Reply::Status("Background saving started"))
    } else {
        Err(CommandError::Invalid("Background save already in progress"))
    }
}

fn last(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    let started_secs = cx.shared.started_unix_ms / 1000;
    let snapshots = cx.shared.snapshots.as_ref();
    let secs = snapshots.map_or(started_secs, |all| all.facts.last_success_secs.get());
    Ok(Reply::Integer(i64::try_from(secs).unwrap_or(i64::MAX)))
}

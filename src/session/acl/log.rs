//! `ACL LOG`: who was refused lately, told from the journal of security events. That keeps no keys
//! and no channels, so what was refused is told by its command. A reset hides what there is from
//! here; the journal itself forgets nothing for it.

use std::sync::atomic::Ordering;

use synap_shards::command::args::{Arg, Args, integer};
use synap_shards::command::reply::Reply;

use super::Answer;
use crate::audit::{self, Kind, Page, Recorded, Who};
use crate::session::SessionContext;
use crate::session::client::barred_name;

/// Entries where nobody says how many.
const COUNT: usize = 10;
/// Events that one look at the journal gets at most.
const PAGE: usize = 1000;

pub(super) fn log(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    let hidden = &cx.shared.acl_log_hidden;
    let after = hidden.load(Ordering::Relaxed);
    let count = match args.opt_bytes(Arg(0)) {
        None => COUNT,
        Some(word) if word.eq_ignore_ascii_case(b"RESET") => {
            let (_, last) = refused(after);
            hidden.fetch_max(last, Ordering::Relaxed);
            return Ok(Reply::Ok);
        }
        Some(word) => usize::try_from(integer(word)?).unwrap_or(0),
    };
    let (events, _) = refused(after);
    let latest = events.iter().rev().take(count);
    Ok(Reply::Array(latest.map(|event| entry(event, cx.now.unix_ms)).collect()))
}

/// The refusals in the journal after that number, oldest first, and the number of the last event.
fn refused(mut after: u64) -> (Vec<Recorded>, u64) {
    let mut found = Vec::new();
    loop {
        let Page { events, last, .. } = audit::read(after, PAGE);
        after = last;
        if events.is_empty() {
            return (found, after);
        }
        let is_refusal = |event: &Recorded| {
            matches!(event.event.kind, Kind::Denied | Kind::LoginFailed | Kind::LoginHeldOff)
        };
        found.extend(events.into_iter().filter(is_refusal));
    }
}

/// An event under the names of Redis.
fn entry(recorded: &Recorded, now_ms: u64) -> Reply<'static> {
    let Recorded { id, unix_ms, event, left_out } = recorded;
    let text = |text: &str| Reply::string(text.to_owned());
    let number = |number: u64| Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let (reason, object) = match event.kind {
        Kind::Denied => ("command", barred_name(event.detail)),
        _ => ("auth", event.detail.to_owned()),
    };
    let user = match (&event.object, &event.who) {
        (Some(name), _) | (None, Who::User(name) | Who::Certificate(name) | Who::Key(name)) => {
            name.to_string()
        }
        (None, Who::Anonymous | Who::Operator) => "default".to_owned(),
    };
    let age = now_ms.saturating_sub(*unix_ms) as f64 / 1000.0;
    let address = event.address.map_or_else(String::new, |address| format!("addr={address}"));
    let facts = [
        ("count", number(left_out.saturating_add(1))),
        ("reason", text(reason)),
        ("context", text("toplevel")),
        ("object", text(&object)),
        ("username", text(&user)),
        ("age-seconds", Reply::Double(age)),
        ("client-info", text(&address)),
        ("entry-id", number(*id)),
        ("timestamp-created", number(*unix_ms)),
        ("timestamp-last-updated", number(*unix_ms)),
    ];
    Reply::Map(facts.into_iter().map(|(name, fact)| (text(name), fact)).collect())
}

//! `CLIENT` and its subcommands.

use synap_shards::command::args::{Arg, Args, integer};
use synap_shards::command::error::{CommandError, quote};
use synap_shards::command::reply::Reply;

use super::client::{Client, Listener, ReplyMode};
use super::{CoreContext, CoreHandler, Handler, SessionContext};

pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("client.id", |cx, _| Ok(Reply::Integer(cx.client.id as i64))),
    ("client.info", info),
    ("client.setname", set_name),
    ("client.getname", get_name),
    ("client.setinfo", set_info),
    ("client.no-evict", no_evict),
    ("client.no-touch", no_touch),
    ("client.reply", reply),
];
pub(super) const CORE_HANDLERS: &[(&str, CoreHandler)] =
    &[("client.list", list), ("client.kill", kill)];

type Answer = Result<Reply<'static>, CommandError>;

/// Bytes of a name; it stands in every line of `CLIENT LIST`.
const NAME_BYTES_MAX: usize = 512;

/// A name for a connection, or the refusal of one with blanks or unprintable characters.
pub(super) fn check_name(name: &[u8]) -> Result<String, CommandError> {
    printable(name).ok_or(CommandError::Invalid(
        "Client names cannot contain spaces, newlines or special characters.",
    ))
}

fn printable(text: &[u8]) -> Option<String> {
    let fits = text.len() <= NAME_BYTES_MAX && text.iter().all(u8::is_ascii_graphic);
    fits.then(|| text.iter().map(|byte| char::from(*byte)).collect())
}

fn info(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    Ok(Reply::Text(cx.client.describe(cx.now.unix_ms) + "\n"))
}

fn set_name(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    cx.client.name = check_name(args.bytes(Arg(0)))?;
    Ok(Reply::Ok)
}

fn get_name(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    let name = &cx.client.name;
    Ok(if name.is_empty() { Reply::Nil } else { Reply::string(name.as_str()) })
}

fn set_info(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    let (attribute, value) = (args.bytes(Arg(0)), args.bytes(Arg(1)));
    let (place, refusal) = if attribute.eq_ignore_ascii_case(b"lib-name") {
        (&mut cx.client.lib_name, "lib-name cannot contain spaces, newlines or special characters.")
    } else if attribute.eq_ignore_ascii_case(b"lib-ver") {
        (&mut cx.client.lib_ver, "lib-ver cannot contain spaces, newlines or special characters.")
    } else {
        return Err(CommandError::Quoted {
            before: "Unrecognized option '",
            found: quote(attribute),
            after: "'",
        });
    };
    *place = printable(value).ok_or(CommandError::Invalid(refusal))?;
    Ok(Reply::Ok)
}

fn is_on(args: &Args<'_>) -> bool {
    args.choice(Arg(0)).is_some_and(|(index, _)| index == 0)
}

fn no_evict(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    cx.client.no_evict = is_on(args);
    Ok(Reply::Ok)
}

fn no_touch(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    cx.client.no_touch = is_on(args);
    Ok(Reply::Ok)
}

fn reply(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    const ON: usize = 0;
    const OFF: usize = 1;
    let client = &mut *cx.client;
    match args.choice(Arg(0)).map(|(index, _)| index) {
        Some(ON) => (client.reply_mode, client.skipping) = (ReplyMode::On, false),
        Some(OFF) => client.reply_mode = ReplyMode::Off,
        // Of a client that wants no replies at all there is nothing to skip.
        _ if client.reply_mode == ReplyMode::Off => {}
        _ => (client.reply_mode, client.skipping) = (ReplyMode::SkipNext, true),
    }
    Ok(Reply::Ok)
}

/// What `CLIENT LIST` and `CLIENT KILL` choose connections by. All given conditions must hold.
#[derive(Debug)]
struct Filter {
    ids: Option<Vec<u64>>,
    /// Whether ordinary clients are meant; there are no others.
    kind: bool,
    user: bool,
    peer: Option<String>,
    local: Option<String>,
    spares_caller: bool,
    age_seconds_min: u64,
}

impl Filter {
    fn everyone() -> Self {
        Self {
            ids: None,
            kind: true,
            user: true,
            peer: None,
            local: None,
            spares_caller: false,
            age_seconds_min: 0,
        }
    }

    fn takes(&self, client: &Client, caller: u64, now_ms: u64) -> bool {
        let age_seconds = now_ms.saturating_sub(client.created_ms) / 1000;
        self.kind
            && self.user
            // Connections of HTTP clients come and go with requests and speak no RESP.
            && client.listener != Listener::Http
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&client.id))
            && self.peer.as_ref().is_none_or(|peer| *peer == client.peer.to_string())
            && self.local.as_ref().is_none_or(|local| *local == client.local.to_string())
            && !(self.spares_caller && client.id == caller)
            && age_seconds >= self.age_seconds_min
    }
}

fn is_normal(kind: &[u8]) -> Result<bool, CommandError> {
    if kind.eq_ignore_ascii_case(b"normal") {
        return Ok(true);
    }
    let others: [&[u8]; 4] = [b"master", b"replica", b"slave", b"pubsub"];
    if others.iter().any(|other| kind.eq_ignore_ascii_case(other)) {
        return Ok(false);
    }
    Err(CommandError::Quoted { before: "Unknown client type '", found: quote(kind), after: "'" })
}

fn client_number(word: &[u8], refusal: &'static str) -> Result<u64, CommandError> {
    let number = integer(word).ok().and_then(|number| u64::try_from(number).ok());
    number.filter(|number| *number > 0).ok_or(CommandError::Invalid(refusal))
}

fn list(cx: &mut CoreContext<'_>, args: &Args<'_>) -> Answer {
    let mut filter = Filter::everyone();
    match args.rest(Arg(0)) {
        [] => {}
        [word, kind] if word.eq_ignore_ascii_case(b"type") => filter.kind = is_normal(kind)?,
        [word, ids @ ..] if word.eq_ignore_ascii_case(b"id") && !ids.is_empty() => {
            let ids: Result<_, _> =
                ids.iter().map(|id| client_number(id, "Invalid client ID")).collect();
            filter.ids = Some(ids?);
        }
        _ => return Err(CommandError::Syntax),
    }
    let (caller, now_ms, mut text) = (cx.caller, cx.now.unix_ms, String::new());
    cx.clients.each(&mut |client| {
        if filter.takes(client, caller, now_ms) {
            text.push_str(&client.describe(now_ms));
            text.push('\n');
        }
    });
    Ok(Reply::Text(text))
}

fn kill(cx: &mut CoreContext<'_>, args: &Args<'_>) -> Answer {
    let filter = kill_filter(args.rest(Arg(0)))?;
    let (caller, now_ms, mut found) = (cx.caller, cx.now.unix_ms, Vec::new());
    cx.clients.each(&mut |client| {
        if filter.takes(client, caller, now_ms) {
            found.push(client.id);
        }
    });
    found.iter().for_each(|id| cx.clients.kill(*id));
    Ok(Reply::count(found.len()))
}

fn kill_filter(words: &[&[u8]]) -> Result<Filter, CommandError> {
    let text = |bytes: &[u8]| Some(String::from_utf8_lossy(bytes).into_owned());
    let mut filter = Filter::everyone();
    if let [address] = words {
        filter.peer = text(address);
        return Ok(filter);
    }
    filter.spares_caller = true;
    let (pairs, rest) = words.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(CommandError::Syntax);
    }
    for [name, value] in pairs {
        match name.to_ascii_lowercase().as_slice() {
            b"id" => {
                let refusal = "client-id should be greater than 0";
                filter.ids = Some(vec![client_number(value, refusal)?]);
            }
            b"maxage" => {
                let refusal = "maxage is not an integer or out of range";
                filter.age_seconds_min = client_number(value, refusal)?;
            }
            b"type" => filter.kind = is_normal(value)?,
            b"user" => filter.user = known_user(value)?,
            b"addr" => filter.peer = text(value),
            b"laddr" => filter.local = text(value),
            b"skipme" if value.eq_ignore_ascii_case(b"yes") => filter.spares_caller = true,
            b"skipme" if value.eq_ignore_ascii_case(b"no") => filter.spares_caller = false,
            _ => return Err(CommandError::Syntax),
        }
    }
    Ok(filter)
}

fn known_user(name: &[u8]) -> Result<bool, CommandError> {
    if name == b"default" {
        return Ok(true);
    }
    Err(CommandError::Quoted { before: "No such user '", found: quote(name), after: "'" })
}

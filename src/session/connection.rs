//! `PING`, `ECHO`, `HELLO`, `AUTH`, `SELECT`, `QUIT`, `RESET`, and the `HELP` of every command of
//! subcommands.
//!
//! While access control is off, the default user needs no password, as in a Redis without one.
//! Otherwise the pump has the credentials looked into before, and what came of it is taken here.

use synap_shards::command::args::{Arg, Args, integer};
use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::command::spec::{ArgKind, ArgSpec};
use synap_shards::command::table::{self, CommandId};

use super::client::Listener;
use super::clients::check_name;
use super::{Handler, REDIS_VERSION, SessionContext, Then};
use crate::auth::{Refusal, Verdict};
use crate::protocol::resp::encode::Protocol;

pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("connection.ping", ping),
    ("connection.echo", |_, args| Ok(Reply::owned(args.bytes(Arg(0)).to_vec()))),
    ("connection.hello", hello),
    ("connection.auth", auth),
    ("connection.select", select),
    ("connection.quit", quit),
    ("connection.reset", reset),
    ("acl.help", help),
    ("client.help", help),
    ("cluster.help", help),
    ("command.help", help),
    ("config.help", help),
    ("latency.help", help),
    ("memory.help", help),
    ("module.help", help),
    ("pubsub.help", help),
    ("script.help", help),
    ("function.help", help),
    ("slowlog.help", help),
];

type Answer = Result<Reply<'static>, CommandError>;

fn ping(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    if cx.client.is_subscribed() && cx.client.protocol == Protocol::Resp2 {
        // The form of a message, for that is what such a client expects.
        let message = args.opt_bytes(Arg(0)).unwrap_or_default();
        let words = [Reply::borrowed(b"pong"), Reply::owned(message.to_vec())];
        return Ok(Reply::Array(words.into()));
    }
    Ok(match args.opt_bytes(Arg(0)) {
        None => Reply::Status("PONG"),
        Some(message) => Reply::owned(message.to_vec()),
    })
}

const WRONG_PASSWORD: CommandError = CommandError::Denied {
    code: "WRONGPASS",
    message: "invalid username-password pair or user is disabled.",
};
const WITHOUT_PASSWORD: CommandError = CommandError::Invalid(
    "AUTH <password> called without any password configured for the default user. Are you sure \
     your configuration is correct?",
);
const NOT_NOW: CommandError = CommandError::Coded {
    code: "ERR",
    message: "who you are cannot be looked into now: too many ask, or you are inside MULTI",
};
const HELLO_WITHOUT_AUTH: CommandError = CommandError::Denied {
    code: "NOAUTH",
    message: "HELLO must be called with the client already authenticated, otherwise the HELLO \
              <proto> AUTH <user> <pass> option can be used to authenticate the client and select \
              the RESP protocol version at the same time",
};

/// A name, where there is one, and a secret.
pub type Credentials<'w> = (Option<&'w [u8]>, &'w [u8]);

/// The credentials among the words of a command, if it has some.
pub fn credentials<'w>(command: CommandId, words: &'w [&'w [u8]]) -> Option<Credentials<'w>> {
    let spec = command.spec();
    match spec.id {
        "connection.auth" => match words {
            [_, secret] => Some((None, secret)),
            [_, user, secret] => Some((Some(user), secret)),
            _ => None,
        },
        "connection.hello" => {
            const AUTH: Arg = Arg(1);
            let args = Args::parse(spec, words).ok()?;
            match args.rest(AUTH) {
                [user, secret] => Some((Some(user), secret)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Takes the verdict on the credentials of this command.
fn enter(cx: &mut SessionContext<'_>, user: Option<&[u8]>) -> Result<(), CommandError> {
    match cx.client.verdict.take() {
        Some(Verdict::Granted(identity)) => {
            cx.client.becomes(identity);
            Ok(())
        }
        Some(Verdict::Refused(Refusal::HeldOff { wait_ms })) => {
            Err(CommandError::HeldOff { wait_ms })
        }
        Some(Verdict::Refused(_)) => Err(WRONG_PASSWORD),
        None if cx.shared.authority.current().1.is_enabled() => Err(NOT_NOW),
        None => match user {
            None => Err(WITHOUT_PASSWORD),
            Some(b"default") => Ok(()),
            Some(_) => Err(WRONG_PASSWORD),
        },
    }
}

fn auth(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    const USER: Arg = Arg(0);
    enter(cx, args.opt_bytes(USER)).map(|()| Reply::Ok)
}

fn hello(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    const VERSION: Arg = Arg(0);
    const AUTH: Arg = Arg(1);
    const SETNAME: Arg = Arg(2);
    let protocol = match args.opt_bytes(VERSION).map(integer) {
        None => cx.client.protocol,
        Some(Ok(2)) => Protocol::Resp2,
        Some(Ok(3)) => Protocol::Resp3,
        Some(Ok(_)) => {
            let message = "unsupported protocol version";
            return Err(CommandError::Coded { code: "NOPROTO", message });
        }
        Some(Err(_)) => {
            let message = "Protocol version is not an integer or out of range";
            return Err(CommandError::Invalid(message));
        }
    };
    match args.rest(AUTH) {
        [user, _] => enter(cx, Some(user))?,
        _ if cx.client.is_bound => {
            let is_required = cx.shared.authority.current().1.is_required();
            if is_required && !cx.client.identity.who().is_authenticated() {
                return Err(HELLO_WITHOUT_AUTH);
            }
        }
        _ => {}
    }
    if let Some(name) = args.opt_bytes(SETNAME) {
        cx.client.name = check_name(name)?;
    }
    cx.client.protocol = protocol;
    Ok(greeting(cx))
}

fn greeting(cx: &SessionContext<'_>) -> Reply<'static> {
    let mode = match cx.client.listener {
        Listener::RespShard => "cluster",
        Listener::Resp | Listener::Http => "standalone",
    };
    let pair = |name: &'static str, value| (Reply::borrowed(name.as_bytes()), value);
    Reply::Map(vec![
        // Client libraries look for this name before they use what Redis has.
        pair("server", Reply::string("redis")),
        pair("version", Reply::string(REDIS_VERSION)),
        pair("proto", Reply::Integer(cx.client.protocol.number())),
        pair("id", Reply::Integer(cx.client.id as i64)),
        pair("mode", Reply::string(mode)),
        pair("role", Reply::string("master")),
        pair("modules", Reply::Array(Vec::new())),
    ])
}

/// What a request for another database than the one there is gets.
pub(super) const NO_SUCH_DATABASE: CommandError = CommandError::Invalid("DB index is out of range");

/// There is one database. Another is refused rather than taken for the same, so that nobody finds
/// the data of two applications mixed.
fn select(_: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    match args.integer(Arg(0)) {
        0 => Ok(Reply::Ok),
        _ => Err(NO_SUCH_DATABASE),
    }
}

fn quit(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    cx.then = Then::Close;
    Ok(Reply::Ok)
}

fn reset(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    cx.client.reset();
    let directory = cx.shared.authority.current().1;
    let identity = cx.client.unsaid(&directory, cx.now.unix_ms);
    cx.client.becomes(identity);
    Ok(Reply::Status("RESET"))
}

/// The subcommands of a command with their arguments and summaries, from the table.
fn help(_: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    let container = args.words()[0];
    let subcommands = table::subcommands(container).unwrap_or_default();
    let name = String::from_utf8_lossy(container).to_ascii_uppercase();
    let head = format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    let mut lines = vec![Reply::string(head)];
    for spec in subcommands.iter().map(|id| id.spec()) {
        let mut usage = spec.subcommand().unwrap_or_default().to_owned();
        spec.args.iter().for_each(|arg| add_usage(arg, &mut usage));
        lines.push(Reply::string(usage));
        lines.push(Reply::string(format!("    {}.", spec.summary)));
    }
    Ok(Reply::Array(lines))
}

fn add_usage(arg: &ArgSpec, usage: &mut String) {
    let mut text = arg.token.to_owned();
    match arg.kind {
        ArgKind::Flag => {}
        ArgKind::OneOf(choices) => {
            let words: Vec<&str> = choices.iter().map(|choice| choice.token).collect();
            text.push_str(&words.join("|"));
        }
        ArgKind::Block(parts) => parts.iter().for_each(|part| add_usage(part, &mut text)),
        ArgKind::Key
        | ArgKind::Name(_)
        | ArgKind::Bytes
        | ArgKind::Integer
        | ArgKind::Float
        | ArgKind::Pattern => {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&format!("<{}>", arg.name));
        }
    }
    if arg.repeated {
        text.push_str(" ...");
    }
    usage.push(' ');
    usage.push_str(&if arg.optional { format!("[{text}]") } else { text });
}

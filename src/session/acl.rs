//! `ACL`: users and what they may do, in the words of Redis. What tells is answered here; what
//! changes becomes a [`Change`], which is made on another thread and answered when it is on disk.
//!
//! Who has its rights by roles is shown in the words that [`crate::auth::acl::rule`] adds, so that
//! what is shown of a user makes the same user again.

mod show;

use synap_io::clock;
use synap_shards::command::args::{Arg, Args};
use synap_shards::command::error::{CommandError, quote};
use synap_shards::command::reply::Reply;
use synap_shards::command::spec::Flags;
use synap_shards::command::table;

use super::authorize::{self, Missing, Need, Place};
use super::client::barred_name;
use super::{Handler, SessionContext, Then};
use crate::auth::acl::category;
use crate::auth::{Change, ChangeRefused, Changed, Directory, Rights, Step, Who};
use show::Shown;

pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("acl.whoami", |cx, _| Ok(Reply::owned(cx.client.user().as_bytes().to_vec()))),
    ("acl.cat", cat),
    ("acl.genpass", genpass),
    ("acl.users", users),
    ("acl.list", list),
    ("acl.getuser", get_user),
    ("acl.setuser", set_user),
    ("acl.deluser", delete_users),
    ("acl.dryrun", dry_run),
    ("acl.save", |cx, _| change(cx, Change::Save)),
    ("acl.load", |cx, _| change(cx, Change::Load)),
];

/// The user that connections belong to which have not said who they are.
const DEFAULT: &str = "default";
/// Bits of a password that is made of chance.
const BITS: i64 = 256;
const BITS_MAX: i64 = 4096;

const OFF: CommandError = CommandError::Invalid(
    "access control is off: everyone may do everything (authentication.enabled)",
);
const BAD_BITS: CommandError = CommandError::Invalid(
    "ACL GENPASS argument must be the number of bits for the output password, a positive number \
     up to 4096",
);

type Answer = Result<Reply<'static>, CommandError>;

fn cat(_: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    let Some(wanted) = args.opt_bytes(Arg(0)) else {
        return Ok(Reply::Array(category::CATEGORIES.map(Reply::string).into()));
    };
    let known = std::str::from_utf8(wanted).ok().and_then(category::known);
    let known = known.ok_or_else(|| CommandError::Quoted {
        before: "Unknown category '",
        found: quote(wanted),
        after: "'",
    })?;
    let commands = table::commands().filter(|spec| category::is_in(spec, known));
    Ok(Reply::Array(commands.map(|spec| Reply::string(barred_name(spec.resp))).collect()))
}

fn genpass(_: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    let bits = args.opt_integer(Arg(0)).unwrap_or(BITS);
    if !(1..=BITS_MAX).contains(&bits) {
        return Err(BAD_BITS);
    }
    let digits = usize::try_from(bits).expect("positive").div_ceil(4);
    let mut text = String::with_capacity(digits + 16);
    while text.len() < digits {
        text.push_str(&format!("{:016x}", clock::entropy()));
    }
    text.truncate(digits);
    Ok(Reply::string(text))
}

fn directory(cx: &SessionContext<'_>) -> std::sync::Arc<Directory> {
    cx.shared.authority.current().1
}

/// The names of the users, and of the one that is always there.
fn names(directory: &Directory) -> Vec<String> {
    let mut names: Vec<String> = directory.users().map(|user| user.name.to_string()).collect();
    if directory.user(DEFAULT).is_none() {
        names.push(DEFAULT.to_owned());
        names.sort();
    }
    names
}

/// What there is to show of the user of a name.
fn shown(directory: &Directory, name: &str) -> Option<Shown> {
    match directory.user(name) {
        Some(user) => Some(Shown::of(user)),
        None if name == DEFAULT => Some(Shown::anonymous(directory)),
        None => None,
    }
}

fn rights(directory: &Directory, name: &str) -> Option<Rights> {
    let user = directory.user(name)?;
    Some(directory.rights_of(user, &Who::User(std::sync::Arc::clone(&user.name))))
}

fn users(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    Ok(Reply::Array(names(&directory(cx)).into_iter().map(Reply::string).collect()))
}

fn list(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    let directory = directory(cx);
    let names = names(&directory);
    let line = |name: &String| Some(Reply::string(shown(&directory, name)?.line(name)));
    Ok(Reply::Array(names.iter().filter_map(line).collect()))
}

fn get_user(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    let directory = directory(cx);
    let name = std::str::from_utf8(args.bytes(Arg(0))).ok();
    let shown = name.and_then(|name| shown(&directory, name));
    Ok(shown.map_or(Reply::Nil, |shown| shown.reply()))
}

/// Has a change made; the reply comes when it is.
fn change(cx: &mut SessionContext<'_>, change: Change) -> Answer {
    if !directory(cx).is_enabled() {
        return Err(OFF);
    }
    cx.change = Some(Box::new(change));
    cx.then = Then::Change;
    Ok(Reply::Nil)
}

fn text(word: &[u8]) -> Result<String, CommandError> {
    let text = std::str::from_utf8(word).map(str::to_owned);
    text.map_err(|_| CommandError::Invalid("user names are UTF-8"))
}

fn set_user(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    const NAME: Arg = Arg(0);
    const RULES: Arg = Arg(1);
    let name = text(args.bytes(NAME))?;
    let steps = Step::read(args.rest(RULES)).map_err(|why| refusal(&why))?;
    change(cx, Change::SetUser { name, steps })
}

fn delete_users(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    let words = args.rest(Arg(0)).iter();
    let names = words.map(|word| text(word)).collect::<Result<Vec<String>, _>>()?;
    if names.iter().any(|name| name == DEFAULT) {
        return Err(CommandError::Invalid("The 'default' user cannot be removed"));
    }
    change(cx, Change::DeleteUsers { names })
}

/// What came of a change.
pub(crate) fn changed(outcome: Result<Changed, ChangeRefused>) -> Reply<'static> {
    match outcome {
        Ok(Changed::Count(count)) => Reply::count(count),
        Ok(Changed::Done | Changed::Key(_)) => Reply::Ok,
        Err(why) => Reply::Error(refusal(&why)),
    }
}

fn refusal(why: &ChangeRefused) -> CommandError {
    match why {
        ChangeRefused::NotAllowed => CommandError::Denied {
            code: "NOPERM",
            message: "only who may do everything may change what others may do",
        },
        other => CommandError::Quoted { before: "", found: other.to_string(), after: "" },
    }
}

fn dry_run(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    let directory = directory(cx);
    let user = args.bytes(Arg(0));
    let name = std::str::from_utf8(user).unwrap_or_default();
    let anonymous = directory.anonymous();
    let found = rights(&directory, name);
    let rights = match &found {
        Some(rights) => rights,
        None if name == DEFAULT => anonymous.rights(),
        None => {
            let found = quote(user);
            return Err(CommandError::Quoted { before: "User '", found, after: "' not found" });
        }
    };
    let request = &args.words()[3..];
    let command = table::lookup(request).map_err(|_| CommandError::Quoted {
        before: "Command '",
        found: quote(request[0]),
        after: "' not found",
    })?;
    let spec = command.spec();
    // What else may be wrong with the words, only who may run them learns.
    if let Err(error @ CommandError::WrongArity { .. }) = Args::parse(spec, request) {
        return Err(error);
    }
    if rights.is_admin() || spec.flags.has(Flags::NO_AUTH) {
        return Ok(Reply::Ok);
    }
    let mut last = String::new();
    let mut tell = |need: Need<'_>| last = quote(need.name);
    let missing = match authorize::admits_telling(rights, command, request, Place::Alone, &mut tell)
    {
        Ok(()) => return Ok(Reply::Ok),
        Err(missing) => missing,
    };
    let what = match missing {
        Missing::Name => format!("access the '{last}' key"),
        Missing::Channel => format!("access the '{last}' channel"),
        Missing::Command => format!("run the '{}' command", barred_name(spec.resp)),
    };
    Ok(Reply::string(format!("User {name} has no permissions to {what}")))
}

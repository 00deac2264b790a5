//! `COMMAND` and its subcommands: the table of commands in the shapes that clients parse.

use synap_shards::command::args::{Arg, Args};
use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::command::spec::{
    Access, ArgKind, ArgSpec, Atomicity, CommandSpec, Flags, Fold, Keys, PerKey, least_arguments,
};
use synap_shards::command::table::{self, CommandId};
use synap_shards::glob;

use super::client::barred_name;
use super::{Handler, SessionContext};
use crate::auth::acl::category::categories;

pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("command.all", |_, _| Ok(Reply::Array(top_level().map(info_of).collect()))),
    ("command.count", |_, _| Ok(Reply::count(top_level().count()))),
    ("command.info", info),
    ("command.docs", docs),
    ("command.list", list),
    ("command.getkeys", get_keys),
    ("command.getkeysandflags", get_keys_and_flags),
];

type Answer = Result<Reply<'static>, CommandError>;
type Pairs = Vec<(Reply<'static>, Reply<'static>)>;

/// Names without subcommands, each once, in the order of the table.
fn top_level() -> impl Iterator<Item = &'static str> {
    let mut seen = std::collections::BTreeSet::new();
    table::commands().map(CommandSpec::container).filter(move |name| seen.insert(*name))
}

fn words(list: &[&'static str]) -> Reply<'static> {
    Reply::Set(list.iter().copied().map(Reply::Status).collect())
}

/// What one name means: a command, subcommands, or both.
struct Named {
    spec: Option<&'static CommandSpec>,
    subcommands: &'static [CommandId],
}

fn named(name: &[u8]) -> Named {
    let spec = table::by_name(name).map(CommandId::spec);
    Named { spec, subcommands: table::subcommands(name).unwrap_or_default() }
}

fn info_of(name: &str) -> Reply<'static> {
    let Named { spec, subcommands } = named(name.as_bytes());
    let nested = subcommands.iter().map(|id| info_entry(id.spec(), Vec::new())).collect();
    match spec {
        Some(spec) => info_entry(spec, nested),
        None => container_entry(name, nested),
    }
}

/// The ten columns of `COMMAND INFO`.
fn info_entry(spec: &CommandSpec, nested: Vec<Reply<'static>>) -> Reply<'static> {
    let (first, last, step) = key_range(spec);
    // A command that has subcommands besides takes their words too.
    let arity = if nested.is_empty() { spec.arity() } else { -spec.arity().abs() };
    Reply::Array(vec![
        Reply::string(barred_name(spec.resp)),
        Reply::Integer(arity),
        words(&flags(spec)),
        Reply::Integer(first),
        Reply::Integer(last),
        Reply::Integer(step),
        words(&categories(spec)),
        Reply::Array(tips(spec).iter().map(|tip| Reply::string(*tip)).collect()),
        Reply::Array(key_spec(spec).into_iter().collect()),
        Reply::Array(nested),
    ])
}

fn container_entry(name: &str, nested: Vec<Reply<'static>>) -> Reply<'static> {
    let empty = || Reply::Array(Vec::new());
    Reply::Array(vec![
        Reply::string(name.to_ascii_lowercase()),
        Reply::Integer(-2),
        words(&[]),
        Reply::Integer(0),
        Reply::Integer(0),
        Reply::Integer(0),
        words(&["@slow"]),
        empty(),
        empty(),
        Reply::Array(nested),
    ])
}

/// Positions of first and last key and their distance, counted with all words of the name.
fn key_range(spec: &CommandSpec) -> (i64, i64, i64) {
    let shift = spec.words() as i64 - 1;
    match spec.keys {
        Keys::None | Keys::AllShards(_) | Keys::Cursor => (0, 0, 0),
        Keys::Range { first, last, step } => {
            let last = last as i64;
            (first as i64 + shift, if last < 0 { last } else { last + shift }, step as i64)
        }
        Keys::Counted { also: 0, .. } | Keys::Streams => (0, 0, 0),
        Keys::Counted { also: at, .. } | Keys::Tokened { first: at, .. } => {
            (at as i64 + shift, at as i64 + shift, 1)
        }
    }
}

fn flags(spec: &CommandSpec) -> Vec<&'static str> {
    let access = match spec.access {
        Access::Open => None,
        Access::Read => Some("readonly"),
        Access::Write => Some("write"),
        Access::Admin => Some("admin"),
    };
    let flag = |flag, name| spec.flags.has(flag).then_some(name);
    access
        .into_iter()
        .chain(flag(Flags::DENY_OOM, "denyoom"))
        .chain(flag(Flags::NO_SCRIPT, "noscript"))
        .chain(flag(Flags::FAST, "fast"))
        .chain(flag(Flags::NO_AUTH, "no_auth"))
        .chain(flag(Flags::SKIP_SLOWLOG, "skip_slowlog"))
        .chain(flag(Flags::BLOCKING, "blocking"))
        .chain(has_movable_keys(spec).then_some("movablekeys"))
        .collect()
}

/// Whether the positions of its keys depend on its arguments.
fn has_movable_keys(spec: &CommandSpec) -> bool {
    matches!(spec.keys, Keys::Counted { .. } | Keys::Tokened { .. } | Keys::Streams)
}

/// Hints for clients that spread commands over nodes.
fn tips(spec: &CommandSpec) -> Vec<&'static str> {
    let mut tips = Vec::new();
    if spec.flags.has(Flags::RANDOM) {
        tips.push("nondeterministic_output");
    }
    match (spec.keys, spec.atomicity) {
        (Keys::AllShards(Fold::Sum), _) => {
            tips.extend(["request_policy:all_shards", "response_policy:agg_sum"]);
        }
        (Keys::AllShards(_), _) => tips.push("request_policy:all_shards"),
        (Keys::Cursor, _) => tips.push("request_policy:special"),
        (_, Atomicity::PerKey(PerKey::Sum)) => {
            tips.extend(["request_policy:multi_shard", "response_policy:agg_sum"]);
        }
        (_, Atomicity::PerKey(PerKey::Array)) => tips.push("request_policy:multi_shard"),
        (_, Atomicity::Single | Atomicity::Whole) => {}
    }
    tips
}

fn key_flags(spec: &CommandSpec) -> &'static [&'static str] {
    if spec.access == Access::Write { &["RW", "update"] } else { &["RO", "access"] }
}

/// Where the keys are, in the form of key specifications: begin at an index, go through a range.
fn key_spec(spec: &CommandSpec) -> Option<Reply<'static>> {
    let (first, last, step) = key_range(spec);
    let name = |name: &str| Reply::string(name);
    let search = |kind: &str, facts: Pairs| {
        Reply::Map(vec![(name("type"), name(kind)), (name("spec"), Reply::Map(facts))])
    };
    // Relative to the first key, unless counted from the end.
    let last = if last < 0 { last } else { last - first };
    let range = vec![
        (name("lastkey"), Reply::Integer(last)),
        (name("keystep"), Reply::Integer(step)),
        (name("limit"), Reply::Integer(0)),
    ];
    (first > 0).then(|| {
        Reply::Map(vec![
            (name("flags"), words(key_flags(spec))),
            (name("begin_search"), search("index", vec![(name("index"), Reply::Integer(first))])),
            (name("find_keys"), search("range", range)),
        ])
    })
}

fn info(_: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    let entry = |name: &&[u8]| match named(name) {
        Named { spec: None, subcommands: [] } => Reply::Nil,
        Named { spec: Some(spec), subcommands: [] } => info_entry(spec, Vec::new()),
        _ => info_of(&String::from_utf8_lossy(name)),
    };
    Ok(Reply::Array(match args.rest(Arg(0)) {
        [] => top_level().map(info_of).collect(),
        names => names.iter().map(entry).collect(),
    }))
}

fn docs(_: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    let entry = |name: &str| {
        let Named { spec, subcommands } = named(name.as_bytes());
        (spec.is_some() || !subcommands.is_empty())
            .then(|| (Reply::string(barred_name(name)), docs_of(name, spec, subcommands)))
    };
    Ok(Reply::Map(match args.rest(Arg(0)) {
        [] => top_level().filter_map(entry).collect(),
        names => names.iter().filter_map(|name| entry(&String::from_utf8_lossy(name))).collect(),
    }))
}

fn docs_of(name: &str, spec: Option<&CommandSpec>, subcommands: &[CommandId]) -> Reply<'static> {
    let text = |text: &str| Reply::string(text);
    let mut pairs: Pairs = match spec {
        Some(spec) => vec![
            (text("summary"), text(spec.summary)),
            (text("since"), text(spec.since)),
            (text("group"), text(spec.family.name())),
            (text("complexity"), text(spec.complexity)),
        ],
        None => {
            let first = subcommands.first().map(|id| id.spec());
            let summary = format!("A container for {} commands", name.to_ascii_uppercase());
            vec![
                (text("summary"), Reply::string(summary)),
                (text("since"), text(first.map_or("", |spec| spec.since))),
                (text("group"), text(first.map_or("", |spec| spec.family.name()))),
                (text("complexity"), text("Depends on subcommand.")),
            ]
        }
    };
    let arguments = spec.map_or(&[][..], |spec| spec.args);
    if !arguments.is_empty() {
        pairs.push((text("arguments"), arguments_of(arguments)));
    }
    if !subcommands.is_empty() {
        let entry = |id: &CommandId| {
            let resp = id.spec().resp;
            (Reply::string(barred_name(resp)), docs_of(resp, Some(id.spec()), &[]))
        };
        pairs.push((text("subcommands"), Reply::Map(subcommands.iter().map(entry).collect())));
    }
    Reply::Map(pairs)
}

fn arguments_of(arguments: &[ArgSpec]) -> Reply<'static> {
    Reply::Array(arguments.iter().map(|arg| argument(arg, arg.optional)).collect())
}

/// The alternatives of a choice. The choice is optional or not, they are not: clients would show
/// brackets around each.
fn alternatives_of(choices: &[ArgSpec]) -> Reply<'static> {
    Reply::Array(choices.iter().map(|choice| argument(choice, false)).collect())
}

fn argument(arg: &ArgSpec, optional: bool) -> Reply<'static> {
    let text = |text: &str| Reply::string(text);
    let (kind, nested): (&str, &[ArgSpec]) = match arg.kind {
        ArgKind::Key => ("key", &[]),
        ArgKind::Name(_) | ArgKind::Bytes => ("string", &[]),
        ArgKind::Integer => ("integer", &[]),
        ArgKind::Float => ("double", &[]),
        ArgKind::Pattern => ("pattern", &[]),
        ArgKind::Flag => ("pure-token", &[]),
        ArgKind::OneOf(choices) => ("oneof", choices),
        ArgKind::Block(parts) => ("block", parts),
    };
    let mut pairs = vec![(text("name"), text(arg.name)), (text("type"), text(kind))];
    if nested.is_empty() && kind != "pure-token" {
        pairs.push((text("display_text"), text(arg.name)));
    }
    if kind == "key" {
        pairs.push((text("key_spec_index"), Reply::Integer(0)));
    }
    if !arg.token.is_empty() {
        pairs.push((text("token"), text(arg.token)));
    }
    let flags: Vec<&'static str> = [(optional, "optional"), (arg.repeated, "multiple")]
        .into_iter()
        .filter_map(|(set, name)| set.then_some(name))
        .collect();
    if !flags.is_empty() {
        pairs.push((text("flags"), words(&flags)));
    }
    if !nested.is_empty() {
        let inner = if kind == "oneof" { alternatives_of(nested) } else { arguments_of(nested) };
        pairs.push((text("arguments"), inner));
    }
    Reply::Map(pairs)
}

fn list(_: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    let wanted = |name: &str| -> bool {
        let [kind, value] = args.rest(Arg(0)) else { return true };
        match kind.to_ascii_lowercase().as_slice() {
            b"aclcat" => named(name.as_bytes()).spec.is_some_and(|spec| {
                let has = |category: &&str| value.eq_ignore_ascii_case(&category.as_bytes()[1..]);
                categories(spec).iter().any(has)
            }),
            b"pattern" => glob::matches_ignoring_case(value, name.as_bytes()),
            // There are no modules.
            _ => false,
        }
    };
    if let [kind, _] = args.rest(Arg(0)) {
        let known: [&[u8]; 3] = [b"module", b"aclcat", b"pattern"];
        if !known.iter().any(|word| kind.eq_ignore_ascii_case(word)) {
            return Err(CommandError::Syntax);
        }
    }
    let plain = top_level().map(str::to_ascii_lowercase);
    let nested = table::commands().filter(|spec| spec.subcommand().is_some());
    let names = plain.chain(nested.map(|spec| barred_name(spec.resp)));
    let bare = args.rest(Arg(0)).is_empty();
    let names = names.filter(|name| !(bare && name.contains('|')) && wanted(name));
    Ok(Reply::Array(names.map(Reply::string).collect()))
}

/// The request inside the request: its command, its words and the positions of its keys.
fn inner<'a>(args: &Args<'a>) -> Result<(CommandId, Vec<&'a [u8]>), CommandError> {
    let request = &args.words()[2..];
    let command =
        table::lookup(request).map_err(|_| CommandError::Invalid("Invalid command specified"))?;
    let spec = command.spec();
    if matches!(spec.keys, Keys::None | Keys::AllShards(_) | Keys::Cursor) {
        return Err(CommandError::Invalid("The command has no key arguments"));
    }
    let least = spec.words() + least_arguments(spec.args);
    let exact = spec.arity() >= 0;
    if request.len() < least || (exact && request.len() != least) {
        return Err(CommandError::Invalid("Invalid number of arguments specified for command"));
    }
    let keys = spec.key_positions(request).into_iter().map(|at| request[at]).collect();
    Ok((command, keys))
}

fn get_keys(_: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    let (_, keys) = inner(args)?;
    Ok(Reply::Array(keys.into_iter().map(|key| Reply::owned(key.to_vec())).collect()))
}

fn get_keys_and_flags(_: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    let (command, keys) = inner(args)?;
    let entry = |key: &[u8]| {
        Reply::Array(vec![Reply::owned(key.to_vec()), words(key_flags(command.spec()))])
    };
    Ok(Reply::Array(keys.into_iter().map(entry).collect()))
}

//! Which of Redis's commands are there, and what differs: `COMPATIBILITY.md` is made of the table
//! of commands and of `fixtures/compatibility.txt`, and every example in there is run.
//! `REWRITE=1 cargo test -p synap --test compatibility` writes `COMPATIBILITY.md` anew.
//!
//! The fixture has a section per group and an entry per command of Redis: `= NAME`, the version
//! that brought it where that is above 7.0 (`@7.2`), and, behind a dash, what differs. A command
//! that the table of commands has not is one that is not supported, and what stands behind the dash
//! is why. Examples follow: `>` a command, words apart by blanks, `~` for a blank within a word;
//! then its reply: `<` this one, `<~` one of this form (`*` and `?` as in file names), `<!` this
//! one, where Redis answers another. Each entry begins with a new connection and no keys.
//!
//! A Redis that is installed has to answer the examples in the same way, byte for byte where the
//! reply is given, in RESP2 and RESP3. Without one the test says that it was left out.

mod support;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use support::redis_server::Redis;
use support::resp::{Resp, encode, show};
use support::{Plan, Server, free_ports, installed};
use synap_shards::command::spec::{CommandSpec, Family};
use synap_shards::command::table::{by_name, commands};
use synap_shards::glob;

const FIXTURE: &str = include_str!("fixtures/compatibility.txt");
/// The version whose commands the fixture lists, as a whole.
const REDIS: (u32, u32) = (7, 2);
/// The oldest version that an entry without a version is in.
const OLDEST: (u32, u32) = (7, 0);
/// Names of our own begin with this.
const OWN: &str = "SYNAP.";
/// Examples of this section need a cluster.
const CLUSTER: &str = "cluster";
/// A command like this one that does not exist is answered with one of these.
const UNKNOWN: [&str; 2] = ["-ERR unknown command '", "-ERR unknown subcommand '"];

const PREFACE: &str = "# Compatibility with Redis

Made of the command table and `tests/fixtures/compatibility.txt`; do not edit.
`REWRITE=1 cargo test -p synap --test compatibility` writes it anew. Every line is run: a command
that is there by its examples, which an installed Redis has to answer alike; one that is not, for
being refused as unknown. Arguments and routes: [shards/COMMANDS.md](shards/COMMANDS.md).

Of all commands: there is one database, 0. Scripts, transactions and commands over several keys take
any keys, whatever their slots. Limits: keys 64 KiB, values 512 MiB. A subscription counts for all
cores when it is confirmed: what others publish before may miss it.
";

struct Entry {
    section: &'static str,
    name: &'static str,
    since: (u32, u32),
    /// What differs, or why it is not there; may name another entry: `as NAME`.
    note: Option<&'static str>,
    examples: Vec<Example>,
}

struct Example {
    line: &'static str,
    expected: Expected,
}

enum Expected {
    Exact(&'static str),
    Form(&'static str),
    Ours(&'static str),
}

impl Entry {
    fn parse(section: &'static str, head: &'static str) -> Self {
        let (head, note) = match head.split_once(" - ") {
            Some((head, note)) => (head, Some(note)),
            None => (head, None),
        };
        let (name, since) = match head.split_once(" @") {
            Some((name, version)) => (name, numbers(version)),
            None => (head, OLDEST),
        };
        Self { section, name, since, note, examples: Vec::new() }
    }

    fn is_there(&self) -> bool {
        by_name(self.name.as_bytes()).is_some()
    }

    fn support(&self) -> &'static str {
        match (self.is_there(), self.note) {
            (true, None) => "full",
            (true, Some(_)) => "partial",
            (false, _) => "no",
        }
    }

    fn note(&self, all: &[Self]) -> &'static str {
        let note = self.note.unwrap_or_default();
        let Some(other) = note.strip_prefix("as ") else { return note };
        let other = all.iter().find(|entry| entry.name == other);
        other.and_then(|entry| entry.note).unwrap_or_else(|| panic!("{}: {note}?", self.name))
    }
}

fn numbers(version: &str) -> (u32, u32) {
    let (major, minor) = version.split_once('.').expect("two numbers");
    (major.parse().expect("a number"), minor.parse().expect("a number"))
}

fn entries() -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let (mut section, mut line) = ("", None);
    for text in FIXTURE.lines().filter(|text| !text.is_empty()) {
        let (mark, rest) = text.split_once(' ').expect("a mark and a blank");
        let expected = match mark {
            "#" => {
                section = rest;
                continue;
            }
            "=" => {
                assert!(line.is_none(), "an example before {rest} has no reply");
                entries.push(Entry::parse(section, rest));
                continue;
            }
            ">" => {
                assert!(line.replace(rest).is_none(), "the example before {rest} has no reply");
                continue;
            }
            "<" => Expected::Exact(rest),
            "<~" => Expected::Form(rest),
            "<!" => Expected::Ours(rest),
            _ => panic!("{text} has no mark"),
        };
        let line = line.take().unwrap_or_else(|| panic!("{text} is a reply to nothing"));
        let entry = entries.last_mut().expect("an entry before its examples");
        entry.examples.push(Example { line, expected });
    }
    entries
}

fn reference(entries: &[Entry]) -> String {
    let mut out = PREFACE.to_owned();
    let listed = entries.iter().filter(|entry| entry.since <= REDIS);
    let (mut full, mut partial, mut no) = (0, 0, 0);
    for entry in listed {
        *match entry.support() {
            "full" => &mut full,
            "partial" => &mut partial,
            _ => &mut no,
        } += 1;
    }
    let (major, minor) = REDIS;
    writeln!(
        out,
        "\nOf the {} commands of Redis {major}.{minor}, those of two words counted one by one: \
         {full} in full, {partial} in part, {no} not.",
        full + partial + no
    )
    .expect("a string takes it");
    let mut section = "";
    for entry in entries {
        if entry.section != section {
            section = entry.section;
            write!(
                out,
                "\n## {section}\n\n| command | | what differs, or why not |\n|---|---|---|\n"
            )
            .expect("a string takes it");
        }
        let note = entry.note(entries);
        writeln!(out, "| {} | {} | {note} |", entry.name, entry.support()).expect("it takes it");
    }
    out += "\n## not of Redis\n\n";
    let own = commands().filter(|spec| is_own(spec)).map(|spec| spec.resp);
    out += &own.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    out + "\n"
}

/// Whether Redis has nothing of the kind.
fn is_own(spec: &CommandSpec) -> bool {
    let families = [Family::Queue, Family::Topic, Family::Group, Family::Capture];
    spec.resp.starts_with(OWN) || families.contains(&spec.family)
}

#[test]
fn the_table_is_made_of_the_commands() {
    let entries = entries();
    let mut names = BTreeSet::new();
    for entry in &entries {
        assert!(names.insert(entry.name), "{} stands twice", entry.name);
        let there = entry.is_there();
        assert!(there || entry.note.is_some(), "why is {} not there?", entry.name);
        assert_eq!(
            there,
            !entry.examples.is_empty(),
            "examples of {} (none if absent)",
            entry.name
        );
    }
    for spec in commands().filter(|spec| !is_own(spec)) {
        assert!(names.contains(spec.resp), "{} has no entry", spec.resp);
    }
    let made = reference(&entries);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("COMPATIBILITY.md");
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(&path, &made).expect("the table can be written");
    }
    let found = std::fs::read_to_string(&path).expect("the table is there");
    for (number, (line, expected)) in found.lines().zip(made.lines()).enumerate() {
        assert_eq!(line, expected, "COMPATIBILITY.md, line {}; see the head of this", number + 1);
    }
    assert_eq!(found.len(), made.len(), "COMPATIBILITY.md ends too early or too late");
}

/// The words of an example. `~` is a blank, `''` nothing, `\n` a line's end, `\xff` a byte.
fn words(line: &str) -> Vec<Vec<u8>> {
    let word = |word: &str| {
        let (mut bytes, mut rest) = (Vec::new(), word.as_bytes());
        while let [first, behind @ ..] = rest {
            rest = behind;
            match (first, behind) {
                (b'~', _) => bytes.push(b' '),
                (b'\\', [b'n', behind @ ..]) => {
                    bytes.push(b'\n');
                    rest = behind;
                }
                (b'\\', [b'x', high, low, behind @ ..]) => {
                    let digits = String::from_utf8_lossy(&[*high, *low]).into_owned();
                    bytes.push(u8::from_str_radix(&digits, 16).expect("two digits"));
                    rest = behind;
                }
                (byte, _) => bytes.push(*byte),
            }
        }
        bytes
    };
    line.split(' ').map(|text| if text == "''" { Vec::new() } else { word(text) }).collect()
}

fn call(client: &mut Resp, line: &str) -> Vec<u8> {
    client.send(&encode(&words(line)));
    client.reply()
}

fn shown(reply: &[u8]) -> String {
    show(reply).replace('\r', "\\r").replace('\n', "\\n")
}

fn has_form(form: &str, reply: &[u8]) -> bool {
    let form = form.replace('\\', "\\\\").replace('[', "\\[");
    glob::matches(form.as_bytes(), show(reply).as_bytes())
}

/// The servers that examples are run on: the plain ports and those of a cluster.
struct Servers {
    plain: Server,
    cluster_port: u16,
    redis: Option<(Redis, Redis)>,
}

impl Servers {
    fn start() -> Self {
        let cluster_port = free_ports(1);
        let plan = Plan::new().env("SYNAP_SERVER__SHARD_PORT_BASE", cluster_port);
        let redis = installed("redis-server").then(|| (Redis::start(), Redis::start_cluster()));
        Self { plain: plan.start(), cluster_port, redis }
    }

    /// Fresh connections to us and to Redis, where it is there and knows the command.
    fn connect(&self, entry: &Entry, protocol: &str) -> (Resp, Option<Resp>) {
        let mut ours = self.plain.resp();
        ours.call(&["FLUSHALL"]);
        if entry.section == CLUSTER {
            ours = Resp::connect(self.cluster_port);
        }
        let theirs = self.redis.as_ref().filter(|(plain, _)| plain.version() >= entry.since);
        let theirs = theirs.map(|(plain, cluster)| {
            let mut client = if entry.section == CLUSTER { cluster } else { plain }.resp();
            client.call(&["FLUSHALL"]);
            client.call(&["FUNCTION", "FLUSH"]);
            client.call(&["HELLO", protocol]);
            client
        });
        ours.call(&["HELLO", protocol]);
        (ours, theirs)
    }
}

#[test]
fn every_line_of_the_table_holds() {
    let servers = Servers::start();
    let mut wrong = Vec::new();
    let (mut run, mut compared) = (0, 0);
    for protocol in ["2", "3"] {
        for entry in entries() {
            let (mut ours, mut theirs) = servers.connect(&entry, protocol);
            if !entry.is_there() {
                let reply = shown(&call(&mut ours, entry.name));
                if !UNKNOWN.iter().any(|start| reply.starts_with(start)) {
                    wrong.push(format!("{} is not there, and answers {reply}", entry.name));
                }
            }
            for Example { line, expected } in &entry.examples {
                let reply = call(&mut ours, line);
                run += 1;
                let holds = match expected {
                    Expected::Exact(wanted) | Expected::Ours(wanted) => {
                        protocol == "3" || shown(&reply) == *wanted
                    }
                    Expected::Form(form) => has_form(form, &reply),
                };
                if !holds {
                    wrong.push(format!("RESP{protocol} {line}\n  ours:  {}", shown(&reply)));
                }
                let Some(theirs) = theirs.as_mut().map(|client| call(client, line)) else {
                    continue;
                };
                compared += 1;
                let is_alike = match expected {
                    Expected::Exact(_) => reply == theirs,
                    Expected::Form(form) => has_form(form, &theirs),
                    Expected::Ours(_) => true,
                };
                if !is_alike {
                    let (ours, theirs) = (shown(&reply), shown(&theirs));
                    wrong
                        .push(format!("RESP{protocol} {line}\n  ours:  {ours}\n  Redis: {theirs}"));
                }
            }
        }
    }
    println!("compatibility: {run} examples run, {compared} compared with Redis");
    assert!(wrong.is_empty(), "{} lines do not hold:\n{}", wrong.len(), wrong.join("\n"));
}

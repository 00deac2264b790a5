//! Categories of commands: what `ACL CAT` lists and `+@read` means, made of each declaration.
//!
//! A command that Redis has is in the categories that Redis has it in, for rules written for Redis
//! must not allow more here than there.

use synap_shards::command::spec::{Access, CommandSpec, Family, Flags};

/// The category of every command.
pub const ALL: &str = "all";

/// Every other category: those of Redis in its order, then those of what Redis does not have.
pub const CATEGORIES: [&str; 25] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
    "queue",
    "topic",
    "group",
    "capture",
];

/// Commands that change everything at once without being about one key.
const WHOLESALE: &[&str] = &["FLUSHALL", "FLUSHDB", "SWAPDB", "SYNAP.FLUSH"];
/// Commands that tell or cost more than their access says.
const DANGEROUS: &[&str] = &[
    "INFO",
    "KEYS",
    "RESTORE",
    "SORT",
    "SORT_RO",
    "CLUSTER REPLICAS",
    "CLUSTER SLAVES",
    "FLUSHALL",
    "FLUSHDB",
    "SWAPDB",
];
/// Commands that need an administrator for what they tell.
const ADMIN: &[&str] = &["CLUSTER REPLICAS", "CLUSTER SLAVES"];
/// Commands that change something, whatever their access says.
const CHANGES: &[&str] =
    &["FUNCTION DELETE", "FUNCTION FLUSH", "FUNCTION LOAD", "FUNCTION RESTORE", "PFDEBUG"];

/// The categories that a command is in, [`ALL`] left out, each with its `@`.
pub fn categories(spec: &CommandSpec) -> Vec<&'static str> {
    let is = |names: &[&str]| names.contains(&spec.resp);
    let is_help = spec.subcommand() == Some("HELP");
    let access = access_of(spec, is_help);
    let is_data = !matches!(spec.family, Family::Scripting | Family::Pubsub);
    let reads = (access == Access::Read && is_data) || spec.resp == "LOLWUT";
    let writes = (access == Access::Write && is_data) || is(WHOLESALE) || is(CHANGES);
    let rules = access == Access::Admin;
    let is_slow = spec.container() == "CLIENT";
    let is_fast = (spec.flags.has(Flags::FAST) && !is_slow) || spec.resp == "RENAMENX";
    let waits = spec.flags.has(Flags::BLOCKING) && spec.resp != "WAIT";
    let mut found = families(spec, is_help);
    for (applies, name) in [
        (reads, "@read"),
        (writes, "@write"),
        ((rules && !is(WHOLESALE)) || is(ADMIN), "@admin"),
        (rules || is(DANGEROUS), "@dangerous"),
        (waits, "@blocking"),
        (is_fast, "@fast"),
        (!is_fast, "@slow"),
    ] {
        if applies {
            found.push(name);
        }
    }
    found
}

/// What a command is allowed by, as Redis sees it: help is for all, and scripts are a category of
/// their own.
fn access_of(spec: &CommandSpec, is_help: bool) -> Access {
    match spec.access {
        Access::Admin if is_help || spec.family == Family::Scripting => Access::Open,
        access => access,
    }
}

fn families(spec: &CommandSpec, is_help: bool) -> Vec<&'static str> {
    let is_sort = matches!(spec.resp, "SORT" | "SORT_RO");
    match spec.family {
        Family::Key if is_sort => vec!["@list", "@set", "@sortedset"],
        Family::Kv => vec!["@string"],
        Family::Bitmap => vec!["@bitmap"],
        Family::List => vec!["@list"],
        Family::Set => vec!["@set"],
        Family::SortedSet => vec!["@sortedset"],
        Family::Geo => vec!["@geo"],
        Family::Hash => vec!["@hash"],
        Family::Stream => vec!["@stream"],
        Family::Queue => vec!["@queue"],
        Family::Topic => vec!["@topic"],
        Family::Group => vec!["@group"],
        Family::Capture => vec!["@capture"],
        Family::HyperLogLog => vec!["@hyperloglog"],
        Family::Transaction => vec!["@transaction"],
        Family::Scripting => vec!["@scripting"],
        Family::Pubsub if is_help => Vec::new(),
        Family::Pubsub => vec!["@pubsub"],
        Family::Key => vec!["@keyspace"],
        Family::Connection => vec!["@connection"],
        Family::Server if matches!(spec.resp, "FLUSHALL" | "FLUSHDB" | "SWAPDB" | "DBSIZE") => {
            vec!["@keyspace"]
        }
        Family::Server if spec.container() == "COMMAND" || spec.resp == "WAIT" => {
            vec!["@connection"]
        }
        Family::Server | Family::Cluster => Vec::new(),
    }
}

/// The name of a category as it is known, without its `@`; of any case.
pub fn known(name: &str) -> Option<&'static str> {
    let all = CATEGORIES.into_iter().chain([ALL]);
    all.into_iter().find(|known| known.eq_ignore_ascii_case(name))
}

/// Whether a command is in a category, told without its `@`.
pub fn is_in(spec: &CommandSpec, category: &str) -> bool {
    category == ALL || categories(spec).iter().any(|name| name[1..] == *category)
}

#[cfg(test)]
mod tests {
    use super::*;
    use synap_shards::command::table;

    #[test]
    fn every_category_that_is_used_is_known_and_the_other_way_round() {
        let used: std::collections::BTreeSet<&str> =
            table::commands().flat_map(categories).map(|name| &name[1..]).collect();
        assert_eq!(used, CATEGORIES.into_iter().collect());
        for name in [WHOLESALE, DANGEROUS, ADMIN, CHANGES].concat() {
            assert!(table::commands().any(|spec| spec.resp == name), "{name} is no command");
        }
    }
}

//! Which commands a selector allows: the rules that say so, in their order, and what they come to.
//!
//! The rules are kept, not only what they come to, so that a command of a later version falls
//! under the categories it belongs to.

use synap_shards::command::spec::CommandSpec;
use synap_shards::command::table::{self, CommandId};

use super::category;
use super::rule::BadRule;

/// Some commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Commands {
    /// Everything to begin with, or nothing.
    all: bool,
    /// What was added and taken away, lower case, each with its sign; no two about the same.
    rules: Vec<Box<str>>,
    /// A bit for each command of the table.
    bits: Box<[u64]>,
}

impl Default for Commands {
    fn default() -> Self {
        Self::whole(false)
    }
}

/// What a rule is about.
enum Named {
    Everything,
    Category(&'static str),
    /// A command of subcommands, with all of them.
    Container(String),
    Command(CommandId),
}

impl Named {
    fn parse(name: &str) -> Result<Self, BadRule> {
        if let Some(category) = name.strip_prefix('@') {
            return match category::known(category) {
                Some(category::ALL) => Ok(Self::Everything),
                Some(category) => Ok(Self::Category(category)),
                None => Err(BadRule::Unknown),
            };
        }
        let (first, second) = name.split_once('|').unwrap_or((name, ""));
        let has_second = name.contains('|');
        if second.contains('|') {
            return Err(BadRule::FirstArgument);
        }
        if table::subcommands(first.as_bytes()).is_some() && !has_second {
            return Ok(Self::Container(first.to_ascii_lowercase()));
        }
        let id = table::by_name(name.as_bytes()).ok_or(BadRule::Unknown)?;
        match (has_second, id.spec().subcommand()) {
            (true, None) => Err(BadRule::FirstArgument),
            (false, None) | (true, Some(_)) => Ok(Self::Command(id)),
            (false, Some(_)) => Err(BadRule::Unknown),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Everything => "@all".to_owned(),
            Self::Category(name) => format!("@{name}"),
            Self::Container(name) => name.clone(),
            Self::Command(id) => id.spec().resp.to_ascii_lowercase().replace(' ', "|"),
        }
    }

    fn means(&self, spec: &CommandSpec) -> bool {
        match self {
            Self::Everything => true,
            Self::Category(name) => category::is_in(spec, name),
            Self::Container(name) => spec.container().eq_ignore_ascii_case(name),
            Self::Command(id) => id.spec().resp == spec.resp,
        }
    }
}

impl Commands {
    fn whole(all: bool) -> Self {
        let word = if all { u64::MAX } else { 0 };
        let bits = vec![word; table::count().div_ceil(64)].into_boxed_slice();
        Self { all, rules: Vec::new(), bits }
    }

    /// Takes a rule: a sign, and `@category`, a command or `command|subcommand`.
    ///
    /// # Errors
    /// It is about nothing that there is.
    pub(super) fn apply(&mut self, allow: bool, name: &str) -> Result<(), BadRule> {
        if name.contains(char::is_whitespace) {
            return Err(BadRule::Syntax);
        }
        let named = Named::parse(name)?;
        if let Named::Everything = named {
            *self = Self::whole(allow);
            return Ok(());
        }
        let meant = table::commands().enumerate().filter(|(_, spec)| named.means(spec));
        for (at, _) in meant {
            let (word, bit) = (at / 64, 1 << (at % 64));
            if allow {
                self.bits[word] |= bit;
            } else {
                self.bits[word] &= !bit;
            }
        }
        let name = named.name();
        let below = format!("{name}|");
        self.rules.retain(|rule| rule[1..] != *name && !rule[1..].starts_with(&below));
        self.rules.push(format!("{}{name}", if allow { '+' } else { '-' }).into());
        Ok(())
    }

    /// Whether a command is among them.
    pub(super) fn has(&self, command: CommandId) -> bool {
        self.bits[command.index() / 64] >> (command.index() % 64) & 1 == 1
    }

    /// Whether they are all commands, also those to come.
    pub(super) fn are_all(&self) -> bool {
        self.all && self.rules.is_empty()
    }

    /// The rules that make them out of nothing.
    pub(super) fn rules(&self) -> impl Iterator<Item = &str> {
        let first = if self.all { "+@all" } else { "-@all" };
        std::iter::once(first).chain(self.rules.iter().map(|rule| &**rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(rules: &str) -> Commands {
        let mut commands = Commands::default();
        for rule in rules.split_whitespace() {
            commands.apply(rule.starts_with('+'), &rule[1..]).expect(rule);
        }
        commands
    }

    fn allows(rules: &str, name: &str) -> bool {
        made(rules).has(table::by_name(name.as_bytes()).expect(name))
    }

    #[test]
    fn the_last_rule_about_a_command_decides() {
        for (rules, yes, no) in [
            ("+get", &["get"][..], &["set", "mget"][..]),
            ("+@read -get", &["mget"], &["get", "set"]),
            ("-get +@read", &["get"], &["set"]),
            ("+@all -@dangerous", &["get", "set"], &["flushall", "keys", "config|set"]),
            ("+client -client|kill", &["client|id"], &["client|kill"]),
            ("+client|id", &["client|id"], &["client|list"]),
            ("+get -@all", &[], &["get"]),
            ("+GET +Client|ID", &["get", "client|id"], &["set"]),
        ] {
            for name in yes {
                assert!(allows(rules, name), "{rules} allows {name}");
            }
            for name in no {
                assert!(!allows(rules, name), "{rules} does not allow {name}");
            }
        }
    }

    #[test]
    fn what_is_shown_means_the_same_and_does_not_grow() {
        for (rules, shown) in [
            ("+get -get +get", "-@all +get"),
            ("+client|id -client|kill +client", "-@all +client"),
            ("+@read -get +@read", "-@all -get +@read"),
            ("-get +@all", "+@all"),
            ("+@all -get", "+@all -get"),
        ] {
            let commands = made(rules);
            let text: Vec<&str> = commands.rules().collect();
            assert_eq!(text.join(" "), shown, "{rules}");
            assert_eq!(made(shown), commands);
        }
    }

    #[test]
    fn what_there_is_not_is_refused() {
        for (name, why) in [
            ("nope", BadRule::Unknown),
            ("@nope", BadRule::Unknown),
            ("client|nope", BadRule::Unknown),
            ("client id", BadRule::Syntax),
            ("", BadRule::Unknown),
            ("select|0", BadRule::FirstArgument),
            ("client|id|x", BadRule::FirstArgument),
        ] {
            assert_eq!(Commands::default().apply(true, name), Err(why), "{name}");
        }
    }
}

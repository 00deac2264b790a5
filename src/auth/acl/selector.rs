//! Commands, the keys they may be used on, and channels: the unit in which Redis gives rights. All
//! that a request needs must come from one selector; a user may have several.
//!
//! Patterns of keys mean names of everything that has a name of its own here as well: queues,
//! rooms, topics, consumer groups.

use synap_shards::command::table::CommandId;

use super::commands::Commands;
use super::rule::BadRule;
use crate::auth::resource::Pattern;

/// Patterns of keys, and of channels, that one selector may have.
pub const PATTERNS_MAX: usize = 256;

/// Keys, and what may be done with them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Keys {
    pattern: Pattern,
    reads: bool,
    writes: bool,
}

/// Some commands on some keys and channels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    commands: Commands,
    keys: Vec<Keys>,
    channels: Vec<Pattern>,
}

const AFTER_ALL_KEYS: &str = "Adding a pattern after the * pattern (or the 'allkeys' flag) is not \
                              valid and does not have any effect. Try 'resetkeys' to start with \
                              an empty list of patterns";
const AFTER_ALL_CHANNELS: &str = "Adding a pattern after the * pattern (or the 'allchannels' flag) \
                                  is not valid and does not have any effect. Try 'resetchannels' \
                                  to start with an empty list of channels";

impl Selector {
    /// Takes a rule of Redis about commands, keys or channels; nothing where it is another.
    ///
    /// # Errors
    /// It cannot be taken as it is written.
    pub fn apply(&mut self, rule: &str) -> Result<Option<()>, BadRule> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word);
        if is("allkeys") {
            self.add_keys("*", true, true)?;
        } else if is("resetkeys") {
            self.keys.clear();
        } else if is("allchannels") {
            self.add_channels("*")?;
        } else if is("resetchannels") {
            self.channels.clear();
        } else if is("allcommands") {
            self.commands.apply(true, "@all")?;
        } else if is("nocommands") {
            self.commands.apply(false, "@all")?;
        } else if let Some(pattern) = rule.strip_prefix('~') {
            self.add_keys(pattern, true, true)?;
        } else if let Some(rest) = rule.strip_prefix('%') {
            let (how, pattern) = rest.split_once('~').ok_or(BadRule::Syntax)?;
            let has = |letter: char| how.chars().any(|c| c.eq_ignore_ascii_case(&letter));
            if how.is_empty() || !how.chars().all(|c| "rwRW".contains(c)) {
                return Err(BadRule::Syntax);
            }
            self.add_keys(pattern, has('r'), has('w'))?;
        } else if let Some(pattern) = rule.strip_prefix('&') {
            self.add_channels(pattern)?;
        } else if let Some(name) = rule.strip_prefix('+') {
            self.commands.apply(true, name)?;
        } else if let Some(name) = rule.strip_prefix('-') {
            self.commands.apply(false, name)?;
        } else {
            return Ok(None);
        }
        Ok(Some(()))
    }

    fn add_keys(&mut self, text: &str, reads: bool, writes: bool) -> Result<(), BadRule> {
        let pattern = pattern(text)?;
        let is_all = |keys: &Keys| keys.pattern.is_any() && keys.reads && keys.writes;
        if pattern.is_any() && reads && writes {
            self.keys = vec![Keys { pattern, reads, writes }];
            return Ok(());
        }
        if self.keys.iter().any(is_all) {
            return Err(BadRule::Refused(AFTER_ALL_KEYS));
        }
        // As in Redis: what is said of a pattern again is added to what was said before.
        let known = self.keys.iter().position(|keys| keys.pattern == pattern);
        match known {
            Some(at) => {
                let keys = &mut self.keys[at];
                keys.reads |= reads;
                keys.writes |= writes;
            }
            None if self.keys.len() >= PATTERNS_MAX => return Err(BadRule::TooMany(PATTERNS_MAX)),
            None => self.keys.push(Keys { pattern, reads, writes }),
        }
        if self.keys.iter().any(is_all) {
            self.keys.retain(is_all);
        }
        Ok(())
    }

    fn add_channels(&mut self, text: &str) -> Result<(), BadRule> {
        let pattern = pattern(text)?;
        if pattern.is_any() {
            self.channels = vec![pattern];
        } else if self.channels.iter().any(Pattern::is_any) {
            return Err(BadRule::Refused(AFTER_ALL_CHANNELS));
        } else if !self.channels.contains(&pattern) {
            if self.channels.len() >= PATTERNS_MAX {
                return Err(BadRule::TooMany(PATTERNS_MAX));
            }
            self.channels.push(pattern);
        }
        Ok(())
    }

    /// Whether a command is among its commands.
    pub fn runs(&self, command: CommandId) -> bool {
        self.commands.has(command)
    }

    /// Whether a key may be read, or written, or both, whichever is asked for, by its commands.
    pub fn reaches(&self, name: &[u8], reads: bool, writes: bool) -> bool {
        let allows = |keys: &Keys| (keys.reads || !reads) && (keys.writes || !writes);
        self.keys.iter().any(|keys| allows(keys) && keys.pattern.matches(name))
    }

    /// Whether a channel is among its channels.
    pub fn hears(&self, name: &[u8]) -> bool {
        self.channels.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether it allows everything, also what is to come.
    pub fn is_everything(&self) -> bool {
        let is_all = |keys: &Keys| keys.pattern.is_any() && keys.reads && keys.writes;
        self.commands.are_all()
            && self.keys.iter().any(is_all)
            && self.channels.iter().any(Pattern::is_any)
    }

    /// The rules about commands, one blank between two.
    pub fn commands(&self) -> String {
        let rules: Vec<&str> = self.commands.rules().collect();
        rules.join(" ")
    }

    /// The same about keys.
    pub fn keys(&self) -> String {
        let rule = |keys: &Keys| {
            let how = match (keys.reads, keys.writes) {
                (true, true) => "~",
                (true, false) => "%R~",
                (false, _) => "%W~",
            };
            format!("{how}{}", keys.pattern.as_str())
        };
        self.keys.iter().map(rule).collect::<Vec<_>>().join(" ")
    }

    /// The same about channels.
    pub fn channels(&self) -> String {
        let rule = |pattern: &Pattern| format!("&{}", pattern.as_str());
        self.channels.iter().map(rule).collect::<Vec<_>>().join(" ")
    }

    /// All rules, which make it out of nothing.
    pub fn rules(&self) -> String {
        let reset = if self.channels.iter().any(Pattern::is_any) { "" } else { "resetchannels" };
        let parts = [self.keys(), reset.to_owned(), self.channels(), self.commands()];
        let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
        parts.join(" ")
    }
}

/// A pattern of Redis that means here what it means there.
fn pattern(text: &str) -> Result<Pattern, BadRule> {
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(BadRule::Syntax);
    }
    if text.contains(['?', '[', '\\']) {
        return Err(BadRule::Glob);
    }
    Pattern::parse(text).map_err(|_| BadRule::Pattern)
}

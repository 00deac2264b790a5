//! What is another in one directory than in the one before it, as security events: whatever made
//! the change, and however new its kind is, what came of it is told.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::directory::{Directory, Key, Role, Rule, User};
use crate::audit::{self, Event, Kind, Name, Who};

/// A word for what happened, and to what.
pub(super) type Change = (&'static str, Option<Name>);

/// What is another in `after` than in `before`.
pub(super) fn changes(before: &Directory, after: &Directory) -> Vec<Change> {
    let mut found = Vec::new();
    compare(&before.users, &after.users, |name, pair| each(&mut found, name, user(pair)));
    compare(&before.keys, &after.keys, |_, pair| {
        let (Some(key), words) = (pair.0.or(pair.1), key(pair)) else { return };
        each(&mut found, &key.name, words);
    });
    compare(&before.roles, &after.roles, |name, pair| each(&mut found, name, [role(pair)]));
    let mut rules = |word, from: &Directory, others: &Directory| {
        let is_only_there = |rule: &&Arc<Rule>| !others.rules().contains(rule);
        let named = |rule: &Arc<Rule>| (word, rule.name.as_deref().map(Name::of_existing));
        found.extend(from.rules().iter().filter(is_only_there).map(named));
    };
    rules("rule_removed", before, after);
    rules("rule_added", after, before);
    found
}

/// Notes them.
pub(super) fn record(changes: Vec<Change>, who: &Who, from: Option<IpAddr>) {
    for (detail, object) in changes {
        let event = Event::new(Kind::AccountChanged, who.clone(), from, detail);
        audit::record(Event { object, ..event });
    }
}

fn each(
    found: &mut Vec<Change>,
    name: &str,
    words: impl IntoIterator<Item = Option<&'static str>>,
) {
    let words = words.into_iter().flatten();
    found.extend(words.map(|word| (word, Some(Name::of_existing(name)))));
}

type Pair<'a, T> = (Option<&'a T>, Option<&'a T>);

fn compare<'a, T>(
    before: &'a BTreeMap<Arc<str>, Arc<T>>,
    after: &'a BTreeMap<Arc<str>, Arc<T>>,
    mut visit: impl FnMut(&str, Pair<'a, T>),
) {
    for (name, old) in before {
        match after.get(name) {
            Some(new) if Arc::ptr_eq(old, new) => {}
            new => visit(name, (Some(old), new.map(|new| &**new))),
        }
    }
    for (name, new) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
        visit(name, (None, Some(new)));
    }
}

fn user(pair: Pair<'_, User>) -> [Option<&'static str>; 3] {
    let (old, new) = match pair {
        (Some(old), Some(new)) => (old, new),
        (None, _) => return [Some("user_created"), None, None],
        (_, None) => return [Some("user_deleted"), None, None],
    };
    let has_other_rights =
        old.roles != new.roles || old.permissions != new.permissions || old.acl != new.acl;
    [
        (old.password != new.password).then_some("password_set"),
        has_other_rights.then_some("user_rights_changed"),
        match (old.enabled, new.enabled) {
            (false, true) => Some("user_enabled"),
            (true, false) => Some("user_disabled"),
            (false, false) | (true, true) => None,
        },
    ]
}

fn key(pair: Pair<'_, Key>) -> [Option<&'static str>; 3] {
    let (old, new) = match pair {
        (Some(old), Some(new)) => (old, new),
        (None, _) => return [Some("key_created"), None, None],
        (_, None) => return [Some("key_revoked"), None, None],
    };
    let is_rotated = old.digest != new.digest;
    let has_other_rights = old.roles != new.roles || old.permissions != new.permissions;
    let is_bounded_otherwise = old.allowed != new.allowed
        || old.rate_limit != new.rate_limit
        // With a new secret comes a new end.
        || (old.expires_ms != new.expires_ms && !is_rotated);
    [
        is_rotated.then_some("key_rotated"),
        (has_other_rights || is_bounded_otherwise).then_some("key_changed"),
        match (old.enabled, new.enabled) {
            (false, true) => Some("key_enabled"),
            (true, false) => Some("key_disabled"),
            (false, false) | (true, true) => None,
        },
    ]
}

fn role(pair: Pair<'_, Role>) -> Option<&'static str> {
    match pair {
        (Some(old), Some(new)) => (old != new).then_some("role_changed"),
        (None, _) => Some("role_created"),
        (_, None) => Some("role_deleted"),
    }
}

//! A few keys are followed in every state they may be in. Each request takes effect at one moment
//! between being made and being answered (Herlihy and Wing, 1990); so after each reply those
//! states remain in which the model, with the requests under way in some order, gave that reply.
//! When none remains, the server did something that no order of requests explains. Only what a
//! reply forces is worked out (Lowe, "Testing for linearizability", 2017).
//!
//! A start after a crash shows one state: one in which some of the unanswered requests took effect.

use std::collections::{BTreeMap, BTreeSet};

use synap_shards::command::reply::Reply;

use super::{Finding, Verdict, Violation};
use crate::model::workload::is_modelled;
use crate::model::{Held, Store, reply_text};
use crate::story::show;
use crate::workload::{Intent, Wish};

/// States beyond which the checker looks away until the next start shows one.
const STATES_MAX: usize = 3_000;
/// Most requests under way that it follows.
pub(crate) const OPEN_MAX: usize = 4;

/// States that a message shows.
const SHOWN_MAX: usize = 8;

/// A state that the keys may be in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
struct State {
    store: Store,
    /// Requests under way that have taken effect, with the reply they will get.
    done: BTreeMap<u64, String>,
}

/// The checker.
#[derive(Debug)]
pub(crate) struct States {
    states: BTreeSet<State>,
    /// Requests under way.
    open: BTreeMap<u64, Vec<Vec<u8>>>,
    next: u64,
    now_ms: u64,
    /// It has lost sight of the states.
    blind: bool,
    /// The clock may be set back: what has expired may be there again.
    sets_back: bool,
    /// Replies judged.
    pub(crate) judged: u64,
}

impl States {
    pub(crate) fn new(sets_back: bool) -> Self {
        Self {
            states: BTreeSet::from([State::default()]),
            open: BTreeMap::new(),
            next: 0,
            now_ms: 0,
            blind: false,
            sets_back,
            judged: 0,
        }
    }

    /// A client has made a request; its number, if it is one to be followed.
    pub(crate) fn asked(&mut self, wish: &Wish) -> u64 {
        if !matches!(wish.intent, Intent::Modelled) {
            return 0;
        }
        self.next += 1;
        self.open.insert(self.next, wish.words.clone());
        self.next
    }

    /// Requests under way.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// The clock reads something else. If a deadline lies in between, it matters which requests
    /// took effect before.
    pub(crate) fn clock(&mut self, now_ms: u64) {
        let before = std::mem::replace(&mut self.now_ms, now_ms);
        let (low, high) = (before.min(now_ms), before.max(now_ms));
        let crossed = |deadline: u64| deadline > low && deadline <= high;
        let held = self.states.iter().flat_map(|state| state.store.keys.values());
        let in_store = held
            .flat_map(|(value, deadline)| deadline.iter().copied().chain(value.deadlines()))
            .any(crossed);
        let asked = self.open.values().flatten().filter_map(|word| parse(word)).any(crossed);
        if self.blind || !(in_store || asked) {
            return;
        }
        if !self.open.is_empty() {
            let reached = self.closure(before, None);
            self.keep(reached);
        }
        if now_ms < before && !self.blind {
            let reached = self.may_have_gone(before);
            self.keep(reached);
        }
    }

    /// Goes on with these states, or looks away if there are too many.
    fn keep(&mut self, reached: Option<BTreeSet<State>>) {
        self.blind = reached.is_none();
        self.states = reached.unwrap_or_default();
    }

    /// What had expired may have been removed, or be there again.
    fn may_have_gone(&self, now_ms: u64) -> Option<BTreeSet<State>> {
        let mut all = BTreeSet::new();
        let mut todo: Vec<State> = self.states.iter().cloned().collect();
        while let Some(state) = todo.pop() {
            for (key, (_, deadline)) in &state.store.keys {
                if deadline.is_some_and(|deadline| deadline <= now_ms) {
                    let mut without = state.clone();
                    without.store.keys.remove(key);
                    if !all.contains(&without) {
                        todo.push(without);
                    }
                }
            }
            all.insert(state);
            if all.len() > STATES_MAX {
                return None;
            }
        }
        Some(all)
    }

    /// All states that follow when requests under way take effect, in any order. With `wanted`
    /// only those in which that one has just done so. Nothing when there are too many.
    fn closure(&self, now_ms: u64, wanted: Option<u64>) -> Option<BTreeSet<State>> {
        let mut seen: BTreeSet<State> = BTreeSet::new();
        let mut found: BTreeSet<State> = BTreeSet::new();
        let mut todo: Vec<State> = self.states.iter().cloned().collect();
        while let Some(state) = todo.pop() {
            if wanted.is_some_and(|wanted| state.done.contains_key(&wanted)) {
                found.insert(state);
                continue;
            }
            if seen.contains(&state) {
                continue;
            }
            for (id, words) in self.open.iter().filter(|(id, _)| !state.done.contains_key(id)) {
                let mut next = state.clone();
                let reply = next.store.run(words, now_ms);
                next.done.insert(*id, reply);
                todo.push(next);
            }
            seen.insert(state);
            if seen.len() + found.len() > STATES_MAX {
                return None;
            }
        }
        Some(if wanted.is_some() { found } else { seen })
    }

    /// A request was answered: states in which it would have got another reply are no more.
    pub(crate) fn answered(&mut self, id: u64, reply: &Reply<'_>) -> Verdict {
        if self.blind {
            self.open.remove(&id);
            return Ok(());
        }
        let reply = reply_text(reply);
        let reached = self.closure(self.now_ms, Some(id));
        let words = self.open.remove(&id).expect("it was asked");
        self.judged += 1;
        let Some(reached) = reached else {
            self.keep(None);
            return Ok(());
        };
        let could: BTreeSet<String> = reached.iter().map(|state| state.done[&id].clone()).collect();
        if !could.contains(&reply) {
            let words: Vec<String> = words.iter().map(|word| show(word)).collect();
            let words = words.join(" ");
            let message = format!("{words} was answered with {reply}; possible were {could:?}");
            return Err(Violation { checker: "states", message });
        }
        let fitting = reached.into_iter().filter(|state| state.done[&id] == reply);
        self.states = fitting
            .map(|mut state| {
                state.done.remove(&id);
                state
            })
            .collect();
        Ok(())
    }

    /// A start, or the end, shows what there is.
    pub(crate) fn found(&mut self, finding: Finding<'_>) -> Verdict {
        let dump: BTreeMap<Vec<u8>, Held> = finding
            .dump
            .iter()
            .filter(|(key, _)| is_modelled(key))
            .map(|(key, held)| (key.clone(), held.clone()))
            .collect();
        self.now_ms = finding.now_ms;
        let seen = State { store: Store { keys: dump.clone() }, done: BTreeMap::new() };
        let reached = if self.blind { None } else { self.closure(self.now_ms, None) };
        self.open.clear();
        let Some(reached) = reached.filter(|_| !finding.may_lose) else {
            // What has expired and is hidden might be seen again after the clock is set back.
            self.blind = self.sets_back;
            self.states = BTreeSet::from([seen]);
            return Ok(());
        };
        let fits = |state: &State| state.store.living(finding.now_ms) == dump;
        let some: Vec<String> = reached.iter().take(SHOWN_MAX).map(shown).collect();
        self.states = reached
            .into_iter()
            .filter(fits)
            .map(|state| State { done: BTreeMap::new(), ..state })
            .collect();
        if self.states.is_empty() {
            let found = shown(&seen);
            let message = format!("no order of requests explains {found}, but {some:?}");
            return Err(Violation { checker: "states", message });
        }
        Ok(())
    }
}

fn shown(state: &State) -> String {
    let keys = state.store.keys.iter();
    let keys: Vec<String> = keys
        .map(|(key, (value, deadline))| match deadline {
            Some(deadline) => format!("{}={} until {deadline}", show(key), value.show()),
            None => format!("{}={}", show(key), value.show()),
        })
        .collect();
    keys.join(", ")
}

fn parse(word: &[u8]) -> Option<u64> {
    // Only times are that long.
    (word.len() > 10).then(|| std::str::from_utf8(word).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::wish;

    fn ask(states: &mut States, line: &str) -> u64 {
        let mut words = line.split(' ').map(|word| word.as_bytes().to_vec());
        let name = words.next().map(|name| String::from_utf8_lossy(&name).into_owned());
        states.asked(&wish(&name.unwrap_or_default(), words, Intent::Modelled))
    }

    #[test]
    fn a_reply_that_no_order_explains_is_seen() {
        let mut states = States::new(false);
        let (one, two) = (ask(&mut states, "INCR mod:1"), ask(&mut states, "INCR mod:1"));
        let get = ask(&mut states, "GET mod:1");
        assert!(states.answered(two, &Reply::Integer(1)).is_ok());
        assert!(states.answered(get, &Reply::borrowed(b"2")).is_ok());
        assert!(states.clone_for_test().answered(one, &Reply::Integer(3)).is_err());
        assert!(states.answered(one, &Reply::Integer(2)).is_ok());
    }

    impl States {
        fn clone_for_test(&self) -> Self {
            let mut other = Self::new(false);
            (other.states, other.open) = (self.states.clone(), self.open.clone());
            other
        }
    }
}

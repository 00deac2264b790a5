//! Durability of keys that hold one value at a time: what was acknowledged stays, what was read
//! stays, what was overwritten or deleted never comes back, and nothing is invented.
//!
//! Every value is written once. So once something else, or nothing, was seen in a key after the
//! write of a value was over, that value is dead: whoever asks later must not see it. A start after
//! a crash is one more observation of every key.

use std::collections::BTreeMap;

use synap_shards::command::reply::Reply;

use super::{Finding, Span, Verdict, Violation};
use crate::story::show;
use crate::workload::Intent;

#[derive(Clone, Debug)]
struct Write {
    asked: u64,
    /// By when it is known to have happened.
    over: Option<u64>,
    /// By when it is known to be gone.
    dead: Option<u64>,
    ttl_ms: Option<u64>,
    /// A deadline it cannot outlive, Unix milliseconds.
    gone_by_ms: Option<u64>,
}

/// A deletion that may take effect between its two beats.
#[derive(Clone, Copy, Debug)]
struct Removal {
    asked: u64,
    over: Option<u64>,
}

#[derive(Debug, Default)]
struct Register {
    writes: BTreeMap<Vec<u8>, Write>,
    removals: Vec<Removal>,
}

/// The checker.
#[derive(Debug)]
pub(crate) struct Durability {
    registers: BTreeMap<Vec<u8>, Register>,
    flushes: Vec<Removal>,
    may_vanish: bool,
    sets_back: bool,
}

impl Durability {
    pub(crate) fn new(may_vanish: bool, sets_back: bool) -> Self {
        Self { registers: BTreeMap::new(), flushes: Vec::new(), may_vanish, sets_back }
    }

    pub(crate) fn asked(&mut self, intent: &Intent, at: u64) {
        let removal = Removal { asked: at, over: None };
        match intent {
            Intent::Set { key, value, ttl_ms } => self.register(key).write(value, at, *ttl_ms),
            Intent::SetOnce { key, value } | Intent::Swap { key, value } => {
                self.register(key).write(value, at, None);
            }
            Intent::SetGroup { keys, value } | Intent::SetGroupOnce { keys, value } => {
                for key in keys {
                    self.register(key).write(value, at, None);
                }
            }
            Intent::Take { key } => self.register(key).removals.push(removal),
            Intent::Delete { keys } => {
                for key in keys {
                    self.register(key).removals.push(removal);
                }
            }
            Intent::Flush => self.flushes.push(removal),
            _ => {}
        }
    }

    fn register(&mut self, key: &[u8]) -> &mut Register {
        self.registers.entry(key.to_vec()).or_default()
    }

    /// The request was refused and so changed nothing.
    pub(crate) fn refused(&mut self, intent: &Intent) {
        match intent {
            Intent::Set { key, value, .. }
            | Intent::SetOnce { key, value }
            | Intent::Swap { key, value } => self.register(key).never(value),
            Intent::SetGroup { keys, value } | Intent::SetGroupOnce { keys, value } => {
                keys.iter().for_each(|key| self.register(key).never(value));
            }
            _ => {}
        }
    }

    pub(crate) fn answered(&mut self, intent: &Intent, span: Span, reply: &Reply<'_>) -> Verdict {
        match (intent, reply) {
            (Intent::Set { key, value, .. } | Intent::SetOnce { key, value }, Reply::Ok) => {
                self.saw(key, span, Some(value))
            }
            (Intent::SetOnce { key, value }, Reply::Nil) => {
                self.register(key).never(value);
                Ok(())
            }
            (Intent::Swap { key, value }, _) => {
                self.saw_reply(key, span, reply)?;
                self.saw(key, span, Some(value))
            }
            (Intent::Get { key }, _) => self.saw_reply(key, span, reply),
            (Intent::Take { key }, _) => {
                self.saw_reply(key, span, reply)?;
                self.register(key).close_removal(span);
                self.saw(key, span, None)
            }
            (Intent::GetMany { keys }, Reply::Array(items)) if items.len() == keys.len() => {
                keys.iter().zip(items).try_for_each(|(key, item)| self.saw_reply(key, span, item))
            }
            (Intent::Delete { keys }, Reply::Integer(_)) => keys.iter().try_for_each(|key| {
                self.register(key).close_removal(span);
                self.saw(key, span, None)
            }),
            (Intent::SetGroup { keys, value }, Reply::Ok)
            | (Intent::SetGroupOnce { keys, value }, Reply::Integer(1)) => {
                keys.iter().try_for_each(|key| self.saw(key, span, Some(value)))
            }
            (Intent::SetGroupOnce { keys, value }, Reply::Integer(0)) => {
                keys.iter().for_each(|key| self.register(key).never(value));
                Ok(())
            }
            (Intent::Flush, Reply::Ok) => self.flushed(span),
            (
                Intent::Append { .. }
                | Intent::GetLog { .. }
                | Intent::Increment { .. }
                | Intent::GetCounter { .. }
                | Intent::ListLogs
                | Intent::Walk { .. }
                | Intent::Size
                | Intent::Exact { .. }
                | Intent::Dump { .. }
                | Intent::Watch { .. }
                | Intent::Read { .. }
                | Intent::Settle
                | Intent::Audit
                | Intent::Modelled
                | Intent::Other,
                _,
            ) => Ok(()),
            _ => violation(format!("{intent:?} was answered with {reply:?}")),
        }
    }

    fn flushed(&mut self, span: Span) -> Verdict {
        for flush in self.flushes.iter_mut().filter(|flush| flush.asked == span.asked) {
            flush.over = Some(span.answered);
        }
        let keys: Vec<Vec<u8>> = self.registers.keys().cloned().collect();
        keys.iter().try_for_each(|key| self.saw(key, span, None))
    }

    fn saw_reply(&mut self, key: &[u8], span: Span, reply: &Reply<'_>) -> Verdict {
        match reply {
            Reply::Nil => self.saw(key, span, None),
            Reply::Bytes(bytes) => self.saw(key, span, Some(bytes)),
            other => violation(format!("{} holds {other:?}", show(key))),
        }
    }

    /// Something was seen in a key at some beat of the span.
    fn saw(&mut self, key: &[u8], span: Span, value: Option<&[u8]>) -> Verdict {
        let (vanishes, revives) = (self.may_vanish, self.sets_back);
        let flushes = std::mem::take(&mut self.flushes);
        let register = self.register(key);
        let verdict = match value {
            None => register.check_absent(span, &flushes, vanishes),
            Some(value) => register.check_present(span, value),
        };
        register.learn(span, value, revives);
        self.flushes = flushes;
        verdict.or_else(|message| violation(format!("{}: {message}", show(key))))
    }

    pub(crate) fn crashed(&mut self, at: u64, highest_ms: u64) {
        let removals = self.registers.values_mut().flat_map(|register| &mut register.removals);
        for removal in removals.chain(&mut self.flushes) {
            removal.over.get_or_insert(at);
        }
        for write in self.registers.values_mut().flat_map(|register| register.writes.values_mut()) {
            if let Some(ttl_ms) = write.ttl_ms {
                write.gone_by_ms.get_or_insert(highest_ms + ttl_ms);
            }
        }
    }

    /// A start looked at every key. It decides what became of requests without a reply.
    pub(crate) fn found(&mut self, finding: Finding<'_>) -> Verdict {
        let Finding { dump, at, now_ms, high_ms, may_lose } = finding;
        let span = Span { asked: at, answered: at, low_ms: now_ms, high_ms };
        let keys: Vec<Vec<u8>> = self.registers.keys().cloned().collect();
        let revives = self.sets_back;
        for key in keys {
            let found = dump.get(&key);
            let value = found.map(|(value, _)| value.text());
            let register = self.register(&key);
            if may_lose {
                register.check_known(value).or_else(violation)?;
                register.settle(at, value, revives);
                if revives && value.is_none() {
                    register.forget_what_expired();
                }
                continue;
            }
            self.saw(&key, span, value)?;
            let register = self.register(&key);
            register.settle(at, value, revives);
            if let Some((value, deadline)) = found {
                register.check_deadline(value.text(), *deadline).or_else(violation)?;
            }
        }
        Ok(())
    }
}

impl Register {
    fn write(&mut self, value: &[u8], at: u64, ttl_ms: Option<u64>) {
        let write = Write { asked: at, over: None, dead: None, ttl_ms, gone_by_ms: None };
        assert!(self.writes.insert(value.to_vec(), write).is_none(), "values are unique");
    }

    /// The write of this value did not happen.
    fn never(&mut self, value: &[u8]) {
        if let Some(write) = self.writes.get_mut(value) {
            write.dead = Some(0);
        }
    }

    fn close_removal(&mut self, span: Span) {
        for removal in self.removals.iter_mut().filter(|removal| removal.asked == span.asked) {
            removal.over = Some(span.answered);
        }
    }

    fn check_known(&self, value: Option<&[u8]>) -> Result<(), String> {
        match value {
            Some(value) if !self.writes.contains_key(value) => {
                Err(format!("{} was never written", show(value)))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_present(&self, span: Span, value: &[u8]) -> Result<(), String> {
        self.check_known(Some(value))?;
        let write = &self.writes[value];
        if write.asked > span.answered {
            return Err(format!("{} was seen before it was written", show(value)));
        }
        if let Some(dead) = write.dead.filter(|dead| *dead < span.asked) {
            return Err(format!("{} was seen, and was gone by beat {dead}", show(value)));
        }
        match write.gone_by_ms {
            Some(gone) if gone < span.low_ms => {
                Err(format!("{} was seen after its deadline {gone}", show(value)))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Nothing was seen: then what had been written before has to have been removed.
    fn check_absent(&self, span: Span, flushes: &[Removal], vanishes: bool) -> Result<(), String> {
        if vanishes {
            return Ok(());
        }
        for (value, write) in &self.writes {
            let known = write.over.is_some_and(|over| over < span.asked)
                && write.dead.is_none()
                && write.ttl_ms.is_none();
            let removable = |removal: &Removal| {
                removal.asked < span.answered && removal.over.is_none_or(|over| over > write.asked)
            };
            if known
                && !self.removals.iter().chain(flushes).any(removable)
                && !self.overwritten(span)
            {
                return Err(format!("nothing was seen where {} has to be", show(value)));
            }
        }
        Ok(())
    }

    /// Whether a value with a deadline may have taken the place of others, and gone.
    fn overwritten(&self, span: Span) -> bool {
        self.writes.values().any(|write| write.ttl_ms.is_some() && write.asked < span.answered)
    }

    /// Draws the conclusions from what was seen.
    /// `revives`: what has expired may be there again.
    fn learn(&mut self, span: Span, value: Option<&[u8]>, revives: bool) {
        for (other, write) in &mut self.writes {
            if Some(other.as_slice()) == value {
                write.over = Some(write.over.map_or(span.answered, |o| o.min(span.answered)));
                if let Some(ttl_ms) = write.ttl_ms {
                    write.gone_by_ms.get_or_insert(span.high_ms + ttl_ms);
                }
            } else if write.over.is_some_and(|over| over < span.asked)
                && !(revives && value.is_none() && write.ttl_ms.is_some())
            {
                write.dead = Some(write.dead.map_or(span.answered, |d| d.min(span.answered)));
            }
        }
    }

    /// What overwrote a value may be lost, and then that value stands there, hidden.
    fn forget_what_expired(&mut self) {
        let expiring = self.writes.values_mut().filter(|write| write.ttl_ms.is_some());
        expiring.for_each(|write| write.dead = None);
    }

    /// After a start only what is there can be seen again.
    fn settle(&mut self, at: u64, value: Option<&[u8]>, revives: bool) {
        for (other, write) in &mut self.writes {
            if Some(other.as_slice()) == value {
                write.over = Some(at);
                write.dead = None;
            } else if !(revives && value.is_none() && write.ttl_ms.is_some()) {
                write.dead.get_or_insert(at);
            }
        }
    }

    fn check_deadline(&self, value: &[u8], deadline: Option<u64>) -> Result<(), String> {
        let write = &self.writes[value];
        match (write.gone_by_ms, deadline) {
            (Some(latest), Some(found)) if found <= latest => Ok(()),
            (None, None) => Ok(()),
            (latest, found) => {
                Err(format!("{} has deadline {found:?}, not {latest:?}", show(value)))
            }
        }
    }
}

fn violation(message: String) -> Verdict {
    Err(Violation { checker: "durability", message })
}

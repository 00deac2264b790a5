//! Order per key: appended tokens and counters. A key that is only appended to shows every
//! acknowledged token for ever, in one order for all readers, and the tokens of one connection in
//! the order in which it sent them. A counter never goes back.

use std::collections::{BTreeMap, BTreeSet};

use synap_shards::command::reply::Reply;

use super::{Finding, Span, Verdict, Violation};
use crate::story::show;
use crate::workload::{Intent, TOKEN_BYTES};

#[derive(Debug, Default)]
struct Chain {
    /// The longest content that anybody saw.
    longest: Vec<u8>,
    /// Lengths that were seen, with the beat by which.
    seen: Vec<(u64, usize)>,
    /// Tokens whose place is known before anybody saw it: the length behind it.
    placed: Vec<(usize, Vec<u8>)>,
    sent: BTreeSet<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Counter {
    seen: Vec<(u64, i64)>,
    given: BTreeSet<i64>,
    sent: i64,
}

/// The checker.
#[derive(Debug, Default)]
pub(crate) struct Order {
    chains: BTreeMap<Vec<u8>, Chain>,
    counters: BTreeMap<Vec<u8>, Counter>,
}

impl Order {
    pub(crate) fn asked(&mut self, intent: &Intent, _at: u64) {
        match intent {
            Intent::Append { key, token } => {
                self.chains.entry(key.clone()).or_default().sent.insert(token.clone());
            }
            Intent::Increment { key } => self.counters.entry(key.clone()).or_default().sent += 1,
            _ => {}
        }
    }

    pub(crate) fn answered(&mut self, intent: &Intent, span: Span, reply: &Reply<'_>) -> Verdict {
        let verdict = match (intent, reply) {
            (Intent::Append { key, token }, Reply::Integer(length)) => {
                let chain = self.chains.entry(key.clone()).or_default();
                chain.appended(span, token, usize::try_from(*length).unwrap_or(0))
            }
            (Intent::GetLog { key }, Reply::Nil) => self.chain(key).saw(span, b""),
            (Intent::GetLog { key }, Reply::Bytes(bytes)) => self.chain(key).saw(span, bytes),
            (Intent::Increment { key }, Reply::Integer(number)) => {
                let counter = self.counters.entry(key.clone()).or_default();
                if counter.given.insert(*number) {
                    counter.saw(span, *number, true)
                } else {
                    Err(format!("{number} was given twice"))
                }
            }
            (Intent::GetCounter { key }, Reply::Nil) => self.counter(key).saw(span, 0, false),
            (Intent::GetCounter { key }, Reply::Bytes(bytes)) => {
                let number = parse(bytes);
                self.counter(key).saw(span, number, false)
            }
            (Intent::ListLogs, Reply::Array(keys)) => self.listed(span, &names(keys)),
            (Intent::Size, Reply::Integer(count)) => {
                let least = self.chains.values().filter(|c| c.least(span.asked) > 0).count();
                let enough = usize::try_from(*count).is_ok_and(|count| count >= least);
                if enough { Ok(()) } else { Err(format!("{count} keys, not {least} or more")) }
            }
            (Intent::Walk { seen, since }, Reply::Array(_)) => self.walked(*since, seen),
            (
                Intent::Append { .. }
                | Intent::GetLog { .. }
                | Intent::Increment { .. }
                | Intent::GetCounter { .. }
                | Intent::ListLogs
                | Intent::Size
                | Intent::Walk { .. },
                _,
            ) => Err(format!("was answered with {reply:?}")),
            _ => Ok(()),
        };
        verdict.or_else(|message| violation(format!("{intent:?}: {message}")))
    }

    fn chain(&mut self, key: &[u8]) -> &mut Chain {
        self.chains.entry(key.to_vec()).or_default()
    }

    fn counter(&mut self, key: &[u8]) -> &mut Counter {
        self.counters.entry(key.to_vec()).or_default()
    }

    /// A list of all logs: it lacks none, and what it shows has to stay.
    fn listed(&mut self, span: Span, keys: &[Vec<u8>]) -> Result<(), String> {
        for (key, chain) in &self.chains {
            if chain.least(span.asked) > 0 && !keys.contains(key) {
                return Err(format!("{} is missing", show(key)));
            }
        }
        for key in keys {
            self.chain(key).seen.push((span.answered, TOKEN_BYTES));
        }
        Ok(())
    }

    /// The end of a walk that began at `since` and saw these keys.
    fn walked(&self, since: u64, seen: &[Vec<u8>]) -> Result<(), String> {
        let missing =
            self.chains.iter().find(|(key, chain)| chain.least(since) > 0 && !seen.contains(key));
        missing.map_or(Ok(()), |(key, _)| Err(format!("the walk missed {}", show(key))))
    }

    pub(crate) fn found(&mut self, finding: Finding<'_>) -> Verdict {
        let Finding { dump, at, now_ms, high_ms, may_lose } = finding;
        let span = Span { asked: at, answered: at, low_ms: now_ms, high_ms };
        for (key, chain) in &mut self.chains {
            let content = dump.get(key).map_or(&b""[..], |(value, _)| value.text());
            if may_lose {
                chain.cut(content.len());
            }
            chain.saw(span, content).or_else(|m| violation(format!("{}: {m}", show(key))))?;
            chain.cut(content.len());
        }
        for (key, counter) in &mut self.counters {
            let number = dump.get(key).map_or(0, |(value, _)| parse(value.text()));
            if may_lose {
                counter.seen.retain(|(_, seen)| *seen <= number);
            }
            counter
                .saw(span, number, false)
                .or_else(|m| violation(format!("{}: {m}", show(key))))?;
            counter.given.retain(|given| *given <= number);
            counter.sent = number;
        }
        Ok(())
    }
}

impl Chain {
    /// The least length that whoever asks at this beat has to see.
    fn least(&self, asked: u64) -> usize {
        let seen = self.seen.iter().filter(|(beat, _)| *beat < asked);
        seen.map(|(_, length)| *length).max().unwrap_or(0)
    }

    fn appended(&mut self, span: Span, token: &[u8], length: usize) -> Result<(), String> {
        if length < self.least(span.asked) + TOKEN_BYTES {
            return Err(format!("stands at {length}, before what was there"));
        }
        self.seen.push((span.answered, length));
        self.placed.push((length, token.to_vec()));
        self.check_places()
    }

    fn saw(&mut self, span: Span, content: &[u8]) -> Result<(), String> {
        let common = content.len().min(self.longest.len());
        if content[..common] != self.longest[..common] {
            return Err(format!("{} does not continue {}", show(content), show(&self.longest)));
        }
        let least = self.least(span.asked);
        if content.len() < least {
            return Err(format!("{} bytes where there have to be {least}", content.len()));
        }
        self.seen.push((span.answered, content.len()));
        if content.len() > self.longest.len() {
            self.longest = content.to_vec();
            self.check_tokens()?;
        }
        self.check_places()
    }

    /// Each token was sent, stands once, and those of a connection stand in order.
    fn check_tokens(&self) -> Result<(), String> {
        let mut last: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
        for token in self.longest.chunks(TOKEN_BYTES) {
            if !self.sent.contains(token) {
                return Err(format!("{} was never appended", show(token)));
            }
            let (connection, serial) = token.split_at(6);
            if last.insert(connection, serial).is_some_and(|before| before >= serial) {
                return Err(format!("{} is out of order", show(token)));
            }
        }
        Ok(())
    }

    fn check_places(&self) -> Result<(), String> {
        for (end, token) in self.placed.iter().filter(|(end, _)| *end <= self.longest.len()) {
            if self.longest[end - TOKEN_BYTES..*end] != token[..] {
                return Err(format!("{} is not at {end}, where it was put", show(token)));
            }
        }
        Ok(())
    }

    /// Forgets what lies beyond `length`; a crash took it, or it never happened.
    fn cut(&mut self, length: usize) {
        self.longest.truncate(length);
        self.seen.retain(|(_, seen)| *seen <= length);
        self.placed.retain(|(end, _)| *end <= length);
    }
}

impl Counter {
    fn saw(&mut self, span: Span, number: i64, new: bool) -> Result<(), String> {
        let before = self.seen.iter().filter(|(beat, _)| *beat < span.asked);
        let least = before.map(|(_, seen)| *seen).max().unwrap_or(0) + i64::from(new);
        if !(least..=self.sent).contains(&number) {
            return Err(format!("{number} is not in {least}..={}", self.sent));
        }
        self.seen.push((span.answered, number));
        Ok(())
    }
}

/// The reply to a request about keys that only its connection uses.
pub(crate) fn exact(expected: &Reply<'_>, reply: &Reply<'_>) -> Verdict {
    if expected == reply {
        return Ok(());
    }
    violation(format!("a connection alone with its keys got {reply:?}, not {expected:?}"))
}

fn names(keys: &[Reply<'_>]) -> Vec<Vec<u8>> {
    let name = |key: &Reply<'_>| match key {
        Reply::Bytes(bytes) => bytes.to_vec(),
        other => format!("{other:?}").into_bytes(),
    };
    keys.iter().map(name).collect()
}

fn parse(bytes: &[u8]) -> i64 {
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).unwrap_or(-1)
}

fn violation(message: String) -> Verdict {
    Err(Violation { checker: "order", message })
}

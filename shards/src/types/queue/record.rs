//! Edits of queues. Each states what is now; applied again, or over a newer queue, they come to the
//! same in the end. Messages are known by their numbers; one that is gone stays so, whatever an
//! edit says of it.
//!
//! ```text
//!  1 Create    incarnation, Unix ms        the queue is this one, and was made then
//!  2 Settings  length, numbers             it is set to this (`settings.rs`)
//!  3 Add       number, due, length, message   the message is there, ready or (due > 0) later
//!  4 Key       length, key, number, until  this idempotency key stands for that message
//!  5 Deliver   length, consumer, deadline, length, numbers   these are with that consumer
//!  6 Gone      length, numbers             these are done
//!  7 Return    length, { number, failures, due }   these have failed so often and are ready again,
//!                                          or (due > 0) from then on
//!  8 Dead      reason, Unix ms, length, { number, failures }   these are dead letters
//!  9 Total     which, count                so many were counted
//! 10 Revive    length, numbers             these dead letters are ready, and have not failed
//! 11 Extend    number, deadline            whoever has the message has until then
//! 12 Purge     end, length, numbers        of the messages before `end` these are left
//! 13 Forget    Unix ms                     no idempotency key of until then stands for anything
//! 14 Next      number                      the next message has at least this number
//! ```
//!
//! Op, reason and which are bytes; everything else is LEB128 of up to 64 bits, or bytes. Messages:
//! `message.rs`. Times are Unix milliseconds.

use super::message::Message;
use super::settings::Settings;
use super::state::{Dead, Queue, Reason, TOTALS, To, Total};
use crate::types::codec::{put_bytes, put_number, take_bytes, take_number};

const CREATE: u8 = 1;
const SETTINGS: u8 = 2;
const ADD: u8 = 3;
const KEY: u8 = 4;
const DELIVER: u8 = 5;
const GONE: u8 = 6;
const RETURN: u8 = 7;
const DEAD: u8 = 8;
const TOTAL: u8 = 9;
const REVIVE: u8 = 10;
const EXTEND: u8 = 11;
const PURGE: u8 = 12;
const FORGET: u8 = 13;
const NEXT: u8 = 14;

/// What reading checked edits relies on.
const CHECKED: &str = "edits are checked before they are applied";

/// Numbers of messages, or groups of them, that were checked.
#[derive(Clone, Copy, Debug)]
struct List<'a>(&'a [u8]);

impl<'a> List<'a> {
    /// Takes a list of groups of so many numbers.
    fn take(input: &mut &'a [u8], group: usize) -> Option<Self> {
        let bytes = take_bytes(input)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            for _ in 0..group {
                take_number(&mut rest)?;
            }
        }
        Some(Self(bytes))
    }

    fn groups<const N: usize>(self) -> impl Iterator<Item = [u64; N]> + use<'a, N> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            (!rest.is_empty())
                .then(|| std::array::from_fn(|_| take_number(&mut rest).expect(CHECKED)))
        })
    }

    fn numbers(self) -> impl Iterator<Item = u64> + use<'a> {
        self.groups::<1>().map(|[number]| number)
    }
}

/// One edit.
#[derive(Clone, Copy, Debug)]
enum Op<'a> {
    Create { incarnation: u64, created_ms: u64 },
    Settings(Settings),
    Add { seq: u64, due_ms: u64, message: &'a [u8] },
    Key { key: &'a [u8], seq: u64, until_ms: u64 },
    Deliver { consumer: &'a [u8], deadline_ms: u64, seqs: List<'a> },
    Gone(List<'a>),
    Return(List<'a>),
    Dead { dead: Dead, list: List<'a> },
    Total { which: usize, count: u64 },
    Revive(List<'a>),
    Extend { seq: u64, deadline_ms: u64 },
    Purge { end: u64, stay: List<'a> },
    Forget { through_ms: u64 },
    Next { seq: u64 },
}

impl<'a> Op<'a> {
    fn take(input: &mut &'a [u8]) -> Option<Self> {
        let (op, rest) = input.split_first()?;
        *input = rest;
        Some(match *op {
            CREATE => {
                Self::Create { incarnation: take_number(input)?, created_ms: take_number(input)? }
            }
            SETTINGS => Self::Settings(Settings::read(take_bytes(input)?)?),
            ADD => {
                let (seq, due_ms) = (take_seq(input)?, take_number(input)?);
                let message = take_bytes(input)?;
                Message::read(message)?;
                Self::Add { seq, due_ms, message }
            }
            KEY => {
                let key = take_bytes(input)?;
                Self::Key { key, seq: take_number(input)?, until_ms: take_number(input)? }
            }
            DELIVER => {
                let (consumer, deadline_ms) = (take_bytes(input)?, take_number(input)?);
                Self::Deliver { consumer, deadline_ms, seqs: List::take(input, 1)? }
            }
            GONE => Self::Gone(List::take(input, 1)?),
            RETURN => Self::Return(List::take(input, 3)?),
            DEAD => {
                let (reason, rest) = input.split_first()?;
                *input = rest;
                let reason = Reason::of(u64::from(*reason))?;
                let dead = Dead { reason, at_ms: take_number(input)? };
                Self::Dead { dead, list: List::take(input, 2)? }
            }
            TOTAL => {
                let (which, rest) = input.split_first()?;
                *input = rest;
                let which = usize::from(*which);
                (which < TOTALS).then_some(())?;
                Self::Total { which, count: take_number(input)? }
            }
            REVIVE => Self::Revive(List::take(input, 1)?),
            EXTEND => Self::Extend { seq: take_number(input)?, deadline_ms: take_number(input)? },
            PURGE => {
                let end = take_seq(input)?;
                Self::Purge { end, stay: List::take(input, 1)? }
            }
            FORGET => Self::Forget { through_ms: take_number(input)? },
            NEXT => Self::Next { seq: take_seq(input)? },
            _ => return None,
        })
    }
}

/// The number of a message; the last one is never given.
fn take_seq(input: &mut &[u8]) -> Option<u64> {
    take_number(input).filter(|seq| *seq < super::id::SEQ_MAX)
}

/// Whether bytes are edits of a queue.
pub(crate) fn check(mut edits: &[u8]) -> bool {
    while !edits.is_empty() {
        if Op::take(&mut edits).is_none() {
            return false;
        }
    }
    true
}

fn count(failures: u64) -> u32 {
    u32::try_from(failures).unwrap_or(u32::MAX)
}

impl Queue {
    /// Applies edits that were checked.
    pub(super) fn apply_edits(&mut self, mut edits: &[u8]) {
        while !edits.is_empty() {
            let op = Op::take(&mut edits).expect(CHECKED);
            self.apply_op(op);
        }
        self.arm();
    }

    fn apply_op(&mut self, op: Op<'_>) {
        match op {
            Op::Create { incarnation, created_ms } => {
                (self.incarnation, self.created_ms) = (incarnation, created_ms);
            }
            Op::Settings(settings) => self.settings = settings,
            Op::Add { seq, due_ms, message } => self.add(seq, due_ms, message),
            Op::Key { key, seq, until_ms } => self.set_key(key, seq, until_ms),
            Op::Deliver { consumer, deadline_ms, seqs } => {
                seqs.numbers().for_each(|seq| self.place(seq, To::Held(consumer, deadline_ms)));
            }
            Op::Gone(seqs) => seqs.numbers().for_each(|seq| self.remove(seq)),
            Op::Return(list) => list.groups().for_each(|[seq, failures, due_ms]| {
                self.set_failures(seq, count(failures));
                self.place(seq, if due_ms > 0 { To::Delayed(due_ms) } else { To::Ready });
            }),
            Op::Dead { dead, list } => list.groups().for_each(|[seq, failures]| {
                self.set_failures(seq, count(failures));
                self.place(seq, To::Dead(dead));
            }),
            Op::Total { which, count } => self.totals[which] = count,
            Op::Revive(seqs) => seqs.numbers().for_each(|seq| {
                self.set_failures(seq, 0);
                self.place(seq, To::Ready);
            }),
            Op::Extend { seq, deadline_ms } => self.extend(seq, deadline_ms),
            Op::Purge { end, stay } => self.purge(end, stay.numbers()),
            Op::Forget { through_ms } => self.forget_keys(through_ms),
            Op::Next { seq } => self.next_seq = self.next_seq.max(seq),
        }
    }
}

/// Writes edits.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) out: Vec<u8>,
    pub(super) list: Vec<u8>,
}

impl Writer {
    fn numbers<const N: usize>(&mut self, numbers: [u64; N]) {
        numbers.into_iter().for_each(|number| put_number(&mut self.out, number));
    }

    fn list<const N: usize>(&mut self, groups: impl Iterator<Item = [u64; N]>) {
        self.list.clear();
        for number in groups.flatten() {
            put_number(&mut self.list, number);
        }
        put_bytes(&mut self.out, &self.list);
    }

    pub(super) fn create(&mut self, incarnation: u64, created_ms: u64) {
        self.out.push(CREATE);
        self.numbers([incarnation, created_ms]);
    }

    pub(super) fn settings(&mut self, settings: &Settings) {
        self.out.push(SETTINGS);
        self.list.clear();
        settings.write(&mut self.list);
        put_bytes(&mut self.out, &self.list);
    }

    pub(super) fn add(&mut self, seq: u64, due_ms: u64, message: &Message<'_>) {
        self.list.clear();
        message.write(&mut self.list);
        self.out.push(ADD);
        self.numbers([seq, due_ms]);
        put_bytes(&mut self.out, &self.list);
    }

    /// The same with a message that is written already.
    pub(super) fn add_written(&mut self, seq: u64, due_ms: u64, message: &[u8]) {
        self.out.push(ADD);
        self.numbers([seq, due_ms]);
        put_bytes(&mut self.out, message);
    }

    pub(super) fn key(&mut self, key: &[u8], seq: u64, until_ms: u64) {
        self.out.push(KEY);
        put_bytes(&mut self.out, key);
        self.numbers([seq, until_ms]);
    }

    pub(super) fn deliver(&mut self, consumer: &[u8], deadline_ms: u64, seqs: &[u64]) {
        self.out.push(DELIVER);
        put_bytes(&mut self.out, consumer);
        self.numbers([deadline_ms]);
        self.list(seqs.iter().map(|seq| [*seq]));
    }

    pub(super) fn gone(&mut self, seqs: &[u64]) {
        self.out.push(GONE);
        self.list(seqs.iter().map(|seq| [*seq]));
    }

    /// Number, failures and due time of each.
    pub(super) fn back(&mut self, list: &[(u64, u32, u64)]) {
        self.out.push(RETURN);
        self.list(list.iter().map(|(seq, failures, due)| [*seq, u64::from(*failures), *due]));
    }

    /// Number and failures of each.
    pub(super) fn dead(&mut self, dead: Dead, list: &[(u64, u32)]) {
        self.out.extend_from_slice(&[DEAD, dead.reason as u8]);
        self.numbers([dead.at_ms]);
        self.list(list.iter().map(|(seq, failures)| [*seq, u64::from(*failures)]));
    }

    pub(super) fn total(&mut self, which: Total, count: u64) {
        self.out.extend_from_slice(&[TOTAL, which as u8]);
        self.numbers([count]);
    }

    pub(super) fn revive(&mut self, seqs: &[u64]) {
        self.out.push(REVIVE);
        self.list(seqs.iter().map(|seq| [*seq]));
    }

    pub(super) fn extend(&mut self, seq: u64, deadline_ms: u64) {
        self.out.push(EXTEND);
        self.numbers([seq, deadline_ms]);
    }

    pub(super) fn purge(&mut self, end: u64, stay: impl Iterator<Item = u64>) {
        self.out.push(PURGE);
        self.numbers([end]);
        self.list(stay.map(|seq| [seq]));
    }

    pub(super) fn forget(&mut self, through_ms: u64) {
        self.out.push(FORGET);
        self.numbers([through_ms]);
    }

    pub(super) fn next(&mut self, seq: u64) {
        self.out.push(NEXT);
        self.numbers([seq]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_edits_are_refused() {
        let mut writer = Writer::default();
        let message = Message {
            priority: 1,
            published_ms: 5,
            max_retries: 3,
            expires_ms: 0,
            headers: &[],
            body: b"x",
        };
        writer.add(3, 0, &message);
        let whole = writer.out.clone();
        assert!(check(&whole));
        assert!((1..whole.len()).all(|end| !check(&whole[..end])));
        for bad in [&[0][..], &[15], &[GONE, 1, 0x80], &[DEAD, 3, 0, 0], &[TOTAL, 6, 0]] {
            assert!(!check(bad), "{bad:?}");
        }
    }
}

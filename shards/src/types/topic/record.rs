//! Edits of partitions. Each states what is now; applied again, or over a newer partition, they
//! come to the same in the end.
//!
//! ```text
//!  1 Definition  see [`Definition::write`]
//!  2 Start       offset                                no event before it is there
//!  3 Append      offset of the first, length, events   these are there; see [`super::event`]
//!  4 Share       group, lease ms, deliveries, next     the group is there, and has been given
//!                                                      everything before `next`
//!  5 Unshare     group                                 it is not
//!  6 Give        group, member, deadline, count, how many offsets, offsets
//!                                                      these are with the member until then, for
//!                                                      the count-th time; deadline 0: with nobody
//!  7 Done        group, how many offsets, offsets      the group is done with these
//!  8 Dead        group, time, count, how many offsets, offsets   these are dead
//!  9 Forget      group, how many offsets, offsets      these are no longer held for dead
//! 10 Captures    how many, patterns                    it holds changes of keys that match one
//! 11 Cold        see [`ColdFile::write`]               these are in a file now
//! ```
//!
//! A number is LEB128 of up to 64 bits, a name stands behind its length, times are Unix
//! milliseconds as numbers.

use super::codec::{put_bytes, put_number, take_bytes, take_number};
use super::cold::ColdFile;
use super::definition::Definition;
use super::event::check_items;
use super::partition::Partition;
use super::share::{Dead, Given, Share, Terms};
use crate::limits::MEMBER_BYTES_MAX;

const DEFINITION: u8 = 1;
const START: u8 = 2;
const APPEND: u8 = 3;
const SHARE: u8 = 4;
const UNSHARE: u8 = 5;
const GIVE: u8 = 6;
const DONE: u8 = 7;
const DEAD: u8 = 8;
const FORGET: u8 = 9;
const CAPTURES: u8 = 10;
const COLD: u8 = 11;

/// Offsets in their encoded form.
#[derive(Clone, Copy, Debug)]
struct Offsets<'a>(&'a [u8]);

impl Iterator for Offsets<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        take_number(&mut self.0)
    }
}

/// Patterns in their encoded form.
#[derive(Clone, Copy, Debug)]
struct Patterns<'a>(&'a [u8]);

impl<'a> Iterator for Patterns<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        take_bytes(&mut self.0)
    }
}

#[derive(Debug)]
enum Edit<'a> {
    Definition(Definition),
    Start(u64),
    Append { base: u64, items: &'a [u8] },
    Share { group: &'a [u8], terms: Terms, next: u64 },
    Unshare(&'a [u8]),
    Give { group: &'a [u8], member: &'a [u8], deadline_ms: u64, count: u32, offsets: Offsets<'a> },
    Done { group: &'a [u8], offsets: Offsets<'a> },
    Dead { group: &'a [u8], dead: Dead, offsets: Offsets<'a> },
    Forget { group: &'a [u8], offsets: Offsets<'a> },
    Captures(Patterns<'a>),
    Cold(ColdFile),
}

/// Takes one edit off the front; nothing when there is none.
fn take<'a>(input: &mut &'a [u8]) -> Option<Edit<'a>> {
    let (op, rest) = input.split_first()?;
    *input = rest;
    Some(match *op {
        DEFINITION => Edit::Definition(Definition::take(input)?),
        START => Edit::Start(take_offset(input)?),
        APPEND => {
            let (base, items) = (take_offset(input)?, take_bytes(input)?);
            let count = check_items(items)?;
            base.checked_add(count).filter(|next| *next <= OFFSET_MAX)?;
            Edit::Append { base, items }
        }
        SHARE => {
            let group = take_name(input)?;
            let lease_ms = take_number(input)?;
            let deliveries_max = u32::try_from(take_number(input)?).ok()?;
            let terms = Terms { lease_ms, deliveries_max };
            Edit::Share { group, terms, next: take_offset(input)? }
        }
        UNSHARE => Edit::Unshare(take_name(input)?),
        GIVE => Edit::Give {
            group: take_name(input)?,
            member: take_name(input)?,
            deadline_ms: take_number(input)?,
            count: u32::try_from(take_number(input)?).ok()?,
            offsets: take_offsets(input)?,
        },
        DONE => Edit::Done { group: take_name(input)?, offsets: take_offsets(input)? },
        DEAD => {
            let group = take_name(input)?;
            let time_ms = take_number(input)?;
            let dead = Dead { time_ms, count: u32::try_from(take_number(input)?).ok()? };
            Edit::Dead { group, dead, offsets: take_offsets(input)? }
        }
        FORGET => Edit::Forget { group: take_name(input)?, offsets: take_offsets(input)? },
        CAPTURES => Edit::Captures(take_patterns(input)?),
        COLD => Edit::Cold(ColdFile::take(input)?),
        _ => return None,
    })
}

/// Offsets have 48 bits in the ids of events.
pub(super) const OFFSET_MAX: u64 = (1 << 48) - 1;

fn take_offset(input: &mut &[u8]) -> Option<u64> {
    take_number(input).filter(|offset| *offset <= OFFSET_MAX)
}

fn take_name<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    take_bytes(input).filter(|name| name.len() <= MEMBER_BYTES_MAX)
}

fn take_offsets<'a>(input: &mut &'a [u8]) -> Option<Offsets<'a>> {
    let count = take_number(input)?;
    let start = *input;
    for _ in 0..count {
        // An event has a next offset, and that is an offset too.
        take_offset(input).filter(|offset| *offset < OFFSET_MAX)?;
    }
    Some(Offsets(&start[..start.len() - input.len()]))
}

fn take_patterns<'a>(input: &mut &'a [u8]) -> Option<Patterns<'a>> {
    let count = take_number(input)?;
    let start = *input;
    for _ in 0..count {
        take_name(input)?;
    }
    Some(Patterns(&start[..start.len() - input.len()]))
}

/// Whether bytes are edits of a partition.
pub(crate) fn check(edits: &[u8]) -> bool {
    let mut rest = edits;
    while !rest.is_empty() {
        if take(&mut rest).is_none() {
            return false;
        }
    }
    true
}

impl Partition {
    /// Applies edits that [`check`] has found to be some.
    pub(super) fn apply_edits(&mut self, edits: &[u8]) {
        let mut rest = edits;
        while !rest.is_empty() {
            let edit = take(&mut rest).expect("edits are checked before they are applied");
            self.apply_one(edit);
        }
    }

    fn apply_one(&mut self, edit: Edit<'_>) {
        match edit {
            Edit::Definition(definition) => self.definition = definition,
            Edit::Start(start) => self.truncate(start),
            Edit::Append { base, items } => self.append(base, items),
            Edit::Share { group, terms, next } => {
                if !self.shares.contains_key(group) {
                    let share = Share::new(terms, next, self.births);
                    self.births += 1;
                    self.shares_bytes += share.held_bytes() + group.len();
                    self.shares.insert(group.into(), share);
                }
                self.share(group, |share| {
                    share.terms = terms;
                    share.skip_to(next);
                });
            }
            Edit::Unshare(group) => {
                if let Some(share) = self.shares.remove(group) {
                    self.shares_bytes -= share.held_bytes() + group.len();
                }
            }
            Edit::Give { group, member, deadline_ms, count, offsets } => {
                let start = self.start();
                self.share(group, |share| {
                    offsets.filter(|offset| *offset >= start).for_each(|offset| {
                        share.give(offset, Given { member: member.into(), deadline_ms, count });
                    });
                });
            }
            Edit::Done { group, offsets } => {
                self.share(group, |share| offsets.for_each(|offset| share.done(offset)));
            }
            Edit::Dead { group, dead, offsets } => {
                let start = self.start();
                self.share(group, |share| {
                    offsets.filter(|at| *at >= start).for_each(|offset| share.bury(offset, dead));
                });
            }
            Edit::Forget { group, offsets } => {
                self.share(group, |share| offsets.for_each(|offset| share.forget(offset)));
            }
            Edit::Captures(patterns) => {
                self.patterns = patterns.map(Box::from).collect();
                let bytes: usize = self.patterns.iter().map(|pattern| pattern.len()).sum();
                self.patterns_bytes = bytes + size_of_val(&*self.patterns);
            }
            Edit::Cold(file) => self.add_cold(file),
        }
    }

    fn share(&mut self, group: &[u8], change: impl FnOnce(&mut Share)) {
        if let Some(share) = self.shares.get_mut(group) {
            self.shares_bytes -= share.held_bytes();
            change(share);
            self.shares_bytes += share.held_bytes();
        }
    }

    /// Lets groups forget events that have gone.
    pub(super) fn forget_shared(&mut self, start: u64) {
        for share in self.shares.values_mut() {
            self.shares_bytes -= share.held_bytes();
            share.truncate(start);
            self.shares_bytes += share.held_bytes();
        }
    }
}

/// Edits that are being written.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) out: Vec<u8>,
}

impl Writer {
    pub(crate) fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    pub(crate) fn definition(&mut self, definition: &Definition) {
        self.out.push(DEFINITION);
        definition.write(&mut self.out);
    }

    pub(crate) fn start(&mut self, offset: u64) {
        self.out.push(START);
        put_number(&mut self.out, offset);
    }

    pub(crate) fn append(&mut self, base: u64, items: &[u8]) {
        self.out.push(APPEND);
        put_number(&mut self.out, base);
        put_bytes(&mut self.out, items);
    }

    /// Events are in a file that is durable.
    pub(super) fn cold(&mut self, file: &ColdFile) {
        self.out.push(COLD);
        file.write(&mut self.out);
    }

    pub(crate) fn share(&mut self, group: &[u8], terms: Terms, next: u64) {
        self.out.push(SHARE);
        put_bytes(&mut self.out, group);
        put_number(&mut self.out, terms.lease_ms);
        put_number(&mut self.out, terms.deliveries_max.into());
        put_number(&mut self.out, next);
    }

    pub(crate) fn unshare(&mut self, group: &[u8]) {
        self.out.push(UNSHARE);
        put_bytes(&mut self.out, group);
    }

    /// Offsets that are with a member until a deadline, for the `count`-th time.
    pub(crate) fn give(
        &mut self,
        (group, member): (&[u8], &[u8]),
        (deadline_ms, count): (u64, u32),
        offsets: &[u64],
    ) {
        self.out.push(GIVE);
        put_bytes(&mut self.out, group);
        put_bytes(&mut self.out, member);
        put_number(&mut self.out, deadline_ms);
        put_number(&mut self.out, count.into());
        self.offsets(offsets);
    }

    pub(crate) fn done(&mut self, group: &[u8], offsets: &[u64]) {
        self.out.push(DONE);
        put_bytes(&mut self.out, group);
        self.offsets(offsets);
    }

    pub(crate) fn dead(&mut self, group: &[u8], dead: Dead, offsets: &[u64]) {
        self.out.push(DEAD);
        put_bytes(&mut self.out, group);
        put_number(&mut self.out, dead.time_ms);
        put_number(&mut self.out, dead.count.into());
        self.offsets(offsets);
    }

    pub(crate) fn forget(&mut self, group: &[u8], offsets: &[u64]) {
        self.out.push(FORGET);
        put_bytes(&mut self.out, group);
        self.offsets(offsets);
    }

    /// It holds changes of keys that match one of these patterns.
    pub(crate) fn captures<'p>(&mut self, patterns: impl ExactSizeIterator<Item = &'p [u8]>) {
        self.out.push(CAPTURES);
        put_number(&mut self.out, patterns.len() as u64);
        patterns.for_each(|pattern| put_bytes(&mut self.out, pattern));
    }

    fn offsets(&mut self, offsets: &[u64]) {
        put_number(&mut self.out, offsets.len() as u64);
        offsets.iter().for_each(|offset| put_number(&mut self.out, *offset));
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::NewEvent;
    use super::*;

    #[test]
    fn no_cut_of_edits_is_edits_unless_it_is_between_two() {
        let mut writer = Writer::default();
        let mut ends = vec![0];
        let mut items = Vec::new();
        NewEvent { data: b"d", ..NewEvent::default() }.write(1, &mut items);
        let writes: &[&dyn Fn(&mut Writer)] = &[
            &|writer| writer.definition(&Definition { partitions: 1, ..Definition::default() }),
            &|writer| writer.start(4),
            &|writer| writer.append(4, &items),
            &|writer| writer.share(b"g", Terms { lease_ms: 5, deliveries_max: 3 }, 4),
            &|writer| writer.give((b"g", b"m"), (77, 1), &[4, 5]),
            &|writer| writer.done(b"g", &[4]),
            &|writer| writer.dead(b"g", Dead { time_ms: 8, count: 2 }, &[5]),
            &|writer| writer.forget(b"g", &[5]),
            &|writer| writer.unshare(b"g"),
            &|writer| writer.captures([&b"a*"[..], b""].into_iter()),
            &|writer| writer.cold(&super::super::cold::tests::file(3, 0, 2, 3)),
        ];
        for write in writes {
            write(&mut writer);
            ends.push(writer.out.len());
        }
        for cut in 0..=writer.out.len() {
            assert_eq!(check(&writer.out[..cut]), ends.contains(&cut), "cut at {cut}");
        }
        let mut last = Writer::default();
        last.done(b"g", &[OFFSET_MAX]);
        assert!(!check(&last.out), "there is no offset behind it");
        let mut partition = Partition::default();
        partition.apply_edits(&writer.out[..ends[5]]);
        assert_eq!(partition.shares[&b"g"[..]].given().len(), 2);
        partition.apply_edits(&writer.out);
        assert!(partition.shares.is_empty());
        assert_eq!(partition.patterns.len(), 2);
        assert_eq!((partition.shares_bytes, partition.next()), (0, 6));
    }
}

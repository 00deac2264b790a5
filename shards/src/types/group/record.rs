//! Edits of consumer groups. Each states what is now; applied again, or over a newer group, they
//! come to the same in the end.
//!
//! ```text
//!  1 Terms     topic, its incarnation u64, partitions, strategy u8, session ms, created ms
//!  2 Member    id, session ms, deadline          the member is there
//!  3 Gone      id                                it is not
//!  4 Owners    generation, time, how many partitions, for each its owner's id
//!              from partition 0 on               these own them now; nobody when there are none
//!  5 Commit    partition, offset, time, metadata the partition was read up to there
//! ```
//!
//! A number is LEB128 of up to 64 bits, names stand behind their length, times are Unix
//! milliseconds as numbers.

use super::assign::Strategy;
use super::state::{Commit, Group, Member, Terms};
use crate::limits::{MEMBER_BYTES_MAX, PARTITIONS_MAX};
use crate::types::topic::codec::{put_bytes, put_number, take_byte, take_bytes, take_number};

const TERMS: u8 = 1;
const MEMBER: u8 = 2;
const GONE: u8 = 3;
const OWNERS: u8 = 4;
const COMMIT: u8 = 5;

#[derive(Debug)]
enum Edit<'a> {
    Terms(Terms),
    Member { id: &'a [u8], member: Member },
    Gone(&'a [u8]),
    Owners { generation: u64, time_ms: u64, ids: Vec<&'a [u8]> },
    Commit { partition: u16, commit: Commit },
}

/// Takes one edit off the front; nothing when there is none.
fn take<'a>(input: &mut &'a [u8]) -> Option<Edit<'a>> {
    let op = take_byte(input)?;
    Some(match op {
        TERMS => {
            let topic = take_bytes(input)?.into();
            let (incarnation, rest) = input.split_first_chunk::<8>()?;
            *input = rest;
            let partitions = u16::try_from(take_number(input)?).ok()?;
            let partitions = Some(partitions).filter(|count| *count <= PARTITIONS_MAX)?;
            Edit::Terms(Terms {
                topic,
                incarnation: u64::from_le_bytes(*incarnation),
                partitions,
                strategy: Strategy::of(take_byte(input)?)?,
                session_ms: take_number(input)?,
                created_ms: take_number(input)?,
            })
        }
        MEMBER => {
            let id = take_name(input)?;
            let session_ms = take_number(input)?;
            let member = Member { session_ms, deadline_ms: take_number(input)? };
            Edit::Member { id, member }
        }
        GONE => Edit::Gone(take_name(input)?),
        OWNERS => {
            let (generation, time_ms) = (take_number(input)?, take_number(input)?);
            let count = take_number(input)?;
            if count > u64::from(PARTITIONS_MAX) {
                return None;
            }
            let ids = (0..count).map(|_| take_name(input)).collect::<Option<_>>()?;
            Edit::Owners { generation, time_ms, ids }
        }
        COMMIT => {
            let partition = u16::try_from(take_number(input)?).ok()?;
            let (offset, time_ms) = (take_number(input)?, take_number(input)?);
            let metadata = take_bytes(input)?.into();
            Edit::Commit { partition, commit: Commit { offset, time_ms, metadata } }
        }
        _ => return None,
    })
}

fn take_name<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    take_bytes(input).filter(|name| name.len() <= MEMBER_BYTES_MAX)
}

/// Whether bytes are edits of a group.
pub(crate) fn check(edits: &[u8]) -> bool {
    let mut rest = edits;
    while !rest.is_empty() {
        if take(&mut rest).is_none() {
            return false;
        }
    }
    true
}

impl Group {
    /// Applies edits that [`check`] has found to be some.
    pub(super) fn apply_edits(&mut self, edits: &[u8]) {
        let mut rest = edits;
        while !rest.is_empty() {
            match take(&mut rest).expect("edits are checked before they are applied") {
                Edit::Terms(terms) => self.terms = terms,
                Edit::Member { id, member } => self.set_member(id, member),
                Edit::Gone(id) => self.remove_member(id),
                Edit::Owners { generation, time_ms, ids } => {
                    self.generation = generation;
                    self.rebalanced_ms = time_ms;
                    self.forget_owners();
                    (0..).zip(ids).for_each(|(partition, id)| self.set_owner(partition, id));
                }
                Edit::Commit { partition, commit } => self.commit(partition, commit),
            }
        }
    }
}

/// Edits that are being written.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) out: Vec<u8>,
}

impl Writer {
    pub(crate) fn terms(&mut self, terms: &Terms) {
        self.out.push(TERMS);
        put_bytes(&mut self.out, &terms.topic);
        self.out.extend_from_slice(&terms.incarnation.to_le_bytes());
        put_number(&mut self.out, terms.partitions.into());
        self.out.push(terms.strategy as u8);
        put_number(&mut self.out, terms.session_ms);
        put_number(&mut self.out, terms.created_ms);
    }

    pub(crate) fn member(&mut self, id: &[u8], member: Member) {
        self.out.push(MEMBER);
        put_bytes(&mut self.out, id);
        put_number(&mut self.out, member.session_ms);
        put_number(&mut self.out, member.deadline_ms);
    }

    pub(crate) fn gone(&mut self, id: &[u8]) {
        self.out.push(GONE);
        put_bytes(&mut self.out, id);
    }

    pub(crate) fn owners<'a>(
        &mut self,
        generation: u64,
        time_ms: u64,
        ids: impl ExactSizeIterator<Item = &'a [u8]>,
    ) {
        self.out.push(OWNERS);
        put_number(&mut self.out, generation);
        put_number(&mut self.out, time_ms);
        put_number(&mut self.out, ids.len() as u64);
        ids.for_each(|id| put_bytes(&mut self.out, id));
    }

    pub(crate) fn commit(&mut self, partition: u16, commit: &Commit) {
        self.out.push(COMMIT);
        put_number(&mut self.out, partition.into());
        put_number(&mut self.out, commit.offset);
        put_number(&mut self.out, commit.time_ms);
        put_bytes(&mut self.out, &commit.metadata);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cut_of_edits_is_edits_unless_it_is_between_two() {
        let mut writer = Writer::default();
        let mut ends = vec![0];
        let terms = Terms {
            topic: (*b"orders").into(),
            incarnation: 7,
            partitions: 3,
            strategy: Strategy::Sticky,
            session_ms: 30_000,
            created_ms: 5,
        };
        let commit = Commit { offset: 40, time_ms: 8, metadata: (*b"note").into() };
        let member = Member { session_ms: 10, deadline_ms: 20 };
        let ids = [&b"m"[..], b"m", b"m"];
        let writes: &[&dyn Fn(&mut Writer)] = &[
            &|writer| writer.terms(&terms),
            &|writer| writer.member(b"m", member),
            &|writer| writer.owners(1, 9, ids.into_iter()),
            &|writer| writer.commit(2, &commit),
            &|writer| writer.gone(b"m"),
            &|writer| writer.owners(2, 9, [].into_iter()),
        ];
        for write in writes {
            write(&mut writer);
            ends.push(writer.out.len());
        }
        for cut in 0..=writer.out.len() {
            assert_eq!(check(&writer.out[..cut]), ends.contains(&cut), "cut at {cut}");
        }
        let mut group = Group::default();
        group.apply_edits(&writer.out[..ends[4]]);
        assert_eq!((&group.terms, group.generation, group.len()), (&terms, 1, 2));
        assert_eq!(group.partitions_of(b"m").collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!((group.commits()[&2] == commit, group.least_deadline()), (true, Some(20)));
        let full = group.held_bytes();
        group.apply_edits(&writer.out);
        assert_eq!((group.owners().len(), group.members().len(), group.generation), (0, 0, 2));
        assert!(group.held_bytes() < full);
    }
}

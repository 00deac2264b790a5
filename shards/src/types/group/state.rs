//! A consumer group in memory: its members with the deadlines of their sessions, who owns which
//! partition, and how far each partition was read.

use std::collections::BTreeMap;

use super::assign::Strategy;

/// Bytes that a member takes, its id left out.
const MEMBER_BYTES: usize = 96;
/// Bytes that a committed offset takes, its metadata left out.
const COMMIT_BYTES: usize = 80;
/// Bytes that the owner of a partition takes, its id left out.
const OWNER_BYTES: usize = 40;

/// What a group was made as.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Terms {
    pub(crate) topic: Box<[u8]>,
    /// The incarnation of that topic.
    pub(crate) incarnation: u64,
    pub(crate) partitions: u16,
    pub(crate) strategy: Strategy,
    /// Of members that do not say otherwise.
    pub(crate) session_ms: u64,
    pub(crate) created_ms: u64,
}

/// A member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Member {
    /// Milliseconds without a heartbeat after which it is out.
    pub(crate) session_ms: u64,
    /// When that is.
    pub(crate) deadline_ms: u64,
}

/// How far a partition was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Commit {
    /// The next offset to read.
    pub(crate) offset: u64,
    pub(crate) time_ms: u64,
    pub(crate) metadata: Box<[u8]>,
}

/// A consumer group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) terms: Terms,
    /// One more with each rebalance.
    pub(crate) generation: u64,
    /// When the last was, Unix milliseconds; zero is never.
    pub(crate) rebalanced_ms: u64,
    members: BTreeMap<Box<[u8]>, Member>,
    owners: BTreeMap<u16, Box<[u8]>>,
    commits: BTreeMap<u16, Commit>,
    held_bytes: usize,
}

impl Group {
    /// Members by id.
    pub(crate) fn members(&self) -> &BTreeMap<Box<[u8]>, Member> {
        &self.members
    }

    /// Owners by partition.
    pub(crate) fn owners(&self) -> &BTreeMap<u16, Box<[u8]>> {
        &self.owners
    }

    /// What was committed, by partition.
    pub(crate) fn commits(&self) -> &BTreeMap<u16, Commit> {
        &self.commits
    }

    /// The partitions of a member, ascending.
    pub(crate) fn partitions_of(&self, member: &[u8]) -> impl Iterator<Item = u16> {
        let mine = self.owners.iter().filter(move |(_, owner)| &***owner == member);
        mine.map(|(partition, _)| *partition)
    }

    /// Number of elements: members and what they have committed.
    pub(crate) fn len(&self) -> usize {
        self.members.len() + self.commits.len()
    }

    /// Bytes taken from the allocator, about.
    pub(crate) fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.terms.topic.len() + self.held_bytes
    }

    /// When the first member is out unless it is heard of.
    pub(crate) fn least_deadline(&self) -> Option<u64> {
        self.members.values().map(|member| member.deadline_ms).min()
    }

    pub(super) fn set_member(&mut self, id: &[u8], member: Member) {
        if let Some(known) = self.members.get_mut(id) {
            *known = member;
            return;
        }
        self.held_bytes += MEMBER_BYTES + id.len();
        self.members.insert(id.into(), member);
    }

    pub(super) fn remove_member(&mut self, id: &[u8]) {
        if self.members.remove(id).is_some() {
            self.held_bytes -= MEMBER_BYTES + id.len();
        }
    }

    pub(super) fn forget_owners(&mut self) {
        let bytes: usize = self.owners.values().map(|id| OWNER_BYTES + id.len()).sum();
        self.held_bytes -= bytes;
        self.owners.clear();
    }

    pub(super) fn set_owner(&mut self, partition: u16, id: &[u8]) {
        if let Some(known) = self.owners.insert(partition, id.into()) {
            self.held_bytes -= OWNER_BYTES + known.len();
        }
        self.held_bytes += OWNER_BYTES + id.len();
    }

    pub(super) fn commit(&mut self, partition: u16, commit: Commit) {
        self.held_bytes += COMMIT_BYTES + commit.metadata.len();
        if let Some(before) = self.commits.insert(partition, commit) {
            self.held_bytes -= COMMIT_BYTES + before.metadata.len();
        }
    }
}

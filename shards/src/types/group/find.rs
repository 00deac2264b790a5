//! Looking groups up for commands, and changing who is in them.

use std::collections::BTreeMap;

use super::assign::assign;
use super::record::Writer;
use super::state::{Group, Member};
use crate::command::error::CommandError;
use crate::key::Namespace;
use crate::shard::plan::View;
use crate::shard::{Content, ValueType};
use crate::types::Large;

const GROUP: &str = "Group";
const MEMBER: &str = "Member";

/// The name of the group of a key.
pub(super) fn name_of(key: &[u8]) -> &[u8] {
    key.get(Namespace::PREFIX_BYTES..).unwrap_or_default()
}

/// The group that an entry holds.
pub(crate) fn group_in<'s>(content: Content<'s>) -> &'s Group {
    match content {
        Content::Large(Large::Group(group), _) => group,
        Content::Large(..) | Content::Packed(_) => {
            unreachable!("the namespace of groups holds groups")
        }
    }
}

/// The group of a key.
pub(crate) fn group<'s>(view: &View<'s>, key: &[u8]) -> Result<Option<&'s Group>, CommandError> {
    let entry = view.peek_typed(key, ValueType::Group)?;
    Ok(entry.map(|entry| group_in(entry.content())))
}

/// The group of a key, which has to be there.
pub(super) fn existing<'s>(view: &View<'s>, key: &[u8]) -> Result<&'s Group, CommandError> {
    group(view, key)?.ok_or_else(|| CommandError::not_found(GROUP, name_of(key)))
}

/// A refusal to make what is there.
pub(super) fn exists(key: &[u8]) -> CommandError {
    CommandError::exists(GROUP, name_of(key))
}

/// A refusal of someone who is no member.
pub(super) fn no_member(id: &[u8]) -> CommandError {
    CommandError::not_found(MEMBER, id)
}

/// The members of a group while a change is planned. Those whose session is over are out at once,
/// whoever finds out.
#[derive(Debug)]
pub(super) struct Roster<'s> {
    group: &'s Group,
    members: BTreeMap<Box<[u8]>, Member>,
    changed: bool,
    writer: Writer,
}

impl<'s> Roster<'s> {
    pub(super) fn of(group: &'s Group, now_ms: u64) -> Self {
        let mut roster = Self {
            group,
            members: group.members().clone(),
            changed: false,
            writer: Writer::default(),
        };
        let members = group.members().iter().map(|(id, member)| (&**id, member));
        let over: Vec<&[u8]> =
            members.filter(|(_, member)| member.deadline_ms <= now_ms).map(|(id, _)| id).collect();
        over.into_iter().for_each(|id| roster.remove(id));
        roster
    }

    pub(super) fn get(&self, id: &[u8]) -> Option<&Member> {
        self.members.get(id)
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn add(&mut self, id: &[u8], member: Member) {
        self.writer.member(id, member);
        self.changed |= self.members.insert(id.into(), member).is_none();
    }

    pub(super) fn remove(&mut self, id: &[u8]) {
        self.writer.gone(id);
        self.members.remove(id);
        self.changed = true;
    }

    /// Has partitions spread anew even if nobody came or went.
    pub(super) fn rebalance(&mut self) {
        self.changed = true;
    }

    /// The generation that the change leads to, and its edits.
    pub(super) fn finish(mut self, now_ms: u64) -> (u64, Vec<u8>) {
        let mut generation = self.group.generation;
        if self.changed {
            generation += 1;
            let ids: Vec<&[u8]> = self.members.keys().map(|id| &**id).collect();
            let before = self.group.owners().iter().map(|(number, id)| (*number, &**id)).collect();
            let terms = &self.group.terms;
            let owners = assign(terms.strategy, terms.partitions.into(), &ids, &before);
            let owners = owners.into_iter().map(|member| ids[member]);
            self.writer.owners(generation, now_ms, owners);
        }
        (generation, self.writer.out)
    }
}

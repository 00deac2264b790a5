//! The large containers of a shard, and applying edits to containers of either form.
//!
//! The entry of a large container holds its number here. A container that is deleted or replaced
//! becomes a grave: it is gone for everyone, its memory is given back in slices by
//! [`Shard::free_some`], so that removing ten million members stalls nobody.

use std::collections::BTreeSet;

use super::agenda::Agenda;
use super::entry::{self, Parts};
use super::memory::{Memory, MemoryMut};
use super::{Entry, Found, Located, Shard};
use crate::key::Namespace;
use crate::seq::Seq;
use crate::shard::ValueType;
use crate::types::topic::cold::ColdFacts;
use crate::types::{self, Large, Thresholds, hash};

/// Bytes that an ordered set takes for one name, its own bytes left out.
const NAME_SHARE_BYTES: usize = 32;
/// Graves of at most this size are freed on the spot.
const SMALL_GRAVE_LEN: usize = 64;

/// The large containers of a shard.
#[derive(Debug, Default)]
pub(super) struct Containers {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    /// Bytes that containers have taken from the allocator themselves; cells are the slab's.
    held_bytes: usize,
    graves: Vec<Large>,
    /// Hashes with fields that expire.
    agenda: Agenda,
    /// What lives in namespaces and has something to do at some time.
    timers: Agenda,
    /// Keys of what lives in namespaces.
    named: BTreeSet<Box<[u8]>>,
    named_bytes: usize,
    /// Keys of partitions of which memory holds more than it should, and of some that may be gone.
    over_hot: BTreeSet<Box<[u8]>>,
    /// Number of the next container; never used again, so that a walk can tell a container from
    /// one that came to the same place later.
    next_serial: u64,
}

#[derive(Debug)]
struct Slot {
    serial: u64,
    large: Large,
}

impl Containers {
    /// The same with nothing in it.
    pub(super) fn cleared(&self) -> Self {
        Self { next_serial: self.next_serial, ..Self::default() }
    }

    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes + self.agenda.held_bytes() + self.timers.held_bytes() + self.named_bytes
    }

    /// Keys of what lives in namespaces.
    pub(super) fn named(&self) -> &BTreeSet<Box<[u8]>> {
        &self.named
    }

    pub(super) fn add_name(&mut self, key: &[u8]) {
        if self.named.insert(key.into()) {
            self.named_bytes += key.len() + NAME_SHARE_BYTES;
        }
    }

    pub(super) fn remove_name(&mut self, key: &[u8]) {
        if self.named.remove(key) {
            self.named_bytes -= key.len() + NAME_SHARE_BYTES;
        }
    }

    /// Notes that a partition of a topic, or a room, has grown beyond what memory should hold of
    /// it. Partitions of other namespaces are read by commands that wait for no disk.
    #[inline]
    fn note_hot(&mut self, key: &[u8], number: u32, limits: &Thresholds) {
        let is_over = self.get(number).is_over_hot(limits);
        let is_topic = || key.starts_with(&Namespace::Partition.prefix());
        if is_over && is_topic() && !self.over_hot.contains(key) {
            self.over_hot.insert(key.into());
        }
    }

    fn add(&mut self, large: Large) -> u32 {
        self.next_serial += 1;
        self.add_slot(Slot { serial: self.next_serial - 1, large })
    }

    /// Where containers of a type stand that have something to do at some time.
    fn agenda(&mut self, value_type: ValueType) -> &mut Agenda {
        if value_type.is_named() { &mut self.timers } else { &mut self.agenda }
    }

    fn add_slot(&mut self, slot: Slot) -> u32 {
        self.held_bytes += slot.large.held_bytes();
        let slot = Some(slot);
        match self.free.pop() {
            Some(number) => {
                self.slots[number as usize] = slot;
                number
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).expect("a shard holds fewer than 2^32 entries")
            }
        }
    }

    #[inline]
    fn slot(&self, number: u32) -> &Slot {
        self.slots[number as usize].as_ref().expect("an entry names a container that is there")
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> &Large {
        &self.slot(number).large
    }

    pub(super) fn serial(&self, number: u32) -> u64 {
        self.slot(number).serial
    }

    #[inline]
    fn get_mut(&mut self, number: u32) -> &mut Large {
        let slot = self.slots[number as usize].as_mut();
        &mut slot.expect("an entry names a container that is there").large
    }

    fn bury(&mut self, number: u32) {
        let slot = self.slots[number as usize].take();
        self.free.push(number);
        self.graves.push(slot.expect("an entry names a container that is there").large);
    }
}

/// What lives in a namespace, out of its shard while that is cleared. It owns no cells there.
#[derive(Debug)]
pub(super) struct Named {
    key: Box<[u8]>,
    value_type: ValueType,
    stamp: Seq,
    access: u32,
    slot: Slot,
}

/// How many keys and elements of each type there are, by the number of the type. Strings have no
/// elements.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct TypeCounts {
    /// Keys.
    pub keys: [usize; ValueType::ALL.len()],
    /// Elements of all containers of the type.
    pub elements: [usize; ValueType::ALL.len()],
}

impl TypeCounts {
    /// Adds those of another shard.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.keys.iter_mut().zip(other.keys) {
            *sum += more;
        }
        for (sum, more) in self.elements.iter_mut().zip(other.elements) {
            *sum += more;
        }
    }
}

/// What the entry of a container holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'s> {
    /// Elements in one run of bytes; the layout is the type's.
    Packed(&'s [u8]),
    /// A structure of its own.
    Large(&'s Large, Memory<'s>),
}

impl<'s> Content<'s> {
    /// Appends edits that build this container from nothing.
    pub(crate) fn write_edits(&self, value_type: ValueType, out: &mut Vec<u8>) {
        match self {
            Self::Packed(value) => types::packed_edits(value_type, value, out),
            Self::Large(large, memory) => {
                let mut cursor = Some(types::Cursor::default());
                while let Some(at) = cursor {
                    cursor = large.piece(*memory, at, out, usize::MAX);
                }
            }
        }
    }

    /// The nearest time at which an element wants something done.
    #[inline]
    fn least_deadline(&self, value_type: ValueType) -> Option<u64> {
        match self {
            Self::Packed(value) if value_type == ValueType::Hash => {
                hash::packed_least_deadline(value)
            }
            Self::Packed(_) => None,
            Self::Large(large, _) => large.least_deadline(),
        }
    }

    /// Number of elements.
    pub(crate) fn len(&self, value_type: ValueType) -> usize {
        match self {
            Self::Packed(value) => types::packed_len(value_type, value),
            Self::Large(large, _) => large.len(),
        }
    }
}

/// The number of the container in the value of a large entry.
pub(super) fn number_in(value: &[u8]) -> u32 {
    let bytes = value.first_chunk::<4>().expect("the value of a large entry is a number");
    u32::from_le_bytes(*bytes)
}

impl<'s> Entry<'s> {
    /// What a container holds.
    #[inline]
    pub(crate) fn content(&self) -> Content<'s> {
        let value = self.layout.value(self.bytes);
        if self.layout.is_large() {
            let memory = self.shard.memory();
            Content::Large(self.shard.containers.get(number_in(value)), memory)
        } else {
            Content::Packed(value)
        }
    }

    /// Number of elements of a container.
    #[inline]
    pub fn element_count(&self) -> usize {
        self.content().len(self.value_type())
    }

    /// What tells its large container from every other of the shard, also of later; nothing for
    /// what is not large.
    pub(crate) fn serial(&self) -> Option<u64> {
        let number = || number_in(self.layout.value(self.bytes));
        self.layout.is_large().then(|| self.shard.containers.serial(number()))
    }

    /// Bytes of its key and of what stands in the entry itself.
    pub fn stored_bytes(&self) -> usize {
        self.key().len() + self.value_bytes().len()
    }

    /// What it holds as bytes to compare and to show: a string, or edits that build the container.
    /// Equal containers of names may list their elements in different order.
    pub fn image(&self) -> Vec<u8> {
        if !self.value_type().is_container() {
            return self.value().to_vec();
        }
        let mut edits = Vec::new();
        self.content().write_edits(self.value_type(), &mut edits);
        edits
    }

    /// The files that it has events in, where it is a partition.
    pub fn cold_facts(&self) -> Vec<ColdFacts> {
        match self.value_type().is_container().then(|| self.content()) {
            Some(Content::Large(Large::Partition(partition), _)) => {
                partition.cold_facts().collect()
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// Whether it is a container in a structure of its own.
    pub fn is_large(&self) -> bool {
        self.layout.is_large()
    }
}

/// A change of one container.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    pub(super) key: &'a [u8],
    pub(super) value_type: ValueType,
    pub(super) edits: &'a [u8],
}

impl Shard {
    pub(super) fn memory(&self) -> Memory<'_> {
        Memory { slab: &self.slab, hasher: &self.hasher }
    }

    /// How many keys and elements of each type it holds, expired ones that still stand included.
    pub fn type_counts(&self) -> TypeCounts {
        self.counts
    }

    /// When a container of this shard goes from its packed form to a structure of its own.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
        for key in self.containers.named.clone() {
            self.note_hot(&key);
        }
    }

    fn note_hot(&mut self, key: &[u8]) {
        let Some(at) = self.find(key).filter(|at| at.layout.is_large()) else { return };
        let number = number_in(self.entry_at(at).value_bytes());
        self.containers.note_hot(key, number, &self.thresholds);
    }

    /// Keys of partitions of which memory holds more than it should, among others.
    pub(crate) fn over_hot(&self) -> impl Iterator<Item = &[u8]> {
        self.containers.over_hot.iter().map(|key| &**key)
    }

    /// Takes a key off [`Shard::over_hot`].
    pub(crate) fn is_not_over_hot(&mut self, key: &[u8]) {
        self.containers.over_hot.remove(key);
    }

    /// The files with events of its partitions.
    pub fn cold_facts(&self) -> Vec<ColdFacts> {
        let entries = self.containers.named.iter().filter_map(|key| self.get(key));
        entries.flat_map(|entry| entry.cold_facts()).collect()
    }

    /// The thresholds in force.
    pub fn thresholds(&self) -> Thresholds {
        self.thresholds
    }

    /// Takes out what lives in namespaces, of a shard that is cleared next.
    pub(super) fn take_named(&mut self) -> Vec<Named> {
        let keys = std::mem::take(&mut self.containers.named);
        let take = |key: Box<[u8]>| {
            let at = self.find(&key).expect("a name stands for an entry");
            let entry = self.entry_at(at);
            let number = number_in(entry.value_bytes());
            let (value_type, stamp, access) = (entry.value_type(), entry.stamp(), entry.access());
            let slot = self.containers.slots[number as usize].take();
            let slot = slot.expect("an entry names a container that is there");
            Named { key, value_type, stamp, access, slot }
        };
        keys.into_iter().map(take).collect()
    }

    /// Puts back what [`Shard::take_named`] has taken.
    pub(super) fn put_named(&mut self, named: Vec<Named>) {
        for Named { key, value_type, stamp, access, slot } in named {
            self.counts.elements[value_type as usize] += slot.large.len();
            self.containers.timers.move_key(&key, None, slot.large.least_deadline());
            let number = self.containers.add_slot(slot).to_le_bytes();
            let value = &number[..];
            let (large, deadline_ms) = (true, None);
            let key = &key[..];
            self.containers.note_hot(key, number_in(value), &self.thresholds);
            let found = Found { hash: self.hash(key), at: None };
            let parts = Parts { value_type, large, stamp, access, deadline_ms, key, value };
            self.put(found, &parts);
        }
    }

    /// Changes a container, or makes it where nothing was found.
    pub(super) fn edit(&mut self, found: Found, change: &Change<'_>, stamp: Seq, access: u32) {
        let Some(at) = found.at else {
            self.build(found, change, (stamp, access), None);
            return;
        };
        let type_found = at.layout.value_type();
        assert_eq!(type_found, change.value_type, "edits suit the container that they change");
        if at.layout.is_large() {
            self.edit_large(at, change, stamp, access);
            return;
        }
        let entry = self.entry_at(at);
        let (before, deadline_ms) = (entry.element_count(), entry.deadline_ms());
        let due_before = entry.content().least_deadline(change.value_type);
        self.counts.elements[change.value_type as usize] -= before;
        let mut value = std::mem::take(&mut self.scratch);
        value.clear();
        value.extend_from_slice(self.entry_at(at).value_bytes());
        self.containers.agenda(change.value_type).move_key(change.key, due_before, None);
        self.put_edited(found, change, value, (stamp, access, deadline_ms));
    }

    #[inline]
    fn edit_large(&mut self, at: Located, change: &Change<'_>, stamp: Seq, access: u32) {
        let number = number_in(at.layout.value(self.slab.bytes(at.handle)));
        let mut memory = MemoryMut { slab: &mut self.slab, hasher: &self.hasher };
        let containers = &mut self.containers;
        let large = containers.get_mut(number);
        let (len, held_bytes, due) = (large.len(), large.held_bytes(), large.least_deadline());
        large.apply(change.edits, &mut memory, &self.thresholds);
        let grave = large.take_grave();
        let buried = grave.as_ref().map_or(0, Large::held_bytes);
        let (len_after, held_after) = (large.len(), large.held_bytes() + buried);
        let due_after = large.least_deadline();
        let count = &mut self.counts.elements[change.value_type as usize];
        *count = *count + len_after - len;
        containers.held_bytes = containers.held_bytes + held_after - held_bytes;
        containers.agenda(change.value_type).move_key(change.key, due, due_after);
        containers.graves.extend(grave);
        if change.value_type == ValueType::Partition {
            containers.note_hot(change.key, number, &self.thresholds);
        }
        let bytes = self.slab.bytes_mut(at.handle);
        entry::set_stamp(bytes, stamp);
        entry::set_access(bytes, access);
    }

    /// Stores the container that edits build from nothing, over whatever was found.
    pub(super) fn build(
        &mut self,
        found: Found,
        change: &Change<'_>,
        (stamp, access): (Seq, u32),
        deadline_ms: Option<u64>,
    ) {
        if let Some(at) = found.at {
            self.let_go(at);
        }
        let mut value = std::mem::take(&mut self.scratch);
        value.clear();
        self.put_edited(found, change, value, (stamp, access, deadline_ms));
    }

    /// Applies edits to the packed bytes in `value`, and stores what comes of it.
    fn put_edited(
        &mut self,
        found: Found,
        change: &Change<'_>,
        mut value: Vec<u8>,
        (stamp, access, deadline_ms): (Seq, u32, Option<u64>),
    ) {
        let Change { key, value_type, edits } = *change;
        let mut memory = MemoryMut { slab: &mut self.slab, hasher: &self.hasher };
        let grown =
            types::apply_packed(value_type, &mut value, edits, &mut memory, &self.thresholds);
        self.counts.elements[value_type as usize] += match &grown {
            Some(large) => large.len(),
            None => types::packed_len(value_type, &value),
        };
        let due = match &grown {
            Some(large) => large.least_deadline(),
            None => Content::Packed(&value).least_deadline(value_type),
        };
        self.containers.agenda(value_type).move_key(key, None, due);
        let number = grown.map(|large| self.containers.add(large).to_le_bytes());
        let parts = Parts {
            value_type,
            large: number.is_some(),
            stamp,
            access,
            deadline_ms,
            key,
            value: number.as_ref().map_or(&value[..], |number| &number[..]),
        };
        if let Some(number) = number {
            self.containers.note_hot(key, u32::from_le_bytes(number), &self.thresholds);
        }
        self.put(found, &parts);
        self.scratch = value;
    }

    /// Lets go of the elements of an entry. The entry itself is replaced or removed next.
    #[inline]
    pub(super) fn let_go(&mut self, at: Located) {
        let value_type = at.layout.value_type();
        if value_type.is_container() {
            let entry = self.entry_at(at);
            let (count, due) = (entry.element_count(), entry.content().least_deadline(value_type));
            if due.is_some() {
                let key = entry.key().to_vec();
                self.containers.agenda(value_type).move_key(&key, due, None);
            }
            self.counts.elements[value_type as usize] -= count;
            if at.layout.is_large() {
                self.bury(at);
            }
        }
    }

    fn bury(&mut self, at: Located) {
        let number = number_in(self.entry_at(at).value_bytes());
        let len = self.containers.get(number).len();
        self.containers.bury(number);
        if len <= SMALL_GRAVE_LEN {
            self.free_some(SMALL_GRAVE_LEN);
        }
    }

    /// Gives back the memory of up to `elements` elements of containers that are gone; whether
    /// there is more.
    pub fn free_some(&mut self, elements: usize) -> bool {
        let Some(grave) = self.containers.graves.last_mut() else { return false };
        let before = grave.held_bytes();
        let mut memory = MemoryMut { slab: &mut self.slab, hasher: &self.hasher };
        let is_empty = grave.release_some(&mut memory, elements);
        let after = if is_empty { 0 } else { grave.held_bytes() };
        self.containers.held_bytes = self.containers.held_bytes - before + after;
        if is_empty {
            self.containers.graves.pop();
        }
        !self.containers.graves.is_empty()
    }

    /// The hash that has had a field that is due for longest at this Unix millisecond.
    pub(crate) fn due_hash(&self, now_ms: u64) -> Option<&[u8]> {
        self.containers.agenda.first_due(now_ms)
    }

    /// What lives in a namespace and has had something to do for longest at this Unix millisecond.
    pub fn due_timer(&self, now_ms: u64) -> Option<&[u8]> {
        self.containers.timers.first_due(now_ms)
    }

    /// Notes that the shard is served from now on: what was with clients of an earlier start is not
    /// any more, which upkeep will record. No data changes.
    pub fn begin_service(&mut self) {
        let keys: Vec<Box<[u8]>> = self.containers.named.iter().cloned().collect();
        for key in keys {
            self.change_quietly(&key, Large::begin_service);
        }
    }

    /// Whether something that lives in a namespace has something to do at some time.
    pub fn has_timers(&self) -> bool {
        self.containers.timers.len() > 0
    }

    /// Looks again at when the container of a key has something to do. No data changes.
    pub fn rearm(&mut self, key: &[u8]) {
        self.change_quietly(key, Large::rearm);
    }

    /// Changes what is not data of a large container.
    fn change_quietly(&mut self, key: &[u8], change: impl FnOnce(&mut Large)) {
        let Some(at) = self.find(key).filter(|at| at.layout.is_large()) else { return };
        let number = number_in(self.entry_at(at).value_bytes());
        let containers = &mut self.containers;
        let large = containers.get_mut(number);
        let (held_bytes, before) = (large.held_bytes(), large.least_deadline());
        change(large);
        let (held_after, after) = (large.held_bytes(), large.least_deadline());
        containers.held_bytes = containers.held_bytes + held_after - held_bytes;
        containers.agenda(at.layout.value_type()).move_key(key, before, after);
    }

    /// Number of hashes with fields that expire.
    pub fn due_hash_count(&self) -> usize {
        self.containers.agenda.len()
    }

    /// Whether memory of containers that are gone has not been given back.
    pub fn has_graves(&self) -> bool {
        !self.containers.graves.is_empty()
    }
}

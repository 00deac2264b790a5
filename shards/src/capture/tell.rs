//! What a record changes, in words: JSON without the braces around it, to be told before the record
//! is applied.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::json::{List, Object};
use crate::batch::Record;
use crate::shard::{Entry, Shard, ValueType};
use crate::types::{hash, list, set, xstream, zset};

/// Why keys go that nobody deletes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cause {
    /// A command, or a deadline.
    Usual,
    /// Memory was short.
    Eviction,
}

/// Tells the records of one command about one shard, in order.
#[derive(Debug)]
pub(super) struct Teller<'s, 'r> {
    shard: &'s Shard,
    now_ms: u64,
    cause: Cause,
    /// What earlier records of the command made of keys: a string, or nothing.
    made: BTreeMap<&'r [u8], Option<Vec<u8>>>,
}

/// What a key was.
enum Before<'s> {
    Nothing,
    String(Cow<'s, [u8]>),
    Container(Entry<'s>),
}

impl Before<'_> {
    fn op(&self) -> &'static str {
        if matches!(self, Self::Nothing) { "\"create\"" } else { "\"update\"" }
    }
}

impl<'s, 'r> Teller<'s, 'r> {
    pub(super) fn new(shard: &'s Shard, now_ms: u64, cause: Cause) -> Self {
        Self { shard, now_ms, cause, made: BTreeMap::new() }
    }

    fn before(&self, key: &[u8]) -> Before<'s> {
        match self.made.get(key) {
            Some(None) => return Before::Nothing,
            Some(Some(value)) => return Before::String(Cow::Owned(value.clone())),
            None => {}
        }
        match self.shard.get(key) {
            None => Before::Nothing,
            Some(entry) if entry.value_type() == ValueType::String => {
                Before::String(Cow::Borrowed(entry.value()))
            }
            Some(entry) => Before::Container(entry),
        }
    }

    fn deadline_ms(&self, key: &[u8]) -> Option<u64> {
        let is_new = self.made.get(key).is_some_and(Option::is_none);
        self.shard.get(key).filter(|_| !is_new)?.deadline_ms()
    }

    /// Bytes that telling a record takes at least, before anything is written.
    pub(super) fn weight(&self, record: &Record<'_>) -> usize {
        let old = match self.before(record.key()) {
            Before::Nothing => 0,
            Before::String(old) => old.len(),
            Before::Container(_) => 0,
        };
        match record {
            Record::Put { value, .. } => old + value.len(),
            Record::Patch { offset, bytes, .. } => old + old.max(offset + bytes.len()),
            Record::Edit { edits, .. } | Record::Store { edits, .. } => edits.len(),
            Record::Delete { .. } => old,
            Record::Expire { .. } | Record::Clear | Record::Library { .. } => 0,
        }
    }

    /// Appends what a record changes.
    pub(super) fn tell(&mut self, record: &Record<'r>, out: &mut Vec<u8>) {
        let mut object = Object::over(out);
        let object = &mut object;
        match *record {
            Record::Put { key, value, deadline_ms, .. } => {
                self.string(key, value, deadline_ms, object);
                self.made.insert(key, Some(value.to_vec()));
            }
            Record::Patch { key, offset, bytes, .. } => {
                let mut new = match self.before(key) {
                    Before::String(old) => old.into_owned(),
                    Before::Nothing | Before::Container(_) => Vec::new(),
                };
                let end = offset + bytes.len();
                if new.len() < end {
                    new.resize(end, 0);
                }
                new[offset..end].copy_from_slice(bytes);
                self.string(key, &new, self.deadline_ms(key), object);
                self.made.insert(key, Some(new));
            }
            Record::Delete { key } => {
                self.delete(key, object);
                self.made.insert(key, None);
            }
            Record::Expire { key, deadline_ms } => {
                object.raw("op", "\"expire\"");
                object.bytes("key", key);
                if let Some(entry) = self.shard.get(key) {
                    head(entry.value_type(), object);
                }
                object.number_or_null("old_expires_at", self.deadline_ms(key));
                until(deadline_ms, object);
            }
            Record::Clear => object.raw("op", "\"truncate\""),
            Record::Edit { key, value_type, edits, .. } => {
                let before = self.before(key);
                object.raw("op", before.op());
                object.bytes("key", key);
                head(value_type, object);
                let entry = if let Before::Container(entry) = &before { Some(entry) } else { None };
                self.elements("changes", (value_type, entry), edits, object);
                until(self.deadline_ms(key), object);
            }
            Record::Store { key, value_type, edits, deadline_ms, .. } => {
                object.raw("op", self.before(key).op());
                object.bytes("key", key);
                head(value_type, object);
                object.truth("replace", true);
                self.elements("changes", (value_type, None), edits, object);
                until(deadline_ms, object);
            }
            Record::Library { .. } => unreachable!("libraries are no keys"),
        }
    }

    fn string(&self, key: &[u8], new: &[u8], deadline_ms: Option<u64>, object: &mut Object<'_>) {
        let before = self.before(key);
        object.raw("op", before.op());
        object.bytes("key", key);
        head(ValueType::String, object);
        match &before {
            Before::Nothing => object.null("old"),
            Before::String(old) => object.bytes("old", old),
            Before::Container(entry) => self.old_elements(entry, object),
        }
        object.bytes("new", new);
        until(deadline_ms, object);
    }

    fn delete(&self, key: &[u8], object: &mut Object<'_>) {
        object.raw("op", "\"delete\"");
        object.bytes("key", key);
        match &self.before(key) {
            Before::Nothing => {}
            Before::String(old) => {
                head(ValueType::String, object);
                object.bytes("old", old);
            }
            Before::Container(entry) => {
                head(entry.value_type(), object);
                self.old_elements(entry, object);
            }
        }
        if self.deadline_ms(key).is_some_and(|deadline_ms| deadline_ms <= self.now_ms) {
            object.raw("cause", "\"expired\"");
        } else if self.cause == Cause::Eviction {
            object.raw("cause", "\"evicted\"");
        }
    }

    /// The elements of a container that goes, where it is small: removing a large one costs nothing
    /// that grows with it.
    fn old_elements(&self, entry: &Entry<'_>, object: &mut Object<'_>) {
        if entry.is_large() {
            return;
        }
        let edits = entry.image();
        self.elements("old", (entry.value_type(), None), &edits, object);
    }

    fn elements(
        &self,
        name: &str,
        (value_type, entry): (ValueType, Option<&Entry<'_>>),
        edits: &[u8],
        object: &mut Object<'_>,
    ) {
        let entry = entry.filter(|entry| entry.value_type() == value_type);
        object.list(name, |list| tell_edits(value_type, entry, edits, self.now_ms, list));
    }
}

fn tell_edits(
    value_type: ValueType,
    entry: Option<&Entry<'_>>,
    edits: &[u8],
    now_ms: u64,
    list: &mut List<'_>,
) {
    match value_type {
        ValueType::List => list::tell(entry, edits, list),
        ValueType::Set => set::tell(entry, edits, list),
        ValueType::SortedSet => zset::tell(entry, edits, list),
        ValueType::Hash => hash::tell(entry, edits, now_ms, list),
        ValueType::Stream => xstream::tell(entry, edits, list),
        ValueType::String | ValueType::Queue | ValueType::Partition | ValueType::Group => {
            unreachable!("only keys are captured, and strings have no edits")
        }
    }
}

fn head(value_type: ValueType, object: &mut Object<'_>) {
    object.bytes("type", value_type.name().as_bytes());
}

fn until(deadline_ms: Option<u64>, object: &mut Object<'_>) {
    if let Some(deadline_ms) = deadline_ms {
        object.number("expires_at", deadline_ms);
    }
}

/// Appends what a key is, as the change that makes it so whatever it was.
pub(super) fn tell_entry(entry: &Entry<'_>, now_ms: u64, out: &mut Vec<u8>) {
    let mut object = Object::over(out);
    object.raw("op", "\"read\"");
    object.bytes("key", entry.key());
    head(entry.value_type(), &mut object);
    if entry.value_type().is_container() {
        object.truth("replace", true);
        let edits = entry.image();
        object.list("changes", |list| {
            tell_edits(entry.value_type(), None, &edits, now_ms, list);
        });
    } else {
        object.bytes("new", entry.value());
    }
    until(entry.deadline_ms(), &mut object);
}

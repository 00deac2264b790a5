//! Reading a list in either form.

use std::collections::vec_deque::Iter;
use std::sync::Arc;

use super::large::Large;
use super::node::Node;
use super::packed;
use super::record::End;
use super::run::{self, Elements};
use crate::shard::{Content, Entry};
use crate::types;

/// A list, for reading.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ListView<'s> {
    /// A run and its number of elements.
    Packed(&'s [u8], usize),
    /// Nodes.
    Large(&'s Large),
}

impl<'s> ListView<'s> {
    /// The list in an entry, which holds one.
    #[inline]
    pub(crate) fn of(entry: &Entry<'s>) -> Self {
        match entry.content() {
            Content::Packed(value) => {
                Self::Packed(packed::elements(value), packed::packed_len(value))
            }
            Content::Large(types::Large::List(list), _) => Self::Large(list),
            Content::Large(other, _) => unreachable!("the entry holds a list, not {other:?}"),
        }
    }

    /// Number of elements.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Packed(_, count) => *count,
            Self::Large(list) => list.len(),
        }
    }

    /// The element of an index.
    pub(crate) fn get(&self, index: usize) -> Option<&'s [u8]> {
        match self {
            Self::Packed(run, count) if index < *count => {
                Elements(&run[run::offset_of(run, *count, index)..]).next()
            }
            Self::Packed(..) => None,
            Self::Large(list) => list.get(index),
        }
    }

    /// The element at an end.
    pub(super) fn outermost(&self, end: End) -> Option<&'s [u8]> {
        let mut elements = match self {
            Self::Packed(run, _) => Elements(run),
            Self::Large(list) => list.node_at(end).map(Node::elements).unwrap_or_default(),
        };
        match end {
            End::Left => elements.next(),
            End::Right => elements.next_back(),
        }
    }

    /// The elements from an index on.
    pub(crate) fn from(&self, index: usize) -> Walk<'s> {
        match self {
            Self::Packed(run, count) => {
                let front = Elements(&run[run::offset_of(run, *count, index.min(*count))..]);
                Walk { front, ..Walk::default() }
            }
            Self::Large(list) => {
                let (front, nodes) = list.from(index);
                Walk { front, nodes, back: Elements::default() }
            }
        }
    }

    /// All elements.
    pub(crate) fn iter(&self) -> Walk<'s> {
        self.from(0)
    }
}

/// Elements of a list in a row, from either end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walk<'s> {
    front: Elements<'s>,
    nodes: Iter<'s, Arc<Node>>,
    back: Elements<'s>,
}

impl<'s> Iterator for Walk<'s> {
    type Item = &'s [u8];

    #[inline]
    fn next(&mut self) -> Option<&'s [u8]> {
        loop {
            if let Some(element) = self.front.next() {
                return Some(element);
            }
            match self.nodes.next() {
                Some(node) => self.front = node.elements(),
                None => return self.back.next(),
            }
        }
    }
}

impl DoubleEndedIterator for Walk<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(element) = self.back.next_back() {
                return Some(element);
            }
            match self.nodes.next_back() {
                Some(node) => self.back = node.elements(),
                None => return self.front.next_back(),
            }
        }
    }
}

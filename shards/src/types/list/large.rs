//! The large form: a queue of nodes of some kilobytes each. Both ends are reached at once, an index
//! by skipping whole nodes from the nearer end.
//!
//! Nodes are shared with walks that write images: a walk pins the nodes of one moment, and whoever
//! changes a pinned node changes a copy. So an image of a list is the list of that moment.

use std::collections::VecDeque;
use std::collections::vec_deque::Iter;
use std::sync::Arc;

use super::Limit;
use super::node::Node;
use super::record::{self, Edit, Edits, End, Gaps};
use super::run::Elements;
use crate::shard::memory::{Memory, MemoryMut};
use crate::types::{Cursor, Thresholds};

/// A list in nodes.
#[derive(Debug, Default)]
pub(crate) struct Large {
    nodes: VecDeque<Arc<Node>>,
    count: usize,
    /// Bytes that the nodes have taken from the allocator.
    node_bytes: usize,
}

/// The nodes of a list at one moment.
#[derive(Debug)]
pub(crate) struct Pinned(Vec<Arc<Node>>);

impl Pinned {
    /// Appends edits that load the elements from `cursor` on, of about `budget_bytes`, and answers
    /// where the next piece begins.
    pub(crate) fn piece(
        &self,
        cursor: Cursor,
        out: &mut Vec<u8>,
        budget_bytes: usize,
    ) -> Option<Cursor> {
        piece(self.0.iter(), cursor, out, budget_bytes)
    }
}

/// The cursor counts elements in `a` and nodes in `b`.
fn piece<'n>(
    nodes: impl ExactSizeIterator<Item = &'n Arc<Node>> + Clone,
    cursor: Cursor,
    out: &mut Vec<u8>,
    budget_bytes: usize,
) -> Option<Cursor> {
    let all = nodes.len();
    let first = cursor.b as usize;
    let nodes = nodes.skip(first);
    let (mut taken, mut count, mut bytes) = (0, 0, 0);
    for node in nodes.clone() {
        if taken > 0 && bytes >= budget_bytes {
            break;
        }
        taken += 1;
        count += node.count();
        bytes += node.run().len();
    }
    let elements = nodes.take(taken).flat_map(|node| node.elements());
    record::load(out, cursor.a as usize, count, elements);
    let after = Cursor { a: cursor.a + count as u64, b: (first + taken) as u64, ..cursor };
    (first + taken < all).then_some(after)
}

impl Large {
    /// A list of the elements of a run.
    pub(super) fn of_run(run: &[u8], count: usize, limit: Limit) -> Self {
        let mut list = Self::default();
        if count > 0 {
            list.take_in(Node::of_run(run, count), limit);
        }
        list
    }

    /// Number of elements.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Bytes taken from the allocator.
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.node_bytes + self.nodes.capacity() * size_of::<Arc<Node>>()
    }

    /// Bytes of cells: it has none.
    pub(crate) fn cell_bytes(&self) -> usize {
        0
    }

    /// The name that `OBJECT ENCODING` answers.
    pub(crate) fn encoding(&self) -> &'static str {
        "quicklist"
    }

    /// Applies edits.
    #[inline]
    pub(crate) fn apply(&mut self, edits: &[u8], _: &mut MemoryMut<'_>, thresholds: &Thresholds) {
        let limit = Limit::of(thresholds);
        Edits(edits).for_each(|edit| self.edit(edit, limit));
    }

    /// Applies one edit.
    #[inline]
    pub(super) fn edit(&mut self, edit: Edit<'_>, limit: Limit) {
        match edit {
            Edit::Push(end, items) => items.for_each(|element| self.push(end, element, limit)),
            Edit::Load(ordinal, items) if ordinal == self.count => {
                items.for_each(|element| self.push(End::Right, element, limit));
            }
            Edit::Load(..) => {}
            Edit::Pop(end, gone) => self.pop(end, gone),
            Edit::Set(index, element) => self.set(index, element, limit),
            Edit::Insert(index, element) => self.insert(index, element, limit),
            Edit::Remove(gaps) => self.remove(gaps, limit),
        }
    }

    /// Changes a node, in a copy if a walk has pinned it.
    #[inline]
    fn edit_node(&mut self, at: usize, edit: impl FnOnce(&mut Node)) {
        let node = Arc::make_mut(&mut self.nodes[at]);
        let before = node.held_bytes();
        edit(node);
        self.node_bytes = self.node_bytes + node.held_bytes() - before;
    }

    /// Adds a node behind the last, or several when it holds more than one should.
    fn take_in(&mut self, node: Node, limit: Limit) {
        self.count += node.count();
        let parts = if node.is_over(limit) { node.split(limit) } else { vec![node] };
        for part in parts {
            self.node_bytes += part.held_bytes();
            self.nodes.push_back(Arc::new(part));
        }
    }

    /// The node at an end.
    #[inline]
    pub(super) fn node_at(&self, end: End) -> Option<&Node> {
        let node = match end {
            End::Left => self.nodes.front(),
            End::Right => self.nodes.back(),
        };
        node.map(Arc::as_ref)
    }

    /// Adds an element at an end.
    #[inline]
    pub(super) fn push(&mut self, end: End, element: &[u8], limit: Limit) {
        self.count += 1;
        if self.node_at(end).is_some_and(|node| node.has_room(element.len(), limit)) {
            let at = if end == End::Left { 0 } else { self.nodes.len() - 1 };
            self.edit_node(at, |node| node.push(end, element, limit));
            return;
        }
        let mut node = Node::default();
        node.push(end, element, limit);
        self.node_bytes += node.held_bytes();
        match end {
            End::Left => self.nodes.push_front(Arc::new(node)),
            End::Right => self.nodes.push_back(Arc::new(node)),
        }
    }

    fn pop(&mut self, end: End, mut gone: usize) {
        while gone > 0 {
            let Some(node) = self.node_at(end) else { return };
            let (count, held_bytes) = (node.count(), node.held_bytes());
            if count > gone {
                let at = if end == End::Left { 0 } else { self.nodes.len() - 1 };
                self.edit_node(at, |node| node.pop(end, gone));
                self.count -= gone;
                return;
            }
            self.node_bytes -= held_bytes;
            self.count -= count;
            gone -= count;
            match end {
                End::Left => self.nodes.pop_front(),
                End::Right => self.nodes.pop_back(),
            };
        }
    }

    /// The node of an element, and the element's number in it. Walks from the nearer end.
    fn locate(&self, index: usize) -> (usize, usize) {
        if index < self.count / 2 {
            let mut before = 0;
            for (at, node) in self.nodes.iter().enumerate() {
                if index < before + node.count() {
                    return (at, index - before);
                }
                before += node.count();
            }
        } else {
            let mut before = self.count;
            for (at, node) in self.nodes.iter().enumerate().rev() {
                before -= node.count();
                if index >= before {
                    return (at, index - before);
                }
            }
        }
        unreachable!("the index is below the number of elements")
    }

    fn set(&mut self, index: usize, element: &[u8], limit: Limit) {
        if index < self.count {
            let (at, number) = self.locate(index);
            self.edit_node(at, |node| node.set(number, element));
            self.split_if_over(at, limit);
        }
    }

    fn insert(&mut self, index: usize, element: &[u8], limit: Limit) {
        if index == 0 || index == self.count {
            let end = if index == 0 { End::Left } else { End::Right };
            self.push(end, element, limit);
        } else if index < self.count {
            let (at, number) = self.locate(index);
            self.count += 1;
            self.edit_node(at, |node| node.insert(number, element));
            self.split_if_over(at, limit);
        }
    }

    fn split_if_over(&mut self, at: usize, limit: Limit) {
        if !self.nodes[at].is_over(limit) {
            return;
        }
        let Some(node) = self.nodes.remove(at) else { return };
        self.node_bytes -= node.held_bytes();
        for (more, part) in node.split(limit).into_iter().enumerate() {
            self.node_bytes += part.held_bytes();
            self.nodes.insert(at + more, Arc::new(part));
        }
    }

    /// Drops elements, and joins what is left of nodes with the nodes before them where both
    /// together are small.
    fn remove(&mut self, mut gaps: Gaps<'_>, limit: Limit) {
        let nodes = std::mem::take(&mut self.nodes);
        *self = Self { nodes: VecDeque::with_capacity(nodes.len()), ..Self::default() };
        let mut gap = gaps.next();
        let mut shrank = false;
        for node in nodes {
            match gap {
                Some(stay) if stay < node.count() => {
                    let left = thinned(&node, &mut gap, &mut gaps, limit);
                    shrank = true;
                    if left.count() > 0 {
                        self.join(Arc::new(left), shrank, limit);
                    }
                }
                later => {
                    gap = later.map(|stay| stay - node.count());
                    self.join(node, shrank, limit);
                    shrank = false;
                }
            }
        }
    }

    /// Adds a node behind the last, or its elements to the last.
    fn join(&mut self, node: Arc<Node>, may_merge: bool, limit: Limit) {
        self.count += node.count();
        if may_merge
            && let Some(last) = self.nodes.back()
            && last.run().len() + node.run().len() <= limit.bytes / 2
            && last.count() + node.count() <= limit.count / 2
        {
            let at = self.nodes.len() - 1;
            self.edit_node(at, |last| last.append(&node));
            return;
        }
        self.node_bytes += node.held_bytes();
        self.nodes.push_back(node);
    }

    /// The element of an index.
    pub(super) fn get(&self, index: usize) -> Option<&[u8]> {
        if index >= self.count {
            return None;
        }
        let (at, number) = self.locate(index);
        self.nodes[at].elements_from(number).next()
    }

    /// The elements from an index on: those left of its node, and the nodes behind that.
    pub(super) fn from(&self, index: usize) -> (Elements<'_>, Iter<'_, Arc<Node>>) {
        if index >= self.count {
            return (Elements::default(), self.nodes.range(self.nodes.len()..));
        }
        let (at, number) = self.locate(index);
        (self.nodes[at].elements_from(number), self.nodes.range(at + 1..))
    }

    /// Gives back the memory of about `budget` elements; true when nothing is left.
    pub(crate) fn release_some(&mut self, _: &mut MemoryMut<'_>, budget: usize) -> bool {
        let mut freed = 0;
        while freed < budget {
            let Some(node) = self.nodes.pop_back() else { break };
            freed += node.count();
            self.count -= node.count();
            self.node_bytes -= node.held_bytes();
        }
        self.nodes.is_empty()
    }

    /// Its nodes as they are now.
    pub(crate) fn pin(&self) -> Pinned {
        Pinned(self.nodes.iter().cloned().collect())
    }

    /// As [`Pinned::piece`], of the list as it is; for walks during which it does not change.
    pub(crate) fn piece(
        &self,
        _: Memory<'_>,
        cursor: Cursor,
        out: &mut Vec<u8>,
        budget_bytes: usize,
    ) -> Option<Cursor> {
        piece(self.nodes.iter(), cursor, out, budget_bytes)
    }
}

/// What is left of a node. `gap` elements stay before the next that goes; afterwards it counts from
/// the start of the next node.
fn thinned(node: &Node, gap: &mut Option<usize>, gaps: &mut Gaps<'_>, limit: Limit) -> Node {
    let mut left = Node::default();
    for element in node.elements() {
        match gap.as_mut() {
            Some(0) => {
                *gap = gaps.next();
                continue;
            }
            Some(stay) => *stay -= 1,
            None => {}
        }
        left.push(End::Right, element, limit);
    }
    left
}

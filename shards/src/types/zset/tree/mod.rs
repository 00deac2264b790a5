//! An order-statistic tree of scored members: a B+tree whose inner nodes count what is below them.
//!
//! Entries stand in the order of (score, member bytes). Scores are inline; members are cells of the
//! shard's memory that the tree knows by handle only, and asks for just when scores are equal. So
//! rank, insertion, removal and the ends of ranges take O(log n), and a walk reads leaves that are
//! linked both ways. See Bayer and McCreight (1972) for B-trees; the counts are the usual addition
//! for order statistics (Knuth, TAOCP 3, 6.2.3).
//!
//! Nodes are allocations of their own, named by their position in a list: growth copies the list
//! of their addresses (8 bytes for some 45 members), never the nodes.
//!
//! Inner nodes name each child by its first entry. That entry is live: whoever removes the first
//! entry of a leaf has the names above it renewed before the cell goes back.

mod node;

use crate::shard::slab::Handle;
use node::{Arena, Branch, Child, FAN, Key, Keys, Leaf};

/// A node with fewer entries than this is joined with a neighbour, or takes from it.
const LEAST: usize = FAN / 4;
/// No neighbour.
const NONE: u32 = u32::MAX;

/// Where an entry stands; good until the tree changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Number of entries before it.
    pub(crate) rank: usize,
    leaf: u32,
    slot: u32,
}

/// The tree.
#[derive(Debug)]
pub(crate) struct Tree {
    leaves: Arena<Leaf>,
    branches: Arena<Branch>,
    root: u32,
    /// Levels of branches above the leaves.
    height: u32,
    len: usize,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let mut leaves = Arena::NEW;
        let root = leaves.add(Leaf { keys: Keys::EMPTY, next: NONE, previous: NONE });
        Self { leaves, branches: Arena::NEW, root, height: 0, len: 0 }
    }

    /// Bytes taken from the allocator.
    pub(crate) fn held_bytes(&self) -> usize {
        self.leaves.held_bytes() + self.branches.held_bytes()
    }

    /// The first entry for which `before` does not hold; the place behind the last when it holds
    /// for all. `before` holds for the entries of a front part of the order, and for no others.
    #[inline]
    pub(crate) fn partition(&self, before: impl Fn(f64, Handle) -> bool) -> Place {
        let (mut node, mut rank) = (self.root, 0);
        for _ in 0..self.height {
            let branch = self.branches.get(node);
            let index = branch.keys.partition(&before).saturating_sub(1);
            rank += branch.counts[..index].iter().sum::<u32>() as usize;
            node = branch.children[index];
        }
        let slot = self.leaves.get(node).keys.partition(&before);
        Place { rank: rank + slot, leaf: node, slot: slot as u32 }
    }

    /// The entry of this rank, or the place behind the last.
    pub(crate) fn by_rank(&self, rank: usize) -> Place {
        let rank = rank.min(self.len);
        let (mut node, mut rest) = (self.root, rank as u32);
        for _ in 0..self.height {
            let branch = self.branches.get(node);
            let mut index = 0;
            while index + 1 < branch.keys.len() && rest >= branch.counts[index] {
                rest -= branch.counts[index];
                index += 1;
            }
            node = branch.children[index];
        }
        Place { rank, leaf: node, slot: rest }
    }

    /// The `count` entries from `place` on, or as many as there are.
    pub(crate) fn walk(&self, place: Place, count: usize) -> Walk<'_> {
        let left = count.min(self.len - place.rank);
        Walk { tree: self, leaf: place.leaf, slot: place.slot, left }
    }

    /// The `count` entries before `place`, the nearest first, or as many as there are.
    pub(crate) fn walk_back(&self, place: Place, count: usize) -> WalkBack<'_> {
        WalkBack { tree: self, leaf: place.leaf, slot: place.slot, left: count.min(place.rank) }
    }

    /// Adds an entry. `before` says which entries belong in front of it; it is not there yet.
    pub(crate) fn insert(
        &mut self,
        score: f64,
        handle: Handle,
        before: impl Fn(f64, Handle) -> bool,
    ) {
        let sibling = self.grow((self.root, self.height), (score, handle.0), &before, true);
        self.len += 1;
        let Some(sibling) = sibling else { return };
        let mut root = Branch::EMPTY;
        root.insert(0, self.child(self.root, self.height));
        root.insert(1, self.child(sibling, self.height));
        self.root = self.branches.add(root);
        self.height += 1;
    }

    /// A node of a level, as its parent knows it.
    fn child(&self, id: u32, level: u32) -> Child {
        if level == 0 {
            let keys = &self.leaves.get(id).keys;
            return Child { key: keys.at(0), id, count: keys.len };
        }
        let branch = self.branches.get(id);
        Child { key: branch.keys.at(0), id, count: branch.total() }
    }

    /// Adds an entry below a node; a new right neighbour of the node, if it had to be split. `last`
    /// says that the node is the last one of its level.
    fn grow(
        &mut self,
        (node, level): (u32, u32),
        key: Key,
        before: &impl Fn(f64, Handle) -> bool,
        last: bool,
    ) -> Option<u32> {
        if level == 0 {
            return self.grow_leaf(node, key, before);
        }
        let branch = self.branches.get(node);
        let index = branch.keys.partition(before).saturating_sub(1);
        let last = last && index + 1 == branch.keys.len();
        let below = branch.children[index];
        let sibling = self.grow((below, level - 1), key, before, last);
        let Some(sibling) = sibling else {
            let first = self.first_key(below, level - 1);
            let branch = self.branches.get_mut(node);
            branch.counts[index] += 1;
            branch.keys.set(index, first);
            return None;
        };
        let (left, right) = (self.child(below, level - 1), self.child(sibling, level - 1));
        let branch = self.branches.get_mut(node);
        branch.set(index, left);
        if branch.keys.len() < FAN {
            branch.insert(index + 1, right);
            return None;
        }
        // No branch has a single child: one that loses a leaf then always has another to join.
        let at = if last { FAN - 1 } else { FAN / 2 };
        let mut upper = Branch::EMPTY;
        branch.move_tail(at, &mut upper);
        if index < at {
            branch.insert(index + 1, right);
        } else {
            upper.insert(index + 1 - at, right);
        }
        Some(self.branches.add(upper))
    }

    fn first_key(&self, id: u32, level: u32) -> Key {
        if level == 0 { self.leaves.get(id).keys.at(0) } else { self.branches.get(id).keys.at(0) }
    }

    fn grow_leaf(
        &mut self,
        id: u32,
        key: Key,
        before: &impl Fn(f64, Handle) -> bool,
    ) -> Option<u32> {
        let leaf = self.leaves.get_mut(id);
        let slot = leaf.keys.partition(before);
        if leaf.keys.len() < FAN {
            leaf.keys.insert(slot, key);
            return None;
        }
        // Entries that come in order fill their leaves.
        let at = if leaf.next == NONE && slot == FAN { FAN } else { FAN / 2 };
        let mut upper = Leaf { keys: Keys::EMPTY, next: leaf.next, previous: id };
        leaf.keys.move_tail(at, &mut upper.keys);
        if slot < at {
            leaf.keys.insert(slot, key);
        } else {
            upper.keys.insert(slot - at, key);
        }
        let after = upper.next;
        let sibling = self.leaves.add(upper);
        self.leaves.get_mut(id).next = sibling;
        if after != NONE {
            self.leaves.get_mut(after).previous = sibling;
        }
        Some(sibling)
    }

    /// Takes out the entry of this handle; false when it is not there. `before` says which entries
    /// stand in front of it.
    pub(crate) fn remove(&mut self, handle: Handle, before: impl Fn(f64, Handle) -> bool) -> bool {
        if !self.shrink((self.root, self.height), handle, &before) {
            return false;
        }
        self.len -= 1;
        while self.height > 0 && self.branches.get(self.root).keys.len() == 1 {
            let old = self.branches.lift(self.root);
            self.branches.drop_lifted(self.root);
            self.root = old.children[0];
            self.height -= 1;
        }
        true
    }

    fn shrink(
        &mut self,
        (node, level): (u32, u32),
        handle: Handle,
        before: &impl Fn(f64, Handle) -> bool,
    ) -> bool {
        if level == 0 {
            let keys = &mut self.leaves.get_mut(node).keys;
            let slot = keys.partition(before);
            let there = slot < keys.len() && keys.handles[slot] == handle.0;
            if there {
                keys.remove(slot);
            }
            return there;
        }
        let branch = self.branches.get(node);
        // The entry itself may name its child, so that none before it does.
        let before_it = branch.keys.partition(before);
        let named = before_it < branch.keys.len() && branch.keys.handles[before_it] == handle.0;
        let index = if named { before_it } else { before_it.saturating_sub(1) };
        let below = branch.children[index];
        if !self.shrink((below, level - 1), handle, before) {
            return false;
        }
        if self.node_len(below, level - 1) < LEAST && self.branches.get(node).keys.len() > 1 {
            self.mend(node, index, level - 1);
            return true;
        }
        let first = self.first_key(below, level - 1);
        let branch = self.branches.get_mut(node);
        branch.counts[index] -= 1;
        branch.keys.set(index, first);
        true
    }

    fn node_len(&self, id: u32, level: u32) -> usize {
        if level == 0 { self.leaves.get(id).keys.len() } else { self.branches.get(id).keys.len() }
    }

    /// Joins the child `index` of a branch with a neighbour, or evens the two out. `level` is that
    /// of the children.
    fn mend(&mut self, node: u32, index: usize, level: u32) {
        let left_at = index.saturating_sub(1);
        let branch = self.branches.get(node);
        let (left, right) = (branch.children[left_at], branch.children[left_at + 1]);
        let joined = if level == 0 {
            self.even_leaves(left, right)
        } else {
            self.even_branches(left, right)
        };
        let left_child = self.child(left, level);
        let right_child = (!joined).then(|| self.child(right, level));
        let branch = self.branches.get_mut(node);
        branch.set(left_at, left_child);
        match right_child {
            Some(child) => branch.set(left_at + 1, child),
            None => branch.remove(left_at + 1),
        }
    }

    /// True when the right leaf went into the left one.
    fn even_leaves(&mut self, left: u32, right: u32) -> bool {
        let mut upper = self.leaves.lift(right);
        let lower = self.leaves.get_mut(left);
        let (a, b) = (lower.keys.len(), upper.keys.len());
        if a + b > FAN {
            let wanted = (a + b) / 2;
            if a < wanted {
                upper.keys.move_head(wanted - a, &mut lower.keys);
            } else {
                lower.keys.move_tail_front(wanted, &mut upper.keys);
            }
            self.leaves.put_back(right, upper);
            return false;
        }
        upper.keys.move_tail(0, &mut lower.keys);
        lower.next = upper.next;
        if upper.next != NONE {
            self.leaves.get_mut(upper.next).previous = left;
        }
        self.leaves.drop_lifted(right);
        true
    }

    /// True when the right branch went into the left one.
    fn even_branches(&mut self, left: u32, right: u32) -> bool {
        let mut upper = self.branches.lift(right);
        let lower = self.branches.get_mut(left);
        let (a, b) = (lower.keys.len(), upper.keys.len());
        if a + b > FAN {
            let wanted = (a + b) / 2;
            if a < wanted {
                upper.move_head(wanted - a, lower);
            } else {
                lower.move_tail_front(wanted, &mut upper);
            }
            self.branches.put_back(right, upper);
            return false;
        }
        upper.move_tail(0, lower);
        self.branches.drop_lifted(right);
        true
    }

    /// Gives up to `count` nodes back; true when all are gone. The tree serves for nothing else
    /// from the first call on.
    pub(crate) fn release_some(&mut self, count: usize) -> bool {
        self.leaves.release_some(count);
        if self.leaves.nodes.is_empty() {
            self.branches.release_some(count);
        }
        self.len = 0;
        self.leaves.nodes.is_empty() && self.branches.nodes.is_empty()
    }
}

/// Entries in order.
#[derive(Clone, Debug)]
pub(crate) struct Walk<'t> {
    tree: &'t Tree,
    leaf: u32,
    slot: u32,
    left: usize,
}

impl Iterator for Walk<'_> {
    type Item = (f64, Handle);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut leaf = self.tree.leaves.get(self.leaf);
        if self.slot >= leaf.keys.len {
            (self.leaf, self.slot) = (leaf.next, 0);
            leaf = self.tree.leaves.get(self.leaf);
        }
        let (score, handle) = leaf.keys.at(self.slot as usize);
        self.slot += 1;
        Some((score, Handle(handle)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// Entries in reverse order.
#[derive(Clone, Debug)]
pub(crate) struct WalkBack<'t> {
    tree: &'t Tree,
    leaf: u32,
    /// Slot behind the next entry.
    slot: u32,
    left: usize,
}

impl Iterator for WalkBack<'_> {
    type Item = (f64, Handle);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut leaf = self.tree.leaves.get(self.leaf);
        if self.slot == 0 {
            self.leaf = leaf.previous;
            leaf = self.tree.leaves.get(self.leaf);
            self.slot = leaf.keys.len;
        }
        self.slot -= 1;
        let (score, handle) = leaf.keys.at(self.slot as usize);
        Some((score, Handle(handle)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

#[cfg(test)]
mod tests;

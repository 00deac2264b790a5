//! Nodes of the tree, and the lists that hold them. Nothing here knows the order of entries.

use crate::shard::slab::Handle;

/// Entries of a leaf; with its links it fills an allocator's class of 768 bytes.
pub(super) const FAN: usize = 63;

/// A run of up to [`FAN`] (score, handle) pairs, in order.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) scores: [f64; FAN],
    pub(super) handles: [u32; FAN],
    pub(super) len: u32,
}

/// What a slot of a [`Keys`] holds.
pub(super) type Key = (f64, u32);

impl Keys {
    pub(super) const EMPTY: Self = Self { scores: [0.0; FAN], handles: [0; FAN], len: 0 };

    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn at(&self, index: usize) -> Key {
        (self.scores[index], self.handles[index])
    }

    pub(super) fn set(&mut self, index: usize, (score, handle): Key) {
        self.scores[index] = score;
        self.handles[index] = handle;
    }

    /// Number of keys for which `before` holds: those at the front.
    #[inline]
    pub(super) fn partition(&self, before: &impl Fn(f64, Handle) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            if before(self.scores[middle], Handle(self.handles[middle])) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    pub(super) fn insert(&mut self, index: usize, key: Key) {
        let len = self.len();
        self.scores.copy_within(index..len, index + 1);
        self.handles.copy_within(index..len, index + 1);
        self.set(index, key);
        self.len += 1;
    }

    pub(super) fn remove(&mut self, index: usize) {
        let len = self.len();
        self.scores.copy_within(index + 1..len, index);
        self.handles.copy_within(index + 1..len, index);
        self.len -= 1;
    }

    /// Moves all from `at` on to the end of `to`.
    pub(super) fn move_tail(&mut self, at: usize, to: &mut Self) {
        let (len, end) = (self.len(), to.len());
        to.scores[end..end + len - at].copy_from_slice(&self.scores[at..len]);
        to.handles[end..end + len - at].copy_from_slice(&self.handles[at..len]);
        to.len += (len - at) as u32;
        self.len = at as u32;
    }

    /// Moves the first `count` to the end of `to`.
    pub(super) fn move_head(&mut self, count: usize, to: &mut Self) {
        let (len, end) = (self.len(), to.len());
        to.scores[end..end + count].copy_from_slice(&self.scores[..count]);
        to.handles[end..end + count].copy_from_slice(&self.handles[..count]);
        self.scores.copy_within(count..len, 0);
        self.handles.copy_within(count..len, 0);
        to.len += count as u32;
        self.len -= count as u32;
    }

    /// Moves all from `at` on to the front of `to`.
    pub(super) fn move_tail_front(&mut self, at: usize, to: &mut Self) {
        let (count, end) = (self.len() - at, to.len());
        to.scores.copy_within(..end, count);
        to.handles.copy_within(..end, count);
        to.scores[..count].copy_from_slice(&self.scores[at..at + count]);
        to.handles[..count].copy_from_slice(&self.handles[at..at + count]);
        to.len += count as u32;
        self.len = at as u32;
    }
}

#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) keys: Keys,
    pub(super) next: u32,
    pub(super) previous: u32,
}

const _: () = assert!(size_of::<Leaf>() == 768, "a leaf is one class of the allocator");

#[derive(Clone, Debug)]
pub(super) struct Branch {
    /// The first entry below each child.
    pub(super) keys: Keys,
    pub(super) children: [u32; FAN],
    /// Entries below each child.
    pub(super) counts: [u32; FAN],
}

/// A child as its parent knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Child {
    pub(super) key: Key,
    pub(super) id: u32,
    pub(super) count: u32,
}

impl Branch {
    pub(super) const EMPTY: Self = Self { keys: Keys::EMPTY, children: [0; FAN], counts: [0; FAN] };

    pub(super) fn set(&mut self, index: usize, child: Child) {
        self.keys.set(index, child.key);
        self.children[index] = child.id;
        self.counts[index] = child.count;
    }

    pub(super) fn insert(&mut self, index: usize, child: Child) {
        let len = self.keys.len();
        self.children.copy_within(index..len, index + 1);
        self.counts.copy_within(index..len, index + 1);
        self.keys.insert(index, child.key);
        self.set(index, child);
    }

    pub(super) fn remove(&mut self, index: usize) {
        let len = self.keys.len();
        self.children.copy_within(index + 1..len, index);
        self.counts.copy_within(index + 1..len, index);
        self.keys.remove(index);
    }

    pub(super) fn move_tail(&mut self, at: usize, to: &mut Self) {
        let (len, end) = (self.keys.len(), to.keys.len());
        to.children[end..end + len - at].copy_from_slice(&self.children[at..len]);
        to.counts[end..end + len - at].copy_from_slice(&self.counts[at..len]);
        self.keys.move_tail(at, &mut to.keys);
    }

    pub(super) fn move_head(&mut self, count: usize, to: &mut Self) {
        let (len, end) = (self.keys.len(), to.keys.len());
        to.children[end..end + count].copy_from_slice(&self.children[..count]);
        to.counts[end..end + count].copy_from_slice(&self.counts[..count]);
        self.children.copy_within(count..len, 0);
        self.counts.copy_within(count..len, 0);
        self.keys.move_head(count, &mut to.keys);
    }

    pub(super) fn move_tail_front(&mut self, at: usize, to: &mut Self) {
        let (count, end) = (self.keys.len() - at, to.keys.len());
        to.children.copy_within(..end, count);
        to.counts.copy_within(..end, count);
        to.children[..count].copy_from_slice(&self.children[at..at + count]);
        to.counts[..count].copy_from_slice(&self.counts[at..at + count]);
        self.keys.move_tail_front(at, &mut to.keys);
    }

    pub(super) fn total(&self) -> u32 {
        self.counts[..self.keys.len()].iter().sum()
    }
}

/// Nodes by number; numbers of nodes that are gone serve again.
#[derive(Debug)]
pub(super) struct Arena<T> {
    pub(super) nodes: Vec<Option<Box<T>>>,
    free: Vec<u32>,
    live: usize,
}

impl<T> Arena<T> {
    pub(super) const NEW: Self = Self { nodes: Vec::new(), free: Vec::new(), live: 0 };

    pub(super) fn get(&self, id: u32) -> &T {
        self.nodes[id as usize].as_deref().expect("a node is named while it lives")
    }

    pub(super) fn get_mut(&mut self, id: u32) -> &mut T {
        self.nodes[id as usize].as_deref_mut().expect("a node is named while it lives")
    }

    pub(super) fn add(&mut self, node: T) -> u32 {
        self.live += 1;
        if let Some(id) = self.free.pop() {
            self.nodes[id as usize] = Some(Box::new(node));
            return id;
        }
        self.nodes.push(Some(Box::new(node)));
        (self.nodes.len() - 1) as u32
    }

    /// Takes a node out for as long as it is worked on together with another.
    pub(super) fn lift(&mut self, id: u32) -> Box<T> {
        self.nodes[id as usize].take().expect("a node is named while it lives")
    }

    pub(super) fn put_back(&mut self, id: u32, node: Box<T>) {
        self.nodes[id as usize] = Some(node);
    }

    pub(super) fn drop_lifted(&mut self, id: u32) {
        self.free.push(id);
        self.live -= 1;
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.live * size_of::<T>()
            + self.nodes.capacity() * size_of::<Option<Box<T>>>()
            + self.free.capacity() * size_of::<u32>()
    }

    /// Gives up to `count` nodes back to the allocator, whatever they hold.
    pub(super) fn release_some(&mut self, count: usize) {
        let left = self.nodes.len().saturating_sub(count);
        self.live -= self.nodes[left..].iter().flatten().count();
        self.nodes.truncate(left);
        self.free.clear();
    }
}

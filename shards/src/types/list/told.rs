//! What edits of a list come to, for those who capture changes: elements that are put in, taken out
//! or replaced at an index, one after the other.

use std::collections::VecDeque;

use super::record::{Edit, Edits, End};
use super::view::ListView;
use crate::capture::json::List;
use crate::shard::Entry;

/// A list while edits of it are told: what stands of the old one between `from` and `to`, with
/// elements that came before and behind; or every element, once an edit reaches into its middle.
#[derive(Debug)]
struct Told<'a> {
    old: Option<ListView<'a>>,
    from: usize,
    to: usize,
    front: VecDeque<&'a [u8]>,
    back: VecDeque<&'a [u8]>,
}

impl<'a> Told<'a> {
    fn len(&self) -> usize {
        self.front.len() + (self.to - self.from) + self.back.len()
    }

    fn push(&mut self, end: End, element: &'a [u8]) {
        match end {
            End::Left => self.front.push_front(element),
            End::Right => self.back.push_back(element),
        }
    }

    fn old(&self, index: usize) -> Option<&'a [u8]> {
        self.old.and_then(|old| old.get(index))
    }

    fn pop(&mut self, end: End) -> Option<&'a [u8]> {
        match end {
            End::Left => match self.front.pop_front() {
                None if self.from < self.to => {
                    self.from += 1;
                    self.old(self.from - 1)
                }
                None => self.back.pop_front(),
                element => element,
            },
            End::Right => match self.back.pop_back() {
                None if self.from < self.to => {
                    self.to -= 1;
                    self.old(self.to)
                }
                None => self.front.pop_back(),
                element => element,
            },
        }
    }

    fn get(&self, index: usize) -> Option<&'a [u8]> {
        match index.checked_sub(self.front.len()) {
            None => self.front.get(index).copied(),
            Some(index) if index < self.to - self.from => self.old(self.from + index),
            Some(index) => self.back.get(index - (self.to - self.from)).copied(),
        }
    }

    /// Every element where it can be reached.
    fn whole(&mut self) -> &mut VecDeque<&'a [u8]> {
        if let Some(old) = self.old.take() {
            let standing = old.from(self.from).take(self.to - self.from);
            self.front.extend(standing);
        }
        (self.from, self.to) = (0, 0);
        self.front.append(&mut self.back);
        &mut self.front
    }
}

/// Tells edits of the list in `entry`, or of one without elements, step by step: `index` is that of
/// the moment, `old` is null where an element is put in, `new` where one is taken out.
pub(crate) fn tell(entry: Option<&Entry<'_>>, edits: &[u8], list: &mut List<'_>) {
    let old = entry.map(ListView::of);
    let to = old.map_or(0, |old| old.len());
    let mut told = Told { old, from: 0, to, front: VecDeque::new(), back: VecDeque::new() };
    let mut rest = Edits(edits);
    while let Some(edit) = rest.next() {
        let is_last = rest.0.is_empty();
        match edit {
            Edit::Push(end, items) => items.for_each(|element| {
                let index = if end == End::Left { 0 } else { told.len() };
                step(list, index, None, Some(element));
                told.push(end, element);
            }),
            Edit::Load(ordinal, items) if ordinal == told.len() => items.for_each(|element| {
                step(list, told.len(), None, Some(element));
                told.push(End::Right, element);
            }),
            Edit::Load(..) => {}
            Edit::Pop(end, count) => {
                for _ in 0..count {
                    let Some(element) = told.pop(end) else { break };
                    let index = if end == End::Left { 0 } else { told.len() };
                    step(list, index, Some(element), None);
                }
            }
            Edit::Set(index, element) => {
                let Some(old) = told.get(index) else { continue };
                step(list, index, Some(old), Some(element));
                if !is_last {
                    told.whole()[index] = element;
                }
            }
            Edit::Insert(index, element) if index <= told.len() => {
                step(list, index, None, Some(element));
                if !is_last {
                    told.whole().insert(index, element);
                }
            }
            Edit::Insert(..) => {}
            Edit::Remove(gaps) => {
                let (mut at, mut gone) = (0, Vec::new());
                for gap in gaps {
                    // Those before it are gone already when it goes.
                    at += gap;
                    let Some(element) = told.get(at + gone.len()) else { break };
                    step(list, at, Some(element), None);
                    gone.push(at);
                }
                if !is_last {
                    let whole = told.whole();
                    for at in gone {
                        whole.remove(at);
                    }
                }
            }
        }
    }
}

fn step(list: &mut List<'_>, index: usize, old: Option<&[u8]>, new: Option<&[u8]>) {
    list.object(|object| {
        object.number("index", index as u64);
        object.bytes_or_null("old", old);
        object.bytes_or_null("new", new);
    });
}

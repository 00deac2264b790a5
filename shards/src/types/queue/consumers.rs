//! Who has messages of a queue now. A consumer is here while it holds any.

use std::collections::BTreeMap;

/// Bytes that one consumer takes beside its name, about.
const SHARE_BYTES: usize = 96;

/// The consumers that hold messages, each with a small number while it does.
#[derive(Debug, Default)]
pub(super) struct Consumers {
    by_name: BTreeMap<Box<[u8]>, u32>,
    slots: Vec<Option<Consumer>>,
    free: Vec<u32>,
    name_bytes: usize,
}

#[derive(Debug)]
struct Consumer {
    name: Box<[u8]>,
    held: u64,
}

impl Consumers {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Bytes taken from the allocator, about.
    pub(super) fn held_bytes(&self) -> usize {
        self.by_name.len() * SHARE_BYTES + 2 * self.name_bytes
    }

    /// How many messages a consumer holds.
    pub(super) fn holds(&self, name: &[u8]) -> u64 {
        let number = self.by_name.get(name);
        number.and_then(|number| self.slots[*number as usize].as_ref()).map_or(0, |it| it.held)
    }

    /// The name of one that holds something.
    pub(super) fn name(&self, number: u32) -> &[u8] {
        let consumer = self.slots[number as usize].as_ref();
        &consumer.expect("who holds a message is known").name
    }

    /// Notes that a consumer holds one more; its number.
    pub(super) fn give(&mut self, name: &[u8]) -> u32 {
        if let Some(number) = self.by_name.get(name) {
            let consumer = self.slots[*number as usize].as_mut();
            consumer.expect("a name stands for a consumer").held += 1;
            return *number;
        }
        let consumer = Some(Consumer { name: name.into(), held: 1 });
        let number = match self.free.pop() {
            Some(number) => {
                self.slots[number as usize] = consumer;
                number
            }
            None => {
                self.slots.push(consumer);
                u32::try_from(self.slots.len() - 1).expect("holders are fewer than messages")
            }
        };
        self.by_name.insert(name.into(), number);
        self.name_bytes += name.len();
        number
    }

    /// Notes that one holds one fewer.
    pub(super) fn take(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize];
        let consumer = slot.as_mut().expect("who holds a message is known");
        consumer.held -= 1;
        if consumer.held == 0 {
            self.name_bytes -= consumer.name.len();
            self.by_name.remove(&consumer.name);
            *slot = None;
            self.free.push(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumers_are_there_while_they_hold_something() {
        let mut all = Consumers::default();
        let (a, b) = (all.give(b"a"), all.give(b"b"));
        assert_eq!((all.give(b"a"), all.holds(b"a"), all.len()), (a, 2, 2));
        all.take(a);
        all.take(b);
        assert_eq!((all.holds(b"b"), all.name(a), all.len()), (0, &b"a"[..], 1));
        assert_eq!(all.give(b"c"), b, "a number is used again");
        all.take(b);
        all.take(a);
        assert_eq!((all.len(), all.held_bytes()), (0, 0));
    }
}

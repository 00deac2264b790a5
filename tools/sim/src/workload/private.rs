//! Keys that only one connection ever uses. What it is answered is known beforehand, however many
//! requests it has under way: its requests take effect in the order in which it made them.

use std::collections::BTreeMap;

use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;

use super::{Intent, Wish, wish};
use crate::dice::Dice;

const KEYS: usize = 6;

/// What the keys of each connection hold once all its requests are done.
#[derive(Debug, Default)]
pub(crate) struct Private {
    stores: BTreeMap<u64, BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Private {
    /// A request of a connection, with the reply it must get. `value` is the value it may write.
    pub(crate) fn next(&mut self, dice: &mut Dice, connection: u64, value: Vec<u8>) -> Wish {
        let store = self.stores.entry(connection).or_default();
        let mut key = || format!("own:{connection}:{}", dice.below(KEYS)).into_bytes();
        let (a, b, c) = (key(), key(), key());
        let found = |store: &BTreeMap<Vec<u8>, Vec<u8>>, key: &[u8]| {
            store.get(key).map_or(Reply::Nil, |value| Reply::owned(value.clone()))
        };
        let (name, words, expected) = match dice.below(11) {
            0 | 1 => {
                store.insert(a.clone(), value.clone());
                ("SET", vec![a, value], Reply::Ok)
            }
            2 => {
                let held = store.entry(a.clone()).or_default();
                held.extend_from_slice(&value);
                ("APPEND", vec![a, value], Reply::count(held.len()))
            }
            3 | 4 => {
                for key in [&a, &b, &c] {
                    store.insert(key.clone(), value.clone());
                }
                ("MSET", vec![a, value.clone(), b, value.clone(), c, value], Reply::Ok)
            }
            5 => {
                let reply =
                    Reply::Array(vec![found(store, &a), found(store, &b), found(store, &c)]);
                ("MGET", vec![a, b, c], reply)
            }
            6 => {
                let gone = [&a, &b].iter().filter(|key| store.remove(**key).is_some()).count();
                ("DEL", vec![a, b], Reply::count(gone))
            }
            7 => match store.remove(&a) {
                None => ("RENAME", vec![a, b], Reply::Error(CommandError::NoSuchKey)),
                Some(held) => {
                    store.insert(b.clone(), held);
                    ("RENAME", vec![a, b], Reply::Ok)
                }
            },
            8 => {
                let any = [&a, &b].iter().any(|key| store.contains_key(*key));
                if !any {
                    store.insert(a.clone(), value.clone());
                    store.insert(b.clone(), value.clone());
                }
                let reply = Reply::Integer(i64::from(!any));
                ("MSETNX", vec![a, value.clone(), b, value], reply)
            }
            _ => {
                let reply = found(store, &a);
                ("GET", vec![a], reply)
            }
        };
        wish(name, words, Intent::Exact { expected })
    }
}

//! What a reader of changes makes of them: the keys of the source, rebuilt from `new`s alone.

use std::collections::BTreeMap;

use serde_json::Value;
use synap_shards::key::shard_of;

use crate::support::Server;

pub(crate) type Bytes = Vec<u8>;

/// What a key holds.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Held {
    String(Bytes),
    List(Vec<Bytes>),
    Set(BTreeMap<Bytes, ()>),
    Sorted(BTreeMap<Bytes, f64>),
    /// Values, and deadlines in Unix milliseconds.
    Hash(BTreeMap<Bytes, (Bytes, Option<u64>)>),
    Stream(BTreeMap<(u64, u64), Vec<(Bytes, Bytes)>>),
}

/// A key, and when it expires.
pub(crate) type Keys = BTreeMap<Bytes, (Held, Option<u64>)>;

/// The reader's books.
#[derive(Default)]
pub(crate) struct Mirror {
    pub(crate) keys: Keys,
    pub(crate) changes: u64,
    /// Changes of transactions, by what names them.
    pub(crate) transactions: BTreeMap<String, Vec<Value>>,
}

/// The bytes of a member that may stand in base64.
pub(crate) fn bytes(object: &Value, name: &str) -> Option<Bytes> {
    if let Some(text) = object[name].as_str() {
        return Some(text.as_bytes().to_vec());
    }
    let text = object[format!("{name}_base64")].as_str()?;
    let digit = |letter: u8| -> u32 {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        alphabet.iter().position(|known| *known == letter).expect("base64") as u32
    };
    let letters: Vec<u8> = text.bytes().filter(|letter| *letter != b'=').collect();
    let mut out = Vec::new();
    for chunk in letters.chunks(4) {
        let word = chunk.iter().fold(0, |word, letter| word << 6 | digit(*letter));
        let word = word << (6 * (4 - chunk.len()));
        out.extend_from_slice(&word.to_be_bytes()[1..chunk.len()]);
    }
    Some(out)
}

fn number(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("inf") => Some(f64::INFINITY),
        Some("-inf") => Some(f64::NEG_INFINITY),
        _ => value.as_f64(),
    }
}

fn id(text: &str) -> (u64, u64) {
    let (ms, seq) = text.split_once('-').expect("an id");
    (ms.parse().expect("a number"), seq.parse().expect("a number"))
}

fn empty(name: &str) -> Held {
    match name {
        "list" => Held::List(Vec::new()),
        "set" => Held::Set(BTreeMap::new()),
        "zset" => Held::Sorted(BTreeMap::new()),
        "hash" => Held::Hash(BTreeMap::new()),
        "stream" => Held::Stream(BTreeMap::new()),
        other => panic!("{other} is no container"),
    }
}

impl Mirror {
    pub(crate) fn apply(&mut self, change: &Value) {
        self.changes += 1;
        if let Some(id) = change["transaction"]["id"].as_str() {
            self.transactions.entry(id.to_owned()).or_default().push(change.clone());
        }
        let key = bytes(change, "key");
        match change["op"].as_str().expect("every change has one") {
            "truncate" => {
                let shard = change["shard"].as_u64().expect("a number") as usize;
                self.keys.retain(|key, _| shard_of(key).index() != shard);
            }
            "delete" => {
                let before = self.keys.remove(&key.expect("a key"));
                assert!(before.is_some(), "{change}");
            }
            "expire" => {
                let held = self.keys.get_mut(&key.expect("a key")).expect("it is there");
                assert_eq!(change["old_expires_at"].as_u64(), held.1, "{change}");
                held.1 = change["expires_at"].as_u64();
            }
            "create" | "update" | "read" => self.put(&key.expect("a key"), change),
            other => panic!("{other}: {change}"),
        }
    }

    fn put(&mut self, key: &[u8], change: &Value) {
        let deadline = change["expires_at"].as_u64();
        let kind = change["type"].as_str().expect("a type");
        let op = change["op"].as_str().expect("every change has one");
        let before = self.keys.remove(key);
        if op != "read" {
            assert_eq!(before.is_some(), op == "update", "{change}");
        }
        if kind == "string" {
            if let (Some((Held::String(old), _)), true) = (&before, op != "read") {
                assert_eq!(bytes(change, "old").as_ref(), Some(old), "{change}");
            }
            let new = bytes(change, "new").expect("a new value");
            self.keys.insert(key.to_vec(), (Held::String(new), deadline));
            return;
        }
        let replaces = change["replace"] == true || before.is_none();
        let mut held =
            if replaces { empty(kind) } else { before.map(|it| it.0).expect("it is there") };
        for element in change["changes"].as_array().expect("changes") {
            element_of(&mut held, element);
        }
        self.keys.insert(key.to_vec(), (held, deadline));
    }
}

fn element_of(held: &mut Held, element: &Value) {
    match held {
        Held::String(_) => panic!("a string has no elements: {element}"),
        Held::List(list) => {
            let index = element["index"].as_u64().expect("an index") as usize;
            match (bytes(element, "old"), bytes(element, "new")) {
                (None, Some(new)) => list.insert(index, new),
                (Some(old), None) => assert_eq!(list.remove(index), old, "{element}"),
                (Some(old), Some(new)) => {
                    assert_eq!(std::mem::replace(&mut list[index], new), old, "{element}");
                }
                (None, None) => panic!("{element}"),
            }
        }
        Held::Set(set) => {
            let member = bytes(element, "member").expect("a member");
            let was = if element["new"] == true {
                set.insert(member, ()).is_some()
            } else {
                set.remove(&member).is_some()
            };
            assert_eq!(element["old"] == true, was, "{element}");
        }
        Held::Sorted(set) => {
            let member = bytes(element, "member").expect("a member");
            let old = match number(&element["new"]) {
                Some(score) => set.insert(member, score),
                None => set.remove(&member),
            };
            assert_eq!(number(&element["old"]), old, "{element}");
        }
        Held::Hash(hash) => {
            let field = bytes(element, "field").expect("a field");
            let old = match bytes(element, "new") {
                Some(new) => hash.insert(field, (new, element["expires_at"].as_u64())),
                None => hash.remove(&field),
            };
            assert_eq!(bytes(element, "old"), old.map(|old| old.0), "{element}");
        }
        Held::Stream(stream) => stream_element(stream, element),
    }
}

fn stream_element(stream: &mut BTreeMap<(u64, u64), Vec<(Bytes, Bytes)>>, element: &Value) {
    if let Some(through) = element["trimmed_through"].as_str() {
        let through = id(through);
        stream.retain(|id, _| *id > through);
    } else if let Some(at) = element["id"].as_str() {
        match element["new"].as_array() {
            Some(fields) => {
                let field = |pair: &Value| {
                    let part = |name: &str| bytes(pair, name).expect("a field");
                    (part("name"), part("value"))
                };
                stream.insert(id(at), fields.iter().map(field).collect());
            }
            None => assert!(stream.remove(&id(at)).is_some(), "{element}"),
        }
    }
}

fn ask<T: redis::FromRedisValue>(client: &mut redis::Connection, words: &[&[u8]]) -> T {
    let mut command = redis::Cmd::new();
    words.iter().for_each(|word| {
        command.arg(*word);
    });
    command.query(client).expect("an answer")
}

/// What a server holds.
pub(crate) fn source(server: &Server) -> Keys {
    let client = &mut server.redis();
    let names: Vec<Bytes> = ask(client, &[b"KEYS", b"*"]);
    let mut keys = Keys::new();
    for key in names {
        let kind: String = ask(client, &[b"TYPE", &key]);
        let held = match kind.as_str() {
            "string" => Held::String(ask(client, &[b"GET", &key])),
            "list" => Held::List(ask(client, &[b"LRANGE", &key, b"0", b"-1"])),
            "set" => {
                let members: Vec<Bytes> = ask(client, &[b"SMEMBERS", &key]);
                Held::Set(members.into_iter().map(|member| (member, ())).collect())
            }
            "zset" => {
                let pairs: Vec<(Bytes, f64)> =
                    ask(client, &[b"ZRANGE", &key, b"0", b"-1", b"WITHSCORES"]);
                Held::Sorted(pairs.into_iter().collect())
            }
            "hash" => Held::Hash(hash(client, &key)),
            "stream" => Held::Stream(stream(client, &key)),
            // It has expired meanwhile.
            "none" => continue,
            other => panic!("{other}"),
        };
        let deadline: i64 = ask(client, &[b"PEXPIRETIME", &key]);
        keys.insert(key, (held, u64::try_from(deadline).ok()));
    }
    keys
}

fn hash(client: &mut redis::Connection, key: &[u8]) -> BTreeMap<Bytes, (Bytes, Option<u64>)> {
    let pairs: Vec<(Bytes, Bytes)> = ask(client, &[b"HGETALL", key]);
    let with_deadline = |(field, value): (Bytes, Bytes)| {
        let words: [&[u8]; 5] = [b"HPEXPIRETIME", key, b"FIELDS", b"1", &field];
        let deadline: Vec<i64> = ask(client, &words);
        let deadline = deadline.first().and_then(|deadline| u64::try_from(*deadline).ok());
        (field, (value, deadline))
    };
    pairs.into_iter().map(with_deadline).collect()
}

fn stream(client: &mut redis::Connection, key: &[u8]) -> BTreeMap<(u64, u64), Vec<(Bytes, Bytes)>> {
    let entries: Vec<(String, Vec<(Bytes, Bytes)>)> = ask(client, &[b"XRANGE", key, b"-", b"+"]);
    entries.into_iter().map(|(at, fields)| (id(&at), fields)).collect()
}

//! What commands ought to do, written down anew: plain collections, a clock, no shards, records or
//! plans. It knows the commands that [`workload`] makes.

mod bits;
mod boxes;
mod lines;
pub(crate) mod workload;

use std::collections::BTreeMap;

use synap_shards::command::reply::Reply;

use crate::story::show;
use crate::value::Value;

/// A value and when it expires, Unix milliseconds.
pub(crate) type Held = (Value, Option<u64>);

/// What the keys hold, expired ones that may still stand included.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Store {
    pub(crate) keys: BTreeMap<Vec<u8>, Held>,
}

/// The text by which replies are compared; errors are all alike.
pub(crate) fn reply_text(reply: &Reply<'_>) -> String {
    match reply {
        Reply::Nil | Reply::NilArray => "nil".to_owned(),
        Reply::Ok => "OK".to_owned(),
        Reply::Status(word) => (*word).to_owned(),
        Reply::Integer(number) => format!(":{number}"),
        Reply::Bytes(bytes) => text(bytes),
        Reply::Array(items) => {
            let items: Vec<String> = items.iter().map(reply_text).collect();
            format!("[{}]", items.join(" "))
        }
        Reply::Error(_) => ERROR.to_owned(),
        Reply::Double(number) => format!("#{number}"),
        // What has no order is put into one.
        Reply::Set(items) => {
            let mut items: Vec<String> = items.iter().map(reply_text).collect();
            items.sort_unstable();
            format!("[{}]", items.join(" "))
        }
        Reply::Map(pairs) => {
            let pairs = pairs.iter().map(|(a, b)| format!("{} {}", reply_text(a), reply_text(b)));
            let mut pairs: Vec<String> = pairs.collect();
            pairs.sort_unstable();
            format!("[{}]", pairs.join(" "))
        }
        Reply::Pairs(pairs) => {
            let pairs = pairs.iter().map(|(a, b)| format!("{} {}", reply_text(a), reply_text(b)));
            let pairs: Vec<String> = pairs.collect();
            format!("[{}]", pairs.join(" "))
        }
        Reply::Boolean(_)
        | Reply::Line(_)
        | Reply::Text(_)
        | Reply::Verbatim { .. }
        | Reply::BigNumber(_)
        | Reply::Named(_)
        | Reply::Decimal(_)
        | Reply::Push(_)
        | Reply::Several(_) => format!("{reply:?}"),
    }
}

const ERROR: &str = "error";

fn text(bytes: &[u8]) -> String {
    format!("${}", bytes.escape_ascii())
}

fn integer(number: i64) -> String {
    format!(":{number}")
}

fn truth(truth: bool) -> String {
    integer(i64::from(truth))
}

fn number(word: &[u8]) -> i64 {
    let parsed = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
    parsed.unwrap_or_else(|| panic!("{} is a number", show(word)))
}

/// A string that counts as an integer.
fn counted(value: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == value).then_some(number)
}

impl Store {
    /// Carries out a command at a time; the text of its reply.
    pub(crate) fn run(&mut self, words: &[Vec<u8>], now_ms: u64) -> String {
        let mut run = Run { keys: &mut self.keys, now_ms };
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        if words[0] != b"EXEC" {
            return run.run(words[0], &words[1..]);
        }
        let lines = words[1..].split(|word| *word == b";").filter(|line| !line.is_empty());
        let replies: Vec<String> = lines.map(|line| run.run(line[0], &line[1..])).collect();
        format!("[{}]", replies.join(" "))
    }

    /// What is there for those who look at a time.
    pub(crate) fn living(&self, now_ms: u64) -> BTreeMap<Vec<u8>, Held> {
        let lives = |held: &&Held| held.1.is_none_or(|deadline| deadline > now_ms);
        let living = self.keys.iter().filter(|(_, held)| lives(held));
        let seen = living.filter_map(|(key, (value, deadline))| {
            Some((key.clone(), (value.clone().living(now_ms)?, *deadline)))
        });
        seen.collect()
    }
}

struct Run<'a> {
    keys: &'a mut BTreeMap<Vec<u8>, Held>,
    now_ms: u64,
}

impl Run<'_> {
    fn run(&mut self, name: &[u8], args: &[&[u8]]) -> String {
        match name {
            b"GET" => self.get(args[0]),
            b"SET" => self.set(args),
            b"GETSET" => {
                let old = self.get(args[0]);
                self.put(args[0], args[1].to_vec(), None);
                old
            }
            b"GETDEL" => {
                let old = self.get(args[0]);
                self.remove(args[0]);
                old
            }
            b"GETEX" => self.get_and_expire(args),
            b"SETNX" => {
                let free = self.value(args[0]).is_none();
                if free {
                    self.put(args[0], args[1].to_vec(), None);
                }
                truth(free)
            }
            b"MSET" | b"MSETNX" => self.set_many(name, args),
            b"APPEND" | b"SETRANGE" => self.edit(name, args),
            b"STRLEN" => integer(self.value(args[0]).map_or(0, <[u8]>::len) as i64),
            b"GETRANGE" => self.range(args),
            b"INCR" => self.add(args[0], 1),
            b"DECR" => self.add(args[0], -1),
            b"INCRBY" => self.add(args[0], number(args[1])),
            b"DECRBY" => self.add(args[0], -number(args[1])),
            b"DEL" | b"UNLINK" => truth(self.remove(args[0])),
            b"EXISTS" | b"TOUCH" => truth(self.value(args[0]).is_some()),
            b"TYPE" => self.held(args[0]).map_or("none", |(value, _)| value.type_name()).to_owned(),
            b"RENAME" | b"RENAMENX" => self.rename(name, args[0], args[1]),
            b"COPY" => self.copy(args),
            b"PEXPIREAT" => self.expire(args),
            b"PERSIST" => truth(self.persist(args[0])),
            b"PEXPIRETIME" => match self.held(args[0]) {
                None => integer(-2),
                Some((_, None)) => integer(-1),
                Some((_, Some(deadline))) => integer(*deadline as i64),
            },
            _ => match self.run_boxes(name, args) {
                Some(reply) => reply,
                None => self.run_bits(name, args),
            },
        }
    }

    fn held(&self, key: &[u8]) -> Option<&Held> {
        let now_ms = self.now_ms;
        let held = self.keys.get(key)?;
        let lives = held.1.is_none_or(|at| at > now_ms) && !held.0.is_expired(now_ms);
        lives.then_some(held)
    }

    fn value(&self, key: &[u8]) -> Option<&[u8]> {
        self.held(key).map(|(value, _)| value.text())
    }

    fn deadline(&self, key: &[u8]) -> Option<u64> {
        self.held(key).and_then(|(_, deadline)| *deadline)
    }

    fn get(&self, key: &[u8]) -> String {
        self.value(key).map_or_else(|| "nil".to_owned(), text)
    }

    /// What has expired stays where it is: a clock that is set back may show it again.
    fn remove(&mut self, key: &[u8]) -> bool {
        let there = self.value(key).is_some();
        if there {
            self.keys.remove(key);
        }
        there
    }

    fn put(&mut self, key: &[u8], value: Vec<u8>, deadline: Option<u64>) {
        self.keys.insert(key.to_vec(), (Value::Text(value), deadline));
    }

    /// A string and its deadline; an empty one where there is none.
    fn string(&self, key: &[u8]) -> (Vec<u8>, Option<u64>) {
        (self.value(key).unwrap_or_default().to_vec(), self.deadline(key))
    }

    /// `SET key value [NX | XX] [GET] [PXAT time | KEEPTTL]`.
    fn set(&mut self, args: &[&[u8]]) -> String {
        let (key, value) = (args[0], args[1]);
        let has = |word: &[u8]| args[2..].contains(&word);
        let there = self.value(key).is_some();
        let old = self.get(key);
        let holds = !(has(b"NX") && there || has(b"XX") && !there);
        if holds {
            let deadline = match args[2..].iter().position(|word| *word == b"PXAT") {
                Some(at) => Some(number(args[2 + at + 1]) as u64),
                None if has(b"KEEPTTL") => self.deadline(key),
                None => None,
            };
            self.put(key, value.to_vec(), deadline);
        }
        match (has(b"GET"), holds) {
            (true, _) => old,
            (false, true) => "OK".to_owned(),
            (false, false) => "nil".to_owned(),
        }
    }

    /// `GETEX key [PXAT time | PERSIST]`.
    fn get_and_expire(&mut self, args: &[&[u8]]) -> String {
        let old = self.get(args[0]);
        if old != "nil" {
            match args.get(1) {
                Some(&b"PXAT") => self.set_deadline(args[0], number(args[2]) as u64),
                Some(_) => {
                    self.persist(args[0]);
                }
                None => {}
            }
        }
        old
    }

    fn set_deadline(&mut self, key: &[u8], deadline: u64) {
        if deadline <= self.now_ms {
            self.keys.remove(key);
        } else if let Some((_, old)) = self.keys.get_mut(key) {
            *old = Some(deadline);
        }
    }

    fn persist(&mut self, key: &[u8]) -> bool {
        let had = self.deadline(key).is_some();
        if had && let Some((_, deadline)) = self.keys.get_mut(key) {
            *deadline = None;
        }
        had
    }

    fn set_many(&mut self, name: &[u8], args: &[&[u8]]) -> String {
        let (pairs, _) = args.as_chunks::<2>();
        let only_new = name == b"MSETNX";
        if only_new && pairs.iter().any(|[key, _]| self.value(key).is_some()) {
            return truth(false);
        }
        for [key, value] in pairs {
            self.put(key, value.to_vec(), None);
        }
        if only_new { truth(true) } else { "OK".to_owned() }
    }

    /// `APPEND key value` and `SETRANGE key offset value`, the value not empty.
    fn edit(&mut self, name: &[u8], args: &[&[u8]]) -> String {
        let (mut value, deadline) = self.string(args[0]);
        if name == b"APPEND" {
            value.extend_from_slice(args[1]);
        } else {
            let (from, bytes) = (number(args[1]) as usize, args[2]);
            value.resize(value.len().max(from + bytes.len()), 0);
            value[from..from + bytes.len()].copy_from_slice(bytes);
        }
        let length = value.len();
        self.put(args[0], value, deadline);
        integer(length as i64)
    }

    /// `GETRANGE key start end`, both not negative.
    fn range(&self, args: &[&[u8]]) -> String {
        let value = self.value(args[0]).unwrap_or_default();
        let (start, end) = (number(args[1]) as usize, number(args[2]) as usize + 1);
        let end = end.min(value.len());
        text(value.get(start..end).unwrap_or_default())
    }

    fn add(&mut self, key: &[u8], amount: i64) -> String {
        let deadline = self.deadline(key);
        let sum =
            counted(self.value(key).unwrap_or(b"0")).and_then(|before| before.checked_add(amount));
        let Some(sum) = sum else { return ERROR.to_owned() };
        self.put(key, sum.to_string().into_bytes(), deadline);
        integer(sum)
    }

    fn rename(&mut self, name: &[u8], from: &[u8], to: &[u8]) -> String {
        let Some(held) = self.held(from).cloned() else { return ERROR.to_owned() };
        let only_new = name == b"RENAMENX";
        if only_new && self.value(to).is_some() {
            return truth(false);
        }
        self.keys.remove(from);
        self.keys.insert(to.to_vec(), held);
        if only_new { truth(true) } else { "OK".to_owned() }
    }

    /// `COPY from to [REPLACE]`.
    fn copy(&mut self, args: &[&[u8]]) -> String {
        if args[0] == args[1] {
            return ERROR.to_owned();
        }
        let Some(held) = self.held(args[0]).cloned() else { return truth(false) };
        if args.len() == 2 && self.value(args[1]).is_some() {
            return truth(false);
        }
        self.keys.insert(args[1].to_vec(), held);
        truth(true)
    }

    /// `PEXPIREAT key time [NX | XX | GT | LT]`.
    fn expire(&mut self, args: &[&[u8]]) -> String {
        let Some((_, old)) = self.held(args[0]) else { return truth(false) };
        let new = number(args[1]) as u64;
        let holds = match args.get(2) {
            Some(&b"NX") => old.is_none(),
            Some(&b"XX") => old.is_some(),
            Some(&b"GT") => old.is_some_and(|old| new > old),
            Some(&b"LT") => old.is_none_or(|old| new < old),
            _ => true,
        };
        if holds {
            self.set_deadline(args[0], new);
        }
        truth(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(store: &mut Store, line: &str, now_ms: u64) -> String {
        let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        store.run(&words, now_ms)
    }

    #[test]
    fn what_has_expired_is_hidden_and_stands() {
        let mut store = Store::default();
        assert_eq!(run(&mut store, "SET a 1 PXAT 50", 10), "OK");
        assert_eq!(run(&mut store, "INCR a", 20), ":2");
        assert_eq!(run(&mut store, "GET a", 50), "nil");
        assert!(store.living(50).is_empty() && store.living(49).len() == 1);
        assert_eq!(run(&mut store, "GET a", 49), "$2");
        assert_eq!(run(&mut store, "PEXPIREAT a 60 GT", 49), ":1");
        assert_eq!(run(&mut store, "RENAME a b", 55), "OK");
        assert_eq!(run(&mut store, "PEXPIRETIME b", 55), ":60");
    }
}

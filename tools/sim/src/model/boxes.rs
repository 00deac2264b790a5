//! Lists, hashes, sets and sorted sets of the model, as plain collections.

use std::collections::{BTreeMap, BTreeSet};

use super::{ERROR, Run, integer, number, text, truth};
use crate::value::{Field, Score, Value};

type List = Vec<Vec<u8>>;
type Hash = BTreeMap<Vec<u8>, Field>;
type Scores = BTreeMap<Vec<u8>, Score>;

const NIL: &str = "nil";

fn bracketed(items: impl IntoIterator<Item = String>) -> String {
    let items: Vec<String> = items.into_iter().collect();
    format!("[{}]", items.join(" "))
}

fn or_nil(item: Option<&Vec<u8>>) -> String {
    item.map_or_else(|| NIL.to_owned(), |item| text(item))
}

fn double(score: Score) -> String {
    format!("#{}", score.number())
}

/// The place that an index means, which counts from the end when it is negative.
fn place(index: i64, length: usize) -> Option<usize> {
    let at = if index < 0 { index + length as i64 } else { index };
    usize::try_from(at).ok().filter(|at| *at < length)
}

/// The part of a sequence between two indexes, both included.
fn part(start: i64, stop: i64, length: usize) -> std::ops::Range<usize> {
    let length = length as i64;
    let real = |index: i64| if index < 0 { index + length } else { index };
    let (start, end) = (real(start).max(0), (real(stop) + 1).min(length));
    if start >= end { 0..0 } else { start as usize..end as usize }
}

/// Takes from one end.
fn take(list: &mut List, left: bool) -> Option<Vec<u8>> {
    match left {
        _ if list.is_empty() => None,
        true => Some(list.remove(0)),
        false => list.pop(),
    }
}

fn give(list: &mut List, left: bool, item: Vec<u8>) {
    if left {
        list.insert(0, item);
    } else {
        list.push(item);
    }
}

impl Run<'_> {
    /// The command, if it is about one of these.
    pub(super) fn run_boxes(&mut self, name: &[u8], args: &[&[u8]]) -> Option<String> {
        match name {
            [b'H', ..] => Some(self.run_hash(name, args)),
            [b'Z', ..] => Some(self.run_scores(name, args)),
            b"BZPOPMIN" => Some(self.pop_score_of(args)),
            b"BLPOP" | b"BRPOP" | b"BLMOVE" | b"RPUSH" | b"RPUSHX" | b"RPOP" | b"RPOPLPUSH" => {
                Some(self.run_list(name, args))
            }
            b"LCS" => None,
            [b'L', ..] => Some(self.run_list(name, args)),
            b"SADD" | b"SREM" | b"SCARD" | b"SISMEMBER" | b"SMISMEMBER" | b"SMEMBERS"
            | b"SMOVE" | b"SINTER" | b"SUNION" | b"SDIFF" | b"SINTERSTORE" | b"SUNIONSTORE"
            | b"SDIFFSTORE" | b"SINTERCARD" => Some(self.run_set(name, args)),
            _ => None,
        }
    }

    fn list(&self, key: &[u8]) -> List {
        match self.held(key) {
            Some((Value::List(list), _)) => list.clone(),
            _ => List::new(),
        }
    }

    fn hash(&self, key: &[u8]) -> Hash {
        match self.held(key).and_then(|(value, _)| value.clone().living(self.now_ms)) {
            Some(Value::Hash(hash)) => hash,
            _ => Hash::new(),
        }
    }

    fn set_of(&self, key: &[u8]) -> BTreeSet<Vec<u8>> {
        match self.held(key) {
            Some((Value::Set(set), _)) => set.clone(),
            _ => BTreeSet::new(),
        }
    }

    fn scores(&self, key: &[u8]) -> Scores {
        match self.held(key) {
            Some((Value::Scores(scores), _)) => scores.clone(),
            _ => Scores::new(),
        }
    }

    /// What a key holds now; its deadline stays, and nothing is no key.
    fn keep(&mut self, key: &[u8], value: Value) {
        let deadline = self.deadline(key);
        let is_empty = match &value {
            Value::Text(_) | Value::Stream(_) => false,
            Value::List(list) => list.is_empty(),
            Value::Set(set) => set.is_empty(),
            Value::Scores(scores) => scores.is_empty(),
            Value::Hash(hash) => hash.is_empty(),
        };
        if is_empty {
            self.remove(key);
        } else {
            self.keys.insert(key.to_vec(), (value, deadline));
        }
    }

    fn run_list(&mut self, name: &[u8], args: &[&[u8]]) -> String {
        let mut list = self.list(args[0]);
        match name {
            b"LPUSH" | b"RPUSH" | b"LPUSHX" | b"RPUSHX" => {
                if name.ends_with(b"X") && list.is_empty() {
                    return integer(0);
                }
                let items = args[1..].iter();
                items.for_each(|item| give(&mut list, name[0] == b'L', item.to_vec()));
                let length = list.len() as i64;
                self.keep(args[0], Value::List(list));
                integer(length)
            }
            b"LPOP" | b"RPOP" => {
                let item = take(&mut list, name[0] == b'L');
                self.keep(args[0], Value::List(list));
                or_nil(item.as_ref())
            }
            b"BLPOP" | b"BRPOP" => self.pop_of(name[1] == b'L', &args[..args.len() - 1]),
            b"LMOVE" | b"BLMOVE" => self.move_item(args[0], args[1], [args[2], args[3]]),
            b"RPOPLPUSH" => self.move_item(args[0], args[1], [b"RIGHT", b"LEFT"]),
            b"LLEN" => integer(list.len() as i64),
            b"LINDEX" => or_nil(place(number(args[1]), list.len()).map(|at| &list[at])),
            b"LRANGE" => {
                let range = part(number(args[1]), number(args[2]), list.len());
                bracketed(list[range].iter().map(|item| text(item)))
            }
            b"LPOS" => {
                let at = list.iter().position(|item| item == args[1]);
                at.map_or_else(|| NIL.to_owned(), |at| integer(at as i64))
            }
            _ => self.edit_list(name, args, list),
        }
    }

    fn edit_list(&mut self, name: &[u8], args: &[&[u8]], mut list: List) -> String {
        let reply = match name {
            b"LSET" => {
                let Some(at) = place(number(args[1]), list.len()) else { return ERROR.to_owned() };
                list[at] = args[2].to_vec();
                "OK".to_owned()
            }
            b"LINSERT" => {
                let Some(at) = list.iter().position(|item| item == args[2]) else {
                    return integer(if list.is_empty() { 0 } else { -1 });
                };
                list.insert(at + usize::from(args[1] == b"AFTER"), args[3].to_vec());
                integer(list.len() as i64)
            }
            b"LREM" => {
                let (count, before) = (number(args[1]), list.len());
                let most = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
                for _ in 0..most {
                    let is_it = |item: &Vec<u8>| item == args[2];
                    let found = match count < 0 {
                        true => list.iter().rposition(is_it),
                        false => list.iter().position(is_it),
                    };
                    let Some(at) = found else { break };
                    list.remove(at);
                }
                integer((before - list.len()) as i64)
            }
            b"LTRIM" => {
                list = list[part(number(args[1]), number(args[2]), list.len())].to_vec();
                "OK".to_owned()
            }
            _ => panic!("the model does not know {}", text(name)),
        };
        self.keep(args[0], Value::List(list));
        reply
    }

    /// The first of several lists that has something gives it; nil also for one who waited.
    fn pop_of(&mut self, left: bool, keys: &[&[u8]]) -> String {
        for key in keys {
            let mut list = self.list(key);
            if let Some(item) = take(&mut list, left) {
                self.keep(key, Value::List(list));
                return bracketed([text(key), text(&item)]);
            }
        }
        NIL.to_owned()
    }

    fn move_item(&mut self, from: &[u8], to: &[u8], ends: [&[u8]; 2]) -> String {
        let [takes_left, gives_left] = ends.map(|end| end == b"LEFT");
        let mut source = self.list(from);
        let Some(item) = take(&mut source, takes_left) else { return NIL.to_owned() };
        if from == to {
            give(&mut source, gives_left, item.clone());
            self.keep(from, Value::List(source));
        } else {
            self.keep(from, Value::List(source));
            let mut target = self.list(to);
            give(&mut target, gives_left, item.clone());
            self.keep(to, Value::List(target));
        }
        text(&item)
    }

    fn run_hash(&mut self, name: &[u8], args: &[&[u8]]) -> String {
        let mut hash = self.hash(args[0]);
        let value = |field: &[u8]| hash.get(field).map(|(value, _)| value);
        match name {
            b"HGET" => return or_nil(value(args[1])),
            b"HMGET" => return bracketed(args[1..].iter().map(|field| or_nil(value(field)))),
            b"HLEN" => return integer(hash.len() as i64),
            b"HEXISTS" => return truth(value(args[1]).is_some()),
            b"HSTRLEN" => return integer(value(args[1]).map_or(0, Vec::len) as i64),
            b"HGETALL" => {
                let pairs = hash.iter().map(|(f, (v, _))| format!("{} {}", text(f), text(v)));
                return bracketed(pairs);
            }
            b"HPEXPIRETIME" => {
                let deadline = hash.get(args[3]).map(|(_, deadline)| *deadline);
                let time = deadline.map_or(-2, |deadline| deadline.map_or(-1, |d| d as i64));
                return bracketed([integer(time)]);
            }
            _ => {}
        }
        let reply = match name {
            b"HSET" => {
                let (pairs, _) = args[1..].as_chunks::<2>();
                let set = |[field, value]: &[&[u8]; 2]| {
                    hash.insert(field.to_vec(), (value.to_vec(), None))
                };
                integer(pairs.iter().map(set).filter(Option::is_none).count() as i64)
            }
            b"HSETNX" => {
                let is_new = !hash.contains_key(args[1]);
                if is_new {
                    hash.insert(args[1].to_vec(), (args[2].to_vec(), None));
                }
                truth(is_new)
            }
            b"HDEL" => {
                let gone = args[1..].iter().filter(|field| hash.remove(**field).is_some());
                integer(gone.count() as i64)
            }
            b"HGETDEL" => {
                bracketed([or_nil(hash.remove(args[3]).map(|(value, _)| value).as_ref())])
            }
            b"HINCRBY" => {
                let zero = || (b"0".to_vec(), None);
                let (before, deadline) = hash.get(args[1]).cloned().unwrap_or_else(zero);
                let Some(before) = super::counted(&before) else { return ERROR.to_owned() };
                let sum = before + number(args[2]);
                hash.insert(args[1].to_vec(), (sum.to_string().into_bytes(), deadline));
                integer(sum)
            }
            b"HPEXPIREAT" => bracketed([integer(self.expire_field(&mut hash, args))]),
            b"HPERSIST" => {
                let deadline = hash.get_mut(args[3]).map(|(_, deadline)| deadline.take());
                bracketed([integer(deadline.map_or(-2, |d| if d.is_some() { 1 } else { -1 }))])
            }
            _ => panic!("the model does not know {}", text(name)),
        };
        self.keep(args[0], Value::Hash(hash));
        reply
    }

    /// `HPEXPIREAT key time FIELDS 1 field`.
    fn expire_field(&self, hash: &mut Hash, args: &[&[u8]]) -> i64 {
        let time = number(args[1]) as u64;
        let Some((_, deadline)) = hash.get_mut(args[4]) else { return -2 };
        if time <= self.now_ms {
            hash.remove(args[4]);
            return 2;
        }
        *deadline = Some(time);
        1
    }

    fn run_set(&mut self, name: &[u8], args: &[&[u8]]) -> String {
        match name {
            b"SADD" | b"SREM" => {
                let mut set = self.set_of(args[0]);
                let changed = args[1..].iter().filter(|member| match name {
                    b"SADD" => set.insert(member.to_vec()),
                    _ => set.remove(**member),
                });
                let changed = changed.count() as i64;
                self.keep(args[0], Value::Set(set));
                integer(changed)
            }
            b"SMOVE" => {
                let mut from = self.set_of(args[0]);
                let moves = from.remove(args[2]);
                if moves && args[0] != args[1] {
                    self.keep(args[0], Value::Set(from));
                    let mut to = self.set_of(args[1]);
                    to.insert(args[2].to_vec());
                    self.keep(args[1], Value::Set(to));
                }
                truth(moves)
            }
            b"SCARD" => integer(self.set_of(args[0]).len() as i64),
            b"SISMEMBER" => truth(self.set_of(args[0]).contains(args[1])),
            b"SMISMEMBER" => {
                let set = self.set_of(args[0]);
                bracketed(args[1..].iter().map(|member| truth(set.contains(*member))))
            }
            b"SMEMBERS" => bracketed(self.set_of(args[0]).iter().map(|member| text(member))),
            b"SINTERCARD" => integer(self.combined(b"SINTER", &args[1..]).len() as i64),
            b"SINTER" | b"SUNION" | b"SDIFF" => {
                bracketed(self.combined(name, args).iter().map(|member| text(member)))
            }
            _ => {
                let set = self.combined(&name[..name.len() - b"STORE".len()], &args[1..]);
                let length = set.len() as i64;
                self.remove(args[0]);
                self.keep(args[0], Value::Set(set));
                integer(length)
            }
        }
    }

    fn combined(&self, operation: &[u8], keys: &[&[u8]]) -> BTreeSet<Vec<u8>> {
        let mut sets = keys.iter().map(|key| self.set_of(key));
        let first = sets.next().unwrap_or_default();
        sets.fold(first, |all, set| match operation {
            b"SINTER" => all.intersection(&set).cloned().collect(),
            b"SUNION" => all.union(&set).cloned().collect(),
            _ => all.difference(&set).cloned().collect(),
        })
    }

    fn run_scores(&mut self, name: &[u8], args: &[&[u8]]) -> String {
        let mut scores = self.scores(args[0]);
        let reply = match name {
            b"ZADD" => return self.add_scores(args, scores),
            b"ZINCRBY" => {
                let before = scores.get(args[2]).map_or(0.0, |score| score.number());
                let sum = Score::of(before + number(args[1]) as f64);
                scores.insert(args[2].to_vec(), sum);
                double(sum)
            }
            b"ZREM" => {
                let gone = args[1..].iter().filter(|member| scores.remove(**member).is_some());
                integer(gone.count() as i64)
            }
            b"ZPOPMIN" | b"ZPOPMAX" => {
                let popped = pop_score(&mut scores, name == b"ZPOPMIN");
                bracketed(
                    popped.map(|(member, score)| format!("{} {}", text(&member), double(score))),
                )
            }
            b"ZREMRANGEBYRANK" => {
                let all = in_order(&scores);
                let range = part(number(args[1]), number(args[2]), all.len());
                let gone = range.len() as i64;
                all[range].iter().for_each(|(_, member)| {
                    scores.remove(member);
                });
                integer(gone)
            }
            _ => return read_scores(name, args, &scores),
        };
        self.keep(args[0], Value::Scores(scores));
        reply
    }

    /// `ZADD key [NX | XX | GT | LT] [CH] score member`.
    fn add_scores(&mut self, args: &[&[u8]], mut scores: Scores) -> String {
        let options = &args[1..args.len() - 2];
        let has = |word: &[u8]| options.contains(&word);
        let [score, member] = [args[args.len() - 2], args[args.len() - 1]];
        let new = Score::of(number(score) as f64);
        let old = scores.get(member).copied();
        let holds = match old {
            None => !has(b"XX"),
            Some(old) => !(has(b"NX") || has(b"GT") && new <= old || has(b"LT") && new >= old),
        };
        if holds {
            scores.insert(member.to_vec(), new);
            self.keep(args[0], Value::Scores(scores));
        }
        truth(holds && (old.is_none() || has(b"CH") && old != Some(new)))
    }

    /// `BZPOPMIN key [key ...] timeout`.
    fn pop_score_of(&mut self, args: &[&[u8]]) -> String {
        for key in &args[..args.len() - 1] {
            let mut scores = self.scores(key);
            if let Some((member, score)) = pop_score(&mut scores, true) {
                self.keep(key, Value::Scores(scores));
                return bracketed([text(key), text(&member), double(score)]);
            }
        }
        NIL.to_owned()
    }
}

fn in_order(scores: &Scores) -> Vec<(Score, Vec<u8>)> {
    let mut all: Vec<_> = scores.iter().map(|(member, score)| (*score, member.clone())).collect();
    all.sort();
    all
}

fn pop_score(scores: &mut Scores, least: bool) -> Option<(Vec<u8>, Score)> {
    let all = in_order(scores);
    let (_, member) = if least { all.first() } else { all.last() }?;
    scores.remove_entry(member)
}

fn read_scores(name: &[u8], args: &[&[u8]], scores: &Scores) -> String {
    let all = in_order(scores);
    let shown = |range: std::ops::Range<usize>| {
        bracketed(all[range].iter().map(|(s, member)| format!("{} {}", text(member), double(*s))))
    };
    match name {
        b"ZCARD" => integer(all.len() as i64),
        b"ZSCORE" => scores.get(args[1]).map_or_else(|| NIL.to_owned(), |score| double(*score)),
        b"ZRANK" => {
            let rank = all.iter().position(|(_, member)| member == args[1]);
            rank.map_or_else(|| NIL.to_owned(), |rank| integer(rank as i64))
        }
        // Scores as limits, both included; ZRANGE with WITHSCORES.
        b"ZCOUNT" => {
            let (low, high) = (number(args[1]) as f64, number(args[2]) as f64);
            let inside = |(score, _): &&(Score, Vec<u8>)| (low..=high).contains(&score.number());
            integer(all.iter().filter(inside).count() as i64)
        }
        b"ZRANGE" => shown(part(number(args[1]), number(args[2]), all.len())),
        _ => panic!("the model does not know {}", text(name)),
    }
}

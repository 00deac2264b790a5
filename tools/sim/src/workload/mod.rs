//! What clients ask for. Every value that is written is unique in its run, so that a checker knows
//! which write a read saw.

pub(crate) mod families;
pub(crate) mod money;
mod private;

use synap_shards::command::reply::Reply;

use crate::dice::Dice;
use crate::model::workload as modelled;
use crate::swarm::{Kind, Mix, Regime};
use private::Private;

/// What a request is meant to do, for the checkers.
#[derive(Clone, Debug)]
pub(crate) enum Intent {
    /// `SET`, with milliseconds to live if any.
    Set { key: Vec<u8>, value: Vec<u8>, ttl_ms: Option<u64> },
    /// `SET … NX`.
    SetOnce { key: Vec<u8>, value: Vec<u8> },
    /// `SET … GET`.
    Swap { key: Vec<u8>, value: Vec<u8> },
    /// `GET`.
    Get { key: Vec<u8> },
    /// `GETDEL`.
    Take { key: Vec<u8> },
    /// `MGET`.
    GetMany { keys: Vec<Vec<u8>> },
    /// `DEL`.
    Delete { keys: Vec<Vec<u8>> },
    /// `MSET` of one value to all.
    SetGroup { keys: Vec<Vec<u8>>, value: Vec<u8> },
    /// `MSETNX` of one value to all.
    SetGroupOnce { keys: Vec<Vec<u8>>, value: Vec<u8> },
    /// `APPEND`.
    Append { key: Vec<u8>, token: Vec<u8> },
    /// `GET` of what is appended to.
    GetLog { key: Vec<u8> },
    /// `INCR`.
    Increment { key: Vec<u8> },
    /// `GET` of a counter.
    GetCounter { key: Vec<u8> },
    /// `FLUSHALL`.
    Flush,
    /// `KEYS log:*`.
    ListLogs,
    /// `SCAN`, to be gone on with until the cursor is 0; what was seen so far.
    Walk { seen: Vec<Vec<u8>>, since: u64 },
    /// `DBSIZE`.
    Size,
    /// `DUMP`, whose reply another key is restored from.
    Dump { to: Vec<u8> },
    /// `WATCH` of an account that money is to be taken from.
    Watch { from: usize, to: usize, amount: i64 },
    /// What is in it.
    Read { from: usize, to: usize, amount: i64 },
    /// The transaction that follows.
    Settle,
    /// All accounts at one moment.
    Audit,
    /// Anything on keys of the connection's own: the reply is known.
    Exact { expected: Reply<'static> },
    /// Anything on the few keys whose every state is followed.
    Modelled,
    /// Anything whose reply nobody checks.
    Other,
}

/// A request as a client sends it.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) words: Vec<Vec<u8>>,
    pub(crate) intent: Intent,
}

/// Makes requests.
#[derive(Debug)]
pub(crate) struct Workload {
    /// Serial number of the last value made.
    serial: u64,
    private: Private,
}

const TOKEN_KEYS: usize = 6;
const GROUP_KEYS: usize = 5;
/// Keys that are written together to fill a shard, and how many such runs there are.
const BULK_KEYS: usize = 40;
const BULKS: usize = 12;
/// Bytes of one appended token.
pub(crate) const TOKEN_BYTES: usize = 12;

impl Workload {
    pub(crate) fn new() -> Self {
        Self { serial: 0, private: Private::default() }
    }

    /// The next request of connection number `connection`.
    pub(crate) fn next(
        &mut self,
        mix: &Mix,
        dice: &mut Dice,
        connection: u64,
        now_ms: u64,
    ) -> Wish {
        if mix.regime == Regime::Flushing && dice.chance(30) {
            return wish("FLUSHALL", [], Intent::Flush);
        }
        match dice.pick(&mix.kinds) {
            Kind::Register => self.register(mix, dice),
            Kind::Log => self.log(mix, dice, connection),
            Kind::Counter => counter(mix, dice),
            Kind::Group => self.group(mix, dice),
            Kind::OnceGroup => self.once_group(mix, dice),
            Kind::Token => token(dice),
            Kind::Volatile => self.volatile(mix, dice),
            Kind::Junk => self.junk(mix, dice),
            Kind::Listing => listing(dice),
            Kind::Private => {
                let value = self.value(mix, dice);
                self.private.next(dice, connection, value)
            }
            Kind::Modelled => {
                self.serial += 1;
                modelled::wish(mix, dice, self.serial, now_ms)
            }
            Kind::Bulk => self.bulk(mix, dice),
            Kind::Family => {
                let value = self.value(mix, dice);
                families::wish(dice, mix, self.serial, &value)
            }
            Kind::Money => money::next(dice),
        }
    }

    /// What the token game starts from: the token under its first name.
    pub(crate) fn deal() -> Wish {
        let key = token_key(0);
        wish("SET", [key, b"token".to_vec()], Intent::Other)
    }

    fn value(&mut self, mix: &Mix, dice: &mut Dice) -> Vec<u8> {
        self.serial += 1;
        let mut value = format!("v{}", self.serial).into_bytes();
        if mix.padding > 0 {
            value.push(b'.');
            value.resize(value.len() + dice.below(mix.padding), b'p');
        }
        value
    }

    fn register(&mut self, mix: &Mix, dice: &mut Dice) -> Wish {
        let key = key("reg", mix, dice);
        match dice.below(10) {
            0..3 => {
                let value = self.value(mix, dice);
                let words = [key.clone(), value.clone()];
                wish("SET", words, Intent::Set { key, value, ttl_ms: None })
            }
            3 => {
                let value = self.value(mix, dice);
                let words = [key.clone(), value.clone(), b"NX".to_vec()];
                wish("SET", words, Intent::SetOnce { key, value })
            }
            4 => {
                let value = self.value(mix, dice);
                let words = [key.clone(), value.clone(), b"GET".to_vec()];
                wish("SET", words, Intent::Swap { key, value })
            }
            5 => {
                let keys = keys("reg", mix, dice);
                wish("DEL", keys.clone(), Intent::Delete { keys })
            }
            6 => wish("GETDEL", [key.clone()], Intent::Take { key }),
            7 => {
                let keys = keys("reg", mix, dice);
                wish("MGET", keys.clone(), Intent::GetMany { keys })
            }
            8 => {
                let keys = keys("reg", mix, dice);
                let value = self.value(mix, dice);
                wish("MSET", pairs(&keys, &value), Intent::SetGroup { keys, value })
            }
            _ => wish("GET", [key.clone()], Intent::Get { key }),
        }
    }

    fn log(&mut self, mix: &Mix, dice: &mut Dice, connection: u64) -> Wish {
        let key = key("log", mix, dice);
        if dice.chance(600) {
            self.serial += 1;
            let token = format!("{:05}:{:05};", connection % 100_000, self.serial).into_bytes();
            assert_eq!(token.len(), TOKEN_BYTES, "tokens are of one length");
            let words = [key.clone(), token.clone()];
            return wish("APPEND", words, Intent::Append { key, token });
        }
        wish("GET", [key.clone()], Intent::GetLog { key })
    }

    fn group(&mut self, mix: &Mix, dice: &mut Dice) -> Wish {
        let group = dice.below(mix.keys.min(4));
        let keys: Vec<Vec<u8>> = (0..GROUP_KEYS).map(|at| group_key("grp", group, at)).collect();
        match dice.below(4) {
            0 => wish("MGET", keys.clone(), Intent::GetMany { keys }),
            1 => {
                let key = keys[dice.below(GROUP_KEYS)].clone();
                wish("GET", [key.clone()], Intent::Get { key })
            }
            _ => {
                let value = self.value(mix, dice);
                wish("MSET", pairs(&keys, &value), Intent::SetGroup { keys, value })
            }
        }
    }

    /// Many keys of one shard, so that its index grows and shrinks.
    fn bulk(&mut self, mix: &Mix, dice: &mut Dice) -> Wish {
        let first = dice.below(BULKS) * BULK_KEYS;
        let keys: Vec<Vec<u8>> = (first..first + BULK_KEYS)
            .map(|number| format!("{{bulk}}:{number}").into_bytes())
            .collect();
        if dice.chance(250) {
            return wish("DEL", keys.clone(), Intent::Delete { keys });
        }
        let value = self.value(mix, dice);
        wish("MSET", pairs(&keys, &value), Intent::SetGroup { keys, value })
    }

    fn once_group(&mut self, mix: &Mix, dice: &mut Dice) -> Wish {
        let group = dice.below(mix.keys);
        let keys: Vec<Vec<u8>> = (0..2).map(|at| group_key("once", group, at)).collect();
        if dice.chance(300) {
            return wish("MGET", keys.clone(), Intent::GetMany { keys });
        }
        let value = self.value(mix, dice);
        wish("MSETNX", pairs(&keys, &value), Intent::SetGroupOnce { keys, value })
    }

    fn volatile(&mut self, mix: &Mix, dice: &mut Dice) -> Wish {
        let key = key("vol", mix, dice);
        if dice.chance(500) {
            return wish("GET", [key.clone()], Intent::Get { key });
        }
        let value = self.value(mix, dice);
        let ttl_ms = dice.pick(&[1u64, 20, 300, 5_000]);
        let words = [key.clone(), value.clone(), b"PX".to_vec(), ttl_ms.to_string().into_bytes()];
        wish("SET", words, Intent::Set { key, value, ttl_ms: Some(ttl_ms) })
    }

    fn junk(&mut self, mix: &Mix, dice: &mut Dice) -> Wish {
        let (a, b) = (key("junk", mix, dice), key("junk", mix, dice));
        let value = self.value(mix, dice);
        let number = dice.pick(&["1", "30", "2000", "-1", "x"]).as_bytes().to_vec();
        let (name, words): (&str, Vec<Vec<u8>>) = match dice.below(18) {
            0 => ("SET", vec![a, value]),
            1 => ("RENAME", vec![a, b]),
            2 => ("RENAMENX", vec![a, b]),
            3 => ("COPY", vec![a, b, b"REPLACE".to_vec()]),
            4 => ("PEXPIRE", vec![a, number]),
            5 => ("EXPIRE", vec![a, number]),
            6 => ("PERSIST", vec![a]),
            7 => ("APPEND", vec![a, value]),
            8 => ("SETRANGE", vec![a, b"7".to_vec(), value]),
            9 => ("GETEX", vec![a, b"PX".to_vec(), number]),
            10 => ("MSET", vec![a.clone(), value.clone(), a, value]),
            11 => ("BITOP", vec![b"OR".to_vec(), a.clone(), b, a]),
            12 => ("UNLINK", vec![a.clone(), b, a]),
            13 => ("INCRBYFLOAT", vec![a, number]),
            14 => ("LCS", vec![a, b]),
            15 => ("RANDOMKEY", vec![]),
            16 => ("TTL", vec![a]),
            _ => ("GET", vec![a]),
        };
        wish(name, words, Intent::Other)
    }
}

fn counter(mix: &Mix, dice: &mut Dice) -> Wish {
    let key = key("cnt", mix, dice);
    if dice.chance(700) {
        return wish("INCR", [key.clone()], Intent::Increment { key });
    }
    wish("GET", [key.clone()], Intent::GetCounter { key })
}

fn token(dice: &mut Dice) -> Wish {
    let (from, to) = (token_key(dice.below(TOKEN_KEYS)), token_key(dice.below(TOKEN_KEYS)));
    let name = dice.pick(&["RENAME", "RENAME", "RENAMENX"]);
    wish(name, [from, to], Intent::Other)
}

fn listing(dice: &mut Dice) -> Wish {
    match dice.below(4) {
        0 => wish("KEYS", [b"log:*".to_vec()], Intent::ListLogs),
        1 => walk(b"0", Vec::new(), 0, dice),
        2 => wish("DBSIZE", [], Intent::Size),
        _ => wish("RANDOMKEY", [], Intent::Other),
    }
}

/// A step of a walk over all keys.
pub(crate) fn walk(cursor: &[u8], seen: Vec<Vec<u8>>, since: u64, dice: &mut Dice) -> Wish {
    let count = dice.pick(&["5", "60", "1000"]).as_bytes().to_vec();
    let words = [cursor.to_vec(), b"COUNT".to_vec(), count];
    wish("SCAN", words, Intent::Walk { seen, since })
}

/// A request of these words.
pub(crate) fn wish(name: &str, words: impl IntoIterator<Item = Vec<u8>>, intent: Intent) -> Wish {
    let words = std::iter::once(name.as_bytes().to_vec()).chain(words).collect();
    Wish { words, intent }
}

fn key(kind: &str, mix: &Mix, dice: &mut Dice) -> Vec<u8> {
    // Half of the work goes to one key.
    let number = if dice.chance(500) { 0 } else { dice.below(mix.keys) };
    format!("{kind}:{number}").into_bytes()
}

/// One to four distinct keys, in random order.
fn keys(kind: &str, mix: &Mix, dice: &mut Dice) -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = (0..dice.between(1, 4)).map(|_| key(kind, mix, dice)).collect();
    keys.sort_unstable();
    keys.dedup();
    dice.shuffle(&mut keys);
    keys
}

fn group_key(kind: &str, group: usize, at: usize) -> Vec<u8> {
    format!("{kind}:{group}:{at}").into_bytes()
}

/// The names that the token may have.
pub(crate) fn token_key(at: usize) -> Vec<u8> {
    format!("tok:{at}").into_bytes()
}

fn pairs(keys: &[Vec<u8>], value: &[u8]) -> Vec<Vec<u8>> {
    keys.iter().flat_map(|key| [key.clone(), value.to_vec()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::Limits;
    use synap_shards::command::table;

    #[test]
    fn every_command_exists() {
        let (mut dice, mut workload) = (Dice::new(1), Workload::new());
        for round in 0..300 {
            let mix = Mix::draw(&mut dice, &Limits::default(), false);
            for _ in 0..40 {
                let wish = workload.next(&mix, &mut dice, round, 1_000_000);
                let words: Vec<&[u8]> = wish.words.iter().map(Vec::as_slice).collect();
                assert!(table::lookup(&words).is_ok(), "{:?}", wish.words);
            }
        }
    }
}

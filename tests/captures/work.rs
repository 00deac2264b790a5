//! Commands drawn at random, of every family that changes keys.

use synap_shards::rng::Rng;

const KEYS: usize = 24;

/// Templates: `K` is a key, `J` another, `V` a value, `N` a small number, `T` milliseconds.
const COMMANDS: &[&str] = &[
    "SET K V",
    "SET K V PX T",
    "SETEX K 100 V",
    "GETSET K V",
    "GETDEL K",
    "GETEX K PX T",
    "MSET K V J V",
    "MSETNX K V J V",
    "APPEND K V",
    "SETRANGE K N V",
    "SETBIT K N 1",
    "INCRBY K N",
    "INCRBYFLOAT K 1.5",
    "BITOP OR K J K",
    "PFADD K V V",
    "PFMERGE K J",
    "DEL K",
    "DEL K J",
    "UNLINK K",
    "RENAME K J",
    "RENAMENX K J",
    "COPY K J REPLACE",
    "PEXPIRE K T",
    "PERSIST K",
    "LPUSH K V V",
    "RPUSH K V V V",
    "LPUSHX K V",
    "LPOP K N",
    "RPOP K",
    "LSET K 0 V",
    "LINSERT K BEFORE V V",
    "LREM K 0 V",
    "LREM K -1 V",
    "LTRIM K 1 -2",
    "LTRIM K N N",
    "LMOVE K J LEFT RIGHT",
    "LMOVE K K RIGHT LEFT",
    "RPOPLPUSH K J",
    "SORT K ALPHA STORE J",
    "SADD K V V V",
    "SADD K 1 2 3 N",
    "SREM K V",
    "SPOP K",
    "SMOVE K J V",
    "SUNIONSTORE K J K",
    "SDIFFSTORE K J K",
    "ZADD K N V 7.25 V",
    "ZADD K inf V",
    "ZINCRBY K 2.5 V",
    "ZREM K V",
    "ZPOPMIN K N",
    "ZREMRANGEBYRANK K 0 0",
    "ZUNIONSTORE K 2 J K",
    "ZRANGESTORE K J 0 2",
    "GEOADD K 13.4 52.5 V",
    "HSET K V V",
    "HSET K V V V V",
    "HMSET K V V",
    "HSETNX K V V",
    "HDEL K V",
    "HINCRBY K V N",
    "HPEXPIRE K T FIELDS 1 V",
    "HPERSIST K FIELDS 1 V",
    "HGETDEL K FIELDS 1 V",
    "HSETEX K PX T FIELDS 1 V V",
    "XADD K * V V",
    "XADD K MAXLEN 5 * V V V V",
    "XTRIM K MAXLEN N",
    "XGROUP CREATE K g 0 MKSTREAM",
    "XREADGROUP GROUP g c COUNT 2 STREAMS K >",
    "XSETID K 99999999999999-0",
];

/// Values that meet each other often; some are no text.
fn value(rng: &mut Rng) -> Vec<u8> {
    match rng.below(12) {
        0 => vec![0xff, 0, rng.below(4) as u8],
        1 => b"quoted \"\\ and\nbroken".to_vec(),
        2 => vec![b'x'; 900],
        number => format!("v{number}").into_bytes(),
    }
}

/// One command.
pub(crate) fn command(rng: &mut Rng, prefix: &str) -> Vec<Vec<u8>> {
    let template = COMMANDS[rng.below(COMMANDS.len())];
    let key = |rng: &mut Rng| format!("{prefix}{}", rng.below(KEYS)).into_bytes();
    let words = template.split(' ').map(|word| match word {
        "K" | "J" => key(rng),
        "V" => value(rng),
        "N" => rng.below(5).to_string().into_bytes(),
        // Soon, or not while the test runs.
        "T" if rng.below(2) == 0 => (1 + rng.below(400)).to_string().into_bytes(),
        "T" => (1_000_000 + rng.below(1_000_000)).to_string().into_bytes(),
        word => word.as_bytes().to_vec(),
    });
    words.collect()
}

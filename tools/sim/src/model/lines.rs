//! What the model's containers are asked. A line is a request; `$` and a letter stand for something
//! drawn: `$k` a key, `$n` one of the same shard, `$o` any other, `$e` an element, `$f` a field,
//! `$m` a number, `$t` a time.

use crate::dice::Dice;

/// A type, by the letter in its keys, and its requests; those that set deadlines of fields apart.
pub(super) const BOXES: [(&str, &[&str]); 4] =
    [("l", LISTS), ("h", HASHES), ("s", SETS), ("z", SCORES)];

const LISTS: &[&str] = &[
    "LPUSH $k $e",
    "RPUSH $k $e $e",
    "RPUSHX $k $e",
    "LPUSHX $k $e",
    "LPOP $k",
    "RPOP $k",
    "LLEN $k",
    "LINDEX $k $m",
    "LRANGE $k $m $m",
    "LRANGE $k 0 -1",
    "LPOS $k $e",
    "LSET $k $m $e",
    "LINSERT $k BEFORE $e $e",
    "LINSERT $k AFTER $e $e",
    "LREM $k $m $e",
    "LTRIM $k $m $m",
    "LMOVE $k $o LEFT RIGHT",
    "RPOPLPUSH $k $o",
    "BLPOP $k $o 0.002",
    "BRPOP $k 0",
    "BLMOVE $k $o LEFT LEFT 0.003",
];

const HASHES: &[&str] = &[
    "HSET $k $f $e $f $m",
    "HSET $k $f $m",
    "HSETNX $k $f $e",
    "HGET $k $f",
    "HMGET $k $f $f",
    "HLEN $k",
    "HEXISTS $k $f",
    "HSTRLEN $k $f",
    "HGETALL $k",
    "HDEL $k $f $f",
    "HGETDEL $k FIELDS 1 $f",
    "HINCRBY $k $f $m",
    "HPEXPIRETIME $k FIELDS 1 $f",
    "HPERSIST $k FIELDS 1 $f",
    FIELD_DEADLINE,
];

/// A field that has expired may be there again when the clock goes back, or be gone: it is not
/// followed in runs where that happens. And a hash of such fields alone is there as a key until
/// upkeep comes by, so that in the other runs nobody asks for hashes as keys.
const FIELD_DEADLINE: &str = "HPEXPIREAT $k $t FIELDS 1 $f";

const SETS: &[&str] = &[
    "SADD $k $e $e",
    "SADD $k $m",
    "SREM $k $e $e",
    "SCARD $k",
    "SISMEMBER $k $e",
    "SMISMEMBER $k $e $e",
    "SMEMBERS $k",
    "SMOVE $k $o $e",
    "SINTER $k $o",
    "SUNION $k $o",
    "SDIFF $k $o",
    "SINTERSTORE $k $n $k",
    "SUNIONSTORE $k $n $k",
    "SDIFFSTORE $k $n $k",
    "SINTERCARD 2 $k $o",
];

const SCORES: &[&str] = &[
    "ZADD $k $m $e",
    "ZADD $k NX $m $e",
    "ZADD $k XX CH $m $e",
    "ZADD $k GT CH $m $e",
    "ZADD $k LT $m $e",
    "ZINCRBY $k $m $e",
    "ZREM $k $e",
    "ZPOPMIN $k",
    "ZPOPMAX $k",
    "ZREMRANGEBYRANK $k $m $m",
    "ZCARD $k",
    "ZSCORE $k $e",
    "ZRANK $k $e",
    "ZCOUNT $k $m $m",
    "ZRANGE $k $m $m WITHSCORES",
    "BZPOPMIN $k $o 0.002",
];

/// For containers of any type.
const KEYS: &[&str] = &[
    "DEL $k",
    "EXISTS $k",
    "TYPE $k",
    "RENAME $k $o",
    "RENAMENX $k $o",
    "COPY $k $n REPLACE",
    "PEXPIREAT $k $t",
    "PERSIST $k",
    "PEXPIRETIME $k",
];

/// Per 1000: a request is one for containers of any type.
const ANY_TYPE: usize = 200;

/// A line about a type.
pub(super) fn line(dice: &mut Dice, lines: &[&'static str], sets_back: bool) -> &'static str {
    let expires = !sets_back && lines.contains(&FIELD_DEADLINE);
    if !expires && dice.chance(ANY_TYPE) {
        return dice.pick(KEYS);
    }
    let line = dice.pick(lines);
    if sets_back && line == FIELD_DEADLINE { "HGET $k $f" } else { line }
}

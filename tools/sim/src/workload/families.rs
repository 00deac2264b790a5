//! Requests of every family, at random and often wrong: nobody checks their replies. What they
//! leave is checked: by the logs' replay, after each crash and at the end (`prefix`, `replay`), and
//! by snapshots that are taken meanwhile.
//!
//! A line is a request; words that begin with `$` are drawn anew each time, see `word`.

use super::{Intent, Wish};
use crate::dice::Dice;
use crate::swarm::Mix;

/// A family, its name in keys, and its requests.
pub(crate) struct Family {
    pub(crate) name: &'static str,
    lines: &'static [&'static str],
}

/// Every family; keys of any type are used by all of them.
pub(crate) const FAMILIES: [Family; 12] = [
    Family { name: "list", lines: LISTS },
    Family { name: "set", lines: SETS },
    Family { name: "zset", lines: SORTED_SETS },
    Family { name: "hash", lines: HASHES },
    Family { name: "stream", lines: STREAMS },
    Family { name: "geo", lines: GEO },
    Family { name: "hll", lines: HYPER_LOG_LOGS },
    Family { name: "bitmap", lines: BITMAPS },
    Family { name: "queue", lines: QUEUES },
    Family { name: "wait", lines: WAITING },
    Family { name: "big", lines: BIG },
    Family { name: "capture", lines: CAPTURES },
];

/// What the other families do is captured meanwhile.
const CAPTURES: &[&str] = &[
    "CDC.CREATE all *",
    "CDC.CREATE some MAXBYTES 20000 RETENTION 2 *hash* *list*",
    "CDC.READ all oldest COUNT $c",
    "CDC.READ all snapshot",
    "CDC.READ some now",
    "CDC.INFO all",
    "CDC.LIST",
    "SET $k $v",
    "RPUSH $k $e $v",
    "HSET $k $e $v",
    "DEL $k",
    "CDC.DELETE some",
];

const LISTS: &[&str] = &[
    "LPUSH $k $v $e $e",
    "RPUSH $k $e $v",
    "RPUSH $k $e $e $e $e $e $e",
    "LPUSHX $k $e",
    "RPUSHX $k $v",
    "LPOP $k",
    "RPOP $k $c",
    "LMPOP 2 $k $j LEFT COUNT $c",
    "LLEN $k",
    "LRANGE $k 0 -1",
    "LINDEX $k $m",
    "LPOS $k $e COUNT 0",
    "LSET $k $m $v",
    "LSET $k 0 $e",
    "LINSERT $k BEFORE $e $v",
    "LINSERT $k AFTER $e $e",
    "LREM $k $m $e",
    "LREM $k 0 $e",
    "LTRIM $k $c -2",
    "LMOVE $k $j LEFT RIGHT",
    "RPOPLPUSH $k $j",
    "SORT $k ALPHA STORE $j",
];

const SETS: &[&str] = &[
    "SADD $k $e $e $e",
    "SADD $k $c $c $x",
    "SADD $k $e $v",
    "SREM $k $e $e",
    "SMEMBERS $k",
    "SISMEMBER $k $e",
    "SMISMEMBER $k $e $e",
    "SCARD $k",
    "SPOP $k",
    "SPOP $k $c",
    "SRANDMEMBER $k $m",
    "SMOVE $k $j $e",
    "SINTER $k $j",
    "SINTERSTORE $k $j $k",
    "SINTERCARD 2 $k $j",
    "SUNION $k $j",
    "SUNIONSTORE $k $j $k",
    "SDIFF $k $j",
    "SDIFFSTORE $k $j $k",
    "SSCAN $k 0 COUNT 3",
    "SORT $k ALPHA LIMIT 0 3",
];

const SORTED_SETS: &[&str] = &[
    "ZADD $k $m $e $m $e",
    "ZADD $k $s $v $s $e",
    "ZADD $k NX CH $m $e $m $e",
    "ZADD $k GT $m $e",
    "ZADD $k LT CH $m $e",
    "ZADD $k XX INCR $m $e",
    "ZINCRBY $k $s $e",
    "ZREM $k $e $e",
    "ZREMRANGEBYRANK $k 0 $c",
    "ZREMRANGEBYSCORE $k $m ($m",
    "ZREMRANGEBYLEX $k [e1 (e3",
    "ZMSCORE $k $e $e",
    "ZCOUNT $k -inf $m",
    "ZRANK $k $e WITHSCORE",
    "ZRANGE $k 0 -1 WITHSCORES",
    "ZRANGE $k $m +inf BYSCORE LIMIT 0 2",
    "ZRANGESTORE $k $j 0 $c REV",
    "ZPOPMIN $k",
    "ZPOPMAX $k $c",
    "ZMPOP 2 $k $j MIN COUNT $c",
    "ZUNIONSTORE $k 2 $k $j WEIGHTS 1 $m",
    "ZINTERSTORE $k 2 $k $j AGGREGATE MAX",
    "ZDIFFSTORE $k 2 $k $j",
    "ZRANDMEMBER $k $m",
    "ZSCAN $k 0 COUNT 3",
];

const HASHES: &[&str] = &[
    "HSET $k $f $v $f $e",
    "HSET $k $f $m $f $m $f $m",
    "HSETNX $k $f $v",
    "HMSET $k $f $e",
    "HMGET $k $f $f",
    "HGETALL $k",
    "HDEL $k $f $f",
    "HGETDEL $k FIELDS 2 $f $f",
    "HINCRBY $k $f $m",
    "HINCRBYFLOAT $k $f $s",
    "HRANDFIELD $k $m WITHVALUES",
    "HSCAN $k 0 COUNT 3",
    "HPEXPIRE $k $d FIELDS 2 $f $f",
    "HPEXPIRE $k $d NX FIELDS 1 $f",
    "HPEXPIRE $k $d GT FIELDS 1 $f",
    "HEXPIRE $k $c FIELDS 1 $f",
    "HPERSIST $k FIELDS 1 $f",
    "HPTTL $k FIELDS 2 $f $f",
    "HGETEX $k PX $d FIELDS 1 $f",
    "HSETEX $k PX $d FIELDS 2 $f $v $f $e",
    "HSETEX $k FNX KEEPTTL FIELDS 1 $f $e",
    "HLEN $k",
];

const STREAMS: &[&str] = &[
    "XADD $k * $f $v",
    "XADD $k $x-* $f $e $f $e",
    "XADD $k $x-1 $f $e",
    "XADD $k MAXLEN ~ 5 * $f $e",
    "XADD $k NOMKSTREAM MINID $y * $f $v",
    "XLEN $k",
    "XRANGE $k - +",
    "XREVRANGE $k + $y COUNT 3",
    "XDEL $k $y-0 $y-1 $y-0",
    "XTRIM $k MAXLEN $c",
    "XTRIM $k MINID $y",
    "XSETID $k $x-5",
    "XREAD COUNT 2 STREAMS $k $j 0 $y",
    "XGROUP CREATE $k g0 0 MKSTREAM",
    "XGROUP CREATE $k g1 $y MKSTREAM",
    "XGROUP CREATE $k $g 0 MKSTREAM",
    "XGROUP CREATE $k $g $ MKSTREAM",
    "XGROUP SETID $k $g $y",
    "XGROUP DESTROY $k $g",
    "XGROUP CREATECONSUMER $k $g $e",
    "XGROUP DELCONSUMER $k $g c1",
    "XREADGROUP GROUP $g c1 COUNT 3 STREAMS $k >",
    "XREADGROUP GROUP $g c2 NOACK STREAMS $k >",
    "XREADGROUP GROUP g0 c2 STREAMS $k $j > >",
    "XREADGROUP GROUP $g c1 STREAMS $k 0",
    "XACK $k $g $y-0 $y-1 $y-1",
    "XPENDING $k $g - + 10",
    "XCLAIM $k $g c2 0 $y-0 $y-1 $y-1",
    "XCLAIM $k $g c1 0 $y-0 FORCE RETRYCOUNT 7",
    "XAUTOCLAIM $k $g c1 0 - COUNT 4",
    "XINFO STREAM $k FULL",
    "XINFO CONSUMERS $k $g",
];

const GEO: &[&str] = &[
    "GEOADD $k 13.$x 38.1 $e 15.08 37.$x $e",
    "GEOADD $k NX -1$c.5 $m.25 $e",
    "GEOADD $k XX CH 2.$c 48.$x $e",
    "GEOPOS $k $e $e",
    "GEODIST $k $e $e km",
    "GEOHASH $k $e",
    "GEOSEARCH $k FROMMEMBER $e BYRADIUS 300 km ASC WITHDIST",
    "GEOSEARCHSTORE $j $k FROMLONLAT 14 38 BYBOX 400 400 km",
    "GEOSEARCHSTORE $j $k FROMLONLAT 14 38 BYRADIUS 400 km STOREDIST",
    "GEORADIUS $k 13 38 200 km STORE $j",
    "GEORADIUSBYMEMBER $k $e 100 km COUNT $c",
    "ZREM $k $e",
];

const HYPER_LOG_LOGS: &[&str] = &[
    "PFADD $k $e $e $x",
    "PFADD $k $v",
    "PFADD $k $x $x a b c d e f g h i j k l m n o p q r s t u",
    "PFADD $k",
    "PFCOUNT $k",
    "PFCOUNT $k $j",
    "PFMERGE $k $j",
    "PFMERGE $k $j $k",
    "PFDEBUG TODENSE $k",
    "SYNAP.PFADDEX $k $c $e",
];

const BITMAPS: &[&str] = &[
    "SETBIT $k $x 1",
    "SETBIT $k $c 0",
    "BITOP XOR $k $j $k",
    "BITOP NOT $k $j",
    "BITFIELD $k SET u7 $x $c INCRBY i12 #$c $m",
    "BITFIELD $k OVERFLOW FAIL INCRBY u2 0 3 OVERFLOW SAT INCRBY u4 4 $c",
    "BITCOUNT $k $c -1 BIT",
    "BITPOS $k 0 $c",
    "SETRANGE $k $x $e",
];

/// Messages have names that only a reply tells, so none is acknowledged here: what is taken comes
/// back when its time is over, after a start, or is purged.
const QUEUES: &[&str] = &[
    "QCREATE $k DEADLINE 1 RETRIES $c DLQSIZE 3",
    "QCREATE $k MAXDEPTH 40 PREFETCH 4 TTL 2 DLQRETENTION 1",
    "QCREATE $k LINEAR BACKOFFMS 20 RETRIES 5",
    "QCREATE $k EXPONENTIAL DLQSIZE 0",
    "QPUBLISH $k $v",
    "QPUBLISH $k $e PRIORITY $c",
    "QPUBLISH $k $v DELAY $d TTL $d",
    "QPUBLISH $k $e KEY $e",
    "QSEND $k $v PRIORITY $c HEADERS $f $v",
    "QSEND $k $e RETRIES 0",
    "QMPUBLISH $k PRIORITY $c PAYLOADS $V",
    "QCONSUME $k",
    "QCONSUME $k CONSUMER $e COUNT 3",
    "QCONSUME $k CONSUMER $e WAIT 3",
    "QCONSUME $k CONSUMER $e COUNT 4 PREFETCH 2 WAIT 2",
    "QCONSUME $k COUNT 20 WAIT 2",
    "QSTATS $k",
    "QLIST",
    "QDLQ LIST $k",
    "QDLQ CONSUME $k COUNT 2",
    "QDLQ REQUEUE $k",
    "QDLQ PURGE $k",
    "QSCHEDULED $k",
    "QPURGE $k",
    "QPURGE $k DLQ no PENDING",
    "QDELETE $k",
    "DSS.CREATE $k DEADLINE 1 RETRIES $c",
    "DSS.ENQUEUE $k $v",
    "DSS.ENQUEUE $k $e",
    "DSS.DEQUEUE $k",
    "DSS.DEQUEUE $k COUNT 3 WAIT 2",
    "DSS.STATUS $k",
    "DSS.QUEUES VERBOSE",
    "DSS.DLQ REQUEUE $k",
    "DSS.DELETE $k",
];

/// Commands that wait for somebody, for a few milliseconds or for ever, and those who have
/// something for them.
const WAITING: &[&str] = &[
    "BLPOP $l $l 0.002",
    "BRPOP $l 0",
    "BLMOVE $l $l LEFT RIGHT 0.004",
    "BRPOPLPUSH $l $l 0",
    "BLMPOP 0.003 2 $l $l LEFT COUNT 2",
    "BZPOPMIN $z $z 0.002",
    "BZPOPMAX $z 0",
    "BZMPOP 0.003 2 $z $z MAX COUNT 2",
    "XREAD BLOCK 3 STREAMS $q $q $ $",
    "XREADGROUP GROUP g0 c1 BLOCK 2 STREAMS $q >",
    "XGROUP CREATE $q g0 $ MKSTREAM",
    "RPUSH $l $e",
    "LPUSH $l $e $e",
    "ZADD $z $m $e",
    "XADD $q * f $e",
    "DEL $l $z",
];

/// Containers that an image takes several pieces for, where values are long.
const BIG: &[&str] = &[
    "RPUSH $bl $V",
    "LPUSH $bl $V",
    "LREM $bl 3 1$v",
    "LINSERT $bl BEFORE 2$v $v",
    "LTRIM $bl 20 -2",
    "SADD $bs $V",
    "SPOP $bs 10",
    "ZADD $bz $P",
    "ZPOPMIN $bz 9",
    "ZINCRBY $bz $m 3$v",
    "HSET $bh $P",
    "HSET $bh $V",
    "HDEL $bh 1 2 3",
    "HPEXPIRE $bh $d FIELDS 3 1 2 5",
    "XADD $bx * $P",
    "XTRIM $bx MAXLEN 3",
    "RENAME $bh $k",
    "COPY $bs $k REPLACE",
    "DEL $bz",
];

/// For keys of whatever type.
const KEYS: &[&str] = &[
    "DEL $k",
    "UNLINK $k $j",
    "RENAME $k $j",
    "RENAMENX $k $j",
    "COPY $k $j REPLACE",
    "PEXPIRE $k $d",
    "PERSIST $k",
    "TYPE $k",
    "OBJECT ENCODING $k",
    "MEMORY USAGE $k",
    "EXISTS $k $j",
    "SET $k $v",
    "TOUCH $k",
];

/// Values that a line's `$V` stands for, and pairs of `$P`.
const MANY: usize = 24;

/// Per 1000: a request is one for keys of any type; it names a key of another family.
const ANY_TYPE: usize = 120;
const OTHER_FAMILY: usize = 20;
/// Per 1000: several requests are made as one transaction.
const TRANSACTION: usize = 80;
const COMMANDS_MAX: usize = 5;
/// Per 1000: what a key holds goes through `DUMP` and `RESTORE` to another one.
const DUMP: usize = 20;

/// A request of some family. `value` may be written.
pub(crate) fn wish(dice: &mut Dice, mix: &Mix, serial: u64, value: &[u8]) -> Wish {
    let family = dice.pick(&mix.families);
    let mut draw = Draw { family, mix, serial, value };
    if dice.chance(DUMP) {
        let (from, to) = (draw.key(dice), draw.key(dice));
        return super::wish("DUMP", [from], Intent::Dump { to });
    }
    let count = if dice.chance(TRANSACTION) { dice.between(1, COMMANDS_MAX) } else { 0 };
    if count == 0 {
        let line = draw.line(dice);
        return Wish { words: draw.words(line, dice), intent: Intent::Other };
    }
    let mut words = vec![b"EXEC".to_vec()];
    for _ in 0..count {
        draw.family = dice.pick(&mix.families);
        let line = draw.line(dice);
        words.extend(draw.words(line, dice));
        words.push(b";".to_vec());
    }
    Wish { words, intent: Intent::Other }
}

struct Draw<'a> {
    family: usize,
    mix: &'a Mix,
    serial: u64,
    value: &'a [u8],
}

impl Draw<'_> {
    fn line(&self, dice: &mut Dice) -> &'static str {
        if dice.chance(ANY_TYPE) {
            return dice.pick(KEYS);
        }
        dice.pick(FAMILIES[self.family].lines)
    }

    fn words(&self, line: &str, dice: &mut Dice) -> Vec<Vec<u8>> {
        let mut words = Vec::new();
        for word in line.split(' ') {
            let many = |at: usize| [at.to_string().as_bytes(), self.value].concat();
            match word {
                "$V" => words.extend((0..MANY).map(many)),
                "$P" => {
                    words.extend((0..MANY).flat_map(|at| [at.to_string().into_bytes(), many(at)]));
                }
                word => words.push(self.word(word, dice)),
            }
        }
        words
    }

    fn key(&self, dice: &mut Dice) -> Vec<u8> {
        let name = match dice.chance(OTHER_FAMILY) {
            true => dice.pick(&self.mix.families),
            false => self.family,
        };
        format!("fam:{}:{}", FAMILIES[name].name, dice.below(self.mix.keys.min(6))).into_bytes()
    }

    /// A word of a line: what `$` and a letter stand for is drawn, what is around it stays.
    fn word(&self, word: &str, dice: &mut Dice) -> Vec<u8> {
        let Some((before, rest)) = word.split_once('$').filter(|(_, rest)| !rest.is_empty()) else {
            return word.as_bytes().to_vec();
        };
        let (letter, after) = rest.split_at(1);
        let few = |name: &str, dice: &mut Dice| format!("fam:{name}:{}", dice.below(2));
        let drawn = match letter {
            "k" | "j" => self.key(dice),
            "v" => self.value.to_vec(),
            "e" => format!("e{}", dice.below(9)).into_bytes(),
            "f" => format!("f{}", dice.below(9)).into_bytes(),
            "g" => format!("g{}", dice.below(2)).into_bytes(),
            "m" => (dice.below(20) as i64 - 6).to_string().into_bytes(),
            "c" => dice.below(6).to_string().into_bytes(),
            "s" => format!("{}.25", dice.below(9)).into_bytes(),
            "d" => dice.pick(&["0", "1", "15", "300", "3000"]).as_bytes().to_vec(),
            "x" => self.serial.to_string().into_bytes(),
            "y" => self.serial.saturating_sub(dice.below(30) as u64).to_string().into_bytes(),
            "b" => format!("fam:big:{}", dice.below(2)).into_bytes(),
            "l" => few("wait-list", dice).into_bytes(),
            "z" => few("wait-zset", dice).into_bytes(),
            "q" => few("wait-stream", dice).into_bytes(),
            other => panic!("a line has ${other}"),
        };
        [before.as_bytes(), &drawn, after.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use synap_shards::command::args::Args;
    use synap_shards::command::table;

    #[test]
    fn every_line_is_a_request() {
        let mut dice = Dice::new(1);
        let mix = Mix::draw(&mut dice, &crate::swarm::Limits::default(), false);
        for (family, Family { lines, .. }) in FAMILIES.iter().enumerate() {
            let draw = Draw { family, mix: &mix, serial: 70, value: b"v70" };
            for line in lines.iter().chain(KEYS) {
                let words = draw.words(line, &mut dice);
                let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                let command =
                    table::lookup(&words).unwrap_or_else(|error| panic!("{line}: {error}"));
                let args = Args::parse(command.spec(), &words);
                assert!(args.is_ok(), "{line}: {:?}", args.err());
            }
        }
    }
}

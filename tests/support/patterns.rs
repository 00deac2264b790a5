//! Scripts of the kinds that applications use, each with what is asked of it and what it has to
//! answer, one after the other. Keys and arguments stand behind a bar: `k1 k2 | a1 a2`.

/// A script and its dialogue.
pub(crate) struct Pattern {
    /// What it is for.
    pub name: &'static str,
    /// The script.
    pub script: &'static str,
    /// Keys, arguments, and the answer as [`super::resp::show`] shows it.
    pub steps: &'static [(&'static str, &'static str)],
}

const fn pattern(
    name: &'static str,
    script: &'static str,
    steps: &'static [(&'static str, &'static str)],
) -> Pattern {
    Pattern { name, script, steps }
}

/// Limits of how often something may happen.
const LIMITERS: &[Pattern] = &[
    pattern(
        "fixed window",
        "local used = redis.call('INCR', KEYS[1]) \
         if used == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end \
         if used > tonumber(ARGV[1]) then return 0 end return 1",
        &[("win | 2 60000", ":1"), ("win | 2 60000", ":1"), ("win | 2 60000", ":0")],
    ),
    pattern(
        "fixed window with what is left",
        "local used = tonumber(redis.call('GET', KEYS[1]) or '0') \
         if used + ARGV[2] > tonumber(ARGV[1]) then return {0, ARGV[1] - used} end \
         used = redis.call('INCRBY', KEYS[1], ARGV[2]) \
         if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], 60) end \
         return {1, ARGV[1] - used}",
        &[("quota | 10 4", "[:1, :6]"), ("quota | 10 6", "[:1, :0]"), ("quota | 10 1", "[:0, :0]")],
    ),
    pattern(
        "sliding window log",
        "local now, span, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]) \
         redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - span) \
         if redis.call('ZCARD', KEYS[1]) >= most then return 0 end \
         redis.call('ZADD', KEYS[1], now, ARGV[4]) redis.call('PEXPIRE', KEYS[1], span) return 1",
        &[
            ("slide | 1000 500 2 a", ":1"),
            ("slide | 1100 500 2 b", ":1"),
            ("slide | 1200 500 2 c", ":0"),
            ("slide | 1501 500 2 d", ":1"),
        ],
    ),
    pattern(
        "sliding window of two counters",
        "local before = tonumber(redis.call('GET', KEYS[1]) or 0) \
         local now = tonumber(redis.call('GET', KEYS[2]) or 0) \
         if math.floor(before * (1 - ARGV[1])) + now >= tonumber(ARGV[2]) then return 0 end \
         redis.call('INCR', KEYS[2]) return 1",
        &[
            ("w:1 w:2 | 0.5 2", ":1"),
            ("w:1 w:2 | 0.5 2", ":1"),
            ("w:1 w:2 | 0.5 2", ":0"),
            ("w:2 w:3 | 0.0 3", ":1"),
            ("w:2 w:3 | 0.0 3", ":0"),
        ],
    ),
    pattern(
        "token bucket in a hash",
        "local rate, size, now, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), \
         tonumber(ARGV[4]) local state = redis.call('HMGET', KEYS[1], 'tokens', 'at') \
         local tokens, at = tonumber(state[1]) or size, tonumber(state[2]) or now \
         tokens = math.min(size, tokens + math.max(0, now - at) * rate) \
         local fits = tokens >= want if fits then tokens = tokens - want end \
         redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', now) \
         redis.call('EXPIRE', KEYS[1], math.ceil(size / rate) * 2) \
         return {fits and 1 or 0, tostring(tokens)}",
        &[
            ("bucket | 1 5 100 4", "[:1, 1]"),
            ("bucket | 1 5 101 3", "[:0, 2]"),
            ("bucket | 1 5 102.5 3", "[:1, 0.5]"),
        ],
    ),
    pattern(
        "leaky bucket in one value",
        "local now, level = tonumber(ARGV[1]), 0 local old = redis.call('GET', KEYS[1]) \
         if old then local l, at = string.match(old, '^(%S+) (%S+)$') \
         level = math.max(0, l - (now - at) * ARGV[2]) end \
         if level + 1 > tonumber(ARGV[3]) then return redis.status_reply('FULL') end \
         redis.call('SET', KEYS[1], (level + 1) .. ' ' .. now) return redis.status_reply('IN')",
        &[
            ("leak | 10 1 2", "+IN"),
            ("leak | 10 1 2", "+IN"),
            ("leak | 10 1 2", "+FULL"),
            ("leak | 11 1 2", "+IN"),
        ],
    ),
    pattern(
        "semaphore with leases",
        "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2]) \
         if redis.call('ZSCORE', KEYS[1], ARGV[1]) or redis.call('ZCARD', KEYS[1]) < \
         tonumber(ARGV[4]) then redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1]) return 1 \
         end return 0",
        &[
            ("sem | a 0 10 2", ":1"),
            ("sem | b 0 10 2", ":1"),
            ("sem | c 0 10 2", ":0"),
            ("sem | a 5 20 2", ":1"),
            ("sem | c 10 30 2", ":1"),
        ],
    ),
];

/// Locks and values that change under a condition.
const LOCKS: &[Pattern] = &[
    pattern(
        "take a lock",
        "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end return 0",
        &[("lock | me 60000", ":1"), ("lock | you 60000", ":0")],
    ),
    pattern(
        "extend a lock",
        "if redis.call('GET', KEYS[1]) == ARGV[1] then \
         return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0",
        &[("lock | you 90000", ":0"), ("lock | me 90000", ":1"), ("nolock | me 1", ":0")],
    ),
    pattern(
        "release a lock",
        "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) \
         else return 0 end",
        &[("lock | you", ":0"), ("lock | me", ":1"), ("lock | me", ":0")],
    ),
    pattern(
        "a lock that its holder may take again",
        "if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], ARGV[2]) == 1 \
         then redis.call('HINCRBY', KEYS[1], ARGV[2], 1) \
         redis.call('PEXPIRE', KEYS[1], ARGV[1]) return nil end \
         return redis.call('HLEN', KEYS[1])",
        &[("rlock | 60000 t1", "(nil)"), ("rlock | 60000 t1", "(nil)"), ("rlock | 60000 t2", ":1")],
    ),
    pattern(
        "give such a lock back",
        "if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return nil end \
         local left = redis.call('HINCRBY', KEYS[1], ARGV[1], -1) \
         if left > 0 then return 0 end redis.call('DEL', KEYS[1]) return 1",
        &[
            ("rlock | t2", "(nil)"),
            ("rlock | t1", ":0"),
            ("rlock | t1", ":1"),
            ("rlock | t1", "(nil)"),
        ],
    ),
    pattern(
        "compare and set",
        "local now = redis.call('GET', KEYS[1]) \
         if (now or '') == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) return true end \
         return false",
        &[("cas | x y", "(nil)"), ("cas2 | one two", "(nil)")],
    ),
    pattern(
        "compare a version and set",
        "local v = tonumber(redis.call('HGET', KEYS[1], 'v') or 0) \
         if v ~= tonumber(ARGV[1]) then return {err = 'CONFLICT version is ' .. v} end \
         redis.call('HSET', KEYS[1], 'v', v + 1, 'data', ARGV[2]) return v + 1",
        &[("doc | 0 a", ":1"), ("doc | 0 b", "-CONFLICT version is 1"), ("doc | 1 c", ":2")],
    ),
    pattern(
        "set if greater",
        "local old = tonumber(redis.call('GET', KEYS[1])) \
         if not old or tonumber(ARGV[1]) > old then redis.call('SET', KEYS[1], ARGV[1]) \
         return redis.call('GET', KEYS[1]) end return tostring(old)",
        &[("high | 5", "5"), ("high | 3", "5"), ("high | 9", "9")],
    ),
    pattern(
        "elect a leader",
        "local leader = redis.call('GET', KEYS[1]) \
         if not leader then redis.call('SET', KEYS[1], ARGV[1], 'EX', 30) return ARGV[1] end \
         if leader == ARGV[1] then redis.call('EXPIRE', KEYS[1], 30) end return leader",
        &[("leader | n1", "n1"), ("leader | n2", "n1"), ("leader | n1", "n1")],
    ),
    pattern(
        "once per request",
        "local done = redis.call('GET', KEYS[1]) if done then return {1, done} end \
         local id = redis.call('INCR', KEYS[2]) \
         redis.call('SET', KEYS[1], 'order-' .. id, 'EX', 3600) return {0, 'order-' .. id}",
        &[
            ("req:1 ids", "[:0, order-1]"),
            ("req:1 ids", "[:1, order-1]"),
            ("req:2 ids", "[:0, order-2]"),
        ],
    ),
    pattern(
        "touch a session",
        "if redis.call('EXISTS', KEYS[1]) == 0 then return redis.error_reply('NOSESSION gone') end \
         redis.call('HSET', KEYS[1], 'seen', ARGV[1]) redis.call('EXPIRE', KEYS[1], 600) \
         return redis.call('HGETALL', KEYS[1])",
        &[("sess:none | 5", "-NOSESSION gone")],
    ),
];

/// Queues, tops of lists, and stock.
const COLLECTIONS: &[Pattern] = &[
    pattern(
        "put into a delayed queue",
        "local added = redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2]) \
         redis.call('HSET', KEYS[2], ARGV[2], ARGV[3]) return added",
        &[
            ("due jobs | 100 j1 one", ":1"),
            ("due jobs | 50 j2 two", ":1"),
            ("due jobs | 900 j3 x", ":1"),
        ],
    ),
    pattern(
        "move what is due",
        "local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2]) \
         if #due == 0 then return 0 end redis.call('ZREM', KEYS[1], unpack(due)) \
         redis.call('RPUSH', KEYS[2], unpack(due)) return #due",
        &[("due ready | 500 10", ":2"), ("due ready | 500 10", ":0")],
    ),
    pattern(
        "take a job with its data",
        "local id = redis.call('LPOP', KEYS[1]) if not id then return false end \
         local data = redis.call('HGET', KEYS[2], id) redis.call('HDEL', KEYS[2], id) \
         return {id, data}",
        &[("ready jobs", "[j2, two]"), ("ready jobs", "[j1, one]"), ("ready jobs", "(nil)")],
    ),
    pattern(
        "take a job and remember who has it",
        "local id = redis.call('RPOPLPUSH', KEYS[1], KEYS[2]) \
         if id then redis.call('ZADD', KEYS[3], ARGV[1], id) end return id",
        &[("none busy lease | 5", "(nil)")],
    ),
    pattern(
        "priority queue",
        "for _, name in ipairs(KEYS) do local job = redis.call('LPOP', name) \
         if job then return {name, job} end end return nil",
        &[("pq:high pq:low", "(nil)")],
    ),
    pattern(
        "push into one of several queues",
        "for i = 1, #ARGV do redis.call('RPUSH', KEYS[(i - 1) % #KEYS + 1], ARGV[i]) end \
         return {redis.call('LLEN', KEYS[1]), redis.call('LLEN', KEYS[2])}",
        &[("q:a q:b | 1 2 3", "[:2, :1]")],
    ),
    pattern(
        "keep the latest",
        "redis.call('LPUSH', KEYS[1], ARGV[1]) redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1) \
         return redis.call('LRANGE', KEYS[1], 0, -1)",
        &[("latest | a 2", "[a]"), ("latest | b 2", "[b, a]"), ("latest | c 2", "[c, b]")],
    ),
    pattern(
        "leaderboard with the rank and neighbours",
        "redis.call('ZINCRBY', KEYS[1], ARGV[2], ARGV[1]) \
         local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1]) \
         return {rank + 1, redis.call('ZREVRANGE', KEYS[1], 0, 1, 'WITHSCORES')}",
        &[
            ("top | ann 10", "[:1, [ann, 10]]"),
            ("top | bob 15", "[:1, [bob, 15, ann, 10]]"),
            ("top | ann 2.5", "[:2, [bob, 15, ann, 12.5]]"),
        ],
    ),
    pattern(
        "take from stock",
        "local stock = tonumber(redis.call('GET', KEYS[1]) or 0) \
         if stock < tonumber(ARGV[1]) then return -1 end \
         return redis.call('DECRBY', KEYS[1], ARGV[1])",
        &[("stock | 1", ":-1")],
    ),
    pattern(
        "reserve several articles or none",
        "for i, name in ipairs(KEYS) do \
         if tonumber(redis.call('GET', name) or '0') < tonumber(ARGV[i]) then return name end end \
         for i, name in ipairs(KEYS) do redis.call('DECRBY', name, ARGV[i]) end return 'OK'",
        &[("art:1 art:2 | 0 0", "OK"), ("art:1 art:2 | 0 1", "art:2")],
    ),
    pattern(
        "move money",
        "local amount = tonumber(ARGV[1]) \
         if amount > tonumber(redis.call('GET', KEYS[1]) or 0) then \
         return redis.error_reply('POOR not enough') end redis.call('DECRBY', KEYS[1], amount) \
         return redis.call('INCRBY', KEYS[2], amount)",
        &[("acc:1 acc:2 | 5", "-POOR not enough")],
    ),
    pattern(
        "add members and tell which were new",
        "local new = {} for _, member in ipairs(ARGV) do \
         if redis.call('SADD', KEYS[1], member) == 1 then new[#new + 1] = member end end \
         return new",
        &[("seen | a b a", "[a, b]"), ("seen | b c", "[c]"), ("seen | c", "[]")],
    ),
    pattern(
        "draw without putting back",
        "local drawn = redis.call('SPOP', KEYS[1], ARGV[1]) \
         if #drawn > 0 then redis.call('SADD', KEYS[2], unpack(drawn)) end \
         return {#drawn, redis.call('SCARD', KEYS[2])}",
        &[
            ("seen drawn | 2", "[:2, :2]"),
            ("seen drawn | 2", "[:1, :3]"),
            ("seen drawn | 2", "[:0, :3]"),
        ],
    ),
];

/// Bits, counters, and work with the libraries.
const COMPUTING: &[Pattern] = &[
    pattern(
        "bloom filter",
        "local known = 1 for i = 1, 3 do \
         local digest = redis.sha1hex(i .. ARGV[1]) \
         local bit = tonumber(string.sub(digest, 1, 7), 16) % 10007 \
         if redis.call('SETBIT', KEYS[1], bit, 1) == 0 then known = 0 end end return known",
        &[
            ("bloom | cat", ":0"),
            ("bloom | cat", ":1"),
            ("bloom | dog", ":0"),
            ("bloom | dog", ":1"),
        ],
    ),
    pattern(
        "days on which somebody came",
        "redis.call('SETBIT', KEYS[1], ARGV[1], 1) return redis.call('BITCOUNT', KEYS[1])",
        &[("came | 3", ":1"), ("came | 8", ":2"), ("came | 3", ":2")],
    ),
    pattern(
        "count into buckets of several widths",
        "local at = tonumber(ARGV[1]) local sums = {} for i, width in ipairs({1, 60}) do \
         local bucket = math.floor(at / width) * width \
         sums[i] = redis.call('HINCRBY', KEYS[1] .. ':' .. width, bucket, 1) end return sums",
        &[("hits | 61", "[:1, :1]"), ("hits | 62", "[:1, :2]"), ("hits | 62", "[:2, :3]")],
    ),
    pattern(
        "running average",
        "local n = redis.call('HINCRBY', KEYS[1], 'n', 1) \
         local sum = redis.call('HINCRBYFLOAT', KEYS[1], 'sum', ARGV[1]) \
         return string.format('%.2f', sum / n)",
        &[("avg | 1", "1.00"), ("avg | 2", "1.50"), ("avg | 4.5", "2.50")],
    ),
    pattern(
        "change a field of a JSON document",
        "local doc = cjson.decode(redis.call('GET', KEYS[1]) or '{\"n\":0,\"tags\":[]}') \
         doc.n = doc.n + 1 doc.tags[#doc.tags + 1] = ARGV[1] \
         redis.call('SET', KEYS[1], cjson.encode(doc)) return {doc.n, cjson.encode(doc.tags)}",
        &[("json | red", "[:1, [\"red\"]]"), ("json | blue", "[:2, [\"red\",\"blue\"]]")],
    ),
    pattern(
        "many values packed in one",
        "local old = redis.call('GET', KEYS[1]) local list = old and cmsgpack.unpack(old) or {} \
         list[#list + 1] = {name = ARGV[1], at = tonumber(ARGV[2])} \
         redis.call('SET', KEYS[1], cmsgpack.pack(list)) return {#list, list[1].name, \
         list[#list].at}",
        &[("packed | a 1", "[:1, a, :1]"), ("packed | b 70000", "[:2, a, :70000]")],
    ),
    pattern(
        "records of fixed length",
        "redis.call('APPEND', KEYS[1], struct.pack('>I4I2', ARGV[1], ARGV[2])) \
         local all, found = redis.call('GET', KEYS[1]), {} for at = 1, #all, 6 do \
         local id, count = struct.unpack('>I4I2', all, at) found[#found + 1] = id .. '=' \
         .. count end \
         return found",
        &[("rec | 7 9", "[7=9]"), ("rec | 4000000000 1", "[7=9, 4000000000=1]")],
    ),
    pattern(
        "flags in a number",
        "local old = tonumber(redis.call('GET', KEYS[1]) or 0) \
         local new = bit.bor(bit.band(old, bit.bnot(ARGV[2])), ARGV[1]) \
         redis.call('SET', KEYS[1], new) return new",
        &[("flags | 5 0", ":5"), ("flags | 2 1", ":6")],
    ),
    pattern(
        "keys by a pattern, not declared",
        "local found = redis.call('KEYS', ARGV[1] .. '*') table.sort(found) \
         for _, name in ipairs(found) do redis.call('DEL', name) end return found",
        &[("| hits:", "[hits:1, hits:60]"), ("| hits:", "[]")],
    ),
    pattern(
        "what a command refuses, caught",
        "local answer = redis.pcall('INCR', KEYS[1]) \
         if type(answer) == 'table' and answer.err then return {0, answer.err} end return \
         {1, answer}",
        &[("rec", "[:0, ERR value is not an integer or out of range]"), ("fine", "[:1, :1]")],
    ),
    pattern(
        "the types of the third protocol",
        "redis.setresp(3) local all = redis.call('HGETALL', KEYS[1]) \
         return {all.map.n, type(redis.call('GET', 'no such key'))}",
        &[("avg", "[3, nil]")],
    ),
];

/// Every pattern, in an order in which later ones may work on what earlier ones left.
pub(crate) fn all() -> impl Iterator<Item = &'static Pattern> {
    [LIMITERS, LOCKS, COLLECTIONS, COMPUTING].into_iter().flatten()
}

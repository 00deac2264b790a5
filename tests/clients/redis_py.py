"""redis-py's methods against a server and against Redis: `python redis_py.py PORT SHARD_PORT
[REDIS_PORT]`, where SHARD_PORT is one of the server's ports for cluster clients.

Each line of redis_py.txt is an expression with the client `r`; a blank line begins a new part with
no keys. Results, or the errors, have to be those of the Redis, in RESP2 and RESP3; without one the
lines only have to go through. Lines that begin with `!` are for methods that Redis refuses or
answers otherwise: there it is enough that they succeed. Says which methods of the client no line
calls, and ends with 1 when anything differs.
"""

import asyncio
import os
import re
import sys

import redis
import redis.asyncio
from redis.commands import core

HERE = os.path.dirname(os.path.abspath(__file__))
# Methods that have no line, and why.
LEFT_OUT = {
    "not there": "acl_ failover migrate module_load module_unload psync replicaof sync debug_ "
                 "monitor client_pause client_unpause client_tracking memory_purge "
                 "memory_malloc_stats latency_doctor latency_graph script_debug",
    "tried in the compatibility table": "function_ fcall bgsave bgrewriteaof config_rewrite",
    "tried beside the lines": "register_script scan watch unwatch",
    "the client has no answer to them": "cluster command command_docs memory_help "
                                        "latency_histogram",
    "after Redis 7.2": "blmovem lmovem delex digest himport_ hotkeys_ increx msetex sdiffcard "
                       "sunioncard xackdel xcfgset xdelex xnack",
    "gone from Redis": "stralgo",
    "ends or redirects the server": "shutdown slaveof auth quit reset hello",
}


def parts():
    with open(os.path.join(HERE, "redis_py.txt"), encoding="ascii") as file:
        text = "".join(line for line in file if not line.startswith("#"))
    return [[line for line in part.splitlines() if line] for part in text.split("\n\n")]


def plain(value):
    """What can be compared: sets in order, objects by what they hold."""
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=repr)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def result(client, line):
    try:
        return plain(eval(line, {"r": client, "redis": redis}))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def compare(port, reference, protocol):
    ours = redis.Redis(port=port, protocol=protocol, decode_responses=True)
    theirs = redis.Redis(port=reference, protocol=protocol, decode_responses=True) \
        if reference else None
    lines, wrong = 0, []
    for part in parts():
        for client in filter(None, (ours, theirs)):
            client.flushall()
        for line in part:
            free, line = line.startswith("!"), line.lstrip("! ")
            lines += 1
            found = result(ours, line)
            wanted = result(theirs, line) if theirs and not free else found
            failed = isinstance(found, str) and re.match(r"\w+Error: ", found)
            if repr(found) != repr(wanted) or (failed and (free or not theirs)):
                wrong.append(f"RESP{protocol} {line}\n  ours:  {found!r}\n  Redis: {wanted!r}")
    return lines, wrong


def uncovered():
    """Methods of the client that no line names."""
    classes = [value for name, value in vars(core).items()
               if isinstance(value, type) and name.endswith("Commands")
               and not name.startswith(("Async", "Vector", "Array"))]
    names = {name for value in classes for name, method in vars(value).items()
             if callable(method) and not name.startswith("_")}
    text = open(os.path.join(HERE, "redis_py.txt"), encoding="ascii").read()
    prefixes = tuple(" ".join(LEFT_OUT.values()).split())
    return sorted(name for name in names
                  if f".{name}(" not in text and not name.startswith(prefixes))


def pipelines(port):
    """Pipelines, transactions with WATCH, messages, locks, scripts: what methods are made for."""
    client = redis.Redis(port=port, decode_responses=True)
    client.flushall()
    with client.pipeline(transaction=False) as pipe:
        for number in range(1000):
            pipe.set(f"k{number}", number).get(f"k{number}")
        assert pipe.execute()[1::2] == [str(number) for number in range(1000)]
    client.transaction(lambda pipe: (pipe.multi(), pipe.incr("sum"), pipe.incr("sum")), "k1", "k2")
    assert client.get("sum") == "2"
    with client.pipeline() as pipe:
        pipe.watch("k1")
        client.set("k1", "changed")
        pipe.multi()
        pipe.set("k2", "lost")
        try:
            pipe.execute()
            raise AssertionError("a watched key changed unseen")
        except redis.WatchError:
            pass
    with client.lock("lock", timeout=10) as lock:
        assert not client.lock("lock", blocking=False).acquire()
        assert lock.extend(5) and lock.reacquire() and lock.owned()
    double = client.register_script("return 2 * redis.call('GET', KEYS[1])")
    assert double(keys=["sum"]) == 4
    assert sorted(client.scan_iter("k*", count=50)) == sorted(f"k{n}" for n in range(1000))
    listener = client.pubsub()
    listener.subscribe("one")
    listener.psubscribe("tw*")
    for channel in ("one", "two"):
        while client.publish(channel, "hello") == 0:
            pass
    seen = [message["type"] for message in (listener.get_message(timeout=5) for _ in range(4))]
    assert sorted(seen) == ["message", "pmessage", "psubscribe", "subscribe"], seen
    listener.close()


def cluster(port):
    """The cluster client: it finds the cores as nodes, and sends each key to its own."""
    client = redis.RedisCluster(host="127.0.0.1", port=port, decode_responses=True)
    for number in range(200):
        client.set(f"k{number}", number)
    assert [client.get(f"k{number}") for number in range(200)] == list(map(str, range(200)))
    assert len(client.get_primaries()) > 1
    assert client.mget_nonatomic("k1", "k2", "k3") == ["1", "2", "3"]
    with client.pipeline() as pipe:
        assert pipe.get("k4").incr("k5").execute() == ["4", 6]
    client.close()


async def in_parallel(port):
    """The client for asyncio: many requests at once, and a blocking one that another ends."""
    client = redis.asyncio.Redis(port=port, protocol=3, decode_responses=True)
    await client.flushall()
    counts = await asyncio.gather(*(client.incr("count") for _ in range(50)))
    assert sorted(counts) == list(range(1, 51))
    waits = asyncio.create_task(client.blpop("list", timeout=10))
    while not await client.lpush("list", "x"):
        pass
    assert await waits in (["list", "x"], ("list", "x"))
    await client.aclose()


def main():
    port, shard_port, reference = (*map(int, sys.argv[1:]), None)[:3]
    if not reference:
        print("SKIPPED: redis-py: there is no Redis to compare with", file=sys.stderr)
    pipelines(port)
    asyncio.run(in_parallel(port))
    redis.Redis(port=port).flushall()
    cluster(shard_port)
    all_wrong = []
    for protocol in (2, 3):
        lines, wrong = compare(port, reference, protocol)
        print(f"redis-py {redis.__version__}: RESP{protocol}, {lines} lines, {len(wrong)} differ")
        all_wrong += wrong
    print(*all_wrong, sep="\n")
    print("redis-py: without a line:", " ".join(uncovered()) or "none")
    sys.exit(bool(all_wrong))


if __name__ == "__main__":
    main()

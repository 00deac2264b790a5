"""redis-py against a server: strings, bitmaps, keys, expiry, pipelines, and the cluster client.

Usage: check.py HOST PORT SHARD_PORT, where SHARD_PORT is one of the shard-aware ports. Every check
prints PASS or FAIL; the exit code is 1 when any failed. Keys below `py:` are overwritten.
"""

import sys
import time

import redis

failed = 0


def check(name, body):
    """Runs one check and says how it went."""
    global failed
    try:
        body()
        print(f"PASS redis-py {redis.__version__} {name}", flush=True)
    except Exception as error:  # Whatever a check raises is its result.
        failed += 1
        print(f"FAIL redis-py {redis.__version__} {name}: {error!r}", flush=True)


def equal(found, expected):
    """Asserts with both sides in the message."""
    assert found == expected, f"found {found!r}, expected {expected!r}"


def refused(call, text):
    """Asserts that a call is answered with an error that contains `text`."""
    try:
        call()
    except redis.ResponseError as error:
        assert text in str(error), f"found {error}, expected {text}"
    else:
        raise AssertionError(f"no error, expected {text}")


def strings(r, p):
    equal(r.set(p + "a", b"\x00\xff binary"), True)
    equal(r.get(p + "a"), b"\x00\xff binary")
    equal(r.set(p + "a", "1", nx=True), None)
    equal(r.set(p + "a", "2", xx=True, get=True), b"\x00\xff binary")
    equal(r.append(p + "a", "34"), 3)
    equal(r.strlen(p + "a"), 3)
    equal(r.getrange(p + "a", 1, -1), b"34")
    equal(r.setrange(p + "a", 5, "x"), 6)
    equal(r.get(p + "a"), b"234\x00\x00x")
    equal(r.getdel(p + "a"), b"234\x00\x00x")
    equal(r.get(p + "a"), None)
    equal(r.set(p + "n", 10), True)
    equal(r.incr(p + "n", 5), 15)
    equal(r.decr(p + "n"), 14)
    equal(r.incrbyfloat(p + "n", 0.5), 14.5)
    refused(lambda: r.incr(p + "n"), "not an integer")


def many(r, p):
    equal(r.mset({p + "m1": 1, p + "m2": 2, p + "m3": 3}), True)
    equal(r.mget(p + "m1", p + "m2", p + "none", p + "m3"), [b"1", b"2", None, b"3"])
    equal(bool(r.msetnx({p + "m3": 0, p + "m4": 0})), False)
    equal(r.exists(p + "m1", p + "m1", p + "m4"), 2)
    equal(r.rename(p + "m1", p + "m5"), True)
    equal(r.copy(p + "m5", p + "m6"), True)
    equal(r.delete(p + "m2", p + "m3", p + "m5", p + "m6"), 4)


def bitmaps(r, p):
    r.delete(p + "b", p + "c")
    equal(r.setbit(p + "b", 7, 1), 0)
    equal(r.getbit(p + "b", 7), 1)
    equal(r.bitcount(p + "b"), 1)
    equal(r.bitpos(p + "b", 1), 7)
    equal(r.bitop("NOT", p + "c", p + "b"), 1)
    equal(r.get(p + "c"), b"\xfe")
    equal(r.bitfield(p + "b").set("u8", 8, 200).get("u8", 8).execute(), [0, 200])


def expiry(r, p):
    r.set(p + "e", "x", ex=100)
    assert 98 <= r.ttl(p + "e") <= 100
    equal(r.expire(p + "e", 50, gt=True), False)
    equal(r.expire(p + "e", 500, gt=True), True)
    equal(r.persist(p + "e"), True)
    equal(r.ttl(p + "e"), -1)
    equal(r.getex(p + "e", px=30), b"x")
    deadline = time.monotonic() + 5
    while r.exists(p + "e"):
        assert time.monotonic() < deadline, "the key outlived its deadline"
    equal(r.ttl(p + "e"), -2)


def keys(r, p):
    names = {f"{p}scan:{n}".encode() for n in range(500)}
    with r.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.set(name, b"x")
        equal(pipe.execute(), [True] * 500)
    equal(set(r.scan_iter(match=p + "scan:*", count=50)), names)
    equal(r.type(p + "scan:0"), b"string")
    equal(r.object("encoding", p + "scan:0"), b"embstr")
    assert r.memory_usage(p + "scan:0") > 0
    copy = r.dump(p + "scan:0")
    equal(r.restore(p + "restored", 0, copy, replace=True), b"OK")
    equal(r.get(p + "restored"), b"x")


def pipelines(r, p):
    with r.pipeline(transaction=False) as pipe:
        for n in range(1000):
            pipe.set(f"{p}pipe:{n}", n)
            pipe.get(f"{p}pipe:{n}")
        replies = pipe.execute()
    equal(replies[1::2], [str(n).encode() for n in range(1000)])


def server(r, _):
    equal(r.ping(), True)
    assert r.dbsize() > 0
    assert r.info("server")["process_id"] > 0
    assert "maxmemory" in r.config_get("maxmemory*")
    equal(r.client_setname("check"), True)
    # Text in RESP2, bytes in RESP3, as the library decodes it.
    assert r.client_getname() in ("check", b"check")
    assert any(client["name"] == "check" for client in r.client_list())
    assert abs(r.time()[0] - time.time()) < 5
    assert "set" in r.command()
    equal(r.echo("x"), b"x")


def cluster(host, port):
    """Each node is asked for its own keys, and no redirect is followed on the way."""
    r = redis.RedisCluster(host=host, port=port)
    nodes = r.get_nodes()
    ports = sorted(node.port for node in nodes)
    check(f"cluster: {len(nodes)} nodes on ports {ports}", lambda: equal(len(set(ports)) > 0, True))
    check("cluster: strings", lambda: strings(r, "py:cluster:"))
    check("cluster: keys of one tag", lambda: many(r, "{py:cluster}:"))

    def spread():
        for n in range(500):
            equal(r.set(f"py:cluster:{n}", n), True)
        for n in range(500):
            equal(r.get(f"py:cluster:{n}"), str(n).encode())

    check("cluster: 500 keys over all nodes", spread)
    check("cluster: mget_nonatomic", lambda: equal(
        r.mget_nonatomic([f"py:cluster:{n}" for n in range(10)]),
        [str(n).encode() for n in range(10)]))

    def pipeline():
        with r.pipeline() as pipe:
            for n in range(100):
                pipe.get(f"py:cluster:{n}")
            equal(pipe.execute(), [str(n).encode() for n in range(100)])

    check("cluster: pipeline", pipeline)


def main():
    host, port, shard_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for protocol in (2, 3):
        r = redis.Redis(host=host, port=port, protocol=protocol)
        prefix = f"py:{protocol}:"
        for body in (strings, many, bitmaps, expiry, keys, pipelines, server):
            check(f"RESP{protocol} {body.__name__}", lambda: body(r, prefix))
    cluster(host, shard_port)
    sys.exit(1 if failed else 0)


main()

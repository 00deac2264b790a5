//! Command envelopes over a real server: every family's answers, batches, lines, errors,
//! transactions, and that nothing waits for what comes after it.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use serde_json::{Value, json};
use support::http::Http;
use support::{PATIENCE, Plan, Server};

const PATH: &str = "/api/v1/command";

fn send(http: &mut Http, command: &str, payload: &Value) -> Value {
    let body = json!({ "command": command, "request_id": "7", "payload": payload });
    let answer = http.request("POST", PATH, &body.to_string());
    assert_eq!(answer.status, 200, "{command}: {answer:?}");
    let answer = answer.json();
    assert_eq!(answer["request_id"], "7");
    answer
}

/// The payload of an answer that tells of success.
fn call(http: &mut Http, command: &str, payload: Value) -> Value {
    let answer = send(http, command, &payload);
    assert_eq!((&answer["success"], &answer["error"]), (&json!(true), &Value::Null), "{answer}");
    answer["payload"].clone()
}

/// Whether `found` has the members of `expected`, and possibly more.
fn has(found: &Value, expected: &Value) -> bool {
    match expected {
        Value::Object(members) => members.iter().all(|(name, value)| has(&found[name], value)),
        value => found == value,
    }
}

fn run(rows: &[(&str, Value, Value)]) {
    let server = Server::start();
    let mut http = server.http();
    for (command, payload, expected) in rows {
        let found = call(&mut http, command, payload.clone());
        let exact = !matches!(expected, Value::Object(_));
        let good = if exact { found == *expected } else { has(&found, expected) };
        assert!(good, "{command} {payload}: {found}, not {expected}");
    }
    server.stop();
}

#[test]
fn keys_and_strings() {
    run(&[
        ("kv.set", json!({"key": "a", "value": "1"}), json!({"success": true})),
        ("kv.set", json!({"key": "b", "value": {"x": 1}, "ttl": 100}), json!({"success": true})),
        ("kv.get", json!({"key": "a"}), json!("1")),
        ("kv.get", json!({"key": "b"}), json!("{\"x\":1}")),
        ("kv.get", json!({"key": "none"}), Value::Null),
        ("kv.get", json!({"key": "a", "type": "bytes"}), json!([49])),
        (
            "kv.get",
            json!({"key": "a", "format": "full"}),
            json!({"found": true, "value": "1", "ttl": null}),
        ),
        ("kv.incr", json!({"key": "a"}), json!({"value": 2})),
        ("kv.incrby", json!({"key": "a", "increment": 3}), json!({"value": 5})),
        ("kv.decr", json!({"key": "a", "amount": 2}), json!({"value": 3})),
        ("kv.exists", json!({"key": "a"}), json!({"exists": true})),
        ("kv.ttl", json!({"key": "b"}), json!({"ttl": 100})),
        ("kv.ttl", json!({"key": "a"}), json!({"ttl": null})),
        ("kv.persist", json!({"key": "b"}), json!({"result": true})),
        ("kv.expire", json!({"key": "b", "ttl": 50}), json!({"result": true})),
        (
            "kv.mset",
            json!({"pairs": [{"key": "c", "value": "3"}, {"key": "d", "value": "4"}]}),
            json!({"success": true}),
        ),
        ("kv.mset", json!({"pairs": [["e", "5"]]}), json!({"success": true})),
        ("kv.msetnx", json!({"pairs": [{"key": "c", "value": "x"}]}), json!({"success": false})),
        ("kv.mget", json!({"keys": ["c", "none"]}), json!({"values": ["3", null]})),
        ("kv.append", json!({"key": "c", "value": "33"}), json!({"length": 3})),
        ("kv.strlen", json!({"key": "c"}), json!({"length": 3})),
        ("kv.getrange", json!({"key": "c", "start": 0, "end": 1}), json!("33")),
        ("kv.setrange", json!({"key": "c", "offset": 3, "value": "4"}), json!({"length": 4})),
        ("kv.getset", json!({"key": "c", "value": "n"}), json!("3334")),
        ("kv.cas", json!({"key": "c", "expected": "n", "value": "m"}), json!({"success": true})),
        ("kv.keys", json!({"pattern": "[cd]"}), json!({"count": 2})),
        ("kv.dbsize", json!({}), json!({"size": 5})),
        ("key.type", json!({"key": "a"}), json!({"key": "a", "type": "string"})),
        ("key.exists", json!({"key": "a"}), json!({"key": "a", "exists": true})),
        (
            "key.rename",
            json!({"source": "e", "destination": "f"}),
            json!({"success": true, "source": "e", "destination": "f"}),
        ),
        (
            "key.copy",
            json!({"source": "f", "destination": "d", "replace": true}),
            json!({"success": true}),
        ),
        ("kv.del", json!({"key": "f"}), json!({"deleted": true})),
        ("kv.del", json!({"keys": ["c", "d", "none"]}), json!({"deleted": 2})),
        ("kv.mdel", json!({"keys": ["b"]}), json!({"deleted": 1})),
        ("key.randomkey", json!({}), json!({"key": "a"})),
        ("memory.usage", json!({"key": "a"}), json!({"key": "a"})),
        ("kv.flushdb", json!({}), json!({"flushed": 1})),
        ("kv.scan", json!({"prefix": "a", "limit": 5}), json!({"keys": [], "count": 0})),
        ("client.list", json!({}), json!({"clients": [], "count": 0})),
        ("slowlog.get", json!({"count": 1}), json!({})),
        ("kv.stats", json!({}), json!({})),
        ("info", json!({}), json!({})),
    ]);
}

#[test]
fn containers() {
    run(&[
        (
            "hash.set",
            json!({"key": "h", "field": "a", "value": 1}),
            json!({"success": true, "created": true, "key": "h", "field": "a"}),
        ),
        ("hash.get", json!({"key": "h", "field": "a"}), json!({"found": true, "value": "1"})),
        ("hash.get", json!({"key": "h", "field": "z"}), json!({"found": false})),
        ("hash.mset", json!({"key": "h", "fields": {"b": "2"}}), json!({"success": true})),
        ("hash.mget", json!({"key": "h", "fields": ["b", "z"]}), json!({"values": ["2", null]})),
        ("hash.getall", json!({"key": "h"}), json!({"fields": {"a": "1", "b": "2"}, "count": 2})),
        ("hash.keys", json!({"key": "h"}), json!({"keys": ["a", "b"], "fields": ["a", "b"]})),
        ("hash.values", json!({"key": "h"}), json!({"values": ["1", "2"], "count": 2})),
        ("hash.incrby", json!({"key": "h", "field": "a", "increment": 4}), json!({"value": 5})),
        ("hash.exists", json!({"key": "h", "field": "a"}), json!({"exists": true})),
        ("hash.len", json!({"key": "h"}), json!({"length": 2})),
        ("hash.del", json!({"key": "h", "field": "a"}), json!({"deleted": 1})),
        ("hash.setnx", json!({"key": "h", "field": "b", "value": 1}), json!({"created": false})),
        ("list.rpush", json!({"key": "l", "values": ["a", "b"]}), json!({"length": 2, "key": "l"})),
        ("list.lpush", json!({"key": "l", "value": "z"}), json!({"length": 3})),
        ("list.lrange", json!({"key": "l"}), json!({"values": ["z", "a", "b"], "key": "l"})),
        ("list.range", json!({"key": "l", "stop": 0}), json!({"values": ["z"]})),
        ("list.llen", json!({"key": "l"}), json!({"length": 3, "key": "l"})),
        ("list.lindex", json!({"key": "l", "index": 1}), json!({"value": "a", "index": 1})),
        ("list.lset", json!({"key": "l", "index": 1, "value": "y"}), json!({"success": true})),
        ("list.lpos", json!({"key": "l", "value": "y"}), json!({"position": 1, "key": "l"})),
        ("list.pos", json!({"key": "l", "element": "none"}), json!({"position": null})),
        (
            "list.linsert",
            json!({"key": "l", "position": "after", "pivot": "y", "value": "w"}),
            json!({"length": 4}),
        ),
        (
            "list.linsert",
            json!({"key": "l", "before": true, "pivot": "y", "value": "v"}),
            json!({"length": 5}),
        ),
        ("list.lrem", json!({"key": "l", "count": 1, "value": "w"}), json!({"removed": 1})),
        ("list.lpop", json!({"key": "l", "count": 2}), json!({"values": ["z", "v"]})),
        ("list.rpop", json!({"key": "l"}), json!({"values": ["b"], "key": "l"})),
        ("list.rpoplpush", json!({"key": "l", "destination": "m"}), json!({"value": "y"})),
        ("list.blpop", json!({"keys": ["m"], "timeout": 1}), json!({"key": "m", "value": "y"})),
        ("list.brpop", json!({"keys": ["m"], "timeout": 0.01}), Value::Null),
        ("list.ltrim", json!({"key": "l"}), json!({"success": true})),
        ("set.add", json!({"key": "s", "members": ["a", "b"]}), json!({"added": 2})),
        ("set.add", json!({"key": "t", "member": "a"}), json!({"added": 1})),
        ("set.ismember", json!({"key": "s", "member": "a"}), json!({"is_member": true})),
        ("set.sismember", json!({"key": "s", "member": "c"}), json!({"is_member": false})),
        ("set.size", json!({"key": "s"}), json!({"size": 2, "cardinality": 2, "count": 2})),
        ("set.inter", json!({"keys": ["s", "t"]}), json!({"members": ["a"]})),
        (
            "set.interstore",
            json!({"destination": "u", "keys": ["s", "t"]}),
            json!({"cardinality": 1}),
        ),
        (
            "set.move",
            json!({"source": "s", "destination": "u", "member": "b"}),
            json!({"moved": true}),
        ),
        (
            "set.smove",
            json!({"source": "s", "destination": "u", "member": "b"}),
            json!({"moved": false}),
        ),
        ("set.rem", json!({"key": "s", "members": ["a"]}), json!({"removed": 1})),
        ("set.members", json!({"key": "t"}), json!({"members": ["a"]})),
        ("set.pop", json!({"key": "t"}), json!({"members": ["a"]})),
    ]);
}

#[test]
fn sorted_sets_bits_positions_counters() {
    run(&[
        ("sortedset.zadd", json!({"key": "z", "member": "a", "score": 1.5}), json!({"added": 1})),
        (
            "sortedset.zadd",
            json!({"key": "z", "members": [
                {"member": "b", "score": 2},
                {"member": "c", "score": 3},
            ]}),
            json!({"added": 2, "key": "z"}),
        ),
        ("sortedset.zscore", json!({"key": "z", "member": "a"}), json!({"score": 1.5})),
        ("sortedset.zscore", json!({"key": "z", "member": "q"}), json!({"score": null})),
        ("sortedset.zrank", json!({"key": "z", "member": "b"}), json!({"rank": 1})),
        ("sortedset.zcard", json!({"key": "z"}), json!({"count": 3, "key": "z"})),
        (
            "sortedset.zincrby",
            json!({"key": "z", "member": "a", "increment": 1}),
            json!({"score": 2.5}),
        ),
        (
            "sortedset.zrange",
            json!({"key": "z", "withscores": true, "stop": 0}),
            json!({"members": [{"member": "b", "score": 2.0}], "key": "z"}),
        ),
        ("sortedset.zcount", json!({"key": "z", "min": 2, "max": 2.5}), json!({"count": 2})),
        (
            "sortedset.zmscore",
            json!({"key": "z", "members": ["a", "q"]}),
            json!({"scores": [2.5, null]}),
        ),
        (
            "sortedset.zunionstore",
            json!({"destination": "y", "keys": ["z"], "weights": [2]}),
            json!({"count": 3, "destination": "y"}),
        ),
        ("sortedset.zpopmin", json!({"key": "z"}), json!({"count": 1, "key": "z"})),
        ("sortedset.zrem", json!({"key": "z", "members": ["a"]}), json!({"removed": 1})),
        ("sortedset.stats", json!({}), json!({})),
        ("bitmap.setbit", json!({"key": "b", "offset": 3, "value": 1}), json!({"old_value": 0})),
        ("bitmap.getbit", json!({"key": "b", "offset": 3}), json!({"offset": 3, "value": 1})),
        ("bitmap.bitcount", json!({"key": "b"}), json!({"key": "b", "count": 1})),
        ("bitmap.bitpos", json!({"key": "b", "value": 1}), json!({"position": 3})),
        (
            "bitmap.bitop",
            json!({"destination": "n", "operation": "NOT", "source_keys": ["b"]}),
            json!({"destination": "n", "length": 1}),
        ),
        ("hyperloglog.pfadd", json!({"key": "p", "elements": ["a", "b"]}), json!({"added": 2})),
        ("hyperloglog.pfcount", json!({"key": "p"}), json!({"key": "p", "count": 2})),
        (
            "hyperloglog.pfmerge",
            json!({"destination": "q", "sources": ["p"]}),
            json!({"destination": "q", "count": 2}),
        ),
        (
            "geospatial.geoadd",
            json!({"key": "g", "locations": [
                {"lat": 38.115556, "lon": 13.361389, "member": "Palermo"},
                {"lat": 37.502669, "lon": 15.087269, "member": "Catania"},
            ]}),
            json!({"key": "g", "added": 2}),
        ),
        (
            "geospatial.geodist",
            json!({"key": "g", "member1": "Palermo", "member2": "Catania", "unit": "km"}),
            json!({"unit": "km", "key": "g"}),
        ),
        (
            "geospatial.georadius",
            json!({"key": "g", "center_lat": 37, "center_lon": 15, "radius": 200, "unit": "km"}),
            json!({"key": "g"}),
        ),
        ("geospatial.geohash", json!({"key": "g", "members": ["Palermo"]}), json!({"key": "g"})),
    ]);
}

#[test]
fn scripts_topics_and_transactions() {
    let server = Server::start();
    let mut http = server.http();
    let script = json!({"script": "return ARGV[1]", "keys": [], "args": ["x"]});
    let found = call(&mut http, "script.eval", script);
    assert_eq!(found["result"], "x", "{found}");
    let mine = json!({"topics": ["a.*"], "subscriber_id": "me"});
    let found = call(&mut http, "pubsub.subscribe", mine);
    assert!(has(&found, &json!({"subscriber_id": "me", "subscription_count": 1})), "{found}");
    let found = call(&mut http, "pubsub.publish", json!({"topic": "a.b", "data": {"x": 1}}));
    assert!(has(&found, &json!({"topic": "a.b", "subscribers_matched": 1})), "{found}");
    let mine = json!({"subscriber_id": "me", "wait_ms": 30_000});
    let found = call(&mut http, "pubsub.poll", mine);
    assert_eq!(found["messages"][0]["payload"], json!({"x": 1}));
    let found = call(&mut http, "pubsub.unsubscribe", json!({"subscriber_id": "me"}));
    assert_eq!(found, json!({"unsubscribed": 1}));
    assert_eq!(call(&mut http, "pubsub.topics", json!({}))["count"], 0);
    // The connection is who begins a transaction, unless a client id says otherwise.
    call(&mut http, "transaction.multi", json!({}));
    let queued = call(&mut http, "kv.set", json!({"key": "t", "value": "1"}));
    assert_eq!(queued, json!({"success": true, "queued": true}));
    call(&mut http, "list.rpush", json!({"key": "tl", "values": ["x"]}));
    assert_eq!(call(&mut server.http(), "kv.get", json!({"key": "t"})), Value::Null);
    let done = call(&mut http, "transaction.exec", json!({}));
    assert!(has(&done, &json!({"success": true})), "{done}");
    assert_eq!(done["results"].as_array().expect("results").len(), 2);
    assert_eq!(call(&mut http, "kv.get", json!({"key": "t"})), "1");
    let named = json!({"client_id": "someone"});
    call(&mut http, "transaction.multi", named.clone());
    let set = json!({"key": "t", "value": "2", "client_id": "someone"});
    assert_eq!(call(&mut http, "kv.set", set)["queued"], true);
    call(&mut server.http(), "transaction.exec", named);
    assert_eq!(call(&mut http, "kv.get", json!({"key": "t"})), "2");
    server.stop();
}

#[test]
fn queues() {
    let server = Server::start();
    let mut http = server.http();
    let created = json!({"name": "q", "config": {"max_depth": 2, "ack_deadline_secs": 60}});
    assert_eq!(call(&mut http, "queue.create", created)["success"], true);
    assert_eq!(call(&mut http, "queue.list", json!({}))["queues"], json!(["q"]));
    let sent = json!({"queue": "q", "payload": [104, 105], "priority": 9, "headers": {"k": "v"}});
    let id = call(&mut http, "queue.publish", sent)["message_id"].clone();
    assert!(id.is_string());
    let wanted = json!({"queue": "q", "consumer_id": "c"});
    let message = call(&mut http, "queue.consume", wanted.clone())["message"].clone();
    assert_eq!((&message["id"], &message["message_id"]), (&id, &id), "{message}");
    assert_eq!((&message["payload"], &message["priority"]), (&json!([104, 105]), &json!(9)));
    assert_eq!(message["headers"], json!({"k": "v"}));
    assert_eq!(call(&mut http, "queue.consume", wanted), json!({"message": null}));
    let done = json!({"queue_name": "q", "message_id": id});
    assert_eq!(call(&mut http, "queue.ack", done.clone()), json!({"success": true}));
    let stats = call(&mut http, "queue.stats", json!({"queue": "q"}));
    assert_eq!((&stats["acked"], &stats["depth"]), (&json!(1), &json!(0)), "{stats}");
    let code = |http: &mut Http, command: &str, payload: &Value| {
        let answer = send(http, command, payload);
        answer["error_code"].as_str().map(str::to_owned)
    };
    assert_eq!(code(&mut http, "queue.ack", &done).as_deref(), Some("MESSAGE_NOT_FOUND"));
    let none = json!({"queue": "none", "payload": "x"});
    assert_eq!(code(&mut http, "queue.publish", &none).as_deref(), Some("QUEUE_NOT_FOUND"));
    let more = json!({"queue": "q", "payload": "x"});
    call(&mut http, "queue.publish", more.clone());
    call(&mut http, "queue.publish", more.clone());
    assert_eq!(code(&mut http, "queue.publish", &more).as_deref(), Some("QUEUE_FULL"));
    assert_eq!(call(&mut http, "queue.purge", json!({"queue": "q"}))["purged"], 2);
    assert_eq!(call(&mut http, "queue.delete", json!({"queue": "q"}))["deleted"], true);
    server.stop();
}

#[test]
fn null_is_no_value_where_none_has_to_stand() {
    let server = Server::start();
    let mut http = server.http();
    call(&mut http, "queue.create", json!({"name": "q"}));
    let sent = json!({"queue": "q", "payload": "x", "idempotency_key": null});
    let first = call(&mut http, "queue.publish", sent.clone())["message_id"].clone();
    assert_ne!(call(&mut http, "queue.publish", sent)["message_id"], first);
    let body = json!({"payload": "x", "idempotency_key": null}).to_string();
    assert_eq!(http.request("POST", "/queue/q/publish", &body).status, 200);
    assert_eq!(call(&mut http, "queue.stats", json!({"queue": "q"}))["depth"], 3);
    // A key is a value like any other where it has to stand.
    call(&mut http, "kv.set", json!({"key": "k", "value": null}));
    assert_eq!(call(&mut http, "kv.exists", json!({"key": "k"}))["exists"], true);
    server.stop();
}

#[test]
fn what_goes_wrong_has_a_code() {
    let server = Plan::new().env("SYNAP_KV_STORE__ALLOW_FLUSH_COMMANDS", "false").start();
    let mut http = server.http();
    call(&mut http, "kv.set", json!({"key": "s", "value": "text"}));
    for (command, payload, code) in [
        ("no.such", json!({}), "INVALID_COMMAND"),
        ("shutdown", json!({}), "INVALID_COMMAND"),
        ("kv.set", json!({"key": "a"}), "INVALID_PAYLOAD"),
        ("kv.set", json!({"key": 5, "value": 1}), "INVALID_PAYLOAD"),
        ("kv.set", json!({"key": "a", "value": 1, "ttl": 0}), "INVALID_PAYLOAD"),
        ("kv.incr", json!({"key": "s"}), "INVALID_PAYLOAD"),
        ("kv.cas", json!({"key": "s", "expected": "x", "value": "y"}), "KEY_EXISTS"),
        ("kv.cas", json!({"key": "s", "value": "y"}), "INVALID_PAYLOAD"),
        ("kv.ttl", json!({"key": "none"}), "KEY_NOT_FOUND"),
        ("memory.usage", json!({"key": "none"}), "KEY_NOT_FOUND"),
        ("list.llen", json!({"key": "s"}), "WRONG_TYPE"),
        ("kv.flushall", json!({}), "FORBIDDEN"),
        ("pubsub.info", json!({"topic": "none"}), "TOPIC_NOT_FOUND"),
        ("pubsub.subscribe", json!({"topics": ["a..b"]}), "INVALID_REQUEST"),
    ] {
        let answer = send(&mut http, command, &payload);
        assert_eq!(answer["success"], false, "{command}: {answer}");
        assert_eq!(
            (&answer["error_code"], &answer["payload"]),
            (&json!(code), &Value::Null),
            "{answer}"
        );
        assert!(answer["error"].is_string());
    }
    for body in ["", "[]", "{}", "x", "{\"command\":5}", "{\"type\":\"batch\"}"] {
        assert_eq!(http.request("POST", PATH, body).status, 400, "{body}");
    }
    let answer = http.request("POST", PATH, "{\"command\":\"kv.dbsize\"}").json();
    assert!(answer["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{answer}");
    assert_eq!(http.request("GET", PATH, "").status, 405);
    server.stop();
}

/// Sends a request and reads an answer in chunks; each chunk's bytes.
fn chunks(port: u16, content_type: &str, body: &str) -> (String, Vec<String>) {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    let mut writer = stream.try_clone().expect("a second handle");
    let length = body.len();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    let whole = [head.as_bytes(), body.as_bytes()].concat();
    let sender = std::thread::spawn(move || writer.write_all(&whole).expect("the server reads"));
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).expect("a line") > 0, "closed: {head}");
    }
    assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
    let mut chunks = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a length");
        let length = usize::from_str_radix(line.trim(), 16).expect("a length");
        let mut bytes = vec![0; length + 2];
        reader.read_exact(&mut bytes).expect("a chunk");
        if length == 0 {
            break;
        }
        bytes.truncate(length);
        chunks.push(String::from_utf8(bytes).expect("text"));
    }
    sender.join().expect("sent");
    (head, chunks)
}

#[test]
fn a_batch_runs_in_order_and_failures_stay_alone() {
    let server = Server::start();
    let mut commands = vec![json!({"command": "kv.set", "payload": {"key": "n", "value": "0"}})];
    for _ in 0..500 {
        commands.push(json!({"command": "kv.incr", "payload": {"key": "n"}}));
    }
    commands.push(json!({"command": "no.such", "request_id": "odd"}));
    commands.push(json!(7));
    // Nothing behind a command that waits begins before it.
    commands.push(json!({"command": "list.blpop", "payload": {"keys": ["none"], "timeout": 0.05}}));
    commands.push(json!({"command": "kv.get", "request_id": 5, "payload": {"key": "n"}}));
    let batch = json!({"type": "batch", "request_id": "all", "commands": commands}).to_string();
    let (_, parts) = chunks(server.plan.http, "application/json", &batch);
    let answer: Value = serde_json::from_str(&parts.concat()).expect("JSON");
    assert_eq!((&answer["type"], &answer["request_id"]), (&json!("batch_response"), &json!("all")));
    let results = answer["results"].as_array().expect("results");
    assert_eq!(results.len(), 505);
    for (number, result) in results[1..501].iter().enumerate() {
        assert_eq!(result["payload"]["value"], number + 1);
    }
    assert_eq!(results[501]["error_code"], "INVALID_COMMAND");
    assert_eq!(results[501]["request_id"], "odd");
    assert_eq!(results[502]["error_code"], "INVALID_REQUEST");
    assert_eq!((&results[503]["success"], &results[503]["payload"]), (&json!(true), &Value::Null));
    assert_eq!(
        (&results[504]["request_id"], &results[504]["payload"]),
        (&json!("5"), &json!("500"))
    );
    let mut http = server.http();
    let empty = json!({"type": "batch", "commands": []}).to_string();
    let (_, parts) = chunks(server.plan.http, "application/json", &empty);
    let answer: Value = serde_json::from_str(&parts.concat()).expect("JSON");
    assert_eq!(answer["results"], json!([]));
    let many = vec![json!({"command": "kv.dbsize"}); 1001];
    let body = json!({"type": "batch", "commands": many}).to_string();
    assert_eq!(http.request("POST", PATH, &body).status, 400);
    server.stop();
}

#[test]
fn lines_are_answered_as_they_are_done() {
    let server = Server::start();
    let mut body = String::new();
    for number in 0..3000 {
        let key = format!("k{}", number % 100);
        let line = json!({"command": "kv.set", "request_id": number.to_string(),
                          "payload": {"key": key, "value": number}});
        body.push_str(&line.to_string());
        body.push_str(if number % 7 == 0 { "\r\n\n" } else { "\n" });
    }
    body.push_str("not json\n");
    body.push_str(r#"{"command":"kv.get","request_id":"last","payload":{"key":"k99"}}"#);
    let (head, parts) = chunks(server.plan.http, "application/x-ndjson; charset=utf-8", &body);
    assert!(head.contains("application/x-ndjson"), "{head}");
    assert!(parts.len() == 3002, "a chunk for each: {}", parts.len());
    for (number, part) in parts[..3000].iter().enumerate() {
        let answer: Value = serde_json::from_str(part).expect("a line of JSON");
        assert_eq!(answer["request_id"], number.to_string());
        assert_eq!(answer["success"], true);
        assert!(part.ends_with('\n'));
    }
    assert!(parts[3000].contains("INVALID_REQUEST"));
    let last: Value = serde_json::from_str(&parts[3001]).expect("JSON");
    assert_eq!((&last["request_id"], &last["payload"]), (&json!("last"), &json!("2999")));
    server.stop();
}

#[test]
fn answers_do_not_wait_for_commands_behind_them() {
    let server = Server::start();
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.plan.http)).expect("it accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    let body = "{\"command\":\"kv.set\",\"payload\":{\"key\":\"a\",\"value\":1}}\n\
                {\"command\":\"list.blpop\",\"payload\":{\"keys\":[\"l\"],\"timeout\":0}}\n\
                {\"command\":\"kv.get\",\"payload\":{\"key\":\"a\"}}\n";
    let length = body.len();
    let mut writer = stream.try_clone().expect("a second handle");
    write!(
        writer,
        "POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .expect("the server reads");
    let mut lines = BufReader::new(stream).lines().map(|line| line.expect("a line"));
    let mut answer = || lines.by_ref().find(|line| line.starts_with('{')).expect("an answer");
    assert!(answer().contains("\"success\":true"));
    // The second waits until somebody pushes; the first has been answered.
    server.resp().call(&["RPUSH", "l", "x"]);
    assert!(answer().contains("\"value\":\"x\""));
    assert!(answer().contains("\"payload\":\"1\""));
    server.stop();
}

#[test]
fn the_path_can_be_another_or_none() {
    let server = Plan::new().env("SYNAP_PROTOCOLS__STREAMABLE_HTTP__PATH", "/cmd").start();
    let body = "{\"command\":\"kv.dbsize\"}";
    assert_eq!(server.http().request("POST", "/cmd", body).status, 200);
    assert_eq!(server.http().request("POST", PATH, body).status, 404);
    server.stop();
}

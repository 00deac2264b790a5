//! What changes look like, on every way they are read, and what is refused.

use serde_json::{Value, json};

use crate::client::{Reply, Socket};
use crate::reader::{Events, read};
use crate::support::{Plan, Server, wait_for};
use crate::{create, plan};

/// The changes that commands make, without place and time.
fn told(server: &Server, position: &mut String, commands: &[&str]) -> Vec<Value> {
    let mut client = server.resp();
    for command in commands {
        let reply = client.call(&command.split(' ').collect::<Vec<_>>());
        assert!(!reply.starts_with('-'), "{command}: {reply}");
    }
    let answer = read(&mut server.redis(), "all", position, &[]).expect("an answer");
    *position = answer.position;
    let bare = |mut change: Value| {
        let object = change.as_object_mut().expect("an object");
        assert!(object.remove("seq").is_some_and(|seq| seq.as_u64() > Some(0)));
        assert!(object.remove("shard").is_some_and(|shard| shard.as_u64() < Some(64)));
        assert!(object.remove("time").is_some_and(|time| time.as_u64() > Some(1_600_000_000_000)));
        change
    };
    answer.changes.into_iter().map(bare).collect()
}

#[test]
fn changes_tell_old_and_new() {
    let server = Plan::new().start();
    create(&server, &["all", "a*", "b"]);
    let mut at = "now".to_owned();
    assert_eq!(told(&server, &mut at, &[]), [] as [Value; 0]);
    for (command, changes) in [
        (
            "SET a 1",
            json!([{"op": "create", "key": "a", "type": "string", "old": null, "new": "1"}]),
        ),
        ("SET c 1", json!([])),
        (
            "APPEND a 2",
            json!([{"op": "update", "key": "a", "type": "string", "old": "1", "new": "12"}]),
        ),
        (
            "PEXPIREAT a 99999999999999",
            json!([{
                "op": "expire", "key": "a", "type": "string",
                "old_expires_at": null, "expires_at": 99_999_999_999_999_u64
            }]),
        ),
        ("GETDEL a", json!([{"op": "delete", "key": "a", "type": "string", "old": "12"}])),
        (
            "HSET b f v",
            json!([{
                "op": "create", "key": "b", "type": "hash",
                "changes": [{"field": "f", "old": null, "new": "v"}]
            }]),
        ),
        (
            "HSET b f w g x",
            json!([{
                "op": "update", "key": "b", "type": "hash",
                "changes": [
                    {"field": "f", "old": "v", "new": "w"}, {"field": "g", "old": null, "new": "x"}
                ]
            }]),
        ),
        (
            "DEL b",
            json!([{
                "op": "delete", "key": "b", "type": "hash",
                "old": [
                    {"field": "f", "old": null, "new": "w"}, {"field": "g", "old": null, "new": "x"}
                ]
            }]),
        ),
        (
            "ZADD a1 2 m",
            json!([{
                "op": "create", "key": "a1", "type": "zset",
                "changes": [{"member": "m", "old": null, "new": 2}]
            }]),
        ),
        (
            "RPUSH a2 x y",
            json!([{
                "op": "create", "key": "a2", "type": "list",
                "changes": [
                    {"index": 0, "old": null, "new": "x"}, {"index": 1, "old": null, "new": "y"}
                ]
            }]),
        ),
        (
            "LPOP a2",
            json!([{
                "op": "update", "key": "a2", "type": "list",
                "changes": [{"index": 0, "old": "x", "new": null}]
            }]),
        ),
        (
            "SADD a3 m",
            json!([{
                "op": "create", "key": "a3", "type": "set",
                "changes": [{"member": "m", "old": false, "new": true}]
            }]),
        ),
        (
            "XADD a4 1-1 f v",
            json!([{
                "op": "create", "key": "a4", "type": "stream",
                "changes": [{
                    "id": "1-1", "old": null, "new": [{"name": "f", "value": "v"}],
                    "entries_added": 1
                }]
            }]),
        ),
    ] {
        assert_eq!(json!(told(&server, &mut at, &[command])), changes, "{command}");
    }
    server.stop();
}

#[test]
fn whoever_expires_or_is_evicted_says_so_and_flushall_is_one_change_per_shard() {
    let server = Plan::new().workers(2).start();
    create(&server, &["all", "MAXBYTES", "64", "*"]);
    let mut at = "now".to_owned();
    let mut seen = told(&server, &mut at, &[]);
    seen.extend(told(&server, &mut at, &["SET a 1 PX 1"]));
    wait_for("the key to expire", || {
        seen.extend(told(&server, &mut at, &[]));
        seen.iter().any(|change| change["op"] == "delete")
    });
    let gone = seen.last().expect("it is gone");
    assert_eq!((&gone["cause"], &gone["old"]), (&json!("expired"), &json!("1")));
    let mut client = server.resp();
    client.call(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]);
    client.call(&["CONFIG", "SET", "maxmemory", "2000000"]);
    let (mut reader, mut number) = (server.redis(), 0);
    wait_for("a key to be evicted", || {
        for _ in 0..100 {
            number += 1;
            client.call(&["SET", &format!("e{number}"), &"v".repeat(1000)]);
        }
        let kept = read(&mut reader, "all", "oldest", &["COUNT", "1000"]).expect("an answer");
        kept.changes.iter().any(|change| change["cause"] == "evicted")
    });
    client.call(&["CONFIG", "SET", "maxmemory", "0"]);
    at = read(&mut reader, "all", "now", &[]).expect("an answer").position;
    let flushed = told(&server, &mut at, &["FLUSHALL"]);
    assert!(!flushed.is_empty() && flushed.len() <= 64);
    for change in flushed {
        assert_eq!(change["op"], "truncate", "{change}");
    }
    server.stop();
}

#[test]
fn changes_of_a_transaction_come_together() {
    let server = plan().workers(3).start();
    create(&server, &["all", "*"]);
    let (mut client, mut reader) = (server.redis(), server.redis());
    let mut at = "oldest".to_owned();
    let mut whole = 0;
    for round in 0..60 {
        let mut pipe = redis::pipe();
        pipe.atomic();
        for key in 0..5 {
            pipe.cmd("SET").arg(format!("k{key}")).arg(round).ignore();
        }
        pipe.query::<()>(&mut client).expect("it is done");
        loop {
            let answer = read(&mut reader, "all", &at, &["COUNT", "1"]).expect("an answer");
            at = answer.position;
            if answer.changes.is_empty() && !answer.more {
                break;
            }
            // One count asks for one change; a transaction comes whole all the same.
            assert!(answer.changes.len() == 5, "{:?}", answer.changes);
            let id = &answer.changes[0]["transaction"]["id"];
            assert!(answer.changes.iter().all(|change| change["transaction"]["id"] == *id));
            whole += 1;
        }
    }
    assert_eq!(whole, 60);
    server.stop();
}

#[test]
fn a_websocket_is_told_and_goes_on_where_it_was() {
    let server = Plan::new().workers(2).start();
    create(&server, &["all", "*"]);
    let object = |reply: Option<Reply>| -> Value {
        match reply {
            Some(Reply::Text(text)) => serde_json::from_str(&text).expect("frames are JSON"),
            other => panic!("{other:?}"),
        }
    };
    let mut socket = Socket::open(server.plan.http, "/cdc/all/ws?from=now");
    let hello = object(socket.next());
    assert_eq!(hello["changes"], json!([]));
    server.resp().call(&["SET", "a", "1"]);
    let first = object(socket.next());
    assert_eq!(first["changes"][0]["new"], "1");
    drop(socket);
    server.resp().call(&["SET", "b", "2"]);
    let position = first["position"].as_str().expect("a position");
    let mut socket = Socket::open(server.plan.http, &format!("/cdc/all/ws?from={position}"));
    assert_eq!(object(socket.next())["changes"][0]["key"], "b");
    let mut none = Socket::open(server.plan.http, "/cdc/none/ws?from=now");
    assert_eq!(object(none.next())["type"], "error");
    assert_eq!(none.next(), Some(Reply::Close(Some(1008))));
    server.stop();
}

#[test]
fn a_request_may_wait_for_the_next_change() {
    let server = Plan::new().workers(2).start();
    create(&server, &["all", "*"]);
    let mut client = server.redis();
    let now = read(&mut client, "all", "now", &[]).expect("an answer").position;
    let empty = read(&mut client, "all", &now, &["BLOCK", "20"]).expect("an answer");
    assert_eq!((empty.changes.len(), &empty.position), (0, &now));
    let (port, from) = (server.plan.resp, now.clone());
    let waiting = std::thread::spawn(move || {
        let url = format!("redis://127.0.0.1:{port}/");
        let client = redis::Client::open(url).expect("a valid address");
        let mut client = client.get_connection().expect("the server accepts");
        read(&mut client, "all", &from, &["BLOCK", "30000"]).expect("an answer").changes
    });
    server.resp().call(&["SET", "a", "1"]);
    assert_eq!(waiting.join().expect("an answer")[0]["key"], "a");
    let path = format!("/cdc/all/changes?from={now}&wait_ms=30000");
    let answer = server.http().request("GET", &path, "");
    assert_eq!(answer.json()["changes"][0]["new"], "1");
    server.stop();
}

#[test]
fn a_position_that_is_gone_is_said_to_be() {
    let server = Plan::new().workers(2).start();
    create(&server, &["all", "MAXBYTES", "64", "*"]);
    let mut client = server.redis();
    let first = read(&mut client, "all", "now", &[]).expect("an answer").position;
    for number in 0..50 {
        server.resp().call(&["SET", "k", &format!("v{number}")]);
    }
    let error = read(&mut client, "all", &first, &[]).err().expect("it is gone");
    assert_eq!(error.code(), Some("GONE"), "{error}");
    let oldest = read(&mut client, "all", "oldest", &[]).expect("an answer");
    assert_eq!(oldest.changes.last().map(|change| &change["new"]), Some(&json!("v49")));
    let text = error.to_string();
    let named = text.split(": ").find_map(|part| part.split(';').next()).is_some();
    assert!(named, "{text}");
    let path = format!("/cdc/all/changes?from={first}");
    assert_eq!(server.http().request("GET", &path, "").status, 410);
    let path = "/cdc/all/sse?from=oldest";
    let mut stream = Events::open(server.plan.http, path, Some(&first)).expect("it is served");
    let event = stream.next().expect("an event");
    assert_eq!(event.name, "error");
    assert!(stream.next().is_none(), "the stream ends");
    server.stop();
}

#[test]
fn what_is_too_large_to_be_told_is_said_to_have_been() {
    let server = Plan::new().workers(2).start();
    create(&server, &["all", "*"]);
    let mut at = "now".to_owned();
    told(&server, &mut at, &[]);
    let large = "v".repeat(17 << 20);
    assert_eq!(server.resp().call(&["SET", "k", &large]), "+OK");
    assert_eq!(told(&server, &mut at, &[]), [json!({"op": "overflow"})]);
    // Values that may be told are, however many of them one answer would have.
    let half = "w".repeat(6 << 20);
    for key in ["a", "b", "c", "d"] {
        assert_eq!(server.resp().call(&["SET", key, &half]), "+OK");
    }
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let some = told(&server, &mut at, &[]);
        assert_eq!(some.len(), 1, "each is more than an answer");
        seen.extend(some.into_iter().map(|change| change["key"].clone()));
    }
    seen.sort_by_key(Value::to_string);
    assert_eq!(json!(seen), json!(["a", "b", "c", "d"]));
    server.stop();
}

#[test]
fn captures_are_made_listed_shown_and_deleted() {
    let server = Plan::new().workers(2).start();
    let mut http = server.http();
    let made =
        http.request("POST", "/cdc/users", r#"{"patterns": ["user:*"], "max_bytes": 1000000}"#);
    assert_eq!((made.status, made.json()), (200, json!({"success": true})));
    assert_eq!(http.request("POST", "/cdc/users", r#"{"patterns": ["x"]}"#).status, 409);
    assert_eq!(http.request("GET", "/cdc", "").json(), json!({"captures": ["users"]}));
    server.resp().call(&["SET", "user:1", "a"]);
    let shown = http.request("GET", "/cdc/users", "").json();
    assert_eq!(shown["patterns"], json!(["user:*"]));
    assert_eq!(shown["batches"], 1);
    let (oldest, now) = (shown["oldest"].as_str(), shown["now"].as_str());
    assert!(oldest != now && oldest.is_some());
    let path = format!("/cdc/users/changes?from={}", oldest.expect("a position"));
    let body = http.request("GET", &path, "").json();
    assert_eq!((&body["changes"][0]["key"], &body["position"]), (&json!("user:1"), &shown["now"]));
    let mut client = server.resp();
    for (words, error) in [
        (&["CDC.READ", "none", "now"][..], "-NOTFOUND"),
        (&["CDC.READ", "users", "then"], "-ERR a position is"),
        (&["CDC.READ", "users", "now", "COUNT", "0"], "-ERR the number"),
        (&["CDC.DELETE", "none"], "-NOTFOUND"),
        (&["CDC.CREATE", "x", "MAXBYTES", "0", "*"], "-ERR max_bytes"),
    ] {
        let reply = client.call(words);
        assert!(reply.starts_with(error), "{words:?}: {reply}");
    }
    let position = now.expect("a position").to_owned();
    assert_eq!(http.request("DELETE", "/cdc/users", "").status, 200);
    assert_eq!(client.call(&["CDC.CREATE", "users", "user:*"]), "+OK");
    let reply = client.call(&["CDC.READ", "users", &position]);
    assert!(reply.starts_with("-GONE"), "another capture of this name: {reply}");
    server.stop();
}

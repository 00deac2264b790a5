//! Rooms, topics and consumer groups against the real server: what clients see over HTTP and RESP,
//! who waits for events, and what is there after the server was killed.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::http::Http;
use support::resp::{encode, frame, show};
use support::{Plan, Server};

fn rounds() -> usize {
    std::env::var("SYNAP_TOPIC_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4)
}

fn server() -> Server {
    Plan::new().workers(2).start()
}

/// Sends each request and compares status and body; a member that is `"*"` may be anything.
fn expect(http: &mut Http, dialogue: &[(&str, &str, Value, u16, Value)]) {
    for (method, path, body, status, wanted) in dialogue {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = http.request(method, path, &body);
        let found = answer.json();
        assert_eq!(answer.status, *status, "{method} {path} {body}: {found}");
        matches(wanted, &found, &format!("{method} {path} {body}: {found}"));
    }
}

fn matches(wanted: &Value, found: &Value, what: &str) {
    match (wanted, found) {
        (Value::String(any), _) if any == "*" => {}
        (Value::Object(wanted), Value::Object(_)) => {
            for (name, value) in wanted {
                matches(value, &found[name], &format!("{name} of {what}"));
            }
        }
        (Value::Array(wanted), Value::Array(found)) => {
            assert_eq!(wanted.len(), found.len(), "{what}");
            wanted.iter().zip(found).for_each(|(wanted, found)| matches(wanted, found, what));
        }
        _ => assert_eq!(wanted, found, "{what}"),
    }
}

#[test]
fn rooms_over_http() {
    let server = server();
    let mut http = server.http();
    let none = || Value::Null;
    let event = |offset: u64, data: Value| {
        json!({ "id": "*", "offset": offset, "room": "chat", "event": "said",
                "event_type": "said", "data": data, "timestamp": "*", "metadata": {} })
    };
    let said = |data: Value| json!({ "event": "said", "data": data });
    let gone = "Stream offset 1 out of range; earliest retained offset is 2";
    expect(
        &mut http,
        &[
            ("POST", "/stream/chat", json!({}), 200, json!({ "success": true, "room": "chat" })),
            ("POST", "/stream/chat", none(), 409, json!({ "code": 409 })),
            ("PUT", "/stream/chat", none(), 200, json!({ "room": "chat", "created": false })),
            ("PUT", "/stream/new", none(), 200, json!({ "room": "new", "created": true })),
            (
                "POST",
                "/stream/no/publish",
                said(json!(1)),
                404,
                json!({ "error": "Room not found: no" }),
            ),
            (
                "POST",
                "/stream/chat/publish",
                said(json!("hi")),
                200,
                json!({ "offset": 0, "room": "chat" }),
            ),
            (
                "POST",
                "/stream/chat/publish",
                said(json!({ "a": [1, null] })),
                200,
                json!({ "offset": 1 }),
            ),
            (
                "GET",
                "/stream/chat/consume/me?from_offset=0&limit=10",
                none(),
                200,
                json!({ "events": [event(0, json!("hi")), event(1, json!({ "a": [1, null] }))],
                        "next_offset": 2 }),
            ),
            (
                "GET",
                "/stream/chat/consume/me?from_offset=0&limit=1&data=bytes",
                none(),
                200,
                json!({ "events": [event(0, json!([34, 104, 105, 34]))], "next_offset": 1 }),
            ),
            (
                "GET",
                "/stream/chat/consume/me?from_offset=7",
                none(),
                200,
                json!({ "events": [], "next_offset": 7 }),
            ),
            (
                "GET",
                "/stream/chat/stats",
                none(),
                200,
                json!({ "name": "chat", "message_count": 2, "min_offset": 0, "max_offset": 1,
                        "subscriber_count": 1, "total_published": 2, "total_consumed": 3,
                        "dropped": 0, "created_at": "*", "generation": "*" }),
            ),
            (
                "POST",
                "/stream/publish",
                json!({ "room": "auto", "event": "e", "data": 1 }),
                200,
                json!({ "offset": 0, "room": "auto" }),
            ),
            ("POST", "/stream/ring", json!({ "max_events": 2 }), 200, json!({ "success": true })),
            ("POST", "/stream/ring/publish", said(json!(0)), 200, json!({ "offset": 0 })),
            ("POST", "/stream/ring/publish", said(json!(1)), 200, json!({ "offset": 1 })),
            ("POST", "/stream/ring/publish", said(json!(2)), 200, json!({ "offset": 2 })),
            ("POST", "/stream/ring/publish", said(json!(3)), 200, json!({ "offset": 3 })),
            (
                "GET",
                "/stream/ring/consume/me?from_offset=1",
                none(),
                400,
                json!({ "error": gone, "earliest": 2 }),
            ),
            ("GET", "/stream/ring/consume/me", none(), 200, json!({ "next_offset": 4 })),
            ("GET", "/stream/list", none(), 200, json!({ "count": 4 })),
            ("DELETE", "/stream/chat", none(), 200, json!({ "success": true, "room": "chat" })),
            ("DELETE", "/stream/chat", none(), 404, json!({ "code": 404 })),
        ],
    );
}

#[test]
fn topics_over_http() {
    let server = server();
    let mut http = server.http();
    let none = || Value::Null;
    let made =
        json!({ "success": true, "topic": "orders", "num_partitions": 3, "replication_factor": 1 });
    expect(
        &mut http,
        &[
            ("POST", "/topics/orders", none(), 200, made),
            ("POST", "/topics/orders", none(), 409, json!({ "code": 409 })),
            ("POST", "/topics/none", json!({ "num_partitions": 0 }), 400, json!({ "code": 400 })),
            (
                "POST",
                "/topics/many",
                json!({ "num_partitions": 1025 }),
                400,
                json!({ "code": 400 }),
            ),
            (
                "POST",
                "/topics/short",
                json!({ "num_partitions": 1,
                        "retention_policy": { "type": "messages", "max_messages": 2 } }),
                200,
                json!({ "num_partitions": 1 }),
            ),
            (
                "POST",
                "/topics/ever",
                json!({ "retention_policy": { "type": "Infinite" } }),
                200,
                json!({ "num_partitions": 3 }),
            ),
            ("GET", "/topics", none(), 200, json!({ "count": 3 })),
        ],
    );
    // One key, one partition, in order, whatever core the client is on.
    let mut places = Vec::new();
    for number in 0..20 {
        let body = json!({ "event_type": "made", "key": "k1", "data": { "n": number } });
        let answer = server.http().request("POST", "/topics/orders/publish", &body.to_string());
        places.push(answer.json());
    }
    let partition = places[0]["partition_id"].as_u64().expect("a number");
    for (number, place) in places.iter().enumerate() {
        let wanted = json!({ "partition_id": partition, "offset": number, "topic": "orders" });
        assert_eq!(*place, wanted);
    }
    let path = format!("/topics/orders/partitions/{partition}/consume");
    let body = json!({ "from_offset": 18 });
    let event = |n: u64| {
        json!({ "id": "*", "partition_id": partition, "offset": n, "topic": "orders",
                "event_type": "made", "key": "k1", "data": { "n": n }, "timestamp": "*",
                "size_bytes": "*", "metadata": {} })
    };
    let wanted = json!({ "topic": "orders", "partition_id": partition, "next_offset": 20,
                         "events": [event(18), event(19)], "earliest": 0, "count": 2 });
    let batch = json!({ "to_partition": 2, "events": [{ "event_type": "a", "data": 1 },
                                                      { "event_type": "b", "data": 2 }] });
    expect(
        &mut http,
        &[
            ("POST", &path, body, 200, wanted),
            ("POST", "/topics/orders/partitions/9/consume", none(), 404, json!({ "code": 404 })),
            ("POST", "/topics/no/partitions/0/consume", none(), 404, json!({ "code": 404 })),
            (
                "POST",
                "/topics/short/batch",
                json!({ "events": [[1, 2], ["b", "x"], ["c", "y"]] }),
                200,
                json!({ "partition_id": 0, "offset": 0, "count": 3 }),
            ),
            (
                "POST",
                "/topics/short/partitions/0/consume",
                none(),
                200,
                json!({ "earliest": 1, "next_offset": 3, "count": 2 }),
            ),
            ("POST", "/topics/orders/batch", batch, 200, json!({ "partition_id": 2, "count": 2 })),
            (
                "GET",
                "/topics/orders/stats",
                none(),
                200,
                json!({ "topic": "orders", "partitions": ["*", "*", "*"] }),
            ),
            (
                "DELETE",
                "/topics/orders",
                none(),
                200,
                json!({ "success": true, "deleted": "orders" }),
            ),
            (
                "DELETE",
                "/topics/orders",
                none(),
                404,
                json!({ "error": "Topic not found: orders" }),
            ),
            (
                "POST",
                "/topics/orders",
                json!({ "num_partitions": 7 }),
                200,
                json!({ "num_partitions": 7 }),
            ),
            (
                "POST",
                "/topics/orders/publish",
                json!({ "event_type": "e", "data": "d", "partition": 6 }),
                200,
                json!({ "partition_id": 6, "offset": 0 }),
            ),
        ],
    );
}

#[test]
fn groups_over_http() {
    let server = server();
    let mut http = server.http();
    let none = || Value::Null;
    expect(
        &mut http,
        &[
            ("POST", "/topics/orders", json!({ "num_partitions": 4 }), 200, json!({})),
            ("POST", "/consumer-groups/g", json!({ "topic": "no" }), 404, json!({})),
            (
                "POST",
                "/consumer-groups/g",
                json!({ "topic": "orders", "strategy": "x" }),
                400,
                json!({}),
            ),
            (
                "POST",
                "/consumer-groups/g",
                json!({ "topic": "orders", "partition_count": 3 }),
                400,
                json!({}),
            ),
            (
                "POST",
                "/consumer-groups/g",
                json!({ "topic": "orders", "partition_count": 4, "strategy": "range" }),
                200,
                json!({ "success": true, "group_id": "g", "topic": "orders" }),
            ),
            ("POST", "/consumer-groups/g", json!({ "topic": "orders" }), 409, json!({})),
            ("GET", "/consumer-groups", none(), 200, json!({ "groups": ["g"], "count": 1 })),
            (
                "GET",
                "/consumer-groups/g/stats",
                none(),
                200,
                json!({ "state": "Empty", "generation": 0 }),
            ),
        ],
    );
    let first = http.request("POST", "/consumer-groups/g/join", "").json();
    matches(
        &json!({ "group_id": "g", "generation": 1, "partitions": [0, 1, 2, 3] }),
        &first,
        "join",
    );
    let begun = Instant::now();
    let second = http.request("POST", "/consumer-groups/g/join", "{}").json();
    eprintln!("a rebalance took {:.1?}", begun.elapsed());
    let ids = [&first, &second].map(|it| it["member_id"].as_str().expect("an id").to_owned());
    let path = |id: &str, verb: &str| format!("/consumer-groups/g/members/{id}/{verb}");
    let mine = |at: usize| {
        let answer = server.http().request("GET", &path(&ids[at], "assignment"), "").json();
        assert_eq!(answer["generation"], json!(2), "{answer}");
        answer["partitions"].as_array().expect("a list").clone()
    };
    let all: Vec<Value> = [mine(0), mine(1)].concat();
    assert_eq!(all.len(), 4, "each partition has one owner");
    assert_eq!((mine(0).len(), mine(1).len()), (2, 2));
    let commit = |generation: u64| {
        json!({ "partition_id": 1, "offset": 7, "member_id": ids[0],
                "generation": generation })
    };
    let commits = "/consumer-groups/g/offsets/commit";
    expect(
        &mut http,
        &[
            ("POST", commits, commit(1), 409, json!({ "code": 409 })),
            (
                "POST",
                commits,
                commit(2),
                200,
                json!({ "success": true, "partition_id": 1, "offset": 7 }),
            ),
            ("POST", commits, json!({ "partition_id": 4, "offset": 7 }), 404, json!({})),
            (
                "GET",
                "/consumer-groups/g/offsets/1",
                none(),
                200,
                json!({ "group_id": "g", "partition_id": 1, "offset": 7 }),
            ),
            ("GET", "/consumer-groups/g/offsets/0", none(), 200, json!({ "offset": null })),
            (
                "POST",
                &path(&ids[0], "heartbeat"),
                none(),
                200,
                json!({ "success": true, "generation": 2, "rebalance": false }),
            ),
            ("POST", &path(&ids[0], "heartbeat"), json!({ "generation": 1 }), 409, json!({})),
            ("POST", &path("nobody", "heartbeat"), none(), 404, json!({})),
            (
                "POST",
                "/consumer-groups/g/rebalance",
                none(),
                200,
                json!({ "success": true, "generation": 3 }),
            ),
            (
                "DELETE",
                &path(&ids[0], "leave"),
                none(),
                200,
                json!({ "success": true, "member_id": ids[0] }),
            ),
            (
                "GET",
                "/consumer-groups/g/stats",
                none(),
                200,
                json!({
                "group_id": "g", "topic": "orders", "state": "Stable", "member_count": 1,
                "generation": 4, "partition_count": 4, "committed_partitions": 1,
                "last_rebalance_secs": "*", "total_lag": 0 }),
            ),
            (
                "DELETE",
                "/consumer-groups/g",
                none(),
                200,
                json!({ "success": true, "deleted": "g" }),
            ),
            ("GET", "/consumer-groups/g/stats", none(), 404, json!({})),
        ],
    );
}

#[test]
fn a_member_that_is_silent_is_out() {
    let server = server();
    let mut client = server.resp();
    client.call(&["TCREATE", "t"]);
    client.call(&["GCREATE", "g", "t", "SESSION", "1"]);
    client.call(&["GJOIN", "g", "MEMBER", "a"]);
    client.call(&["GJOIN", "g", "MEMBER", "b", "SESSION", "600"]);
    support::wait_for("the member to be taken out", || {
        server.resp().call(&["GASSIGNMENT", "g", "b"]) == "[:3, [:0, :1, :2]]"
    });
    let refused = client.call(&["GHEARTBEAT", "g", "a"]);
    assert_eq!(refused, "-NOTFOUND Member not found: a");
}

#[test]
fn who_waits_is_woken_by_an_event() {
    let server = server();
    server.resp().call(&["TCREATE", "t", "PARTITIONS", "4"]);
    let readers: Vec<_> = (0..4)
        .map(|number| {
            let mut client = server.resp();
            std::thread::spawn(move || {
                let number = number.to_string();
                let words = ["TREAD", "t", &number, "0", "BLOCK", "30000"];
                client.call(&words)
            })
        })
        .collect();
    let mut taker = server.resp();
    taker.command(&["TTAKE", "t", "1", "g", "m", "BLOCK", "30000"]);
    support::wait_for("all to wait", || {
        let info = server.resp().call(&["INFO", "clients"]);
        info.contains("blocked_clients:5")
    });
    for number in 0..4u8 {
        let word = number.to_string();
        let done = server.resp().call(&["TPUBLISH", "t", "e", "hello", "PARTITION", &word]);
        assert_eq!(done, format!("[:{number}, :0]"));
    }
    for reader in readers {
        let text = reader.join().expect("it is answered");
        assert!(text.starts_with("[:1, :0, [[:0, "), "{text}");
    }
    let taken = show(&taker.reply());
    assert!(taken.starts_with("[[:1, [:0, "), "{taken}");
}

#[test]
fn events_are_part_of_transactions_and_scripts() {
    let server = server();
    let mut client = server.resp();
    client.call(&["TCREATE", "t", "PARTITIONS", "5"]);
    client.call(&["SCREATE", "r"]);
    for line in ["MULTI", "SET k 1", "TPUBLISH t e d KEY a", "SAPPEND r e d", "GLIST"] {
        client.call(&line.split(' ').collect::<Vec<_>>());
    }
    let done = client.call(&["EXEC"]);
    assert!(done.starts_with("[+OK, [:") && done.ends_with(":0], :0, []]"), "{done}");
    for line in ["MULTI", "SET k 2", "SAPPEND none e d", "SAPPEND r e d"] {
        client.call(&line.split(' ').collect::<Vec<_>>());
    }
    assert_eq!(client.call(&["EXEC"]), "[+OK, -NOTFOUND Room not found: none, :1]");
    let script = "for i = 1, 20 do redis.call('TPUBLISH', 't', 'e', i, 'KEY', i) end \
                  redis.call('SET', KEYS[1], 'x') return redis.call('SAPPEND', 'r', 'e', 'd')";
    assert_eq!(client.call(&["EVAL", script, "1", "k"]), ":2");
    let total: i64 = (0..5)
        .map(|number| {
            let text = client.call(&["TREAD", "t", &number.to_string(), "0"]);
            text[2..text.find(',').expect("a number")].parse::<i64>().expect("a number")
        })
        .sum();
    assert_eq!(total, 21);
}

/// An event that was acknowledged: partition, offset, data.
type Told = (String, u64, String);

/// Publishes until told to end, a pipeline at a time; what was acknowledged.
fn publisher(port: u16, name: String, stop: &AtomicBool) -> Vec<Told> {
    let mut client = support::resp::Resp::connect(port);
    let mut told = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let data: Vec<String> = (0..8).map(|at| format!("{name}-{number}-{at}")).collect();
        let mut bytes = Vec::new();
        for (at, data) in data.iter().enumerate() {
            let key = format!("k{}", at % 5);
            bytes.extend(encode(&["TPUBLISH", "t", "e", data, "KEY", &key]));
        }
        if !client.try_send(&bytes) {
            break;
        }
        for data in data {
            let Some(reply) = client.try_reply() else { return told };
            assert_eq!(frame(&reply), Some(reply.len()));
            let text = show(&reply);
            let place = text.trim_matches(['[', ']']).split_once(", :").expect("a place");
            let partition = place.0.trim_start_matches(':').to_owned();
            told.push((partition, place.1.parse().expect("an offset"), data));
        }
    }
    told
}

#[test]
fn what_was_acknowledged_is_at_its_offset_after_kill_9() {
    let mut plan = Plan::new().fsync("always").workers(2);
    let mut told: Vec<Told> = Vec::new();
    let server = plan.start();
    server.resp().call(&["TCREATE", "t", "PARTITIONS", "3", "FOREVER"]);
    server.stop();
    for round in 0..rounds() {
        let server = plan.clone().workers(round % 3 + 1).fresh_ports().start();
        check(&server, &told);
        if round % 2 == 1 {
            server.resp().call(&["BGSAVE"]);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let port = server.plan.resp;
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (stop, name) = (Arc::clone(&stop), format!("{round}-{writer}"));
                std::thread::spawn(move || publisher(port, name, &stop))
            })
            .collect();
        std::thread::park_timeout(Duration::from_millis(150));
        plan = server.plan.clone();
        server.kill();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            told.extend(writer.join().expect("a publisher ends"));
        }
    }
    let server = plan.fresh_ports().start();
    check(&server, &told);
    assert!(told.len() > 100, "{} events were acknowledged", told.len());
    server.stop();
}

/// Every acknowledged event is at its offset, offsets are dense, and no event is there twice.
fn check(server: &Server, told: &[Told]) {
    let mut all = std::collections::BTreeMap::new();
    let mut datas = std::collections::BTreeSet::new();
    let mut http = server.http();
    for partition in 0..3 {
        let mut next = 0;
        loop {
            let path = format!("/topics/t/partitions/{partition}/consume");
            let body = json!({ "from_offset": next, "limit": 1000 });
            let answer = http.request("POST", &path, &body.to_string()).json();
            let events = answer["events"].as_array().expect("a list");
            if events.is_empty() {
                break;
            }
            for event in events {
                assert_eq!(event["offset"], json!(next), "offsets are dense");
                let data = event["data"].as_str().expect("text").to_owned();
                assert!(datas.insert(data.clone()), "{data} is there twice");
                all.insert((partition.to_string(), next), data);
                next += 1;
            }
        }
    }
    for (partition, offset, data) in told {
        assert_eq!(all.get(&(partition.clone(), *offset)), Some(data), "{partition} {offset}");
    }
}

#[test]
fn null_is_no_key() {
    let server = Server::start();
    let mut http = server.http();
    let mut ask = |method: &str, path: &str, body: Value| {
        let answer = http.request(method, path, &body.to_string());
        assert!(answer.status < 300, "{path}: {answer:?}");
        answer.json()
    };
    ask("POST", "/topics/t", json!({ "num_partitions": 1 }));
    let event = json!({ "event_type": "made", "key": null, "data": 0 });
    ask("POST", "/topics/t/publish", event);
    let path = "/topics/t/partitions/0/consume";
    let found = ask("POST", path, json!({ "from_offset": 0 }));
    assert_eq!((&found["count"], &found["events"][0]["key"]), (&json!(1), &Value::Null), "{found}");
    server.stop();
}

#[test]
fn a_topic_takes_events_from_the_transaction_that_makes_it() {
    let server = server();
    let mut client = server.resp();
    let keys = ["a", "b", "c", "d", "e"];
    client.call(&["TCREATE", "old", "PARTITIONS", "2"]);
    client.call(&["MULTI"]);
    client.call(&["TCREATE", "new", "PARTITIONS", "7"]);
    client.call(&["TDELETE", "old"]);
    client.call(&["TCREATE", "old", "PARTITIONS", "5"]);
    for key in keys {
        client.call(&["TPUBLISH", "new", "e", key, "KEY", key]);
        client.call(&["TPUBLISH", "old", "e", key, "KEY", key]);
    }
    client.call(&["TPUBLISH", "new", "e", "no key"]);
    client.call(&["TDELETE", "new"]);
    client.call(&["TPUBLISH", "new", "e", "x"]);
    client.call(&["TCREATE", "new", "PARTITIONS", "7"]);
    client.call(&["TPUBLISH", "new", "e", "a", "KEY", "a"]);
    let done = client.call(&["EXEC"]);
    assert!(!done.contains("TRYAGAIN"), "{done}");
    assert_eq!(done.matches("-NOTFOUND").count(), 1, "{done}");
    // Later events of a key go where the first went.
    for (topic, key) in keys.iter().map(|key| ("old", key)).chain([("new", &"a")]) {
        let published = client.call(&["TPUBLISH", topic, "e", "again", "KEY", key]);
        let partition = published[2..published.find(',').expect("a number")].to_owned();
        let read = client.call(&["TREAD", topic, &partition, "0"]);
        assert!(read.contains(&format!("{key}, e, {key}")), "{read}");
    }
    let script = "redis.call('TCREATE', 'made', 'PARTITIONS', 4) \
                  for i = 1, 9 do redis.call('TPUBLISH', 'made', 'e', i, 'KEY', i) end return 1";
    assert_eq!(client.call(&["EVAL", script, "0"]), ":1");
    server.stop();
}

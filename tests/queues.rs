//! Message queues against a server of two cores: routes, waiting, and the five scenarios of many
//! publishers and consumers in which every message is delivered once.

mod support;

use std::collections::BTreeSet;
use std::sync::Mutex;

use serde_json::{Value, json};
use support::http::Http;
use support::resp::{Resp, show};
use support::{Plan, Server, wait_for};

fn post(http: &mut Http, path: &str, body: &Value) -> (u16, Value) {
    let answer = http.request("POST", path, &body.to_string());
    (answer.status, answer.json())
}

fn get(http: &mut Http, path: &str) -> (u16, Value) {
    let answer = http.request("GET", path, "");
    (answer.status, answer.json())
}

fn await_blocked(client: &mut Resp, count: usize) {
    let blocked = |client: &mut Resp| {
        let info = client.call(&["INFO", "clients"]);
        let line = info.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
        line.and_then(|count| count.trim().parse::<usize>().ok()).expect("INFO says it")
    };
    wait_for("clients wait", || blocked(client) == count);
}

#[test]
fn a_message_goes_its_way_over_http() {
    let server = Server::start();
    let mut http = server.http();
    assert_eq!(
        post(&mut http, "/queue/jobs", &json!({ "max_depth": 2, "ack_deadline_secs": 60 })),
        (200, json!({ "success": true, "queue": "jobs" }))
    );
    let message =
        json!({ "payload": [104, 105], "priority": 9, "headers": { "a": "1" }, "max_retries": 0 });
    let (status, published) = post(&mut http, "/queue/jobs/publish", &message);
    assert_eq!(status, 200);
    let id = published["message_id"].as_str().expect("an id").to_owned();
    post(&mut http, "/queue/jobs/publish", &json!({ "payload": { "n": 1 } }));
    assert_eq!(
        post(&mut http, "/queue/jobs/publish", &json!({ "payload": "x" })),
        (507, json!({ "error": "Queue is full: jobs", "code": 507 }))
    );
    let (_, taken) = get(&mut http, "/queue/jobs/consume/me");
    assert_eq!(
        (&taken["message_id"], &taken["payload"], &taken["headers"], &taken["priority"]),
        (&json!(id), &json!([104, 105]), &json!({ "a": "1" }), &json!(9))
    );
    let acked = |who: &str| json!({ "message_id": id, "consumer_id": who });
    let (status, refused) = post(&mut http, "/queue/jobs/ack", &acked("other"));
    assert_eq!((status, &refused["error"]), (404, &json!(format!("Message not found: {id}"))));
    assert_eq!(post(&mut http, "/queue/jobs/ack", &acked("me")), (200, json!({ "success": true })));
    let (_, taken) = get(&mut http, "/queue/jobs/consume/me?encoding=json");
    assert_eq!((&taken["payload"], &taken["retry_count"]), (&json!({ "n": 1 }), &json!(0)));
    let (_, nothing) = get(&mut http, "/queue/jobs/consume/me");
    assert!(nothing.as_object().is_some_and(|it| it.len() == 6 && it.values().all(Value::is_null)));
    let id = taken["message_id"].clone();
    let nack = json!({ "message_id": id, "requeue": false });
    assert_eq!(post(&mut http, "/queue/jobs/nack", &nack), (200, json!({ "success": true })));
    let (_, dead) = get(&mut http, "/queue/jobs/dlq?encoding=text");
    assert_eq!(
        (&dead["messages"][0]["reason"], &dead["messages"][0]["payload"], &dead["total"]),
        (&json!("rejected"), &json!("{\"n\":1}"), &json!(1))
    );
    let requeued = post(&mut http, "/queue/jobs/dlq/requeue", &json!({}));
    assert_eq!(requeued, (200, json!({ "requeued": 1 })));
    let (_, stats) = get(&mut http, "/queue/jobs/stats");
    for (name, number) in [
        ("depth", 1),
        ("pending", 0),
        ("published", 2),
        ("consumed", 2),
        ("acked", 1),
        ("nacked", 1),
        ("dead_lettered", 1),
        ("dlq_count", 0),
        ("max_depth", 2),
        ("total_published", 2),
    ] {
        assert_eq!(stats[name], json!(number), "{name}");
    }
    let purged = post(&mut http, "/queue/jobs/purge", &json!({}));
    assert_eq!(purged, (200, json!({ "success": true, "purged": 1 })));
    assert_eq!(get(&mut http, "/queue/list"), (200, json!({ "queues": ["jobs"] })));
    for deleted in [true, false] {
        let answer = http.request("DELETE", "/queue/jobs", "").json();
        assert_eq!(answer, json!({ "success": true, "deleted": deleted }));
    }
    assert_eq!(get(&mut http, "/queue/jobs/stats").0, 404);
    server.stop();
}

#[test]
fn short_forms_create_and_decode() {
    let server = Server::start();
    let mut http = server.http();
    assert_eq!(get(&mut http, "/queue/consume/mail").0, 404);
    let sent = json!({ "queue": "mail", "message": { "to": "you" }, "idempotency_key": "once" });
    let (_, first) = post(&mut http, "/queue/publish", &sent);
    assert_eq!(post(&mut http, "/queue/publish", &sent), (200, first));
    let (_, taken) = get(&mut http, "/queue/consume/mail");
    assert_eq!(
        (&taken["message"], &taken["payload"]),
        (&json!({ "to": "you" }), &json!("{\"to\":\"you\"}"))
    );
    assert_eq!(post(&mut http, "/queue/publish", &json!({ "queue": "list", "message": 1 })).0, 400);
    let batch = json!({ "payloads": ["a", [98], { "c": 1 }], "delay_ms": 600_000 });
    let (_, ids) = post(&mut http, "/queue/mail/publish/batch", &batch);
    assert_eq!(ids["count"], json!(3));
    let (_, scheduled) = get(&mut http, "/queue/mail/scheduled?limit=2&encoding=text");
    assert_eq!(
        (&scheduled["total"], &scheduled["messages"][1]["payload"]),
        (&json!(3), &json!("b"))
    );
    let cancel = json!({ "message_ids": [ids["message_ids"][0], ids["message_ids"][2]] });
    assert_eq!(post(&mut http, "/queue/mail/cancel", &cancel), (200, json!({ "cancelled": 2 })));
    server.stop();
}

#[test]
fn queues_are_no_keys() {
    let server = Server::start();
    let mut client = server.resp();
    for number in 0..8 {
        let name = format!("q{number}");
        assert_eq!(client.call(&["QCREATE", &name]), "+OK");
        client.call(&["QPUBLISH", &name, "kept"]);
        client.call(&["SET", &name, "a key"]);
    }
    assert_eq!(client.call(&["DBSIZE"]), ":8");
    assert_eq!(client.call(&["TYPE", "q0"]), "+string");
    let refused = client.call(&["GET", "\0q\0q0"]);
    assert!(refused.starts_with("-ERR a key may not begin with"), "{refused}");
    assert_eq!(client.call(&["FLUSHALL"]), "+OK");
    assert_eq!(client.call(&["DBSIZE"]), ":0");
    assert_eq!(client.call(&["RANDOMKEY"]), "(nil)");
    for number in 0..8 {
        let taken = client.call(&["QCONSUME", &format!("q{number}")]);
        assert!(taken.contains("kept"), "{taken}");
    }
    server.stop();
}

#[test]
fn commands_on_queues_go_with_others_in_transactions_and_scripts() {
    let server = Server::start();
    let mut client = server.resp();
    client.call(&["QCREATE", "q"]);
    for line in ["MULTI", "QPUBLISH q one", "SET k v", "QCONSUME q WAIT 1000", "QCONSUME q WAIT 9"]
    {
        let words: Vec<&str> = line.split(' ').collect();
        client.call(&words);
    }
    let results = client.call(&["EXEC"]);
    assert!(results.contains("one") && results.ends_with("(nil)]"), "{results}");
    let script = "redis.call('QPUBLISH', KEYS[1], ARGV[1]) return redis.call('INCR', 'count')";
    assert_eq!(client.call(&["EVAL", script, "1", "q", "two"]), ":1");
    assert!(client.call(&["QCONSUME", "q"]).contains("two"));
    server.stop();
}

#[test]
fn who_waits_longest_gets_the_next_message() {
    let server = Server::start();
    let mut admin = server.resp();
    for queue in ["a", "b", "c", "d"] {
        admin.call(&["QCREATE", queue]);
        let mut waiters: Vec<Resp> = Vec::new();
        for count in 1..=4 {
            let mut waiter = server.resp();
            waiter.command(&["QCONSUME", queue, "CONSUMER", "w", "WAIT", "30000"]);
            await_blocked(&mut admin, count);
            waiters.push(waiter);
        }
        for (number, waiter) in waiters.iter_mut().enumerate() {
            admin.call(&["QPUBLISH", queue, &format!("number {number}")]);
            assert!(show(&waiter.reply()).contains(&format!("number {number}")));
        }
        await_blocked(&mut admin, 0);
    }
    // A queue that is deleted ends the waiting; a time that is over ends it too.
    let mut waiter = server.resp();
    waiter.command(&["QCONSUME", "a", "WAIT", "30000"]);
    await_blocked(&mut admin, 1);
    admin.call(&["QDELETE", "a"]);
    assert_eq!(show(&waiter.reply()), "-NOQUEUE Queue not found");
    let (_, nothing) = get(&mut server.http(), "/queue/b/consume/w2?wait_ms=20");
    assert_eq!(nothing["message_id"], Value::Null);
    server.stop();
}

#[test]
fn a_deadline_gives_a_message_to_another_and_a_dead_one_tells_why() {
    let server = Server::start();
    let (mut client, mut other) = (server.resp(), server.resp());
    client.call(&["QCREATE", "q", "DEADLINE", "1", "RETRIES", "1"]);
    let id = client.call(&["QPUBLISH", "q", "x"]);
    client.call(&["QCONSUME", "q", "CONSUMER", "slow"]);
    other.command(&["QCONSUME", "q", "CONSUMER", "next", "WAIT", "30000"]);
    assert!(show(&other.reply()).contains(&id));
    let late = client.call(&["QACK", "q", "CONSUMER", "slow", &id]);
    assert_eq!(late, "-NOMESSAGE Message not found");
    let is_dead = |client: &mut Resp| client.call(&["QDLQ", "LIST", "q"]).contains("max_retries");
    wait_for("the message is dead", || is_dead(&mut client));
    server.stop();
}

/// Publishers put `messages` into a queue while consumers take and acknowledge until all are there;
/// each once, none lost. Those of higher priority come first where all are there beforehand.
fn scenario(consumers: usize, publishers: usize, messages: usize, mixed: bool) {
    let server = Plan::new().workers(2).start();
    let mut admin = server.resp();
    admin.call(&["QCREATE", "tasks", "DEADLINE", "600"]);
    let publish = |publisher: usize| {
        let mut client = server.resp();
        for number in (publisher..messages).step_by(publishers) {
            let (body, priority) = (format!("m{number}"), (number % 10).to_string());
            let priority = if mixed { &priority } else { "5" };
            let id = client.call(&["QPUBLISH", "tasks", &body, "PRIORITY", priority]);
            assert_eq!(id.len(), 36, "{id}");
        }
    };
    let (taken, left) = (Mutex::new(Vec::new()), Mutex::new(messages));
    let consume = |name: usize| {
        let mut http = server.http();
        let path = format!("/queue/tasks/consume/c{name}?wait_ms=200&encoding=text");
        loop {
            let (_, message) = get(&mut http, &path);
            if let Some(id) = message["message_id"].as_str() {
                let body = message["payload"].as_str().expect("text").to_owned();
                let priority = message["priority"].as_u64().expect("a number");
                taken.lock().expect("nobody panics").push((body, priority));
                let ack = json!({ "message_id": id, "consumer_id": format!("c{name}") });
                assert_eq!(post(&mut http, "/queue/tasks/ack", &ack).0, 200);
                *left.lock().expect("nobody panics") -= 1;
            }
            if *left.lock().expect("nobody panics") == 0 {
                return;
            }
        }
    };
    if mixed {
        publish(0);
    }
    std::thread::scope(|scope| {
        if !mixed {
            (0..publishers).for_each(|publisher| {
                scope.spawn(move || publish(publisher));
            });
        }
        (0..consumers).for_each(|name| {
            scope.spawn(move || consume(name));
        });
    });
    let taken = taken.into_inner().expect("nobody panics");
    let bodies: BTreeSet<&String> = taken.iter().map(|(body, _)| body).collect();
    assert_eq!((taken.len(), bodies.len()), (messages, messages), "each is delivered once");
    if mixed {
        // Consumers note what they got a little out of order.
        let first: u64 = taken[..messages / 2].iter().map(|(_, priority)| priority).sum();
        let last: u64 = taken[messages / 2..].iter().map(|(_, priority)| priority).sum();
        assert!(first > last, "higher priorities come first: {taken:?}");
    }
    let stats = get(&mut server.http(), "/queue/tasks/stats").1;
    for (name, number) in [("depth", 0), ("pending", 0), ("acked", messages), ("dlq_count", 0)] {
        assert_eq!(stats[name], json!(number), "{name}");
    }
    server.stop();
}

#[test]
fn ten_consumers_take_a_hundred_messages() {
    scenario(10, 1, 100, false);
}

#[test]
fn fifty_consumers_take_a_thousand_messages() {
    scenario(50, 1, 1000, false);
}

#[test]
fn five_publishers_and_ten_consumers_pass_five_hundred_messages() {
    scenario(10, 5, 500, false);
}

#[test]
fn twenty_consumers_take_five_hundred_messages_once_each() {
    scenario(20, 2, 500, false);
}

#[test]
fn five_consumers_take_thirty_messages_of_mixed_priorities() {
    scenario(5, 1, 30, true);
}

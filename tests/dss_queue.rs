//! The queue service of distributed-sync-system on its own listener: every answer, every error,
//! who may do what, what consumers can rely on, and what survives `kill -9`.

mod support;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use serde_json::{Value, json};
use support::http::{Answer, Http};
use support::{PATIENCE, Plan, Server, free_ports, wait_for};

const UNKNOWN: &str = "Message not found or its visibility timeout is over";

/// A plan with the service on a port of its own.
fn plan() -> (Plan, u16) {
    let port = free_ports(0);
    (Plan::new().env("SYNAP_DSS__QUEUE_PORT", port), port)
}

fn start() -> (Server, Http) {
    let (plan, port) = plan();
    let server = plan.start();
    let http = Http::connect(port);
    (server, http)
}

fn post(http: &mut Http, path: &str, body: &Value) -> Value {
    let answer = http.request("POST", path, &body.to_string());
    assert_eq!(answer.status, 200, "{path} {answer:?}");
    answer.json()
}

fn get(http: &mut Http, path: &str) -> Value {
    let answer = http.request("GET", path, "");
    assert_eq!(answer.status, 200, "{path} {answer:?}");
    answer.json()
}

fn enqueue(http: &mut Http, queue: &str, message: &Value) -> String {
    let sent = json!({ "queue_name": queue, "message": message });
    let answer = post(http, "/queue/enqueue", &sent);
    answer["message_id"].as_str().expect("an id").to_owned()
}

fn dequeue(http: &mut Http, queue: &str) -> Value {
    post(http, "/queue/dequeue", &json!({ "queue_name": queue }))
}

fn ack(http: &mut Http, id: &str) -> bool {
    let answer = post(http, "/queue/ack", &json!({ "message_id": id }));
    answer["success"].as_bool().expect("a choice")
}

fn set(http: &mut Http, queue: &str, settings: &Value) {
    let path = format!("/queue/settings/{queue}");
    let answer = http.request("PUT", &path, &settings.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    let expected = json!({ "success": true, "queue_name": queue, "node_id": "node_0" });
    assert_eq!(answer.json(), expected);
}

fn error_of(answer: &Answer) -> Value {
    let body = answer.json();
    assert_eq!(body["status_code"], answer.status, "{answer:?}");
    assert!(body["error"].is_string() && body.get("details").is_some(), "{answer:?}");
    if answer.status != 422 || !body["detail"].is_array() {
        assert_eq!(body["detail"], body["error"], "{answer:?}");
    }
    body
}

#[test]
fn every_answer_has_its_members() {
    let (_server, mut http) = start();
    let health = get(&mut http, "/health");
    let expected =
        json!({ "status": "healthy", "node_id": "node_0", "is_running": true, "type": "queue" });
    assert_eq!(health, expected);
    let message = json!({ "task": "größer", "nested": { "list": [1, 2.5, null] } });
    let sent = json!({ "queue_name": "jobs", "message": message });
    let sent = post(&mut http, "/queue/enqueue", &sent);
    let id = sent["message_id"].as_str().expect("an id").to_owned();
    assert!(id.strip_prefix("node_0-").is_some_and(|number| number.parse::<u64>().is_ok()), "{id}");
    let expected =
        json!({ "success": true, "message_id": id, "queue_name": "jobs", "node_id": "node_0" });
    assert_eq!(sent, expected);
    let status = get(&mut http, "/queue/status/jobs");
    assert_eq!((&status["queue_name"], &status["node_id"]), (&json!("jobs"), &json!("node_0")));
    assert_eq!((&status["size"], &status["in_flight"]), (&json!(1), &json!(0)));
    assert_eq!(status["visibility_timeout_seconds"].as_f64(), Some(30.0));
    let taken = dequeue(&mut http, "jobs");
    assert_eq!((&taken["success"], &taken["message"]), (&json!(true), &message));
    assert_eq!((&taken["message_id"], &taken["delivery_count"]), (&json!(id), &json!(1)));
    let at = taken["delivery_time"].as_str().expect("a moment");
    assert!(at.len() == 24 && at.starts_with("20") && at.ends_with('Z'), "{at}");
    let all = get(&mut http, "/queue/all?verbose=1");
    let queues = json!({ "jobs": { "size": 0, "in_flight": 1, "in_flight_ids": [id] } });
    let expected = json!({ "node_id": "node_0", "queues": queues, "total_queues": 1,
        "total_messages": 0, "total_in_flight": 1 });
    assert_eq!(all, expected);
    assert_eq!(get(&mut http, "/queue/all")["queues"]["jobs"], json!({"size": 0, "in_flight": 1}));
    let done = post(&mut http, "/queue/ack", &json!({ "message_id": id }));
    assert_eq!(done, json!({ "success": true, "message": "Message acknowledged" }));
    let again = post(&mut http, "/queue/ack", &json!({ "message_id": id }));
    assert_eq!(again, json!({ "success": false, "message": UNKNOWN }));
    for none in ["", "node_0-", "node_0--1", "node_0-18446744073709551616", "node_1-1", "x"] {
        assert!(!ack(&mut http, none), "{none}");
    }
    let nothing = json!({ "success": false, "message": null, "message_id": null,
        "delivery_time": null, "delivery_count": null });
    assert_eq!(dequeue(&mut http, "jobs"), nothing);
    assert_eq!(dequeue(&mut http, "nowhere"), nothing);
    let nowhere = get(&mut http, "/queue/status/nowhere");
    assert_eq!((&nowhere["size"], &nowhere["in_flight"]), (&json!(0), &json!(0)));
    // Names may have slashes.
    enqueue(&mut http, "a/b", &json!({}));
    assert_eq!(get(&mut http, "/queue/status/a%2Fb")["size"], 1);
}

#[test]
fn errors_serve_clients_of_either_style() {
    let (_server, mut http) = start();
    for (path, body, kinds) in [
        ("/queue/enqueue", r#"{"queue_name":"q"}"#, &["missing"][..]),
        ("/queue/enqueue", r#"{"queue_name":"q","message":"text"}"#, &["dict_type"]),
        ("/queue/enqueue", r#"{"queue_name":7,"message":[]}"#, &["string_type", "dict_type"]),
        ("/queue/enqueue", r#"{"queue_name":"","message":{}}"#, &["value_error"]),
        ("/queue/dequeue", "", &["missing"]),
        ("/queue/dequeue", "{", &["json_invalid"]),
        ("/queue/dequeue", "[]", &["model_attributes_type"]),
        ("/queue/ack", "{}", &["missing"]),
        ("/queue/ack", r#"{"message_id":5}"#, &["string_type"]),
    ] {
        let answer = http.request("POST", path, body);
        assert_eq!(answer.status, 422, "{path} {body} {answer:?}");
        let detail = error_of(&answer)["detail"].clone();
        let found: Vec<_> = detail.as_array().expect("a list").iter().collect();
        let types: Vec<&str> = found.iter().map(|it| it["type"].as_str().expect("text")).collect();
        assert_eq!(types, kinds, "{path} {body}");
        assert!(found.iter().all(|it| it["loc"][0] == "body" && it["msg"].is_string()));
    }
    let unset = http.request("PUT", "/queue/settings/q", r#"{"max_retries":-1,"other":1}"#);
    assert_eq!(unset.status, 422);
    for path in ["/nothing", "/queue/list", "/queue/status/", "/kv/get/a", "/internal/message"] {
        let answer = http.request("GET", path, "");
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(error_of(&answer)["detail"], "Not Found");
    }
    let answer = http.request("GET", "/queue/enqueue", "");
    assert_eq!((answer.status, answer.field("allow")), (405, Some("POST, OPTIONS")));
    error_of(&answer);
    set(&mut http, "small", &json!({ "max_size": 1 }));
    enqueue(&mut http, "small", &json!({}));
    let sent = json!({ "queue_name": "small", "message": {} }).to_string();
    let full = http.request("POST", "/queue/enqueue", &sent);
    assert_eq!((full.status, full.field("retry-after")), (503, Some("1")));
    assert_eq!(error_of(&full)["error"], "Queue is full: small");
    // What cannot be read at all ends the connection.
    http.send("GET nonsense\r\n\r\n");
    let answer = http.answer("GET");
    assert_eq!(answer.status, 400);
    error_of(&answer);
    assert!(http.is_closed());
}

#[test]
fn its_queues_are_its_own() {
    let (server, mut http) = start();
    let id = enqueue(&mut http, "jobs", &json!({ "from": "dss" }));
    let mut main = server.http();
    assert_eq!(main.request("GET", "/queue/jobs/stats", "").status, 404);
    assert_eq!(main.request("POST", "/queue/jobs", "{}").status, 200);
    assert_eq!(get(&mut main, "/queue/list"), json!({ "queues": ["jobs"] }));
    assert!(get(&mut main, "/queue/consume/jobs")["message_id"].is_null());
    // The paths of either are nothing special to the other.
    assert_eq!(get(&mut main, "/health")["service"], "synap");
    assert_eq!(main.request("POST", "/queue/enqueue", "{}").json()["queue"], "enqueue");
    // Over RESP they have commands of their own.
    let mut resp = server.resp();
    assert_eq!(resp.call(&["QLIST"]).matches("jobs").count(), 1);
    let number = id.strip_prefix("node_0-").expect("the node's name");
    assert!(resp.call(&["DSS.DEQUEUE", "jobs"]).contains(number));
    assert_eq!(resp.call(&["DSS.ACK", "jobs", number]), ":1");
    // What is no object is shown as text.
    resp.call(&["DSS.ENQUEUE", "jobs", "plain"]);
    assert_eq!(dequeue(&mut http, "jobs")["message"], "plain");
}

#[test]
fn what_is_not_acknowledged_in_time_comes_back_before_others() {
    let (server, mut http) = start();
    set(&mut http, "jobs", &json!({ "visibility_timeout_seconds": 1, "max_retries": 1 }));
    let first = enqueue(&mut http, "jobs", &json!({ "n": 1 }));
    enqueue(&mut http, "jobs", &json!({ "n": 2 }));
    assert_eq!(dequeue(&mut http, "jobs")["message_id"], first);
    wait_for("the message to be ready again", || {
        get(&mut http, "/queue/status/jobs")["in_flight"] == 0
    });
    assert!(!ack(&mut http, &first), "its time is over");
    let again = dequeue(&mut http, "jobs");
    assert_eq!((&again["message_id"], &again["delivery_count"]), (&json!(first), &json!(2)));
    wait_for("the message to be a dead letter", || {
        get(&mut http, "/queue/status/jobs")["dead_letters"] == 1
    });
    let mut resp = server.resp();
    let number = first.strip_prefix("node_0-").expect("the node's name").to_owned();
    assert!(resp.call(&["DSS.DLQ", "LIST", "jobs"]).contains(&number));
    assert_eq!(resp.call(&["DSS.DLQ", "REQUEUE", "jobs", &number]), ":1");
    set(&mut http, "jobs", &json!({ "visibility_timeout_seconds": 3600 }));
    assert_eq!(dequeue(&mut http, "jobs")["message_id"], first);
    assert!(ack(&mut http, &first));
}

#[test]
fn kill_9_loses_nothing_and_leaves_messages_with_their_consumers() {
    let (plan, port) = plan();
    let plan = plan.fsync("always").env("SYNAP_DSS__VISIBILITY_TIMEOUT_SECS", 3600);
    let server = plan.start();
    let mut http = Http::connect(port);
    let mut ids: Vec<String> = Vec::new();
    for n in 0..20 {
        ids.push(enqueue(&mut http, &format!("jobs{}", n % 4), &json!({ "n": n })));
    }
    let held = dequeue(&mut http, "jobs0")["message_id"].as_str().expect("an id").to_owned();
    let done = dequeue(&mut http, "jobs1")["message_id"].as_str().expect("an id").to_owned();
    assert!(ack(&mut http, &done));
    server.resp().call(&["BGSAVE"]);
    server.kill();
    // On other cores, too.
    let next = free_ports(0);
    let plan = plan.workers(3).fresh_ports().env("SYNAP_DSS__QUEUE_PORT", next);
    let server = plan.start();
    let mut http = Http::connect(next);
    let all = get(&mut http, "/queue/all?verbose=true");
    assert_eq!((&all["total_messages"], &all["total_in_flight"]), (&json!(18), &json!(1)));
    assert_eq!(all["queues"]["jobs0"]["in_flight_ids"], json!([held]));
    assert!(!ack(&mut http, &done), "it was done before");
    assert!(ack(&mut http, &held), "the consumer still has it");
    let new = enqueue(&mut http, "jobs0", &json!({}));
    assert!(!ids.contains(&new), "no id is given twice");
    server.kill();
    let server = plan.start();
    let mut http = Http::connect(next);
    let mut found = BTreeSet::new();
    for n in 0..4 {
        while let Some(id) = dequeue(&mut http, &format!("jobs{n}"))["message_id"].as_str() {
            assert!(ack(&mut http, id));
            assert!(found.insert(id.to_owned()), "{id} came twice");
        }
    }
    let expected: BTreeSet<String> =
        ids.into_iter().filter(|id| *id != held && *id != done).chain([new]).collect();
    assert_eq!(found, expected);
    server.stop();
}

#[test]
fn each_message_is_with_one_consumer_at_a_time() {
    const PRODUCERS: usize = 4;
    const CONSUMERS: usize = 8;
    const EACH: usize = 150;
    let (plan, port) = plan();
    let _server = plan.env("SYNAP_DSS__VISIBILITY_TIMEOUT_SECS", 3600).start();
    let taken = Mutex::new(BTreeSet::new());
    let sent = Mutex::new(BTreeSet::new());
    let left = AtomicUsize::new(PRODUCERS * EACH);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let sent = &sent;
            scope.spawn(move || {
                let mut http = Http::connect(port);
                for n in 0..EACH {
                    let message = json!({ "producer": producer, "n": n });
                    let id = enqueue(&mut http, &format!("q{}", n % 2), &message);
                    assert!(sent.lock().expect("nobody panics").insert(id), "an id came twice");
                }
            });
        }
        for _ in 0..CONSUMERS {
            scope.spawn(|| {
                // Acknowledged by another connection, which another core may have.
                let (mut http, mut other) = (Http::connect(port), Http::connect(port));
                for turn in 0.. {
                    // When one of them has failed, the others end too.
                    if left.load(SeqCst) == 0 || began.elapsed() > 4 * PATIENCE {
                        return;
                    }
                    let answer = dequeue(&mut http, &format!("q{}", turn % 2));
                    let Some(id) = answer["message_id"].as_str() else { continue };
                    assert_eq!(answer["delivery_count"], 1);
                    assert!(taken.lock().expect("nobody panics").insert(id.to_owned()), "{id}");
                    assert!(ack(&mut other, id), "{id}");
                    left.fetch_sub(1, SeqCst);
                }
            });
        }
    });
    assert_eq!(*taken.lock().expect("nobody panics"), *sent.lock().expect("nobody panics"));
    let all = get(&mut Http::connect(port), "/queue/all");
    assert_eq!((&all["total_messages"], &all["total_in_flight"]), (&json!(0), &json!(0)));
}

const ACCESS: &str = r#"
authentication: {enabled: true, require_auth: true, public_metrics: false}
roles:
  - {name: sender, permissions: [{resource: "queue:jobs*", actions: [write]}]}
  - {name: worker, permissions: [{resource: "queue:jobs*", actions: [consume]}]}
  - {name: viewer, permissions: [{resource: "queue:jobs*", actions: [read]}]}
  - {name: keeper, permissions: [{resource: "queue:jobs*", actions: [configure]}]}
users:
  - {username: chief, password: "a long enough word", role: admin}
api_keys:
  - {key: sk_admin_5f6d7c0b4a3e2d1c, name: ops, role: admin}
  - {key: sk_sender_5f6d7c0b4a3e2d1, name: sender, role: sender}
  - {key: sk_worker_5f6d7c0b4a3e2d1, name: worker, role: worker}
  - {key: sk_viewer_5f6d7c0b4a3e2d1, name: viewer, role: viewer}
  - {key: sk_keeper_5f6d7c0b4a3e2d1, name: keeper, role: keeper}
"#;

fn send_as(http: &mut Http, key: &str, head: &str, body: &str) -> Answer {
    let (method, path) = head.split_once(' ').expect("a method and a path");
    let key = if key.is_empty() { String::new() } else { format!("X-API-Key: {key}\r\n") };
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{key}Content-Length: {length}\r\n");
    http.send(format!("{head}\r\n{body}"));
    http.answer(method)
}

#[test]
fn everyone_may_do_what_the_roles_say() {
    let (plan, port) = plan();
    let _server = plan.config(ACCESS).start();
    let mut http = Http::connect(port);
    let admin = "sk_admin_5f6d7c0b4a3e2d1c";
    for queue in ["jobs", "other"] {
        let sent = json!({ "queue_name": queue, "message": {} }).to_string();
        for _ in 0..2 {
            assert_eq!(send_as(&mut http, admin, "POST /queue/enqueue", &sent).status, 200);
        }
    }
    let take = |http: &mut Http, queue: &str| {
        let body = json!({ "queue_name": queue }).to_string();
        let answer = send_as(http, admin, "POST /queue/dequeue", &body).json();
        json!({ "message_id": answer["message_id"] }).to_string()
    };
    let (own, others) = (take(&mut http, "jobs"), take(&mut http, "other"));
    let enqueue = |queue: &str| json!({ "queue_name": queue, "message": {} }).to_string();
    let name = |queue: &str| json!({ "queue_name": queue }).to_string();
    let settings = String::from(r#"{"max_retries":2}"#);
    // Who has the right, the request about a queue of the roles', the same about another.
    let matrix = [
        (
            &["sender", "keeper"][..],
            ["POST /queue/enqueue"; 2],
            [enqueue("jobs"), enqueue("other")],
        ),
        (
            &["sender", "worker", "keeper"],
            ["POST /queue/dequeue"; 2],
            [name("jobs"), name("other")],
        ),
        (
            &["viewer", "keeper"],
            ["GET /queue/status/jobs", "GET /queue/status/other"],
            Default::default(),
        ),
        (
            &["keeper"],
            ["PUT /queue/settings/jobs", "PUT /queue/settings/other"],
            [settings.clone(), settings],
        ),
        (&["sender", "worker", "keeper"], ["POST /queue/ack"; 2], [own, others]),
    ];
    for (roles, heads, bodies) in matrix {
        for who in ["sender", "worker", "viewer", "keeper"] {
            let key = format!("sk_{who}_5f6d7c0b4a3e2d1");
            let [status, other] = [0, 1]
                .map(|at| send_as(&mut http, &key, heads[at], &bodies[at]))
                .map(|answer| (answer.status, answer.json()));
            let expected = if roles.contains(&who) { 200 } else { 403 };
            assert_eq!(status.0, expected, "{who} {heads:?} {status:?}");
            assert_eq!(other.0, 403, "{who} {heads:?} {other:?}");
            assert_eq!(other.1["detail"], other.1["error"]);
        }
        for (key, status) in [("", 401), ("sk_nobody_5f6d7c0b4a3e2d", 401)] {
            let answer = send_as(&mut http, key, heads[0], &bodies[0]);
            assert_eq!(answer.status, status, "{heads:?}");
            assert!(answer.field("www-authenticate").is_some());
            error_of(&answer);
        }
    }
    let list = |http: &mut Http, key: &str| {
        send_as(http, key, "GET /queue/all", "").json()["queues"].clone()
    };
    let seen = list(&mut http, "sk_viewer_5f6d7c0b4a3e2d1");
    assert!(seen.get("jobs").is_some() && seen.get("other").is_none(), "{seen}");
    assert_eq!(list(&mut http, "sk_sender_5f6d7c0b4a3e2d1"), json!({}));
    assert_eq!(list(&mut http, admin).as_object().map(serde_json::Map::len), Some(2));
    assert_eq!(send_as(&mut http, "", "GET /health", "").status, 200);
    assert_eq!(send_as(&mut http, "", "GET /metrics", "").status, 401);
    assert_eq!(send_as(&mut http, "sk_viewer_5f6d7c0b4a3e2d1", "GET /metrics", "").status, 403);
    assert_eq!(send_as(&mut http, admin, "GET /metrics", "").status, 200);
}

#[test]
fn metrics_are_json_or_text() {
    let (server, mut http) = start();
    let id = enqueue(&mut http, "jobs", &json!({}));
    enqueue(&mut http, "jobs", &json!({}));
    dequeue(&mut http, "jobs");
    assert!(ack(&mut http, &id));
    wait_for("the queue to be looked at", || {
        let metrics = get(&mut http, "/metrics");
        metrics["queue_depth"] == 1 && metrics["messages_acknowledged"] == 1
    });
    let metrics = get(&mut http, "/metrics");
    assert_eq!((&metrics["node_id"], &metrics["total_queues"]), (&json!("node_0"), &json!(1)));
    for name in ["in_flight_messages", "throughput", "enqueue_latency_ms", "dequeue_latency_ms"] {
        assert!(metrics[name].is_number(), "{name}");
    }
    http.send("GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: text/plain;version=0.0.4\r\n\r\n");
    let text = http.answer("GET");
    assert!(text.field("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    for line in [
        "dss_queue_depth{queue=\"jobs\"} 1\n",
        "dss_in_flight_messages{queue=\"jobs\"} 0\n",
        "dss_operations_total{queue=\"jobs\",operation=\"enqueue\"} 2\n",
        "dss_enqueue_latency_seconds_count 2\n",
        "path=\"/dss-queue/queue/ack\"",
    ] {
        assert!(text.text().contains(line), "{line} {}", text.text());
    }
    let main = server.http().request("GET", "/metrics", "");
    assert!(main.text().contains("dss_queue_depth{queue=\"jobs\"} 1\n"));
    let document = get(&mut http, "/openapi.json");
    let paths = document["paths"].as_object().expect("an object");
    assert_eq!(paths.len(), 9, "{paths:?}");
    assert!(document["paths"]["/queue/enqueue"]["post"]["requestBody"].is_object());
    let main = get(&mut server.http(), "/openapi.json");
    assert!(main["paths"].get("/queue/enqueue").is_none());
}

#[test]
fn browsers_may_call_from_anywhere_unless_told() {
    let ask = "OPTIONS /queue/enqueue HTTP/1.1\r\nHost: x\r\nOrigin: http://page\r\n\
               Access-Control-Request-Method: POST\r\n\
               Access-Control-Request-Headers: x-anything\r\n\r\n";
    let (_server, mut http) = start();
    http.send(ask);
    let leave = http.answer("OPTIONS");
    assert_eq!(leave.field("access-control-allow-origin"), Some("http://page"));
    assert_eq!(leave.field("access-control-allow-headers"), Some("x-anything"));
    assert_eq!(leave.field("access-control-allow-credentials"), Some("true"));
    http.send("GET /health HTTP/1.1\r\nHost: x\r\nOrigin: http://page\r\n\r\n");
    let answer = http.answer("GET");
    assert_eq!(answer.field("access-control-allow-origin"), Some("http://page"));
    assert_eq!(answer.field("access-control-allow-credentials"), Some("true"));
    let (plan, port) = plan();
    let config = format!("{ACCESS}\ndss: {{allowed_origins: [\"http://own\", \"*\"]}}\n");
    let _asks = plan.config(&config).start();
    let mut http = Http::connect(port);
    for (origin, credentials) in [("http://page", None), ("http://own", Some("true"))] {
        http.send(ask.replace("http://page", origin));
        let leave = http.answer("OPTIONS");
        assert_eq!(leave.field("access-control-allow-origin"), Some(origin));
        assert_eq!(leave.field("access-control-allow-credentials"), credentials, "{origin}");
    }
}

#[test]
fn limits_hold_for_it_as_for_others() {
    let (plan, port) = plan();
    let _server = plan
        .workers(1)
        .env("SYNAP_RATE_LIMIT__ENABLED", "true")
        .env("SYNAP_RATE_LIMIT__REQUESTS_PER_SECOND", 1)
        .env("SYNAP_RATE_LIMIT__BURST_SIZE", 1)
        .env("SYNAP_SERVER__MAX_REQUEST_SIZE_MB", 1)
        .start();
    let mut http = Http::connect(port);
    let body = json!({ "queue_name": "q" }).to_string();
    let mut limited = None;
    wait_for("a request beyond the limit", || {
        let answer = http.request("POST", "/queue/dequeue", &body);
        limited = (answer.status == 429).then_some(answer);
        limited.is_some()
    });
    let limited = limited.expect("it was awaited");
    assert!(limited.field("retry-after").is_some());
    error_of(&limited);
    assert_eq!(http.request("GET", "/health", "").status, 200, "whoever watches is not limited");
    http.send("POST /queue/enqueue HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n");
    let large = http.answer("POST");
    assert_eq!(large.status, 413);
    error_of(&large);
}

#[test]
fn services_that_are_not_there_are_not_promised() {
    for (key, value) in [
        ("SYNAP_DSS__LOCK_PORT", "8080"),
        ("SYNAP_DSS__CACHE_PORT", "7000"),
        ("SYNAP_DSS__PEER_NODES", "queue_1:127.0.0.1:9001"),
    ] {
        let (plan, _) = plan();
        let plan = plan.env(key, value);
        assert!(!plan.run_to_end().success(), "{key}");
        let name = key.trim_start_matches("SYNAP_").to_ascii_lowercase().replace("__", ".");
        assert!(plan.log().contains(&format!("`{name}`")), "{}", plan.log());
    }
    // Without its port nothing of it is served, and its commands are there all the same.
    let server = Server::start();
    assert!(server.resp().call(&["DSS.ENQUEUE", "q", "{}"]).parse::<u64>().is_ok());
}

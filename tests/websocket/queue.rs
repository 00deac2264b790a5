//! Queues over WebSocket: messages are pushed as they come, settled over the same connection, and
//! given back when it ends.

use std::thread;

use serde_json::{Value, json};

use crate::client::{Reply, Socket, masked};
use crate::support::http::Http;
use crate::support::{Plan, Server, wait_for};

/// The next text frame; pings are passed over.
pub(crate) fn next(socket: &mut Socket) -> Value {
    loop {
        match socket.next() {
            Some(Reply::Text(text)) => {
                return serde_json::from_str(&text).expect("frames are JSON");
            }
            Some(Reply::Ping(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn say(socket: &mut Socket, frame: &Value) {
    assert!(socket.try_send(&masked(0x81, frame.to_string().as_bytes())));
}

fn consume(server: &Server, path: &str) -> Socket {
    let mut socket = Socket::open(server.plan.http, path);
    let hello = next(&mut socket);
    assert_eq!(hello["type"], "connected", "{hello}");
    socket
}

fn create(http: &mut Http, queue: &str, settings: &Value) {
    let answer = http.request("POST", &format!("/queue/{queue}"), &settings.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn publish(http: &mut Http, queue: &str, text: &str) -> String {
    let body = json!({ "payload": text.as_bytes() }).to_string();
    let answer = http.request("POST", &format!("/queue/{queue}/publish"), &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["message_id"].as_str().expect("an id").to_owned()
}

fn stats(http: &mut Http, queue: &str) -> Value {
    http.request("GET", &format!("/queue/{queue}/stats"), "").json()
}

/// A message's text, and how often it has failed.
fn message(frame: &Value) -> (String, u64) {
    assert_eq!(frame["type"], "message", "{frame}");
    let text = frame["payload"].as_str().expect("text").to_owned();
    (text, frame["retry_count"].as_u64().expect("a count"))
}

fn id(frame: &Value) -> &str {
    frame["message_id"].as_str().expect("an id")
}

#[test]
fn messages_are_pushed_as_they_come_and_no_more_than_a_consumer_wants() {
    let server = Server::start();
    let mut http = server.http();
    create(&mut http, "q", &json!({}));
    let mut socket = Socket::open(server.plan.http, "/queue/q/ws/c?prefetch=2");
    let hello = next(&mut socket);
    assert_eq!(hello, json!({"type": "connected", "queue": "q", "consumer_id": "c"}));
    let ids: Vec<String> = ["a", "b", "c"].map(|text| publish(&mut http, "q", text)).into();
    let first = next(&mut socket);
    assert_eq!(first["payload"], json!([97]), "bytes unless it is asked for otherwise");
    assert_eq!((id(&first), &first["retry_count"]), (&*ids[0], &json!(0)));
    assert!(first["priority"].is_u64() && first["created_at"].is_u64());
    assert_eq!(first["headers"], json!({}));
    assert_eq!(id(&next(&mut socket)), ids[1]);
    assert_eq!(stats(&mut http, "q")["pending"], 2, "the third has to wait");
    say(&mut socket, &json!({"command": "ack", "message_id": ids[0]}));
    assert_eq!(next(&mut socket), json!({"type": "acked", "message_id": ids[0]}));
    assert_eq!(id(&next(&mut socket)), ids[2]);
    say(&mut socket, &json!({"command": "nack", "message_id": ids[1]}));
    assert_eq!(next(&mut socket), json!({"type": "nacked", "message_id": ids[1]}));
    let again = next(&mut socket);
    assert_eq!((id(&again), &again["retry_count"]), (&*ids[1], &json!(1)));
    say(&mut socket, &json!({"command": "nack", "message_id": ids[1], "requeue": false}));
    assert_eq!(next(&mut socket)["type"], "nacked");
    assert_eq!(stats(&mut http, "q")["dlq_count"], 1);
    server.stop();
}

#[test]
fn what_is_wrong_is_said_and_the_connection_goes_on() {
    let server = Server::start();
    let mut http = server.http();
    create(&mut http, "q", &json!({}));
    let mut socket = consume(&server, "/queue/q/ws/c?encoding=json");
    let stranger = "00000000-0000-8000-8000-000000000000";
    say(&mut socket, &json!({"command": "ack", "message_id": stranger}));
    let refused = next(&mut socket);
    assert_eq!((&refused["type"], &refused["message_id"]), (&json!("error"), &json!(stranger)));
    for bad in [json!({"command": "seek", "offset": 1}), json!({"command": "ack"}), json!([])] {
        say(&mut socket, &bad);
        assert_eq!(next(&mut socket)["type"], "error", "{bad}");
    }
    let sent = publish(&mut http, "q", r#"{"a":1}"#);
    let frame = next(&mut socket);
    assert_eq!((id(&frame), &frame["payload"]), (&*sent, &json!({"a": 1})));
    for (path, status) in [("/queue/q/ws/c", 426), ("/queue/q/ws/c?prefetch=0", 426)] {
        assert_eq!(http.request("GET", path, "").status, status, "{path}");
    }
    for bad in ["prefetch=0", "prefetch=1001", "prefetch=x", "encoding=morse"] {
        let mut http = server.http();
        http.send(format!(
            "GET /queue/q/ws/c?{bad} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ));
        assert_eq!(http.answer("GET").status, 400, "{bad}");
    }
    server.stop();
}

#[test]
fn what_a_consumer_had_is_given_back_in_order_and_has_not_failed() {
    let server = Server::start();
    let mut http = server.http();
    create(&mut http, "q", &json!({"default_max_retries": 0, "ack_deadline_secs": 3600}));
    for at in 0..6 {
        publish(&mut http, "q", &at.to_string());
    }
    let mut first = consume(&server, "/queue/q/ws/c?prefetch=3&encoding=text");
    let taken: Vec<Value> = (0..3).map(|_| next(&mut first)).collect();
    // The same name, but another connection: it keeps what it has.
    let mut second = consume(&server, "/queue/q/ws/c?prefetch=9&encoding=text");
    for at in 3..6 {
        assert_eq!(message(&next(&mut second)), (at.to_string(), 0));
    }
    say(&mut first, &json!({"command": "ack", "message_id": taken[1]["message_id"]}));
    assert_eq!(next(&mut first)["type"], "acked");
    // One end comes with a goodbye, the other without.
    first.try_send(&masked(0x88, &1000_u16.to_be_bytes()));
    assert_eq!(first.all().last(), Some(&Reply::Close(Some(1000))));
    for at in [0, 2] {
        assert_eq!(message(&next(&mut second)), (at.to_string(), 0));
    }
    drop(second);
    wait_for("messages to be given back", || stats(&mut http, "q")["depth"] == 5);
    let mut third = consume(&server, "/queue/q/ws/d?prefetch=9&encoding=text");
    for at in [0, 2, 3, 4, 5] {
        assert_eq!(message(&next(&mut third)), (at.to_string(), 0));
    }
    let counts = stats(&mut http, "q");
    assert_eq!((&counts["pending"], &counts["dlq_count"]), (&json!(5), &json!(0)));
    server.stop();
}

#[test]
fn a_queue_that_is_gone_ends_its_connections() {
    let server = Server::start();
    let mut http = server.http();
    let end = |socket: &mut Socket| {
        let last = next(socket);
        assert_eq!(last["type"], "error", "{last}");
        assert_eq!(socket.all(), [Reply::Close(Some(1000))]);
    };
    let mut early = Socket::open(server.plan.http, "/queue/q/ws/c");
    end(&mut early);
    create(&mut http, "q", &json!({}));
    let mut full = consume(&server, "/queue/q/ws/a");
    publish(&mut http, "q", "x");
    assert_eq!(next(&mut full)["type"], "message");
    let mut idle = consume(&server, "/queue/q/ws/b");
    assert_eq!(http.request("DELETE", "/queue/q", "").status, 200);
    end(&mut idle);
    end(&mut full);
    server.stop();
}

#[test]
fn consumers_who_let_their_time_pass_are_given_more() {
    let server = Server::start();
    let mut http = server.http();
    create(&mut http, "q", &json!({"ack_deadline_secs": 1, "default_max_retries": 0}));
    for text in ["a", "b", "c"] {
        publish(&mut http, "q", text);
    }
    let mut socket = consume(&server, "/queue/q/ws/c?encoding=text");
    for text in ["a", "b", "c"] {
        assert_eq!(message(&next(&mut socket)), (text.to_owned(), 0));
    }
    server.stop();
}

#[test]
fn an_acknowledgement_outlives_the_server() {
    let server = Plan::new().fsync("always").start();
    let mut http = server.http();
    create(&mut http, "q", &json!({}));
    let ids: Vec<String> = ["a", "b", "c"].map(|text| publish(&mut http, "q", text)).into();
    let mut socket = consume(&server, "/queue/q/ws/c?prefetch=3&encoding=text");
    (0..3).for_each(|_| assert_eq!(next(&mut socket)["type"], "message"));
    say(&mut socket, &json!({"command": "ack", "message_id": ids[1]}));
    assert_eq!(next(&mut socket)["type"], "acked");
    let plan = server.plan.clone();
    server.kill();
    let server = plan.fresh_ports().start();
    let mut socket = consume(&server, "/queue/q/ws/c?prefetch=3&encoding=text");
    for text in ["a", "c"] {
        assert_eq!(message(&next(&mut socket)), (text.to_owned(), 0));
    }
    server.stop();
}

#[test]
fn who_does_not_read_costs_little_and_loses_nothing() {
    const MESSAGES: u64 = 600;
    let server = Server::start();
    let mut http = server.http();
    create(&mut http, "q", &json!({"ack_deadline_secs": 3600}));
    let text = "x".repeat(100_000);
    for _ in 0..MESSAGES {
        let body = json!({ "message": text }).to_string();
        assert_eq!(http.request("POST", "/queue/q/publish", &body).status, 200);
    }
    let before = server.rss();
    let stuck = consume(&server, "/queue/q/ws/stuck?prefetch=1000&encoding=base64");
    // It is asked for more only while what it was given goes away, into the buffers of the sockets.
    let mut pending = 0;
    wait_for("the consumer to be stuck", || {
        let now = stats(&mut http, "q")["pending"].as_u64().expect("a count");
        let is_stuck = now > 0 && now == pending;
        pending = now;
        is_stuck
    });
    assert!(pending < MESSAGES / 2, "{pending} were given to it");
    assert!(server.rss() < before + 64 * 1024 * 1024, "{before} {}", server.rss());
    drop(stuck);
    wait_for("messages to be given back", || stats(&mut http, "q")["depth"] == MESSAGES);
    server.stop();
}

#[test]
fn every_message_is_acknowledged_once_by_consumers_that_come_and_go() {
    const MESSAGES: usize = 400;
    let server = Server::start();
    let mut http = server.http();
    create(&mut http, "q", &json!({"ack_deadline_secs": 3600, "default_max_retries": 0}));
    let done = std::sync::Mutex::new(std::collections::BTreeSet::new());
    thread::scope(|scope| {
        for worker in 0..4_usize {
            let (done, server) = (&done, &server);
            scope.spawn(move || {
                for round in 0.. {
                    let path = format!("/queue/q/ws/w{worker}?prefetch=7&encoding=text");
                    let mut socket = consume(server, &path);
                    // Some connections end with messages unsettled.
                    for _ in 0..10 + (worker * 7 + round) % 13 {
                        let frame = next(&mut socket);
                        if frame["type"] == "acked" {
                            let text = id(&frame).to_owned();
                            assert!(done.lock().expect("no panic").insert(text), "{frame}");
                            continue;
                        }
                        let (text, failures) = message(&frame);
                        assert_eq!(failures, 0, "{frame}");
                        if text == "end" {
                            return;
                        }
                        say(
                            &mut socket,
                            &json!({"command": "ack", "message_id": frame["message_id"]}),
                        );
                    }
                }
            });
        }
        for at in 0..MESSAGES {
            publish(&mut http, "q", &at.to_string());
        }
        wait_for("all to be acknowledged", || stats(&mut http, "q")["acked"] == MESSAGES);
        // Each worker ends with one of these, which it leaves to the next.
        for _ in 0..4 {
            publish(&mut http, "q", "end");
        }
    });
    let seen = done.into_inner().expect("no panic").len();
    assert!(seen <= MESSAGES, "{seen}");
    wait_for("the rest to be given back", || stats(&mut http, "q")["depth"] == 4);
    server.stop();
}

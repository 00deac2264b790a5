//! Messages and changes of keys over WebSocket and event streams.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};

use serde_json::{Value, json};

use crate::client::{Reply, Socket, masked};
use crate::support::http::Http;
use crate::support::{PATIENCE, Plan, Server};

fn object(reply: Option<Reply>) -> Value {
    match reply {
        Some(Reply::Text(text)) => serde_json::from_str(&text).expect("frames are JSON"),
        other => panic!("{other:?}"),
    }
}

fn publish(http: &mut Http, topic: &str, payload: &Value) -> Value {
    let body = json!({ "payload": payload, "metadata": { "k": "v" } }).to_string();
    let answer = http.request("POST", &format!("/pubsub/{topic}/publish"), &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn connected(socket: &mut Socket, topics: &[&str]) {
    let hello = object(socket.next());
    assert_eq!(hello["type"], "connected", "{hello}");
    assert_eq!(hello["topics"], json!(topics));
    assert_eq!(hello["subscription_count"], topics.len());
    assert!(hello["subscriber_id"].is_string());
}

#[test]
fn topics_are_told_to_every_websocket_once_and_in_order() {
    let server = Server::start();
    let path = "/pubsub/ws?topics=a.*,a.%23,b";
    let mut sockets: Vec<Socket> = (0..8).map(|_| Socket::open(server.plan.http, path)).collect();
    for socket in &mut sockets {
        connected(socket, &["a.*", "a.#", "b"]);
    }
    let mut http = server.http();
    let mut ids = Vec::new();
    for number in 0..50 {
        let answer = publish(&mut http, "a.b", &json!({ "n": number }));
        assert_eq!(answer["subscribers_matched"], 8);
        ids.push(answer["message_id"].clone());
    }
    server.resp().call(&["PUBLISH", "b", "plain"]);
    for socket in &mut sockets {
        for (number, id) in ids.iter().enumerate() {
            let message = object(socket.next());
            assert_eq!(message["type"], "message");
            assert_eq!(message["payload"], json!({ "n": number }));
            assert_eq!((&message["message_id"], &message["topic"]), (id, &json!("a.b")));
            assert_eq!(message["metadata"], json!({"k": "v"}));
        }
        assert_eq!(object(socket.next())["payload"], "plain");
    }
    drop(sockets);
    // Subscriptions end with their sockets.
    let gone = || publish(&mut server.http(), "a.b", &json!(1))["subscribers_matched"] == 0;
    crate::support::wait_for("subscriptions to end", gone);
    server.stop();
}

#[test]
fn a_websocket_subscribes_to_more_and_to_less() {
    let server = Server::start();
    let mut socket = Socket::open(server.plan.http, "/pubsub/ws?topics=a");
    connected(&mut socket, &["a"]);
    let say = |socket: &mut Socket, text: Value| {
        socket.try_send(&masked(0x81, text.to_string().as_bytes()));
        object(socket.next())
    };
    let more = say(&mut socket, json!({"command": "subscribe", "topics": ["b.*", "c"]}));
    assert_eq!(
        more,
        json!({"type": "subscribed", "topics": ["b.*", "c"], "subscription_count": 3})
    );
    let less = say(&mut socket, json!({"command": "unsubscribe", "topics": ["a"]}));
    assert_eq!(less, json!({"type": "unsubscribed", "topics": ["a"], "subscription_count": 2}));
    let bad = say(&mut socket, json!({"command": "subscribe", "topics": ["#.a"]}));
    assert_eq!(bad["type"], "error");
    assert_eq!(say(&mut socket, json!({"command": "dance"}))["type"], "error");
    let mut http = server.http();
    assert_eq!(publish(&mut http, "a", &json!(1))["subscribers_matched"], 0);
    assert_eq!(publish(&mut http, "b.x", &json!(2))["subscribers_matched"], 1);
    assert_eq!(object(socket.next())["payload"], 2);
    socket.try_send(&masked(0x82, b"bytes"));
    assert_eq!(socket.all(), [Reply::Close(Some(1003))]);
    server.stop();
}

#[test]
fn names_that_are_none_are_refused_before_the_upgrade() {
    let server = Server::start();
    let mut http = server.http();
    for (path, status) in [
        ("/pubsub/sse", 400),
        ("/pubsub/sse?topics=", 400),
        ("/pubsub/sse?topics=a,,b", 400),
        ("/pubsub/sse?topics=a..b", 400),
        ("/pubsub/ws?topics=a", 426),
    ] {
        assert_eq!(http.request("GET", path, "").status, status, "{path}");
    }
    http.send(
        "GET /pubsub/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert_eq!(http.answer("GET").status, 400);
    server.stop();
}

#[test]
fn events_come_with_their_ids() {
    let server = Server::start();
    let mut stream =
        TcpStream::connect((Ipv4Addr::LOCALHOST, server.plan.http)).expect("it accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    stream
        .write_all(b"GET /pubsub/sse?topics=news.*,x HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("it reads");
    let mut lines = BufReader::new(stream).lines().map(|line| line.expect("a line"));
    let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    assert!(head[0].contains("200") && head.iter().any(|line| line.contains("event-stream")));
    let mut event =
        || -> Vec<String> { lines.by_ref().take_while(|line| !line.is_empty()).collect() };
    let hello = event();
    assert_eq!(hello[0], "event: connected");
    let answer = publish(&mut server.http(), "news.eu", &json!("line\nline"));
    let message = event();
    let id = answer["message_id"].as_str().expect("an id");
    assert_eq!(message[0], format!("id: {id}"));
    assert_eq!(message[1], "event: message");
    let data: Value =
        serde_json::from_str(message[2].strip_prefix("data: ").expect("data")).expect("JSON");
    assert_eq!(data["payload"], "line\nline");
    server.stop();
}

#[test]
fn changes_of_keys_are_told_with_their_values() {
    let server = Server::start();
    let mut socket = Socket::open(server.plan.http, "/kv/ws?keys=a,user:*,a*");
    let hello = object(socket.next());
    assert_eq!(hello["type"], "connected", "{hello}");
    assert_eq!(hello["keys"], json!(["a", "user:*", "a*"]));
    let mut client = server.resp();
    let mut next = |words: &[&str]| {
        client.call(words);
        let message = object(socket.next());
        assert_eq!(message["type"], "message");
        let key = message["payload"]["key"].as_str().expect("a key").to_owned();
        assert_eq!(message["topic"], format!("__watch@0__:{key}"));
        message["payload"].clone()
    };
    let set = next(&["SET", "a", "1"]);
    assert_eq!(
        (&set["key"], &set["event"], &set["value"]),
        (&json!("a"), &json!("set"), &json!("1"))
    );
    let grown = next(&["APPEND", "a", "2"]);
    assert_eq!((&grown["event"], &grown["value"]), (&json!("append"), &json!("12")));
    assert!(grown["version"].as_u64() > set["version"].as_u64());
    let pushed = next(&["RPUSH", "user:7", "x"]);
    assert_eq!((&pushed["key"], &pushed["event"]), (&json!("user:7"), &json!("rpush")));
    assert_eq!(pushed["value"], Value::Null);
    let large = "x".repeat(70_000);
    let large = next(&["SET", "a", &large]);
    assert_eq!((&large["truncated"], &large["value"]), (&json!(true), &Value::Null));
    let gone = next(&["DEL", "a"]);
    assert_eq!((&gone["event"], &gone["value"]), (&json!("del"), &Value::Null));
    server.stop();
}

/// Publishes until a subscriber that does not read has been given up or has missed something.
fn flood(server: &Server, http: &mut Http) {
    let payload = json!("x".repeat(100_000));
    let slow = |http: &mut Http| {
        http.request("GET", "/pubsub/stats", "").json()["slow_consumers_dropped"]
            .as_u64()
            .expect("a count")
    };
    for _ in 0..2000 {
        publish(http, "t", &payload);
        if slow(http) > 0 {
            return;
        }
    }
    panic!("the subscriber is never found slow: {:?}", server.plan.http);
}

#[test]
fn who_does_not_read_is_closed() {
    let server = Plan::new().env("SYNAP_PUBSUB__CHANNEL_CAPACITY", 16).start();
    let mut stuck = Socket::open(server.plan.http, "/pubsub/ws?topics=t");
    connected(&mut stuck, &["t"]);
    let mut http = server.http();
    flood(&server, &mut http);
    let gone = || publish(&mut server.http(), "t", &json!(1))["subscribers_matched"] == 0;
    crate::support::wait_for("the subscriber to go", gone);
    server.stop();
}

#[test]
fn who_does_not_read_misses_messages_where_that_is_wanted() {
    let server = Plan::new()
        .env("SYNAP_PUBSUB__CHANNEL_CAPACITY", 16)
        .env("SYNAP_PUBSUB__SLOW_CONSUMER", "drop")
        .start();
    let mut slow = Socket::open(server.plan.http, "/pubsub/ws?topics=t");
    connected(&mut slow, &["t"]);
    let mut http = server.http();
    flood(&server, &mut http);
    let reader = std::thread::spawn(move || while object(slow.next())["payload"] != "last" {});
    // The line may still be full when the first of these comes.
    while !reader.is_finished() {
        publish(&mut http, "t", &json!("last"));
    }
    reader.join().expect("the last message came");
    server.stop();
}

#[test]
fn nothing_is_said_behind_a_close() {
    let server = Plan::new()
        .env("SYNAP_PUBSUB__CHANNEL_CAPACITY", 16)
        .env("SYNAP_PUBSUB__SLOW_CONSUMER", "drop")
        .start();
    let mut socket = Socket::open(server.plan.http, "/pubsub/ws?topics=t");
    connected(&mut socket, &["t"]);
    let mut http = server.http();
    flood(&server, &mut http);
    assert!(socket.try_send(&masked(0x88, &1000u16.to_be_bytes())));
    for _ in 0..20 {
        publish(&mut http, "t", &json!("late"));
    }
    let said = socket.all();
    let closes = said.iter().filter(|reply| matches!(reply, Reply::Close(_))).count();
    assert_eq!((said.last(), closes), (Some(&Reply::Close(Some(1000))), 1));
    server.stop();
}

#[test]
fn who_neither_reads_nor_answers_is_let_go() {
    let server = Plan::new()
        .env("SYNAP_PUBSUB__CHANNEL_CAPACITY", 16)
        .env("SYNAP_PUBSUB__SLOW_CONSUMER", "drop")
        .env("SYNAP_SERVER__WEBSOCKET_PING_SECS", 1)
        .env("SYNAP_SERVER__WEBSOCKET_PONG_TIMEOUT_SECS", 1)
        .start();
    let mut stuck = Socket::open(server.plan.http, "/pubsub/ws?topics=t");
    connected(&mut stuck, &["t"]);
    flood(&server, &mut server.http());
    let gone = || publish(&mut server.http(), "t", &json!(1))["subscribers_matched"] == 0;
    crate::support::wait_for("the subscriber to go", gone);
    server.stop();
}

//! Topics over HTTP and RESP, over two cores: one bus, patterns by segment, subscribers without a
//! connection.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::thread;

use serde_json::{Value, json};
use support::http::Http;
use support::resp::{Resp, show};
use support::{Plan, Server};

fn post(http: &mut Http, path: &str, body: &Value) -> (u16, Value) {
    let answer = http.request("POST", path, &body.to_string());
    (answer.status, answer.json())
}

fn get(http: &mut Http, path: &str) -> (u16, Value) {
    let answer = http.request("GET", path, "");
    (answer.status, answer.json())
}

/// Makes a subscriber.
fn subscribe(http: &mut Http, topics: &[&str]) -> String {
    let (status, body) = post(http, "/pubsub/subscribe", &json!({ "topics": topics }));
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["subscription_count"], topics.len());
    assert_eq!(body["topics"], json!(topics));
    assert_eq!(body["subscription_id"], body["subscriber_id"]);
    body["subscriber_id"].as_str().expect("a name").to_owned()
}

fn poll(http: &mut Http, subscriber: &str, query: &str) -> Vec<Value> {
    let (status, body) = get(http, &format!("/pubsub/{subscriber}/poll{query}"));
    assert_eq!(status, 200, "{body}");
    body["messages"].as_array().expect("messages").clone()
}

#[test]
fn messages_reach_each_subscriber_once() {
    let server = Server::start();
    // Connections are on either core; who subscribes, publishes and fetches need not share one.
    let mut connections: Vec<Http> = (0..6).map(|_| server.http()).collect();
    let all = subscribe(&mut connections[0], &["orders.*", "orders.#", "orders.eu"]);
    let one = subscribe(&mut connections[1], &["*.eu"]);
    let other = subscribe(&mut connections[2], &["orders.us.#"]);
    for (at, http) in connections.iter_mut().enumerate() {
        let body = json!({ "payload": { "n": at }, "metadata": { "from": "test" } });
        let (status, answer) = post(http, "/pubsub/orders.eu/publish", &body);
        assert_eq!((status, &answer["subscribers_matched"]), (200, &json!(2)), "{answer}");
        assert_eq!(answer["topic"], "orders.eu");
        assert_eq!(answer["message_id"].as_str().expect("an id").len(), 36);
    }
    let (_, answer) = post(
        &mut connections[0],
        "/pubsub/publish",
        &json!({"topic": "orders.us", "message": "x"}),
    );
    assert_eq!(answer["subscribers_matched"], 2);
    let heard = poll(&mut connections[5], &all, "?limit=1000&wait_ms=1000");
    let mut heard = heard;
    while heard.len() < 7 {
        heard.extend(poll(&mut connections[4], &all, "?wait_ms=30000"));
    }
    assert_eq!(heard.len(), 7);
    let first =
        heard.iter().find(|message| message["payload"] == json!({"n": 3})).expect("it came");
    assert_eq!(first["topic"], "orders.eu");
    assert_eq!(first["metadata"], json!({"from": "test"}));
    assert!(first["timestamp"].as_u64().expect("seconds") > 1_700_000_000);
    let mut theirs = Vec::new();
    while theirs.len() < 6 {
        theirs.extend(poll(&mut connections[3], &one, "?wait_ms=30000"));
    }
    assert_eq!(poll(&mut connections[3], &one, "").len(), 0);
    let us = poll(&mut connections[3], &other, "?wait_ms=30000");
    assert_eq!(us[0]["payload"], "x");
    server.stop();
}

#[test]
fn resp_and_http_share_one_bus() {
    let server = Server::start();
    let mut http = server.http();
    let mut listeners: Vec<Resp> = (0..8).map(|_| server.resp()).collect();
    for (at, client) in listeners.iter_mut().enumerate() {
        match at % 2 {
            0 => assert_eq!(client.call(&["SUBSCRIBE", "a.b"]), "[subscribe, a.b, :1]"),
            _ => assert_eq!(client.call(&["SYNAP.SUBSCRIBE", "a.*", "#"]), "[tsubscribe, a.*, :1]"),
        }
    }
    for client in listeners.iter_mut().skip(1).step_by(2) {
        assert_eq!(show(&client.reply()), "[tsubscribe, #, :2]");
    }
    let subscriber = subscribe(&mut http, &["a.#"]);
    let mut publisher = server.resp();
    assert_eq!(publisher.call(&["PUBLISH", "a.b", "plain"]), ":9");
    let body = json!({ "data": [1, 2], "metadata": { "k": "v" } });
    assert_eq!(post(&mut http, "/pubsub/a.b/publish", &body).1["subscribers_matched"], 9);
    let published = publisher.call(&["SYNAP.PUBLISH", "a.b", "{\"x\": 1}", "JSON"]);
    assert!(published.contains("subscribers_matched, :9"), "{published}");
    for (at, client) in listeners.iter_mut().enumerate() {
        let kind = if at % 2 == 0 { "message" } else { "tmessage" };
        let mut heard: Vec<String> = (0..3).map(|_| show(&client.reply())).collect();
        heard.sort();
        let expected = ["[1,2]", "plain", "{\"x\":1}"].map(|text| format!("[{kind}, a.b, {text}]"));
        assert_eq!(heard, expected);
    }
    let mut heard = Vec::new();
    while heard.len() < 3 {
        heard.extend(poll(&mut http, &subscriber, "?wait_ms=30000"));
    }
    let payloads: Vec<&Value> = heard.iter().map(|message| &message["payload"]).collect();
    for payload in [json!("plain"), json!([1, 2]), json!({"x": 1})] {
        assert!(payloads.contains(&&payload), "{payload} in {payloads:?}");
    }
    assert_eq!(listeners[1].call(&["SYNAP.UNSUBSCRIBE"]), "[tunsubscribe, #, :1]");
    assert_eq!(show(&listeners[1].reply()), "[tunsubscribe, a.*, :0]");
    assert_eq!(publisher.call(&["PUBLISH", "a.b", "x"]), ":8");
    server.stop();
}

#[test]
fn a_poll_waits_for_a_message_whatever_core_it_comes_from() {
    let server = Server::start();
    let subscriber = subscribe(&mut server.http(), &["t"]);
    for round in 0..8 {
        let (mut waiting, name) = (server.http(), subscriber.clone());
        let waiter = thread::spawn(move || poll(&mut waiting, &name, "?wait_ms=30000"));
        let (_, answer) =
            post(&mut server.http(), "/pubsub/t/publish", &json!({ "payload": round }));
        assert_eq!(answer["subscribers_matched"], 1);
        let heard = waiter.join().expect("it ends");
        assert_eq!(heard.len(), 1);
        assert_eq!(heard[0]["payload"], round);
    }
    assert!(poll(&mut server.http(), &subscriber, "?wait_ms=1").is_empty());
    server.stop();
}

#[test]
fn subscriptions_end_when_asked() {
    let server = Server::start();
    let mut http = server.http();
    let subscriber = subscribe(&mut http, &["a", "b", "c.*"]);
    let (status, body) = post(
        &mut http,
        "/pubsub/subscribe",
        &json!({ "topics": ["d"], "subscriber_id": subscriber }),
    );
    assert_eq!((status, &body["subscription_count"]), (200, &json!(4)));
    assert_eq!(get(&mut http, "/pubsub/topics").1, json!({"topics": ["a", "b", "d"], "count": 3}));
    let stats = get(&mut http, "/pubsub/stats").1;
    assert_eq!(stats["total_topics"], 3);
    assert_eq!(stats["total_subscribers"], 1);
    assert_eq!(stats["total_wildcard_subscriptions"], 1);
    for _ in 0..3 {
        post(&mut server.http(), "/pubsub/a/publish", &json!({ "payload": 1 }));
    }
    let (status, info) = get(&mut http, "/pubsub/a/info");
    assert_eq!(status, 200, "{info}");
    assert_eq!((&info["topic"], &info["subscriber_count"]), (&json!("a"), &json!(1)));
    assert_eq!(info["message_count"], 3);
    assert!(info["created_at"].as_u64().expect("seconds") > 1_700_000_000);
    let ended = json!({ "subscriber_id": subscriber, "topics": ["a", "x"] });
    assert_eq!(post(&mut http, "/pubsub/unsubscribe", &ended), (200, json!({"unsubscribed": 1})));
    assert_eq!(get(&mut http, "/pubsub/a/info").0, 404);
    let all = json!({ "subscriber_id": subscriber });
    assert_eq!(post(&mut http, "/pubsub/unsubscribe", &all), (200, json!({"unsubscribed": 3})));
    assert_eq!(get(&mut http, "/pubsub/topics").1["count"], 0);
    server.stop();
}

#[test]
fn what_makes_no_sense_is_refused() {
    let server = Server::start();
    let mut http = server.http();
    for topic in ["", "a..b", "a*", "#.a", "a.#.b"] {
        let (status, body) =
            post(&mut http, "/pubsub/subscribe", &json!({ "topics": ["ok", topic] }));
        assert_eq!(status, 400, "{topic}: {body}");
        assert_eq!(body["code"], 400);
    }
    assert_eq!(get(&mut http, "/pubsub/topics").1["count"], 0, "all or nothing");
    for (path, body, expected) in [
        ("/pubsub/subscribe", json!({}), 400),
        ("/pubsub/subscribe", json!({ "topics": [] }), 400),
        ("/pubsub/a.*/publish", json!({ "payload": 1 }), 400),
        ("/pubsub/publish", json!({ "topic": "a" }), 400),
        ("/pubsub/publish", json!({ "topic": "a", "payload": 1, "metadata": { "a": 1 } }), 400),
        ("/pubsub/publish", json!({ "topic": "a", "payload": 1, "metadata": "x" }), 400),
        ("/pubsub/unsubscribe", json!({}), 400),
        ("/pubsub/unsubscribe", json!({ "subscriber_id": "nobody" }), 404),
    ] {
        let (status, answer) = post(&mut http, path, &body);
        assert_eq!(status, expected, "{path} {body}: {answer}");
    }
    let many: Vec<String> = (0..10_001).map(|number| number.to_string()).collect();
    assert_eq!(post(&mut http, "/pubsub/subscribe", &json!({ "topics": many })).0, 400);
    assert_eq!(get(&mut http, "/pubsub/nobody/poll").0, 404);
    assert_eq!(get(&mut http, "/pubsub/nobody/info").0, 404);
    let subscriber = subscribe(&mut http, &["a"]);
    assert_eq!(get(&mut http, &format!("/pubsub/{subscriber}/poll?wait_ms=30001")).0, 400);
    assert_eq!(get(&mut http, &format!("/pubsub/{subscriber}/poll?limit=0")).0, 400);
    server.stop();
}

#[test]
fn the_oldest_messages_give_way_to_new_ones() {
    let server = Plan::new().env("SYNAP_PUBSUB__CHANNEL_CAPACITY", 10).start();
    let mut http = server.http();
    let subscriber = subscribe(&mut http, &["t"]);
    let mut publisher = server.resp();
    for number in 0..25 {
        assert_eq!(publisher.call(&["PUBLISH", "t", &number.to_string()]), ":1");
    }
    let mut last = Value::Null;
    let mut heard = Vec::new();
    while last != json!("24") {
        heard.extend(poll(&mut http, &subscriber, "?wait_ms=30000&limit=1024"));
        last = heard.last().expect("something came")["payload"].clone();
    }
    let stats = get(&mut http, "/pubsub/stats").1;
    assert_eq!(stats["slow_consumers_dropped"], 25 - heard.len());
    assert_eq!(stats["messages_published"], 25);
    server.stop();
}

#[test]
fn who_comes_late_is_told_the_last_message_where_it_is_kept() {
    let server = Plan::new().env("SYNAP_PUBSUB__KEEP_LAST_VALUE", "true").start();
    let mut publishers: Vec<Http> = (0..4).map(|_| server.http()).collect();
    for (number, http) in publishers.iter_mut().enumerate() {
        for topic in ["t.a", "t.b"] {
            let body = json!({ "payload": number });
            post(http, &format!("/pubsub/{topic}/publish"), &body);
        }
    }
    // Cores hear of messages in any order; what they keep of two cores' may differ for a moment,
    // but a message that is known to have come everywhere is the last one for everybody.
    let mut early = server.resp();
    early.call(&["SUBSCRIBE", "t.a"]);
    post(&mut publishers[0], "/pubsub/t.a/publish", &json!({ "payload": "newest" }));
    assert_eq!(show(&early.reply()), "[message, t.a, newest]");
    for _ in 0..4 {
        let mut late = server.resp();
        assert_eq!(late.call(&["SYNAP.SUBSCRIBE", "t.a", "t.*"]), "[tsubscribe, t.a, :1]");
        assert_eq!(show(&late.reply()), "[tsubscribe, t.*, :2]");
        let mut heard = vec![show(&late.reply()), show(&late.reply())];
        heard.sort();
        assert!(heard[0].starts_with("[tmessage, t.a, "), "{heard:?}");
        assert!(heard[1].starts_with("[tmessage, t.b, "), "{heard:?}");
    }
    let subscriber = subscribe(&mut server.http(), &["t.b"]);
    assert_eq!(poll(&mut server.http(), &subscriber, "?wait_ms=30000").len(), 1);
    // Nor does the last message leave a request waiting that was there before the subscription.
    for _ in 0..4 {
        let name = subscribe(&mut server.http(), &["none"]);
        let waiting = {
            let (mut http, name) = (server.http(), name.clone());
            thread::spawn(move || poll(&mut http, &name, "?wait_ms=30000"))
        };
        let again = json!({ "subscriber_id": name, "topics": ["t.b"] });
        assert_eq!(post(&mut server.http(), "/pubsub/subscribe", &again).0, 200);
        assert_eq!(waiting.join().expect("it is answered").len(), 1);
    }
    server.stop();
}

#[test]
fn a_server_without_it_says_so() {
    let server = Plan::new().env("SYNAP_PUBSUB__ENABLED", "false").start();
    let (status, body) = post(&mut server.http(), "/pubsub/a/publish", &json!({ "payload": 1 }));
    assert_eq!((status, &body["error"]), (503, &json!("Pub/sub system disabled")));
    for (command, payload) in [
        ("pubsub.publish", json!({ "topic": "a", "payload": 1 })),
        ("pubsub.subscribe", json!({ "topics": ["a"] })),
        ("pubsub.stats", json!({})),
    ] {
        let envelope = json!({ "command": command, "payload": payload });
        let (_, answer) = post(&mut server.http(), "/api/v1/command", &envelope);
        assert_eq!(answer["success"], false, "{answer}");
        assert_eq!(answer["error"], "Pub/sub system disabled", "{answer}");
    }
    server.stop();
}

#[test]
fn a_request_in_whose_place_another_waits_gets_no_messages() {
    let server = Server::start();
    let subscriber = subscribe(&mut server.http(), &["t"]);
    let waits = |query: &'static str| {
        let (mut http, subscriber) = (server.http(), subscriber.clone());
        thread::spawn(move || poll(&mut http, &subscriber, query))
    };
    let first = waits("?wait_ms=30000");
    let mut second = waits("?wait_ms=30000");
    // Whichever came first has been answered with nothing.
    let mut left = None;
    support::wait_for("one of them to be answered", || {
        if first.is_finished() {
            left = Some(true);
        } else if second.is_finished() {
            left = Some(false);
        }
        left.is_some()
    });
    let mut replaced = first;
    if left == Some(false) {
        std::mem::swap(&mut replaced, &mut second);
    }
    assert!(replaced.join().expect("it is answered").is_empty());
    post(&mut server.http(), "/pubsub/t/publish", &json!({ "payload": 1 }));
    assert_eq!(second.join().expect("it is answered").len(), 1);
    server.stop();
}

#[test]
fn a_message_is_not_taken_for_who_is_gone() {
    let server = Server::start();
    let subscriber = subscribe(&mut server.http(), &["t"]);
    // Its peer sends no more, so it does not wait.
    let mut gone = TcpStream::connect((Ipv4Addr::LOCALHOST, server.plan.http)).expect("it serves");
    let head = format!("GET /pubsub/{subscriber}/poll?wait_ms=30000 HTTP/1.1\r\nHost: x\r\n\r\n");
    gone.write_all(head.as_bytes()).expect("it reads");
    gone.shutdown(Shutdown::Write).expect("it is open");
    let mut answer = String::new();
    gone.read_to_string(&mut answer).expect("it is answered and closed");
    assert!(answer.contains("\"messages\":[]"), "{answer}");
    post(&mut server.http(), "/pubsub/t/publish", &json!({ "payload": 1 }));
    assert_eq!(poll(&mut server.http(), &subscriber, "?wait_ms=30000").len(), 1);
    server.stop();
}

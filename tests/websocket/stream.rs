//! Rooms and partitions over WebSocket and streams of events: history, then what comes, without
//! gaps.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;

use serde_json::{Value, json};

use crate::client::{Reply, Socket};
use crate::queue::{next, say};
use crate::support::http::Http;
use crate::support::{PATIENCE, Server};

/// A stream of events, read line by line.
struct Events {
    lines: BufReader<TcpStream>,
}

/// One of them.
#[derive(Debug)]
struct Told {
    id: Option<u64>,
    name: String,
    data: Value,
}

impl Events {
    fn open(port: u16, path: &str, header: &str) -> Self {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut events = Self { lines: BufReader::new(stream) };
        let head = events.block().expect("an answer");
        assert!(head[0].contains(" 200 "), "{head:?}");
        assert!(head.iter().any(|line| line.contains("text/event-stream")), "{head:?}");
        events
    }

    /// Lines up to an empty one; nothing at the end.
    fn block(&mut self) -> Option<Vec<String>> {
        let mut block = Vec::new();
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).expect("text") == 0 {
                return None;
            }
            match line.trim_end() {
                "" => return Some(block),
                line => block.push(line.to_owned()),
            }
        }
    }

    fn next(&mut self) -> Option<Told> {
        loop {
            let block = self.block()?;
            let value = |name: &str| {
                let found =
                    block.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                found.map(str::to_owned)
            };
            let Some(name) = value("event") else { continue };
            let data = serde_json::from_str(&value("data").expect("data")).expect("JSON");
            let id = value("id").map(|id| id.parse().expect("an offset"));
            return Some(Told { id, name, data });
        }
    }

    fn expect(&mut self, offsets: impl IntoIterator<Item = u64>) {
        for offset in offsets {
            let told = self.next().expect("it goes on");
            assert_eq!((told.id, &*told.name), (Some(offset), "message"), "{told:?}");
            assert_eq!(told.data["offset"], offset);
        }
    }
}

fn post(http: &mut Http, path: &str, body: &Value) -> Value {
    let answer = http.request("POST", path, &body.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn room(http: &mut Http, name: &str, events: u64) {
    post(http, &format!("/stream/{name}"), &json!({}));
    publish(http, name, 0..events);
}

fn publish(http: &mut Http, name: &str, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let event = json!({"event": "e", "data": {"n": number}, "metadata": {"k": "v"}});
        let told = post(http, &format!("/stream/{name}/publish"), &event);
        assert_eq!(told["offset"], number);
    }
}

fn expect(socket: &mut Socket, offsets: impl IntoIterator<Item = u64>) {
    for offset in offsets {
        let event = next(socket);
        assert_eq!((&event["type"], &event["offset"]), (&json!("event"), &json!(offset)));
        assert_eq!(event["data"], json!({"n": offset}));
    }
}

#[test]
fn a_room_is_read_from_its_history_on_and_sought_in() {
    let server = Server::start();
    let mut http = server.http();
    room(&mut http, "r", 5);
    let mut socket = Socket::open(server.plan.http, "/stream/r/ws/me?from_offset=2");
    assert_eq!(
        next(&mut socket),
        json!({"type": "connected", "room": "r", "subscriber_id": "me", "from_offset": 2})
    );
    let first = next(&mut socket);
    assert_eq!((&first["offset"], &first["event"]), (&json!(2), &json!("e")));
    assert_eq!((&first["room"], &first["metadata"]), (&json!("r"), &json!({"k": "v"})));
    assert!(first["timestamp"].is_u64() && first["id"].is_string());
    expect(&mut socket, 3..5);
    publish(&mut http, "r", 5..8);
    expect(&mut socket, 5..8);
    say(&mut socket, &json!({"command": "seek", "offset": 1}));
    assert_eq!(next(&mut socket), json!({"type": "seeked", "offset": 1}));
    expect(&mut socket, 1..8);
    say(&mut socket, &json!({"command": "seek", "offset": "x"}));
    assert_eq!(next(&mut socket)["type"], "error");
    let stats = http.request("GET", "/stream/r/stats", "").json();
    assert_eq!(stats["subscriber_count"], 1, "{stats}");
    let mut late = Socket::open(server.plan.http, "/stream/r/ws/late?from=latest");
    assert_eq!(next(&mut late)["from_offset"], 8);
    publish(&mut http, "r", 8..9);
    expect(&mut late, 8..9);
    expect(&mut socket, 8..9);
    assert_eq!(http.request("DELETE", "/stream/r", "").status, 200);
    for socket in [&mut socket, &mut late] {
        assert_eq!(next(socket)["type"], "error");
        assert_eq!(socket.all(), [Reply::Close(Some(1000))]);
    }
    server.stop();
}

#[test]
fn what_is_not_there_is_said() {
    let server = Server::start();
    let mut http = server.http();
    for path in
        ["/stream/none/ws/a", "/stream/none/ws/a?from=latest", "/topics/none/partitions/0/ws"]
    {
        let mut socket = Socket::open(server.plan.http, path);
        assert_eq!(next(&mut socket)["type"], "error", "{path}");
        assert_eq!(socket.all(), [Reply::Close(Some(1000))]);
    }
    let mut events = Events::open(server.plan.http, "/stream/none/sse", "");
    assert_eq!(events.next().expect("a reason").name, "error");
    assert!(events.next().is_none(), "it ends");
    post(&mut http, "/stream/r", &json!({"max_events": 3}));
    publish(&mut http, "r", 0..10);
    let mut socket = Socket::open(server.plan.http, "/stream/r/ws/a?from_offset=2");
    let gone = next(&mut socket);
    assert_eq!((&gone["type"], &gone["earliest"]), (&json!("error"), &json!(7)));
    // 0 is whatever is there.
    let mut socket = Socket::open(server.plan.http, "/stream/r/ws/a");
    assert_eq!(next(&mut socket)["type"], "connected");
    expect(&mut socket, 7..10);
    for bad in ["from=x", "from_offset=-1", "from_offset=1&from=latest", "data=x"] {
        let answer = http.request("GET", &format!("/stream/r/sse?{bad}"), "");
        assert_eq!(answer.status, 400, "{bad}");
    }
    assert_eq!(http.request("GET", "/api/v1/stream/subscribe", "").status, 400);
    server.stop();
}

#[test]
fn an_interrupted_stream_of_events_goes_on_behind_the_last_one() {
    let server = Server::start();
    let mut http = server.http();
    room(&mut http, "r", 5);
    let mut events = Events::open(server.plan.http, "/stream/r/sse", "");
    assert_eq!(events.next().expect("it is told").name, "connected");
    events.expect(0..5);
    drop(events);
    let header = "Last-Event-ID: 2\r\n";
    let path = "/api/v1/stream/subscribe?room=r&from_offset=0";
    let mut events = Events::open(server.plan.http, path, header);
    let hello = events.next().expect("it is told");
    assert_eq!((&*hello.name, &hello.data["from_offset"]), ("connected", &json!(3)));
    events.expect(3..5);
    publish(&mut http, "r", 5..7);
    events.expect(5..7);
    // Of a room that was made anew it has seen nothing yet.
    assert_eq!(http.request("DELETE", "/stream/r", "").status, 200);
    assert_eq!(events.next().expect("a reason").name, "error");
    room(&mut http, "r", 2);
    let mut events = Events::open(server.plan.http, "/stream/r/sse", "Last-Event-ID: 6\r\n");
    assert_eq!(events.next().expect("it is told").name, "connected");
    let gap = events.next().expect("it is told");
    assert_eq!((&*gap.name, &gap.data["from_offset"]), ("gap", &json!(7)));
    events.expect(0..2);
    // What retention took meanwhile is told of, too.
    post(&mut http, "/stream/short", &json!({"max_events": 2}));
    publish(&mut http, "short", 0..9);
    let mut events = Events::open(server.plan.http, "/stream/short/sse", "Last-Event-ID: 1\r\n");
    assert_eq!(events.next().expect("it is told").name, "connected");
    let gap = events.next().expect("it is told");
    assert_eq!((&gap.data["from_offset"], &gap.data["earliest"]), (&json!(2), &json!(7)));
    events.expect(7..9);
    server.stop();
}

#[test]
fn partitions_are_read_alike() {
    let server = Server::start();
    let mut http = server.http();
    post(&mut http, "/topics/t", &json!({"num_partitions": 3}));
    for number in 0..6 {
        let event = json!({"event_type": "made", "partition": 2, "key": "k", "data": number});
        post(&mut http, "/topics/t/publish", &event);
    }
    let mut socket = Socket::open(server.plan.http, "/topics/t/partitions/2/ws?from_offset=4");
    let hello = next(&mut socket);
    assert_eq!((&hello["topic"], &hello["partition_id"]), (&json!("t"), &json!(2)));
    for number in 4..6 {
        let event = next(&mut socket);
        assert_eq!((&event["offset"], &event["data"]), (&json!(number), &json!(number)));
        assert_eq!((&event["event"], &event["key"]), (&json!("made"), &json!("k")));
    }
    let path = "/topics/t/partitions/2/sse";
    let mut events = Events::open(server.plan.http, path, "Last-Event-ID: 3\r\n");
    assert_eq!(events.next().expect("it is told").name, "connected");
    events.expect(4..6);
    let mut none = Socket::open(server.plan.http, "/topics/t/partitions/7/ws");
    assert_eq!(next(&mut none)["type"], "error");
    server.stop();
}

#[test]
fn there_are_no_gaps_between_history_and_what_comes() {
    const EVENTS: u64 = 600;
    let server = Server::start();
    let mut http = server.http();
    post(&mut http, "/stream/r", &json!({}));
    thread::scope(|scope| {
        let server = &server;
        for reader in 0..6_u64 {
            scope.spawn(move || {
                let mut at = 0;
                // Connections end in the middle and others go on.
                while at < EVENTS {
                    let until = (at + 40 + 30 * reader).min(EVENTS);
                    if reader % 2 == 0 {
                        let path = format!("/stream/r/ws/{reader}?from_offset={at}");
                        let mut socket = Socket::open(server.plan.http, &path);
                        assert_eq!(next(&mut socket)["type"], "connected");
                        expect(&mut socket, at..until);
                    } else {
                        let header = match at {
                            0 => String::new(),
                            at => format!("Last-Event-ID: {}\r\n", at - 1),
                        };
                        let mut events = Events::open(server.plan.http, "/stream/r/sse", &header);
                        assert_eq!(events.next().expect("it is told").name, "connected");
                        events.expect(at..until);
                    }
                    at = until;
                }
            });
        }
        publish(&mut http, "r", 0..EVENTS);
    });
    server.stop();
}

#[test]
fn a_reader_that_does_not_read_costs_little() {
    const READERS: usize = 6;
    let server = Server::start();
    let mut http = server.http();
    post(&mut http, "/stream/r", &json!({}));
    let text = "x".repeat(100_000);
    for _ in 0..300 {
        post(&mut http, "/stream/r/publish", &json!({"event": "e", "data": text}));
    }
    let before = server.rss();
    let mut stuck: Vec<Events> =
        (0..READERS).map(|_| Events::open(server.plan.http, "/stream/r/sse", "")).collect();
    let mut alive = Socket::open(server.plan.http, "/stream/r/ws/alive");
    assert_eq!(next(&mut alive)["type"], "connected");
    for offset in 0..300 {
        assert_eq!(next(&mut alive)["offset"], offset);
    }
    // Each costs a portion, not the 30 MB that it has not read.
    let costs = server.rss().saturating_sub(before);
    assert!(costs < READERS as u64 * 8 * 1024 * 1024, "{costs}");
    // None has missed anything.
    for events in &mut stuck {
        assert_eq!(events.next().expect("it is told").name, "connected");
        events.expect(0..300);
    }
    server.stop();
}

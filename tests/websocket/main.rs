//! WebSocket over real sockets: the cases of the Autobahn suite's sections 1 to 7 and 10 against
//! the echo endpoint, the handshake, a client library, pings and the end of the server.

#[path = "../support/mod.rs"]
mod support;

mod cases;
mod client;
mod handshake;
mod live;
mod queue;
mod stream;

use client::{Reply, Socket, frame, masked};
use support::{Plan, Server};

const PATH: &str = "/ws-echo";

fn server() -> Server {
    Plan::new().env("SYNAP_SERVER__WEBSOCKET_ECHO_PATH", PATH).start()
}

#[test]
fn every_case_of_the_conformance_suite_is_answered_as_it_should_be() {
    let server = server();
    let cases = cases::all();
    assert!(cases.len() > 200, "{}", cases.len());
    let mut failed = Vec::new();
    for case in cases {
        let mut socket = Socket::open(server.plan.http, PATH);
        for piece in case.bytes.chunks(case.step) {
            if !socket.try_send(piece) {
                break;
            }
        }
        let replies = socket.all();
        if replies != case.expected {
            let shown =
                |replies: &[Reply]| replies.iter().map(Reply::show).collect::<Vec<_>>().join(", ");
            failed.push(format!(
                "{}: [{}] instead of [{}]",
                case.name,
                shown(&replies),
                shown(&case.expected)
            ));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    server.stop();
}

#[test]
fn a_client_library_finds_what_it_expects() {
    use tungstenite::Message;
    let server = server();
    let url = format!("ws://127.0.0.1:{}{PATH}", server.plan.http);
    let (mut socket, response) = tungstenite::connect(url).expect("the upgrade is granted");
    assert_eq!(response.status(), 101);
    let large = "€".repeat(1_000_000);
    for text in ["", "hello", &large] {
        socket.send(Message::text(text)).expect("sent");
        assert_eq!(socket.read().expect("an echo"), Message::text(text));
    }
    let bytes = vec![7_u8; 9 * 1024 * 1024];
    socket.send(Message::binary(bytes.clone())).expect("sent");
    assert!(socket.read().expect("an echo") == Message::binary(bytes));
    socket.send(Message::Ping(b"there?"[..].into())).expect("sent");
    assert_eq!(socket.read().expect("a pong"), Message::Pong(b"there?"[..].into()));
    socket.close(None).expect("sent");
    while socket.read().is_ok() {}
    server.stop();
}

#[test]
fn messages_beyond_the_limit_are_refused_when_their_header_comes() {
    let server = server();
    let mut socket = Socket::open(server.plan.http, PATH);
    let mut header = vec![0x82, 0xff];
    header.extend_from_slice(&(1_u64 << 40).to_be_bytes());
    header.extend_from_slice(&[0; 4]);
    socket.try_send(&header);
    assert_eq!(socket.all(), [Reply::Close(Some(1009))]);
    server.stop();
}

#[test]
fn pings_come_and_who_does_not_answer_goes() {
    let server = Plan::new()
        .env("SYNAP_SERVER__WEBSOCKET_ECHO_PATH", PATH)
        .env("SYNAP_SERVER__WEBSOCKET_PING_SECS", 1)
        .env("SYNAP_SERVER__WEBSOCKET_PONG_TIMEOUT_SECS", 2)
        .start();
    let mut silent = Socket::open(server.plan.http, PATH);
    let mut alive = Socket::open(server.plan.http, PATH);
    for _ in 0..4 {
        assert_eq!(alive.next(), Some(Reply::Ping(Vec::new())));
        alive.try_send(&masked(0x8a, b""));
    }
    let said = silent.all();
    let (last, pings) = said.split_last().expect("something is said");
    assert_eq!(*last, Reply::Close(Some(1008)));
    assert!(!pings.is_empty() && pings.iter().all(|reply| *reply == Reply::Ping(Vec::new())));
    alive.try_send(&masked(0x81, b"still here"));
    loop {
        match alive.next() {
            Some(Reply::Ping(_)) => alive.try_send(&masked(0x8a, b"")),
            other => {
                assert_eq!(other, Some(Reply::Text("still here".into())));
                break;
            }
        };
    }
    server.stop();
}

#[test]
fn a_server_that_stops_says_so() {
    let server = server();
    let mut socket = Socket::open(server.plan.http, PATH);
    socket.try_send(&frame(0x81, b"x", [1, 2, 3, 4]));
    assert_eq!(socket.next(), Some(Reply::Text("x".into())));
    let waiter = std::thread::spawn(move || socket.all());
    server.stop();
    assert_eq!(waiter.join().expect("it ends"), [Reply::Close(Some(1001))]);
}

//! How many connections there may be, how long they may take, and what may wait for them.

mod support;

use std::io::Read as _;
use std::time::Duration;

use serde_json::json;
use support::http::Http;
use support::resp::{Resp, encode};
use support::{Plan, Server, wait_for};

fn metric(server: &Server, name: &str) -> u64 {
    let mut http = server.http();
    let text = http.request("GET", "/metrics", "").text().to_owned();
    let samples = text.lines().filter_map(|line| line.strip_prefix(name)?.split_once(' '));
    samples.map(|(_, number)| number.parse::<u64>().expect("a number")).sum()
}

fn set(server: &Server, name: &str, value: &str) {
    assert_eq!(server.resp().call(&["CONFIG", "SET", name, value]), "+OK");
}

/// The first answer of a new connection, which may end before it is asked.
fn greeting(server: &Server) -> String {
    let mut client = server.resp();
    client.try_send(&encode(&["PING"]));
    String::from_utf8_lossy(&client.try_reply().unwrap_or_default()).into_owned()
}

#[test]
fn there_are_no_more_connections_than_may_be() {
    let server = Plan::new().env("SYNAP_SERVER__MAX_CONNECTIONS", 6).start();
    let mut admin = server.resp();
    let mut held = Vec::new();
    wait_for("the last place to be taken", || {
        let mut client = server.resp();
        client.try_send(&encode(&["PING"]));
        match client.try_reply().as_deref() {
            Some(b"+PONG\r\n") => held.push(client),
            Some(reply) => {
                assert_eq!(reply, b"-ERR max number of clients reached\r\n");
                return true;
            }
            // Reset before the reason was read, because the request was not.
            None => return true,
        }
        false
    });
    assert!((4..=6).contains(&held.len()), "{}", held.len());
    let mut http = Http::connect(server.plan.http);
    let refused = http.try_answer("GET").expect("it is told before it asks");
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!(503)));
    assert!(http.is_closed());
    let stats = admin.call(&["INFO", "stats"]);
    let of = |name: &str| -> u64 {
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
        line.expect("a statistic").trim().parse().expect("a number")
    };
    wait_for("refusals to be counted", || {
        let stats = admin.call(&["INFO", "stats"]);
        stats.lines().any(|line| {
            let count = line.strip_prefix("rejected_connections:");
            count.is_some_and(|count| count.trim().parse::<u64>().expect("a number") >= 2)
        })
    });
    assert!(of("total_connections_received") >= 5);
    // The limit can be changed while the server runs.
    assert_eq!(admin.call(&["CONFIG", "SET", "maxclients", "100"]), "+OK");
    wait_for("there to be room", || greeting(&server) == "+PONG\r\n");
    assert!(metric(&server, "synap_connections_total{outcome=\"refused\"}") >= 2);
    server.stop();
}

#[test]
fn an_address_has_its_own_limit() {
    let plan = Plan::new().env("SYNAP_SERVER__MAX_CONNECTIONS_PER_ADDRESS", 3);
    let server = plan.start();
    let mut held: Vec<Resp> = (0..3).map(|_| server.resp()).collect();
    for client in &mut held {
        assert_eq!(client.call(&["PING"]), "+PONG");
    }
    let mut http = Http::connect(server.plan.http);
    assert_eq!(http.try_answer("GET").expect("an answer").status, 429);
    let mut fourth = server.resp();
    assert_eq!(fourth.reply(), b"-ERR max number of clients of this address reached\r\n");
    drop(held.pop());
    wait_for("the place to be free", || greeting(&server) == "+PONG\r\n");
    server.stop();
    // Who is trusted to speak for others may have any number.
    let server = plan.env("SYNAP_RATE_LIMIT__TRUST_FORWARDED_FOR", "127.0.0.1").start();
    let mut held: Vec<Resp> = (0..9).map(|_| server.resp()).collect();
    for client in &mut held {
        assert_eq!(client.call(&["PING"]), "+PONG");
    }
    server.stop();
}

#[test]
fn a_command_has_to_arrive_in_time() {
    let server = Plan::new().env("SYNAP_SERVER__REQUEST_TIMEOUT_SECS", 1).start();
    let mut slow = server.resp();
    slow.send(b"*2\r\n$3\r\nGET\r\n$5\r\nab");
    let said = String::from_utf8(slow.rest()).expect("text");
    assert_eq!(said, "-ERR Protocol error: the command did not arrive in time\r\n");
    let mut slow = server.http();
    slow.send("GET / HTTP/1.1\r\nHost:");
    assert_eq!(slow.answer("GET").status, 408);
    server.stop();
}

/// Asks for more than sockets hold, and reads nothing of it.
fn deaf(server: &Server) -> Resp {
    let value = "x".repeat(4 << 20);
    assert_eq!(server.resp().call(&["SET", "large", &value]), "+OK");
    let mut client = server.resp();
    (0..8).for_each(|_| client.command(&["GET", "large"]));
    client
}

#[test]
fn who_does_not_read_is_closed() {
    let server = Plan::new().env("SYNAP_NETWORK__WRITE_TIMEOUT_SECS", 1).start();
    let client = deaf(&server);
    server.wait_for_log("the client does not read its replies");
    wait_for("it to be counted", || {
        metric(&server, "synap_connections_total{outcome=\"dropped\"}") == 1
    });
    drop(client);
    // One who reads, however slowly, is answered in full.
    let mut client = deaf(&server);
    let mut socket = client.socket();
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket option");
    let mut byte = [0; 1000];
    for _ in 0..50 {
        socket.read_exact(&mut byte).expect("it is not closed");
    }
    assert!(client.try_send(&encode(&["PING"])));
    server.stop();
}

#[test]
fn subscribers_have_limits_of_their_own() {
    let server = Server::start();
    set(&server, "client-output-buffer-limit", "pubsub 1mb 0 0");
    let shown = server.resp().call(&["CONFIG", "GET", "client-output-buffer-limit"]);
    assert!(shown.contains("normal 268435456 0 0 slave 268435456 67108864 60 pubsub 1048576 0 0"));
    let wrong = server.resp().call(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 1"]);
    assert!(wrong.contains("wrong number of arguments"), "{wrong}");
    let payload = "x".repeat(256 << 10);
    for (limit, why) in [
        ("pubsub 1mb 0 0", "replies exceed the output buffer limit"),
        ("pubsub 0 64kb 1", "replies exceed the output buffer limit for too long"),
    ] {
        set(&server, "client-output-buffer-limit", limit);
        let mut subscriber = server.resp();
        assert!(subscriber.call(&["SUBSCRIBE", "c"]).contains("subscribe"));
        let mut publisher = server.resp();
        wait_for("the subscriber to be closed", || {
            publisher.call(&["PUBLISH", "c", &payload]) == ":0"
        });
        server.wait_for_log(&format!("why=\"{why}\""));
        assert_eq!(publisher.call(&["PING"]), "+PONG");
    }
    server.stop();
}

//! What goes through: all protocols, large and many, half closed, pushed.

use std::io::Write as _;
use std::net::Shutdown;
use std::sync::Arc;

use rustls::version::{TLS12, TLS13};

use crate::client::{Client, World, metric, socket};
use crate::support::resp::{Resp, encode, show};
use crate::support::{free_ports, wait_for};

#[test]
fn every_protocol_is_served_in_both_versions() {
    let world = World::new();
    let server = world.plan().start();
    for version in [&TLS12, &TLS13] {
        let config = Arc::new(world.config_of(&[version], None));
        let mut resp = Client::connect(world.resp_tls, Arc::clone(&config));
        assert_eq!(resp.stream.conn.protocol_version(), Some(version.version));
        assert_eq!(resp.call(&["SET", "k", "v"]), "+OK");
        assert_eq!(resp.call(&["GET", "k"]), "v");
        let mut http = Client::connect(server.plan.http, config);
        assert_eq!(http.request("GET", "/health", "").0, 200);
    }
    // The plain port of RESP is as it was, and sees the same keys.
    assert_eq!(server.resp().call(&["GET", "k"]), "v");
    let mut http = world.http(&server);
    // Each version began one session, which the other port took up; and there is this client.
    assert_eq!(metric(&mut http, "synap_tls_handshakes_total{kind=\"full\"}"), 3.0);
    assert_eq!(metric(&mut http, "synap_tls_handshakes_total{kind=\"resumed\"}"), 2.0);
    assert!(metric(&mut http, "synap_tls_connections") >= 1.0);
    assert_eq!(metric(&mut http, "synap_tls_handshake_failures_total"), 0.0);
    assert_eq!(metric(&mut http, "synap_tls_handshakes_underway"), 0.0);
    server.stop();
}

#[test]
fn the_queue_service_has_its_port_under_tls() {
    let world = World::new();
    let port = free_ports(0);
    let plan = world.plan().env("SYNAP_DSS__QUEUE_PORT", port);
    let _server = plan.env("SYNAP_DSS__TLS_ENABLED", "true").start();
    let mut client = Client::connect(port, Arc::new(world.config()));
    let sent = r#"{"queue_name":"q","message":{"a":1}}"#;
    assert_eq!(client.request("POST", "/queue/enqueue", sent).0, 200);
    let (status, body) = client.request("POST", "/queue/dequeue", r#"{"queue_name":"q"}"#);
    assert!(status == 200 && body.contains(r#""message":{"a":1}"#), "{body}");
}

#[test]
fn the_application_protocol_is_http_1_1() {
    let world = World::new();
    let server = world.plan().start();
    let with = |protocols: &[&str]| {
        let mut config = world.config();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Client::try_connect(server.plan.http, Arc::new(config))
    };
    let client = with(&["h2", "http/1.1"]).expect("there is a common one");
    assert_eq!(client.stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(with(&["h2"]).is_err());
    let mut http = world.http(&server);
    let failed = "synap_tls_handshake_failures_total{reason=\"incompatible\"}";
    wait_for("the failure to be counted", || metric(&mut http, failed) == 1.0);
}

#[test]
fn https_and_http_can_both_be_open() {
    let world = World::new();
    let https = free_ports(0);
    let server = world.plan().env("SYNAP_SERVER__TLS__PORT", https).start();
    assert_eq!(server.http().request("GET", "/health", "").status, 200);
    let mut sealed = Client::connect(https, Arc::new(world.config()));
    let (status, body) = sealed.request("GET", "/info?section=server", "");
    assert_eq!(status, 200);
    assert!(body.contains(&format!("\"resp_tls_port\":{}", world.resp_tls)), "{body}");
}

#[test]
fn resp_can_be_under_tls_only_and_http_plain() {
    let world = World::new();
    let plan = world.plan().without("SYNAP_SERVER__TLS__ENABLED").env("SYNAP_RESP3__PORT", 0);
    let server = plan.start();
    assert_eq!(server.http().request("GET", "/health", "").status, 200);
    let mut client = world.resp();
    assert_eq!(client.call(&["PING"]), "+PONG");
    let port = world.resp_tls.to_string();
    assert_eq!(client.call(&["CONFIG", "GET", "port"]), "[port, 0]");
    assert_eq!(client.call(&["CONFIG", "GET", "tls-port"]), format!("[tls-port, {port}]"));
    assert_eq!(client.call(&["CONFIG", "GET", "bind"]), "[bind, 127.0.0.1]");
    assert!(client.call(&["INFO", "server"]).contains(&format!("tcp_port:{port}")));
    assert!(std::net::TcpStream::connect(("127.0.0.1", server.plan.resp)).is_err());
}

#[test]
fn large_values_and_deep_pipelines_come_through_whole() {
    let world = World::new();
    let _server = world.plan().start();
    let mut client = world.resp();
    let large: String = (0..3_000_000).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    assert_eq!(client.call(&["SET", "large", &large]), "+OK");
    assert_eq!(client.call(&["GET", "large"]), large);
    let mut pipeline = Vec::new();
    for n in 0..10_000 {
        pipeline.extend(encode(&["SET", &format!("key:{n}"), &format!("value {n}")]));
        pipeline.extend(encode(&["GET", &format!("key:{n}")]));
    }
    client.send(&pipeline);
    for n in 0..10_000 {
        assert_eq!(show(&client.reply().expect("a reply")), "+OK");
        assert_eq!(show(&client.reply().expect("a reply")), format!("value {n}"));
    }
}

#[test]
fn a_reader_that_rests_gets_everything_in_the_end() {
    let world = World::new();
    let _server = world.plan().start();
    let mut client = world.resp();
    let value = "v".repeat(1_000_000);
    assert_eq!(client.call(&["SET", "v", &value]), "+OK");
    // Far more than sockets hold: most of it waits at the server, sealed in portions.
    let asked = 40;
    for _ in 0..asked {
        client.send(&encode(&["GET", "v"]));
    }
    assert_eq!(world.resp().call(&["PING"]), "+PONG");
    for _ in 0..asked {
        assert_eq!(show(&client.reply().expect("a reply")), value);
    }
}

#[test]
fn a_client_that_sends_no_more_is_answered_and_told_goodbye() {
    let world = World::new();
    let _server = world.plan().start();
    let mut client = world.resp();
    assert_eq!(client.call(&["SET", "k", &"x".repeat(100_000)]), "+OK");
    for _ in 0..10 {
        client.stream.write_all(&encode(&["GET", "k"])).expect("sent");
    }
    client.stream.conn.send_close_notify();
    client.stream.flush().expect("sent");
    client.stream.sock.shutdown(Shutdown::Write).expect("a socket");
    let (rest, goodbye) = client.rest();
    assert_eq!(rest.len(), 10 * (100_000 + "$100000\r\n\r\n".len()));
    assert!(goodbye, "the end was not announced");
    let mut quits = world.resp();
    assert_eq!(quits.call(&["QUIT"]), "+OK");
    assert_eq!(quits.rest(), (Vec::new(), true));
}

#[test]
fn a_stop_says_goodbye_to_everybody() {
    let world = World::new();
    let server = world.plan().start();
    let (mut idle, half) = (world.resp(), socket(world.resp_tls));
    assert_eq!(idle.call(&["PING"]), "+PONG");
    server.stop();
    assert_eq!(idle.rest(), (Vec::new(), true));
    drop(half);
}

#[test]
fn websockets_and_events_are_pushed() {
    use tungstenite::Message;
    let world = World::new();
    let plan = world.plan().env("SYNAP_SERVER__WEBSOCKET_ECHO_PATH", "/ws-echo");
    let server = plan.start();
    let stream = world.http(&server).stream;
    let url = format!("wss://localhost:{}/ws-echo", server.plan.http);
    let (mut socket, _) = tungstenite::client(url, stream).expect("the upgrade is granted");
    for text in ["", "hello", &"€".repeat(200_000)] {
        socket.send(Message::text(text)).expect("sent");
        assert_eq!(socket.read().expect("an echo"), Message::text(text));
    }
    let mut events = world.http(&server);
    events.send(b"GET /pubsub/sse?topics=news HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(events.until(b"\r\n\r\n").contains("text/event-stream"));
    let mut publisher = world.http(&server);
    let heard = || {
        let body = r#"{"payload":"first news"}"#;
        let (status, body) = publisher.request("POST", "/pubsub/news/publish", body);
        status == 200 && body.contains("\"subscribers_matched\":1")
    };
    wait_for("the subscription to stand", heard);
    assert!(events.until(b"first news").contains("data"));
}

#[test]
fn cores_have_ports_under_tls_and_clients_are_sent_to_those_of_their_kind() {
    let world = World::new();
    let (plain_base, tls_base) = (free_ports(1), free_ports(1));
    let server = world
        .plan()
        .env("SYNAP_SERVER__SHARD_PORT_BASE", plain_base)
        .env("SYNAP_SERVER__SHARD_TLS_PORT_BASE", tls_base)
        .start();
    let config = Arc::new(world.config());
    let mut sealed = Client::connect(tls_base, Arc::clone(&config));
    let mut plain = Resp::connect(plain_base);
    let mut moved = 0;
    for key in (0..40).map(|number| format!("key:{number}")) {
        let said = sealed.call(&["SET", &key, "v"]);
        let in_the_clear = plain.call(&["GET", &key]);
        if said.contains("OK") {
            assert!(in_the_clear.contains('v'), "{key}: {in_the_clear}");
            continue;
        }
        moved += 1;
        let at = |base: u16| format!(" 127.0.0.1:{}", base + 1);
        assert!(said.starts_with("-MOVED") && said.trim_end().ends_with(&at(tls_base)), "{said}");
        assert!(in_the_clear.trim_end().ends_with(&at(plain_base)), "{in_the_clear}");
        let mut there = Client::connect(tls_base + 1, Arc::clone(&config));
        assert!(there.call(&["SET", &key, "v"]).contains("OK"));
    }
    assert!(moved > 0, "no key lives on the other core");
    // Also behind the shared ports.
    let slots = world.resp().call(&["CLUSTER", "SLOTS"]);
    assert!(slots.contains(&(tls_base + 1).to_string()), "{slots}");
    let slots = server.resp().call(&["CLUSTER", "SLOTS"]);
    assert!(slots.contains(&(plain_base + 1).to_string()), "{slots}");
    assert!(!slots.contains(&(tls_base + 1).to_string()), "{slots}");
}

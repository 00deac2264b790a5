//! Peers that send garbage, stop in the middle, take their time, or come in crowds.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::client::{Client, World, metric, socket};
use crate::support::{Server, wait_for};

/// The first bytes of a client.
fn hello(world: &World) -> Vec<u8> {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(Arc::new(world.config()), name).expect("a client");
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).expect("memory");
    bytes
}

/// Whether the server ends the connection, whatever it says before.
fn ends(mut stream: TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

fn failures(world: &World, server: &Server, reason: &str) -> f64 {
    let sample = format!("synap_tls_handshake_failures_total{{reason=\"{reason}\"}}");
    metric(&mut world.http(server), &sample)
}

#[test]
fn garbage_is_refused_with_an_alert() {
    let world = World::new();
    let server = world.plan().start();
    let hello = hello(&world);
    let mut oversized = vec![22, 3, 1, 0xFF, 0xFF];
    oversized.resize(70_000, 0);
    let mut endless = Vec::new();
    for _ in 0..5 {
        // A handshake message that claims to be 16 MiB long.
        endless.extend_from_slice(&[22, 3, 1, 0x40, 0, 1, 0xFF, 0xFF, 0xFF]);
        endless.resize(endless.len() + 0x4000 - 4, 0);
    }
    let mut flipped = hello.clone();
    // The length of its session id: what follows is no longer where it should be.
    flipped[43] ^= 0xFF;
    let inputs: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        &[0; 100],
        &[23, 3, 3, 0, 1, 0],
        &oversized,
        &endless,
        &flipped,
    ];
    for input in inputs {
        for port in [world.resp_tls, server.plan.http] {
            let mut stream = socket(port);
            // The server may have closed already.
            let _sent = stream.write_all(input);
            assert!(ends(stream), "{:?}", &input[..5.min(input.len())]);
        }
    }
    let wrong = || {
        let reasons = ["protocol", "incompatible"];
        reasons.iter().map(|reason| failures(&world, &server, reason)).sum::<f64>()
    };
    wait_for("all failures to be counted", || wrong() >= 2.0 * inputs.len() as f64);
    assert_eq!(world.resp().call(&["PING"]), "+PONG");
}

#[test]
fn a_handshake_may_stop_at_any_byte_and_come_byte_by_byte() {
    let world = World::new();
    let server = world.plan().start();
    let hello = hello(&world);
    let cuts = (0..hello.len()).step_by(16);
    let count = cuts.len() as f64;
    for length in cuts {
        let mut stream = socket(world.resp_tls);
        stream.write_all(&hello[..length]).expect("sent");
        stream.shutdown(Shutdown::Write).expect("a socket");
        assert!(ends(stream), "{length}");
    }
    wait_for("all to be counted", || failures(&world, &server, "closed") >= count);
    let mut slow = socket(world.resp_tls);
    for byte in &hello {
        slow.write_all(std::slice::from_ref(byte)).expect("sent");
    }
    let mut first = [0; 5];
    slow.read_exact(&mut first).expect("the server's hello");
    assert_eq!(first[..3], [22, 3, 3]);
}

#[test]
fn a_broken_record_after_the_handshake_ends_the_connection() {
    let world = World::new();
    let _server = world.plan().start();
    let mut client = world.resp();
    assert_eq!(client.call(&["PING"]), "+PONG");
    client.stream.sock.write_all(&[23, 3, 3, 0, 20]).expect("sent");
    client.stream.sock.write_all(&[7; 20]).expect("sent");
    assert_eq!(client.reply(), None);
    assert_eq!(world.resp().call(&["PING"]), "+PONG");
}

#[test]
fn slow_handshakes_hold_nobody_up_and_are_given_up() {
    let world = World::new();
    let server = world.plan().start();
    let hello = hello(&world);
    let slow: Vec<TcpStream> = (0..200)
        .map(|number| {
            let mut stream = socket(world.resp_tls);
            stream.write_all(&hello[..number % hello.len()]).expect("sent");
            stream
        })
        .collect();
    let mut normal = world.resp();
    for number in 0..200 {
        assert_eq!(normal.call(&["SET", "k", &number.to_string()]), "+OK");
        assert_eq!(normal.call(&["GET", "k"]), number.to_string());
    }
    assert_eq!(world.resp().call(&["PING"]), "+PONG");
    wait_for("the slow ones to be given up", || failures(&world, &server, "timeout") >= 200.0);
    assert!(slow.into_iter().all(ends));
    assert_eq!(normal.call(&["PING"]), "+PONG");
}

#[test]
fn too_many_handshakes_at_once_are_refused_and_counted() {
    let world = World::new();
    let server = world.plan().workers(1).start();
    let mut normal = world.http(&server);
    let crowd: Vec<TcpStream> = (0..600).map(|_| socket(world.resp_tls)).collect();
    let sample = "synap_tls_handshake_failures_total{reason=\"too_many\"}";
    wait_for("some to be refused", || metric(&mut normal, sample) >= 1.0);
    drop(crowd);
    wait_for("room again", || {
        let config = Arc::new(world.config());
        let client = Client::try_connect(world.resp_tls, config);
        client.is_ok_and(|mut client| client.try_call(&["PING"]).is_some())
    });
}

//! One client with very much to do and its neighbours: how much of a turn it gets is counted by the
//! server itself, so nothing here depends on time.

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;

use support::resp::encode;
use support::{Plan, Server};

/// As in `pump/share.rs`.
const COMMANDS: u64 = 512;

fn metric(server: &Server, name: &str) -> u64 {
    let text = server.http().request("GET", "/metrics", "").text().to_owned();
    let samples = text.lines().filter_map(|line| line.strip_prefix(name)?.split_once(' '));
    samples.map(|(_, number)| number.parse::<u64>().expect("a number")).sum()
}

/// Sends it all, and then reads as many answers as there are requests.
fn flood(server: &Server, request: &[u8], count: usize, answer: &[u8]) {
    let mut client = server.resp();
    let bytes = request.repeat(count);
    std::thread::scope(|scope| {
        let socket = client.socket().try_clone().expect("a second handle");
        scope.spawn(move || {
            let mut socket = socket;
            socket.write_all(&bytes).expect("the server reads");
        });
        for at in 0..count {
            assert_eq!(client.reply(), answer, "answer {at}");
        }
    });
}

#[test]
fn a_long_pipeline_is_put_off_again_and_again() {
    let server = Plan::new().workers(1).start();
    flood(&server, &encode(&["PING"]), 100_000, b"+PONG\r\n");
    let most = metric(&server, "synap_core_share_max_commands");
    assert!(most > 16 && most <= COMMANDS, "{most}");
    // However the bytes arrived: at most one share in a turn, or the pipeline ended.
    assert_eq!(
        metric(&server, "synap_resp3_commands_total{command=\"ping\",status=\"ok\"}"),
        100_000
    );
    server.stop();
}

#[test]
fn large_answers_use_a_share_up() {
    let server = Plan::new().workers(1).start();
    let value = "x".repeat(300 << 10);
    assert_eq!(server.resp().call(&["SET", "large", &value]), "+OK");
    let before = metric(&server, "synap_core_put_off_total");
    let answer = format!("${}\r\n{value}\r\n", value.len());
    flood(&server, &encode(&["GET", "large"]), 200, answer.as_bytes());
    // Each answer is more than a share, so each but the last of what has come puts the rest off.
    let put_off = metric(&server, "synap_core_put_off_total") - before;
    assert!(put_off >= 20, "{put_off}");
    server.stop();
}

#[test]
fn http_and_envelopes_keep_to_their_share() {
    let server = Plan::new().workers(1).start();
    let mut http = server.http();
    let request = "GET /kv/none/ttl HTTP/1.1\r\nHost: h\r\n\r\n";
    let count = 4000;
    http.send(request.repeat(count));
    for _ in 0..count {
        let status = http.answer("GET").status;
        assert!([200, 404].contains(&status), "{status}");
    }
    let most = metric(&server, "synap_core_share_max_commands");
    assert!(most <= COMMANDS, "{most}");
    server.stop();
}

#[test]
fn what_has_to_wait_waits_in_its_socket() {
    const WAITING_MAX: u64 = 4 << 20;
    let server = Plan::new().workers(1).start();
    let flood = server.resp();
    let pipeline = encode(&["PING"]).repeat(10_000);
    let mut watcher = server.resp();
    std::thread::scope(|scope| {
        let (mut writer, mut reader) = (flood.socket(), flood.socket());
        scope.spawn(move || while writer.write_all(&pipeline).is_ok() {});
        scope.spawn(move || while reader.read(&mut [0; 1 << 16]).is_ok_and(|read| read > 0) {});
        for _ in 0..300 {
            let clients = watcher.call(&["CLIENT", "LIST"]);
            let waiting = clients.split(" qbuf=").skip(1).map(|rest| {
                rest.split(' ').next().and_then(|word| word.parse::<u64>().ok()).expect("a number")
            });
            let most = waiting.max().expect("there are clients");
            assert!(most < WAITING_MAX, "{most} bytes wait outside of their socket");
        }
        flood.socket().shutdown(Shutdown::Both).expect("it is open");
    });
    server.stop();
}

//! One client with very much to do and its neighbours: how much of a turn it gets is counted by the
//! server itself, so nothing here depends on time.

mod support;

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
            std::io::Write::write_all(&mut socket, &bytes).expect("the server reads");
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

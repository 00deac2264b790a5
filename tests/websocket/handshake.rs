//! Who is upgraded and who is not.

use crate::support::Plan;
use crate::support::http::Http;

const GOOD: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn ask(http: &mut Http, headers: &str) -> u16 {
    http.send(format!("GET {} HTTP/1.1\r\nHost: x\r\n{headers}\r\n", super::PATH));
    http.answer("GET").status
}

#[test]
fn only_who_asks_rightly_is_upgraded() {
    let server = super::server();
    let mut http = server.http();
    http.send(format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", super::PATH));
    let answer = http.answer("GET");
    assert_eq!(answer.status, 426);
    assert_eq!(answer.field("upgrade"), Some("websocket"));
    assert_eq!(answer.field("sec-websocket-version"), Some("13"));
    assert_eq!(ask(&mut http, &GOOD.replace("13", "8")), 426);
    assert_eq!(ask(&mut http, &GOOD.replace("dGhl", "")), 400);
    assert_eq!(ask(&mut http, &format!("{GOOD}Origin: http://evil.example\r\n")), 403);
    assert_eq!(ask(&mut http, &format!("{GOOD}Origin: http://x\r\n")), 101);
    let mut refused = server.http();
    refused.send(format!("GET {} HTTP/1.0\r\n{GOOD}\r\n", super::PATH));
    assert_eq!(refused.answer("GET").status, 426);
    server.stop();
}

#[test]
fn pipelined_requests_are_answered_before_the_upgrade() {
    let server = super::server();
    let mut http = server.http();
    http.send(format!(
        "POST /kv/set HTTP/1.1\r\nHost: x\r\nContent-Length: 23\r\n\r\n\
         {{\"key\":\"a\",\"value\":\"b\"}}GET {} HTTP/1.1\r\nHost: x\r\n{GOOD}\r\n",
        super::PATH
    ));
    assert_eq!(http.answer("POST").status, 200);
    assert_eq!(http.answer("GET").status, 101);
    server.stop();
}

#[test]
fn a_server_without_websocket_knows_no_such_path() {
    let server = Plan::new()
        .env("SYNAP_SERVER__WEBSOCKET_ECHO_PATH", super::PATH)
        .env("SYNAP_SERVER__WEBSOCKET_ENABLED", "false")
        .start();
    assert_eq!(ask(&mut server.http(), GOOD), 404);
    server.stop();
}

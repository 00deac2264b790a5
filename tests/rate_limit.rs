//! Requests per client: every protocol pays from the same bucket, and is told when there is none.

mod support;

use std::time::Instant;

use serde_json::{Value, json};
use support::http::Http;
use support::resp::Resp;
use support::{Plan, Server, wait_for};

/// So slow that a test sees hardly a token grow.
fn limited(burst: u64) -> Plan {
    Plan::new()
        .env("SYNAP_RATE_LIMIT__ENABLED", true)
        .env("SYNAP_RATE_LIMIT__REQUESTS_PER_SECOND", 1)
        .env("SYNAP_RATE_LIMIT__BURST_SIZE", burst)
}

/// Tokens that were there when the clock began, and those that may have grown since.
fn allowed(burst: u64, since: Instant) -> std::ops::RangeInclusive<u64> {
    burst..=burst + since.elapsed().as_secs() + 1
}

fn metric(http: &mut Http, name: &str) -> u64 {
    let text = http.request("GET", "/metrics", "").text().to_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("{name}")).parse().expect("a number")
}

#[test]
fn all_connections_of_a_client_pay_from_one_bucket() {
    let server = limited(50).start();
    let since = Instant::now();
    let (mut served, mut refused) = (0, 0);
    // They come to both cores.
    let mut clients: Vec<Resp> = (0..8).map(|_| server.resp()).collect();
    for client in &mut clients {
        (0..20).for_each(|_| client.command(&["PING"]));
    }
    for client in &mut clients {
        for _ in 0..20 {
            match client.reply().as_slice() {
                b"+PONG\r\n" => served += 1,
                reply => {
                    let text = String::from_utf8_lossy(reply).into_owned();
                    assert!(text.starts_with("-RATELIMIT rate limit exceeded, try again in "));
                    refused += 1;
                }
            }
        }
    }
    // A burst of 50 is leased two and two by two cores, so both can have one left.
    let range = allowed(50, since);
    assert!((range.start() - 4..=*range.end()).contains(&served), "{served}");
    assert_eq!(served + refused, 160);
    let mut http = server.http();
    assert_eq!(metric(&mut http, "synap_rate_limited_total"), refused);
    assert_eq!(metric(&mut http, "synap_rate_limit_clients"), 1);
    assert_eq!(http.request("GET", "/kv/k", "").status, 429, "HTTP pays from it too");
    server.stop();
}

#[test]
fn http_says_how_the_client_stands() {
    let server = limited(3).start();
    let mut http = server.http();
    let first = http.request("GET", "/info", "");
    assert_eq!(first.status, 200);
    assert_eq!(first.field("X-RateLimit-Limit"), Some("3"));
    assert_eq!(first.field("X-RateLimit-Remaining"), Some("2"));
    assert_eq!(first.field("X-RateLimit-Reset"), Some("1"));
    let mut refused = None;
    wait_for("the bucket to be empty", || {
        let answer = http.request("GET", "/no/such/route", "");
        assert!([404, 429].contains(&answer.status), "{answer:?}");
        refused = (answer.status == 429).then_some(answer);
        refused.is_some()
    });
    let refused = refused.expect("seen above");
    assert_eq!(refused.field("Retry-After"), Some("1"));
    assert_eq!(refused.field("X-RateLimit-Remaining"), Some("0"));
    assert_eq!(refused.json()["code"], json!(429));
    let error = refused.json()["error"].to_string();
    assert!(error.contains("rate limit exceeded, try again in"), "{error}");
    for path in ["/health", "/health/kv", "/metrics"] {
        for _ in 0..5 {
            let answer = http.request("GET", path, "");
            assert_eq!((answer.status, answer.field("X-RateLimit-Limit")), (200, None), "{path}");
        }
    }
    server.stop();
}

#[test]
fn every_envelope_of_a_batch_pays() {
    let server = limited(5).start();
    let since = Instant::now();
    let envelope = |id: usize| {
        json!({"request_id": id.to_string(), "command": "kv.set",
               "payload": {"key": format!("k{id}"), "value": "v"}})
    };
    let commands: Vec<Value> = (0..20).map(envelope).collect();
    let body = json!({"type": "batch", "request_id": "b", "commands": commands}).to_string();
    // To HTTP/1.0 the answer is not in chunks, and ends with the connection.
    let head = "POST /api/v1/command HTTP/1.0\r\nContent-Type: application/json\r\n";
    let mut client = Resp::connect(server.plan.http);
    client.send(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    let answer = String::from_utf8(client.rest()).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("X-RateLimit-Limit: 5"), "{head}");
    let body: Value = serde_json::from_str(body).expect("JSON");
    let results = body["results"].as_array().expect("results");
    assert_eq!(results.len(), 20, "{results:?}");
    let served = results.iter().filter(|result| result["success"] == json!(true)).count();
    assert!(allowed(5, since).contains(&(served as u64)), "{served}");
    assert_eq!(results[19]["error_code"], json!("RATE_LIMIT_EXCEEDED"), "{}", results[19]);
    server.stop();
}

fn forwarded(http: &mut Http, client: &str) -> u16 {
    let head = format!("GET /info HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {client}\r\n\r\n");
    http.send(head);
    http.answer("GET").status
}

#[test]
fn clients_behind_a_trusted_proxy_have_buckets_of_their_own() {
    let server = limited(1).env("SYNAP_RATE_LIMIT__TRUST_FORWARDED_FOR", "127.0.0.0/8").start();
    let mut http = server.http();
    for client in ["9.9.9.1", "9.9.9.2", "1.1.1.1, 9.9.9.3", "2001:db8::1", "2001:db8:0:1::1"] {
        assert_eq!(forwarded(&mut http, client), 200, "{client}");
    }
    wait_for("a client that asks again to be refused", || {
        forwarded(&mut http, "8.8.8.8, 9.9.9.2") == 429
    });
    wait_for("a network to be one client", || forwarded(&mut http, "2001:db8::ffff") == 429);
    server.stop();
    let server = limited(1).start();
    let mut http = server.http();
    wait_for("a proxy that is not trusted to be the client", || {
        forwarded(&mut http, "9.9.9.1") == 429 && forwarded(&mut http, "9.9.9.2") == 429
    });
    server.stop();
}

#[test]
fn a_reload_changes_the_limit() {
    let text = |rate: &str| format!("rate_limit: {{{rate}}}\n");
    let plan = Plan::new().config(&text("enabled: false"));
    let server = plan.start();
    let mut client = server.resp();
    let all = |client: &mut Resp, count: usize| {
        (0..count).filter(|_| client.call(&["PING"]) == "+PONG").count()
    };
    assert_eq!(all(&mut client, 200), 200);
    let change = |server: &Server, rate: &str| {
        let _same = server.plan.clone().config(&text(rate));
        server.signal("HUP");
    };
    change(&server, "enabled: true, requests_per_second: 1, burst_size: 2");
    wait_for("the limit to be in effect", || client.call(&["PING"]).contains("RATELIMIT"));
    // A transaction that misses a command does nothing.
    wait_for("a transaction to be opened", || client.call(&["MULTI"]) == "+OK");
    wait_for("a command to be refused", || client.call(&["PING"]).contains("RATELIMIT"));
    change(&server, "enabled: false");
    wait_for("the limit to be gone", || {
        let answer = client.call(&["EXEC"]);
        assert!(answer.contains("RATELIMIT") || answer.contains("EXECABORT"), "{answer}");
        answer.contains("EXECABORT")
    });
    assert_eq!(all(&mut client, 200), 200);
    server.stop();
}

const KEYS: &str = r#"
authentication: {enabled: true, require_auth: false}
acl: {rules: [{resource: "kv:*", actions: [read, write], authenticated: false}]}
api_keys:
  - {key: sk_slow_5f6d7c0b4a3e2d1c00, name: slow, role: admin, rate_limit: 6}
  - {key: sk_free_5f6d7c0b4a3e2d1c00, name: free, role: admin}
  - {key: sk_more_5f6d7c0b4a3e2d1c00, name: more, role: admin}
"#;

fn with_key(http: &mut Http, name: &str) -> support::http::Answer {
    let key = if name.is_empty() {
        String::new()
    } else {
        format!("X-API-Key: sk_{name}_5f6d7c0b4a3e2d1c00\r\n")
    };
    http.send(format!("GET /kv/k HTTP/1.1\r\nHost: h\r\n{key}\r\n"));
    http.answer("GET")
}

#[test]
fn a_key_keeps_to_its_own_rate_where_nobody_else_has_one() {
    let server = Plan::new().config(KEYS).start();
    let (mut http, mut resp) = (server.http(), server.resp());
    let first = with_key(&mut http, "slow");
    assert_eq!((first.status, first.field("X-RateLimit-Limit")), (404, Some("6")));
    assert_eq!(resp.call(&["AUTH", "sk_slow_5f6d7c0b4a3e2d1c00"]), "+OK");
    wait_for("the key to have no tokens left", || {
        resp.call(&["PING"]).starts_with("-RATELIMIT rate limit exceeded")
    });
    wait_for("HTTP to pay from the same bucket", || {
        let answer = with_key(&mut http, "slow");
        let wait = answer.field("Retry-After").map(|text| text.parse::<u64>().expect("seconds"));
        answer.status == 429 && wait.is_some_and(|wait| (1..=10).contains(&wait))
    });
    for name in ["free", ""] {
        for _ in 0..50 {
            let answer = with_key(&mut http, name);
            assert_eq!((answer.status, answer.field("X-RateLimit-Limit")), (404, None), "{name}");
        }
    }
    server.stop();
}

#[test]
fn who_has_said_who_it_is_pays_for_itself() {
    let server = limited(5).config(KEYS).start();
    let mut http = server.http();
    let uses_up = |http: &mut Http, name: &str| {
        wait_for("no tokens to be left", || with_key(http, name).status == 429);
    };
    uses_up(&mut http, "free");
    assert_eq!(with_key(&mut http, "more").status, 404, "another key has its own bucket");
    let nobody = with_key(&mut http, "");
    assert_eq!((nobody.status, nobody.field("X-RateLimit-Remaining")), (404, Some("4")));
    uses_up(&mut http, "");
    assert_eq!(with_key(&mut http, "more").status, 404, "whatever its address has used up");
    // A key nobody has is paid for by the address.
    assert_eq!(with_key(&mut http, "none").status, 429);
    server.stop();
}

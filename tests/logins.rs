//! Who comes in and who does not, as security events tell it, and how long whoever guesses waits.

mod support;

use std::io::{BufRead, BufReader, Write};

use serde_json::{Value, json};
use support::http::{Answer, Http};
use support::{Plan, Server, connect, wait_for};

const WORD: &str = "a long enough word";
const OTHER_WORD: &str = "another long word";
const WRONG: &str = "wrong-secret-1-cafebabe";
const WRONG_KEY: &str = "sk_wrong_secret-2-deadbeef";
const OPS: &str = "sk_ops_5f6d7c0b4a3e2d1c00";
const OLD: &str = "sk_old_5f6d7c0b4a3e2d1c00";
const CONFIG: &str = r#"
kv_store: {allow_flush_commands: true}
rate_limit: {trust_forwarded_for: [127.0.0.0/8]}
authentication: {enabled: true, require_auth: true}
users:
  - {username: root, password: "a long enough word", role: admin}
  - {username: little, password: "another long word", role: readonly}
api_keys:
  - {key: sk_ops_5f6d7c0b4a3e2d1c00, name: ops, role: admin}
  - {key: sk_old_5f6d7c0b4a3e2d1c00, name: old, role: admin, enabled: false}
  - {key: short, name: brief, role: readonly}
"#;

fn basic(user: &str, password: &str) -> String {
    let mut out = Vec::new();
    synap::protocol::json::write_base64(&mut out, format!("{user}:{password}").as_bytes());
    let text = String::from_utf8(out).expect("ASCII");
    format!("Authorization: Basic {}", text.trim_matches('"'))
}

fn key(key: &str) -> String {
    format!("X-API-Key: {key}")
}

/// A request with these header lines.
fn ask(http: &mut Http, request: &str, headers: &[&str], body: &str) -> Answer {
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    http.send(format!("{request} HTTP/1.1\r\nHost: h\r\n{lines}Content-Length: {length}\r\n\r\n"));
    http.send(body);
    http.answer(request.split(' ').next().expect("a method"))
}

fn events(server: &Server) -> Vec<Value> {
    let answer = ask(&mut server.http(), "GET /audit?limit=1000", &[&key(OPS)], "");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["events"].as_array().expect("events").clone()
}

/// Waits until there is an event that says so: kind, who, detail, object.
fn is_told(server: &Server, kind: &str, who: &str, detail: &str, object: Value) {
    let wanted = (&json!(kind), &json!(who), &json!(detail), &object);
    let what = format!("{kind} {who} {detail} {object}");
    wait_for(&what, || {
        let says = |event: &Value| {
            (&event["event"], &event["who"], &event["detail"], &event["object"]) == wanted
        };
        events(server).iter().any(says)
    });
}

/// No event and no line of the log has any of these in it.
fn hides(server: &Server, secrets: &[&str]) {
    let told = Value::from(events(server)).to_string() + &server.plan.log();
    for secret in secrets {
        assert!(!told.contains(secret), "{secret} is in {told}");
    }
}

#[test]
fn who_comes_in_and_who_does_not_is_told() {
    let server = Plan::new().config(CONFIG).start();
    let (mut resp, mut http) = (server.resp(), server.http());
    let failed = |detail, object| is_told(&server, "login_failed", "anonymous", detail, object);
    assert!(resp.call(&["AUTH", "root", WRONG]).starts_with("-WRONGPASS "));
    failed("credential", json!("root"));
    assert!(resp.call(&["HELLO", "3", "AUTH", "nobody-1", WRONG]).starts_with("-WRONGPASS "));
    failed("credential", Value::Null);
    assert!(resp.call(&["AUTH", WRONG_KEY]).starts_with("-WRONGPASS "));
    assert_eq!(resp.call(&["AUTH", "root", WORD]), "+OK");
    is_told(&server, "logged_in", "user:root", "password", Value::Null);
    is_told(&server, "logged_in", "key:ops", "api_key", Value::Null);
    for (header, status) in [
        (basic("little", WRONG), 401),
        (key(WRONG_KEY), 401),
        (key(OLD), 401),
        (format!("Authorization: Bearer {WRONG_KEY}"), 401),
        (format!("Authorization: Digest {WRONG}"), 401),
        (basic("little", OTHER_WORD), 404),
    ] {
        assert_eq!(ask(&mut http, "GET /kv/k", &[&header], "").status, status);
    }
    let query = format!("GET /kv/k?api_key={WRONG_KEY}");
    assert_eq!(ask(&mut http, &query, &[], "").status, 401);
    failed("credential", json!("little"));
    failed("disabled", json!("old"));
    failed("unreadable", Value::Null);
    is_told(&server, "logged_in", "user:little", "password", Value::Null);
    let body = json!({ "username": "little", "password": WRONG }).to_string();
    assert_eq!(ask(&mut http, "POST /auth/login", &[], &body).status, 401);
    // Each connection tells once who is behind it, however many requests it makes.
    for _ in 0..5 {
        ask(&mut http, "GET /kv/k", &[&basic("little", OTHER_WORD)], "");
    }
    let is_little = |event: &&Value| event["who"] == json!("user:little");
    assert!(events(&server).iter().filter(is_little).count() <= 3);
    hides(&server, &[WORD, OTHER_WORD, WRONG, WRONG_KEY, OPS, OLD, "nobody-1"]);
    server.stop();
}

#[test]
fn refusals_and_changes_are_told_with_who_asked() {
    let server = Plan::new().config(CONFIG).start();
    let mut resp = server.resp();
    assert!(resp.call(&["GET", "secret-key"]).starts_with("-NOAUTH "));
    is_told(&server, "denied", "anonymous", "GET", Value::Null);
    assert_eq!(resp.call(&["AUTH", "little", OTHER_WORD]), "+OK");
    assert!(resp.call(&["SET", "secret-key", "secret-value"]).starts_with("-NOPERM "));
    is_told(&server, "denied", "user:little", "SET", Value::Null);
    let (mut http, little) = (server.http(), basic("little", OTHER_WORD));
    for (request, detail) in [
        ("GET /audit", "audit"),
        ("GET /audit/stream", "stream"),
        ("GET /auth/users", "auth"),
        ("GET /info", "info"),
        ("DELETE /kv/del/secret-key", "DEL"),
    ] {
        assert_eq!(ask(&mut http, request, &[&little], "").status, 403, "{request}");
        is_told(&server, "denied", "user:little", detail, Value::Null);
    }
    assert_eq!(ask(&mut http, "GET /audit", &[], "").status, 401);
    is_told(&server, "denied", "anonymous", "request", Value::Null);
    let changed = |detail, object: &str| {
        is_told(&server, "account_changed", "key:ops", detail, json!(object));
    };
    let mut admin = |request: &str, body: Value, detail, object| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = ask(&mut http, request, &[&key(OPS)], &body);
        assert_eq!(answer.status, 200, "{request}: {answer:?}");
        changed(detail, object);
        answer.json()
    };
    let user = json!({ "username": "ann", "password": WORD });
    admin("POST /auth/users", user, "user_created", "ann");
    let word = json!({ "new_password": OTHER_WORD });
    admin("POST /auth/users/ann/password", word, "password_set", "ann");
    admin("POST /auth/users/ann/disable", Value::Null, "user_disabled", "ann");
    let role = json!({ "role": "admin" });
    admin("POST /auth/users/ann/roles", role, "user_rights_changed", "ann");
    admin("DELETE /auth/users/ann", Value::Null, "user_deleted", "ann");
    let made = admin("POST /auth/keys", json!({ "name": "ci" }), "key_created", "ci");
    let (secret, id) = (made["key"]["key"].clone(), made["key"]["id"].clone());
    let path = |what: &str| format!("{what}/auth/keys/{}", id.as_str().expect("an id"));
    let rotate = path("POST ") + "/rotate";
    let rotated = admin(&rotate, Value::Null, "key_rotated", "ci")["key"]["key"].clone();
    admin(&path("DELETE "), Value::Null, "key_revoked", "ci");
    let mut root = server.resp();
    assert_eq!(root.call(&["AUTH", "root", WORD]), "+OK");
    assert_eq!(root.call(&["CONFIG", "SET", "timeout", "77"]), "+OK");
    assert_eq!(root.call(&["FLUSHALL"]), "+OK");
    is_told(&server, "config_changed", "user:root", "timeout", Value::Null);
    is_told(&server, "flushed", "user:root", "FLUSHALL", Value::Null);
    assert_eq!(root.call(&["EVAL", "return redis.call('FLUSHDB')", "0"]), "+OK");
    is_told(&server, "flushed", "user:root", "FLUSHDB", Value::Null);
    assert_eq!(root.call(&["MULTI"]), "+OK");
    assert_eq!(root.call(&["SYNAP.FLUSH"]), "+QUEUED");
    assert!(!root.call(&["EXEC"]).starts_with('-'));
    is_told(&server, "flushed", "user:root", "SYNAP.FLUSH", Value::Null);
    let more = CONFIG
        .replace("api_keys:", "  - {username: bob, password: \"a long enough word\"}\napi_keys:");
    let _same = server.plan.clone().config(&more);
    server.signal("HUP");
    is_told(&server, "account_changed", "operator", "user_created", json!("bob"));
    let secrets = [&secret, &rotated].map(|secret| secret.as_str().expect("a secret"));
    hides(&server, &secrets);
    hides(&server, &[WORD, OTHER_WORD, OPS, "secret-key", "secret-value"]);
    server.stop();
}

#[test]
fn whoever_guesses_waits_and_others_do_not() {
    let server = Plan::new().config(CONFIG).start();
    let mut resp = server.resp();
    let mut keeps = server.http();
    let root = basic("root", WORD);
    assert_eq!(ask(&mut keeps, "GET /info", &[&root], "").status, 200);
    let held = "-RATELIMIT too many failed attempts to log in, try again in ";
    // All at once: what is asked while nothing has failed yet is looked into, and makes the wait
    // long enough for a slow machine.
    wait_for("a long wait", || {
        let mut guessers: Vec<_> = (0..16).map(|_| server.resp()).collect();
        guessers.iter_mut().for_each(|guesser| guesser.command(&["AUTH", "little", WRONG]));
        guessers.iter_mut().for_each(|guesser| drop(guesser.reply()));
        let reply = resp.call(&["AUTH", "little", WRONG]);
        let wait_ms = reply.strip_prefix(held).and_then(|rest| rest.strip_suffix(" ms"));
        wait_ms.is_some_and(|wait_ms| wait_ms.parse::<u64>().expect("a number") > 25_000)
    });
    is_told(&server, "login_held_off", "anonymous", "password", json!("little"));
    // Nobody who knows the password may come in from there now, however it is shown.
    assert!(resp.call(&["AUTH", "little", OTHER_WORD]).starts_with(held));
    assert!(resp.call(&["HELLO", "3", "AUTH", "root", WORD]).starts_with(held));
    let mut http = server.http();
    let answer = ask(&mut http, "GET /info", &[&root], "");
    let wait: u64 = answer.field("Retry-After").expect("a time").parse().expect("seconds");
    assert!(answer.status == 429 && (1..=60).contains(&wait), "{answer:?}");
    let body = json!({ "username": "root", "password": WORD }).to_string();
    let answer = ask(&mut http, "POST /auth/login", &[], &body);
    assert!(answer.status == 429 && answer.field("Retry-After").is_some(), "{answer:?}");
    // Others are not kept waiting: from another address, with a key, or in already.
    let elsewhere = "X-Forwarded-For: 9.9.9.9";
    assert_eq!(ask(&mut http, "GET /info", &[&root, elsewhere], "").status, 200);
    assert_eq!(ask(&mut http, "GET /info", &[&key(OPS)], "").status, 200);
    assert_eq!(ask(&mut keeps, "GET /info", &[&root], "").status, 200);
    assert_eq!(server.resp().call(&["AUTH", OPS]), "+OK");
    server.stop();
}

#[test]
fn short_keys_are_guesses_and_long_ones_are_not() {
    let server = Plan::new().config(CONFIG).start();
    let mut http = server.http();
    for _ in 0..30 {
        assert_eq!(ask(&mut http, "GET /kv/k", &[&key(WRONG_KEY)], "").status, 401);
    }
    assert_eq!(ask(&mut http, "GET /kv/k", &[&key("short")], "").status, 404);
    wait_for("a guess to be held off", || {
        ask(&mut http, "GET /kv/k", &[&key("shirt")], "").status == 429
    });
    wait_for("the right one to be held off as well", || {
        ask(&mut http, "GET /kv/k", &[&key("shirt")], "");
        ask(&mut http, "GET /kv/k", &[&key("short")], "").status == 429
    });
    assert_eq!(ask(&mut http, "GET /info", &[&basic("root", WORD)], "").status, 200);
    server.stop();
}

#[test]
fn administrators_hear_of_events_as_they_come() {
    let server = Plan::new().config(CONFIG).start();
    let stream = |header: &str| {
        let mut socket = connect(server.plan.http);
        let head = format!("GET /audit/stream HTTP/1.1\r\nHost: h\r\n{}\r\n{header}\r\n", key(OPS));
        socket.write_all(head.as_bytes()).expect("the server reads");
        let mut lines = BufReader::new(socket).lines().map(|line| line.expect("a line"));
        assert_eq!(lines.next().as_deref(), Some("HTTP/1.1 200 OK"));
        lines
    };
    let mut lines = stream("");
    assert!(lines.any(|line| line == "Content-Type: text/event-stream"));
    assert!(server.resp().call(&["AUTH", "root", WRONG]).starts_with("-WRONGPASS "));
    let mut id = String::new();
    let is_failure = |line: &String| line.starts_with("data: ") && line.contains("login_failed");
    let data = lines.by_ref().inspect(|line| {
        if let Some(found) = line.strip_prefix("id: ") {
            id = found.to_owned();
        }
    });
    let data = data.into_iter().find(is_failure).expect("it is told");
    let told: Value = serde_json::from_str(&data["data: ".len()..]).expect("JSON");
    assert_eq!((told["object"].clone(), told["id"].to_string()), (json!("root"), id.clone()));
    // What broke off goes on behind the last that was seen.
    let mut lines = stream(&format!("Last-Event-ID: {id}\r\n"));
    assert!(server.resp().call(&["AUTH", "little", WRONG]).starts_with("-WRONGPASS "));
    let data = lines.find(is_failure).expect("it is told");
    assert!(data.contains("\"object\":\"little\""), "{data}");
    let refused = ask(&mut server.http(), "GET /audit/stream?after=x", &[&key(OPS)], "");
    assert_eq!(refused.status, 400);
    server.stop();
}

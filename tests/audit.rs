//! Security events as an administrator reads them.

mod support;

use serde_json::{Value, json};
use support::http::Http;
use support::{Plan, Server, wait_for};

fn page(http: &mut Http, after: u64) -> Value {
    let answer = http.request("GET", &format!("/audit?after={after}"), "");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn seen(http: &mut Http, kind: &str) -> Vec<Value> {
    let page = page(http, 0);
    let events = page["events"].as_array().expect("events").clone();
    events.into_iter().filter(|event| event["event"] == json!(kind)).collect()
}

#[test]
fn what_clients_change_is_noted_once() {
    let server = Server::start();
    let mut client = server.resp();
    assert_eq!(client.call(&["CONFIG", "SET", "maxclients", "5000", "timeout", "7"]), "+OK");
    assert_eq!(client.call(&["SET", "secret-key", "secret-value"]), "+OK");
    assert_eq!(client.call(&["FLUSHALL"]), "+OK");
    let mut events = Vec::new();
    wait_for("three events", || {
        events = page(&mut server.http(), 0)["events"].as_array().expect("events").clone();
        events.len() >= 3
    });
    let told: Vec<(&str, &str)> = events
        .iter()
        .map(|event| {
            assert_eq!((&event["address"], &event["left_out"]), (&json!("127.0.0.1"), &json!(0)));
            assert_eq!(event["who"], json!("anonymous"));
            (event["event"].as_str().expect("text"), event["detail"].as_str().expect("text"))
        })
        .collect();
    let expected =
        [("config_changed", "maxclients"), ("config_changed", "timeout"), ("flushed", "FLUSHALL")];
    assert_eq!(told, expected, "two cores change settings, one tells");
    let ids: Vec<u64> = events.iter().map(|event| event["id"].as_u64().expect("one")).collect();
    let first = ids[0];
    assert_eq!(ids, [first, first + 1, first + 2]);
    let mut http = server.http();
    assert_eq!(page(&mut http, first + 1)["events"].as_array().expect("events").len(), 1);
    assert_eq!(page(&mut http, first + 2), json!({"events": [], "last": first + 2, "lost": 0}));
    assert_eq!(http.request("GET", "/audit?after=x", "").status, 400);
    assert!(!http.request("GET", "/audit", "").text().contains("secret"));
    let log = server.plan.log();
    assert!(log.contains("audit: security event") && log.contains("detail=\"FLUSHALL\""), "{log}");
    server.stop();
}

#[test]
fn limits_and_the_operator_are_noted() {
    let plan = Plan::new()
        .config("kv_store: {allow_flush_commands: true}\n")
        .env("SYNAP_RATE_LIMIT__ENABLED", true)
        .env("SYNAP_RATE_LIMIT__REQUESTS_PER_SECOND", 1)
        .env("SYNAP_RATE_LIMIT__BURST_SIZE", 1000)
        .env("SYNAP_SERVER__MAX_CONNECTIONS_PER_ADDRESS", 5);
    let server = plan.start();
    let held: Vec<_> = (0..9).map(|_| server.resp()).collect();
    server.wait_for_log("server.max_connections_per_address");
    drop(held);
    wait_for("there to be room", || {
        let mut client = server.resp();
        client.try_send(b"PING\r\n");
        client.try_reply().as_deref() == Some(b"+PONG\r\n")
    });
    let mut http = server.http();
    let _same = plan.clone().config("kv_store: {allow_flush_commands: true, max_memory_mb: 99}\n");
    server.signal("HUP");
    wait_for("the reload to be noted", || {
        seen(&mut http, "config_changed").iter().any(|event| {
            let by = (&event["who"], &event["detail"], &event["address"]);
            by == (&json!("operator"), &json!("kv_store.max_memory_mb"), &Value::Null)
        })
    });
    assert!(!seen(&mut http, "connection_refused").is_empty());
    let mut client = server.resp();
    (0..1500).for_each(|_| client.command(&["PING"]));
    (0..1500).for_each(|_| drop(client.reply()));
    // What is left out of so many is counted.
    let text = http.request("GET", "/metrics", "").text().to_owned();
    let of = |outcome: &str| -> u64 {
        let name =
            format!("synap_audit_events_total{{event=\"rate_limited\",outcome=\"{outcome}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.expect("a count").parse().expect("a number")
    };
    assert!(of("recorded") >= 1 && of("left_out") >= 100, "{text}");
    let plan = server.plan.clone();
    server.stop();
    assert!(plan.log().contains("event=\"shut_down\""), "{}", plan.log());
}

#[test]
fn a_directory_that_everybody_may_write_to_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let plan = Plan::new();
    std::fs::create_dir_all(plan.data()).expect("a directory");
    for (mode, warns) in [(0o777, true), (0o755, false)] {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(plan.data(), permissions).expect("it is ours");
        plan.start().stop();
        assert_eq!(plan.log().contains("may write to the data directory"), warns, "{mode:o}");
    }
}

//! The dashboard and the alert rules under `deploy/` against a running server: every metric that
//! they name is exported, and has the labels they use.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use support::Server;
use support::http::Http;
use support::wait_for;

const DASHBOARD: &str = include_str!("../deploy/monitoring/grafana-synap.json");
const ALERTS: &str = include_str!("../deploy/monitoring/prometheus-alerts.yml");

const SECCOMP: &str = include_str!("../deploy/seccomp/synap.json");

/// Labels that Prometheus adds.
const ADDED: &[&str] = &["instance", "job", "le"];

fn post(http: &mut Http, path: &str, body: &Value) {
    let answer = http.request("POST", path, &body.to_string());
    assert_eq!(answer.status, 200, "{path} {answer:?}");
}

/// A server in which there is some of everything, and what it exports.
fn exported() -> BTreeMap<String, BTreeSet<String>> {
    let server = Server::start();
    let mut http = server.http();
    post(&mut http, "/queue/publish", &json!({"queue": "q", "message": "m"}));
    post(&mut http, "/stream/publish", &json!({"room": "r", "event": "e", "data": 1}));
    post(&mut http, "/topics/t", &json!({"num_partitions": 2}));
    let event = json!({"event_type": "e", "partition": 1, "data": 1});
    for _ in 0..5 {
        post(&mut http, "/topics/t/publish", &event);
    }
    post(&mut http, "/consumer-groups/g", &json!({"topic": "t"}));
    post(&mut http, "/consumer-groups/g/join", &json!({}));
    let commit = json!({"partition_id": 1, "offset": 2});
    post(&mut http, "/consumer-groups/g/offsets/commit", &commit);
    server.resp().call(&["SET", "k", "v"]);
    let mut text = String::new();
    wait_for("queues, rooms and groups to be seen", || {
        text = http.request("GET", "/metrics", "").text().to_owned();
        let lag = r#"synap_consumer_group_lag{group="g",topic="t",partition="1"} 3"#;
        let room = r#"synap_stream_last_offset{room="r"} 0"#;
        let queue = r#"synap_queue_depth{queue="q"} 1"#;
        [lag, room, queue].iter().all(|line| text.lines().any(|found| found == *line))
    });
    for line in [
        r#"synap_stream_operations_total{room="r",operation="publish",status="ok"} 1"#,
        r#"synap_stream_buffer_size{room="r"} 1"#,
        r#"synap_partition_messages{topic="t",partition="1"} 5"#,
        r#"synap_partition_end_offset{topic="t",partition="1"} 5"#,
        r#"synap_consumer_group_members{group="g",topic="t"} 1"#,
        r#"synap_consumer_group_committed_offset{group="g",topic="t",partition="1"} 2"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    server.stop();
    let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let name = family.split(' ').next().expect("a name");
            names.entry(name.to_owned()).or_default();
            continue;
        }
        let Some((name, labels)) = line.split_once('{') else { continue };
        let labels = labels.split("\",").filter_map(|label| label.split_once('='));
        let labels = labels.map(|(label, _)| label.to_owned());
        names.entry(name.to_owned()).or_default().extend(labels);
    }
    names
}

/// Metrics in an expression, each with the labels it is asked for.
fn named(expression: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    for (at, _) in expression.match_indices("synap_") {
        if expression[..at].ends_with(is_letter) {
            continue;
        }
        let rest = &expression[at..];
        let end = rest.find(|letter| !is_letter(letter)).unwrap_or(rest.len());
        let matchers = rest[end..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let matchers = matchers.map_or("", |(inside, _)| inside).split(',');
        let labels = matchers.filter_map(|matcher| matcher.split(['=', '!']).next());
        let labels = labels.filter(|label| !label.is_empty()).map(str::to_owned).collect();
        found.push((rest[..end].to_owned(), labels));
    }
    found
}

/// Labels by which an expression groups.
fn grouped(expression: &str) -> Vec<&str> {
    let lists = expression.split("by (").skip(1);
    let lists = lists.filter_map(|rest| rest.split(')').next());
    lists.flat_map(|list| list.split(',')).map(str::trim).collect()
}

fn check(names: &BTreeMap<String, BTreeSet<String>>, expression: &str) {
    let metrics = named(expression);
    let mut known = BTreeSet::new();
    for (metric, labels) in &metrics {
        let of_histogram = metric.trim_end_matches("_bucket");
        let found = names.get(metric).or_else(|| names.get(of_histogram));
        let found = found.unwrap_or_else(|| panic!("{metric} is not exported: {expression}"));
        for label in labels {
            let is_known = found.contains(label) || ADDED.contains(&&**label);
            assert!(is_known, "{metric} has no label {label}: {expression}");
        }
        known.extend(found.iter().map(String::as_str));
    }
    for label in grouped(expression) {
        let is_known = known.contains(label) || ADDED.contains(&label);
        assert!(is_known, "nothing here has a label {label}: {expression}");
    }
}

#[test]
fn what_the_dashboard_and_the_alerts_name_is_exported() {
    let names = exported();
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("the dashboard is JSON");
    let mut seen = 0;
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().expect("an expression");
            assert!(!named(expression).is_empty(), "{expression}");
            check(&names, expression);
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
    // Each rule's expression ends where its next member begins.
    let rules: Vec<&str> = ALERTS.split("- alert:").skip(1).collect();
    assert!(rules.len() > 10, "{}", rules.len());
    for rule in rules {
        let (_, behind) = rule.split_once("expr:").expect("a rule has an expression");
        let end = ["\n        for:", "\n        labels:"].iter().filter_map(|end| behind.find(end));
        let expression = &behind[..end.min().expect("a rule has labels")];
        check(&names, expression);
        let summary = rule.split_once("summary:").expect("a rule says what it is").1;
        for label in summary.split("$labels.").skip(1) {
            let label = label.split(' ').next().expect("a name");
            let is_kept = grouped(expression).contains(&label) || expression.contains("up{");
            assert!(is_kept, "{label} is lost: {expression}");
        }
    }
}

#[test]
fn the_system_calls_of_containers_are_those_it_needs() {
    let profile: Value = serde_json::from_str(SECCOMP).expect("the profile is JSON");
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    let rules = profile["syscalls"].as_array().expect("rules");
    assert_eq!((rules.len(), &rules[0]["action"]), (1, &json!("SCMP_ACT_ALLOW")));
    let names = rules[0]["names"].as_array().expect("names");
    let names: Vec<&str> = names.iter().map(|name| name.as_str().expect("a name")).collect();
    for needed in ["io_uring_setup", "io_uring_enter", "io_uring_register", "listen", "fdatasync"] {
        assert!(names.contains(&needed), "{needed}");
    }
    for dangerous in
        ["mount", "ptrace", "bpf", "keyctl", "init_module", "unshare", "setns", "reboot"]
    {
        assert!(!names.contains(&dangerous), "{dangerous}");
    }
}

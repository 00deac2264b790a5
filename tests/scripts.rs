//! Scripts against a real server on two cores: patterns that applications use, from both cores and
//! often enough that scripts come to run over their declared keys only; limits; REST; durability.

mod support;

#[path = "support/patterns.rs"]
mod patterns;

use std::time::{Duration, Instant};

use support::redis_server::Redis;
use support::resp::Resp;
use support::{Plan, Server, installed, wait_for};

/// The words of a call with `keys | arguments`.
fn words<'a>(
    command: &'a str,
    script: &'a str,
    step: &'a str,
    count: &'a mut String,
) -> Vec<&'a str> {
    let (keys, arguments) = step.split_once('|').unwrap_or((step, ""));
    let keys: Vec<&str> = keys.split_whitespace().collect();
    *count = keys.len().to_string();
    let mut words = vec![command, script, count];
    words.extend(keys);
    words.extend(arguments.split_whitespace());
    words
}

fn eval(client: &mut Resp, script: &str, step: &str) -> String {
    let mut count = String::new();
    let words = words("EVAL", script, step, &mut count);
    client.call(&words)
}

#[test]
fn patterns_of_applications() {
    let server = Server::start();
    // Connections are spread over the cores.
    let mut clients: Vec<Resp> = (0..8).map(|_| server.resp()).collect();
    assert!(patterns::all().count() >= 30);
    // In the later rounds the scripts are trusted.
    for round in 0..24 {
        assert_eq!(clients[0].call(&["FLUSHALL"]), "+OK");
        for (at, pattern) in patterns::all().enumerate() {
            for (step, (line, expected)) in pattern.steps.iter().enumerate() {
                let client = &mut clients[(at + step + round) % 8];
                let found = eval(client, pattern.script, line);
                assert_eq!(&found, expected, "round {round}: {}: {line}", pattern.name);
            }
        }
    }
    server.stop();
}

#[test]
fn patterns_answer_as_in_redis() {
    if !installed("redis-server") {
        return;
    }
    let (server, redis) = (Server::start(), Redis::start());
    for protocol in ["2", "3"] {
        let (mut ours, mut theirs) = (server.resp(), redis.resp());
        for client in [&mut ours, &mut theirs] {
            client.call(&["FLUSHALL"]);
            client.call(&["HELLO", protocol]);
        }
        for pattern in patterns::all() {
            for (line, _) in pattern.steps {
                let mut count = String::new();
                let words = words("EVAL", pattern.script, line, &mut count);
                ours.command(&words);
                theirs.command(&words);
                let (ours, theirs) = (ours.reply(), theirs.reply());
                let (ours, theirs) = (ours.escape_ascii(), theirs.escape_ascii());
                assert_eq!(ours.to_string(), theirs.to_string(), "{}: {line}", pattern.name);
            }
        }
    }
    server.stop();
}

/// The sum of a counter over all its labels.
fn counter(server: &Server, name: &str) -> f64 {
    let answer = server.http().request("GET", "/metrics", "");
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let (_, number) = rest.starts_with([' ', '{']).then(|| rest.rsplit_once(' '))??;
        Some(number.parse::<f64>().expect("samples are numbers"))
    };
    answer.text().lines().filter_map(value).sum()
}

/// Runs with every shard before a script is trusted, on each of two cores, and the shards that
/// each such run borrows.
const PROVING: f64 = 2.0 * 16.0 * 32.0;

#[test]
fn a_script_that_keeps_to_its_keys_borrows_no_others() {
    let server = Server::start();
    // As many as it takes for none of the cores to go without.
    let mut clients: Vec<Resp> = (0..32).map(|_| server.resp()).collect();
    let script =
        "if ARGV[1] then redis.call('INCR', ARGV[1]) end return redis.call('INCR', KEYS[1])";
    let mut ran = 0;
    for _ in 0..2 {
        for _ in 0..40 {
            for client in &mut clients {
                ran += 1;
                assert_eq!(eval(client, script, "kept"), format!(":{ran}"));
            }
        }
        let runs = f64::from(ran);
        wait_for("the counters", || {
            counter(&server, "synap_scripts_total") == runs
                && counter(&server, "synap_core_loans_total") >= PROVING
        });
        // A run that is trusted borrows the shard of its key at most; one that is not, 32.
        let lent = counter(&server, "synap_core_loans_total");
        assert!(lent <= PROVING + runs, "{lent} shards lent in {runs} runs");
    }
    assert_eq!(counter(&server, "synap_scripts_rerun_total"), 0.0);
    // It reaches for what it has not declared: each core notices once.
    for turn in 1..=64 {
        let client = &mut clients[turn % 32];
        assert_eq!(eval(client, script, "kept | far"), format!(":{}", ran as usize + turn));
        assert_eq!(client.call(&["GET", "far"]), turn.to_string());
    }
    wait_for("the counter", || counter(&server, "synap_scripts_rerun_total") == 2.0);
    server.stop();
}

#[test]
fn a_digest_is_known_everywhere() {
    let server = Server::start();
    let mut clients: Vec<Resp> = (0..8).map(|_| server.resp()).collect();
    let script = "return {KEYS[1], ARGV[1]}";
    let digest = clients[0].call(&["SCRIPT", "LOAD", script]);
    assert_eq!(digest.len(), 40);
    for client in &mut clients {
        assert_eq!(client.call(&["EVALSHA", &digest, "1", "k", "a"]), "[k, a]");
        assert_eq!(client.call(&["EVALSHA_RO", &digest, "1", "k", "a"]), "[k, a]");
        assert_eq!(client.call(&["SCRIPT", "EXISTS", &digest, "x"]), "[:1, :0]");
    }
    assert_eq!(clients[1].call(&["SCRIPT", "FLUSH", "SYNC"]), "+OK");
    for client in &mut clients {
        let refused = client.call(&["EVALSHA", &digest, "0"]);
        assert_eq!(refused, "-NOSCRIPT No matching script. Please use EVAL.");
    }
    server.stop();
}

#[test]
fn an_endless_script_ends_and_the_server_goes_on() {
    let server = Plan::new().env("SYNAP_SCRIPTING__TIME_LIMIT_MS", 300).start();
    let mut client = server.resp();
    let started = Instant::now();
    let refused = client.call(&["EVAL", "while true do end", "0"]);
    assert!(refused.contains("it ran longer than 300 ms"), "{refused}");
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(client.call(&["PING"]), "+PONG");
    assert_eq!(client.call(&["SCRIPT", "KILL"]), "-NOTBUSY No scripts in execution right now.");
    server.stop();
}

#[test]
fn a_greedy_script_ends_and_the_server_goes_on() {
    let server = Plan::new()
        .env("SYNAP_SCRIPTING__TIME_LIMIT_MS", 60_000)
        .env("SYNAP_SCRIPTING__MEMORY_LIMIT_MB", 8)
        .start();
    let mut client = server.resp();
    let greedy = "local t = {} while true do t[#t + 1] = ('x'):rep(100000 + #t) end";
    let refused = client.call(&["EVAL", greedy, "0"]);
    assert!(refused.contains("not enough memory"), "{refused}");
    assert_eq!(client.call(&["EVAL", "return 1", "0"]), ":1");
    server.stop();
}

#[test]
fn a_script_is_killed_from_another_core() {
    let server = Plan::new().env("SYNAP_SCRIPTING__TIME_LIMIT_MS", 60_000).start();
    let mut busy = server.resp();
    let mut killers: Vec<Resp> = (0..16).map(|_| server.resp()).collect();
    busy.command(&["EVAL", "while true do end", "0"]);
    busy.socket().set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    // The first may come before the script runs. Whoever sits on the other core gets through.
    wait_for("the end of the script", || {
        killers.iter_mut().for_each(|killer| killer.command(&["SCRIPT", "KILL"]));
        busy.socket().peek(&mut [0]).is_ok()
    });
    let ended = String::from_utf8_lossy(&busy.reply()).into_owned();
    assert!(ended.contains("Script killed by user with SCRIPT KILL"), "{ended}");
    server.stop();
}

#[test]
fn effects_survive_a_restart() {
    let plan = Plan::new().fsync("always");
    let server = plan.start();
    let mut client = server.resp();
    let script = "redis.call('SET', KEYS[1], 'a') redis.call('RPUSH', KEYS[2], 1, 2, 3) \
                  redis.call('HSET', KEYS[3], 'f', redis.call('TIME')[1]) error('and now this')";
    let refused = eval(&mut client, script, "one two three");
    assert!(refused.contains("and now this"), "{refused}");
    let time = client.call(&["HGET", "three", "f"]);
    server.kill();
    let server = plan.start();
    let mut client = server.resp();
    assert_eq!(client.call(&["GET", "one"]), "a");
    assert_eq!(client.call(&["LRANGE", "two", "0", "-1"]), "[1, 2, 3]");
    assert_eq!(client.call(&["HGET", "three", "f"]), time);
    server.stop();
}

#[test]
fn scripts_over_http() {
    let server = Server::start();
    let mut http = server.http();
    let mut post = |path: &str, body: &str| {
        let answer = http.request("POST", path, body);
        (answer.status, answer.json())
    };
    let (status, body) = post(
        "/script/eval",
        r#"{"script":"return {KEYS[1], ARGV[1], true, false, 1.5, {}}","keys":["k"],"args":[7]}"#,
    );
    assert_eq!((status, &body["result"]), (200, &serde_json::json!(["k", "7", true, null, 1, []])));
    let sha1 = body["sha1"].as_str().unwrap().to_owned();
    let (status, body) = post("/script/evalsha", &format!(r#"{{"sha1":"{sha1}","keys":["q"]}}"#));
    assert_eq!((status, &body["result"]), (200, &serde_json::json!(["q"])));
    let (status, body) = post("/script/evalsha", &format!(r#"{{"sha1":"{}"}}"#, "0".repeat(40)));
    assert_eq!(status, 404);
    assert!(body["error"].as_str().unwrap().starts_with("NOSCRIPT"), "{body}");
    let endless = r#"{"script":"while true do end","timeout_ms":100}"#;
    assert_eq!(post("/script/eval", endless).0, 408);
    let (status, body) = post("/script/load", r#"{"script":"return 5"}"#);
    assert_eq!(status, 200);
    let loaded = body["sha1"].as_str().unwrap().to_owned();
    assert_eq!(post("/script/load", r#"{"script":"return )"}"#).0, 400);
    let hashes = format!(r#"{{"hashes":["{loaded}","nope"]}}"#);
    assert_eq!(post("/script/exists", &hashes).1, serde_json::json!({"exists": [true, false]}));
    assert_eq!(post("/script/kill", "{}").1, serde_json::json!({"terminated": false}));
    assert_eq!(post("/script/flush", "").1, serde_json::json!({"cleared": 3}));
    server.stop();
}

#[test]
fn runs_are_counted() {
    let server = Server::start();
    let mut client = server.resp();
    eval(&mut client, "return 1", "");
    wait_for("the counter", || counter(&server, "synap_scripts_total") == 1.0);
    server.stop();
}

//! RESP as clients use it: the string, bitmap, key and expiry commands on two cores with keys
//! spread over both, pipelines in order, both protocol versions, and cluster-aware clients.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use support::resp::{Resp, encode, show};
use support::{Plan, Server, installed, wait_for};

/// Keys enough that each core has many.
const SPREAD: usize = 64;

fn keys() -> Vec<String> {
    (0..SPREAD).map(|at| format!("key:{at}")).collect()
}

#[test]
fn commands_over_several_keys_cross_cores() {
    let server = Server::start();
    let mut con = server.redis();
    let pairs: Vec<(String, String)> = keys().into_iter().map(|k| (k.clone(), k + "!")).collect();
    let () = redis::cmd("MSET").arg(&pairs).query(&mut con).expect("MSET");
    let values: Vec<String> = redis::cmd("MGET").arg(keys()).query(&mut con).expect("MGET");
    assert_eq!(values, pairs.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>());
    let existing: usize = redis::cmd("EXISTS").arg(keys()).query(&mut con).expect("EXISTS");
    assert_eq!(existing, SPREAD);
    let refused: i64 = redis::cmd("MSETNX").arg(&pairs).query(&mut con).expect("MSETNX");
    assert_eq!(refused, 0);
    for at in 0..SPREAD {
        let (from, to) = (format!("key:{at}"), format!("moved:{at}"));
        let () = redis::cmd("RENAME").arg(&from).arg(&to).query(&mut con).expect("RENAME");
        let copied: i64 = redis::cmd("COPY").arg(&to).arg(&from).query(&mut con).expect("COPY");
        assert_eq!(copied, 1);
        let value: String = redis::cmd("GET").arg(&from).query(&mut con).expect("GET");
        assert_eq!(value, format!("key:{at}!"));
    }
    let size: usize = redis::cmd("DBSIZE").query(&mut con).expect("DBSIZE");
    assert_eq!(size, 2 * SPREAD);
    let gone: usize = redis::cmd("DEL").arg(keys()).query(&mut con).expect("DEL");
    assert_eq!(gone, SPREAD);
    let () = redis::cmd("FLUSHALL").query(&mut con).expect("FLUSHALL");
    let size: usize = redis::cmd("DBSIZE").query(&mut con).expect("DBSIZE");
    assert_eq!(size, 0);
    server.stop();
}

#[test]
fn bitmaps_cross_cores() {
    let server = Server::start();
    let mut client = server.resp();
    for at in 0..SPREAD {
        let at = at.to_string();
        assert_eq!(client.call(&["SETBIT", &format!("bit:{at}"), &at, "1"]), ":0");
    }
    let sources: Vec<String> = (0..SPREAD).map(|at| format!("bit:{at}")).collect();
    for target in 0..4 {
        let target = format!("all:{target}");
        let mut words = vec!["BITOP", "OR", &target];
        words.extend(sources.iter().map(String::as_str));
        assert_eq!(client.call(&words), ":8");
        assert_eq!(client.call(&["BITCOUNT", &target]), ":64");
    }
    assert_eq!(client.call(&["BITOP", "NOT", "none", "all:0"]), ":8");
    assert_eq!(client.call(&["BITCOUNT", "none"]), ":0");
    let field = client.call(&["BITFIELD", "f", "SET", "u8", "0", "255", "GET", "u4", "4"]);
    assert_eq!(field, "[:0, :15]");
    assert_eq!(client.call(&["BITPOS", "bit:9", "1"]), ":9");
}

#[test]
fn every_key_is_listed_once() {
    let server = Server::start();
    let mut con = server.redis();
    let names: BTreeSet<String> = (0..2000).map(|at| format!("scan:{at}")).collect();
    let mut pipe = redis::pipe();
    for name in &names {
        pipe.cmd("SET").arg(name).arg(1).ignore();
    }
    pipe.exec(&mut con).expect("the keys are set");
    let (mut found, mut cursor, mut seen) = (BTreeSet::new(), 0_u64, 0);
    loop {
        let (next, page): (u64, Vec<String>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg(&["MATCH", "scan:*", "COUNT", "50"])
            .query(&mut con)
            .expect("SCAN");
        seen += page.len();
        found.extend(page);
        if next == 0 {
            break;
        }
        cursor = next;
    }
    assert_eq!(found, names);
    assert_eq!(seen, names.len(), "nothing changed meanwhile, so nothing comes twice");
    let all: BTreeSet<String> = redis::cmd("KEYS").arg("scan:*").query(&mut con).expect("KEYS");
    assert_eq!(all, names);
    let some: Vec<String> = redis::cmd("KEYS").arg("scan:1?").query(&mut con).expect("KEYS");
    assert_eq!(some.len(), 10);
    let random: String = redis::cmd("RANDOMKEY").query(&mut con).expect("RANDOMKEY");
    assert!(names.contains(&random));
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let server = Server::start();
    let mut client = server.resp();
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    let mut model = BTreeMap::new();
    for round in 0..2000 {
        let (one, other) = (format!("p:{}", round % 37), format!("p:{}", (round * 7 + 3) % 37));
        let value = format!("v{round}");
        match round % 5 {
            0 => {
                bytes.extend(encode(&["SET", &one, &value]));
                model.insert(one, value);
                expected.push("+OK".to_owned());
            }
            1 => {
                bytes.extend(encode(&["MSET", &one, &value, &other, &value]));
                model.insert(one, value.clone());
                model.insert(other, value);
                expected.push("+OK".to_owned());
            }
            2 => {
                bytes.extend(encode(&["DEL", &one]));
                expected.push(format!(":{}", i32::from(model.remove(&one).is_some())));
            }
            3 => {
                bytes.extend(encode(&["MGET", &one, &other]));
                let of = |key| model.get(key).map_or("(nil)", String::as_str);
                expected.push(format!("[{}, {}]", of(&one), of(&other)));
            }
            _ => {
                bytes.extend(encode(&["GET", &other]));
                expected.push(model.get(&other).map_or("(nil)", String::as_str).to_owned());
            }
        }
    }
    client.send(&bytes);
    for (at, expected) in expected.iter().enumerate() {
        assert_eq!(&show(&client.reply()), expected, "reply {at}");
    }
}

#[test]
fn the_newer_protocol_and_inline_commands() {
    let server = Server::start();
    let mut client = server.resp();
    client.command(&["HELLO", "3"]);
    let hello = client.reply();
    assert_eq!(hello[0], b'%', "{}", show(&hello));
    assert!(show(&hello).contains("proto, :3"));
    client.command(&["GET", "nothing"]);
    assert_eq!(client.reply(), b"_\r\n");
    client.command(&["HELLO", "2"]);
    assert_eq!(client.reply()[0], b'*');
    client.command(&["GET", "nothing"]);
    assert_eq!(client.reply(), b"$-1\r\n");
    client.send(b"SET inline \"a b\\x41\"\r\nGET inline\r\n\r\nPING\n");
    assert_eq!(client.reply(), b"+OK\r\n");
    assert_eq!(client.reply(), b"$4\r\na bA\r\n");
    assert_eq!(client.reply(), b"+PONG\r\n");
    client.send(b"PING 'not closed\r\n");
    assert!(show(&client.reply()).starts_with("-ERR Protocol error"));
    client.rest();
}

#[test]
fn keys_expire_and_options_hold() {
    let server = Server::start();
    let mut client = server.resp();
    for (words, expected) in [
        (&["SET", "e", "1", "EX", "100"][..], "+OK"),
        (&["TTL", "e"], ":100"),
        (&["EXPIRE", "e", "50", "GT"], ":0"),
        (&["EXPIRE", "e", "50", "LT"], ":1"),
        (&["EXPIRE", "e", "60", "NX"], ":0"),
        (&["PERSIST", "e"], ":1"),
        (&["TTL", "e"], ":-1"),
        (&["GETEX", "e", "PX", "5000"], "1"),
        (&["GETDEL", "e"], "1"),
        (&["TTL", "e"], ":-2"),
        (&["SET", "e", "2", "IFEQ", "1"], "(nil)"),
        (&["SET", "e", "1"], "+OK"),
        (&["SET", "e", "2", "IFEQ", "1"], "+OK"),
        (&["SET", "e", "3", "NX", "GET"], "2"),
        (&["EXPIREAT", "e", "1"], ":1"),
        (&["EXISTS", "e"], ":0"),
        (&["SET", "short", "1", "PX", "30"], "+OK"),
    ] {
        assert_eq!(client.call(words), expected, "{words:?}");
    }
    wait_for("the key to expire", || client.call(&["GET", "short"]) == "(nil)");
}

#[test]
fn the_plain_port_serves_every_key() {
    let base = support::free_ports(1);
    let server = Plan::new().env("SYNAP_SERVER__SHARD_PORT_BASE", base).start();
    let mut plain = server.resp();
    for key in keys() {
        assert_eq!(plain.call(&["SET", &key, "1"]), "+OK");
    }
    let (mut moved, mut served) = (0, 0);
    for core in 0..2 {
        let mut aware = Resp::connect(base + core);
        for key in keys() {
            let reply = aware.call(&["GET", &key]);
            if let Some(rest) = reply.strip_prefix("-MOVED ") {
                let slot = plain.call(&["CLUSTER", "KEYSLOT", &key]);
                let other = base + 1 - core;
                assert_eq!(
                    format!("-MOVED {rest}"),
                    format!("-MOVED {} 127.0.0.1:{other}", &slot[1..])
                );
                moved += 1;
            } else {
                assert_eq!(reply, "1");
                served += 1;
            }
        }
        let across = aware.call(&["MGET", "key:0", "key:1", "key:2", "key:3"]);
        assert!(across.starts_with("-CROSSSLOT"), "{across}");
        let slots = aware.call(&["CLUSTER", "SLOTS"]);
        for port in [base, base + 1] {
            assert!(slots.contains(&format!(":{port}")), "{slots}");
        }
    }
    assert_eq!((moved, served), (SPREAD, SPREAD));
}

#[test]
fn a_cluster_aware_client_finds_every_key() {
    let base = support::free_ports(1);
    let server = Plan::new().env("SYNAP_SERVER__SHARD_PORT_BASE", base).start();
    let node = format!("redis://127.0.0.1:{base}/");
    let client = redis::cluster::ClusterClient::new(vec![node]).expect("a valid address");
    let mut con = client.get_connection().expect("the slots are told");
    for key in keys() {
        let () = redis::cmd("SET").arg(&key).arg(&key).query(&mut con).expect("SET");
    }
    let mut pipe = redis::cluster::cluster_pipe();
    for key in keys() {
        pipe.cmd("GET").arg(key);
    }
    let values: Vec<String> = pipe.query(&mut con).expect("a pipeline");
    assert_eq!(values, keys());
    assert_eq!(server.resp().call(&["DBSIZE"]), format!(":{SPREAD}"));
}

#[test]
fn redis_cli_speaks_to_it() {
    if !installed("redis-cli") {
        return;
    }
    let server = Server::start();
    let run = |words: &[&str]| {
        let port = server.plan.resp.to_string();
        let output = std::process::Command::new("redis-cli")
            .args(["-p", &port])
            .args(words)
            .output()
            .expect("redis-cli runs");
        String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
    };
    assert_eq!(run(&["SET", "a", "1"]), "OK");
    assert_eq!(run(&["INCRBY", "a", "41"]), "42");
    assert_eq!(run(&["-3", "MGET", "a", "b"]), "42");
    assert_eq!(run(&["--scan", "--pattern", "a*"]), "a");
    assert!(run(&["INFO", "server"]).contains("redis_version:"));
    assert!(run(&["NOSUCH"]).starts_with("ERR unknown command"));
}

#[test]
fn ten_thousand_keys_expire_untouched() {
    let server = Server::start();
    let mut con = server.redis();
    for part in 0..10 {
        let mut pipe = redis::pipe();
        for at in 0..1000 {
            pipe.cmd("SET").arg(format!("ttl:{part}:{at}")).arg(1).arg("PX").arg(300).ignore();
        }
        pipe.exec(&mut con).expect("the keys are set");
    }
    let () = redis::cmd("SET").arg("stays").arg(1).query(&mut con).expect("SET");
    wait_for("the keys to go", || {
        std::thread::sleep(Duration::from_millis(20));
        let size: usize = redis::cmd("DBSIZE").query(&mut con).expect("DBSIZE");
        size == 1
    });
}

#[test]
fn eviction_bounds_memory() {
    let server = Plan::new()
        .env("SYNAP_KV_STORE__MAX_MEMORY_MB", 8)
        .env("SYNAP_KV_STORE__EVICTION_POLICY", "allkeys-lru")
        .env("SYNAP_PERSISTENCE_ENABLED", "false")
        .start();
    let mut client = server.resp();
    let value = "v".repeat(4096);
    for round in 0..100 {
        for at in 0..100 {
            client.command(&["SET", &format!("fill:{round}:{at}"), &value]);
        }
        for _ in 0..100 {
            assert_eq!(client.reply(), b"+OK\r\n");
        }
        let used = info_number(&mut client, "memory", "used_memory");
        assert!(used < 10 * 1024 * 1024, "round {round}: {used}");
    }
    assert!(info_number(&mut client, "stats", "evicted_keys") > 5000);
}

#[test]
fn without_eviction_memory_runs_out_with_an_error() {
    let server = Plan::new()
        .env("SYNAP_KV_STORE__MAX_MEMORY_MB", 8)
        .env("SYNAP_KV_STORE__EVICTION_POLICY", "noeviction")
        .env("SYNAP_PERSISTENCE_ENABLED", "false")
        .start();
    let mut client = server.resp();
    let value = "v".repeat(64 * 1024);
    let refused = (0..400).find_map(|at| {
        let reply = client.call(&["SET", &format!("fill:{at}"), &value]);
        (reply != "+OK").then_some(reply)
    });
    let refused = refused.expect("25 MB do not fit 8");
    assert!(refused.starts_with("-OOM command not allowed"), "{refused}");
    let mut statuses = BTreeSet::new();
    let body = format!("{{\"key\":\"KEY\",\"value\":\"{value}\"}}");
    for at in 0..200 {
        let body = body.replace("KEY", &format!("http:{at}"));
        statuses.insert(server.http().request("POST", "/kv/set", &body).status);
    }
    assert!(statuses.contains(&507), "{statuses:?}");
    assert_eq!(client.call(&["GET", "fill:0"]), value, "reading goes on");
    assert_eq!(client.call(&["DEL", "fill:0"]), ":1", "deleting goes on");
}

fn info_number(client: &mut Resp, section: &str, field: &str) -> u64 {
    let info = client.call(&["INFO", section]);
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    line.expect("the field is there").trim().parse().expect("a number")
}

//! Client-side caching over two cores: whoever reads, whoever writes and whoever is told are on
//! whichever core took their connection, and keys belong to either.

mod support;

use std::collections::HashMap;

use support::resp::{Resp, show};
use support::{Plan, Server, wait_for};

/// Keys and clients enough that both cores have some.
const MANY: usize = 8;

fn keys() -> Vec<String> {
    (0..MANY).map(|number| format!("key:{number}")).collect()
}

fn id(client: &mut Resp) -> String {
    let id = client.call(&["CLIENT", "ID"]);
    id.strip_prefix(':').expect("a number").to_owned()
}

/// A client of the third version of the protocol that tracks with these options.
fn tracker(server: &Server, options: &[&str]) -> Resp {
    let mut client = server.resp();
    client.call(&["HELLO", "3"]);
    track(&mut client, options);
    client
}

fn track(client: &mut Resp, options: &[&str]) {
    let words = [&["CLIENT", "TRACKING", "ON"], options].concat();
    assert_eq!(client.call(&words), "+OK");
}

fn expect(client: &mut Resp, what: &str) {
    assert_eq!(show(&client.reply()), what);
}

/// Nothing came before the answer to this.
fn expect_silence(client: &mut Resp) {
    assert_eq!(client.call(&["PING"]), "+PONG");
}

/// Whatever came before the answer to this.
fn heard(client: &mut Resp) -> Vec<String> {
    client.command(&["ECHO", "end"]);
    let mut all = Vec::new();
    loop {
        let one = show(&client.reply());
        if one == "end" {
            return all;
        }
        all.push(one);
    }
}

/// What the server knows of the connection.
fn facts(client: &mut Resp) -> String {
    client.command(&["CLIENT", "INFO"]);
    String::from_utf8(client.reply()).expect("text")
}

fn info(client: &mut Resp, field: &str) -> usize {
    let info = client.call(&["INFO"]);
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    line.and_then(|count| count.trim().parse().ok()).expect("INFO has the field")
}

#[test]
fn whoever_has_read_is_told_once() {
    let server = Server::start();
    let mut writer = server.resp();
    let mut readers: Vec<Resp> = (0..MANY).map(|_| tracker(&server, &[])).collect();
    for key in keys() {
        writer.call(&["SET", &key, "1"]);
        for reader in &mut readers {
            assert_eq!(reader.call(&["GET", &key]), "1");
        }
        assert_eq!(writer.call(&["APPEND", &key, "2"]), ":2");
        writer.call(&["SET", &key, "3"]);
        for reader in &mut readers {
            expect(reader, &format!("[invalidate, [{key}]]"));
            expect_silence(reader);
            assert_eq!(reader.call(&["GET", &key]), "3");
        }
        assert_eq!(writer.call(&["DEL", &key]), ":1");
        for reader in &mut readers {
            expect(reader, &format!("[invalidate, [{key}]]"));
        }
    }
    server.stop();
}

#[test]
fn every_way_to_read_counts_and_every_way_to_write_tells() {
    let server = Server::start();
    let (mut writer, mut reader) = (server.resp(), tracker(&server, &[]));
    let (first, second) = ("key:0", "key:1");
    let told = format!("[invalidate, [{first}]]");
    let script = "return redis.call('GET', KEYS[1])";
    let ways: &[&[&str]] = &[
        &["MGET", "absent", first],
        &["EXISTS", first],
        &["TTL", first],
        &["STRLEN", first],
        &["EVAL", script, "1", first],
        &["EVAL_RO", script, "1", first],
        &["LCS", first, "absent"],
        &["MEMORY", "USAGE", first],
    ];
    writer.call(&["SET", first, "value"]);
    for way in ways {
        reader.call(way);
        writer.call(&["SET", first, "value"]);
        expect(&mut reader, &told);
    }
    for queued in [&["MULTI"][..], &["GET", first], &["EXEC"]] {
        reader.call(queued);
    }
    writer.call(&["SET", first, "value"]);
    expect(&mut reader, &told);
    let writes: &[&[&str]] = &[
        &["EXPIRE", first, "1000"],
        &["PERSIST", first],
        &["SETRANGE", first, "1", "x"],
        &["MSET", second, "1", first, "2"],
        &["RENAME", second, first],
        &["COPY", first, second],
        &["RENAME", second, first],
        &["EVAL", "redis.call('INCR', KEYS[1])", "1", first],
        &["GETDEL", first],
        &["RPUSH", first, "1"],
        &["LPOP", first],
        &["SET", first, "1", "PX", "20"],
    ];
    for write in writes {
        reader.call(&["TYPE", first]);
        let answer = writer.call(write);
        assert!(!answer.starts_with('-'), "{write:?}: {answer}");
        if *write != ["COPY", first, second] {
            expect(&mut reader, &told);
        }
    }
    // It expires, and nobody asks for it.
    reader.call(&["GET", first]);
    expect(&mut reader, &told);
    // Its own change is told behind its reply, as another's is.
    reader.call(&["GET", first]);
    assert_eq!(reader.call(&["SET", first, "own"]), "+OK");
    expect(&mut reader, &told);
    track(&mut reader, &["NOLOOP"]);
    for key in keys() {
        reader.call(&["GET", &key]);
        assert_eq!(reader.call(&["SET", &key, "own"]), "+OK");
    }
    expect_silence(&mut reader);
    writer.call(&["CLIENT", "TRACKING", "OFF"]);
    server.stop();
}

#[test]
fn another_connection_is_told_instead() {
    let server = Server::start();
    let mut writer = server.resp();
    let mut listeners: Vec<Resp> = (0..MANY).map(|_| server.resp()).collect();
    let mut readers: Vec<Resp> = (0..MANY).map(|_| server.resp()).collect();
    for (reader, listener) in readers.iter_mut().zip(&mut listeners) {
        let target = id(listener);
        let confirmed = listener.call(&["SUBSCRIBE", "__redis__:invalidate"]);
        assert_eq!(confirmed, "[subscribe, __redis__:invalidate, :1]");
        track(reader, &["REDIRECT", &target]);
        assert_eq!(reader.call(&["CLIENT", "GETREDIR"]), format!(":{target}"));
    }
    for key in keys() {
        writer.call(&["SET", &key, "1"]);
        for reader in &mut readers {
            reader.call(&["GET", &key]);
        }
        writer.call(&["INCR", &key]);
        for listener in &mut listeners {
            expect(listener, &format!("[message, __redis__:invalidate, [{key}]]"));
        }
    }
    // Those who are told are gone; who asked for it hears of that, if it can.
    readers.iter_mut().for_each(|reader| {
        reader.call(&["HELLO", "3"]);
        for key in keys() {
            reader.call(&["GET", &key]);
        }
    });
    drop(listeners);
    for reader in &mut readers {
        wait_for("the connection ends", || {
            reader.call(&["CLIENT", "TRACKINGINFO"]).contains("broken_redirect")
        });
    }
    writer.call(&["INCR", &keys()[0]]);
    for reader in &mut readers {
        let broken = show(&reader.reply());
        let target = reader.call(&["CLIENT", "GETREDIR"]);
        assert_eq!(broken, format!("[tracking-redir-broken, {target}]"));
        let line = facts(reader);
        assert!(line.contains(" flags=tR "), "{line}");
        track(reader, &[]);
        reader.call(&["GET", &keys()[0]]);
    }
    writer.call(&["INCR", &keys()[0]]);
    for reader in &mut readers {
        expect(reader, "[invalidate, [key:0]]");
    }
    server.stop();
}

#[test]
fn whole_prefixes_are_told_of() {
    let server = Server::start();
    let mut writer = server.resp();
    let mut all: Vec<Resp> = (0..MANY).map(|_| tracker(&server, &["BCAST"])).collect();
    let mut some: Vec<Resp> = (0..MANY)
        .map(|_| tracker(&server, &["BCAST", "PREFIX", "key:1", "PREFIX", "other:", "NOLOOP"]))
        .collect();
    for key in keys() {
        writer.call(&["SET", &key, "1"]);
        for client in &mut all {
            expect(client, &format!("[invalidate, [{key}]]"));
        }
    }
    for client in &mut some {
        expect(client, "[invalidate, [key:1]]");
        expect_silence(client);
    }
    assert_eq!(some[0].call(&["SET", "other:x", "1"]), "+OK");
    expect_silence(&mut some[0]);
    for client in some.iter_mut().skip(1).chain(&mut all) {
        expect(client, "[invalidate, [other:x]]");
    }
    wait_for("the fields are there", || info(&mut writer, "tracking_total_prefixes") == 3);
    let line = facts(&mut some[0]);
    assert!(line.contains(" flags=tB "), "{line}");
    some[0].call(&["CLIENT", "TRACKING", "OFF"]);
    some.truncate(1);
    all.clear();
    wait_for("all are gone", || info(&mut writer, "tracking_total_prefixes") == 0);
    writer.call(&["SET", "other:x", "2"]);
    expect_silence(&mut some[0]);
    server.stop();
}

#[test]
fn clients_choose_what_is_kept_note_of() {
    let server = Server::start();
    let mut writer = server.resp();
    let (mut opt_in, mut opt_out) = (tracker(&server, &["OPTIN"]), tracker(&server, &["OPTOUT"]));
    for key in keys() {
        let told = format!("[invalidate, [{key}]]");
        for choice in ["YES", "NO"] {
            let (client, other) = if choice == "YES" {
                (&mut opt_in, &mut opt_out)
            } else {
                (&mut opt_out, &mut opt_in)
            };
            assert_eq!(client.call(&["CLIENT", "CACHING", choice]), "+OK");
            client.call(&["GET", &key]);
            client.call(&["GET", "unrelated"]);
            other.call(&["GET", &key]);
            writer.call(&["SET", &key, choice]);
            if choice == "YES" {
                expect(client, &told);
                expect(other, &told);
            }
            expect_silence(client);
            expect_silence(other);
        }
        // It holds for a transaction as a whole.
        opt_in.call(&["CLIENT", "CACHING", "YES"]);
        for words in [&["MULTI"][..], &["GET", "x"], &["GET", &key], &["EXEC"]] {
            opt_in.call(words);
        }
        writer.call(&["SET", &key, "1"]);
        expect(&mut opt_in, &told);
    }
    server.stop();
}

#[test]
fn flushing_tells_everybody() {
    let server = Server::start();
    let (mut writer, mut listener) = (server.resp(), server.resp());
    let target = id(&mut listener);
    listener.call(&["SUBSCRIBE", "__redis__:invalidate"]);
    let mut reader = tracker(&server, &[]);
    let mut broad = tracker(&server, &["BCAST", "PREFIX", "none"]);
    let mut redirecting = server.resp();
    track(&mut redirecting, &["REDIRECT", &target]);
    for flush in ["FLUSHALL", "FLUSHDB"] {
        for key in keys() {
            writer.call(&["SET", &key, "1"]);
            reader.call(&["GET", &key]);
        }
        assert_eq!(writer.call(&[flush]), "+OK");
        expect(&mut reader, "[invalidate, (nil)]");
        expect(&mut broad, "[invalidate, (nil)]");
        expect(&mut listener, "[message, __redis__:invalidate, (nil)]");
        // Each core tells of its part, so it may come once more.
        for client in [&mut reader, &mut broad] {
            assert!(heard(client).iter().all(|one| one == "[invalidate, (nil)]"));
        }
        listener.command(&["PING"]);
        while show(&listener.reply()).starts_with("[message") {}
    }
    server.stop();
}

#[test]
fn the_table_is_bounded_and_empties_with_its_clients() {
    let server = Server::start();
    let mut admin = server.resp();
    admin.call(&["CONFIG", "SET", "tracking-table-max-keys", "100"]);
    let mut reader = tracker(&server, &[]);
    let mut cached: HashMap<String, ()> = HashMap::new();
    for number in 0..1000 {
        let key = format!("key:{number}");
        reader.command(&["GET", &key]);
        loop {
            let heard = show(&reader.reply());
            let Some(given_up) = heard.strip_prefix("[invalidate, [") else { break };
            cached.remove(given_up.trim_end_matches(']'));
        }
        cached.insert(key, ());
    }
    for given_up in heard(&mut reader) {
        cached.remove(given_up.trim_start_matches("[invalidate, [").trim_end_matches(']'));
    }
    wait_for("the fields are there", || {
        (90..=100).contains(&info(&mut admin, "tracking_total_keys"))
    });
    assert_eq!(info(&mut admin, "tracking_total_items"), info(&mut admin, "tracking_total_keys"));
    assert_eq!(info(&mut admin, "tracking_clients"), 1);
    // It knows exactly which keys it will be told of.
    assert_eq!(cached.len(), info(&mut admin, "tracking_total_keys"));
    for key in cached.keys() {
        admin.call(&["SET", key, "1"]);
        expect(&mut reader, &format!("[invalidate, [{key}]]"));
    }
    let mut others: Vec<Resp> = (0..MANY).map(|_| tracker(&server, &[])).collect();
    for other in &mut others {
        keys().iter().for_each(|key| drop(other.call(&["GET", key])));
    }
    wait_for("all track", || info(&mut admin, "tracking_clients") == 1 + MANY);
    reader.call(&["GET", "key:1"]);
    assert_eq!(reader.call(&["RESET"]), "+RESET");
    others.truncate(1);
    wait_for("the rest tracks", || info(&mut admin, "tracking_clients") == 1);
    drop(others);
    wait_for("nobody tracks", || {
        info(&mut admin, "tracking_clients") == 0
            && info(&mut admin, "tracking_total_keys") == 0
            && info(&mut admin, "tracking_total_items") == 0
    });
    server.stop();
}

#[test]
fn what_is_evicted_is_told_of() {
    let server = Plan::new().env("SYNAP_KV_STORE__EVICTION_POLICY", "lru").start();
    let (mut writer, mut reader) = (server.resp(), tracker(&server, &["NOLOOP"]));
    let value = "x".repeat(1000);
    for key in keys() {
        writer.call(&["SET", &key, &value]);
        reader.call(&["GET", &key]);
    }
    assert_eq!(writer.call(&["CONFIG", "SET", "maxmemory", "1"]), "+OK");
    let mut told = Vec::new();
    wait_for("all are told of", || {
        writer.call(&["SET", "another", "x"]);
        told.extend(heard(&mut reader));
        told.len() == MANY
    });
    told.sort();
    let expected: Vec<String> = keys().iter().map(|key| format!("[invalidate, [{key}]]")).collect();
    assert_eq!(told, expected);
    server.stop();
}

#[test]
fn who_waits_is_told_meanwhile() {
    let server = Server::start();
    let (mut writer, mut reader) = (server.resp(), tracker(&server, &[]));
    for key in keys() {
        reader.call(&["GET", &key]);
        reader.command(&["BLPOP", "list", "0"]);
        wait_for("it waits", || info(&mut writer, "blocked_clients") == 1);
        writer.call(&["SET", &key, "1"]);
        expect(&mut reader, &format!("[invalidate, [{key}]]"));
        writer.call(&["RPUSH", "list", "element"]);
        expect(&mut reader, "[list, element]");
    }
    server.stop();
}

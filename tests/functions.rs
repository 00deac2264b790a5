//! Functions against a real server on two cores: libraries are everywhere at once, survive the end
//! of the process however it came, and answer as those of Redis do.

mod support;

use std::time::Duration;

use support::redis_server::Redis;
use support::resp::{Resp, encode, show};
use support::{Plan, Server, installed, wait_for};

const COUNTER: &str = "#!lua name=counter\n\
    redis.register_function('count', function(keys, args) \
    return redis.call('INCRBY', keys[1], args[1] or 1) end)";

fn simple(name: &str, answer: &str) -> String {
    format!(
        "#!lua name={name}\nredis.register_function('{name}_f', function() return '{answer}' end)"
    )
}

fn load(client: &mut Resp, code: &str) -> String {
    client.call(&["FUNCTION", "LOAD", "REPLACE", code])
}

fn names(client: &mut Resp) -> Vec<String> {
    let shown = client.call(&["FUNCTION", "LIST"]);
    let names = shown.split("[library_name, ").skip(1);
    names.filter_map(|rest| rest.split(',').next()).map(str::to_owned).collect()
}

#[test]
fn a_library_is_everywhere_at_once() {
    let server = Server::start();
    let mut clients: Vec<Resp> = (0..8).map(|_| server.resp()).collect();
    for round in 0..24 {
        let answer = format!("answer {round}");
        assert_eq!(load(&mut clients[round % 8], &simple("lib", &answer)), "lib");
        for client in &mut clients {
            assert_eq!(client.call(&["FCALL", "lib_f", "0"]), answer);
            assert_eq!(client.call(&["FLUSHALL"]), "+OK");
        }
        let client = &mut clients[(round + 3) % 8];
        assert_eq!(client.call(&["FUNCTION", "DELETE", "lib"]), "+OK");
        for client in &mut clients {
            assert_eq!(client.call(&["FCALL", "lib_f", "0"]), "-ERR Function not found");
        }
    }
    server.stop();
}

#[test]
fn libraries_survive_with_any_number_of_cores() {
    let plan = Plan::new().fsync("always");
    let server = plan.start();
    let mut client = server.resp();
    assert_eq!(load(&mut client, COUNTER), "counter");
    assert_eq!(load(&mut client, &simple("gone", "x")), "gone");
    assert_eq!(load(&mut client, &simple("old", "before")), "old");
    assert_eq!(client.call(&["FCALL", "count", "1", "k", "5"]), ":5");
    assert_eq!(client.call(&["FUNCTION", "DELETE", "gone"]), "+OK");
    assert_eq!(load(&mut client, &simple("old", "after")), "old");
    assert_eq!(client.call(&["FLUSHALL"]), "+OK");
    server.kill();
    // From the log alone; then from a snapshot; then from a snapshot and the log behind it.
    let mut extra: Vec<String> = Vec::new();
    for (turn, workers) in [1, 3, 2, 1].into_iter().enumerate() {
        let server = plan.clone().workers(workers).start();
        let mut clients: Vec<Resp> = (0..6).map(|_| server.resp()).collect();
        let expected: Vec<String> =
            ["counter", "old"].map(str::to_owned).into_iter().chain(extra.clone()).collect();
        for client in &mut clients {
            assert_eq!(names(client), expected, "{workers} cores");
            assert_eq!(client.call(&["FCALL", "old_f", "0"]), "after");
        }
        assert_eq!(clients[0].call(&["FCALL", "count", "1", "k"]), format!(":{}", turn + 1));
        assert_eq!(clients[0].call(&["SAVE"]), "+OK");
        if turn == 1 {
            assert_eq!(load(&mut clients[1], &simple("zlast", "z")), "zlast");
            extra.push("zlast".to_owned());
        }
        server.kill();
    }
    let server = plan.start();
    let mut client = server.resp();
    assert_eq!(client.call(&["FUNCTION", "FLUSH", "SYNC"]), "+OK");
    server.kill();
    let server = plan.start();
    assert_eq!(names(&mut server.resp()), Vec::<String>::new());
    server.stop();
}

/// Asks until the server is gone; the greatest number it has answered.
fn greatest(mut client: Resp, ask: impl Fn(u64) -> Vec<u8>) -> u64 {
    let (mut most, mut turn) = (0, 1);
    while client.try_send(&ask(turn)) {
        let Some(reply) = client.try_reply() else { break };
        let number = show(&reply).parse().unwrap_or(turn);
        most = if reply[0] == b'-' { most } else { most.max(number) };
        turn += 1;
    }
    most
}

#[test]
fn what_was_answered_survives_a_kill() {
    let plan = Plan::new().fsync("always");
    for round in 0..3 {
        let server = plan.start();
        let mut first = server.resp();
        load(&mut first, &simple("v", "0"));
        let clients: Vec<Resp> = (0..6).map(|_| server.resp()).collect();
        let threads: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(at, client)| {
                std::thread::spawn(move || {
                    // One loads version after version, the others ask for the version.
                    greatest(client, |turn| match at {
                        0 => encode(&[
                            "FUNCTION",
                            "LOAD",
                            "REPLACE",
                            &simple("v", &turn.to_string()),
                        ]),
                        _ => encode(&["FCALL", "v_f", "0"]),
                    })
                })
            })
            .collect();
        wait_for("some versions", || {
            let version = first.call(&["FCALL", "v_f", "0"]).parse::<u64>();
            version.is_ok_and(|version| version > 50 + 40 * round)
        });
        server.kill();
        let seen: Vec<u64> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let server = plan.start();
        let kept: u64 = server.resp().call(&["FCALL", "v_f", "0"]).parse().unwrap();
        assert!(seen.iter().all(|version| *version <= kept), "{seen:?}, kept {kept}");
        server.stop();
    }
}

#[test]
fn a_function_is_shown_and_killed_from_another_core() {
    let server = Plan::new().env("SYNAP_SCRIPTING__TIME_LIMIT_MS", 60_000).start();
    let mut busy = server.resp();
    load(
        &mut busy,
        "#!lua name=l\nredis.register_function('spin', function() while true do end end)",
    );
    let mut others: Vec<Resp> = (0..16).map(|_| server.resp()).collect();
    busy.command(&["FCALL", "spin", "1", "key", "word"]);
    busy.socket().set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    wait_for("the end of the function", || {
        for other in &mut others {
            other.command(&["FUNCTION", "STATS"]);
            other.command(&["SCRIPT", "KILL"]);
            other.command(&["FUNCTION", "KILL"]);
        }
        busy.socket().peek(&mut [0]).is_ok()
    });
    let ended = String::from_utf8_lossy(&busy.reply()).into_owned();
    assert!(ended.contains("Script killed by user with"), "{ended}");
    let mut seen = String::new();
    let bytes = encode(&["PING"]);
    for other in &mut others {
        other.send(&bytes);
        loop {
            let reply = String::from_utf8_lossy(&other.reply()).into_owned();
            if reply == "+PONG\r\n" {
                break;
            }
            seen.push_str(&reply);
        }
    }
    assert!(seen.contains("$4\r\nspin\r\n") && seen.contains("$4\r\nword\r\n"), "{seen}");
    assert!(seen.contains("You can only call FUNCTION KILL"), "{seen}");
    server.stop();
}

#[test]
fn runaway_libraries_are_refused() {
    let server = Server::start();
    let mut client = server.resp();
    let refused = load(&mut client, "#!lua name=l\nwhile true do end");
    assert_eq!(refused, "-ERR Error registering functions: FUNCTION LOAD timeout");
    assert_eq!(names(&mut client), Vec::<String>::new());
    server.stop();
}

/// Words of commands, one after the other; they build on each other.
fn dialogue() -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = Vec::new();
    let mut say = |words: &[&str]| all.push(words.iter().map(|word| (*word).to_owned()).collect());
    say(&["FUNCTION", "FLUSH"]);
    for body in [
        "return )",
        "redis.call('GET', 'x')\nredis.register_function('f', function() end)",
        "x = 1",
        "local a = KEYS[1]",
        "return nil + 1",
        "",
        "redis.register_function()",
        "redis.register_function('f')",
        "redis.register_function(1, 2, 3)",
        "redis.register_function('a', 'b')",
        "redis.register_function({1}, function() end)",
        "redis.register_function('a-b', function() end)",
        "redis.register_function('g', function() end) redis.register_function('g', function() end)",
        "redis.register_function{function_name='g'}",
        "redis.register_function{callback=function() end}",
        "redis.register_function{function_name='g', callback=function() end, foo=1}",
        "redis.register_function{function_name='g', callback=function() end, flags={'x'}}",
        "redis.register_function{function_name='g', callback=function() end, flags='x'}",
        "redis.register_function{function_name='g', callback=1}",
        "redis.register_function{[1]=2}",
    ] {
        if !body.contains("redis.call") && !body.contains("nil + 1") {
            say(&["FUNCTION", "LOAD", &format!("#!lua name=bad\n{body}")]);
        }
    }
    for code in [
        "x",
        "#!lua name=a",
        "#!lua\nx",
        "#!js name=a\nx",
        "#!lua name=a name=b\nx",
        "#!lua foo=1\nx",
        "#!lua name=a-b\nx",
    ] {
        say(&["FUNCTION", "LOAD", code]);
    }
    say(&["FUNCTION", "LOAD", COUNTER]);
    say(&["FUNCTION", "LOAD", COUNTER]);
    say(&["FUNCTION", "LOAD", "REPLACE", COUNTER]);
    say(&["FUNCTION", "LOAD", "#!lua name=two\nredis.register_function('count', function() end)"]);
    say(&["FUNCTION", "LIST"]);
    say(&["FUNCTION", "LIST", "WITHCODE", "LIBRARYNAME", "c*"]);
    say(&["FUNCTION", "LIST", "LIBRARYNAME", "x*"]);
    say(&["FUNCTION", "STATS"]);
    say(&["FUNCTION", "KILL"]);
    say(&["FUNCTION", "DELETE", "none"]);
    say(&["FUNCTION", "RESTORE", "x"]);
    say(&["FUNCTION", "FOO"]);
    say(&["FUNCTION"]);
    say(&["FUNCTION", "LOAD"]);
    say(&["FCALL", "count", "1", "k", "7"]);
    say(&["FCALL", "count", "x"]);
    say(&["FCALL", "count", "-1"]);
    say(&["FCALL", "count", "2", "a"]);
    say(&["FCALL", "none", "0"]);
    say(&["FCALL", "count"]);
    say(&["FCALL_RO", "count", "1", "k"]);
    say(&[
        "FUNCTION",
        "LOAD",
        "#!lua name=look\nredis.register_function{function_name='look', \
        description='reads', flags={'no-writes', 'allow-oom', 'allow-stale', 'no-cluster', \
        'allow-cross-slot-keys'}, callback=function(keys, args) \
        if args[1] then redis.call('SET', keys[1], args[1]) end \
        return {redis.call('GET', keys[1]), #keys, #args} end}",
    ]);
    say(&["FUNCTION", "LIST", "LIBRARYNAME", "look"]);
    say(&["FCALL_RO", "look", "1", "k"]);
    say(&["FCALL", "look", "1", "k", "v"]);
    for (at, body) in [
        "error('oops')",
        "error({err='CODE oops'})",
        "return redis.error_reply('CODE oops')",
        "return redis.call('NO')",
        "x = 1",
        "return KEYS[1]",
        "return ARGV[1]",
        "return 1 + nil",
        "local t = nil return t.x",
        "redis.setresp(3) return redis.call('HGETALL', 'h')",
        "return {1, 'a', false, true, {map={a=1}}}",
        "return redis.pcall('INCR', 'h').err",
        "return redis.sha1hex('')",
        "return redis.REDIS_VERSION == nil",
        "return redis.acl_check_cmd('GET', 'x')",
        "return redis.set_repl(redis.REPL_ALL)",
    ]
    .into_iter()
    .enumerate()
    {
        let function =
            format!("\n\nredis.register_function('b{at}', function(keys, args)\n{body} end)");
        say(&["FUNCTION", "LOAD", &format!("#!lua name=b{at}{function}")]);
        say(&["HSET", "h", "f", "v"]);
        say(&["FCALL", &format!("b{at}"), "0"]);
    }
    say(&["MULTI"]);
    say(&["FCALL", "count", "1", "k", "1"]);
    say(&["FUNCTION", "DELETE", "counter"]);
    say(&["FCALL", "count", "1", "k", "1"]);
    say(&["EXEC"]);
    for code in [
        "return redis.breakpoint()",
        "return redis.debug('x')",
        "return redis.acl_check_cmd()",
        "return redis.acl_check_cmd('nope')",
        "return {redis.acl_check_cmd('GET', 'x')}",
        "return redis.set_repl(9)",
        "return redis.set_repl()",
        "return redis.replicate_commands()",
        "return redis.setresp(4)",
        "return redis.setresp()",
        "redis.setresp(3) return redis.call('HGETALL', 'h')",
        "return redis.sha1hex()",
        "return redis.error_reply()",
        "return redis.status_reply('x')",
        "return redis.log(redis.LOG_DEBUG, 'x')",
        "return {redis.REPL_NONE, redis.REPL_AOF, redis.REPL_REPLICA, redis.REPL_ALL}",
        "return {redis.LOG_DEBUG, redis.LOG_VERBOSE, redis.LOG_NOTICE, redis.LOG_WARNING}",
        "return type(redis.REDIS_VERSION) .. type(redis.REDIS_VERSION_NUM)",
        "return redis.call('FUNCTION', 'FLUSH')",
    ] {
        say(&["EVAL", code, "0"]);
    }
    say(&["EVAL", "#!lua\nreturn 1", "0"]);
    say(&["EVAL_RO", "#!lua\nreturn 1", "0"]);
    say(&["EVAL_RO", "#!lua flags=no-writes\nreturn 1", "0"]);
    all
}

#[test]
fn functions_answer_as_in_redis() {
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
        let mut wrong = Vec::new();
        for words in dialogue() {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            ours.command(&words);
            theirs.command(&words);
            let (ours, theirs) = (ours.reply(), theirs.reply());
            if ours != theirs {
                let (ours, theirs) = (ours.escape_ascii(), theirs.escape_ascii());
                wrong.push(format!("{words:?}\n  ours:  {ours}\n  Redis: {theirs}"));
            }
        }
        assert!(wrong.is_empty(), "RESP{protocol}, {}:\n{}", wrong.len(), wrong.join("\n"));
    }
    server.stop();
}

#[test]
fn payloads_travel_to_redis_and_back() {
    if !installed("redis-server") {
        return;
    }
    let (server, redis) = (Server::start(), Redis::start());
    let (mut ours, mut theirs) = (server.resp(), redis.resp());
    let long = simple("long", &"abc ".repeat(500));
    for code in [COUNTER, &long] {
        load(&mut ours, code);
    }
    let restore = |from: &mut Resp, to: &mut Resp| {
        from.command(&["FUNCTION", "DUMP"]);
        let payload = from.reply();
        let start = payload.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let payload = &payload[start..payload.len() - 2];
        let mut bytes = b"*4\r\n$8\r\nFUNCTION\r\n$7\r\nRESTORE\r\n".to_vec();
        bytes.extend_from_slice(format!("${}\r\n", payload.len()).as_bytes());
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(b"\r\n$5\r\nFLUSH\r\n");
        to.send(&bytes);
        assert_eq!(to.reply(), b"+OK\r\n");
    };
    restore(&mut ours, &mut theirs);
    assert_eq!(theirs.call(&["FCALL", "count", "1", "k", "3"]), ":3");
    ours.call(&["FUNCTION", "FLUSH"]);
    restore(&mut theirs, &mut ours);
    assert_eq!(ours.call(&["FCALL", "count", "1", "k", "4"]), ":4");
    assert_eq!(ours.call(&["FCALL", "long_f", "0"]), "abc ".repeat(500));
    server.stop();
}

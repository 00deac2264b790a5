//! Commands that wait, against a server of two cores: who is served first, what ends the waiting,
//! and what goes on meanwhile.

mod support;

use std::time::Instant;

use support::resp::{Resp, encode, show};
use support::{Plan, Server, wait_for};

/// Lists enough that both cores have some.
const LISTS: usize = 8;
/// Clients that wait for each of them.
const WAITERS: usize = 6;

fn blocked_clients(client: &mut Resp) -> usize {
    let info = client.call(&["INFO", "clients"]);
    let line = info.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
    line.and_then(|count| count.trim().parse().ok()).expect("INFO says how many are blocked")
}

/// Waits until the server says that so many clients are blocked.
fn await_blocked(client: &mut Resp, count: usize) {
    wait_for("clients are blocked", || blocked_clients(client) == count);
}

#[test]
fn who_waits_longest_is_served_first() {
    let server = Server::start();
    let mut admin = server.resp();
    for list in 0..LISTS {
        let list = format!("list:{list}");
        let mut waiters = Vec::new();
        for count in 1..=WAITERS {
            // Connections go to either core.
            let mut waiter = server.resp();
            waiter.command(&["BLPOP", &list, "0"]);
            await_blocked(&mut admin, count);
            waiters.push(waiter);
        }
        for (number, waiter) in waiters.iter_mut().enumerate() {
            let element = number.to_string();
            assert_eq!(admin.call(&["RPUSH", &list, &element]), ":1");
            assert_eq!(show(&waiter.reply()), format!("[{list}, {element}]"));
        }
        await_blocked(&mut admin, 0);
        assert_eq!(admin.call(&["EXISTS", &list]), ":0");
    }
    server.stop();
}

#[test]
fn one_push_serves_as_many_as_it_has_elements() {
    let server = Server::start();
    let (mut admin, mut first, mut second) = (server.resp(), server.resp(), server.resp());
    first.command(&["BLMPOP", "0", "2", "a", "b", "LEFT", "COUNT", "2"]);
    await_blocked(&mut admin, 1);
    second.command(&["BRPOP", "b", "0"]);
    await_blocked(&mut admin, 2);
    assert_eq!(admin.call(&["RPUSH", "b", "1", "2", "3"]), ":3");
    assert_eq!(show(&first.reply()), "[b, [1, 2]]");
    assert_eq!(show(&second.reply()), "[b, 3]");
    server.stop();
}

#[test]
fn lists_of_both_cores_are_waited_for_and_moved_between() {
    let server = Server::start();
    let (mut admin, mut waiter) = (server.resp(), server.resp());
    let names: Vec<String> = (0..LISTS).map(|list| format!("list:{list}")).collect();
    for name in &names {
        let mut words = vec!["BLPOP"];
        words.extend(names.iter().map(String::as_str));
        words.push("0");
        waiter.command(&words);
        await_blocked(&mut admin, 1);
        assert_eq!(admin.call(&["LPUSH", name, "x"]), ":1");
        assert_eq!(show(&waiter.reply()), format!("[{name}, x]"));
    }
    for pair in names.windows(2) {
        waiter.command(&["BLMOVE", &pair[0], &pair[1], "LEFT", "RIGHT", "0"]);
        await_blocked(&mut admin, 1);
        assert_eq!(admin.call(&["RPUSH", &pair[0], "y"]), ":1");
        assert_eq!(show(&waiter.reply()), "y");
        assert_eq!(admin.call(&["LPOP", &pair[1]]), "y");
    }
    server.stop();
}

#[test]
fn a_blocked_connection_stops_nobody_but_itself() {
    let server = Server::start();
    let (mut admin, mut waiter) = (server.resp(), server.resp());
    let pipeline = [
        encode(&["SET", "before", "1"]),
        encode(&["BLPOP", "list", "0"]),
        encode(&["GET", "during"]),
        encode(&["BRPOPLPUSH", "list", "other", "0"]),
        encode(&["LLEN", "other"]),
    ];
    waiter.send(&pipeline.concat());
    assert_eq!(show(&waiter.reply()), "+OK");
    await_blocked(&mut admin, 1);
    assert_eq!(admin.call(&["GET", "before"]), "1");
    assert_eq!(admin.call(&["SET", "during", "2"]), "+OK");
    assert_eq!(admin.call(&["RPUSH", "list", "a"]), ":1");
    assert_eq!(show(&waiter.reply()), "[list, a]");
    assert_eq!(show(&waiter.reply()), "2");
    assert_eq!(admin.call(&["RPUSH", "list", "b"]), ":1");
    assert_eq!(show(&waiter.reply()), "b");
    assert_eq!(show(&waiter.reply()), ":1");
    server.stop();
}

#[test]
fn time_runs_out() {
    let server = Server::start();
    let mut client = server.resp();
    for list in 0..LISTS {
        let list = format!("list:{list}");
        let began = Instant::now();
        assert_eq!(client.call(&["BLPOP", &list, "0.05"]), "(nil)");
        assert!(began.elapsed().as_millis() >= 50, "not before its time");
        assert_eq!(client.call(&["BLMOVE", &list, "other", "LEFT", "LEFT", "0.01"]), "(nil)");
    }
    assert_eq!(client.call(&["BLPOP", "list", "-1"]), "-ERR timeout is negative");
    server.stop();
}

#[test]
fn another_client_ends_the_waiting() {
    let server = Server::start();
    let mut admin = server.resp();
    for list in 0..LISTS {
        let list = format!("list:{list}");
        let mut waiter = server.resp();
        let id = waiter.call(&["CLIENT", "ID"]);
        let id = id.strip_prefix(':').expect("a number");
        assert_eq!(admin.call(&["CLIENT", "UNBLOCK", id]), ":0");
        waiter.command(&["BLPOP", &list, "0"]);
        await_blocked(&mut admin, 1);
        assert_eq!(admin.call(&["CLIENT", "UNBLOCK", id]), ":1");
        assert_eq!(show(&waiter.reply()), "(nil)");
        waiter.command(&["BLPOP", &list, "other", "0"]);
        await_blocked(&mut admin, 1);
        assert_eq!(admin.call(&["CLIENT", "UNBLOCK", id, "ERROR"]), ":1");
        let refusal = "-UNBLOCKED client unblocked via CLIENT UNBLOCK";
        assert_eq!(show(&waiter.reply()), refusal);
        assert_eq!(waiter.call(&["PING"]), "+PONG");
        await_blocked(&mut admin, 0);
    }
    server.stop();
}

#[test]
fn a_client_that_is_gone_takes_nothing() {
    let server = Server::start();
    let mut admin = server.resp();
    for list in 0..LISTS {
        let list = format!("list:{list}");
        let mut gone = server.resp();
        gone.command(&["BLPOP", &list, "0"]);
        await_blocked(&mut admin, 1);
        drop(gone);
        await_blocked(&mut admin, 0);
        let mut killed = server.resp();
        let id = killed.call(&["CLIENT", "ID"]);
        killed.command(&["BLPOP", &list, "other", "0"]);
        await_blocked(&mut admin, 1);
        let id = id.strip_prefix(':').expect("a number");
        assert_eq!(admin.call(&["CLIENT", "KILL", "ID", id]), ":1");
        await_blocked(&mut admin, 0);
        killed.rest();
        assert_eq!(admin.call(&["RPUSH", &list, "a"]), ":1");
        assert_eq!(admin.call(&["LLEN", &list]), ":1");
    }
    server.stop();
}

#[test]
fn nobody_waits_inside_a_transaction_but_its_pushes_wake() {
    let server = Server::start();
    let (mut admin, mut waiter) = (server.resp(), server.resp());
    assert_eq!(admin.call(&["MULTI"]), "+OK");
    assert_eq!(admin.call(&["BLPOP", "list", "0"]), "+QUEUED");
    assert_eq!(admin.call(&["BLMOVE", "list", "other", "LEFT", "LEFT", "0"]), "+QUEUED");
    assert_eq!(admin.call(&["EXEC"]), "[(nil), (nil)]");
    waiter.command(&["BLPOP", "list", "0"]);
    await_blocked(&mut admin, 1);
    assert_eq!(admin.call(&["MULTI"]), "+OK");
    assert_eq!(admin.call(&["RPUSH", "list", "a"]), "+QUEUED");
    assert_eq!(admin.call(&["DEL", "list"]), "+QUEUED");
    assert_eq!(admin.call(&["RPUSH", "list", "b", "c"]), "+QUEUED");
    assert_eq!(admin.call(&["EXEC"]), "[:1, :1, :2]");
    assert_eq!(show(&waiter.reply()), "[list, b]");
    assert_eq!(admin.call(&["LRANGE", "list", "0", "-1"]), "[c]");
    server.stop();
}

#[test]
fn a_server_stops_although_clients_wait() {
    let server = Server::start();
    let mut admin = server.resp();
    let mut waiters: Vec<Resp> = (0..WAITERS).map(|_| server.resp()).collect();
    for (number, waiter) in waiters.iter_mut().enumerate() {
        waiter.command(&["BLPOP", &format!("list:{number}"), "list", "0"]);
    }
    await_blocked(&mut admin, WAITERS);
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed().as_secs() < 8, "nobody had to be waited for");
    for mut waiter in waiters {
        assert!(waiter.try_reply().is_none_or(|reply| show(&reply) == "(nil)"));
    }
}

#[test]
fn what_was_taken_stays_taken_after_a_restart() {
    let plan = Plan::new();
    let server = plan.start();
    let (mut admin, mut waiter) = (server.resp(), server.resp());
    waiter.command(&["BLMOVE", "from", "to", "LEFT", "LEFT", "0"]);
    await_blocked(&mut admin, 1);
    assert_eq!(admin.call(&["RPUSH", "from", "a", "b"]), ":2");
    assert_eq!(show(&waiter.reply()), "a");
    server.stop();
    let server = plan.start();
    let mut admin = server.resp();
    assert_eq!(admin.call(&["LRANGE", "from", "0", "-1"]), "[b]");
    assert_eq!(admin.call(&["LRANGE", "to", "0", "-1"]), "[a]");
    server.stop();
}

#[test]
fn what_is_on_disk_is_waited_for() {
    for mode in ["always", "periodic"] {
        let server = Plan::new().fsync(mode).start();
        let mut client = server.resp();
        for list in 0..LISTS {
            assert_eq!(client.call(&["RPUSH", &format!("list:{list}"), "x"]), ":1");
            assert_eq!(client.call(&["WAITAOF", "1", "0", "0"]), "[:1, :0]");
        }
        assert_eq!(client.call(&["WAITAOF", "0", "0", "0"]), "[:0, :0]");
        assert_eq!(client.call(&["WAIT", "0", "0"]), ":0");
        assert_eq!(client.call(&["WAIT", "1", "10"]), ":0");
        assert_eq!(client.call(&["WAITAOF", "0", "1", "3000"]), "[:1, :0]");
        server.stop();
    }
    let server = Plan::new().env("SYNAP_PERSISTENCE__ENABLED", "false").start();
    assert_eq!(
        server.resp().call(&["WAITAOF", "1", "0", "0"]),
        "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
    );
    server.stop();
}

#[test]
fn whatever_makes_a_list_wakes_and_a_string_does_not() {
    let server = Server::start();
    let (mut admin, mut waiter) = (server.resp(), server.resp());
    let names: Vec<String> = (0..LISTS).map(|list| format!("list:{list}")).collect();
    for name in &names {
        waiter.command(&["BLPOP", name, "0"]);
        await_blocked(&mut admin, 1);
        for ignored in [&["SET", name, "text"][..], &["DEL", name], &["SADD", name, "member"]] {
            admin.call(ignored);
        }
        assert_eq!(blocked_clients(&mut admin), 1);
        admin.call(&["RPUSH", "from", "1", "2"]);
        assert_eq!(admin.call(&["DEL", name]), ":1");
        assert_eq!(admin.call(&["RENAME", "from", name]), "+OK");
        assert_eq!(show(&waiter.reply()), format!("[{name}, 1]"));
        admin.command(&["DUMP", name]);
        let dump = admin.reply();
        admin.call(&["DEL", name]);
        waiter.command(&["BRPOP", name, "0"]);
        await_blocked(&mut admin, 1);
        let begin = format!("*4\r\n$7\r\nRESTORE\r\n${}\r\n{name}\r\n$1\r\n0\r\n", name.len());
        admin.send(&[begin.as_bytes(), &dump].concat());
        assert_eq!(show(&admin.reply()), "+OK");
        assert_eq!(show(&waiter.reply()), format!("[{name}, 2]"));
        assert_eq!(admin.call(&["EXISTS", name]), ":0");
    }
    server.stop();
}

#[test]
fn who_waits_for_a_group_hears_that_it_is_gone() {
    let server = Server::start();
    let (mut admin, mut waiter) = (server.resp(), server.resp());
    for stream in 0..LISTS {
        let stream = format!("stream:{stream}");
        for end in [&["DEL", &stream][..], &["XGROUP", "DESTROY", &stream, "group"], &["FLUSHALL"]]
        {
            admin.call(&["DEL", &stream]);
            admin.call(&["XGROUP", "CREATE", &stream, "group", "$", "MKSTREAM"]);
            waiter.command(&[
                "XREADGROUP",
                "GROUP",
                "group",
                "me",
                "BLOCK",
                "0",
                "STREAMS",
                &stream,
                ">",
            ]);
            await_blocked(&mut admin, 1);
            admin.call(end);
            let answer = show(&waiter.reply());
            assert!(answer.starts_with("-NOGROUP"), "{end:?}: {answer}");
        }
    }
    server.stop();
}

#[test]
fn the_list_of_clients_shows_who_waits() {
    let server = Server::start();
    let (mut admin, mut waiter) = (server.resp(), server.resp());
    for list in 0..LISTS {
        let id = waiter.call(&["CLIENT", "ID"]);
        let id = id.strip_prefix(':').expect("a number").to_owned();
        waiter.command(&["BLPOP", &format!("list:{list}"), "0"]);
        await_blocked(&mut admin, 1);
        let line = admin.call(&["CLIENT", "LIST", "ID", &id]);
        assert!(line.contains(" flags=b "), "{line}");
        assert_eq!(admin.call(&["CLIENT", "UNBLOCK", &id]), ":1");
        waiter.reply();
        let line = waiter.call(&["CLIENT", "INFO"]);
        assert!(line.contains(" flags=N "), "{line}");
    }
    server.stop();
}

#[test]
fn the_first_key_of_the_command_is_taken_when_several_come_at_once() {
    let server = Server::start();
    let (mut admin, mut waiter) = (server.resp(), server.resp());
    let names: Vec<String> = (0..LISTS).map(|list| format!("list:{list}")).collect();
    let mut words = vec!["BLPOP"];
    words.extend(names.iter().map(String::as_str));
    words.push("0");
    waiter.command(&words);
    await_blocked(&mut admin, 1);
    assert_eq!(admin.call(&["MULTI"]), "+OK");
    for name in names.iter().rev() {
        assert_eq!(admin.call(&["RPUSH", name, "x"]), "+QUEUED");
    }
    admin.call(&["EXEC"]);
    assert_eq!(show(&waiter.reply()), format!("[{}, x]", names[0]));
    assert_eq!(admin.call(&["EXISTS", &names[0]]), ":0");
    assert_eq!(admin.call(&["DBSIZE"]), format!(":{}", LISTS - 1));
    server.stop();
}

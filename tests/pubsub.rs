//! Publish and subscribe on RESP, over two cores: who publishes and who listens are on whichever
//! core took their connection, and every pair of them has to find each other.

mod support;

use support::resp::Resp;
use support::{Plan, Server};

/// Enough connections that some are on either core.
const LISTENERS: usize = 16;

fn heard(client: &mut Resp) -> String {
    support::resp::show(&client.reply())
}

#[test]
fn messages_find_every_listener_in_order() {
    let server = Server::start();
    let mut listeners: Vec<Resp> = (0..LISTENERS).map(|_| server.resp()).collect();
    for client in &mut listeners {
        assert_eq!(client.call(&["SUBSCRIBE", "news"]), "[subscribe, news, :1]");
        assert_eq!(client.call(&["PSUBSCRIBE", "n?ws"]), "[psubscribe, n?ws, :2]");
    }
    let mut publishers: Vec<Resp> = (0..4).map(|_| server.resp()).collect();
    let all = format!(":{}", 2 * LISTENERS);
    for round in 0..50 {
        let publisher = &mut publishers[round % 4];
        assert_eq!(publisher.call(&["PUBLISH", "news", &round.to_string()]), all);
    }
    assert_eq!(publishers[0].call(&["PUBLISH", "nobody", "x"]), ":0");
    for client in &mut listeners {
        // One publisher's messages come in its order; each twice, plain and by pattern.
        let mut last = [None; 4];
        for _ in 0..50 {
            let text = heard(client);
            let number = text.strip_prefix("[message, news, ").and_then(|t| t.strip_suffix(']'));
            let number: usize = number.expect(&text).parse().expect("a number");
            assert_eq!(heard(client), format!("[pmessage, n?ws, news, {number}]"));
            assert!(last[number % 4] < Some(number), "{number} after {last:?}");
            last[number % 4] = Some(number);
        }
    }
    server.stop();
}

#[test]
fn subscriptions_end_with_their_connection() {
    let server = Server::start();
    let mut asker = server.resp();
    let mut listeners: Vec<Resp> = (0..LISTENERS).map(|_| server.resp()).collect();
    for client in &mut listeners {
        assert_eq!(client.call(&["SUBSCRIBE", "a", "b"]), "[subscribe, a, :1]");
        assert_eq!(heard(client), "[subscribe, b, :2]");
    }
    assert_eq!(asker.call(&["PUBSUB", "CHANNELS"]), "[a, b]");
    assert_eq!(asker.call(&["PUBSUB", "NUMSUB", "a", "none"]), "[a, :16, none, :0]");
    assert_eq!(listeners[0].call(&["UNSUBSCRIBE", "a"]), "[unsubscribe, a, :1]");
    assert_eq!(asker.call(&["PUBSUB", "NUMSUB", "a"]), "[a, :15]");
    assert_eq!(listeners[0].call(&["UNSUBSCRIBE"]), "[unsubscribe, b, :0]");
    assert_eq!(listeners[0].call(&["UNSUBSCRIBE"]), "[unsubscribe, (nil), :0]");
    assert_eq!(listeners[0].call(&["GET", "k"]), "(nil)", "it may send commands again");
    assert_eq!(listeners[1].call(&["RESET"]), "+RESET");
    drop(listeners);
    support::wait_for("the listeners are forgotten", || {
        asker.call(&["PUBSUB", "CHANNELS"]) == "[]"
    });
    server.stop();
}

#[test]
fn a_listener_of_the_old_protocol_may_only_listen() {
    let server = Server::start();
    let mut client = server.resp();
    assert_eq!(client.call(&["SUBSCRIBE", "a"]), "[subscribe, a, :1]");
    let refused = client.call(&["GET", "k"]);
    assert!(refused.starts_with("-ERR Can't execute 'get': only (P|S)SUBSCRIBE"), "{refused}");
    assert_eq!(client.call(&["PING"]), "[pong, ]");
    assert_eq!(client.call(&["PING", "x"]), "[pong, x]");
    let mut modern = server.resp();
    assert!(modern.call(&["HELLO", "3"]).contains("proto"));
    modern.command(&["SUBSCRIBE", "a"]);
    assert_eq!(modern.reply(), b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    assert_eq!(modern.call(&["SET", "k", "v"]), "+OK");
    modern.command(&["PUBLISH", "a", "hi"]);
    let mut got = [modern.reply(), modern.reply()];
    got.sort();
    assert_eq!(
        got,
        [b":2\r\n".to_vec(), b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n".to_vec()]
    );
    assert_eq!(heard(&mut client), "[message, a, hi]");
    server.stop();
}

#[test]
fn sharded_channels_are_a_name_space_of_their_own() {
    let server = Server::start();
    let (mut one, mut two, mut publisher) = (server.resp(), server.resp(), server.resp());
    assert_eq!(one.call(&["SSUBSCRIBE", "c"]), "[ssubscribe, c, :1]");
    assert_eq!(two.call(&["SUBSCRIBE", "c"]), "[subscribe, c, :1]");
    assert_eq!(publisher.call(&["SPUBLISH", "c", "s"]), ":1");
    assert_eq!(publisher.call(&["PUBLISH", "c", "p"]), ":1");
    assert_eq!(heard(&mut one), "[smessage, c, s]");
    assert_eq!(heard(&mut two), "[message, c, p]");
    assert_eq!(publisher.call(&["PUBSUB", "SHARDCHANNELS"]), "[c]");
    assert_eq!(publisher.call(&["PUBSUB", "SHARDNUMSUB", "c"]), "[c, :1]");
    assert_eq!(one.call(&["SUNSUBSCRIBE"]), "[sunsubscribe, c, :0]");
    server.stop();
}

#[test]
fn changes_of_keys_are_told() {
    let plan = Plan::new().workers(2).config("server:\n  notify_keyspace_events: KEA\n");
    let server = plan.start();
    let (mut listener, mut writer) = (server.resp(), server.resp());
    assert_eq!(listener.call(&["PSUBSCRIBE", "__key*__:*"]), "[psubscribe, __key*__:*, :1]");
    for at in 0..8 {
        let key = format!("k{at}");
        assert_eq!(writer.call(&["SET", &key, "v"]), "+OK");
        assert_eq!(
            heard(&mut listener),
            format!("[pmessage, __key*__:*, __keyspace@0__:{key}, set]")
        );
        assert_eq!(
            heard(&mut listener),
            format!("[pmessage, __key*__:*, __keyevent@0__:set, {key}]")
        );
    }
    assert_eq!(writer.call(&["PEXPIRE", "k1", "1"]), ":1");
    for event in ["expire", "expired"] {
        let keyspace = format!("[pmessage, __key*__:*, __keyspace@0__:k1, {event}]");
        assert_eq!(heard(&mut listener), keyspace);
        let keyevent = format!("[pmessage, __key*__:*, __keyevent@0__:{event}, k1]");
        assert_eq!(heard(&mut listener), keyevent);
    }
    assert_eq!(writer.call(&["CONFIG", "SET", "notify-keyspace-events", ""]), "+OK");
    assert_eq!(writer.call(&["DEL", "k2"]), ":1");
    assert_eq!(writer.call(&["PUBLISH", "__keyspace@0__:end", "x"]), ":1");
    assert_eq!(heard(&mut listener), "[pmessage, __key*__:*, __keyspace@0__:end, x]");
    let refused = writer.call(&["CONFIG", "SET", "notify-keyspace-events", "KQ"]);
    assert!(refused.contains("Invalid event class character"), "{refused}");
    server.stop();
}

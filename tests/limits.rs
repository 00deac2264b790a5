//! How many queues, rooms and subscriptions there may be, what is switched off, and what rooms,
//! topics and groups are made as where a request does not say: as the configuration has it.

mod support;

use serde_json::{Value, json};
use support::http::Http;
use support::resp::Resp;
use support::{Plan, Server, wait_for};

fn post(http: &mut Http, path: &str, body: &Value) -> (u16, Value) {
    let answer = http.request("POST", path, &body.to_string());
    (answer.status, answer.json())
}

fn ask(server: &Server, words: &[&str]) -> String {
    server.resp().call(words)
}

#[test]
fn there_are_no_more_queues_and_rooms_than_may_be() {
    let plan = Plan::new().env("SYNAP_QUEUE__MAX_QUEUES", 3).env("SYNAP_STREAMS__MAX_ROOMS", 2);
    let server = plan.start();
    let mut client = server.resp();
    for (make, remove, code) in [("QCREATE", "QDELETE", "q"), ("SCREATE", "SDELETE", "r")] {
        // They are counted once a second.
        let mut made = 0;
        wait_for("a limit to be kept", || {
            let answer = client.call(&[make, &format!("{code}{made}")]);
            made += usize::from(answer == "+OK");
            answer.contains("LIMIT")
        });
        assert!(made >= 2, "{made}");
        let mut left = made;
        wait_for("there to be room again", || {
            if left > 0 {
                left -= 1;
                client.call(&[remove, &format!("{code}{left}")]);
            }
            client.call(&[make, "again"]) == "+OK"
        });
    }
    server.stop();
}

#[test]
fn what_is_switched_off_says_so() {
    let off = Plan::new().env("SYNAP_STREAMS__ENABLED", false).env("SYNAP_QUEUE__ENABLED", false);
    let server = off.start();
    for words in [&["SCREATE", "r"][..], &["TLIST"], &["GLIST"], &["QLIST"]] {
        assert!(ask(&server, words).contains("disabled"), "{words:?}");
    }
    let mut http = server.http();
    for path in ["/stream/list", "/topics", "/consumer-groups", "/queue/list", "/stream/r/sse"] {
        assert_eq!(http.request("GET", path, "").status, 503, "{path}");
    }
    server.stop();
}

#[test]
fn what_a_request_does_not_say_the_configuration_says() {
    let server = Plan::new()
        .env("SYNAP_STREAMS__MAX_BUFFER_SIZE", 2)
        .env("SYNAP_TOPICS__DEFAULT_PARTITIONS", 5)
        .env("SYNAP_TOPICS__REPLICATION_FACTOR", 2)
        .env("SYNAP_TOPICS__SEGMENT_BYTES", 4096)
        .env("SYNAP_TOPICS__MAX_BATCH_SIZE", 3)
        .env("SYNAP_TOPICS__RETENTION__TYPE", "messages")
        .env("SYNAP_TOPICS__RETENTION__MAX_MESSAGES", 4)
        .env("SYNAP_CONSUMER_GROUPS__STRATEGY", "sticky")
        .start();
    let mut http = server.http();
    for number in 0..5 {
        let event = json!({"room": "r", "event": "e", "data": number});
        assert_eq!(post(&mut http, "/stream/publish", &event).0, 200);
    }
    let stats = http.request("GET", "/stream/r/stats", "").json();
    assert_eq!((&stats["message_count"], &stats["min_offset"]), (&json!(2), &json!(3)));
    let (status, made) = post(&mut http, "/topics/t", &json!({}));
    assert_eq!(
        (status, &made["num_partitions"], &made["replication_factor"]),
        (200, &json!(5), &json!(2))
    );
    let stats = http.request("GET", "/topics/t/stats", "").json();
    assert_eq!(
        [&stats["max_messages"], &stats["retention_secs"], &stats["segment_bytes"]],
        [&json!(4), &Value::Null, &json!(4096)]
    );
    for number in 0..6 {
        let event = json!({"event_type": "e", "partition": 1, "data": number});
        assert_eq!(post(&mut http, "/topics/t/publish", &event).0, 200);
    }
    let read = post(&mut http, "/topics/t/partitions/1/consume", &json!({"limit": 100})).1;
    assert_eq!((&read["count"], &read["earliest"]), (&json!(3), &json!(2)), "{read}");
    assert_eq!(post(&mut http, "/consumer-groups/g", &json!({"topic": "t"})).0, 200);
    let stats = http.request("GET", "/consumer-groups/g/stats", "").json();
    assert_eq!(stats["strategy"], "sticky", "{stats}");
    server.stop();
}

#[test]
fn no_more_listen_than_may() {
    let server = Plan::new()
        .env("SYNAP_PUBSUB__MAX_TOPICS", 3)
        .env("SYNAP_PUBSUB__MAX_SUBSCRIBERS_PER_TOPIC", 2)
        .env("SYNAP_PUBSUB__MAX_WILDCARD_SUBSCRIPTIONS", 1)
        .start();
    let (mut one, mut two, mut three) = (server.resp(), server.resp(), server.resp());
    assert!(one.call(&["SUBSCRIBE", "a"]).contains("subscribe"));
    assert!(two.call(&["SUBSCRIBE", "a"]).contains("subscribe"));
    assert!(three.call(&["SUBSCRIBE", "a"]).contains("max_subscribers_per_topic"));
    // Who listens already may say so again.
    assert!(two.call(&["SUBSCRIBE", "a"]).contains("subscribe"));
    assert!(three.call(&["SUBSCRIBE", "b", "c", "d"]).contains("max_topics"));
    assert!(three.call(&["SUBSCRIBE", "b"]).contains("subscribe"));
    assert!(one.call(&["PSUBSCRIBE", "x*"]).contains("psubscribe"));
    assert!(two.call(&["PSUBSCRIBE", "y*"]).contains("max_wildcard_subscriptions"));
    let mut http = server.http();
    let refused = post(&mut http, "/pubsub/subscribe", &json!({"topics": ["a.*"]}));
    assert_eq!(refused.0, 507, "{refused:?}");
    assert_eq!(post(&mut http, "/pubsub/subscribe", &json!({"topics": ["t"]})).0, 200);
    server.stop();
}

#[test]
fn a_command_that_would_read_too_much_is_refused_and_parts_are_not() {
    let plan = Plan::new().config("kv_store: {max_read_elements: 10}\n");
    let server = plan.start();
    let mut client = server.resp();
    for number in 0..11 {
        for words in [
            format!("RPUSH list v{number}"),
            format!("SADD set v{number}"),
            format!("HSET hash v{number} v"),
            format!("ZADD zset {number} v{number}"),
            format!("XADD stream {}-1 f v", number + 1),
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            assert!(!client.call(&words).starts_with('-'), "{words:?}");
        }
    }
    let call = |client: &mut Resp, line: &str| client.call(&line.split(' ').collect::<Vec<_>>());
    let refused = "-ERR this command would read 11 elements, and kv_store.max_read_elements is 10: \
                   use SCAN, HSCAN, SSCAN, ZSCAN or smaller ranges";
    for line in [
        "LRANGE list 0 -1",
        "SMEMBERS set",
        "SUNION set nothing",
        "SDIFF set nothing",
        "SINTER set set",
        "SUNIONSTORE to set",
        "HGETALL hash",
        "HKEYS hash",
        "HVALS hash",
        "ZRANGE zset 0 -1",
        "ZREVRANGEBYSCORE zset +inf -inf",
        "ZUNION 1 zset",
        "ZINTERSTORE to 1 zset",
        "XRANGE stream - +",
        "XREVRANGE stream + -",
        "SORT list ALPHA",
        "SORT_RO zset BY nosort",
    ] {
        assert_eq!(call(&mut client, line), refused, "{line}");
        let script = format!("return redis.pcall(unpack(ARGV))\t0\t{}", line.replace(' ', "\t"));
        let words: Vec<&str> = ["EVAL"].into_iter().chain(script.split('\t')).collect();
        assert_eq!(client.call(&words), refused, "{line} in a script");
    }
    for line in [
        "LRANGE list 0 9",
        "ZRANGE zset 1 10",
        "ZRANGEBYSCORE zset -inf +inf LIMIT 0 10",
        "XRANGE stream 2 +",
        "XRANGE stream - + COUNT 10",
        "SINTER set nothing",
        "SSCAN set 0 COUNT 100",
        "HSCAN hash 0 COUNT 100",
        "KEYS *",
        "EXISTS to",
    ] {
        assert!(!call(&mut client, line).starts_with('-'), "{line}");
    }
    // Each of the cores has more than ten keys when there are many.
    for number in 0..200 {
        assert_eq!(client.call(&["SET", &format!("key{number}"), "v"]), "+OK");
    }
    assert!(call(&mut client, "KEYS *").contains("kv_store.max_read_elements is 10"));
    assert!(!call(&mut client, "SCAN 0 COUNT 1000").starts_with('-'));
    let answer = server.http().request("GET", "/set/set/members", "");
    assert!(answer.status == 400 && answer.text().contains("max_read_elements"), "{answer:?}");
    let _same = plan.clone().config("kv_store: {max_read_elements: 0}\n");
    server.signal("HUP");
    wait_for("the limit to be gone", || !call(&mut client, "LRANGE list 0 -1").starts_with('-'));
    server.stop();
}

#[test]
fn an_answer_that_names_a_value_again_and_again_is_refused_before_it_is_made() {
    let server = Plan::new().start();
    let mut client = server.resp();
    let value = "v".repeat(1 << 20);
    assert_eq!(client.call(&["SET", "large", &value]), "+OK");
    let mget = |client: &mut Resp, count: usize| {
        let words: Vec<&str> = ["MGET"].into_iter().chain(vec!["large"; count]).collect();
        client.call(&words)
    };
    let refused = "-ERR the answer would be larger than 1 GiB, ask for less at once";
    assert!(mget(&mut client, 3000).contains(&refused[1..]));
    assert_eq!(client.call(&["RPUSH", "list", &value]), ":1");
    assert_eq!(mget(&mut client, 2).len(), 2 * value.len() + "[, ]".len());
    server.stop();
}

//! Requests to words and replies to answers, for every route.

#[path = "http_routes/list.rs"]
mod list;

use std::collections::BTreeSet;

use synap::protocol::http::decode::{Decoded, HttpDecoder};
use synap::protocol::http::respond::respond;
use synap::protocol::http::route::{Builtin, Component, HttpOptions, Routed, Section, route};
use synap::protocol::http::{openapi, table};
use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;

const BODY_BYTES_MAX: usize = 1 << 20;

fn send_with(head: &str, body: &str, options: &HttpOptions) -> Routed {
    let (line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let length = body.len();
    let text = format!(
        "{line} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{headers}\r\n\r\n{body}"
    )
    .replace("\r\n\r\n\r\n", "\r\n\r\n");
    match HttpDecoder::new().decode(text.as_bytes(), BODY_BYTES_MAX) {
        Decoded::Request(request) => route(&request, options),
        other => panic!("{text:?}: {other:?}"),
    }
}

fn send(head: &str, body: &str) -> Routed {
    send_with(head, body, &HttpOptions::default())
}

/// Status, head and body of an answer, whose stated length is checked.
fn parts(answer: &[u8]) -> (u16, String, String) {
    let text = String::from_utf8_lossy(answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head ends");
    let status = head[9..12].parse().expect("a status is a number");
    (status, head.to_owned(), body.to_owned())
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().skip(1).find_map(|line| {
        let (known, value) = line.split_once(": ")?;
        known.eq_ignore_ascii_case(name).then_some(value)
    })
}

fn words_of(routed: &Routed) -> Vec<String> {
    match routed {
        Routed::Command { words, .. } => {
            let words = words.as_words();
            words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
        }
        Routed::Direct { response, .. } => panic!("refused: {}", String::from_utf8_lossy(response)),
        Routed::Builtin { builtin, .. } => panic!("{builtin:?}"),
        Routed::Access { asked, .. } => panic!("{asked:?}"),
        Routed::Live { live, .. } => panic!("{live:?}"),
        Routed::Envelopes { envelopes, .. } => panic!("{envelopes:?}"),
    }
}

fn refusal(routed: &Routed) -> (u16, String) {
    let Routed::Direct { response, status, .. } = routed else { panic!("not refused: {routed:?}") };
    let (code, head, body) = parts(response);
    assert_eq!(code, *status);
    assert_eq!(header(&head, "content-length"), Some(&*body.len().to_string()));
    let json: serde_json::Value = serde_json::from_str(&body).expect("refusals are JSON");
    assert_eq!(json["code"], code);
    (code, json["error"].as_str().expect("a message").to_owned())
}

fn answer(routed: &Routed, reply: &Reply<'_>) -> (u16, String, String) {
    let Routed::Command { context, .. } = routed else { panic!("no command: {routed:?}") };
    let mut out = b"before".to_vec();
    let status = respond(context, reply, &mut out);
    assert_eq!(&out[..6], b"before", "answers are appended");
    let (code, head, body) = parts(&out[6..]);
    assert_eq!(code, status);
    assert_eq!(header(&head, "content-length"), Some(&*body.len().to_string()), "{head}");
    (status, head, body)
}

struct Row(&'static str, &'static str, &'static str, Reply<'static>, u16, &'static str);

fn int(number: i64) -> Reply<'static> {
    Reply::Integer(number)
}

fn bytes(text: &'static str) -> Reply<'static> {
    Reply::borrowed(text.as_bytes())
}

fn rows() -> Vec<Row> {
    let two = || Reply::Array(vec![bytes("v"), Reply::Nil]);
    let page = || Reply::Array(vec![bytes("7"), two()]);
    let absent = r#"{"error":"Key not found","code":404}"#;
    let absent_k = r#"{"error":"Key not found: k","code":404}"#;
    let set = || Reply::Set(vec![bytes("a"), bytes("1")]);
    let members_of_k = r#"{"key":"k","members":["a","1"]}"#;
    let keys_kl = r#"{"keys":["k","l"]}"#;
    let to_t = r#"{"destination":"t","keys":["k","l"]}"#;
    let stored_t = r#"{"destination":"t","count":2,"cardinality":2}"#;
    vec![
        Row(
            "POST /kv/set",
            r#"{"key":"k","value":"v"}"#,
            "SET k v",
            Reply::Ok,
            200,
            r#"{"success":true,"key":"k","written":true}"#,
        ),
        Row(
            "POST /kv/set",
            r#"{"key":"k","value":{"a": [1, " x "]},"nx":true}"#,
            r#"SET k {"a":[1," x "]} NX"#,
            Reply::Nil,
            200,
            r#"{"success":true,"key":"k","written":false}"#,
        ),
        Row(
            "POST /kv/set",
            r#"{"key":"k\u0041","value":12345678901234567890123.50,"ttl":60}"#,
            "SET kA 12345678901234567890123.50 EX 60",
            Reply::Ok,
            200,
            r#"{"success":true,"key":"kA","written":true}"#,
        ),
        Row(
            "POST /kv/set",
            r#"{"key":"k","value":null,"ttl":null,"get":true,"xx":true}"#,
            "SET k null XX GET",
            bytes("old"),
            200,
            r#"{"success":true,"key":"k","written":true,"old_value":"old"}"#,
        ),
        Row(
            "POST /kv/set",
            r#"{"key":"k","value":"v","get":true,"nx":true}"#,
            "SET k v NX GET",
            Reply::Nil,
            200,
            r#"{"success":true,"key":"k","written":true,"old_value":null}"#,
        ),
        Row(
            "POST /kv/set",
            r#"{"key":"k","value":"v","ttl":5,"expiry":{"type":"unix_milliseconds","value":9}}"#,
            "SET k v PXAT 9",
            Reply::Ok,
            200,
            r#"{"success":true,"key":"k","written":true}"#,
        ),
        Row(
            "POST /kv/set",
            r#"{"key":"k","value":"v","ttl":5,"keepttl":true}"#,
            "SET k v KEEPTTL",
            Reply::Ok,
            200,
            r#"{"success":true,"key":"k","written":true}"#,
        ),
        Row(
            "POST /kv/set",
            r#"{"key":"k","value_base64":"aGk="}"#,
            "SET k hi",
            Reply::Ok,
            200,
            r#"{"success":true,"key":"k","written":true}"#,
        ),
        Row(
            "GET /kv/get/a%2Fb%20c",
            "",
            "GET a/b c",
            bytes("\"x\"\n\u{1}é"),
            200,
            r#""\"x\"\n\u0001é""#,
        ),
        Row("GET /kv/get/k", "", "GET k", Reply::Nil, 404, absent),
        Row("GET /kv/get/k?type=bytes", "", "GET k", bytes("ab"), 200, "[97,98]"),
        Row("GET /kv/get/k?type=base64", "", "GET k", bytes("abcd"), 200, r#""YWJjZA==""#),
        Row("GET /kv/get/k?type=raw", "", "GET k", bytes("ab"), 200, "ab"),
        Row(
            "GET /kv/get/k",
            "",
            "GET k",
            Reply::borrowed(b"\xff\xfe"),
            200,
            r#""<binary data: 2 bytes>""#,
        ),
        Row(
            "GET /kv/get/k?format=full",
            "",
            "SYNAP.GETFULL k",
            Reply::Nil,
            200,
            r#"{"found":false,"value":null,"ttl":null}"#,
        ),
        Row(
            "GET /kv/get/k?wrapped=true",
            "",
            "SYNAP.GETFULL k",
            Reply::Array(vec![bytes("v"), int(3_598_700)]),
            200,
            r#"{"found":true,"value":"v","ttl":3599}"#,
        ),
        Row(
            "GET /kv/get/k\r\nAccept: application/vnd.synap.full+json",
            "",
            "SYNAP.GETFULL k",
            two(),
            200,
            r#"{"found":true,"value":"v","ttl":null}"#,
        ),
        Row("DELETE /kv/del/k", "", "DEL k", int(1), 200, r#"{"deleted":true,"key":"k"}"#),
        Row("DELETE /key/a,b", "", "DEL a,b", int(0), 200, r#"{"deleted":false,"key":"a,b"}"#),
        Row("POST /kv/k/append", r#"{"value":7}"#, "APPEND k 7", int(3), 200, r#"{"length":3}"#),
        Row("GET /kv/k/getrange?start=0&end=-1", "", "GETRANGE k 0 -1", bytes(""), 200, r#""""#),
        Row(
            "POST /kv/k/setrange",
            r#"{"offset":2,"value":"x"}"#,
            "SETRANGE k 2 x",
            int(3),
            200,
            r#"{"length":3}"#,
        ),
        Row("GET /kv/k/strlen", "", "STRLEN k", int(0), 200, r#"{"length":0}"#),
        Row("POST /kv/k/getset", r#"{"value":"n"}"#, "GETSET k n", Reply::Nil, 200, "null"),
        Row(
            "POST /kv/mset",
            r#"{"pairs":[["a",1],["b","x"]]}"#,
            "MSET a 1 b x",
            Reply::Ok,
            200,
            r#"{"success":true,"count":2}"#,
        ),
        Row(
            "POST /kv/mset",
            r#"{"pairs":[{"value":true,"key":"a"}]}"#,
            "MSET a true",
            Reply::Ok,
            200,
            r#"{"success":true,"count":1}"#,
        ),
        Row(
            "POST /kv/mset",
            r#"{"pairs":{"a":"1","b":null}}"#,
            "MSET a 1 b null",
            Reply::Ok,
            200,
            r#"{"success":true,"count":2}"#,
        ),
        Row(
            "POST /kv/mset",
            r#"{"a":"1"}"#,
            "MSET a 1",
            Reply::Ok,
            200,
            r#"{"success":true,"count":1}"#,
        ),
        Row(
            "POST /kv/msetnx",
            r#"{"pairs":[["a","1"]]}"#,
            "MSETNX a 1",
            int(0),
            200,
            r#"{"success":false}"#,
        ),
        Row(
            "POST /kv/mget",
            r#"{"keys":["v","w"]}"#,
            "MGET v w",
            two(),
            200,
            r#"{"values":["v",null]}"#,
        ),
        Row(
            "POST /kv/mdel",
            r#"{"keys":["a","b"]}"#,
            "UNLINK a b",
            int(2),
            200,
            r#"{"deleted":2}"#,
        ),
        Row("GET /kv/k/exists", "", "EXISTS k", int(1), 200, r#"{"exists":true}"#),
        Row("GET /kv/k/ttl", "", "PTTL k", int(-2), 404, absent_k),
        Row("GET /kv/k/ttl", "", "PTTL k", int(-1), 200, r#"{"ttl":null}"#),
        Row("GET /key/k/ttl", "", "PTTL k", int(1500), 200, r#"{"ttl":2}"#),
        Row("POST /kv/k/expire", r#"{"ttl":9}"#, "EXPIRE k 9", int(1), 200, r#"{"result":true}"#),
        Row(
            "POST /key/k/expire",
            r#"{"ttl_ms":9}"#,
            "PEXPIRE k 9",
            int(0),
            200,
            r#"{"result":false}"#,
        ),
        Row("POST /kv/k/persist", "", "PERSIST k", int(1), 200, r#"{"result":true}"#),
        Row("POST /key/k/persist", "{}", "PERSIST k", int(0), 200, r#"{"result":false}"#),
        Row("POST /kv/k/incr", "", "INCRBY k 1", int(-5), 200, r#"{"value":-5}"#),
        Row("POST /kv/k/incrby", r#"{"increment":3}"#, "INCRBY k 3", int(3), 200, r#"{"value":3}"#),
        Row("POST /kv/k/decr", " ", "DECRBY k 1", int(0), 200, r#"{"value":0}"#),
        Row("POST /kv/k/decrby", r#"{"delta":-2}"#, "DECRBY k -2", int(2), 200, r#"{"value":2}"#),
        Row("GET /kv/keys", "", "KEYS *", two(), 200, r#"{"keys":["v",null],"count":2}"#),
        Row(
            "GET /kv/keys?pattern=a*&limit=1",
            "",
            "KEYS a*",
            two(),
            200,
            r#"{"keys":["v"],"count":1}"#,
        ),
        Row(
            "GET /kv/scan",
            "",
            "SCAN 0",
            page(),
            200,
            r#"{"keys":["v",null],"cursor":"7","count":2}"#,
        ),
        Row(
            "GET /kv/scan?cursor=5&prefix=a%2A%2B+b&count=10",
            "",
            "SCAN 5 MATCH a\\*+ b* COUNT 10",
            page(),
            200,
            r#"{"keys":["v",null],"cursor":"7","count":2}"#,
        ),
        Row("GET /kv/dbsize", "", "DBSIZE", int(4), 200, r#"{"size":4}"#),
        Row("POST /kv/flushdb", "", "SYNAP.FLUSH", int(4), 200, r#"{"flushed":4}"#),
        Row(
            "POST /kv/flushall",
            "",
            "SYNAP.FLUSH",
            Reply::Error(CommandError::Disabled { key: "a.b" }),
            403,
            r#"{"error":"Forbidden: this command is disabled, set a.b to true","code":403}"#,
        ),
        Row(
            "GET /key/k/type",
            "",
            "TYPE k",
            Reply::Status("none"),
            200,
            r#"{"key":"k","type":"none"}"#,
        ),
        Row("GET /key/k/exists", "", "EXISTS k", int(0), 200, r#"{"key":"k","exists":false}"#),
        Row(
            "POST /key/k/rename",
            r#"{"destination":"d"}"#,
            "RENAME k d",
            Reply::Ok,
            200,
            r#"{"success":true,"source":"k","destination":"d"}"#,
        ),
        Row(
            "POST /key/k/rename",
            r#"{"destination":"d"}"#,
            "RENAME k d",
            Reply::Error(CommandError::NoSuchKey),
            404,
            absent_k,
        ),
        Row(
            "POST /key/k/renamenx",
            r#"{"destination":"d"}"#,
            "RENAMENX k d",
            int(1),
            200,
            r#"{"success":true,"source":"k","destination":"d"}"#,
        ),
        Row(
            "POST /key/k/renamenx",
            r#"{"destination":"d"}"#,
            "RENAMENX k d",
            int(0),
            409,
            r#"{"error":"Key already exists: d","code":409}"#,
        ),
        Row(
            "POST /key/k/copy",
            r#"{"destination":"d","replace":true}"#,
            "COPY k d REPLACE",
            int(0),
            200,
            r#"{"success":false,"source":"k","destination":"d"}"#,
        ),
        Row("GET /key/randomkey", "", "RANDOMKEY", Reply::Nil, 200, r#"{"key":null}"#),
        Row(
            "GET /memory/k/usage",
            "",
            "MEMORY USAGE k",
            int(1536),
            200,
            r#"{"key":"k","bytes":1536,"human":"1.50K"}"#,
        ),
        Row("GET /memory/k/usage", "", "MEMORY USAGE k", Reply::Nil, 404, absent_k),
        Row(
            "POST /bitmap/k/setbit",
            r#"{"offset":7,"value":1}"#,
            "SETBIT k 7 1",
            int(0),
            200,
            r#"{"key":"k","old_value":0}"#,
        ),
        Row(
            "GET /bitmap/k/getbit/7",
            "",
            "GETBIT k 7",
            int(1),
            200,
            r#"{"key":"k","offset":7,"value":1}"#,
        ),
        Row("GET /bitmap/k/bitcount", "", "BITCOUNT k", int(2), 200, r#"{"key":"k","count":2}"#),
        Row(
            "GET /bitmap/k/bitcount?end=9",
            "",
            "BITCOUNT k 0 9 BIT",
            int(2),
            200,
            r#"{"key":"k","count":2}"#,
        ),
        Row(
            "GET /bitmap/k/bitpos?value=1&start=3",
            "",
            "BITPOS k 1 3 -1 BIT",
            int(-1),
            200,
            r#"{"key":"k","position":null}"#,
        ),
        Row(
            "POST /bitmap/d/bitop",
            r#"{"operation":"and","source_keys":["a","b"]}"#,
            "BITOP AND d a b",
            int(2),
            200,
            r#"{"destination":"d","length":2}"#,
        ),
        Row(
            "GET /slowlog?count=3",
            "",
            "SLOWLOG GET 3",
            Reply::Array(vec![Reply::Array(vec![
                int(1),
                int(9),
                int(15_000),
                Reply::Array(vec![bytes("SET"), bytes("k"), bytes("v")]),
                bytes("127.0.0.1:1"),
                bytes(""),
            ])]),
            200,
            concat!(
                r#"{"entries":[{"id":1,"timestamp":9,"duration_us":15000,"#,
                r#""command":"SET","args":["k","v"]}],"total":1}"#,
            ),
        ),
        Row(
            "POST /set/k/add",
            r#"{"members":["a",1,{"b": 2}]}"#,
            r#"SADD k a 1 {"b":2}"#,
            int(3),
            200,
            r#"{"key":"k","added":3}"#,
        ),
        Row(
            "POST /set/k/rem",
            r#"{"members":["a"]}"#,
            "SREM k a",
            int(1),
            200,
            r#"{"key":"k","removed":1}"#,
        ),
        Row("GET /set/k/members", "", "SMEMBERS k", set(), 200, members_of_k),
        Row(
            "POST /set/k/ismember",
            r#"{"member":"a"}"#,
            "SISMEMBER k a",
            int(1),
            200,
            r#"{"key":"k","is_member":true}"#,
        ),
        Row(
            "GET /set/k/card",
            "",
            "SCARD k",
            int(2),
            200,
            r#"{"key":"k","count":2,"cardinality":2}"#,
        ),
        Row("POST /set/k/pop", "", "SPOP k 1", set(), 200, members_of_k),
        Row("POST /set/k/pop?count=3", "", "SPOP k 3", set(), 200, members_of_k),
        Row("POST /set/k/pop", r#"{"count":3}"#, "SPOP k 3", set(), 200, members_of_k),
        Row("GET /set/k/randmember", "", "SRANDMEMBER k 1", set(), 200, members_of_k),
        Row("GET /set/k/randmember?count=-3", "", "SRANDMEMBER k -3", set(), 200, members_of_k),
        Row(
            "POST /set/k/move/l",
            r#"{"member":"a"}"#,
            "SMOVE k l a",
            int(1),
            200,
            r#"{"moved":true,"source":"k","destination":"l"}"#,
        ),
        Row("POST /set/inter", keys_kl, "SINTER k l", set(), 200, r#"{"members":["a","1"]}"#),
        Row("POST /set/union", keys_kl, "SUNION k l", set(), 200, r#"{"members":["a","1"]}"#),
        Row("POST /set/diff", keys_kl, "SDIFF k l", set(), 200, r#"{"members":["a","1"]}"#),
        Row("POST /set/interstore", to_t, "SINTERSTORE t k l", int(2), 200, stored_t),
        Row("POST /set/unionstore", to_t, "SUNIONSTORE t k l", int(2), 200, stored_t),
        Row("POST /set/diffstore", to_t, "SDIFFSTORE t k l", int(2), 200, stored_t),
        Row(
            "POST /hyperloglog/k/pfadd",
            r#"{"elements":["a",1]}"#,
            "SYNAP.PFADD k a 1",
            int(2),
            200,
            r#"{"key":"k","added":2}"#,
        ),
        Row(
            "POST /hyperloglog/k/pfadd",
            r#"{"elements":["a"],"ttl_secs":60}"#,
            "SYNAP.PFADDEX k 60 a",
            int(1),
            200,
            r#"{"key":"k","added":1}"#,
        ),
        Row(
            "GET /hyperloglog/k/pfcount",
            "",
            "SYNAP.PFCOUNT k",
            int(2),
            200,
            r#"{"key":"k","count":2}"#,
        ),
        Row("GET /hyperloglog/k/pfcount", "", "SYNAP.PFCOUNT k", Reply::Nil, 404, absent_k),
        Row(
            "GET /hyperloglog/k/pfcount?keys=a,b",
            "",
            "SYNAP.PFCOUNT k a b",
            int(2),
            200,
            r#"{"key":"k","count":2}"#,
        ),
        Row(
            "POST /hyperloglog/t/pfmerge",
            r#"{"sources":["k","l"]}"#,
            "SYNAP.PFMERGE t k l",
            int(2),
            200,
            r#"{"destination":"t","count":2}"#,
        ),
        Row(
            "GET /hyperloglog/stats",
            "",
            "SYNAP.PFSTATS",
            Reply::Array([1, 5, 2, 7].map(int).into()),
            200,
            r#"{"total_hlls":3,"total_cardinality":12}"#,
        ),
        Row(
            "POST /hash/h/set",
            r#"{"field":"f","value":"v"}"#,
            "HSET h f v",
            Reply::Integer(1),
            200,
            r#"{"created":true,"key":"h","field":"f","success":true}"#,
        ),
        Row("GET /hash/h/f", "", "HGET h f", bytes("v"), 200, "\"v\""),
        Row("GET /hash/h/f?type=bytes", "", "HGET h f", bytes("v"), 200, "[118]"),
        Row("GET /hash/h/f?type=raw", "", "HGET h f", bytes("v"), 200, "v"),
        Row(
            "GET /hash/h/f",
            "",
            "HGET h f",
            Reply::Nil,
            404,
            r#"{"found":false,"error":"Field not found","code":404}"#,
        ),
        Row(
            "GET /hash/h/getall",
            "",
            "HGETALL h",
            Reply::Map(vec![(bytes("f"), bytes("v")), (bytes("g"), bytes("5"))]),
            200,
            r#"{"f":"v","g":"5"}"#,
        ),
        Row("GET /hash/h/getall", "", "HGETALL h", Reply::Map(vec![]), 200, "{}"),
        Row(
            "GET /hash/h/keys",
            "",
            "HKEYS h",
            Reply::Array(vec![bytes("f"), bytes("g")]),
            200,
            r#"["f","g"]"#,
        ),
        Row("GET /hash/h/vals", "", "HVALS h", Reply::Array(vec![bytes("v")]), 200, r#"["v"]"#),
        Row("GET /hash/h/len", "", "HLEN h", Reply::Integer(2), 200, r#"{"length":2}"#),
        Row(
            "POST /hash/h/mset",
            r#"{"fields":{"f":"v","g":5}}"#,
            "HMSET h f v g 5",
            Reply::Ok,
            200,
            r#"{"key":"h","success":true}"#,
        ),
        Row(
            "POST /hash/h/mset",
            r#"[{"field":"f","value":"v"},{"field":"g","value":{"a": 1}}]"#,
            r#"HMSET h f v g {"a":1}"#,
            Reply::Ok,
            200,
            r#"{"key":"h","success":true}"#,
        ),
        Row(
            "POST /hash/h/mget",
            r#"{"fields":["f","g"]}"#,
            "HMGET h f g",
            Reply::Array(vec![bytes("v"), Reply::Nil]),
            200,
            r#"["v",null]"#,
        ),
        Row(
            "DELETE /hash/h/del",
            r#"{"fields":["f","g"]}"#,
            "HDEL h f g",
            Reply::Integer(2),
            200,
            r#"{"key":"h","deleted":2}"#,
        ),
        Row(
            "DELETE /hash/h/del",
            r#"{"field":"f"}"#,
            "HDEL h f",
            Reply::Integer(0),
            200,
            r#"{"key":"h","deleted":0}"#,
        ),
        Row(
            "DELETE /hash/h/del?fields=f,g",
            "",
            "HDEL h f g",
            Reply::Integer(1),
            200,
            r#"{"key":"h","deleted":1}"#,
        ),
        Row(
            "GET /hash/h/f/exists",
            "",
            "HEXISTS h f",
            Reply::Integer(1),
            200,
            r#"{"exists":true}"#,
        ),
        Row(
            "POST /hash/h/incrby",
            r#"{"field":"f","increment":-3}"#,
            "HINCRBY h f -3",
            Reply::Integer(4),
            200,
            r#"{"value":4}"#,
        ),
        Row(
            "POST /hash/h/incrbyfloat",
            r#"{"field":"f","increment":0.1}"#,
            "HINCRBYFLOAT h f 0.1",
            bytes("10.6"),
            200,
            r#"{"value":10.6}"#,
        ),
        Row(
            "POST /hash/h/setnx",
            r#"{"field":"f","value":"v"}"#,
            "HSETNX h f v",
            Reply::Integer(0),
            200,
            r#"{"created":false,"key":"h","field":"f"}"#,
        ),
        Row("DELETE /slowlog", "", "SLOWLOG RESET", Reply::Ok, 200, r#"{"success":true}"#),
        Row(
            "GET /clients",
            "",
            "CLIENT LIST",
            bytes("id=3 addr=127.0.0.1:9 name=7 qbuf-free=2 cmd=client|list\n"),
            200,
            concat!(
                r#"{"clients":[{"id":3,"addr":"127.0.0.1:9","name":"7","qbuf_free":2,"#,
                r#""cmd":"client|list"}],"count":1}"#,
            ),
        ),
        Row(
            "POST /snapshot",
            "",
            "SYNAP.SNAPSHOT",
            Reply::Map(vec![(bytes("path"), bytes("d/s")), (bytes("offset"), Reply::Integer(7))]),
            200,
            r#"{"success":true,"message":"Snapshot written","path":"d/s","offset":7}"#,
        ),
    ]
}

fn all_rows() -> Vec<Row> {
    let mut all = rows();
    all.extend(list::rows());
    all
}

#[test]
fn every_route_makes_its_words_and_its_body() {
    for Row(head, body, words, reply, status, expected) in all_rows() {
        let routed = send(head, body);
        assert_eq!(words_of(&routed).join(" "), words, "{head} {body}");
        let (found_status, found_head, found) = answer(&routed, &reply);
        assert_eq!((found_status, &*found), (status, expected), "{head} {body}");
        let raw = head.contains("type=raw");
        let content = if raw { "application/octet-stream" } else { "application/json" };
        assert_eq!(header(&found_head, "content-type"), Some(content));
        assert_eq!(header(&found_head, "connection"), None);
    }
}

#[test]
fn the_rows_above_and_the_builtins_leave_no_route_out() {
    let mut seen = BTreeSet::new();
    for Row(head, body, ..) in all_rows() {
        if let Routed::Command { context, .. } = send(head, body) {
            seen.insert(context.route.index());
        }
    }
    // Sorted sets, positions, scripts, transactions, topics and queues have tests of their own.
    let own = [
        "/health",
        "/metrics",
        "/info",
        "/openapi",
        "/kv/stats",
        "/audit",
        "/set/stats",
        "/hash/stats",
        "/stream/",
        "/topics",
        "/consumer-groups",
        "/transaction/",
        "/sortedset/",
        "/geospatial/",
        "/script/",
        "/queue/",
        "/pubsub/",
        "/kv/ws",
        "/cdc",
        "/api/",
        "/auth/",
        "/dss-queue/",
    ];
    for id in table::ids().skip(1) {
        let (method, path) = id.label();
        let covered = seen.contains(&id.index()) || own.iter().any(|own| path.starts_with(own));
        assert!(covered, "{method} {path} has no row");
    }
}

#[test]
fn inputs_of_the_wrong_type_are_refused_with_what_was_expected() {
    for (head, body, status, part) in [
        ("POST /kv/set", r#"{"value":"v"}"#, 400, "`key` is missing"),
        ("POST /kv/set", r#"{"key":"","value":"v"}"#, 400, "found an empty string"),
        ("POST /kv/set", r#"{"key":5,"value":"v"}"#, 400, "`key` must be a string, found a number"),
        ("POST /kv/set", r#"{"key":"k"}"#, 400, "`value` is missing"),
        ("POST /kv/set", r#"{"key":"k","value":"v","ttl":0}"#, 400, "Invalid TTL"),
        ("POST /kv/set", r#"{"key":"k","value":"v","ttl":-1}"#, 400, "Invalid TTL"),
        ("POST /kv/set", r#"{"key":"k","value":"v","ttl":1.5}"#, 400, "Invalid TTL"),
        ("POST /kv/set", r#"{"key":"k","value":"v","ttl":"5"}"#, 400, "Invalid TTL"),
        ("POST /kv/set", r#"{"key":"k","value":"v","nx":true,"xx":true}"#, 400, "exclude"),
        ("POST /kv/set", r#"{"key":"k","value":"v","nx":1}"#, 400, "`nx` must be a boolean"),
        (
            "POST /kv/set",
            r#"{"key":"k","value":"v","expiry":5}"#,
            400,
            "`expiry` must be an object",
        ),
        ("POST /kv/set", r#"{"key":"k","value":"v","expiry":{"type":"x","value":1}}"#, 400, "type"),
        ("POST /kv/set", r#"{"key":"k","value":"v","expiry":{"type":"seconds"}}"#, 400, "value"),
        ("POST /kv/set", r#"{"key":"k","value_base64":"%%"}"#, 400, "base64"),
        ("POST /kv/set", r#"{"key":"k","value":"\ud800"}"#, 400, "escape"),
        ("POST /kv/set", r#"{"key":"k","#, 400, "not JSON at line 1"),
        ("POST /kv/set", "[1]", 400, "expected a JSON object"),
        ("POST /hash/h/set", "[1]", 400, "expected a JSON object"),
        ("POST /hash/h/set", r#"{"field":"f"}"#, 400, "`value` is missing"),
        ("POST /hash/h/mset", "[1]", 400, "groups as arrays or objects"),
        ("POST /hash/h/mset", "[]", 400, "at least one"),
        ("POST /hash/h/mset", "[{]", 400, "not JSON at line 1"),
        ("POST /hash/h/incrby", r#"{"field":"f","increment":1.5}"#, 400, "must be an integer"),
        ("DELETE /hash/h/del", "", 400, "`fields` is missing"),
        ("POST /kv/set", "{} {}", 400, "not JSON"),
        ("GET /kv/k/getrange?start=0", "", 400, "`end` is missing"),
        ("GET /kv/k/getrange?start=x&end=1", "", 400, "`start` must be an integer"),
        ("GET /kv/get/%ff", "", 400, "UTF-8"),
        ("GET /kv/get/%4", "", 400, "percent"),
        ("GET /kv/get/k?type=hex", "", 400, "`type`"),
        ("GET /kv/get/k?format=hex", "", 400, "`format`"),
        ("POST /kv/mget", r#"{"keys":[]}"#, 400, "empty"),
        ("POST /kv/mget", r#"{"keys":[1]}"#, 400, "must be a string"),
        ("POST /kv/mset", r#"{"pairs":[["a"]]}"#, 400, "groups of 2"),
        ("POST /kv/mset", r#"{"pairs":[]}"#, 400, "at least one"),
        ("POST /kv/mset", r#"{"pairs":{}}"#, 400, "at least one"),
        ("POST /kv/mset", r#"{"pairs":"x"}"#, 400, "array or object"),
        ("POST /kv/mset", "", 400, "`pairs` is missing"),
        ("POST /kv/k/incrby", r#"{"amount":"1"}"#, 400, "must be an integer, found a string"),
        ("POST /bitmap/d/bitop", r#"{"operation":"NAND","source_keys":["a"]}"#, 400, "operation"),
        ("GET /kv/keys?limit=-1", "", 400, "limit"),
        ("GET /nope", "", 404, "Not found"),
        ("GET /kv/get/", "", 404, "Not found"),
        ("GET /kv/get/a/b", "", 404, "Not found"),
        ("GET /health/nope", "", 404, "Not found"),
        ("GET /info?section=nope", "", 400, "section"),
        ("PUT /kv/set", "", 405, "Method not allowed"),
    ] {
        let (found, message) = refusal(&send(head, body));
        assert_eq!(found, status, "{head} {body}: {message}");
        assert!(message.contains(part), "{head} {body}: {message}");
    }
}

#[test]
fn static_segments_win_and_a_method_decides_between_patterns() {
    assert_eq!(words_of(&send("POST /kv/get/append", r#"{"value":"v"}"#))[..2], ["APPEND", "get"]);
    assert_eq!(words_of(&send("GET /kv/get/strlen", ""))[..2], ["GET", "strlen"]);
    assert!(matches!(send("GET /kv/stats", ""), Routed::Builtin { builtin: Builtin::KvStats, .. }));
    let Routed::Direct { response, .. } = send("DELETE /kv/set", "") else { panic!("405") };
    let (status, head, _) = parts(&response);
    assert_eq!((status, header(&head, "allow")), (405, Some("POST, OPTIONS")));
}

#[test]
fn the_servers_own_routes_are_told_apart() {
    for (head, expected) in [
        ("GET /health", Builtin::Health),
        ("GET /health/kv", Builtin::HealthOf(Component::Kv)),
        ("GET /health/persistence", Builtin::HealthOf(Component::Persistence)),
        ("HEAD /metrics", Builtin::Metrics),
        ("GET /info", Builtin::Info(Section::All)),
        ("GET /info?section=memory", Builtin::Info(Section::Memory)),
    ] {
        let Routed::Builtin { builtin, .. } = send(head, "") else { panic!("{head}") };
        assert_eq!(builtin, expected, "{head}");
    }
}

#[test]
fn head_options_and_connection_headers() {
    let routed = send("HEAD /kv/get/k", "");
    let Routed::Command { context, .. } = &routed else { panic!("a command") };
    let mut out = Vec::new();
    respond(context, &bytes("hello"), &mut out);
    let (status, head, body) = parts(&out);
    assert_eq!((status, header(&head, "content-length"), &*body), (200, Some("7"), ""));

    let Routed::Direct { response, status, .. } = send("OPTIONS /key/k", "") else { panic!("204") };
    let (_, head, body) = parts(&response);
    assert_eq!((status, header(&head, "allow"), &*body), (204, Some("DELETE, OPTIONS"), ""));
    assert_eq!(header(&head, "access-control-allow-origin"), None);
    assert_eq!(refusal(&send("OPTIONS /nope", "")).0, 404);

    let routed = send("GET /kv/get/k\r\nConnection: close", "");
    let (_, head, _) = answer(&routed, &bytes("v"));
    assert_eq!(header(&head, "connection"), Some("close"));
    let error = Reply::Error(CommandError::Denied { code: "NOAUTH", message: "m" });
    let (status, head, _) = answer(&routed, &error);
    assert_eq!((status, header(&head, "www-authenticate").is_some()), (401, true));
}

#[test]
fn origins_on_the_list_are_let_in_and_no_others() {
    let options =
        HttpOptions { cors_origins: vec!["http://a".to_owned()], ..HttpOptions::default() };
    let preflight = "OPTIONS /kv/set\r\nOrigin: http://a\r\nAccess-Control-Request-Method: POST";
    let Routed::Direct { response, .. } = send_with(preflight, "", &options) else { panic!("204") };
    let (_, head, _) = parts(&response);
    assert_eq!(header(&head, "access-control-allow-origin"), Some("http://a"));
    assert_eq!(header(&head, "access-control-allow-methods"), Some("POST, OPTIONS"));
    for (origin, allowed) in [("http://a", Some("http://a")), ("http://b", None)] {
        let head = format!("GET /kv/get/k\r\nOrigin: {origin}");
        let (_, head, _) = answer(&send_with(&head, "", &options), &bytes("v"));
        assert_eq!(header(&head, "access-control-allow-origin"), allowed);
    }
}

#[test]
fn the_echo_route_answers_with_the_request_only_where_configured() {
    let options = HttpOptions { echo_prefix: Some("/echo".to_owned()), ..HttpOptions::default() };
    let routed = send_with("PATCH /echo/a%20b?x=1\r\nX-A: \"q\"", "body", &options);
    let Routed::Direct { response, status, .. } = routed else { panic!("an answer") };
    let (_, _, body) = parts(&response);
    let json: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        (status, &json["method"], &json["path"]),
        (200, &"PATCH".into(), &"/echo/a%20b".into())
    );
    assert_eq!((&json["query"], &json["body"]), (&"x=1".into(), &"body".into()));
    assert_eq!(json["headers"][2], serde_json::json!(["X-A", "\"q\""]));
    assert_eq!(refusal(&send_with("GET /echoes", "", &options)).0, 404);
    assert_eq!(refusal(&send("GET /echo", "")).0, 404);
}

#[test]
fn what_is_switched_off_is_not_found() {
    let status = |head: &str, options: &HttpOptions| refusal(&send_with(head, "", options)).0;
    let options = HttpOptions { without_metrics: true, ..HttpOptions::default() };
    assert_eq!(status("GET /metrics", &options), 404);
    let options = HttpOptions { without_rest: true, ..HttpOptions::default() };
    for head in ["GET /kv/get/k", "GET /kv/stats", "GET /set/stats", "GET /queue/list"] {
        assert_eq!(status(head, &options), 404, "{head}");
    }
    for head in ["GET /health", "GET /metrics", "GET /openapi.json"] {
        let routed = send_with(head, "", &options);
        assert!(matches!(routed, Routed::Builtin { .. } | Routed::Direct { status: 200, .. }));
    }
}

#[test]
fn large_answers_are_compressed_for_those_who_take_it() {
    use std::io::Read as _;
    let value = "x".repeat(5000);
    let routed = send("GET /kv/get/k\r\nAccept-Encoding: br, gzip;q=1", "");
    let Routed::Command { context, .. } = &routed else { panic!("a command") };
    let mut out = Vec::new();
    respond(context, &Reply::string(value.clone()), &mut out);
    let end = out.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8_lossy(&out[..end]).into_owned();
    assert_eq!(header(&head, "content-encoding"), Some("gzip"));
    assert_eq!(header(&head, "content-length"), Some(&*(out.len() - end).to_string()));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&out[end..]).read_to_string(&mut text).expect("gzip");
    assert_eq!(text, format!("\"{value}\""));
    let refused = send("GET /kv/get/k\r\nAccept-Encoding: gzip;q=0", "");
    let (_, head, _) = answer(&refused, &Reply::string(value));
    assert_eq!(header(&head, "content-encoding"), None);
}

#[test]
fn every_operation_of_the_description_is_routed() {
    let document: serde_json::Value = serde_json::from_str(openapi::json()).expect("JSON");
    assert_eq!(document["openapi"], "3.0.3");
    assert!(openapi::yaml().starts_with("\"openapi\": \"3.0.3\"\n\"info\":\n  \"title\""));
    let (mut names, mut count) = (BTreeSet::new(), 0);
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            count += 1;
            let id = operation["operationId"].as_str().expect("an id").to_owned();
            assert!(names.insert(id), "{method} {path}: its id stands twice");
            assert!(operation["summary"].is_string() && operation["responses"]["200"].is_object());
            let concrete = path.replace("{offset}", "1").replace("{component}", "kv");
            let concrete = concrete.replace(['{', '}'], "");
            let command_path = Some("/api/v1/command".to_owned());
            let options = HttpOptions { command_path, ..HttpOptions::default() };
            let head = format!("{} {concrete}", method.to_uppercase());
            let routed = send_with(&head, "", &options);
            // Without its inputs an operation may be refused, but not as unknown.
            if let Routed::Direct { status, .. } = routed {
                assert!(!matches!(status, 404 | 405), "{method} {path}: {status}");
            }
        }
    }
    // Other listeners describe their own.
    let elsewhere = table::ids().filter(|id| id.label().1.starts_with("/dss-queue/")).count();
    assert_eq!(count, table::count() - 1 - elsewhere);
}

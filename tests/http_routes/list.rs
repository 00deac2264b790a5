//! The routes of lists.

use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;

use super::{Row, bytes, int};

const LENGTH: &str = r#"{"key":"l","length":3}"#;

fn array(items: &[&'static str]) -> Reply<'static> {
    Reply::Array(items.iter().map(|item| bytes(item)).collect())
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = ends();
    rows.extend(elements());
    rows
}

fn ends() -> Vec<Row> {
    let pushed = r#"{"values":["a",{"b":1},7]}"#;
    let row = |head, body, words, reply, expected| Row(head, body, words, reply, 200, expected);
    vec![
        row("POST /list/l/lpush", pushed, r#"LPUSH l a {"b":1} 7"#, int(3), LENGTH),
        row("POST /list/l/rpush", pushed, r#"RPUSH l a {"b":1} 7"#, int(3), LENGTH),
        row("POST /list/l/lpushx", r#"{"values":["a"]}"#, "LPUSHX l a", int(3), LENGTH),
        row("POST /list/l/rpushx", r#"{"values":["a"]}"#, "RPUSHX l a", int(3), LENGTH),
        row("POST /list/l/lpop", "", "LPOP l", bytes("v"), r#"{"key":"l","values":["v"]}"#),
        row("POST /list/l/rpop", "", "RPOP l", Reply::Nil, r#"{"key":"l","values":[]}"#),
        row(
            "POST /list/l/rpop",
            r#"{"count":2}"#,
            "RPOP l 2",
            array(&["v", "w"]),
            r#"{"key":"l","values":["v","w"]}"#,
        ),
        row("GET /list/l/len", "", "LLEN l", int(3), LENGTH),
        row(
            "GET /list/l/range",
            "",
            "LRANGE l 0 -1",
            array(&["v"]),
            r#"{"key":"l","values":["v"]}"#,
        ),
        row(
            "GET /list/l/range?start=1&stop=2",
            "",
            "LRANGE l 1 2",
            array(&[]),
            r#"{"key":"l","values":[]}"#,
        ),
        row(
            "POST /list/a/rpoplpush/b",
            "",
            "RPOPLPUSH a b",
            bytes("v"),
            r#"{"value":"v","source":"a","destination":"b"}"#,
        ),
        Row(
            "POST /list/a/rpoplpush/b",
            "",
            "RPOPLPUSH a b",
            Reply::Nil,
            404,
            r#"{"error":"Key not found: a","code":404}"#,
        ),
    ]
}

fn elements() -> Vec<Row> {
    let index = || "SYNAP.LINDEX l -1";
    vec![
        Row(
            "GET /list/l/index/-1",
            "",
            index(),
            bytes("v"),
            200,
            r#"{"key":"l","value":"v","index":-1}"#,
        ),
        Row(
            "GET /list/l/index/-1",
            "",
            index(),
            Reply::Error(CommandError::NoSuchKey),
            404,
            r#"{"error":"Key not found: l","code":404}"#,
        ),
        Row(
            "POST /list/l/set",
            r#"{"index":1,"value":"v"}"#,
            "LSET l 1 v",
            Reply::Ok,
            200,
            r#"{"key":"l","success":true,"index":1}"#,
        ),
        Row(
            "POST /list/l/trim?start=1&stop=-2",
            "",
            "LTRIM l 1 -2",
            Reply::Ok,
            200,
            r#"{"key":"l","success":true}"#,
        ),
        Row(
            "POST /list/l/rem",
            r#"{"count":-2,"value":"v"}"#,
            "LREM l -2 v",
            int(2),
            200,
            r#"{"key":"l","removed":2}"#,
        ),
        Row(
            "POST /list/l/insert",
            r#"{"before":false,"pivot":"p","value":"v"}"#,
            "LINSERT l AFTER p v",
            int(3),
            200,
            LENGTH,
        ),
        Row(
            "POST /list/l/insert",
            r#"{"before":true,"pivot":"p","value":"v"}"#,
            "LINSERT l BEFORE p v",
            int(-1),
            200,
            r#"{"key":"l","length":-1}"#,
        ),
    ]
}

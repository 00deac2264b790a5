//! Routes of sorted sets and positions: requests to words, and replies to bodies.

use serde_json::Value;
use synap::protocol::http::decode::{Decoded, HttpDecoder};
use synap::protocol::http::respond::respond;
use synap::protocol::http::route::{HttpOptions, Routed, route};
use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::types::zset::NO_MEMBER;

const BODY_BYTES_MAX: usize = 1 << 20;

fn send(line: &str, body: &str) -> Routed {
    let length = body.len();
    let text = format!("{line} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}");
    match HttpDecoder::new().decode(text.as_bytes(), BODY_BYTES_MAX) {
        Decoded::Request(request) => route(&request, &HttpOptions::default()),
        other => panic!("{text:?}: {other:?}"),
    }
}

/// The words of the command that a request becomes.
fn words(routed: &Routed) -> String {
    match routed {
        Routed::Command { words, .. } => {
            let words = words.as_words();
            let words = words.iter().map(|word| String::from_utf8_lossy(word).into_owned());
            words.collect::<Vec<_>>().join(" ")
        }
        Routed::Direct { response, .. } => panic!("refused: {}", String::from_utf8_lossy(response)),
        Routed::Builtin { builtin, .. } => panic!("{builtin:?}"),
        Routed::Access { asked, .. } => panic!("{asked:?}"),
        Routed::Live { live, .. } => panic!("{live:?}"),
        Routed::Envelopes { envelopes, .. } => panic!("{envelopes:?}"),
    }
}

fn answer(routed: &Routed, reply: &Reply<'_>) -> (u16, Value) {
    let Routed::Command { context, .. } = routed else { panic!("no command: {routed:?}") };
    let mut out = Vec::new();
    let status = respond(context, reply, &mut out);
    let text = String::from_utf8(out).expect("answers are text");
    let (_, body) = text.split_once("\r\n\r\n").expect("a head ends");
    (status, serde_json::from_str(body).expect("bodies are JSON"))
}

fn bytes(text: &'static str) -> Reply<'static> {
    Reply::borrowed(text.as_bytes())
}

/// A request, the words it becomes, a reply, and the body that makes.
struct Row(&'static str, &'static str, &'static str, Reply<'static>, &'static str);

fn check(rows: Vec<Row>) {
    for Row(line, body, expected, reply, json) in rows {
        let routed = send(line, body);
        assert_eq!(words(&routed), expected, "{line} {body}");
        let (status, found) = answer(&routed, &reply);
        let wanted: Value = serde_json::from_str(json).expect("the test's bodies are JSON");
        assert_eq!((status, found), (200, wanted), "{line} {body}");
    }
}

fn pairs() -> Reply<'static> {
    Reply::Pairs(vec![(bytes("a"), Reply::Double(1.0)), (bytes("b"), Reply::Double(2.5))])
}

const MEMBERS: &str =
    r#"{"key":"k","members":[{"member":"a","score":1.0},{"member":"b","score":2.5}]}"#;

#[test]
fn members_are_added_and_removed() {
    let int = Reply::Integer;
    check(vec![
        Row(
            "POST /sortedset/k/zadd",
            r#"{"member":"a","score":1.5}"#,
            "ZADD k 1.5 a",
            int(1),
            r#"{"key":"k","added":1}"#,
        ),
        Row(
            "POST /sortedset/k/zadd",
            r#"{"members":["a",7],"scores":[1,2],"nx":true}"#,
            "ZADD k NX 1 a 2 7",
            int(2),
            r#"{"key":"k","added":2}"#,
        ),
        Row(
            "POST /sortedset/k/zadd",
            r#"{"members":[{"member":"a","score":-3}],"gt":true,"ch":true}"#,
            "ZADD k GT CH -3 a",
            int(1),
            r#"{"key":"k","added":1,"changed":1}"#,
        ),
        Row(
            "POST /sortedset/k/zadd",
            r#"{"member":"a","score":1,"incr":true}"#,
            "ZADD k INCR 1 a",
            Reply::Double(4.0),
            r#"{"key":"k","score":4.0}"#,
        ),
        Row(
            "POST /sortedset/k/zrem",
            r#"{"members":["a","b"]}"#,
            "ZREM k a b",
            int(2),
            r#"{"key":"k","removed":2}"#,
        ),
        Row(
            "POST /sortedset/k/zincrby",
            r#"{"member":"a","score":2}"#,
            "ZINCRBY k 2 a",
            Reply::Double(3.5),
            r#"{"key":"k","score":3.5}"#,
        ),
        Row(
            "POST /sortedset/k/zincrby",
            r#"{"member":"a","increment":-2}"#,
            "ZINCRBY k -2 a",
            Reply::Double(1.0),
            r#"{"key":"k","score":1.0}"#,
        ),
        Row(
            "POST /sortedset/k/zpopmin",
            "",
            "ZPOPMIN k 1",
            Reply::Pairs(vec![(bytes("a"), Reply::Double(1.0))]),
            r#"{"key":"k","members":[{"member":"a","score":1.0}],"count":1}"#,
        ),
        Row(
            "POST /sortedset/k/zpopmax?count=3",
            "",
            "ZPOPMAX k 3",
            Reply::Pairs(Vec::new()),
            r#"{"key":"k","members":[],"count":0}"#,
        ),
        Row(
            "POST /sortedset/k/zremrangebyrank?start=0&stop=-2",
            "",
            "ZREMRANGEBYRANK k 0 -2",
            int(4),
            r#"{"key":"k","removed":4}"#,
        ),
        Row(
            "POST /sortedset/k/zremrangebyscore",
            r#"{"min":1,"max":"(5"}"#,
            "ZREMRANGEBYSCORE k 1 (5",
            int(4),
            r#"{"key":"k","removed":4}"#,
        ),
    ]);
}

#[test]
fn members_are_read() {
    let int = Reply::Integer;
    check(vec![
        Row(
            "GET /sortedset/k/m%2F1/zscore",
            "",
            "ZSCORE k m/1",
            Reply::Double(0.5),
            r#"{"key":"k","member":"m/1","score":0.5}"#,
        ),
        Row(
            "GET /sortedset/k/m/zscore",
            "",
            "ZSCORE k m",
            Reply::Nil,
            r#"{"key":"k","member":"m","score":null}"#,
        ),
        Row("GET /sortedset/k/zcard", "", "ZCARD k", int(3), r#"{"key":"k","count":3}"#),
        Row(
            "GET /sortedset/k/m/zrevrank",
            "",
            "ZREVRANK k m",
            int(2),
            r#"{"key":"k","member":"m","rank":2}"#,
        ),
        Row("GET /sortedset/k/zrange", "", "ZRANGE k 0 -1 WITHSCORES", pairs(), MEMBERS),
        Row(
            "GET /sortedset/k/zrevrange?start=1&stop=2&withscores=false",
            "",
            "ZREVRANGE k 1 2 WITHSCORES",
            pairs(),
            MEMBERS,
        ),
        Row(
            "GET /sortedset/k/zcount",
            "",
            "ZCOUNT k -inf +inf",
            int(3),
            r#"{"key":"k","count":3}"#,
        ),
        Row(
            "GET /sortedset/k/zcount?min=(1&max=9",
            "",
            "ZCOUNT k (1 9",
            int(3),
            r#"{"key":"k","count":3}"#,
        ),
        Row(
            "GET /sortedset/k/zrangebyscore?min=1&count=5",
            "",
            "ZRANGEBYSCORE k 1 +inf WITHSCORES LIMIT 0 5",
            pairs(),
            MEMBERS,
        ),
        Row(
            "POST /sortedset/k/zmscore",
            r#"{"members":["a","b"]}"#,
            "ZMSCORE k a b",
            Reply::Array(vec![Reply::Double(1.0), Reply::Nil]),
            r#"{"key":"k","scores":[1.0,null]}"#,
        ),
        Row(
            "POST /sortedset/zunionstore",
            r#"{"destination":"d","keys":["a","b"],"weights":[1,0.5],"aggregate":"max"}"#,
            "ZUNIONSTORE d 2 a b WEIGHTS 1 0.5 AGGREGATE MAX",
            int(3),
            r#"{"destination":"d","count":3}"#,
        ),
        Row(
            "POST /sortedset/zdiffstore",
            r#"{"destination":"d","keys":["a","b"],"weights":[1]}"#,
            "ZDIFFSTORE d 2 a b",
            int(3),
            r#"{"destination":"d","count":3}"#,
        ),
        Row(
            "GET /sortedset/stats",
            "",
            "SYNAP.ZSTATS",
            Reply::Array([1, 3, 100, 1, 2, 60].map(int).to_vec()),
            r#"{"total_keys":2,"total_members":5,"avg_members_per_key":2.5,"memory_bytes":160}"#,
        ),
    ]);
}

#[test]
fn positions() {
    let int = Reply::Integer;
    let place = || Reply::Array(vec![Reply::Decimal(13.5), Reply::Decimal(38.25)]);
    let found = || Reply::Array(vec![Reply::Array(vec![bytes("a"), bytes("12.5000"), place()])]);
    let near = r#"{"key":"k","results":[{"member":"a","distance":12.5,"coord":{"lat":38.25,"lon":13.5}}]}"#;
    check(vec![
        Row(
            "POST /geospatial/k/geoadd",
            r#"{"locations":[{"lat":38,"lon":13,"member":"a"}],"ch":true}"#,
            "GEOADD k CH 13 38 a",
            int(1),
            r#"{"key":"k","added":1}"#,
        ),
        Row(
            "GET /geospatial/k/geodist/a/b",
            "",
            "GEODIST k a b m",
            bytes("166274.1516"),
            r#"{"key":"k","distance":166274.1516,"unit":"m"}"#,
        ),
        Row(
            "GET /geospatial/k/geodist/a/b?unit=km",
            "",
            "GEODIST k a b km",
            Reply::Nil,
            r#"{"key":"k","distance":null,"unit":"km"}"#,
        ),
        Row(
            "GET /geospatial/k/georadius?lat=38&lon=13&radius=200&withdist=true&withcoord=true",
            "",
            "GEORADIUS_RO k 13 38 200 m WITHCOORD WITHDIST",
            found(),
            near,
        ),
        Row(
            "GET /geospatial/k/georadiusbymember/a?radius=1&unit=mi&count=2&sort=ASC",
            "",
            "GEORADIUSBYMEMBER_RO k a 1 mi COUNT 2 ASC",
            Reply::Array(vec![bytes("a")]),
            r#"{"key":"k","results":[{"member":"a","distance":null,"coord":null}]}"#,
        ),
        Row(
            "POST /geospatial/k/geosearch",
            r#"{"from_lonlat":[13,38],"by_box":[400,300,"km"],"with_dist":true,"with_coord":true}"#,
            "GEOSEARCH k FROMLONLAT 13 38 BYBOX 400 300 km WITHCOORD WITHDIST",
            found(),
            near,
        ),
        Row(
            "POST /geospatial/k/geosearch",
            r#"{"from_member":"a","by_radius":[1,"m"],"count":1,"sort":"DESC","with_hash":true}"#,
            "GEOSEARCH k FROMMEMBER a BYRADIUS 1 m COUNT 1 DESC WITHHASH",
            Reply::Array(vec![Reply::Array(vec![bytes("a"), int(7)])]),
            r#"{"key":"k","results":[{"member":"a","distance":null,"coord":null,"hash":7}]}"#,
        ),
        Row(
            "POST /geospatial/k/geopos",
            r#"{"members":["a","b"]}"#,
            "GEOPOS k a b",
            Reply::Array(vec![place(), Reply::NilArray]),
            r#"{"key":"k","coordinates":[{"lat":38.25,"lon":13.5},null]}"#,
        ),
        Row(
            "POST /geospatial/k/geohash",
            r#"{"members":["a","b"]}"#,
            "GEOHASH k a b",
            Reply::Array(vec![bytes("sqc8b49rny0"), Reply::Nil]),
            r#"{"key":"k","geohashes":["sqc8b49rny0",null]}"#,
        ),
    ]);
}

#[test]
fn what_is_wrong_is_refused() {
    for (line, body) in [
        ("POST /sortedset/k/zadd", r#"{"member":"a","score":"NaN"}"#),
        ("POST /sortedset/k/zadd", r#"{"members":["a","b"],"scores":[1]}"#),
        ("POST /sortedset/k/zadd", r#"{"members":[]}"#),
        ("POST /sortedset/k/zrem", r#"{"members":[]}"#),
        ("POST /sortedset/k/zremrangebyrank?start=0", ""),
        ("POST /sortedset/zunionstore", r#"{"destination":"d"}"#),
        ("POST /geospatial/k/geosearch", r#"{"from_lonlat":[1],"by_radius":[1,"m"]}"#),
        ("POST /geospatial/k/geosearch", r#"{"from_lonlat":[1,2],"by_radius":{"r":1}}"#),
    ] {
        let Routed::Direct { status, .. } = send(line, body) else { panic!("{line} {body}") };
        assert_eq!(status, 400, "{line} {body}");
    }
    let around = send("GET /geospatial/k/georadiusbymember/a?radius=1", "");
    let missing = Reply::Error(CommandError::Invalid(NO_MEMBER));
    assert_eq!(answer(&around, &missing).0, 404);
}

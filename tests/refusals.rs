//! A caller without the right is refused, whatever it asks for and however: every command of the
//! table over RESP, in a transaction, in a script, in an envelope, and on every route of HTTP;
//! streams and WebSockets when they begin. And nothing changes meanwhile.
//!
//! Requests are made of the table and of the description of the routes, so a new command or route
//! is tried without being named here. Each test prints how many it has tried.

mod support;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use support::http::{Answer, Http};
use support::resp::{Resp, encode, show};
use support::{Plan, Server};
use synap_shards::command::args::Args;
use synap_shards::command::names;
use synap_shards::command::spec::{
    Access, ArgKind, ArgSpec, CommandSpec, Family, Flags, Keys, Method, Run, ScriptVerb,
};
use synap_shards::command::table::commands;

const PASSWORD: &str = "a long enough word";
const ADMIN_KEY: &str = "sk_admin_5f6d7c0b4a3e2d1c";
const NOBODY_KEY: &str = "sk_nobody_9a8b7c6d5e4f3a2b";
const SCRIPTS_KEY: &str = "sk_scripts_1b2c3d4e5f6a7b8c";
const CONFIG: &str = r#"
authentication:
  enabled: true
  require_auth: true
roles:
  - name: little
    permissions:
      - {resource: "kv:mine:*", actions: [read, write, delete]}
      - {resource: "queue:mine", actions: [read]}
  - name: scripts
    permissions:
      - {resource: "script:*", actions: [read, write]}
users:
  - {username: root, password: "a long enough word", role: admin}
  - {username: little, password: "a long enough word", role: little}
  - {username: scripts, password: "a long enough word", role: scripts}
api_keys:
  - {key: sk_admin_5f6d7c0b4a3e2d1c, name: ops, role: admin}
  - {key: sk_nobody_9a8b7c6d5e4f3a2b, name: little-key, role: little}
  - {key: sk_scripts_1b2c3d4e5f6a7b8c, name: scripts-key, role: scripts}
"#;

/// What makes a request the beginning of a WebSocket.
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Commands without keys that are about the caller itself or that everybody may send, beside those
/// whose access is open. What these answer is looked at in tests of their own.
const OWN_AFFAIRS: &[&str] = &[
    "pubsub.unsubscribe",
    "pubsub.punsubscribe",
    "pubsub.sunsubscribe",
    "pubsub.topic_unsubscribe",
    "pubsub.poll",
];
/// Commands whose access is open, but not to everybody's eyes.
const FOR_ADMINS: &[&str] = &["server.info", "memory.stats", "memory.doctor", "server.kvstats"];
/// Commands that list names, of which those are left out that may not be seen.
const LISTS: &[&str] = &[
    "key.keys",
    "key.scan",
    "queue.list",
    "dss.queues",
    "stream.list",
    "topic.list",
    "group.list",
    "pubsub.channels",
    "pubsub.shardchannels",
    "pubsub.topics",
];

fn start() -> Server {
    let server = Plan::new().config(CONFIG).start();
    let mut root = login(&server, "root");
    for words in [
        &["SET", "secret", "1"][..],
        &["SET", "mine:1", "1"],
        &["HSET", "secret:hash", "f", "v"],
        &["QCREATE", "secret"],
        &["QCREATE", "mine"],
        &["QPUBLISH", "secret", "m"],
        &["SCREATE", "secret"],
        &["TCREATE", "secret-topic"],
        &["GCREATE", "secret", "secret-topic"],
    ] {
        let reply = root.call(words);
        assert!(!reply.starts_with('-'), "{words:?}: {reply}");
    }
    server
}

fn login(server: &Server, user: &str) -> Resp {
    let mut resp = server.resp();
    assert_eq!(resp.call(&["AUTH", user, PASSWORD]), "+OK");
    resp
}

/// Everything there is, as an administrator sees it.
fn state(server: &Server) -> Vec<String> {
    let mut root = login(server, "root");
    let mut seen = Vec::new();
    for words in [
        &["KEYS", "*"][..],
        &["GET", "secret"],
        &["HGETALL", "secret:hash"],
        &["TTL", "secret"],
        &["QLIST"],
        &["QSTATS", "secret"],
        &["SLIST"],
        &["SSTATS", "secret"],
        &["TLIST"],
        &["GLIST"],
        &["CDC.LIST"],
        &["PUBSUB", "CHANNELS"],
        &["CONFIG", "GET", "*"],
        &["FUNCTION", "LIST"],
    ] {
        let reply = root.call(words);
        let mut items: Vec<&str> = reply.trim_matches(['[', ']']).split(", ").collect();
        // Lists come in the order in which cores answer.
        if words[0] == "KEYS" || words[0].ends_with("LIST") {
            items.sort_unstable();
        }
        seen.push(format!("{words:?} {items:?}"));
    }
    seen
}

/// A word for an argument; a request made of such words is one that the command understands.
fn word(arg: &ArgSpec) -> String {
    match (arg.name, arg.kind) {
        ("numkeys" | "count", _) => "1".into(),
        ("encoding", _) => "u8".into(),
        ("cursor", _) => "0".into(),
        ("timeout" | "wait" | "offset", _) => "0".into(),
        ("numreplicas" | "numlocal", _) => "0".into(),
        ("unit", _) => "m".into(),
        ("min" | "start", ArgKind::Bytes) => "-".into(),
        ("max" | "end" | "stop", ArgKind::Bytes) => "+".into(),
        (_, ArgKind::Key | ArgKind::Name(_)) => "secret".into(),
        (_, ArgKind::Integer) => "1".into(),
        (_, ArgKind::Float) => "1.5".into(),
        (_, ArgKind::Pattern) => "*".into(),
        (_, ArgKind::Bytes) => "x".into(),
        (_, ArgKind::Flag | ArgKind::OneOf(_) | ArgKind::Block(_)) => String::new(),
    }
}

fn add(arg: &ArgSpec, words: &mut Vec<String>) {
    match arg.kind {
        ArgKind::Flag => words.push(arg.token.to_owned()),
        ArgKind::OneOf(choices) => add(&choices[0], words),
        ArgKind::Block(parts) => {
            words.extend((!arg.token.is_empty()).then(|| arg.token.to_owned()));
            parts.iter().for_each(|part| add(part, words));
        }
        _ => {
            words.extend((!arg.token.is_empty()).then(|| arg.token.to_owned()));
            words.push(word(arg));
        }
    }
}

/// A request with a command; its keys and names are not the caller's.
fn request(spec: &CommandSpec) -> Vec<String> {
    let mut words: Vec<String> = spec.resp.split(' ').map(str::to_owned).collect();
    let counts = |arg: &ArgSpec| arg.name == "numkeys";
    let is_counted = spec.args.iter().any(counts);
    for arg in spec.args {
        let names_channels = spec.family == Family::Pubsub && arg.repeated;
        if !arg.optional || names_channels || (is_counted && matches!(arg.kind, ArgKind::Key)) {
            add(arg, &mut words);
        }
    }
    match spec.keys {
        Keys::Streams if !words.iter().any(|word| word == "STREAMS") => {
            words.extend(["STREAMS", "secret", "0"].map(str::to_owned));
        }
        _ => {}
    }
    words
}

/// Whether the server would carry the words out, as far as their form goes.
fn is_understood(spec: &'static CommandSpec, words: &[String]) -> bool {
    let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
    match names::qualify(spec, &words) {
        Ok(None) => Args::parse(spec, &words).is_ok(),
        Ok(Some(named)) => Args::parse(spec, &named.over(&words)).is_ok(),
        Err(_) => false,
    }
}

fn is_open(spec: &CommandSpec) -> bool {
    let is_open =
        spec.access == Access::Open && spec.keys == Keys::None && !FOR_ADMINS.contains(&spec.id);
    is_open || OWN_AFFAIRS.contains(&spec.id) || LISTS.contains(&spec.id)
}

/// Every command that needs a right, with a request.
fn guarded() -> Vec<(&'static CommandSpec, Vec<String>)> {
    let mut all = Vec::new();
    let mut odd = Vec::new();
    for spec in commands().filter(|spec| !is_open(spec)) {
        let words = request(spec);
        if !is_understood(spec, &words) {
            odd.push(words.join(" "));
        }
        all.push((spec, words));
    }
    assert!(odd.is_empty(), "these requests are none:\n{}", odd.join("\n"));
    all
}

fn call(resp: &mut Resp, words: &[String]) -> String {
    resp.send(&encode(words));
    show(&resp.reply())
}

#[test]
fn resp_refuses_who_did_not_say_who_it_is() {
    let server = start();
    let before = state(&server);
    let mut resp = server.resp();
    let mut tried = 0;
    for spec in commands().filter(|spec| !spec.flags.has(Flags::NO_AUTH)) {
        let words = request(spec);
        if is_understood(spec, &words) {
            let reply = call(&mut resp, &words);
            assert_eq!(reply, "-NOAUTH Authentication required.", "{words:?}");
            tried += 1;
        }
    }
    assert!(tried > 300, "{tried}");
    assert!(resp.call(&["HELLO", "3"]).starts_with("-NOAUTH HELLO must be called"));
    assert!(resp.call(&["AUTH", "little", "wrong"]).starts_with("-WRONGPASS "));
    assert!(resp.call(&["AUTH", "nobody", PASSWORD]).starts_with("-WRONGPASS "));
    assert_eq!(resp.call(&["GET", "secret"]), "-NOAUTH Authentication required.");
    assert_eq!(state(&server), before);
    println!("RESP without a name: {tried} commands refused");
}

#[test]
fn resp_refuses_who_lacks_the_right() {
    let server = start();
    let before = state(&server);
    let mut resp = login(&server, "little");
    let guarded = guarded();
    for (_, words) in &guarded {
        let reply = call(&mut resp, words);
        assert!(reply.starts_with("-NOPERM "), "{words:?}: {reply}");
    }
    let mut queued = 0;
    for (spec, words) in &guarded {
        if matches!(spec.run, Run::Transaction) {
            continue;
        }
        assert_eq!(resp.call(&["MULTI"]), "+OK");
        let reply = call(&mut resp, words);
        assert!(reply.starts_with("-NOPERM "), "in a transaction, {words:?}: {reply}");
        assert!(resp.call(&["EXEC"]).starts_with("-EXECABORT "), "{words:?}");
        queued += 1;
    }
    for words in [&["KEYS", "*"][..], &["SCAN", "0", "COUNT", "1000"], &["QLIST"], &["SLIST"]] {
        let reply = resp.call(words);
        assert!(!reply.contains("secret"), "{words:?}: {reply}");
    }
    assert!(resp.call(&["KEYS", "*"]).contains("mine:1"));
    assert!(resp.call(&["QLIST"]).contains("mine"));
    assert_eq!(resp.call(&["GET", "mine:1"]), "1");
    assert!(resp.call(&["MGET", "mine:1", "secret"]).starts_with("-NOPERM "));
    assert_eq!(state(&server), before);
    println!("RESP without the right: {} commands refused, {queued} in MULTI", guarded.len());
}

#[test]
fn rules_of_redis_refuse_every_command() {
    let server = start();
    let mut root = login(&server, "root");
    for rules in [&["none", "~*", "&*"][..], &["mine", "~mine:*", "&mine:*", "+@all"]] {
        let password = format!(">{PASSWORD}");
        let words = [&["ACL", "SETUSER", rules[0], "on", &password], &rules[1..]].concat();
        assert_eq!(root.call(&words), "+OK");
    }
    let before = state(&server);
    let (mut none, mut tried) = (login(&server, "none"), 0);
    for spec in commands().filter(|spec| !spec.flags.has(Flags::NO_AUTH)) {
        let words = request(spec);
        if is_understood(spec, &words) {
            let reply = call(&mut none, &words);
            let why = format!("-NOPERM User none has no permissions to run the '{}' command", {
                spec.resp.to_lowercase().replace(' ', "|")
            });
            assert_eq!(reply, why, "{words:?}");
            tried += 1;
        }
    }
    let mut others = 0;
    for (spec, words) in guarded() {
        if matches!(spec.keys, Keys::None | Keys::AllShards(_) | Keys::Cursor) {
            continue;
        }
        let mut dry = ["ACL", "DRYRUN", "mine"].map(str::to_owned).to_vec();
        dry.extend(words.clone());
        let reply = call(&mut root, &dry);
        assert!(reply.contains("has no permissions"), "{}: {words:?}: {reply}", spec.resp);
        others += 1;
    }
    assert_eq!(state(&server), before);
    println!("rules of Redis: {tried} commands refused, {others} on what belongs to others");
}

#[test]
fn scripts_do_no_more_than_their_caller_may() {
    let server = start();
    let before = state(&server);
    let mut resp = login(&server, "scripts");
    let call_it = "return redis.pcall(unpack(ARGV))";
    let mut refused = 0;
    for (spec, words) in guarded() {
        let mut script: Vec<String> = ["EVAL", call_it, "0"].map(str::to_owned).to_vec();
        script.extend(words.iter().cloned());
        let reply = call(&mut resp, &script);
        let is_none = spec.flags.has(Flags::NO_SCRIPT) || matches!(spec.run, Run::Script(_));
        let expected = reply.starts_with("-NOPERM ")
            || (is_none && reply.starts_with("-ERR This Redis command is not allowed"));
        assert!(expected, "{words:?}: {reply}");
        refused += 1;
    }
    // Nor in a transaction over HTTP.
    let mut http = server.http();
    let script = "return redis.pcall('SET', 'secret', '9')";
    let body = json!({ "client_id": "t", "script": script, "keys": [], "args": [] }).to_string();
    for (path, part) in [
        ("/transaction/multi", "success"),
        ("/script/eval", "queued"),
        ("/transaction/exec", "NOPERM"),
    ] {
        let (method, path, body) = ("POST".to_owned(), path.to_owned(), body.clone());
        let body = if path.starts_with("/script") { body } else { r#"{"client_id":"t"}"#.into() };
        let answer = ask(&mut http, &Route { method, path, body }, Some(SCRIPTS_KEY));
        assert!(answer.text().contains(part), "{answer:?}");
    }
    // Lists cannot be filtered in a script.
    let list = resp.call(&["EVAL", "return redis.pcall('KEYS', '*')", "0"]);
    assert!(list.starts_with("-NOPERM "), "{list}");
    assert_eq!(state(&server), before);
    println!("scripts: {refused} commands refused");
}

/// A request over HTTP.
struct Route {
    method: String,
    path: String,
    body: String,
}

fn ask(http: &mut Http, route: &Route, key: Option<&str>) -> Answer {
    let Route { method, path, body } = route;
    let key = key.map(|key| format!("X-API-Key: {key}\r\n")).unwrap_or_default();
    let upgrade = if path.contains("/ws") { UPGRADE } else { "" };
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{key}{upgrade}");
    http.send(format!("{head}Content-Length: {length}\r\n\r\n{body}"));
    http.answer(method)
}

/// A value that suits a schema of the description.
fn sample(name: &str, schema: &Value) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    match (name, schema["type"].as_str()) {
        ("pairs", _) => json!({ "secret": "1" }),
        ("members", _) => json!([{ "member": "m", "score": 1.0, "lat": 1.0, "lon": 1.0 }]),
        (_, Some("integer")) => json!(1),
        (_, Some("number")) => json!(1.5),
        (_, Some("boolean")) => json!(true),
        (name, Some("array")) => json!([sample(name, &schema["items"])]),
        (_, Some("object")) => json!({}),
        _ => json!("secret"),
    }
}

/// Bodies of routes that say more about their form than the description can.
fn special(method: &str, path: &str) -> Option<Value> {
    let pair = json!([{ "key": "secret", "value": "1" }]);
    let permissions = json!([{ "resource": "kv:*", "action": "read" }]);
    Some(match (method, path) {
        ("POST", "/kv/mset" | "/kv/msetnx") => json!({ "pairs": pair }),
        ("POST", "/kv/{key}/expire" | "/key/{key}/expire") => json!({ "seconds": 10 }),
        ("POST", "/hash/{key}/mset") => json!({ "fields": [["f", "v"]] }),
        ("POST", "/topics/{topic}/batch") => json!({ "events": [["k", "v"]] }),
        ("POST", "/geospatial/{key}/geoadd") => json!({ "locations": [[1.5, 1.5, "m"]] }),
        ("POST", "/auth/roles") => json!({ "name": "r", "permissions": permissions }),
        ("POST", "/auth/acl") => {
            json!({ "name": "r", "resource": "kv:x", "actions": ["read"] })
        }
        _ => return None,
    })
}

/// The routes of the description with inputs that they want, and the inputs by their path.
fn routes(document: &Value) -> BTreeMap<(String, String), (Route, Map<String, Value>)> {
    let mut routes = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().expect("there are paths") {
        for (method, operation) in methods.as_object().expect("there are methods") {
            let (method, mut full) = (method.to_uppercase(), path.clone());
            let (mut given, mut query) = (Map::new(), Vec::new());
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().expect("a name");
                let value = sample(name, &parameter["schema"]);
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                if parameter["in"] == "path" {
                    let text = match name {
                        "component" => "kv".to_owned(),
                        "partition" | "partition_id" | "offset" | "index" => "0".to_owned(),
                        _ => text,
                    };
                    full = full.replace(&format!("{{{name}}}"), &text);
                    let number = text.parse::<u64>().map(Value::from);
                    given.insert(name.to_owned(), number.unwrap_or_else(|_| Value::from(text)));
                } else if parameter["required"] == true {
                    query.push(format!("{name}={}", text.trim_matches(['[', ']', '"'])));
                    given.insert(name.to_owned(), value);
                }
            }
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let mut body = Map::new();
            for name in schema["required"].as_array().into_iter().flatten() {
                let name = name.as_str().expect("a name");
                body.insert(name.to_owned(), sample(name, &schema["properties"][name]));
            }
            if let Some(Value::Object(special)) = special(&method, path) {
                body = special;
            }
            given.extend(body.clone());
            let body = match body.is_empty() {
                true => String::new(),
                false => Value::Object(body).to_string(),
            };
            if !query.is_empty() {
                full = format!("{full}?{}", query.join("&"));
            }
            let key = (method.clone(), path.clone());
            routes.insert(key, (Route { method, path: full, body }, given));
        }
    }
    routes
}

fn description(http: &mut Http) -> Value {
    let (method, path) = ("GET".to_owned(), "/openapi.json".to_owned());
    let answer = ask(http, &Route { method, path, body: String::new() }, Some(ADMIN_KEY));
    assert_eq!(answer.status, 200);
    answer.json()
}

fn command_of(method: &str, path: &str) -> Option<&'static CommandSpec> {
    commands().find(|spec| {
        spec.http.iter().any(|route| route.method.name() == method && route.path == path)
    })
}

#[test]
fn http_refuses_every_route() {
    let server = start();
    let before = state(&server);
    let mut http = server.http();
    let document = description(&mut http);
    let (mut unknown, mut refused, mut odd) = (0, 0, Vec::new());
    for ((method, path), (route, _)) in routes(&document) {
        if path == "/health" || path == "/metrics" || path.starts_with("/health/") {
            continue;
        }
        let answer = ask(&mut http, &route, None);
        assert_eq!(answer.status, 401, "{method} {path}: {answer:?}");
        assert!(answer.field("WWW-Authenticate").is_some_and(|field| field.starts_with("Basic ")));
        assert_eq!(
            ask(&mut http, &route, Some("sk_wrong_0123456789abcdef")).status,
            401,
            "{method} {path}"
        );
        unknown += 1;
        let is_own = matches!(
            path.as_str(),
            "/openapi.json" | "/openapi.yaml" | "/api/v1/command" | "/auth/me" | "/auth/login"
        );
        if is_own || command_of(&method, &path).is_some_and(is_open) {
            continue;
        }
        let answer = ask(&mut http, &route, Some(NOBODY_KEY));
        match answer.status {
            403 => refused += 1,
            status => odd.push(format!(
                "{status} {method} {} {} {}",
                route.path,
                route.body,
                answer.text()
            )),
        }
        if answer.field("Connection") == Some("close") {
            http = server.http();
        }
    }
    assert!(odd.is_empty(), "not refused:\n{}", odd.join("\n"));
    assert_eq!(state(&server), before);
    println!("HTTP: {unknown} routes refused without a name, {refused} without the right");
}

#[test]
fn envelopes_refuse_every_command() {
    let server = start();
    let before = state(&server);
    let mut http = server.http();
    let document = description(&mut http);
    let routes = routes(&document);
    let (mut tried, mut odd) = (0, Vec::new());
    for spec in commands().filter(|spec| !spec.http.is_empty() && !is_open(spec)) {
        let route = spec.http[0];
        let key = (route.method.name().to_owned(), route.path.to_owned());
        let (_, payload) = &routes[&key];
        let envelope = json!({ "command": spec.id, "request_id": "1", "payload": payload });
        let route = |body: String| Route {
            method: Method::Post.name().to_owned(),
            path: "/api/v1/command".to_owned(),
            body,
        };
        let answer = ask(&mut http, &route(envelope.to_string()), Some(NOBODY_KEY));
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        let error = answer["error"].as_str().unwrap_or_default();
        match answer["error_code"].as_str() {
            Some("FORBIDDEN") if error.starts_with("Forbidden: ") => tried += 1,
            _ => odd.push(format!("{envelope} {answer}")),
        }
    }
    assert!(odd.is_empty(), "not refused:\n{}", odd.join("\n"));
    assert_eq!(state(&server), before);
    println!("envelopes: {tried} commands refused");
}

#[test]
fn who_has_the_right_gets_through() {
    let server = start();
    let mut http = server.http();
    let get = |http: &mut Http, head: &str, path: &str| {
        http.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n"));
        http.answer("GET").status
    };
    // base64 of `little:a long enough word`, and of a wrong word.
    let good = "Authorization: Basic bGl0dGxlOmEgbG9uZyBlbm91Z2ggd29yZA==\r\n";
    let bad = "Authorization: Basic bGl0dGxlOndyb25n\r\n";
    let bearer = format!("Authorization: Bearer {NOBODY_KEY}\r\n");
    let header = format!("X-API-Key: {NOBODY_KEY}\r\n");
    for (head, path, status) in [
        (good, "/kv/get/mine:1", 200),
        (good, "/kv/get/mine:1", 200),
        (good, "/kv/get/secret", 403),
        (bad, "/kv/get/mine:1", 401),
        (bad, "/health", 401),
        ("", "/health", 200),
        ("", "/metrics", 200),
        (&bearer, "/kv/get/mine:1", 200),
        (&header, "/kv/get/mine:1", 200),
        (&format!("{bad}{header}"), "/kv/get/mine:1", 401),
        ("", &format!("/kv/get/mine:1?api_key={NOBODY_KEY}"), 200),
        ("", "/kv/get/mine:1?api_key=wrong", 401),
        (bad, &format!("/kv/get/mine:1?api_key={NOBODY_KEY}"), 401),
        ("Authorization: Digest x\r\n", "/kv/get/mine:1", 401),
    ] {
        assert_eq!(get(&mut http, head, path), status, "{head} {path}");
    }
    let log = server.plan.log();
    assert!(!log.contains(NOBODY_KEY) && !log.contains(PASSWORD), "{log}");
}

/// A pipeline with a password in its middle: what stands before it is answered before, and what
/// stands behind it is done by whoever it was.
#[test]
fn order_is_kept_while_a_password_is_verified() {
    let server = start();
    let mut resp = server.resp();
    let words: [&[&str]; 6] = [
        &["GET", "mine:1"],
        &["AUTH", "little", PASSWORD],
        &["GET", "mine:1"],
        &["AUTH", "root", PASSWORD],
        &["GET", "secret"],
        &["RESET"],
    ];
    let pipeline: Vec<u8> = words.iter().flat_map(|words| encode(words)).collect();
    resp.send(&pipeline);
    let replies: Vec<String> = words.iter().map(|_| show(&resp.reply())).collect();
    let expected = ["-NOAUTH Authentication required.", "+OK", "1", "+OK", "1", "+RESET"];
    assert_eq!(replies, expected);
    assert_eq!(resp.call(&["GET", "mine:1"]), "-NOAUTH Authentication required.");
    assert!(resp.call(&["HELLO", "3", "AUTH", "little", PASSWORD]).contains("proto"));
    assert_eq!(resp.call(&["GET", "mine:1"]), "1");
    assert!(resp.call(&["GET", "secret"]).starts_with("-NOPERM "));
    // A key alone is enough.
    assert_eq!(resp.call(&["AUTH", ADMIN_KEY]), "+OK");
    assert_eq!(resp.call(&["GET", "secret"]), "1");
    let mut http = server.http();
    let basic = "Authorization: Basic cm9vdDphIGxvbmcgZW5vdWdoIHdvcmQ=\r\n";
    let request = |path: &str, head: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n");
    let header = format!("X-API-Key: {NOBODY_KEY}\r\n");
    http.send(
        [
            request("/kv/get/mine:1", &header),
            request("/kv/get/secret", basic),
            request("/kv/get/secret", &header),
            request("/kv/get/mine:1", ""),
        ]
        .concat(),
    );
    let statuses = [(); 4].map(|()| http.answer("GET").status);
    assert_eq!(statuses, [200, 200, 403, 401]);
}

#[test]
fn with_access_control_off_nothing_is_asked() {
    let server = Server::start();
    let mut resp = server.resp();
    assert_eq!(resp.call(&["SET", "k", "v"]), "+OK");
    assert!(resp.call(&["AUTH", "word"]).starts_with("-ERR AUTH <password> called without"));
    let evaluates = commands().filter(|spec| matches!(spec.run, Run::Script(ScriptVerb::Eval)));
    assert_eq!(evaluates.count(), 1);
    let mut http = server.http();
    http.send("GET /kv/get/k HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n");
    assert_eq!(http.answer("GET").status, 200);
}

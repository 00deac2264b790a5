//! `ACL`: users made by the rules of Redis, what they may do then, and that what is shown of a user
//! makes the same user again. Where Redis is installed, nobody may do more here than there.

mod support;

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};
use support::redis_server::Redis;
use support::resp::{Resp, encode, show};
use support::{Plan, Server, installed, wait_for};
use synap_shards::command::table;
use synap_shards::rng::Rng;

const PASSWORD: &str = "a long enough word";
const ADMIN_KEY: &str = "sk_admin_5f6d7c0b4a3e2d1c";
const CONFIG: &str = r#"
authentication:
  enabled: true
  require_auth: true
roles:
  - name: tenant
    permissions:
      - {resource: "kv:tenant:*", actions: [read, write]}
      - {resource: "queue:jobs", actions: [consume]}
users:
  - {username: root, password: "a long enough word", role: admin}
  - {username: anna, password: "a long enough word", roles: [tenant, readonly]}
  - {username: idle, password: "a long enough word", roles: []}
api_keys:
  - {key: sk_admin_5f6d7c0b4a3e2d1c, name: ops, role: admin}
"#;

fn start() -> Server {
    Plan::new().config(CONFIG).start()
}

fn login(server: &Server, user: &str) -> Resp {
    let mut resp = server.resp();
    assert_eq!(resp.call(&["AUTH", user, PASSWORD]), "+OK");
    resp
}

fn ask(resp: &mut Resp, line: &str) -> String {
    let words: Vec<String> = line.split(' ').map(|word| word.replace('_', " ")).collect();
    resp.send(&encode(&words));
    show(&resp.reply())
}

/// Each line, and the reply to it.
fn expect(resp: &mut Resp, lines: &[(&str, &str)]) {
    for (line, reply) in lines {
        assert_eq!(ask(resp, line), *reply, "{line}");
    }
}

/// The members of a list that is shown.
fn list(shown: &str) -> Vec<String> {
    shown.trim_matches(['[', ']']).split(", ").map(str::to_owned).collect()
}

/// The password of these tests in a line.
const WORD: &str = ">a_long_enough_word";

#[test]
fn users_do_what_their_rules_say_on_every_surface() {
    let server = start();
    let mut root = login(&server, "root");
    let line = format!(
        "ACL SETUSER bob on {WORD} ~app:* %R~shared:* &news.* +@read +set +eval +publish +keys \
         (~box:* +rpush)"
    );
    expect(
        &mut root,
        &[(&line, "+OK"), ("ACL WHOAMI", "root"), ("SET shared:1 x", "+OK"), ("SET z x", "+OK")],
    );
    let mut bob = login(&server, "bob");
    let no_set = "-NOPERM User bob has no permissions to run the 'del' command";
    let no_key = "-NOPERM No permissions to access a key";
    expect(
        &mut bob,
        &[
            ("ACL WHOAMI", "-NOPERM User bob has no permissions to run the 'acl|whoami' command"),
            ("SET app:1 x", "+OK"),
            ("GET app:1", "x"),
            ("GET shared:1", "x"),
            ("SET shared:1 y", no_key),
            ("SET other y", no_key),
            ("DEL app:1", no_set),
            ("RPUSH box:1 x", ":1"),
            ("RPUSH app:1 x", no_key),
            ("LRANGE box:1 0 -1", no_key),
            ("MGET app:1 shared:1", "[x, x]"),
            ("MGET app:1 other", no_key),
            ("PUBLISH news.1 x", ":0"),
            ("PUBLISH other x", "-NOPERM No permissions to access a channel"),
            ("PING", "-NOPERM User bob has no permissions to run the 'ping' command"),
            ("EVAL return_redis.call('GET',KEYS[1]) 1 app:1", "x"),
        ],
    );
    let mut seen: Vec<String> = list(&ask(&mut bob, "KEYS *"));
    seen.sort();
    assert_eq!(seen, ["app:1", "box:1", "shared:1"]);
    for key in ["other", "app:1"] {
        let script = format!("EVAL return_redis.pcall('DEL','{key}') 0");
        assert!(ask(&mut bob, &script).starts_with("-NOPERM "), "{script}");
    }
    assert_eq!(over_http(&server, "bob", "GET /kv/get/app:1").0, 200);
    assert_eq!(over_http(&server, "bob", "GET /kv/get/other").0, 403);
    assert_eq!(over_http(&server, "bob", "DELETE /kv/del/app:1").0, 403);
    // What changes holds for connections that are open.
    expect(&mut root, &[("ACL SETUSER bob -set", "+OK")]);
    assert!(ask(&mut bob, "SET app:1 x").starts_with("-NOPERM "));
    assert_eq!(ask(&mut bob, "GET app:1"), "x");
    expect(&mut root, &[("ACL SETUSER bob off", "+OK")]);
    assert_eq!(ask(&mut bob, "GET app:1"), "-NOAUTH Authentication required.");
}

/// Status and body of a request with the password of a user, or an API key where there is none.
fn over_http(server: &Server, user: &str, head: &str) -> (u16, Value) {
    send(server, user, head, "")
}

fn send(server: &Server, user: &str, head: &str, body: &str) -> (u16, Value) {
    let (method, path) = head.split_once(' ').expect("a method and a path");
    let who = match user {
        "" => format!("X-API-Key: {ADMIN_KEY}"),
        user => format!("Authorization: Basic {}", base64(&format!("{user}:{PASSWORD}"))),
    };
    let mut http = server.http();
    let length = body.len();
    http.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\n{who}\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    let answer = http.answer(method);
    (answer.status, answer.json())
}

fn base64(text: &str) -> String {
    const SYMBOLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let symbol = |bits: u32, at: u32| char::from(SYMBOLS[(bits >> (18 - 6 * at)) as usize & 63]);
    let part = |part: &[u8]| -> String {
        let bits = (0..3).fold(0, |all, at| all << 8 | u32::from(*part.get(at).unwrap_or(&0)));
        let filled = part.len() as u32 + 1;
        (0..4).map(|at| if at < filled { symbol(bits, at) } else { '=' }).collect()
    };
    text.as_bytes().chunks(3).map(part).collect()
}

#[test]
fn one_bad_rule_changes_nothing() {
    let server = start();
    let mut root = login(&server, "root");
    assert_eq!(ask(&mut root, &format!("ACL SETUSER carl on {WORD} ~a +get")), "+OK");
    let before = ask(&mut root, "ACL LIST");
    for (rules, why) in [
        ("-get +nope", "Unknown command or category"),
        ("off ~b?", "patterns know * alone"),
        ("off nopass", ">password"),
        ("off #0123", "Argon2id"),
        ("resetpass >short", "weak password"),
        ("resetpass >password123", "weak password"),
        (">another_long_word", "write 'resetpass' before it"),
        ("<another_long_word", "does not exist"),
        ("allkeys ~x", "after the * pattern"),
        ("off +@role:nobody", "no such role"),
        ("off (~a +get", "Unmatched parenthesis"),
        ("off +select|0", "first-arg"),
        ("+@role:readonly -get", "write 'resetroles' or 'reset' before it"),
    ] {
        let reply = ask(&mut root, &format!("ACL SETUSER carl {rules}"));
        assert!(reply.starts_with("-ERR ") && reply.contains(why), "{rules}: {reply}");
        assert!(!reply.contains("another long"), "{reply}");
    }
    assert_eq!(ask(&mut root, "ACL LIST"), before);
    assert!(ask(&mut root, "ACL SETUSER root off").contains("defined in the configuration"));
    assert!(ask(&mut root, "ACL SETUSER a:b on").contains("expected a name"));
    assert!(ask(&mut root, "ACL SETUSER a_b on").contains("expected a name"));
    assert_eq!(ask(&mut root, "ACL GETUSER a_b"), "(nil)");
    let slow = ask(&mut root, "SLOWLOG GET -1");
    assert!(!slow.contains("another long"), "{slow}");
    // The same password again, one more after it is taken away, and none.
    let again = format!("ACL SETUSER carl {WORD}");
    expect(&mut root, &[(&again, "+OK"), ("ACL SETUSER carl resetpass >another_long_word", "+OK")]);
    assert!(server.resp().call(&["AUTH", "carl", PASSWORD]).starts_with("-WRONGPASS"));
    assert_eq!(server.resp().call(&["AUTH", "carl", "another long word"]), "+OK");
    expect(&mut root, &[("ACL SETUSER carl <another_long_word", "+OK")]);
    let reply = server.resp().call(&["AUTH", "carl", "another long word"]);
    assert!(reply.starts_with("-WRONGPASS"), "{reply}");
}

#[test]
fn only_who_may_do_everything_changes_users() {
    let server = start();
    let mut root = login(&server, "root");
    let line = format!("ACL SETUSER admin2 on {WORD} ~* &* +@all");
    let most = format!("ACL SETUSER most on {WORD} ~* +@all");
    expect(&mut root, &[(&line, "+OK"), (&most, "+OK")]);
    for (user, may) in [("anna", false), ("idle", false), ("most", false), ("admin2", true)] {
        let mut resp = login(&server, user);
        for line in ["ACL SETUSER anybody on", "ACL DELUSER anybody", "ACL SAVE", "ACL LOAD"] {
            let reply = ask(&mut resp, line);
            assert_eq!(!reply.starts_with("-NOPERM "), may, "{user}: {line}: {reply}");
        }
    }
    let mut anna = login(&server, "anna");
    for line in ["ACL LIST", "ACL USERS", "ACL GETUSER anna", "ACL DRYRUN anna get a"] {
        assert!(ask(&mut anna, line).starts_with("-NOPERM "), "{line}");
    }
    assert_eq!(ask(&mut anna, "ACL WHOAMI"), "anna");
    assert_eq!(ask(&mut anna, "ACL GENPASS").len(), 64);
    assert!(ask(&mut anna, "ACL CAT read").contains("mget"));
    let reply = server.resp().call(&["ACL", "WHOAMI"]);
    assert_eq!(reply, "-NOAUTH Authentication required.");
}

#[test]
fn connections_of_a_user_end_with_it() {
    let server = start();
    let mut root = login(&server, "root");
    let line = format!("ACL SETUSER gone on {WORD} ~* &* +@all");
    expect(&mut root, &[(&line, "+OK")]);
    let mut connections: Vec<Resp> = (0..8).map(|_| login(&server, "gone")).collect();
    let mut own = connections.pop().expect("eight");
    expect(
        &mut own,
        &[
            ("ACL DELUSER default", "-ERR The 'default' user cannot be removed"),
            ("ACL DELUSER gone default", "-ERR The 'default' user cannot be removed"),
            ("ACL DELUSER nobody", ":0"),
            // Its own, after the reply.
            ("ACL DELUSER gone nobody", ":1"),
        ],
    );
    assert_eq!(own.rest(), b"");
    for mut connection in connections {
        assert_eq!(connection.rest(), b"");
    }
    assert!(server.resp().call(&["AUTH", "gone", PASSWORD]).starts_with("-WRONGPASS"));
    assert!(ask(&mut root, "ACL DELUSER anna").contains("defined in the configuration"));
    assert_eq!(ask(&mut root, "ACL USERS"), "[anna, default, idle, root]");
}

#[test]
fn users_outlive_a_restart_and_are_read_again() {
    let plan = Plan::new().config(CONFIG);
    let server = plan.start();
    let mut root = login(&server, "root");
    let line = format!(
        "ACL SETUSER kept on {WORD} ~a* %W~b &c +@all -@admin (%R~x +@read -keys) +@role:tenant"
    );
    expect(&mut root, &[(&line, "+OK"), ("ACL SAVE", "+OK")]);
    let before = ask(&mut root, "ACL LIST");
    assert!(before.contains("(%R~x resetchannels -@all +@read -keys)"), "{before}");
    let file = plan.data().join("auth/access");
    let sound = std::fs::read(&file).expect("it is there");
    assert!(sound.starts_with(b"synap-access 2 "));
    // Damaged: refused, and nothing changes.
    std::fs::write(&file, &sound[..sound.len() - 1]).expect("written");
    assert!(ask(&mut root, "ACL LOAD").contains("checksum"));
    assert_eq!(ask(&mut root, "ACL LIST"), before);
    std::fs::write(&file, &sound).expect("written");
    expect(&mut root, &[("ACL SETUSER other on ~a", "+OK"), ("ACL DELUSER kept", ":1")]);
    std::fs::write(&file, &sound).expect("written");
    expect(&mut root, &[("ACL LOAD", "+OK")]);
    assert_eq!(ask(&mut root, "ACL LIST"), before);
    assert_eq!(ask(&mut login(&server, "kept"), "SET a1 x"), "+OK");
    server.stop();
    let server = plan.start();
    assert_eq!(ask(&mut login(&server, "root"), "ACL LIST"), before);
    assert_eq!(ask(&mut login(&server, "kept"), "GET a1"), "x");
}

/// What `ACL GETUSER` shows, as words that make the user.
fn words_of(resp: &mut Resp, user: &str) -> Vec<String> {
    resp.send(&encode(&["ACL", "GETUSER", user]));
    let reply = resp.reply();
    let parts = members(&reply);
    let texts = |at: usize| show(parts[at]);
    let is_on = texts(1).contains("on") && !texts(1).contains("off");
    let mut words = vec![if is_on { "on" } else { "off" }.to_owned()];
    let mut add = |text: String| words.extend(text.split_whitespace().map(str::to_owned));
    // keys, channels, commands
    [7, 9, 5].into_iter().for_each(|at| add(texts(at)));
    for selector in members(parts[11]) {
        let parts = members(selector);
        let rules = [3, 5, 1].map(|at| show(parts[at])).join(" ");
        words.push(format!("({rules})"));
    }
    words
}

/// The parts of an array or a map.
fn members(reply: &[u8]) -> Vec<&[u8]> {
    let mut rest = &reply[reply.windows(2).position(|pair| pair == b"\r\n").expect("a line") + 2..];
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (part, behind) = rest.split_at(support::resp::frame(rest).expect("a whole reply"));
        parts.push(part);
        rest = behind;
    }
    parts
}

/// A rule that both servers understand.
fn random_rule(dice: &mut Rng) -> String {
    const COMMANDS: &[&str] = &[
        "get",
        "set",
        "mget",
        "del",
        "client",
        "client|id",
        "client|kill",
        "config|get",
        "copy",
        "sort",
        "incr",
        "subscribe",
        "publish",
        "eval",
        "lmove",
        "sinterstore",
        "keys",
        "xread",
        "xreadgroup",
        "expire",
        "flushall",
        "pfmerge",
        "append",
        "getdel",
        "psubscribe",
        "ping",
        "zadd",
        "zrangestore",
        "bitop",
        "georadius",
    ];
    const CATEGORIES: &[&str] = &[
        "read",
        "write",
        "all",
        "dangerous",
        "admin",
        "keyspace",
        "string",
        "list",
        "fast",
        "slow",
        "connection",
        "pubsub",
        "scripting",
        "set",
        "sortedset",
        "blocking",
        "transaction",
    ];
    const KEYS: &[&str] = &["a*", "b", "*", "a*b", "c:*", "*x"];
    let mut one = |list: &[&str]| list[dice.below(list.len())].to_owned();
    let (command, category, key) = (one(COMMANDS), one(CATEGORIES), one(KEYS));
    let sign = one(&["+", "+", "-"]);
    match one(&["c", "c", "c", "g", "g", "k", "k", "k", "h", "r"]).as_str() {
        "c" => format!("{sign}{command}"),
        "g" => format!("{sign}@{category}"),
        "k" => format!("{}{key}", one(&["~", "~", "%R~", "%W~", "%RW~"])),
        "h" => format!("&{key}"),
        _ => one(&["resetkeys", "resetchannels", "allkeys", "allchannels", "nocommands"]),
    }
}

fn random_rules(dice: &mut Rng) -> Vec<String> {
    let mut rules: Vec<String> = (0..1 + dice.below(7)).map(|_| random_rule(dice)).collect();
    // A pattern after the one for all is refused by both.
    for (all, prefixes) in [("~*", &["~", "%"][..]), ("&*", &["&"])] {
        rules.retain(|rule| !prefixes.iter().any(|p| rule.starts_with(p)) || rule != all);
    }
    rules
}

/// A user's rules, with some in parentheses.
fn random_user(dice: &mut Rng) -> Vec<String> {
    let mut words = random_rules(dice);
    for _ in 0..dice.below(3) {
        let inside: Vec<String> = random_rules(dice);
        words.push(format!("({})", inside.join(" ")));
    }
    words
}

/// Requests to be tried without being run.
const REQUESTS: &[&str] = &[
    "GET a1",
    "GET b",
    "GET c:1",
    "GET d",
    "SET a1 v",
    "SET b v",
    "SET b v GET",
    "MGET a1 b",
    "DEL a1",
    "DEL b c:1",
    "INCR b",
    "APPEND b x",
    "GETDEL b",
    "COPY a1 b",
    "COPY b a1",
    "SORT a1 STORE b",
    "SORT b",
    "LMOVE a1 b LEFT RIGHT",
    "SINTERSTORE a1 b c:1",
    "PFMERGE b a1",
    "ZADD b 1 m",
    "ZRANGESTORE a1 b 0 1",
    "BITOP AND a1 b",
    "EXPIRE b 1",
    "XREAD STREAMS a1 b 0 0",
    "XREADGROUP GROUP g c STREAMS b >",
    "GEORADIUS a1 0 0 1 m STORE b",
    "CLIENT ID",
    "CLIENT KILL ID 1",
    "CONFIG GET x",
    "CONFIG SET maxmemory 1",
    "PING",
    "ECHO x",
    "FLUSHALL",
    "FLUSHDB",
    "INFO",
    "KEYS *",
    "SCAN 0",
    "DBSIZE",
    "RANDOMKEY",
    "SUBSCRIBE a1",
    "SUBSCRIBE b",
    "PSUBSCRIBE a*",
    "PSUBSCRIBE *",
    "PUBLISH b x",
    "SPUBLISH a1 x",
    "PUBSUB CHANNELS",
    "EVAL return 1 b",
    "EVALSHA x 0",
    "FUNCTION LIST",
    "FUNCTION FLUSH",
    "SCRIPT FLUSH",
    "ACL LIST",
    "ACL WHOAMI",
    "ACL SETUSER x",
    "MULTI",
    "EXEC",
    "WATCH b",
    "SLOWLOG GET",
    "SAVE",
    "SHUTDOWN",
    "OBJECT ENCODING b",
    "TYPE a1",
    "TTL b",
    "RENAME a1 b",
    "RENAMENX b a1",
    "WAIT 0 0",
    "TIME",
    "COMMAND COUNT",
    "SWAPDB 0 0",
    "BLPOP a1 b 0",
    "RESTORE b 0 x",
    "HSET b f v",
    "HGET a1 f",
    "SMOVE a1 b x",
    "RPUSH b x",
    "LPOP b",
    "SETRANGE b 0 x",
    "BITFIELD b GET u8 0",
    "LOLWUT",
    "XADD b * f v",
    "XINFO STREAM b",
    "GETSET b v",
    "HINCRBY b f 1",
    "MEMORY USAGE b",
    "TOUCH b",
];

fn dry_run(resp: &mut Resp, user: &str, request: &str) -> String {
    let mut words = vec!["ACL", "DRYRUN", user];
    words.extend(request.split(' '));
    resp.call(&words)
}

fn set_user(resp: &mut Resp, user: &str, rules: &[String]) -> String {
    let mut words = vec!["ACL".to_owned(), "SETUSER".to_owned(), user.to_owned()];
    words.extend(rules.iter().cloned());
    resp.send(&encode(&words));
    show(&resp.reply())
}

#[test]
fn what_is_shown_of_a_user_makes_the_same_user() {
    let server = start();
    let mut root = login(&server, "root");
    let mut dice = Rng::new(23);
    let roles = ["+@role:tenant", "+@role:readonly", "+@right:read,write:kv:app%20a:*"];
    let mut made = 0;
    for _ in 0..120 {
        let mut rules = vec!["reset".to_owned()];
        rules.extend(random_user(&mut dice));
        if dice.below(4) == 0 {
            rules.push(roles[dice.below(roles.len())].to_owned());
        }
        if set_user(&mut root, "one", &rules) != "+OK" {
            continue;
        }
        made += 1;
        let mut shown = vec!["reset".to_owned()];
        shown.extend(words_of(&mut root, "one"));
        assert_eq!(set_user(&mut root, "two", &shown), "+OK", "{shown:?}");
        assert_eq!(words_of(&mut root, "two"), shown[1..], "{rules:?}");
        alike(&mut root, "one", "two", REQUESTS);
    }
    assert!(made > 60, "{made}");
}

fn alike(root: &mut Resp, one: &str, two: &str, requests: &[&str]) {
    for request in requests {
        let replies = [one, two].map(|user| dry_run(root, user, request).replace(user, "USER"));
        assert_eq!(replies[0], replies[1], "{request}");
    }
}

#[test]
fn users_of_roles_and_rights_are_shown_so_that_the_same_can_be_made() {
    let server = start();
    let mut root = login(&server, "root");
    let body = json!({ "username": "web", "password": PASSWORD, "roles": ["user"] }).to_string();
    assert_eq!(send(&server, "", "POST /auth/users", &body).0, 200);
    let requests: Vec<String> = table::commands()
        .map(|spec| {
            let words = spec.arity().unsigned_abs() - spec.words() as u64;
            format!("{} {}", spec.resp, "tenant:1 ".repeat(words as usize).trim_end())
        })
        .map(|request| request.trim_end().to_owned())
        .collect();
    let requests: Vec<&str> =
        requests.iter().map(String::as_str).chain(REQUESTS.iter().copied()).collect();
    for user in ["anna", "idle", "web", "root"] {
        let shown = words_of(&mut root, user);
        assert_eq!(set_user(&mut root, "copy", &[vec!["reset".to_owned()], shown].concat()), "+OK");
        alike(&mut root, user, "copy", &requests);
    }
    assert!(ask(&mut root, "ACL GETUSER anna").contains("+@role:tenant +@role:readonly"));
    assert!(ask(&mut root, "ACL LIST").contains("user web on #(hidden) +@role:user"));
    assert!(ask(&mut root, "ACL GETUSER default").contains("[off]"));
}

#[test]
fn nobody_may_do_more_than_by_the_same_rules_in_redis() {
    if !installed("redis-server") {
        return;
    }
    let (server, redis) = (start(), Redis::start());
    let (mut ours, mut theirs) = (login(&server, "root"), redis.resp());
    let mut dice = Rng::new(31);
    let (mut compared, mut stricter) = (0, BTreeMap::new());
    for _ in 0..150 {
        let mut rules = vec!["reset".to_owned()];
        rules.extend(random_user(&mut dice));
        let replies = [set_user(&mut ours, "u", &rules), set_user(&mut theirs, "u", &rules)];
        // Which of two bad rules is named may differ.
        let outcomes = [&replies[0], &replies[1]].map(|reply| reply.split_once('\'').map(|p| p.0));
        assert_eq!(outcomes[0], outcomes[1], "{rules:?}: {replies:?}");
        if replies[0] != "+OK" {
            continue;
        }
        for request in REQUESTS {
            let [here, there] = [&mut ours, &mut theirs].map(|c| dry_run(c, "u", request));
            let told = |reply: &str| reply.replace("User u has", "This user has");
            compared += 1;
            if here == "+OK" {
                assert_eq!(there, "+OK", "{request} by {rules:?}");
            } else if there == "+OK" {
                *stricter.entry(*request).or_insert(0) += 1;
            } else if here != there && told(&here) != there {
                assert!(here.contains("has no permissions"), "{here} {there}");
            }
        }
    }
    assert!(compared > 5000, "{compared}");
    println!("{compared} compared; refused here alone: {stricter:?}");
    // What is stricter on purpose: what tells of keys or of all of them needs the right to them.
    let known = [
        "BITFIELD",
        "DBSIZE",
        "EVALSHA",
        "MEMORY",
        "OBJECT",
        "PSUBSCRIBE",
        "RANDOMKEY",
        "SORT",
        "TOUCH",
        "TTL",
        "TYPE",
        "WATCH",
        "SPUBLISH",
    ];
    let odd: Vec<_> = stricter
        .keys()
        .filter(|request| !known.iter().any(|name| request.starts_with(name)))
        .collect();
    assert!(odd.is_empty(), "{odd:?}");
}

#[test]
fn categories_hold_what_they_hold_in_redis() {
    if !installed("redis-server") {
        return;
    }
    let (server, redis) = (Server::start(), Redis::start());
    if redis.version() != (7, 0) {
        return;
    }
    let (mut ours, mut theirs) = (server.resp(), redis.resp());
    let list = |resp: &mut Resp, words: &[&str]| list(&resp.call(words));
    let has = |name: &String| {
        let mut words = name.split('|');
        let container = words.next().expect("one at least");
        let is_container = table::subcommands(container.as_bytes()).is_some();
        is_container == name.contains('|') && table::by_name(name.as_bytes()).is_some()
    };
    let all = list(&mut theirs, &["ACL", "CAT", "fast"]);
    let all: Vec<String> = [all, list(&mut theirs, &["ACL", "CAT", "slow"])].concat();
    assert!(all.len() > 300, "{}", all.len());
    let theirs_has = |name: &str| all.iter().any(|other| other == name);
    let categories = list(&mut theirs, &["ACL", "CAT"]);
    let mut odd = Vec::new();
    for category in &categories {
        let here = list(&mut ours, &["ACL", "CAT", category]);
        let there = list(&mut theirs, &["ACL", "CAT", category]);
        let missing = there.iter().filter(|name| has(name) && !here.contains(name));
        odd.extend(missing.map(|name| format!("{name} lacks @{category}")));
        let more =
            here.iter().filter(|name| has(name) && theirs_has(name) && !there.contains(name));
        odd.extend(more.map(|name| format!("{name} has @{category}")));
    }
    assert!(odd.is_empty(), "{odd:#?}");
}

#[test]
fn clients_of_redis_know_the_answers() {
    let server = start();
    let mut con = server.redis();
    let () = redis::cmd("AUTH").arg("root").arg(PASSWORD).query(&mut con).expect("let in");
    let rules = ["on", ">a long enough word", "~app:*", "+@read", "-keys", "+set"];
    let () = redis::cmd("ACL").arg("SETUSER").arg("lib").arg(&rules).query(&mut con).expect("made");
    let info: redis::acl::AclInfo =
        redis::cmd("ACL").arg("GETUSER").arg("lib").query(&mut con).expect("understood");
    assert!(info.flags.contains(&redis::acl::Rule::On), "{info:?}");
    assert!(info.keys.contains(&redis::acl::Rule::Pattern("app:*".into())), "{info:?}");
    if !installed("redis-cli") {
        return;
    }
    let cli = |user: &str, words: &[&str]| {
        let output = Command::new("redis-cli")
            .args(["-p", &server.plan.resp.to_string(), "--user", user, "--pass", PASSWORD])
            .arg("--no-auth-warning")
            .args(words)
            .output()
            .expect("redis-cli runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(cli("lib", &["SET", "app:1", "x"]).trim(), "OK");
    assert!(cli("lib", &["SET", "b", "x"]).starts_with("NOPERM "));
    assert!(cli("root", &["ACL", "LIST"]).contains("user lib on #(hidden) ~app:* resetchannels"));
    assert_eq!(cli("root", &["ACL", "DELUSER", "lib"]).trim(), "1");
    wait_for("the user to be gone", || !cli("root", &["ACL", "USERS"]).contains("lib"));
}

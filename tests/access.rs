//! Users, keys, roles and rules over HTTP, and what connections notice of changes.

mod support;

use serde_json::{Value, json};
use support::{Plan, Server};

const ADMIN: &str = "sk_admin_5f6d7c0b4a3e2d1c";
const CONFIG: &str = r#"
authentication:
  enabled: true
  require_auth: true
users:
  - {username: chief, password: "a long enough word", role: admin}
api_keys:
  - {key: sk_admin_5f6d7c0b4a3e2d1c, name: ops, role: admin}
"#;
const WORD: &str = "another long word";

/// Status and body of a request with an API key, or without one where that is empty.
fn send(server: &Server, key: &str, head: &str, body: &Value) -> (u16, Value) {
    let mut http = server.http();
    let (method, path) = head.split_once(' ').expect("a method and a path");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let key = if key.is_empty() { String::new() } else { format!("X-API-Key: {key}\r\n") };
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{key}Content-Length: {length}\r\n");
    http.send(format!("{head}\r\n{body}"));
    let answer = http.answer(method);
    (answer.status, answer.json())
}

fn admin(server: &Server, head: &str, body: Value) -> (u16, Value) {
    send(server, ADMIN, head, &body)
}

fn log_in(server: &Server, user: &str, password: &str) -> u16 {
    let body = json!({ "username": user, "password": password });
    send(server, "", "POST /auth/login", &body).0
}

#[test]
fn users_come_and_go() {
    let server = Plan::new().config(CONFIG).start();
    assert_eq!(log_in(&server, "ann", WORD), 401);
    let user = json!({ "username": "ann", "password": WORD, "roles": ["user"] });
    assert_eq!(admin(&server, "POST /auth/users", user.clone()).0, 200);
    assert_eq!(admin(&server, "POST /auth/users", user).0, 409);
    let weak = json!({ "username": "bob", "password": "password1" });
    assert_eq!(admin(&server, "POST /auth/users", weak).0, 400);
    let (status, body) =
        send(&server, "", "POST /auth/login", &json!({ "username": "ann", "password": WORD }));
    assert_eq!((status, &body["user"]["roles"]), (200, &json!(["user"])));
    assert_eq!(log_in(&server, "ann", "not that word"), 401);
    assert_eq!(admin(&server, "POST /auth/users/ann/roles", json!({ "role": "none" })).0, 404);
    assert_eq!(admin(&server, "POST /auth/users/ann/roles", json!({ "role": "readonly" })).0, 200);
    assert_eq!(admin(&server, "DELETE /auth/users/ann/roles/readonly", Value::Null).0, 200);
    let (_, shown) = admin(&server, "GET /auth/users/ann", Value::Null);
    assert_eq!(shown["roles"], json!(["user"]));
    assert!(!shown.to_string().contains("argon2"), "{shown}");
    assert_eq!(admin(&server, "POST /auth/users/ann/disable", Value::Null).0, 200);
    assert_eq!(log_in(&server, "ann", WORD), 401);
    assert_eq!(admin(&server, "POST /auth/users/ann/enable", Value::Null).0, 200);
    assert_eq!(log_in(&server, "ann", WORD), 200);
    assert_eq!(admin(&server, "DELETE /auth/users/ann", Value::Null).0, 200);
    assert_eq!(log_in(&server, "ann", WORD), 401);
    assert_eq!(admin(&server, "GET /auth/users/ann", Value::Null).0, 404);
    // What the configuration says is changed there.
    assert_eq!(admin(&server, "DELETE /auth/users/chief", Value::Null).0, 409);
}

#[test]
fn keys_are_shown_once_and_end_at_once() {
    let server = Plan::new().config(CONFIG).start();
    let order =
        json!({ "name": "ci", "permissions": [{ "resource": "kv:ci:*", "action": "write" }] });
    let (status, made) = admin(&server, "POST /auth/keys", order);
    assert_eq!(status, 200, "{made}");
    let key = made["key"]["key"].as_str().expect("the secret").to_owned();
    let set = |name: &str| json!({ "key": name, "value": "1" });
    assert_eq!(send(&server, &key, "POST /kv/set", &set("ci:1")).0, 200);
    assert_eq!(send(&server, &key, "POST /kv/set", &set("other")).0, 403);
    assert_eq!(send(&server, &key, "GET /kv/get/ci:1", &Value::Null).0, 403);
    let (_, me) = send(&server, &key, "GET /auth/me", &Value::Null);
    assert_eq!((&me["username"], &me["is_admin"]), (&Value::Null, &json!(false)));
    assert_eq!(me["permissions"], json!([{ "resource": "kv:ci:*", "action": "write" }]));
    for (head, body) in [
        ("GET /auth/keys", Value::Null),
        ("POST /auth/keys", json!({ "name": "more", "role": "admin" })),
        ("POST /auth/users", json!({ "username": "eve", "password": WORD })),
        ("POST /auth/users/chief/password", json!({ "new_password": WORD })),
    ] {
        assert_eq!(send(&server, &key, head, &body).0, 403, "{head}");
    }
    let (_, listed) = admin(&server, "GET /auth/keys", Value::Null);
    assert!(!listed.to_string().contains(&key), "{listed}");
    let bad = json!({ "name": "x", "allowed_ips": ["10.0.0.0/99"] });
    assert_eq!(admin(&server, "POST /auth/keys", bad).0, 400);
    // It ends where it is used just then, too.
    let mut resp = server.resp();
    assert_eq!(resp.call(&["AUTH", &key]), "+OK");
    assert_eq!(resp.call(&["SET", "ci:2", "1"]), "+OK");
    assert_eq!(admin(&server, &format!("DELETE /auth/keys/{key}"), Value::Null).0, 200);
    assert_eq!(send(&server, &key, "POST /kv/set", &set("ci:1")).0, 401);
    support::wait_for("the connection to be nobody's", || {
        resp.call(&["SET", "ci:3", "1"]) == "-NOAUTH Authentication required."
    });
}

#[test]
fn rules_let_everybody_in_and_streams_end_with_their_right() {
    let server =
        Plan::new().config(&CONFIG.replace("require_auth: true", "require_auth: false")).start();
    assert_eq!(send(&server, "", "GET /kv/get/open:1", &Value::Null).0, 401);
    let rule = json!({ "name": "open", "resource": "*:open:*", "actions": ["read"],
        "authenticated": false });
    assert_eq!(admin(&server, "POST /auth/acl", rule).0, 200);
    support::wait_for("the rule to be in force", || {
        send(&server, "", "GET /kv/get/open:1", &Value::Null).0 == 404
    });
    assert_eq!(send(&server, "", "GET /kv/get/closed", &Value::Null).0, 401);
    let mut resp = server.resp();
    support::wait_for("the same on the other core", || resp.call(&["GET", "open:1"]) == "(nil)");
    assert!(resp.call(&["SET", "open:1", "1"]).starts_with("-NOAUTH "));
    resp.command(&["SUBSCRIBE", "open:news"]);
    resp.reply();
    assert_eq!(admin(&server, "DELETE /auth/acl/open", Value::Null).0, 200);
    assert!(resp.try_reply().is_none(), "the subscription ends");
}

#[test]
fn everyone_sets_the_own_password_only() {
    let server = Plan::new().config(CONFIG).start();
    let user = json!({ "username": "ann", "password": WORD });
    assert_eq!(admin(&server, "POST /auth/users", user).0, 200);
    let set = |server: &Server, user: &str| {
        let mut http = server.http();
        let body = json!({ "new_password": "a third long word" }).to_string();
        // base64 of `ann:another long word`.
        let basic = "Authorization: Basic YW5uOmFub3RoZXIgbG9uZyB3b3Jk\r\n";
        let head = format!("POST /auth/users/{user}/password HTTP/1.1\r\nHost: x\r\n{basic}");
        http.send(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()));
        http.answer("POST").status
    };
    assert_eq!(set(&server, "chief"), 403);
    assert_eq!(set(&server, "ann"), 200);
    assert_eq!(log_in(&server, "ann", WORD), 401);
    assert_eq!(log_in(&server, "ann", "a third long word"), 200);
}

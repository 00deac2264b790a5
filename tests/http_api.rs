//! HTTP as clients use it: through a client library and byte by byte.

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::http::request;
use support::{Plan, Server};

fn call(agent: &ureq::Agent, url: &str, body: &Value) -> (u16, Value) {
    let mut answer = agent.post(url).send(body.to_string()).expect("an answer");
    let text = answer.body_mut().read_to_string().expect("a body");
    (answer.status().as_u16(), serde_json::from_str(&text).expect("JSON"))
}

#[test]
fn a_client_library_sets_and_gets() {
    let server = Server::start();
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let agent: ureq::Agent = config.into();
    let (status, answer) =
        call(&agent, &server.url("/kv/set"), &json!({"key": "hello", "value": "world", "ttl": 60}));
    assert_eq!((status, &answer["success"]), (200, &json!(true)), "{answer}");
    let mut answer = agent.get(server.url("/kv/get/hello")).call().expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.body_mut().read_to_string().expect("a body"), "\"world\"");
    let answer = agent.get(server.url("/kv/get/nothing")).call().expect("an answer");
    assert_eq!(answer.status().as_u16(), 404);
    let pairs = json!({"pairs": [["a", "1"], ["b", "2"], ["c", "3"], ["d", "4"]]});
    assert_eq!(call(&agent, &server.url("/kv/mset"), &pairs).0, 200);
    let keys = json!({"keys": ["a", "b", "c", "none", "d"]});
    let (_, answer) = call(&agent, &server.url("/kv/mget"), &keys);
    assert_eq!(answer, json!({"values": ["1", "2", "3", null, "4"]}));
    let mut answer = agent.delete(server.url("/kv/del/hello")).call().expect("an answer");
    let text = answer.body_mut().read_to_string().expect("a body");
    assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON")["deleted"], json!(true));
    server.stop();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start();
    let mut http = server.http();
    let mut bytes = String::new();
    for at in 0..300 {
        let body = format!("{{\"key\":\"pipe:{at}\",\"value\":\"v{at}\"}}");
        bytes.push_str(&request("POST", "/kv/set", &body));
        bytes.push_str(&format!("GET /kv/get/pipe:{at} HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    http.send(bytes);
    for at in 0..300 {
        assert_eq!(http.answer("POST").status, 200);
        assert_eq!(http.answer("GET").text(), format!("\"v{at}\""));
    }
    http.send("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(http.answer("GET").status, 200);
    assert!(http.is_closed());
    let mut old = server.http();
    old.send("GET /health HTTP/1.0\r\n\r\n");
    assert_eq!(old.answer("GET").status, 200);
    assert!(old.is_closed(), "HTTP/1.0 closes unless told otherwise");
}

#[test]
fn methods_without_a_body_of_their_own() {
    let server = Server::start();
    let mut http = server.http();
    http.request("POST", "/kv/set", "{\"key\":\"a\",\"value\":\"12345\"}");
    http.send("HEAD /kv/get/a HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = http.answer("HEAD");
    assert_eq!((head.status, head.field("content-length")), (200, Some("7")));
    let options = http.request("OPTIONS", "/kv/set", "");
    assert!(matches!(options.status, 200 | 204), "{options:?}");
    assert!(options.field("allow").is_some_and(|allow| allow.contains("POST")), "{options:?}");
    let wrong = http.request("DELETE", "/kv/set", "");
    assert_eq!(wrong.status, 405);
    assert_eq!(wrong.json()["code"], json!(405));
    let nowhere = http.request("GET", "/no/such/route", "");
    assert_eq!(nowhere.status, 404);
    assert_eq!(nowhere.json()["code"], json!(404));
}

#[test]
fn bodies_in_every_form() {
    let server = Server::start();
    let mut http = server.http();
    let body = "{\"key\":\"cont\",\"value\":\"inue\"}";
    let length = body.len();
    http.send(format!(
        "POST /kv/set HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
         Content-Length: {length}\r\n\r\n"
    ));
    assert_eq!(http.answer("POST").status, 100);
    http.send(body);
    assert_eq!(http.answer("POST").status, 200);
    http.send("POST /kv/set HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in ["{\"key\":\"chu", "nked\",", "\"value\":\"pieces\"}"] {
        http.send(format!("{:x};ext=1\r\n{piece}\r\n", piece.len()));
    }
    http.send("0\r\nTrailer: x\r\n\r\n");
    assert_eq!(http.answer("POST").status, 200);
    assert_eq!(http.request("GET", "/kv/get/chunked", "").text(), "\"pieces\"");
    for (key, path) in [("a b", "a%20b"), ("a/b", "a%2Fb"), ("ä:1", "%C3%A4:1"), ("100%", "100%25")]
    {
        let body = json!({"key": key, "value": "found"}).to_string();
        assert_eq!(http.request("POST", "/kv/set", &body).status, 200);
        let found = http.request("GET", &format!("/kv/get/{path}"), "");
        assert_eq!((found.status, found.text()), (200, "\"found\""), "{path}");
    }
    assert_eq!(http.request("GET", "/kv/get/%zz", "").status, 400);
    for body in ["", "{", "[]", "{\"key\":\"x\"}", "{\"key\":\"x\",\"value\":\"y\",\"ttl\":\"z\"}"]
    {
        let answer = http.request("POST", "/kv/set", body);
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert_eq!(answer.field("content-type"), Some("application/json"));
        assert!(answer.json()["error"].is_string(), "{answer:?}");
    }
}

/// A value that fits a schema of the server's own description. Those of different families differ,
/// so that no two of them use one key.
fn sample(family: &str, name: &str, schema: &Value) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(false),
        Some("array") => json!([sample(family, name, &schema["items"])]),
        Some("object") => json!({}),
        _ => json!(format!("sample-{family}-{name}")),
    }
}

#[test]
fn every_described_operation_answers() {
    let server = Server::start();
    let mut http = server.http();
    let description = http.request("GET", "/openapi.json", "").json();
    let paths = description["paths"].as_object().expect("paths").clone();
    let (mut called, mut succeeded) = (0, BTreeSet::new());
    for (path, operations) in &paths {
        let family = path.split('/').nth(1).unwrap_or_default();
        for (method, operation) in operations.as_object().expect("operations") {
            if operation["responses"]["200"]["content"]["text/event-stream"].is_object() {
                // Its answer does not end.
                continue;
            }
            let method = method.to_ascii_uppercase();
            let (mut target, mut query) = (path.clone(), Vec::new());
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().expect("a name");
                let value = sample(family, name, &parameter["schema"]);
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                if parameter["in"] == "path" {
                    target = target.replace(&format!("{{{name}}}"), &text);
                } else if parameter["required"] == json!(true) {
                    query.push(format!("{name}={text}"));
                }
            }
            if !query.is_empty() {
                target = format!("{target}?{}", query.join("&"));
            }
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let required = schema["required"].as_array().into_iter().flatten();
            let body: serde_json::Map<String, Value> = required
                .map(|name| name.as_str().expect("a name"))
                .map(|name| (name.to_owned(), sample(family, name, &schema["properties"][name])))
                .collect();
            let body = if method == "POST" { json!(body).to_string() } else { String::new() };
            let answer = http.request(&method, &target, &body);
            called += 1;
            // A part that is switched off says so, and which key switches it on.
            let is_off = answer.status == 503 && answer.text().contains(" is disabled (");
            assert!(answer.status < 500 || is_off, "{method} {target} {body}: {answer:?}");
            if answer.status >= 400 {
                assert!(answer.json()["error"].is_string(), "{method} {target}: {answer:?}");
            } else {
                succeeded.insert(format!("{method} {path}"));
            }
        }
    }
    assert!(called > 30, "{called}");
    assert!(succeeded.len() * 2 > called, "of {called} only {succeeded:?}");
    assert!(server.http().request("GET", "/openapi.yaml", "").text().contains("openapi"));
}

#[test]
fn the_echo_route_is_there_when_asked_for() {
    let server = Plan::new().env("SYNAP_SERVER__ECHO_PREFIX", "/echo").start();
    let mut http = server.http();
    let echo = http.request("PUT", "/echo/any/path?x=1", "body of it");
    assert_eq!(echo.status, 200);
    assert!(echo.text().contains("body of it"), "{echo:?}");
    server.stop();
    let server = Server::start();
    assert_eq!(server.http().request("PUT", "/echo/any", "x").status, 404);
}

#[test]
fn both_protocols_see_one_set_of_keys() {
    let server = Server::start();
    let (mut http, mut resp) = (server.http(), server.resp());
    for at in 0..32 {
        let key = format!("shared:{at}");
        assert_eq!(resp.call(&["SET", &key, "from resp"]), "+OK");
        let answer = http.request("GET", &format!("/kv/get/{key}"), "");
        assert_eq!(answer.text(), "\"from resp\"");
        let body = json!({"key": key, "value": "from http"}).to_string();
        assert_eq!(http.request("POST", "/kv/set", &body).status, 200);
        assert_eq!(resp.call(&["GET", &key]), "from http");
    }
    let metrics = http.request("GET", "/metrics", "");
    assert!(metrics.text().contains("# TYPE"), "{metrics:?}");
    let stats = http.request("GET", "/kv/stats", "").json();
    assert!(stats["total_keys"].is_number(), "{stats}");
}

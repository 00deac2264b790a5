//! Transactions over HTTP against the real server: who the caller is, and what is queued for whom.

mod support;

use support::Server;
use support::http::Http;

/// Asks over HTTP, and compares status and body.
fn expect_http(http: &mut Http, path: &str, body: &str, status: u16, expected: &str) {
    let answer = http.request("POST", path, body);
    let found = (answer.status, answer.json());
    let expected: serde_json::Value = serde_json::from_str(expected).expect("the test writes JSON");
    assert_eq!(found, (status, expected), "{path} {body}");
}

const DONE: &str = r#"{"success":true,"queued":true}"#;

#[test]
fn http_callers_are_known_by_their_id_on_any_connection() {
    let server = Server::start();
    let mut resp = server.resp();
    for round in 0..10 {
        let id = format!("caller-{round}");
        let with_id = |body: &str| format!(r#"{{"client_id":"{id}",{}"#, &body[1..]);
        let only_id = format!(r#"{{"client_id":"{id}"}}"#);
        let started =
            format!(r#"{{"success":true,"message":"Transaction started","client_id":"{id}"}}"#);
        let watched = format!(r#"{{"success":true,"message":"Keys watched","client_id":"{id}"}}"#);
        // Each request over a connection of its own, on whatever core.
        let body = with_id(r#"{"keys":["h:w"]}"#);
        expect_http(&mut server.http(), "/transaction/watch", &body, 200, &watched);
        expect_http(&mut server.http(), "/transaction/multi", &only_id, 200, &started);
        let body = with_id(r#"{"key":"h:a","value":"1"}"#);
        expect_http(&mut server.http(), "/kv/set", &body, 200, DONE);
        let mut http = server.http();
        http.send(format!(
            "DELETE /kv/del/h:b HTTP/1.1\r\nHost: x\r\nX-Synap-Client-Id: {id}\r\n\r\n"
        ));
        assert_eq!(http.answer("DELETE").text(), DONE);
        let body = with_id(r#"{"amount":2}"#);
        expect_http(&mut server.http(), "/kv/h:n/incr", &body, 200, DONE);
        assert_eq!(resp.call(&["EXISTS", "h:a"]), ":0");
        if round % 2 == 0 {
            assert_eq!(resp.call(&["SET", "h:w", "1"]), "+OK");
            let aborted = r#"{"success":false,"aborted":true,
                "message":"Transaction aborted: watched keys changed"}"#;
            expect_http(&mut server.http(), "/transaction/exec", &only_id, 200, aborted);
        } else {
            assert_eq!(resp.call(&["SET", "h:b", "1"]), "+OK");
            let results = format!(
                r#"{{"success":true,"results":[{{"ok":true}},{{"deleted":1}},{{"value":{}}}]}}"#,
                round / 2 * 2 + 2
            );
            expect_http(&mut server.http(), "/transaction/exec", &only_id, 200, &results);
            assert_eq!(resp.call(&["MGET", "h:a", "h:b"]), "[1, (nil)]");
            assert_eq!(resp.call(&["DEL", "h:a"]), ":1");
        }
        let error = r#"{"error":"Invalid request: EXEC without MULTI","code":400}"#;
        expect_http(&mut server.http(), "/transaction/exec", &only_id, 400, error);
    }
    server.stop();
}

#[test]
fn http_callers_without_an_id_are_given_one() {
    let server = Server::start();
    let (mut http, mut other) = (server.http(), server.http());
    let started = http.request("POST", "/transaction/multi", "").json();
    let id = started["client_id"].as_str().expect("an id").to_owned();
    expect_http(&mut http, "/kv/set", r#"{"key":"g:a","value":"1"}"#, 200, DONE);
    // Other connections are other callers, unless they say the id.
    expect_http(
        &mut other,
        "/kv/set",
        r#"{"key":"g:b","value":"x"}"#,
        200,
        r#"{"success":true,"key":"g:b","written":true}"#,
    );
    let path = format!("/kv/set?client_id={id}");
    expect_http(&mut other, &path, r#"{"key":"g:b","value":"2"}"#, 200, DONE);
    assert_eq!(other.request("GET", "/kv/get/g:b", "").text(), r#""x""#);
    let nested = r#"{"error":"Invalid request: MULTI calls can not be nested","code":400}"#;
    expect_http(&mut http, "/transaction/multi", "", 400, nested);
    let results = r#"{"success":true,"results":[{"ok":true},{"ok":true}]}"#;
    expect_http(&mut http, "/transaction/exec", "", 200, results);
    assert_eq!(server.resp().call(&["MGET", "g:a", "g:b"]), "[1, 2]");

    // A request that is refused is not queued, and takes the rest with it.
    expect_http(
        &mut http,
        "/transaction/multi",
        &format!(r#"{{"client_id":"{id}"}}"#),
        200,
        &format!(r#"{{"success":true,"message":"Transaction started","client_id":"{id}"}}"#),
    );
    expect_http(&mut http, "/kv/set", r#"{"key":"g:a","value":"3"}"#, 200, DONE);
    let refused =
        http.request("POST", "/kv/set", &format!(r#"{{"key":"g:a","client_id":"{id}"}}"#));
    assert_eq!(refused.status, 400);
    let aborted = http.request("POST", "/transaction/exec", "");
    assert_eq!(aborted.status, 400, "{aborted:?}");
    assert!(aborted.text().contains("EXECABORT"), "{aborted:?}");

    expect_http(
        &mut http,
        "/transaction/multi",
        &format!(r#"{{"client_id":"{id}"}}"#),
        200,
        &format!(r#"{{"success":true,"message":"Transaction started","client_id":"{id}"}}"#),
    );
    expect_http(&mut http, "/kv/set", r#"{"key":"g:a","value":"4"}"#, 200, DONE);
    let discarded = r#"{"success":true,"message":"Transaction discarded"}"#;
    expect_http(&mut http, "/transaction/discard", "", 200, discarded);
    expect_http(
        &mut http,
        "/transaction/unwatch",
        "",
        200,
        r#"{"success":true,"message":"Keys unwatched"}"#,
    );
    assert_eq!(server.resp().call(&["GET", "g:a"]), "1");
    server.stop();
}

#[test]
fn keys_queues_rooms_and_topics_change_together() {
    let server = Server::start();
    let mut resp = server.resp();
    let mut http = server.http();
    let post = |http: &mut Http, path: &str, body: &serde_json::Value| {
        let answer = http.request("POST", path, &body.to_string());
        assert_eq!(answer.status, 200, "{path} {answer:?}");
        answer.json()
    };
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    post(&mut http, "/queue/in", &json("{}"));
    post(&mut http, "/queue/out", &json("{}"));
    post(&mut http, "/stream/log", &json("{}"));
    post(&mut http, "/topics/facts", &json(r#"{"num_partitions":4}"#));
    let sent = post(&mut http, "/queue/in/publish", &json(r#"{"payload":[1]}"#));
    let taken = http.request("GET", "/queue/in/consume/w", "").json();
    assert_eq!(taken["message_id"], sent["message_id"]);
    let ack =
        format!(r#"{{"client_id":"c","consumer_id":"w","message_id":{}}}"#, sent["message_id"]);
    // What the first attempt does not finish leaves nothing behind.
    for (end, changed) in [("discard", false), ("exec", true)] {
        post(&mut http, "/transaction/multi", &json(r#"{"client_id":"c"}"#));
        for (path, body) in [
            ("/queue/in/ack", &*ack),
            ("/kv/done/incr", r#"{"client_id":"c"}"#),
            ("/queue/out/publish", r#"{"client_id":"c","payload":[2]}"#),
            ("/stream/log/publish", r#"{"client_id":"c","event":"done","data":{"n":1}}"#),
            ("/topics/facts/publish", r#"{"client_id":"c","event_type":"e","key":"k","data":1}"#),
        ] {
            let queued = post(&mut http, path, &json(body));
            assert_eq!(queued["queued"], true, "{path} {queued}");
        }
        let stats = http.request("GET", "/queue/in/stats", "").json();
        assert_eq!(stats["pending"], 1);
        let done = post(&mut http, &format!("/transaction/{end}"), &json(r#"{"client_id":"c"}"#));
        assert_eq!(done["success"], true, "{done}");
        if changed {
            let results = done["results"].as_array().expect("results");
            assert_eq!(results.len(), 5, "{done}");
            assert!(results.iter().all(|result| result["error"].is_null()), "{done}");
        }
        let counts = ["in", "out"].map(|queue| {
            let stats = http.request("GET", &format!("/queue/{queue}/stats"), "").json();
            (stats["pending"].as_u64(), stats["depth"].as_u64())
        });
        let room = http.request("GET", "/stream/log/stats", "").json()["message_count"].as_u64();
        let done = resp.call(&["GET", "done"]);
        if changed {
            assert_eq!(counts, [(Some(0), Some(0)), (Some(0), Some(1))]);
            assert_eq!((room, &*done), (Some(1), "1"));
        } else {
            assert_eq!(counts, [(Some(1), Some(0)), (Some(0), Some(0))]);
            assert_eq!((room, &*done), (Some(0), "(nil)"));
        }
    }
    server.stop();
}

//! Access control over the life of a server: the first start, changes and what a restart keeps of
//! them, reload, wrong files. What may be done by whom is in `refusals.rs`.

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::http::{Answer, Http};
use support::{Plan, Server, job, text, wait_for};

/// As `user:password`, or as an API key where there is no colon.
fn ask(server: &Server, as_whom: &str, method: &str, path: &str, body: &Value) -> Answer {
    let mut http = Http::connect(server.plan.http);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let credential = match as_whom {
        "" => String::new(),
        text if text.contains(':') => format!("Authorization: Basic {}\r\n", base64(text)),
        key => format!("X-API-Key: {key}\r\n"),
    };
    http.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: synap\r\n{credential}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    http.answer(method)
}

fn base64(text: &str) -> String {
    let mut out = Vec::new();
    synap::protocol::json::write_base64(&mut out, text.as_bytes());
    String::from_utf8(out).expect("ASCII").trim_matches('"').to_owned()
}

fn guarded() -> Plan {
    Plan::new().env("SYNAP_AUTH_ENABLED", "true")
}

/// What `GET /auth/me` calls the caller; the status where it is refused.
fn me(server: &Server, as_whom: &str) -> Result<String, u16> {
    let answer = ask(server, as_whom, "GET", "/auth/me", &Value::Null);
    match answer.status {
        200 => Ok(answer.json()["username"].as_str().unwrap_or("no user").to_owned()),
        other => Err(other),
    }
}

#[test]
fn a_first_start_tells_a_password_once_and_a_restart_keeps_what_was_made() {
    let plan = guarded();
    let server = plan.start();
    let told = plan.data().join("auth/admin-password");
    let first = std::fs::read_to_string(&told).expect("written down").trim().to_owned();
    assert!(plan.log().contains(&format!("made user `admin` with password {first}")));
    assert_eq!(me(&server, ""), Err(401));
    assert_eq!(me(&server, "admin:wrong"), Err(401));
    assert_eq!(me(&server, &format!("admin:{first}")), Ok("admin".to_owned()));
    let mut resp = server.resp();
    assert!(resp.call(&["GET", "a"]).contains("NOAUTH"));
    assert_eq!(resp.call(&["AUTH", "admin", &first]), "+OK");
    assert_eq!(resp.call(&["SET", "a", "1"]), "+OK");

    let admin = format!("admin:{first}");
    let set = json!({ "new_password": "battery staple" });
    let answer = ask(&server, &admin, "POST", "/auth/users/admin/password", &set);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!told.exists(), "worth nothing any more");
    let admin = "admin:battery staple";
    let user = json!({ "username": "anna", "password": "correct horse", "roles": ["user"] });
    assert_eq!(ask(&server, admin, "POST", "/auth/users", &user).status / 100, 2);
    let made = ask(&server, admin, "POST", "/auth/keys", &json!({ "name": "app", "role": "user" }));
    let key = made.json()["key"]["key"].as_str().expect("told once").to_owned();
    assert_eq!(ask(&server, &key, "GET", "/kv/get/absent", &Value::Null).status, 404);
    server.stop();

    let server = plan.start();
    assert!(!plan.log().contains("made user"), "told once");
    assert_eq!(me(&server, &format!("admin:{first}")), Err(401));
    assert_eq!(me(&server, "anna:correct horse"), Ok("anna".to_owned()));
    let keys = ask(&server, admin, "GET", "/auth/keys", &Value::Null);
    assert_eq!(keys.json()["keys"][0]["usage_count"], 1, "{}", keys.text());
    assert!(!keys.text().contains(&key));
    let gone = ask(&server, admin, "DELETE", "/auth/keys/app", &Value::Null);
    assert_eq!(gone.status, 200, "{}", gone.text());
    assert_eq!(ask(&server, &key, "GET", "/kv/get/absent", &Value::Null).status, 401);
    server.stop();
}

#[test]
fn a_reload_shuts_out_who_is_gone_and_lets_in_who_is_new() {
    let file = |names: &[&str]| {
        let users = names
            .iter()
            .map(|name| format!("- {{username: {name}, password: correct horse, role: admin}}\n"));
        format!("authentication: {{enabled: true}}\nusers:\n{}", users.collect::<String>())
    };
    let plan = Plan::new().config(&file(&["anna", "berta"]));
    let server = plan.start();
    let mut anna = server.resp();
    assert_eq!(anna.call(&["AUTH", "anna", "correct horse"]), "+OK");
    assert_eq!(anna.call(&["SET", "a", "1"]), "+OK");
    let _same_path = plan.clone().config(&file(&["berta", "carla"]));
    server.signal("HUP");
    wait_for("the new user to be let in", || me(&server, "carla:correct horse").is_ok());
    // Connections of a user end with it.
    assert_eq!(anna.rest(), b"");
    assert_eq!(me(&server, "anna:correct horse"), Err(401));
    let _same_path = plan.clone().config("users: [{username: x, role: knight, password: y}]\n");
    server.signal("HUP");
    server.wait_for_log("configuration not reloaded");
    assert_eq!(me(&server, "berta:correct horse"), Ok("berta".to_owned()), "the old one stays");
    server.stop();
}

#[test]
fn a_wrong_file_is_refused_at_the_start_and_by_validate_with_its_line() {
    for (file, expected) in [
        (
            "users:\n- {username: a, password: correct horse, role: knight}\n",
            "line 2: `users[0].role`",
        ),
        (
            "api_keys:\n- {key: a, name: a, allowed_ips: [10.0.0.0/40]}\n",
            "line 2: `api_keys[0].allowed",
        ),
        ("users:\n- {username: a, password_hash: $2b$10$a}\n", "line 2: `users[0].password_hash`"),
        ("acl:\n- {resource: kv, actions: [reed]}\n", "line 2: `acl.rules[0].actions`"),
        (
            "users:\n- {username: a, password: correct horse}\n- {username: a, password: b}\n",
            "line 3:",
        ),
        (
            "server: {host: 0.0.0.0}\nauthentication:\n  require_auth_on_public_bind: true\n",
            "line 3: `authentication.require_auth_on_public_bind` needs at least one enabled user",
        ),
    ] {
        let plan = Plan::new().without("SYNAP_HOST").config(file);
        assert_eq!(plan.run_to_end().code(), Some(1), "{file}");
        assert!(plan.log().contains(expected), "{file}\n{}", plan.log());
        validated(&plan, file, expected);
    }
}

/// `--validate` says the same of a file and a data directory as the start does.
fn validated(plan: &Plan, file: &str, expected: &str) {
    let path = plan.data().with_file_name("validated.yml");
    std::fs::write(&path, file).expect("written");
    let checked = job(&["--config", text(&path), "--data-dir", text(plan.data()), "--validate"]);
    assert_eq!(checked.status.code(), Some(1), "{file}");
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(said.contains(expected), "{file}\n{said}");
}

#[test]
fn what_is_defined_twice_or_damaged_is_refused() {
    let plan = guarded();
    plan.start().stop();
    let twice =
        "authentication: {enabled: true}\nusers:\n- {username: admin, password: correct horse}\n";
    let both = plan.clone().config(twice);
    let expected =
        "line 3: `users[0]` names user `admin`, which was also made while the server ran";
    assert_eq!(both.run_to_end().code(), Some(1));
    assert!(both.log().contains(expected), "{}", both.log());
    validated(&plan, twice, expected);

    let path = plan.data().join("auth/access");
    let mut bytes = std::fs::read(&path).expect("there");
    let last = bytes.len() - 5;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).expect("damaged");
    assert_eq!(guarded_at(plan.data()).run_to_end().code(), Some(2), "as damaged data");
    let doctor = job(&["doctor", "--data", text(plan.data())]);
    assert_eq!(doctor.status.code(), Some(2));
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(said.contains("users and API keys damaged") && said.contains("DAMAGE"), "{said}");
}

fn guarded_at(data: &Path) -> Plan {
    guarded().data_at(data)
}

#[test]
fn a_restored_directory_knows_who_may_come_in() {
    let plan = guarded().env("SYNAP_AUTH_ROOT_PASSWORD", "correct horse");
    let server = plan.start();
    let user = json!({ "username": "anna", "password": "battery staple", "roles": ["user"] });
    let made = ask(&server, "admin:correct horse", "POST", "/auth/users", &user);
    assert_eq!(made.status / 100, 2, "{}", made.text());
    server.stop();
    let restored = plan.data().with_file_name("restored");
    let done = job(&["restore", "--from", text(plan.data()), "--to", text(&restored)]);
    assert!(done.status.success(), "{done:?}");
    let server = guarded_at(&restored).start();
    assert_eq!(me(&server, "anna:battery staple"), Ok("anna".to_owned()));
    server.stop();
}

#[test]
fn a_key_of_the_environment_may_do_everything() {
    let server = guarded().env("SYNAP_API_KEY", "synap_environment").start();
    assert!(!server.plan.log().contains("made user"), "there is somebody");
    let keys = ask(&server, "synap_environment", "GET", "/auth/keys", &Value::Null);
    assert_eq!(keys.json()["keys"][0]["name"], "env", "{}", keys.text());
    assert_eq!(me(&server, "synap_other"), Err(401));
    server.stop();
}

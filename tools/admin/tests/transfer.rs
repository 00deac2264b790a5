//! Exports and imports between real servers, in every form.

mod support;

use std::path::Path;

use support::{Synap, bad, good};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

fn fill(server: &Synap) {
    let mut client = server.client();
    for number in 0..3000 {
        let (key, value) = (format!("key:{number}"), format!("value\n\"{number}\""));
        assert_eq!(client.run(&[b"SET", key.as_bytes(), value.as_bytes()]), b"+OK");
    }
    client.run(&[b"SET", b"bin\0\xff", &(0..=255u8).collect::<Vec<_>>()]);
    client.run(&[b"SET", b"", b""]);
    client.run(&[b"SET", b"big", &vec![0xfe; 1_300_000]]);
    assert_eq!(client.ask("EXPIRE key:7 100000"), ":1");
}

fn assert_same(from: &Synap, to: &Synap) {
    let (mut a, mut b) = (from.client(), to.client());
    assert_eq!(a.ask("DBSIZE"), b.ask("DBSIZE"));
    let names = (0..3000).map(|number| format!("key:{number}").into_bytes());
    for key in names.chain([b"bin\0\xff".to_vec(), Vec::new(), b"big".to_vec()]) {
        for command in [&b"GET"[..], b"PEXPIRETIME"] {
            assert_eq!(a.run(&[command, &key]), b.run(&[command, &key]), "{}", key.escape_ascii());
        }
    }
}

#[test]
fn every_form_carries_everything() {
    let from = Synap::start();
    fill(&from);
    let folder = tempfile::tempdir().expect("a directory");
    let to = Synap::start();
    for form in ["json", "lines", "binary"] {
        let file = folder.path().join(form);
        let args = ["--json", "export", "--output", text(&file), "--format", form];
        assert_eq!(good(&from.admin(&args))["entries"], 3003);
        to.client().ask("SET extra 1");
        let args = ["--json", "import", "--input", text(&file), "--mode", "replace"];
        assert_eq!(good(&to.admin(&args))["keys_imported"], 3003);
        assert_same(&from, &to);
        // Once more changes nothing; keys of the server's own stay.
        to.client().ask("SET extra 1");
        good(&to.admin(&["--json", "import", "--input", text(&file)]));
        assert_eq!(to.client().ask("GET extra"), "1");
    }
    let piped = from.admin(&["export", "--output", "-"]);
    let document: serde_json::Value = serde_json::from_slice(&piped.stdout).expect("one document");
    assert_eq!(document["kv"].as_array().map(Vec::len), Some(3003));
    assert_eq!((&document["format"], &document["version"]), (&"synap-export".into(), &1.into()));
}

#[test]
fn damage_in_any_form_changes_nothing() {
    let from = Synap::start();
    from.client().ask("SET k value");
    from.client().ask("SET l value");
    let folder = tempfile::tempdir().expect("a directory");
    let to = Synap::start();
    for form in ["json", "lines", "binary"] {
        let file = folder.path().join(form);
        good(&from.admin(&["--json", "export", "--output", text(&file), "--format", form]));
        let sound = std::fs::read(&file).expect("a file");
        for at in (0..sound.len()).step_by(11) {
            let mut broken = sound.clone();
            broken[at] ^= 1;
            std::fs::write(&file, broken).expect("written");
            let args = ["import", "--format", form, "--input", text(&file)];
            bad(&to.admin(&args), 1);
        }
        assert_eq!(to.client().ask("DBSIZE"), ":0");
    }
}

#[test]
fn documents_written_by_hand_are_taken() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("hand.json");
    let document = r#"{ "format": "synap-export", "version": 1,
        "kv": [ { "key": "a", "value": "b", "ttl_ms": 100000 } ], "hash": [ {} ] }"#;
    std::fs::write(&file, document).expect("written");
    let server = Synap::start();
    let message = bad(&server.admin(&["import", "--input", text(&file)]), 1);
    assert!(message.contains("1 values of hash"), "{message}");
    let args = ["--json", "import", "--input", text(&file), "--skip-unsupported"];
    assert_eq!(good(&server.admin(&args))["checksum"], "none in the file");
    assert_eq!(server.client().ask("GET a"), "b");
    assert_ne!(server.client().ask("PTTL a"), ":-1");
}

#[test]
fn an_interrupted_export_and_import_go_on() {
    let from = Synap::start();
    fill(&from);
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("out");
    let args = ["export", "--output", text(&file), "--resume"];
    let message = bad(&from.admin(&args), 2);
    assert!(message.contains("nothing to resume"), "{message}");
    for form in ["json", "lines", "binary"] {
        let args = ["--json", "export", "--output", text(&file), "--format", form];
        good(&from.admin(&args));
        let sound = std::fs::read(&file).expect("a file");
        let to = Synap::start();
        let args = ["--json", "import", "--input", text(&file), "--resume"];
        bad(&to.admin(&args), 2);
        // As an import leaves it that ended after the first thousand.
        let facts = std::fs::metadata(&file).expect("a file");
        let since = facts.modified().expect("a time").duration_since(std::time::UNIX_EPOCH);
        let state = serde_json::json!({
            "bytes": facts.len(),
            "modified_ms": since.expect("after 1970").as_millis() as u64,
            "url": format!("http://127.0.0.1:{}", to.http),
            "steps": 1000,
        });
        let state_file = folder.path().join("out.import-state");
        std::fs::write(&state_file, state.to_string()).expect("written");
        assert_eq!(good(&to.admin(&args))["keys_imported"], 2003);
        assert!(!state_file.exists());
        assert_eq!(std::fs::read(&file).expect("a file"), sound);
    }
}

#[test]
fn an_export_that_lost_its_server_is_resumed() {
    let mut from = Synap::start();
    fill(&from);
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("out");
    // The part and the state that an export leaves which was ended behind its head.
    let head =
        "{\"format\":\"synap-export-lines\",\"version\":1,\"created_at\":\"x\",\"offset\":0}\n";
    let part = folder.path().join("out.part");
    std::fs::write(&part, format!("{head}{{\"key\":\"torn")).expect("written");
    let state = serde_json::json!({
        "format": "Lines", "cursor": "0", "bytes": head.len(),
        "crc": crc32c::crc32c(head.as_bytes()),
        "entries": 0, "blocks": 0,
    });
    std::fs::write(folder.path().join("out.part.state"), state.to_string()).expect("written");
    let wrong = ["export", "--output", text(&file), "--format", "json", "--resume"];
    bad(&from.admin(&wrong), 2);
    let args = ["--json", "export", "--output", text(&file), "--format", "lines", "--resume"];
    assert_eq!(good(&from.admin(&args))["entries"], 3003);
    let to = Synap::start();
    good(&to.admin(&["--json", "import", "--input", text(&file)]));
    assert_same(&from, &to);
    from.stop();
    bad(&from.admin(&args), 2);
}

#[test]
fn health_stats_and_stop() {
    let mut server = Synap::start();
    assert_eq!(good(&server.admin(&["--json", "health"]))["healthy"], true);
    let stats = good(&server.admin(&["--json", "stats"]));
    assert_eq!(stats["server"]["resp_port"], server.resp);
    assert!(String::from_utf8_lossy(&server.admin(&["stats"]).stdout).contains("memory."));
    assert_eq!(good(&server.admin(&["--json", "stop"]))["stopping"], true);
    server.wait();
    bad(&server.admin(&["health"]), 2);
}

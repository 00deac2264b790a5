//! Certificates: those the server shows and how they change, those clients show, and sessions.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::version::{TLS12, TLS13};

use crate::client::{Client, World, metric};
use crate::pki::{Authority, Usage};
use crate::support::{job, wait_for};

#[test]
fn files_that_cannot_serve_are_refused_at_the_start() {
    let world = World::new();
    let other = world.authority.issue(world.path(), "other", Usage::Server);
    let file = |name: &str, content: &str| {
        let path = world.path().join(name);
        fs::write(&path, content).expect("written");
        path
    };
    let (cert, key) = (&world.pair.certificate, &world.pair.key);
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY--";
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cases: [(&Path, &Path, &Path, &[&str]); 8] = [
        (Path::new("none"), key, cert, &["cannot read none", "cert_path", "No such file"]),
        (&file("empty", ""), key, cert, &["empty", "cert_path", "found nothing in PEM"]),
        (key, key, cert, &["expected certificates in PEM", "found 1 private keys"]),
        (cert, cert, cert, &["key_path", "expected one private key", "found 1 certificates"]),
        (cert, &file("locked", encrypted), cert, &["a private key that is encrypted"]),
        (cert, &other.key, cert, &["found the key of another", "server.crt"]),
        (&file("broken", broken), key, cert, &["broken", "cert_path", "cannot be used"]),
        (cert, key, &file("noca", "x"), &["client_ca_path", "expected certificates of auth"]),
    ];
    for (cert, key, ca, expected) in cases {
        let plan = world
            .plan()
            .env("SYNAP_SERVER__TLS__CERT_PATH", cert.display())
            .env("SYNAP_SERVER__TLS__KEY_PATH", key.display())
            .env("SYNAP_SERVER__TLS__CLIENT_CA_PATH", ca.display());
        assert_eq!(plan.run_to_end().code(), Some(1), "{expected:?}");
        let log = plan.log();
        for part in expected.iter().chain(&["what to do: correct server.tls"]) {
            assert!(log.contains(part), "{part}\n{log}");
        }
    }
}

#[test]
fn clients_without_a_good_certificate_are_refused_and_others_have_its_name() {
    let world = World::new();
    let plan = world.plan().env("SYNAP_SERVER__TLS__CLIENT_CA_PATH", world.ca().display());
    let server = plan.start();
    let alice = world.authority.issue(world.path(), "alice", Usage::Client);
    let stranger = Authority::new("another").issue(world.path(), "stranger", Usage::Client);
    for version in [&TLS12, &TLS13] {
        let connect = |identity| {
            let config = Arc::new(world.config_of(&[version], identity));
            // In TLS 1.3 a client learns that it is refused when it reads.
            let mut client = Client::try_connect(world.resp_tls, config).ok()?;
            client.try_call(&["CLIENT", "INFO"])
        };
        assert_eq!(connect(None), None);
        assert_eq!(connect(Some(&stranger)), None);
        assert_eq!(connect(Some(&world.pair)), None, "a certificate for servers");
        let info = connect(Some(&alice)).expect("she is let in");
        assert!(info.trim_end().ends_with(" cert=alice"), "{info}");
    }
    // HTTPS asks as well.
    let config = Arc::new(world.config_of(&[&TLS13], Some(&alice)));
    let mut http = Client::connect(server.plan.http, config);
    let failed = "synap_tls_handshake_failures_total{reason=\"certificate\"}";
    wait_for("the failures to be counted", || metric(&mut http, failed) == 6.0);
    server.wait_for_log("TLS handshake failed");
}

#[test]
fn certificates_of_clients_can_be_optional() {
    let world = World::new();
    let _server = world
        .plan()
        .env("SYNAP_SERVER__TLS__CLIENT_CA_PATH", world.ca().display())
        .env("SYNAP_SERVER__TLS__CLIENT_AUTH", "optional")
        .start();
    assert!(!world.resp().call(&["CLIENT", "INFO"]).contains("cert="));
    let bob = world.authority.issue(world.path(), "bob", Usage::Client);
    let config = Arc::new(world.config_of(&[&TLS13], Some(&bob)));
    for resumed in [false, true] {
        let mut client = Client::connect(world.resp_tls, Arc::clone(&config));
        assert_eq!(client.was_resumed(), resumed);
        assert!(client.call(&["CLIENT", "INFO"]).contains(" cert=bob"));
    }
    let stranger = Authority::new("another").issue(world.path(), "stranger", Usage::Client);
    let config = Arc::new(world.config_of(&[&TLS13], Some(&stranger)));
    let refused = Client::try_connect(world.resp_tls, config);
    assert!(refused.is_err() || refused.is_ok_and(|mut c| c.try_call(&["PING"]).is_none()));
}

#[test]
fn whom_a_certificate_names_comes_back_with_reset() {
    const USERS: &str = "authentication:\n  enabled: true\n  require_auth: true\n\
                         users:\n  - {username: bob, password: a long enough word, role: admin}\n  \
                         - {username: eve, password: another long word, role: readonly}\n";
    let world = World::new();
    let plan = world.plan().env("SYNAP_SERVER__TLS__CLIENT_CA_PATH", world.ca().display());
    let plan = plan.env("SYNAP_SERVER__TLS__CLIENT_AUTH", "optional").config(USERS);
    let server = plan.start();
    let bob = world.authority.issue(world.path(), "bob", Usage::Client);
    let mut client =
        Client::connect(world.resp_tls, Arc::new(world.config_of(&[&TLS13], Some(&bob))));
    let user = |client: &mut Client| {
        let info = client.call(&["CLIENT", "INFO"]);
        let at = info.find(" user=").map_or(0, |at| at + 6);
        info[at..].split(' ').next().unwrap_or_default().to_owned()
    };
    assert_eq!(user(&mut client), "bob");
    assert!(client.call(&["AUTH", "eve", "another long word"]).contains("OK"));
    assert_eq!(user(&mut client), "eve");
    assert!(client.call(&["SET", "k", "v"]).contains("NOPERM"));
    assert!(client.call(&["RESET"]).contains("RESET"));
    assert_eq!(user(&mut client), "bob");
    assert!(client.call(&["SET", "k", "v"]).contains("OK"));
    let mut plain = server.resp();
    assert!(plain.call(&["AUTH", "eve", "another long word"]).contains("OK"));
    assert!(plain.call(&["RESET"]).contains("RESET"));
    assert!(plain.call(&["GET", "k"]).contains("NOAUTH"));
}

/// The core that serves a client.
fn core_of(client: &mut Client) -> String {
    let info = client.call(&["CLIENT", "INFO"]);
    let core = info.split(' ').find_map(|field| field.trim().strip_prefix("core="));
    core.expect("a core").to_owned()
}

#[test]
fn sessions_are_taken_up_on_every_core() {
    let world = World::new();
    let server = world.plan().start();
    for version in [&TLS12, &TLS13] {
        let config = Arc::new(world.config_of(&[version], None));
        let mut first = Client::connect(world.resp_tls, Arc::clone(&config));
        assert!(!first.was_resumed());
        let home = core_of(&mut first);
        // The kernel chooses the core.
        wait_for("a session taken up on another core", || {
            let mut next = Client::connect(world.resp_tls, Arc::clone(&config));
            let core = core_of(&mut next);
            assert!(next.was_resumed(), "core {core}");
            core != home
        });
        // Also behind the other port, and after the files were read again.
        server.signal("HUP");
        server.wait_for_log("certificate of server.tls read");
        let mut http = Client::connect(server.plan.http, Arc::clone(&config));
        assert_eq!(http.request("GET", "/health", "").0, 200);
        assert!(http.was_resumed());
    }
    let mut http = world.http(&server);
    assert!(metric(&mut http, "synap_tls_handshakes_total{kind=\"resumed\"}") >= 4.0);
}

#[test]
fn certificates_change_under_load_and_a_bad_file_changes_nothing() {
    let world = World::new();
    let server = world.plan().start();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let works = || {
            let (mut kept, mut rounds) = (world.resp(), 0_u64);
            while !stop.load(Ordering::Relaxed) || rounds < 10 {
                assert_eq!(kept.call(&["INCR", "kept"]).as_bytes()[0], b':');
                assert_eq!(world.resp().call(&["PING"]), "+PONG");
                rounds += 1;
            }
        };
        let workers = [scope.spawn(works), scope.spawn(works)];
        let mut seen = vec![world.resp().certificate()];
        for name in ["second", "third"] {
            let new = world.authority.issue(world.path(), name, Usage::Server);
            new.replace(&world.pair);
            server.signal("HUP");
            wait_for("the new certificate", || !seen.contains(&world.resp().certificate()));
            seen.push(world.resp().certificate());
        }
        fs::write(&world.pair.key, "damaged").expect("written");
        server.signal("HUP");
        server.wait_for_log("certificates not reloaded, the old ones stay in effect");
        server.wait_for_log("(`server.tls.key_path`): expected one private key");
        assert_eq!(&world.resp().certificate(), seen.last().expect("three"));
        stop.store(true, Ordering::Relaxed);
        workers.into_iter().for_each(|worker| worker.join().expect("it saw nothing wrong"));
    });
    server.stop();
}

#[test]
fn tickets_end_with_the_authorities_they_were_given_under() {
    let world = World::new();
    let ca = world.ca();
    let plan = world.plan().env("SYNAP_SERVER__TLS__CLIENT_CA_PATH", ca.display());
    let server = plan.start();
    let alice = world.authority.issue(world.path(), "alice", Usage::Client);
    let config = Arc::new(world.config_of(&[&TLS13], Some(&alice)));
    let connect = || {
        let mut client = Client::try_connect(world.resp_tls, Arc::clone(&config)).ok()?;
        client.try_call(&["PING"]).map(|_| client.was_resumed())
    };
    assert_eq!((connect(), connect()), (Some(false), Some(true)));
    Authority::new("another").write(world.path(), "ca");
    server.signal("HUP");
    wait_for("her to be refused", || connect().is_none());
}

#[test]
fn a_health_check_asks_under_tls() {
    let world = World::new();
    let server = world.plan().start();
    let config = world.path().join("config.yml");
    let pair = &world.pair;
    let text = format!(
        "server:\n  host: 127.0.0.1\n  port: {}\n  tls:\n    enabled: true\n    cert_path: {}\n    \
         key_path: {}\n",
        server.plan.http,
        pair.certificate.display(),
        pair.key.display()
    );
    fs::write(&config, text).expect("written");
    let check = || job(&["--config", config.to_str().expect("text"), "--health-check"]);
    let output = check();
    assert!(output.status.success(), "{output:?}");
    server.stop();
    assert_eq!(check().status.code(), Some(1));
}

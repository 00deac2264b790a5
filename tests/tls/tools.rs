//! The clients people have: those of Redis, curl, and OpenSSL's own.

use std::process::{Command, Output, Stdio};

use crate::client::World;
use crate::support::{free_ports, installed, text};

fn run(program: &str, args: &[&str]) -> (bool, String) {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let Output { status, stdout, stderr } = output.expect("the program runs");
    let said = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.success(), said)
}

#[test]
fn clients_of_redis_speak_it() {
    if !installed("redis-cli") || !installed("redis-benchmark") {
        return;
    }
    let world = World::new();
    let _server = world.plan().start();
    let (port, ca) = (world.resp_tls.to_string(), world.ca());
    let tls = ["-p", &port, "--tls", "--cacert", text(&ca)];
    let cli = |words: &[&str]| run("redis-cli", &[&tls[..], words].concat());
    assert_eq!(cli(&["SET", "k", "v"]), (true, "OK\n".to_owned()));
    assert_eq!(cli(&["GET", "k"]), (true, "v\n".to_owned()));
    let work = ["-n", "5000", "-c", "20", "-P", "16", "-t", "set,get", "-q"];
    let (ended, said) = run("redis-benchmark", &[&tls[..], &work].concat());
    assert!(ended && said.contains("GET: "), "{said}");
}

#[test]
fn a_cluster_aware_client_of_redis_follows_it() {
    if !installed("redis-cli") {
        return;
    }
    let world = World::new();
    let base = free_ports(1);
    let plan = world.plan().env("SYNAP_SERVER__SHARD_TLS_PORT_BASE", base);
    let _server = plan.env("SYNAP_SERVER__TLS__ENABLED", "false").start();
    let (port, ca) = (base.to_string(), world.ca());
    let tls = ["-c", "-h", "127.0.0.1", "-p", &port, "--tls", "--cacert", text(&ca)];
    for key in (0..20).map(|number| format!("key:{number}")) {
        let (ended, said) = run("redis-cli", &[&tls[..], &["SET", &key, "v"]].concat());
        assert!(ended && said.trim_end().ends_with("OK"), "{key}: {said}");
    }
    assert_eq!(run("redis-cli", &[&tls[..], &["PING"]].concat()), (true, "PONG\n".to_owned()));
}

#[test]
fn curl_speaks_it_in_both_versions() {
    if !installed("curl") {
        return;
    }
    let world = World::new();
    let server = world.plan().start();
    let (ca, url) = (world.ca(), format!("https://localhost:{}/health", server.plan.http));
    let ask = |options: &[&str]| {
        let common = ["-sS", "--max-time", "30", "--cacert", text(&ca)];
        run("curl", &[&common[..], options, &[&url]].concat())
    };
    for options in [&["--tlsv1.2", "--tls-max", "1.2"][..], &["--tlsv1.3"], &["--http2"]] {
        let (ended, said) = ask(options);
        assert!(ended && said.contains("\"status\""), "{options:?}: {said}");
    }
    let (ended, _) = run("curl", &["-sS", "--max-time", "30", &url]);
    assert!(!ended, "a certificate nobody vouches for is refused");
}

/// As [`installed`], for a program that has its version behind another word.
fn has_openssl() -> bool {
    let found = Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("SKIPPED: openssl is not installed; install it to run this check");
    }
    found
}

/// What OpenSSL says of a handshake with these options.
fn s_client(port: u16, ca: &str, options: &[&str]) -> (bool, String) {
    let address = format!("localhost:{port}");
    let common = ["s_client", "-connect", &address, "-CAfile", ca, "-verify_return_error"];
    run("openssl", &[&common[..], options].concat())
}

#[test]
fn openssl_finds_modern_versions_and_suites_only() {
    if !has_openssl() {
        return;
    }
    let world = World::new();
    let server = world.plan().start();
    let ca = world.ca();
    let good: [&[&str]; 7] = [
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"],
        &["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"],
        &["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"],
        &["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
        &["-tls1_3", "-groups", "P-256"],
    ];
    let bad: [&[&str]; 5] = [
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"],
        &["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
        &["-tls1_2", "-cipher", "ADH-AES128-GCM-SHA256:@SECLEVEL=0"],
    ];
    for port in [world.resp_tls, server.plan.http] {
        for options in good {
            let (_, said) = s_client(port, text(&ca), options);
            assert!(said.contains("Verify return code: 0 (ok)"), "{options:?}: {said}");
            assert!(said.contains("Secure Renegotiation IS supported") || options[0] != "-tls1_2");
            assert!(said.contains("Compression: NONE"), "{options:?}: {said}");
        }
        for options in bad {
            let (ended, said) = s_client(port, text(&ca), options);
            assert!(!ended, "{options:?} was accepted: {said}");
        }
    }
}

#[test]
fn a_key_of_rsa_serves() {
    if !has_openssl() {
        return;
    }
    let world = World::new();
    let (cert, key) = (&world.pair.certificate, &world.pair.key);
    let (made, said) = run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=rsa",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            text(key),
            "-out",
            text(cert),
        ],
    );
    assert!(made, "{said}");
    let server = world.plan().start();
    for options in [&["-tls1_2"][..], &["-tls1_3"]] {
        let (_, said) = s_client(server.plan.http, text(cert), options);
        assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
        assert!(said.contains("Server public key is 2048 bit"), "{said}");
    }
}

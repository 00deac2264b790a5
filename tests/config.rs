//! Loading configuration as a user meets it: sample files, precedence, messages, round trips, and
//! files that are wrong in every way a byte can be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use synap::config::{
    Config, ConfigErrors, EvictionPolicy, Flag, FsyncMode, Loaded, LogFormat, LogOutput, Sources,
};

/// Sample files, and the keys this build refuses to start with in each.
const FIXTURES: &[(&str, &[&str])] = &[
    ("production-master.yml", &["replication.enabled"]),
    ("recommended.yml", &[]),
    ("high-throughput.yml", &[]),
    ("low-latency.yml", &[]),
    ("maximum-safety.yml", &[]),
    ("standalone-dev.yml", &[]),
    ("readme-master.yml", &["replication.enabled"]),
    ("readme-replica.yml", &["replication.enabled", "replication.role"]),
    ("kubernetes-master.yml", &["replication.enabled"]),
    ("kubernetes-replica.yml", &["replication.enabled", "replication.role"]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures/config").join(name)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn text(yaml: &str) -> Result<Loaded, ConfigErrors> {
    Config::from_text(yaml, &Sources::default())
}

fn good(yaml: &str) -> Config {
    text(yaml).unwrap_or_else(|e| panic!("{e}")).config
}

fn bad(yaml: &str) -> String {
    match text(yaml) {
        Ok(_) => panic!("accepted: {yaml}"),
        Err(errors) => errors.to_string(),
    }
}

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn with_env(yaml: &str, pairs: &[(&str, &str)]) -> Loaded {
    let sources = Sources { env: env(pairs), ..Sources::default() };
    Config::from_text(yaml, &sources).unwrap_or_else(|e| panic!("{e}"))
}

fn warnings(yaml: &str) -> Vec<String> {
    let loaded = text(yaml).unwrap_or_else(|e| panic!("{e}"));
    loaded.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn sample_files_load_without_warnings() {
    for (name, refused) in FIXTURES {
        let sources = Sources { file: Some(fixture(name)), strict: true, ..Sources::default() };
        let loaded = Config::load(&sources).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(loaded.warnings, [], "{name}");
        let keys: Vec<&str> = loaded.config.unsupported().iter().map(|u| u.key).collect();
        assert_eq!(keys, *refused, "{name}");
    }
}

#[test]
fn shipped_files_load_without_warnings_and_may_start() {
    for name in ["config.yml", "dev.yml", "production.yml"] {
        let path = root().join("config").join(name);
        let sources = Sources { file: Some(path), strict: true, ..Sources::default() };
        let loaded = Config::load(&sources).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(loaded.warnings, [], "{name}");
        assert_eq!(loaded.config.unsupported(), [], "{name}");
    }
}

#[test]
fn the_reference_file_is_up_to_date() {
    let path = root().join("config/config.yml");
    let fresh = synap::config::reference();
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(&path, &fresh).expect("the file can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let line = kept.lines().zip(fresh.lines()).position(|(kept, fresh)| kept != fresh);
    assert!(kept == fresh, "config/config.yml differs (line {line:?}); run with REWRITE=1");
}

#[test]
fn the_reference_file_says_the_defaults() {
    let from_file = good(&synap::config::reference());
    let defaults = Config::default();
    assert_eq!(from_file.show(), defaults.show());
    assert_eq!((from_file.kv_store, from_file.server), (defaults.kv_store, defaults.server));
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = Config::default();
    assert_eq!((config.server.host.as_str(), config.server.port), ("0.0.0.0", 15_500));
    assert_eq!((config.resp3.host.as_str(), config.resp3.port), ("127.0.0.1", 6379));
    assert!(config.resp3.enabled && !config.resp3.port_is_explicit);
    assert_eq!(config.kv_store.max_memory_mb, 4096);
    assert_eq!(config.kv_store.eviction_policy, EvictionPolicy::Lru);
    assert!(config.persistence.enabled);
    assert_eq!(config.persistence.wal.fsync_mode, FsyncMode::Periodic);
    assert_eq!(config.persistence.wal.fsync_interval_ms, 10);
    assert_eq!(config.persistence.wal.path, Path::new("./data/wal"));
    assert_eq!(config.logging.format, LogFormat::Json);
    assert_eq!(config.logging.output, LogOutput::Stdout);
}

#[test]
fn flags_win_over_environment_over_file() {
    let yaml = "server: {host: 127.0.0.1, port: 1, workers: 1}\nlogging: {level: error}\n";
    let flag = |key, name, text: &str| Flag { key, name, text: text.to_owned() };
    let sources = Sources {
        env: env(&[("SYNAP_PORT", "2"), ("SYNAP_SERVER__WORKERS", "2"), ("RUST_LOG", "trace")]),
        flags: vec![
            flag("server.workers", "--workers", "3"),
            flag("logging.level", "--log-level", "warn"),
        ],
        ..Sources::default()
    };
    let config = Config::from_text(yaml, &sources).unwrap_or_else(|e| panic!("{e}")).config;
    let server = &config.server;
    assert_eq!((server.host.as_str(), server.port, server.workers), ("127.0.0.1", 2, 3));
    assert_eq!(config.logging.level, "trace");
}

#[test]
fn the_environment_sets_what_the_contract_lists() {
    let loaded = with_env(
        "",
        &[
            ("SYNAP_DATA_DIR", "/srv/synap"),
            ("SYNAP_PERSISTENCE_ENABLED", "no"),
            ("SYNAP_RESP3__PORT", "6379"),
            ("SYNAP_KV_STORE__EVICTION_POLICY", "AllKeys-LFU"),
            ("SYNAP_SERVER__CORS__ALLOWED_ORIGINS", "https://a.example, https://b.example"),
            ("SYNAP_SERVER__CPU_LIST", "0-1,4"),
            ("SYNAP_ROLE", "master"),
            ("SYNAP_API_KEY", "client-side"),
        ],
    );
    let config = &loaded.config;
    assert_eq!(loaded.warnings, []);
    assert_eq!(config.persistence.wal.path, Path::new("/srv/synap/wal"));
    assert!(!config.persistence.enabled);
    assert!(config.resp3.port_is_explicit);
    assert_eq!(config.kv_store.eviction_policy, EvictionPolicy::Lfu);
    assert_eq!(config.server.cors.allowed_origins, ["https://a.example", "https://b.example"]);
    assert_eq!(config.server.cpu_list.as_deref(), Some([0, 1, 4].as_slice()));
    assert_eq!(config.unsupported()[0].key, "replication.enabled");
}

#[test]
fn service_links_of_an_orchestrator_are_not_settings() {
    let loaded = with_env("", &[("SYNAP_PORT", "tcp://10.0.0.1:15500")]);
    assert_eq!(loaded.config.server.port, 15_500);
    assert_eq!(loaded.warnings.len(), 1);
}

#[test]
fn variables_are_filled_in() {
    let yaml = "server:\n  port: ${PORT:-1234}\nlogging:\n  output: \"${DIR}/log\"\n";
    let config = with_env(yaml, &[("DIR", "/tmp")]).config;
    assert_eq!(config.server.port, 1234);
    assert_eq!(config.logging.output, LogOutput::File("/tmp/log".into()));
    let message = bad(yaml);
    assert!(message.contains("line 4: `logging.output` uses ${DIR}"), "{message}");
}

#[test]
fn unknown_keys_warn_with_line_and_suggestion() {
    let yaml = "kv_store:\n  max_memmory_mb: 1\nservre:\n  port: 1\nserver:\n  zzz: 1\n";
    assert_eq!(
        warnings(yaml),
        [
            "unknown key `kv_store.max_memmory_mb` at line 2; did you mean `max_memory_mb`?",
            "unknown key `servre` at line 4; did you mean `server`?",
            "unknown key `server.zzz` at line 6",
        ]
    );
    let strict = Sources { strict: true, ..Sources::default() };
    let errors = Config::from_text(yaml, &strict).expect_err("refused").errors;
    assert_eq!(errors.len(), 3);
    let hash = format!("$2b$12${}", "a".repeat(53));
    let users = format!("users:\n  - username: a\n    pasword: b\n    password_hash: {hash}\n");
    assert_eq!(
        warnings(&users),
        ["unknown key `users[0].pasword` at line 3; did you mean `password`?"]
    );
}

#[test]
fn the_environment_of_a_node_of_distributed_sync_system_counts_by_its_type() {
    let node = [
        ("NODE_TYPE", "queue"),
        ("NODE_ID", "queue_0"),
        ("NODE_HOST", "127.0.0.1"),
        ("API_PORT", "9001"),
        ("PEER_NODES", "queue_0:queue_0:9001"),
        ("LOG_LEVEL", "WARNING"),
        ("QUEUE_PERSISTENCE", "false"),
        ("ENABLE_METRICS", "false"),
    ];
    let config = with_env("", &node).config;
    let dss = &config.dss;
    assert_eq!((dss.queue_port, dss.node_id.as_str()), (Some(9001), "queue_0"));
    assert_eq!((dss.host.as_str(), config.logging.level.as_str()), ("127.0.0.1", "warn"));
    assert!(!config.persistence.enabled && !config.monitoring.enabled);
    assert_eq!(config.unsupported(), []);
    let ours = [node.as_slice(), &[("SYNAP_DSS__QUEUE_PORT", "9005")]].concat();
    assert_eq!(with_env("", &ours).config.dss.queue_port, Some(9005));
    // Such names mean nothing without the type of a node.
    let config = with_env("", &node[1..]).config;
    assert_eq!((config.dss.queue_port, config.dss.node_id.as_str()), (None, "node_0"));
    assert_eq!(with_env("", &[("NODE_TYPE", "queue")]).config.dss.queue_port, Some(9000));
    for (pairs, key) in [
        ([("NODE_TYPE", "lock_manager"), ("NODE_ID", "a")], "dss.lock_port"),
        ([("NODE_TYPE", "cache"), ("NODE_ID", "a")], "dss.cache_port"),
        ([("NODE_TYPE", "queue"), ("PEER_NODES", "b:10.0.0.2:9000")], "dss.peer_nodes"),
    ] {
        let refused = with_env("", &pairs).config.unsupported();
        assert_eq!(refused.iter().map(|it| it.key).collect::<Vec<_>>(), [key]);
    }
}

#[test]
fn known_keys_without_effect_warn() {
    let yaml = "monitoring: {prometheus_port: 9090}\ncluster: {enabled: false}\n";
    let heard = warnings(yaml);
    assert!(heard[0].contains("`monitoring.prometheus_port` (line 1) has no effect"), "{heard:?}");
    assert!(heard[1].contains("`cluster` (line 2) has no effect"), "{heard:?}");
}

#[test]
fn wrong_values_name_line_key_expected_and_found() {
    let cases = [
        (
            "server:\n  port: http\n",
            "line 2: `server.port`: expected a whole number from 1 to 65535, found `http`",
        ),
        ("server:\n  port: 70000\n", "found `70000`"),
        ("server:\n  port: [1]\n", "found a list of 1"),
        ("kv_store:\n  eviction_policy: mru\n", "line 2: `kv_store.eviction_policy`: expected one"),
        ("kv_store: 7\n", "line 1: `kv_store`: expected a section with keys"),
        ("persistence:\n  enabled: maybe\n", "expected true or false, found `maybe`"),
        ("replication: {role: replica}\n", "`replication.role` is `replica`, but no master"),
        ("server: {role: master}\nreplication: {role: standalone}\n", "contradicts line 1"),
        ("logging: {level: 'synap=loud'}\n", "`logging.level` is not a level or filter"),
        ("server: {tls: {enabled: true}}\n", "`server.tls.enabled` needs `server.tls.cert_path`"),
        ("resp3: {tls_port: 6380}\n", "`resp3.tls_port` needs `server.tls.cert_path`"),
        ("server: {tls: {port: 6380}}\n", "`server.tls.port` needs `server.tls.enabled`"),
        ("dss: {tls_enabled: true}\n", "`dss.tls_enabled` needs `dss.queue_port`"),
        ("resp3: {port: 0}\n", "`resp3.port` is 0, which needs `resp3.tls_port`"),
        (
            "server: {port: 81, tls: {enabled: true, port: 81, cert_path: a, key_path: b}}\n",
            "`server.tls.port` is `server.port`",
        ),
        ("users:\n- username: a\n", "line 2: `users[0]`: expected password_hash or password"),
        (
            "users:\n- username: a\n  password: correct horse\n  role: knight\n",
            "line 4: `users[0].role`: expected a role, one of admin, data_manager, queue_manager, \
             readonly, stream_manager, user, found `knight`",
        ),
        (
            "users:\n- {username: a, password: correct horse}\n- username: a\n  password: b\n",
            "line 3: `users[1].username` repeats the name `a`",
        ),
        (
            "users:\n- username: a\n  password_hash: $2b$09$short\n",
            "line 3: `users[0].password_hash`: expected a bcrypt hash ($2a$, $2b$ or $2y$) of cost \
             10 to 14, or an argon2 hash of at most 256 MiB, 32 passes and 16 lanes, found a \
             masked value",
        ),
        (
            "users: [{username: a, password: hunter2}]\n",
            "`users[0].password` is too weak a password",
        ),
        ("users: [{username: 'a:b', password: correct horse}]\n", "without blanks, colons and"),
        (
            "auth: {root: {username: root, password: root}}\n",
            "line 1: `authentication.default_admin",
        ),
        (
            "api_keys: [{name: a}]\n",
            "line 1: `api_keys[0]`: expected key or key_hash, found neither",
        ),
        (
            "api_keys:\n- {key: a, name: a}\n- {key: a, name: b}\n",
            "line 3: `api_keys[1]` repeats a key",
        ),
        ("api_keys: [{key_hash: 'sha256:00', name: a}]\n", "expected sha256: and 64 hexadecimal"),
        (
            "api_keys:\n- key: a\n  name: a\n  permissions:\n  - {resource: kv, action: reed}\n",
            "line 5: `api_keys[0].action`: expected one of read, write, delete, consume, \
             configure, admin, all, found `reed`",
        ),
        ("roles: [{name: admin}]\n", "`roles[0].name` repeats the name `admin`"),
        (
            "acl:\n- resource: tree:*\n  actions: [read]\n",
            "line 2: `acl.rules[0].resource` is no resource: expected a resource `kind:pattern`",
        ),
        ("acl: [{resource_type: kv}]\n", "expected at least one action, found none"),
        (
            "acl: [{resource: kv, actions: [read], roles: [x]}]\n",
            "`acl.rules[0].roles`: expected a",
        ),
        (
            "acl: [{resource: kv, actions: [read], roles: [user], authenticated: false}]\n",
            "is for everybody, and yet lists roles or users",
        ),
        (
            "authentication: {default_key_ttl: 5, api_key_default_expiration_days: 1}\n",
            "`authentication.default_key_ttl` contradicts",
        ),
        ("api_keys:\n- {key: a, name: b, allowed_ips: [10.0.0.0/99]}\n", "allowed_ips[0]"),
        ("server: {shard_port_base: 15499, workers: 4}\n", "among them `server.port`"),
        (
            "server: {shard_port_base: 7000, shard_tls_port_base: 7003, workers: 4}\n",
            "needs ports 7003 to 7006, some of them of `server.shard_port_base`",
        ),
        (
            "server: {shard_tls_port_base: 7003}\n",
            "`server.shard_tls_port_base` needs `server.tls.cert_path`",
        ),
        ("server: {echo_prefix: echo}\n", "expected a URL path"),
        ("a: 1\na: 2\n", "line 2: `a` is set twice; first at line 1"),
        ("- 1\n", "expected sections"),
        ("a: [1\n", "line"),
    ];
    for (yaml, expected) in cases {
        let message = bad(yaml);
        assert!(message.contains(expected), "{yaml}\n{message}");
    }
}

#[test]
fn all_errors_are_reported_at_once() {
    let errors = text("server: {port: x, workers: y}\n").expect_err("refused");
    assert_eq!(errors.errors.len(), 2);
}

#[test]
fn other_names_set_the_same_keys() {
    let config = good(
        "network: {max_connections: 7}\nreplication: {heartbeat_interval_secs: 2, mode: Master}\n\
         stream: {max_events_per_room: 5}\nauth: {enabled: yes}\n\
         kv_store: {eviction_policy: noeviction, compression: {threshold_bytes: 9}}\n",
    );
    assert_eq!(config.server.max_connections, 7);
    assert_eq!(config.kv_store.eviction_policy, EvictionPolicy::None);
    let shown = config.show();
    for line in ["heartbeat_interval_ms: 2000", "role: master", "max_buffer_size: 5"] {
        assert!(shown.contains(line), "{shown}");
    }
    assert!(shown.contains("min_payload_size: 9"), "{shown}");
    assert!(config.access.switches.enabled);
}

#[test]
fn what_would_be_unsafe_is_refused_at_start_only() {
    let refused = |yaml: &str| -> Vec<&'static str> {
        good(yaml).unsupported().iter().map(|unsupported| unsupported.key).collect()
    };
    assert!(refused("rate_limit: {enabled: true}\n").is_empty());
    assert_eq!(refused("replication: {enabled: true}\n"), ["replication.enabled"]);
    assert!(refused("authentication: {enabled: true}\nacl: {enabled: true}\n").is_empty());
    let bind = |host| {
        format!("server: {{host: {host}}}\nauthentication: {{require_auth_on_public_bind: true}}\n")
    };
    assert!(good(&bind("0.0.0.0")).access.switches.required);
    assert!(!good(&bind("127.0.0.1")).access.switches.enabled);
    let shown = good("replication: {enabled: true}\n").unsupported()[0].to_string();
    assert!(shown.contains("`replication.enabled` (line 1)"), "{shown}");
}

#[test]
fn what_is_shown_loads_again_and_hides_secrets() {
    let yaml = "replication: {auth_token: hunter2}\n\
                users: [{username: a, password: hunter3hunter3}]\n\
                api_keys: [{key: hunter4, name: n}]\n\
                logging: {output: \"/tmp/a b\\\"c: ${X:-d}\"}\n\
                server: {cpu_list: 0-2, tls: {enabled: false}, cors: {allowed_origins: [\"*\"]}}\n";
    let config = good(yaml);
    let shown = config.show();
    assert!(!shown.contains("hunter"), "{shown}");
    assert!(!format!("{config:?}").contains("hunter"));
    let unmasked = shown.replace("password: \"***\"", "password: correct horse");
    assert_eq!(good(&unmasked).show(), shown);
}

#[test]
fn secrets_stay_out_of_messages() {
    let long = "x".repeat(5000);
    let message = bad(&format!("replication: {{auth_token: {long}}}\n"));
    assert!(message.contains("a masked value"), "{message}");
    let message = bad(&format!("users: [{{username: a, password: {long}}}]\n"));
    assert!(message.contains("users[0].password") && !message.contains("xx"), "{message}");
}

#[test]
fn a_reload_applies_what_it_can() {
    let old = good("kv_store: {max_memory_mb: 100}\nserver: {port: 15500}\n");
    let new = good(
        "kv_store: {max_memory_mb: 200, max_keys: 9}\nlogging: {level: debug}\n\
         server: {port: 15500}\nresp3: {port: 6379}\n",
    );
    let plan = old.reload_diff(&new);
    let applied: Vec<(&str, &str, &str)> =
        plan.apply.iter().map(|c| (c.key, c.from.as_str(), c.to.as_str())).collect();
    assert_eq!(
        applied,
        [("logging.level", "info", "debug"), ("kv_store.max_memory_mb", "100", "200")]
    );
    assert_eq!(plan.restart_needed, ["kv_store.max_keys"]);
    assert_eq!(plan.refused, []);
    let running = old.reloaded(&new);
    assert_eq!(running.kv_store.max_memory_mb, 200);
    assert_eq!(running.kv_store.max_keys, None);
    assert!(running.reload_diff(&new).apply.is_empty());
    let unsafe_now = good("replication: {enabled: true}\n");
    assert_eq!(old.reload_diff(&unsafe_now).refused.len(), 1);
}

#[test]
fn a_named_file_must_exist() {
    let sources = Sources { file: Some("/nonexistent/synap.yml".into()), ..Sources::default() };
    let message = Config::load(&sources).expect_err("refused").to_string();
    assert!(message.contains("does not exist"), "{message}");
    let sources =
        Sources { env: env(&[("SYNAP_CONFIG_PATH", "/nonexistent/a.yml")]), ..Sources::default() };
    assert!(Config::load(&sources).is_err());
}

#[test]
fn a_huge_file_is_refused_unread() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("huge.yml");
    let file = std::fs::File::create(&path).expect("created");
    file.set_len(1 << 40).expect("a sparse file");
    let sources = Sources { file: Some(path), ..Sources::default() };
    let message = Config::load(&sources).expect_err("refused").to_string();
    assert!(message.contains("larger than"), "{message}");
}

/// A small generator; the seed makes a failure repeatable.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    const PIECES: &[&str] = &[
        "&a ",
        "*a ",
        "[",
        "]",
        "{",
        "}",
        ": ",
        "- ",
        "\n",
        "  ",
        "\t",
        "${",
        "}",
        "|\n",
        ">\n",
        "---\n",
        "!!str ",
        "\"",
        "'",
        "~",
        "99999999999999999999",
        "-1",
        "\u{0}",
        "\u{feff}",
        "? ",
        "<<: ",
        "#",
        "%YAML 1.1\n",
        "...\n",
        "\u{2028}",
    ];
    let at = random.below(bytes.len() + 1);
    match random.below(5) {
        0 => bytes.truncate(at),
        1 => {
            let piece = PIECES[random.below(PIECES.len())];
            bytes.splice(at..at, piece.bytes());
        }
        2 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).expect("a byte"),
        3 => {
            let end = (at + random.below(40)).min(bytes.len());
            bytes.drain(at..end);
        }
        _ => {
            let end = (at + random.below(80)).min(bytes.len());
            let copy = bytes[at..end].to_vec();
            let to = random.below(bytes.len() + 1);
            bytes.splice(to..to, copy);
        }
    }
}

#[test]
fn damaged_files_give_errors_not_panics() {
    let mut seeds: Vec<String> = FIXTURES.iter().map(|(name, _)| read(&fixture(name))).collect();
    seeds.push(synap::config::reference());
    let mut random = Random(20_240_601);
    for round in 0..4_000 {
        let mut bytes = seeds[round % seeds.len()].clone().into_bytes();
        for _ in 0..=random.below(6) {
            mutate(&mut bytes, &mut random);
        }
        let yaml = String::from_utf8_lossy(&bytes);
        if let Ok(loaded) = text(&yaml) {
            let shown = loaded.config.show();
            if shown.contains("***") {
                continue;
            }
            let again = text(&shown).unwrap_or_else(|e| panic!("{e}\n{yaml}\n---\n{shown}"));
            assert_eq!(again.config.show(), shown, "{yaml}");
        }
    }
}

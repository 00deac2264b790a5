//! Configuration files: loading answers with a configuration or with errors; what it accepts can be
//! shown, and what is shown loads to the same.

use synap::config::{Config, Sources};

use super::{Target, texts};

pub(crate) const TARGET: Target = Target { name: "config", seeds, dictionary: DICTIONARY, run };

const DICTIONARY: &[&[u8]] = &[
    b": ", b"\n", b"  ", b"- ", b"&a ", b"*a", b"<<: *a", b"{", b"}", b"[", b"]", b"|", b">", b"'",
    b"\"", b"#", b"---", b"...", b"!!int ", b"~", b"true", b"0x10", b"1e3", b"\t", b"%YAML",
];

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = texts(&[
        "server:\n  host: 127.0.0.1\n  port: 15500\nkv_store:\n  max_memory_mb: 100\n",
        "persistence:\n  enabled: true\n  wal:\n    fsync_mode: always\n    path: ./data/wal\n",
        "logging: {level: info, format: json}\n",
    ]);
    seeds.push(synap::config::reference().into_bytes());
    seeds
}

fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let sources = Sources::default();
    if let Ok(loaded) = Config::from_text(text, &sources) {
        let shown = loaded.config.show();
        if shown.contains("***") {
            // What stands for a secret need not be good enough for one.
            return;
        }
        let again = Config::from_text(&shown, &sources);
        assert!(again.is_ok(), "what is shown loads:\n{shown}");
    }
}

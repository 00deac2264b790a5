//! The short forms of the command line that the server's own commands do not have.
//!
//! Guarantees: everything else goes to the server as typed. Pure.

use std::fmt::Write;

use crate::client::words;
use crate::watch::Followed;

/// Keys that one bare SCAN lists unless a count is given.
const SCAN_KEYS: usize = 1_000;

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A command for the server.
    Command(Vec<Vec<u8>>),
    /// A command after which the server goes on sending.
    Stream(Vec<Vec<u8>>),
    /// Walk over the keys that match, up to a number.
    Scan { pattern: Vec<u8>, count: usize },
    /// Show events of a room or a partition as they come.
    Follow(Followed),
    /// Show the figures of a queue again and again.
    Queue(Vec<u8>),
    /// The summary made of INFO.
    Stats,
    /// Help on everything or on one command.
    Help(String),
    /// End of the session.
    Quit,
}

/// What `args`, which are not empty, ask for.
pub(crate) fn request(mut args: Vec<Vec<u8>>) -> Request {
    let name = args.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
    match (name.as_slice(), args.len()) {
        (b"QUIT" | b"EXIT", 1) => return Request::Quit,
        (b"HELP", _) => {
            let rest: Vec<_> = args[1..].iter().map(|arg| String::from_utf8_lossy(arg)).collect();
            return Request::Help(rest.join(" "));
        }
        (b"STATS", 1) => return Request::Stats,
        (b"WATCHQUEUE", 2) => return Request::Queue(args.remove(1)),
        (b"FOLLOW", _) => {
            if let Some(followed) = Followed::of(&args[1..]) {
                return Request::Follow(followed);
            }
        }
        (b"SUBSCRIBE" | b"PSUBSCRIBE" | b"SSUBSCRIBE" | b"MONITOR", _) => {
            return Request::Stream(args);
        }
        (b"SCAN", 1..=3) if args.get(1).is_none_or(|first| !is_number(first)) => {
            return scan(&args);
        }
        (b"SET", 4) if is_number(&args[3]) => args.insert(3, b"EX".to_vec()),
        (b"INCR", 3) => args[0] = b"INCRBY".to_vec(),
        (b"DECR", 3) => args[0] = b"DECRBY".to_vec(),
        (b"DELETE", _) => args[0] = b"DEL".to_vec(),
        (b"KEYS", 1) => args.push(b"*".to_vec()),
        _ => {}
    }
    Request::Command(args)
}

/// `SCAN [pattern] [count]`: a pattern without wildcard is a prefix.
fn scan(args: &[Vec<u8>]) -> Request {
    let count = args.get(2).map_or(Some(SCAN_KEYS), |count| {
        std::str::from_utf8(count).ok().and_then(|count| count.parse().ok())
    });
    let Some(count) = count else { return Request::Command(args.to_vec()) };
    let mut pattern = args.get(1).cloned().unwrap_or_default();
    if !pattern.iter().any(|byte| b"*?[".contains(byte)) {
        pattern.push(b'*');
    }
    Request::Scan { pattern, count }
}

/// The SCAN command for one step of a walk.
pub(crate) fn scan_step(cursor: &[u8], pattern: &[u8]) -> Vec<Vec<u8>> {
    let mut args = words(&["SCAN", "", "MATCH", "", "COUNT", "1000"]);
    args[1] = cursor.to_vec();
    args[3] = pattern.to_vec();
    args
}

fn is_number(arg: &[u8]) -> bool {
    !arg.is_empty() && arg.iter().all(u8::is_ascii_digit)
}

/// The summary of STATS from the text of `INFO all`; fields that the server lacks are left out.
pub(crate) fn stats(info: &str) -> String {
    let field = |name: &str| {
        let value = |line: &str| {
            line.strip_prefix(name).and_then(|rest| rest.strip_prefix(':')).map(str::to_owned)
        };
        info.lines().map(str::trim_end).find_map(value)
    };
    let calls = |name: &str| -> Option<u64> {
        field(&format!("cmdstat_{name}"))?.strip_prefix("calls=")?.split(',').next()?.parse().ok()
    };
    let keys = |line: &str| -> Option<u64> {
        let (db, rest) = line.split_once(":keys=")?;
        db.strip_prefix("db")?.parse::<u32>().ok()?;
        rest.split(',').next()?.parse().ok()
    };
    let mut out = String::from("# Keyspace\n");
    let _ = writeln!(out, "keys: {}", info.lines().filter_map(keys).sum::<u64>());
    if let Some(memory) = field("used_memory") {
        let _ = writeln!(out, "memory: {memory}");
    }
    out.push_str("# Operations\n");
    for (label, name) in [("gets", "get"), ("sets", "set"), ("dels", "del")] {
        let _ = writeln!(out, "{label}: {}", calls(name).unwrap_or(0));
    }
    let count = |name: &str| field(name).and_then(|text| text.parse::<u64>().ok());
    if let (Some(hits), Some(misses)) = (count("keyspace_hits"), count("keyspace_misses")) {
        let rate = hits as f64 * 100.0 / (hits + misses).max(1) as f64;
        let _ = write!(out, "hits: {hits}\nmisses: {misses}\nhit_rate: {rate:.2}%\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &[&str]) -> Request {
        request(words(line))
    }

    fn sent(line: &[&str]) -> Request {
        Request::Command(words(line))
    }

    #[test]
    fn short_forms() {
        assert_eq!(typed(&["set", "k", "v", "60"]), sent(&["set", "k", "v", "EX", "60"]));
        assert_eq!(typed(&["set", "k", "v", "NX"]), sent(&["set", "k", "v", "NX"]));
        assert_eq!(typed(&["incr", "k", "5"]), sent(&["INCRBY", "k", "5"]));
        assert_eq!(typed(&["DECR", "k", "-5"]), sent(&["DECRBY", "k", "-5"]));
        assert_eq!(typed(&["incr", "k"]), sent(&["incr", "k"]));
        assert_eq!(typed(&["delete", "k"]), sent(&["DEL", "k"]));
        assert_eq!(typed(&["keys"]), sent(&["keys", "*"]));
        assert_eq!(typed(&["exit"]), Request::Quit);
        assert_eq!(typed(&["help", "client", "info"]), Request::Help("client info".into()));
    }

    #[test]
    fn scan_with_a_pattern_walks_and_with_a_cursor_does_not() {
        let walk = |pattern: &str, count| Request::Scan { pattern: pattern.into(), count };
        assert_eq!(typed(&["SCAN"]), walk("*", SCAN_KEYS));
        assert_eq!(typed(&["SCAN", "user:"]), walk("user:*", SCAN_KEYS));
        assert_eq!(typed(&["SCAN", "u?er", "5"]), walk("u?er", 5));
        assert_eq!(typed(&["SCAN", "0"]), sent(&["SCAN", "0"]));
        assert_eq!(typed(&["SCAN", "a", "b"]), sent(&["SCAN", "a", "b"]));
    }

    #[test]
    fn stats_come_from_info() {
        let info = "# Memory\r\nused_memory:1024\r\nused_memory_human:1K\r\nkeyspace_hits:3\r\n\
            keyspace_misses:1\r\ncmdstat_get:calls=4,usec=9\r\ndb0:keys=7,expires=0\r\n";
        let expected = "# Keyspace\nkeys: 7\nmemory: 1024\n# Operations\ngets: 4\nsets: 0\n\
            dels: 0\nhits: 3\nmisses: 1\nhit_rate: 75.00%\n";
        assert_eq!(stats(info), expected);
    }
}

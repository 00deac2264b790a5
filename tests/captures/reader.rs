//! Readers of captures over RESP and as event streams.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use serde_json::Value;

use crate::mirror::Mirror;
use crate::support::{PATIENCE, Server};

/// An answer of `CDC.READ`.
pub(crate) struct Answer {
    pub(crate) position: String,
    pub(crate) changes: Vec<Value>,
    pub(crate) more: bool,
    pub(crate) snapshot: bool,
}

/// Asks once over RESP.
pub(crate) fn read(
    client: &mut redis::Connection,
    capture: &str,
    from: &str,
    options: &[&str],
) -> redis::RedisResult<Answer> {
    let mut command = redis::cmd("CDC.READ");
    command.arg(capture).arg(from);
    options.iter().for_each(|option| {
        command.arg(*option);
    });
    let (position, changes, more, snapshot): (String, Vec<String>, u8, u8) =
        command.query(client)?;
    let parse = |text: &String| serde_json::from_str(text).expect("changes are JSON");
    let changes = changes.iter().map(parse).collect();
    Ok(Answer { position, changes, more: more == 1, snapshot: snapshot == 1 })
}

/// Reads over RESP until there is nothing more; the position then.
pub(crate) fn catch_up(
    server: &Server,
    capture: &str,
    mut from: String,
    mirror: &mut Mirror,
) -> String {
    let mut client = server.redis();
    loop {
        let answer = read(&mut client, capture, &from, &["COUNT", "37"]).expect("an answer");
        answer.changes.iter().for_each(|change| mirror.apply(change));
        from = answer.position;
        if !answer.more {
            assert!(!answer.snapshot);
            return from;
        }
    }
}

/// An event stream.
pub(crate) struct Events {
    lines: BufReader<TcpStream>,
}

/// One event: the position behind it, and what it says.
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
}

impl Events {
    /// Opens one behind `last`, or from `from` on; nothing if the server is away.
    pub(crate) fn open(port: u16, path: &str, last: Option<&str>) -> Option<Self> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        let last = last.map_or(String::new(), |last| format!("Last-Event-ID: {last}\r\n"));
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{last}\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        let mut events = Self { lines: BufReader::new(stream) };
        let first = events.line()?;
        assert!(first.contains(" 200 "), "{first}");
        while !events.line()?.is_empty() {}
        Some(events)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).ok()?;
        // What has no end was cut off.
        if read == 0 || !line.ends_with('\n') {
            return None;
        }
        Some(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// The next event; nothing when the stream ends within it.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let (mut name, mut id, mut data) = (String::new(), None, String::new());
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("id", text)) => id = Some(text.to_owned()),
                Some(("event", text)) => text.clone_into(&mut name),
                Some(("data", text)) => data.push_str(text),
                _ if line.is_empty() && !name.is_empty() => {
                    let data = serde_json::from_str(&data).expect("data is JSON");
                    return Some(Event { name, id, data });
                }
                // A comment, to keep the stream alive.
                _ => {}
            }
        }
    }

    /// Takes some bytes that are not looked at, as a reader does that is about to be killed.
    pub(crate) fn swallow(&mut self, bytes: usize) {
        let mut some = vec![0; bytes];
        let _taken = self.lines.get_mut().set_nonblocking(true);
        let _taken = self.lines.read(&mut some);
    }
}

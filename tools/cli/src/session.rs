//! Runs one request after the other and writes the replies.
//!
//! Guarantees: replies go to the output, failures to the error stream (and, as JSON, to the output
//! too); a lost connection is made anew for the next command. Must not read input.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::args::Target;
use crate::client::{Client, ClientError, words};
use crate::commands::Table;
use crate::format::{Style, render};
use crate::quoting;
use crate::resp::Value;
use crate::rewrite::{self, Request};
use crate::watch::{self, Followed};

/// Time between two looks at a queue.
const BETWEEN_FIGURES: Duration = Duration::from_secs(1);

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// The server answered within this time.
    Answered(Duration),
    /// Nothing was sent.
    Nothing,
    /// The server, the connection or the line itself was at fault; the message is written.
    Failed,
    /// The session is over.
    Quit,
}

/// A connection with its way of showing replies.
pub(crate) struct Session {
    target: Target,
    style: Style,
    client: Option<Client>,
    table: Option<Table>,
}

impl Session {
    /// A session that connects when it first needs to.
    pub(crate) fn new(target: Target, style: Style) -> Self {
        Self { target, style, client: None, table: None }
    }

    /// Runs a typed line.
    pub(crate) fn line(&mut self, line: &str, out: &mut impl Write) -> io::Result<Done> {
        match quoting::split(line) {
            Ok(args) if args.is_empty() => Ok(Done::Nothing),
            Ok(args) => self.run(args, out),
            Err(e) => self.failure(&format!("(error) {e}"), out),
        }
    }

    /// Runs a command given as arguments, of which there is at least one.
    pub(crate) fn run(&mut self, args: Vec<Vec<u8>>, out: &mut impl Write) -> io::Result<Done> {
        let started = Instant::now();
        let reply = match rewrite::request(args) {
            Request::Quit => return Ok(Done::Quit),
            Request::Help(topic) => Ok(self.help(&topic)),
            Request::Stats => self.stats(),
            Request::Scan { pattern, count } => self.scan(&pattern, count),
            Request::Stream(args) => return self.stream(&args, out),
            Request::Follow(followed) => return self.follow(followed, out),
            Request::Queue(name) => return self.watch_queue(&name, out),
            Request::Command(args) => self.command(&args),
        };
        let taken = started.elapsed();
        match reply {
            Ok(Value::Error(text)) => self.failure(&format!("(error) {text}"), out),
            Ok(reply) => {
                out.write_all(&render(&reply, self.style))?;
                out.flush()?;
                Ok(Done::Answered(taken))
            }
            Err(e) => self.connection_failure(&e, out),
        }
    }

    /// The command table of the server, asked for once; empty when it has none.
    pub(crate) fn table(&mut self) -> Result<&Table, ClientError> {
        if self.table.is_none() {
            let docs = self.client()?.call(&words(&["COMMAND", "DOCS"]))?;
            self.table = Some(Table::from_docs(&docs));
        }
        Ok(self.table.as_ref().expect("set just above"))
    }

    /// The version that the server reports, empty when it reports none.
    pub(crate) fn server_version(&mut self) -> Result<String, ClientError> {
        let info = text_of(self.client()?.call(&words(&["INFO", "server"]))?);
        let names = ["synap_version:", "valkey_version:", "redis_version:"];
        let find = |name: &str| info.lines().find_map(|line| line.trim().strip_prefix(name));
        Ok(names.into_iter().find_map(find).unwrap_or_default().to_owned())
    }

    fn client(&mut self) -> Result<&mut Client, ClientError> {
        if self.client.is_none() {
            self.client = Some(Client::open(&self.target)?);
        }
        Ok(self.client.as_mut().expect("set just above"))
    }

    fn command(&mut self, args: &[Vec<u8>]) -> Result<Value, ClientError> {
        let reply = self.client()?.call(args)?;
        // INFO is text for people; a server that sends it as a plain string means the same.
        let is_info = args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"INFO"));
        Ok(match reply {
            Value::Bulk(text) if is_info => Value::Verbatim(text),
            reply => reply,
        })
    }

    fn stats(&mut self) -> Result<Value, ClientError> {
        match self.client()?.call(&words(&["INFO", "all"]))? {
            error @ Value::Error(_) => Ok(error),
            info => Ok(Value::Verbatim(rewrite::stats(&text_of(info)).into_bytes())),
        }
    }

    fn scan(&mut self, pattern: &[u8], count: usize) -> Result<Value, ClientError> {
        let mut cursor = b"0".to_vec();
        let mut found = Vec::new();
        loop {
            let reply = self.client()?.call(&rewrite::scan_step(&cursor, pattern))?;
            let Value::Array(mut step) = reply else { return Ok(reply) };
            if let Some(Value::Array(keys)) = step.pop() {
                found.extend(keys);
            }
            cursor = step.pop().map(|next| text_of(next).into_bytes()).unwrap_or_default();
            if found.len() >= count || cursor.is_empty() || cursor == b"0" {
                found.truncate(count);
                return Ok(Value::Array(found));
            }
        }
    }

    fn help(&mut self, topic: &str) -> Value {
        let Ok(table) = self.table() else {
            return Value::Error("ERR no command table without a server".to_owned());
        };
        if topic.is_empty() {
            return Value::Verbatim(table.overview().into_bytes());
        }
        match table.find(topic) {
            Some(command) => Value::Verbatim(command.help().into_bytes()),
            None => Value::Error(format!("ERR no command {topic:?} on this server")),
        }
    }

    /// Shows what the server sends until it stops or the program is ended.
    fn stream(&mut self, args: &[Vec<u8>], out: &mut impl Write) -> io::Result<Done> {
        let mut next = self.client().and_then(|client| {
            client.send(args)?;
            client.receive()
        });
        loop {
            match next {
                Ok(Value::Error(text)) => return self.failure(&format!("(error) {text}"), out),
                Ok(value) => out.write_all(&render(&value, self.style))?,
                Err(e) => return self.connection_failure(&e, out),
            }
            out.flush()?;
            next = self.client().and_then(Client::receive);
        }
    }

    /// Shows events until the program is ended.
    fn follow(&mut self, mut followed: Followed, out: &mut impl Write) -> io::Result<Done> {
        loop {
            match self.client().and_then(|client| client.call(&followed.ask())) {
                Ok(Value::Error(text)) => return self.failure(&format!("(error) {text}"), out),
                Ok(reply) => {
                    for event in followed.take(reply, self.style) {
                        out.write_all(&render(&event, self.style))?;
                    }
                    out.flush()?;
                }
                Err(e) => return self.connection_failure(&e, out),
            }
        }
    }

    /// Shows the figures of a queue until the program is ended.
    fn watch_queue(&mut self, name: &[u8], out: &mut impl Write) -> io::Result<Done> {
        let asked = [b"QSTATS".to_vec(), name.to_vec()];
        let mut before = None;
        loop {
            match self.client().and_then(|client| client.call(&asked)) {
                Ok(Value::Error(text)) => return self.failure(&format!("(error) {text}"), out),
                Ok(reply) => {
                    let stats = watch::as_map(reply);
                    let shown = match self.style {
                        Style::Json => render(&stats, Style::Json),
                        _ => format!("{}\n", watch::figures(&stats, before.as_ref())).into_bytes(),
                    };
                    out.write_all(&shown)?;
                    out.flush()?;
                    before = Some(stats);
                }
                Err(e) => return self.connection_failure(&e, out),
            }
            std::thread::sleep(BETWEEN_FIGURES);
        }
    }

    fn connection_failure(&mut self, e: &ClientError, out: &mut impl Write) -> io::Result<Done> {
        self.client = None;
        self.failure(&e.to_string(), out)
    }

    fn failure(&self, message: &str, out: &mut impl Write) -> io::Result<Done> {
        if self.style == Style::Json {
            let text = message.strip_prefix("(error) ").unwrap_or(message).to_owned();
            out.write_all(&render(&Value::Error(text), Style::Json))?;
        }
        out.flush()?;
        writeln!(io::stderr(), "{message}")?;
        Ok(Done::Failed)
    }
}

fn text_of(value: Value) -> String {
    match value {
        Value::Bulk(bytes) | Value::Verbatim(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Value::Status(text) => text,
        Value::Integer(number) => number.to_string(),
        _ => String::new(),
    }
}

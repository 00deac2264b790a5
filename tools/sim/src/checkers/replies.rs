//! Every request gets exactly one reply, nobody gets a reply to something else, and when everything
//! has come to rest nothing waits.

use std::collections::BTreeMap;

use super::{Verdict, Violation};

/// The checker; it keeps what is outstanding, with something of the caller's.
#[derive(Debug)]
pub(crate) struct Outstanding<T> {
    requests: BTreeMap<(u64, u64), T>,
}

impl<T> Outstanding<T> {
    pub(crate) fn new() -> Self {
        Self { requests: BTreeMap::new() }
    }

    /// A request was handed to an engine.
    pub(crate) fn asked(&mut self, connection: u64, ticket: u64, request: T) {
        let before = self.requests.insert((connection, ticket), request);
        assert!(before.is_none(), "tickets are given once");
    }

    /// A reply has come. The request it answers.
    pub(crate) fn answered(&mut self, connection: u64, ticket: u64) -> Result<T, Violation> {
        self.requests.remove(&(connection, ticket)).ok_or_else(|| Violation {
            checker: "replies",
            message: format!("connection {connection} got reply {ticket}, which nobody awaits"),
        })
    }

    /// What is outstanding.
    pub(crate) fn requests(&self) -> impl Iterator<Item = &T> {
        self.requests.values()
    }

    /// Everything has come to rest; `idle` says whether every engine thinks so too.
    pub(crate) fn at_rest(&self, idle: bool) -> Verdict {
        let message = match self.requests.keys().next() {
            Some((connection, ticket)) => format!(
                "{} requests have no reply, among them {ticket} of connection {connection}",
                self.requests.len()
            ),
            None if !idle => "an engine waits for something, and nothing is under way".to_owned(),
            None => return Ok(()),
        };
        Err(Violation { checker: "replies", message })
    }
}

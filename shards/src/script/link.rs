//! What a running script and the engine share: the words of the command it calls, the answer to
//! it, and whether it has to end.

use std::cell::{Cell, RefCell};

use mlua::Function;

use super::shebang::ScriptFlags;
use crate::command::reply::Reply;

/// Why a script has to end before it is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// It ran longer than it may.
    TimedOut,
    /// Somebody asked for it (`SCRIPT KILL`).
    Killed,
    /// The engine will run it again, with more shards.
    Again,
}

/// What a script failed with, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    /// Code, blank, text.
    pub(super) message: Vec<u8>,
    /// Name of the source and line.
    pub(super) place: Option<(String, usize)>,
}

/// Words of one command, in one buffer that is used again for the next.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) bytes: Vec<u8>,
    /// Where each word ends.
    pub(super) ends: Vec<usize>,
}

impl Words {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Ends the word that was appended to `bytes`.
    pub(super) fn end_word(&mut self) {
        self.ends.push(self.bytes.len());
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

/// A line that a script wants to have in the server's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    pub(super) level: u8,
    pub(super) text: Vec<u8>,
}

/// What a command or a log line of the script is to be handed to.
#[derive(Debug)]
pub(super) enum Request {
    /// The words in [`Link::words`].
    Command,
    Log(Line),
}

/// Shared between the functions that scripts call and whoever runs the script.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// Takes [`Link::request`] to the engine; there only while a script runs.
    pub(super) bridge: RefCell<Option<Function>>,
    pub(super) request: RefCell<Option<Request>>,
    pub(super) words: RefCell<Words>,
    pub(super) reply: RefCell<Option<Reply<'static>>>,
    pub(super) failure: RefCell<Option<Failure>>,
    pub(super) stop: Cell<Option<Stop>>,
    /// Answers have the types of the third version of the protocol.
    pub(super) resp3: Cell<bool>,
    /// When the script has to end, on the clock that was handed in.
    pub(super) deadline_ns: Cell<u64>,
    /// Functions that a library registers, while it is being loaded.
    pub(super) registering: RefCell<Option<Vec<Registered>>>,
}

/// A function that a library has registered.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) name: Vec<u8>,
    pub(crate) function: Function,
    pub(crate) description: Option<Vec<u8>>,
    pub(crate) flags: ScriptFlags,
}

//! What commands that run something say about it: script or function, keys, arguments, time.

use super::{NO_SCRIPT, Subject};
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::spec::ScriptVerb;
use crate::script::sha1;

/// Longest time that one call may ask for, in milliseconds.
const TIME_LIMIT_MS_MAX: i64 = 60_000;

/// What a command says about the script it runs.
pub(super) struct Call<'a> {
    verb: ScriptVerb,
    /// The script, its digest, or the name of a function.
    script: &'a [u8],
    pub(super) time_limit_ms: Option<u64>,
    pub(super) keys: &'a [&'a [u8]],
    pub(super) arguments: &'a [&'a [u8]],
}

impl<'a> Call<'a> {
    pub(super) fn parse(verb: ScriptVerb, args: &Args<'a>) -> Result<Self, CommandError> {
        let is_timed = matches!(verb, ScriptVerb::Timed | ScriptVerb::TimedSha);
        let shift = usize::from(is_timed);
        let time_limit_ms = match is_timed.then(|| args.integer(Arg(1))) {
            None | Some(0) => None,
            Some(ms @ 1..=TIME_LIMIT_MS_MAX) => Some(ms as u64),
            Some(_) => {
                return Err(CommandError::Invalid("timeout_ms must be between 0 and 60000"));
            }
        };
        let count = args.integer(Arg(1 + shift));
        let keys = args.rest(Arg(2 + shift));
        if count < 0 {
            return Err(CommandError::Invalid("Number of keys can't be negative"));
        }
        if count as u64 != keys.len() as u64 {
            let message = "Number of keys can't be greater than number of args";
            return Err(CommandError::Invalid(message));
        }
        let (script, arguments) = (args.bytes(Arg(0)), args.rest(Arg(3 + shift)));
        Ok(Self { verb, script, time_limit_ms, keys, arguments })
    }

    pub(super) fn is_read_only(&self) -> bool {
        use ScriptVerb::{CallReadOnly, EvalReadOnly, EvalShaReadOnly};
        matches!(self.verb, EvalReadOnly | EvalShaReadOnly | CallReadOnly)
    }

    pub(super) fn is_for_json(&self) -> bool {
        matches!(self.verb, ScriptVerb::Timed | ScriptVerb::TimedSha)
    }

    pub(super) fn subject(&self) -> Result<Subject, CommandError> {
        use ScriptVerb::{Call, CallReadOnly, EvalSha, EvalShaReadOnly, TimedSha};
        match self.verb {
            Call | CallReadOnly => Ok(Subject::Function(self.script.to_vec())),
            EvalSha | EvalShaReadOnly | TimedSha => {
                sha1::parse(self.script).map(Subject::Script).ok_or(NO_SCRIPT)
            }
            _ => Ok(Subject::Script(sha1::hex_digest(self.script))),
        }
    }

    /// The text of the script, where the client gave it.
    pub(super) fn text(&self) -> Option<&'a [u8]> {
        use ScriptVerb::{Eval, EvalReadOnly, Timed};
        matches!(self.verb, Eval | EvalReadOnly | Timed).then_some(self.script)
    }
}

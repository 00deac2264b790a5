//! How the functions that scripts call raise errors.
//!
//! An error travels through the interpreter as one of ours ([`Raised`]) and becomes a Lua value
//! where a script catches it (see `guard`): text with the place of the call before it, or a table
//! with the field `err`. [`Raised::Stopped`] is never handed to a script: whoever would catch it
//! raises it again.

use std::fmt;

use mlua::{Error, Lua, MultiValue, Value};

/// Bytes that a function of ours may build for one call; more is refused as lack of memory.
/// Less in tests, which reach it in a build that is not optimised.
pub(super) const OUTPUT_BYTES_MAX: usize = if cfg!(test) { 1 << 20 } else { 64 << 20 };

/// An error raised by a function of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Raised {
    /// Text, the place of the call before it.
    Text(Vec<u8>),
    /// A table with this text as `err`: code, blank, message.
    Table(Vec<u8>),
    /// The script has to end; why is written down elsewhere.
    Stopped,
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Table(text) => {
                write!(f, "{}", String::from_utf8_lossy(text))
            }
            Self::Stopped => f.write_str("the script was stopped"),
        }
    }
}

impl std::error::Error for Raised {}

impl From<Raised> for Error {
    fn from(raised: Raised) -> Self {
        Self::external(raised)
    }
}

/// The place of the call that runs now, `name:line: `, as Lua puts it before its own errors.
fn place(lua: &Lua) -> String {
    let describe = |debug: &mlua::debug::Debug<'_>| {
        let line = debug.current_line()?;
        let source = debug.source();
        Some(format!("{}:{line}: ", source.short_src.as_deref().unwrap_or("?")))
    };
    lua.inspect_stack(1, describe).flatten().unwrap_or_default()
}

/// An error with the place of the call before its text.
pub(super) fn fail(lua: &Lua, message: impl fmt::Display) -> Error {
    Raised::Text(format!("{}{message}", place(lua)).into_bytes()).into()
}

/// What is wrong with an argument (positions count from 1) of a function.
pub(super) fn bad_argument(
    lua: &Lua,
    position: usize,
    function: &str,
    what: impl fmt::Display,
) -> Error {
    fail(lua, format_args!("bad argument #{position} to '{function}' ({what})"))
}

/// The arguments of one call of `function`.
pub(super) struct Arguments<'a> {
    pub(super) lua: &'a Lua,
    pub(super) function: &'static str,
    pub(super) values: &'a MultiValue,
}

impl Arguments<'_> {
    pub(super) fn get(&self, position: usize) -> Option<&Value> {
        self.values.get(position - 1)
    }

    pub(super) fn wrong(&self, position: usize, what: impl fmt::Display) -> Error {
        bad_argument(self.lua, position, self.function, what)
    }

    fn wrong_type(&self, position: usize, expected: &str) -> Error {
        let found = self.get(position).map_or("no value", type_name);
        self.wrong(position, format_args!("{expected} expected, got {found}"))
    }

    /// A string; numbers count as their text.
    pub(super) fn bytes(&self, position: usize) -> Result<Vec<u8>, Error> {
        match self.get(position) {
            Some(Value::String(text)) => Ok(text.as_bytes().to_vec()),
            Some(value @ (Value::Integer(_) | Value::Number(_))) => {
                let text = self.lua.coerce_string(value.clone())?;
                Ok(text.map_or_else(Vec::new, |text| text.as_bytes().to_vec()))
            }
            _ => Err(self.wrong_type(position, "string")),
        }
    }

    /// A number; text that reads as one counts.
    pub(super) fn number(&self, position: usize) -> Result<f64, Error> {
        let value = self.get(position).cloned().unwrap_or(Value::Nil);
        let number = self.lua.coerce_number(value)?;
        number.ok_or_else(|| self.wrong_type(position, "number"))
    }

    /// A number cut to an integer, or `default` where there is none.
    pub(super) fn integer_or(&self, position: usize, default: i64) -> Result<i64, Error> {
        match self.get(position) {
            None | Some(Value::Nil) => Ok(default),
            Some(_) => Ok(self.number(position)? as i64),
        }
    }
}

/// A number, however the interpreter holds it.
pub(super) fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        _ => None,
    }
}

/// The name of a value's type, as Lua calls it.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "number",
        Value::LightUserData(_) | Value::Error(_) => "userdata",
        other => other.type_name(),
    }
}

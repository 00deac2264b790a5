//! Replies to Lua values and back, by the rules of Redis for both versions of the protocol.

use std::borrow::Cow;

use mlua::{Lua, Result, Table, Value};

use super::decimal;
use super::fail::number_of;
use crate::command::error::CommandError;
use crate::command::reply::Reply;

/// Deepest nesting of what a script returns.
const DEPTH_MAX: usize = 256;
/// Bytes that the reply of a script may take, about. Less in tests, which reach it in a build that
/// is not optimised.
const REPLY_BYTES_MAX: usize = if cfg!(test) { 4 << 20 } else { 256 << 20 };

/// The value that a script gets for the answer to a command.
pub(super) fn to_lua(lua: &Lua, reply: Reply<'_>, resp3: bool) -> Result<Value> {
    // Nested also where the protocol has no maps.
    let named = matches!(reply, Reply::Named(_));
    Ok(match reply {
        Reply::Nil | Reply::NilArray if resp3 => Value::Nil,
        Reply::Nil | Reply::NilArray => Value::Boolean(false),
        Reply::Ok => single(lua, "ok", b"OK")?,
        Reply::Status(word) => single(lua, "ok", word.as_bytes())?,
        Reply::Line(text) => single(lua, "ok", text.as_bytes())?,
        Reply::Integer(number) => Value::Number(number as f64),
        Reply::Double(number) if resp3 => {
            let table = lua.create_table()?;
            table.raw_set("double", number)?;
            Value::Table(table)
        }
        Reply::Double(number) => {
            let mut text = Vec::new();
            decimal::shortest(number, &mut text);
            string(lua, &text)?
        }
        Reply::Boolean(truth) if resp3 => Value::Boolean(truth),
        Reply::Boolean(truth) => Value::Number(f64::from(u8::from(truth))),
        Reply::Bytes(bytes) => string(lua, &bytes)?,
        Reply::Text(text) if resp3 => verbatim(lua, b"txt", text.as_bytes())?,
        Reply::Text(text) => string(lua, text.as_bytes())?,
        Reply::Verbatim { format, bytes } if resp3 => verbatim(lua, &format, &bytes)?,
        Reply::Verbatim { bytes, .. } => string(lua, &bytes)?,
        Reply::BigNumber(digits) if resp3 => single(lua, "big_number", digits.as_bytes())?,
        Reply::BigNumber(digits) => string(lua, digits.as_bytes())?,
        Reply::Array(items) | Reply::Push(items) | Reply::Several(items) => {
            sequence(lua, items, resp3)?
        }
        Reply::Decimal(number) if resp3 => return to_lua(lua, Reply::Double(number), resp3),
        Reply::Decimal(number) => {
            let text = format!("{number:.17}");
            string(lua, text.trim_end_matches('0').trim_end_matches('.').as_bytes())?
        }
        Reply::Map(pairs) | Reply::Named(pairs) if resp3 => {
            let map = lua.create_table()?;
            for (name, value) in pairs {
                let name = to_lua(lua, name, resp3)?;
                if !name.is_nil() {
                    map.raw_set(name, to_lua(lua, value, resp3)?)?;
                }
            }
            wrapped(lua, "map", map)?
        }
        Reply::Named(pairs) | Reply::Pairs(pairs) if resp3 || named => {
            let nested = |(first, second)| Reply::Array(vec![first, second]);
            sequence(lua, pairs.into_iter().map(nested).collect(), resp3)?
        }
        Reply::Map(pairs) | Reply::Named(pairs) | Reply::Pairs(pairs) => {
            sequence(lua, pairs.into_iter().flat_map(<[_; 2]>::from).collect(), resp3)?
        }
        Reply::Set(items) if resp3 => {
            let set = lua.create_table()?;
            for item in items {
                let item = to_lua(lua, item, resp3)?;
                if !item.is_nil() {
                    set.raw_set(item, true)?;
                }
            }
            wrapped(lua, "set", set)?
        }
        Reply::Set(items) => sequence(lua, items, resp3)?,
        Reply::Error(error) => single(lua, "err", &error_text(&error))?,
    })
}

/// An error as scripts see it: code, blank, text.
pub(super) fn error_text(error: &CommandError) -> Vec<u8> {
    format!("{} {error}", error.code()).into_bytes()
}

fn string(lua: &Lua, bytes: &[u8]) -> Result<Value> {
    Ok(Value::String(lua.create_string(bytes)?))
}

/// A table with one field.
pub(super) fn single(lua: &Lua, name: &str, text: &[u8]) -> Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(name, lua.create_string(text)?)?;
    Ok(Value::Table(table))
}

fn wrapped(lua: &Lua, name: &str, inner: Table) -> Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(name, inner)?;
    Ok(Value::Table(table))
}

fn verbatim(lua: &Lua, format: &[u8], text: &[u8]) -> Result<Value> {
    let inner = lua.create_table_with_capacity(0, 2)?;
    inner.raw_set("format", lua.create_string(format)?)?;
    inner.raw_set("string", lua.create_string(text)?)?;
    wrapped(lua, "verbatim_string", inner)
}

fn sequence(lua: &Lua, items: Vec<Reply<'_>>, resp3: bool) -> Result<Value> {
    let table = lua.create_table_with_capacity(items.len(), 0)?;
    for (index, item) in items.into_iter().enumerate() {
        table.raw_set(index + 1, to_lua(lua, item, resp3)?)?;
    }
    Ok(Value::Table(table))
}

/// How what a script returns becomes a reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// The script asked for the types of the third version of the protocol.
    pub(super) resp3: bool,
    /// True and false stay what they are, whatever the protocol, for JSON.
    pub(super) booleans: bool,
}

/// The reply that a script's result stands for.
pub(super) fn to_reply(value: &Value, form: Form) -> Reply<'static> {
    let mut writer = Writer { form, bytes: 0 };
    writer.reply(value, 0).unwrap_or_else(|why| Reply::Error(CommandError::Invalid(why)))
}

struct Writer {
    form: Form,
    bytes: usize,
}

type Written = std::result::Result<Reply<'static>, &'static str>;

impl Writer {
    fn reply(&mut self, value: &Value, depth: usize) -> Written {
        if depth > DEPTH_MAX {
            return Err("reached lua stack limit");
        }
        self.count(32)?;
        Ok(match value {
            Value::String(text) => Reply::owned(self.take(&text.as_bytes())?),
            Value::Boolean(truth) if self.form.resp3 => Reply::Boolean(*truth),
            Value::Boolean(true) if self.form.booleans => Reply::Boolean(true),
            Value::Boolean(true) => Reply::Integer(1),
            Value::Table(table) => return self.table(table, depth),
            // Cut towards zero; what no integer is becomes the nearest.
            other => number_of(other).map_or(Reply::Nil, |number| Reply::Integer(number as i64)),
        })
    }

    fn count(&mut self, bytes: usize) -> std::result::Result<(), &'static str> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > REPLY_BYTES_MAX {
            Err("the reply of the script is too large")
        } else {
            Ok(())
        }
    }

    fn take(&mut self, bytes: &[u8]) -> std::result::Result<Vec<u8>, &'static str> {
        self.count(bytes.len())?;
        Ok(bytes.to_vec())
    }

    fn table(&mut self, table: &Table, depth: usize) -> Written {
        if let Some(text) = text_field(table, "err") {
            self.count(text.len())?;
            return Ok(Reply::Error(CommandError::scripted(&text)));
        }
        if let Some(text) = text_field(table, "ok") {
            self.count(text.len())?;
            let text = String::from_utf8_lossy(&text).replace(['\r', '\n'], " ");
            return Ok(if text == "OK" { Reply::Ok } else { Reply::Line(text) });
        }
        let number = table.raw_get::<Value>("double").ok().as_ref().and_then(number_of);
        if let Some(number) = number {
            return Ok(Reply::Double(number));
        }
        if let Ok(Value::Table(map)) = table.raw_get("map") {
            let mut pairs = Vec::new();
            for pair in map.pairs::<Value, Value>() {
                let Ok((name, value)) = pair else { break };
                pairs.push((self.reply(&name, depth + 1)?, self.reply(&value, depth + 1)?));
            }
            return Ok(Reply::Map(pairs));
        }
        if let Ok(Value::Table(set)) = table.raw_get("set") {
            let mut items = Vec::new();
            for pair in set.pairs::<Value, Value>() {
                let Ok((item, _)) = pair else { break };
                items.push(self.reply(&item, depth + 1)?);
            }
            return Ok(Reply::Set(items));
        }
        if let Some(digits) = text_field(table, "big_number") {
            self.count(digits.len())?;
            let digits = String::from_utf8_lossy(&digits).replace(['\r', '\n'], " ");
            return Ok(Reply::BigNumber(digits));
        }
        if let Ok(Value::Table(inner)) = table.raw_get("verbatim_string")
            && let (Some(format), Some(bytes)) =
                (text_field(&inner, "format"), text_field(&inner, "string"))
            && let Some(format) = format.first_chunk::<3>()
        {
            self.count(bytes.len())?;
            return Ok(Reply::Verbatim { format: *format, bytes: Cow::Owned(bytes) });
        }
        self.array(table, depth)
    }

    /// The items up to the first nil.
    fn array(&mut self, table: &Table, depth: usize) -> Written {
        let mut items = Vec::new();
        for index in 1.. {
            match table.raw_get::<Value>(index as f64) {
                Ok(Value::Nil) | Err(_) => break,
                Ok(item) => items.push(self.reply(&item, depth + 1)?),
            }
        }
        Ok(Reply::Array(items))
    }
}

fn text_field(table: &Table, name: &str) -> Option<Vec<u8>> {
    match table.raw_get(name) {
        Ok(Value::String(text)) => Some(text.as_bytes().to_vec()),
        _ => None,
    }
}

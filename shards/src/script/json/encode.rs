//! Lua values to JSON text.

use mlua::{Function, Lua, LuaString, Result, Table, Value};

use super::Settings;
use crate::script::decimal;
use crate::script::fail::{OUTPUT_BYTES_MAX, fail, number_of, type_name};

struct Encoder<'a> {
    lua: &'a Lua,
    settings: Settings,
    /// The metatable of tables that are arrays even when they are empty.
    mark: &'a Table,
    /// Lua's `next`.
    next: Function,
    /// Tables that are being written, outermost first. Not by recursion: what a script nests
    /// deeply would need more stack than a thread has.
    levels: Vec<Level>,
    out: Vec<u8>,
}

/// A table that is being written, and where in it.
enum Level {
    Array { table: Table, next: i64, length: i64 },
    Object { table: Table, key: Value },
}

/// The JSON text of `value`.
pub(super) fn encode(
    lua: &Lua,
    settings: Settings,
    mark: &Table,
    value: &Value,
) -> Result<LuaString> {
    let next = lua.globals().raw_get("next")?;
    let (levels, out) = (Vec::new(), Vec::new());
    let mut encoder = Encoder { lua, settings, mark, next, levels, out };
    encoder.value(value)?;
    while let Some(level) = encoder.levels.pop() {
        encoder.go_on(level)?;
    }
    lua.create_string(encoder.out)
}

impl Encoder<'_> {
    /// Writes a value; of a table its beginning, the rest is a level more.
    fn value(&mut self, value: &Value) -> Result<()> {
        if self.out.len() > OUTPUT_BYTES_MAX {
            return Err(fail(self.lua, "not enough memory"));
        }
        match value {
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::String(text) => self.string(&text.as_bytes()),
            Value::Table(table) => self.table(table)?,
            Value::LightUserData(data) if data.0.is_null() => {
                self.out.extend_from_slice(b"null");
            }
            other => match number_of(other) {
                Some(number) => self.number(number)?,
                None => return Err(self.refuse(type_name(other), "type not supported")),
            },
        }
        Ok(())
    }

    /// The next item of the innermost table, or its end.
    fn go_on(&mut self, level: Level) -> Result<()> {
        match level {
            Level::Array { next, length, .. } if next > length => self.out.push(b']'),
            Level::Array { table, next, length } => {
                if next > 1 {
                    self.out.push(b',');
                }
                let item: Value = table.raw_get(next)?;
                self.levels.push(Level::Array { table, next: next + 1, length });
                self.value(&item)?;
            }
            Level::Object { table, key } => {
                let is_first = key.is_nil();
                let (key, value): (Value, Value) = self.next.call((&table, key))?;
                if key.is_nil() {
                    self.out.push(b'}');
                    return Ok(());
                }
                if !is_first {
                    self.out.push(b',');
                }
                self.key(&key)?;
                self.levels.push(Level::Object { table, key });
                self.value(&value)?;
            }
        }
        Ok(())
    }

    fn key(&mut self, key: &Value) -> Result<()> {
        match (key, number_of(key)) {
            (Value::String(name), _) => self.string(&name.as_bytes()),
            (_, Some(number)) => {
                self.out.push(b'"');
                self.number(number)?;
                self.out.push(b'"');
            }
            _ => return Err(self.refuse("table", "table key must be a number or string")),
        }
        self.out.push(b':');
        Ok(())
    }

    fn table(&mut self, table: &Table) -> Result<()> {
        let depth = self.levels.len() as i64 + 1;
        if depth > self.settings.encode_depth {
            let text = format_args!("Cannot serialise, excessive depth ({depth})");
            return Err(fail(self.lua, text));
        }
        let marked = table.metatable().is_some_and(|meta| meta == *self.mark);
        let table = table.clone();
        match self.array_length(&table)? {
            Some(length) if length > 0 || marked => {
                self.out.push(b'[');
                self.levels.push(Level::Array { table, next: 1, length });
            }
            _ => {
                self.out.push(b'{');
                self.levels.push(Level::Object { table, key: Value::Nil });
            }
        }
        Ok(())
    }

    fn refuse(&self, kind: &str, why: &str) -> mlua::Error {
        fail(self.lua, format_args!("Cannot serialise {kind}: {why}"))
    }

    fn number(&mut self, number: f64) -> Result<()> {
        if !number.is_finite() && !self.settings.encode_invalid {
            return Err(self.refuse("number", "must not be NaN or Inf"));
        }
        decimal::general(number, self.settings.digits as usize, &mut self.out);
        Ok(())
    }

    fn string(&mut self, text: &[u8]) {
        self.out.push(b'"');
        for byte in text {
            match byte {
                b'"' | b'\\' | b'/' => self.out.extend_from_slice(&[b'\\', *byte]),
                8 => self.out.extend_from_slice(b"\\b"),
                9 => self.out.extend_from_slice(b"\\t"),
                10 => self.out.extend_from_slice(b"\\n"),
                12 => self.out.extend_from_slice(b"\\f"),
                13 => self.out.extend_from_slice(b"\\r"),
                0..32 | 127 => {
                    self.out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                }
                _ => self.out.push(*byte),
            }
        }
        self.out.push(b'"');
    }

    /// The greatest index of a table that has nothing but positive integers as keys.
    fn array_length(&self, table: &Table) -> Result<Option<i64>> {
        let (mut most, mut items) = (0i64, 0i64);
        for pair in table.pairs::<Value, Value>() {
            let (key, _) = pair?;
            let index = number_of(&key).filter(|number| *number >= 1.0 && number.fract() == 0.0);
            let Some(index) = index else { return Ok(None) };
            most = most.max(index as i64);
            items += 1;
        }
        let Settings { sparse_ratio, sparse_safe, sparse_convert, .. } = self.settings;
        let is_sparse =
            sparse_ratio > 0 && most > items.saturating_mul(sparse_ratio) && most > sparse_safe;
        match (is_sparse, sparse_convert) {
            (true, true) => Ok(None),
            (true, false) => Err(self.refuse("table", "excessively sparse array")),
            (false, _) => Ok(Some(most)),
        }
    }
}

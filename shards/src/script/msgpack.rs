//! `cmsgpack`: MessagePack to and from Lua values, as the library of that name that Redis has.
//!
//! Source: the MessagePack specification. Numbers without a fraction become integers of the
//! fewest bytes, others floats; a table with the keys 1 to n an array; what nests deeper than
//! [`DEPTH_MAX`] becomes nil. Extension types are refused.

use mlua::{Error, Lua, MultiValue, Result, Table, Value};

use super::fail::{Arguments, OUTPUT_BYTES_MAX, fail, number_of};

/// Nesting beyond which `pack` writes nil.
const DEPTH_MAX: usize = 16;
/// Nesting beyond which `unpack` refuses.
const UNPACK_DEPTH_MAX: usize = 128;

/// The library.
pub(super) fn library(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    library.raw_set("_NAME", "cmsgpack")?;
    library.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    library.raw_set("_COPYRIGHT", "as the library of this name")?;
    let pack = lua.create_function(|lua, values: MultiValue| {
        let arguments = Arguments { lua, function: "pack", values: &values };
        if values.is_empty() {
            return Err(arguments.wrong(0, "MessagePack pack needs input."));
        }
        let mut out = Vec::new();
        for value in &values {
            pack(lua, value, 0, &mut out)?;
        }
        lua.create_string(out)
    })?;
    library.raw_set("pack", pack)?;
    let unpack = lua.create_function(|lua, values: MultiValue| {
        let text = Arguments { lua, function: "unpack", values: &values }.bytes(1)?;
        unpack_some(lua, &text, 0, usize::MAX).map(|(found, _)| found)
    })?;
    library.raw_set("unpack", unpack)?;
    let one = lua.create_function(|lua, values: MultiValue| {
        let arguments = Arguments { lua, function: "unpack_one", values: &values };
        unpack_from(&arguments, 1, 2)
    })?;
    library.raw_set("unpack_one", one)?;
    let limited = lua.create_function(|lua, values: MultiValue| {
        let arguments = Arguments { lua, function: "unpack_limit", values: &values };
        let limit = arguments.number(2)? as i64;
        unpack_from(&arguments, limit, 3)
    })?;
    library.raw_set("unpack_limit", limited)?;
    Ok(library)
}

/// At most `limit` values from the offset given as an argument; in front of them where the rest
/// begins, -1 when there is none.
fn unpack_from(arguments: &Arguments<'_>, limit: i64, offset_at: usize) -> Result<MultiValue> {
    let text = arguments.bytes(1)?;
    let offset = arguments.integer_or(offset_at, 0)?;
    let (Ok(from), Ok(most)) = (usize::try_from(offset), usize::try_from(limit)) else {
        let text = format_args!(
            "Invalid request to unpack with offset of {offset} and limit of {}.",
            text.len()
        );
        return Err(fail(arguments.lua, text));
    };
    if from > text.len() {
        let text = format_args!("Start offset {from} greater than input length {}.", text.len());
        return Err(fail(arguments.lua, text));
    }
    let (mut found, end) = unpack_some(arguments.lua, &text, from, most)?;
    let rest = if end == text.len() { -1.0 } else { end as f64 };
    found.push_front(Value::Number(rest));
    Ok(found)
}

fn unpack_some(lua: &Lua, text: &[u8], from: usize, most: usize) -> Result<(MultiValue, usize)> {
    let mut reader = Reader { lua, text, at: from };
    let mut found = Vec::new();
    while reader.at < text.len() && found.len() < most {
        if found.len() >= RESULTS_MAX {
            return Err(fail(lua, "too many results to unpack"));
        }
        found.push(reader.value(0)?);
    }
    Ok((MultiValue::from_vec(found), reader.at))
}

/// Values that one call may return; the stack of the interpreter is bounded.
const RESULTS_MAX: usize = 4000;

fn pack(lua: &Lua, value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    if out.len() > OUTPUT_BYTES_MAX {
        return Err(fail(lua, "not enough memory"));
    }
    match value {
        Value::Boolean(truth) => out.push(0xc2 + u8::from(*truth)),
        Value::String(text) => {
            let text = text.as_bytes();
            head(text.len(), (0xa0, 32), [Some(0xd9), Some(0xda), Some(0xdb)], out);
            out.extend_from_slice(&text);
        }
        Value::Table(_) if depth == DEPTH_MAX => out.push(0xc0),
        Value::Table(table) => pack_table(lua, table, depth + 1, out)?,
        other => match number_of(other) {
            Some(number) => pack_number(number, out),
            None => out.push(0xc0),
        },
    }
    Ok(())
}

/// A length in the fewest bytes: within the tag (`short` is the tag and how many lengths it has
/// room for), or behind a tag in one, two or four bytes.
fn head(length: usize, short: (u8, usize), tags: [Option<u8>; 3], out: &mut Vec<u8>) {
    let [one, two, four] = tags;
    if length < short.1 {
        out.push(short.0 | length as u8);
    } else if let Some(tag) = one.filter(|_| length <= 0xff) {
        out.extend_from_slice(&[tag, length as u8]);
    } else if let Some(tag) = two.filter(|_| length <= 0xffff) {
        out.push(tag);
        out.extend_from_slice(&(length as u16).to_be_bytes());
    } else {
        out.push(four.expect("every kind has a form of four bytes"));
        out.extend_from_slice(&(length as u32).to_be_bytes());
    }
}

fn pack_number(number: f64, out: &mut Vec<u8>) {
    let integer = number as i64;
    // The bound keeps 2^63, which no signed integer is, out.
    if integer as f64 == number && number.abs() < 9.3e18 && integer != i64::MAX {
        return pack_integer(integer, out);
    }
    let single = number as f32;
    if f64::from(single) == number {
        out.push(0xca);
        out.extend_from_slice(&single.to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn pack_integer(number: i64, out: &mut Vec<u8>) {
    let bytes = number.to_be_bytes();
    let (tag, count) = match number {
        -32..=127 => return out.push(bytes[7]),
        128..=0xff => (0xcc, 1),
        0x100..=0xffff => (0xcd, 2),
        0x1_0000..=0xffff_ffff => (0xce, 4),
        0x1_0000_0000.. => (0xcf, 8),
        -0x80..=-33 => (0xd0, 1),
        -0x8000..=-0x81 => (0xd1, 2),
        -0x8000_0000..=-0x8001 => (0xd2, 4),
        _ => (0xd3, 8),
    };
    out.push(tag);
    out.extend_from_slice(&bytes[8 - count..]);
}

fn pack_table(lua: &Lua, table: &Table, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    let (mut count, mut most, mut is_array) = (0usize, 0usize, true);
    for pair in table.pairs::<Value, Value>() {
        let (key, _) = pair?;
        count += 1;
        match number_of(&key).filter(|number| *number >= 1.0 && number.fract() == 0.0) {
            Some(index) => most = most.max(index as usize),
            None => is_array = false,
        }
    }
    if is_array && most == count {
        head(count, (0x90, 16), [None, Some(0xdc), Some(0xdd)], out);
        for index in 1..=count {
            let item: Value = table.raw_get(index)?;
            pack(lua, &item, depth, out)?;
        }
        return Ok(());
    }
    head(count, (0x80, 16), [None, Some(0xde), Some(0xdf)], out);
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        pack(lua, &key, depth, out)?;
        pack(lua, &value, depth, out)?;
    }
    Ok(())
}

struct Reader<'a> {
    lua: &'a Lua,
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn missing(&self) -> Error {
        fail(self.lua, "Missing bytes in input.")
    }

    fn broken(&self) -> Error {
        fail(self.lua, "Bad data format in input.")
    }

    fn bytes(&mut self, count: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.text.len());
        let end = end.ok_or_else(|| self.missing())?;
        let bytes = &self.text[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    /// A big-endian number of up to eight bytes.
    fn unsigned(&mut self, count: usize) -> Result<u64> {
        let bytes = self.bytes(count)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn signed(&mut self, count: usize) -> Result<f64> {
        let spare = 64 - 8 * count as u32;
        let bits = self.unsigned(count)?;
        Ok(((bits << spare) as i64 >> spare) as f64)
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        if depth > UNPACK_DEPTH_MAX {
            return Err(self.broken());
        }
        let tag = self.unsigned(1)? as u8;
        Ok(match tag {
            0x00..=0x7f => Value::Number(f64::from(tag)),
            0xe0..=0xff => Value::Number(f64::from(tag as i8)),
            0x80..=0x8f => self.map(u64::from(tag & 15), depth)?,
            0x90..=0x9f => self.array(u64::from(tag & 15), depth)?,
            0xa0..=0xbf => self.string(u64::from(tag & 31))?,
            0xc0 => Value::Nil,
            0xc2 | 0xc3 => Value::Boolean(tag == 0xc3),
            0xc4..=0xc6 => self.sized_string(1 << (tag - 0xc4))?,
            0xca => Value::Number(f64::from(f32::from_bits(self.unsigned(4)? as u32))),
            0xcb => Value::Number(f64::from_bits(self.unsigned(8)?)),
            0xcc..=0xcf => Value::Number(self.unsigned(1 << (tag - 0xcc))? as f64),
            0xd0..=0xd3 => Value::Number(self.signed(1 << (tag - 0xd0))?),
            0xd9..=0xdb => self.sized_string(1 << (tag - 0xd9))?,
            0xdc | 0xdd => {
                let count = self.unsigned(2 << (tag - 0xdc))?;
                self.array(count, depth)?
            }
            0xde | 0xdf => {
                let count = self.unsigned(2 << (tag - 0xde))?;
                self.map(count, depth)?
            }
            _ => return Err(self.broken()),
        })
    }

    fn sized_string(&mut self, bytes_of_size: usize) -> Result<Value> {
        let length = self.unsigned(bytes_of_size)?;
        self.string(length)
    }

    fn string(&mut self, length: u64) -> Result<Value> {
        let lua = self.lua;
        let bytes = self.bytes(usize::try_from(length).unwrap_or(usize::MAX))?;
        Ok(Value::String(lua.create_string(bytes)?))
    }

    fn array(&mut self, count: u64, depth: usize) -> Result<Value> {
        let table = self.lua.create_table()?;
        for index in 1..=count {
            let item = self.value(depth + 1)?;
            table.raw_set(index as f64, item)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, count: u64, depth: usize) -> Result<Value> {
        let table = self.lua.create_table()?;
        for _ in 0..count {
            let name = self.value(depth + 1)?;
            let value = self.value(depth + 1)?;
            if name.is_nil() || number_of(&name).is_some_and(f64::is_nan) {
                return Err(self.broken());
            }
            table.raw_set(name, value)?;
        }
        Ok(Value::Table(table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lua() -> Lua {
        let lua = Lua::new();
        lua.globals().set("cmsgpack", library(&lua).unwrap()).unwrap();
        let hex = "function hex(s) return (s:gsub('.', function(c) \
                   return string.format('%02x', c:byte()) end)) end";
        lua.load(hex).exec().unwrap();
        lua
    }

    fn text(code: &str) -> String {
        lua().load(code).eval::<String>().unwrap()
    }

    #[test]
    fn values_are_packed_in_the_fewest_bytes() {
        for (value, hex) in [
            ("nil", "c0"),
            ("true", "c3"),
            ("0", "00"),
            ("127", "7f"),
            ("128", "cc80"),
            ("256", "cd0100"),
            ("65536", "ce00010000"),
            ("4294967296", "cf0000000100000000"),
            ("-1", "ff"),
            ("-33", "d0df"),
            ("-129", "d1ff7f"),
            ("-32769", "d2ffff7fff"),
            ("1.5", "ca3fc00000"),
            ("0.1", "cb3fb999999999999a"),
            ("'abc'", "a3616263"),
            ("('x'):rep(32)", &format!("d920{}", "78".repeat(32))),
            ("{}", "90"),
            ("{1,2}", "920102"),
            ("{a=1}", "81a16101"),
            ("1, 2", "0102"),
        ] {
            assert_eq!(text(&format!("return hex(cmsgpack.pack({value}))")), hex, "{value}");
        }
    }

    #[test]
    fn what_was_packed_comes_back() {
        for (code, shown) in [
            ("cmsgpack.unpack(cmsgpack.pack({1,{a='x'},-5,1.25}))[2].a", "x"),
            ("cmsgpack.unpack(cmsgpack.pack(-40000))", "-40000"),
            ("select('#', cmsgpack.unpack('\\1\\2\\3'))", "3"),
            ("table.concat({cmsgpack.unpack_one('\\1\\2\\3')}, ' ')", "1 1"),
            ("table.concat({cmsgpack.unpack_limit('\\1\\2\\3', 2)}, ' ')", "2 1 2"),
            ("table.concat({cmsgpack.unpack_limit('\\1\\2\\3', 2, 1)}, ' ')", "-1 2 3"),
            ("pcall(cmsgpack.unpack, '\\193')", "false"),
            ("pcall(cmsgpack.unpack, '\\221\\255\\255\\255\\255')", "false"),
        ] {
            assert_eq!(text(&format!("return tostring(({code}))")), shown, "{code}");
        }
        let deep = "local t={} for i=1,40 do t={t} end return hex(cmsgpack.pack(t))";
        assert_eq!(text(deep), format!("{}c0", "91".repeat(16)));
    }
}

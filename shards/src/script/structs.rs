//! `struct`: Lua values to and from C-like layouts, with the format letters of the library of
//! that name that Redis has.
//!
//! Letters: `<` `>` byte order (little at first), `!n` greatest alignment (1 at first), `x` a
//! zero, `b`/`B` 1, `h`/`H` 2, `l`/`L` 8, `T` 8, `i`n/`I`n n bytes (4) signed/unsigned, `f` 4,
//! `d` 8, `c`n n characters, `s` characters up to a zero, blank nothing.

use mlua::{Lua, MultiValue, Result, Table, Value};

use super::fail::{Arguments, OUTPUT_BYTES_MAX, fail};

/// Widest integer.
const INTEGER_BYTES_MAX: usize = 32;
/// Alignment of `!` without a number.
const ALIGNMENT: usize = 8;
/// Values that one call may return; the stack of the interpreter is bounded.
const RESULTS_MAX: usize = 4000;

/// The library.
pub(super) fn library(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    let pack = lua.create_function(|lua, values: MultiValue| {
        pack(&Arguments { lua, function: "pack", values: &values })
    })?;
    library.raw_set("pack", pack)?;
    let unpack = lua.create_function(|lua, values: MultiValue| {
        unpack(&Arguments { lua, function: "unpack", values: &values })
    })?;
    library.raw_set("unpack", unpack)?;
    let size = lua.create_function(|lua, values: MultiValue| {
        size(&Arguments { lua, function: "size", values: &values })
    })?;
    library.raw_set("size", size)?;
    Ok(library)
}

/// One letter of a format, with what belongs to it.
struct Item {
    letter: u8,
    size: usize,
    /// Bytes before it, up to its alignment.
    padding: usize,
}

/// A format, read letter by letter.
struct Format<'a> {
    lua: &'a Lua,
    text: &'a [u8],
    at: usize,
    little: bool,
    alignment: usize,
}

impl<'a> Format<'a> {
    fn new(lua: &'a Lua, text: &'a [u8]) -> Self {
        Self { lua, text, at: 0, little: true, alignment: 1 }
    }

    /// Digits that follow, or `default`.
    fn number(&mut self, default: usize) -> Result<usize> {
        let digits = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Ok(default);
        }
        let text = std::str::from_utf8(&self.text[self.at..self.at + digits]).unwrap_or_default();
        self.at += digits;
        match text.parse::<u32>() {
            Ok(number) if number <= i32::MAX as u32 => Ok(number as usize),
            _ => Err(fail(self.lua, "integral size overflow")),
        }
    }

    /// The next letter that stands for something; `position` is where it would come to stand.
    fn next(&mut self, position: usize) -> Result<Option<Item>> {
        while let Some(letter) = self.text.get(self.at).copied() {
            self.at += 1;
            let size = match letter {
                b'b' | b'B' | b'x' => 1,
                b'h' | b'H' => 2,
                b'l' | b'L' | b'T' | b'd' => 8,
                b'f' => 4,
                b'c' => self.number(1)?,
                b's' => 0,
                b'i' | b'I' => self.integer_size()?,
                _ => {
                    self.control(letter)?;
                    continue;
                }
            };
            let padding = if size == 0 || letter == b'c' {
                0
            } else {
                let to = size.min(self.alignment);
                (to - (position & (to - 1))) & (to - 1)
            };
            return Ok(Some(Item { letter, size, padding }));
        }
        Ok(None)
    }

    fn integer_size(&mut self) -> Result<usize> {
        let size = self.number(4)?;
        if size > INTEGER_BYTES_MAX {
            let text =
                format_args!("integral size {size} is larger than limit of {INTEGER_BYTES_MAX}");
            return Err(fail(self.lua, text));
        }
        Ok(size)
    }

    fn control(&mut self, letter: u8) -> Result<()> {
        match letter {
            b' ' => {}
            b'<' => self.little = true,
            b'>' => self.little = false,
            b'!' => {
                let alignment = self.number(ALIGNMENT)?;
                if !alignment.is_power_of_two() {
                    let text = format_args!("alignment {alignment} is not a power of 2");
                    return Err(fail(self.lua, text));
                }
                self.alignment = alignment;
            }
            other => {
                let text = format_args!("invalid format option '{}'", char::from(other));
                return Err(fail(self.lua, text));
            }
        }
        Ok(())
    }
}

fn pack(arguments: &Arguments<'_>) -> Result<mlua::LuaString> {
    let (lua, text) = (arguments.lua, arguments.bytes(1)?);
    let mut format = Format::new(lua, &text);
    let mut out: Vec<u8> = Vec::new();
    let mut position = 1;
    while let Some(item) = format.next(out.len())? {
        out.resize(out.len() + item.padding, 0);
        if item.letter != b'x' {
            position += 1;
        }
        match item.letter {
            b'x' => out.push(0),
            b'f' => {
                let bytes = (arguments.number(position)? as f32).to_le_bytes();
                push(&mut out, &bytes, format.little);
            }
            b'd' => push(&mut out, &arguments.number(position)?.to_le_bytes(), format.little),
            b'c' | b's' => {
                let bytes = arguments.bytes(position)?;
                let size = if item.size == 0 { bytes.len() } else { item.size };
                let Some(bytes) = bytes.get(..size) else {
                    return Err(arguments.wrong(position, "string too short"));
                };
                out.extend_from_slice(bytes);
                if item.letter == b's' {
                    out.push(0);
                }
            }
            _ => {
                let mut bytes = [0; INTEGER_BYTES_MAX];
                let number = arguments.number(position)?;
                let bits = if number < 0.0 { number as i64 as u64 } else { number as u64 };
                bytes[..8].copy_from_slice(&bits.to_le_bytes());
                push(&mut out, &bytes[..item.size], format.little);
            }
        }
        if out.len() > OUTPUT_BYTES_MAX {
            return Err(fail(lua, "not enough memory"));
        }
    }
    lua.create_string(out)
}

fn push(out: &mut Vec<u8>, bytes: &[u8], little: bool) {
    if little {
        out.extend_from_slice(bytes);
    } else {
        out.extend(bytes.iter().rev());
    }
}

fn unpack(arguments: &Arguments<'_>) -> Result<MultiValue> {
    let (lua, text, data) = (arguments.lua, arguments.bytes(1)?, arguments.bytes(2)?);
    let start = arguments.integer_or(3, 1)?;
    let Some(mut at) = usize::try_from(start).ok().and_then(|start| start.checked_sub(1)) else {
        return Err(arguments.wrong(3, "offset must be 1 or greater"));
    };
    let mut format = Format::new(lua, &text);
    let mut found: Vec<Value> = Vec::new();
    let take = |at: usize, size: usize| {
        let bytes = at.checked_add(size).and_then(|end| data.get(at..end));
        bytes.ok_or_else(|| arguments.wrong(2, "data string too short"))
    };
    while let Some(item) = format.next(at)? {
        if found.len() >= RESULTS_MAX {
            return Err(fail(lua, "too many results"));
        }
        at = at.saturating_add(item.padding);
        let mut size = item.size;
        let bytes = take(at, size)?;
        match item.letter {
            b'x' => {}
            b'f' | b'd' => found.push(Value::Number(real(bytes, format.little))),
            b'c' => {
                if size == 0 {
                    let count = found.pop().and_then(|value| super::fail::number_of(&value));
                    let count =
                        count.ok_or_else(|| fail(lua, "format 'c0' needs a previous size"))?;
                    size = count as usize;
                }
                found.push(Value::String(lua.create_string(take(at, size)?)?));
            }
            b's' => {
                let rest = data.get(at..).unwrap_or_default();
                let length = rest.iter().position(|byte| *byte == 0);
                let length = length.ok_or_else(|| fail(lua, "unfinished string in data"))?;
                found.push(Value::String(lua.create_string(&rest[..length])?));
                size = length + 1;
            }
            letter => {
                let signed = letter.is_ascii_lowercase();
                found.push(Value::Number(integer(bytes, format.little, signed)));
            }
        }
        at += size;
    }
    found.push(Value::Number(at as f64 + 1.0));
    Ok(MultiValue::from_vec(found))
}

fn real(bytes: &[u8], little: bool) -> f64 {
    let mut ordered = [0; 8];
    let ordered = &mut ordered[..bytes.len()];
    ordered.copy_from_slice(bytes);
    if !little {
        ordered.reverse();
    }
    match (ordered.first_chunk::<4>(), ordered.first_chunk::<8>()) {
        (_, Some(eight)) => f64::from_le_bytes(*eight),
        (Some(four), None) => f64::from(f32::from_le_bytes(*four)),
        (None, None) => 0.0,
    }
}

/// An integer of any width; bytes beyond the eighth do not count.
fn integer(bytes: &[u8], little: bool, signed: bool) -> f64 {
    let mut ordered = [0; 8];
    for (at, place) in ordered.iter_mut().enumerate().take(bytes.len()) {
        *place = if little { bytes[at] } else { bytes[bytes.len() - 1 - at] };
    }
    let bits = u64::from_le_bytes(ordered);
    if !signed {
        return bits as f64;
    }
    let spare = 64 - 8 * bytes.len().clamp(1, 8) as u32;
    ((bits << spare) as i64 >> spare) as f64
}

fn size(arguments: &Arguments<'_>) -> Result<f64> {
    let text = arguments.bytes(1)?;
    let mut format = Format::new(arguments.lua, &text);
    let mut total = 0usize;
    while let Some(item) = format.next(total)? {
        if item.letter == b's' {
            return Err(arguments.wrong(1, "variable-size format in size"));
        }
        if item.letter == b'c' && item.size == 0 {
            return Err(arguments.wrong(1, "variable-length format in size"));
        }
        total = total.saturating_add(item.padding + item.size);
    }
    Ok(total as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(code: &str) -> String {
        let lua = Lua::new();
        lua.globals().set("struct", library(&lua).unwrap()).unwrap();
        let hex = "function hex(s) return (s:gsub('.', function(c) \
                   return string.format('%02x', c:byte()) end)) end \
                   function list(...) local t={...} for i=1,#t do t[i]=tostring(t[i]) end \
                   return table.concat(t,' ') end";
        lua.load(hex).exec().unwrap();
        lua.load(code).eval::<String>().unwrap()
    }

    #[test]
    fn values_are_laid_out() {
        for (code, expected) in [
            ("hex(struct.pack('<I4', 258))", "02010000"),
            ("hex(struct.pack('>I4', 258))", "00000102"),
            ("hex(struct.pack('>bhl', -1, 2, 3))", "ff00020000000000000003"),
            ("hex(struct.pack('<!4 b i4', 1, 2))", "0100000002000000"),
            ("hex(struct.pack('s', 'ab'))", "616200"),
            ("hex(struct.pack('c3', 'abcd'))", "616263"),
            ("hex(struct.pack('>d', 1))", "3ff0000000000000"),
            ("hex(struct.pack('<f', 1))", "0000803f"),
            ("hex(struct.pack('bxb', 1, 2))", "010002"),
            ("list(struct.unpack('>bHs', '\\255\\1\\2hi\\0'))", "-1 258 hi 7"),
            ("list(struct.unpack('<i2', '\\254\\255'))", "-2 3"),
            ("list(struct.unpack('>Bc0', '\\3abcd'))", "abc 5"),
            ("list(struct.unpack('>I2', '\\0\\0\\1\\0', 3))", "256 5"),
            ("list(struct.size('>!4 b i4 d'))", "16"),
            (
                "list(pcall(struct.unpack, '>I4', 'ab'))",
                "false bad argument #2 to 'unpack' \
              (data string too short)",
            ),
            (
                "list(pcall(struct.pack, 'i99', 1))",
                "false integral size 99 is larger than limit \
              of 32",
            ),
            ("list(pcall(struct.pack, 'y', 1))", "false invalid format option 'y'"),
            (
                "list(pcall(struct.unpack, '>I4', 'abcd', 0))",
                "false bad argument #3 to 'unpack' \
              (offset must be 1 or greater)",
            ),
        ] {
            let found = text(&format!("return {code}"));
            assert_eq!(found.lines().next().unwrap(), expected, "{code}");
        }
    }
}

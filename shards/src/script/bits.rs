//! `bit`: operations on 32-bit words, with the meaning of the library LuaBitOp that Redis has:
//! arguments are taken modulo 2^32, results are signed.

use mlua::{Lua, MultiValue, Result, Table};

use super::fail::Arguments;

type Fold = fn(u32, u32) -> u32;
type Shift = fn(u32, u32) -> u32;

const FOLDS: &[(&str, Fold)] =
    &[("band", |a, b| a & b), ("bor", |a, b| a | b), ("bxor", |a, b| a ^ b)];

/// Only the low five bits of a distance count.
const SHIFTS: &[(&str, Shift)] = &[
    ("lshift", |word, by| word << (by & 31)),
    ("rshift", |word, by| word >> (by & 31)),
    ("arshift", |word, by| (word as i32 >> (by & 31)) as u32),
    ("rol", |word, by| word.rotate_left(by & 31)),
    ("ror", |word, by| word.rotate_right(by & 31)),
];

type Map = fn(u32) -> u32;

const MAPS: &[(&str, Map)] =
    &[("tobit", |word| word), ("bnot", |word| !word), ("bswap", u32::swap_bytes)];

/// The library.
pub(super) fn library(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    for (name, map) in MAPS {
        let function = lua.create_function(move |lua, values: MultiValue| {
            let arguments = Arguments { lua, function: name, values: &values };
            Ok(signed(map(word(&arguments, 1)?)))
        })?;
        library.raw_set(*name, function)?;
    }
    for (name, fold) in FOLDS {
        let function = lua.create_function(move |lua, values: MultiValue| {
            let arguments = Arguments { lua, function: name, values: &values };
            let mut result = word(&arguments, 1)?;
            for position in 2..=values.len() {
                result = fold(result, word(&arguments, position)?);
            }
            Ok(signed(result))
        })?;
        library.raw_set(*name, function)?;
    }
    for (name, shift) in SHIFTS {
        let function = lua.create_function(move |lua, values: MultiValue| {
            let arguments = Arguments { lua, function: name, values: &values };
            Ok(signed(shift(word(&arguments, 1)?, word(&arguments, 2)?)))
        })?;
        library.raw_set(*name, function)?;
    }
    let to_hex = lua.create_function(|lua, values: MultiValue| {
        let arguments = Arguments { lua, function: "tohex", values: &values };
        let number = word(&arguments, 1)?;
        let digits = if values.len() < 2 { 8 } else { word(&arguments, 2)? as i32 };
        let count = (digits.unsigned_abs() as usize).min(8);
        let text = match digits < 0 {
            true => format!("{number:08X}"),
            false => format!("{number:08x}"),
        };
        Ok(text[8 - count..].to_owned())
    })?;
    library.raw_set("tohex", to_hex)?;
    Ok(library)
}

fn signed(word: u32) -> f64 {
    f64::from(word as i32)
}

fn word(arguments: &Arguments<'_>, position: usize) -> Result<u32> {
    const WORDS: f64 = 4_294_967_296.0;
    let number = arguments.number(position)?.round_ties_even().rem_euclid(WORDS);
    Ok(number as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors() {
        let lua = Lua::new();
        lua.globals().set("bit", library(&lua).unwrap()).unwrap();
        for (code, expected) in [
            ("bit.tobit(0xffffffff)", "-1"),
            ("bit.tobit(0xffffffff + 1)", "0"),
            ("bit.tobit(2^40 + 1234)", "1234"),
            ("bit.tohex(1)", "00000001"),
            ("bit.tohex(-1)", "ffffffff"),
            ("bit.tohex(-1, -8)", "FFFFFFFF"),
            ("bit.tohex(0x87654321, 4)", "4321"),
            ("bit.bnot(0)", "-1"),
            ("bit.bor(1, 2, 4, 8)", "15"),
            ("bit.tohex(bit.band(0x12345678, 0xff))", "00000078"),
            ("bit.tohex(bit.bxor(0xa5a5f0f0, 0xaa55ff00))", "0ff00ff0"),
            ("bit.lshift(1, 8)", "256"),
            ("bit.lshift(1, 40)", "256"),
            ("bit.rshift(-256, 8)", "16777215"),
            ("bit.arshift(-256, 8)", "-1"),
            ("bit.tohex(bit.rol(0x12345678, 12))", "45678123"),
            ("bit.tohex(bit.ror(0x12345678, 12))", "67812345"),
            ("bit.tohex(bit.bswap(0x12345678))", "78563412"),
        ] {
            let code = format!("return tostring({code})");
            assert_eq!(lua.load(&code).eval::<String>().unwrap(), expected, "{code}");
        }
        assert!(lua.load("bit.band('x')").exec().is_err());
    }
}

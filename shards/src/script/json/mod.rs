//! `cjson`: JSON to and from Lua values, with the names, limits and texts of the library of that
//! name which Redis has built in.
//!
//! Settings that a script makes last until that script ends.

mod decode;
mod encode;

use std::cell::Cell;
use std::rc::Rc;

use mlua::{Lua, MultiValue, Result, Table, Value};

use super::fail::Arguments;

/// Deepest nesting that a script may ask for; the work on it is recursive.
const DEPTH_MAX: i64 = 1000;

/// What a script may set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// Whether a sparse array becomes an object instead of an error.
    sparse_convert: bool,
    /// An array is sparse when its greatest index exceeds its items that many times; 0 is never.
    sparse_ratio: i64,
    /// Up to this index no array is sparse.
    sparse_safe: i64,
    encode_depth: i64,
    decode_depth: i64,
    digits: i64,
    encode_invalid: bool,
    decode_invalid: bool,
    /// Whether decoded arrays are marked, so that empty ones are written as arrays again.
    mark_arrays: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth: DEPTH_MAX,
            decode_depth: DEPTH_MAX,
            digits: 14,
            encode_invalid: false,
            decode_invalid: true,
            mark_arrays: false,
        }
    }
}

pub(super) type Shared = Rc<Cell<Settings>>;

/// The library.
pub(super) fn library(lua: &Lua, settings: &Shared) -> Result<Table> {
    let library = lua.create_table()?;
    let mark = lua.create_table()?;
    library.raw_set("_NAME", "cjson")?;
    library.raw_set("_VERSION", "2.1.0")?;
    library.raw_set("null", Value::NULL)?;
    library.raw_set("array_mt", &mark)?;
    let (shared, array_mark) = (Rc::clone(settings), mark.clone());
    let encode = lua.create_function(move |lua, values: MultiValue| {
        let arguments = Arguments { lua, function: "encode", values: &values };
        if values.len() != 1 {
            return Err(arguments.wrong(1, "expected 1 argument"));
        }
        encode::encode(lua, shared.get(), &array_mark, &values[0])
    })?;
    library.raw_set("encode", encode)?;
    let shared = Rc::clone(settings);
    let decode = lua.create_function(move |lua, values: MultiValue| {
        let arguments = Arguments { lua, function: "decode", values: &values };
        if values.len() != 1 {
            return Err(arguments.wrong(1, "expected 1 argument"));
        }
        let text = arguments.bytes(1)?;
        decode::decode(lua, shared.get(), &mark, &text)
    })?;
    library.raw_set("decode", decode)?;
    add_settings(lua, &library, settings)?;
    Ok(library)
}

/// The functions that look at a setting and change it.
fn add_settings(lua: &Lua, library: &Table, settings: &Shared) -> Result<()> {
    let shared = Rc::clone(settings);
    let sparse = lua.create_function(move |lua, values: MultiValue| {
        let arguments = Arguments { lua, function: "encode_sparse_array", values: &values };
        let mut all = shared.get();
        all.sparse_convert = flag(&arguments, 1, all.sparse_convert)?;
        all.sparse_ratio = ranged(&arguments, 2, all.sparse_ratio, 0, i64::from(i32::MAX))?;
        all.sparse_safe = ranged(&arguments, 3, all.sparse_safe, 0, i64::from(i32::MAX))?;
        shared.set(all);
        Ok((all.sparse_convert, all.sparse_ratio, all.sparse_safe))
    })?;
    library.raw_set("encode_sparse_array", sparse)?;
    number(lua, library, settings, "encode_max_depth", DEPTH_MAX, |all| &mut all.encode_depth)?;
    number(lua, library, settings, "decode_max_depth", DEPTH_MAX, |all| &mut all.decode_depth)?;
    number(lua, library, settings, "encode_number_precision", 17, |all| &mut all.digits)?;
    truth(lua, library, settings, "encode_invalid_numbers", |all| &mut all.encode_invalid)?;
    truth(lua, library, settings, "decode_invalid_numbers", |all| &mut all.decode_invalid)?;
    truth(lua, library, settings, "decode_array_with_array_mt", |all| &mut all.mark_arrays)
}

fn number(
    lua: &Lua,
    library: &Table,
    settings: &Shared,
    name: &'static str,
    most: i64,
    place: fn(&mut Settings) -> &mut i64,
) -> Result<()> {
    let shared = Rc::clone(settings);
    let function = lua.create_function(move |lua, values: MultiValue| {
        let arguments = Arguments { lua, function: name, values: &values };
        let mut all = shared.get();
        let chosen = ranged(&arguments, 1, *place(&mut all), 1, most)?;
        *place(&mut all) = chosen;
        shared.set(all);
        Ok(chosen)
    })?;
    library.raw_set(name, function)
}

fn truth(
    lua: &Lua,
    library: &Table,
    settings: &Shared,
    name: &'static str,
    place: fn(&mut Settings) -> &mut bool,
) -> Result<()> {
    let shared = Rc::clone(settings);
    let function = lua.create_function(move |lua, values: MultiValue| {
        let arguments = Arguments { lua, function: name, values: &values };
        let mut all = shared.get();
        let chosen = flag(&arguments, 1, *place(&mut all))?;
        *place(&mut all) = chosen;
        shared.set(all);
        Ok(chosen)
    })?;
    library.raw_set(name, function)
}

fn flag(arguments: &Arguments<'_>, position: usize, old: bool) -> Result<bool> {
    match arguments.get(position) {
        None | Some(Value::Nil) => Ok(old),
        Some(Value::Boolean(truth)) => Ok(*truth),
        Some(Value::String(word)) => match &*word.as_bytes() {
            b"on" => Ok(true),
            b"off" => Ok(false),
            _ => Err(arguments.wrong(position, "invalid option")),
        },
        Some(_) => Err(arguments.wrong(position, "boolean expected")),
    }
}

fn ranged(
    arguments: &Arguments<'_>,
    position: usize,
    old: i64,
    least: i64,
    most: i64,
) -> Result<i64> {
    let number = arguments.integer_or(position, old)?;
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    let what = format_args!("expected integer between {least} and {most}");
    Err(arguments.wrong(position, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lua() -> Lua {
        let lua = Lua::new();
        let library = library(&lua, &Shared::default()).unwrap();
        lua.globals().set("cjson", library).unwrap();
        lua
    }

    fn text(code: &str) -> String {
        lua().load(code).set_name("@t").eval::<String>().unwrap()
    }

    fn error(code: &str) -> String {
        lua().load(code).set_name("@t").exec().unwrap_err().to_string()
    }

    #[test]
    fn values_are_written() {
        for (code, json) in [
            ("1", "1"),
            ("1.5", "1.5"),
            ("1/3", "0.33333333333333"),
            ("10000000000000000", "1e+16"),
            ("true", "true"),
            ("nil", "null"),
            ("cjson.null", "null"),
            ("{}", "{}"),
            ("{1,2,3}", "[1,2,3]"),
            ("{a=1}", "{\"a\":1}"),
            ("{[1]=1,[3]=3}", "[1,null,3]"),
            ("{[1]=1,a=2} and {x={{}}}", "{\"x\":[{}]}"),
            ("'a\"b\\\\c/d\\n\\t\\1\\127'", "\"a\\\"b\\\\c\\/d\\n\\t\\u0001\\u007f\""),
            ("setmetatable({}, cjson.array_mt)", "[]"),
        ] {
            assert_eq!(text(&format!("return cjson.encode({code})")), json, "{code}");
        }
    }

    #[test]
    fn values_are_read() {
        for (code, shown) in [
            ("cjson.decode('[1,2,{\"a\":[true,null]}]')[3].a[1]", "true"),
            ("cjson.decode('{\"a\":null}').a == cjson.null", "true"),
            ("cjson.decode(' \"\\\\u00e9\\\\ud83d\\\\ude00\" ')", "é😀"),
            ("cjson.decode('-1.5e2')", "-150"),
            ("cjson.decode('0x10')", "16"),
            ("#cjson.decode('[]')", "0"),
            ("cjson.encode(cjson.decode('{\"a\":[1,[2]]}'))", "{\"a\":[1,[2]]}"),
        ] {
            assert_eq!(text(&format!("return tostring({code})")), shown, "{code}");
        }
        let marked = "cjson.decode_array_with_array_mt(true) \
                      return cjson.encode(cjson.decode('{\"a\":[]}'))";
        assert_eq!(text(marked), "{\"a\":[]}");
    }

    #[test]
    fn refusals_say_what_the_library_says() {
        for (code, message) in [
            ("cjson.encode(print)", "Cannot serialise function: type not supported"),
            ("cjson.encode({[1]=1,[100]=1})", "Cannot serialise table: excessively sparse array"),
            ("cjson.encode(0/0)", "Cannot serialise number: must not be NaN or Inf"),
            (
                "cjson.encode({[true]=1})",
                "Cannot serialise table: table key must be a number or string",
            ),
            ("local t={} t[1]=t cjson.encode(t)", "Cannot serialise, excessive depth (1001)"),
            ("cjson.decode('{')", "Expected object key string but found T_END at character 2"),
            ("cjson.decode('[1,]')", "Expected value but found T_ARR_END at character 4"),
            ("cjson.decode('[1 2]')", "Expected comma or array end but found T_NUMBER"),
            ("cjson.decode('nope')", "Expected value but found invalid token at character 1"),
            ("cjson.decode('\"a')", "Expected value but found unexpected end of string"),
            ("cjson.decode('1 2')", "Expected the end but found T_NUMBER at character 3"),
            ("cjson.decode(('['):rep(1001))", "Found too many nested data structures (1001)"),
            ("cjson.encode()", "bad argument #1 to 'encode' (expected 1 argument)"),
        ] {
            let found = error(code);
            assert!(found.contains(message), "{code}: {found}");
            assert!(found.contains("t:1: "), "{code}: {found}");
        }
    }

    #[test]
    fn settings_change_what_is_written() {
        let sparse = "cjson.encode_sparse_array(true) return cjson.encode({[1]=1,[100]=2})";
        assert!(["{\"1\":1,\"100\":2}", "{\"100\":2,\"1\":1}"].contains(&&*text(sparse)));
        let digits = "cjson.encode_number_precision(3) return cjson.encode(1/3)";
        assert_eq!(text(digits), "0.333");
        assert!(error("cjson.encode_max_depth(2) cjson.encode({{{1}}})").contains("depth (3)"));
    }
}

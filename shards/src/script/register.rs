//! `redis.register_function`, with which the code of a library says which functions it has, in both
//! its forms: name and function, or one table of named arguments.

use std::rc::Rc;

use mlua::{Lua, MultiValue, Result, Table, Value};

use super::api::refuse;
use super::link::{Link, Registered};
use super::shebang::ScriptFlags;
use crate::shard::libraries::is_name;

/// Functions of one library.
const FUNCTIONS_MAX: usize = 4096;

/// Adds it to the table `redis`. Outside the loading of a library it refuses.
pub(super) fn add(lua: &Lua, library: &Table, link: &Rc<Link>) -> Result<()> {
    let link = Rc::clone(link);
    let register = lua.create_function(move |lua, values: MultiValue| {
        let mut registering = link.registering.borrow_mut();
        let Some(registered) = registering.as_mut() else {
            return Err(refuse(
                "redis.register_function can only be called on FUNCTION LOAD command",
            ));
        };
        let new = registration(lua, &values)?;
        if !is_name(&new.name) {
            return Err(refuse(
                "Library names can only contain letters, numbers, or underscores(_) and must be \
                 at least one character long",
            ));
        }
        if registered.iter().any(|known| known.name == new.name) {
            return Err(refuse("Function already exists in the library"));
        }
        if registered.len() == FUNCTIONS_MAX {
            return Err(refuse("a library has too many functions"));
        }
        registered.push(new);
        Ok(())
    })?;
    library.raw_set("register_function", register)
}

fn registration(lua: &Lua, values: &MultiValue) -> Result<Registered> {
    match (values.front(), values.get(1), values.len()) {
        (Some(Value::Table(fields)), None, 1) => from_fields(lua, fields),
        (Some(_), None, 1) => Err(refuse(
            "calling redis.register_function with a single argument is only applicable to Lua \
             table (representing named arguments).",
        )),
        (Some(name), Some(function), 2) => {
            let Some(name) = text(lua, name)? else {
                return Err(refuse("first argument to redis.register_function must be a string"));
            };
            let Value::Function(function) = function else {
                return Err(refuse(
                    "second argument to redis.register_function must be a function",
                ));
            };
            let (function, flags) = (function.clone(), ScriptFlags::default());
            Ok(Registered { name, function, description: None, flags })
        }
        _ => Err(refuse("wrong number of arguments to redis.register_function")),
    }
}

/// A string; a number counts as its text.
fn text(lua: &Lua, value: &Value) -> Result<Option<Vec<u8>>> {
    match value {
        Value::String(_) | Value::Integer(_) | Value::Number(_) => {
            let text = lua.coerce_string(value.clone())?;
            Ok(text.map(|text| text.as_bytes().to_vec()))
        }
        _ => Ok(None),
    }
}

fn from_fields(lua: &Lua, fields: &Table) -> Result<Registered> {
    let (mut name, mut function, mut description) = (None, None, None);
    let mut flags = ScriptFlags::default();
    for pair in fields.pairs::<Value, Value>() {
        let (field, value) = pair?;
        let Some(field) = text(lua, &field)? else {
            return Err(refuse(
                "named argument key given to redis.register_function is not a string",
            ));
        };
        let wrong = |what: &str, kind: &str| {
            refuse(&format!("{what} argument given to redis.register_function must be a {kind}"))
        };
        match (&field[..], value) {
            (b"function_name", value) => {
                name = Some(text(lua, &value)?.ok_or_else(|| wrong("function_name", "string"))?);
            }
            (b"description", value) => {
                let given = text(lua, &value)?.ok_or_else(|| wrong("description", "string"))?;
                description = Some(given);
            }
            (b"callback", Value::Function(given)) => function = Some(given),
            (b"callback", _) => return Err(wrong("callback", "function")),
            (b"flags", Value::Table(words)) => flags = flags_of(&words)?,
            (b"flags", _) => {
                return Err(refuse(
                    "flags argument to redis.register_function must be a table representing \
                     function flags",
                ));
            }
            _ => return Err(refuse("unknown argument given to redis.register_function")),
        }
    }
    let missing = |what| refuse(&format!("redis.register_function must get a {what} argument"));
    let name = name.ok_or_else(|| missing("function name"))?;
    let function = function.ok_or_else(|| missing("callback"))?;
    Ok(Registered { name, function, description, flags })
}

fn flags_of(words: &Table) -> Result<ScriptFlags> {
    let mut flags = ScriptFlags::default();
    for word in words.sequence_values::<Value>() {
        match word? {
            Value::String(word) if flags.add(&word.as_bytes()) => {}
            _ => return Err(refuse("unknown flag given")),
        }
    }
    Ok(flags)
}

//! Values of the RDB format that are not strings: their names, and how to pass over them.
//!
//! Source: the RDB files that Redis 2.6 to 7.4 write, and its type and opcode numbers.

use std::io::BufRead;

use super::rdb::{Length, length, skip_string};
use super::{FileError, Source};

const MODULE_SIGNED: u64 = 1;
const MODULE_UNSIGNED: u64 = 2;
const MODULE_FLOAT: u64 = 3;
const MODULE_DOUBLE: u64 = 4;
const MODULE_STRING: u64 = 5;
const MODULE_END: u64 = 0;

/// Bytes of a stream's entry id as the waiting list of a group holds it, and of a time.
const STREAM_ID_BYTES: u64 = 16;
const TIME_BYTES: u64 = 8;

/// What kind of value a type number stands for; nothing when it is unknown.
pub(super) fn name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0 => "string",
        1 | 10 | 14 | 18 => "list",
        2 | 11 | 20 => "set",
        3 | 5 | 12 | 17 => "zset",
        4 | 9 | 13 | 16 | 22..=25 => "hash",
        7 => "module",
        15 | 19 | 21 => "stream",
        _ => return None,
    })
}

/// Whether the server's `RESTORE` knows a type: all but modules' and those of hashes with deadlines
/// that only release candidates of Redis 7.4 wrote.
pub(super) fn is_restorable(kind: u8) -> bool {
    !matches!(kind, 7 | 22 | 23)
}

/// Passes over the value of a type that [`name`] knows.
pub(super) fn value<R: BufRead>(source: &mut Source<R>, kind: u8) -> Result<(), FileError> {
    match kind {
        0 | 9..=13 | 16 | 17 | 20 => skip_string(source),
        1 | 2 | 14 => repeat(source, skip_string),
        3 => repeat(source, |source| {
            skip_string(source)?;
            old_double(source)
        }),
        4 => repeat(source, |source| {
            skip_string(source)?;
            skip_string(source)
        }),
        5 => repeat(source, |source| {
            skip_string(source)?;
            source.skip(8)
        }),
        7 => {
            number(source)?;
            module(source)
        }
        15 => stream(source, 1),
        18 => repeat(source, |source| {
            number(source)?;
            skip_string(source)
        }),
        19 => stream(source, 2),
        21 => stream(source, 3),
        22 | 24 => hash_with_deadlines(source, kind),
        23 | 25 => {
            if kind == 25 {
                source.skip(TIME_BYTES)?;
            }
            skip_string(source)
        }
        _ => Err(FileError::Format { offset: source.offset(), expected: "a known type" }),
    }
}

/// Passes over what a module wrote, to its end mark.
pub(super) fn module<R: BufRead>(source: &mut Source<R>) -> Result<(), FileError> {
    loop {
        match number(source)? {
            MODULE_END => return Ok(()),
            MODULE_SIGNED | MODULE_UNSIGNED => {
                number(source)?;
            }
            MODULE_FLOAT => source.skip(4)?,
            MODULE_DOUBLE => source.skip(8)?,
            MODULE_STRING => skip_string(source)?,
            _ => {
                let offset = source.offset();
                return Err(FileError::Format { offset, expected: "a part of a module's value" });
            }
        }
    }
}

/// A plain number.
pub(super) fn number<R: BufRead>(source: &mut Source<R>) -> Result<u64, FileError> {
    let offset = source.offset();
    match length(source)? {
        Length::Plain(number) => Ok(number),
        Length::Encoded(_) => Err(FileError::Format { offset, expected: "a number" }),
    }
}

fn repeat<R: BufRead>(
    source: &mut Source<R>,
    mut one: impl FnMut(&mut Source<R>) -> Result<(), FileError>,
) -> Result<(), FileError> {
    for _ in 0..number(source)? {
        one(source)?;
    }
    Ok(())
}

/// A score as text: a length, or one of three marks for what no text is needed for.
fn old_double<R: BufRead>(source: &mut Source<R>) -> Result<(), FileError> {
    match source.byte()? {
        253..=255 => Ok(()),
        count => source.skip(count.into()),
    }
}

/// A hash whose fields may expire. The time each field expires is relative to the first; type 24
/// states that first.
fn hash_with_deadlines<R: BufRead>(source: &mut Source<R>, kind: u8) -> Result<(), FileError> {
    if kind == 24 {
        source.skip(TIME_BYTES)?;
    }
    repeat(source, |source| {
        number(source)?;
        skip_string(source)?;
        skip_string(source)
    })
}

fn stream<R: BufRead>(source: &mut Source<R>, version: u8) -> Result<(), FileError> {
    repeat(source, |source| {
        skip_string(source)?;
        skip_string(source)
    })?;
    // Length and last id; then first id, greatest deleted id and entries ever added.
    let numbers = if version >= 2 { 8 } else { 3 };
    for _ in 0..numbers {
        number(source)?;
    }
    repeat(source, |source| group(source, version))
}

fn group<R: BufRead>(source: &mut Source<R>, version: u8) -> Result<(), FileError> {
    skip_string(source)?;
    for _ in 0..if version >= 2 { 3 } else { 2 } {
        number(source)?;
    }
    repeat(source, |source| {
        source.skip(STREAM_ID_BYTES + TIME_BYTES)?;
        number(source).map(drop)
    })?;
    repeat(source, |source| {
        skip_string(source)?;
        source.skip(if version >= 3 { 2 * TIME_BYTES } else { TIME_BYTES })?;
        repeat(source, |source| source.skip(STREAM_ID_BYTES))
    })
}

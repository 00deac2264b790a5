//! Names in namespaces ([`Namespace`]): made keys of where a request comes in, so that everything
//! behind (routing, loans, transactions, waiting) knows keys only. Whoever takes words from outside
//! calls [`qualify`] before it decodes them: the server, scripts, tests.
//!
//! The other way round: a client's key that looks like one of a namespace is refused here.

use super::args::Words;
use super::error::CommandError;
use super::spec::{ArgKind, CommandSpec};
use crate::key::Namespace;
use crate::types::topic::names::{PARTITION, key_of_word};
use smallvec::SmallVec;

/// Bytes of a name.
pub const NAME_BYTES_MAX: usize = 1024;

const RESERVED: CommandError = CommandError::Invalid(
    "a key may not begin with the bytes 00 q 00, 00 t 00, 00 g 00, 00 c 00 or 00 d 00",
);
const EMPTY: CommandError = CommandError::Invalid("a name may not be empty");
const TOO_LONG: CommandError = CommandError::Invalid("a name may not be longer than 1024 bytes");
const CONTROL: CommandError = CommandError::Invalid("a name may not have control characters");

/// The keys of the names among the words of one request.
#[derive(Debug)]
pub struct Names {
    keys: SmallVec<[(usize, Vec<u8>); 1]>,
}

impl Names {
    /// The words with the keys in place of the names.
    pub fn over<'a>(&'a self, words: &[&'a [u8]]) -> Words<'a> {
        let mut over: Words<'a> = words.iter().copied().collect();
        for (at, key) in &self.keys {
            over[*at] = key;
        }
        over
    }
}

/// Whether [`qualify`] would say anything but nothing.
#[inline]
pub fn may_be_among(spec: &CommandSpec, words: &[&[u8]]) -> bool {
    spec.namespace().is_some() || words.iter().any(|word| Namespace::has(word))
}

/// The keys of the names that a request has; nothing where it has keys of clients, which then are
/// not those of a namespace. Words too few for the command are left to its arguments' check.
///
/// # Errors
/// A name is none, or a key is reserved.
#[inline]
pub fn qualify(spec: &CommandSpec, words: &[&[u8]]) -> Result<Option<Names>, CommandError> {
    match spec.namespace() {
        Some(space) => names(spec, space, words).map(Some),
        None if words.iter().any(|word| Namespace::has(word)) => {
            let mut keys = spec.key_positions(words).into_iter();
            let is_reserved = keys.any(|at| Namespace::has(words[at]));
            if is_reserved { Err(RESERVED) } else { Ok(None) }
        }
        None => Ok(None),
    }
}

fn names(spec: &CommandSpec, space: Namespace, words: &[&[u8]]) -> Result<Names, CommandError> {
    let positions = spec.key_positions(words).into_iter();
    let keys = positions.filter(|at| *at < words.len()).map(|at| {
        check(words[at])?;
        let space = match spec.args.get(at - spec.words()).map(|arg| arg.kind) {
            Some(ArgKind::Name(own)) => own,
            Some(_) | None => space,
        };
        Ok((at, numbered(spec, at, words).unwrap_or_else(|| space.key(words[at]))))
    });
    Ok(Names { keys: keys.collect::<Result<_, CommandError>>()? })
}

/// The key of the partition whose number stands right behind the name of its topic.
fn numbered(spec: &CommandSpec, at: usize, words: &[&[u8]]) -> Option<Vec<u8>> {
    let behind = spec.args.get(at + 1 - spec.words())?;
    if behind.name != PARTITION || !matches!(behind.kind, ArgKind::Integer) {
        return None;
    }
    key_of_word(words[at], words.get(at + 1)?)
}

/// Whether these bytes can be a name.
///
/// # Errors
/// They are none, too many, or would not be read by people.
pub fn check(name: &[u8]) -> Result<(), CommandError> {
    match name {
        [] => Err(EMPTY),
        name if name.len() > NAME_BYTES_MAX => Err(TOO_LONG),
        name if name.iter().any(u8::is_ascii_control) => Err(CONTROL),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::ArgSpec;
    use super::super::table::{commands, lookup};
    use super::*;

    #[test]
    fn names_stand_first_and_at_the_keys() {
        for spec in commands() {
            let is_name = |arg: &ArgSpec| matches!(arg.kind, ArgKind::Name(_));
            let names = spec.args.iter().take_while(|arg| is_name(arg)).count();
            assert!(!spec.args.iter().skip(names).any(is_name), "{}", spec.resp);
        }
    }

    #[test]
    fn keys_of_namespaces_are_refused() {
        for words in [&[&b"GET"[..], b"\0q\0x"][..], &[b"MSET", b"a", b"1", b"\0t\0x", b"2"]] {
            let spec = lookup(words).expect("it is a command").spec();
            assert_eq!(qualify(spec, words).err(), Some(RESERVED));
        }
        let words = [&b"SET"[..], b"k", b"\0q\0x"];
        let spec = lookup(&words).expect("it is a command").spec();
        assert!(qualify(spec, &words).is_ok_and(|names| names.is_none()), "a value is free");
    }

    #[test]
    fn names_are_for_people() {
        assert_eq!(check(b""), Err(EMPTY));
        assert_eq!(check(&[b'a'; NAME_BYTES_MAX + 1]), Err(TOO_LONG));
        assert_eq!(check(b"a\0b"), Err(CONTROL));
        assert_eq!(check("Bestellungen {eu}/größer".as_bytes()), Ok(()));
    }
}

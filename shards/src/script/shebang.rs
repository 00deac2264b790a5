//! The first line of a script, which may say what it needs: `#!lua flags=no-writes,allow-oom`; and
//! that of a library of functions, which has to say what it is called: `#!lua name=lib`.

use crate::command::error::{CommandError, quote};
use crate::shard::libraries::is_name;

/// What a script or a function says about itself. Those about replicas and clusters change nothing
/// here: there is one copy of the data, and every key is within reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ScriptFlags(u8);

impl ScriptFlags {
    /// It has said nothing, so nothing is known of what it needs.
    pub(crate) const UNSAID: Self = Self(1);
    /// It does not write.
    pub(crate) const NO_WRITES: Self = Self(2);
    /// It may run, and write, when memory is short.
    pub(crate) const ALLOW_OOM: Self = Self(4);
    const ALLOW_STALE: Self = Self(8);
    const NO_CLUSTER: Self = Self(16);
    const ALLOW_CROSS_SLOT: Self = Self(32);
    const NAMES: [(&'static str, Self); 5] = [
        ("no-writes", Self::NO_WRITES),
        ("allow-oom", Self::ALLOW_OOM),
        ("allow-stale", Self::ALLOW_STALE),
        ("no-cluster", Self::NO_CLUSTER),
        ("allow-cross-slot-keys", Self::ALLOW_CROSS_SLOT),
    ];

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The names of the flags that are set.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(_, flag)| self.has(*flag)).map(|(name, _)| name)
    }

    /// Adds the flag of this name; false when there is none.
    pub(crate) fn add(&mut self, name: &[u8]) -> bool {
        let known = Self::NAMES.iter().find(|(known, _)| known.as_bytes() == name);
        known.map(|(_, flag)| self.0 |= flag.0).is_some()
    }
}

/// What the first line says, and the rest, which begins with the line's end so that line numbers
/// stay what they are.
#[derive(Debug)]
pub(crate) struct Shebang<'s> {
    pub(crate) flags: ScriptFlags,
    pub(crate) code: &'s [u8],
}

/// Reads the first line of a script.
pub(crate) fn read(source: &[u8]) -> Result<Shebang<'_>, CommandError> {
    if !source.starts_with(b"#!") {
        return Ok(Shebang { flags: ScriptFlags::UNSAID, code: source });
    }
    let end = source.iter().position(|byte| *byte == b'\n');
    let Some(end) = end else { return Err(CommandError::Invalid("Invalid script shebang")) };
    let (line, code) = source.split_at(end);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line[2..].split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let engine = words.next().unwrap_or_default();
    if engine != b"lua" {
        return Err(quoted("Unexpected engine in script shebang: ", engine));
    }
    let mut flags = ScriptFlags::default();
    for word in words {
        if let Some(list) = word.strip_prefix(b"flags=") {
            for flag in list.split(|byte| *byte == b',').filter(|flag| !flag.is_empty()) {
                if !flags.add(flag) {
                    return Err(quoted("Unexpected flag in script shebang: ", flag));
                }
            }
        } else {
            return Err(quoted("Unknown lua shebang option: ", word));
        }
    }
    Ok(Shebang { flags, code })
}

/// The name of a library, and its code behind the first line.
pub(crate) fn read_library(source: &[u8]) -> Result<(&[u8], &[u8]), CommandError> {
    if !source.starts_with(b"#!") {
        return Err(CommandError::Invalid("Missing library metadata"));
    }
    let end = source.iter().position(|byte| *byte == b'\n');
    let (line, code) =
        source.split_at(end.ok_or(CommandError::Invalid("Invalid library metadata"))?);
    let mut words = line[2..].split(u8::is_ascii_whitespace);
    let engine = words.next().unwrap_or_default();
    let mut name = None;
    for word in words.filter(|word| !word.is_empty()) {
        match word.split_at_checked(b"name=".len()) {
            Some((token, given)) if token.eq_ignore_ascii_case(b"name=") => {
                if name.replace(given).is_some() {
                    return Err(CommandError::Invalid(
                        "Invalid metadata value, name argument was given multiple times",
                    ));
                }
            }
            _ => return Err(quoted("Invalid metadata value given: ", word)),
        }
    }
    let name = name.ok_or(CommandError::Invalid("Library name was not given"))?;
    if !is_name(name) {
        return Err(CommandError::Invalid(
            "Library names can only contain letters, numbers, or underscores(_) and must be at \
             least one character long",
        ));
    }
    if !engine.eq_ignore_ascii_case(b"lua") {
        let (before, found, after) = ("Engine '", quote(engine), "' not found");
        return Err(CommandError::Quoted { before, found, after });
    }
    Ok((name, code))
}

fn quoted(before: &'static str, found: &[u8]) -> CommandError {
    CommandError::Quoted { before, found: quote(found), after: "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_of_libraries_are_read() {
        let plain: (&[u8], &[u8]) = (b"a_1", b"\nx");
        assert_eq!(read_library(b"#!LUA  NAME=a_1\r\nx").unwrap(), plain);
        for (source, message) in [
            (&b"return 1"[..], "Missing library metadata"),
            (b"#!lua name=a", "Invalid library metadata"),
            (b"#!lua\n", "Library name was not given"),
            (
                b"#!lua name=a name=b\n",
                "Invalid metadata value, name argument was given multiple times",
            ),
            (b"#!lua foo=1\n", "Invalid metadata value given: foo=1"),
            (b"#!js name=a\n", "Engine 'js' not found"),
        ] {
            assert_eq!(read_library(source).unwrap_err().to_string(), message);
        }
        assert!(read_library(b"#!lua name=a-b\n").unwrap_err().to_string().contains("can only"));
        let mut flags = ScriptFlags::default();
        assert!(flags.add(b"allow-oom") && flags.add(b"no-writes"));
        assert_eq!(flags.names().collect::<Vec<_>>(), ["no-writes", "allow-oom"]);
    }

    #[test]
    fn first_lines_are_read() {
        let plain = read(b"return 1").unwrap();
        assert_eq!((plain.flags, plain.code), (ScriptFlags::UNSAID, &b"return 1"[..]));
        let flagged = read(b"#!lua flags=no-writes,allow-stale\nreturn 1").unwrap();
        assert!(flagged.flags.has(ScriptFlags::NO_WRITES));
        assert!(!flagged.flags.has(ScriptFlags::UNSAID));
        assert_eq!(flagged.code, b"\nreturn 1");
        assert_eq!(read(b"#!lua\r\nx").unwrap().code, b"\nx");
        for (source, message) in [
            (&b"#!lua"[..], "Invalid script shebang"),
            (b"#!js\n", "Unexpected engine in script shebang: js"),
            (b"#!lua flags=nope\n", "Unexpected flag in script shebang: nope"),
            (b"#!lua foo=1\n", "Unknown lua shebang option: foo=1"),
        ] {
            assert_eq!(read(source).unwrap_err().to_string(), message);
        }
    }
}

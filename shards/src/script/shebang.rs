//! The first line of a script, which may say what it needs: `#!lua flags=no-writes,allow-oom`.

use crate::command::error::{CommandError, quote};

/// What a script says about itself. Those about replicas and clusters change nothing
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

fn quoted(before: &'static str, found: &[u8]) -> CommandError {
    CommandError::Quoted { before, found: quote(found), after: "" }
}

#[cfg(test)]
mod tests {
    use super::*;

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

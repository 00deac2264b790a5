//! Reading an append-only file of Redis: commands as clients send them, with lines of annotation
//! between them, perhaps behind a snapshot.
//!
//! Guarantees: a transaction is handed out whole or not at all, so that a file cut off within one
//! leaves nothing half done. Memory: the largest transaction.

use std::io::BufRead;

use synap_shards::limits::{ARGS_MAX, VALUE_BYTES_MAX};

use super::{FileError, Source};

/// Bytes of a line that is no argument.
const LINE_BYTES_MAX: u64 = 1024;

/// Name and arguments.
pub(crate) type Command = Vec<Vec<u8>>;

/// Reads the commands of a file.
pub(crate) struct Reader<R> {
    source: Source<R>,
}

impl<R: BufRead> Reader<R> {
    /// Reads from where `source` stands.
    pub(crate) fn new(source: Source<R>) -> Self {
        Self { source }
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// One command, or all commands between MULTI and EXEC without these two; nothing at the end.
    ///
    /// # Errors
    /// [`FileError::Cut`] names where the last whole command or transaction ended.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<Command>>, FileError> {
        let start = self.source.offset();
        let cut = |error| match error {
            FileError::Cut { .. } => FileError::Cut { offset: start },
            other => other,
        };
        let Some(first) = self.command().map_err(cut)? else { return Ok(None) };
        if !is(&first, b"MULTI") {
            return Ok(Some(vec![first]));
        }
        let mut commands = Vec::new();
        loop {
            match self.command().map_err(cut)? {
                None => return Err(FileError::Cut { offset: start }),
                Some(command) if is(&command, b"EXEC") => return Ok(Some(commands)),
                Some(command) => commands.push(command),
            }
        }
    }

    fn command(&mut self) -> Result<Option<Command>, FileError> {
        let offset = self.source.offset();
        let line = loop {
            match self.source.line(LINE_BYTES_MAX)? {
                None => return Ok(None),
                Some(line) if line.first() == Some(&b'#') => {}
                Some(line) => break line,
            }
        };
        let count = number(&line, b'*', offset)?;
        if !(1..=ARGS_MAX as u64).contains(&count) {
            return Err(FileError::Format { offset, expected: "a command" });
        }
        (0..count).map(|_| self.word()).collect::<Result<Command, FileError>>().map(Some)
    }

    fn word(&mut self) -> Result<Vec<u8>, FileError> {
        let offset = self.source.offset();
        let line = self.source.line(LINE_BYTES_MAX)?.ok_or(FileError::Cut { offset })?;
        let (found, expected) = (number(&line, b'$', offset)?, VALUE_BYTES_MAX as u64);
        if found > expected {
            return Err(FileError::TooLong { offset, expected, found });
        }
        let word = self.source.bytes(found)?;
        let offset = self.source.offset();
        if self.source.array()? != *b"\r\n" {
            return Err(FileError::Format { offset, expected: "the end of an argument" });
        }
        Ok(word)
    }
}

/// Whether a command has this name, written in capitals.
pub(crate) fn is(command: &Command, name: &[u8]) -> bool {
    command.first().is_some_and(|word| word.eq_ignore_ascii_case(name))
}

fn number(line: &[u8], mark: u8, offset: u64) -> Result<u64, FileError> {
    let digits = line.strip_prefix(&[mark]).and_then(|rest| rest.strip_suffix(b"\r"));
    digits
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(FileError::Format { offset, expected: "a command of an append-only file" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(commands: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for command in commands {
            let words: Vec<&str> = command.split(' ').collect();
            bytes.extend(format!("*{}\r\n", words.len()).bytes());
            for word in words {
                bytes.extend(format!("${}\r\n{word}\r\n", word.len()).bytes());
            }
        }
        bytes
    }

    fn read(bytes: &[u8]) -> (Vec<usize>, Option<FileError>) {
        let mut reader = Reader::new(Source::new(bytes));
        let mut sizes = Vec::new();
        loop {
            match reader.next() {
                Ok(Some(commands)) => sizes.push(commands.len()),
                Ok(None) => return (sizes, None),
                Err(error) => return (sizes, Some(error)),
            }
        }
    }

    #[test]
    fn commands_annotations_and_transactions() {
        let mut bytes = b"#TS:1628217470\r\n".to_vec();
        bytes.extend(encode(&["SELECT 0", "SET k v", "MULTI", "INCR a", "INCR b", "EXEC"]));
        let (sizes, error) = read(&bytes);
        assert!(error.is_none());
        assert_eq!(sizes, [1, 1, 2]);
    }

    #[test]
    fn a_cut_names_the_end_of_what_is_whole() {
        let bytes = encode(&["SET k v", "multi", "INCR a", "exec"]);
        let whole = encode(&["SET k v"]).len();
        for end in whole + 1..bytes.len() {
            let (sizes, error) = read(&bytes[..end]);
            assert_eq!(sizes, [1], "cut at {end}");
            match error {
                Some(FileError::Cut { offset }) => assert_eq!(offset, whole as u64),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for bad in ["*0\r\n", "*-1\r\n", "SET k v\r\n", "*1\r\n$x\r\n", "*1\r\n$1\r\nabc\r\n"] {
            let (_, error) = read(bad.as_bytes());
            assert!(matches!(error, Some(FileError::Format { .. })), "{bad:?}: {error:?}");
        }
        let (_, error) = read(b"*1\r\n$999999999999\r\n");
        assert!(matches!(error, Some(FileError::TooLong { .. })));
    }
}

//! Splits a typed line into arguments, the way a shell does.
//!
//! Guarantees: blanks separate, double quotes take escapes (`\n \r \t \b \a \xHH \" \\`), single
//! quotes take everything as it is except `\'` and `\\`, a backslash outside quotes takes the next
//! character as it is; pieces that touch are one argument. Never drops input silently.

use std::fmt;
use std::iter::Peekable;
use std::str::Bytes;

/// Why a line was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuoteError {
    /// A quote that nothing closes.
    Unclosed(char),
    /// A backslash with nothing behind it.
    LoneBackslash,
}

impl fmt::Display for QuoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unclosed(quote) => write!(f, "expected a closing {quote}, found the end"),
            Self::LoneBackslash => f.write_str("expected a character after \\, found the end"),
        }
    }
}

impl std::error::Error for QuoteError {}

/// The arguments of a line; empty for a blank line.
///
/// # Errors
/// When a quote is not closed or the line ends with a backslash.
pub(crate) fn split(line: &str) -> Result<Vec<Vec<u8>>, QuoteError> {
    let mut bytes = line.bytes().peekable();
    let mut args = Vec::new();
    loop {
        while bytes.next_if(u8::is_ascii_whitespace).is_some() {}
        if bytes.peek().is_none() {
            return Ok(args);
        }
        let mut arg = Vec::new();
        while let Some(byte) = bytes.next_if(|byte| !byte.is_ascii_whitespace()) {
            match byte {
                b'"' => double_quoted(&mut bytes, &mut arg)?,
                b'\'' => single_quoted(&mut bytes, &mut arg)?,
                b'\\' => arg.push(bytes.next().ok_or(QuoteError::LoneBackslash)?),
                other => arg.push(other),
            }
        }
        args.push(arg);
    }
}

fn double_quoted(bytes: &mut Peekable<Bytes<'_>>, arg: &mut Vec<u8>) -> Result<(), QuoteError> {
    let unclosed = QuoteError::Unclosed('"');
    loop {
        match bytes.next().ok_or(unclosed)? {
            b'"' => return Ok(()),
            b'\\' => match bytes.next().ok_or(unclosed)? {
                b'n' => arg.push(b'\n'),
                b'r' => arg.push(b'\r'),
                b't' => arg.push(b'\t'),
                b'b' => arg.push(8),
                b'a' => arg.push(7),
                b'x' => hex_escape(bytes, arg),
                other => arg.push(other),
            },
            other => arg.push(other),
        }
    }
}

/// `\xHH`; an `x` without two digits behind it stands for itself.
fn hex_escape(bytes: &mut Peekable<Bytes<'_>>, arg: &mut Vec<u8>) {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut ahead = bytes.clone();
    match (ahead.next().and_then(digit), ahead.next().and_then(digit)) {
        (Some(high), Some(low)) => {
            arg.push(high * 16 + low);
            *bytes = ahead;
        }
        _ => arg.push(b'x'),
    }
}

fn single_quoted(bytes: &mut Peekable<Bytes<'_>>, arg: &mut Vec<u8>) -> Result<(), QuoteError> {
    let unclosed = QuoteError::Unclosed('\'');
    loop {
        match bytes.next().ok_or(unclosed)? {
            b'\'' => return Ok(()),
            b'\\' => match bytes.next_if(|&byte| byte == b'\'' || byte == b'\\') {
                Some(escaped) => arg.push(escaped),
                None => arg.push(b'\\'),
            },
            other => arg.push(other),
        }
    }
}

/// A string as it would have to be typed: in double quotes, everything unprintable escaped.
pub(crate) fn quote(bytes: &[u8]) -> String {
    let mut out = String::from('"');
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{7}' => out.push_str("\\a"),
                '\u{8}' => out.push_str("\\b"),
                control if control.is_control() => {
                    let mut buffer = [0; 4];
                    push_hex(&mut out, control.encode_utf8(&mut buffer).as_bytes());
                }
                other => out.push(other),
            }
        }
        push_hex(&mut out, chunk.invalid());
    }
    out.push('"');
    out
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    bytes.iter().for_each(|byte| out.push_str(&format!("\\x{byte:02x}")));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let args = split(line).unwrap();
        args.iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect()
    }

    #[test]
    fn lines_split_as_in_a_shell() {
        assert_eq!(words("  "), Vec::<String>::new());
        assert_eq!(words("SET mykey \"Hello World\""), ["SET", "mykey", "Hello World"]);
        assert_eq!(words("a'b c'd \"\" ''"), ["ab cd", "", ""]);
        assert_eq!(words(r#"'{"a":1}' "q\"q" a\ b"#), [r#"{"a":1}"#, "q\"q", "a b"]);
        assert_eq!(words(r"'it\'s' 'a\nb'"), ["it's", r"a\nb"]);
        assert_eq!(words("größe 'ü x'"), ["größe", "ü x"]);
    }

    #[test]
    fn escapes_in_double_quotes() {
        assert_eq!(split(r#""\x00\xfF\n\q\xzz""#).unwrap(), [b"\x00\xff\nqxzz".to_vec()]);
    }

    #[test]
    fn open_ends_are_refused() {
        assert_eq!(split("GET \"a"), Err(QuoteError::Unclosed('"')));
        assert_eq!(split("GET 'a"), Err(QuoteError::Unclosed('\'')));
        assert_eq!(split("GET a\\"), Err(QuoteError::LoneBackslash));
        assert_eq!(split("GET \"a\\"), Err(QuoteError::Unclosed('"')));
    }

    #[test]
    fn quoted_bytes_read_back() {
        for bytes in [&b"plain"[..], b"\x00\x01\xff\n\"\\", "grün \u{85}".as_bytes(), b""] {
            assert_eq!(split(&quote(bytes)).unwrap(), [bytes.to_vec()]);
        }
    }
}

//! Inline requests: one line of words, for people with a terminal and for the simplest of clients.
//!
//! Words are separated by blanks. Double quotes take the escapes `\n \r \t \b \a \xHH`, any other
//! escaped byte stands for itself; single quotes take `\'` only; after a closing quote there must
//! be a blank or the end (the quoting rules of Redis's inline protocol). A line without quotes is
//! not copied.

use synap_shards::command::args::Words;

use super::decode::{Decoded, ProtocolError, RespLimits};

/// Decodes the line at the start of `input`, which is not empty.
pub(super) fn decode<'a>(input: &'a [u8], limits: &RespLimits) -> Decoded<'a> {
    let window = &input[..input.len().min(limits.line_bytes_max)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return if input.len() >= limits.line_bytes_max {
            Decoded::Broken(ProtocolError::TooBigInline)
        } else {
            Decoded::Incomplete { needs: input.len() + 1 }
        };
    };
    let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
    let consumed = end + 1;
    if line.iter().any(|byte| matches!(byte, b'"' | b'\'')) {
        return quoted(line, consumed);
    }
    let words: Words<'a> =
        line.split(|byte| is_blank(*byte)).filter(|word| !word.is_empty()).collect();
    match words.first() {
        None => Decoded::Empty { consumed },
        Some(name) if is_http(name) => Decoded::Broken(ProtocolError::CrossProtocol),
        Some(_) => Decoded::Request { words, consumed },
    }
}

fn quoted<'a>(line: &[u8], consumed: usize) -> Decoded<'a> {
    match split_quoted(line) {
        None => Decoded::Broken(ProtocolError::UnbalancedQuotes),
        Some(words) if is_http(&words[0]) => Decoded::Broken(ProtocolError::CrossProtocol),
        Some(words) => Decoded::Quoted { words, consumed },
    }
}

/// `POST` begins a request that a browser can be made to send to any port; `Host:` is the header
/// that all others have too.
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// NUL ends a word as well: it ends the line in Redis, and nobody types it.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\x0b' | b'\x0c' | 0)
}

/// The words of a line with quotes: at least one. Nothing when the quotes do not match.
fn split_quoted(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut words, mut rest) = (Vec::new(), line);
    loop {
        rest = &rest[rest.iter().take_while(|byte| is_blank(**byte)).count()..];
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        rest = take_word(rest, &mut word)?;
        words.push(word);
    }
}

/// Takes one word, part quoted or not, and returns what follows it.
fn take_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return Some(rest),
            [blank, ..] if is_blank(*blank) => return Some(rest),
            [quote @ (b'"' | b'\''), after @ ..] => {
                let behind = take_quotation(after, *quote, word)?;
                let closed = behind.first().is_none_or(|byte| is_blank(*byte));
                return closed.then_some(behind);
            }
            [plain, after @ ..] => {
                word.push(*plain);
                rest = after;
            }
        }
    }
}

/// Takes a quotation up to and with its closing quote, and returns what follows it.
fn take_quotation<'a>(mut rest: &'a [u8], quote: u8, word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match rest {
            [] => return None,
            [b'\\', b'x', high, low, after @ ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex(*high) << 4 | hex(*low), after)
            }
            [b'\\', escaped, after @ ..] if quote == b'"' => (unescape(*escaped), after),
            [b'\\', b'\'', after @ ..] if quote == b'\'' => (b'\'', after),
            [byte, after @ ..] if *byte == quote => return Some(after),
            [byte, after @ ..] => (*byte, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn unescape(escaped: u8) -> u8 {
    match escaped {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.to_ascii_uppercase() - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<Vec<String>> {
        let words = split_quoted(line.as_bytes())?;
        Some(words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect())
    }

    #[test]
    fn quotes_follow_the_rules() {
        for (line, expected) in [
            (r#"set k "a b""#, vec!["set", "k", "a b"]),
            (r#"set k 'a "b"'"#, vec!["set", "k", "a \"b\""]),
            (r#"set k "\x41\x4a\n\t\q\"" "#, vec!["set", "k", "AJ\n\tq\""]),
            (r#"set k "\xg1""#, vec!["set", "k", "xg1"]),
            (r"set k 'it\'s \n'", vec!["set", "k", r"it's \n"]),
            (r#"set k """#, vec!["set", "k", ""]),
            (r#"ab"cd" e"#, vec!["abcd", "e"]),
            (r#"  "a"	'b'"#, vec!["a", "b"]),
        ] {
            assert_eq!(words(line).expect("the quotes match"), expected, "{line}");
        }
        for line in [r#"set k "a"#, r#"set k "a"b"#, "set k 'a'b", "'", r#"set "k\""#, r#""a""b""#]
        {
            assert_eq!(words(line), None, "{line}");
        }
    }
}

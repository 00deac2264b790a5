//! JSON, both ways. In: the members of an object, each still as text, so that a value is stored as
//! it was sent and a number loses no digit. Out: straight into the buffer of the answer.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;
use synap_shards::command::reply::Reply;

/// The members of an object in order: name, and the value as JSON text.
pub type Members<'a> = SmallVec<[(Cow<'a, str>, &'a str); 4]>;

/// What a JSON text holds, told by its first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Kind {
    /// The kind of a valid JSON text without blanks in front.
    pub fn of(text: &str) -> Self {
        match text.as_bytes().first() {
            Some(b'n') | None => Self::Null,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'"') => Self::String,
            Some(b'[') => Self::Array,
            Some(b'{') => Self::Object,
            Some(_) => Self::Number,
        }
    }

    /// For messages: `a string`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

struct Borrowed<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Borrowed<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Borrowed<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Borrowed(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Borrowed(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

struct Object<'a>(Members<'a>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Members::new();
                while let Some(Borrowed(name)) = map.next_key()? {
                    members.push((name, map.next_value::<&RawValue>()?.get()));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

struct List<'a>(Vec<&'a str>);

impl<'de> Deserialize<'de> for List<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seq;
        impl<'de> Visitor<'de> for Seq {
            type Value = List<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element::<&RawValue>()? {
                    items.push(item.get());
                }
                Ok(List(items))
            }
        }
        deserializer.deserialize_seq(Seq)
    }
}

/// The members of the object in `text`. Nested values are checked without recursion, so their depth
/// costs no stack.
pub fn object(text: &[u8]) -> Result<Members<'_>, serde_json::Error> {
    serde_json::from_slice::<Object<'_>>(text).map(|object| object.0)
}

/// The elements of the array in `text`, each as JSON text.
pub fn array(text: &str) -> Result<Vec<&str>, serde_json::Error> {
    serde_json::from_str::<List<'_>>(text).map(|list| list.0)
}

/// The string in `text`, which is valid JSON of kind [`Kind::String`].
pub fn string(text: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() && text.len() >= 2 {
        return Ok(Cow::Borrowed(&text[1..text.len() - 1]));
    }
    serde_json::from_str::<Borrowed<'_>>(text).map(|text| text.0)
}

/// Whether a text is one JSON value.
pub fn is_valid(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Appends a valid JSON text without the blanks between its tokens.
pub fn compact(text: &str, out: &mut Vec<u8>) {
    let (mut inside, mut escaped) = (false, false);
    for byte in text.bytes() {
        if inside {
            inside = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else {
            inside = byte == b'"';
        }
        if inside || !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            out.push(byte);
        }
    }
}

/// Appends a string with its quotes.
pub fn write_str(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[plain..index]);
        plain = index + 1;
        write_escape(out, *byte);
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Appends bytes as a string; what is not UTF-8 is replaced by a note of its length.
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => write_str(out, text),
        Err(_) => {
            out.extend_from_slice(b"\"<binary data: ");
            write_usize(out, bytes.len());
            out.extend_from_slice(b" bytes>\"");
        }
    }
}

/// Appends bytes as an array of numbers.
pub fn write_numbers(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'[');
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_usize(out, usize::from(*byte));
    }
    out.push(b']');
}

/// Appends an integer.
pub fn write_integer(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    write_u64(out, number.unsigned_abs());
}

/// Appends a count.
pub fn write_usize(out: &mut Vec<u8>, number: usize) {
    write_u64(out, number as u64);
}

/// Appends an unsigned integer.
pub fn write_u64(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).expect("a digit is below ten");
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a double; JSON has no infinities, so they are strings.
pub fn write_double(out: &mut Vec<u8>, number: f64) {
    match serde_json::Number::from_f64(number) {
        Some(number) => out.extend_from_slice(number.to_string().as_bytes()),
        None if number > 0.0 => out.extend_from_slice(b"\"inf\""),
        None if number < 0.0 => out.extend_from_slice(b"\"-inf\""),
        None => out.extend_from_slice(b"\"nan\""),
    }
}

/// Appends `true` or `false`.
pub fn write_bool(out: &mut Vec<u8>, truth: bool) {
    out.extend_from_slice(if truth { b"true" } else { b"false" });
}

/// Appends a reply as it is: byte strings as text, maps as objects, errors as their text. Replies
/// are as deep as commands make them, which is a few levels.
pub fn write_reply(out: &mut Vec<u8>, reply: &Reply<'_>) {
    match reply {
        Reply::Nil | Reply::NilArray => out.extend_from_slice(b"null"),
        Reply::Ok => out.extend_from_slice(b"\"OK\""),
        Reply::Status(word) => write_str(out, word),
        Reply::Integer(number) => write_integer(out, *number),
        Reply::Double(number) | Reply::Decimal(number) => write_double(out, *number),
        Reply::Boolean(truth) => write_bool(out, *truth),
        Reply::Bytes(bytes) => write_bytes(out, bytes),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) | Reply::Several(items) => {
            write_replies(out, items)
        }
        Reply::Text(text) | Reply::Line(text) | Reply::BigNumber(text) => write_str(out, text),
        Reply::Verbatim { bytes, .. } => write_bytes(out, bytes),
        Reply::Map(pairs) | Reply::Named(pairs) => {
            out.push(b'{');
            for (index, (name, value)) in pairs.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_name(out, name);
                out.push(b':');
                write_reply(out, value);
            }
            out.push(b'}');
        }
        Reply::Pairs(pairs) => {
            out.push(b'[');
            for (index, (first, second)) in pairs.iter().enumerate() {
                out.extend_from_slice(if index > 0 { b",[" } else { b"[" });
                write_reply(out, first);
                out.push(b',');
                write_reply(out, second);
                out.push(b']');
            }
            out.push(b']');
        }
        Reply::Error(error) => write_str(out, &error.to_string()),
    }
}

/// Appends replies as an array.
pub fn write_replies(out: &mut Vec<u8>, items: &[Reply<'_>]) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_reply(out, item);
    }
    out.push(b']');
}

/// The name of a member has to be a string, whatever the reply is.
fn write_name(out: &mut Vec<u8>, name: &Reply<'_>) {
    let mut text = Vec::new();
    write_reply(&mut text, name);
    if text.first() == Some(&b'"') {
        out.extend_from_slice(&text);
    } else {
        write_bytes(out, &text);
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends bytes in base64 with padding (RFC 4648, section 4), without quotes.
pub fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (index, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let symbol = BASE64[(bits >> shift & 63) as usize];
            out.push(if index <= group.len() { symbol } else { b'=' });
        }
    }
}

/// The bytes that `text` holds in base64, padded or not; nothing when it is none.
pub fn base64(text: &str) -> Option<Vec<u8>> {
    let symbols = text.trim_end_matches('=').as_bytes();
    if text.len() - symbols.len() > 2 || symbols.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(symbols.len() / 4 * 3 + 2);
    for group in symbols.chunks(4) {
        let mut bits: u32 = 0;
        for symbol in group {
            let value = BASE64.iter().position(|known| known == symbol)?;
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn strings_survive_writing_and_reading() {
        for text in ["", "plain", "\"\\/\n\r\t\u{8}\u{c}\0\u{1f}", "é€😀", "\u{7f}"] {
            let made = written(|out| write_str(out, text));
            assert_eq!(serde_json::from_str::<String>(&made).expect("valid"), text);
            assert_eq!(string(&made).expect("valid"), text);
        }
    }

    #[test]
    fn base64_survives_and_rubbish_is_refused() {
        for length in 0..70_u8 {
            let bytes: Vec<u8> = (0..length).map(|n| n.wrapping_mul(37)).collect();
            let made = written(|out| write_base64(out, &bytes));
            assert_eq!(made.len() % 4, 0);
            assert_eq!(base64(&made).as_deref(), Some(&*bytes));
            assert_eq!(base64(made.trim_end_matches('=')).as_deref(), Some(&*bytes));
        }
        for text in ["a", "a===", "ab c", "-_", "=", "é"] {
            assert_eq!(base64(text).filter(|bytes| !bytes.is_empty()), None, "{text}");
        }
    }

    #[test]
    fn blanks_go_from_between_tokens_only() {
        let text = "{ \"a b\" : [ 1 , \"\\\" c\\\\\" , { } ] }";
        let made = written(|out| compact(text, out));
        assert_eq!(made, "{\"a b\":[1,\"\\\" c\\\\\",{}]}");
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(500_000), "]".repeat(500_000));
        assert_eq!(object(deep.as_bytes()).expect("valid").len(), 1);
        assert!(object(&deep.as_bytes()[..400_000]).is_err());
    }

    #[test]
    fn replies_are_json_whatever_they_hold() {
        let reply = Reply::Map(vec![
            (Reply::Integer(1), Reply::Double(f64::INFINITY)),
            (Reply::borrowed(b"b"), Reply::Set(vec![Reply::Double(0.5), Reply::Boolean(true)])),
            (Reply::Status("c"), Reply::Error(synap_shards::command::error::CommandError::Syntax)),
        ]);
        let made = written(|out| write_reply(out, &reply));
        assert_eq!(made, "{\"1\":\"inf\",\"b\":[0.5,true],\"c\":\"syntax error\"}");
        assert_eq!(written(|out| write_integer(out, i64::MIN)), i64::MIN.to_string());
    }
}

//! Replies as text for people, as raw bytes for scripts, and as JSON.
//!
//! Guarantees: the text form shows types and escapes strings; the raw form is the bytes and line
//! ends only; the JSON form is one value on one line. Must not write anywhere itself.

use serde_json::{Map, Value as Json, json};

use crate::quoting::quote;
use crate::resp::Value;

/// How replies are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// With types and quotes.
    Text,
    /// Bytes as they are, one item per line.
    Raw,
    /// One JSON value per reply.
    Json,
}

/// The reply with its line end.
pub(crate) fn render(value: &Value, style: Style) -> Vec<u8> {
    let mut out = match style {
        Style::Text => text(value, 0).into_bytes(),
        Style::Raw => raw(value),
        Style::Json => json_of(value).to_string().into_bytes(),
    };
    // A verbatim text such as INFO brings its own line end.
    if !(out.ends_with(b"\n") && matches!(value, Value::Verbatim(_))) {
        out.push(b'\n');
    }
    out
}

/// `indent` is the width of the numbers of the lists around this value.
fn text(value: &Value, indent: usize) -> String {
    match value {
        Value::Status(text) => text.clone(),
        Value::Error(text) => format!("(error) {text}"),
        Value::Integer(number) => format!("(integer) {number}"),
        Value::Double(number) => format!("(double) {number}"),
        Value::BigNumber(number) => format!("(bignumber) {number}"),
        Value::Bool(true) => "(true)".to_owned(),
        Value::Bool(false) => "(false)".to_owned(),
        Value::Null => "(nil)".to_owned(),
        Value::Bulk(bytes) => quote(bytes),
        Value::Verbatim(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Array(items) | Value::Push(items) => list(items, ')', indent),
        Value::Set(items) => list(items, '~', indent),
        Value::Map(pairs) if pairs.is_empty() => "(empty hash)".to_owned(),
        Value::Map(pairs) => {
            let width = pairs.len().to_string().len();
            let line = |(i, (key, value)): (usize, &(Value, Value))| {
                let key = text(key, 0);
                let inner = indent + width + 2;
                // A nested list starts on a line of its own, one step to the right.
                let nested = matches!(value, Value::Array(i) | Value::Set(i) if !i.is_empty())
                    || matches!(value, Value::Map(pairs) if !pairs.is_empty());
                let value = text(value, inner + usize::from(nested) * 3);
                let gap = if nested { format!("\n{:inner$}   ", "") } else { " ".to_owned() };
                format!("{:>width$}# {key} =>{gap}{value}", i + 1)
            };
            join(pairs.iter().enumerate().map(line), indent)
        }
    }
}

fn list(items: &[Value], mark: char, indent: usize) -> String {
    if items.is_empty() {
        return "(empty list or set)".to_owned();
    }
    let width = items.len().to_string().len();
    let line = |(i, item): (usize, &Value)| {
        format!("{:>width$}{mark} {}", i + 1, text(item, indent + width + 2))
    };
    join(items.iter().enumerate().map(line), indent)
}

fn join(lines: impl Iterator<Item = String>, indent: usize) -> String {
    lines.collect::<Vec<_>>().join(&format!("\n{:indent$}", ""))
}

fn raw(value: &Value) -> Vec<u8> {
    let lines =
        |items: &mut dyn Iterator<Item = &Value>| items.map(raw).collect::<Vec<_>>().join(&b'\n');
    match value {
        Value::Bulk(bytes) | Value::Verbatim(bytes) => bytes.clone(),
        Value::Null => Vec::new(),
        Value::Status(text) | Value::Error(text) => text.clone().into_bytes(),
        Value::Double(text) | Value::BigNumber(text) => text.clone().into_bytes(),
        Value::Integer(number) => number.to_string().into_bytes(),
        Value::Bool(flag) => flag.to_string().into_bytes(),
        Value::Array(items) | Value::Set(items) | Value::Push(items) => lines(&mut items.iter()),
        Value::Map(pairs) => lines(&mut pairs.iter().flat_map(|(key, value)| [key, value])),
    }
}

/// JSON of a reply: strings that are not UTF-8 become `{"bytes":[..]}`, errors `{"error":".."}`.
fn json_of(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => json!(flag),
        Value::Integer(number) => json!(number),
        Value::Double(text) => {
            let finite = text.parse::<f64>().ok().filter(|number| number.is_finite());
            finite.map_or_else(|| json!(text), |number| json!(number))
        }
        Value::Status(text) | Value::BigNumber(text) => json!(text),
        Value::Error(text) => json!({ "error": text }),
        Value::Bulk(bytes) | Value::Verbatim(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => json!(text),
            Err(_) => json!({ "bytes": bytes }),
        },
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            items.iter().map(json_of).collect()
        }
        Value::Map(pairs) => {
            let pair = |(key, value): &(Value, Value)| {
                (String::from_utf8_lossy(&raw(key)).into_owned(), json_of(value))
            };
            Json::Object(pairs.iter().map(pair).collect::<Map<_, _>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.as_bytes().to_vec())
    }

    fn shown(value: &Value, style: Style) -> String {
        String::from_utf8(render(value, style)).unwrap()
    }

    #[test]
    fn scalars_as_text() {
        let cases = [
            (Value::Status("OK".into()), "OK\n"),
            (bulk("a \"b\""), "\"a \\\"b\\\"\"\n"),
            (Value::Null, "(nil)\n"),
            (Value::Integer(-2), "(integer) -2\n"),
            (Value::Error("ERR x".into()), "(error) ERR x\n"),
            (Value::Array(vec![]), "(empty list or set)\n"),
            (Value::Verbatim(b"# Server\r\n".to_vec()), "# Server\r\n"),
        ];
        for (value, expected) in cases {
            assert_eq!(shown(&value, Style::Text), expected);
        }
    }

    #[test]
    fn lists_nest_and_align() {
        let inner = Value::Array(vec![bulk("a"), Value::Null]);
        let mut items = vec![inner];
        items.extend((0..9).map(Value::Integer));
        let expected = " 1) 1) \"a\"\n    2) (nil)\n 2) (integer) 0\n 3) (integer) 1\n";
        assert!(shown(&Value::Array(items), Style::Text).starts_with(expected));
    }

    #[test]
    fn maps_show_keys_and_values() {
        let map = Value::Map(vec![
            (bulk("a"), Value::Integer(1)),
            (bulk("b"), Value::Array(vec![bulk("x"), bulk("y")])),
        ]);
        let expected = "1# \"a\" => (integer) 1\n2# \"b\" =>\n      1) \"x\"\n      2) \"y\"\n";
        assert_eq!(shown(&map, Style::Text), expected);
        assert_eq!(shown(&map, Style::Raw), "a\n1\nb\nx\ny\n");
        assert_eq!(shown(&map, Style::Json), "{\"a\":1,\"b\":[\"x\",\"y\"]}\n");
    }

    #[test]
    fn json_is_one_line_whatever_the_bytes() {
        assert_eq!(shown(&bulk("a\nb"), Style::Json), "\"a\\nb\"\n");
        assert_eq!(shown(&Value::Bulk(vec![255]), Style::Json), "{\"bytes\":[255]}\n");
        assert_eq!(shown(&Value::Double("inf".into()), Style::Json), "\"inf\"\n");
        assert_eq!(shown(&Value::Double("1.5".into()), Style::Json), "1.5\n");
    }
}

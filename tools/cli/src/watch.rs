//! What is asked and shown again and again: the figures of a queue, the events of a room or of a
//! partition.
//!
//! Guarantees: looking takes nothing from a queue and moves no reader. Pure.

use crate::client::words;
use crate::format::Style;
use crate::resp::Value;

/// Milliseconds that one request waits for events.
const WAIT_MS: &str = "30000";
/// Events that one request answers at most.
const COUNT: &str = "100";
/// The time that no event ever has.
const NEVER: &str = "9223372036854775807";
/// Figures of a queue that are shown, in this order.
const SHOWN: [&str; 4] = ["depth", "pending", "scheduled", "dlq_count"];
/// Of those that only grow, how much they grew is shown.
const GROWING: [&str; 4] = ["published", "consumed", "acked", "nacked"];

/// A room, or a partition of a topic, that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Followed {
    name: Vec<u8>,
    partition: Option<String>,
    next: Option<String>,
}

impl Followed {
    /// Reads `name`, `topic/2`, and `FROM offset` behind it; nothing where it is something else.
    pub(crate) fn of(args: &[Vec<u8>]) -> Option<Self> {
        let number = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).ok()?;
            text.parse::<u64>().ok().map(|number| number.to_string())
        };
        let (name, next) = match args {
            [name] => (name, None),
            [name, from, offset] if from.eq_ignore_ascii_case(b"FROM") => {
                (name, Some(number(offset)?))
            }
            _ => return None,
        };
        let cut = name.iter().rposition(|byte| *byte == b'/');
        let partition = cut.and_then(|at| number(&name[at + 1..]));
        let name = match (&partition, cut) {
            (Some(_), Some(at)) => name[..at].to_vec(),
            _ => name.clone(),
        };
        Some(Self { name, partition, next })
    }

    /// The next request: where the events end, or those behind what was shown.
    pub(crate) fn ask(&self) -> Vec<Vec<u8>> {
        let partition = self.partition.as_deref().unwrap_or("0");
        let mut asked = match (&self.next, &self.partition) {
            (None, _) => words(&["TOFFSET", "", partition, NEVER]),
            (Some(next), None) => words(&["SREAD", "", next, "COUNT", COUNT, "BLOCK", WAIT_MS]),
            (Some(next), Some(_)) => {
                words(&["TREAD", "", partition, next, "COUNT", COUNT, "BLOCK", WAIT_MS])
            }
        };
        asked[1] = self.name.clone();
        asked
    }

    /// Takes the answer; what is to be shown of it.
    pub(crate) fn take(&mut self, reply: Value, style: Style) -> Vec<Value> {
        match reply {
            Value::Integer(end) => {
                self.next = Some(end.to_string());
                Vec::new()
            }
            Value::Array(mut parts) => {
                if let Some(Value::Integer(next)) = parts.first() {
                    self.next = Some(next.to_string());
                }
                let Some(Value::Array(events)) = parts.pop() else { return Vec::new() };
                events.into_iter().filter_map(|event| shown(event, style)).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// `[offset, id, time, key, name, data, is JSON, metadata]`.
fn shown(event: Value, style: Style) -> Option<Value> {
    let Value::Array(parts) = event else { return None };
    let [offset, _, time, key, name, data, ..] = <[Value; 8]>::try_from(parts).ok()?;
    if style == Style::Json {
        let fields = [("offset", offset), ("time", time), ("key", key), ("event", name)];
        let fields = fields.into_iter().chain([("data", data)]);
        let fields = fields.map(|(name, value)| (Value::Bulk(name.into()), value));
        return Some(Value::Map(fields.collect()));
    }
    let text = |value: &Value| match value {
        Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Integer(number) => number.to_string(),
        _ => "-".to_owned(),
    };
    let line = [&offset, &time, &key, &name, &data].map(text).join(" ");
    Some(Value::Verbatim(line.into_bytes()))
}

/// Figures of a queue, as a line with how much they grew since `before`.
pub(crate) fn figures(stats: &Value, before: Option<&Value>) -> String {
    let of = |stats: &Value, name: &str| {
        let Value::Map(pairs) = stats else { return 0 };
        let is_it = |key: &Value| matches!(key, Value::Bulk(key) if key == name.as_bytes());
        match pairs.iter().find(|(key, _)| is_it(key)) {
            Some((_, Value::Integer(number))) => *number,
            _ => 0,
        }
    };
    let now = SHOWN.map(|name| format!("{name} {}", of(stats, name)));
    let grown = GROWING.map(|name| match before {
        None => format!("{name} {}", of(stats, name)),
        Some(before) => format!("{name} +{}", of(stats, name) - of(before, name)),
    });
    now.into_iter().chain(grown).collect::<Vec<_>>().join("  ")
}

/// The same pairs as a map, whatever version of the protocol they came in.
pub(crate) fn as_map(reply: Value) -> Value {
    let Value::Array(items) = reply else { return reply };
    let mut items = items.into_iter();
    let mut pairs = Vec::new();
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        pairs.push((name, value));
    }
    Value::Map(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(offset: i64) -> Value {
        let bulk = |text: &str| Value::Bulk(text.into());
        Value::Array(vec![
            Value::Integer(offset),
            bulk("id"),
            Value::Integer(5),
            Value::Null,
            bulk("said"),
            bulk("hi"),
            Value::Integer(0),
            Value::Array(Vec::new()),
        ])
    }

    #[test]
    fn a_stream_is_followed_from_its_end_or_from_an_offset() {
        let mut room = Followed::of(&words(&["chat"])).unwrap();
        assert_eq!(room.ask(), words(&["TOFFSET", "chat", "0", NEVER]));
        assert!(room.take(Value::Integer(7), Style::Text).is_empty());
        assert_eq!(room.ask()[..3], words(&["SREAD", "chat", "7"]));
        let reply =
            Value::Array(vec![Value::Integer(8), Value::Integer(0), Value::Array(vec![event(7)])]);
        let line = Value::Verbatim(b"7 5 - said hi".to_vec());
        assert_eq!(room.take(reply, Style::Text), [line]);
        assert_eq!(room.ask()[2], b"8");
        let partition = Followed::of(&words(&["a/b/2", "from", "3"])).unwrap();
        assert_eq!(partition.ask()[..4], words(&["TREAD", "a/b", "2", "3"]));
        assert_eq!(Followed::of(&words(&["a/b"])).unwrap().ask()[1], b"a/b");
        for bad in [&["a", "FROM"][..], &["a", "FROM", "x"], &["a", "TO", "1"], &[]] {
            assert_eq!(Followed::of(&words(bad)), None, "{bad:?}");
        }
    }

    #[test]
    fn figures_of_a_queue_tell_what_changed() {
        let stats = |depth: i64, acked: i64| {
            let fields = [("depth", depth), ("acked", acked)];
            let flat = fields.into_iter();
            let flat = flat.flat_map(|(name, n)| [Value::Bulk(name.into()), Value::Integer(n)]);
            as_map(Value::Array(flat.collect()))
        };
        let first = figures(&stats(3, 10), None);
        assert!(first.starts_with("depth 3  pending 0") && first.contains("acked 10"), "{first}");
        let next = figures(&stats(1, 12), Some(&stats(3, 10)));
        assert!(next.starts_with("depth 1") && next.contains("acked +2"), "{next}");
    }
}

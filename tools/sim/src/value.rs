//! What a key holds, in a form in which equal values are equal bytes: read from the edits of an
//! image by a reader of its own, and made by the model without any shard. What the edits of each
//! type look like stands in `types/*/record.rs` of `synap-shards`.

use std::collections::{BTreeMap, BTreeSet};

use synap_shards::shard::ValueType;

/// A field of a hash: its value and when it expires, Unix milliseconds.
pub(crate) type Field = (Vec<u8>, Option<u64>);

/// A score, so that scores have an order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Score(u64);

impl Score {
    pub(crate) fn of(number: f64) -> Self {
        let bits = number.to_bits();
        Self(if bits >> 63 == 1 { !bits } else { bits | 1 << 63 })
    }

    pub(crate) fn number(self) -> f64 {
        f64::from_bits(if self.0 >> 63 == 1 { self.0 & !(1 << 63) } else { !self.0 })
    }
}

/// A value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Value {
    Text(Vec<u8>),
    List(Vec<Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
    Scores(BTreeMap<Vec<u8>, Score>),
    Hash(BTreeMap<Vec<u8>, Field>),
    /// The edits of a stream or queue as they stand in an image: they come by their names already.
    Stream(Vec<u8>),
}

impl Default for Value {
    fn default() -> Self {
        Self::Text(Vec::new())
    }
}

impl Value {
    /// Reads an image. One that is not what an image of the type may be is a bug of the engine.
    pub(crate) fn read(value_type: ValueType, image: Vec<u8>) -> Self {
        let mut rest = Reader(&image);
        match value_type {
            ValueType::String => Self::Text(image),
            ValueType::Stream | ValueType::Queue | ValueType::Partition | ValueType::Group => {
                Self::Stream(image)
            }
            ValueType::List => Self::List(rest.list()),
            ValueType::Set => {
                let mut members = BTreeSet::new();
                while !rest.0.is_empty() {
                    assert_eq!(rest.byte(), 1, "an image of a set adds members");
                    assert!(members.insert(rest.string()), "a member is there once");
                }
                Self::Set(members)
            }
            ValueType::SortedSet => {
                let mut members = BTreeMap::new();
                while !rest.0.is_empty() {
                    assert_eq!(rest.byte(), 1, "an image of a sorted set puts members");
                    let member = rest.string();
                    let score = Score::of(f64::from_bits(rest.number(8)));
                    assert!(members.insert(member, score).is_none(), "a member is there once");
                }
                Self::Scores(members)
            }
            ValueType::Hash => Self::Hash(rest.hash()),
        }
    }

    /// What `TYPE` says.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Set(_) => "set",
            Self::Scores(_) => "zset",
            Self::Hash(_) => "hash",
            Self::Stream(_) => "stream",
        }
    }

    /// Whether it is a hash all of whose fields have expired.
    pub(crate) fn is_expired(&self, now_ms: u64) -> bool {
        let expired = |(_, deadline): &Field| deadline.is_some_and(|deadline| deadline <= now_ms);
        matches!(self, Self::Hash(fields) if fields.values().all(expired))
    }

    /// Deadlines of its fields.
    pub(crate) fn deadlines(&self) -> impl Iterator<Item = u64> {
        let fields = match self {
            Self::Hash(fields) => Some(fields.values()),
            _ => None,
        };
        fields.into_iter().flatten().filter_map(|(_, deadline)| *deadline)
    }

    /// The bytes of a string; nothing of the others.
    pub(crate) fn text(&self) -> &[u8] {
        match self {
            Self::Text(text) => text,
            _ => &[],
        }
    }

    /// What somebody sees at a time; nothing if all its fields have expired.
    pub(crate) fn living(self, now_ms: u64) -> Option<Self> {
        if self.is_expired(now_ms) {
            return None;
        }
        let Self::Hash(mut fields) = self else { return Some(self) };
        fields.retain(|_, (_, deadline)| deadline.is_none_or(|deadline| deadline > now_ms));
        Some(Self::Hash(fields))
    }

    /// For a story.
    pub(crate) fn show(&self) -> String {
        match self {
            Self::Text(text) => text.escape_ascii().to_string(),
            Self::List(items) => {
                let items: Vec<String> =
                    items.iter().map(|item| item.escape_ascii().to_string()).collect();
                format!("[{}]", items.join(" "))
            }
            Self::Set(members) => {
                let members: Vec<String> =
                    members.iter().map(|member| member.escape_ascii().to_string()).collect();
                format!("{{{}}}", members.join(" "))
            }
            Self::Scores(members) => {
                let members: Vec<String> = members
                    .iter()
                    .map(|(member, score)| format!("{}:{}", member.escape_ascii(), score.number()))
                    .collect();
                format!("{{{}}}", members.join(" "))
            }
            Self::Hash(fields) => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(field, (value, deadline))| {
                        let (field, value) = (field.escape_ascii(), value.escape_ascii());
                        format!(
                            "{field}={value}{}",
                            deadline.map_or(String::new(), |d| format!("@{d}"))
                        )
                    })
                    .collect();
                format!("{{{}}}", fields.join(" "))
            }
            Self::Stream(edits) => edits.escape_ascii().to_string(),
        }
    }
}

/// Bytes of edits, taken off the front.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().expect("an image is whole");
        self.0 = rest;
        *first
    }

    fn varint(&mut self) -> usize {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            number |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return number;
            }
        }
    }

    fn string(&mut self) -> Vec<u8> {
        let length = self.varint();
        let (string, rest) = self.0.split_at(length);
        self.0 = rest;
        string.to_vec()
    }

    /// A number of so many bytes, little endian.
    fn number(&mut self, bytes: usize) -> u64 {
        (0..bytes).fold(0, |number, at| number | u64::from(self.byte()) << (8 * at))
    }

    fn list(&mut self) -> Vec<Vec<u8>> {
        let mut items = Vec::new();
        while !self.0.is_empty() {
            match self.byte() {
                1 => {}
                8 => assert_eq!(self.varint(), items.len(), "pieces of a list follow each other"),
                other => panic!("an image of a list has no edit {other}"),
            }
            for _ in 0..self.varint() {
                items.push(self.string());
            }
        }
        items
    }

    fn hash(&mut self) -> BTreeMap<Vec<u8>, Field> {
        let mut fields = BTreeMap::new();
        while !self.0.is_empty() {
            let deadline = match self.byte() {
                1 => None,
                2 => Some(self.number(6)),
                other => panic!("an image of a hash has no edit {other}"),
            };
            let (field, value) = (self.string(), self.string());
            assert!(fields.insert(field, (value, deadline)).is_none(), "a field is there once");
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_in_their_order() {
        let numbers = [f64::NEG_INFINITY, -2.5, 0.0, 1e-300, 7.0, f64::INFINITY];
        let scores = numbers.map(Score::of);
        assert!(scores.is_sorted());
        assert_eq!(scores.map(Score::number), numbers);
    }

    #[test]
    fn images_of_equal_values_are_equal() {
        let one = Value::read(ValueType::Set, b"\x01\x01a\x01\x02bc".to_vec());
        let other = Value::read(ValueType::Set, b"\x01\x02bc\x01\x01a".to_vec());
        assert_eq!(one, other);
        assert_eq!(one.show(), "{a bc}");
        let list = Value::read(ValueType::List, b"\x08\x00\x01\x01a\x08\x01\x01\x01b".to_vec());
        assert_eq!(list.show(), "[a b]");
        let hash = Value::read(ValueType::Hash, b"\x02\x09\0\0\0\0\0\x01f\x01v".to_vec());
        assert_eq!(hash.show(), "{f=v@9}");
        assert_eq!(hash.living(9), None);
    }
}

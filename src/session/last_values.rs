//! The last message to each topic, for those who subscribe later (`pubsub.keep_last_value`). Every
//! core keeps all of them, so that each serves its own subscribers.
//!
//! Bounded in topics and bytes; what was published longest ago gives way.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use synap_shards::pubsub::topic;

use crate::protocol::push::Extra;

/// Topics whose last message one core keeps.
const TOPICS_MAX: usize = 100_000;
/// Topics that are looked at for the patterns of one call; patterns for
/// which none are left find nothing.
pub const LOOKS_MAX: usize = 4 * TOPICS_MAX;
/// Bytes of topics and messages together.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// The last message to a topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Last {
    /// What it said.
    pub payload: Vec<u8>,
    /// Its id and the rest.
    pub extra: Extra,
}

/// The last messages, by topic.
#[derive(Debug, Default)]
pub struct LastValues {
    topics: BTreeMap<Arc<[u8]>, (u64, Last)>,
    /// Topics by the number of their last message.
    order: BTreeMap<u64, Arc<[u8]>>,
    made: u64,
    bytes: usize,
}

fn cost(topic: &[u8], last: &Last) -> usize {
    topic.len() + last.payload.len() + last.extra.metadata.len()
}

impl LastValues {
    /// Whether messages to this channel are kept: it is a topic, and none on which the server tells
    /// of itself.
    pub fn are_kept_of(channel: &[u8]) -> bool {
        !channel.starts_with(b"__") && topic::check_topic(channel).is_ok()
    }

    /// Keeps a message in place of the one before.
    pub fn keep(&mut self, topic: &[u8], payload: &[u8], extra: &Extra) {
        self.remove(topic);
        let last = Last { payload: payload.to_vec(), extra: extra.clone() };
        let bytes = cost(topic, &last);
        if bytes > BYTES_MAX {
            return;
        }
        self.made += 1;
        self.bytes += bytes;
        let topic: Arc<[u8]> = topic.into();
        self.order.insert(self.made, Arc::clone(&topic));
        self.topics.insert(topic, (self.made, last));
        while self.topics.len() > TOPICS_MAX || self.bytes > BYTES_MAX {
            let (_, oldest) = self.order.first_key_value().expect("there are some");
            self.remove(&Arc::clone(oldest));
        }
    }

    fn remove(&mut self, topic: &[u8]) {
        if let Some((number, last)) = self.topics.remove(topic) {
            self.order.remove(&number);
            self.bytes -= cost(topic, &last);
        }
    }

    /// The last messages to topics that match a pattern, those of one topic or in the order of
    /// topics, at most `limit`. Looks at `looks` topics at most, and takes off as many as it did.
    pub fn matching(
        &self,
        pattern: &[u8],
        limit: usize,
        looks: &mut usize,
    ) -> Vec<(Arc<[u8]>, Last)> {
        let special = |byte: &u8| matches!(byte, b'*' | b'#');
        let Some(fixed) = pattern.iter().position(special) else {
            let found = self.topics.get_key_value(pattern);
            return found
                .map(|(name, (_, last))| (Arc::clone(name), last.clone()))
                .into_iter()
                .collect();
        };
        // `a.#` is also for the topic `a`.
        let fixed = &pattern[..fixed.saturating_sub(1)];
        let mut found = Vec::new();
        let begin = (Bound::Included(fixed), Bound::Unbounded);
        for (name, (_, last)) in self.topics.range::<[u8], _>(begin) {
            if *looks == 0 || found.len() == limit || !name.starts_with(fixed) {
                break;
            }
            *looks -= 1;
            if topic::matches(pattern, name) {
                found.push((Arc::clone(name), last.clone()));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extra(id: u8) -> Extra {
        Extra { id: [id; 16], unix_secs: 0, is_json: false, metadata: Vec::new() }
    }

    #[test]
    fn the_last_message_of_each_topic_stands() {
        let mut all = LastValues::default();
        for (number, topic) in ["a.b", "a.c", "a.b", "b"].into_iter().enumerate() {
            all.keep(topic.as_bytes(), &[number as u8], &extra(number as u8));
        }
        let found = |pattern: &str, limit| -> Vec<(String, u8)> {
            let found = all.matching(pattern.as_bytes(), limit, &mut 9).into_iter();
            let text = |name: &[u8]| String::from_utf8(name.to_vec()).expect("text");
            found.map(|(name, last)| (text(&name), last.payload[0])).collect()
        };
        assert_eq!(found("a.b", 9), [("a.b".to_owned(), 2)]);
        assert_eq!(found("a.*", 9), [("a.b".to_owned(), 2), ("a.c".to_owned(), 1)]);
        assert_eq!(found("#", 1).len(), 1);
        assert!(found("none", 9).is_empty());
        assert_eq!(found("a.b.#", 9), [("a.b".to_owned(), 2)]);
        assert_eq!(found("b.#", 9), [("b".to_owned(), 3)]);
        assert_eq!(found("*", 9), [("b".to_owned(), 3)]);
    }

    #[test]
    fn no_more_topics_are_looked_at_than_allowed() {
        let mut all = LastValues::default();
        for topic in ["a.b", "a.c", "b", "c"] {
            all.keep(topic.as_bytes(), b"", &extra(0));
        }
        let mut looks = 5;
        assert_eq!(all.matching(b"a.*", 9, &mut looks).len(), 2);
        assert_eq!(looks, 3, "topics of other beginnings are passed over");
        assert_eq!(all.matching(b"#", 9, &mut looks).len(), 3);
        assert_eq!((all.matching(b"#", 9, &mut looks).len(), looks), (0, 0));
    }

    #[test]
    fn the_oldest_gives_way() {
        let mut all = LastValues::default();
        let large = vec![0; BYTES_MAX / 2];
        all.keep(b"a", &large, &extra(0));
        all.keep(b"b", b"small", &extra(0));
        all.keep(b"c", &large, &extra(0));
        assert!(all.matching(b"a", 9, &mut 9).is_empty());
        assert_eq!(all.matching(b"#", 9, &mut 9).len(), 2);
        all.keep(b"d", &vec![0; BYTES_MAX + 1], &extra(0));
        assert!(all.matching(b"d", 9, &mut 9).is_empty());
        all.remove(b"b");
        all.remove(b"c");
        assert_eq!((all.bytes, all.order.len()), (0, 0));
    }
}

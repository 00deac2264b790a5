//! Topics: names of segments with dots between, and patterns over them. `*` stands for one segment,
//! a `#` at the end for any number of segments, none included.
//!
//! The trie holds the patterns that somebody subscribes to. Finding those that match a topic costs
//! about as many steps as the topic has segments, however many patterns there are.

use std::collections::BTreeMap;
use std::fmt;

/// Bytes of a topic or a pattern.
pub const TOPIC_BYTES_MAX: usize = 1024;
/// Segments of a topic or a pattern.
pub const SEGMENTS_MAX: usize = 64;

/// Why a topic or a pattern is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TopicError {
    /// It is empty or longer than [`TOPIC_BYTES_MAX`].
    Length,
    /// It has more segments than [`SEGMENTS_MAX`].
    Segments,
    /// Nothing stands between two dots, or at an end.
    EmptySegment,
    /// A `*` or `#` does not stand for itself as a whole segment.
    Inside,
    /// A `#` stands before the end.
    NotLast,
    /// A message was sent to a pattern.
    Wildcard,
}

impl TopicError {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Length => "a topic has 1 to 1024 bytes",
            Self::Segments => "a topic has at most 64 segments",
            Self::EmptySegment => "a topic has no empty segments",
            Self::Inside => "`*` and `#` are whole segments",
            Self::NotLast => "`#` is the last segment",
            Self::Wildcard => "a message is sent to a topic without `*` and `#`",
        }
    }
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for TopicError {}

/// Checks a pattern; every topic is one.
///
/// # Errors
/// What is wrong with it.
pub fn check_pattern(pattern: &[u8]) -> Result<(), TopicError> {
    if pattern.is_empty() || pattern.len() > TOPIC_BYTES_MAX {
        return Err(TopicError::Length);
    }
    let mut segments = pattern.split(|byte| *byte == b'.').peekable();
    let mut count = 0;
    while let Some(segment) = segments.next() {
        count += 1;
        let special = segment.iter().any(|byte| matches!(byte, b'*' | b'#'));
        match segment {
            [] => return Err(TopicError::EmptySegment),
            b"#" if segments.peek().is_some() => return Err(TopicError::NotLast),
            b"*" | b"#" => {}
            _ if special => return Err(TopicError::Inside),
            _ => {}
        }
    }
    if count > SEGMENTS_MAX { Err(TopicError::Segments) } else { Ok(()) }
}

/// Checks a topic that a message is sent to.
///
/// # Errors
/// What is wrong with it.
pub fn check_topic(topic: &[u8]) -> Result<(), TopicError> {
    if is_wildcard(topic) {
        return Err(TopicError::Wildcard);
    }
    check_pattern(topic)
}

/// Whether a checked pattern may match more than the topic of its own name.
pub fn is_wildcard(pattern: &[u8]) -> bool {
    pattern.iter().any(|byte| matches!(byte, b'*' | b'#'))
}

/// Whether a checked pattern matches a checked topic.
pub fn matches(pattern: &[u8], topic: &[u8]) -> bool {
    let mut topic = topic.split(|byte| *byte == b'.');
    for segment in pattern.split(|byte| *byte == b'.') {
        match (segment, topic.next()) {
            (b"#", _) => return true,
            (b"*", Some(_)) => {}
            (segment, Some(found)) if segment == found => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}

/// Patterns by their segments.
#[derive(Debug, Default)]
pub struct Trie {
    root: Node,
    count: usize,
}

#[derive(Debug, Default)]
struct Node {
    next: BTreeMap<Box<[u8]>, Self>,
    any: Option<Box<Self>>,
    /// A pattern ends here.
    here: bool,
    /// A pattern goes on from here with `#`.
    rest: bool,
}

impl Trie {
    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a pattern that is not there. What [`check_pattern`] refuses matches nothing sensible.
    pub fn add(&mut self, pattern: &[u8]) {
        let mut node = &mut self.root;
        self.count += 1;
        for segment in pattern.split(|byte| *byte == b'.') {
            node = match segment {
                b"#" => {
                    node.rest = true;
                    return;
                }
                b"*" => node.any.get_or_insert_default(),
                segment => node.next.entry(segment.into()).or_default(),
            };
        }
        node.here = true;
    }

    /// Takes a pattern out that is there, and with it what led nowhere else.
    pub fn remove(&mut self, pattern: &[u8]) {
        self.count -= 1;
        self.root.remove(&mut pattern.split(|byte| *byte == b'.'));
    }

    /// Calls `visit` with every pattern that matches `topic`.
    pub fn matching(&self, topic: &[u8], visit: &mut dyn FnMut(&[u8])) {
        if self.is_empty() || check_topic(topic).is_err() {
            return;
        }
        self.root.matching(Some(topic), &mut Vec::with_capacity(topic.len()), visit);
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        self.next.is_empty() && self.any.is_none() && !self.here && !self.rest
    }

    fn remove<'s>(&mut self, segments: &mut impl Iterator<Item = &'s [u8]>) {
        match segments.next() {
            None => self.here = false,
            Some(b"#") => self.rest = false,
            Some(b"*") => {
                let any = self.any.as_mut().expect("the pattern is there");
                any.remove(segments);
                if any.is_empty() {
                    self.any = None;
                }
            }
            Some(segment) => {
                let next = self.next.get_mut(segment).expect("the pattern is there");
                next.remove(segments);
                if next.is_empty() {
                    self.next.remove(segment);
                }
            }
        }
    }

    /// `left` is what of the topic is to be matched, nothing at its end; `pattern` is the way here.
    /// As deep as a topic has segments.
    fn matching(&self, left: Option<&[u8]>, pattern: &mut Vec<u8>, visit: &mut dyn FnMut(&[u8])) {
        let length = pattern.len();
        if self.rest {
            step(pattern, b"#");
            visit(pattern);
            pattern.truncate(length);
        }
        let Some(left) = left else {
            if self.here {
                visit(pattern);
            }
            return;
        };
        let (segment, left) = match left.iter().position(|byte| *byte == b'.') {
            Some(dot) => (&left[..dot], Some(&left[dot + 1..])),
            None => (left, None),
        };
        for (node, name) in [(self.next.get(segment), segment), (self.any.as_deref(), &b"*"[..])] {
            if let Some(node) = node {
                step(pattern, name);
                node.matching(left, pattern, visit);
                pattern.truncate(length);
            }
        }
    }
}

fn step(pattern: &mut Vec<u8>, segment: &[u8]) {
    if !pattern.is_empty() {
        pattern.push(b'.');
    }
    pattern.extend_from_slice(segment);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn only_patterns_that_mean_something_are_taken() {
        for good in ["a", "a.b", "*", "#", "a.*.c", "a.#", "*.*", "*.#", "ä.b c"] {
            assert_eq!(check_pattern(good.as_bytes()), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("", TopicError::Length),
            (".", TopicError::EmptySegment),
            ("a.", TopicError::EmptySegment),
            (".a", TopicError::EmptySegment),
            ("a..b", TopicError::EmptySegment),
            ("a*", TopicError::Inside),
            ("a.#b", TopicError::Inside),
            ("a.**", TopicError::Inside),
            ("#.a", TopicError::NotLast),
            ("#.#", TopicError::NotLast),
        ] {
            assert_eq!(check_pattern(bad.as_bytes()), Err(why), "{bad}");
        }
        let long = "a.".repeat(64) + "a";
        assert_eq!(check_pattern(long.as_bytes()), Err(TopicError::Segments));
        assert_eq!(check_pattern(&[b'a'; 1025]), Err(TopicError::Length));
        assert_eq!(check_topic(b"a.*"), Err(TopicError::Wildcard));
        assert_eq!(check_topic(b"a.b"), Ok(()));
    }

    #[test]
    fn patterns_match_as_they_are_described() {
        for (pattern, topic, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a", false),
            ("a.b", "a.b.c", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("*.b", "a.b", true),
            ("a.#", "a", true),
            ("a.#", "a.b.c", true),
            ("a.#", "b", false),
            ("#", "a", true),
            ("*.#", "a.b", true),
            ("a.*.#", "a", false),
            ("a.*.#", "a.b", true),
        ] {
            let (pattern, topic_bytes) = (pattern.as_bytes(), topic.as_bytes());
            assert_eq!(matches(pattern, topic_bytes), expected, "{pattern:?} {topic}");
            let mut trie = Trie::default();
            trie.add(pattern);
            let mut found = false;
            trie.matching(topic_bytes, &mut |seen| found |= seen == pattern);
            assert_eq!(found, expected, "{pattern:?} {topic}");
        }
    }

    /// A random pattern or topic over a few words.
    fn draw(rng: &mut Rng, wild: bool) -> Vec<u8> {
        let words: &[&str] = if wild { &["a", "b", "c", "*"] } else { &["a", "b", "c"] };
        let mut segments: Vec<&str> =
            (0..=rng.below(4)).map(|_| words[rng.below(words.len())]).collect();
        if wild && rng.below(4) == 0 {
            segments.push("#");
        }
        segments.join(".").into_bytes()
    }

    #[test]
    fn the_trie_finds_what_a_comparison_with_each_pattern_finds() {
        let mut rng = Rng::new(7);
        let (mut trie, mut patterns) = (Trie::default(), std::collections::BTreeSet::new());
        for _ in 0..4000 {
            let pattern = draw(&mut rng, true);
            if rng.below(2) == 0 {
                if patterns.insert(pattern.clone()) {
                    trie.add(&pattern);
                }
            } else if patterns.remove(&pattern) {
                trie.remove(&pattern);
            }
            let topic = draw(&mut rng, false);
            let mut found = Vec::new();
            trie.matching(&topic, &mut |pattern| found.push(pattern.to_vec()));
            found.sort();
            let expected: Vec<Vec<u8>> =
                patterns.iter().filter(|pattern| matches(pattern, &topic)).cloned().collect();
            assert_eq!(found, expected);
        }
        for pattern in &patterns {
            trie.remove(pattern);
        }
        assert!(trie.is_empty() && trie.root.is_empty());
    }
}

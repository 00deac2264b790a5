//! What rights are about: kinds of things and patterns of their names, written `kind:pattern`.
//!
//! A pattern is compared byte by byte; only `*` is special and stands for any bytes, also none.
//! Time is linear in name and pattern, whatever they are.

use std::fmt;

/// Bytes of a pattern.
pub const PATTERN_BYTES_MAX: usize = 512;
/// Stars of a pattern.
pub const STARS_MAX: usize = 8;

/// A kind of thing that rights are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ResourceKind {
    /// Keys with strings, and commands on keys of any type.
    Kv,
    /// Hashes.
    Hash,
    /// Lists.
    List,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// HyperLogLogs.
    HyperLogLog,
    /// Bitmaps.
    Bitmap,
    /// Sets of places.
    Geo,
    /// Queues.
    Queue,
    /// Rooms of events.
    Stream,
    /// Partitioned topics.
    Topic,
    /// Consumer groups.
    Group,
    /// Channels and topics of publish and subscribe.
    PubSub,
    /// Scripts and functions.
    Script,
    /// The server itself.
    Admin,
    /// The machines that belong together.
    Cluster,
}

/// How many kinds there are.
pub const KINDS: usize = ResourceKind::ALL.len();

impl ResourceKind {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::Kv,
        Self::Hash,
        Self::List,
        Self::Set,
        Self::SortedSet,
        Self::HyperLogLog,
        Self::Bitmap,
        Self::Geo,
        Self::Queue,
        Self::Stream,
        Self::Topic,
        Self::Group,
        Self::PubSub,
        Self::Script,
        Self::Admin,
        Self::Cluster,
    ];

    /// Its name in files and on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kv => "kv",
            Self::Hash => "hash",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "sortedset",
            Self::HyperLogLog => "hyperloglog",
            Self::Bitmap => "bitmap",
            Self::Geo => "geo",
            Self::Queue => "queue",
            Self::Stream => "stream",
            Self::Topic => "topic",
            Self::Group => "group",
            Self::PubSub => "pubsub",
            Self::Script => "script",
            Self::Admin => "admin",
            Self::Cluster => "cluster",
        }
    }

    /// The kind of a name, in any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which names are meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Box<str>,
}

impl Pattern {
    /// Every name.
    #[must_use]
    pub fn any() -> Self {
        Self { text: "*".into() }
    }

    /// A pattern as written.
    ///
    /// # Errors
    /// It is empty, longer than [`PATTERN_BYTES_MAX`], or has more than [`STARS_MAX`] stars.
    pub fn parse(text: &str) -> Result<Self, BadResource> {
        let stars = text.bytes().filter(|byte| *byte == b'*').count();
        if text.is_empty() || text.len() > PATTERN_BYTES_MAX || stars > STARS_MAX {
            return Err(BadResource::Pattern { found: excerpt(text) });
        }
        Ok(Self { text: text.into() })
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it means every name.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.text.bytes().all(|byte| byte == b'*')
    }

    /// Whether it means this name.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        let pattern = self.text.as_bytes();
        let Some(first) = pattern.iter().position(|byte| *byte == b'*') else {
            return pattern == name;
        };
        let Some(mut rest) = name.strip_prefix(&pattern[..first]) else { return false };
        let mut parts = pattern[first + 1..].split(|byte| *byte == b'*').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            if part.is_empty() {
                continue;
            }
            // The earliest place leaves the most for what follows.
            let Some(at) = memchr::memmem::find(rest, part) else { return false };
            rest = &rest[at + part.len()..];
        }
        true
    }
}

/// A set of resources: one kind or every kind, and a pattern of names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    /// `None` is every kind.
    pub kind: Option<ResourceKind>,
    /// Which of their names.
    pub pattern: Pattern,
}

impl Resource {
    /// Everything there is.
    #[must_use]
    pub fn everything() -> Self {
        Self { kind: None, pattern: Pattern::any() }
    }

    /// All of a kind.
    #[must_use]
    pub fn all_of(kind: ResourceKind) -> Self {
        Self { kind: Some(kind), pattern: Pattern::any() }
    }

    /// `kind:pattern`; a kind alone or `*` means all of its names, `*:pattern` names of any kind.
    ///
    /// # Errors
    /// The kind or the pattern is none.
    pub fn parse(text: &str) -> Result<Self, BadResource> {
        let (kind, pattern) = text.split_once(':').unwrap_or((text, "*"));
        Self::of_parts(kind, pattern)
    }

    /// As [`Self::parse`], of the two parts.
    ///
    /// # Errors
    /// The kind or the pattern is none.
    pub fn of_parts(kind: &str, pattern: &str) -> Result<Self, BadResource> {
        let kind = match kind {
            "*" => None,
            _ => match ResourceKind::parse(kind) {
                Some(kind) => Some(kind),
                None => return Err(BadResource::Kind { found: excerpt(kind) }),
            },
        };
        Ok(Self { kind, pattern: Pattern::parse(pattern)? })
    }

    /// Whether it means this one.
    #[must_use]
    pub fn matches(&self, kind: ResourceKind, name: &[u8]) -> bool {
        self.kind.is_none_or(|own| own == kind) && self.pattern.matches(name)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            None if self.pattern.as_str() == "*" => f.write_str("*"),
            None => write!(f, "*:{}", self.pattern.as_str()),
            Some(kind) => write!(f, "{kind}:{}", self.pattern.as_str()),
        }
    }
}

/// Why a text names no resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadResource {
    /// No such kind.
    Kind {
        /// The beginning of what was there.
        found: String,
    },
    /// Not a pattern.
    Pattern {
        /// The beginning of what was there.
        found: String,
    },
}

impl fmt::Display for BadResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind { found } => {
                let kinds: Vec<&str> =
                    ResourceKind::ALL.into_iter().map(ResourceKind::name).collect();
                write!(f, "expected a resource `kind:pattern` of one of the kinds * ")?;
                write!(f, "{}, found `{found}`", kinds.join(" "))
            }
            Self::Pattern { found } => write!(
                f,
                "expected a pattern of 1 to {PATTERN_BYTES_MAX} bytes with at most {STARS_MAX} \
                 stars, found `{found}`"
            ),
        }
    }
}

impl std::error::Error for BadResource {}

/// The first characters of a text, fit for a message.
pub(super) fn excerpt(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    text.chars().take(CHARS_MAX).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::parse(pattern).expect("a pattern").matches(name.as_bytes())
    }

    #[test]
    fn patterns_mean_what_they_say() {
        for (pattern, good, bad) in [
            ("a", &["a"][..], &["", "aa", "b", "A"][..]),
            ("*", &["", "a", "a:b"], &[]),
            ("ten:*", &["ten:", "ten:1"], &["ten", "xten:1"]),
            ("*:log", &[":log", "a:log"], &["log", "a:logs"]),
            ("a*b", &["ab", "a-b", "abb"], &["a", "b", "abc", "ba"]),
            ("aa*aa", &["aaaa", "aaxaa"], &["aa", "aaa"]),
            ("a*b*c", &["abc", "axbxc", "abbc"], &["acb", "ac"]),
            ("a**c", &["ac", "abc"], &["a"]),
            ("a?[b]", &["a?[b]"], &["axb"]),
        ] {
            for name in good {
                assert!(matches(pattern, name), "{pattern} means {name}");
            }
            for name in bad {
                assert!(!matches(pattern, name), "{pattern} does not mean {name}");
            }
        }
    }

    #[test]
    fn resources_are_read_and_written() {
        for (text, shown) in [
            ("*", "*"),
            ("kv", "kv:*"),
            ("kv:*", "kv:*"),
            ("KV:a:b", "kv:a:b"),
            ("*:x*", "*:x*"),
            ("*:*", "*"),
        ] {
            let resource = Resource::parse(text).expect("a resource");
            assert_eq!(resource.to_string(), shown);
            assert_eq!(Resource::parse(shown).expect("the same"), resource);
        }
    }

    #[test]
    fn what_is_no_resource_is_refused_with_what_was_found() {
        for bad in ["", "kvs:*", "kv:", ":a", "a*:b"] {
            let error = Resource::parse(bad).expect_err(bad).to_string();
            assert!(error.contains(", found `"), "{error}");
        }
        assert!(Pattern::parse(&"*".repeat(STARS_MAX + 1)).is_err());
        assert!(Pattern::parse(&"a".repeat(PATTERN_BYTES_MAX + 1)).is_err());
    }
}

//! The form of a key declaration: everything there is to know about one setting, as data.
//!
//! The loader, the environment names, `--show-config`, the reference file `config/config.yml` and
//! the reload rules all read these declarations; nothing about a key is written down twice.

/// Type and range of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`; also yes/no, on/off, 1/0.
    Bool,
    /// Whole number in an inclusive range.
    Int {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// Any text up to a number of bytes; empty only when `min` is 0.
    Text {
        /// Fewest bytes.
        min: usize,
        /// Most bytes.
        max: usize,
    },
    /// A file system path; not empty, no NUL.
    Path,
    /// An address or a host name to bind or connect to.
    Host,
    /// `host:port`.
    HostPort,
    /// A URL path: starts with `/`, no blank, no trailing slash.
    UrlPath,
    /// One of some names, case-insensitive; each row is the canonical name, then its synonyms.
    Enum(&'static [&'static [&'static str]]),
    /// List of texts; in the environment separated by commas.
    TextList,
    /// List of addresses or CIDR blocks.
    CidrList,
    /// List of CPU numbers, or text such as `0-3,8`.
    CpuList,
    /// List of mappings with these members.
    Objects(&'static [Member]),
}

/// Member of a mapping in a [`Kind::Objects`] list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Name.
    pub name: &'static str,
    /// Type; not [`Kind::Objects`] deeper than one level.
    pub kind: Kind,
    /// Must be present.
    pub required: bool,
    /// Masked wherever it is printed.
    pub secret: bool,
}

/// What this build does with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The server acts on it.
    Live,
    /// Checked, but its subsystem is not in this build: it changes nothing.
    Dormant,
    /// Checked, but its subsystem is not in this build: the server will not start while the key
    /// asks for it, because running without what it promises would be worse.
    Refused {
        /// The promise that would be broken.
        why: &'static str,
    },
    /// Known from other versions; never has an effect, and why.
    NoEffect(&'static str),
}

/// Another path for a key, possibly in another unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alias {
    /// Dotted path.
    pub path: &'static str,
    /// Factor from the alias's unit to the key's.
    pub scale: u64,
}

/// Declaration of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Dotted path, the canonical name.
    pub path: &'static str,
    /// Type and range.
    pub kind: Kind,
    /// Default as it would be written in the file; `None` when absence is a state of its own.
    pub default: Option<&'static str>,
    /// Meaning, with the unit.
    pub doc: &'static str,
    /// Other accepted paths.
    pub aliases: &'static [Alias],
    /// Takes effect on SIGHUP.
    pub reload: bool,
    /// Masked wherever it is printed.
    pub secret: bool,
    /// Setting it to its default differs from leaving it out, so the reference file leaves it out.
    pub presence_counts: bool,
    /// What this build does with it.
    pub state: State,
}

impl Key {
    /// A live, optional key without default.
    pub(super) const fn new(path: &'static str, kind: Kind, doc: &'static str) -> Self {
        let (default, aliases, state) = (None, &[] as &[Alias], State::Live);
        let (reload, secret, presence_counts) = (false, false, false);
        Self { path, kind, default, doc, aliases, reload, secret, presence_counts, state }
    }

    /// With a default, in file form.
    pub(super) const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// With other accepted paths.
    pub(super) const fn alias(mut self, aliases: &'static [Alias]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Takes effect on SIGHUP.
    pub(super) const fn reloadable(mut self) -> Self {
        self.reload = true;
        self
    }

    /// Setting it to its default differs from leaving it out.
    pub(super) const fn counting_presence(mut self) -> Self {
        self.presence_counts = true;
        self
    }

    /// Masked wherever it is printed.
    pub(super) const fn masked(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Its subsystem is not in this build.
    pub(super) const fn dormant(mut self) -> Self {
        self.state = State::Dormant;
        self
    }

    /// Its subsystem is not in this build and the server must not start with it on.
    pub(super) const fn refused(mut self, why: &'static str) -> Self {
        self.state = State::Refused { why };
        self
    }

    /// Never has an effect.
    pub(super) const fn no_effect(mut self, why: &'static str) -> Self {
        self.state = State::NoEffect(why);
        self
    }
}

/// Another path in the same unit.
pub(super) const fn same(path: &'static str) -> Alias {
    Alias { path, scale: 1 }
}

/// Another path whose unit is `scale` times the key's.
pub(super) const fn scaled(path: &'static str, scale: u64) -> Alias {
    Alias { path, scale }
}

/// A whole number in an inclusive range.
pub(super) const fn int(min: u64, max: u64) -> Kind {
    Kind::Int { min, max }
}

/// A TCP port.
pub(super) const PORT: Kind = int(1, 65_535);
/// Text of ordinary length.
pub(super) const TEXT: Kind = Kind::Text { min: 1, max: 4096 };
/// Number without a natural upper bound; far below where sums could overflow.
pub(super) const MANY: Kind = int(0, 1 << 48);
/// At least one.
pub(super) const SOME: Kind = int(1, 1 << 48);
/// Seconds, up to ten years.
pub(super) const SECS: Kind = int(0, 315_360_000);
/// Milliseconds, at least one, up to a day.
pub(super) const MILLIS: Kind = int(1, 86_400_000);

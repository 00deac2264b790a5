//! What can happen. The types keep out what must not get in: there is no place for a value, a
//! credential, a key or a query.

use std::fmt;
use std::net::IpAddr;

/// Longest name that is kept, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The name of an account, a role or an API key (never the key itself), cut and printable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name(Box<str>);

impl Name {
    /// The name of something that exists. What somebody typed as a name may be a password: do not
    /// pass it unless there is such an account.
    #[must_use]
    pub fn of_existing(name: &str) -> Self {
        let mut end = name.len().min(NAME_BYTES_MAX);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        let printable = |c: char| if c.is_control() { '?' } else { c };
        Self(name[..end].chars().map(printable).collect())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who did it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Who {
    /// Nobody who has shown who they are.
    Anonymous,
    /// A user.
    User(Name),
    /// An API key, by its id or name.
    Key(Name),
    /// Whoever runs the process: a signal, the configuration.
    Operator,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::User(name) => write!(f, "user:{name}"),
            Self::Key(name) => write!(f, "key:{name}"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

/// Kinds of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "Event says what they are")]
pub enum Kind {
    LoggedIn,
    LoginFailed,
    LoginHeldOff,
    Denied,
    AccountChanged,
    ConfigChanged,
    Flushed,
    ShutDown,
    ConnectionRefused,
    RateLimited,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::LoggedIn,
        Self::LoginFailed,
        Self::LoginHeldOff,
        Self::Denied,
        Self::AccountChanged,
        Self::ConfigChanged,
        Self::Flushed,
        Self::ShutDown,
        Self::ConnectionRefused,
        Self::RateLimited,
    ];

    /// As it is shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LoggedIn => "logged_in",
            Self::LoginFailed => "login_failed",
            Self::LoginHeldOff => "login_held_off",
            Self::Denied => "denied",
            Self::AccountChanged => "account_changed",
            Self::ConfigChanged => "config_changed",
            Self::Flushed => "flushed",
            Self::ShutDown => "shut_down",
            Self::ConnectionRefused => "connection_refused",
            Self::RateLimited => "rate_limited",
        }
    }
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// What.
    pub kind: Kind,
    /// Who did it.
    pub who: Who,
    /// From where; nothing for what the operator did.
    pub address: Option<IpAddr>,
    /// More about it in a fixed word: the command that was denied, the change of an account, the
    /// setting that was changed, the limit.
    pub detail: &'static str,
    /// The account or role it was done to, or that somebody wanted to be.
    pub object: Option<Name>,
}

impl Event {
    /// An event about nobody in particular.
    #[must_use]
    pub fn new(kind: Kind, who: Who, address: Option<IpAddr>, detail: &'static str) -> Self {
        Self { kind, who, address, detail, object: None }
    }

    /// About this account or role.
    #[must_use]
    pub fn about(mut self, object: Name) -> Self {
        self.object = Some(object);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_and_printable() {
        assert_eq!(Name::of_existing("a\nb\u{7}").to_string(), "a?b?");
        let long = "ä".repeat(100);
        assert_eq!(Name::of_existing(&long).to_string().len(), NAME_BYTES_MAX);
        assert_eq!(Who::User(Name::of_existing("ann")).to_string(), "user:ann");
    }

    #[test]
    fn kinds_stand_where_their_number_says() {
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at, "{}", kind.name());
        }
    }
}

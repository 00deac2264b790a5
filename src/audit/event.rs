//! What can happen. The types keep out what must not get in: there is no place for a value, a
//! credential, a key or a query.

use std::fmt;
use std::net::IpAddr;

use crate::auth::{self, Identity};

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
    /// A user whom a client certificate names.
    Certificate(Name),
    /// An API key, by its name.
    Key(Name),
    /// Whoever runs the process: a signal, the configuration.
    Operator,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::User(name) => write!(f, "user:{name}"),
            Self::Certificate(name) => write!(f, "certificate:{name}"),
            Self::Key(name) => write!(f, "key:{name}"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

impl From<&Identity> for Who {
    fn from(identity: &Identity) -> Self {
        let name = || Name::of_existing(identity.label());
        match identity.who() {
            auth::Who::Anonymous => Self::Anonymous,
            auth::Who::User(_) => Self::User(name()),
            auth::Who::Certificate(_) => Self::Certificate(name()),
            auth::Who::Key(_) => Self::Key(name()),
        }
    }
}

/// Kinds of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Somebody has shown who it is, once for each connection.
    LoggedIn,
    /// A credential was not that of anybody who may come in.
    LoginFailed,
    /// A credential was not looked at, because too many before it were wrong.
    LoginHeldOff,
    /// A caller may not do what it asked for.
    Denied,
    /// Users, API keys, roles or rules are others than before.
    AccountChanged,
    /// A setting is another than before.
    ConfigChanged,
    /// All keys were removed.
    Flushed,
    /// The server was told to stop.
    ShutDown,
    /// A connection was not kept.
    ConnectionRefused,
    /// A request was not carried out, because there were too many before it.
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

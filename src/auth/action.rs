//! What can be done to a resource, and which right includes which.
//!
//! The rules are closed: a right includes another either by the table below or not at all, and a
//! name that is not in the table is refused where it is read, never taken for another.

use std::fmt;

/// Something that can be done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Action {
    /// Look at it.
    Read,
    /// Create or change it.
    Write,
    /// Remove it whole.
    Delete,
    /// Take messages from it; included in write.
    Consume,
    /// Change how it behaves; includes read and write.
    Configure,
    /// Run the server: stop it, change its settings, see its clients.
    Admin,
    /// All of these.
    All,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 7] = [
        Self::Read,
        Self::Write,
        Self::Delete,
        Self::Consume,
        Self::Configure,
        Self::Admin,
        Self::All,
    ];

    /// Its name in files and on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::Consume => "consume",
            Self::Configure => "configure",
            Self::Admin => "admin",
            Self::All => "all",
        }
    }

    /// The action of a name, in any case; `*` is [`Action::All`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if name == "*" {
            return Some(Self::All);
        }
        Self::ALL.into_iter().find(|action| action.name().eq_ignore_ascii_case(name))
    }

    /// Whether the right to do this is also the right to do `wanted`.
    #[must_use]
    pub const fn includes(self, wanted: Self) -> bool {
        Actions::of(self).has(wanted)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of actions, with all that they include.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Actions(u8);

impl Actions {
    /// No action.
    pub const NONE: Self = Self(0);
    /// Every action.
    pub const EVERY: Self = Self::of(Action::All);

    /// One action and what it includes.
    #[must_use]
    pub const fn of(action: Action) -> Self {
        let bits = match action {
            Action::Read | Action::Delete | Action::Consume | Action::Admin => action.bit(),
            Action::Write => action.bit() | Action::Consume.bit(),
            Action::Configure => {
                action.bit() | Action::Read.bit() | Action::Write.bit() | Action::Consume.bit()
            }
            Action::All => (1 << Action::ALL.len()) - 1,
        };
        Self(bits)
    }

    /// Whether `action` is among them.
    #[must_use]
    pub const fn has(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }

    /// These and those.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are among them.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The fewest actions that include all of them, in the order of [`Action::ALL`].
    #[must_use]
    pub fn names(self) -> Vec<Action> {
        if self.has(Action::All) {
            return vec![Action::All];
        }
        let held = Action::ALL.into_iter().filter(|action| self.has(*action));
        let implied = |action: &Action| {
            let others = Action::ALL.into_iter().filter(|other| self.has(*other));
            !others.filter(|other| other != action).any(|other| other.includes(*action))
        };
        held.filter(implied).collect()
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        actions.into_iter().fold(Self::NONE, |set, action| set.with(Self::of(action)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_includes_what_the_table_says() {
        let includes = |action: Action| -> Vec<&str> {
            let all = Action::ALL.into_iter();
            all.filter(|wanted| action.includes(*wanted)).map(Action::name).collect()
        };
        assert_eq!(includes(Action::Read), ["read"]);
        assert_eq!(includes(Action::Write), ["write", "consume"]);
        assert_eq!(includes(Action::Delete), ["delete"]);
        assert_eq!(includes(Action::Consume), ["consume"]);
        assert_eq!(includes(Action::Configure), ["read", "write", "consume", "configure"]);
        assert_eq!(includes(Action::Admin), ["admin"]);
        assert_eq!(includes(Action::All).len(), Action::ALL.len());
    }

    #[test]
    fn names_are_read_in_any_case_and_others_refused() {
        for action in Action::ALL {
            assert_eq!(Action::parse(&action.name().to_uppercase()), Some(action));
        }
        assert_eq!(Action::parse("*"), Some(Action::All));
        for bad in ["", "reed", "read ", "execute"] {
            assert_eq!(Action::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_set_names_no_more_than_it_must() {
        let set = |actions: &[Action]| actions.iter().copied().collect::<Actions>();
        assert_eq!(set(&[Action::Write, Action::Consume]).names(), [Action::Write]);
        assert_eq!(set(&[Action::All, Action::Read]).names(), [Action::All]);
        assert_eq!(set(&[Action::Read, Action::Delete]).names(), [Action::Read, Action::Delete]);
        assert_eq!(set(&[]).names(), []);
    }
}

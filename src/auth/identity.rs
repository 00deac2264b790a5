//! Who a caller is, and what follows from it.

use std::sync::Arc;

use super::rights::Rights;

/// A name for a caller that outlives the [`super::Directory`] it was found in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// Nobody in particular.
    Anonymous,
    /// A user who gave a password.
    User(Arc<str>),
    /// An API key, by its id.
    Key(Arc<str>),
    /// A user whom a client certificate names.
    Certificate(Arc<str>),
}

impl Who {
    /// The user, where it is one.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::User(name) | Self::Certificate(name) => Some(name),
            Self::Anonymous | Self::Key(_) => None,
        }
    }

    /// The id of the API key, where it is one.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Key(id) => Some(id),
            Self::Anonymous | Self::User(_) | Self::Certificate(_) => None,
        }
    }

    /// Whether it is somebody.
    #[must_use]
    pub const fn is_authenticated(&self) -> bool {
        !matches!(self, Self::Anonymous)
    }
}

/// Who a caller is, with its rights in one directory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Identity {
    who: Who,
    rights: Arc<Rights>,
    generation: u64,
    label: Arc<str>,
    rate_limit: Option<u64>,
}

impl Identity {
    pub(super) const fn new(
        who: Who,
        label: Arc<str>,
        rights: Arc<Rights>,
        generation: u64,
    ) -> Self {
        Self { who, rights, generation, label, rate_limit: None }
    }

    /// The same, but it may make so many requests per minute.
    pub(super) const fn limited(mut self, rate_limit: Option<u64>) -> Self {
        self.rate_limit = rate_limit;
        self
    }

    /// Requests per minute that it may make, where it has a limit of its own.
    #[must_use]
    pub const fn rate_limit(&self) -> Option<u64> {
        self.rate_limit
    }

    /// Who it is.
    #[must_use]
    pub const fn who(&self) -> &Who {
        &self.who
    }

    /// What it may do.
    #[inline]
    #[must_use]
    pub const fn rights(&self) -> &Arc<Rights> {
        &self.rights
    }

    /// Whether it may do everything.
    #[inline]
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.rights.is_admin()
    }

    /// The generation of the directory it was found in; in a newer one it must be looked up again
    /// ([`super::Directory::resolve`]).
    #[inline]
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// A name for people and logs: of the user, of the API key (not its id), or `default`.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }
}

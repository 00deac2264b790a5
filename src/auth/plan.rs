//! What the configuration says of access control, checked as far as it can be without the data
//! directory. Every part knows where it was said.

use std::fmt;

use crate::config::Origin;

use super::action::Actions;
use super::credential::Secret;
use super::directory::Switches;
use super::hash::PasswordHash;
use super::key::Digest;
use super::resource::Resource;
use super::rights::Permission;
use crate::cidr::Cidr;

/// Where something was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, variable or flag.
    pub origin: Origin,
    /// Dotted path of the key.
    pub key: String,
}

/// What is wrong with what was said, and can only be told with the data directory at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What it contradicts, as a sentence fragment after the key.
    pub with: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}` {}", self.place.origin, self.place.key, self.with)
    }
}

/// How a configured user proves who it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Proof {
    /// By the password of this hash.
    Hash(PasswordHash),
    /// By this password; hashed before anybody is let in.
    Clear(Secret),
}

/// A configured user.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedUser {
    /// Where.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// Its password.
    pub proof: Proof,
    /// Its roles, all of which are configured or built in.
    pub roles: Vec<String>,
    /// Whether it may come in.
    pub enabled: bool,
}

/// A configured API key.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedKey {
    /// Where.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// SHA-256 of it.
    pub digest: Digest,
    /// What may be shown of it.
    pub hint: String,
    /// Its roles, all of which are configured or built in.
    pub roles: Vec<String>,
    /// Rights of its own.
    pub permissions: Vec<Permission>,
    /// Days from the first sight of it.
    pub expires_days: Option<u64>,
    /// Whether it may be used.
    pub enabled: bool,
    /// Where it may be used.
    pub allowed: Vec<Cidr>,
    /// Requests per minute it may make, where it has a limit of its own.
    pub rate_limit: Option<u64>,
}

/// A configured role.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedRole {
    /// Where.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// What it allows.
    pub permissions: Vec<Permission>,
}

/// A configured rule.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedRule {
    /// Where.
    pub place: Place,
    /// Its label.
    pub name: Option<String>,
    /// To what.
    pub resource: Resource,
    /// What may be done.
    pub actions: Actions,
    /// Anyone may.
    pub public: bool,
    /// Whoever has one of these roles may.
    pub roles: Vec<String>,
    /// These users may.
    pub users: Vec<String>,
}

/// The administrator that is made when there is no user of its name.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstAdmin {
    /// Where.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// Its password; chance where none is given, and told once.
    pub password: Option<Secret>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// On, required, public metrics.
    pub switches: Switches,
    /// `require_auth_on_public_bind` is set and a listener is reachable from elsewhere: there must
    /// be somebody who can come in.
    pub guarded: Option<Place>,
    /// Users.
    pub users: Vec<PlannedUser>,
    /// API keys.
    pub keys: Vec<PlannedKey>,
    /// Roles.
    pub roles: Vec<PlannedRole>,
    /// Rules.
    pub rules: Vec<PlannedRule>,
    /// The administrator of a first start; nothing where none is to be made.
    pub first_admin: Option<FirstAdmin>,
    /// Milliseconds that a key made while the server runs is valid, unless its order says; 0 is
    /// for ever.
    pub key_valid_ms: u64,
    /// Where such a key may be used, unless its order says.
    pub key_allowed: Vec<Cidr>,
}

impl Plan {
    /// Nothing configured.
    #[must_use]
    pub fn off() -> Self {
        Self {
            switches: Switches::OFF,
            guarded: None,
            users: Vec::new(),
            keys: Vec::new(),
            roles: Vec::new(),
            rules: Vec::new(),
            first_admin: None,
            key_valid_ms: KEY_VALID_DAYS * DAY_MS,
            key_allowed: Vec::new(),
        }
    }
}

/// Milliseconds of a day.
pub const DAY_MS: u64 = 86_400_000;
/// Days a key made while the server runs is valid, unless something else is said.
pub const KEY_VALID_DAYS: u64 = 90;

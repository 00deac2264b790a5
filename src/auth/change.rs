//! What can be changed while the server runs, and why a change is refused.

use std::fmt;

use super::acl::{BadRule, Step};
use super::action::Actions;
use super::credential::Secret;
use super::key::NewKey;
use super::resource::Resource;
use super::rights::Permission;
use super::store::StoreError;
use crate::cidr::Cidr;

/// What to change of a user; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct UserEdit {
    /// Its password from now on, checked against the policy.
    pub password: Option<Secret>,
    /// Its roles from now on; each must exist.
    pub roles: Option<Vec<String>>,
    /// Its own rights from now on.
    pub permissions: Option<Vec<Permission>>,
    /// Whether it may come in.
    pub enabled: Option<bool>,
}

/// How an API key that does not exist yet shall be.
#[derive(Clone, Debug, Default)]
pub struct KeyOrder {
    /// Its name; unique.
    pub name: String,
    /// Its role; without one and without permissions, `readonly`.
    pub role: Option<String>,
    /// Rights of its own.
    pub permissions: Vec<Permission>,
    /// Milliseconds it is valid, 0 for ever; `None` is as configured
    /// (`authentication.api_key_default_expiration_days`).
    pub expires_in_ms: Option<u64>,
    /// Where it may be used; empty is as configured (`authentication.api_key_allowed_ips`).
    pub allowed: Vec<Cidr>,
}

/// How a rule that does not exist yet shall be; see [`super::Rule`].
#[derive(Clone, Debug)]
pub struct RuleOrder {
    /// A label by which it can be removed; unique.
    pub name: String,
    /// To what.
    pub resource: Resource,
    /// What may be done.
    pub actions: Actions,
    /// Anyone may.
    pub public: bool,
    /// Whoever has one of these roles may; each must exist.
    pub roles: Vec<String>,
    /// These users may; each must exist.
    pub users: Vec<String>,
}

/// One change. Only administrators may ask for it, but everyone may set the own password.
#[derive(Clone, Debug)]
pub enum Change {
    /// Makes a user; enabled, `readonly` and without a password unless the edit says otherwise.
    CreateUser {
        /// Its name.
        name: String,
        /// How it is.
        edit: UserEdit,
    },
    /// Changes a user.
    EditUser {
        /// Its name.
        name: String,
        /// What changes.
        edit: UserEdit,
    },
    /// Does these things to a user one after the other, all of them or none; one that there is not
    /// is made, disabled, without a password and without rights. (`ACL SETUSER`)
    SetUser {
        /// Its name.
        name: String,
        /// What is done.
        steps: Vec<Step>,
    },
    /// Removes those of these users that there are; answered with [`Changed::Count`].
    DeleteUsers {
        /// Their names.
        names: Vec<String>,
    },
    /// Writes everything to disk, where it is already.
    Save,
    /// Reads everything that was changed while the server ran from disk again.
    Load,
    /// Removes a user.
    DeleteUser {
        /// Its name.
        name: String,
    },
    /// Sets the password of a user.
    SetPassword {
        /// Its name.
        name: String,
        /// The new one.
        password: Secret,
    },
    /// Gives a user one role more; it may have it already.
    AddRole {
        /// The user.
        name: String,
        /// The role.
        role: String,
    },
    /// Takes a role from a user; it must have it.
    RemoveRole {
        /// The user.
        name: String,
        /// The role.
        role: String,
    },
    /// Makes an API key; answered with [`Changed::Key`].
    CreateKey(KeyOrder),
    /// Gives an API key a new secret; the old one ends at once. Answered with [`Changed::Key`].
    RotateKey {
        /// Its id or its name.
        key: String,
    },
    /// Removes an API key.
    RevokeKey {
        /// Its id, its name, or the secret itself.
        key: Secret,
    },
    /// Makes a role.
    CreateRole {
        /// Its name.
        name: String,
        /// What it allows.
        permissions: Vec<Permission>,
    },
    /// Removes a role that nobody has.
    DeleteRole {
        /// Its name.
        name: String,
    },
    /// Makes a rule.
    AddRule(RuleOrder),
    /// Removes a rule.
    RemoveRule {
        /// Its label.
        name: String,
    },
}

/// What came of a change.
#[derive(Debug)]
pub enum Changed {
    /// It is in effect and on disk.
    Done,
    /// The same, of so many.
    Count(usize),
    /// As above, and here is the key, which nobody will see again.
    Key(NewKey),
}

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A user.
    User,
    /// An API key.
    Key,
    /// A role.
    Role,
    /// A rule.
    Rule,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Key => "API key",
            Self::Role => "role",
            Self::Rule => "rule",
        })
    }
}

/// Why a change is refused; nothing has changed then.
#[derive(Debug)]
pub enum ChangeRefused {
    /// The caller is no administrator (403).
    NotAllowed,
    /// There is one of this name already (409).
    Exists {
        /// Of what.
        what: What,
        /// The name.
        name: String,
    },
    /// There is none of this name (404).
    Unknown {
        /// Of what.
        what: What,
        /// The name; empty where it may be a secret.
        name: String,
    },
    /// It is defined in the configuration, or built in, and can only be changed there (409).
    Fixed {
        /// Of what.
        what: What,
        /// The name.
        name: String,
    },
    /// Nobody could administer the server after it (409).
    LastAdmin,
    /// The role is still somebody's (409).
    InUse {
        /// The role.
        role: String,
        /// A user, API key or rule that has it.
        by: String,
    },
    /// A rule of `ACL SETUSER` (400).
    Rule {
        /// The rule, without what is secret.
        said: String,
        /// What is wrong with it.
        why: BadRule,
    },
    /// There is no data directory to write to and to read from (409).
    NoStore,
    /// What is on disk contradicts the configuration (409).
    Contradiction(String),
    /// The password is not good enough (400).
    Weak(super::policy::Weak),
    /// A name or value cannot be used (400).
    Invalid {
        /// What would have been right.
        expected: String,
        /// What was there.
        found: String,
    },
    /// There are as many as there may be (507).
    Full {
        /// Of what.
        what: What,
        /// How many there may be.
        max: usize,
    },
    /// It could not be written to disk (500).
    Store(StoreError),
}

impl fmt::Display for ChangeRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed => f.write_str("only an administrator may do this"),
            Self::Exists { what, name } => write!(f, "{what} `{name}` exists already"),
            Self::Unknown { what, name } if name.is_empty() => write!(f, "no such {what}"),
            Self::Unknown { what, name } => write!(f, "no such {what}: `{name}`"),
            Self::Fixed { what, name } => write!(
                f,
                "{what} `{name}` is defined in the configuration or built in; it can only be \
                 changed there"
            ),
            Self::LastAdmin => f.write_str("this is the last administrator"),
            Self::InUse { role, by } => write!(f, "role `{role}` is in use by {by}"),
            Self::Rule { said, why } => {
                write!(f, "Error in ACL SETUSER modifier '{said}': {why}")
            }
            Self::NoStore => f.write_str("there is no data directory, so there is no file"),
            Self::Contradiction(with) => f.write_str(with),
            Self::Weak(weak) => write!(f, "weak password: {weak}"),
            Self::Invalid { expected, found } => write!(f, "expected {expected}, found `{found}`"),
            Self::Full { what, max } => {
                write!(f, "there are {max} already, one more {what} is not possible")
            }
            Self::Store(error) => write!(f, "the change could not be stored: {error}"),
        }
    }
}

impl std::error::Error for ChangeRefused {}

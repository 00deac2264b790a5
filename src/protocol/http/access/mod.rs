//! Users, API keys, roles and rules over HTTP, below `/auth`: from requests to what is asked of
//! access control (`read`), and from what came of it to answers (`show`).
//!
//! Nothing is taken for something else: inputs that are unknown, missing or unreadable are refused,
//! so that no key is less restricted than whoever made it wanted. Secrets are in no error.

mod read;
mod show;

use synap_shards::command::spec::Method;

use super::error::HttpError;
use super::route::Params;
use crate::auth::{Change, Credential};

pub(crate) use show::{changed, denied, listed, me, refused, user};

/// Routes below `/auth`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AccessRoute {
    Login,
    Me,
    Keys,
    CreateKey,
    RevokeKey,
    RotateKey,
    Users,
    User,
    CreateUser,
    DeleteUser,
    SetPassword,
    Enable,
    Disable,
    AddRole,
    RemoveRole,
    Roles,
    CreateRole,
    DeleteRole,
    Rules,
    AddRule,
    RemoveRule,
}

/// Method, path, and what it is.
pub(super) const ROUTES: &[(Method, &str, AccessRoute)] = &[
    (Method::Post, "/auth/login", AccessRoute::Login),
    (Method::Get, "/auth/me", AccessRoute::Me),
    (Method::Get, "/auth/keys", AccessRoute::Keys),
    (Method::Post, "/auth/keys", AccessRoute::CreateKey),
    (Method::Delete, "/auth/keys/{id}", AccessRoute::RevokeKey),
    (Method::Post, "/auth/keys/{id}/rotate", AccessRoute::RotateKey),
    (Method::Get, "/auth/users", AccessRoute::Users),
    (Method::Get, "/auth/users/{username}", AccessRoute::User),
    (Method::Post, "/auth/users", AccessRoute::CreateUser),
    (Method::Delete, "/auth/users/{username}", AccessRoute::DeleteUser),
    (Method::Post, "/auth/users/{username}/password", AccessRoute::SetPassword),
    (Method::Post, "/auth/users/{username}/enable", AccessRoute::Enable),
    (Method::Post, "/auth/users/{username}/disable", AccessRoute::Disable),
    (Method::Post, "/auth/users/{username}/roles", AccessRoute::AddRole),
    (Method::Delete, "/auth/users/{username}/roles/{role}", AccessRoute::RemoveRole),
    (Method::Get, "/auth/roles", AccessRoute::Roles),
    (Method::Post, "/auth/roles", AccessRoute::CreateRole),
    (Method::Delete, "/auth/roles/{role}", AccessRoute::DeleteRole),
    (Method::Get, "/auth/acl", AccessRoute::Rules),
    (Method::Post, "/auth/acl", AccessRoute::AddRule),
    (Method::Delete, "/auth/acl/{name}", AccessRoute::RemoveRule),
];

/// An input of a route: name, type, whether it is needed.
type Input = (&'static str, &'static str, bool);

const PERMISSIONS: Input = ("permissions", "array", false);

impl AccessRoute {
    /// For people.
    pub(super) fn summary(self) -> &'static str {
        match self {
            Self::Login => "Tells whether a user name and a password are right, and whose they are",
            Self::Me => "Who the caller is, and what it may do",
            Self::Keys => "The API keys, without their secrets",
            Self::CreateKey => "Makes an API key; its secret is in this answer and never again",
            Self::RevokeKey => "Removes an API key, by its id, its name or the secret itself",
            Self::RotateKey => "Gives an API key a new secret; the old one ends at once",
            Self::Users => "The users",
            Self::User => "One user",
            Self::CreateUser => "Makes a user",
            Self::DeleteUser => "Removes a user; the last administrator stays",
            Self::SetPassword => "Sets a user's password; everyone may set the own one",
            Self::Enable => "Lets a user in again",
            Self::Disable => "Lets a user in no more",
            Self::AddRole => "Gives a user one role more",
            Self::RemoveRole => "Takes a role from a user",
            Self::Roles => "The roles, and what each allows",
            Self::CreateRole => "Makes a role",
            Self::DeleteRole => "Removes a role that nobody has",
            Self::Rules => "The access rules",
            Self::AddRule => "Makes an access rule",
            Self::RemoveRule => "Removes an access rule",
        }
    }

    /// The members of its body.
    pub(super) fn inputs(self) -> &'static [Input] {
        match self {
            Self::Login => &[("username", "string", true), ("password", "string", true)],
            Self::CreateKey => &[
                ("name", "string", true),
                ("role", "string", false),
                ("expires_in_seconds", "integer", false),
                ("allowed_ips", "array", false),
                PERMISSIONS,
            ],
            Self::CreateUser => &[
                ("username", "string", true),
                ("password", "string", true),
                ("roles", "array", false),
                ("is_admin", "boolean", false),
            ],
            Self::SetPassword => &[("new_password", "string", true)],
            Self::Disable => &[("enabled", "boolean", false)],
            Self::AddRole => &[("role", "string", true)],
            Self::CreateRole => &[("name", "string", true), ("permissions", "array", true)],
            Self::AddRule => &[
                ("name", "string", true),
                ("resource", "string", false),
                ("resource_type", "string", false),
                ("resource_pattern", "string", false),
                ("actions", "array", true),
                ("authenticated", "boolean", false),
                ("require_auth", "boolean", false),
                ("roles", "array", false),
                ("allowed_roles", "array", false),
                ("users", "array", false),
                ("allowed_users", "array", false),
            ],
            _ => &[],
        }
    }

    /// Reads a request.
    ///
    /// # Errors
    /// 400 for inputs that are missing, unknown or unreadable.
    pub(super) fn read(self, path: &Params<'_>, body: &[u8]) -> Result<Access, HttpError> {
        read::request(self, path, body)
    }
}

/// What is asked of access control.
#[derive(Debug)]
pub enum Access {
    /// Whose credentials these are.
    Login(Credential),
    /// Who the caller is.
    Me,
    /// All of a kind.
    List(Listed),
    /// A user by its name.
    User(String),
    /// A change, and what is said when it is made.
    Change(Box<Change>, &'static str),
}

/// What can be listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listed {
    /// API keys.
    Keys,
    /// Users.
    Users,
    /// Roles.
    Roles,
    /// Rules.
    Rules,
}

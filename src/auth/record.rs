//! What the file of access control holds, as it is written; turning it into what it means checks
//! every part of it again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::acl::{Acl, Selector};
use super::action::{Action, Actions};
use super::directory::{Directory, Key, Role, Rule, Source, User};
use super::hash::PasswordHash;
use super::key::Digest;
use super::merge::Seen;
use super::resource::Resource;
use super::rights::Permission;
use super::usage::Usage;
use crate::cidr::Cidr;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Records {
    pub(super) users: Vec<UserRecord>,
    pub(super) keys: Vec<KeyRecord>,
    pub(super) roles: Vec<RoleRecord>,
    pub(super) rules: Vec<RuleRecord>,
    /// Configured keys that were seen, and when first.
    pub(super) seen: Vec<SeenRecord>,
    /// Uses of what is configured.
    pub(super) uses: Vec<UsesRecord>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PermissionRecord {
    resource: String,
    actions: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserRecord {
    name: String,
    password: Option<String>,
    roles: Vec<String>,
    permissions: Vec<PermissionRecord>,
    /// Rules of selectors, the one outside of parentheses first; since format 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acl: Option<Vec<String>>,
    enabled: bool,
    created_ms: u64,
    uses: u64,
    last_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyRecord {
    id: String,
    name: String,
    digest: String,
    hint: String,
    username: Option<String>,
    roles: Vec<String>,
    permissions: Vec<PermissionRecord>,
    enabled: bool,
    allowed: Vec<String>,
    expires_ms: Option<u64>,
    created_ms: u64,
    uses: u64,
    last_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleRecord {
    name: String,
    permissions: Vec<PermissionRecord>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleRecord {
    name: Option<String>,
    resource: String,
    actions: Vec<String>,
    public: bool,
    roles: Vec<String>,
    users: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeenRecord {
    pub(super) digest: String,
    pub(super) first_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsesRecord {
    pub(super) key: bool,
    pub(super) name: String,
    pub(super) uses: u64,
    pub(super) last_ms: u64,
}

/// A part of the file that means nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Meaningless {
    pub(super) expected: String,
    pub(super) found: String,
}

fn wrong(expected: &str, found: &str) -> Meaningless {
    Meaningless { expected: expected.to_owned(), found: found.to_owned() }
}

fn names(list: &[Arc<str>]) -> Vec<String> {
    list.iter().map(|name| name.as_ref().to_owned()).collect()
}

fn shared(list: &[String]) -> Vec<Arc<str>> {
    list.iter().map(|name| Arc::from(name.as_str())).collect()
}

fn write_actions(actions: Actions) -> Vec<String> {
    actions.names().into_iter().map(|action| action.name().to_owned()).collect()
}

fn read_actions(list: &[String]) -> Result<Actions, Meaningless> {
    let action = |name: &String| Action::parse(name).ok_or_else(|| wrong("an action", name));
    list.iter().map(action).collect()
}

fn read_resource(text: &str) -> Result<Resource, Meaningless> {
    Resource::parse(text).map_err(|_| wrong("a resource `kind:pattern`", text))
}

fn write_permissions(list: &[Permission]) -> Vec<PermissionRecord> {
    let record = |permission: &Permission| PermissionRecord {
        resource: permission.resource.to_string(),
        actions: write_actions(permission.actions),
    };
    list.iter().map(record).collect()
}

fn read_acl(list: &[String]) -> Result<Acl, Meaningless> {
    let mut selectors = list.iter().map(|rules| {
        let mut selector = Selector::default();
        for rule in rules.split(' ') {
            let known = selector.apply(rule).ok().flatten();
            known.ok_or_else(|| wrong("a rule about commands, keys or channels", rule))?;
        }
        Ok(selector)
    });
    let root = selectors.next().ok_or_else(|| wrong("at least one selector", "none"))??;
    Ok(Acl { root, more: selectors.collect::<Result<_, _>>()? })
}

fn read_permissions(list: &[PermissionRecord]) -> Result<Vec<Permission>, Meaningless> {
    let permission = |record: &PermissionRecord| {
        let resource = read_resource(&record.resource)?;
        Ok(Permission { resource, actions: read_actions(&record.actions)? })
    };
    list.iter().map(permission).collect()
}

impl Records {
    /// The oldest format that can hold them.
    pub(super) fn format(&self) -> u32 {
        if self.users.iter().any(|user| user.acl.is_some()) { 2 } else { 1 }
    }

    /// What of a directory was made while the server ran, and the uses of everything.
    pub(super) fn of(directory: &Directory, seen: &Seen) -> Self {
        let runtime = |source: Source| source == Source::Runtime;
        let users = directory.users().filter(|user| runtime(user.source));
        let keys = directory.keys().filter(|key| runtime(key.source));
        let roles = directory.roles().filter(|role| runtime(role.source));
        let rules = directory.rules().iter().filter(|rule| runtime(rule.source));
        let uses = |key: bool, name: &str, usage: &Usage| UsesRecord {
            key,
            name: name.to_owned(),
            uses: usage.count(),
            last_ms: usage.last_ms().unwrap_or(0),
        };
        let configured = directory
            .users()
            .filter(|user| !runtime(user.source))
            .map(|user| uses(false, &user.name, &user.usage))
            .chain(
                directory
                    .keys()
                    .filter(|key| !runtime(key.source))
                    .map(|key| uses(true, &key.id, &key.usage)),
            );
        Self {
            users: users.map(|user| UserRecord::of(user)).collect(),
            keys: keys.map(|key| KeyRecord::of(key)).collect(),
            roles: roles.map(|role| RoleRecord::of(role)).collect(),
            rules: rules.map(|rule| RuleRecord::of(rule)).collect(),
            seen: seen
                .iter()
                .map(|(digest, at)| SeenRecord { digest: digest.to_string(), first_ms: *at })
                .collect(),
            uses: configured.filter(|record| record.uses > 0).collect(),
        }
    }
}

impl UserRecord {
    fn of(user: &User) -> Self {
        Self {
            name: user.name.as_ref().to_owned(),
            password: user.password.as_ref().map(|hash| hash.as_str().to_owned()),
            roles: names(&user.roles),
            permissions: write_permissions(&user.permissions),
            acl: user.acl.as_deref().map(|acl| acl.selectors().map(Selector::rules).collect()),
            enabled: user.enabled,
            created_ms: user.created_ms,
            uses: user.usage.count(),
            last_ms: user.usage.last_ms().unwrap_or(0),
        }
    }

    pub(super) fn read(&self) -> Result<User, Meaningless> {
        let hash = |text: &String| {
            PasswordHash::parse(text).ok_or_else(|| wrong(super::hash::EXPECTED, "another text"))
        };
        Ok(User {
            name: Arc::from(self.name.as_str()),
            password: self.password.as_ref().map(hash).transpose()?,
            roles: shared(&self.roles),
            permissions: read_permissions(&self.permissions)?,
            acl: self.acl.as_deref().map(read_acl).transpose()?.map(Arc::new),
            enabled: self.enabled,
            source: Source::Runtime,
            created_ms: self.created_ms,
            usage: Arc::new(Usage::new(self.uses, self.last_ms)),
        })
    }
}

impl KeyRecord {
    fn of(key: &Key) -> Self {
        Self {
            id: key.id.as_ref().to_owned(),
            name: key.name.as_ref().to_owned(),
            digest: key.digest.to_string(),
            hint: key.hint.as_ref().to_owned(),
            username: key.username.as_ref().map(|name| name.as_ref().to_owned()),
            roles: names(&key.roles),
            permissions: write_permissions(&key.permissions),
            enabled: key.enabled,
            allowed: key.allowed.iter().map(Cidr::to_string).collect(),
            expires_ms: key.expires_ms,
            created_ms: key.created_ms,
            uses: key.usage.count(),
            last_ms: key.usage.last_ms().unwrap_or(0),
        }
    }

    pub(super) fn read(&self) -> Result<Key, Meaningless> {
        let block = |text: &String| {
            Cidr::parse(text).ok_or_else(|| wrong("an address or a CIDR block", text))
        };
        let digest = Digest::parse(&self.digest);
        Ok(Key {
            id: Arc::from(self.id.as_str()),
            name: Arc::from(self.name.as_str()),
            digest: digest.ok_or_else(|| wrong("64 hexadecimal digits", &self.digest))?,
            hint: Arc::from(self.hint.as_str()),
            username: self.username.as_deref().map(Arc::from),
            roles: shared(&self.roles),
            permissions: read_permissions(&self.permissions)?,
            enabled: self.enabled,
            allowed: self.allowed.iter().map(block).collect::<Result<_, _>>()?,
            expires_ms: self.expires_ms,
            rate_limit: None,
            source: Source::Runtime,
            created_ms: self.created_ms,
            usage: Arc::new(Usage::new(self.uses, self.last_ms)),
        })
    }
}

impl RoleRecord {
    fn of(role: &Role) -> Self {
        let permissions = write_permissions(&role.permissions);
        Self { name: role.name.as_ref().to_owned(), permissions }
    }

    pub(super) fn read(&self) -> Result<Role, Meaningless> {
        Ok(Role {
            name: Arc::from(self.name.as_str()),
            permissions: read_permissions(&self.permissions)?,
            source: Source::Runtime,
        })
    }
}

impl RuleRecord {
    fn of(rule: &Rule) -> Self {
        Self {
            name: rule.name.as_ref().map(|name| name.as_ref().to_owned()),
            resource: rule.resource.to_string(),
            actions: write_actions(rule.actions),
            public: rule.public,
            roles: names(&rule.roles),
            users: names(&rule.users),
        }
    }

    pub(super) fn read(&self) -> Result<Rule, Meaningless> {
        Ok(Rule {
            name: self.name.as_deref().map(Arc::from),
            resource: read_resource(&self.resource)?,
            actions: read_actions(&self.actions)?,
            public: self.public,
            roles: shared(&self.roles),
            users: shared(&self.users),
            source: Source::Runtime,
        })
    }
}

#[cfg(test)]
impl Records {
    /// One of each.
    pub(super) fn example() -> Self {
        let permission = || {
            let actions = vec!["write".to_owned(), "delete".to_owned()];
            PermissionRecord { resource: "kv:a:*".to_owned(), actions }
        };
        Self {
            users: vec![UserRecord {
                name: "anna".to_owned(),
                password: Some(format!("$2b$12${}", "a".repeat(53))),
                roles: vec!["admin".to_owned()],
                permissions: vec![permission()],
                acl: None,
                enabled: true,
                created_ms: 5,
                uses: 2,
                last_ms: 9,
            }],
            keys: vec![KeyRecord {
                id: "0123456789abcdef".to_owned(),
                name: "worker".to_owned(),
                digest: Digest::of(b"k").to_string(),
                hint: "synap_0123…".to_owned(),
                username: Some("anna".to_owned()),
                roles: vec!["readonly".to_owned()],
                permissions: Vec::new(),
                enabled: true,
                allowed: vec!["10.0.0.0/8".to_owned()],
                expires_ms: Some(7),
                created_ms: 6,
                uses: 0,
                last_ms: 0,
            }],
            roles: vec![RoleRecord { name: "tenant".to_owned(), permissions: vec![permission()] }],
            rules: vec![RuleRecord {
                name: Some("open".to_owned()),
                resource: "stream:public*".to_owned(),
                actions: vec!["read".to_owned()],
                public: true,
                roles: Vec::new(),
                users: Vec::new(),
            }],
            seen: vec![SeenRecord { digest: Digest::of(b"c").to_string(), first_ms: 3 }],
            uses: Vec::new(),
        }
    }
}

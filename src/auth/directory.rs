//! Users, API keys, roles and rules at one moment: what every core decides with.
//!
//! A directory never changes; a change makes a new one with a higher generation. Nothing here
//! waits, locks or reads a clock.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::acl::Acl;
use super::action::Actions;
use super::credential::Credential;
use super::hash::PasswordHash;
use super::identity::{Identity, Who};
use super::key::Digest;
use super::resource::Resource;
use super::rights::{Permission, Rights};
use super::usage::Usage;
use crate::cidr::Cidr;

/// Where something was defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Part of the program.
    BuiltIn,
    /// The configuration, which is the only place to change it.
    Config,
    /// A change while the server ran; kept in the data directory.
    Runtime,
}

/// A user.
#[derive(Clone, Debug)]
pub struct User {
    /// Its name.
    pub name: Arc<str>,
    /// Its password; a user without one can only come with a client certificate.
    pub password: Option<PasswordHash>,
    /// Names of its roles, all of which exist.
    pub roles: Vec<Arc<str>>,
    /// Rights of its own besides those of its roles.
    pub permissions: Vec<Permission>,
    /// The same in the words of Redis, where it was given some.
    pub acl: Option<Arc<Acl>>,
    /// Whether it may come in.
    pub enabled: bool,
    /// Where it was defined.
    pub source: Source,
    /// When it was made, Unix milliseconds; 0 where nobody knows.
    pub created_ms: u64,
    /// How often it came, and when last.
    pub usage: Arc<Usage>,
}

/// An API key. The secret itself is nowhere.
#[derive(Clone, Debug)]
pub struct Key {
    /// What it is called in requests: hexadecimal digits, or its name where it is configured.
    pub id: Arc<str>,
    /// Its name for people; unique.
    pub name: Arc<str>,
    /// SHA-256 of the secret.
    pub digest: Digest,
    /// The first characters of the secret, by which its owner knows it again; empty where only a
    /// hash was configured.
    pub hint: Arc<str>,
    /// The user who made it.
    pub username: Option<Arc<str>>,
    /// Names of its roles, all of which exist.
    pub roles: Vec<Arc<str>>,
    /// Rights of its own besides those of its roles.
    pub permissions: Vec<Permission>,
    /// Whether it may be used.
    pub enabled: bool,
    /// Where it may be used; everywhere where this is empty.
    pub allowed: Vec<Cidr>,
    /// When it stops being valid, Unix milliseconds.
    pub expires_ms: Option<u64>,
    /// Requests per minute it may make, where it has a limit of its own.
    pub rate_limit: Option<u64>,
    /// Where it was defined.
    pub source: Source,
    /// When it was made or first seen, Unix milliseconds; 0 where nobody knows.
    pub created_ms: u64,
    /// How often it was used, and when last.
    pub usage: Arc<Usage>,
}

impl Key {
    /// Whether it may be used now from there.
    #[must_use]
    pub fn refusal(&self, from: IpAddr, now_ms: u64) -> Option<Refusal> {
        if !self.enabled {
            return Some(Refusal::Disabled);
        }
        if self.expires_ms.is_some_and(|at| at <= now_ms) {
            return Some(Refusal::Expired);
        }
        let allowed = self.allowed.is_empty() || self.allowed.iter().any(|c| c.contains(from));
        (!allowed).then_some(Refusal::Address)
    }
}

/// A named set of rights.
#[derive(Clone, PartialEq, Debug)]
pub struct Role {
    /// Its name.
    pub name: Arc<str>,
    /// What it allows.
    pub permissions: Vec<Permission>,
    /// Where it was defined.
    pub source: Source,
}

/// Who may do something to some resources.
#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    /// A label; unique where there is one.
    pub name: Option<Arc<str>>,
    /// To what.
    pub resource: Resource,
    /// What may be done, with all that it includes.
    pub actions: Actions,
    /// Anyone may, without saying who it is.
    pub public: bool,
    /// Whoever has one of these roles may.
    pub roles: Vec<Arc<str>>,
    /// These users may. With no roles and no users, everyone who said who it is may.
    pub users: Vec<Arc<str>>,
    /// Where it was defined.
    pub source: Source,
}

impl Rule {
    fn applies(&self, who: &Who, roles: &[Arc<str>]) -> bool {
        self.public
            || who.is_authenticated()
                && ((self.roles.is_empty() && self.users.is_empty())
                    || roles.iter().any(|role| self.roles.contains(role))
                    || who.user().is_some_and(|name| self.users.iter().any(|own| **own == *name)))
    }
}

/// Why somebody is not let in. Callers are told the same whatever it was; logs say which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No such user, or another password; no such key.
    Credential,
    /// It is disabled.
    Disabled,
    /// The key is not valid any more.
    Expired,
    /// The key may not be used from that address.
    Address,
    /// Too many attempts have failed; this one was not looked at.
    HeldOff {
        /// Milliseconds until the next one is.
        wait_ms: u64,
    },
}

impl Refusal {
    /// A word for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::Address => "address",
            Self::HeldOff { .. } => "held_off",
        }
    }
}

/// Switches of access control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// Callers are asked who they are.
    pub enabled: bool,
    /// Those who do not say are refused.
    pub required: bool,
    /// Metrics and the health of parts are for everybody.
    pub public_metrics: bool,
}

impl Switches {
    /// Nobody is asked anything.
    pub const OFF: Self = Self { enabled: false, required: false, public_metrics: true };
}

/// Users, API keys, roles and rules at one moment.
#[derive(Debug)]
pub struct Directory {
    pub(super) generation: u64,
    pub(super) switches: Switches,
    pub(super) users: BTreeMap<Arc<str>, Arc<User>>,
    pub(super) keys: BTreeMap<Arc<str>, Arc<Key>>,
    pub(super) by_digest: HashMap<Digest, Arc<Key>>,
    pub(super) roles: BTreeMap<Arc<str>, Arc<Role>>,
    pub(super) rules: Vec<Arc<Rule>>,
    pub(super) anonymous: Option<Identity>,
}

/// What a caller without an identity is called.
const ANONYMOUS: &str = "default";

impl Directory {
    /// That of access control that is off and knows nobody.
    #[must_use]
    pub fn off() -> Self {
        Self::empty().ready()
    }

    /// Without anything, and not ready.
    pub(super) fn empty() -> Self {
        Self {
            generation: 1,
            switches: Switches::OFF,
            users: BTreeMap::new(),
            keys: BTreeMap::new(),
            by_digest: HashMap::new(),
            roles: BTreeMap::new(),
            rules: Vec::new(),
            anonymous: None,
        }
    }

    /// The same as a start for the next one.
    pub(super) fn draft(&self) -> Self {
        Self {
            generation: self.generation + 1,
            switches: self.switches,
            users: self.users.clone(),
            keys: self.keys.clone(),
            by_digest: HashMap::new(),
            roles: self.roles.clone(),
            rules: self.rules.clone(),
            anonymous: None,
        }
    }

    /// Makes what follows from the rest of it.
    pub(super) fn ready(mut self) -> Self {
        self.by_digest = self.keys.values().map(|key| (key.digest, Arc::clone(key))).collect();
        self.anonymous = Some(self.make_anonymous());
        self
    }

    /// Counts up with every change; 1 is the first.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether callers are asked who they are; otherwise everyone may do everything.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.switches.enabled
    }

    /// Whether those who do not say who they are are refused; otherwise rules for everybody apply
    /// to them.
    #[must_use]
    pub const fn is_required(&self) -> bool {
        self.switches.enabled && self.switches.required
    }

    /// Whether metrics and the health of parts are for everybody.
    #[must_use]
    pub const fn has_public_metrics(&self) -> bool {
        !self.switches.enabled || self.switches.public_metrics
    }

    /// Who says nothing about itself: with everything allowed while access control is off, else
    /// with what the public rules allow, also where such callers are refused
    /// ([`Self::is_required`]).
    #[must_use]
    pub fn anonymous(&self) -> Identity {
        match &self.anonymous {
            Some(identity) => identity.clone(),
            None => self.make_anonymous(),
        }
    }

    fn make_anonymous(&self) -> Identity {
        let rights = if self.switches.enabled {
            let public = self.rules_for(&Who::Anonymous, &[]);
            Rights::new(Vec::new(), Vec::new(), &public)
        } else {
            Rights::full()
        };
        Identity::new(Who::Anonymous, ANONYMOUS.into(), Arc::new(rights), self.generation)
    }

    /// Who that is in this directory, to a caller at that address: for a connection that was let
    /// in by an older one.
    ///
    /// # Errors
    /// It is gone, disabled, expired or elsewhere: the caller is nobody from now on.
    pub fn resolve(&self, who: &Who, from: IpAddr, now_ms: u64) -> Result<Identity, Refusal> {
        match who {
            Who::Anonymous => Ok(self.anonymous()),
            Who::User(name) | Who::Certificate(name) => {
                let user = self.user(name).ok_or(Refusal::Credential)?;
                if !user.enabled {
                    return Err(Refusal::Disabled);
                }
                let rights = Arc::new(self.rights_of(user, who));
                Ok(Identity::new(who.clone(), Arc::clone(&user.name), rights, self.generation))
            }
            Who::Key(id) => {
                let key = self.key(id).ok_or(Refusal::Credential)?;
                match key.refusal(from, now_ms) {
                    Some(refusal) => Err(refusal),
                    None => Ok(self.identify(key)),
                }
            }
        }
    }

    /// Who comes with this key, which may be used.
    pub(super) fn identify(&self, key: &Key) -> Identity {
        let who = Who::Key(Arc::clone(&key.id));
        let rights = Arc::new(self.rights(&who, &key.roles, &key.permissions));
        Identity::new(who, Arc::clone(&key.name), rights, self.generation).limited(key.rate_limit)
    }

    /// What a user may do, whether or not it may come in.
    #[must_use]
    pub fn rights_of(&self, user: &User, who: &Who) -> Rights {
        self.rights(who, &user.roles, &user.permissions).with_acl(user.acl.clone())
    }

    fn rights(&self, who: &Who, roles: &[Arc<str>], own: &[Permission]) -> Rights {
        let mut permissions = self.permissions_of(roles);
        permissions.extend_from_slice(own);
        let rules = self.rules_for(who, roles);
        Rights::new(roles.to_vec(), permissions, &rules)
    }

    pub(super) fn permissions_of(&self, roles: &[Arc<str>]) -> Vec<Permission> {
        let known = roles.iter().filter_map(|name| self.roles.get(name));
        known.flat_map(|role| role.permissions.iter().cloned()).collect()
    }

    /// What the rules allow somebody. Roles and users are known when rights are made, so that
    /// nothing but kinds, actions and patterns is left to compare for every request.
    fn rules_for(&self, who: &Who, roles: &[Arc<str>]) -> Vec<Permission> {
        let applying = self.rules.iter().filter(|rule| rule.applies(who, roles));
        let permission = |rule: &Arc<Rule>| Permission {
            resource: rule.resource.clone(),
            actions: rule.actions,
        };
        applying.map(permission).collect()
    }

    /// What rules allow everybody.
    #[must_use]
    pub fn public_permissions(&self) -> Vec<Permission> {
        self.rules_for(&Who::Anonymous, &[])
    }

    /// A user.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    /// All users, by name.
    pub fn users(&self) -> impl ExactSizeIterator<Item = &Arc<User>> {
        self.users.values()
    }

    /// The name of the user or API key that a credential would be of if it were right; nothing
    /// where there is none.
    #[must_use]
    pub fn named(&self, credential: &Credential) -> Option<&Arc<str>> {
        match credential {
            Credential::Password { user: name, .. } => {
                let name = std::str::from_utf8(name).ok()?;
                self.user(name).map(|user| &user.name)
            }
            Credential::Key(key) => {
                self.by_digest.get(&Digest::of(key.expose())).map(|key| &key.name)
            }
        }
    }

    /// An API key by its id.
    #[must_use]
    pub fn key(&self, id: &str) -> Option<&Arc<Key>> {
        self.keys.get(id)
    }

    /// All API keys, by id.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Arc<Key>> {
        self.keys.values()
    }

    /// Whether some API key has a limit of its own.
    #[must_use]
    pub fn has_rate_limits(&self) -> bool {
        self.keys().any(|key| key.rate_limit.is_some())
    }

    /// A role.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<&Arc<Role>> {
        self.roles.get(name)
    }

    /// All roles, by name.
    pub fn roles(&self) -> impl ExactSizeIterator<Item = &Arc<Role>> {
        self.roles.values()
    }

    /// All rules, in the order of their definition.
    #[must_use]
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// Whether a user may do everything by its roles and what is its own.
    #[must_use]
    pub fn is_admin(&self, user: &User) -> bool {
        let of_roles = self.permissions_of(&user.roles);
        of_roles.iter().chain(&user.permissions).any(Permission::is_everything)
            || user.acl.as_deref().is_some_and(Acl::is_everything)
    }

    /// Whether anybody who may come in may do everything.
    pub(super) fn has_admin(&self) -> bool {
        self.users().any(|user| user.enabled && self.is_admin(user))
    }

    /// Who that is, wherever it calls from: for a change it asked for a moment ago.
    pub(super) fn still(&self, who: &Who, now_ms: u64) -> Result<Identity, Refusal> {
        match who {
            Who::Key(id) => {
                let key = self.key(id).ok_or(Refusal::Credential)?;
                let expired = key.expires_ms.is_some_and(|at| at <= now_ms);
                match (key.enabled, expired) {
                    (true, false) => Ok(self.identify(key)),
                    (true, true) => Err(Refusal::Expired),
                    (false, _) => Err(Refusal::Disabled),
                }
            }
            Who::Anonymous | Who::User(_) | Who::Certificate(_) => {
                self.resolve(who, IpAddr::from([0, 0, 0, 0]), now_ms)
            }
        }
    }
}

//! Access control as configured: from checked values to an [`auth::Plan`](crate::auth::Plan).
//!
//! Everything that is wrong is reported with the line of the member it is in; secrets never appear
//! in a message. What can only be told with the data directory at hand is left to `auth`.

use super::check::is_loopback;
use super::error::{ConfigError, Origin};
use super::read::Reader;
use super::value::{Object, Value};
use crate::auth::hash::{self, PasswordHash};
use crate::auth::key::{self, Digest};
use crate::auth::plan::{
    DAY_MS, FirstAdmin, Place, Plan, PlannedKey, PlannedRole, PlannedRule, PlannedUser, Proof,
};
use crate::auth::role::{self, IDENTITIES_MAX, PERMISSIONS_MAX, ROLES_MAX};
use crate::auth::{Action, Actions, Permission, Resource, Secret, Switches, policy};
use crate::cidr::Cidr;
use std::collections::BTreeSet;

const MASKED: &str = "a masked value";
/// The key that `SYNAP_API_KEY` adds.
const ENV_KEY: &str = "env";
const SECOND_MS: u64 = 1000;

/// The plan, and everything wrong with it. Without errors it is whole.
pub(super) fn plan(reader: &Reader<'_>) -> (Plan, Vec<ConfigError>) {
    let mut gather = Gather { errors: Vec::new(), roles: BTreeSet::new() };
    gather.roles = role::built_in_names().map(str::to_owned).collect();
    let roles = gather.roles(reader);
    let users = gather.users(reader);
    let keys = gather.keys(reader);
    let rules = gather.rules(reader);
    let plan = Plan {
        switches: switches(reader, &rules),
        guarded: guarded(reader),
        first_admin: gather.first_admin(reader),
        key_valid_ms: gather.key_valid_ms(reader),
        key_allowed: blocks(reader.value("authentication.api_key_allowed_ips").as_ref()),
        users,
        keys,
        roles,
        rules,
    };
    (plan, gather.errors)
}

/// Where passwords stand in clear.
pub(super) fn clear_passwords(reader: &Reader<'_>) -> Vec<(Origin, String)> {
    let items = items(reader, "users");
    let clear = items.iter().filter(|item| item.object.get("password").is_some());
    clear.map(|item| (item.origin("password"), item.key("password"))).collect()
}

fn optional_flag(reader: &Reader<'_>, path: &'static str) -> Option<bool> {
    match reader.value(path) {
        Some(Value::Bool(flag)) => Some(flag),
        _ => None,
    }
}

fn switches(reader: &Reader<'_>, rules: &[PlannedRule]) -> Switches {
    let guarded = guarded(reader).is_some();
    let open = rules.iter().any(|rule| rule.public);
    let required = optional_flag(reader, "authentication.require_auth").unwrap_or(!open);
    Switches {
        enabled: guarded || reader.flag("authentication.enabled"),
        required: guarded || required,
        public_metrics: reader.flag("authentication.public_metrics"),
    }
}

fn guarded(reader: &Reader<'_>) -> Option<Place> {
    const KEY: &str = "authentication.require_auth_on_public_bind";
    let resp = reader.flag("resp3.enabled") && !is_loopback(&reader.text("resp3.host"));
    let public = resp || !is_loopback(&reader.text("server.host"));
    let place = || Place { origin: reader.origin(KEY), key: KEY.to_owned() };
    (reader.flag(KEY) && public).then(place)
}

fn blocks(value: Option<&Value>) -> Vec<Cidr> {
    let texts = texts(value);
    texts.iter().filter_map(|text| Cidr::parse(text)).collect()
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::List(items)) => items.iter().map(Value::to_string).collect(),
        Some(Value::Text(text)) => vec![text.clone()],
        Some(Value::Bool(_) | Value::Int(_) | Value::Map(_)) | None => Vec::new(),
    }
}

/// One mapping of a list.
struct Item {
    object: Object,
    path: &'static str,
    at: usize,
}

impl Item {
    fn text(&self, name: &str) -> Option<&str> {
        match self.object.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn flag(&self, name: &str) -> Option<bool> {
        match self.object.get(name) {
            Some(Value::Bool(flag)) => Some(*flag),
            _ => None,
        }
    }

    fn number(&self, name: &str) -> Option<u64> {
        match self.object.get(name) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        }
    }

    /// What either name lists.
    fn texts(&self, one: &str, many: &str) -> Vec<String> {
        let mut all = texts(self.object.get(one));
        all.extend(texts(self.object.get(many)));
        all
    }

    /// Which of the two lists it.
    fn holder<'a>(&self, text: &String, one: &'a str, many: &'a str) -> &'a str {
        if texts(self.object.get(one)).contains(text) { one } else { many }
    }

    fn origin(&self, member: &str) -> Origin {
        Origin::File { line: self.object.line_of(member) }
    }

    fn key(&self, member: &str) -> String {
        let Self { path, at, .. } = self;
        if member.is_empty() { format!("{path}[{at}]") } else { format!("{path}[{at}].{member}") }
    }

    fn place(&self) -> Place {
        Place { origin: self.origin(""), key: self.key("") }
    }

    fn invalid(
        &self,
        member: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> ConfigError {
        let (origin, key) = (self.origin(member), self.key(member));
        ConfigError::Invalid { origin, key, expected: expected.into(), found: found.into() }
    }

    fn conflict(&self, member: &str, with: impl Into<String>) -> ConfigError {
        let (origin, key) = (self.origin(member), self.key(member));
        ConfigError::Conflict { origin, key, with: with.into() }
    }
}

fn items(reader: &Reader<'_>, path: &'static str) -> Vec<Item> {
    let list = reader.list(path).unwrap_or_default();
    let objects = list.into_iter().filter_map(|value| match value {
        Value::Map(object) => Some(object),
        _ => None,
    });
    objects.enumerate().map(|(at, object)| Item { object, path, at }).collect()
}

struct Gather {
    errors: Vec<ConfigError>,
    /// Roles that can be given.
    roles: BTreeSet<String>,
}

impl Gather {
    /// Says that a name is not one, or was there before.
    fn name(
        &mut self,
        item: &Item,
        member: &str,
        seen: &mut BTreeSet<String>,
        (is_good, expected): (fn(&str) -> bool, &str),
    ) -> String {
        let name = item.text(member).unwrap_or_default().to_owned();
        if !is_good(&name) {
            self.errors.push(item.invalid(member, expected, format!("`{name}`")));
        } else if !seen.insert(name.clone()) {
            self.errors.push(item.conflict(member, format!("repeats the name `{name}`")));
        }
        name
    }

    fn few(&mut self, items: &[Item], max: usize) {
        if let Some(item) = items.get(max) {
            let found = items.len().to_string();
            self.errors.push(item.invalid("", format!("at most {max} entries"), found));
        }
    }

    fn known_roles(&mut self, item: &Item, one: &str, many: &str) -> Vec<String> {
        let names = item.texts(one, many);
        for name in &names {
            if !self.roles.contains(name) {
                let member = item.holder(name, one, many);
                let known: Vec<&str> = self.roles.iter().map(String::as_str).collect();
                let expected = format!("a role, one of {}", known.join(", "));
                self.errors.push(item.invalid(member, expected, format!("`{name}`")));
            }
        }
        names
    }

    fn actions(&mut self, item: &Item, one: &str) -> Actions {
        let names = item.texts(one, "actions");
        let mut actions = Actions::NONE;
        for name in &names {
            match Action::parse(name) {
                Some(action) => actions = actions.with(Actions::of(action)),
                None => {
                    let member = item.holder(name, one, "actions");
                    let known: Vec<&str> = Action::ALL.into_iter().map(Action::name).collect();
                    let expected = format!("one of {}", known.join(", "));
                    self.errors.push(item.invalid(member, expected, format!("`{name}`")));
                }
            }
        }
        if names.is_empty() {
            self.errors.push(item.invalid("actions", "at least one action", "none"));
        }
        actions
    }

    fn resource(&mut self, item: &Item, member: &str, kind: &str, pattern: &str) -> Resource {
        Resource::of_parts(kind, pattern).unwrap_or_else(|bad| {
            let with = format!("is no resource: {bad}");
            self.errors.push(item.conflict(member, with));
            Resource::everything()
        })
    }

    fn permissions(&mut self, item: &Item) -> Vec<Permission> {
        let Some(Value::List(list)) = item.object.get("permissions") else { return Vec::new() };
        if list.len() > PERMISSIONS_MAX {
            let expected = format!("at most {PERMISSIONS_MAX} entries");
            self.errors.push(item.invalid("permissions", expected, list.len().to_string()));
        }
        let mut permissions = Vec::with_capacity(list.len());
        for value in list {
            let Value::Map(object) = value else { continue };
            let Item { path, at, .. } = *item;
            let inner = Item { object: object.clone(), path, at };
            let text = inner.text("resource").unwrap_or_default().to_owned();
            let (kind, pattern) = text.split_once(':').unwrap_or((&text, "*"));
            let resource = self.resource(&inner, "resource", kind, pattern);
            let actions = self.actions(&inner, "action");
            permissions.push(Permission { resource, actions });
        }
        permissions
    }

    fn roles(&mut self, reader: &Reader<'_>) -> Vec<PlannedRole> {
        let (items, mut seen) = (items(reader, "roles"), self.roles.clone());
        self.few(&items, ROLES_MAX);
        let mut roles = Vec::with_capacity(items.len());
        for item in &items {
            let is = (role::is_name as fn(&str) -> bool, role::NAME_EXPECTED);
            let name = self.name(item, "name", &mut seen, is);
            let permissions = self.permissions(item);
            roles.push(PlannedRole { place: item.place(), name, permissions });
        }
        self.roles = seen;
        roles
    }

    fn users(&mut self, reader: &Reader<'_>) -> Vec<PlannedUser> {
        let (items, mut seen) = (items(reader, "users"), BTreeSet::new());
        self.few(&items, IDENTITIES_MAX);
        let mut users = Vec::with_capacity(items.len());
        for item in &items {
            let is = (role::is_name as fn(&str) -> bool, role::NAME_EXPECTED);
            let name = self.name(item, "username", &mut seen, is);
            let mut roles = self.known_roles(item, "role", "roles");
            if roles.is_empty() {
                roles.push(role::READONLY.to_owned());
            }
            let Some(proof) = self.proof(item, &name) else { continue };
            let enabled = item.flag("enabled").unwrap_or(true);
            users.push(PlannedUser { place: item.place(), name, proof, roles, enabled });
        }
        users
    }

    fn proof(&mut self, item: &Item, name: &str) -> Option<Proof> {
        match (item.text("password_hash"), item.text("password")) {
            (None, None) => {
                let expected = "password_hash or password";
                self.errors.push(item.invalid("", expected, "neither"));
                None
            }
            (Some(_), Some(_)) => {
                let with = "contradicts `password_hash`: give one of them";
                self.errors.push(item.conflict("password", with));
                None
            }
            (Some(text), None) => {
                let parsed = PasswordHash::parse(text);
                if parsed.is_none() {
                    let found = format!("{MASKED} of another form");
                    self.errors.push(item.invalid("password_hash", hash::EXPECTED, found));
                }
                parsed.map(Proof::Hash)
            }
            (None, Some(password)) => {
                if let Err(weak) = policy::check(name, password.as_bytes()) {
                    let with = format!("is too weak a password: {weak}");
                    self.errors.push(item.conflict("password", with));
                }
                Some(Proof::Clear(Secret::new(password)))
            }
        }
    }

    fn keys(&mut self, reader: &Reader<'_>) -> Vec<PlannedKey> {
        let (items, mut seen) = (items(reader, "api_keys"), BTreeSet::new());
        self.few(&items, IDENTITIES_MAX);
        let allowed = blocks(reader.value("authentication.api_key_allowed_ips").as_ref());
        let mut keys: Vec<PlannedKey> = Vec::with_capacity(items.len());
        for item in &items {
            let is = (role::is_label as fn(&str) -> bool, role::LABEL_EXPECTED);
            let name = self.name(item, "name", &mut seen, is);
            let permissions = self.permissions(item);
            let mut roles = self.known_roles(item, "role", "roles");
            if roles.is_empty() && permissions.is_empty() {
                roles.push(role::READONLY.to_owned());
            }
            let Some((digest, hint)) = self.digest(item) else { continue };
            if keys.iter().any(|other| other.digest == digest) {
                self.errors.push(item.conflict("", "repeats a key"));
            }
            let own = blocks(item.object.get("allowed_ips"));
            keys.push(PlannedKey {
                place: item.place(),
                name,
                digest,
                hint,
                roles,
                permissions,
                expires_days: item.number("expires_days"),
                rate_limit: item.number("rate_limit"),
                enabled: item.flag("enabled").unwrap_or(true),
                allowed: if own.is_empty() { allowed.clone() } else { own },
            });
        }
        keys.extend(self.env_key(reader, &seen, allowed));
        keys
    }

    fn digest(&mut self, item: &Item) -> Option<(Digest, String)> {
        match (item.text("key"), item.text("key_hash")) {
            (None, None) => {
                self.errors.push(item.invalid("", "key or key_hash", "neither"));
                None
            }
            (Some(_), Some(_)) => {
                let with = "contradicts `key`: give one of them";
                self.errors.push(item.conflict("key_hash", with));
                None
            }
            (Some(key), None) => {
                Some((Digest::of(key.as_bytes()), key::hint(key.as_bytes()).as_ref().to_owned()))
            }
            (None, Some(text)) => {
                let digest = text.strip_prefix("sha256:").and_then(Digest::parse);
                if digest.is_none() {
                    let expected = "sha256: and 64 hexadecimal digits";
                    self.errors.push(item.invalid("key_hash", expected, MASKED));
                }
                digest.map(|digest| (digest, String::new()))
            }
        }
    }

    /// The key of `SYNAP_API_KEY`.
    fn env_key(
        &mut self,
        reader: &Reader<'_>,
        seen: &BTreeSet<String>,
        allowed: Vec<Cidr>,
    ) -> Option<PlannedKey> {
        const KEY: &str = "authentication.api_key";
        let text = reader.opt_text(KEY)?;
        let (origin, key) = (reader.origin(KEY), KEY.to_owned());
        if seen.contains(ENV_KEY) {
            let with = format!("adds a key called `{ENV_KEY}`, and `api_keys` has one already");
            self.errors.push(ConfigError::Conflict {
                origin: origin.clone(),
                key: key.clone(),
                with,
            });
        }
        Some(PlannedKey {
            place: Place { origin, key },
            name: ENV_KEY.to_owned(),
            digest: Digest::of(text.as_bytes()),
            hint: key::hint(text.as_bytes()).as_ref().to_owned(),
            roles: vec![role::ADMIN.to_owned()],
            permissions: Vec::new(),
            expires_days: None,
            rate_limit: None,
            enabled: true,
            allowed,
        })
    }

    fn rules(&mut self, reader: &Reader<'_>) -> Vec<PlannedRule> {
        let (items, mut seen) = (items(reader, "acl.rules"), BTreeSet::new());
        self.few(&items, ROLES_MAX);
        let mut rules = Vec::with_capacity(items.len());
        for item in &items {
            let is = (role::is_label as fn(&str) -> bool, role::LABEL_EXPECTED);
            let named = item.text("name").is_some();
            let name = named.then(|| self.name(item, "name", &mut seen, is));
            let rule = PlannedRule {
                place: item.place(),
                name,
                resource: self.rule_resource(item),
                actions: self.actions(item, "action"),
                public: self.is_public(item),
                roles: self.known_roles(item, "roles", "allowed_roles"),
                users: item.texts("users", "allowed_users"),
            };
            if rule.public && !(rule.roles.is_empty() && rule.users.is_empty()) {
                let with = "is for everybody, and yet lists roles or users";
                self.errors.push(item.conflict("", with));
            }
            rules.push(rule);
        }
        let applied = optional_flag(reader, "acl.enabled").unwrap_or(true);
        if applied { rules } else { Vec::new() }
    }

    fn rule_resource(&mut self, item: &Item) -> Resource {
        let parts = (item.text("resource_type"), item.text("resource_pattern"));
        match (item.text("resource"), parts) {
            (Some(text), (None, None)) => {
                let (kind, pattern) = text.split_once(':').unwrap_or((text, "*"));
                self.resource(item, "resource", kind, pattern)
            }
            (None, (Some(kind), pattern)) => {
                self.resource(item, "resource_type", kind, pattern.unwrap_or("*"))
            }
            (Some(_), _) => {
                let with = "contradicts `resource_type` and `resource_pattern`: give one form";
                self.errors.push(item.conflict("resource", with));
                Resource::everything()
            }
            (None, (None, _)) => {
                let expected = "resource_type, or resource as kind:pattern";
                self.errors.push(item.invalid("", expected, "neither"));
                Resource::everything()
            }
        }
    }

    fn is_public(&mut self, item: &Item) -> bool {
        let (one, other) = (item.flag("authenticated"), item.flag("require_auth"));
        if let (Some(one), Some(other)) = (one, other)
            && one != other
        {
            self.errors.push(item.conflict("require_auth", "contradicts `authenticated`"));
        }
        one == Some(false) || other == Some(false)
    }

    fn first_admin(&mut self, reader: &Reader<'_>) -> Option<FirstAdmin> {
        const NAME: &str = "authentication.default_admin.username";
        const PASSWORD: &str = "authentication.default_admin.password";
        let name = reader.text(NAME);
        if !role::is_name(&name) {
            let (origin, key) = (reader.origin(NAME), NAME.to_owned());
            let (expected, found) = (role::NAME_EXPECTED.to_owned(), format!("`{name}`"));
            self.errors.push(ConfigError::Invalid { origin, key, expected, found });
        }
        let password = reader.opt_text(PASSWORD);
        let (origin, key) = (reader.origin(PASSWORD), PASSWORD.to_owned());
        if let Some(text) = &password
            && let Err(weak) = policy::check(&name, text.as_bytes())
        {
            let (origin, key) = (origin.clone(), key.clone());
            let with = format!("is too weak a password: {weak}");
            self.errors.push(ConfigError::Conflict { origin, key, with });
        }
        let make = reader.flag("authentication.default_admin.enabled");
        let place = Place { origin, key };
        make.then(|| FirstAdmin { place, name, password: password.map(Secret::new) })
    }

    fn key_valid_ms(&mut self, reader: &Reader<'_>) -> u64 {
        const DAYS: &str = "authentication.api_key_default_expiration_days";
        const SECONDS: &str = "authentication.default_key_ttl";
        let days: u64 = reader.opt_int(DAYS).unwrap_or(0);
        let Some(seconds) = reader.opt_int::<u64>(SECONDS) else { return days * DAY_MS };
        if reader.is_set(DAYS) && days * DAY_MS != seconds * SECOND_MS {
            let (origin, key) = (reader.origin(SECONDS), SECONDS.to_owned());
            let with = format!("contradicts `{DAYS}`");
            self.errors.push(ConfigError::Conflict { origin, key, with });
        }
        seconds * SECOND_MS
    }
}

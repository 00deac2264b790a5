//! One directory of what the configuration says and of what was changed while the server ran.
//!
//! Neither wins over the other: what both define is refused, so that nobody has to know which one
//! is in force.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::directory::{Directory, Key, Role, Rule, Source, User};
use super::hash::PasswordHash;
use super::key::Digest;
use super::plan::{DAY_MS, Place, Plan, PlannedKey, PlannedUser, Problem, Proof};
use super::record::{Meaningless, Records};
use super::role;
use super::usage::Usage;

/// Configured keys whose first sight is remembered; those beyond are forgotten, oldest first.
const SEEN_MAX: usize = role::IDENTITIES_MAX;

/// When each configured key was first seen, Unix milliseconds.
pub(super) type Seen = BTreeMap<Digest, u64>;

/// Hashes a password of the configuration.
pub(super) type HashClear<'a> = &'a mut dyn FnMut(&PlannedUser) -> PasswordHash;

/// What was kept on disk.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) users: Vec<User>,
    pub(super) keys: Vec<Key>,
    pub(super) roles: Vec<Role>,
    pub(super) rules: Vec<Rule>,
    pub(super) seen: Seen,
    /// Uses of configured users and keys, by whether it is a key and its name.
    pub(super) uses: HashMap<(bool, String), Arc<Usage>>,
}

impl Kept {
    /// What the records of a file mean.
    pub(super) fn read(records: &Records) -> Result<Self, Meaningless> {
        let seen = records.seen.iter().map(|record| {
            let digest = Digest::parse(&record.digest).ok_or_else(|| Meaningless {
                expected: "64 hexadecimal digits".to_owned(),
                found: record.digest.clone(),
            });
            Ok((digest?, record.first_ms))
        });
        let uses = records.uses.iter().map(|record| {
            let usage = Usage::new(record.uses, record.last_ms);
            ((record.key, record.name.clone()), Arc::new(usage))
        });
        Ok(Self {
            users: records.users.iter().map(|user| user.read()).collect::<Result<_, _>>()?,
            keys: records.keys.iter().map(|key| key.read()).collect::<Result<_, _>>()?,
            roles: records.roles.iter().map(|role| role.read()).collect::<Result<_, _>>()?,
            rules: records.rules.iter().map(|rule| rule.read()).collect::<Result<_, _>>()?,
            seen: seen.collect::<Result<_, Meaningless>>()?,
            uses: uses.collect(),
        })
    }

    /// What of a directory in force was made while the server ran, and the uses of the rest.
    pub(super) fn of(directory: &Directory, seen: &Seen) -> Self {
        let runtime = |source: Source| source == Source::Runtime;
        let users = directory.users().filter(|user| runtime(user.source));
        let keys = directory.keys().filter(|key| runtime(key.source));
        let roles = directory.roles().filter(|role| runtime(role.source));
        let rules = directory.rules().iter().filter(|rule| runtime(rule.source));
        let mut uses = HashMap::new();
        for user in directory.users().filter(|user| !runtime(user.source)) {
            uses.insert((false, user.name.as_ref().to_owned()), Arc::clone(&user.usage));
        }
        for key in directory.keys().filter(|key| !runtime(key.source)) {
            uses.insert((true, key.id.as_ref().to_owned()), Arc::clone(&key.usage));
        }
        Self {
            users: users.map(|user| User::clone(user)).collect(),
            keys: keys.map(|key| Key::clone(key)).collect(),
            roles: roles.map(|role| Role::clone(role)).collect(),
            rules: rules.map(|rule| Rule::clone(rule)).collect(),
            seen: seen.clone(),
            uses,
        }
    }
}

/// The directory, and what was seen of configured keys.
///
/// # Errors
/// Everything that contradicts.
pub(super) fn merge(
    plan: &Plan,
    kept: Kept,
    (generation, now_ms): (u64, u64),
    hash: HashClear<'_>,
) -> Result<(Directory, Seen), Vec<Problem>> {
    let Kept { users, keys, roles, rules, mut seen, uses } = kept;
    let mut draft = Directory { generation, switches: plan.switches, ..Directory::empty() };
    for role in role::built_in().chain(roles) {
        draft.roles.insert(Arc::clone(&role.name), Arc::new(role));
    }
    draft.users.extend(users.into_iter().map(|user| (Arc::clone(&user.name), Arc::new(user))));
    draft.keys.extend(keys.into_iter().map(|key| (Arc::clone(&key.id), Arc::new(key))));
    let mut problems = Vec::new();
    let mut joining = Joining { draft: &mut draft, problems: &mut problems, uses };
    joining.roles(plan);
    joining.users(plan, hash);
    joining.keys(plan, &mut seen, now_ms);
    joining.rules(plan, rules);
    joining.somebody(plan, now_ms);
    while seen.len() > SEEN_MAX {
        let oldest = seen.iter().min_by_key(|(_, at)| **at).map(|(digest, _)| *digest);
        oldest.map(|digest| seen.remove(&digest));
    }
    if problems.is_empty() { Ok((draft.ready(), seen)) } else { Err(problems) }
}

struct Joining<'a> {
    draft: &'a mut Directory,
    problems: &'a mut Vec<Problem>,
    uses: HashMap<(bool, String), Arc<Usage>>,
}

fn shared(names: &[String]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(name.as_str())).collect()
}

impl Joining<'_> {
    fn refuse(&mut self, place: &Place, with: String) {
        self.problems.push(Problem { place: place.clone(), with });
    }

    /// What was also made while the server ran, a `user` or a `role`.
    fn refuse_twice(&mut self, place: &Place, what: &str, name: &str) {
        let with = format!(
            "names {what} `{name}`, which was also made while the server ran: remove it here, or \
             by DELETE /auth/{what}s/{name}"
        );
        self.refuse(place, with);
    }

    fn usage(&mut self, key: bool, name: &str) -> Arc<Usage> {
        self.uses.remove(&(key, name.to_owned())).unwrap_or_default()
    }

    fn roles(&mut self, plan: &Plan) {
        for planned in &plan.roles {
            let name: Arc<str> = Arc::from(planned.name.as_str());
            if self.draft.roles.contains_key(&name) {
                self.refuse_twice(&planned.place, "role", &name);
                continue;
            }
            let permissions = planned.permissions.clone();
            let role = Role { name: Arc::clone(&name), permissions, source: Source::Config };
            self.draft.roles.insert(name, Arc::new(role));
        }
    }

    fn users(&mut self, plan: &Plan, hash: HashClear<'_>) {
        for planned in &plan.users {
            let name: Arc<str> = Arc::from(planned.name.as_str());
            if self.draft.users.contains_key(&name) {
                self.refuse_twice(&planned.place, "user", &name);
                continue;
            }
            let password = match &planned.proof {
                Proof::Hash(hash) => hash.clone(),
                Proof::Clear(_) => hash(planned),
            };
            let user = User {
                name: Arc::clone(&name),
                password: Some(password),
                roles: shared(&planned.roles),
                permissions: Vec::new(),
                acl: None,
                enabled: planned.enabled,
                source: Source::Config,
                created_ms: 0,
                usage: self.usage(false, &name),
            };
            self.draft.users.insert(name, Arc::new(user));
        }
    }

    fn keys(&mut self, plan: &Plan, seen: &mut Seen, now_ms: u64) {
        for planned in &plan.keys {
            let same = |key: &Arc<Key>| *key.name == planned.name || *key.id == planned.name;
            if self.draft.keys().any(|key| same(key) || key.digest == planned.digest) {
                let with = format!(
                    "names or repeats API key `{}`, which was also made while the server ran: \
                     remove it here, or by DELETE /auth/keys/{0}",
                    planned.name
                );
                self.refuse(&planned.place, with);
                continue;
            }
            let counted = planned.expires_days.is_some();
            let first_ms = if counted { *seen.entry(planned.digest).or_insert(now_ms) } else { 0 };
            let valid = planned.expires_days.map(|days| days.saturating_mul(DAY_MS));
            let expires_ms = valid.map(|valid| first_ms.saturating_add(valid));
            if expires_ms.is_some_and(|at| at <= now_ms) {
                let days = (now_ms - first_ms) / DAY_MS;
                let with = format!(
                    "is an expired key: expected at most {} days since it was first seen, found \
                     {days}; use a new key, or raise or remove expires_days",
                    planned.expires_days.unwrap_or(0)
                );
                self.refuse(&planned.place, with);
                continue;
            }
            let key = self.key(planned, first_ms, expires_ms);
            self.draft.keys.insert(Arc::clone(&key.id), Arc::new(key));
        }
    }

    fn key(&mut self, planned: &PlannedKey, first_ms: u64, expires_ms: Option<u64>) -> Key {
        let name: Arc<str> = Arc::from(planned.name.as_str());
        Key {
            id: Arc::clone(&name),
            digest: planned.digest,
            hint: Arc::from(planned.hint.as_str()),
            username: None,
            roles: shared(&planned.roles),
            permissions: planned.permissions.clone(),
            enabled: planned.enabled,
            allowed: planned.allowed.clone(),
            expires_ms,
            rate_limit: planned.rate_limit,
            source: Source::Config,
            created_ms: first_ms,
            usage: self.usage(true, &name),
            name,
        }
    }

    fn rules(&mut self, plan: &Plan, kept: Vec<Rule>) {
        for planned in &plan.rules {
            let named = |rule: &Rule| planned.name.as_deref() == rule.name.as_deref();
            if planned.name.is_some() && kept.iter().any(named) {
                let with = "names a rule that was also made while the server ran".to_owned();
                self.refuse(&planned.place, with);
                continue;
            }
            let rule = Rule {
                name: planned.name.as_deref().map(Arc::from),
                resource: planned.resource.clone(),
                actions: planned.actions,
                public: planned.public,
                roles: shared(&planned.roles),
                users: shared(&planned.users),
                source: Source::Config,
            };
            self.draft.rules.push(Arc::new(rule));
        }
        self.draft.rules.extend(kept.into_iter().map(Arc::new));
    }

    /// With `require_auth_on_public_bind` there must be somebody who can come in.
    fn somebody(&mut self, plan: &Plan, now_ms: u64) {
        let Some(place) = &plan.guarded else { return };
        let user = self.draft.users().any(|user| user.enabled && user.password.is_some());
        let valid = |key: &Arc<Key>| key.enabled && key.expires_ms.is_none_or(|at| at > now_ms);
        let first = plan.first_admin.as_ref().is_some_and(|admin| admin.password.is_some());
        if !user && !first && !self.draft.keys().any(valid) {
            let with = "needs at least one enabled user or API key on a public address: expected \
                        `users`, `api_keys` or `authentication.default_admin.password`, found none"
                .to_owned();
            self.refuse(place, with);
        }
    }
}

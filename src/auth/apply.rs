//! Changes: what each does to a draft of the next directory. Nothing here is slow; passwords come
//! hashed.

use std::sync::Arc;

use super::acl::Step;
use super::change::{Change, ChangeRefused, Changed, KeyOrder, RuleOrder, UserEdit, What};
use super::directory::{Directory, Key, Role, Rule, Source, User};
use super::hash::PasswordHash;
use super::identity::Who;
use super::key::{self, Digest, NewKey};
use super::plan::Plan;
use super::resource::excerpt;
use super::rights::Permission;
use super::role::{self, IDENTITIES_MAX, PERMISSIONS_MAX, ROLES_MAX};
use super::usage::Usage;

/// What a change needs besides itself.
pub(super) struct Context<'a> {
    /// Who asked for it.
    pub(super) by: &'a Who,
    /// The hash of the password in it, if there is one.
    pub(super) hash: Option<PasswordHash>,
    /// It takes the password away.
    pub(super) clears: bool,
    /// What the configuration says of new keys.
    pub(super) plan: &'a Plan,
    /// Unix milliseconds.
    pub(super) now_ms: u64,
}

type Done<T = Changed> = Result<T, ChangeRefused>;

/// Makes a change in the draft.
pub(super) fn apply(draft: &mut Directory, change: Change, context: Context<'_>) -> Done {
    match change {
        Change::CreateUser { name, edit } => create_user(draft, &name, edit, context),
        Change::EditUser { name, edit } => edit_user(draft, &name, edit, context.hash),
        Change::SetPassword { name, .. } => {
            edit_user(draft, &name, UserEdit::default(), context.hash)
        }
        Change::DeleteUser { name } => delete_user(draft, &name),
        Change::SetUser { name, steps } => set_user(draft, &name, &steps, context),
        Change::DeleteUsers { names } => delete_users(draft, &names),
        Change::Save | Change::Load => Ok(Changed::Done),
        Change::AddRole { name, role } => add_role(draft, &name, &role),
        Change::RemoveRole { name, role } => remove_role(draft, &name, &role),
        Change::CreateKey(order) => create_key(draft, order, &context),
        Change::RotateKey { key } => rotate_key(draft, &key, &context),
        Change::RevokeKey { key } => revoke_key(draft, key.expose()),
        Change::CreateRole { name, permissions } => create_role(draft, &name, permissions),
        Change::DeleteRole { name } => delete_role(draft, &name),
        Change::AddRule(order) => add_rule(draft, &order),
        Change::RemoveRule { name } => remove_rule(draft, &name),
    }
}

fn unknown(what: What, name: &str) -> ChangeRefused {
    ChangeRefused::Unknown { what, name: excerpt(name) }
}

fn exists(what: What, name: &str) -> ChangeRefused {
    ChangeRefused::Exists { what, name: excerpt(name) }
}

fn changeable(what: What, name: &str, source: Source) -> Done<()> {
    match source {
        Source::Runtime => Ok(()),
        Source::BuiltIn | Source::Config => {
            Err(ChangeRefused::Fixed { what, name: name.to_owned() })
        }
    }
}

fn named(name: &str) -> Done<Arc<str>> {
    if role::is_name(name) {
        return Ok(Arc::from(name));
    }
    let (expected, found) = (role::NAME_EXPECTED.to_owned(), excerpt(name));
    Err(ChangeRefused::Invalid { expected, found })
}

fn labelled(name: &str) -> Done<Arc<str>> {
    if role::is_label(name) {
        return Ok(Arc::from(name));
    }
    let (expected, found) = (role::LABEL_EXPECTED.to_owned(), excerpt(name));
    Err(ChangeRefused::Invalid { expected, found })
}

fn room(what: What, count: usize, max: usize) -> Done<()> {
    if count < max { Ok(()) } else { Err(ChangeRefused::Full { what, max }) }
}

fn bounded(permissions: &[Permission]) -> Done<()> {
    if permissions.len() <= PERMISSIONS_MAX {
        return Ok(());
    }
    let expected = format!("at most {PERMISSIONS_MAX} permissions");
    Err(ChangeRefused::Invalid { expected, found: permissions.len().to_string() })
}

fn known_roles(draft: &Directory, names: &[String]) -> Done<Vec<Arc<str>>> {
    let mut roles: Vec<Arc<str>> = Vec::with_capacity(names.len().min(ROLES_MAX));
    for name in names {
        let role = draft.role(name).ok_or_else(|| unknown(What::Role, name))?;
        if !roles.contains(&role.name) {
            roles.push(Arc::clone(&role.name));
        }
    }
    Ok(roles)
}

fn user_of(draft: &Directory, name: &str) -> Done<User> {
    let user = draft.user(name).ok_or_else(|| unknown(What::User, name))?;
    changeable(What::User, name, user.source)?;
    Ok(User::clone(user))
}

fn put_user(draft: &mut Directory, user: User) -> Done {
    draft.users.insert(Arc::clone(&user.name), Arc::new(user));
    Ok(Changed::Done)
}

fn create_user(draft: &mut Directory, name: &str, edit: UserEdit, context: Context<'_>) -> Done {
    let name = named(name)?;
    if draft.user(&name).is_some() {
        return Err(exists(What::User, &name));
    }
    room(What::User, draft.users.len(), IDENTITIES_MAX)?;
    let user = User {
        name,
        password: None,
        roles: vec![Arc::from(role::READONLY)],
        permissions: Vec::new(),
        acl: None,
        enabled: true,
        source: Source::Runtime,
        created_ms: context.now_ms,
        usage: Arc::new(Usage::default()),
    };
    let user = edited(draft, user, edit, context.hash)?;
    put_user(draft, user)
}

fn edit_user(
    draft: &mut Directory,
    name: &str,
    edit: UserEdit,
    hash: Option<PasswordHash>,
) -> Done {
    let user = user_of(draft, name)?;
    let user = edited(draft, user, edit, hash)?;
    put_user(draft, user)
}

fn edited(
    draft: &Directory,
    mut user: User,
    edit: UserEdit,
    hash: Option<PasswordHash>,
) -> Done<User> {
    if hash.is_some() {
        user.password = hash;
    }
    if let Some(roles) = edit.roles {
        user.roles = known_roles(draft, &roles)?;
    }
    if let Some(permissions) = edit.permissions {
        bounded(&permissions)?;
        user.permissions = permissions;
    }
    user.enabled = edit.enabled.unwrap_or(user.enabled);
    Ok(user)
}

fn set_user(draft: &mut Directory, name: &str, steps: &[Step], context: Context<'_>) -> Done {
    let mut user = match draft.user(name) {
        Some(_) => user_of(draft, name)?,
        None => {
            let name = named(name)?;
            room(What::User, draft.users.len(), IDENTITIES_MAX)?;
            User {
                name,
                password: None,
                roles: Vec::new(),
                permissions: Vec::new(),
                acl: Some(Arc::default()),
                enabled: false,
                source: Source::Runtime,
                created_ms: context.now_ms,
                usage: Arc::new(Usage::default()),
            }
        }
    };
    steps.iter().try_for_each(|step| step.apply(&mut user, draft))?;
    if context.hash.is_some() || context.clears {
        user.password = context.hash;
    }
    put_user(draft, user)
}

fn delete_users(draft: &mut Directory, names: &[String]) -> Done {
    let mut count = 0;
    for name in names {
        if draft.user(name).is_some() {
            delete_user(draft, name)?;
            count += 1;
        }
    }
    Ok(Changed::Count(count))
}

fn delete_user(draft: &mut Directory, name: &str) -> Done {
    let user = user_of(draft, name)?;
    draft.users.remove(&user.name);
    // A rule for this user alone must not become one for everybody, nor one for a later user of
    // the same name.
    let rules = draft.rules.drain(..).filter_map(|rule| {
        if rule.source != Source::Runtime || !rule.users.contains(&user.name) {
            return Some(rule);
        }
        let mut rule = Rule::clone(&rule);
        rule.users.retain(|other| *other != user.name);
        let is_somebodys = !rule.users.is_empty() || !rule.roles.is_empty();
        is_somebodys.then(|| Arc::new(rule))
    });
    draft.rules = rules.collect();
    Ok(Changed::Done)
}

fn add_role(draft: &mut Directory, name: &str, role: &str) -> Done {
    let mut user = user_of(draft, name)?;
    let role = draft.role(role).ok_or_else(|| unknown(What::Role, role))?;
    if !user.roles.contains(&role.name) {
        user.roles.push(Arc::clone(&role.name));
    }
    put_user(draft, user)
}

fn remove_role(draft: &mut Directory, name: &str, role: &str) -> Done {
    let mut user = user_of(draft, name)?;
    let before = user.roles.len();
    user.roles.retain(|own| **own != *role);
    if user.roles.len() == before {
        return Err(unknown(What::Role, role));
    }
    put_user(draft, user)
}

fn new_key(draft: &mut Directory, mut key: Key) -> Done {
    let secret = key::generate();
    key.digest = Digest::of(secret.expose());
    key.hint = key::hint(secret.expose());
    let made = NewKey {
        id: Arc::clone(&key.id),
        name: Arc::clone(&key.name),
        secret,
        created_ms: key.created_ms,
        expires_ms: key.expires_ms,
    };
    draft.keys.insert(Arc::clone(&key.id), Arc::new(key));
    Ok(Changed::Key(made))
}

fn create_key(draft: &mut Directory, order: KeyOrder, context: &Context<'_>) -> Done {
    let KeyOrder { name, role, permissions, expires_in_ms, allowed } = order;
    let name = labelled(&name)?;
    if draft.keys().any(|key| key.name == name || key.id == name) {
        return Err(exists(What::Key, &name));
    }
    room(What::Key, draft.keys.len(), IDENTITIES_MAX)?;
    bounded(&permissions)?;
    let roles = match role {
        Some(role) => known_roles(draft, &[role])?,
        None if permissions.is_empty() => vec![Arc::from(role::READONLY)],
        None => Vec::new(),
    };
    let valid_ms = expires_in_ms.unwrap_or(context.plan.key_valid_ms);
    let key = Key {
        id: key::new_id(),
        name,
        digest: Digest([0; 32]),
        hint: Arc::from(""),
        username: context.by.user().map(Arc::from),
        roles,
        permissions,
        enabled: true,
        allowed: if allowed.is_empty() { context.plan.key_allowed.clone() } else { allowed },
        expires_ms: (valid_ms != 0).then(|| context.now_ms.saturating_add(valid_ms)),
        rate_limit: None,
        source: Source::Runtime,
        created_ms: context.now_ms,
        usage: Arc::new(Usage::default()),
    };
    new_key(draft, key)
}

fn key_of(draft: &Directory, name: &str) -> Done<Key> {
    let found = draft.key(name).or_else(|| draft.keys().find(|key| *key.name == *name));
    let key = found.ok_or_else(|| unknown(What::Key, name))?;
    changeable(What::Key, &key.name, key.source)?;
    Ok(Key::clone(key))
}

fn rotate_key(draft: &mut Directory, name: &str, context: &Context<'_>) -> Done {
    let mut key = key_of(draft, name)?;
    // The new secret is valid as long as the old one was meant to be.
    let valid_ms = key.expires_ms.map(|at| at.saturating_sub(key.created_ms));
    key.created_ms = context.now_ms;
    key.expires_ms = valid_ms.map(|valid| context.now_ms.saturating_add(valid));
    new_key(draft, key)
}

fn revoke_key(draft: &mut Directory, shown: &[u8]) -> Done {
    let digest = Digest::of(shown);
    let by_secret = draft.keys().find(|key| key.digest == digest).map(|key| Arc::clone(&key.id));
    let name = by_secret.as_deref().or_else(|| std::str::from_utf8(shown).ok());
    // What was shown may be a secret that is no key any more: it must not be repeated.
    let nobody = ChangeRefused::Unknown { what: What::Key, name: String::new() };
    let key = match name.map(|name| key_of(draft, name)) {
        Some(Err(ChangeRefused::Unknown { .. })) | None => return Err(nobody),
        Some(found) => found?,
    };
    draft.keys.remove(&key.id);
    Ok(Changed::Done)
}

fn create_role(draft: &mut Directory, name: &str, permissions: Vec<Permission>) -> Done {
    let name = named(name)?;
    if draft.role(&name).is_some() {
        return Err(exists(What::Role, &name));
    }
    room(What::Role, draft.roles.len(), ROLES_MAX)?;
    bounded(&permissions)?;
    let role = Role { name: Arc::clone(&name), permissions, source: Source::Runtime };
    draft.roles.insert(name, Arc::new(role));
    Ok(Changed::Done)
}

fn delete_role(draft: &mut Directory, name: &str) -> Done {
    let role = draft.role(name).ok_or_else(|| unknown(What::Role, name))?;
    changeable(What::Role, name, role.source)?;
    let has = |roles: &[Arc<str>]| roles.contains(&role.name);
    let user =
        draft.users().find(|user| has(&user.roles)).map(|user| format!("user `{}`", user.name));
    let key =
        || draft.keys().find(|key| has(&key.roles)).map(|key| format!("API key `{}`", key.name));
    let rule = || draft.rules().iter().find(|rule| has(&rule.roles)).map(|_| "a rule".to_owned());
    if let Some(by) = user.or_else(key).or_else(rule) {
        return Err(ChangeRefused::InUse { role: name.to_owned(), by });
    }
    draft.roles.remove(name);
    Ok(Changed::Done)
}

fn add_rule(draft: &mut Directory, order: &RuleOrder) -> Done {
    let name = labelled(&order.name)?;
    if draft.rules().iter().any(|rule| rule.name.as_ref() == Some(&name)) {
        return Err(exists(What::Rule, &name));
    }
    room(What::Rule, draft.rules.len(), ROLES_MAX)?;
    let invalid = |expected: &str, found: &str| ChangeRefused::Invalid {
        expected: expected.to_owned(),
        found: found.to_owned(),
    };
    if order.actions.is_empty() {
        return Err(invalid("at least one action", "none"));
    }
    if order.public && !(order.roles.is_empty() && order.users.is_empty()) {
        return Err(invalid("a rule for everybody, or for some roles and users", "both"));
    }
    let mut users = Vec::new();
    for name in &order.users {
        let user = draft.user(name).ok_or_else(|| unknown(What::User, name))?;
        users.push(Arc::clone(&user.name));
    }
    let rule = Rule {
        name: Some(name),
        resource: order.resource.clone(),
        actions: order.actions,
        public: order.public,
        roles: known_roles(draft, &order.roles)?,
        users,
        source: Source::Runtime,
    };
    draft.rules.push(Arc::new(rule));
    Ok(Changed::Done)
}

fn remove_rule(draft: &mut Directory, name: &str) -> Done {
    let at = draft.rules.iter().position(|rule| rule.name.as_deref() == Some(name));
    let at = at.ok_or_else(|| unknown(What::Rule, name))?;
    changeable(What::Rule, name, draft.rules[at].source)?;
    draft.rules.remove(at);
    Ok(Changed::Done)
}

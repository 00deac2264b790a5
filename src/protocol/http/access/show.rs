//! What came of a request to access control, as JSON.

use serde_json::{Value, json};

use super::Listed;
use crate::auth::{
    Acl, Actions, ChangeRefused, Changed, Directory, Identity, Key, Permission, Refusal, Source,
    User,
};

fn seconds(ms: Option<u64>) -> Value {
    ms.filter(|ms| *ms > 0).map_or(Value::Null, |ms| Value::from(ms / 1000))
}

fn actions(actions: Actions) -> Vec<&'static str> {
    actions.names().into_iter().map(crate::auth::Action::name).collect()
}

/// One entry per action, as clients know them.
fn permissions(permissions: &[Permission]) -> Value {
    let each = permissions.iter().flat_map(|permission| {
        let resource = permission.resource.to_string();
        let names = actions(permission.actions).into_iter();
        names.map(move |action| json!({ "resource": resource, "action": action }))
    });
    Value::Array(each.collect())
}

fn source(source: Source) -> &'static str {
    match source {
        Source::BuiltIn => "built-in",
        Source::Config => "config",
        Source::Runtime => "runtime",
    }
}

fn texts(names: &[std::sync::Arc<str>]) -> Vec<&str> {
    names.iter().map(|name| &**name).collect()
}

/// Selectors in the words of Redis, the one outside of parentheses first.
fn selectors(acl: &Acl) -> Vec<String> {
    acl.selectors().map(crate::auth::Selector::rules).collect()
}

/// A user.
pub(crate) fn user(directory: &Directory, user: &User) -> Value {
    json!({
        "username": &*user.name,
        "roles": texts(&user.roles),
        "is_admin": directory.is_admin(user),
        "enabled": user.enabled,
        "has_password": user.password.is_some(),
        "permissions": permissions(&user.permissions),
        "acl": user.acl.as_deref().map(selectors),
        "source": source(user.source),
        "created_at": seconds(Some(user.created_ms)),
        "last_login": seconds(user.usage.last_ms()),
    })
}

fn key(key: &Key) -> Value {
    json!({
        "id": &*key.id,
        "name": &*key.name,
        "hint": &*key.hint,
        "username": key.username.as_deref(),
        "roles": texts(&key.roles),
        "permissions": permissions(&key.permissions),
        "allowed_ips": key.allowed.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "enabled": key.enabled,
        "expires_at": seconds(key.expires_ms),
        "created_at": seconds(Some(key.created_ms)),
        "last_used_at": seconds(key.usage.last_ms()),
        "usage_count": key.usage.count(),
        "source": source(key.source),
    })
}

/// All of a kind.
pub(crate) fn listed(directory: &Directory, what: Listed) -> Value {
    match what {
        Listed::Keys => {
            let keys: Vec<Value> = directory.keys().map(|one| key(one)).collect();
            json!({ "success": true, "keys": keys })
        }
        Listed::Users => {
            let users: Vec<Value> = directory.users().map(|one| user(directory, one)).collect();
            json!({ "success": true, "users": users })
        }
        Listed::Roles => {
            let role = |role: &std::sync::Arc<crate::auth::Role>| {
                json!({
                    "name": &*role.name,
                    "permissions": permissions(&role.permissions),
                    "source": source(role.source),
                })
            };
            json!({ "success": true, "roles": directory.roles().map(role).collect::<Vec<_>>() })
        }
        Listed::Rules => {
            let rule = |rule: &std::sync::Arc<crate::auth::Rule>| {
                json!({
                    "name": rule.name.as_deref(),
                    "resource": rule.resource.to_string(),
                    "actions": actions(rule.actions),
                    "authenticated": !rule.public,
                    "roles": texts(&rule.roles),
                    "users": texts(&rule.users),
                    "source": source(rule.source),
                })
            };
            let rules: Vec<Value> = directory.rules().iter().map(rule).collect();
            json!({ "success": true, "rules": rules })
        }
    }
}

/// Who a caller is.
pub(crate) fn me(identity: &Identity) -> Value {
    let rights = identity.rights();
    json!({
        "username": identity.who().user(),
        "api_key_id": identity.who().key(),
        "roles": texts(rights.roles()),
        "is_admin": rights.is_admin(),
        "permissions": permissions(rights.permissions()),
    })
}

/// Nobody has these credentials.
pub(crate) fn denied(_: Refusal) -> Value {
    json!({
        "success": false,
        "user": null,
        "message": "Unauthorized: the credentials are not valid",
        "error": "Unauthorized: the credentials are not valid",
        "code": 401,
    })
}

/// A change was made.
pub(crate) fn changed(changed: &Changed, message: &str) -> Value {
    match changed {
        Changed::Done | Changed::Count(_) => json!({ "success": true, "message": message }),
        Changed::Key(new) => json!({
            "success": true,
            "message": format!("{message}; it is shown only this once"),
            "key": {
                "id": &*new.id,
                "key": String::from_utf8_lossy(new.secret.expose()),
                "name": &*new.name,
                "expires_at": seconds(new.expires_ms),
                "created_at": seconds(Some(new.created_ms)),
            },
        }),
    }
}

/// A change was not made: status and text.
pub(crate) fn refused(refused: &ChangeRefused) -> (u16, String) {
    let (status, start) = match refused {
        ChangeRefused::NotAllowed => (403, "Forbidden: "),
        ChangeRefused::Unknown { .. } => (404, "Not found: "),
        ChangeRefused::Exists { .. }
        | ChangeRefused::Fixed { .. }
        | ChangeRefused::LastAdmin
        | ChangeRefused::NoStore
        | ChangeRefused::Contradiction(_)
        | ChangeRefused::InUse { .. } => (409, "Conflict: "),
        ChangeRefused::Rule { .. } | ChangeRefused::Weak(_) | ChangeRefused::Invalid { .. } => {
            (400, "Invalid request: ")
        }
        ChangeRefused::Full { .. } => (507, "Insufficient storage: "),
        ChangeRefused::Store(_) => (500, "Internal error: "),
    };
    (status, format!("{start}{refused}"))
}

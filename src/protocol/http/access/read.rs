//! From the bodies of requests to what they ask for.

use serde_json::{Map, Value};

use super::{Access, AccessRoute, Listed};
use crate::auth::{
    Action, Actions, Change, Credential, KeyOrder, Permission, Resource, RuleOrder, Secret,
    UserEdit,
};
use crate::cidr::Cidr;
use crate::protocol::http::error::HttpError;
use crate::protocol::http::route::Params;

const ADMIN: &str = "admin";

/// The members of a body, each taken out once.
struct Body(Map<String, Value>);

fn bad(name: &str, expected: &str) -> HttpError {
    HttpError::with(400, format!("Invalid request: `{name}` must be {expected}"))
}

impl Body {
    fn read(bytes: &[u8]) -> Result<Self, HttpError> {
        if bytes.trim_ascii().is_empty() {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(_) => Err(HttpError::bad("Invalid request: the body is no JSON object")),
            Err(_) => Err(HttpError::bad("Invalid request: the body is not JSON")),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    fn opt_text(&mut self, name: &str) -> Result<Option<String>, HttpError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(bad(name, "a string")),
        }
    }

    fn text(&mut self, name: &str) -> Result<String, HttpError> {
        self.opt_text(name)?
            .ok_or_else(|| HttpError::with(400, format!("Invalid request: `{name}` is missing")))
    }

    fn flag(&mut self, name: &str) -> Result<Option<bool>, HttpError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(bad(name, "true or false")),
        }
    }

    fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, HttpError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(bad(name, "a list")),
        }
    }

    fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, HttpError> {
        let Some(items) = self.list(name)? else { return Ok(None) };
        let text = |item| match item {
            Value::String(text) => Ok(text),
            _ => Err(bad(name, "a list of strings")),
        };
        items.into_iter().map(text).collect::<Result<_, _>>().map(Some)
    }

    /// A list under one of two names.
    fn texts_of(&mut self, names: [&str; 2]) -> Result<Vec<String>, HttpError> {
        match names.map(|name| self.texts(name)) {
            [Ok(None), Ok(found)] | [Ok(found), Ok(None)] => Ok(found.unwrap_or_default()),
            [Err(error), _] | [_, Err(error)] => Err(error),
            [Ok(Some(_)), Ok(Some(_))] => Err(bad(names[1], "left out, it is there already")),
        }
    }

    fn actions(&mut self) -> Result<Actions, HttpError> {
        let mut names = self.texts("actions")?.unwrap_or_default();
        names.extend(self.opt_text("action")?);
        let known = "some of read, write, delete, consume, configure, admin and all";
        if names.is_empty() {
            return Err(bad("actions", known));
        }
        let action = |name: &String| Action::parse(name).ok_or_else(|| bad("actions", known));
        names.iter().map(action).collect()
    }

    fn permissions(&mut self) -> Result<Option<Vec<Permission>>, HttpError> {
        let Some(items) = self.list("permissions")? else { return Ok(None) };
        let permission = |item| {
            let Value::Object(members) = item else {
                return Err(bad("permissions", "a list of objects"));
            };
            let mut part = Self(members);
            let resource = resource(&part.text("resource")?)?;
            let actions = part.actions()?;
            part.end()?;
            Ok(Permission { resource, actions })
        };
        items.into_iter().map(permission).collect::<Result<_, _>>().map(Some)
    }

    /// Nothing may be left: who sends it means something by it.
    fn end(self) -> Result<(), HttpError> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => {
                let name: String = name.chars().take(64).collect();
                Err(HttpError::with(400, format!("Invalid request: `{name}` is not known here")))
            }
        }
    }
}

fn resource(text: &str) -> Result<Resource, HttpError> {
    Resource::parse(text).map_err(|error| HttpError::with(400, format!("Invalid request: {error}")))
}

fn param(path: &Params<'_>, name: &str) -> String {
    let found = path.iter().find(|(known, _)| *known == name);
    found.map(|(_, text)| text.clone().into_owned()).unwrap_or_default()
}

/// Reads a request to a route.
pub(super) fn request(
    route: AccessRoute,
    path: &Params<'_>,
    body: &[u8],
) -> Result<Access, HttpError> {
    use AccessRoute::{
        AddRole, AddRule, CreateKey, CreateRole, CreateUser, DeleteRole, DeleteUser, Disable,
        Enable, Keys, Login, Me, RemoveRole, RemoveRule, RevokeKey, Roles, RotateKey, Rules,
        SetPassword, User, Users,
    };
    let mut body = Body::read(body)?;
    let user = || param(path, "username");
    let change = |change, said| Access::Change(Box::new(change), said);
    let access = match route {
        Login => {
            let (name, password) = (body.text("username")?, body.text("password")?);
            let credential = Credential::from_password(name.as_bytes(), password.as_bytes());
            Access::Login(credential.ok_or_else(|| bad("password", "shorter, as the name"))?)
        }
        Me => Access::Me,
        Keys => Access::List(Listed::Keys),
        Users => Access::List(Listed::Users),
        Roles => Access::List(Listed::Roles),
        Rules => Access::List(Listed::Rules),
        User => Access::User(user()),
        CreateKey => change(Change::CreateKey(key(&mut body)?), "API key created"),
        RevokeKey => {
            let key = Secret::new(param(path, "id"));
            change(Change::RevokeKey { key }, "API key revoked")
        }
        RotateKey => change(Change::RotateKey { key: param(path, "id") }, "API key rotated"),
        CreateUser => change(new_user(&mut body)?, "User created"),
        DeleteUser => change(Change::DeleteUser { name: user() }, "User deleted"),
        SetPassword => {
            let password = Secret::new(body.text("new_password")?);
            change(Change::SetPassword { name: user(), password }, "Password changed")
        }
        Enable => change(enabled(user(), true), "User enabled"),
        Disable => {
            let is_enabled = body.flag("enabled")?.unwrap_or(false);
            let said = if is_enabled { "User enabled" } else { "User disabled" };
            change(enabled(user(), is_enabled), said)
        }
        AddRole => {
            let role = body.text("role")?;
            change(Change::AddRole { name: user(), role }, "Role assigned")
        }
        RemoveRole => {
            let role = param(path, "role");
            change(Change::RemoveRole { name: user(), role }, "Role removed")
        }
        CreateRole => {
            let name = body.text("name")?;
            let permissions = body.permissions()?.ok_or_else(|| bad("permissions", "a list"))?;
            change(Change::CreateRole { name, permissions }, "Role created")
        }
        DeleteRole => change(Change::DeleteRole { name: param(path, "role") }, "Role deleted"),
        AddRule => change(Change::AddRule(rule(&mut body)?), "Rule created"),
        RemoveRule => change(Change::RemoveRule { name: param(path, "name") }, "Rule deleted"),
    };
    body.end()?;
    Ok(access)
}

fn enabled(name: String, is_enabled: bool) -> Change {
    let edit = UserEdit { enabled: Some(is_enabled), ..UserEdit::default() };
    Change::EditUser { name, edit }
}

fn new_user(body: &mut Body) -> Result<Change, HttpError> {
    let name = body.text("username")?;
    let password = Some(Secret::new(body.text("password")?));
    let mut roles = body.texts("roles")?.unwrap_or_default();
    roles.extend(body.opt_text("role")?);
    if body.flag("is_admin")? == Some(true) {
        roles.push(ADMIN.to_owned());
    }
    let roles = (!roles.is_empty()).then_some(roles);
    let enabled = body.flag("enabled")?;
    let edit = UserEdit { password, roles, enabled, ..UserEdit::default() };
    Ok(Change::CreateUser { name, edit })
}

fn key(body: &mut Body) -> Result<KeyOrder, HttpError> {
    const SECONDS: &str = "expires_in_seconds";
    let expires_in_ms = match body.take(SECONDS) {
        None => None,
        Some(value) => {
            let seconds = value.as_u64().filter(|seconds| *seconds > 0);
            let ms = seconds.and_then(|seconds| seconds.checked_mul(1000));
            Some(ms.ok_or_else(|| bad(SECONDS, "a number of seconds above 0"))?)
        }
    };
    let addresses = body.texts("allowed_ips")?.unwrap_or_default();
    let cidr = |text: &String| {
        Cidr::parse(text).ok_or_else(|| bad("allowed_ips", "a list of addresses and networks"))
    };
    Ok(KeyOrder {
        name: body.text("name")?,
        role: body.opt_text("role")?,
        permissions: body.permissions()?.unwrap_or_default(),
        expires_in_ms,
        allowed: addresses.iter().map(cidr).collect::<Result<_, _>>()?,
    })
}

fn rule(body: &mut Body) -> Result<RuleOrder, HttpError> {
    let parts = [body.opt_text("resource_type")?, body.opt_text("resource_pattern")?];
    let resource = match (body.opt_text("resource")?, parts) {
        (Some(text), [None, None]) => resource(&text)?,
        (None, [kind, pattern]) if kind.is_some() || pattern.is_some() => {
            let (kind, pattern) = (kind.as_deref(), pattern.as_deref());
            Resource::of_parts(kind.unwrap_or("*"), pattern.unwrap_or("*"))
                .map_err(|error| HttpError::with(400, format!("Invalid request: {error}")))?
        }
        _ => return Err(bad("resource", "given, or resource_type and resource_pattern")),
    };
    let is_public = match (body.flag("authenticated")?, body.flag("require_auth")?) {
        (None, None) => false,
        (Some(wanted), None) | (None, Some(wanted)) => !wanted,
        (Some(_), Some(_)) => return Err(bad("require_auth", "left out")),
    };
    Ok(RuleOrder {
        name: body.text("name")?,
        resource,
        actions: body.actions()?,
        public: is_public,
        roles: body.texts_of(["roles", "allowed_roles"])?,
        users: body.texts_of(["users", "allowed_users"])?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(route: AccessRoute, body: &str) -> Result<Access, String> {
        request(route, &Params::new(), body.as_bytes()).map_err(|error| error.message.into_owned())
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for (route, body, why) in [
            (
                AccessRoute::CreateKey,
                r#"{"name":"k","allowed_ips":["10.0.0.0/40"]}"#,
                "allowed_ips",
            ),
            (
                AccessRoute::CreateKey,
                r#"{"name":"k","permissions":[{"resource":"kv:*","action":"reed"}]}"#,
                "actions",
            ),
            (
                AccessRoute::CreateKey,
                r#"{"name":"k","permissions":[{"resource":"kvs:*","action":"read"}]}"#,
                "resource",
            ),
            (AccessRoute::CreateKey, r#"{"name":"k","permission":[]}"#, "permission"),
            (
                AccessRoute::CreateKey,
                r#"{"name":"k","expires_in_seconds":0}"#,
                "expires_in_seconds",
            ),
            (AccessRoute::CreateUser, r#"{"username":"u"}"#, "password"),
            (AccessRoute::Login, "[]", "object"),
            (AccessRoute::AddRule, r#"{"name":"r","actions":["read"]}"#, "resource"),
        ] {
            let error = read(route, body).expect_err(body);
            assert!(error.contains(why), "{body}: {error}");
        }
    }

    #[test]
    fn a_rule_is_read_in_both_forms() {
        for body in [
            r#"{"name":"r","resource":"kv:a*","actions":["read"],"require_auth":false}"#,
            r#"{"name":"r","resource_type":"kv","resource_pattern":"a*","actions":["read"],
                "authenticated":false}"#,
        ] {
            let Ok(Access::Change(change, _)) = read(AccessRoute::AddRule, body) else {
                panic!("{body}")
            };
            let Change::AddRule(rule) = *change else { panic!("{body}") };
            assert!(rule.public && rule.resource.to_string() == "kv:a*");
        }
    }
}

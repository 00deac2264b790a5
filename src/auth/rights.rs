//! What a caller may do: the rights of its roles, its own, and of the rules that apply to it, put
//! together once when the caller becomes known.
//!
//! Rights only allow; nothing in them forbids, and what is not allowed is denied. They belong to
//! one [`super::Directory`]: a newer one makes new rights.

use std::sync::Arc;

use super::acl::Acl;
use super::action::{Action, Actions};
use super::resource::{KINDS, Pattern, Resource, ResourceKind};

/// Some actions on some resources.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Permission {
    /// On what.
    pub resource: Resource,
    /// What may be done, with all that it includes.
    pub actions: Actions,
}

impl Permission {
    /// One action, and what it includes, on some resources.
    #[must_use]
    pub const fn new(resource: Resource, action: Action) -> Self {
        Self { resource, actions: Actions::of(action) }
    }

    /// Everything.
    #[must_use]
    pub fn everything() -> Self {
        Self::new(Resource::everything(), Action::All)
    }

    pub(super) fn is_everything(&self) -> bool {
        let Resource { kind, pattern } = &self.resource;
        kind.is_none() && pattern.is_any() && self.actions == Actions::EVERY
    }
}

#[derive(Debug)]
struct Grant {
    pattern: Pattern,
    actions: Actions,
}

/// What a caller may do.
#[derive(Debug)]
pub struct Rights {
    admin: bool,
    /// What may be done to all names of a kind.
    whole: [Actions; KINDS],
    /// What may be done to some names of a kind.
    some: [Vec<Grant>; KINDS],
    roles: Vec<Arc<str>>,
    permissions: Vec<Permission>,
    acl: Option<Arc<Acl>>,
}

impl Rights {
    /// The rights of someone with these roles and these permissions, which include those of the
    /// roles; `public` come from rules and are not listed as the caller's own.
    #[must_use]
    pub fn new(roles: Vec<Arc<str>>, permissions: Vec<Permission>, public: &[Permission]) -> Self {
        let admin = permissions.iter().any(Permission::is_everything);
        let (mut whole, mut some) = ([Actions::NONE; KINDS], std::array::from_fn(|_| Vec::new()));
        for permission in permissions.iter().chain(public) {
            let Permission { resource, actions } = permission;
            for kind in ResourceKind::ALL {
                if resource.kind.is_some_and(|own| own != kind) {
                    continue;
                }
                let at = kind as usize;
                if resource.pattern.is_any() {
                    whole[at] = whole[at].with(*actions);
                } else {
                    let pattern = resource.pattern.clone();
                    some[at].push(Grant { pattern, actions: *actions });
                }
            }
        }
        Self { admin, whole, some, roles, permissions, acl: None }
    }

    /// The same, and what selectors of commands allow besides.
    #[must_use]
    pub fn with_acl(self, acl: Option<Arc<Acl>>) -> Self {
        let admin = self.admin || acl.as_deref().is_some_and(Acl::is_everything);
        Self { admin, acl, ..self }
    }

    /// Those of someone who may do everything.
    #[must_use]
    pub fn full() -> Self {
        Self::new(Vec::new(), vec![Permission::everything()], &[])
    }

    /// Those of someone who may do nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Vec::new(), Vec::new(), &[])
    }

    /// Whether everything is allowed: no further question needs to be asked.
    #[inline]
    #[must_use]
    pub const fn is_admin(&self) -> bool {
        self.admin
    }

    /// Whether the action is allowed on the thing of this kind and name, by anything but selectors
    /// of commands ([`Self::acl`]).
    #[must_use]
    pub fn allows(&self, action: Action, kind: ResourceKind, name: &[u8]) -> bool {
        let granted = |grant: &Grant| grant.actions.has(action) && grant.pattern.matches(name);
        self.allows_all(action, kind) || self.some[kind as usize].iter().any(granted)
    }

    /// Whether the action is allowed on every name of this kind; then listings need no filter.
    #[inline]
    #[must_use]
    pub const fn allows_all(&self, action: Action, kind: ResourceKind) -> bool {
        self.admin || self.whole[kind as usize].has(action)
    }

    /// Whether the action is allowed on at least one name of this kind.
    #[must_use]
    pub fn allows_some(&self, action: Action, kind: ResourceKind) -> bool {
        let granted = |grant: &Grant| grant.actions.has(action);
        self.allows_all(action, kind) || self.some[kind as usize].iter().any(granted)
    }

    /// Selectors of commands, any of which may allow a command as a whole.
    #[inline]
    #[must_use]
    pub fn acl(&self) -> Option<&Acl> {
        self.acl.as_deref()
    }

    /// Whether they come from roles, or were given without regard to commands.
    #[must_use]
    pub fn are_inherited(&self) -> bool {
        !self.roles.is_empty() || !self.permissions.is_empty()
    }

    /// The roles they come from.
    #[must_use]
    pub fn roles(&self) -> &[Arc<str>] {
        &self.roles
    }

    /// What was granted by roles and to the caller itself; rules for everybody are not among them.
    #[must_use]
    pub fn permissions(&self) -> &[Permission] {
        &self.permissions
    }

    /// Whether someone with these rights may hand on `wanted`: it must be within one of its own.
    #[must_use]
    pub fn covers(&self, wanted: &Permission) -> bool {
        let within = |own: &Permission| {
            let Resource { kind, pattern } = &wanted.resource;
            own.actions.covers(wanted.actions)
                && (own.resource.kind.is_none() || own.resource.kind == *kind)
                && (own.resource.pattern.is_any() || own.resource.pattern == *pattern)
        };
        self.admin || self.permissions.iter().any(within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(resource: &str, action: Action) -> Permission {
        Permission::new(Resource::parse(resource).expect("a resource"), action)
    }

    #[test]
    fn what_is_not_granted_is_denied() {
        let own = vec![permission("kv:a:*", Action::Write), permission("queue", Action::Read)];
        let rights = Rights::new(Vec::new(), own, &[permission("kv:pub", Action::Read)]);
        assert!(rights.allows(Action::Write, ResourceKind::Kv, b"a:1"));
        assert!(rights.allows(Action::Consume, ResourceKind::Kv, b"a:1"));
        assert!(rights.allows(Action::Read, ResourceKind::Kv, b"pub"));
        assert!(rights.allows_all(Action::Read, ResourceKind::Queue));
        assert!(rights.allows_some(Action::Write, ResourceKind::Kv));
        assert!(!rights.allows_all(Action::Write, ResourceKind::Kv));
        assert!(!rights.allows(Action::Read, ResourceKind::Kv, b"a:1"));
        assert!(!rights.allows(Action::Write, ResourceKind::Kv, b"b:1"));
        assert!(!rights.allows(Action::Write, ResourceKind::Hash, b"a:1"));
        assert!(!rights.allows_some(Action::Write, ResourceKind::Queue));
        assert!(!rights.is_admin());
        assert_eq!(rights.permissions().len(), 2, "the rule is not the caller's own");
    }

    #[test]
    fn only_everything_on_everything_is_an_administrator() {
        assert!(Rights::full().is_admin());
        for almost in ["kv", "*:a*"] {
            let own = vec![permission(almost, Action::All)];
            assert!(!Rights::new(Vec::new(), own, &[]).is_admin(), "{almost}");
        }
        assert!(!Rights::none().allows_some(Action::Read, ResourceKind::Kv));
    }

    #[test]
    fn nobody_hands_on_more_than_they_have() {
        let own = vec![permission("kv:a:*", Action::Write), permission("queue", Action::All)];
        let rights = Rights::new(Vec::new(), own, &[permission("*", Action::Read)]);
        assert!(rights.covers(&permission("kv:a:*", Action::Consume)));
        assert!(rights.covers(&permission("queue:x", Action::Delete)));
        assert!(!rights.covers(&permission("kv", Action::Write)));
        assert!(!rights.covers(&permission("*", Action::Read)));
        assert!(Rights::full().covers(&permission("*", Action::All)));
    }
}

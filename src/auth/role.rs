//! The roles that come with the program, and how many of everything there may be.

use std::sync::Arc;

use super::action::Action;
use super::directory::{Role, Source};
use super::resource::{Resource, ResourceKind};
use super::rights::Permission;

/// The role that may do everything.
pub const ADMIN: &str = "admin";
/// The role of those who are given none.
pub const READONLY: &str = "readonly";

/// Users, and API keys, there may be.
pub const IDENTITIES_MAX: usize = 10_000;
/// Roles, and rules, there may be.
pub const ROLES_MAX: usize = 1_000;
/// Permissions of one user, key or role.
pub const PERMISSIONS_MAX: usize = 256;

const DATA: [ResourceKind; 8] = [
    ResourceKind::Kv,
    ResourceKind::Hash,
    ResourceKind::List,
    ResourceKind::Set,
    ResourceKind::SortedSet,
    ResourceKind::HyperLogLog,
    ResourceKind::Bitmap,
    ResourceKind::Geo,
];
const MESSAGES: [ResourceKind; 3] =
    [ResourceKind::Queue, ResourceKind::Stream, ResourceKind::PubSub];
const STREAMS: [ResourceKind; 3] = [ResourceKind::Stream, ResourceKind::Topic, ResourceKind::Group];

/// The roles that come with the program.
pub(super) fn built_in() -> impl Iterator<Item = Role> {
    let each = |kinds: &[ResourceKind], actions: &[Action]| -> Vec<Permission> {
        let on = |kind: &ResourceKind| {
            let actions = actions.iter().copied().collect();
            Permission { resource: Resource::all_of(*kind), actions }
        };
        kinds.iter().map(on).collect()
    };
    let mut user = each(&DATA, &[Action::Read, Action::Write, Action::Delete]);
    user.extend(each(&MESSAGES, &[Action::Read, Action::Write]));
    let roles = [
        (ADMIN, vec![Permission::everything()]),
        (READONLY, vec![Permission::new(Resource::everything(), Action::Read)]),
        ("user", user),
        ("queue_manager", each(&[ResourceKind::Queue], &[Action::All])),
        ("stream_manager", each(&STREAMS, &[Action::All])),
        ("data_manager", each(&DATA, &[Action::All])),
    ];
    let role = |(name, permissions): (&str, Vec<Permission>)| Role {
        name: Arc::from(name),
        permissions,
        source: Source::BuiltIn,
    };
    roles.into_iter().map(role)
}

/// Their names.
pub fn built_in_names() -> impl Iterator<Item = &'static str> {
    [ADMIN, READONLY, "user", "queue_manager", "stream_manager", "data_manager"].into_iter()
}

/// Whether a user, key, role or rule may be called this: it must fit into a header of HTTP Basic,
/// a path and a command.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let good = |c: char| !c.is_control() && !c.is_whitespace() && c != ':';
    (1..=super::credential::NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(good)
}

/// What [`is_name`] wants, for messages.
pub const NAME_EXPECTED: &str = "a name of 1 to 256 bytes without blanks, colons and control \
                                 characters";

/// Whether a key or rule may be called this.
#[must_use]
pub fn is_label(name: &str) -> bool {
    let fits = (1..=super::credential::NAME_BYTES_MAX).contains(&name.len());
    fits && name.trim() == name && !name.chars().any(char::is_control)
}

/// What [`is_label`] wants, for messages.
pub const LABEL_EXPECTED: &str =
    "a name of 1 to 256 bytes without control characters and blanks at its ends";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Rights;

    fn rights(name: &str) -> Rights {
        let role = built_in().find(|role| *role.name == *name).expect("built in");
        Rights::new(Vec::new(), role.permissions, &[])
    }

    #[test]
    fn the_built_in_roles_allow_what_they_are_for() {
        assert!(rights(ADMIN).is_admin());
        let readonly = rights(READONLY);
        for kind in ResourceKind::ALL {
            assert!(readonly.allows_all(Action::Read, kind));
            let others = [Action::Write, Action::Delete, Action::Consume, Action::Admin];
            assert!(!others.into_iter().any(|action| readonly.allows_some(action, kind)));
        }
        let user = rights("user");
        assert!(user.allows_all(Action::Delete, ResourceKind::Hash));
        assert!(user.allows_all(Action::Consume, ResourceKind::Queue));
        assert!(!user.allows_some(Action::Delete, ResourceKind::Queue));
        assert!(!user.allows_some(Action::Configure, ResourceKind::Kv));
        assert!(!user.allows_some(Action::Read, ResourceKind::Admin));
        assert!(rights("queue_manager").allows_all(Action::Configure, ResourceKind::Queue));
        assert!(!rights("queue_manager").allows_some(Action::Read, ResourceKind::Kv));
        assert!(rights("stream_manager").allows_all(Action::Delete, ResourceKind::Topic));
        assert!(rights("data_manager").allows_all(Action::Delete, ResourceKind::Geo));
        assert!(!rights("data_manager").allows_some(Action::Read, ResourceKind::Queue));
    }

    #[test]
    fn the_names_are_those_of_the_roles() {
        let roles: Vec<_> = built_in().map(|role| role.name.as_ref().to_owned()).collect();
        assert_eq!(built_in_names().collect::<Vec<_>>(), roles);
    }

    #[test]
    fn names_fit_where_they_are_used() {
        for good in ["anna", "a.b@c", "ä", "service-1"] {
            assert!(is_name(good) && is_label(good), "{good}");
        }
        for bad in ["", "a b", "a:b", "a\n", "\u{a0}"] {
            assert!(!is_name(bad), "{bad:?}");
        }
        assert!(is_label("Production key: 1"));
        for bad in ["", " a", "a\t", "a\u{7f}b"] {
            assert!(!is_label(bad), "{bad:?}");
        }
    }
}

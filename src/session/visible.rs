//! Lists of names, for those who may not read all of them.

use std::sync::Arc;

use synap_shards::command::reply::Reply;

use super::authorize;
use crate::auth::{Action, ResourceKind, Rights, Selector};

/// What somebody sees of lists of names of one kind.
#[derive(Clone, Debug)]
pub struct Sight {
    rights: Arc<Rights>,
    kind: ResourceKind,
}

impl Sight {
    /// What these rights let see of `kind`; nothing where that is everything.
    pub fn of(rights: &Arc<Rights>, kind: ResourceKind) -> Option<Self> {
        let all = |selector: &Selector| reads(selector, kind, authorize::EVERYTHING);
        let sees_all = rights.allows_all(Action::Read, kind)
            || rights.acl().is_some_and(|acl| acl.selectors().any(all));
        (!sees_all).then(|| Self { rights: Arc::clone(rights), kind })
    }

    fn sees(&self, name: &Reply<'_>) -> bool {
        let name = match name {
            // Of what is told with its name, that comes first.
            Reply::Map(pairs) => pairs.first().map(|(_, name)| name),
            name => Some(name),
        };
        let Some(Reply::Bytes(name)) = name else { return false };
        let name = authorize::name_of(name);
        let selected = |selector: &Selector| reads(selector, self.kind, name);
        self.rights.allows(Action::Read, self.kind, name)
            || self.rights.acl().is_some_and(|acl| acl.selectors().any(selected))
    }

    /// A list without the names that are not to be seen: names, or a cursor and names.
    pub fn apply(&self, reply: Reply<'static>) -> Reply<'static> {
        match reply {
            Reply::Array(mut items) => {
                if let [_, Reply::Array(names)] = &mut items[..] {
                    names.retain(|name| self.sees(name));
                } else {
                    items.retain(|name| self.sees(name));
                }
                Reply::Array(items)
            }
            Reply::Error(error) => Reply::Error(error),
            _ => Reply::Array(Vec::new()),
        }
    }
}

/// Whether a selector has a name, or a channel, among its own.
fn reads(selector: &Selector, kind: ResourceKind, name: &[u8]) -> bool {
    match kind {
        ResourceKind::PubSub => selector.hears(name),
        _ => selector.reaches(name, true, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Permission, Resource};

    #[test]
    fn only_what_may_be_read_is_listed() {
        let own = Permission::new(Resource::parse("kv:a*").expect("a resource"), Action::Read);
        let rights = Arc::new(Rights::new(Vec::new(), vec![own], &[]));
        let sight = Sight::of(&rights, ResourceKind::Kv).expect("it does not see all");
        let names = |names: &[&'static str]| {
            Reply::Array(names.iter().map(|name| Reply::string(*name)).collect())
        };
        assert_eq!(sight.apply(names(&["a1", "b", "a"])), names(&["a1", "a"]));
        let page = |list| Reply::Array(vec![Reply::string("7"), list]);
        assert_eq!(sight.apply(page(names(&["b", "a"]))), page(names(&["a"])));
        assert!(Sight::of(&Arc::new(Rights::full()), ResourceKind::Kv).is_none());
    }
}

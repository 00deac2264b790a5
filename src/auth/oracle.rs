//! Rights against a plain account of the rules, over random directories.

use std::net::IpAddr;
use std::sync::Arc;

use synap_shards::rng::Rng;

use super::*;

const NOW: u64 = 1_700_000_000_000;
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// The rules of access as they are told to users, with no thought of speed.
fn oracle(
    (who, own, roles): (&Who, &[Permission], &[Arc<str>]),
    directory: &Directory,
    (wanted, kind, name): (Action, ResourceKind, &[u8]),
) -> bool {
    fn means(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.first(), name.first()) {
            (None, None) => true,
            (Some(b'*'), _) => {
                means(&pattern[1..], name) || !name.is_empty() && means(pattern, &name[1..])
            }
            (Some(a), Some(b)) => a == b && means(&pattern[1..], &name[1..]),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
    let on = |resource: &Resource| {
        resource.kind.is_none_or(|own| own == kind)
            && means(resource.pattern.as_str().as_bytes(), name)
    };
    let permitted =
        |p: &Permission| p.actions.names().iter().any(|a| a.includes(wanted)) && on(&p.resource);
    let mut of_roles = roles.iter().filter_map(|role| directory.role(role));
    let by_role = of_roles.any(|role| role.permissions.iter().any(permitted));
    let by_rule = directory.rules().iter().any(|rule| {
        let granted = rule.actions.names().iter().any(|a| a.includes(wanted)) && on(&rule.resource);
        let listed = roles.iter().any(|role| rule.roles.contains(role))
            || who.user().is_some_and(|user| rule.users.iter().any(|name| **name == *user));
        let everyone = rule.roles.is_empty() && rule.users.is_empty();
        granted && (rule.public || who.is_authenticated() && (listed || everyone))
    });
    by_rule || by_role || own.iter().any(permitted)
}

#[test]
fn rights_agree_with_a_plain_account_of_the_rules() {
    let mut dice = Rng::new(7);
    let (mut yes, mut no) = (0, 0);
    for _ in 0..400 {
        let directory = random_directory(&mut dice);
        let directory = &directory;
        for user in directory.users() {
            let who = Who::User(Arc::clone(&user.name));
            let identity = directory.resolve(&who, HERE, NOW).expect("enabled");
            for caller in [identity, directory.anonymous()] {
                let own: &[Permission] =
                    if caller.who().is_authenticated() { &user.permissions } else { &[] };
                for _ in 0..20 {
                    let action = Action::ALL[below(&mut dice, Action::ALL.len())];
                    let kind = random_kind(&mut dice);
                    let name = random_name(&mut dice, b"ab:");
                    let expected = oracle(
                        (caller.who(), own, caller.rights().roles()),
                        directory,
                        (action, kind, &name),
                    );
                    let rights = caller.rights();
                    assert_eq!(rights.allows(action, kind, &name), expected, "{directory:#?}");
                    assert!(!expected || rights.allows_some(action, kind));
                    assert!(expected || !rights.allows_all(action, kind));
                    *(if expected { &mut yes } else { &mut no }) += 1;
                }
            }
        }
    }
    assert!(yes > 1000 && no > 1000, "both answers were asked for: {yes} {no}");
}

fn below(dice: &mut Rng, end: usize) -> usize {
    dice.below(end)
}

fn random_kind(dice: &mut Rng) -> ResourceKind {
    [ResourceKind::Kv, ResourceKind::Hash, ResourceKind::Admin][below(dice, 3)]
}

fn random_name(dice: &mut Rng, symbols: &[u8]) -> Vec<u8> {
    let length = below(dice, 6);
    (0..length).map(|_| symbols[below(dice, symbols.len())]).collect()
}

fn random_permission(dice: &mut Rng) -> Permission {
    let kind = (below(dice, 4) != 0).then(|| random_kind(dice));
    let mut text = String::from_utf8(random_name(dice, b"ab:*")).expect("text");
    if text.is_empty() {
        text.push('*');
    }
    let pattern = Pattern::parse(&text).expect("few stars");
    let action = Action::ALL[below(dice, Action::ALL.len())];
    Permission::new(Resource { kind, pattern }, action)
}

fn random_directory(dice: &mut Rng) -> Directory {
    let mut draft = Directory::empty();
    draft.switches = Switches { enabled: true, required: false, public_metrics: true };
    let names: Vec<Arc<str>> = ["x", "y", "z"].map(Arc::from).to_vec();
    let some = |dice: &mut Rng| -> Vec<Arc<str>> {
        names.iter().filter(|_| below(dice, 3) == 0).cloned().collect()
    };
    for name in &names {
        let permissions = (0..below(dice, 3)).map(|_| random_permission(dice)).collect();
        let role = Role { name: Arc::clone(name), permissions, source: Source::Runtime };
        draft.roles.insert(Arc::clone(name), Arc::new(role));
        let user = User {
            name: Arc::clone(name),
            password: None,
            roles: some(dice),
            permissions: (0..below(dice, 2)).map(|_| random_permission(dice)).collect(),
            acl: None,
            enabled: true,
            source: Source::Runtime,
            created_ms: 0,
            usage: Arc::default(),
        };
        draft.users.insert(Arc::clone(name), Arc::new(user));
    }
    for _ in 0..below(dice, 4) {
        let Permission { resource, actions } = random_permission(dice);
        let public = below(dice, 4) == 0;
        let (roles, users) = (some(dice), some(dice));
        let rule =
            Rule { name: None, resource, actions, public, roles, users, source: Source::Config };
        draft.rules.push(Arc::new(rule));
    }
    draft.ready()
}

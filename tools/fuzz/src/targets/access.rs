//! Access control: what decides who comes in reads text from peers and operators. A header is read
//! or refused; rules are read or refused; what is read means the same when it is written and read
//! again, and a pattern agrees with the plainest matcher there is.

use synap::auth::{Action, Credential, Pattern, Resource, ResourceKind, Rights};
use synap::auth::{Actions, Permission};
use synap::cidr::Cidr;
use synap::config::{Config, Sources};

use super::{Target, texts};

pub(crate) const TARGET: Target = Target { name: "access", seeds, dictionary: DICTIONARY, run };

const DICTIONARY: &[&[u8]] = &[
    b"Basic ",
    b"Bearer ",
    b":",
    b"*",
    b"**",
    b"=",
    b"/32",
    b"::ffff:",
    b"kv:",
    b"queue",
    b"all",
    b"$2b$12$",
    b"$argon2id$v=19$m=",
    b",t=",
    b",p=",
    b"\n  - ",
    b"actions: [",
    b"roles: [",
    b"authenticated: false",
    b"resource_type: ",
    b"users:\n",
    b"api_keys:\n",
    b"acl:\n",
];

fn seeds() -> Vec<Vec<u8>> {
    texts(&[
        "Basic YW5uYTpjb3JyZWN0IGhvcnNl",
        "Bearer synap_0123456789abcdef",
        "kv:tenant1:*\ntenant1:42",
        "*:a*b*c\nabbc",
        "10.0.1.0/24\n10.0.1.7",
        "::ffff:10.0.0.0/104\n::1",
        "authentication: {enabled: true}\nusers:\n- {username: a, password: correct horse}\n",
        "roles:\n- {name: t, permissions: [{resource: 'kv:t:*', action: write}]}\n\
         acl:\n- {resource_type: kv, resource_pattern: 'p*', actions: [read], roles: [t]}\n",
        "api_keys:\n- {key: k, name: n, role: user, expires_days: 3, allowed_ips: [10.0.0.0/8]}\n",
    ])
}

fn run(input: &[u8]) {
    // What is read is bounded and never shown.
    if let Ok(credential) = Credential::from_authorization(input) {
        assert!(format!("{credential:?}").contains("***"));
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (first, second) = text.split_once('\n').unwrap_or((text, ""));
    if let Some(block) = Cidr::parse(first) {
        assert_eq!(Cidr::parse(&block.to_string()), Some(block));
        if let Ok(address) = second.parse() {
            assert_eq!(
                block.contains(address),
                Cidr::parse(first).expect("again").contains(address)
            );
        }
    }
    if let Ok(resource) = Resource::parse(first) {
        assert_eq!(Resource::parse(&resource.to_string()).expect("as written"), resource);
        decide(&resource, second.as_bytes());
    }
    synap::auth::hash::PasswordHash::parse(first).map(|hash| hash.as_str().len());
    let sources = Sources::default();
    if let Ok(loaded) = Config::from_text(text, &sources) {
        let plan = loaded.config.access;
        assert!(plan.rules.iter().all(|rule| !rule.actions.is_empty()), "a rule allows something");
        for key in &plan.keys {
            assert!(!key.roles.is_empty() || !key.permissions.is_empty(), "a key has rights");
        }
    }
}

/// One permission allows exactly what its resource means.
fn decide(resource: &Resource, name: &[u8]) {
    let permission = Permission { resource: resource.clone(), actions: Actions::of(Action::Write) };
    let rights = Rights::new(Vec::new(), vec![permission], &[]);
    for kind in ResourceKind::ALL {
        let meant = resource.kind.is_none_or(|own| own == kind) && means(&resource.pattern, name);
        assert_eq!(rights.allows(Action::Consume, kind, name), meant);
        assert!(!rights.allows(Action::Delete, kind, name));
        assert!(!meant || rights.allows_some(Action::Write, kind));
    }
}

/// As `Pattern::matches`, by a table of which beginnings match which.
fn means(pattern: &Pattern, name: &[u8]) -> bool {
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for symbol in pattern.as_str().bytes() {
        if symbol == b'*' {
            let first = reached.iter().position(|here| *here).unwrap_or(reached.len());
            reached.iter_mut().skip(first).for_each(|here| *here = true);
        } else {
            for at in (0..name.len()).rev() {
                reached[at + 1] = reached[at] && name[at] == symbol;
            }
            reached[0] = false;
        }
    }
    reached[name.len()]
}

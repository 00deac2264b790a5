//! Access control as a whole: verifying, changing, keeping, reloading.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use super::plan::{DAY_MS, Plan};
use super::policy::Weak;
use super::store::Store;
use super::*;
use crate::cidr::Cidr;
use crate::config::{Config, Sources};

const NOW: u64 = 1_700_000_000_000;
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 1, 7));

fn cheap_hash() -> String {
    hash::tests::cheap(b"correct horse").as_str().to_owned()
}

fn plan(yaml: &str) -> Plan {
    let loaded = Config::from_text(yaml, &Sources::default());
    loaded.unwrap_or_else(|errors| panic!("{errors}")).config.access
}

fn enabled(rest: &str) -> Plan {
    plan(&format!("authentication: {{enabled: true}}\n{}", rest.replace("HASH", &cheap_hash())))
}

const TWO_USERS: &str = "users:\n- {username: root, password_hash: 'HASH', role: admin}\n\
                         - {username: anna, password_hash: 'HASH', role: user}\n";

fn open(plan: Plan) -> Arc<Authority> {
    Authority::in_memory(plan).expect("consistent").0
}

fn admin(authority: &Authority) -> Identity {
    let who = Who::User("root".into());
    authority.current().1.resolve(&who, HERE, NOW).expect("there")
}

fn password(user: &str, password: &str) -> Credential {
    Credential::from_password(user.as_bytes(), password.as_bytes()).expect("short")
}

/// Asks as a core does, and waits for the answer.
fn check(desk: &mut Desk, credential: &Credential, now_ms: u64) -> Verdict {
    match desk.check(credential, HERE, now_ms) {
        Check::Decided(verdict) => verdict,
        Check::Ask(question) => {
            let (tell, told) = mpsc::channel();
            let authority = Arc::clone(desk.authority());
            let asked = authority.ask(question, now_ms, move |answer| {
                tell.send(answer).expect("the test waits");
            });
            asked.expect("few are waiting");
            let answer = told.recv_timeout(Duration::from_secs(30)).expect("an answer");
            desk.learn(answer, now_ms)
        }
    }
}

fn granted(verdict: Verdict) -> Identity {
    match verdict {
        Verdict::Granted(identity) => identity,
        Verdict::Refused(refusal) => panic!("refused: {refusal:?}"),
    }
}

fn refused(verdict: &Verdict) -> Refusal {
    match verdict {
        Verdict::Refused(refusal) => *refusal,
        Verdict::Granted(identity) => panic!("granted: {identity:?}"),
    }
}

fn user_edit(roles: &[&str]) -> UserEdit {
    UserEdit {
        password: Some(Secret::new("correct horse")),
        roles: Some(roles.iter().map(|role| (*role).to_owned()).collect()),
        ..UserEdit::default()
    }
}

fn create_key(authority: &Authority, order: KeyOrder) -> NewKey {
    match authority.change(&admin(authority), Change::CreateKey(order)).expect("made") {
        Changed::Key(key) => key,
        Changed::Done | Changed::Count(_) => panic!("a key is told"),
    }
}

#[test]
fn off_is_everything_for_everybody() {
    let desk = Desk::new(Authority::off());
    let directory = desk.directory();
    assert!(!directory.is_enabled() && !directory.is_required());
    assert!(directory.anonymous().is_admin());
}

#[test]
fn a_password_is_hashed_once_a_minute_and_a_wrong_user_costs_the_same() {
    let authority = open(enabled(TWO_USERS));
    let mut desk = Desk::new(Arc::clone(&authority));
    let right = password("anna", "correct horse");
    let identity = granted(check(&mut desk, &right, NOW));
    assert_eq!((identity.label(), identity.who()), ("anna", &Who::User("anna".into())));
    assert!(!identity.is_admin());
    assert_eq!(authority.verifications(), 1);
    granted(check(&mut desk, &right, NOW + 59_999));
    assert_eq!(authority.verifications(), 1, "remembered");
    granted(check(&mut desk, &right, NOW + 60_000));
    assert_eq!(authority.verifications(), 2, "forgotten");
    for (user, wrong) in [("anna", "wrong"), ("nobody", "wrong"), ("nobody", "correct horse")] {
        let before = authority.verifications();
        let verdict = check(&mut desk, &password(user, wrong), NOW);
        assert_eq!(refused(&verdict), Refusal::Credential);
        assert_eq!(authority.verifications(), before + 1, "{user} {wrong}");
    }
    let mut other = Desk::new(Arc::clone(&authority));
    let before = authority.verifications();
    granted(check(&mut other, &right, NOW + 60_001));
    assert_eq!(authority.verifications(), before, "another core has verified it");
}

#[test]
fn a_password_that_is_changed_while_it_is_verified_is_worth_nothing() {
    let authority = open(enabled(TWO_USERS));
    let root = admin(&authority);
    let make = Change::CreateUser { name: "berta".to_owned(), edit: user_edit(&["user"]) };
    authority.change(&root, make).expect("made");
    let mut desk = Desk::new(Arc::clone(&authority));
    let mut ask = |credential: &Credential| match desk.check(credential, HERE, NOW) {
        Check::Ask(question) => authority.answer(&question, NOW),
        Check::Decided(verdict) => panic!("decided: {verdict:?}"),
    };
    let (old, also) = (password("berta", "correct horse"), password("anna", "correct horse"));
    let (first, second, third) = (ask(&old), ask(&old), ask(&also));
    let set = |text: &str| {
        let password = Secret::new(text);
        let change = Change::SetPassword { name: "berta".to_owned(), password };
        authority.change(&root, change).expect("set");
    };
    // This core has not seen the change yet, and its directory still has the password.
    set("battery staple");
    let new = password("berta", "battery staple");
    let Check::Ask(question) = desk.check(&new, HERE, NOW) else { panic!("never seen") };
    let early = authority.answer(&question, NOW);
    granted(desk.learn(early, NOW));
    granted(desk.learn(first, NOW));
    assert!(desk.refresh());
    assert_eq!(refused(&desk.learn(second, NOW)), Refusal::Credential);
    let identity = granted(desk.learn(third, NOW));
    assert_eq!(identity.generation(), desk.directory().generation(), "with the rights of today");
    assert_eq!(refused(&check(&mut desk, &old, NOW)), Refusal::Credential);
}

#[test]
fn a_disabled_user_is_refused_only_after_the_password() {
    let authority = open(enabled(
        "users:\n- {username: root, password_hash: 'HASH', role: admin}\n\
         - {username: anna, password_hash: 'HASH', enabled: false}\n",
    ));
    let mut desk = Desk::new(authority);
    let verdict = check(&mut desk, &password("anna", "wrong"), NOW);
    assert_eq!(refused(&verdict), Refusal::Credential);
    let verdict = check(&mut desk, &password("anna", "correct horse"), NOW);
    assert_eq!(refused(&verdict), Refusal::Disabled);
    let certified =
        |name: &str| desk.directory().resolve(&Who::Certificate(Arc::from(name)), HERE, NOW);
    assert_eq!(certified("anna").expect_err("disabled"), Refusal::Disabled);
    assert!(certified("root").expect("enabled").is_admin());
}

#[test]
fn keys_are_checked_where_when_and_whether() {
    let authority = open(enabled(
        "api_keys:\n- {key: aaaa, name: app, role: admin, allowed_ips: [10.0.1.0/24]}\n\
         - {key: bbbb, name: far, allowed_ips: [10.0.2.0/24]}\n\
         - {key: cccc, name: off, enabled: false}\n\
         - {key: dddd, name: week, expires_days: 7}\n",
    ));
    let mut desk = Desk::new(Arc::clone(&authority));
    let key = |text: &str| Credential::from_key(text.as_bytes()).expect("short");
    let now = synap_io::clock::unix_ms();
    let identity = granted(check(&mut desk, &key("aaaa"), now));
    assert_eq!((identity.who(), identity.is_admin()), (&Who::Key("app".into()), true));
    assert_eq!(refused(&check(&mut desk, &key("bbbb"), now)), Refusal::Address);
    assert_eq!(refused(&check(&mut desk, &key("cccc"), now)), Refusal::Disabled);
    assert_eq!(refused(&check(&mut desk, &key("eeee"), now)), Refusal::Credential);
    let week = granted(check(&mut desk, &key("dddd"), now));
    let later = now + 7 * DAY_MS;
    assert_eq!(refused(&check(&mut desk, &key("dddd"), later)), Refusal::Expired);
    assert_eq!(authority.verifications(), 0, "keys need no slow hash");

    desk.fold();
    let usage = |id: &str| authority.current().1.key(id).expect("there").usage.count();
    assert_eq!((usage("app"), usage("far"), usage("week")), (1, 0, 1));

    // A connection that came with the key hears of its end as of any change.
    assert!(!desk.refresh());
    authority.tick(later);
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !desk.refresh() {
        assert!(std::time::Instant::now() < deadline, "the key has ended");
        std::thread::yield_now();
    }
    let resolved = desk.directory().resolve(week.who(), HERE, later);
    assert_eq!(resolved.map(|_| ()), Err(Refusal::Disabled));
}

#[test]
fn changes_are_in_force_everywhere_and_only_for_administrators() {
    let authority = open(enabled(TWO_USERS));
    let mut desk = Desk::new(Arc::clone(&authority));
    let anna = granted(check(&mut desk, &password("anna", "correct horse"), NOW));
    let create = || Change::CreateUser { name: "berta".to_owned(), edit: user_edit(&["user"]) };
    assert!(matches!(authority.change(&anna, create()), Err(ChangeRefused::NotAllowed)));
    authority.change(&admin(&authority), create()).expect("made");
    let again = authority.change(&admin(&authority), create());
    assert!(matches!(again, Err(ChangeRefused::Exists { what: What::User, .. })));
    assert!(desk.refresh(), "the core sees that there is a newer directory");
    let berta = granted(check(&mut desk, &password("berta", "correct horse"), NOW));
    assert_eq!(berta.rights().roles(), ["user".into()]);

    // Everyone may set the own password, and nobody else's.
    let set = |name: &str| Change::SetPassword {
        name: name.to_owned(),
        password: Secret::new("battery staple"),
    };
    assert!(matches!(authority.change(&berta, set("root")), Err(ChangeRefused::NotAllowed)));
    authority.change(&berta, set("berta")).expect("her own");
    desk.refresh();
    let old = check(&mut desk, &password("berta", "correct horse"), NOW);
    assert_eq!(refused(&old), Refusal::Credential);
    granted(check(&mut desk, &password("berta", "battery staple"), NOW));

    authority
        .change(&admin(&authority), Change::DeleteUser { name: "berta".to_owned() })
        .expect("gone");
    assert!(desk.refresh());
    assert!(desk.directory().resolve(berta.who(), HERE, NOW).is_err());
    assert!(matches!(authority.change(&berta, set("berta")), Err(ChangeRefused::NotAllowed)));
    let wrong = check(&mut desk, &password("berta", "battery staple"), NOW);
    assert_eq!(refused(&wrong), Refusal::Credential);
}

#[test]
fn what_must_not_be_is_refused() {
    let authority = open(enabled(TWO_USERS));
    let root = admin(&authority);
    let name = || "berta".to_owned();
    let refused = |change: Change| authority.change(&root, change).expect_err("refused");
    let weak = UserEdit { password: Some(Secret::new("password")), ..UserEdit::default() };
    let change = Change::CreateUser { name: name(), edit: weak };
    assert!(matches!(refused(change), ChangeRefused::Weak(Weak::Common)));
    let change = Change::CreateUser { name: name(), edit: user_edit(&["knight"]) };
    assert!(matches!(refused(change), ChangeRefused::Unknown { what: What::Role, .. }));
    let change = Change::CreateUser { name: "a:b".to_owned(), edit: UserEdit::default() };
    assert!(matches!(refused(change), ChangeRefused::Invalid { .. }));
    let change = Change::DeleteUser { name: "anna".to_owned() };
    assert!(matches!(refused(change), ChangeRefused::Fixed { .. }), "it is configured");
    let change = Change::DeleteRole { name: "admin".to_owned() };
    assert!(matches!(refused(change), ChangeRefused::Fixed { .. }));
    let change = Change::RevokeKey { key: Secret::new("synap_secret") };
    let text = refused(change).to_string();
    assert!(!text.contains("synap_secret"), "{text}");

    let permissions = vec![Permission::new(Resource::all_of(ResourceKind::Kv), Action::Read)];
    let role = || "tenant".to_owned();
    authority.change(&root, Change::CreateRole { name: role(), permissions }).expect("made");
    authority
        .change(&root, Change::CreateUser { name: name(), edit: user_edit(&["tenant"]) })
        .expect("made");
    let in_use = refused(Change::DeleteRole { name: role() });
    assert!(matches!(&in_use, ChangeRefused::InUse { by, .. } if by == "user `berta`"));
    authority.change(&root, Change::RemoveRole { name: name(), role: role() }).expect("taken");
    authority.change(&root, Change::DeleteRole { name: role() }).expect("gone");
}

#[test]
fn somebody_can_always_administer() {
    let authority = open(Plan::off());
    let anyone = authority.current().1.anonymous();
    let create = |name: &str, roles: &[&str]| Change::CreateUser {
        name: name.to_owned(),
        edit: user_edit(roles),
    };
    authority.change(&anyone, create("root", &["admin"])).expect("made");
    let last = |change: Change| {
        let refused = authority.change(&anyone, change);
        assert!(matches!(refused, Err(ChangeRefused::LastAdmin)), "{refused:?}");
    };
    let root = || "root".to_owned();
    let off = UserEdit { enabled: Some(false), ..UserEdit::default() };
    last(Change::DeleteUser { name: root() });
    last(Change::EditUser { name: root(), edit: off.clone() });
    last(Change::RemoveRole { name: root(), role: "admin".to_owned() });
    authority.change(&anyone, create("second", &["admin"])).expect("made");
    authority.change(&anyone, Change::EditUser { name: root(), edit: off }).expect("disabled");
    last(Change::DeleteUser { name: "second".to_owned() });
}

#[test]
fn a_rule_for_one_user_does_not_become_one_for_all() {
    let authority = open(enabled(TWO_USERS));
    let root = admin(&authority);
    let make = Change::CreateUser { name: "berta".to_owned(), edit: user_edit(&[]) };
    authority.change(&root, make).expect("made");
    let rule = RuleOrder {
        name: "hers".to_owned(),
        resource: Resource::parse("queue:mail").expect("a resource"),
        actions: Actions::of(Action::Write),
        public: false,
        roles: Vec::new(),
        users: vec!["berta".to_owned()],
    };
    authority.change(&root, Change::AddRule(rule)).expect("made");
    let may = |name: &str| {
        let directory = authority.current().1;
        let identity = directory.resolve(&Who::User(name.into()), HERE, NOW).expect("there");
        identity.rights().allows(Action::Delete, ResourceKind::Queue, b"mail")
            || identity.rights().allows(Action::Write, ResourceKind::Queue, b"mail")
    };
    assert!(may("berta"));
    let delete = Change::DeleteUser { name: "berta".to_owned() };
    authority.change(&root, delete).expect("gone");
    assert!(authority.current().1.rules().is_empty());
}

#[test]
fn keys_are_made_rotated_and_revoked() {
    let authority = open(enabled(TWO_USERS));
    let mut desk = Desk::new(Arc::clone(&authority));
    let order = KeyOrder { name: "worker".to_owned(), ..KeyOrder::default() };
    let made = create_key(&authority, order);
    let now = made.created_ms;
    assert_eq!(made.expires_ms, Some(now + 90 * DAY_MS));
    let key = |made: &NewKey| Credential::from_key(made.secret.expose()).expect("short");
    desk.refresh();
    let identity = granted(check(&mut desk, &key(&made), now));
    assert_eq!(identity.label(), "worker");
    assert_eq!(desk.directory().key(&made.id).expect("there").username.as_deref(), Some("root"));
    let rotate = Change::RotateKey { key: "worker".to_owned() };
    let Ok(Changed::Key(rotated)) = authority.change(&admin(&authority), rotate) else {
        panic!("rotated");
    };
    desk.refresh();
    assert_eq!(refused(&check(&mut desk, &key(&made), now)), Refusal::Credential);
    granted(check(&mut desk, &key(&rotated), now));
    let revoke = |key: Secret| authority.change(&admin(&authority), Change::RevokeKey { key });
    revoke(rotated.secret.clone()).expect("by the secret");
    desk.refresh();
    assert_eq!(desk.directory().keys().len(), 0);
    create_key(&authority, KeyOrder { name: "worker".to_owned(), ..KeyOrder::default() });
    let id = authority.current().1.keys().next().expect("one").id.clone();
    revoke(Secret::new(id.as_bytes())).expect("by id");
    let order = KeyOrder { name: "ever".to_owned(), expires_in_ms: Some(0), ..KeyOrder::default() };
    assert_eq!(create_key(&authority, order).expires_ms, None);
    revoke(Secret::new("ever")).expect("by name");
    assert_eq!(authority.current().1.keys().len(), 0);
}

#[test]
fn what_was_changed_outlives_the_process() {
    let data = tempfile::tempdir().expect("a directory");
    let store = || Store::of(data.path());
    let start = |yaml: &str| Authority::open(enabled(yaml), store(), NOW).expect("consistent").0;
    let authority = start(TWO_USERS);
    assert!(!store().path().exists(), "nothing to keep yet");
    let root = admin(&authority);
    let make = Change::CreateUser { name: "berta".to_owned(), edit: user_edit(&["user"]) };
    authority.change(&root, make).expect("made");
    let order = KeyOrder {
        name: "worker".to_owned(),
        role: Some("user".to_owned()),
        permissions: vec![Permission::new(
            Resource::parse("topic:a*").expect("one"),
            Action::Write,
        )],
        allowed: vec![Cidr::parse("10.0.0.0/8").expect("a block")],
        ..KeyOrder::default()
    };
    let made = create_key(&authority, order);
    let mut desk = Desk::new(Arc::clone(&authority));
    let key = Credential::from_key(made.secret.expose()).expect("short");
    granted(check(&mut desk, &key, made.created_ms));
    granted(check(&mut desk, &password("anna", "correct horse"), NOW));
    desk.fold();
    authority.close(NOW).expect("written");
    drop((desk, authority));

    let file = std::fs::read(store().path()).expect("there");
    let holds = |secret: &[u8]| memchr::memmem::find(&file, secret).is_some();
    assert!(!holds(made.secret.expose()) && !holds(b"correct horse"), "no secret is kept");
    let authority = start(TWO_USERS);
    let mut desk = Desk::new(Arc::clone(&authority));
    granted(check(&mut desk, &password("berta", "correct horse"), NOW));
    let identity = granted(check(&mut desk, &key, made.created_ms));
    assert!(identity.rights().allows(Action::Consume, ResourceKind::Topic, b"abc"));
    assert!(identity.rights().allows(Action::Delete, ResourceKind::Set, b"abc"));
    let directory = desk.directory();
    assert_eq!(directory.key(&made.id).expect("there").usage.count(), 1);
    assert_eq!(directory.user("anna").expect("there").usage.count(), 1, "also what is configured");
    drop((desk, authority));

    let both = format!("{TWO_USERS}- {{username: berta, password_hash: 'HASH'}}\n");
    match Authority::open(enabled(&both), store(), NOW) {
        Err(OpenError::Config(problems)) => {
            let text = problems[0].to_string();
            assert!(text.starts_with("line 5: `users[2]` names user `berta`"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    std::fs::write(store().path(), b"synap-access 1 crc32c=00000000 bytes=2\n{}").expect("damaged");
    let damaged = Authority::open(enabled(TWO_USERS), store(), NOW);
    assert!(matches!(damaged, Err(OpenError::Store(store::StoreError::Damaged { .. }))));
}

#[test]
fn the_days_of_a_configured_key_count_from_its_first_sight() {
    let data = tempfile::tempdir().expect("a directory");
    let store = Store::of(data.path());
    let yaml = "api_keys:\n- {key: dddd, name: week, expires_days: 7}\n";
    let open = |now| Authority::open(enabled(yaml), store.clone(), now).map(|_| ());
    open(NOW).expect("new");
    open(NOW + 7 * DAY_MS - 1).expect("still valid");
    let Err(OpenError::Config(problems)) = open(NOW + 7 * DAY_MS) else { panic!("expired") };
    let text = problems[0].to_string();
    assert!(text.starts_with("line 3: `api_keys[0]` is an expired key"), "{text}");
    assert!(!text.contains("dddd"), "{text}");
    let checked = Authority::check(&enabled(yaml), &store, NOW + 7 * DAY_MS);
    assert!(checked.is_err(), "--validate says the same");
    Authority::check(&enabled(yaml), &store, NOW).expect("valid then");
}

#[test]
fn a_first_start_makes_an_administrator_once() {
    let data = tempfile::tempdir().expect("a directory");
    let store = || Store::of(data.path());
    let (authority, first) = Authority::open(enabled(""), store(), NOW).expect("made");
    let first = first.expect("told");
    assert_eq!(first.user, "admin");
    let written = std::fs::read(first.path.as_ref().expect("written")).expect("there");
    assert_eq!(written.strip_suffix(b"\n").expect("a line"), first.password.expose());
    let text = String::from_utf8(first.password.expose().to_vec()).expect("text");
    let mut desk = Desk::new(Arc::clone(&authority));
    let identity = granted(check(&mut desk, &password("admin", &text), NOW));
    assert!(identity.is_admin());
    let (again, told) = Authority::open(enabled(""), store(), NOW).expect("there");
    assert!(told.is_none(), "it is told once");
    let change =
        Change::SetPassword { name: "admin".to_owned(), password: Secret::new("battery staple") };
    again.change(&identity, change).expect("changed");
    assert!(!store().password_path().exists(), "worth nothing any more");

    let off = Authority::in_memory(plan("")).expect("nothing");
    assert!(off.1.is_none() && off.0.current().1.users().len() == 0);
    let named = enabled("auth: {root: {username: boss, password: battery staple}}\n");
    let (authority, told) = Authority::in_memory(named).expect("made");
    assert!(told.is_none(), "its password is known");
    assert!(authority.current().1.is_admin(authority.current().1.user("boss").expect("made")));
    let none = enabled("auth: {root: {enabled: false}}\n");
    assert_eq!(open(none).current().1.users().len(), 0);
}

#[test]
fn a_reload_replaces_what_is_configured_and_keeps_the_rest() {
    let authority = open(enabled(TWO_USERS));
    let make = Change::CreateUser { name: "berta".to_owned(), edit: user_edit(&["user"]) };
    authority.change(&admin(&authority), make).expect("made");
    let mut desk = Desk::new(Arc::clone(&authority));
    granted(check(&mut desk, &password("anna", "correct horse"), NOW));
    let root_only = "users:\n- {username: root, password_hash: 'HASH', role: admin}\n";
    authority.reload(enabled(root_only), NOW).expect("consistent");
    assert!(desk.refresh());
    let names: Vec<_> = desk.directory().users().map(|user| user.name.as_ref()).collect();
    assert_eq!(names, ["berta", "root"]);
    let generation = authority.generation();
    authority.reload(enabled(root_only), NOW).expect("the same");
    assert_eq!(authority.generation(), generation, "nothing to be looked up again");
    let clash = format!("{root_only}- {{username: berta, password_hash: 'HASH'}}\n");
    assert!(matches!(authority.reload(enabled(&clash), NOW), Err(OpenError::Config(_))));
    assert_eq!(authority.generation(), generation, "refused whole");
}

#[test]
fn a_public_server_needs_somebody() {
    let guarded = "authentication: {require_auth_on_public_bind: true}\n";
    let Err(OpenError::Config(problems)) = Authority::in_memory(plan(guarded)) else {
        panic!("nobody could come in");
    };
    let text = problems[0].to_string();
    assert!(
        text.starts_with("line 1: `authentication.require_auth_on_public_bind` needs"),
        "{text}"
    );
    let with_key = plan(&format!("{guarded}api_keys: [{{key: a, name: a, role: admin}}]\n"));
    let directory = open(with_key).current().1;
    assert!(directory.is_enabled() && directory.is_required());
    let local = format!("server: {{host: 127.0.0.1}}\n{guarded}");
    assert!(!open(plan(&local)).current().1.is_enabled());
}

#[test]
fn rules_for_everybody_leave_the_door_open() {
    let rule = "acl:\n- {resource_type: kv, resource_pattern: 'public:*', actions: [read], \
                authenticated: false}\n";
    let open_door = open(enabled(&format!("{TWO_USERS}{rule}")));
    let directory = open_door.current().1;
    assert!(directory.is_enabled() && !directory.is_required());
    let anyone = directory.anonymous();
    assert!(anyone.rights().allows(Action::Read, ResourceKind::Kv, b"public:1"));
    assert!(!anyone.rights().allows(Action::Write, ResourceKind::Kv, b"public:1"));
    assert!(!anyone.rights().allows(Action::Read, ResourceKind::Kv, b"private"));
    assert!(open(enabled(TWO_USERS)).current().1.is_required());
    let closed = format!("authentication: {{enabled: true, require_auth: true}}\n{rule}");
    assert!(open(plan(&closed)).current().1.is_required());
    let unused = "authentication: {enabled: true}\nacl: {enabled: false, rules: [{\
                  resource: 'kv:*', actions: [all], require_auth: false}]}\n";
    assert!(open(plan(unused)).current().1.rules().is_empty());
}

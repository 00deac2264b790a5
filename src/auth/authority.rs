//! Access control of the process: the directory in force, changes of it, and slow hashing.
//!
//! No core ever waits here: what is slow is asked for and answered later, on a thread of the pool,
//! by a closure that must only hand the answer over and ring a bell. A change is in force only once
//! it is on disk, and a core sees it at its next turn.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use zeroize::Zeroizing;

use synap_io::clock;

use super::acl::rule::Said;
use super::acl::{BadRule, Step};
use super::apply::{self, Context};
use super::backoff::Backoff;
use super::change::{Change, ChangeRefused, Changed, UserEdit};
use super::credential::Secret;
use super::desk::{Answer, Question, Verdict};
use super::directory::{Directory, Refusal};
use super::hash::PasswordHash;
use super::identity::{Identity, Who};
use super::merge::{Kept, Seen, merge};
use super::noted;
use super::plan::{Plan, PlannedUser, Problem, Proof};
use super::policy;
pub use super::pool::Busy;
use super::pool::Pool;
use super::record::Records;
use super::role;
use super::store::{Store, StoreError};
use super::verified::{Fingerprint, Hasher, Verified};
use crate::audit;

/// Milliseconds between two times at which uses are written down.
const USES_SAVED_EVERY_MS: u64 = 60_000;

/// Access control of the process.
#[derive(Debug)]
pub struct Authority {
    generation: AtomicU64,
    directory: Mutex<Arc<Directory>>,
    hasher: Hasher,
    verified: Mutex<Verified>,
    /// Taken before `directory`, for as long as a change takes.
    book: Mutex<Book>,
    pool: Pool,
    verifications: AtomicU64,
    backoff: Backoff,
    /// A hash for names that nobody has, while nobody has a password either.
    decoy: OnceLock<PasswordHash>,
}

/// Who asks for a change, and where that is told from where.
#[derive(Clone, Debug)]
pub struct Asker {
    identity: Identity,
    from: Option<IpAddr>,
}

impl Asker {
    /// This caller, at this address.
    #[must_use]
    pub const fn at(identity: Identity, from: IpAddr) -> Self {
        Self { identity, from: Some(from) }
    }

    /// As security events call it: nobody from nowhere is who runs the process.
    fn as_noted(&self) -> audit::Who {
        match (self.from, self.identity.who()) {
            (None, Who::Anonymous) => audit::Who::Operator,
            _ => audit::Who::from(&self.identity),
        }
    }
}

impl From<Identity> for Asker {
    fn from(identity: Identity) -> Self {
        Self { identity, from: None }
    }
}

/// What only changes need.
#[derive(Debug)]
struct Book {
    plan: Plan,
    seen: Seen,
    /// Hashes of the passwords that the configuration has in clear.
    clear: HashMap<Fingerprint, PasswordHash>,
    store: Option<Store>,
    /// What the file says, but for uses.
    saved_ms: u64,
    saved_uses: u64,
}

/// Why there is no access control to start with.
#[derive(Debug)]
pub enum OpenError {
    /// The file of the data directory cannot be used.
    Store(StoreError),
    /// The configuration contradicts it, or itself; never empty.
    Config(Vec<Problem>),
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What was made at a first start, to be told once.
#[derive(Debug)]
pub struct FirstPassword {
    /// The administrator.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// Where it was written down.
    pub path: Option<std::path::PathBuf>,
}

impl Authority {
    /// Access control that is off: everyone may do everything. Changes are kept in memory.
    #[must_use]
    pub fn off() -> Arc<Self> {
        Self::in_memory(Plan::off()).expect("nothing contradicts nothing").0
    }

    /// That of a plan, without a file: for tests, and servers without a data directory.
    ///
    /// # Errors
    /// The plan contradicts itself.
    pub fn in_memory(plan: Plan) -> Result<(Arc<Self>, Option<FirstPassword>), OpenError> {
        Self::start(plan, None, clock::unix_ms())
    }

    /// That of a plan, and of what the data directory keeps.
    ///
    /// # Errors
    /// The file cannot be used, or contradicts the plan.
    pub fn open(
        plan: Plan,
        store: Store,
        now_ms: u64,
    ) -> Result<(Arc<Self>, Option<FirstPassword>), OpenError> {
        Self::start(plan, Some(store), now_ms)
    }

    /// Whether a plan fits what the data directory keeps; nothing is changed.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn check(plan: &Plan, store: &Store, now_ms: u64) -> Result<(), OpenError> {
        let kept = load(Some(store))?;
        // Nobody will log in here, so the hash may be any.
        let any = PasswordHash::any();
        merge(plan, kept, (1, now_ms), &mut |_| any.clone()).map_err(OpenError::Config)?;
        Ok(())
    }

    fn start(
        plan: Plan,
        store: Option<Store>,
        now_ms: u64,
    ) -> Result<(Arc<Self>, Option<FirstPassword>), OpenError> {
        let kept = load(store.as_ref())?;
        let hasher = Hasher::new();
        let mut clear = HashMap::new();
        let before = kept.seen.clone();
        let mut hash = |user: &PlannedUser| hash_clear(user, &hasher, &mut clear);
        let merged = merge(&plan, kept, (1, now_ms), &mut hash);
        let (directory, seen) = merged.map_err(OpenError::Config)?;
        let new_seen = seen != before;
        let book = Book { plan, seen, clear, store, saved_ms: now_ms, saved_uses: 0 };
        let authority = Self {
            generation: AtomicU64::new(directory.generation()),
            directory: Mutex::new(Arc::new(directory)),
            hasher,
            verified: Mutex::default(),
            book: Mutex::new(book),
            pool: Pool::default(),
            verifications: AtomicU64::new(0),
            backoff: Backoff::default(),
            decoy: OnceLock::new(),
        };
        if new_seen {
            authority.save_now(now_ms)?;
        }
        let first = authority.first_admin(now_ms)?;
        let directory = authority.current().1;
        authority.book().saved_uses = uses(&directory);
        Ok((Arc::new(authority), first))
    }

    /// Makes the administrator of a first start, where there is to be one.
    fn first_admin(&self, now_ms: u64) -> Result<Option<FirstPassword>, OpenError> {
        let mut book = self.book();
        let directory = self.current().1;
        let empty = directory.users().len() == 0 && directory.keys().len() == 0;
        let Some(first) = book.plan.first_admin.clone() else { return Ok(None) };
        let wanted = match &first.password {
            Some(_) => directory.user(&first.name).is_none(),
            None => empty,
        };
        if !(wanted && directory.is_enabled()) {
            return Ok(None);
        }
        let chance = first.password.is_none();
        let password = first.password.clone().unwrap_or_else(chance_password);
        let roles = Some(vec![role::ADMIN.to_owned()]);
        let edit = UserEdit { password: Some(password.clone()), roles, ..UserEdit::default() };
        let change = Change::CreateUser { name: first.name.clone(), edit };
        let hash = Some(PasswordHash::make(password.expose()));
        let sealed = Sealed { hash, clears: false };
        let path = match &book.store {
            Some(store) if chance => {
                store.save_password(password.expose())?;
                Some(store.password_path())
            }
            Some(_) | None => None,
        };
        let by = Asker::from(directory.anonymous());
        let made = self.make(&mut book, &by, change, sealed, now_ms);
        made.map_err(|refused| match refused {
            ChangeRefused::Store(error) => OpenError::Store(error),
            other => {
                OpenError::Config(vec![Problem { place: first.place, with: other.to_string() }])
            }
        })?;
        let told = FirstPassword { user: first.name, password, path };
        Ok(chance.then_some(told))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("nobody panics holding it")
    }

    /// The number of the directory in force; one relaxed load.
    #[inline]
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// The directory in force, and its number.
    #[must_use]
    pub fn current(&self) -> (u64, Arc<Directory>) {
        let directory = Arc::clone(&self.directory.lock().expect("nobody panics holding it"));
        (directory.generation(), directory)
    }

    fn put_in_force(&self, directory: Directory) {
        let generation = directory.generation();
        *self.directory.lock().expect("nobody panics holding it") = Arc::new(directory);
        self.verified.lock().expect("nobody panics holding it").clear();
        // A core that sees the number takes the lock to see the rest.
        self.generation.store(generation, Ordering::Release);
    }

    pub(super) fn fingerprint(&self, user: &[u8], password: &[u8]) -> Fingerprint {
        self.hasher.of(user, password)
    }

    /// Has a password verified; `done` gets the answer on another thread.
    ///
    /// # Errors
    /// Too much is waiting; `done` is dropped.
    pub fn ask(
        self: &Arc<Self>,
        question: Question,
        now_ms: u64,
        done: impl FnOnce(Answer) + Send + 'static,
    ) -> Result<(), Busy> {
        let this = Arc::clone(self);
        self.pool.run(move || done(this.answer(&question, now_ms)))
    }

    /// Verifies a password. Slow, and as slow for a name that nobody has: what is hashed then is as
    /// costly as the hash of some user, always the same one for the same name.
    #[must_use]
    pub fn answer(&self, question: &Question, now_ms: u64) -> Answer {
        let directory = self.current().1;
        let Question { user, password, fingerprint, from } = question;
        let fingerprint = *fingerprint;
        let known = self.verified.lock().expect("nobody panics holding it");
        if let Some(identity) = known.find(&fingerprint, now_ms)
            && identity.generation() == directory.generation()
        {
            let verdict = Verdict::Granted(identity.clone());
            let user = identity.who().user().and_then(|name| directory.user(name));
            let proof = user.and_then(|user| user.password.clone());
            return Answer { fingerprint, proof, verdict };
        }
        drop(known);
        let user = std::str::from_utf8(user).ok().and_then(|name| directory.user(name));
        let hash = user.and_then(|user| user.password.clone());
        let proof = hash.clone();
        let is_somebodys = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy_for(&question.user, &directory));
        self.verifications.fetch_add(1, Ordering::Relaxed);
        let matches = hash.verify(password.expose());
        let verdict = match user {
            Some(user) if matches && is_somebodys => {
                let who = Who::User(Arc::clone(&user.name));
                match directory.resolve(&who, *from, now_ms) {
                    Ok(identity) => Verdict::Granted(identity),
                    Err(refusal) => Verdict::Refused(refusal),
                }
            }
            Some(_) | None => Verdict::Refused(Refusal::Credential),
        };
        if let Verdict::Granted(identity) = &verdict {
            let mut verified = self.verified.lock().expect("nobody panics holding it");
            verified.keep(fingerprint, identity.clone(), now_ms);
        }
        Answer { fingerprint, proof, verdict }
    }

    fn decoy_for(&self, name: &[u8], directory: &Directory) -> PasswordHash {
        let hashes = || directory.users().filter_map(|user| user.password.as_ref());
        match hashes().count() {
            0 => self.decoy.get_or_init(|| PasswordHash::make(b"nobody").decoy()).clone(),
            count => {
                let at = self.hasher.of(name, b"").number() % count as u64;
                let hash = hashes().nth(usize::try_from(at).unwrap_or(0));
                hash.expect("fewer than there are").decoy()
            }
        }
    }

    /// Who has failed lately to log in.
    #[must_use]
    pub const fn backoff(&self) -> &Backoff {
        &self.backoff
    }

    /// Passwords hashed to be verified since the start, whatever came of them.
    #[must_use]
    pub fn verifications(&self) -> u64 {
        self.verifications.load(Ordering::Relaxed)
    }

    /// Has a change made; `done` gets what came of it on another thread.
    ///
    /// # Errors
    /// Too much is waiting; `done` is dropped.
    pub fn submit(
        self: &Arc<Self>,
        by: impl Into<Asker>,
        change: Change,
        done: impl FnOnce(Result<Changed, ChangeRefused>) + Send + 'static,
    ) -> Result<(), Busy> {
        let (this, by) = (Arc::clone(self), by.into());
        self.pool.run(move || done(this.change_for(&by, change)))
    }

    /// Makes a change: checked, written to disk, in force. Slow; not for cores.
    ///
    /// # Errors
    /// Why it is refused; then nothing has changed.
    pub fn change(&self, by: &Identity, change: Change) -> Result<Changed, ChangeRefused> {
        self.change_for(&Asker::from(by.clone()), change)
    }

    fn change_for(&self, by: &Asker, change: Change) -> Result<Changed, ChangeRefused> {
        let now_ms = clock::unix_ms();
        // What was allowed when it was asked for may not be any more.
        let found = self.current().1.still(by.identity.who(), now_ms);
        let identity = found.map_err(|_| ChangeRefused::NotAllowed)?;
        let own = matches!(&change, Change::SetPassword { name, .. }
            if identity.who().user() == Some(name.as_str()));
        if !own && !identity.is_admin() {
            return Err(ChangeRefused::NotAllowed);
        }
        let by = Asker { identity, from: by.from };
        match &change {
            Change::Save => self.save_again(now_ms),
            Change::Load => self.load_again(&by, now_ms),
            Change::SetUser { name, steps } => {
                // Taken before the password is compared with what it must still be afterwards.
                let mut book = self.book();
                let sealed = seal(&self.current().1, name, steps)?;
                self.make(&mut book, &by, change, sealed, now_ms)
            }
            _ => {
                let sealed = Sealed { hash: hash_of(&change)?, clears: false };
                self.make(&mut self.book(), &by, change, sealed, now_ms)
            }
        }
    }

    fn make(
        &self,
        book: &mut Book,
        by: &Asker,
        change: Change,
        sealed: Sealed,
        now_ms: u64,
    ) -> Result<Changed, ChangeRefused> {
        let before = self.current().1;
        let mut draft = before.draft();
        let first = book.plan.first_admin.as_ref().map(|first| first.name.clone());
        let of = |name: &String| Some(name) == first.as_ref();
        let Sealed { hash, clears } = sealed;
        let ends_first_password = match &change {
            Change::SetPassword { name, .. } | Change::EditUser { name, .. } => {
                hash.is_some() && of(name)
            }
            Change::SetUser { name, .. } => (hash.is_some() || clears) && of(name),
            Change::DeleteUser { name } => of(name),
            Change::DeleteUsers { names } => names.iter().any(of),
            _ => false,
        };
        let context = Context { by: by.identity.who(), hash, clears, plan: &book.plan, now_ms };
        let changed = apply::apply(&mut draft, change, context)?;
        if before.has_admin() && !draft.has_admin() {
            return Err(ChangeRefused::LastAdmin);
        }
        let directory = draft.ready();
        if let Some(store) = &book.store {
            let saved = store.save(&Records::of(&directory, &book.seen));
            saved.map_err(ChangeRefused::Store)?;
            if ends_first_password {
                // The password is worth nothing any more; that it lies there is only untidy.
                if let Err(error) = store.remove_password() {
                    tracing::warn!(%error, "the first password stays where it was written down");
                }
            }
        }
        (book.saved_ms, book.saved_uses) = (now_ms, uses(&directory));
        let noted = noted::changes(&before, &directory);
        self.put_in_force(directory);
        noted::record(noted, &by.as_noted(), by.from);
        Ok(changed)
    }

    /// Takes a re-read configuration.
    ///
    /// # Errors
    /// It contradicts itself or what was changed meanwhile; then nothing has changed.
    pub fn reload(&self, plan: Plan, now_ms: u64) -> Result<(), OpenError> {
        let mut book = self.book();
        if book.plan == plan {
            return Ok(());
        }
        let before = self.current().1;
        let kept = Kept::of(&before, &book.seen);
        let mut clear = std::mem::take(&mut book.clear);
        let mut hash = |user: &PlannedUser| hash_clear(user, &self.hasher, &mut clear);
        let merged = merge(&plan, kept, (before.generation() + 1, now_ms), &mut hash);
        book.clear = clear;
        let (directory, seen) = merged.map_err(OpenError::Config)?;
        if let Some(store) = &book.store
            && seen != book.seen
        {
            store.save(&Records::of(&directory, &seen))?;
        }
        (book.plan, book.seen) = (plan, seen);
        let noted = noted::changes(&before, &directory);
        self.put_in_force(directory);
        noted::record(noted, &audit::Who::Operator, None);
        Ok(())
    }

    /// To be called about once a second, by no core: ends keys whose time has come, and has uses
    /// written down now and then.
    pub fn tick(self: &Arc<Self>, now_ms: u64) {
        let directory = self.current().1;
        let over = |at: Option<u64>| at.is_some_and(|at| at <= now_ms);
        if directory.keys().any(|key| key.enabled && over(key.expires_ms)) {
            let this = Arc::clone(self);
            // Where too much waits, the next tick asks again;
            // a key that is shown is refused anyway.
            let _busy = self.pool.run(move || this.end_keys(now_ms));
        }
        let Ok(book) = self.book.try_lock() else { return };
        let due =
            book.store.is_some() && book.saved_ms.saturating_add(USES_SAVED_EVERY_MS) <= now_ms;
        if due && book.saved_uses != uses(&directory) {
            drop(book);
            let this = Arc::clone(self);
            let _busy = self.pool.run(move || {
                if let Err(error) = this.save_now(now_ms) {
                    tracing::warn!(%error, "uses of keys and users were not written down");
                }
            });
        }
    }

    /// Connections that came with a key look it up again only in a newer directory, so there is
    /// one, in which the key is as good as disabled.
    fn end_keys(&self, now_ms: u64) {
        let _book = self.book();
        let mut draft = self.current().1.draft();
        for key in draft.keys.values_mut() {
            if key.enabled && key.expires_ms.is_some_and(|at| at <= now_ms) {
                tracing::info!(key = %key.name, "an API key has expired");
                let mut ended = super::directory::Key::clone(key);
                ended.enabled = false;
                *key = Arc::new(ended);
            }
        }
        self.put_in_force(draft.ready());
    }

    /// Writes uses down; at the end of the process, after the cores have folded their counts.
    ///
    /// # Errors
    /// What the system said.
    pub fn close(&self, now_ms: u64) -> Result<(), StoreError> {
        let unsaved = self.book().saved_uses != uses(&self.current().1);
        if unsaved { self.save_now(now_ms) } else { Ok(()) }
    }

    fn save_again(&self, now_ms: u64) -> Result<Changed, ChangeRefused> {
        if self.book().store.is_none() {
            return Err(ChangeRefused::NoStore);
        }
        self.save_now(now_ms).map_err(ChangeRefused::Store)?;
        Ok(Changed::Done)
    }

    /// Takes what is on disk, whole or not at all.
    fn load_again(&self, by: &Asker, now_ms: u64) -> Result<Changed, ChangeRefused> {
        let mut book = self.book();
        let store = book.store.as_ref().ok_or(ChangeRefused::NoStore)?;
        let contradicts = |problems: Vec<Problem>| {
            let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
            ChangeRefused::Contradiction(problems.join("; "))
        };
        let refuse = |error| match error {
            OpenError::Store(error) => ChangeRefused::Store(error),
            OpenError::Config(problems) => contradicts(problems),
        };
        let kept = load(Some(store)).map_err(refuse)?;
        let before = self.current().1;
        let mut clear = std::mem::take(&mut book.clear);
        let mut hash = |user: &PlannedUser| hash_clear(user, &self.hasher, &mut clear);
        let merged = merge(&book.plan, kept, (before.generation() + 1, now_ms), &mut hash);
        book.clear = clear;
        let (directory, seen) = merged.map_err(contradicts)?;
        if before.has_admin() && !directory.has_admin() {
            return Err(ChangeRefused::LastAdmin);
        }
        book.seen = seen;
        (book.saved_ms, book.saved_uses) = (now_ms, uses(&directory));
        let noted = noted::changes(&before, &directory);
        self.put_in_force(directory);
        noted::record(noted, &by.as_noted(), by.from);
        Ok(Changed::Done)
    }

    fn save_now(&self, now_ms: u64) -> Result<(), StoreError> {
        let mut book = self.book();
        let directory = self.current().1;
        (book.saved_ms, book.saved_uses) = (now_ms, uses(&directory));
        match &book.store {
            Some(store) => store.save(&Records::of(&directory, &book.seen)),
            None => Ok(()),
        }
    }
}

fn load(store: Option<&Store>) -> Result<Kept, OpenError> {
    let Some(store) = store else { return Ok(Kept::default()) };
    let Some(records) = store.load()? else { return Ok(Kept::default()) };
    Kept::read(&records).map_err(|meaningless| {
        let (expected, found) = (meaningless.expected, meaningless.found);
        OpenError::Store(StoreError::Damaged { path: store.path(), expected, found })
    })
}

/// All uses there were: another sum means that there is something to write down.
fn uses(directory: &Directory) -> u64 {
    let users = directory.users().map(|user| user.usage.count());
    let keys = directory.keys().map(|key| key.usage.count());
    users.chain(keys).fold(0, u64::wrapping_add)
}

fn hash_clear(
    user: &PlannedUser,
    hasher: &Hasher,
    known: &mut HashMap<Fingerprint, PasswordHash>,
) -> PasswordHash {
    match &user.proof {
        Proof::Hash(hash) => hash.clone(),
        Proof::Clear(password) => {
            let fingerprint = hasher.of(user.name.as_bytes(), password.expose());
            let made = || PasswordHash::make(password.expose());
            known.entry(fingerprint).or_insert_with(made).clone()
        }
    }
}

/// What a change makes of a password.
#[derive(Debug, Default)]
struct Sealed {
    /// The hash of the new one.
    hash: Option<PasswordHash>,
    /// There is none any more.
    clears: bool,
}

/// What these steps make of the password of a user. Slow; nobody may change it meanwhile.
fn seal(directory: &Directory, name: &str, steps: &[Step]) -> Result<Sealed, ChangeRefused> {
    enum Now<'s> {
        Kept(&'s PasswordHash),
        None,
        New(&'s Secret),
    }
    let before = directory.user(name).and_then(|user| user.password.as_ref());
    let mut now = before.map_or(Now::None, Now::Kept);
    for step in steps {
        now = match (step.what(), now) {
            (Said::Reset | Said::NoPassword, _) => Now::None,
            (Said::Password(password), Now::None) => {
                policy::check(name, password.expose()).map_err(ChangeRefused::Weak)?;
                Now::New(password)
            }
            (Said::Password(password), Now::Kept(hash)) if hash.verify(password.expose()) => {
                Now::Kept(hash)
            }
            (Said::Password(password), Now::New(other)) if password == other => Now::New(other),
            (Said::Password(_), _) => return Err(step.refused(BadRule::AnotherPassword)),
            (Said::NotPassword(password), Now::Kept(hash)) if hash.verify(password.expose()) => {
                Now::None
            }
            (Said::NotPassword(password), Now::New(other)) if password == other => Now::None,
            (Said::NotPassword(_), _) => return Err(step.refused(BadRule::NoSuchPassword)),
            (_, now) => now,
        };
    }
    Ok(match now {
        Now::Kept(_) => Sealed::default(),
        Now::None => Sealed { hash: None, clears: true },
        Now::New(password) => {
            Sealed { hash: Some(PasswordHash::make(password.expose())), clears: true }
        }
    })
}

/// The hash of the password in a change, once it is found good enough. Slow.
fn hash_of(change: &Change) -> Result<Option<PasswordHash>, ChangeRefused> {
    let (name, password) = match change {
        Change::SetPassword { name, password } => (name, Some(password)),
        Change::CreateUser { name, edit } | Change::EditUser { name, edit } => {
            (name, edit.password.as_ref())
        }
        _ => return Ok(None),
    };
    let Some(password) = password else { return Ok(None) };
    policy::check(name, password.expose()).map_err(ChangeRefused::Weak)?;
    Ok(Some(PasswordHash::make(password.expose())))
}

/// 24 characters that are easy to tell apart: 120 bits of chance.
fn chance_password() -> Secret {
    const SYMBOLS: &[u8; 32] = b"abcdefghijkmnopqrstuvwxyz2345678";
    let mut text = Zeroizing::new(Vec::with_capacity(24));
    for _ in 0..2 {
        let chance = clock::entropy();
        text.extend((0..12).map(|at| SYMBOLS[(chance >> (5 * at)) as usize & 31]));
    }
    Secret::new(std::mem::take(&mut *text))
}

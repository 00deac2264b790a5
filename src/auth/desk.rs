//! Access control as one core sees it: its copy of the directory, the credentials it has seen
//! verified lately, and its counts of uses. Belongs to the core alone, so it has no lock.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::authority::Authority;
use super::credential::{Credential, Secret};
use super::directory::{Directory, Refusal};
use super::hash::PasswordHash;
use super::identity::{Identity, Who};
use super::key::Digest;
use super::verified::{Fingerprint, Verified};

/// What came of a credential.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The caller is this one.
    Granted(Identity),
    /// The caller is nobody.
    Refused(Refusal),
}

/// What is known of a credential at once.
#[derive(Debug)]
pub enum Check {
    /// All.
    Decided(Verdict),
    /// A password must be verified, which takes a while: give the question to
    /// [`Authority::ask`], and its answer to [`Desk::learn`] when it is back on this core.
    Ask(Question),
}

/// A password to verify.
#[derive(Debug)]
pub struct Question {
    pub(super) user: Vec<u8>,
    pub(super) password: Secret,
    pub(super) fingerprint: Fingerprint,
    pub(super) from: IpAddr,
}

impl Question {
    /// The user name as sent, for logs: at most [`super::credential::NAME_BYTES_MAX`] bytes of
    /// whatever the peer liked.
    #[must_use]
    pub fn user(&self) -> &[u8] {
        &self.user
    }

    /// Where the password was shown.
    #[must_use]
    pub const fn from(&self) -> IpAddr {
        self.from
    }
}

/// The answer to a [`Question`].
#[derive(Debug)]
pub struct Answer {
    pub(super) fingerprint: Fingerprint,
    /// The hash that the password is of, where it was right.
    pub(super) proof: Option<PasswordHash>,
    pub(super) verdict: Verdict,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    uses: u64,
    last_ms: u64,
}

/// Access control as one core sees it.
#[derive(Debug)]
pub struct Desk {
    authority: Arc<Authority>,
    directory: Arc<Directory>,
    verified: Verified,
    counts: HashMap<Who, Count>,
}

impl Desk {
    /// That of a core.
    #[must_use]
    pub fn new(authority: Arc<Authority>) -> Self {
        let directory = authority.current().1;
        Self { authority, directory, verified: Verified::default(), counts: HashMap::new() }
    }

    /// Looks for a newer directory: one relaxed load, to be called once per turn. Whether there
    /// was one; then every connection must look its identity up again.
    #[inline]
    pub fn refresh(&mut self) -> bool {
        self.authority.generation() != self.directory.generation && self.take_newer()
    }

    #[cold]
    fn take_newer(&mut self) -> bool {
        self.fold();
        self.directory = self.authority.current().1;
        self.verified.clear();
        true
    }

    /// The directory in force.
    #[inline]
    #[must_use]
    pub const fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// The authority behind it.
    #[must_use]
    pub const fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// Checks a credential shown from an address. Everything is refused or granted at once but
    /// passwords that were not seen lately.
    #[must_use]
    pub fn check(&mut self, credential: &Credential, from: IpAddr, now_ms: u64) -> Check {
        let verdict = match credential {
            Credential::Key(key) => self.check_key(key, from, now_ms),
            Credential::Password { user, password } => {
                let fingerprint = self.authority.fingerprint(user, password.expose());
                match self.verified.find(&fingerprint, now_ms) {
                    Some(identity) => Verdict::Granted(identity.clone()),
                    None => {
                        let (user, password) = (user.clone(), password.clone());
                        return Check::Ask(Question { user, password, fingerprint, from });
                    }
                }
            }
        };
        if let Verdict::Granted(identity) = &verdict {
            self.count(identity, now_ms);
        }
        Check::Decided(verdict)
    }

    fn check_key(&self, key: &Secret, from: IpAddr, now_ms: u64) -> Verdict {
        match self.directory.by_digest.get(&Digest::of(key.expose())) {
            None => Verdict::Refused(Refusal::Credential),
            Some(key) => match key.refusal(from, now_ms) {
                Some(refusal) => Verdict::Refused(refusal),
                None => Verdict::Granted(self.directory.identify(key)),
            },
        }
    }

    /// Takes an answer that came back: remembers it for a minute, and counts the use.
    pub fn learn(&mut self, answer: Answer, now_ms: u64) -> Verdict {
        let Answer { fingerprint, proof, verdict } = answer;
        let Verdict::Granted(identity) = &verdict else { return verdict };
        let current = self.directory.generation;
        if identity.generation() < current && !self.is_still(identity, proof.as_ref()) {
            return Verdict::Refused(Refusal::Credential);
        }
        let verdict = match identity.generation() {
            found if found < current => self.again(identity, now_ms),
            // One that this core has not seen yet knows better.
            _ => verdict,
        };
        if let Verdict::Granted(identity) = &verdict {
            if identity.generation() == current {
                self.verified.keep(fingerprint, identity.clone(), now_ms);
            }
            self.count(identity, now_ms);
        }
        verdict
    }

    /// Whether the password that was right is still the one of the user: it may have been changed
    /// while it was verified.
    fn is_still(&self, identity: &Identity, proof: Option<&PasswordHash>) -> bool {
        let user = identity.who().user().and_then(|name| self.directory.user(name));
        user.is_some_and(|user| user.password.is_some() && user.password.as_ref() == proof)
    }

    fn again(&self, identity: &Identity, now_ms: u64) -> Verdict {
        // Only keys are bound to addresses, and no key is ever asked about.
        let nowhere = IpAddr::from([0, 0, 0, 0]);
        verdict(self.directory.resolve(identity.who(), nowhere, now_ms))
    }

    /// Counts a use of an identity that was kept instead of checked again.
    pub fn count(&mut self, identity: &Identity, now_ms: u64) {
        if !identity.who().is_authenticated() {
            return;
        }
        match self.counts.get_mut(identity.who()) {
            Some(count) => *count = Count { uses: count.uses + 1, last_ms: now_ms },
            None => {
                self.counts.insert(identity.who().clone(), Count { uses: 1, last_ms: now_ms });
            }
        }
    }

    /// Adds this core's counts to those of the process; to be called about once a second.
    pub fn fold(&mut self) {
        for (who, count) in self.counts.drain() {
            let usage = match &who {
                Who::Anonymous => None,
                Who::User(name) | Who::Certificate(name) => {
                    self.directory.user(name).map(|user| &user.usage)
                }
                Who::Key(id) => self.directory.key(id).map(|key| &key.usage),
            };
            if let Some(usage) = usage {
                usage.add(count.uses, count.last_ms);
            }
        }
    }
}

fn verdict(found: Result<Identity, Refusal>) -> Verdict {
    match found {
        Ok(identity) => Verdict::Granted(identity),
        Err(refusal) => Verdict::Refused(refusal),
    }
}

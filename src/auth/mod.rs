//! Access control: who callers are and what they may do. What asks the questions, on every surface,
//! is `session::authorize`; here is what answers them.
//!
//! ```text
//! Authority   one per process: the current Directory, changes of it, the store, slow hashing
//!   └ Desk    one per core: its copy of the Directory, credentials verified lately, counts
//!       └ Identity   one per caller: who, and Rights put together for it
//! ```
//!
//! A core calls [`Desk::refresh`] once per turn; everything else needs no lock and no other core.
//! Passwords are verified on threads of their own ([`Authority::ask`]). A connection keeps its
//! [`Identity`] and, when [`Desk::refresh`] says that the directory is another, finds it again by
//! [`Directory::resolve`].

pub mod acl;
pub mod action;
mod apply;
pub mod authority;
pub mod backoff;
pub mod change;
pub mod credential;
pub mod desk;
pub mod directory;
pub mod hash;
pub mod identity;
pub mod init;
pub mod key;
mod merge;
mod noted;
pub mod plan;
pub mod policy;
mod pool;
mod record;
pub mod resource;
pub mod rights;
pub mod role;
pub mod store;
pub mod usage;
mod verified;

pub use acl::{Acl, BadRule, Selector, Step};
pub use action::{Action, Actions};
pub use authority::{Asker, Authority, Busy, FirstPassword, OpenError};
pub use backoff::{Backoff, Guess};
pub use change::{Change, ChangeRefused, Changed, KeyOrder, RuleOrder, UserEdit, What};
pub use credential::{BadHeader, Credential, Secret};
pub use desk::{Answer, Check, Desk, Question, Verdict};
pub use directory::{Directory, Key, Refusal, Role, Rule, Source, Switches, User};
pub use identity::{Identity, Who};
pub use key::NewKey;
pub use plan::Plan;
pub use resource::{BadResource, Pattern, Resource, ResourceKind};
pub use rights::{Permission, Rights};

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

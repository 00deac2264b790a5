//! Rights as Redis writes them: selectors of commands, keys and channels, and the words that make
//! them (`ACL SETUSER`). A user has them beside roles and rights of its own, and may do what any of
//! these allows.
//!
//! Nothing is taken for less or more than it says: what has no meaning here is refused, with what
//! could be written instead.

pub mod category;
mod commands;
pub mod rule;
pub mod selector;
#[cfg(test)]
mod tests;

pub use rule::{BadRule, Step};
pub use selector::Selector;

/// Selectors in parentheses that one user may have.
pub const SELECTORS_MAX: usize = 32;

/// What a user may do in the words of Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl {
    /// What stands outside of parentheses.
    pub root: Selector,
    /// The rest.
    pub more: Vec<Selector>,
}

impl Acl {
    /// All selectors.
    pub fn selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.more)
    }

    /// Whether one of them allows everything.
    pub fn is_everything(&self) -> bool {
        self.selectors().any(Selector::is_everything)
    }
}

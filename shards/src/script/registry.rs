//! The scripts that the whole process knows, by digest. Every core asks the same registry, so that
//! a script that one core was given runs by its digest on each.

use std::fmt::Debug;
use std::sync::Arc;

pub use super::sha1::HexDigest;

/// How a script came to be known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// `SCRIPT LOAD`: kept until it is flushed.
    Loaded,
    /// `EVAL`: kept while there is room.
    Evaluated,
}

/// The registry. It is called while a core serves requests, so it must be quick and wait for
/// nothing but another core's call of it.
pub trait Registry: Debug + Send + Sync {
    /// Grows whenever scripts are flushed; what a core has compiled before is void then.
    fn generation(&self) -> u64;
    /// The text of a script.
    fn find(&self, name: &HexDigest) -> Option<Arc<[u8]>>;
    /// Takes a script in; false when there is no room for it.
    fn add(&self, name: HexDigest, text: &[u8], origin: Origin) -> bool;
    /// Forgets every script; how many there were.
    fn flush(&self) -> usize;
}

//! The scripts that the whole process knows, by digest, and the libraries of functions. Every core
//! asks the same registry, so that a script that one core was given runs by its digest on each, and
//! a library that was loaded by one is known to all. Libraries are kept by shard 0; what is here is
//! a copy of what whoever holds that shard has published.

use std::fmt::Debug;
use std::sync::Arc;

use crate::id::CoreId;
use crate::shard::libraries::LibrarySet;

pub use super::sha1::HexDigest;

/// How a script came to be known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// `SCRIPT LOAD`: kept until it is flushed.
    Loaded,
    /// `EVAL`: kept while there is room.
    Evaluated,
}

/// A function that runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Running {
    /// Its name.
    pub name: Vec<u8>,
    /// The command that called it, cut.
    pub command: Vec<Vec<u8>>,
    /// When it began, nanoseconds on the clock that bounds scripts.
    pub since_ns: u64,
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

    /// Grows whenever libraries are published.
    fn library_version(&self) -> u64;
    /// The libraries, and their version.
    fn libraries(&self) -> (u64, Arc<LibrarySet>);
    /// Publishes libraries, not settled yet; their version. For the holder of shard 0.
    fn publish(&self, set: &Arc<LibrarySet>) -> u64;
    /// What was published with this version is stable. For the holder of shard 0.
    fn settle(&self, version: u64);
    /// Whether what was published with this version is stable: an answer that depends on it waits
    /// for nothing.
    fn is_settled(&self, version: u64) -> bool;
    /// How many functions the libraries of this version have registered.
    fn counted(&self, version: u64, functions: usize);

    /// A function begins to run.
    fn began(&self, core: CoreId, running: Running);
    /// It has ended.
    fn ended(&self, core: CoreId);
    /// A function that runs now on some core.
    fn running(&self) -> Option<Running>;
}

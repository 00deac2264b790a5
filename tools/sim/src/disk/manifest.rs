//! The manifest: the history of a data directory in two copies. A store brings both to the same
//! content, one after the other, so that a crash leaves one that is valid and damage to one leaves
//! the other.

use synap_shards::recovery::History;

use super::format::{open_file, seal_file};
use super::read::Refusal;
use super::{Disk, Name};

/// What [`load`] found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Manifest {
    pub(crate) sequence: u64,
    pub(crate) history: History,
}

/// The newer valid copy, or nothing when there is none at all.
pub(crate) fn load(copies: [Option<Vec<u8>>; 2]) -> Result<Option<Manifest>, Refusal> {
    if copies.iter().all(Option::is_none) {
        return Ok(None);
    }
    let mut newest: Option<Manifest> = None;
    for bytes in copies.into_iter().flatten() {
        let Some((sequence, payload)) = open_file(&bytes) else { continue };
        let history = History::decode(payload).expect("what the checksum covers was encoded");
        if newest.as_ref().is_none_or(|newest| newest.sequence < sequence) {
            newest = Some(Manifest { sequence, history });
        }
    }
    let evidence = "no copy of the manifest is valid";
    newest.map(Some).ok_or(Refusal { name: Name::Manifest { copy: 0 }, at: 0, evidence })
}

/// The copies that a store writes, in order: first the one that is the older.
pub(crate) fn order(disk: &Disk) -> [Name; 2] {
    let sequence = |copy| {
        let bytes = disk.view(Name::Manifest { copy }).unwrap_or_default();
        open_file(&bytes).map_or(0, |(sequence, _)| sequence)
    };
    let older = usize::from(sequence(1) < sequence(0));
    [Name::Manifest { copy: older }, Name::Manifest { copy: 1 - older }]
}

/// Bytes of a copy.
pub(crate) fn encode(sequence: u64, history: &History) -> Vec<u8> {
    seal_file(sequence, &history.encode())
}

//! A small file in two copies, `MANIFEST.a` and `MANIFEST.b`: a store replaces both, the older
//! first, so that a crash at any moment leaves one that is valid, and damage to one at any later
//! time leaves the other with the same content.
//!
//! Format, little endian: magic (8 bytes), crc32c of everything behind it (4), format (2), zero
//! (2), sequence (8), payload bytes (4), zero (4), payload.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crc32c::crc32c;

use super::error::WalError;
use super::files::sync_dir;
use crate::disk;

/// Format written and the newest one read.
pub const MANIFEST_FORMAT: u16 = 1;
/// Bytes of a payload.
pub const MANIFEST_BYTES_MAX: usize = 16 * 1024 * 1024;

const MAGIC: [u8; 8] = *b"SYNAPMAN";
const HEADER: usize = 32;
const NAMES: [&str; 2] = ["MANIFEST.a", "MANIFEST.b"];

/// A valid manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// Rises by one with each store.
    pub sequence: u64,
    /// What was stored.
    pub payload: Vec<u8>,
}

/// One of the two files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Copy {
    /// It is not there.
    Absent,
    /// It is no manifest.
    Damaged,
    /// It is sound.
    Valid(Manifest),
}

/// Both copies with their paths, for tools that look at files.
///
/// # Errors
/// [`WalError::Version`] when a newer program wrote one, [`WalError::Io`].
pub fn copies(directory: &Path) -> Result<[(PathBuf, Copy); 2], WalError> {
    let [a, b] = NAMES.map(|name| directory.join(name));
    let (first, second) = (read(a.clone())?, read(b.clone())?);
    Ok([(a, first), (b, second)])
}

/// The newer valid copy in `directory`, or nothing when there is none at all.
///
/// # Errors
/// [`WalError::Manifest`] when there are copies and none is valid, [`WalError::Version`] when a
/// newer program wrote one, [`WalError::Io`].
pub fn load(directory: &Path) -> Result<Option<Manifest>, WalError> {
    let copies = read_both(directory)?;
    if copies.iter().all(|copy| matches!(copy, Copy::Absent)) {
        return Ok(None);
    }
    let mut damaged = Vec::new();
    let mut newest: Option<Manifest> = None;
    for (name, copy) in NAMES.iter().zip(copies) {
        match copy {
            Copy::Absent => {}
            Copy::Damaged => damaged.push(directory.join(name)),
            Copy::Valid(found) => {
                if newest.as_ref().is_none_or(|newest| newest.sequence < found.sequence) {
                    newest = Some(found);
                }
            }
        }
    }
    newest.map_or(Err(WalError::Manifest { copies: damaged }), |newest| Ok(Some(newest)))
}

/// Stores `payload` (at most [`MANIFEST_BYTES_MAX`]) durably in both copies; its sequence.
///
/// # Errors
/// As [`load`].
pub fn store(directory: &Path, payload: &[u8]) -> Result<u64, WalError> {
    assert!(payload.len() <= MANIFEST_BYTES_MAX, "a manifest of {} bytes", payload.len());
    let sequences = read_both(directory)?.map(|copy| match copy {
        Copy::Valid(manifest) => manifest.sequence,
        Copy::Absent | Copy::Damaged => 0,
    });
    let older = usize::from(sequences[1] < sequences[0]);
    let sequence = sequences[0].max(sequences[1]) + 1;
    let bytes = encode(sequence, payload);
    for name in [NAMES[older], NAMES[1 - older]] {
        let path = directory.join(name);
        replace(&path, &bytes).map_err(WalError::io("write", &path))?;
        // The first copy must be safe before the second is touched.
        sync_dir(directory)?;
    }
    Ok(sequence)
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(true).open(path)?;
    disk::write_all_at(&file, bytes, 0)?;
    disk::sync_all(&file)
}

fn encode(sequence: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[12..14].copy_from_slice(&MANIFEST_FORMAT.to_le_bytes());
    bytes[16..24].copy_from_slice(&sequence.to_le_bytes());
    bytes[24..28].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(payload);
    let crc = crc32c(&bytes[12..]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn read_both(directory: &Path) -> Result<[Copy; 2], WalError> {
    let [a, b] = NAMES.map(|name| read(directory.join(name)));
    Ok([a?, b?])
}

fn read(path: PathBuf) -> Result<Copy, WalError> {
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Copy::Absent),
        Err(error) => return Err(WalError::io("read", &path)(error)),
    };
    let sound = bytes.len() >= HEADER
        && bytes[..8] == MAGIC
        && bytes[8..12] == crc32c(&bytes[12..]).to_le_bytes();
    if !sound {
        return Ok(Copy::Damaged);
    }
    let field = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let found = u16::from_le_bytes([bytes[12], bytes[13]]);
    if found > MANIFEST_FORMAT {
        return Err(WalError::Version { path, found, supported: MANIFEST_FORMAT });
    }
    let sequence = field(16);
    let payload_bytes = field(24) & u64::from(u32::MAX);
    if payload_bytes != (bytes.len() - HEADER) as u64 {
        return Ok(Copy::Damaged);
    }
    Ok(Copy::Valid(Manifest { sequence, payload: bytes[HEADER..].to_vec() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_to_one_twin_loses_nothing() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path();
        assert_eq!(load(path).expect("readable"), None);
        for (sequence, payload) in [(1, b"one"), (2, b"two"), (3, b"six")] {
            assert_eq!(store(path, payload).expect("store"), sequence);
        }
        let newest = Manifest { sequence: 3, payload: b"six".to_vec() };
        let bytes = encode(3, b"six");
        for copy in NAMES.map(|name| path.join(name)) {
            for cut in [0, 5, HEADER, HEADER + 2] {
                fs::write(&copy, &bytes[..cut]).expect("truncate");
                assert_eq!(load(path).expect("readable"), Some(newest.clone()));
            }
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                fs::write(&copy, flipped).expect("flip");
                assert_eq!(load(path).expect("readable"), Some(newest.clone()));
            }
            fs::write(&copy, &bytes).expect("restore");
        }
    }

    #[test]
    fn a_crash_between_the_twins_leaves_the_newer() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path();
        assert_eq!(store(path, b"old").expect("store"), 1);
        fs::write(path.join(NAMES[0]), encode(2, b"new")).expect("write");
        assert_eq!(load(path).expect("readable").expect("stored").payload, b"new");
        fs::write(path.join(NAMES[0]), &encode(2, b"new")[..9]).expect("write");
        assert_eq!(load(path).expect("readable").expect("stored").payload, b"old");
        assert_eq!(store(path, b"next").expect("store"), 2);
        assert_eq!(load(path).expect("readable").expect("stored").payload, b"next");
    }

    #[test]
    fn two_damaged_twins_are_named() {
        let directory = tempfile::tempdir().expect("directory");
        for name in NAMES {
            fs::write(directory.path().join(name), b"garbage").expect("write");
        }
        match load(directory.path()) {
            Err(WalError::Manifest { copies }) => assert_eq!(copies.len(), 2),
            other => panic!("expected an error, got {other:?}"),
        }
    }

    #[test]
    fn a_newer_format_is_refused_by_both_versions() {
        let directory = tempfile::tempdir().expect("directory");
        let mut bytes = encode(1, b"x");
        bytes[12] = 9;
        let crc = crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        fs::write(directory.path().join(NAMES[1]), bytes).expect("write");
        match load(directory.path()) {
            Err(WalError::Version { found, supported, .. }) => {
                assert_eq!((found, supported), (9, 1))
            }
            other => panic!("expected a version error, got {other:?}"),
        }
    }
}

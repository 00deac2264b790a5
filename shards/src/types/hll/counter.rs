//! A counter as the bytes of a string value.
//!
//! ```text
//! magic     4 bytes   HYLL
//! form      u8        0 dense, 1 sparse
//! unused    3 bytes   zero
//! count     u64       little endian; the cardinality as last computed, with its highest bit set
//!                     when registers have changed since
//! registers           as the form says
//! ```
//!
//! Anyone may write any string, so nothing here trusts what it reads.

use std::borrow::Cow;

use super::estimate::{Histogram, cardinality};
use super::hash::place;
use super::sparse::Change;
use super::{HEADER_BYTES, Registers, dense, sparse};
use crate::command::error::CommandError;

const MAGIC: &[u8; 4] = b"HYLL";
const FORM_AT: usize = 4;
/// Where the cached cardinality stands.
pub(super) const COUNT_AT: usize = 8;
/// The byte with the bit that says the cardinality is out of date.
pub(super) const STALE_AT: usize = 15;
const STALE: u8 = 0x80;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;

/// A string that is no counter.
const NOT_A_COUNTER: CommandError = CommandError::Coded {
    code: "WRONGTYPE",
    message: "Key is not a valid HyperLogLog string value.",
};
/// A counter whose registers make no sense.
const DAMAGED: CommandError =
    CommandError::Coded { code: "INVALIDOBJ", message: "Corrupted HLL object detected" };

/// How the registers are held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Dense,
    Sparse,
}

/// What a change did to the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Raised {
    /// Nothing.
    No,
    /// This register of a dense counter has a new rank.
    Register(usize),
    /// Runs were changed, or the form.
    Layout,
}

/// A counter; borrowed until it changes.
#[derive(Clone, Debug)]
pub(super) struct Counter<'v> {
    bytes: Cow<'v, [u8]>,
    form: Form,
}

impl<'v> Counter<'v> {
    /// A counter of nothing.
    pub(super) fn new() -> Self {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[FORM_AT] = SPARSE;
        bytes.extend_from_slice(&sparse::EMPTY_RUNS);
        Self { bytes: Cow::Owned(bytes), form: Form::Sparse }
    }

    /// The counter that a string holds.
    pub(super) fn read(value: &'v [u8]) -> Result<Self, CommandError> {
        let form = match value.get(FORM_AT) {
            Some(&DENSE) => Form::Dense,
            Some(&SPARSE) => Form::Sparse,
            Some(_) | None => return Err(NOT_A_COUNTER),
        };
        let long_enough = match form {
            Form::Dense => value.len() == dense::DENSE_BYTES,
            Form::Sparse => value.len() >= HEADER_BYTES,
        };
        if !long_enough || !value.starts_with(MAGIC) {
            return Err(NOT_A_COUNTER);
        }
        Ok(Self { bytes: Cow::Borrowed(value), form })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    fn registers(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// The cardinality as last computed, if nothing has changed since.
    pub(super) fn cached(&self) -> Option<u64> {
        let count = self.bytes[COUNT_AT..HEADER_BYTES].first_chunk::<8>()?;
        (count[7] & STALE == 0).then(|| u64::from_le_bytes(*count))
    }

    /// The cardinality, computed.
    pub(super) fn count(&self) -> Result<u64, CommandError> {
        let counts = match self.form {
            Form::Dense => dense::histogram(self.registers()),
            Form::Sparse => {
                let mut counts: Histogram = [0; 64];
                let sound = sparse::walk(self.registers(), |rank, range| {
                    counts[usize::from(rank)] += range.len() as u32;
                });
                if !sound {
                    return Err(DAMAGED);
                }
                counts
            }
        };
        Ok(cardinality(&counts))
    }

    /// Raises each of `all` to the rank of its register here.
    pub(super) fn merge_into(&self, all: &mut Registers) -> Result<(), CommandError> {
        match self.form {
            Form::Dense => dense::merge(self.registers(), all),
            Form::Sparse if sparse::merge(self.registers(), all) => {}
            Form::Sparse => return Err(DAMAGED),
        }
        Ok(())
    }

    fn rank(&self, index: usize) -> Result<u8, CommandError> {
        match self.form {
            Form::Dense => Ok(dense::get(self.registers(), index)),
            Form::Sparse => sparse::get(&self.bytes, index).ok_or(DAMAGED),
        }
    }

    /// Counts an element.
    pub(super) fn add(&mut self, element: &[u8], bytes_max: usize) -> Result<Raised, CommandError> {
        let (index, rank) = place(element);
        self.raise(index, rank, bytes_max)
    }

    /// Raises a register; a sparse counter that would exceed `bytes_max` bytes becomes dense.
    pub(super) fn raise(
        &mut self,
        index: usize,
        rank: u8,
        bytes_max: usize,
    ) -> Result<Raised, CommandError> {
        if self.rank(index)? >= rank {
            return Ok(Raised::No);
        }
        if self.form == Form::Sparse {
            match sparse::raise(self.bytes.to_mut(), index, rank, bytes_max) {
                Some(Change::Done | Change::None) => return Ok(Raised::Layout),
                Some(Change::TooMuch) => self.make_dense()?,
                None => return Err(DAMAGED),
            }
            dense::set(&mut self.bytes.to_mut()[HEADER_BYTES..], index, rank);
            return Ok(Raised::Layout);
        }
        dense::set(&mut self.bytes.to_mut()[HEADER_BYTES..], index, rank);
        Ok(Raised::Register(index))
    }

    /// Changes the form to dense; the cached cardinality stays as it is.
    pub(super) fn make_dense(&mut self) -> Result<(), CommandError> {
        if self.form == Form::Dense {
            return Ok(());
        }
        let mut bytes = vec![0; dense::DENSE_BYTES];
        bytes[..HEADER_BYTES].copy_from_slice(&self.bytes[..HEADER_BYTES]);
        bytes[FORM_AT] = DENSE;
        let registers = &mut bytes[HEADER_BYTES..];
        let sound = sparse::walk(self.registers(), |rank, range| {
            if rank > 0 {
                range.for_each(|index| dense::set(registers, index, rank));
            }
        });
        if !sound {
            return Err(DAMAGED);
        }
        *self = Self { bytes: Cow::Owned(bytes), form: Form::Dense };
        Ok(())
    }

    /// Notes that the cached cardinality no longer holds.
    pub(super) fn outdate(&mut self) {
        if self.bytes[STALE_AT] & STALE == 0 {
            self.bytes.to_mut()[STALE_AT] |= STALE;
        }
    }

    /// Every register.
    pub(super) fn all_registers(&self) -> Result<Box<Registers>, CommandError> {
        let mut all = Box::new([0; super::REGISTERS]);
        self.merge_into(&mut all)?;
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_redis() {
        let mut counter = Counter::new();
        assert_eq!(counter.bytes(), b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
        assert_eq!(counter.cached(), Some(0));
        for element in ["a", "b", "c"] {
            assert_eq!(counter.add(element.as_bytes(), 3000), Ok(Raised::Layout));
            assert_eq!(counter.add(element.as_bytes(), 3000), Ok(Raised::No));
        }
        counter.outdate();
        assert_eq!(counter.cached(), None);
        assert_eq!(counter.count(), Ok(3));
    }

    #[test]
    fn the_form_changes_nothing() {
        let mut sparse = Counter::new();
        let mut dense = Counter::new();
        dense.make_dense().expect("it is sound");
        for number in 0..5_000u32 {
            sparse.add(&number.to_le_bytes(), 3000).expect("it is sound");
            dense.add(&number.to_le_bytes(), 3000).expect("it is sound");
            if number == 500 {
                assert_eq!(sparse.form(), Form::Sparse);
            }
        }
        assert_eq!(sparse.form(), Form::Dense);
        assert_eq!(sparse.bytes(), dense.bytes());
    }

    #[test]
    fn other_strings_are_refused() {
        let good = Counter::new().bytes().to_vec();
        for cut in 0..HEADER_BYTES {
            assert_eq!(Counter::read(&good[..cut]).map(|_| ()), Err(NOT_A_COUNTER));
        }
        for cut in HEADER_BYTES..good.len() {
            let counter = Counter::read(&good[..cut]).expect("the header is whole");
            assert_eq!(counter.count(), Err(DAMAGED));
            assert_eq!(counter.clone().add(b"x", 3000), Err(DAMAGED));
        }
        for (at, byte) in [(0, b'h'), (FORM_AT, 2), (FORM_AT, DENSE)] {
            let mut other = good.clone();
            other[at] = byte;
            assert_eq!(Counter::read(&other).map(|_| ()), Err(NOT_A_COUNTER));
        }
    }
}

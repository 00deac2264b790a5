//! The words of a command, made from an HTTP request: one buffer, whatever their number.

use smallvec::SmallVec;
use synap_shards::command::args::Words;

/// Words of a command that own their bytes.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct OwnedWords {
    bytes: Vec<u8>,
    ends: SmallVec<[usize; 8]>,
}

impl OwnedWords {
    /// No words yet; room for `bytes` bytes of them.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ends: SmallVec::new() }
    }

    /// Adds a word.
    pub fn push(&mut self, word: &[u8]) {
        self.bytes.extend_from_slice(word);
        self.ends.push(self.bytes.len());
    }

    /// Adds what `write` appends to the buffer as one word.
    pub fn push_with<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        write(&mut self.bytes)?;
        self.ends.push(self.bytes.len());
        Ok(())
    }

    /// Number of words.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The word at `index`, below [`OwnedWords::len`].
    pub fn word(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    /// The words as slices, the command's name first.
    pub fn as_words(&self) -> Words<'_> {
        let mut start = 0;
        self.ends
            .iter()
            .map(|end| {
                let word = &self.bytes[start..*end];
                start = *end;
                word
            })
            .collect()
    }
}

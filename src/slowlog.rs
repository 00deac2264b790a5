//! The slow log of one core: commands that took longer than a threshold, the latest ones.
//!
//! Bounded by the number of entries, and each entry by the number and length of the words it
//! keeps, which are those of Redis.

use std::collections::VecDeque;

use synap_shards::command::reply::Reply;
use synap_shards::id::CoreId;

use crate::session::client::{Client, client_id};

/// Words of a command that an entry keeps.
const WORDS_MAX: usize = 32;
/// Bytes of a word that an entry keeps.
const WORD_BYTES_MAX: usize = 128;

/// A command that was slow.
#[derive(Clone, PartialEq, Debug)]
struct Entry {
    id: u64,
    unix_secs: u64,
    microseconds: u64,
    words: Vec<Vec<u8>>,
    peer: String,
    name: String,
}

/// The latest slow commands of one core.
#[derive(Debug)]
pub struct SlowLog {
    core: CoreId,
    cores: usize,
    noted: u64,
    entries: VecDeque<Entry>,
}

impl SlowLog {
    /// An empty log for one core out of `cores`; the numbers of entries are unique among them.
    pub fn new(core: CoreId, cores: usize) -> Self {
        Self { core, cores, noted: 0, entries: VecDeque::new() }
    }

    /// Notes a command. The caller has compared its time with the threshold, and left out those
    /// whose arguments may be secret. Keeps at most `entries_max`.
    pub fn note(
        &mut self,
        microseconds: u64,
        words: &[&[u8]],
        client: &Client,
        unix_ms: u64,
        entries_max: usize,
    ) {
        let id = client_id(self.noted, self.core, self.cores);
        self.noted += 1;
        self.entries.push_front(Entry {
            id,
            unix_secs: unix_ms / 1000,
            microseconds,
            words: cut_words(words),
            peer: client.peer.to_string(),
            name: client.name.clone(),
        });
        self.entries.truncate(entries_max);
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The latest entries, at most `count`, the latest first: each an array of number, Unix
    /// seconds, microseconds, words, address and name.
    pub fn latest(&self, count: usize) -> Vec<Reply<'static>> {
        self.entries.iter().take(count).map(Entry::reply).collect()
    }
}

impl Entry {
    fn reply(&self) -> Reply<'static> {
        let integer = |number: u64| Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        Reply::Array(vec![
            integer(self.id),
            integer(self.unix_secs),
            integer(self.microseconds),
            Reply::Array(self.words.iter().cloned().map(Reply::owned).collect()),
            Reply::string(self.peer.as_str()),
            Reply::string(self.name.as_str()),
        ])
    }
}

fn cut_words(words: &[&[u8]]) -> Vec<Vec<u8>> {
    let kept = if words.len() > WORDS_MAX { WORDS_MAX - 1 } else { words.len() };
    let mut cut: Vec<Vec<u8>> = words[..kept].iter().map(|word| cut_word(word)).collect();
    if kept < words.len() {
        cut.push(format!("... ({} more arguments)", words.len() - kept).into_bytes());
    }
    cut
}

fn cut_word(word: &[u8]) -> Vec<u8> {
    if word.len() <= WORD_BYTES_MAX {
        return word.to_vec();
    }
    let mut cut = word[..WORD_BYTES_MAX].to_vec();
    cut.extend_from_slice(format!("... ({} more bytes)", word.len() - WORD_BYTES_MAX).as_bytes());
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_as_in_redis() {
        let long = vec![b'x'; 130];
        let words: Vec<&[u8]> = vec![&long; 33];
        let cut = cut_words(&words);
        assert_eq!(cut.len(), 32);
        assert!(cut[0].ends_with(b"xx... (2 more bytes)"));
        assert_eq!(cut[31], b"... (2 more arguments)");
        assert_eq!(cut_words(&words[..32]).len(), 32);
    }
}

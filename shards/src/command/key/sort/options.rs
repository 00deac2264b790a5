//! What follows the key of `SORT`, in any order; of options that contradict each other the last
//! counts.

use super::pattern::Pattern;
use crate::command::args::integer;
use crate::command::error::CommandError;

/// The options.
#[derive(Debug, Default)]
pub(super) struct Options<'a> {
    pub(super) by: Option<By<'a>>,
    pub(super) get: Vec<Pattern<'a>>,
    pub(super) descending: bool,
    pub(super) alpha: bool,
    /// Offset and count, as sent.
    pub(super) limit: Option<(i64, i64)>,
    pub(super) store: Option<&'a [u8]>,
}

/// What decides on the order.
#[derive(Clone, Copy, Debug)]
pub(super) enum By<'a> {
    /// The order that the elements have: a pattern without a star.
    Nothing,
    /// What the elements name.
    Pattern(Pattern<'a>),
}

impl<'a> Options<'a> {
    pub(super) fn parse(words: &[&'a [u8]], may_store: bool) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            let mut next = || words.next().ok_or(CommandError::Syntax);
            match &word.to_ascii_uppercase()[..] {
                b"ASC" => options.descending = false,
                b"DESC" => options.descending = true,
                b"ALPHA" => options.alpha = true,
                b"LIMIT" => {
                    let [offset, count] = [next()?, next()?];
                    options.limit = Some((integer(offset)?, integer(count)?));
                }
                b"BY" => {
                    let pattern = Pattern::of(next()?);
                    // Once nothing decides, nothing does, as in Redis.
                    let nothing = matches!(options.by, Some(By::Nothing)) || !pattern.has_star();
                    options.by = Some(if nothing { By::Nothing } else { By::Pattern(pattern) });
                }
                b"GET" => options.get.push(Pattern::of(next()?)),
                b"STORE" if may_store => options.store = Some(next()?),
                _ => return Err(CommandError::Syntax),
            }
        }
        Ok(options)
    }

    /// Which of `length` elements in order are wanted.
    pub(super) fn range(&self, length: usize) -> std::ops::Range<usize> {
        let (offset, count) = self.limit.unwrap_or((0, -1));
        let start = usize::try_from(offset).unwrap_or(0).min(length);
        let end = usize::try_from(count).map_or(length, |count| start.saturating_add(count));
        start..end.min(length)
    }
}

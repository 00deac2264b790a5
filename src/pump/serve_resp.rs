//! From the bytes of a RESP connection to commands. Of a pipeline some are decoded before the first
//! of them runs, so that what they will look up is on its way from memory.

use synap_shards::command::args::Words;
use synap_shards::engine::{Engine, Places};
use synap_shards::id::ConnId;
use synap_shards::limits::PREFETCH_MAX;

use super::serve::{Host, Stop};
use crate::protocol::resp::decode::{Decoded, Decoder, RespLimits, SHORT_WORDS, ShortWords};
use crate::protocol::resp::encode::protocol_error;

/// Requests of a pipeline that are decoded before the first of them runs, so that the cache misses
/// of their lookups overlap.
const LOOKAHEAD: usize = PREFETCH_MAX;
/// Below this many, looking at their entries ahead costs more than it saves.
const AHEAD_FROM: usize = 3;

/// Requests of a pipeline that were decoded, those with few words.
#[derive(Default)]
struct Batch<'a> {
    words: [ShortWords<'a>; LOOKAHEAD],
    /// Of each, how many words it has and the end of its bytes in the input.
    ends: [(usize, usize); LOOKAHEAD],
    /// Of each, where its second word lives.
    places: Places,
    count: usize,
}

impl<'a> Batch<'a> {
    /// Takes in the requests at the start of `input[used..]`, as many as there is room for. Answers
    /// with what follows them where that is not another such request. The index is asked for each
    /// as it comes, so that the answer is there when all are decoded.
    #[inline]
    fn fill(
        &mut self,
        decoder: &mut Decoder,
        (input, used): (&'a [u8], usize),
        limits: &RespLimits,
        engine: &Engine,
    ) -> Option<Decoded<'a>> {
        let mut end = used;
        while self.count < LOOKAHEAD {
            let (rest, words) = (&input[end..], &mut self.words[self.count]);
            let (count, consumed) = match decoder.decode_short(rest, limits, words) {
                Some(short) => short,
                None => match decoder.decode(rest, limits) {
                    Decoded::Request { words: found, consumed } if found.len() <= SHORT_WORDS => {
                        words[..found.len()].copy_from_slice(&found);
                        (found.len(), consumed)
                    }
                    other => return Some(other),
                },
            };
            end += consumed;
            self.ends[self.count] = (count, end);
            if count > 1 {
                self.places[self.count] = Some(engine.prefetch_index(self.words[self.count][1]));
            }
            self.count += 1;
        }
        None
    }

    /// The words of each, and the end of its bytes.
    fn requests(&self) -> impl ExactSizeIterator<Item = (&[&'a [u8]], usize)> {
        let ends = &self.ends[..self.count];
        self.words.iter().zip(ends).map(|(words, (count, after))| (&words[..*count], *after))
    }
}

impl Host<'_> {
    pub(super) fn serve_resp(
        &mut self,
        id: ConnId,
        input: &[u8],
        decoder: &mut Decoder,
    ) -> (usize, Stop) {
        let limits = RespLimits::default();
        let mut used = 0;
        loop {
            if !self.may_start(id) {
                return (used, Stop::Blocked);
            }
            if self.unpark_words(id) {
                continue;
            }
            let mut batch = Batch::default();
            let end = batch.fill(decoder, (input, used), &limits, self.engine);
            let count = batch.count;
            if count >= AHEAD_FROM {
                self.engine.prefetch_entries(&mut batch.places[..count]);
            }
            for (at, (words, after)) in batch.requests().enumerate() {
                self.dispatch(id, words, None, batch.places[at]);
                used = after;
                if at + 1 < count && !self.may_start(id) {
                    // What was decoded behind it is decoded again when the connection goes on.
                    *decoder = Default::default();
                    return (used, Stop::Blocked);
                }
            }
            match end {
                None => {}
                Some(Decoded::Request { words, consumed }) => {
                    if count > 0 && !self.may_start(id) {
                        return (used, Stop::Blocked);
                    }
                    self.dispatch(id, &words, None, None);
                    used += consumed;
                }
                Some(Decoded::Quoted { words, consumed }) => {
                    if count > 0 && !self.may_start(id) {
                        return (used, Stop::Blocked);
                    }
                    let words: Words<'_> = words.iter().map(Vec::as_slice).collect();
                    self.dispatch(id, &words, None, None);
                    used += consumed;
                }
                Some(Decoded::Empty { consumed }) => used += consumed,
                Some(Decoded::Incomplete { needs }) => return (used, Stop::Incomplete(needs)),
                Some(Decoded::Broken(error)) => {
                    let mut bytes = Vec::new();
                    protocol_error(error, &mut bytes);
                    if let Some(connection) = self.outlet.connections.get_mut(id) {
                        connection.say(&bytes);
                    }
                    self.outlet.shared.metrics[self.outlet.core.index()].protocol_errors.add(1);
                    return (used, Stop::Closed);
                }
            }
        }
    }
}

//! From the bytes of a RESP connection to commands. Of a pipeline some are decoded before the first
//! of them runs, so that what they will look up is on its way from memory.

use smallvec::SmallVec;
use synap_shards::command::args::Words;
use synap_shards::engine::Places;
use synap_shards::id::ConnId;
use synap_shards::limits::PREFETCH_MAX;

use super::serve::{Host, Stop};
use crate::protocol::resp::decode::{Decoded, Decoder, RespLimits};
use crate::protocol::resp::encode::protocol_error;

/// Requests of a pipeline that are decoded before the first of them runs, so that the cache misses
/// of their lookups overlap.
const LOOKAHEAD: usize = PREFETCH_MAX;
/// Below this many, looking ahead costs more than it saves.
const AHEAD_FROM: usize = 3;

/// Requests of a pipeline that were decoded.
#[derive(Default)]
struct Batch<'a> {
    /// The words of all of them.
    words: SmallVec<[&'a [u8]; 3 * LOOKAHEAD]>,
    /// Of each, the end of its words and the end of its bytes in the input.
    ends: SmallVec<[(usize, usize); LOOKAHEAD]>,
}

impl<'a> Batch<'a> {
    /// The words of each, and the end of its bytes.
    fn requests(&self) -> impl ExactSizeIterator<Item = (&[&'a [u8]], usize)> {
        let mut start = 0;
        self.ends.iter().map(move |(end, after)| {
            let words = &self.words[std::mem::replace(&mut start, *end)..*end];
            (words, *after)
        })
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
            let mut ahead = used;
            let end = loop {
                if batch.ends.len() == LOOKAHEAD {
                    break None;
                }
                let rest = &input[ahead..];
                ahead += match decoder.decode_short(rest, &limits, &mut batch.words) {
                    Some(consumed) => consumed,
                    None => match decoder.decode(rest, &limits) {
                        Decoded::Request { words, consumed } => {
                            batch.words.extend_from_slice(&words);
                            consumed
                        }
                        other => break Some(other),
                    },
                };
                batch.ends.push((batch.words.len(), ahead));
            };
            let places = self.look_ahead(&batch);
            let count = batch.ends.len();
            for (at, (words, after)) in batch.requests().enumerate() {
                self.dispatch(id, words, None, places[at]);
                used = after;
                if at + 1 < count && !self.may_start(id) {
                    // What was decoded behind it is decoded again when the connection goes on.
                    *decoder = Default::default();
                    return (used, Stop::Blocked);
                }
            }
            match end {
                None | Some(Decoded::Request { .. }) => {}
                Some(Decoded::Quoted { words, consumed }) => {
                    if !self.may_start(id) {
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

    fn look_ahead(&self, batch: &Batch<'_>) -> Places {
        if batch.ends.len() < AHEAD_FROM {
            return Places::default();
        }
        self.engine.prefetch(batch.requests().map(|(words, _)| words.get(1).copied()))
    }
}

//! Where a reader of a capture stands: an offset in each shard, and while it is shown what there
//! is, how far the walk over the shard has come. As text it is base64url
//! (RFC 4648, 5) without padding:
//!
//! ```text
//! format     u8     1
//! capture    u64    little endian; drawn when the capture was made, so that no position is taken
//!                   for one of another capture of the same name
//! offsets    64 numbers
//! walking    u64    little endian; a bit per shard
//! walks      u64 each, little endian, of those shards
//! ```

use crate::command::error::CommandError;
use crate::limits::SHARDS;
use crate::types::codec::{put_number, take_number};

const FORMAT: u8 = 1;
const NO_POSITION: CommandError = CommandError::Invalid(
    "a position is `oldest`, `now`, `snapshot`, or one that a reader of this capture was given",
);

/// Where a reader stands in one shard.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Place {
    /// The first batch of changes that it has not seen.
    pub(super) offset: u64,
    /// Where the walk over the keys goes on; nothing when it is over.
    pub(super) walk: Option<u64>,
}

/// Where a reader stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Position {
    pub(super) incarnation: u64,
    pub(super) places: [Place; SHARDS],
}

/// Where a reader begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum From {
    /// With the first change that is kept.
    Oldest,
    /// With the next change.
    Now,
    /// With what there is, and then what changes.
    Snapshot,
    /// Where it was.
    Position(Box<Position>),
}

impl From {
    pub(super) fn parse(text: &[u8]) -> Result<Self, CommandError> {
        match text {
            b"oldest" => Ok(Self::Oldest),
            b"now" => Ok(Self::Now),
            b"snapshot" => Ok(Self::Snapshot),
            text => {
                let bytes = decode(text).ok_or(NO_POSITION)?;
                Position::read(&bytes).map(Box::new).map(Self::Position).ok_or(NO_POSITION)
            }
        }
    }

    /// A number that moves on with the reader, so that no shard is always the last to be asked.
    pub(super) fn turn(&self) -> usize {
        match self {
            Self::Oldest | Self::Now | Self::Snapshot => 0,
            Self::Position(position) => {
                let offsets = position.places.iter().map(|place| place.offset);
                let walks = position.places.iter().filter_map(|place| place.walk);
                offsets.chain(walks).fold(0, u64::wrapping_add) as usize
            }
        }
    }

    /// How far its walk over a shard had come.
    pub(super) fn walk(&self, shard: usize) -> Option<u64> {
        match self {
            Self::Oldest | Self::Now => None,
            Self::Snapshot => Some(0),
            Self::Position(position) => position.places[shard].walk,
        }
    }
}

impl Position {
    fn read(mut bytes: &[u8]) -> Option<Self> {
        let input = &mut bytes;
        let (format, rest) = input.split_first()?;
        *input = rest;
        if *format != FORMAT {
            return None;
        }
        let incarnation = take_u64(input)?;
        let mut places = [Place::default(); SHARDS];
        for place in &mut places {
            place.offset = take_number(input)?;
        }
        let walking = take_u64(input)?;
        for (shard, place) in places.iter_mut().enumerate() {
            if walking >> shard & 1 == 1 {
                place.walk = Some(take_u64(input)?);
            }
        }
        input.is_empty().then_some(Self { incarnation, places })
    }

    /// As text.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&self.incarnation.to_le_bytes());
        self.places.iter().for_each(|place| put_number(&mut bytes, place.offset));
        let walking = self
            .places
            .iter()
            .enumerate()
            .fold(0u64, |mask, (shard, place)| mask | u64::from(place.walk.is_some()) << shard);
        bytes.extend_from_slice(&walking.to_le_bytes());
        for walk in self.places.iter().filter_map(|place| place.walk) {
            bytes.extend_from_slice(&walk.to_le_bytes());
        }
        encode(&bytes)
    }
}

fn take_u64(input: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = input.split_first_chunk::<8>()?;
    *input = rest;
    Some(u64::from_le_bytes(*bytes))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn encode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    let (mut word, mut bits) = (0u32, 0);
    for byte in bytes {
        word = word << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 6 {
            bits -= 6;
            out.push(ALPHABET[(word >> bits) as usize % 64]);
        }
    }
    if bits > 0 {
        out.push(ALPHABET[(word << (6 - bits)) as usize % 64]);
    }
    out
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut word, mut bits) = (0u32, 0);
    for letter in text {
        let digit = ALPHABET.iter().position(|known| known == letter)?;
        word = word << 6 | digit as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_as_text() {
        let mut places = [Place::default(); SHARDS];
        places[3].offset = 300;
        places[63] = Place { offset: 1 << 40, walk: Some(u64::MAX) };
        let position = Position { incarnation: 0xfeed_beef_0123_4567, places };
        let text = position.text();
        assert!(text.iter().all(|letter| ALPHABET.contains(letter)));
        let parsed = From::parse(&text).unwrap();
        assert_eq!((parsed.walk(63), parsed.walk(3)), (Some(u64::MAX), None));
        assert_eq!(parsed, From::Position(Box::new(position)));
        for cut in 0..text.len() - 1 {
            assert!(From::parse(&text[..cut]).is_err(), "cut at {cut}");
        }
        assert_eq!(From::parse(b"now"), Ok(From::Now));
        assert!(From::parse(b"+").is_err());
    }
}

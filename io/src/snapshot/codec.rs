//! How blocks are compressed. A block that does not get smaller is stored as it is, whatever the
//! codec: stored bytes equal to raw bytes say so.

use std::fmt;
use std::io;

/// The codec of a part, as its header states it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Codec {
    /// Nothing is compressed.
    None,
    /// LZ4 block format.
    Lz4,
    /// A Zstandard frame (RFC 8878) per block.
    Zstd,
}

impl Codec {
    /// The byte in headers.
    pub(super) fn byte(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Lz4 => 1,
            Self::Zstd => 2,
        }
    }

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        [Self::None, Self::Lz4, Self::Zstd].into_iter().find(|codec| codec.byte() == byte)
    }

    /// Its name, as the configuration spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How to compress.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compression {
    /// With what.
    pub codec: Codec,
    /// The level of Zstandard, 1 to 22; the others have none.
    pub level: i32,
}

/// Compresses blocks.
pub(super) enum Encoder {
    None,
    Lz4,
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Encoder {
    pub(super) fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression.codec {
            Codec::None => Self::None,
            Codec::Lz4 => Self::Lz4,
            Codec::Zstd => Self::Zstd(zstd::bulk::Compressor::new(compression.level)?),
        })
    }

    /// Appends `raw` to `out`, compressed if that makes it smaller.
    pub(super) fn append(&mut self, raw: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let start = out.len();
        let written = match self {
            Self::None => raw.len(),
            Self::Lz4 => {
                out.resize(start + lz4_flex::block::get_maximum_output_size(raw.len()), 0);
                lz4_flex::block::compress_into(raw, &mut out[start..]).map_err(io::Error::other)?
            }
            Self::Zstd(compressor) => {
                out.resize(start + zstd::zstd_safe::compress_bound(raw.len()), 0);
                compressor.compress_to_buffer(raw, &mut out[start..])?
            }
        };
        out.truncate(start + written.min(out.len() - start));
        if written >= raw.len() {
            out.truncate(start);
            out.extend_from_slice(raw);
        }
        Ok(())
    }
}

/// Decompresses blocks.
pub(super) enum Decoder {
    None,
    Lz4,
    Zstd(zstd::bulk::Decompressor<'static>),
}

impl Decoder {
    pub(super) fn new(codec: Codec) -> io::Result<Self> {
        Ok(match codec {
            Codec::None => Self::None,
            Codec::Lz4 => Self::Lz4,
            Codec::Zstd => Self::Zstd(zstd::bulk::Decompressor::new()?),
        })
    }

    /// Fills `raw` from `stored`; false when that does not come to exactly as many bytes.
    pub(super) fn fill(&mut self, stored: &[u8], raw: &mut [u8]) -> bool {
        if stored.len() == raw.len() {
            raw.copy_from_slice(stored);
            return true;
        }
        let bytes = match self {
            Self::None => None,
            Self::Lz4 => lz4_flex::block::decompress_into(stored, raw).ok(),
            Self::Zstd(decompressor) => decompressor.decompress_to_buffer(stored, raw).ok(),
        };
        bytes == Some(raw.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_gives_back_what_it_took() {
        let dull = b"a key with a value, a key with a value, ".repeat(50);
        let mut rng = synap_shards::rng::Rng::new(1);
        let lively: Vec<u8> = (0..977).map(|_| rng.draw() as u8).collect();
        for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
            assert_eq!(Codec::from_byte(codec.byte()), Some(codec));
            let mut encoder = Encoder::new(Compression { codec, level: 3 }).expect("an encoder");
            let mut decoder = Decoder::new(codec).expect("a decoder");
            for raw in [&dull, &lively] {
                let mut out = b"before".to_vec();
                encoder.append(raw, &mut out).expect("compressed");
                let stored = &out[6..];
                assert!(stored.len() <= raw.len());
                assert_eq!(stored.len() < raw.len(), codec != Codec::None && raw == &dull);
                let mut again = vec![0; raw.len()];
                assert!(decoder.fill(stored, &mut again));
                assert_eq!(&again, raw);
                assert!(!decoder.fill(stored, &mut vec![0; raw.len() + 1]));
            }
        }
        assert_eq!(Codec::from_byte(3), None);
    }
}

//! SHA-1, the name of a script.
//!
//! Source: FIPS 180-4, section 6.1. It names things; nothing relies on it being hard to forge
//! beyond what Redis clients expect of a script's digest.

/// A digest.
pub type Digest = [u8; 20];
/// A digest in lower-case hexadecimal digits, as clients send and see it.
pub type HexDigest = [u8; 40];

const BLOCK_BYTES: usize = 64;

/// The digest of `message`.
pub fn digest(message: &[u8]) -> Digest {
    let mut state = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let (blocks, rest) = message.as_chunks::<BLOCK_BYTES>();
    blocks.iter().for_each(|block| absorb(&mut state, block));
    // The end: a set bit, zeros, and the length in bits, in one block or in two.
    let mut tail = [0u8; 2 * BLOCK_BYTES];
    tail[..rest.len()].copy_from_slice(rest);
    tail[rest.len()] = 0x80;
    let end = if rest.len() < BLOCK_BYTES - 8 { BLOCK_BYTES } else { 2 * BLOCK_BYTES };
    tail[end - 8..end].copy_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    let (blocks, _) = tail[..end].as_chunks::<BLOCK_BYTES>();
    blocks.iter().for_each(|block| absorb(&mut state, block));
    let mut digest = Digest::default();
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

fn absorb(state: &mut [u32; 5], block: &[u8; BLOCK_BYTES]) {
    let mut words = [0u32; 80];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    for at in 16..80 {
        let mixed = words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16];
        words[at] = mixed.rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for (at, word) in words.into_iter().enumerate() {
        let (mix, constant) = match at / 20 {
            0 => (b & c | !b & d, 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => (b & c | b & d | c & d, 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6u32),
        };
        let next = a
            .rotate_left(5)
            .wrapping_add(mix)
            .wrapping_add(e)
            .wrapping_add(constant)
            .wrapping_add(word);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
    }
    for (sum, word) in state.iter_mut().zip([a, b, c, d, e]) {
        *sum = sum.wrapping_add(word);
    }
}

/// The digest of `message` in hexadecimal digits.
pub fn hex_digest(message: &[u8]) -> HexDigest {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = [0; 40];
    for (pair, byte) in hex.as_chunks_mut::<2>().0.iter_mut().zip(digest(message)) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    hex
}

/// A digest as a client names it, in either case; nothing if it is none.
pub(crate) fn parse(word: &[u8]) -> Option<HexDigest> {
    let mut hex: HexDigest = word.try_into().ok()?;
    hex.make_ascii_lowercase();
    hex.iter().all(u8::is_ascii_hexdigit).then_some(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(message: &[u8]) -> String {
        String::from_utf8(hex_digest(message).to_vec()).unwrap()
    }

    #[test]
    fn published_vectors() {
        for (message, expected) in [
            (&b""[..], "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            (b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
            ),
            (b"return 1", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"),
        ] {
            assert_eq!(hex(message), expected);
        }
        assert_eq!(hex(&[b'a'; 1_000_000]), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    }

    #[test]
    fn names_are_read_in_either_case() {
        let name = hex_digest(b"x");
        assert_eq!(parse(&name.to_ascii_uppercase()), Some(name));
        assert_eq!(parse(b"abc"), None);
        assert_eq!(parse(&[b'g'; 40]), None);
    }
}

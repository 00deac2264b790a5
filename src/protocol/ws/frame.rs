//! Frames (RFC 6455, section 5.2): the header of one that comes, and whole ones that go. A server
//! masks nothing and does not cut its messages.

use super::close::CloseCode;

/// Bytes that the body of a control frame may have (section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;
/// Bytes of the longest header: two, a length of eight, a mask of four.
pub const HEADER_BYTES_MAX: usize = 14;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opcode {
    /// More of the message before.
    Continuation = 0,
    /// UTF-8.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end.
    Close = 8,
    /// To be answered with [`Opcode::Pong`].
    Ping = 9,
    /// A sign of life.
    Pong = 10,
}

impl Opcode {
    /// Whether it may stand between the frames of a message, and is never cut itself.
    pub fn is_control(self) -> bool {
        self as u8 >= 8
    }

    fn of(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }
}

/// The header of a frame that a client sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Whether the message ends with this frame.
    pub is_last: bool,
    /// What it is.
    pub opcode: Opcode,
    /// Bytes of its body.
    pub length: u64,
    /// What the body is masked with.
    pub mask: [u8; 4],
}

impl Header {
    /// Reads the header at the start of `input`, and how many bytes it takes; nothing when more
    /// are needed. What is wrong in the first two bytes is seen as soon as they are there.
    ///
    /// # Errors
    /// The code to close with: reserved bits or opcodes, no mask, a control frame that is cut or
    /// too long, a length in more bytes than it takes, or with the highest bit set.
    pub fn read(input: &[u8]) -> Result<Option<(Self, usize)>, CloseCode> {
        let &[first, second, ..] = input else { return Ok(None) };
        let opcode = Opcode::of(first & 0x0f).ok_or(CloseCode::PROTOCOL)?;
        let (is_last, reserved, is_masked) = (first >> 7 == 1, first & 0x70, second >> 7 == 1);
        let short = second & 0x7f;
        let bad_control =
            opcode.is_control() && (!is_last || usize::from(short) > CONTROL_BYTES_MAX);
        if reserved != 0 || !is_masked || bad_control {
            return Err(CloseCode::PROTOCOL);
        }
        let rest = &input[2..];
        let (length, least, rest) = match short {
            126 => match rest.split_first_chunk() {
                Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), 126, rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((bytes, rest)) => (u64::from_be_bytes(*bytes), 1 << 16, rest),
                None => return Ok(None),
            },
            short => (u64::from(short), 0, rest),
        };
        if length < least || length >> 63 == 1 {
            return Err(CloseCode::PROTOCOL);
        }
        let Some((mask, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let header = Self { is_last, opcode, length, mask: *mask };
        Ok(Some((header, input.len() - rest.len())))
    }
}

/// Appends `body` to `out` without its mask. `at` is how many bytes of the frame's body were before
/// it.
pub fn unmask(out: &mut Vec<u8>, body: &[u8], mask: [u8; 4], at: u64) {
    let mut mask = mask;
    mask.rotate_left((at % 4) as usize);
    let wide = u64::from_ne_bytes([mask, mask].concat().try_into().expect("twice four bytes"));
    let (words, rest) = body.as_chunks::<8>();
    out.reserve(body.len());
    out.extend(words.iter().flat_map(|word| (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes()));
    out.extend(rest.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Appends the header of a whole, unmasked frame whose body has `length` bytes.
pub fn write_header(out: &mut Vec<u8>, opcode: Opcode, length: usize) {
    out.push(0x80 | opcode as u8);
    match length {
        0..=125 => out.push(length as u8),
        126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Appends a whole, unmasked frame.
pub fn write(out: &mut Vec<u8>, opcode: Opcode, body: &[u8]) {
    write_header(out, opcode, body.len());
    out.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_whatever_their_length() {
        for length in [0, 1, 125, 126, 127, 0xffff, 0x1_0000, 1 << 40] {
            let mut bytes = Vec::new();
            write_header(&mut bytes, Opcode::Binary, length);
            bytes[1] |= 0x80;
            bytes.extend_from_slice(&[1, 2, 3, 4]);
            for short in 0..bytes.len() {
                assert_eq!(Header::read(&bytes[..short]), Ok(None), "{length} at {short}");
            }
            let opcode = Opcode::Binary;
            let header =
                Header { is_last: true, opcode, length: length as u64, mask: [1, 2, 3, 4] };
            assert_eq!(Header::read(&bytes), Ok(Some((header, bytes.len()))));
        }
    }

    #[test]
    fn what_is_reserved_or_odd_is_refused_at_once() {
        let refused: [&[u8]; 12] = [
            &[0x91, 0x80],
            &[0xa1, 0x80],
            &[0xc1, 0x80],
            &[0x83, 0x80],
            &[0x87, 0x80],
            &[0x8b, 0x80],
            &[0x81, 0x05],
            &[0x09, 0x80],
            &[0x89, 0xfe],
            &[0x81, 0xfe, 0, 125],
            &[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
            &[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0],
        ];
        for bytes in refused {
            assert_eq!(Header::read(bytes), Err(CloseCode::PROTOCOL), "{bytes:?}");
        }
    }

    #[test]
    fn masks_go_on_where_they_stopped() {
        let (plain, mask) = (b"The mask goes on where it stopped".to_vec(), [9, 8, 7, 6]);
        let masked: Vec<u8> =
            plain.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]).collect();
        for cut in 0..masked.len() {
            let mut out = Vec::new();
            unmask(&mut out, &masked[..cut], mask, 0);
            unmask(&mut out, &masked[cut..], mask, cut as u64);
            assert_eq!(out, plain, "{cut}");
        }
    }
}

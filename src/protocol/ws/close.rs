//! Why a connection ends: the codes of RFC 6455, section 7.4, and the body of a close frame.

use super::frame::{self, CONTROL_BYTES_MAX, Opcode};

/// A status code, as sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// Done.
    pub const NORMAL: Self = Self(1000);
    /// The server stops.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// A kind of data that the endpoint does not take.
    pub const UNSUPPORTED: Self = Self(1003);
    /// Text that is not UTF-8.
    pub const NOT_UTF8: Self = Self(1007);
    /// The peer does not keep to the rules of the endpoint.
    pub const POLICY: Self = Self(1008);
    /// A message beyond the limit.
    pub const TOO_BIG: Self = Self(1009);
    /// The server cannot go on with this connection.
    pub const TRY_LATER: Self = Self(1013);

    /// Whether a peer may send it: those that mean "no code" or stand for what only one end can
    /// see are never on the wire, and neither are those that nobody has given a meaning.
    pub fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// What a close frame says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Close {
    /// Its code, if it has one.
    pub code: Option<CloseCode>,
    /// Its reason; empty without.
    pub reason: String,
}

/// Reads the body of a close frame.
///
/// # Errors
/// The code with which a body that is none is answered.
pub fn read(body: &[u8]) -> Result<Close, CloseCode> {
    let Some((code, reason)) = body.split_first_chunk::<2>() else {
        return match body {
            [] => Ok(Close { code: None, reason: String::new() }),
            _ => Err(CloseCode::PROTOCOL),
        };
    };
    let code = CloseCode(u16::from_be_bytes(*code));
    if !code.may_be_sent() {
        return Err(CloseCode::PROTOCOL);
    }
    let reason = std::str::from_utf8(reason).map_err(|_| CloseCode::NOT_UTF8)?;
    Ok(Close { code: Some(code), reason: reason.to_owned() })
}

/// Appends a close frame; a reason that has no room is cut between characters.
pub fn write(out: &mut Vec<u8>, code: Option<CloseCode>, reason: &str) {
    let Some(code) = code else { return frame::write(out, Opcode::Close, b"") };
    let mut body = code.0.to_be_bytes().to_vec();
    let end = reason.floor_char_boundary(CONTROL_BYTES_MAX - body.len());
    body.extend_from_slice(&reason.as_bytes()[..end]);
    frame::write(out, Opcode::Close, &body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_as_they_are_meant() {
        let text = |code, reason: &str| {
            Ok(Close { code: Some(CloseCode(code)), reason: reason.to_owned() })
        };
        assert_eq!(read(b""), Ok(Close { code: None, reason: String::new() }));
        assert_eq!(read(b"\x03"), Err(CloseCode::PROTOCOL));
        assert_eq!(read(b"\x03\xe8bye"), text(1000, "bye"));
        assert_eq!(read(b"\x03\xe8\xff"), Err(CloseCode::NOT_UTF8));
        for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            assert_eq!(read(&code.to_be_bytes()), Err(CloseCode::PROTOCOL), "{code}");
        }
        for code in [1000, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
            assert_eq!(read(&u16::to_be_bytes(code)), text(code, ""), "{code}");
        }
    }

    #[test]
    fn long_reasons_are_cut_between_characters() {
        let mut out = Vec::new();
        write(&mut out, Some(CloseCode::POLICY), &"é".repeat(100));
        assert_eq!(out.len(), 2 + 2 + 122);
        assert!(read(&out[2..]).is_ok());
    }
}

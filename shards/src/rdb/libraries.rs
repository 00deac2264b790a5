//! Libraries of functions as `FUNCTION DUMP` and Redis's files hold them: for each the code 245 and
//! its source as a string; a payload has the footer of `DUMP` behind them.

use super::{VERSION, checked, seal, string};
use crate::limits::{LIBRARIES_BYTES_MAX, LIBRARIES_MAX};

/// What stands before the code of a library.
pub const FUNCTION: u8 = 245;
/// The same in release candidates of Redis 7.0, with a layout of its own; it is refused.
pub const FUNCTION_BEFORE_RELEASE: u8 = 246;

/// Why a payload has no libraries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LibrariesError {
    /// The footer names a version above the greatest known one, or the checksum differs.
    Footer,
    /// It is of a release candidate.
    BeforeRelease,
    /// It holds something else.
    Kind,
    /// A library does not follow the format, or there are more than fit.
    Format,
}

/// The payload of libraries.
pub fn dump_libraries<'a>(sources: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for source in sources {
        out.push(FUNCTION);
        string::write(&mut out, source);
    }
    seal(&mut out, VERSION);
    out
}

/// The sources of the libraries in a payload.
///
/// # Errors
/// It is no payload, or not of libraries alone.
pub fn restore_libraries(payload: &[u8]) -> Result<Vec<Vec<u8>>, LibrariesError> {
    let mut rest = checked(payload).ok_or(LibrariesError::Footer)?;
    let (mut sources, mut left) = (Vec::new(), LIBRARIES_BYTES_MAX);
    while let Some((kind, after)) = rest.split_first() {
        match *kind {
            FUNCTION => {}
            FUNCTION_BEFORE_RELEASE => return Err(LibrariesError::BeforeRelease),
            _ => return Err(LibrariesError::Kind),
        }
        rest = after;
        let source = string::take(&mut rest, left).ok_or(LibrariesError::Format)?;
        if sources.len() == LIBRARIES_MAX {
            return Err(LibrariesError::Format);
        }
        left -= source.len();
        sources.push(source.into_owned());
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &[u8] = b"#!lua name=lib\nredis.register_function('f', function(keys, args) \
                            return keys[1] end)";
    /// What Redis 7.0 answers to `FUNCTION DUMP` with this one library.
    const REDIS: &[u8] = b"\xf5@T#!lua name=lib\nredis.register_function('f', \
                           function(keys, args) return keys[1] end)\n\x00\xaf\x9a\x05\
                           zq\xe4\xc0\xb6";

    #[test]
    fn payloads_are_those_of_redis() {
        let sources: [&[u8]; 1] = [SOURCE];
        assert_eq!(dump_libraries(sources.into_iter()), REDIS);
        assert_eq!(restore_libraries(REDIS), Ok(vec![SOURCE.to_vec()]));
        assert_eq!(restore_libraries(&dump_libraries([].into_iter())), Ok(Vec::new()));
    }

    #[test]
    fn damage_is_noticed() {
        let sources: [&[u8]; 2] = [SOURCE, b"short"];
        let payload = dump_libraries(sources.into_iter());
        for end in 0..payload.len() {
            assert_eq!(restore_libraries(&payload[..end]), Err(LibrariesError::Footer));
        }
        let sealed = |body: &[u8]| {
            let mut out = body.to_vec();
            seal(&mut out, VERSION);
            restore_libraries(&out)
        };
        assert_eq!(sealed(b"\x00\x01x"), Err(LibrariesError::Kind));
        assert_eq!(sealed(b"\xf6\x01x"), Err(LibrariesError::BeforeRelease));
        assert_eq!(sealed(b"\xf5\x02x"), Err(LibrariesError::Format));
        assert_eq!(sealed(b"\xf5\x80\xff\xff\xff\xffx"), Err(LibrariesError::Format));
        assert_eq!(sealed(b"\xf5\x01x\xf5"), Err(LibrariesError::Format));
        let packed = [&b"\xf5\xc3\x05\x84\x7f\xff\xff\xff"[..], b"aaaaa"].concat();
        assert_eq!(sealed(&packed), Err(LibrariesError::Format), "it would unpack to too much");
    }
}

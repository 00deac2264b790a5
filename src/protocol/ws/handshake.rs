//! The upgrade from HTTP (RFC 6455, section 4.2): whether a request asks for it rightly, and what
//! is answered.

use synap_shards::script::sha1;

use crate::protocol::http::decode::HttpRequest;
use crate::protocol::http::head::Verb;
use crate::protocol::json;

/// What is appended to a key before it is digested (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of a key behind its base64.
const KEY_BYTES: usize = 16;

/// Why there is no upgrade.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The request does not ask for one.
    NotAsked,
    /// It asks for a version that is not 13.
    Version,
    /// Its key is missing or malformed.
    Key,
    /// A page of another origin asks, which the server was not told to trust.
    Origin,
}

/// The answer to the key of a client: `Sec-WebSocket-Accept`.
pub fn accept(key: &[u8]) -> String {
    let mut text = Vec::with_capacity(28);
    json::write_base64(&mut text, &sha1::digest(&[key, GUID].concat()));
    String::from_utf8(text).expect("base64 is text")
}

/// The key of a request that asks for an upgrade as it should. `trusted` says that the origin of
/// the page that asks, if one does, is on the server's list; the server's own needs no list.
///
/// # Errors
/// What is wrong with it.
pub fn key<'a>(request: &HttpRequest<'a>, trusted: bool) -> Result<&'a [u8], Refusal> {
    let asks = request.verb == Verb::Get
        && !request.http_1_0
        && has_token(request, "connection", "upgrade")
        && has_token(request, "upgrade", "websocket");
    if !asks {
        return Err(Refusal::NotAsked);
    }
    if request.header("sec-websocket-version") != Some(b"13") {
        return Err(Refusal::Version);
    }
    let key = request.header("sec-websocket-key").ok_or(Refusal::Key)?;
    let decoded = std::str::from_utf8(key).ok().and_then(json::base64);
    if decoded.is_none_or(|bytes| bytes.len() != KEY_BYTES) {
        return Err(Refusal::Key);
    }
    if !trusted && !is_own_origin(request) {
        return Err(Refusal::Origin);
    }
    Ok(key)
}

/// Whether no page asks, or one that this server is the origin of. Browsers let any page open any
/// WebSocket, so nobody else asks this.
fn is_own_origin(request: &HttpRequest<'_>) -> bool {
    let Some(origin) = request.header("origin") else { return true };
    let host = request.header("host").unwrap_or_default();
    let bare =
        [&b"http://"[..], b"https://"].iter().find_map(|scheme| origin.strip_prefix(*scheme));
    bare.is_some_and(|bare| bare.eq_ignore_ascii_case(host))
}

fn has_token(request: &HttpRequest<'_>, name: &str, token: &str) -> bool {
    let named = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    let mut tokens = named.flat_map(|header| header.value.split(|byte| *byte == b','));
    tokens.any(|found| found.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Appends the answer that switches the connection over.
pub fn write(out: &mut Vec<u8>, key: &[u8]) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Accept: ",
    );
    out.extend_from_slice(accept(key).as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::http::decode::{Decoded, HttpDecoder};

    /// The example of the RFC.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn asked(headers: &str, trusted: bool) -> Result<Vec<u8>, Refusal> {
        let text = format!("GET /chat HTTP/1.1\r\nHost: a:1\r\n{headers}\r\n");
        match HttpDecoder::new().decode(text.as_bytes(), 0) {
            Decoded::Request(request) => key(&request, trusted).map(<[u8]>::to_vec),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keys_are_answered_as_the_rfc_has_it() {
        assert_eq!(accept(KEY.as_bytes()), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn only_a_whole_wish_is_granted() {
        let good = format!(
            "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
        );
        assert_eq!(asked(&good, false), Ok(KEY.as_bytes().to_vec()));
        assert_eq!(asked("", false), Err(Refusal::NotAsked));
        for (from, to, why) in [
            ("WebSocket\r", "h2c\r", Refusal::NotAsked),
            (": keep-alive, Upgrade", ": keep-alive", Refusal::NotAsked),
            ("13", "8", Refusal::Version),
            (KEY, "c2hvcnQ=", Refusal::Key),
            (KEY, "?", Refusal::Key),
        ] {
            assert_eq!(asked(&good.replace(from, to), false), Err(why), "{to}");
        }
        let elsewhere = format!("{good}Origin: http://evil\r\n");
        assert_eq!(asked(&elsewhere, false), Err(Refusal::Origin));
        assert!(asked(&elsewhere, true).is_ok());
        assert!(asked(&format!("{good}Origin: https://A:1\r\n"), false).is_ok());
    }
}

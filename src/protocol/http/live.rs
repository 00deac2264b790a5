//! Requests whose connection stays open and is pushed to: upgrades to WebSocket.

use super::context::HttpContext;
use super::decode::HttpRequest;
use super::error::HttpError;
use super::route::HttpOptions;
use crate::protocol::ws::handshake::{self, Refusal};

/// What a connection becomes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Live {
    /// A WebSocket that answers each message with itself.
    Echo,
}

/// The answer that switches a connection to WebSocket.
///
/// # Errors
/// 404 where the server does not serve WebSocket, 426 where the request does not ask for it, 400
/// where it asks wrongly, 403 where a page of another origin asks.
pub(super) fn upgrade(
    request: &HttpRequest<'_>,
    context: &HttpContext,
    options: &HttpOptions,
) -> Result<Vec<u8>, HttpError> {
    if options.without_websocket {
        return Err(HttpError::new(404, "Not found"));
    }
    let key = handshake::key(request, context.origin.is_some()).map_err(|why| match why {
        Refusal::NotAsked => HttpError::new(426, "this path is a WebSocket"),
        Refusal::Version => HttpError::new(426, "WebSocket version 13 is known"),
        Refusal::Key => {
            HttpError::bad("Invalid request: Sec-WebSocket-Key is not 16 bytes in base64")
        }
        Refusal::Origin => HttpError::new(
            403,
            "Forbidden: the page's origin is not in server.cors.allowed_origins",
        ),
    })?;
    let mut response = Vec::with_capacity(160);
    handshake::write(&mut response, key);
    Ok(response)
}

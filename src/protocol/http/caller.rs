//! Who the caller of a transaction says it is: an id in the body, the query or a header. It is not
//! checked against anything, so it should be hard to guess; the server makes such ids.

use synap_shards::command::spec::{Access, CommandSpec, Family};

use super::decode::HttpRequest;
use super::error::HttpError;
use super::input::{Inputs, unexpected};
use crate::transactions::CLIENT_ID_BYTES_MAX;

/// The input and the header that hold the id.
const INPUT: &str = "client_id";
const HEADER: &str = "x-synap-client-id";

/// Whether it makes a difference who asks.
pub(super) fn matters(spec: &CommandSpec) -> bool {
    spec.access == Access::Write || spec.family == Family::Transaction
}

/// The id, if the request has one.
pub(super) fn of(
    inputs: &Inputs<'_>,
    request: &HttpRequest<'_>,
) -> Result<Option<Box<str>>, HttpError> {
    let header = || std::str::from_utf8(request.header(HEADER)?).ok().map(Into::into);
    let Some(id) = inputs.text(INPUT).or_else(header) else { return Ok(None) };
    if id.is_empty() || id.len() > CLIENT_ID_BYTES_MAX {
        return Err(unexpected(INPUT, "1 to 256 bytes long", &format!("{} bytes", id.len())));
    }
    Ok(Some(id.as_ref().into()))
}

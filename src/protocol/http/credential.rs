//! Who a request says it comes from: `Authorization`, else `X-API-Key`, else `api_key` in the
//! query. Nothing of it is ever logged.

use super::decode::HttpRequest;
use super::input::percent_decode;
use crate::auth::Credential;

const HEADER: &str = "authorization";
const KEY_HEADER: &str = "x-api-key";
const KEY_QUERY: &str = "api_key";

/// A credential that cannot be read; the answer is 401.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unreadable;

/// The credential of a request, if it has one.
///
/// # Errors
/// It cannot be read, or there is more than one `Authorization`.
pub(crate) fn of(request: &HttpRequest<'_>) -> Result<Option<Credential>, Unreadable> {
    let named = |name: &'static str| {
        request.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name))
    };
    let mut given = named(HEADER);
    if let Some(header) = given.next() {
        if given.next().is_some() {
            return Err(Unreadable);
        }
        return Credential::from_authorization(header.value).map(Some).map_err(|_| Unreadable);
    }
    if let Some(header) = named(KEY_HEADER).next() {
        return Credential::from_key(header.value).map(Some).ok_or(Unreadable);
    }
    if request.query.is_empty() {
        return Ok(None);
    }
    let pairs = request.query.split('&');
    let key = pairs.filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == KEY_QUERY);
    let Some((_, value)) = key else { return Ok(None) };
    let value = percent_decode(value, true).map_err(|_| Unreadable)?;
    Credential::from_key(value.as_bytes()).map(Some).ok_or(Unreadable)
}

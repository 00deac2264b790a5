//! The Redis serialisation protocol, versions 2 and 3, and its inline form.
//!
//! [`decode`] turns bytes into the words of a request, [`encode`] a reply into bytes. Both are
//! pure: they read no socket and keep nothing but a [`decode::Decoder`]'s place in a long request.
//! Source: the RESP specification of the Redis documentation, and Redis's wording of errors.

pub mod decode;
pub mod encode;
mod inline;

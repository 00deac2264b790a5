//! HTTP/1.1 and 1.0. In reading order: [`decode`] turns bytes into requests, [`route`] a request
//! into the words of a command, [`respond`] a reply into the answer.
//!
//! Routes are what the commands declare plus a few of the server's own; nothing here knows what a
//! command does.

pub mod access;
mod arguments;
mod caller;
pub mod captures;
mod chunked;
mod containers;
mod context;
mod cors;
pub(crate) mod credential;
pub mod decode;
pub mod dss;
mod echo;
pub mod envelope;
pub mod error;
pub mod feed;
mod geo;
pub(crate) mod head;
mod input;
pub mod live;
pub mod openapi;
pub(crate) mod pubsub;
mod queue;
pub mod respond;
mod response;
pub mod route;
mod shape;
mod sorted;
pub mod stats;
pub mod table;
mod topics;
mod transaction;
pub mod words;

pub use context::HttpContext;
pub use head::{Header, Verb};
pub use pubsub::Subscriber;
pub(crate) use shape::human_bytes;

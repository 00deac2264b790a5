//! The protocols. Each turns bytes into words of commands and replies into bytes; none touches a
//! socket, a shard or the clock.

pub mod http;
pub mod json;
pub mod push;
pub mod resp;
pub mod ws;

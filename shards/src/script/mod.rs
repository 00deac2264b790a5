//! Scripts in Lua 5.1, as Redis has them.
//!
//! `vm` is the interpreter of a core, `api` and the libraries beside it what scripts find in it;
//! [`gauge`] lets other cores end a script. How scripts run over shards is the engine's
//! (`engine/script.rs`).

#[cfg(feature = "lua")]
mod api;
#[cfg(feature = "lua")]
mod bits;
#[cfg(feature = "lua")]
mod convert;
#[cfg(feature = "lua")]
mod decimal;
#[cfg(feature = "lua")]
mod fail;
#[cfg_attr(not(feature = "lua"), allow(dead_code, reason = "only scripts move it"))]
pub mod gauge;
#[cfg(feature = "lua")]
mod json;
#[cfg(feature = "lua")]
pub(crate) mod link;
#[cfg(feature = "lua")]
mod msgpack;
#[cfg(feature = "lua")]
mod random;
#[cfg(feature = "lua")]
mod register;
pub mod registry;
#[cfg_attr(not(feature = "lua"), allow(dead_code, reason = "only scripts have digests"))]
pub mod sha1;
#[cfg(feature = "lua")]
pub(crate) mod shebang;
#[cfg(feature = "lua")]
mod structs;
#[cfg(feature = "lua")]
pub(crate) mod vm;

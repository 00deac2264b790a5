//! WebSocket (RFC 6455), the server's side. In reading order: [`handshake`] answers the upgrade,
//! [`decode`] turns bytes into messages, [`frame`] writes frames, [`close`] says why a connection
//! ends. Pure: nothing here reads a socket or the clock.
//!
//! No extension is negotiated, so there is no compression: `permessage-deflate` costs a window of
//! 32 KiB and more per connection, and the bits it would use are refused.

pub mod close;
pub mod decode;
pub mod frame;
pub mod handshake;

pub use close::{Close, CloseCode};
pub use decode::{Decoded, Decoder, Message};
pub use frame::Opcode;

//! TCP: listening sockets and the table of connections. The [`crate::reactor`] moves the bytes.

pub(crate) mod conn;
pub mod listener;

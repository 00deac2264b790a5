//! Commands: how one is declared ([`spec`]), how its arguments are decoded ([`args`]), what it can
//! answer ([`reply`], [`error`]) and which exist ([`table`]).

pub mod args;
pub mod deadline;
pub mod error;
pub mod names;
pub mod reply;
pub mod scripting;
pub mod spec;
pub mod table;
pub mod timeout;
pub mod transaction;
pub mod usage;

pub mod cluster;
pub mod connection;
pub mod key;
pub mod pubsub;
pub mod server;

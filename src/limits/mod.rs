//! What one client may take of the server: requests per second, connections, room for answers.
//!
//! A command pays for its token on the core that carries it out, from tokens that the core has
//! leased before: there is no lock and, but for one lease in many commands, no shared write.

pub mod addresses;
pub mod bucket;
pub mod client;
pub mod lease;
pub mod output;

pub use addresses::Addresses;
pub use bucket::{Buckets, Rate, Standing};
pub use client::{ClientKey, Payer};
pub use lease::Leases;
pub use output::OutputLimits;

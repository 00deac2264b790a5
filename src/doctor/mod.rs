//! `synap-server doctor`: looks, and changes nothing it looks at.
//!
//! | module | looks at |
//! |---|---|
//! | [`machine`] | whether this machine lets the server run, and run well |
//! | [`data`] | the files of a data directory: what there is, and whether it is sound |
//! | [`dump`] | the batches and entries in them |
//! | [`show`] | the report of [`data`] as text |

pub mod data;
pub mod dump;
pub mod machine;
pub mod show;

pub use machine::{Check, Status, examine, explain, startup, table};

//! Backups: their index, copying a running server's files, and going back to a moment.

pub mod time;

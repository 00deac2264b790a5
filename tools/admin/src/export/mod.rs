//! Exports: all keys in one file, in one of three forms.
//!
//! | form | layout |
//! |---|---|
//! | json | one object: format, version, created_at, offset, `kv` (the keys), entries, crc32c |
//! | lines | format, version, created_at, offset; a line per key; entries and crc32c |
//! | binary | see [`binary`] |
//!
//! A key is `{"key"|"key_base64","value"|"value_base64","ttl_ms"?,"expires_at_ms"?}`; base64 where
//! the bytes are not UTF-8. `expires_at_ms` counts; `ttl_ms`, what was left when the key was
//! exported, is for readers that know nothing else. The checksum is that of every byte before
//! `,"crc32c"`.
//!
//! Guarantees: constant memory; a file whose checksum or count differs is refused before anything
//! is imported from it.

pub(crate) mod binary;
mod checkpoint;
pub(crate) mod json;
mod output;
pub(crate) mod run;

pub(crate) use checkpoint::Checkpoint;

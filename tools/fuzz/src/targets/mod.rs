//! The decoders under fire: one file each, one line here.

mod access;
mod args_parse;
mod batch_decode;
mod config;
mod container_edits;
mod engine_ops;
mod hll;
mod http_decode;
mod json_body;
mod resp_decode;
mod restore;
mod script_decoders;
mod solo;
mod websocket;

/// A decoder, and what it is fed.
pub(crate) struct Target {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// Inputs that are good, to start from.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Words that mean something to it.
    pub(crate) dictionary: &'static [&'static [u8]],
    /// Decodes an input; a broken promise is a panic.
    pub(crate) run: fn(&[u8]),
}

/// Every target.
pub(crate) const TARGETS: &[Target] = &[
    access::TARGET,
    args_parse::TARGET,
    batch_decode::TARGET,
    config::TARGET,
    container_edits::TARGET,
    engine_ops::TARGET,
    hll::TARGET,
    http_decode::TARGET,
    json_body::TARGET,
    resp_decode::TARGET,
    restore::TARGET,
    script_decoders::TARGET,
    websocket::TARGET,
];

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

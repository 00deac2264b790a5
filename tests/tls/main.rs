//! TLS over real sockets: clients of rustls and OpenSSL, certificates of clients, sessions taken
//! up on other cores, certificates that change, and peers that do not behave.

#[path = "../support/mod.rs"]
mod support;

mod abuse;
mod certificates;
mod client;
mod data;
mod pki;
mod tools;

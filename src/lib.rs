//! The Synap server: what joins the pure core to the world. In reading order:

#![allow(clippy::vec_box, reason = "shards change hands as one pointer, they are never copied")]

pub mod cli;
pub mod cold;
pub mod config;
pub mod doctor;
pub mod fatal;
pub mod jobs;
pub mod logging;
pub mod notify;

pub mod auth;

pub mod alive;
pub mod audit;
pub mod captures;
pub mod cidr;
pub mod latency;
pub mod limits;
pub mod mailboxes;
pub mod metrics;
pub mod process;
pub mod settings;
pub mod shared;
pub mod slowlog;
pub mod snapshot;
pub mod tls;
pub mod transactions;

pub mod health;
pub mod protocol;
pub mod scripts;
pub mod session;
pub mod topics;

pub mod backup;
pub mod boot;
pub mod pump;

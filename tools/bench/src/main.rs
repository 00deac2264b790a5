//! `synap-bench`: load over sockets against Synap or any Redis-class server.
//!
//! `run` loads one server, `compare` runs the same loads against a local Redis and Synap in turn.
//! Measures only through sockets and `/proc`, never inside a server.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

mod broker;
mod compare;
mod fanout;
mod load;
mod neighbour;
mod procfs;
mod report;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Load generator for Synap and Redis-class servers.
#[derive(Parser)]
#[command(name = "synap-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Load one running server and report throughput, latency and server CPU.
    Run(Box<run::RunArgs>),
    /// Start Redis and Synap in turn, run the same loads, print the ratios.
    Compare(Box<compare::CompareArgs>),
    /// Publish to and consume from the queues of Synap, RabbitMQ or NATS JetStream.
    Broker(Box<broker::BrokerArgs>),
    /// Publish to many subscribers and count deliveries.
    Fanout(Box<fanout::FanoutArgs>),
    /// Show what an ordinary client notices of greedy neighbours.
    Neighbour(Box<neighbour::NeighbourArgs>),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args).map_err(|e| e.to_string()),
        Command::Compare(args) => compare::compare(&args).map_err(|e| e.to_string()),
        Command::Broker(args) => broker::run(&args).map_err(|e| e.to_string()),
        Command::Fanout(args) => fanout::run(&args).map_err(|e| e.to_string()),
        Command::Neighbour(args) => neighbour::run(&args).map_err(|e| e.to_string()),
    };
    match result {
        Ok(clean) => ExitCode::from(u8::from(!clean)),
        Err(message) => {
            eprintln!("synap-bench: {message}");
            ExitCode::from(2)
        }
    }
}

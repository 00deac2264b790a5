//! Strings: byte strings, counters and bitmaps.

mod append;
mod bit;
mod counter;
mod decimal;
mod extended;
mod float;
mod get;
mod get_change;
mod lcs;
mod many;
mod range;
mod set;

use crate::command::spec::CommandSpec;

pub use bit::COMMANDS as BITMAP_COMMANDS;
pub(crate) use decimal::Decimal;
pub(crate) use extended::{Extended, FloatError};

/// Commands on strings.
pub const COMMANDS: &[&CommandSpec] = &[
    &set::SET,
    &get::GET,
    &get_change::GETEX,
    &get_change::GETDEL,
    &get_change::GETSET,
    &get::GETFULL,
    &set::SETNX,
    &set::SETEX,
    &set::PSETEX,
    &many::MGET,
    &many::MSET,
    &many::MSETNX,
    &append::APPEND,
    &get::STRLEN,
    &range::GETRANGE,
    &range::SUBSTR,
    &range::SETRANGE,
    &counter::INCR,
    &counter::DECR,
    &counter::INCRBY,
    &counter::DECRBY,
    &float::INCRBYFLOAT,
    &lcs::LCS,
];

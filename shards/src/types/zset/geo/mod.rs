//! Positions on the earth: members of sorted sets whose scores are interleaved coordinates.

mod add;
mod cell;
mod look;
mod options;
mod query;
mod radius;
mod search;
mod shape;

use crate::command::spec::CommandSpec;

pub use options::NO_MEMBER;

/// Commands on positions.
pub const COMMANDS: &[&CommandSpec] = &[
    &add::GEOADD,
    &look::GEOPOS,
    &look::GEODIST,
    &look::GEOHASH,
    &query::GEOSEARCH,
    &query::GEOSEARCHSTORE,
    &radius::GEORADIUS,
    &radius::GEORADIUS_RO,
    &radius::GEORADIUSBYMEMBER,
    &radius::GEORADIUSBYMEMBER_RO,
];

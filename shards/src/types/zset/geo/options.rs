//! Arguments that several commands of positions share, and what is wrong with them.

use super::cell::Position;
use crate::command::args;
use crate::command::error::{CommandError, quote};
use crate::command::spec::ArgSpec;

/// What a search around a member is refused with that is not there.
pub const NO_MEMBER: &str = "could not decode requested zset member";
pub(super) const MEMBER_MISSING: CommandError = CommandError::Invalid(NO_MEMBER);
pub(super) const LONGITUDE: ArgSpec = ArgSpec::float("lon", "degrees of longitude");
pub(super) const LATITUDE: ArgSpec = ArgSpec::float("lat", "degrees of latitude");
pub(super) const UNIT: ArgSpec = ArgSpec::bytes("unit", "m, km, ft or mi");
pub(super) const COUNT: ArgSpec =
    ArgSpec::integer("count", "at most so many, the nearest").with_token("COUNT").optional();
pub(super) const ANY: ArgSpec =
    ArgSpec::flag("any", "ANY", "with COUNT, those found first, near or not");
pub(super) const SORT: ArgSpec = ArgSpec::one_of(
    "sort",
    &[
        ArgSpec::flag("asc", "ASC", "the nearest first"),
        ArgSpec::flag("desc", "DESC", "the farthest first"),
    ],
    "the order of the answer; any, if absent",
)
.optional();

/// Metres of a unit.
pub(super) fn unit(word: &[u8]) -> Result<f64, CommandError> {
    let known = [(&b"m"[..], 1.0), (b"km", 1000.0), (b"ft", 0.3048), (b"mi", 1609.34)];
    let found = known.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
    let refused = CommandError::Invalid("unsupported unit provided. please use M, KM, FT, MI");
    found.map(|(_, metres)| *metres).ok_or(refused)
}

/// A position that a score can hold.
pub(super) fn position(longitude: f64, latitude: f64) -> Result<Position, CommandError> {
    let position = Position { longitude, latitude };
    if position.is_valid() {
        return Ok(position);
    }
    let found = format!("{longitude:.6},{latitude:.6}");
    let found = quote(found.as_bytes());
    Err(CommandError::Quoted { before: "invalid longitude,latitude pair ", found, after: "" })
}

/// A length that is not negative.
pub(super) fn length(
    word: &[u8],
    not_a_number: &'static str,
    negative: &'static str,
) -> Result<f64, CommandError> {
    let length = args::float(word).map_err(|_| CommandError::Invalid(not_a_number))?;
    if length < 0.0 { Err(CommandError::Invalid(negative)) } else { Ok(length) }
}

/// Metres as text in a unit.
pub(super) fn shown(metres: f64, unit: f64) -> String {
    format!("{:.4}", metres / unit)
}

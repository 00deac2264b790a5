//! `GEOPOS`, `GEODIST`, `GEOHASH`: what is known of members.

use super::cell::Position;
use super::options::{self, UNIT};
use super::shape::distance;
use crate::command::args::{Arg, Args};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::View;
use crate::types::zset::look::set;

const MEMBERS: Arg = Arg(1);

/// `GEOPOS`.
pub(crate) const GEOPOS: CommandSpec = CommandSpec {
    id: "geo.geopos",
    resp: "GEOPOS",
    family: Family::Geo,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the sorted set"),
        ArgSpec::bytes("members", "the members").repeated().optional(),
    ],
    reply: ReplySpec::Array,
    http: &[HttpRoute::post("/geospatial/{key}/geopos", JsonReply::Shape("geo_positions"))],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Answers longitude and latitude of members, nil for each that is not there",
    complexity: "O(N) for N members",
    run: Run::Read(geopos),
};

/// Longitude and latitude.
pub(super) fn coordinates(position: Position) -> Reply<'static> {
    Reply::Array(vec![Reply::Decimal(position.longitude), Reply::Decimal(position.latitude)])
}

fn geopos<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let set = set(view, args)?;
    let one = |member: &&[u8]| match set.score(member) {
        Some(score) => coordinates(Position::of_score(score)),
        None => Reply::NilArray,
    };
    Ok(Reply::Array(args.rest(MEMBERS).iter().map(one).collect()))
}

/// `GEOHASH`.
pub(crate) const GEOHASH: CommandSpec = CommandSpec {
    id: "geo.geohash",
    resp: "GEOHASH",
    http: &[HttpRoute::post("/geospatial/{key}/geohash", JsonReply::Shape("geo_hashes"))],
    summary: "Answers the geohashes of members, nil for each that is not there",
    run: Run::Read(geohash),
    ..GEOPOS
};

fn geohash<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let set = set(view, args)?;
    let one = |member: &&[u8]| {
        let text = set.score(member).map(|score| Position::of_score(score).geohash());
        text.map_or(Reply::Nil, Reply::string)
    };
    Ok(Reply::Array(args.rest(MEMBERS).iter().map(one).collect()))
}

/// `GEODIST`.
pub(crate) const GEODIST: CommandSpec = CommandSpec {
    id: "geo.geodist",
    resp: "GEODIST",
    args: &[
        ArgSpec::key("key", "the sorted set"),
        ArgSpec::bytes("m1", "one member"),
        ArgSpec::bytes("m2", "the other member"),
        UNIT.optional(),
    ],
    reply: ReplySpec::BytesOrNil,
    http: &[HttpRoute::get(
        "/geospatial/{key}/geodist/{m1}/{m2}",
        JsonReply::Shape("geo_distance"),
    )],
    summary: "Answers the distance of two members in metres or another unit, nil if one is missing",
    complexity: "O(1)",
    run: Run::Read(geodist),
    ..GEOPOS
};

fn geodist<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    let unit = args.opt_bytes(Arg(3)).map_or(Ok(1.0), options::unit)?;
    let set = set(view, args)?;
    let place = |arg| set.score(args.bytes(arg)).map(Position::of_score);
    let (Some(a), Some(b)) = (place(Arg(1)), place(Arg(2))) else { return Ok(Reply::Nil) };
    Ok(Reply::string(options::shown(distance(a, b), unit)))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn positions_distances_and_hashes() {
        OneTable::new().expect(&[
            ("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", "2"),
            ("GEOPOS g Palermo none", "[[13.36138933897018433, 38.11555639549629859], nil]"),
            ("GEOPOS g", "[]"),
            ("GEOPOS none a", "[nil]"),
            ("GEOHASH g Palermo none Catania", "[\"sqc8b49rny0\", nil, \"sqdtr74hyu0\"]"),
            ("GEODIST g Palermo Catania", "\"166274.1516\""),
            ("GEODIST g Palermo Catania km", "\"166.2742\""),
            ("GEODIST g Palermo Catania MI", "\"103.3182\""),
            ("GEODIST g Palermo Catania ft", "\"545518.8700\""),
            ("GEODIST g Palermo Palermo", "\"0.0000\""),
            ("GEODIST g Palermo none", "nil"),
            ("GEODIST none a b", "nil"),
            (
                "GEODIST g Palermo Catania yd",
                "ERR unsupported unit provided. please use M, KM, FT, MI",
            ),
            ("SET s v", "OK"),
            ("GEOPOS s a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }
}

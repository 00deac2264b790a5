//! The older searches: `GEORADIUS`, `GEORADIUSBYMEMBER`, and their forms that only read.

use super::cell::Position;
use super::options::{self, ANY, COUNT, LATITUDE, LONGITUDE, MEMBER_MISSING, SORT, UNIT};
use super::query::circle;
use super::search::{Found, Order, Search, With, keep};
use crate::command::args::{Arg, Args, Scalar};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::ValueType;
use crate::shard::plan::{Plan, View};
use crate::types::zset::view::ZsetView;

const KEY: ArgSpec = ArgSpec::key("key", "the sorted set");
const MEMBER: ArgSpec = ArgSpec::bytes("member", "the member around which to look");
const RADIUS: ArgSpec = ArgSpec::bytes("radius", "the radius");
const WITHCOORD: ArgSpec =
    ArgSpec::flag("withcoord", "WITHCOORD", "answer longitude and latitude too");
const WITHDIST: ArgSpec =
    ArgSpec::flag("withdist", "WITHDIST", "answer distances from the centre too");
const WITHHASH: ArgSpec = ArgSpec::flag("withhash", "WITHHASH", "answer scores too");
const STORE: ArgSpec = ArgSpec::one_of(
    "into",
    &[
        ArgSpec::key("store", "store the members with their scores").with_token("STORE"),
        ArgSpec::key("storedist", "store the members with their distances").with_token("STOREDIST"),
    ],
    "store what is found, and answer how many",
)
.optional();
const STOREDIST: usize = 1;
const TOKENED: Keys = Keys::Tokened { first: 1, tokens: &["STORE", "STOREDIST"] };

/// `GEORADIUS_RO`.
pub(crate) const GEORADIUS_RO: CommandSpec = CommandSpec {
    id: "geo.georadius_ro",
    resp: "GEORADIUS_RO",
    family: Family::Geo,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        KEY, LONGITUDE, LATITUDE, RADIUS, UNIT, COUNT, ANY, SORT, WITHCOORD, WITHDIST, WITHHASH,
    ],
    reply: ReplySpec::Array,
    http: &[HttpRoute::get("/geospatial/{key}/georadius", JsonReply::Shape("geo_found"))],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Answers the members within a circle around a position",
    complexity: "O(log N + M) for M members in the cells around what is searched, of a set of N",
    run: Run::Read(|view, args| read(view, args, AROUND_POSITION)),
};

/// `GEORADIUS`.
pub(crate) const GEORADIUS: CommandSpec = CommandSpec {
    id: "geo.georadius",
    resp: "GEORADIUS",
    access: Access::Write,
    keys: TOKENED,
    atomicity: Atomicity::Whole,
    args: &[
        KEY, LONGITUDE, LATITUDE, RADIUS, UNIT, COUNT, ANY, SORT, WITHCOORD, WITHDIST, WITHHASH,
        STORE,
    ],
    reply: ReplySpec::Any,
    http: &[],
    flags: Flags::DENY_OOM,
    summary: "Answers or stores the members within a circle around a position",
    run: Run::Write(|plan, args| write(plan, args, AROUND_POSITION)),
    ..GEORADIUS_RO
};

/// `GEORADIUSBYMEMBER_RO`.
pub(crate) const GEORADIUSBYMEMBER_RO: CommandSpec = CommandSpec {
    id: "geo.georadiusbymember_ro",
    resp: "GEORADIUSBYMEMBER_RO",
    args: &[KEY, MEMBER, RADIUS, UNIT, COUNT, ANY, SORT, WITHCOORD, WITHDIST, WITHHASH],
    http: &[HttpRoute::get(
        "/geospatial/{key}/georadiusbymember/{member}",
        JsonReply::Shape("geo_found"),
    )],
    summary: "Answers the members within a circle around one of them",
    run: Run::Read(|view, args| read(view, args, AROUND_MEMBER)),
    ..GEORADIUS_RO
};

/// `GEORADIUSBYMEMBER`.
pub(crate) const GEORADIUSBYMEMBER: CommandSpec = CommandSpec {
    id: "geo.georadiusbymember",
    resp: "GEORADIUSBYMEMBER",
    args: &[KEY, MEMBER, RADIUS, UNIT, COUNT, ANY, SORT, WITHCOORD, WITHDIST, WITHHASH, STORE],
    summary: "Answers or stores the members within a circle around one of them",
    run: Run::Write(|plan, args| write(plan, args, AROUND_MEMBER)),
    ..GEORADIUS
};

/// Position of the radius among the arguments: behind a member, or behind longitude and latitude.
type RadiusAt = usize;
const AROUND_MEMBER: RadiusAt = 2;
const AROUND_POSITION: RadiusAt = 3;

/// What is searched; nothing when the set is missing.
fn search(
    args: &Args<'_>,
    set: &ZsetView<'_>,
    radius_at: RadiusAt,
) -> Result<Option<Search>, CommandError> {
    let centre = if radius_at == AROUND_POSITION {
        options::position(args.float(Arg(1)), args.float(Arg(2)))?
    } else if set.len() == 0 {
        Order::read(args, radius_at + 2)?;
        return Ok(None);
    } else {
        Position::of_score(set.score(args.bytes(Arg(1))).ok_or(MEMBER_MISSING)?)
    };
    let (shape, unit) = circle(args.bytes(Arg(radius_at)), args.bytes(Arg(radius_at + 1)))?;
    let order = Order::read(args, radius_at + 2)?;
    Ok(Some(Search { centre, shape, unit, order }))
}

/// What is found, and the unit of distances.
fn find<'s>(
    view: &View<'s>,
    args: &Args<'_>,
    radius_at: RadiusAt,
) -> Result<(Vec<Found<'s>>, f64), CommandError> {
    let set = ZsetView::of_any(view.typed(args.bytes(Arg(0)), ValueType::SortedSet)?);
    let search = search(args, &set, radius_at)?;
    Ok(search.map_or((Vec::new(), 1.0), |search| (search.run(&set), search.unit)))
}

fn read<'s>(
    view: &View<'s>,
    args: &Args<'_>,
    radius_at: RadiusAt,
) -> Result<Reply<'s>, CommandError> {
    let (found, unit) = find(view, args, radius_at)?;
    Ok(With::read(args, radius_at + 5).answer(&found, unit))
}

fn write(
    plan: &mut Plan<'_>,
    args: &Args<'_>,
    radius_at: RadiusAt,
) -> Result<Reply<'static>, CommandError> {
    let with = With::read(args, radius_at + 5);
    let into = args.choice(Arg(radius_at + 8));
    if into.is_some() && with.is_anything() {
        let message = "STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and \
                       WITHCOORD options";
        return Err(CommandError::Invalid(message));
    }
    let (found, unit) = find(plan, args, radius_at)?;
    match into {
        Some((choice, Scalar::Bytes(key))) => {
            keep(plan, key, &found, (choice == STOREDIST).then_some(unit), "georadiusstore")
        }
        _ => Ok(with.answer(&found, unit).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn circles_are_searched() {
        OneTable::new().expect(&[
            ("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", "2"),
            (
                "GEORADIUS g 15 37 200 km WITHDIST ASC",
                "[[\"Catania\", \"56.4413\"], [\"Palermo\", \"190.4424\"]]",
            ),
            ("GEORADIUS_RO g 15 37 100 km", "[\"Catania\"]"),
            (
                "GEORADIUSBYMEMBER g Catania 200000 m DESC WITHCOORD WITHHASH COUNT 1",
                "[[\"Palermo\", 3479099956230698, [13.36138933897018433, 38.11555639549629859]]]",
            ),
            ("GEORADIUSBYMEMBER_RO g Catania 1 mi", "[\"Catania\"]"),
            ("GEORADIUS g 15 37 200 km STORE to", "2"),
            ("ZRANGE to 0 -1", "[\"Palermo\", \"Catania\"]"),
            ("GEORADIUSBYMEMBER g Catania 200 km STOREDIST to", "2"),
            ("ZRANGE to 0 -1", "[\"Catania\", \"Palermo\"]"),
            ("ZSCORE to Catania", "0"),
            ("GEORADIUS none 15 37 200 km STORE to", "0"),
            ("EXISTS to", "0"),
            ("GEORADIUSBYMEMBER none a 1 m", "[]"),
            ("GEORADIUSBYMEMBER g none 1 m", "ERR could not decode requested zset member"),
            (
                "GEORADIUS g 15 37 200 km WITHDIST STORE to",
                "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and \
                 WITHCOORD options",
            ),
            ("GEORADIUS_RO g 15 37 200 km STORE to", "ERR syntax error"),
            ("GEORADIUS g 15 37 x km", "ERR need numeric radius"),
            ("GEORADIUS g x 37 1 km", "ERR value is not a valid float"),
            ("GEORADIUS g 15 37 1", "ERR wrong number of arguments for 'georadius' command"),
        ]);
    }
}

//! `GEOSEARCH` and `GEOSEARCHSTORE`.

use super::cell::Position;
use super::options::{self, ANY, COUNT, LATITUDE, LONGITUDE, MEMBER_MISSING, SORT, UNIT};
use super::search::{Order, Search, With, keep};
use super::shape::Shape;
use crate::command::args::{self, Arg, Args, wrong_arity};
use crate::command::error::{CommandError, quote};
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::ValueType;
use crate::shard::plan::{Plan, View};
use crate::types::zset::view::ZsetView;

const FROM_MEMBER: ArgSpec =
    ArgSpec::bytes("from_member", "around a member of the set").with_token("FROMMEMBER").optional();
const FROM_LONLAT: ArgSpec =
    ArgSpec::block("from_lonlat", &[LONGITUDE, LATITUDE], "around a position")
        .with_token("FROMLONLAT")
        .optional();
const BY_RADIUS: ArgSpec =
    ArgSpec::block("by_radius", &[ArgSpec::float("radius", "the radius"), UNIT], "within a circle")
        .with_token("BYRADIUS")
        .optional();
const BY_BOX: ArgSpec = ArgSpec::block(
    "by_box",
    &[ArgSpec::float("width", "the width"), ArgSpec::float("height", "the height"), UNIT],
    "within a box along the axes",
)
.with_token("BYBOX")
.optional();

/// Words of the shortest `GEOSEARCH`: around something, within something.
const WORDS_MIN: usize = 7;

/// `GEOSEARCH`.
pub(crate) const GEOSEARCH: CommandSpec = CommandSpec {
    id: "geo.geosearch",
    resp: "GEOSEARCH",
    family: Family::Geo,
    access: Access::Read,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the sorted set"),
        FROM_MEMBER,
        FROM_LONLAT,
        BY_RADIUS,
        BY_BOX,
        COUNT,
        ANY,
        SORT,
        ArgSpec::flag("with_coord", "WITHCOORD", "answer longitude and latitude too"),
        ArgSpec::flag("with_dist", "WITHDIST", "answer distances from the centre too"),
        ArgSpec::flag("with_hash", "WITHHASH", "answer scores too"),
    ],
    reply: ReplySpec::Array,
    http: &[HttpRoute::post("/geospatial/{key}/geosearch", JsonReply::Shape("geo_found"))],
    flags: Flags::NONE,
    since: "0.1.0",
    summary: "Answers the members within a circle or a box around a member or a position",
    complexity: "O(log N + M) for M members in the cells around what is searched, of a set of N",
    run: Run::Read(geosearch),
};

/// `GEOSEARCHSTORE`.
pub(crate) const GEOSEARCHSTORE: CommandSpec = CommandSpec {
    id: "geo.geosearchstore",
    resp: "GEOSEARCHSTORE",
    access: Access::Write,
    keys: Keys::TWO,
    atomicity: Atomicity::Whole,
    args: &[
        ArgSpec::key("destination", "where the members go"),
        ArgSpec::key("source", "the sorted set"),
        FROM_MEMBER,
        FROM_LONLAT,
        BY_RADIUS,
        BY_BOX,
        COUNT,
        ANY,
        SORT,
        ArgSpec::flag("storedist", "STOREDIST", "make distances the scores"),
    ],
    reply: ReplySpec::Integer,
    http: &[],
    flags: Flags::DENY_OOM,
    summary: "Stores the members within a circle or a box, and answers how many",
    run: Run::Write(geosearchstore),
    ..GEOSEARCH
};

fn geosearch<'s>(view: &View<'s>, args: &Args<'_>) -> Result<Reply<'s>, CommandError> {
    if args.words().len() < WORDS_MIN {
        return Err(wrong_arity(&GEOSEARCH));
    }
    let set = ZsetView::of_any(view.typed(args.bytes(Arg(0)), ValueType::SortedSet)?);
    let Some(search) = read(args, &set, 1)? else { return Ok(Reply::Array(Vec::new())) };
    Ok(With::read(args, 8).answer(&search.run(&set), search.unit))
}

fn geosearchstore(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    if args.words().len() <= WORDS_MIN {
        return Err(wrong_arity(&GEOSEARCHSTORE));
    }
    let set = ZsetView::of_any(plan.typed(args.bytes(Arg(1)), ValueType::SortedSet)?);
    let search = read(args, &set, 2)?;
    let unit = search.map(|search| search.unit).filter(|_| args.flag(Arg(9)));
    let found = search.map_or_else(Vec::new, |search| search.run(&set));
    keep(plan, args.bytes(Arg(0)), &found, unit, "geosearchstore")
}

/// What the arguments from `at` on ask for; nothing when the set, and with it the member around
/// which to look, is missing.
fn read(args: &Args<'_>, set: &ZsetView<'_>, at: usize) -> Result<Option<Search>, CommandError> {
    let [member, position] = [Arg(at), Arg(at + 1)];
    let centre = match (args.opt_bytes(member), args.rest(position)) {
        (Some(_), []) if set.len() == 0 => None,
        (Some(member), []) => Some(Position::of_score(set.score(member).ok_or(MEMBER_MISSING)?)),
        (None, [longitude, latitude]) => {
            Some(options::position(args::float(longitude)?, args::float(latitude)?)?)
        }
        (None, _) => return Err(exactly("FROMMEMBER or FROMLONLAT", args)),
        (Some(_), _) => return Err(CommandError::Syntax),
    };
    let (shape, unit) = match (args.rest(Arg(at + 2)), args.rest(Arg(at + 3))) {
        ([radius, unit], []) => circle(radius, unit)?,
        ([], [width, height, unit]) => {
            let negative = "height or width cannot be negative";
            let width = options::length(width, "need numeric width", negative)?;
            let height = options::length(height, "need numeric height", negative)?;
            let unit = options::unit(unit)?;
            (Shape::Box { width: width * unit, height: height * unit }, unit)
        }
        ([], []) => return Err(exactly("BYRADIUS and BYBOX", args)),
        _ => return Err(CommandError::Syntax),
    };
    let order = Order::read(args, at + 4)?;
    Ok(centre.map(|centre| Search { centre, shape, unit, order }))
}

/// A circle of a radius in a unit, and that unit.
pub(super) fn circle(radius: &[u8], unit: &[u8]) -> Result<(Shape, f64), CommandError> {
    let radius = options::length(radius, "need numeric radius", "radius cannot be negative")?;
    let unit = options::unit(unit)?;
    Ok((Shape::Circle { radius: radius * unit }, unit))
}

fn exactly(choices: &'static str, args: &Args<'_>) -> CommandError {
    let found = format!("{choices} can be specified for {}", quote(args.words()[0]));
    CommandError::Quoted { before: "exactly one of ", found, after: "" }
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    fn filled() -> OneTable {
        let mut db = OneTable::new();
        db.expect(&[
            ("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", "2"),
            ("GEOADD g 12.758489 38.788135 edge1 17.241510 38.788135 edge2", "2"),
        ]);
        db
    }

    #[test]
    fn circles_and_boxes_are_searched() {
        filled().expect(&[
            ("GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC", "[\"Catania\", \"Palermo\"]"),
            (
                "GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km ASC WITHCOORD WITHDIST",
                "[[\"Catania\", \"56.4413\", [15.08726745843887329, 37.50266842333162032]], \
                 [\"Palermo\", \"190.4424\", [13.36138933897018433, 38.11555639549629859]], \
                 [\"edge2\", \"279.7403\", [17.24151045083999634, 38.78813451624225195]], \
                 [\"edge1\", \"279.7405\", [12.7584877610206604, 38.78813451624225195]]]",
            ),
            (
                "GEOSEARCH g FROMMEMBER Palermo BYRADIUS 200 km DESC WITHHASH",
                "[[\"Catania\", 3479447370796909], [\"edge1\", 3479273021651468], \
                 [\"Palermo\", 3479099956230698]]",
            ),
            ("GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 500 km COUNT 1", "[\"Catania\"]"),
            ("GEOSEARCH g FROMLONLAT 0 0 BYRADIUS 1 m", "[]"),
            ("GEOSEARCH none FROMMEMBER a BYRADIUS 1 m", "[]"),
            ("GEOSEARCHSTORE to g FROMLONLAT 15 37 BYRADIUS 200 km", "2"),
            ("ZSCORE to Palermo", "3479099956230698"),
            ("GEOSEARCHSTORE to g FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1 STOREDIST", "1"),
            ("ZCOUNT to 56.44 56.45", "1"),
            ("GEOSEARCHSTORE to none FROMLONLAT 15 37 BYRADIUS 200 km", "0"),
            ("EXISTS to", "0"),
        ]);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        filled().expect(&[
            (
                "GEOSEARCH g BYRADIUS 1 m ASC WITHDIST",
                "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH",
            ),
            (
                "GEOSEARCH g FROMLONLAT 1 1 ASC WITHDIST",
                "ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH",
            ),
            ("GEOSEARCH g FROMMEMBER a FROMLONLAT 1 1 BYRADIUS 1 m", "ERR syntax error"),
            ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m BYBOX 1 1 m", "ERR syntax error"),
            (
                "GEOSEARCH g FROMMEMBER none BYRADIUS 1 m",
                "ERR could not decode requested zset member",
            ),
            ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS x m", "ERR need numeric radius"),
            ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS -1 m", "ERR radius cannot be negative"),
            ("GEOSEARCH g FROMLONLAT 1 1 BYBOX x 1 m", "ERR need numeric width"),
            ("GEOSEARCH g FROMLONLAT 1 1 BYBOX 1 x m", "ERR need numeric height"),
            ("GEOSEARCH g FROMLONLAT 1 1 BYBOX 1 -1 m", "ERR height or width cannot be negative"),
            (
                "GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 x",
                "ERR unsupported unit provided. please use M, KM, FT, MI",
            ),
            ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m COUNT 0", "ERR COUNT must be > 0"),
            (
                "GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m ANY",
                "ERR the ANY argument requires COUNT argument",
            ),
            (
                "GEOSEARCH g FROMLONLAT 200 1 BYRADIUS 1 m",
                "ERR invalid longitude,latitude pair 200.000000,1.000000",
            ),
            ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m STOREDIST", "ERR syntax error"),
        ]);
    }
}

//! `GEOADD`: positions become scores of a sorted set.

use super::options::{LATITUDE, LONGITUDE, position};
use crate::command::args::{self, Arg, Args, wrong_arity};
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run,
};
use crate::shard::plan::Plan;
use crate::types::zset::add::{Conditions, add};

const KEY: Arg = Arg(0);
const NX: Arg = Arg(1);
const XX: Arg = Arg(2);
const CH: Arg = Arg(3);
const LOCATIONS: Arg = Arg(4);
/// Words of the shortest `GEOADD`.
const WORDS_MIN: usize = 5;

/// `GEOADD`.
pub(crate) const GEOADD: CommandSpec = CommandSpec {
    id: "geo.geoadd",
    resp: "GEOADD",
    family: Family::Geo,
    access: Access::Write,
    keys: Keys::ONE,
    atomicity: Atomicity::Single,
    args: &[
        ArgSpec::key("key", "the sorted set"),
        ArgSpec::flag("nx", "NX", "only members that are not there yet"),
        ArgSpec::flag("xx", "XX", "only members that are there"),
        ArgSpec::flag("ch", "CH", "count moved members too"),
        ArgSpec::block(
            "locations",
            &[LONGITUDE, LATITUDE, ArgSpec::bytes("member", "what is there")],
            "positions and their members",
        )
        .repeated(),
    ],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/geospatial/{key}/geoadd", JsonReply::Shape("geo_added"))],
    flags: Flags::DENY_OOM,
    since: "0.1.0",
    summary: "Adds members at positions or moves them, and answers how many are new",
    complexity: "O(log N) for each member of a set of N",
    run: Run::Write(geoadd),
};

fn geoadd(plan: &mut Plan<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let few = args.words().len() < WORDS_MIN;
    let refused = || if few { wrong_arity(&GEOADD) } else { CommandError::Syntax };
    let (locations, []) = args.rest(LOCATIONS).as_chunks::<3>() else { return Err(refused()) };
    let [absent, present] = [NX, XX].map(|flag| args.flag(flag));
    if absent && present {
        return Err(CommandError::Syntax);
    }
    let mut members = Vec::with_capacity(locations.len());
    for [longitude, latitude, member] in locations {
        let position = position(args::float(longitude)?, args::float(latitude)?)?;
        members.push((position.score(), *member));
    }
    let conditions = Conditions { absent, present, ..Conditions::NONE };
    let done = add(plan, args.bytes(KEY), &members, conditions)?;
    Ok(Reply::count(if args.flag(CH) { done.changed } else { done.added }))
}

#[cfg(test)]
mod tests {
    use crate::one_table::OneTable;

    #[test]
    fn positions_become_scores() {
        OneTable::new().expect(&[
            ("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", "2"),
            ("ZSCORE g Palermo", "3479099956230698"),
            ("ZSCORE g Catania", "3479447370796909"),
            ("GEOADD g NX 1 1 Palermo 2 2 Other", "1"),
            ("GEOADD g XX CH 1 1 Palermo 2 2 None", "1"),
            ("ZCARD g", "3"),
            ("TYPE g", "zset"),
            ("GEOADD g NX XX 1 1 a", "ERR syntax error"),
            ("GEOADD g 1 1", "ERR wrong number of arguments for 'geoadd' command"),
            ("GEOADD g 1 1 a 2", "ERR syntax error"),
            ("GEOADD g x 1 a", "ERR value is not a valid float"),
            ("GEOADD g 181 1 a", "ERR invalid longitude,latitude pair 181.000000,1.000000"),
            ("GEOADD g 1 86 a", "ERR invalid longitude,latitude pair 1.000000,86.000000"),
            ("SET s v", "OK"),
            ("GEOADD s 1 1 a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }
}

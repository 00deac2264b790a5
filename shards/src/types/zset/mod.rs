//! Sorted sets: members with scores, in the order of (score, member bytes).
//!
//! A small one is packed (`packed`); a large one finds members by name in a table and by order in
//! a counted B+tree (`large`, `tree`).

mod add;
mod answer;
mod bounds;
mod change;
mod combine;
mod geo;
mod large;
mod look;
mod packed;
mod pop;
mod random;
mod range;
mod record;
mod remove;
mod scan;
mod source;
mod stats;
mod told;
mod tree;
mod view;

use crate::command::spec::CommandSpec;

pub use geo::{COMMANDS as GEO_COMMANDS, NO_MEMBER};
pub(crate) use large::{Large, apply_packed, packed_edits, packed_len};
pub(crate) use record::{check, push_put};
pub(crate) use told::tell;
pub(crate) use view::ZsetView;

/// Commands on sorted sets.
pub const COMMANDS: &[&CommandSpec] = &[
    &add::ZADD,
    &add::ZINCRBY,
    &remove::ZREM,
    &remove::ZREMRANGEBYRANK,
    &remove::ZREMRANGEBYSCORE,
    &remove::ZREMRANGEBYLEX,
    &look::ZSCORE,
    &look::ZMSCORE,
    &look::ZCARD,
    &look::ZCOUNT,
    &look::ZLEXCOUNT,
    &look::ZRANK,
    &look::ZREVRANK,
    &range::ZRANGE,
    &range::ZRANGESTORE,
    &range::ZREVRANGE,
    &range::ZRANGEBYSCORE,
    &range::ZREVRANGEBYSCORE,
    &range::ZRANGEBYLEX,
    &range::ZREVRANGEBYLEX,
    &pop::ZPOPMIN,
    &pop::ZPOPMAX,
    &pop::ZMPOP,
    &pop::BZPOPMIN,
    &pop::BZPOPMAX,
    &pop::BZMPOP,
    &combine::ZUNION,
    &combine::ZUNIONSTORE,
    &combine::ZINTER,
    &combine::ZINTERSTORE,
    &combine::ZINTERCARD,
    &combine::ZDIFF,
    &combine::ZDIFFSTORE,
    &random::ZRANDMEMBER,
    &scan::ZSCAN,
    &stats::STATS,
];

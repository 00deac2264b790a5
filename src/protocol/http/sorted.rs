//! Sorted sets over HTTP: the bodies of their answers, and inputs that no argument of a command
//! has by itself.

use synap_shards::command::args::NUMKEYS;
use synap_shards::command::reply::Reply;
use synap_shards::command::spec::{ArgKind, ArgSpec, Family};

use super::arguments::Writer;
use super::context::HttpContext;
use super::error::HttpError;
use super::input::{Given, missing, unexpected};
use super::shape::{items, key_and, member};
use crate::protocol::json::{self, Kind};

/// Bodies of answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Body {
    /// What `ZADD` counted, or the score it came to.
    Added,
    /// Key, member, and the reply under this name.
    OfMember(&'static str),
    /// Members with their scores.
    Members,
    /// Members that were taken, and how many.
    Popped,
    /// How many members the destination has now.
    Stored,
    /// Totals of all.
    Stats,
}

impl Body {
    /// The body that a command names.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "zadd" => Self::Added,
            "zset_score" => Self::OfMember("score"),
            "zset_rank" => Self::OfMember("rank"),
            "zset_members" => Self::Members,
            "zset_popped" => Self::Popped,
            "zset_stored" => Self::Stored,
            "zset_stats" => Self::Stats,
            _ => return None,
        })
    }

    /// How many leading arguments the answer repeats.
    pub(super) fn echoes(self) -> usize {
        match self {
            Self::Stats => 0,
            Self::OfMember(_) => 2,
            Self::Added | Self::Members | Self::Popped | Self::Stored => 1,
        }
    }

    /// Members of the body, for its description.
    pub(super) fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Added => &[("added", "integer"), ("key", "string")],
            Self::OfMember("rank") => {
                &[("rank", "integer"), ("key", "string"), ("member", "string")]
            }
            Self::OfMember(_) => &[("score", "number"), ("key", "string"), ("member", "string")],
            Self::Members => &[("members", "array"), ("key", "string")],
            Self::Popped => &[("members", "array"), ("count", "integer"), ("key", "string")],
            Self::Stored => &[("count", "integer"), ("destination", "string")],
            Self::Stats => &[
                ("total_keys", "integer"),
                ("total_members", "integer"),
                ("avg_members_per_key", "number"),
                ("memory_bytes", "integer"),
            ],
        }
    }

    /// Appends the body that `reply` makes.
    pub(super) fn write(self, context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Added => added(context, reply, out),
            Self::OfMember(name) => {
                key_and(context, "member", out);
                json::write_bytes(out, context.destination());
                member(out, b',', name);
                json::write_reply(out, reply);
            }
            Self::Members => {
                key_and(context, "members", out);
                members(reply, out);
            }
            Self::Popped => {
                key_and(context, "members", out);
                let count = members(reply, out);
                member(out, b',', "count");
                json::write_usize(out, count);
            }
            Self::Stored => {
                member(out, b'{', "destination");
                json::write_bytes(out, context.key());
                member(out, b',', "count");
                json::write_reply(out, reply);
            }
            Self::Stats => stats(reply, out),
        }
        out.push(b'}');
    }
}

/// Keys, members and bytes, a triple from each core.
fn stats(reply: &Reply<'_>, out: &mut Vec<u8>) {
    let sum = |skip: usize| -> u64 {
        let numbers = items(reply).iter().skip(skip).step_by(3).map(|item| match item {
            Reply::Integer(number) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        });
        numbers.fold(0, u64::saturating_add)
    };
    let (keys, members) = (sum(0), sum(1));
    member(out, b'{', "total_keys");
    json::write_u64(out, keys);
    member(out, b',', "total_members");
    json::write_u64(out, members);
    member(out, b',', "avg_members_per_key");
    let average = if keys == 0 { 0.0 } else { members as f64 / keys as f64 };
    json::write_reply(out, &Reply::Double(average));
    member(out, b',', "memory_bytes");
    json::write_u64(out, sum(2));
}

fn added(context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
    let Reply::Integer(_) = reply else {
        key_and(context, "score", out);
        return json::write_reply(out, reply);
    };
    key_and(context, "added", out);
    json::write_reply(out, reply);
    if context.with_changed {
        member(out, b',', "changed");
        json::write_reply(out, reply);
    }
}

/// Members and scores as objects; how many.
fn members(reply: &Reply<'_>, out: &mut Vec<u8>) -> usize {
    let none = Reply::Nil;
    let all: Vec<(&Reply<'_>, &Reply<'_>)> = match reply {
        Reply::Pairs(pairs) => pairs.iter().map(|(member, score)| (member, score)).collect(),
        Reply::Array(items) => items.iter().map(|item| (item, &none)).collect(),
        _ => Vec::new(),
    };
    out.push(b'[');
    for (index, (name, score)) in all.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        member(out, b'{', "member");
        json::write_reply(out, name);
        member(out, b',', "score");
        json::write_reply(out, score);
        out.push(b'}');
    }
    out.push(b']');
    all.len()
}

/// Inputs of sorted sets that no argument has by itwriter. Whether this was one.
pub(super) fn argument(
    writer: &mut Writer<'_, '_>,
    arg: &'static ArgSpec,
) -> Result<bool, HttpError> {
    if writer.spec.family != Family::SortedSet {
        return Ok(false);
    }
    match arg.kind {
        // Answers have scores, unless they are to be asked for in vain.
        ArgKind::Flag if arg.name == "withscores" => {
            if !writer.words.as_words().iter().any(|word| *word == b"BYLEX") {
                writer.words.push(arg.token.as_bytes());
            }
            Ok(true)
        }
        ArgKind::Integer if arg.name == NUMKEYS => {
            let count = match writer.inputs.of("keys") {
                Some((name, Given::Json(text))) if Kind::of(text) == Kind::Array => {
                    json::array(text).map_err(|_| missing(name))?.len()
                }
                Some((_, Given::Text(text))) => text.split(',').count(),
                Some((_, Given::Json(_))) => 1,
                None => return Err(missing("keys")),
            };
            writer.words.push(count.to_string().as_bytes());
            Ok(true)
        }
        ArgKind::Block(parts) if arg.name == "members" => scored(writer, parts),
        _ => Ok(false),
    }
}

/// One member with its score, or a list of each. Whether it was one of these.
fn scored(writer: &mut Writer<'_, '_>, parts: &'static [ArgSpec]) -> Result<bool, HttpError> {
    let [score, member] = parts else { return Ok(false) };
    if let (Some(name), Some(number)) = (writer.inputs.find("member"), writer.inputs.get("score")) {
        writer.value(score, "score", &number)?;
        writer.value(member, "member", &name)?;
        return Ok(true);
    }
    let (Some(Given::Json(names)), Some(Given::Json(numbers))) =
        (writer.inputs.get("members"), writer.inputs.get("scores"))
    else {
        return Ok(false);
    };
    let names = json::array(names).map_err(|_| missing("members"))?;
    let numbers = json::array(numbers).map_err(|_| missing("scores"))?;
    if names.len() != numbers.len() || names.is_empty() {
        let (expected, found) = (format!("{} scores", names.len()), numbers.len().to_string());
        return Err(unexpected("scores", &expected, &found));
    }
    for (name, number) in names.into_iter().zip(numbers) {
        writer.value(score, "scores", &Given::Json(number))?;
        writer.value(member, "members", &Given::Json(name))?;
    }
    Ok(true)
}

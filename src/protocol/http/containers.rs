//! Lists, sets, hashes and HyperLogLogs over HTTP: the bodies of their answers.

use synap_shards::command::reply::Reply;

use super::context::HttpContext;
use super::shape::{items, key_and, member, source_and_destination, truth, value};
use super::stats::HLL_OPERATIONS;
use crate::protocol::json;

/// Bodies of answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Body {
    ListValues,
    ListIndex,
    ListSet,
    ListMoved,
    SetCount,
    SetMoved,
    SetStored,
    HashSet,
    HashSetNx,
    HashFloat,
    HllCount,
    HllMerged,
    HllStats,
}

impl Body {
    /// The body that a command names.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "list_values" => Self::ListValues,
            "list_index" => Self::ListIndex,
            "list_set" => Self::ListSet,
            "list_moved" => Self::ListMoved,
            "set_count" => Self::SetCount,
            "set_moved" => Self::SetMoved,
            "set_stored" => Self::SetStored,
            "hash_set" => Self::HashSet,
            "hash_setnx" => Self::HashSetNx,
            "hash_float" => Self::HashFloat,
            "hll_count" => Self::HllCount,
            "hll_merged" => Self::HllMerged,
            "hll_stats" => Self::HllStats,
            _ => return None,
        })
    }

    /// How many leading arguments the answer repeats.
    pub(super) fn echoes(self) -> usize {
        match self {
            Self::HashFloat | Self::HllStats => 0,
            Self::ListValues
            | Self::SetCount
            | Self::SetStored
            | Self::HllCount
            | Self::HllMerged => 1,
            Self::ListIndex
            | Self::ListSet
            | Self::ListMoved
            | Self::SetMoved
            | Self::HashSet
            | Self::HashSetNx => 2,
        }
    }

    /// Members of the body, for its description.
    pub(super) fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::ListValues => &[("key", "string"), ("values", "array")],
            Self::ListIndex => &[("key", "string"), ("value", "string"), ("index", "integer")],
            Self::ListSet => &[("key", "string"), ("success", "boolean"), ("index", "integer")],
            Self::ListMoved => {
                &[("value", "string"), ("source", "string"), ("destination", "string")]
            }
            Self::SetCount => {
                &[("key", "string"), ("count", "integer"), ("cardinality", "integer")]
            }
            Self::SetMoved => {
                &[("moved", "boolean"), ("source", "string"), ("destination", "string")]
            }
            Self::SetStored => {
                &[("destination", "string"), ("count", "integer"), ("cardinality", "integer")]
            }
            Self::HashSet => &[
                ("created", "boolean"),
                ("key", "string"),
                ("field", "string"),
                ("success", "boolean"),
            ],
            Self::HashSetNx => &[("created", "boolean"), ("key", "string"), ("field", "string")],
            Self::HashFloat => &[("value", "number")],
            Self::HllCount => &[("key", "string"), ("count", "integer")],
            Self::HllMerged => &[("destination", "string"), ("count", "integer")],
            Self::HllStats => &[
                ("total_hlls", "integer"),
                ("pfadd_count", "integer"),
                ("pfcount_count", "integer"),
                ("pfmerge_count", "integer"),
                ("total_cardinality", "integer"),
            ],
        }
    }

    /// Appends the body that `reply` makes.
    pub(super) fn write(self, context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
        match self {
            Self::ListValues => list_values(context, reply, out),
            Self::ListIndex => {
                key_and(context, "value", out);
                value(context, reply, out);
                indexed(context, out);
            }
            Self::ListSet => {
                key_and(context, "success", out);
                json::write_bool(out, true);
                indexed(context, out);
            }
            Self::ListMoved => {
                member(out, b'{', "value");
                json::write_reply(out, reply);
                source_and_destination(context, out);
            }
            Self::SetCount => {
                key_and(context, "count", out);
                with_cardinality(reply, out);
            }
            Self::SetMoved => {
                member(out, b'{', "moved");
                json::write_bool(out, truth(reply));
                source_and_destination(context, out);
            }
            Self::SetStored => {
                destination_and(context.key(), "count", out);
                with_cardinality(reply, out);
            }
            Self::HashSet | Self::HashSetNx => self.hash_set(context, reply, out),
            Self::HashFloat => hash_float(reply, out),
            Self::HllCount => {
                key_and(context, "count", out);
                json::write_reply(out, reply);
                out.push(b'}');
            }
            Self::HllMerged => {
                destination_and(context.key(), "count", out);
                json::write_reply(out, reply);
                out.push(b'}');
            }
            Self::HllStats => hll_stats(context, reply, out),
        }
    }

    fn hash_set(self, context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
        member(out, b'{', "created");
        json::write_bool(out, truth(reply));
        member(out, b',', "key");
        json::write_bytes(out, context.key());
        member(out, b',', "field");
        json::write_bytes(out, context.destination());
        if self == Self::HashSet {
            member(out, b',', "success");
            json::write_bool(out, true);
        }
        out.push(b'}');
    }
}

/// Appends `{"destination":d,"name":`.
fn destination_and(destination: &[u8], name: &str, out: &mut Vec<u8>) {
    member(out, b'{', "destination");
    json::write_bytes(out, destination);
    member(out, b',', name);
}

/// Ends an object with a number of members, and again under its other name.
fn with_cardinality(reply: &Reply<'_>, out: &mut Vec<u8>) {
    json::write_reply(out, reply);
    member(out, b',', "cardinality");
    json::write_reply(out, reply);
    out.push(b'}');
}

/// Pairs of the number of counters and the sum of what they count, one from each core.
fn hll_stats(context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
    let sum = |skip: usize| -> u64 {
        let numbers = items(reply).iter().skip(skip).step_by(2).map(|item| match item {
            Reply::Integer(number) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        });
        numbers.fold(0, u64::saturating_add)
    };
    member(out, b'{', "total_hlls");
    json::write_u64(out, sum(0));
    for (names, calls) in HLL_OPERATIONS.iter().zip(&context.calls) {
        member(out, b',', names.0);
        json::write_u64(out, *calls);
    }
    member(out, b',', "total_cardinality");
    json::write_u64(out, sum(1));
    out.push(b'}');
}

/// The elements of an array, or the one element, or none.
fn list_values(context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
    key_and(context, "values", out);
    match reply {
        Reply::Array(items) => json::write_replies(out, items),
        Reply::Bytes(_) => json::write_replies(out, std::slice::from_ref(reply)),
        _ => out.extend_from_slice(b"[]"),
    }
    out.push(b'}');
}

/// Appends the index that the request names, and the end of the object.
fn indexed(context: &HttpContext, out: &mut Vec<u8>) {
    member(out, b',', "index");
    out.extend_from_slice(context.destination());
    out.push(b'}');
}

/// A sum of decimals, as the number that its digits are.
fn hash_float(reply: &Reply<'_>, out: &mut Vec<u8>) {
    member(out, b'{', "value");
    match reply {
        Reply::Bytes(digits) => out.extend_from_slice(digits),
        _ => json::write_reply(out, reply),
    }
    out.push(b'}');
}

//! Positions over HTTP: the bodies of their answers, and inputs that no argument of a command has
//! by itself.

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
    /// A distance and its unit.
    Distance,
    /// Members that were found, with what was asked for.
    Found,
    /// Where members are.
    Positions,
}

impl Body {
    /// The body that a command names.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "geo_distance" => Self::Distance,
            "geo_found" => Self::Found,
            "geo_positions" => Self::Positions,
            _ => return None,
        })
    }

    /// Members of the body, for its description.
    pub(super) fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Distance => &[("key", "string"), ("distance", "number"), ("unit", "string")],
            Self::Found => &[("key", "string"), ("results", "array")],
            Self::Positions => &[("key", "string"), ("coordinates", "array")],
        }
    }

    /// Appends the body that `reply` makes.
    pub(super) fn write(self, context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Distance => {
                key_and(context, "distance", out);
                distance(reply, out);
                member(out, b',', "unit");
                json::write_bytes(out, context.destination());
            }
            Self::Found => {
                key_and(context, "results", out);
                list(items(reply), found, out);
            }
            Self::Positions => {
                key_and(context, "coordinates", out);
                list(items(reply), position, out);
            }
        }
        out.push(b'}');
    }
}

fn list(items: &[Reply<'_>], one: fn(&Reply<'_>, &mut Vec<u8>), out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        one(item, out);
    }
    out.push(b']');
}

/// A distance, which commands answer as text: digits and a point.
fn distance(reply: &Reply<'_>, out: &mut Vec<u8>) {
    match reply {
        Reply::Bytes(digits) => out.extend_from_slice(digits),
        _ => out.extend_from_slice(b"null"),
    }
}

/// Longitude and latitude, or null.
fn position(reply: &Reply<'_>, out: &mut Vec<u8>) {
    let [longitude, latitude] = items(reply) else {
        return out.extend_from_slice(b"null");
    };
    member(out, b'{', "lat");
    json::write_reply(out, latitude);
    member(out, b',', "lon");
    json::write_reply(out, longitude);
    out.push(b'}');
}

/// A member, or a member and what was asked for besides; what each part is, its type tells.
fn found(reply: &Reply<'_>, out: &mut Vec<u8>) {
    let (name, rest) = items(reply).split_first().unwrap_or((reply, &[]));
    let part = |is_it: fn(&Reply<'_>) -> bool| rest.iter().find(|part| is_it(part));
    let nothing = Reply::Nil;
    member(out, b'{', "member");
    json::write_reply(out, name);
    member(out, b',', "distance");
    distance(part(|part| matches!(part, Reply::Bytes(_))).unwrap_or(&nothing), out);
    member(out, b',', "coord");
    position(part(|part| matches!(part, Reply::Array(_))).unwrap_or(&nothing), out);
    if let Some(score) = part(|part| matches!(part, Reply::Integer(_))) {
        member(out, b',', "hash");
        json::write_reply(out, score);
    }
    out.push(b'}');
}

/// A group of arguments as one list: `"by_radius": [200, "km"]`. Whether this was one.
pub(super) fn argument(
    writer: &mut Writer<'_, '_>,
    arg: &'static ArgSpec,
) -> Result<bool, HttpError> {
    let (Family::Geo, ArgKind::Block(parts), false) = (writer.spec.family, arg.kind, arg.repeated)
    else {
        return Ok(false);
    };
    let Some(Given::Json(text)) = writer.inputs.get(arg.name) else { return Ok(false) };
    if Kind::of(text) != Kind::Array {
        return Err(unexpected(arg.name, "an array", Kind::of(text).name()));
    }
    let values = json::array(text).map_err(|_| missing(arg.name))?;
    if values.len() != parts.len() {
        let (expected, found) = (parts.len().to_string(), values.len().to_string());
        return Err(unexpected(arg.name, &format!("an array of {expected}"), &found));
    }
    writer.words.push(arg.token.as_bytes());
    for (part, value) in parts.iter().zip(values) {
        writer.value(part, part.name, &Given::Json(value))?;
    }
    Ok(true)
}

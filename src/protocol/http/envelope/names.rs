//! The names of commands in envelopes, and the routes they stand for. A name without a row is that
//! of the command that has it as its id, with the answer of its first route.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use synap_shards::command::spec::{Method, Run};
use synap_shards::command::table;

use crate::protocol::http::queue;
use crate::protocol::http::table::{ROUTES, Route, Shape, Target};
use crate::protocol::json::Members;

/// How a reply is shown, to be handed through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Manner(pub(super) Shown);

/// How a reply is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shown {
    /// As the route shows it.
    AsRoute(Shape),
    /// The reply itself, also where the route would refuse nothing.
    Value(Shape),
    /// The reply under this name.
    Member(&'static str),
    /// The key, and the reply under this name.
    Keyed(&'static str),
    /// The reply, a list or a map, under this name, and how long it is.
    Listed(&'static str),
    /// The same under both names.
    Named,
    /// `found`, and the value where there is one.
    Found,
    /// How many, under every name that clients look for.
    Size,
    /// `[key, value]`, or nothing.
    Popped,
    /// A message of a queue, or nothing; its id also under the name that clients of envelopes use.
    Message(Shape),
    /// Done, or not because the key holds something else.
    Swapped,
}

/// How nothing in particular is shown.
pub const AS_IS: Manner = Manner(Shown::AsRoute(Shape::Bare));

/// One name.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) route: Route,
    pub(super) shown: Shown,
}

/// Names whose answer is that of a route.
const ROWS: &[(&str, &str)] = &[
    ("kv.set", "POST /kv/set"),
    ("kv.incr", "POST /kv/{key}/incr"),
    ("kv.incrby", "POST /kv/{key}/incr"),
    ("kv.decr", "POST /kv/{key}/decr"),
    ("kv.decrby", "POST /kv/{key}/decr"),
    ("kv.del", "DELETE /kv/del/{key}"),
    ("kv.mdel", "POST /kv/mdel"),
    ("kv.exists", "GET /kv/{key}/exists"),
    ("kv.scan", "GET /kv/scan"),
    ("kv.keys", "GET /kv/keys"),
    ("kv.dbsize", "GET /kv/dbsize"),
    ("kv.flushdb", "POST /kv/flushdb"),
    ("kv.flushall", "POST /kv/flushall"),
    ("kv.expire", "POST /kv/{key}/expire"),
    ("kv.ttl", "GET /kv/{key}/ttl"),
    ("kv.persist", "POST /kv/{key}/persist"),
    ("kv.stats", "GET /kv/stats"),
    ("key.exists", "GET /key/{key}/exists"),
    ("key.del", "DELETE /key/{key}"),
    ("key.expire", "POST /key/{key}/expire"),
    ("key.ttl", "GET /key/{key}/ttl"),
    ("key.persist", "POST /key/{key}/persist"),
    ("info", "GET /info"),
    ("slowlog.get", "GET /slowlog"),
    ("slowlog.reset", "DELETE /slowlog"),
    ("client.list", "GET /clients"),
    ("snapshot", "POST /snapshot"),
    ("list.range", "GET /list/{key}/range"),
    ("list.len", "GET /list/{key}/len"),
    ("list.lindex", "GET /list/{key}/index/{index}"),
    ("list.index", "GET /list/{key}/index/{index}"),
    ("list.set", "POST /list/{key}/set"),
    ("list.trim", "POST /list/{key}/trim"),
    ("list.rem", "POST /list/{key}/rem"),
    ("list.insert", "POST /list/{key}/insert"),
    ("list.stats", "GET /list/stats"),
    ("set.add", "POST /set/{key}/add"),
    ("set.rem", "POST /set/{key}/rem"),
    ("set.ismember", "POST /set/{key}/ismember"),
    ("set.members", "GET /set/{key}/members"),
    ("set.pop", "POST /set/{key}/pop"),
    ("set.randmember", "GET /set/{key}/randmember"),
    ("set.move", "POST /set/{source}/move/{destination}"),
    ("set.inter", "POST /set/inter"),
    ("set.union", "POST /set/union"),
    ("set.diff", "POST /set/diff"),
    ("set.interstore", "POST /set/interstore"),
    ("set.unionstore", "POST /set/unionstore"),
    ("set.diffstore", "POST /set/diffstore"),
    ("set.stats", "GET /set/stats"),
    ("hash.stats", "GET /hash/stats"),
    ("hyperloglog.pfadd", "POST /hyperloglog/{key}/pfadd"),
    ("hyperloglog.pfcount", "GET /hyperloglog/{key}/pfcount"),
    ("hyperloglog.pfmerge", "POST /hyperloglog/{destination}/pfmerge"),
    ("hyperloglog.stats", "GET /hyperloglog/stats"),
    ("bitmap.stats", "GET /bitmap/stats"),
    ("geospatial.geoadd", "POST /geospatial/{key}/geoadd"),
    ("geospatial.geodist", "GET /geospatial/{key}/geodist/{m1}/{m2}"),
    ("geospatial.georadius", "GET /geospatial/{key}/georadius"),
    ("geospatial.georadiusbymember", "GET /geospatial/{key}/georadiusbymember/{member}"),
    ("geospatial.geopos", "POST /geospatial/{key}/geopos"),
    ("geospatial.geohash", "POST /geospatial/{key}/geohash"),
    ("geospatial.geosearch", "POST /geospatial/{key}/geosearch"),
    ("geospatial.stats", "GET /geospatial/stats"),
    ("pubsub.subscribe", "POST /pubsub/subscribe"),
    ("pubsub.unsubscribe", "POST /pubsub/unsubscribe"),
    ("pubsub.publish", "POST /pubsub/publish"),
    ("script.eval", "POST /script/eval"),
    ("script.evalsha", "POST /script/evalsha"),
    ("script.exists", "POST /script/exists"),
    ("script.flush", "POST /script/flush"),
    ("script.kill", "POST /script/kill"),
];

/// Names whose answer is another than the route's, or of commands that have no route.
const SHOWN: &[(&str, &str, Shown)] = &[
    ("kv.get", "GET", Shown::Value(Shape::KvGet)),
    ("hash.get", "HGET", Shown::Found),
    ("hash.getall", "HGETALL", Shown::Listed("fields")),
    ("hash.keys", "HKEYS", Shown::Named),
    ("hash.vals", "HVALS", Shown::Listed("values")),
    ("hash.values", "HVALS", Shown::Listed("values")),
    ("hash.mget", "HMGET", Shown::Member("values")),
    ("set.size", "SCARD", Shown::Size),
    ("set.card", "SCARD", Shown::Size),
    ("list.lpos", "LPOS", Shown::Keyed("position")),
    ("list.pos", "LPOS", Shown::Keyed("position")),
    ("list.blpop", "BLPOP", Shown::Popped),
    ("list.brpop", "BRPOP", Shown::Popped),
    ("list.brpoplpush", "BRPOPLPUSH", Shown::Member("value")),
    ("kv.cas", "SET", Shown::Swapped),
    ("queue.consume", "QCONSUME", Shown::Message(Shape::Queue(queue::Body::Message))),
    ("queue.dlq.consume", "QDLQ CONSUME", Shown::Message(Shape::Queue(queue::Body::Message))),
    ("kv.msetnx", "MSETNX", Shown::AsRoute(Shape::Flag("success"))),
];

/// Names that mean another with a payload like that: the name, the member, the other name.
const SWITCHES: &[(&str, &str, &str)] = &[
    ("kv.del", "keys", "kv.mdel"),
    ("stream.rooms", "", "stream.list"),
    ("stream.history", "", "stream.consume"),
];

static ENTRIES: LazyLock<BTreeMap<&'static str, Entry>> = LazyLock::new(build);

/// The entry of a name, with what its payload says.
pub(super) fn find(name: &str, payload: &Members<'_>) -> Option<&'static Entry> {
    let has = |member: &str| member.is_empty() || payload.iter().any(|(known, _)| known == member);
    let switched = SWITCHES.iter().find(|(from, member, _)| *from == name && has(member));
    ENTRIES.get(switched.map_or(name, |(_, _, other)| other))
}

fn build() -> BTreeMap<&'static str, Entry> {
    let mut entries = BTreeMap::new();
    // Later ones replace earlier ones.
    for spec in table::commands()
        .filter(|spec| matches!(spec.run, Run::Read(_) | Run::Write(_) | Run::Block(_)))
    {
        if let Some(id) = table::by_name(spec.resp.as_bytes()) {
            let (target, shape) = (Target::Command(id), Shape::Bare);
            let route = Route { method: Method::Post, path: "", target, shape };
            entries.insert(spec.id, Entry { name: spec.id, route, shown: Shown::AsRoute(shape) });
        }
    }
    for route in ROUTES.iter().rev() {
        if let Target::Command(id) = route.target {
            insert(&mut entries, id.spec().id, route);
        }
    }
    for (name, path) in ROWS {
        let named =
            |route: &&Route| path.split_once(' ') == Some((route.method.name(), route.path));
        if let Some(route) = ROUTES.iter().find(named) {
            insert(&mut entries, name, route);
        }
    }
    for (name, resp, shown) in SHOWN {
        if let Some(id) = table::by_name(resp.as_bytes()) {
            let shape = match shown {
                Shown::AsRoute(shape) | Shown::Value(shape) | Shown::Message(shape) => *shape,
                Shown::Keyed(name) => Shape::Keyed(name),
                _ => Shape::Bare,
            };
            let route =
                Route { method: Method::Post, path: "", target: Target::Command(id), shape };
            entries.insert(*name, Entry { name, route, shown: *shown });
        }
    }
    entries
}

fn insert(entries: &mut BTreeMap<&'static str, Entry>, name: &'static str, route: &Route) {
    let Route { method, path, target, shape } = *route;
    let route = Route { method, path, target, shape };
    entries.insert(name, Entry { name, route, shown: Shown::AsRoute(shape) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_stands_for_a_route_that_is_there() {
        // These subsystems have no totals.
        let without = ["list.stats", "bitmap.stats"];
        for (name, path) in ROWS {
            let found = ENTRIES.get(name).is_some();
            assert_eq!(found, !without.contains(name), "{name}: {path}");
        }
        for (name, resp, _) in SHOWN {
            assert!(ENTRIES.contains_key(name), "{name}: {resp}");
        }
    }
}

//! Which routes exist: those that the commands declare, those that serve a command under a second
//! path, and the server's own. Built once; a route's number is the same on every core.

use std::sync::LazyLock;

use super::access::AccessRoute;
use super::dss::{self, DssRoute};
use super::{access, containers, geo, pubsub, queue, sorted, topics};
use synap_shards::command::spec::{HttpRoute, JsonReply, Method};
use synap_shards::command::table::{self, CommandId};

use super::live::LiveRoute;
use super::stats::TYPE_STATS;
use crate::protocol::push::Form;

/// Number of a route, for counters: below [`count`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteId(u16);

impl RouteId {
    /// Requests that matched no route, or could not be decoded.
    pub const NONE: Self = Self(0);

    pub(super) fn at(index: usize) -> Self {
        Self(u16::try_from(index).expect("there are a few hundred routes"))
    }

    /// Position, below [`count`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Method and path with its parameters in braces, for labels and documents.
    pub fn label(self) -> (&'static str, &'static str) {
        match self.route() {
            Some(route) => (route.method.name(), route.path),
            None => ("other", "unmatched"),
        }
    }

    pub(super) fn route(self) -> Option<&'static Route> {
        ROUTES.get(self.index().checked_sub(1)?)
    }
}

/// Number of route numbers: every route, and one for what matches none.
pub fn count() -> usize {
    ROUTES.len() + 1
}

/// Every route number.
pub fn ids() -> impl Iterator<Item = RouteId> {
    (0..count()).map(RouteId::at)
}

/// What answers on a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    Command(CommandId),
    Own(Own),
    /// Of the queue service of distributed-sync-system.
    Dss(DssRoute),
}

/// Routes of the server itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Own {
    Health,
    HealthOf,
    Metrics,
    Info,
    KvStats,
    /// Security events; for administrators.
    Audit,
    /// Position in [`TYPE_STATS`].
    TypeStats(usize),
    OpenapiJson,
    OpenapiYaml,
    /// The connection stays open and is pushed to.
    Live(LiveRoute),
    /// Commands in envelopes.
    Envelope,
    /// Users, keys, roles and rules.
    Access(AccessRoute),
}

/// How a reply becomes a body: [`JsonReply`] with the names resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    Bare,
    Field(&'static str),
    Flag(&'static str),
    KvSet,
    KvGet,
    Mset,
    Deleted,
    Rename,
    RenameNx,
    Copy,
    Ttl,
    /// The key, and the reply under this name.
    Keyed(&'static str),
    /// The key, and the reply, read as true or false, under this name.
    KeyedFlag(&'static str),
    MemoryUsage,
    Keys,
    Scan,
    BitGet,
    BitPosition,
    BitOperation,
    HashGet,
    Slowlog,
    SlowlogReset,
    Clients,
    Snapshot,
    /// It was done; the key.
    KeyedSuccess,
    /// Of lists, sets, hashes and HyperLogLogs.
    Container(containers::Body),
    /// Of sorted sets.
    Sorted(sorted::Body),
    /// Done, in these words, and who the caller is.
    Transaction(&'static str),
    TransactionExec,
    /// Of positions.
    Geo(geo::Body),
    /// Of rooms, topics and consumer groups.
    Topic(topics::Body),
    /// Of message queues.
    Queue(queue::Body),
    /// Of topics.
    Pubsub(pubsub::Body),
    /// Of captures.
    Changes,
    /// Of the queue service.
    Dss(dss::show::Body),
    /// The route's own code writes the body.
    Own,
}

impl Shape {
    /// How many leading arguments the answer repeats.
    pub(super) fn echoes(self) -> usize {
        match self {
            Self::Rename | Self::RenameNx | Self::Copy | Self::BitGet | Self::BitOperation => 2,
            Self::Container(body) => body.echoes(),
            Self::Sorted(body) => body.echoes(),
            Self::Topic(body) => body.echoes(),
            Self::Geo(_) | Self::Queue(_) => 1,
            Self::KvSet
            | Self::Deleted
            | Self::Keyed(_)
            | Self::KeyedFlag(_)
            | Self::MemoryUsage
            | Self::Ttl
            | Self::BitPosition
            | Self::KeyedSuccess => 1,
            Self::Bare
            | Self::Field(_)
            | Self::Flag(_)
            | Self::KvGet
            | Self::Mset
            | Self::HashGet
            | Self::Keys
            | Self::Scan
            | Self::Slowlog
            | Self::SlowlogReset
            | Self::Clients
            | Self::Snapshot
            | Self::Transaction(_)
            | Self::TransactionExec
            | Self::Pubsub(_)
            | Self::Changes
            | Self::Dss(_)
            | Self::Own => 0,
        }
    }

    /// The shape a command names; nothing when no shape has this name.
    fn of(json: JsonReply) -> Option<Self> {
        Some(match json {
            JsonReply::Bare => Self::Bare,
            JsonReply::Field(name) => Self::Field(name),
            JsonReply::Flag(name) => Self::Flag(name),
            JsonReply::Shape(name) => match name {
                "kv_set" => Self::KvSet,
                "kv_get" => Self::KvGet,
                "mset" => Self::Mset,
                "deleted" => Self::Deleted,
                "rename" => Self::Rename,
                "renamenx" => Self::RenameNx,
                "copy" => Self::Copy,
                "ttl" => Self::Ttl,
                "key_type" => Self::Keyed("type"),
                "bitmap_setbit" => Self::Keyed("old_value"),
                "bitmap_count" => Self::Keyed("count"),
                "bitmap_getbit" => Self::BitGet,
                "bitmap_pos" => Self::BitPosition,
                "bitmap_op" => Self::BitOperation,
                "list_length" => Self::Keyed("length"),
                "list_removed" => Self::Keyed("removed"),
                "list_trim" => Self::KeyedSuccess,
                "key_exists" => Self::KeyedFlag("exists"),
                "set_added" | "hll_added" => Self::Keyed("added"),
                "set_removed" => Self::Keyed("removed"),
                "set_members" => Self::Keyed("members"),
                "set_is_member" => Self::KeyedFlag("is_member"),
                "hash_get" => Self::HashGet,
                "hash_mset" => Self::KeyedSuccess,
                "hash_del" => Self::Keyed("deleted"),
                "memory_usage" => Self::MemoryUsage,
                "keys" => Self::Keys,
                "scan" => Self::Scan,
                "slowlog" => Self::Slowlog,
                "slowlog_reset" => Self::SlowlogReset,
                "clients" => Self::Clients,
                "snapshot" => Self::Snapshot,
                "changes" => Self::Changes,
                "zset_removed" => Self::Keyed("removed"),
                "zset_count" => Self::Keyed("count"),
                "zset_scores" => Self::Keyed("scores"),
                "zincrby" => Self::Keyed("score"),
                "transaction_multi" => Self::Transaction("Transaction started"),
                "transaction_watch" => Self::Transaction("Keys watched"),
                "transaction_unwatch" => Self::Transaction("Keys unwatched"),
                "transaction_discard" => Self::Transaction("Transaction discarded"),
                "transaction_exec" => Self::TransactionExec,
                "geo_added" => Self::Keyed("added"),
                "geo_hashes" => Self::Keyed("geohashes"),
                name => {
                    let container = containers::Body::of(name).map(Self::Container);
                    let sorted = || sorted::Body::of(name).map(Self::Sorted);
                    let geo = || geo::Body::of(name).map(Self::Geo);
                    let queue = || queue::Body::of(name).map(Self::Queue);
                    let topic = || topics::Body::of(name).map(Self::Topic);
                    let pubsub = || pubsub::Body::of(name).map(Self::Pubsub);
                    let container = container.or_else(sorted).or_else(geo);
                    return container.or_else(pubsub).or_else(queue).or_else(topic);
                }
            },
        })
    }
}

/// One route.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) target: Target,
    pub(super) shape: Shape,
}

impl Route {
    /// Whether another listener serves it.
    pub(super) fn is_elsewhere(&self) -> bool {
        matches!(self.target, Target::Dss(_))
    }

    /// Whether it is about publish and subscribe.
    pub(super) fn is_pubsub(&self) -> bool {
        self.path.starts_with("/pubsub/")
    }
}

/// Commands of the session that HTTP serves; each core answers for all.
const MORE: &[(&str, HttpRoute)] = &[
    ("SLOWLOG GET", HttpRoute::get("/slowlog", JsonReply::Shape("slowlog"))),
    ("SLOWLOG RESET", HttpRoute::delete("/slowlog", JsonReply::Shape("slowlog_reset"))),
    ("CLIENT LIST", HttpRoute::get("/clients", JsonReply::Shape("clients"))),
];

const OWN: &[(&str, Own)] = &[
    ("/health", Own::Health),
    ("/health/{component}", Own::HealthOf),
    ("/metrics", Own::Metrics),
    ("/info", Own::Info),
    ("/kv/stats", Own::KvStats),
    ("/audit", Own::Audit),
    ("/audit/stream", Own::Live(LiveRoute::Audit)),
    ("/openapi.json", Own::OpenapiJson),
    ("/openapi.yaml", Own::OpenapiYaml),
    ("/pubsub/ws", Own::Live(LiveRoute::Topics)),
    ("/pubsub/sse", Own::Live(LiveRoute::Events)),
    ("/kv/ws", Own::Live(LiveRoute::Keys)),
    ("/queue/{name}/ws/{consumer_id}", Own::Live(LiveRoute::Queue)),
    ("/stream/{room}/ws/{subscriber_id}", Own::Live(LiveRoute::Room(Form::Frame))),
    ("/stream/{room}/sse", Own::Live(LiveRoute::Room(Form::Event))),
    ("/api/v1/stream/subscribe", Own::Live(LiveRoute::Room(Form::Event))),
    ("/topics/{topic}/partitions/{partition}/ws", Own::Live(LiveRoute::Partition(Form::Frame))),
    ("/topics/{topic}/partitions/{partition}/sse", Own::Live(LiveRoute::Partition(Form::Event))),
    ("/cdc/{capture}/sse", Own::Live(LiveRoute::ChangeEvents)),
    ("/cdc/{capture}/ws", Own::Live(LiveRoute::Changes)),
];

/// Every route, in the order of the reference.
pub(super) static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(build);

fn build() -> Vec<Route> {
    let declared =
        table::commands().flat_map(|spec| spec.http.iter().map(|route| (spec.resp, *route)));
    let mut routes: Vec<Route> = declared
        .chain(MORE.iter().copied())
        .filter_map(|(name, route)| {
            Some(Route {
                method: route.method,
                path: route.path,
                target: Target::Command(table::by_name(name.as_bytes())?),
                shape: Shape::of(route.json)?,
            })
        })
        .collect();
    routes.extend(OWN.iter().map(|(path, own)| Route {
        method: Method::Get,
        path,
        target: Target::Own(*own),
        shape: Shape::Own,
    }));
    routes.push(Route {
        method: Method::Post,
        path: "/api/v1/command",
        target: Target::Own(Own::Envelope),
        shape: Shape::Own,
    });
    routes.extend(access::ROUTES.iter().map(|(method, path, route)| Route {
        method: *method,
        path,
        target: Target::Own(Own::Access(*route)),
        shape: Shape::Own,
    }));
    routes.extend(TYPE_STATS.iter().enumerate().map(|(index, stats)| Route {
        method: Method::Get,
        path: stats.path,
        target: Target::Own(Own::TypeStats(index)),
        shape: Shape::Own,
    }));
    routes.extend(dss::ROUTES.iter().map(|(method, path, route)| Route {
        method: *method,
        path,
        target: Target::Dss(*route),
        shape: route.body().map_or(Shape::Own, Shape::Dss),
    }));
    routes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_declared_route_is_served_once_and_its_shape_is_known() {
        let declared = table::commands().flat_map(|spec| spec.http.iter());
        let all: Vec<&HttpRoute> = declared.chain(MORE.iter().map(|(_, route)| route)).collect();
        for route in &all {
            assert!(Shape::of(route.json).is_some(), "{} has an unknown shape", route.path);
        }
        for (name, _) in MORE {
            assert!(table::by_name(name.as_bytes()).is_some(), "{name} is no command");
        }
        let own = OWN.len() + 1 + access::ROUTES.len() + TYPE_STATS.len() + dss::ROUTES.len();
        assert_eq!(ROUTES.len(), all.len() + own);
        let paths: BTreeSet<_> = ROUTES.iter().map(|route| (route.method, route.path)).collect();
        assert_eq!(paths.len(), ROUTES.len(), "a route stands twice");
    }
}

//! Which types have a route with totals, and under which names.

use synap_shards::shard::ValueType;

/// The totals of one type.
#[derive(Debug)]
pub struct TypeStats {
    /// Where they are served, with GET.
    pub path: &'static str,
    /// The type.
    pub value_type: ValueType,
    /// Name of the number of keys.
    pub keys: &'static str,
    /// Name of the number of elements in all of them.
    pub elements: &'static str,
    /// Commands whose calls are told, each as its name and `_count`.
    pub operations: &'static [&'static str],
    /// Calls stand beside the totals, not in an object of their own.
    pub flat: bool,
}

/// Every type that has such a route.
pub const TYPE_STATS: &[TypeStats] = &[
    TypeStats {
        path: "/set/stats",
        value_type: ValueType::Set,
        keys: "total_sets",
        elements: "total_members",
        operations: &[
            "sadd",
            "srem",
            "sismember",
            "smembers",
            "scard",
            "spop",
            "srandmember",
            "smove",
            "sinter",
            "sunion",
            "sdiff",
        ],
        flat: false,
    },
    TypeStats {
        path: "/hash/stats",
        value_type: ValueType::Hash,
        keys: "total_hashes",
        elements: "total_fields",
        operations: &["hset", "hget", "hdel"],
        flat: false,
    },
    // Positions are members of sorted sets, which nothing tells from others.
    TypeStats {
        path: "/geospatial/stats",
        value_type: ValueType::SortedSet,
        keys: "total_keys",
        elements: "total_locations",
        operations: &["geoadd", "geodist", "georadius", "geopos", "geohash"],
        flat: true,
    },
];

/// Calls that `/hyperloglog/stats` tells: their name, and the commands they are of.
pub(super) const HLL_OPERATIONS: &[(&str, &[&str])] = &[
    ("pfadd_count", &["PFADD", "SYNAP.PFADD", "SYNAP.PFADDEX"]),
    ("pfcount_count", &["PFCOUNT", "SYNAP.PFCOUNT"]),
    ("pfmerge_count", &["PFMERGE", "SYNAP.PFMERGE"]),
];

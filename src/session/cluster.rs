//! `CLUSTER`: the cores of this machine as nodes of a Redis cluster, each on its shard-aware port.
//!
//! Cluster clients begin anywhere and ask for the map, so the shared port answers the same map as
//! the ports of the cores, and `INFO` says `cluster_enabled:1` on all of them: redis-py in its
//! older versions looks there first, ioredis at `CLUSTER INFO`, the others at `CLUSTER SLOTS` or
//! `SHARDS`. Plain clients do not look, and the shared port never redirects them; there
//! `redis_mode` stays `standalone`. Without shard-aware ports there is no cluster.

use std::fmt::Write;
use std::net::IpAddr;

use synap_shards::command::args::{Arg, Args};
use synap_shards::command::error::{CommandError, quote};
use synap_shards::command::reply::Reply;
use synap_shards::id::CoreId;
use synap_shards::key::slot_of;

use super::{Handler, SessionContext};
use crate::shared::Shared;

pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("cluster.slots", slots),
    ("cluster.shards", shards),
    ("cluster.nodes", nodes),
    ("cluster.myid", my_id),
    ("cluster.myshardid", my_id),
    ("cluster.replicas", replicas),
    ("cluster.slaves", replicas),
    ("cluster.links", |cx, _| all_nodes(cx).map(|_| Reply::Array(Vec::new()))),
    ("cluster.keyslot", |_, args| Ok(Reply::Integer(i64::from(slot_of(args.bytes(Arg(0))))))),
    ("cluster.info", info),
    ("cluster.readonly", accept),
    ("cluster.readwrite", accept),
    ("cluster.asking", accept),
];

type Answer = Result<Reply<'static>, CommandError>;

/// A core as a node.
struct Node {
    core: CoreId,
    id: String,
    host: IpAddr,
    port: u16,
    first_slot: u16,
    last_slot: u16,
}

/// Names that stay for the life of the process: the run's name with the core in its last digits.
fn node_id(shared: &Shared, core: CoreId) -> String {
    let run: String = shared.run_id.chars().take(38).collect();
    format!("{run:0<38}{:02x}", core.index())
}

fn all_nodes(cx: &SessionContext<'_>) -> Result<Vec<Node>, CommandError> {
    let base = cx
        .shared
        .shard_ports
        .for_client(cx.client.is_tls)
        .ok_or(CommandError::Invalid("This instance has cluster support disabled"))?;
    // A server that listens everywhere is reachable for this client where it reached it.
    let host = cx.shared.resp_address.map(|address| address.ip());
    let host = host.filter(|ip| !ip.is_unspecified()).unwrap_or_else(|| cx.client.local.ip());
    let map = &cx.shared.shard_map;
    let node = |core: CoreId| {
        let (first_slot, last_slot) = map.slots_of(core);
        let port = base + core.index() as u16;
        Node { core, id: node_id(cx.shared, core), host, port, first_slot, last_slot }
    };
    Ok((0..map.cores()).map(CoreId::new).map(node).collect())
}

fn slots(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    let entry = |node: Node| {
        Reply::Array(vec![
            Reply::Integer(i64::from(node.first_slot)),
            Reply::Integer(i64::from(node.last_slot)),
            Reply::Array(vec![
                Reply::string(node.host.to_string()),
                Reply::Integer(i64::from(node.port)),
                Reply::string(node.id),
                Reply::Array(Vec::new()),
            ]),
        ])
    };
    Ok(Reply::Array(all_nodes(cx)?.into_iter().map(entry).collect()))
}

fn shards(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    let name = |name: &str| Reply::string(name);
    let entry = |node: Node| {
        let range = [node.first_slot, node.last_slot].map(|slot| Reply::Integer(slot.into()));
        let facts = vec![
            (name("id"), Reply::string(node.id)),
            (name("port"), Reply::Integer(i64::from(node.port))),
            (name("ip"), Reply::string(node.host.to_string())),
            (name("endpoint"), Reply::string(node.host.to_string())),
            (name("role"), name("master")),
            (name("replication-offset"), Reply::Integer(0)),
            (name("health"), name("online")),
        ];
        Reply::Map(vec![
            (name("slots"), Reply::Array(range.into())),
            (name("nodes"), Reply::Array(vec![Reply::Map(facts)])),
        ])
    };
    Ok(Reply::Array(all_nodes(cx)?.into_iter().map(entry).collect()))
}

fn nodes(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    let mut text = String::new();
    for node in all_nodes(cx)? {
        let flags = if node.core == cx.core { "myself,master" } else { "master" };
        let address = std::net::SocketAddr::new(node.host, node.port);
        // There is no cluster bus, hence port 0 behind the `@`; the last figures are times of
        // pings and the epoch of the slots.
        writeln!(
            text,
            "{} {address}@0 {flags} - 0 0 {} connected {}-{}",
            node.id,
            node.core.index() + 1,
            node.first_slot,
            node.last_slot
        )
        .expect("a string takes all that is written to it");
    }
    Ok(Reply::Text(text))
}

fn my_id(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    all_nodes(cx)?;
    Ok(Reply::string(node_id(cx.shared, cx.core)))
}

/// None have any, those that exist.
fn replicas(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    let id = args.bytes(Arg(0));
    if all_nodes(cx)?.iter().any(|node| node.id.as_bytes() == id) {
        return Ok(Reply::Array(Vec::new()));
    }
    Err(CommandError::Quoted { before: "Unknown node ", found: quote(id), after: "" })
}

fn info(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    let count = all_nodes(cx)?.len();
    let mut text = String::new();
    for (name, value) in [
        ("cluster_state", "ok"),
        ("cluster_slots_assigned", "16384"),
        ("cluster_slots_ok", "16384"),
        ("cluster_slots_pfail", "0"),
        ("cluster_slots_fail", "0"),
        ("cluster_known_nodes", &count.to_string()),
        ("cluster_size", &count.to_string()),
        ("cluster_current_epoch", &count.to_string()),
        ("cluster_my_epoch", &(cx.core.index() + 1).to_string()),
        ("cluster_stats_messages_sent", "0"),
        ("cluster_stats_messages_received", "0"),
        ("total_cluster_links_buffer_limit_exceeded", "0"),
    ] {
        text.push_str(name);
        text.push(':');
        text.push_str(value);
        text.push_str("\r\n");
    }
    Ok(Reply::Text(text))
}

/// `READONLY`, `READWRITE`, `ASKING`: there are no replicas and no slots on the move, so whatever
/// they allow is allowed already.
fn accept(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    all_nodes(cx).map(|_| Reply::Ok)
}

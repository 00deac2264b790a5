//! The services of distributed-sync-system, each on a listener of its own. This build has the queue
//! service; the keys of the others are refused, since a client would find nobody there.

use super::super::key::{Key, Kind, PORT, int};

const NAME: Kind = Kind::Text { min: 1, max: 256 };

pub(super) const KEYS: &[Key] = &[
    Key::new("dss.host", Kind::Host, "Address the ports below bind to; unset is server.host."),
    Key::new(
        "dss.queue_port",
        PORT,
        "TCP port of the queue service of distributed-sync-system (enqueue, dequeue, ack, status), \
         such as 9000; unset leaves it off. Its queues are not those of the other interfaces.",
    ),
    Key::new(
        "dss.tls_enabled",
        Kind::Bool,
        "Serve it under TLS, with the certificates of server.tls (which need not be enabled).",
    )
    .or("false"),
    Key::new(
        "dss.node_id",
        NAME,
        "Name of this node in its answers, and before the numbers of its messages: under another \
         name those that consumers have can no longer be acknowledged, and are delivered again.",
    )
    .or("node_0"),
    Key::new(
        "dss.visibility_timeout_secs",
        int(1, 43_200),
        "Seconds that a consumer has for a message before it is delivered again, where its queue \
         does not say; of queues that are made from then on.",
    )
    .or("30"),
    Key::new(
        "dss.allowed_origins",
        Kind::TextList,
        "Origins a browser may call the queue service from; \"*\" is any. Where clients are asked \
         who they are, only origins listed by name may send cookies, certificates and passwords \
         that the browser holds.",
    )
    .or("*"),
    Key::new("dss.peer_nodes", Kind::TextList, "The other nodes of its cluster, as id:host:port.")
        .refused("each node would have queues of its own"),
    Key::new("dss.lock_port", PORT, "TCP port of its lock service.")
        .refused("the lock service would be missing"),
    Key::new("dss.cache_port", PORT, "TCP port of its cache service.")
        .refused("the cache service would be missing"),
];

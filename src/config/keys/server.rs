//! Listeners, cores, protocols, logging and monitoring.

use super::super::key::{Key, Kind, MILLIS, PORT, SECS, TEXT, int, same};

const LOG_FORMATS: Kind = Kind::Enum(&[&["json"], &["pretty", "text"]]);
const CLIENT_AUTH: Kind = Kind::Enum(&[&["required"], &["optional"]]);

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "data_dir",
        Kind::Path,
        "Directory of everything the server keeps; paths left unset elsewhere lie below it.",
    )
    .or("./data"),
    Key::new("server.host", Kind::Host, "Address the HTTP port binds to.").or("0.0.0.0"),
    Key::new("server.port", PORT, "TCP port of HTTP and metrics.").or("15500"),
    Key::new(
        "server.workers",
        int(0, 64),
        "Cores to run, one pinned thread each; 0 is one per CPU this process may use.",
    )
    .or("0"),
    Key::new(
        "server.cpu_list",
        Kind::CpuList,
        "CPUs to pin cores to, as a list or as text like \"0-3,8\"; unset takes all allowed ones.",
    ),
    Key::new(
        "server.shard_port_base",
        int(1, 65_535),
        "Core i also serves RESP on this port plus i, so that cluster-aware clients reach the \
         core that owns a key directly; unset leaves these ports closed.",
    ),
    Key::new(
        "server.shard_tls_port_base",
        int(1, 65_535),
        "The same under TLS, with the certificates of server.tls (which need not be enabled). \
         Clients that came by TLS are shown these ports, others those of server.shard_port_base.",
    ),
    Key::new(
        "server.echo_prefix",
        Kind::UrlPath,
        "HTTP path prefix (such as \"/echo\") under which any request is answered with its own \
         body, for protocol conformance tools; unset leaves it off.",
    ),
    Key::new(
        "server.max_connections",
        int(1, 10_000_000),
        "Client connections of all protocols together, one more or less for each core; further \
         ones are told so, closed and counted.",
    )
    .or("100000")
    .reloadable()
    .alias(&[same("network.max_connections")]),
    Key::new(
        "server.max_connections_per_address",
        int(0, 10_000_000),
        "Client connections of one address, or of one network of 64 bits where it is IPv6; proxies \
         in rate_limit.trust_forwarded_for may have any number. 0 is no limit.",
    )
    .or("0")
    .reloadable(),
    Key::new("server.max_request_size_mb", int(1, 512), "Largest HTTP request body, in MiB.")
        .or("10"),
    Key::new(
        "server.request_timeout_secs",
        int(1, 86_400),
        "Seconds a client may take to send one HTTP request completely; a command of RESP may take \
         a second more for each KiB of it that has come.",
    )
    .or("30")
    .reloadable(),
    Key::new("server.read_only", Kind::Bool, "Refuse commands that write.").or("false"),
    Key::new(
        "server.cors.allowed_origins",
        Kind::TextList,
        "Origins a browser may call from; \"*\" is any. Empty sends no CORS headers.",
    ),
    Key::new("server.websocket_enabled", Kind::Bool, "Serve WebSocket upgrades on the HTTP port.")
        .or("true"),
    Key::new(
        "server.websocket_echo_path",
        Kind::UrlPath,
        "HTTP path (such as \"/ws-echo\") of a WebSocket that answers each message with itself, \
         for protocol conformance tools; unset leaves it off.",
    ),
    Key::new("server.websocket_ping_secs", int(1, 86_400), "Seconds between pings of a WebSocket.")
        .or("30"),
    Key::new(
        "server.websocket_pong_timeout_secs",
        int(1, 86_400),
        "Seconds after an unanswered ping at which a WebSocket is closed.",
    )
    .or("60"),
    Key::new(
        "server.notify_keyspace_events",
        Kind::Text { min: 0, max: 32 },
        "Changes of keys to publish, in Redis's letters: K on the key's channel, E on the event's; \
         g $ l s h z t x e n classes, A all but n. Empty is none.",
    )
    .or("")
    .reloadable(),
    Key::new(
        "server.tracking_table_max_keys",
        int(0, 1 << 31),
        "Keys whose readers are kept for CLIENT TRACKING; beyond it the oldest are given up, and \
         their readers told. 0 is no limit.",
    )
    .or("1000000")
    .reloadable(),
    Key::new(
        "server.tls.enabled",
        Kind::Bool,
        "Serve HTTPS (TLS 1.2 and 1.3): on server.port, or on server.tls.port where that is set.",
    )
    .or("false")
    .alias(&[same("tls.enabled")]),
    Key::new(
        "server.tls.port",
        PORT,
        "TCP port of HTTPS, so that server.port goes on in the clear; unset makes server.port \
         HTTPS. RESP under TLS is resp3.tls_port.",
    ),
    Key::new(
        "server.tls.cert_path",
        Kind::Path,
        "Certificates in PEM, the server's own first; read again on SIGHUP, also when the path is \
         the same. Open connections keep what they began with.",
    )
    .alias(&[same("tls.cert_path")])
    .reloadable(),
    Key::new(
        "server.tls.key_path",
        Kind::Path,
        "Private key of the first certificate, PEM (PKCS#8, PKCS#1 or SEC1), not encrypted.",
    )
    .alias(&[same("tls.key_path")])
    .reloadable(),
    Key::new(
        "server.tls.client_ca_path",
        Kind::Path,
        "Authorities in PEM whose client certificates are believed, on HTTPS and RESP; unset asks \
         for none. A client's name is its certificate's common name; without one, its first e-mail \
         address, DNS name or URI.",
    )
    .alias(&[same("tls.client_ca_path")])
    .reloadable(),
    Key::new(
        "server.tls.client_auth",
        CLIENT_AUTH,
        "With client_ca_path: refuse clients without a certificate, or let them in without a name.",
    )
    .or("required")
    .reloadable(),
    Key::new("network.idle_timeout_secs", SECS, "Close a silent connection after; 0 is never.")
        .or("300"),
    Key::new(
        "network.output_buffer_limit_mb",
        int(1, 1 << 20),
        "Replies waiting for one slow reader, in MiB; beyond it the connection is closed.",
    )
    .or("256")
    .reloadable(),
    Key::new(
        "network.client_output_buffer_limit",
        Kind::Text { min: 0, max: 256 },
        "What may wait for a slow reader by class, in the form of Redis: normal, replica or \
         pubsub, then the bytes at which it is closed at once, those at which it is closed if \
         they wait for the seconds that follow; 0 is no limit. Subscribers, WebSockets and \
         streams of events are pubsub; nobody is a replica yet. `normal` wins over \
         output_buffer_limit_mb.",
    )
    .or("replica 256mb 64mb 60 pubsub 32mb 8mb 60")
    .reloadable(),
    Key::new(
        "network.write_timeout_secs",
        SECS,
        "Close a connection that has taken no byte of what waits for it for so long; 0 is never.",
    )
    .or("60")
    .reloadable(),
    Key::new(
        "network.query_buffer_limit_mb",
        int(1, 1 << 20),
        "Bytes of one connection's unfinished command, in MiB; beyond it the connection is closed.",
    )
    .or("1024"),
    Key::new("resp3.enabled", Kind::Bool, "Serve RESP2 and RESP3 (Redis clients).").or("true"),
    Key::new("resp3.host", Kind::Host, "Address the RESP port binds to.").or("127.0.0.1"),
    Key::new(
        "resp3.port",
        int(0, 65_535),
        "TCP port of RESP. Left unset and taken by someone else, the server says so and goes on \
         without RESP; set and taken, it does not start. 0 with resp3.tls_port leaves TLS only.",
    )
    .or("6379")
    .counting_presence(),
    Key::new(
        "resp3.tls_port",
        PORT,
        "TCP port of RESP under TLS, with the certificates of server.tls (which need not be \
         enabled); unset leaves it off.",
    ),
    Key::new("synap_rpc.enabled", Kind::Bool, "Serve the binary RPC protocol.")
        .or("false")
        .refused("the binary RPC listener would be missing"),
    Key::new("synap_rpc.host", Kind::Host, "Address the RPC port binds to.")
        .or("127.0.0.1")
        .dormant(),
    Key::new("synap_rpc.port", PORT, "TCP port of RPC.").or("15600").dormant(),
    Key::new(
        "protocols.rest.enabled",
        Kind::Bool,
        "Serve commands as REST routes; off, they are not found. Envelopes, WebSocket, streams of \
         events, health, metrics and access control have keys of their own, or are always there.",
    )
    .or("true"),
    Key::new("protocols.rest.prefix", TEXT, "Path prefix of REST routes in earlier versions.")
        .no_effect("the routes are fixed"),
    Key::new(
        "protocols.streamable_http.enabled",
        Kind::Bool,
        "Serve the command envelope over HTTP.",
    )
    .or("true"),
    Key::new("protocols.streamable_http.path", Kind::UrlPath, "Path of the command envelope.")
        .or("/api/v1/command"),
    Key::new(
        "logging.level",
        TEXT,
        "trace, debug, info, warn, error, off, or a filter such as \"info,synap=debug\"; the \
         environment variable RUST_LOG wins over it.",
    )
    .or("info")
    .reloadable(),
    Key::new("logging.format", LOG_FORMATS, "One JSON object per line, or text for people.")
        .or("json"),
    Key::new("logging.output", Kind::Path, "stdout, stderr or the path of a file to append to.")
        .or("stdout"),
    Key::new("monitoring.enabled", Kind::Bool, "Serve GET /metrics; off, it is not found.")
        .or("true"),
    Key::new("monitoring.prometheus_port", PORT, "Separate metrics port of earlier versions.")
        .no_effect("metrics are served at /metrics on server.port"),
    Key::new(
        "monitoring.slowlog_threshold_ms",
        MILLIS,
        "Commands that run longer, in milliseconds, enter the slow log.",
    )
    .or("10")
    .reloadable(),
    Key::new("monitoring.slowlog_max_entries", int(0, 1 << 20), "Length of the slow log.")
        .or("128")
        .reloadable(),
    Key::new(
        "scripting.time_limit_ms",
        int(1, 60_000),
        "Milliseconds after which a script is stopped; what it wrote until then stays.",
    )
    .or("5000")
    .reloadable(),
    Key::new(
        "scripting.memory_limit_mb",
        int(1, 4096),
        "Memory that one run of a script may take, in MiB.",
    )
    .or("64")
    .reloadable(),
];

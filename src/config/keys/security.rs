//! Replication, rate limits and access control: checked, and where a key promises safety this
//! build cannot give, the server refuses to start with it.

use super::super::key::{
    Key, Kind, MANY, MILLIS, Member, PORT, SECS, SOME, TEXT, int, same, scaled,
};

const ROLES: Kind = Kind::Enum(&[&["standalone"], &["master"], &["replica"]]);
const NOT_BUILT: &str = "an early design had it; nothing reads it";
const NAME: Kind = Kind::Text { min: 1, max: 256 };
const NAMES: Kind = Kind::TextList;

const fn member(name: &'static str, kind: Kind) -> Member {
    Member { name, kind, required: false, secret: false }
}

const fn required(name: &'static str, kind: Kind) -> Member {
    Member { name, kind, required: true, secret: false }
}

const fn secret(name: &'static str, kind: Kind) -> Member {
    Member { name, kind, required: false, secret: true }
}

const PERMISSION: &[Member] =
    &[required("resource", NAME), member("action", NAME), member("actions", NAMES)];
const USER: &[Member] = &[
    required("username", NAME),
    secret("password_hash", TEXT),
    secret("password", TEXT),
    member("role", NAME),
    member("roles", NAMES),
    member("enabled", Kind::Bool),
];
const API_KEY: &[Member] = &[
    secret("key", TEXT),
    secret("key_hash", TEXT),
    required("name", NAME),
    member("role", NAME),
    member("permissions", Kind::Objects(PERMISSION)),
    member("expires_days", int(1, 36_500)),
    member("enabled", Kind::Bool),
    member("allowed_ips", Kind::CidrList),
    member("rate_limit", SOME),
];
const RULE: &[Member] = &[
    member("name", NAME),
    member("resource", NAME),
    member("resource_type", NAME),
    member("resource_pattern", NAME),
    member("actions", NAMES),
    member("authenticated", Kind::Bool),
    member("require_auth", Kind::Bool),
    member("roles", NAMES),
    member("allowed_roles", NAMES),
    member("users", NAMES),
    member("allowed_users", NAMES),
];
const ROLE: &[Member] = &[required("name", NAME), member("permissions", Kind::Objects(PERMISSION))];

const fn key(path: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key::new(path, kind, doc).or(default).dormant()
}

const fn unused(path: &'static str, kind: Kind) -> Key {
    Key::new(path, kind, "Setting of an earlier design.").no_effect(NOT_BUILT)
}

pub(super) const KEYS: &[Key] = &[
    Key::new("replication.enabled", Kind::Bool, "Copy data to or from another server.")
        .or("false")
        .refused("data would not be replicated"),
    Key::new("replication.role", ROLES, "What this server is to the others.")
        .or("standalone")
        .alias(&[same("replication.mode"), same("server.role")])
        .reloadable()
        .refused("a replica without replication would serve data of its own"),
    Key::new("replication.replica_listen_address", Kind::HostPort, "Where replicas connect to.")
        .or("0.0.0.0:15501")
        .dormant(),
    Key::new("replication.listen_host", Kind::Host, "Host part of replica_listen_address.")
        .dormant(),
    Key::new("replication.listen_port", PORT, "Port part of replica_listen_address.").dormant(),
    Key::new("replication.master_address", Kind::HostPort, "Server to copy from.")
        .reloadable()
        .dormant(),
    Key::new("replication.master_host", Kind::Host, "Host part of master_address.").dormant(),
    Key::new("replication.master_port", PORT, "Port part of master_address; unset is 15501.")
        .dormant(),
    key("replication.max_lag_ms", MILLIS, "10000", "Health is degraded above this lag.")
        .reloadable(),
    key("replication.buffer_size_kb", int(1, 1 << 20), "256", "Send buffer per replica, in KiB."),
    key("replication.replica_timeout_secs", SECS, "30", "A silent replica is dropped after."),
    key("replication.auto_reconnect", Kind::Bool, "true", "Reconnect to a lost master."),
    key("replication.reconnect_delay_ms", MILLIS, "5000", "Milliseconds between attempts.")
        .alias(&[scaled("replication.reconnect_interval_secs", 1000)]),
    key("replication.log_max_entries", SOME, "1000000", "Batches kept for partial sync."),
    Key::new(
        "replication.min_replicas_for_write",
        int(0, 64),
        "Replicas that must have a write before it is answered.",
    )
    .or("0")
    .refused("writes would be answered without being on any replica"),
    Key::new("replication.auth_token", TEXT, "Shared secret of the link.").masked().dormant(),
    unused("replication.sync_interval_ms", MANY),
    unused("replication.full_sync_threshold", MANY),
    unused("replication.batch_size", MANY),
    unused("replication.batch_timeout_ms", MANY),
    unused("replication.compression", Kind::Bool),
    unused("replication.log_retention_hours", MANY),
    unused("replication.reconnect_max_attempts", MANY),
    Key::new(
        "rate_limit.enabled",
        Kind::Bool,
        "Limit requests per client: by address, a network of 64 bits where it is IPv6. Requests \
         beyond are answered 429, on RESP with the error RATELIMIT.",
    )
    .or("false")
    .reloadable(),
    Key::new(
        "rate_limit.requests_per_second",
        int(1, 10_000_000),
        "Requests one client may make per second, as a rule.",
    )
    .or("1000")
    .reloadable(),
    Key::new(
        "rate_limit.burst_size",
        int(1, 1_000_000_000),
        "Requests that a client which was silent may make at once.",
    )
    .or("100")
    .reloadable(),
    Key::new(
        "rate_limit.trust_forwarded_for",
        Kind::CidrList,
        "Proxies whose X-Forwarded-For and X-Real-IP say who the client is.",
    )
    .reloadable(),
    Key::new("authentication.enabled", Kind::Bool, "Ask clients who they are.")
        .or("false")
        .alias(&[same("auth.enabled")])
        .refused("every client would have full access"),
    Key::new("authentication.require_auth", Kind::Bool, "Refuse requests without credentials.")
        .or("false")
        .alias(&[same("auth.require_auth")])
        .refused("every client would have full access"),
    Key::new(
        "authentication.require_auth_on_public_bind",
        Kind::Bool,
        "Refuse requests without credentials when a listener is reachable from elsewhere.",
    )
    .or("false")
    .refused("every client of a public address would have full access"),
    Key::new("authentication.default_admin.username", NAME, "Administrator made at first start.")
        .alias(&[same("auth.root.username")])
        .dormant(),
    Key::new("authentication.default_admin.password", TEXT, "Its password.")
        .alias(&[same("auth.root.password")])
        .masked()
        .dormant(),
    Key::new("authentication.default_admin.enabled", Kind::Bool, "Make it.")
        .alias(&[same("auth.root.enabled")])
        .dormant(),
    key(
        "authentication.api_key_default_expiration_days",
        int(1, 36_500),
        "90",
        "Days a new API key is valid.",
    ),
    Key::new("authentication.api_key_allowed_ips", Kind::CidrList, "Where API keys may be used.")
        .dormant(),
    key("authentication.default_key_ttl", SECS, "3600", "Seconds a session key is valid.")
        .alias(&[same("auth.default_key_ttl")]),
    Key::new("users", Kind::Objects(USER), "Accounts.")
        .alias(&[same("authentication.users"), same("auth.users")])
        .reloadable()
        .dormant(),
    Key::new("api_keys", Kind::Objects(API_KEY), "Keys for programs.")
        .alias(&[same("authentication.api_keys"), same("auth.api_keys")])
        .reloadable()
        .dormant(),
    Key::new("roles", Kind::Objects(ROLE), "Named sets of permissions.").reloadable().dormant(),
    Key::new("acl.enabled", Kind::Bool, "Check the rules below.")
        .or("false")
        .reloadable()
        .refused("the rules would not be applied"),
    Key::new("acl.rules", Kind::Objects(RULE), "Who may do what.")
        .alias(&[same("acl")])
        .reloadable()
        .dormant(),
];

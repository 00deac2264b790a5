//! Replication, rate limits and access control: checked, and where a key promises safety this
//! build cannot give, the server refuses to start with it. What users, keys, roles and rules mean
//! is checked in `config/access.rs`.

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
    member("rate_limit", int(1, 1_000_000_000)),
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
        .alias(&[same("auth.enabled")]),
    Key::new(
        "authentication.require_auth",
        Kind::Bool,
        "Refuse requests without credentials. Unset, they are refused unless a rule of `acl` is \
         for everybody.",
    )
    .alias(&[same("auth.require_auth")]),
    Key::new(
        "authentication.require_auth_on_public_bind",
        Kind::Bool,
        "When a listener is reachable from elsewhere: ask clients who they are, refuse requests \
         without credentials, and do not start without a user or API key.",
    )
    .or("false"),
    Key::new(
        "authentication.public_metrics",
        Kind::Bool,
        "Metrics and the health of parts are for everybody.",
    )
    .or("true")
    .alias(&[same("auth.public_metrics")]),
    Key::new(
        "authentication.default_admin.username",
        NAME,
        "Administrator that is made when there is no such user.",
    )
    .or("admin")
    .alias(&[same("auth.root.username")]),
    Key::new(
        "authentication.default_admin.password",
        TEXT,
        "Its password. Unset, one of chance is made when there is no user and no API key at all; \
         it is told once on standard error and written to auth/admin-password in data_dir.",
    )
    .alias(&[same("auth.root.password")])
    .masked(),
    Key::new("authentication.default_admin.enabled", Kind::Bool, "Make it.")
        .or("true")
        .alias(&[same("auth.root.enabled")]),
    Key::new(
        "authentication.api_key",
        TEXT,
        "An API key with role admin, called `env`; SYNAP_API_KEY sets it.",
    )
    .alias(&[same("auth.api_key")])
    .masked()
    .reloadable(),
    Key::new(
        "authentication.api_key_default_expiration_days",
        int(1, 36_500),
        "Days that an API key made while the server runs is valid.",
    )
    .or("90")
    .reloadable(),
    Key::new(
        "authentication.default_key_ttl",
        SECS,
        "The same in seconds, 0 for ever; only one of the two can be set.",
    )
    .alias(&[same("auth.default_key_ttl")])
    .reloadable(),
    Key::new(
        "authentication.api_key_allowed_ips",
        Kind::CidrList,
        "Where API keys may be used that do not say so themselves; unset is everywhere.",
    )
    .reloadable(),
    Key::new(
        "users",
        Kind::Objects(USER),
        "Accounts: bcrypt or argon2 in password_hash, or a password; role is readonly unless set.",
    )
    .alias(&[same("authentication.users"), same("auth.users")])
    .reloadable(),
    Key::new(
        "api_keys",
        Kind::Objects(API_KEY),
        "Keys for programs: key, or key_hash with sha256: and 64 hexadecimal digits; role is \
         readonly unless set; expires_days count from the first start that sees the key; \
         rate_limit is requests per minute, with or without section rate_limit.",
    )
    .alias(&[same("authentication.api_keys"), same("auth.api_keys")])
    .reloadable(),
    Key::new(
        "roles",
        Kind::Objects(ROLE),
        "Named sets of permissions besides admin, readonly, user, queue_manager, stream_manager \
         and data_manager; a resource is kind:pattern, such as kv:tenant1:*.",
    )
    .alias(&[same("authentication.roles"), same("auth.roles")])
    .reloadable(),
    Key::new(
        "acl.enabled",
        Kind::Bool,
        "Check the rules below. Unset, they are checked when there are any.",
    )
    .reloadable(),
    Key::new(
        "acl.rules",
        Kind::Objects(RULE),
        "Who may do what besides what roles allow: resource_type and resource_pattern, or resource \
         as kind:pattern; actions of read, write, delete, consume, configure, admin, all; \
         authenticated: false is for everybody; roles and users, or every authenticated caller \
         where neither is given.",
    )
    .alias(&[same("acl")])
    .reloadable(),
];

//! `CONFIG`: the settings under the names of Redis.
//!
//! What can change while the server runs can be set; the rest can be read, because clients look at
//! it, and a value that is set to what it is already is no change.

use synap_shards::command::args::Args;
use synap_shards::command::args::{Arg, integer};
use synap_shards::command::error::{CommandError, quote};
use synap_shards::command::reply::Reply;
use synap_shards::glob;

use super::pubsub::{parse_notices, show_notices};
use super::thresholds::THRESHOLDS;
use synap_shards::limits::VALUE_BYTES_MAX;
use synap_shards::shard::evict::EvictionPolicy;

use super::{CoreContext, CoreHandler, Handler, SessionContext};
use crate::audit::{self, Event, Kind, Who};
use crate::settings::Settings;
use crate::shared::Shared;

pub(super) const HANDLERS: &[(&str, Handler)] = &[("config.get", get), ("config.rewrite", rewrite)];
pub(super) const CORE_HANDLERS: &[(&str, CoreHandler)] =
    &[("config.set", set), ("config.resetstat", reset_stat)];

type Answer = Result<Reply<'static>, CommandError>;
/// Takes the value over, or says what is wrong with it.
type Change = fn(&mut Settings, &[u8]) -> Result<(), &'static str>;

pub(super) struct Parameter {
    name: &'static str,
    get: fn(&Settings, &Shared) -> String,
    change: Option<Change>,
}

const fn fixed(name: &'static str, get: fn(&Settings, &Shared) -> String) -> Parameter {
    Parameter { name, get, change: None }
}

pub(super) const fn changeable(
    name: &'static str,
    get: fn(&Settings, &Shared) -> String,
    change: Change,
) -> Parameter {
    Parameter { name, get, change: Some(change) }
}

fn parameters() -> impl Iterator<Item = &'static Parameter> {
    OWN.iter().chain(THRESHOLDS)
}

const OWN: &[Parameter] = &[
    fixed("appendfsync", |_, shared| {
        String::from(match shared.fsync_mode {
            "always" => "always",
            "never" => "no",
            _ => "everysec",
        })
    }),
    fixed("appendonly", |_, shared| yes(shared.persistence)),
    // The newer name of lua-time-limit.
    changeable(
        "busy-reply-threshold",
        |settings, _| settings.script_time_limit_ms.to_string(),
        |settings, value| {
            store(&mut settings.script_time_limit_ms, number(value, 1, 60_000).map(|ms| ms as u64))
        },
    ),
    fixed("bind", |_, shared| {
        let address = shared.resp_address.or(shared.resp_tls_address);
        address.map_or_else(String::new, |a| a.ip().to_string())
    }),
    changeable(
        "client-query-buffer-limit",
        |settings, _| settings.query_buffer_bytes_max.to_string(),
        |settings, value| store(&mut settings.query_buffer_bytes_max, memory(value, 1024 * 1024)),
    ),
    changeable(
        "client-output-buffer-limit",
        |settings, _| settings.output_limits.show(),
        |settings, value| {
            let text = std::str::from_utf8(value).unwrap_or("?");
            let limits = settings.output_limits.with(text, |word| memory(word.as_bytes(), 0).ok());
            let limits = limits.filter(|_| !text.trim().is_empty());
            store(&mut settings.output_limits, limits.ok_or("') - wrong number of arguments"))
        },
    ),
    fixed("cluster-enabled", |_, shared| yes(shared.shard_ports.are_on())),
    fixed("databases", |_, _| "1".into()),
    fixed("dir", |_, shared| shared.data_directory.display().to_string()),
    fixed("io-threads", |_, shared| shared.shard_map.cores().to_string()),
    changeable(
        "latency-monitor-threshold",
        |settings, _| settings.latency_threshold_ms.to_string(),
        |settings, value| {
            store(&mut settings.latency_threshold_ms, number(value, 0, i64::MAX).map(|n| n as u64))
        },
    ),
    changeable(
        "lfu-decay-time",
        |settings, _| settings.lfu_decay_minutes.to_string(),
        |settings, value| {
            store(
                &mut settings.lfu_decay_minutes,
                number(value, 0, i64::from(i32::MAX)).map(|n| n as u32),
            )
        },
    ),
    changeable(
        "lfu-log-factor",
        |settings, _| settings.lfu_log_factor.to_string(),
        |settings, value| {
            store(
                &mut settings.lfu_log_factor,
                number(value, 0, i64::from(i32::MAX)).map(|n| n as u32),
            )
        },
    ),
    changeable(
        "lua-time-limit",
        |settings, _| settings.script_time_limit_ms.to_string(),
        |settings, value| {
            store(&mut settings.script_time_limit_ms, number(value, 1, 60_000).map(|ms| ms as u64))
        },
    ),
    changeable(
        "maxclients",
        |settings, _| settings.max_connections.to_string(),
        |settings, value| {
            store(
                &mut settings.max_connections,
                number(value, 1, i64::from(u32::MAX)).map(|n| n as usize),
            )
        },
    ),
    changeable(
        "maxmemory",
        |settings, _| settings.max_memory_bytes.to_string(),
        |settings, value| store(&mut settings.max_memory_bytes, memory(value, 0)),
    ),
    changeable(
        "maxmemory-policy",
        |settings, _| settings.eviction_policy.name().into(),
        |settings, value| store(&mut settings.eviction_policy, policy(value)),
    ),
    changeable(
        "maxmemory-samples",
        |settings, _| settings.eviction_sample_size.to_string(),
        |settings, value| {
            store(&mut settings.eviction_sample_size, number(value, 1, 64).map(|n| n as usize))
        },
    ),
    changeable(
        "notify-keyspace-events",
        |settings, _| show_notices(settings.notices),
        |settings, value| {
            let refusal = "') - Invalid event class character. Use 'Ag$lshzxetnKE'.";
            store(&mut settings.notices, parse_notices(value).ok_or(refusal))
        },
    ),
    fixed("port", |_, shared| shared.resp_address.map_or(0, |a| a.port()).to_string()),
    changeable(
        "proto-max-bulk-len",
        |settings, _| settings.max_value_bytes.to_string(),
        |settings, value| {
            let bytes = memory(value, 1024 * 1024)?;
            if bytes > VALUE_BYTES_MAX {
                return Err("') - argument must be between 1048576 and 536870912 inclusive");
            }
            store(&mut settings.max_value_bytes, Ok(bytes))
        },
    ),
    fixed("requirepass", |_, _| String::new()),
    // No images of the data are written at times; the log has everything.
    fixed("save", |_, _| String::new()),
    changeable(
        "slowlog-log-slower-than",
        |settings, _| settings.slowlog_threshold_us.to_string(),
        |settings, value| store(&mut settings.slowlog_threshold_us, number(value, -1, i64::MAX)),
    ),
    changeable(
        "slowlog-max-len",
        |settings, _| settings.slowlog_max_entries.to_string(),
        |settings, value| {
            store(
                &mut settings.slowlog_max_entries,
                number(value, 0, SLOWLOG_ENTRIES_MAX).map(|n| n as usize),
            )
        },
    ),
    changeable(
        "timeout",
        |settings, _| settings.idle_timeout_secs.to_string(),
        |settings, value| {
            store(
                &mut settings.idle_timeout_secs,
                number(value, 0, i64::from(i32::MAX)).map(|n| n as u64),
            )
        },
    ),
    fixed("tls-port", |_, shared| shared.resp_tls_address.map_or(0, |a| a.port()).to_string()),
    changeable(
        "tracking-table-max-keys",
        |settings, _| settings.tracking_keys_max.to_string(),
        |settings, value| {
            store(
                &mut settings.tracking_keys_max,
                number(value, 0, i64::from(u32::MAX)).map(|n| n as usize),
            )
        },
    ),
];

/// Most entries of a slow log that may be asked for.
const SLOWLOG_ENTRIES_MAX: i64 = 1_000_000;

pub(super) fn store<T>(place: &mut T, value: Result<T, &'static str>) -> Result<(), &'static str> {
    *place = value?;
    Ok(())
}

fn yes(truth: bool) -> String {
    String::from(if truth { "yes" } else { "no" })
}

pub(super) fn number(value: &[u8], least: i64, most: i64) -> Result<i64, &'static str> {
    let number = integer(value).map_err(|_| "') - argument couldn't be parsed into an integer")?;
    if (least..=most).contains(&number) { Ok(number) } else { Err("') - argument is out of range") }
}

/// Bytes, with the units of Redis: `k` is a thousand, `kb` 1024, and so on; in any case.
///
/// # Errors
/// What is wrong with it, as Redis puts it.
pub(crate) fn memory(value: &[u8], least: usize) -> Result<usize, &'static str> {
    const REFUSAL: &str = "') - argument must be a memory value";
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = integer(&value[..digits]).map_err(|_| REFUSAL)?;
    let unit: u64 = match value[digits..].to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return Err(REFUSAL),
    };
    let bytes = (number as u64).checked_mul(unit).and_then(|bytes| usize::try_from(bytes).ok());
    match bytes.ok_or(REFUSAL)? {
        bytes if bytes < least => Err("') - argument is out of range"),
        bytes => Ok(bytes),
    }
}

fn policy(value: &[u8]) -> Result<EvictionPolicy, &'static str> {
    use EvictionPolicy::*;
    [
        VolatileLru,
        VolatileLfu,
        VolatileRandom,
        VolatileTtl,
        AllKeysLru,
        AllKeysLfu,
        AllKeysRandom,
        NoEviction,
    ]
    .into_iter()
    .find(|policy| value.eq_ignore_ascii_case(policy.name().as_bytes()))
    .ok_or(
        "') - argument(s) must be one of the following: volatile-lru, volatile-lfu, \
         volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction",
    )
}

fn get(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    let patterns = args.rest(Arg(0));
    let wanted = |name: &str| {
        patterns.iter().any(|pattern| glob::matches_ignoring_case(pattern, name.as_bytes()))
    };
    let found = parameters().filter(|parameter| wanted(parameter.name));
    let pair = |parameter: &Parameter| {
        let value = (parameter.get)(cx.settings, cx.shared);
        (Reply::string(parameter.name), Reply::string(value))
    };
    Ok(Reply::Map(found.map(pair).collect()))
}

/// All or none: the values are taken over into a copy first. Every core comes to the same result.
fn set(cx: &mut CoreContext<'_>, args: &Args<'_>) -> Answer {
    let (pairs, rest) = args.rest(Arg(0)).as_chunks::<2>();
    if !rest.is_empty() {
        return Err(CommandError::WrongArity { command: "config|set".into() });
    }
    let mut settings = cx.settings.clone();
    for (position, [name, value]) in pairs.iter().enumerate() {
        let parameter = parameters()
            .find(|parameter| name.eq_ignore_ascii_case(parameter.name.as_bytes()))
            .ok_or_else(|| CommandError::Quoted {
                before: "Unknown option or number of arguments for CONFIG SET - '",
                found: quote(name),
                after: "'",
            })?;
        let twice = pairs[..position].iter().any(|[other, _]| other.eq_ignore_ascii_case(name));
        let result = if twice {
            Err("') - duplicate parameter")
        } else if let Some(change) = parameter.change {
            change(&mut settings, value)
        } else if value.eq_ignore_ascii_case((parameter.get)(&settings, cx.shared).as_bytes()) {
            Ok(())
        } else {
            Err("') - can't set immutable config")
        };
        result.map_err(|after| CommandError::Quoted {
            before: "CONFIG SET failed (possibly related to argument '",
            found: quote(name),
            after,
        })?;
    }
    *cx.settings = settings;
    cx.effects.settings_changed = true;
    note_changes(cx, pairs);
    Ok(Reply::Ok)
}

/// Has the core of the client tell which settings it changed.
fn note_changes(cx: &CoreContext<'_>, pairs: &[[&[u8]; 2]]) {
    let (mut found, caller) = (None, cx.caller);
    cx.clients.each(&mut |client| {
        if client.id == caller {
            found = Some((Who::from(&client.identity), client.from));
        }
    });
    let Some((who, from)) = found else { return };
    for [name, _] in pairs {
        let found = parameters().find(|one| name.eq_ignore_ascii_case(one.name.as_bytes()));
        if let Some(parameter) = found {
            let who = who.clone();
            audit::record(Event::new(Kind::ConfigChanged, who, Some(from), parameter.name));
        }
    }
}

fn reset_stat(cx: &mut CoreContext<'_>, _: &Args<'_>) -> Answer {
    let metrics = &cx.shared.metrics[cx.core.index()];
    for stat in &metrics.commands {
        [&stat.calls, &stat.nanoseconds, &stat.rejected, &stat.failed]
            .into_iter()
            .chain(&stat.buckets)
            .for_each(|cell| cell.set(0));
    }
    let counters = [
        &metrics.connections_received,
        &metrics.connections_refused,
        &metrics.connections_dropped,
        &metrics.bytes_received,
        &metrics.bytes_sent,
        &metrics.protocol_errors,
        &metrics.keyspace_hits,
        &metrics.keyspace_misses,
        &metrics.expired_keys,
        &metrics.evicted_keys,
    ];
    counters.into_iter().for_each(|cell| cell.set(0));
    cx.effects.stats_reset = true;
    Ok(Reply::Ok)
}

fn rewrite(_: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    Err(CommandError::Invalid(
        "the configuration file belongs to the operator and is never written by the server",
    ))
}

//! Memory, durability, compression and caching.

use super::super::key::{Key, Kind, MANY, MILLIS, SECS, SOME, int, same};

const EVICTION: Kind = Kind::Enum(&[
    &["lru", "allkeys-lru"],
    &["lfu", "allkeys-lfu"],
    &["ttl", "volatile-ttl"],
    &["none", "noeviction"],
    &["volatile-lru"],
    &["volatile-lfu"],
    &["allkeys-random"],
    &["volatile-random"],
]);
const LIST_SIZE: Kind = Kind::Enum(&[&["-1"], &["-2"], &["-3"], &["-4"], &["-5"]]);
const FSYNC: Kind = Kind::Enum(&[&["always"], &["periodic"], &["never"]]);
const COMMIT: Kind = Kind::Enum(&[&["auto"], &["ring"], &["thread"]]);
const ALGORITHM: Kind = Kind::Enum(&[&["lz4"], &["zstd"], &["gzip"], &["none"]]);
const CODEC: Kind = Kind::Enum(&[&["zstd"], &["lz4"]]);
const LEVEL: Kind = int(1, 22);

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "kv_store.max_memory_mb",
        int(0, 1 << 30),
        "Cap over all data types together, in MiB; 0 is no cap.",
    )
    .or("4096")
    .reloadable(),
    Key::new(
        "kv_store.eviction_policy",
        EVICTION,
        "What goes when the cap is reached; `none` refuses writes instead.",
    )
    .or("lru")
    .reloadable(),
    Key::new(
        "kv_store.eviction_sample_size",
        int(1, 64),
        "Keys looked at to find one to evict; more is closer to exact and costs more.",
    )
    .or("5")
    .reloadable(),
    Key::new("kv_store.lfu_log_factor", int(0, 255), "How slowly LFU counters saturate.")
        .or("10")
        .reloadable(),
    Key::new(
        "kv_store.lfu_decay_time",
        int(0, 65_535),
        "Minutes after which an unused LFU counter is lowered by one; 0 never lowers it.",
    )
    .or("1")
    .reloadable(),
    Key::new(
        "kv_store.ttl_cleanup_interval_ms",
        int(1, 60_000),
        "Milliseconds between sweeps for expired keys; reads never see one whatever this is.",
    )
    .or("100"),
    Key::new("kv_store.allow_flush_commands", Kind::Bool, "Allow FLUSHDB and FLUSHALL.")
        .or("false")
        .reloadable(),
    Key::new("kv_store.max_value_size_bytes", int(1, 512 << 20), "Largest string value, in bytes.")
        .or("536870912"),
    Key::new(
        "kv_store.max_read_elements",
        int(0, 1 << 40),
        "Elements that one command may look at or answer when it reads whole: keys of a core for \
         KEYS, and those of a list, set, hash, sorted set or stream. More, and it is refused, so \
         that it does not hold its core up; what reads in parts (SCAN, HSCAN, ranges) is not \
         concerned. 0 is no limit.",
    )
    .or("1000000")
    .reloadable(),
    Key::new("kv_store.max_keys", SOME, "Most keys; unset is no limit."),
    Key::new(
        "kv_store.hash_max_listpack_entries",
        int(1, 65_535),
        "Fields of a hash that is stored packed; more, and it gets a table of its own.",
    )
    .or("128")
    .reloadable(),
    Key::new(
        "kv_store.hash_max_listpack_value",
        int(1, 65_535),
        "Bytes of a field or value of a packed hash.",
    )
    .or("64")
    .reloadable(),
    Key::new(
        "kv_store.set_max_intset_entries",
        int(1, 65_535),
        "Members of a set of integers that is stored as a sorted array.",
    )
    .or("512")
    .reloadable(),
    Key::new(
        "kv_store.set_max_listpack_entries",
        int(1, 65_535),
        "Members of a set that is stored packed.",
    )
    .or("128")
    .reloadable(),
    Key::new(
        "kv_store.set_max_listpack_value",
        int(1, 65_535),
        "Bytes of a member of a packed set.",
    )
    .or("64")
    .reloadable(),
    Key::new(
        "kv_store.zset_max_listpack_entries",
        int(1, 65_535),
        "Members of a sorted set that is stored packed.",
    )
    .or("128")
    .reloadable(),
    Key::new(
        "kv_store.zset_max_listpack_value",
        int(1, 65_535),
        "Bytes of a member of a packed sorted set.",
    )
    .or("64")
    .reloadable(),
    Key::new(
        "kv_store.stream_node_max_bytes",
        int(1, 65_535),
        "Bytes of a block of a stream (XADD).",
    )
    .or("4096")
    .reloadable(),
    Key::new(
        "kv_store.stream_node_max_entries",
        int(1, 65_535),
        "Entries of a block of a stream (XADD).",
    )
    .or("100")
    .reloadable(),
    Key::new(
        "kv_store.hll_sparse_max_bytes",
        int(1, 65_535),
        "Bytes of a HyperLogLog before it becomes dense.",
    )
    .or("3000")
    .reloadable(),
    Key::new(
        "kv_store.list_max_listpack_size",
        LIST_SIZE,
        "Size of a packed list, and of a node of a longer one: -1 is 4 KiB, -5 is 64 KiB.",
    )
    .or("-2")
    .reloadable(),
    Key::new("persistence.enabled", Kind::Bool, "Keep data on disk. Off, a restart starts empty.")
        .or("true"),
    Key::new("persistence.wal.enabled", Kind::Bool, "Write the log. Off is persistence off.")
        .or("true"),
    Key::new(
        "persistence.wal.path",
        Kind::Path,
        "Directory of the log; a path that ends in a file name means its parent. Unset is \
         `wal` below data_dir.",
    ),
    Key::new(
        "persistence.wal.fsync_mode",
        FSYNC,
        "`always`: a write is answered when it is on disk. `periodic`: synced every \
         fsync_interval_ms, at most that much is lost. `never`: the system decides.",
    )
    .or("periodic"),
    Key::new(
        "persistence.wal.fsync_interval_ms",
        MILLIS,
        "Milliseconds between syncs in mode periodic.",
    )
    .or("10"),
    Key::new(
        "persistence.wal.segment_size_mb",
        int(1, 1024),
        "Size of one log file, in MiB; files are preallocated and reused.",
    )
    .or("64"),
    Key::new(
        "persistence.wal.commit_path",
        COMMIT,
        "How a commit reaches the disk: `ring` through io_uring, `thread` through a blocking \
         thread per core, `auto` by what the file system supports.",
    )
    .or("auto"),
    Key::new(
        "persistence.wal.buffer_size_kb",
        int(4, 1 << 20),
        "Log buffer each core starts with, in KiB; it grows with the load.",
    )
    .or("64"),
    Key::new(
        "persistence.wal.max_size_mb",
        int(1, 1 << 30),
        "Size of all logs together, in MiB, at which a snapshot is taken and old log is dropped; \
         a third of the live data, but no less than 64 MiB, where that is smaller.",
    )
    .or("1024"),
    Key::new("persistence.wal.batch_max_ops", int(1, 1 << 30), "Most batches in one commit.")
        .or("10000")
        .dormant(),
    Key::new(
        "persistence.wal.batch_window_us",
        int(0, 1_000_000),
        "Microseconds earlier versions waited to fill a commit.",
    )
    .or("100")
    .no_effect("a commit takes what gathered while the one before was under way"),
    Key::new("persistence.snapshot.enabled", Kind::Bool, "Take snapshots.").or("true"),
    Key::new(
        "persistence.snapshot.directory",
        Kind::Path,
        "Directory of snapshots. Unset is `snapshots` below data_dir.",
    ),
    Key::new("persistence.snapshot.interval_secs", SECS, "Seconds between snapshots.").or("300"),
    Key::new(
        "persistence.snapshot.operation_threshold",
        MANY,
        "Writes that trigger one; 0 for never. Then the server rests for ten times as long as the \
         last one took, so a busy server does not take snapshots all the time.",
    )
    .or("10000"),
    Key::new("persistence.snapshot.max_snapshots", int(1, 10_000), "Snapshots kept, at most.")
        .or("5"),
    Key::new(
        "persistence.snapshot.max_total_percent",
        int(0, 1_000_000),
        "Bytes of the snapshots kept, percent of the live data (64 MiB where that is more): older \
         ones beyond it go although there are no more than max_snapshots. The newest always stays. \
         0 for no such bound.",
    )
    .or("100"),
    Key::new("persistence.snapshot.compression", Kind::Bool, "Compress snapshots.").or("true"),
    Key::new(
        "persistence.snapshot.codec",
        CODEC,
        "What compressed snapshots are compressed with: `zstd` is smaller, `lz4` takes less \
         processor.",
    )
    .or("zstd"),
    Key::new("persistence.snapshot.compression_level", LEVEL, "zstd level.").or("3"),
    Key::new(
        "persistence.snapshot.auto_snapshot",
        Kind::Bool,
        "Take snapshots without being asked; off takes them only on request.",
    )
    .or("true"),
    Key::new(
        "persistence.recovery.verify_checksums",
        Kind::Bool,
        "Check every checksum when reading logs back. Off checks only the last file of each log, \
         where they tell where it ends; damage elsewhere then goes unnoticed.",
    )
    .or("true"),
    Key::new(
        "persistence.recovery.skip_corrupted",
        Kind::Bool,
        "Start although the middle of a log is damaged, without what is damaged and what follows \
         it in the same shards. A torn tail is always cut.",
    )
    .or("false"),
    Key::new(
        "persistence.recovery.repair_mode",
        Kind::Bool,
        "After damage was skipped, write a snapshot of what was recovered and put the damaged \
         logs away, so that the next start finds a sound directory.",
    )
    .or("false"),
    Key::new("compression.enabled", Kind::Bool, "Compress large values.")
        .or("false")
        .alias(&[same("kv_store.compression.enabled")])
        .dormant(),
    Key::new("compression.default_algorithm", ALGORITHM, "Algorithm for values.")
        .or("lz4")
        .alias(&[same("kv_store.compression.algorithm")])
        .dormant(),
    Key::new("compression.min_payload_size", MANY, "Values below stay as they are, in bytes.")
        .or("1024")
        .alias(&[
            same("compression.threshold_bytes"),
            same("compression.min_size_bytes"),
            same("kv_store.compression.threshold_bytes"),
        ])
        .dormant(),
    Key::new("compression.zstd.level", LEVEL, "zstd level.").or("3").dormant(),
    Key::new("compression.persistence.algorithm", ALGORITHM, "On disk.").or("zstd").dormant(),
    Key::new("compression.replication.algorithm", ALGORITHM, "On the link to replicas.")
        .or("lz4")
        .alias(&[same("compression.replication")])
        .dormant(),
    Key::new("compression.http.algorithm", ALGORITHM, "In HTTP answers.")
        .or("zstd")
        .alias(&[same("compression.http")])
        .dormant(),
    Key::new("cache.enabled", Kind::Bool, "Keep hot values uncompressed.").or("false").dormant(),
    Key::new("cache.l1.max_entries", SOME, "Values kept.").or("10000").dormant(),
    Key::new("cache.l1.max_size_mb", SOME, "Their size, in MiB; unset is 10 % of memory.")
        .dormant(),
    Key::new("cache.l1.ttl_secs", SECS, "Seconds a value stays.").or("10").dormant(),
    Key::new("cache.l1.promote_after_hits", int(1, 1 << 20), "Reads before a value is kept.")
        .or("3")
        .dormant(),
    Key::new("cache.l2.enabled", Kind::Bool, "Keep warm values compressed.").or("false").dormant(),
    Key::new("cache.l2.max_entries", SOME, "Values kept.").or("100000").dormant(),
    Key::new("cache.l2.max_size_mb", SOME, "Their size, in MiB; unset is 10 % of memory.")
        .dormant(),
    Key::new("cache.l2.ttl_secs", SECS, "Seconds a value stays.").or("60").dormant(),
];

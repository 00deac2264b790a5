//! Every bound of the system, with the asserts that tie neighbours together. A queue, ring, slab,
//! string or loop that has no bound here has none at all, which is a bug.

/// Partitions of the key space; fixed for ever, a data directory depends on it.
pub const SHARDS: usize = 64;
/// Slots of the Redis cluster key space, kept for cluster-aware clients.
pub const SLOTS: usize = 16_384;
/// Slots of one shard; shards are runs of slots.
pub const SLOTS_PER_SHARD: usize = SLOTS / SHARDS;
/// Cores of one process: a core without a shard would have nothing to do.
pub const CORES_MAX: usize = SHARDS;

/// Bytes of a key.
pub const KEY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a string value; the bulk limit of the Redis protocol.
pub const VALUE_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Arguments of one command, its name included; the multi-bulk limit of the Redis protocol.
pub const ARGS_MAX: usize = 1024 * 1024;
/// Bytes of one inline command or one protocol line.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of one batch. A command that would exceed it is refused before anything is applied.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024 * 1024;

const _: () = assert!(SHARDS * SLOTS_PER_SHARD == SLOTS, "shards are equal runs of slots");
const _: () = assert!(SHARDS <= u8::MAX as usize, "a shard id is one byte in the batch header");
const _: () = assert!(VALUE_BYTES_MAX * 2 <= BATCH_BYTES_MAX, "the largest value fits a batch");

/// Bytes of the code of all libraries of functions together.
pub const LIBRARIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Libraries of functions.
pub const LIBRARIES_MAX: usize = 4096;

const _: () = assert!(LIBRARIES_BYTES_MAX * 2 <= BATCH_BYTES_MAX, "all libraries fit a batch");

/// Requests that one core may have unanswered at another before it stops reading its sockets.
pub const CREDITS_PER_CORE: usize = 4096;
/// Commands that may wait for a shard that is lent out; more are refused with BUSY.
pub const WAITING_MAX: usize = 16_384;
/// Blocked commands that one core keeps; more are refused with BUSY.
pub const WAITERS_MAX: usize = 65_536;
/// Bytes of the blocked commands that one core keeps, words and keys; more are refused with BUSY.
pub const WAITERS_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Expired entries that one tick removes at most, so that expiry never stalls a core.
pub const EXPIRY_KEYS_PER_TICK: usize = 1_000;
/// Entries that one tick of expiry looks at, at most.
pub const EXPIRY_LOOKS_PER_TICK: usize = 2_000;
/// Fields of hashes whose deadline has passed that one tick removes at most.
pub const EXPIRY_FIELDS_PER_TICK: usize = 1_000;
/// Messages of queues that one tick gives back, makes ready or removes at most, because it is time.
pub const TIMED_PER_TICK: usize = 1_000;
/// Entries that one command may evict to make room for itself.
pub const EVICTIONS_PER_COMMAND: usize = 64;
/// Commands that one transaction may queue, and keys that one client may watch.
pub const TRANSACTION_COMMANDS_MAX: usize = ARGS_MAX;
/// Bytes that one transaction may queue, and bytes of keys that one client may watch: the largest
/// value, and an eighth of that for the rest.
pub const TRANSACTION_BYTES_MAX: usize = VALUE_BYTES_MAX + VALUE_BYTES_MAX / 8;
/// Bytes of the replies of one transaction; later ones are dropped.
pub const TRANSACTION_REPLY_BYTES_MAX: usize = 2 * VALUE_BYTES_MAX;
/// Bytes of one answer of many parts. A single value may be half of that.
pub const ANSWER_BYTES_MAX: usize = 2 * VALUE_BYTES_MAX;
/// Elements that a command may look at or answer when it reads containers or keys whole, unless it
/// is configured: about a tenth of a second of a core.
pub const READ_ELEMENTS: usize = 1_000_000;
/// Keys that are looked ahead for in one go.
pub const PREFETCH_MAX: usize = 16;

/// Partitions of a topic.
pub const PARTITIONS_MAX: u16 = 1024;
/// Bytes of an event or a packed batch, key, name and metadata included.
pub const EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Names of the metadata of an event.
pub const EVENT_NAMES_MAX: usize = 128;
/// Events of a packed batch.
pub const PACKED_EVENTS_MAX: u64 = 10_000;
/// Bytes of a packed batch, unpacked or not: unpacking it takes about a millisecond.
pub const PACKED_BYTES_MAX: usize = 1024 * 1024;
/// Events that one command reads of a room.
pub const ROOM_READ_MAX: i64 = 10_000;
/// Events that one command reads of a partition of a topic.
pub const TOPIC_READ_MAX: i64 = 1_000;
/// Bytes of events after which a command that reads some answers no more.
pub const READ_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Events that a group may have been given of a partition and not be done with.
pub const SHARE_WINDOW_MAX: usize = 10_000;
/// Events of a partition that a group keeps account of as dead.
pub const SHARE_DEAD_MAX: usize = 10_000;
/// Groups of a partition that acknowledge event by event.
pub const SHARES_MAX: usize = 1_000;
/// Members of a consumer group.
pub const GROUP_MEMBERS_MAX: usize = 10_000;
/// Readers of a room that are remembered.
pub const ROOM_READERS_MAX: usize = 10_000;
/// Bytes of the name of a group or of a member.
pub const MEMBER_BYTES_MAX: usize = 1024;

const _: () = assert!(PARTITIONS_MAX <= 1024, "a partition is ten bits of the id of an event");

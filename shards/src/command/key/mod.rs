//! Commands for keys of any type.

mod all;
mod copy;
mod delete;
mod exists;
mod expire;
mod inspect;
mod rename;
mod scan;
mod serialize;
mod sort;
mod ttl;

use super::spec::CommandSpec;

pub use scan::cursor_shard;

/// The family's commands.
pub const COMMANDS: &[&CommandSpec] = &[
    &delete::DEL,
    &delete::UNLINK,
    &exists::EXISTS,
    &exists::TOUCH,
    &inspect::TYPE,
    &rename::RENAME,
    &rename::RENAMENX,
    &copy::COPY,
    &copy::MOVE,
    &expire::EXPIRE,
    &expire::PEXPIRE,
    &expire::EXPIREAT,
    &expire::PEXPIREAT,
    &expire::PERSIST,
    &ttl::TTL,
    &ttl::PTTL,
    &ttl::EXPIRETIME,
    &ttl::PEXPIRETIME,
    &scan::RANDOMKEY,
    &scan::KEYS,
    &scan::SCAN,
    &sort::SORT,
    &sort::SORT_RO,
    &serialize::DUMP,
    &serialize::RESTORE,
    &inspect::ENCODING,
    &inspect::IDLETIME,
    &inspect::FREQ,
    &inspect::REFCOUNT,
    &inspect::HELP,
    &inspect::MEMORY_USAGE,
    &all::DBSIZE,
    &all::FLUSHDB,
    &all::FLUSH_COUNTED,
    &all::FLUSHALL,
];

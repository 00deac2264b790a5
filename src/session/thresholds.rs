//! The parameters of `CONFIG` that say when containers leave their packed form, under the names of
//! Redis, old ones included.

use super::config::{Parameter, changeable, number, store};

macro_rules! threshold {
    ($name:literal, $field:ident) => {
        changeable(
            $name,
            |settings, _| settings.thresholds.$field.to_string(),
            |settings, value| {
                store(
                    &mut settings.thresholds.$field,
                    number(value, 0, i64::from(i32::MAX)).map(|n| n as usize),
                )
            },
        )
    };
}

pub(super) const THRESHOLDS: &[Parameter] = &[
    threshold!("hash-max-listpack-entries", hash_max_listpack_entries),
    threshold!("hash-max-listpack-value", hash_max_listpack_value),
    threshold!("hash-max-ziplist-entries", hash_max_listpack_entries),
    threshold!("hash-max-ziplist-value", hash_max_listpack_value),
    threshold!("hll-sparse-max-bytes", hll_sparse_max_bytes),
    changeable(
        "list-max-listpack-size",
        |settings, _| settings.thresholds.list_max_listpack_size.to_string(),
        |settings, value| {
            store(
                &mut settings.thresholds.list_max_listpack_size,
                number(value, -5, i64::from(i32::MAX)),
            )
        },
    ),
    threshold!("set-max-intset-entries", set_max_intset_entries),
    threshold!("set-max-listpack-entries", set_max_listpack_entries),
    threshold!("set-max-listpack-value", set_max_listpack_value),
    threshold!("stream-node-max-bytes", stream_node_max_bytes),
    threshold!("stream-node-max-entries", stream_node_max_entries),
    threshold!("zset-max-listpack-entries", zset_max_listpack_entries),
    threshold!("zset-max-listpack-value", zset_max_listpack_value),
    threshold!("zset-max-ziplist-entries", zset_max_listpack_entries),
    threshold!("zset-max-ziplist-value", zset_max_listpack_value),
];

//! Writing lists, sets, sorted sets and hashes as Redis 7.0 does: small ones in one listpack or set
//! of integers, by its default thresholds, whatever form they have here.

use super::legacy::write_intset;
use super::listpack::Writer;
use super::string;
use super::{
    HASH, HASH_DEADLINES, HASH_LISTPACK, LIST_LISTPACKS, SET, SET_INTSET, VERSION, VERSION_MAX,
    ZSET, ZSET_LISTPACK,
};
use crate::shard::Entry;
use crate::types::hash::HashView;
use crate::types::list::ListView;
use crate::types::set::{Member, SetView};
use crate::types::zset::ZsetView;

/// Bytes of a node of a list, and of an element that is a node of its own.
const NODE_BYTES: usize = 8 * 1024;
const PLAIN_NODE: u64 = 1;
const PACKED_NODE: u64 = 2;
/// Elements of what is written in one listpack, and bytes of each.
const PACKED_LEN_MAX: usize = 128;
const PACKED_BYTES_MAX: usize = 64;
/// Members of what is written as a set of integers.
const INTSET_LEN_MAX: usize = 512;
/// Integers up to here are the same as doubles.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

pub(super) fn list(out: &mut Vec<u8>, entry: &Entry<'_>) -> u16 {
    out.push(LIST_LISTPACKS);
    let (mut nodes, mut count, mut packed) = (Vec::new(), 0u64, Writer::new());
    let mut end = |packed: &mut Writer, nodes: &mut Vec<u8>| {
        if packed.count() > 0 {
            string::write_length(nodes, PACKED_NODE);
            string::write(nodes, &std::mem::replace(packed, Writer::new()).finish());
            count += 1;
        }
    };
    let mut plain = 0;
    for element in ListView::of(entry).iter() {
        if packed.bytes() + element.len() > NODE_BYTES {
            end(&mut packed, &mut nodes);
        }
        if element.len() > NODE_BYTES {
            string::write_length(&mut nodes, PLAIN_NODE);
            string::write(&mut nodes, element);
            plain += 1;
        } else {
            packed.push(element);
        }
    }
    end(&mut packed, &mut nodes);
    string::write_length(out, count + plain);
    out.extend_from_slice(&nodes);
    VERSION
}

pub(super) fn set(out: &mut Vec<u8>, entry: &Entry<'_>) -> u16 {
    let view = SetView::of(entry);
    if view.len() <= INTSET_LEN_MAX {
        let integer = |member| match member {
            Member::Integer(number) => Some(number),
            Member::Bytes(bytes) => crate::command::args::integer(bytes).ok(),
        };
        if let Some(mut members) = view.iter().map(integer).collect::<Option<Vec<i64>>>() {
            members.sort_unstable();
            out.push(SET_INTSET);
            string::write(out, &write_intset(&members));
            return VERSION;
        }
    }
    out.push(SET);
    string::write_length(out, view.len() as u64);
    view.iter().for_each(|member| string::write(out, &member.bytes()));
    VERSION
}

pub(super) fn sorted_set(out: &mut Vec<u8>, entry: &Entry<'_>) -> u16 {
    let view = ZsetView::of(entry);
    let is_short = |(_, member): (f64, &[u8])| member.len() <= PACKED_BYTES_MAX;
    if view.len() <= PACKED_LEN_MAX && view.iter().all(is_short) {
        let mut packed = Writer::new();
        for (score, member) in view.iter() {
            packed.push(member);
            if score.fract() == 0.0 && score.abs() <= EXACT_MAX {
                packed.push_integer(score as i64);
            } else {
                packed.push(format!("{score:?}").as_bytes());
            }
        }
        out.push(ZSET_LISTPACK);
        string::write(out, &packed.finish());
        return VERSION;
    }
    out.push(ZSET);
    string::write_length(out, view.len() as u64);
    for (score, member) in view.iter() {
        string::write(out, member);
        out.extend_from_slice(&score.to_le_bytes());
    }
    VERSION
}

/// Nothing when every field has expired.
pub(super) fn hash(out: &mut Vec<u8>, entry: &Entry<'_>, now_ms: u64) -> Option<u16> {
    let view = HashView::of(Some(entry), now_ms);
    // Counted, because fields that are due are passed over.
    let (mut count, mut is_small, mut first) = (0u64, true, None);
    for field in view.iter() {
        count += 1;
        is_small &= field.name.len().max(field.value.len()) <= PACKED_BYTES_MAX;
        first = first.into_iter().chain(field.deadline_ms).min();
    }
    if count == 0 {
        return None;
    }
    if let Some(first) = first {
        out.push(HASH_DEADLINES);
        out.extend_from_slice(&first.to_le_bytes());
        string::write_length(out, count);
        for field in view.iter() {
            let above = field.deadline_ms.map_or(0, |deadline| deadline - first + 1);
            string::write_length(out, above);
            string::write(out, field.name);
            string::write(out, field.value);
        }
        return Some(VERSION_MAX);
    }
    if is_small && count <= PACKED_LEN_MAX as u64 {
        let mut packed = Writer::new();
        for field in view.iter() {
            packed.push(field.name);
            packed.push(field.value);
        }
        out.push(HASH_LISTPACK);
        string::write(out, &packed.finish());
        return Some(VERSION);
    }
    out.push(HASH);
    string::write_length(out, count);
    for field in view.iter() {
        string::write(out, field.name);
        string::write(out, field.value);
    }
    Some(VERSION)
}

//! Ids as blocks and edits hold them: two numbers.

use super::id::Id;
use crate::types::codec::{put_number, take_number};

pub(super) fn put_id(out: &mut Vec<u8>, id: Id) {
    put_number(out, id.ms);
    put_number(out, id.seq);
}

pub(super) fn take_id(input: &mut &[u8]) -> Option<Id> {
    Some(Id { ms: take_number(input)?, seq: take_number(input)? })
}

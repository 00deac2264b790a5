//! What a request is and whose, packed into the 64 bits the kernel hands back: operation in the
//! upper 8 bits, below it the connection (generation and slot) or the index of a listener.

use synap_shards::id::ConnId;

use crate::net::conn::SLOT_BITS;

/// Bits below the operation.
const SUBJECT_BITS: u32 = 32 + SLOT_BITS;
const _: () = assert!(SUBJECT_BITS + 8 == u64::BITS, "operation, generation and slot fill a word");

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Op {
    Bell = 1,
    Accept = 2,
    Receive = 3,
    Send = 4,
    /// Cancel of requests of a connection.
    Cancel = 5,
    /// Cancel whose target reports by itself.
    CancelOther = 6,
    LogWrite = 7,
    LogSync = 8,
}

impl Op {
    pub(super) fn of(self, conn: ConnId) -> u64 {
        self.with(conn.0)
    }

    pub(super) fn with(self, subject: u64) -> u64 {
        assert!(subject >> SUBJECT_BITS == 0, "subject {subject:#x} overlaps the operation");
        u64::from(self as u8) << SUBJECT_BITS | subject
    }

    /// Operation and subject of a token made here.
    pub(super) fn parse(token: u64) -> (Self, u64) {
        let op = match token >> SUBJECT_BITS {
            1 => Self::Bell,
            2 => Self::Accept,
            3 => Self::Receive,
            4 => Self::Send,
            5 => Self::Cancel,
            6 => Self::CancelOther,
            7 => Self::LogWrite,
            8 => Self::LogSync,
            other => panic!("the kernel returned operation {other}, which was never submitted"),
        };
        (op, token & ((1 << SUBJECT_BITS) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_way_through_the_kernel() {
        let id = ConnId((1 << SUBJECT_BITS) - 1);
        let conn_ops = [Op::Receive, Op::Send, Op::Cancel];
        let other_ops = [Op::Bell, Op::Accept, Op::CancelOther, Op::LogWrite, Op::LogSync];
        for op in conn_ops.into_iter().chain(other_ops) {
            assert_eq!(Op::parse(op.of(id)), (op, id.0));
        }
    }
}

//! Partitions of topics, and rooms, which are topics of one partition: logs of events with dense
//! offsets, kept for as long as their retention says.

mod block;
mod codec;
mod definition;
mod event;
mod partition;
mod piece;
mod readers;
mod record;
mod retention;
mod share;

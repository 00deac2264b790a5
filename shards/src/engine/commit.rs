//! From records to replies: sealing and applying a batch, and keeping replies back until what they
//! depend on is stable.
//!
//! A core's log orders what this core writes, so waiting for "everything appended so far" is right
//! for a write, and right (at most one group commit too careful) for a read of something unstable.
//! Shards that took part in a transaction of several cores may depend on another core's log as
//! well; such shards are gated until that core says that it is stable.

use super::event::{Acknowledge, Outbound};
use super::parcel::Envelope;
use super::{Appended, Engine, ReplyTo, shards_in};
use crate::batch::{Batch, PartSpec, assemble, assemble_single, set_checksum};
use crate::capture::Cause;
use crate::command::reply::Reply;
use crate::id::ShardId;
use crate::seq::Seq;
use crate::shard::Shard;
use crate::shard::plan::{Focus, Notice, Now, Told};
use smallvec::SmallVec;

/// What a reply waits for. The default is nothing.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Bytes of this core's log that have to be durable.
    log_end: u64,
    /// Shards that have to be stable up to a Seq, where another core's log has a say.
    gates: SmallVec<[(ShardId, Seq); 1]>,
}

impl Needs {
    /// Waits for what both wait for.
    pub(super) fn join(&mut self, other: Self) {
        self.log_end = self.log_end.max(other.log_end);
        self.gates.extend(other.gates);
    }
}

/// A reply that waits.
#[derive(Debug)]
pub(super) struct Held {
    needs: Needs,
    reply_to: ReplyTo,
    reply: Reply<'static>,
}

impl Engine {
    /// Seals the records of the command that just ran into a batch, applies it, and says what a
    /// reply to it waits for. `unstable` are shards in which the command saw something unstable.
    pub(super) fn commit(&mut self, now: Now, touched: u64, unstable: u64) -> Needs {
        self.seal_and_apply(now, touched);
        self.committed(touched, unstable)
    }

    /// What a reply waits for after a batch over `touched` was sealed and applied.
    #[inline]
    pub(super) fn committed(&mut self, touched: u64, unstable: u64) -> Needs {
        if self.settings.acknowledge != Acknowledge::OnDisk {
            return Needs::default();
        }
        if touched & self.gates.mask() != 0 && touched.count_ones() > 1 {
            self.gate_together(touched);
        } else {
            for shard in shards_in(touched) {
                let seq = self.seq_of(shard);
                self.appended.push_back(Appended { log_end: self.log_end, shard, seq });
            }
        }
        self.needs_of(touched | unstable)
    }

    /// The same for a command about one key that has written its records to the end of the log
    /// itself, behind the room that [`open_single`] left at `start`.
    #[inline]
    pub(super) fn commit_single(
        &mut self,
        now: Now,
        start: usize,
        focus: &Focus<'_>,
        unstable: u64,
    ) -> Needs {
        let shard = focus.spot.shard;
        if self.shards[shard.index()].as_deref().is_some_and(Shard::is_captured) {
            self.capture_single(now, start, shard);
        }
        let part = PartSpec { shard, seq: self.seq_of(shard).next() };
        assemble_single(&mut self.log, start, part, self.settings.epoch, now.unix_ms);
        let at_home = self.shards[shard.index()].as_deref_mut();
        let at_home = at_home.expect("a command writes to shards that are here");
        self.used_bytes -= at_home.live_bytes();
        at_home.tracking.writer = self.trackers.writer;
        let batch = Batch::assembled(&self.log[start..]);
        at_home.apply_focused(&batch, (part.seq, now.unix_ms), focus);
        self.used_bytes += at_home.live_bytes();
        self.fired |= u64::from(at_home.has_news()) << shard.index();
        let has_topic_news = at_home.has_topic_news();
        if self.settings.acknowledge != Acknowledge::OnDisk {
            at_home.set_stable(part.seq);
        }
        self.applied(start);
        if has_topic_news {
            self.tell_topics(1 << shard.index());
        }
        self.committed(1 << shard.index(), unstable)
    }

    /// Seals and applies without taking note of what has to become durable.
    pub(super) fn seal_and_apply(&mut self, now: Now, touched: u64) {
        if self.captures(touched) {
            self.capture(now, touched);
        }
        let parts: SmallVec<[PartSpec; 2]> = shards_in(touched)
            .map(|shard| PartSpec { shard, seq: self.seq_of(shard).next() })
            .collect();
        let start = self.log.len();
        assemble(&mut self.log, &parts, &self.records, self.settings.epoch, now.unix_ms);
        let batch = Batch::assembled(&self.log[start..]);
        let records: SmallVec<[_; 8]> = batch.records().collect();
        let mut topic_news = 0;
        for part in &parts {
            let shard = self.shards[part.shard.index()].as_deref_mut();
            let shard = shard.expect("a command writes to shards that are here");
            self.used_bytes -= shard.live_bytes();
            shard.tracking.writer = self.trackers.writer;
            shard.apply_decoded((part.seq, now.unix_ms), &records);
            self.used_bytes += shard.live_bytes();
            self.fired |= u64::from(shard.has_news()) << part.shard.index();
            topic_news |= u64::from(shard.has_topic_news()) << part.shard.index();
            if self.settings.acknowledge != Acknowledge::OnDisk {
                shard.set_stable(part.seq);
            }
        }
        drop(records);
        self.applied(start);
        self.tell_topics(topic_news);
    }

    /// Counts the batch that begins at `start` of the log and seals it with its checksum, for
    /// whoever keeps one; else it is gone.
    #[inline]
    pub(super) fn applied(&mut self, start: usize) {
        self.stats.batches += 1;
        if self.settings.acknowledge == Acknowledge::Unlogged {
            self.log.truncate(start);
        } else {
            set_checksum(&mut self.log[start..]);
            self.log_end += (self.log.len() - start) as u64;
        }
    }

    pub(super) fn seq_of(&self, shard: ShardId) -> Seq {
        self.shards[shard.index()].as_deref().expect("the shard is here").seq()
    }

    /// What a reply waits for that depends on the present content of these shards.
    pub(super) fn needs_of(&self, shards: u64) -> Needs {
        if shards == 0 {
            return Needs::default();
        }
        let gates = shards_in(shards & self.gates.mask()).map(|shard| (shard, self.seq_of(shard)));
        Needs { log_end: self.log_end, gates: gates.collect() }
    }

    fn is_met(&self, needs: &Needs) -> bool {
        needs.log_end <= self.durable
            && needs.gates.iter().all(|(shard, seq)| self.gates.stable(*shard) >= *seq)
    }

    /// Lets a reply out when what it waits for has happened, or keeps it until then.
    #[inline]
    pub(super) fn answer_when(
        &mut self,
        needs: Needs,
        reply_to: ReplyTo,
        reply: Reply<'static>,
        out: &mut dyn Outbound,
    ) {
        if needs.log_end == 0 && needs.gates.is_empty() || self.is_met(&needs) {
            self.answer(reply_to, reply, out);
        } else if needs.log_end <= self.durable {
            // Only gates keep it, and nothing says that this log will ever become durable again.
            self.gated.push(Held { needs, reply_to, reply });
        } else {
            let held = Held { needs, reply_to, reply };
            let queue_ends = self.held.back().map_or(0, |last| last.needs.log_end);
            assert!(held.needs.log_end >= queue_ends, "what replies wait for only grows");
            self.held.push_back(held);
        }
    }

    /// Lets a reply out.
    #[inline]
    pub(super) fn answer(&mut self, reply_to: ReplyTo, reply: Reply<'_>, out: &mut dyn Outbound) {
        match reply_to {
            ReplyTo::Client { conn, ticket } => out.reply(conn, ticket, reply),
            ReplyTo::Nobody => {}
            ReplyTo::Core { core, gather } if core == self.core => {
                if let Some(number) = self.gathers.fill(gather, core, reply, &mut self.rng, out) {
                    self.all_on_disk(number, out);
                }
            }
            ReplyTo::Core { core, gather } => {
                let parcel = &mut self.peers[core.index()].completions;
                let reply = parcel.pack_reply(reply);
                parcel.envelopes.push(Envelope::Done { gather, reply });
            }
        }
    }

    /// Lets a reply out when the log is on disk as far as it has come.
    pub(super) fn answer_on_disk(&mut self, reply_to: ReplyTo, out: &mut dyn Outbound) {
        let needs = Needs { log_end: self.log_end, ..Needs::default() };
        self.answer_when(needs, reply_to, Reply::Ok, out);
    }

    /// The log has everything up to `offset` on disk.
    pub(super) fn became_durable(&mut self, offset: u64, out: &mut dyn Outbound) {
        assert!(offset <= self.log_end, "no more is durable than was appended");
        self.durable = self.durable.max(offset);
        while let Some(appended) = self.appended.front().copied() {
            if appended.log_end > self.durable {
                break;
            }
            self.appended.pop_front();
            self.part_is_durable(appended.shard, appended.seq, out);
        }
        while let Some(held) = self.held.front() {
            if held.needs.log_end > self.durable {
                break;
            }
            let held = self.held.pop_front().expect("it was just looked at");
            if self.is_met(&held.needs) {
                self.answer(held.reply_to, held.reply, out);
            } else {
                self.gated.push(held);
            }
        }
        self.settle_transactions(out);
    }

    /// Lets replies out whose gates have opened.
    pub(super) fn release_gated(&mut self, out: &mut dyn Outbound) {
        let (open, shut): (Vec<Held>, Vec<Held>) =
            std::mem::take(&mut self.gated).into_iter().partition(|held| self.is_met(&held.needs));
        self.gated = shut;
        for held in open {
            self.answer(held.reply_to, held.reply, out);
        }
    }

    /// Records the deletion of `keys`, which stand in `shard`, as one batch.
    /// `class` and `event` tell whoever asked for it why.
    pub(super) fn delete_keys(
        &mut self,
        now: Now,
        shard: ShardId,
        keys: &[Vec<u8>],
        (class, event): (Notice, &'static str),
    ) {
        if self.settings.memory.notices & class.bit() != 0 {
            let told = keys.iter().map(|key| Told { class, event, key: key.as_slice().into() });
            self.told.extend(told);
        }
        self.records.clear();
        for key in keys {
            let record = crate::batch::Record::Delete { key };
            crate::batch::push_record(&mut self.records, shard, &record);
        }
        // Whoever made it necessary is not who did it.
        let writer = std::mem::take(&mut self.trackers.writer);
        let is_eviction = class == Notice::Evicted;
        self.cause = if is_eviction { Cause::Eviction } else { Cause::Usual };
        // Nobody waits for it; what later replies depend on is noted by the commit.
        let _needs = self.commit(now, 1 << shard.index(), 0);
        self.cause = Cause::Usual;
        self.trackers.writer = writer;
    }
}

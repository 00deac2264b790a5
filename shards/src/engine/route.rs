//! Where a request runs: here, on the core that owns its key, on several cores key by key, on all
//! of them, or here with shards borrowed from others.

use super::event::{Flow, Outbound, Place, Reads, Spot};
use super::gather::Gather;
use super::parcel::{Envelope, Manner, OwnedWords};
use super::task::{Task, Work};
use super::{Engine, Lane, ReplyTo, shards_in};
use crate::command::args::{Args, Words};
use crate::command::error::CommandError;
use crate::command::key::cursor_shard;
use crate::command::reply::Reply;
use crate::command::spec::{Atomicity, Flags, Fold, Keys, PerKey, Run};
use crate::command::table::CommandId;
use crate::id::{CoreId, ShardId};
use crate::key::shard_of;
use crate::shard::plan::Now;

/// A request on its way through the engine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) reply_to: ReplyTo,
    pub(super) caller: u64,
    /// Whose lookups it makes, and what they leave behind.
    pub(super) reads: Reads,
    pub(super) command: CommandId,
    pub(super) args: &'a Args<'a>,
    /// The one key it is about, where that was worked out already.
    pub(super) target: Option<Target<'a>>,
}

/// The one key of a request, and where it lives. The shard was here at that time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) key: &'a [u8],
    pub(super) spot: Spot,
}

impl Engine {
    pub(super) fn request(
        &mut self,
        now: Now,
        request: Request<'_>,
        place: Option<Place>,
        here: bool,
        out: &mut dyn Outbound,
    ) -> Flow {
        let spec = request.command.spec();
        if let Some(key) = self.partition_for(spec, request.args) {
            let words = spread_words(request.args, &key);
            let args = &Args::parse(spec, &words).expect("another key changes nothing about words");
            return self.request_of_key(now, Request { args, target: None, ..request }, out);
        }
        if let Run::EveryCore(fold) = spec.run {
            return self.scatter(now, request, fold, Manner::OnCore, out);
        }
        match spec.run {
            Run::Block(_) => return self.block(now, request, out),
            Run::Script(verb) => return self.script(now, request, verb, out),
            Run::Unblock => return self.scatter(now, request, Fold::Sum, Manner::OnCore, out),
            Run::Read(_) | Run::Write(_) | Run::Session | Run::Transaction | Run::EveryCore(_) => {}
        }
        match (spec.keys, spec.atomicity) {
            (Keys::None, _) => {
                self.start(now, request, Manner::Single, 0, out);
                Flow::Continue
            }
            (Keys::AllShards(_), _) if here => {
                self.start(now, request, Manner::AllShards, self.owned_mask(), out);
                Flow::Barrier
            }
            (Keys::AllShards(fold), _) => self.scatter(now, request, fold, Manner::AllShards, out),
            (Keys::Cursor, _) => match cursor_shard(request.args.words()[1]) {
                Ok(shard) => self.single(now, request, shard, out),
                Err(error) => self.refuse(request, error, out),
            },
            (Keys::Range { .. }, Atomicity::Single) => {
                let (request, shard) = targeted(request, place);
                self.single(now, request, shard, out)
            }
            (Keys::Range { .. }, Atomicity::PerKey(fold)) => self.per_key(now, request, fold, out),
            (Keys::Range { .. }, Atomicity::Whole)
            | (Keys::Counted { .. } | Keys::Tokened { .. } | Keys::Streams, _) => {
                self.whole(now, request, out)
            }
        }
    }

    /// A request whose key is that of a partition by now.
    fn request_of_key(&mut self, now: Now, request: Request<'_>, out: &mut dyn Outbound) -> Flow {
        let (request, shard) = targeted(request, None);
        self.single(now, request, shard, out)
    }

    fn refuse(
        &mut self,
        request: Request<'_>,
        error: CommandError,
        out: &mut dyn Outbound,
    ) -> Flow {
        self.answer(request.reply_to, Reply::Error(error), out);
        Flow::Continue
    }

    /// A command of one shard: here or, as it is, on the shard's core.
    fn single(
        &mut self,
        now: Now,
        request: Request<'_>,
        shard: ShardId,
        out: &mut dyn Outbound,
    ) -> Flow {
        let owner = self.map.owner(shard);
        if owner == self.core {
            self.start(now, request, Manner::Single, 1 << shard.index(), out);
        } else {
            let gather = self.gathers.open(Gather::Single { reply_to: request.reply_to });
            let words = request.args.words().iter().copied();
            self.execute_on(owner, gather, request, words, (Manner::Single, 1 << shard.index()));
        }
        Flow::Continue
    }

    /// A command that is atomic per key: grouped by core, one envelope per core.
    fn per_key(
        &mut self,
        now: Now,
        request: Request<'_>,
        fold: PerKey,
        out: &mut dyn Outbound,
    ) -> Flow {
        let keys = keys_of(request);
        let mut shards = vec![0u64; self.map.cores()];
        let mut by_core = vec![Vec::new(); self.map.cores()];
        for (position, key) in keys.iter().enumerate() {
            let shard = shard_of(key);
            let owner = self.map.owner(shard).index();
            shards[owner] |= 1 << shard.index();
            by_core[owner].push(position);
        }
        if by_core[self.core.index()].len() == keys.len() {
            self.start(now, request, Manner::PerKey, shards[self.core.index()], out);
            return Flow::Continue;
        }
        let name = request.args.words()[0];
        let gather = Gather::per_key(request.reply_to, fold, keys.len(), by_core.clone());
        let gather = self.gathers.open(gather);
        for (at, (positions, shards)) in by_core.into_iter().zip(shards).enumerate() {
            if positions.is_empty() {
                continue;
            }
            let core = CoreId::new(at);
            let words = std::iter::once(name).chain(positions.iter().map(|at| keys[*at]));
            if core == self.core {
                let words: Words<'_> = words.collect();
                let args = Args::parse(request.command.spec(), &words)
                    .expect("a name and at least one key suit a command that runs per key");
                let reply_to = ReplyTo::Core { core, gather };
                let part = Request { reply_to, args: &args, target: None, ..request };
                self.start(now, part, Manner::PerKey, shards, out);
            } else {
                self.execute_on(core, gather, request, words, (Manner::PerKey, shards));
            }
        }
        Flow::Continue
    }

    /// A command that takes part on every core.
    fn scatter(
        &mut self,
        now: Now,
        request: Request<'_>,
        fold: Fold,
        manner: Manner,
        out: &mut dyn Outbound,
    ) -> Flow {
        let shards = if manner == Manner::AllShards { self.owned_mask() } else { 0 };
        if self.map.cores() == 1 {
            self.start(now, request, manner, shards, out);
            return Flow::Barrier;
        }
        let (me, cores) = (self.core, self.map.cores());
        let gather = self.gathers.open(Gather::all(request.reply_to, fold, cores));
        for core in (0..cores).map(CoreId::new).filter(|core| *core != me) {
            let words = request.args.words().iter().copied();
            self.execute_on(core, gather, request, words, (manner, 0));
        }
        let reply_to = ReplyTo::Core { core: me, gather };
        self.start(now, Request { reply_to, ..request }, manner, shards, out);
        Flow::Barrier
    }

    /// A command over several keys as one: here when all its shards are this core's, on another
    /// when they are all of that, else here with borrowed shards.
    fn whole(&mut self, now: Now, request: Request<'_>, out: &mut dyn Outbound) -> Flow {
        let spec = request.command.spec();
        let shards = spec.shards(request.args.words());
        if shards & !self.owned_mask() == 0 {
            self.start(now, request, Manner::Single, shards, out);
            return Flow::Continue;
        }
        let mut owners = shards_in(shards).map(|shard| self.map.owner(shard));
        let first = owners.next();
        // What waits has to be where its client is.
        if let Some(owner) = first.filter(|first| owners.all(|owner| owner == *first))
            && !spec.flags.has(Flags::BLOCKING)
        {
            let gather = self.gathers.open(Gather::Single { reply_to: request.reply_to });
            let words = request.args.words().iter().copied();
            self.execute_on(owner, gather, request, words, (Manner::Single, shards));
            return Flow::Continue;
        }
        let Request { reply_to, reads, command, args, .. } = request;
        let work = Work::Command { command, words: OwnedWords::new(args.words()) };
        self.begin_loan(now, Task { reply_to, reads, work }, shards, out);
        Flow::Barrier
    }

    pub(super) fn execute_on<'w>(
        &mut self,
        core: CoreId,
        gather: u32,
        request: Request<'_>,
        words: impl Iterator<Item = &'w [u8]>,
        (manner, shards): (Manner, u64),
    ) {
        let peer = &mut self.peers[core.index()];
        self.spare.fit_out(&mut peer.requests, Lane::Requests);
        let words = peer.requests.pack_words(words);
        let Request { caller, reads, command, .. } = request;
        peer.requests.envelopes.push(Envelope::Execute {
            gather,
            command,
            words,
            caller,
            reads,
            manner,
            shards,
        });
        peer.outstanding += 1;
        self.stats.forwarded += 1;
    }
}

/// The words of a command with another key in place of its own.
pub(super) fn spread_words<'w>(args: &Args<'w>, key: &'w [u8]) -> Words<'w> {
    let mut words: Words<'w> = args.words().iter().copied().collect();
    words[1] = key;
    words
}

/// The position of the key of a command that has one.
#[inline]
fn only_position(request: Request<'_>) -> usize {
    let spec = request.command.spec();
    let Keys::Range { first, .. } = spec.keys else {
        unreachable!("{} is routed by its key", spec.resp)
    };
    first + request.args.name_words() - 1
}

/// A request about one key with what is known of it, and its shard. `place` is where the second
/// word lives, if that was worked out.
#[inline]
pub(super) fn targeted<'a>(request: Request<'a>, place: Option<Place>) -> (Request<'a>, ShardId) {
    let position = only_position(request);
    let key = request.args.words()[position];
    match place.filter(|_| position == 1) {
        Some(Place::Here(spot)) => {
            (Request { target: Some(Target { key, spot }), ..request }, spot.shard)
        }
        Some(Place::Elsewhere(shard)) => (request, shard),
        None => (request, shard_of(key)),
    }
}

/// The key of a command that has one.
pub(super) fn only_key<'a>(request: Request<'a>) -> &'a [u8] {
    request.args.words()[only_position(request)]
}

/// The keys of a command.
pub(super) fn keys_of<'a>(request: Request<'a>) -> Vec<&'a [u8]> {
    let spec = request.command.spec();
    let words = request.args.words();
    spec.key_positions(words).into_iter().map(|at| words[at]).collect()
}

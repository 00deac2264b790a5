//! The simulated mesh: one queue per ordered pair of cores and lane, first in first out, each
//! parcel on its way for a random time.

use std::collections::VecDeque;

use synap_shards::engine::Lane;
use synap_shards::engine::parcel::Parcel;
use synap_shards::id::CoreId;

/// Both lanes, the more urgent one first.
pub(crate) const LANES: [Lane; 2] = [Lane::Completions, Lane::Requests];

/// All rings of a run.
#[derive(Debug)]
pub(crate) struct Mesh {
    cores: usize,
    rings: Vec<VecDeque<(u64, Parcel)>>,
}

impl Mesh {
    pub(crate) fn new(cores: usize) -> Self {
        let rings = (0..cores * cores * LANES.len()).map(|_| VecDeque::new()).collect();
        Self { cores, rings }
    }

    fn ring(&mut self, from: CoreId, to: CoreId, lane: Lane) -> &mut VecDeque<(u64, Parcel)> {
        let lane = usize::from(lane == Lane::Requests);
        let pair = from.index() * self.cores + to.index();
        &mut self.rings[pair * LANES.len() + lane]
    }

    /// Sends a parcel that arrives at `due`, or behind the one before it if that is later.
    pub(crate) fn send(&mut self, from: CoreId, to: CoreId, lane: Lane, due: u64, parcel: Parcel) {
        let ring = self.ring(from, to, lane);
        let due = ring.back().map_or(due, |(before, _)| due.max(*before));
        ring.push_back((due, parcel));
    }

    /// The next parcel that has arrived by `beat`.
    pub(crate) fn receive(
        &mut self,
        from: CoreId,
        to: CoreId,
        lane: Lane,
        beat: u64,
    ) -> Option<Parcel> {
        let ring = self.ring(from, to, lane);
        if ring.front().is_none_or(|(due, _)| *due > beat) {
            return None;
        }
        ring.pop_front().map(|(_, parcel)| parcel)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rings.iter().all(VecDeque::is_empty)
    }
}

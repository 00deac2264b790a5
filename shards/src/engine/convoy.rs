//! Convoys: tasks of one core that borrow their shards together. Each task runs whole, in the
//! order in which they came, and has a batch of its own; what they share is the way of the shards,
//! so that a core under load pays for one loan and not for each task.
//!
//! A convoy forms during a turn and departs at its end, or, while an earlier loan of this core
//! gathers some of its shards, when that has run. So a task that is alone does not wait for
//! company, and company comes by itself where there is much to do.
//!
//! Bounds, so that whoever else wants the shards is not kept long: [`TASKS_MAX`], [`BYTES_MAX`],
//! and one task that may take long, which is the last one. Nobody asks more than twice the owners
//! that it would have asked alone.

use std::collections::VecDeque;

use super::event::Outbound;
use super::task::Task;
use super::{Engine, shards_in};
use crate::shard::plan::Now;

/// Tasks that travel together.
const TASKS_MAX: usize = 64;
/// Bytes of their words, together; a task with more travels alone.
const BYTES_MAX: usize = 64 * 1024;

/// Tasks and the shards that they borrow.
#[derive(Debug)]
pub(super) struct Convoy {
    tasks: VecDeque<(Task, u64)>,
    /// Every shard that one of them wants, a bit each.
    wanted: u64,
    /// Cores that own these, a bit each.
    owners: u64,
    /// The fewest owners that one of them has to ask.
    owners_least: u32,
    bytes: usize,
    /// Nobody joins any more.
    is_closed: bool,
}

impl Convoy {
    pub(super) fn new(task: Task, wanted: u64, owners: u64) -> Self {
        let (bytes, is_closed) = (task.held_bytes(), !task.is_light());
        let tasks = VecDeque::from([(task, wanted)]);
        Self { tasks, wanted, owners, owners_least: owners.count_ones(), bytes, is_closed }
    }

    /// Every shard that one of its tasks wants, a bit each.
    pub(super) fn wanted(&self) -> u64 {
        self.wanted
    }

    /// The tasks that have not run yet, in order.
    pub(super) fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter().map(|(task, _)| task)
    }

    fn has_place_for(&self, task: &Task, owners: u64) -> bool {
        let least = self.owners_least.min(owners.count_ones());
        !self.is_closed
            && self.tasks.len() < TASKS_MAX
            && self.bytes + task.held_bytes() <= BYTES_MAX
            && (self.owners | owners).count_ones() <= 2 * least
    }

    fn join(&mut self, task: Task, wanted: u64, owners: u64) {
        self.wanted |= wanted;
        self.owners |= owners;
        self.owners_least = self.owners_least.min(owners.count_ones());
        self.bytes += task.held_bytes();
        self.is_closed = !task.is_light();
        self.tasks.push_back((task, wanted));
    }

    /// The next task to run, and the shards that it wants.
    pub(super) fn next(&mut self) -> Option<(Task, u64)> {
        self.tasks.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The same with no more shards than those who are left want.
    pub(super) fn narrowed(mut self, owners: impl Fn(u64) -> u64) -> Self {
        self.wanted = self.tasks.iter().fold(0, |mask, (_, wanted)| mask | wanted);
        self.owners = owners(self.wanted);
        self
    }
}

impl Engine {
    /// Has a task borrow its shards: with others at the end of the turn, or by itself at once.
    pub(super) fn begin_loan(&mut self, now: Now, task: Task, wanted: u64, out: &mut dyn Outbound) {
        let owners = self.owners_of(wanted);
        if !task.travels() {
            self.depart(now, Convoy::new(task, wanted, owners), out);
            return;
        }
        let forming = &mut self.loans.forming;
        match forming.iter_mut().find(|convoy| convoy.has_place_for(&task, owners)) {
            Some(convoy) => convoy.join(task, wanted, owners),
            None => forming.push_back(Convoy::new(task, wanted, owners)),
        }
    }

    /// Ends a turn: what it gathered for other cores goes on its way. To be called after the last
    /// [`Engine::step`] of a turn, and before [`Engine::take_log`].
    pub fn end_turn(&mut self, now: Now, out: &mut dyn Outbound) {
        if self.loans.forming.is_empty() {
            return;
        }
        let mut taken = self.loans.gathering_now();
        for convoy in std::mem::take(&mut self.loans.forming) {
            let wanted = convoy.wanted();
            if wanted & taken == 0 {
                self.depart(now, convoy, out);
            } else {
                self.loans.forming.push_back(convoy);
            }
            taken |= wanted;
        }
    }

    /// Cores that own these shards, a bit each.
    pub(super) fn owners_of(&self, shards: u64) -> u64 {
        shards_in(shards).fold(0, |mask, shard| mask | 1 << self.map.owner(shard).index())
    }
}

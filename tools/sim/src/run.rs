//! One seed from start to end.

use crate::checkers::{Violation, replay};
use crate::coverage::Coverage;
use crate::plants::Plant;
use crate::swarm::Limits;
use crate::world::World;

/// Of this many seeds, one is run twice to see that both runs are the same.
const TWICE_EVERY: u64 = 50;
/// Beats without a single new request after which a run stops asking.
const PATIENCE: u64 = 20_000;

/// What is run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) plant: Option<Plant>,
    pub(crate) limits: Limits,
}

/// Runs a plan; the hash of its story. What it covered is added to `coverage`.
pub(crate) fn once(plan: &Plan, telling: bool, coverage: &mut Coverage) -> Result<u64, Violation> {
    let mut world = World::new(plan.seed, plan.plant, &plan.limits, telling)?;
    let result = play(&mut world);
    coverage.add(&world.coverage);
    result.map(|()| world.story.hash())
}

fn play(world: &mut World) -> Result<(), Violation> {
    world.deal()?;
    let requests = world.mix.requests;
    let mut crashes: Vec<usize> =
        (0..world.mix.crashes).map(|_| world.dice.below(requests)).collect();
    crashes.sort_unstable();
    crashes.reverse();
    let (mut made, mut last_made) = (0, 0);
    // When clients can no longer ask, something hangs; the rest says what.
    while made < requests && world.beat - last_made < PATIENCE {
        world.pass_time();
        if world.dice.chance(500) && world.ask() {
            made += 1;
            last_made = world.beat;
        }
        let crashes_now = crashes.pop_if(|at| *at < made).is_some();
        let point = crashes_now.then(|| world.draw_crash_point());
        world.random_turn(point)?;
        if point.is_some() || world.has_died() {
            world.crash()?;
        }
    }
    world.rest()?;
    world.finish()
}

/// Runs a plan twice and compares the runs.
pub(crate) fn twice(plan: &Plan, coverage: &mut Coverage) -> Result<u64, Violation> {
    let hash = once(plan, false, coverage)?;
    replay::same_run(hash, once(plan, true, &mut Coverage::default())?)?;
    Ok(hash)
}

/// Runs a plan, some seeds twice.
pub(crate) fn checked(plan: &Plan, coverage: &mut Coverage) -> Result<u64, Violation> {
    if plan.seed.is_multiple_of(TWICE_EVERY) {
        return twice(plan, coverage);
    }
    once(plan, false, coverage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Fault;

    /// Seeds of the ordinary tests; the gate runs more.
    const SEEDS: u64 = 60;

    fn plan(seed: u64) -> Plan {
        Plan { seed, ..Plan::default() }
    }

    #[test]
    fn seeds_hold() {
        let mut coverage = Coverage::default();
        for seed in 0..SEEDS {
            if let Err(violation) = checked(&plan(seed), &mut coverage) {
                panic!("seed {seed}: {}: {}", violation.checker, violation.message);
            }
        }
    }

    #[test]
    fn a_seed_is_one_run() {
        let mut coverage = Coverage::default();
        for seed in [3, 17, 40] {
            let twice = twice(&plan(seed), &mut coverage);
            assert!(twice.is_ok(), "seed {seed}: {twice:?}");
        }
        let other = once(&plan(17), false, &mut coverage).ok();
        assert_ne!(once(&plan(3), false, &mut coverage).ok(), other);
    }

    #[test]
    fn limits_cut_a_run_down() {
        let without = vec![Fault::PowerLoss, Fault::Torn];
        let limits = Limits { requests: Some(5), cores: Some(1), without, ..Limits::default() };
        let mut coverage = Coverage::default();
        let small = Plan { seed: 3, plant: None, limits };
        assert!(once(&small, false, &mut coverage).is_ok());
        assert!(coverage.answered < 60, "{}", coverage.answered);
        assert!(coverage.missing().contains(&"torn"));
    }
}

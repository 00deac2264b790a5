//! Making a failing seed small: fewer requests, crashes, cores, connections and keys, fewer faults
//! and kinds of work, as long as the same checker still objects.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::coverage::Coverage;
use crate::faults::FAULTS;
use crate::run::{self, Plan};
use crate::swarm::{KINDS, Limits, Mix};

/// Runs that are spent on one seed.
const TRIES_MAX: usize = 400;

/// Who objects to a plan; the engines' own assertions count as one checker.
pub(crate) fn objection(plan: &Plan) -> Option<&'static str> {
    let run = AssertUnwindSafe(|| run::once(plan, false, &mut Coverage::default()));
    match catch_unwind(run) {
        Ok(result) => result.err().map(|violation| violation.checker),
        Err(_) => Some("panic"),
    }
}

/// The smallest plan found that fails like this one.
pub(crate) fn shrink(plan: &Plan, fails_as: &str) -> Plan {
    let mut smallest = explicit(plan);
    if objection(&smallest) != Some(fails_as) {
        return plan.clone();
    }
    let mut tries = 0;
    loop {
        let before = smallest.clone();
        for candidate in candidates(&smallest) {
            if tries == TRIES_MAX {
                return smallest;
            }
            tries += 1;
            if objection(&candidate) == Some(fails_as) {
                smallest = candidate;
                break;
            }
        }
        if smallest == before {
            return smallest;
        }
    }
}

/// The plan with every number that can be cut written out.
fn explicit(plan: &Plan) -> Plan {
    let mut dice = crate::dice::Dice::new(plan.seed);
    let mix = Mix::draw(&mut dice, &plan.limits, plan.plant.is_some());
    let limits = Limits {
        requests: Some(mix.requests),
        crashes: Some(mix.crashes),
        cores: Some(mix.cores_max),
        connections: Some(mix.connections),
        pipeline: Some(mix.pipeline),
        keys: Some(mix.keys),
        ..plan.limits.clone()
    };
    Plan { limits, ..plan.clone() }
}

/// Plans that are a little smaller, the boldest first.
fn candidates(plan: &Plan) -> Vec<Plan> {
    let mut all = Vec::new();
    let mut add = |limits: Limits| {
        if limits != plan.limits {
            all.push(Plan { limits, ..plan.clone() });
        }
    };
    let limits = &plan.limits;
    let cuts = |now: Option<usize>, least: usize| {
        let now = now.unwrap_or(least);
        let mut smaller = vec![least, now / 2, now * 3 / 4, now.saturating_sub(1)];
        smaller.retain(|value| *value >= least && *value < now);
        smaller.into_iter().map(Some)
    };
    cuts(limits.requests, 1).for_each(|requests| add(Limits { requests, ..limits.clone() }));
    cuts(limits.cores, 1).for_each(|cores| add(Limits { cores, ..limits.clone() }));
    cuts(limits.crashes, 0).for_each(|crashes| add(Limits { crashes, ..limits.clone() }));
    add(Limits { without_snapshots: true, ..limits.clone() });
    for (_, kind) in KINDS.iter().filter(|(_, kind)| !limits.without_kinds.contains(kind)) {
        let mut fewer = limits.clone();
        fewer.without_kinds.push(*kind);
        add(fewer);
    }
    for (_, fault) in FAULTS.iter().filter(|(_, fault)| !limits.without.contains(fault)) {
        let mut fewer = limits.clone();
        fewer.without.push(*fault);
        add(fewer);
    }
    cuts(limits.connections, 1).for_each(|c| add(Limits { connections: c, ..limits.clone() }));
    cuts(limits.pipeline, 1).for_each(|pipeline| add(Limits { pipeline, ..limits.clone() }));
    cuts(limits.keys, 1).for_each(|keys| add(Limits { keys, ..limits.clone() }));
    all
}

/// The words that run a plan again.
pub(crate) fn words(plan: &Plan) -> String {
    let limits = &plan.limits;
    let mut words = format!("--seed {}", plan.seed);
    let planted = crate::plants::PLANTS.iter().find(|(_, plant)| Some(*plant) == plan.plant);
    if let Some((name, _)) = planted {
        words.push_str(&format!(" --plant {name}"));
    }
    let numbers = [
        ("requests", limits.requests),
        ("crashes", limits.crashes),
        ("cores", limits.cores),
        ("connections", limits.connections),
        ("pipeline", limits.pipeline),
        ("keys", limits.keys),
    ];
    for (name, value) in numbers {
        words.push_str(&value.map_or_else(String::new, |value| format!(" --{name} {value}")));
    }
    let faults = limits.without.iter().map(|fault| fault.name());
    let kinds = KINDS.iter().filter(|(_, kind)| limits.without_kinds.contains(kind));
    let snapshots = limits.without_snapshots.then_some("snapshots");
    let without: Vec<&str> = faults.chain(kinds.map(|(name, _)| *name)).chain(snapshots).collect();
    if !without.is_empty() {
        words.push_str(&format!(" --without {}", without.join(",")));
    }
    words
}

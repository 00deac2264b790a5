//! The command line.

use crate::faults::FAULTS;
use crate::plants::{PLANTS, Plant};
use crate::swarm::{KINDS, Limits};

/// How the program is used.
pub(crate) const USAGE: &str = "\
usage: sim [--seeds N] [--start S]      runs N seeds (1000) from S (0)
       sim --seed S                     runs one seed and tells the end of its story if it fails
       sim --twice true ...             runs every seed twice and compares the runs
       sim --shrink false ...           leaves a failing seed as it is
       cut a run down: --requests N --crashes N --cores N --connections N --pipeline N --keys N
                       --without FAULT,KIND,snapshots
       sim --plant BUG ...              with a planted bug; needs --features planted";

/// What is done with each seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Task {
    /// Run; some twice.
    Check,
    /// Run twice.
    Twice,
    /// Run and keep the story.
    Tell,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) start: u64,
    pub(crate) seeds: u64,
    pub(crate) task: Task,
    pub(crate) shrinks: bool,
    pub(crate) plant: Option<Plant>,
    pub(crate) limits: Limits,
}

impl Options {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            start: 0,
            seeds: 1000,
            task: Task::Check,
            shrinks: true,
            plant: None,
            limits: Limits::default(),
        };
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            options.take(&word, &value)?;
        }
        Ok(options)
    }

    fn take(&mut self, word: &str, value: &str) -> Result<(), String> {
        let number = || value.parse::<u64>().map_err(|_| format!("{value} is not a number"));
        let limit = || number().map(|number| Some(number as usize));
        let truth = || value.parse::<bool>().map_err(|_| format!("{value} is not true or false"));
        match word {
            "--seeds" => self.seeds = number()?,
            "--start" => self.start = number()?,
            "--seed" => (self.start, self.seeds, self.task) = (number()?, 1, Task::Tell),
            "--twice" => self.task = if truth()? { Task::Twice } else { Task::Check },
            "--shrink" => self.shrinks = truth()?,
            "--requests" => self.limits.requests = limit()?,
            "--crashes" => self.limits.crashes = limit()?,
            "--cores" => self.limits.cores = limit()?,
            "--connections" => self.limits.connections = limit()?,
            "--pipeline" => self.limits.pipeline = limit()?,
            "--keys" => self.limits.keys = limit()?,
            "--without" => value.split(',').try_for_each(|name| self.leave_out(name))?,
            "--plant" => self.plant = Some(plant(value)?),
            _ => return Err(format!("{word} is unknown")),
        }
        let least = [self.limits.requests, self.limits.cores, self.limits.connections];
        if least.contains(&Some(0)) || [self.limits.pipeline, self.limits.keys].contains(&Some(0)) {
            return Err(format!("{word} is at least 1"));
        }
        Ok(())
    }

    fn leave_out(&mut self, name: &str) -> Result<(), String> {
        let fault = FAULTS.iter().find(|(known, _)| *known == name);
        let kind = KINDS.iter().find(|(known, _)| *known == name);
        match (fault, kind) {
            (Some((_, fault)), _) => self.limits.without.push(*fault),
            (None, Some((_, kind))) => self.limits.without_kinds.push(*kind),
            (None, None) if name == "snapshots" => self.limits.without_snapshots = true,
            (None, None) => return Err(format!("there is no fault or kind of work {name}")),
        }
        Ok(())
    }
}

fn plant(name: &str) -> Result<Plant, String> {
    if !cfg!(feature = "planted") {
        return Err("planted bugs need a build with --features planted".to_owned());
    }
    let found = PLANTS.iter().find(|(known, _)| *known == name);
    found.map(|(_, plant)| *plant).ok_or_else(|| {
        let names: Vec<&str> = PLANTS.iter().map(|(name, _)| *name).collect();
        format!("there is no plant {name}; there are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Plan;
    use crate::shrink;

    #[test]
    fn the_words_of_a_plan_make_the_plan() {
        let line = "--seed 7 --requests 12 --cores 2 --without torn,bit-flip,token,snapshots";
        let parse = |line: &str| {
            Options::parse(line.split(' ').map(str::to_owned)).expect("the words are known")
        };
        let options = parse(line);
        let plan = Plan { seed: 7, plant: None, limits: options.limits };
        assert_eq!(shrink::words(&plan), line);
        assert_eq!(parse(&shrink::words(&plan)).limits, plan.limits);
        for wrong in ["--cores 0", "--seeds", "--without nothing", "--what 3"] {
            assert!(Options::parse(wrong.split(' ').map(str::to_owned)).is_err(), "{wrong}");
        }
    }
}

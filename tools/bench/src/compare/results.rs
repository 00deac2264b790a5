//! Medians over the rounds, the table of ratios, and the goals.
//!
//! Guarantees: a ratio is always Synap over Redis of the same run; a figure that was not measured
//! is shown as `-`, never as zero. Must not measure.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::scenario::{self, Kind, Scenario};
use super::server::Who;
use crate::load::Outcome;

/// The figures of one round of one scenario on one server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// Requests per second, loads only.
    pub(crate) ops: Option<f64>,
    /// Server CPU microseconds per request, loads only.
    pub(crate) cpu: Option<f64>,
    /// Latency quantiles 0.5, 0.99 and 0.999 in microseconds, loads only.
    pub(crate) latency: Option<[f64; 3]>,
    /// Bytes per key or seconds, the other scenarios.
    pub(crate) value: Option<f64>,
    /// Requests that failed, by kind.
    pub(crate) errors: BTreeMap<String, u64>,
}

impl Sample {
    /// The figures of a load.
    pub(crate) fn of_load(outcome: &Outcome) -> Self {
        let mut errors = outcome.tally.errors.clone();
        for (kind, count) in
            [("missing key", outcome.tally.misses), ("unsent", outcome.tally.unsent)]
        {
            if count > 0 {
                errors.insert(kind.to_owned(), count);
            }
        }
        Self {
            ops: Some(outcome.throughput()),
            cpu: outcome.cpu_us_per_op(),
            latency: Some([0.5, 0.99, 0.999].map(|quantile| outcome.latency_us(quantile))),
            value: None,
            errors,
        }
    }

    /// One number.
    pub(crate) fn of_value(value: f64) -> Self {
        Self { value: Some(value), ..Self::default() }
    }
}

/// All samples of a comparison.
#[derive(Debug, Default)]
pub(crate) struct Results {
    samples: BTreeMap<(&'static str, &'static str), Vec<Sample>>,
    notes: Vec<String>,
}

impl Results {
    /// Keeps a sample.
    pub(crate) fn add(&mut self, scenario: &'static str, who: Who, sample: Sample) {
        for (kind, count) in &sample.errors {
            self.note(format!("{scenario} on {}: {count} times {kind}", who.name()));
        }
        self.samples.entry((scenario, who.name())).or_default().push(sample);
    }

    /// Keeps a remark for the end of the report.
    pub(crate) fn note(&mut self, text: String) {
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// True when every request of every run was answered.
    pub(crate) fn clean(&self) -> bool {
        self.samples.values().flatten().all(|sample| sample.errors.is_empty())
    }

    fn median(
        &self,
        name: &'static str,
        who: Who,
        figure: impl Fn(&Sample) -> Option<f64>,
    ) -> Option<f64> {
        let samples = self.samples.get(&(name, who.name()))?;
        median(samples.iter().filter_map(figure).collect())
    }

    /// Both medians and their ratio.
    fn pair(
        &self,
        name: &'static str,
        figure: impl Fn(&Sample) -> Option<f64> + Copy,
    ) -> [Option<f64>; 3] {
        let redis = self.median(name, Who::Redis, figure);
        let synap = self.median(name, Who::Synap, figure);
        [redis, synap, ratio(synap, redis)]
    }

    /// The table of loads, the table of single numbers, the goals and the remarks.
    pub(crate) fn text(&self) -> String {
        let mut out = String::from(
            "R = Redis, S = Synap, ratio = S / R; CPU and latency in µs; medians of the rounds\n\n",
        );
        let _ = writeln!(
            out,
            "{:<17}|{:>9}{:>9}{:>6} |{:>7}{:>7}{:>6} |{:>13}{:>6} |{:>13}{:>6} |{:>13}{:>6}",
            "load",
            "R ops/s",
            "S ops/s",
            "ratio",
            "R CPU",
            "S CPU",
            "ratio",
            "p50 R/S",
            "ratio",
            "p99 R/S",
            "ratio",
            "p99.9 R/S",
            "ratio"
        );
        for scenario in self.measured(|kind| kind.is_load()) {
            let name = scenario.name;
            let [redis, synap, ops] = self.pair(name, |sample| sample.ops);
            let _ = write!(
                out,
                "{name:<17}|{}{}{} |",
                cell(redis, 9, 0),
                cell(synap, 9, 0),
                cell(ops, 6, 2)
            );
            let [redis, synap, cpu] = self.pair(name, |sample| sample.cpu);
            let _ = write!(out, "{}{}{}", cell(redis, 7, 2), cell(synap, 7, 2), cell(cpu, 6, 2));
            for quantile in 0..3 {
                let [redis, synap, ratio] =
                    self.pair(name, |sample| sample.latency.map(|latency| latency[quantile]));
                let both = format!("{}/{}", cell(redis, 0, 0), cell(synap, 0, 0));
                let _ = write!(out, " |{both:>13}{}", cell(ratio, 6, 2));
            }
            out.push('\n');
        }
        let _ = writeln!(out, "\n{:<17}|{:>10}{:>10}{:>7}", "figure", "R", "S", "ratio");
        for scenario in self.measured(|kind| !kind.is_load()) {
            let [redis, synap, ratio] = self.pair(scenario.name, |sample| sample.value);
            let (redis, synap, ratio) = (cell(redis, 10, 3), cell(synap, 10, 3), cell(ratio, 7, 2));
            let unit = if scenario.kind == Kind::Restart { "s to first GET" } else { "bytes/key" };
            let _ = writeln!(out, "{:<17}|{redis}{synap}{ratio}  {unit}", scenario.name);
        }
        self.goals_text(&mut out);
        for note in &self.notes {
            let _ = writeln!(out, "note: {note}");
        }
        out
    }

    fn goals_text(&self, out: &mut String) {
        let goals = self.goals();
        if goals.is_empty() {
            return;
        }
        out.push_str("\ngoals\n");
        for goal in goals {
            let sign = if goal.at_most { "<=" } else { ">=" };
            let verdict = if goal.met() { "met" } else { "MISSED" };
            let (measured, bound) = (goal.measured, goal.bound);
            let _ = writeln!(out, "  {:<52}{measured:>8.2} {sign} {bound:<6} {verdict}", goal.what);
        }
    }

    /// One object with every median.
    pub(crate) fn json(&self) -> Value {
        let mut rows = serde_json::Map::new();
        for scenario in self.measured(|_| true) {
            let name = scenario.name;
            let figure = |pair: [Option<f64>; 3]| {
                let [redis, synap, ratio] = pair;
                json!({ "redis": redis, "synap": synap, "ratio": ratio })
            };
            let row = if scenario.kind.is_load() {
                let quantile = |at: usize| {
                    figure(self.pair(name, move |sample| sample.latency.map(|latency| latency[at])))
                };
                json!({
                    "ops_per_s": figure(self.pair(name, |sample| sample.ops)),
                    "cpu_us_per_op": figure(self.pair(name, |sample| sample.cpu)),
                    "p50_us": quantile(0),
                    "p99_us": quantile(1),
                    "p999_us": quantile(2),
                })
            } else {
                json!({ "value": figure(self.pair(name, |sample| sample.value)) })
            };
            rows.insert(name.to_owned(), row);
        }
        let goal = |goal: Goal| {
            let (measured, bound, met) = (goal.measured, goal.bound, goal.met());
            json!({ "goal": goal.what, "measured": measured, "bound": bound, "met": met })
        };
        let goals: Vec<_> = self.goals().into_iter().map(goal).collect();
        json!({ "scenarios": rows, "goals": goals, "notes": self.notes })
    }

    fn measured(&self, wanted: impl Fn(Kind) -> bool) -> Vec<Scenario> {
        let known = |scenario: &Scenario| {
            let key = |who: Who| (scenario.name, who.name());
            self.samples.contains_key(&key(Who::Redis))
                || self.samples.contains_key(&key(Who::Synap))
        };
        let wanted = |scenario: &Scenario| known(scenario) && wanted(scenario.kind);
        scenario::ALL.into_iter().filter(wanted).collect()
    }

    /// The goals whose figures were measured.
    fn goals(&self) -> Vec<Goal> {
        let cpu = |name| self.pair(name, |sample: &Sample| sample.cpu)[2];
        let ops = |name| self.pair(name, |sample: &Sample| sample.ops)[2];
        let own_cpu = |name| self.median(name, Who::Synap, |sample| sample.cpu);
        let own = |over, under| ratio(own_cpu(over), own_cpu(under));
        let value = |name| self.median(name, Who::Synap, |sample| sample.value);
        let http =
            ratio(own_cpu("http-get-p1"), self.median("get-p1", Who::Redis, |sample| sample.cpu));
        let restart = self.pair("restart", |sample| sample.value)[2];
        let list = [
            ("get-p1: CPU over Redis", cpu("get-p1"), 0.80, true),
            ("set-p1: CPU over Redis", cpu("set-p1"), 0.80, true),
            ("get-p16: CPU over Redis", cpu("get-p16"), 0.60, true),
            ("set-p16: CPU over Redis", cpu("set-p16"), 0.50, true),
            ("http-get-p1: CPU over Redis get-p1", http, 1.0, true),
            (
                "GET on the other core: CPU over local",
                own("2core-get-remote", "2core-get-local"),
                1.5,
                true,
            ),
            ("always-set-p1: ops/s over Redis", ops("always-set-p1"), 1.1, false),
            ("always-set-p16: ops/s over Redis", ops("always-set-p16"), 1.5, false),
            ("periodic-set-p1: CPU over set-p1", own("periodic-set-p1", "set-p1"), 1.15, true),
            ("periodic-set-p16: CPU over set-p16", own("periodic-set-p16", "set-p16"), 1.40, true),
            ("memory-added: bytes per key", value("memory-added"), 155.0, true),
            ("restart: time over Redis", restart, 0.5, true),
        ];
        let goal = |(what, measured, bound, at_most): (_, Option<f64>, _, _)| {
            measured.map(|measured| Goal { what, measured, bound, at_most })
        };
        list.into_iter().filter_map(goal).collect()
    }
}

impl Kind {
    fn is_load(self) -> bool {
        matches!(self, Self::Load { .. } | Self::OneCore { .. })
    }
}

/// A bound on one figure.
struct Goal {
    what: &'static str,
    measured: f64,
    bound: f64,
    at_most: bool,
}

impl Goal {
    fn met(&self) -> bool {
        if self.at_most { self.measured <= self.bound } else { self.measured >= self.bound }
    }
}

fn ratio(over: Option<f64>, under: Option<f64>) -> Option<f64> {
    let (over, under) = (over?, under?);
    (under > 0.0).then(|| over / under)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 { Some(upper) } else { Some((values[middle - 1] + upper) / 2.0) }
}

fn cell(value: Option<f64>, width: usize, digits: usize) -> String {
    match value {
        Some(value) => format!("{value:>width$.digits$}"),
        None => format!("{:>width$}", "-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(ops: f64, cpu: f64) -> Sample {
        let (ops, cpu, latency) = (Some(ops), Some(cpu), Some([1.0, 2.0, 3.0]));
        Sample { ops, cpu, latency, ..Sample::default() }
    }

    #[test]
    fn median_of_odd_even_and_none() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(vec![]), None);
    }

    #[test]
    fn ratios_and_goals_come_from_medians() {
        let mut results = Results::default();
        for (redis, synap) in [(2.0, 1.0), (20.0, 10.0), (3.0, 1.5)] {
            results.add("get-p16", Who::Redis, load(100.0, redis));
            results.add("get-p16", Who::Synap, load(200.0, synap));
        }
        let json = results.json();
        assert_eq!(json["scenarios"]["get-p16"]["cpu_us_per_op"]["ratio"], 0.5);
        assert_eq!(json["goals"][0]["met"], true);
        assert!(results.text().contains("met"));
        assert!(results.clean());
    }

    #[test]
    fn one_server_alone_has_no_ratio() {
        let mut results = Results::default();
        results.add("restart", Who::Redis, Sample::of_value(1.5));
        assert!(results.json()["scenarios"]["restart"]["value"]["ratio"].is_null());
        assert!(results.text().contains('-'));
    }
}

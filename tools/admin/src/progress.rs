//! A line of progress on a terminal; nothing anywhere else.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line is renewed.
const INTERVAL: Duration = Duration::from_millis(200);
const BAR_CELLS: u64 = 24;

/// Shows how far a long job is.
pub(crate) struct Progress {
    shown: bool,
    what: &'static str,
    total: u64,
    started: Instant,
    told: Instant,
}

impl Progress {
    /// For a job of `total` steps; silent when `quiet` or when nobody watches.
    pub(crate) fn new(what: &'static str, total: u64, quiet: bool) -> Self {
        let shown = !quiet && std::io::stderr().is_terminal();
        let now = Instant::now();
        Self { shown, what, total, started: now, told: now }
    }

    /// `done` of the steps are done, and `keys` keys.
    pub(crate) fn tell(&mut self, done: u64, keys: u64) {
        if !self.shown || self.told.elapsed() < INTERVAL {
            return;
        }
        self.told = Instant::now();
        let line = line(self.what, done, self.total, keys, self.started.elapsed());
        // A terminal that takes no more text takes nothing from the job.
        let _ = write!(std::io::stderr(), "\r{line}\x1b[K");
    }

    /// Clears the line.
    pub(crate) fn end(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(what: &str, done: u64, total: u64, keys: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let rate = keys as f64 / seconds;
    let share = if total == 0 { 0.0 } else { (done as f64 / total as f64).min(1.0) };
    let cells = (share * BAR_CELLS as f64) as usize;
    let bar = format!("{}{}", "#".repeat(cells), "-".repeat(BAR_CELLS as usize - cells));
    let percent = share * 100.0;
    let left = if share > 0.0 { seconds / share - seconds } else { 0.0 };
    format!("{what} [{bar}] {percent:3.0} %  {keys} keys, {rate:.0}/s, {left:.0} s left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_share_rate_and_time_left() {
        let text = line("import", 25, 100, 5000, Duration::from_secs(10));
        assert_eq!(text, "import [######------------------]  25 %  5000 keys, 500/s, 30 s left");
        assert!(line("export", 5, 0, 5, Duration::ZERO).contains("  0 %"));
        assert!(line("export", 9, 5, 9, Duration::from_secs(1)).contains("100 %"));
    }
}

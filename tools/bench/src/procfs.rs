//! What the kernel says about a server process: CPU time and resident memory.
//!
//! Source: proc_pid_stat(5) and proc_pid_status(5). CPU time counts all threads of the process,
//! those that have ended too, io_uring workers included; its grain is one clock tick.

use std::time::Duration;
use std::{fs, io};

/// Ticks per second of the times in `/proc/PID/stat`: USER_HZ, 100 on every Linux port we run on.
const TICKS_PER_SECOND: u64 = 100;

/// CPU time of a process, user and system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuTime {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl CpuTime {
    /// User and system time together.
    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }

    /// The time spent since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

/// Reads the CPU time of all threads of `pid`.
///
/// # Errors
/// When the process does not exist or the file has an unknown form.
pub(crate) fn cpu_time(pid: u32) -> io::Result<CpuTime> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/PID/stat"))
}

/// Reads the resident set size of `pid` in bytes.
///
/// # Errors
/// When the process does not exist or the file has an unknown form.
pub(crate) fn rss_bytes(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    parse_rss(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/PID/status"))
}

fn parse_stat(text: &str) -> Option<CpuTime> {
    // The command name is in parentheses and may itself hold blanks and parentheses.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = |ticks: u64| Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND);
    let user = ticks(fields.next()?.ok()?);
    Some(CpuTime { user, system: ticks(fields.next()?.ok()?) })
}

fn parse_rss(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_survives_a_name_with_parentheses() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 250 125 0 0 20 0 3 0 9 1 1";
        let time = parse_stat(text).unwrap();
        assert_eq!(time.user, Duration::from_millis(2_500));
        assert_eq!(time.total(), Duration::from_millis(3_750));
    }

    #[test]
    fn own_process_can_be_read() {
        assert!(rss_bytes(std::process::id()).unwrap() > 100_000);
        cpu_time(std::process::id()).unwrap();
        assert_eq!(parse_rss("VmRSS:\t  12 kB\n"), Some(12_288));
    }
}

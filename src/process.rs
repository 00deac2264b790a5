//! What the kernel says about this process and its machine, read from procfs. A value that cannot
//! be read is zero: these are gauges, nothing depends on them.

use std::fs;

/// Clock ticks of `/proc/self/stat` per second: `USER_HZ`, 100 on every Linux architecture.
const TICKS_PER_SECOND: f64 = 100.0;
/// Bytes of a kibibyte, the unit of `/proc/self/status`.
const KIB: u64 = 1024;

/// Use of resources at one moment.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Usage {
    /// Resident bytes.
    pub rss_bytes: u64,
    /// Greatest number of resident bytes so far.
    pub rss_peak_bytes: u64,
    /// Bytes of address space.
    pub virtual_bytes: u64,
    /// Seconds of processor time, user and system, of all threads.
    pub cpu_seconds: f64,
    /// The part of them that was spent in the kernel.
    pub cpu_system_seconds: f64,
}

/// Reads the use of resources. A few system calls; for scrapes, not for requests on the hot path.
pub fn usage() -> Usage {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let [user, system] = cpu_seconds(&stat);
    Usage {
        rss_bytes: kibibytes(&status, "VmRSS:"),
        rss_peak_bytes: kibibytes(&status, "VmHWM:"),
        virtual_bytes: kibibytes(&status, "VmSize:"),
        cpu_seconds: user + system,
        cpu_system_seconds: system,
    }
}

/// Bytes of memory of the machine.
pub fn machine_bytes() -> u64 {
    kibibytes(&fs::read_to_string("/proc/meminfo").unwrap_or_default(), "MemTotal:")
}

/// Name and release of the operating system, and the kind of machine.
pub fn system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {} {}", release.trim(), std::env::consts::ARCH)
}

fn kibibytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) * KIB
}

/// Seconds in user and in system mode: fields 14 and 15 of `proc_pid_stat(5)`; the second field, in
/// parentheses, may hold anything.
fn cpu_seconds(stat: &str) -> [f64; 2] {
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    [11, 12].map(|index| {
        let ticks = fields.split_whitespace().nth(index).and_then(|word| word.parse::<f64>().ok());
        ticks.unwrap_or(0.0) / TICKS_PER_SECOND
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let usage = usage();
        assert!(usage.rss_bytes > 0 && usage.rss_bytes <= usage.rss_peak_bytes);
        assert!(usage.virtual_bytes >= usage.rss_bytes);
        assert!(machine_bytes() > usage.rss_bytes && system().starts_with("Linux "));
    }

    #[test]
    fn fields_are_found_behind_a_name_with_blanks() {
        let stat = "7 (a ) b) S 1 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 0";
        assert_eq!(cpu_seconds(stat), [1.5, 0.5]);
        assert_eq!(cpu_seconds(""), [0.0, 0.0]);
        assert_eq!(kibibytes("VmRSS:\t  12 kB\n", "VmRSS:"), 12 * 1024);
    }
}

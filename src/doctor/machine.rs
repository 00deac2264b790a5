//! Whether this machine lets the server run, and run well: one check per condition, each with what
//! was found, what to change and the section of `kernel-tuning.md` that explains it.
//!
//! `synap-server doctor` without a data directory prints all of them; a start that fails one prints
//! that one in the same words. Nothing here changes anything.

use crate::config::Config;
use std::fmt::Write as _;
use std::path::Path;
use synap_io::cpus::Allowed;
use synap_io::probe::{self, Disk, Kernel, Limit, Uring};

/// Locked memory without which no ring can be made.
const MEMLOCK_BYTES_MIN: u64 = 512 << 10;
/// Locked memory with which a core can register all its buffers.
const MEMLOCK_BYTES_PER_CORE: u64 = 16 << 20;
/// Files a core holds open besides its connections: rings, log segments, pipes.
const FILES_PER_CORE: u64 = 32;
/// Oldest kernel the server is made for.
const KERNEL_MIN: (u32, u32) = (6, 1);
/// Log segments a core needs room for: one written, one spare, one not yet given back.
const SEGMENTS_PER_CORE: u64 = 3;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// As it should be.
    Ok,
    /// The server runs, but worse than it could.
    Warn,
    /// The server does not run.
    Fail,
}

/// One condition looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it ended.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to change; empty when nothing is to be changed.
    pub advice: String,
    /// Section of `kernel-tuning.md`.
    pub knob: &'static str,
}

impl Check {
    fn new(name: &'static str, knob: &'static str, found: impl Into<String>) -> Self {
        let (status, advice) = (Status::Ok, String::new());
        Self { name, status, found: found.into(), advice, knob }
    }

    fn warn(mut self, advice: impl Into<String>) -> Self {
        (self.status, self.advice) = (Status::Warn, advice.into());
        self
    }

    fn fail(mut self, advice: impl Into<String>) -> Self {
        (self.status, self.advice) = (Status::Fail, advice.into());
        self
    }
}

/// Every check, for a configuration.
#[must_use]
pub fn examine(config: &Config) -> Vec<Check> {
    let allowed = Allowed::detect();
    let cpus = allowed.as_ref().map_or(&[] as &[usize], |allowed| &allowed.cpus);
    let cores = match (config.server.workers, &allowed) {
        (0, Ok(allowed)) => {
            let list = config.server.cpu_list.as_deref();
            allowed.place(0, list).map_or(1, |placement| placement.cpus.len())
        }
        (0, Err(_)) => 1,
        (workers, _) => workers,
    };
    let mut checks = vec![
        io_uring(probe::io_uring()),
        kernel(probe::kernel().ok().as_ref()),
        memlock(probe::memlock().ok(), cores),
        nofile(probe::nofile().ok(), cores, config.server.max_connections),
        placement(config, allowed.as_ref().ok()),
    ];
    if config.persistence.enabled {
        checks.extend(disk(config, &config.persistence.wal.path, cores));
    }
    checks.extend([
        governor(cpus),
        huge_pages(probe::transparent_huge_pages().as_deref()),
        somaxconn(probe::sysctl_number("net/core/somaxconn")),
        swappiness(probe::sysctl_number("vm/swappiness")),
    ]);
    checks
}

/// The checks without which the server cannot run, in the order to make them; made before
/// anything else at start.
///
/// # Errors
/// The first that failed.
pub fn startup(config: &Config) -> Result<Vec<Check>, Check> {
    let checks = examine(config);
    match checks.iter().find(|check| check.status == Status::Fail) {
        Some(failed) => Err(failed.clone()),
        None => Ok(checks),
    }
}

/// A check in one paragraph, as a failing start prints it.
#[must_use]
pub fn explain(check: &Check) -> String {
    let Check { name, found, advice, knob, .. } = check;
    if advice.is_empty() {
        return format!("{name}: {found}");
    }
    format!("{name}: {found}\n  what to do: {advice}\n  see kernel-tuning.md, section {knob}")
}

/// All checks as a table, and whether the server can run.
#[must_use]
pub fn table(checks: &[Check]) -> (String, bool) {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Check { name, status, found, advice, knob } in checks {
        let mark = match status {
            Status::Ok => "ok  ",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        let _infallible = writeln!(text, "{mark}  {name:width$}  {found}");
        if !advice.is_empty() {
            let _infallible = writeln!(text, "      {:width$}  -> {advice}", "");
            let _infallible =
                writeln!(text, "      {:width$}     kernel-tuning.md, section {knob}", "");
        }
    }
    let count = |wanted| checks.iter().filter(|check| check.status == wanted).count();
    let (failed, warned) = (count(Status::Fail), count(Status::Warn));
    let verdict = if failed > 0 { "the server cannot run here" } else { "the server can run here" };
    let _infallible = writeln!(text, "\n{verdict}: {failed} failed, {warned} warnings");
    (text, failed == 0)
}

fn io_uring(found: Uring) -> Check {
    let check = |found: &str| Check::new("io_uring", "io_uring", found);
    match found {
        Uring::Available => check("available"),
        Uring::Disabled { sysctl } => check(&format!(
            "refused by the sysctl kernel.io_uring_disabled = {sysctl}"
        ))
        .fail(if sysctl == 1 {
            "run the server in the group of kernel.io_uring_group, or set \
                     kernel.io_uring_disabled = 0"
        } else {
            "set kernel.io_uring_disabled = 0 (or 1 with kernel.io_uring_group)"
        }),
        Uring::Filtered => check("refused (EPERM) by a system call filter or security module")
            .fail(
                "run the container with a seccomp profile that allows io_uring_setup, \
             io_uring_enter and io_uring_register (docker: --security-opt seccomp=FILE, \
             Kubernetes: securityContext.seccompProfile, systemd: SystemCallFilter=@aio)",
            ),
        Uring::Missing => check("not in this kernel or sandbox (ENOSYS)")
            .fail("use Linux 6.1 or newer; gVisor and similar sandboxes do not offer it"),
        Uring::NoMemory => check("refused: locked memory is used up (ENOMEM)").fail(MEMLOCK_ADVICE),
        Uring::Failed { errno } => {
            let error = std::io::Error::from_raw_os_error(errno);
            check(&format!("refused: {error}")).fail("use Linux 6.1 or newer")
        }
    }
}

const MEMLOCK_ADVICE: &str = "raise it: systemd LimitMEMLOCK=infinity, docker --ulimit \
     memlock=-1, /etc/security/limits.conf, or ulimit -l unlimited";

fn kernel(found: Option<&Kernel>) -> Check {
    let check = |found: &str| Check::new("kernel", "kernel", found);
    let advice = format!("use Linux {}.{} or newer", KERNEL_MIN.0, KERNEL_MIN.1);
    match found {
        Some(kernel) if kernel.version >= KERNEL_MIN => check(&kernel.release),
        Some(kernel) => check(&kernel.release).fail(advice),
        None => check("unknown").warn(advice),
    }
}

fn amount(bytes: Option<u64>) -> String {
    match bytes {
        None => "unlimited".to_owned(),
        Some(bytes) if bytes >= 1 << 30 => format!("{} GiB", bytes >> 30),
        Some(bytes) if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        Some(bytes) => format!("{} KiB", bytes >> 10),
    }
}

fn memlock(found: Option<Limit>, cores: usize) -> Check {
    let check = |found: String| Check::new("locked memory", "memlock", found);
    let Some(Limit { soft, .. }) = found else {
        return check("unknown".to_owned()).warn(MEMLOCK_ADVICE);
    };
    let wanted = MEMLOCK_BYTES_PER_CORE * cores as u64;
    match soft {
        Some(bytes) if bytes < MEMLOCK_BYTES_MIN => {
            check(format!("{}, {} needed", amount(soft), amount(Some(MEMLOCK_BYTES_MIN))))
                .fail(MEMLOCK_ADVICE)
        }
        Some(bytes) if bytes < wanted => check(format!(
            "{}, enough to run; {} lets {cores} cores register their buffers",
            amount(soft),
            amount(Some(wanted))
        ))
        .warn(MEMLOCK_ADVICE),
        Some(_) | None => check(amount(soft)),
    }
}

fn nofile(found: Option<Limit>, cores: usize, connections: usize) -> Check {
    const ADVICE: &str = "raise it: systemd LimitNOFILE=1048576, docker --ulimit \
         nofile=1048576, or lower server.max_connections";
    let check = |found: String| Check::new("open files", "nofile", found);
    let wanted = connections as u64 + FILES_PER_CORE * cores as u64;
    // The server raises the soft limit to the hard one by itself, so the hard one counts.
    match found {
        None => check("unknown".to_owned()).warn(ADVICE),
        Some(Limit { hard: Some(hard), .. }) if hard < FILES_PER_CORE * (cores as u64 + 1) => {
            check(format!("at most {hard}, too few for {cores} cores")).fail(ADVICE)
        }
        Some(Limit { hard: Some(hard), .. }) if hard < wanted => check(format!(
            "at most {hard}; {connections} connections on {cores} cores need {wanted}"
        ))
        .warn(ADVICE),
        Some(Limit { hard, .. }) => {
            check(hard.map_or_else(|| "unlimited".to_owned(), |hard| format!("at most {hard}")))
        }
    }
}

fn placement(config: &Config, allowed: Option<&Allowed>) -> Check {
    let check = |found: String| Check::new("CPUs", "cpus", found);
    let Some(allowed) = allowed else {
        return check("unknown".to_owned()).warn("set server.cpu_list");
    };
    match allowed.place(config.server.workers, config.server.cpu_list.as_deref()) {
        Err(error) => check(error.to_string()).fail("correct server.cpu_list or server.workers"),
        Ok(placement) => {
            let quota = allowed.quota_milli.map_or(String::new(), |milli| {
                format!(", quota {}.{:03}", milli / 1000, milli % 1000)
            });
            let (cores, cpus) = (placement.cpus.len(), allowed.cpus.len());
            let found = check(format!("{cores} cores on {cpus} allowed CPUs{quota}"));
            match placement.notes.first() {
                Some(note) => found.warn(note.to_string()),
                None => found,
            }
        }
    }
}

fn disk(config: &Config, directory: &Path, cores: usize) -> Vec<Check> {
    let check = |name, found: String| Check::new(name, "file system", found);
    let disk = match probe::disk(directory) {
        Ok(disk) => disk,
        Err(error) => {
            let found = format!("{}: {error}", directory.display());
            return vec![check("data directory", found).fail("set data_dir to a directory")];
        }
    };
    let Disk { path, kind, volatile, free_bytes, unwritable, direct } = &disk;
    let place = format!("{} ({kind})", path.display());
    let owner = if let Some(reason) = unwritable {
        check("data directory", format!("{place}: cannot create files there: {reason}"))
            .fail("let the server's user create files there, or set data_dir elsewhere")
    } else if *volatile {
        check("data directory", format!("{place}: kept in memory, lost at a reboot"))
            .warn("set data_dir to a disk unless the data may be lost")
    } else if ["nfs", "smb", "9p", "fuse"].contains(&kind.as_str()) {
        check("data directory", format!("{place}: a remote or user-space file system"))
            .warn("put the log on a local disk; a sync here can take long or mean little")
    } else {
        check("data directory", place)
    };
    let around = if *direct {
        check("direct I/O", "works".to_owned())
    } else {
        check("direct I/O", format!("{kind} does not offer it; the log goes through the cache"))
            .warn("put the log on ext4 or xfs for shorter commits")
    };
    let wanted = (config.persistence.wal.segment_size_mb << 20) * SEGMENTS_PER_CORE * cores as u64;
    let space = check("free space", amount(Some(*free_bytes)));
    let space = if *free_bytes < wanted {
        let text = format!(
            "{cores} cores preallocate {}; free space or lower persistence.wal.segment_size_mb",
            amount(Some(wanted))
        );
        space.warn(text)
    } else {
        space
    };
    vec![owner, around, space]
}

fn governor(cpus: &[usize]) -> Check {
    let check = |found: String| Check::new("CPU governor", "governor", found);
    let slow = cpus.iter().find_map(|cpu| {
        let governor = probe::governor(*cpu)?;
        (governor != "performance").then_some((*cpu, governor))
    });
    match slow {
        Some((cpu, governor)) => check(format!("`{governor}` on CPU {cpu}"))
            .warn("cpupower frequency-set --governor performance"),
        None if cpus.iter().any(|cpu| probe::governor(*cpu).is_some()) => {
            check("performance".to_owned())
        }
        None => check("not this kernel's business (virtual machine or fixed frequency)".to_owned()),
    }
}

fn huge_pages(found: Option<&str>) -> Check {
    let check = |found: &str| Check::new("huge pages", "transparent huge pages", found);
    match found {
        Some("always") => {
            check("always").warn("echo madvise > /sys/kernel/mm/transparent_hugepage/enabled")
        }
        Some(other) => check(other),
        None => check("not in this kernel"),
    }
}

fn somaxconn(found: Option<u32>) -> Check {
    const WANTED: u32 = 1024;
    let check = |found: String| Check::new("accept backlog", "somaxconn", found);
    match found {
        Some(backlog) if backlog < WANTED => {
            check(backlog.to_string()).warn(format!("sysctl -w net.core.somaxconn={}", 4 * WANTED))
        }
        Some(backlog) => check(backlog.to_string()),
        None => check("unknown".to_owned()),
    }
}

fn swappiness(found: Option<u32>) -> Check {
    const MOST: u32 = 10;
    let check = |found: String| Check::new("swappiness", "swappiness", found);
    match found {
        Some(value) if value > MOST => {
            check(value.to_string()).warn("sysctl -w vm.swappiness=1, or run without swap")
        }
        Some(value) => check(value.to_string()),
        None => check("unknown".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(bytes: u64) -> Option<Limit> {
        Some(Limit { soft: Some(bytes), hard: Some(bytes) })
    }

    #[test]
    fn a_blocked_ring_names_what_blocks_it() {
        assert_eq!(io_uring(Uring::Available).status, Status::Ok);
        let disabled = explain(&io_uring(Uring::Disabled { sysctl: 2 }));
        assert!(disabled.contains("kernel.io_uring_disabled = 2"), "{disabled}");
        let filtered = explain(&io_uring(Uring::Filtered));
        assert!(filtered.contains("seccomp"), "{filtered}");
        assert!(explain(&io_uring(Uring::NoMemory)).contains("LimitMEMLOCK"));
        assert!(explain(&io_uring(Uring::Missing)).contains("ENOSYS"));
    }

    #[test]
    fn limits_fail_below_need_and_warn_below_comfort() {
        assert_eq!(memlock(limit(64 << 10), 2).status, Status::Fail);
        assert_eq!(memlock(limit(8 << 20), 2).status, Status::Warn);
        assert_eq!(memlock(limit(1 << 30), 2).status, Status::Ok);
        assert_eq!(memlock(Some(Limit { soft: None, hard: None }), 64).status, Status::Ok);
        assert_eq!(nofile(limit(16), 1, 10).status, Status::Fail);
        assert_eq!(nofile(limit(1024), 1, 100_000).status, Status::Warn);
        assert_eq!(nofile(limit(1 << 20), 1, 100_000).status, Status::Ok);
    }

    #[test]
    fn kernels_are_compared_by_number() {
        let of = |release: &str, version| {
            kernel(Some(&Kernel { release: release.to_owned(), version })).status
        };
        assert_eq!(of("6.1.0", (6, 1)), Status::Ok);
        assert_eq!(of("6.12.0", (6, 12)), Status::Ok);
        assert_eq!(of("5.15.0", (5, 15)), Status::Fail);
    }

    #[test]
    fn the_table_says_what_to_do_and_the_verdict() {
        let (text, runs) = table(&[io_uring(Uring::Available), memlock(limit(1024), 1)]);
        assert!(!runs && text.contains("FAIL") && text.contains("section memlock"), "{text}");
        assert!(text.ends_with("the server cannot run here: 1 failed, 0 warnings\n"), "{text}");
    }

    #[test]
    fn every_knob_has_its_section() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernel-tuning.md");
        let text = std::fs::read_to_string(path).expect("kernel-tuning.md is there");
        for check in examine(&Config::default()) {
            let heading = format!("\n## {}\n", check.knob);
            assert!(text.contains(&heading), "no section {heading:?}");
        }
    }
}

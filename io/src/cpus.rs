//! Which CPUs this process may use, and which of them its cores get.
//!
//! The affinity mask of the process is the truth (cpusets and `taskset` show there, the list of
//! online CPUs does not know them); a CPU quota of the control group caps how many are worth using,
//! because pinned threads beyond it are stopped for whole scheduling periods.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use synap_shards::limits::CORES_MAX;

/// CPUs the kernel can number at most; the mask grows up to this.
const CPUS_MAX: usize = 1 << 16;

/// What the process may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// CPU numbers, ascending, never empty.
    pub cpus: Vec<usize>,
    /// CPU time per time the control group allows, in thousandths of a CPU; `None` is no quota.
    pub quota_milli: Option<u64>,
}

/// One CPU per core, with what is to be said about the choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The CPU of each core; the same one more than once when there are more cores than CPUs.
    pub cpus: Vec<usize>,
    /// Unwise, but possible.
    pub notes: Vec<PlacementNote>,
}

/// Why a placement will perform worse than it could.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlacementNote {
    /// Cores share CPUs.
    Crowded {
        /// Cores.
        cores: usize,
        /// CPUs they share.
        cpus: usize,
    },
    /// The control group's quota is less than the cores can use.
    OverQuota {
        /// Cores.
        cores: usize,
        /// Thousandths of a CPU.
        quota_milli: u64,
    },
}

impl fmt::Display for PlacementNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crowded { cores, cpus } => {
                write!(f, "{cores} cores share {cpus} CPUs; set server.workers to at most {cpus}")
            }
            Self::OverQuota { cores, quota_milli } => write!(
                f,
                "{cores} cores under a CPU quota of {}.{:03}: the kernel will stop them in turn",
                quota_milli / 1000,
                quota_milli % 1000
            ),
        }
    }
}

/// Why cores cannot be placed as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlacementError {
    /// The list names a CPU the process may not use.
    Forbidden {
        /// The one asked for.
        found: usize,
        /// The ones allowed.
        expected: Vec<usize>,
    },
    /// The list is empty.
    Empty,
    /// More cores than shards.
    TooMany {
        /// Asked for.
        found: usize,
        /// Most that make sense.
        expected_max: usize,
    },
}

impl fmt::Display for PlacementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden { found, expected } => {
                write!(f, "CPU {found} is not among those this process may use: {expected:?}")
            }
            Self::Empty => write!(f, "the list of CPUs is empty"),
            Self::TooMany { found, expected_max } => {
                write!(f, "{found} cores asked for; at most {expected_max} can have work")
            }
        }
    }
}

impl std::error::Error for PlacementError {}

impl Allowed {
    /// What this process may use now.
    ///
    /// # Errors
    /// The system does not say.
    pub fn detect() -> io::Result<Self> {
        let cpus = affinity()?;
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Ok(Self { cpus, quota_milli: quota(&groups, Path::new("/sys/fs/cgroup")) })
    }

    /// Whole CPUs the quota pays for, at least one; `None` is no quota.
    fn quota_cpus(&self) -> Option<usize> {
        self.quota_milli.map(|milli| usize::try_from(milli / 1000).unwrap_or(usize::MAX).max(1))
    }

    /// Places cores: `workers` of them (0: as many as CPUs are worth using), on the listed CPUs or,
    /// without a list, on the allowed ones from the lowest.
    ///
    /// # Errors
    /// A list that is empty or names a CPU that is not allowed; more cores than shards.
    pub fn place(
        &self,
        workers: usize,
        list: Option<&[usize]>,
    ) -> Result<Placement, PlacementError> {
        let cpus = list.unwrap_or(&self.cpus);
        if let Some(&found) = cpus.iter().find(|cpu| !self.cpus.contains(cpu)) {
            return Err(PlacementError::Forbidden { found, expected: self.cpus.clone() });
        }
        if cpus.is_empty() {
            return Err(PlacementError::Empty);
        }
        let cores = match (workers, list) {
            (0, None) => cpus.len().min(self.quota_cpus().unwrap_or(usize::MAX)).min(CORES_MAX),
            (0, Some(list)) => list.len(),
            (workers, _) => workers,
        };
        if cores > CORES_MAX {
            return Err(PlacementError::TooMany { found: cores, expected_max: CORES_MAX });
        }
        let mut notes = Vec::new();
        if cores > cpus.len() {
            notes.push(PlacementNote::Crowded { cores, cpus: cpus.len() });
        }
        if let Some(quota_milli) = self.quota_milli.filter(|milli| (cores as u64) * 1000 > *milli) {
            notes.push(PlacementNote::OverQuota { cores, quota_milli });
        }
        Ok(Placement { cpus: cpus.iter().copied().cycle().take(cores).collect(), notes })
    }
}

/// CPUs in the affinity mask of the process.
#[expect(unsafe_code, reason = "the C library is the way to the affinity mask")]
fn affinity() -> io::Result<Vec<usize>> {
    const BITS: usize = u64::BITS as usize;
    let mut words = 1024 / BITS;
    loop {
        let mut mask = vec![0_u64; words];
        let bytes = words * size_of::<u64>();
        // SAFETY: the kernel writes at most `bytes` bytes behind the pointer, the size of the
        // vector, whose alignment is that of the kernel's words; it outlives the call.
        let done = unsafe { libc::sched_getaffinity(0, bytes, mask.as_mut_ptr().cast()) };
        if done == 0 {
            let is_set = |cpu: &usize| mask[cpu / BITS] >> (cpu % BITS) & 1 == 1;
            return Ok((0..words * BITS).filter(is_set).collect());
        }
        let error = io::Error::last_os_error();
        // EINVAL says the mask is smaller than the kernel's.
        if error.raw_os_error() != Some(libc::EINVAL) || words * BITS >= CPUS_MAX {
            return Err(error);
        }
        words *= 2;
    }
}

/// The tightest CPU quota on the way from this process's control group to the root.
fn quota(groups: &str, mount: &Path) -> Option<u64> {
    let mut tightest: Option<u64> = None;
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let read: fn(&Path) -> Option<u64> = if controllers.is_empty() {
            quota_v2
        } else if controllers.split(',').any(|name| name == "cpu") {
            quota_v1
        } else {
            continue;
        };
        let roots: Vec<PathBuf> = if controllers.is_empty() {
            vec![mount.to_owned(), mount.join("unified")]
        } else {
            vec![mount.join("cpu"), mount.join(controllers)]
        };
        let path = Path::new(path.trim_start_matches('/'));
        for root in roots {
            let found = path.ancestors().filter_map(|group| read(&root.join(group))).min();
            tightest = [tightest, found].into_iter().flatten().min();
        }
    }
    tightest
}

/// `cpu.max`: "quota period" in microseconds, or "max period".
fn quota_v2(group: &Path) -> Option<u64> {
    let text = fs::read_to_string(group.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    ratio_milli(quota.parse().ok()?, period.parse().ok()?)
}

/// `cpu.cfs_quota_us`, negative for none, over `cpu.cfs_period_us`.
fn quota_v1(group: &Path) -> Option<u64> {
    let number = |name| fs::read_to_string(group.join(name)).ok()?.trim().parse().ok();
    ratio_milli(number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
}

fn ratio_milli(quota: u64, period: u64) -> Option<u64> {
    quota.checked_mul(1000)?.checked_div(period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn four(quota_milli: Option<u64>) -> Allowed {
        Allowed { cpus: vec![0, 2, 4, 6], quota_milli }
    }

    #[test]
    fn cores_get_allowed_cpus() {
        let placed = four(None).place(0, None).expect("placed");
        assert_eq!((placed.cpus, placed.notes), (vec![0, 2, 4, 6], vec![]));
        assert_eq!(four(None).place(2, None).expect("placed").cpus, [0, 2]);
        assert_eq!(four(None).place(0, Some(&[4, 6])).expect("placed").cpus, [4, 6]);
    }

    #[test]
    fn a_quota_caps_the_count() {
        assert_eq!(four(Some(2500)).place(0, None).expect("placed").cpus, [0, 2]);
        assert_eq!(four(Some(300)).place(0, None).expect("placed").cpus, [0]);
        let over = four(Some(1500)).place(2, None).expect("placed").notes;
        assert_eq!(over, [PlacementNote::OverQuota { cores: 2, quota_milli: 1500 }]);
        assert!(over[0].to_string().contains("quota of 1.500"));
    }

    #[test]
    fn more_cores_than_cpus_share() {
        let placed = four(None).place(6, None).expect("placed");
        assert_eq!(placed.cpus, [0, 2, 4, 6, 0, 2]);
        assert_eq!(placed.notes, [PlacementNote::Crowded { cores: 6, cpus: 4 }]);
    }

    #[test]
    fn impossible_wishes_are_refused() {
        let forbidden = four(None).place(0, Some(&[0, 1])).expect_err("refused");
        assert_eq!(forbidden, PlacementError::Forbidden { found: 1, expected: vec![0, 2, 4, 6] });
        assert_eq!(four(None).place(0, Some(&[])), Err(PlacementError::Empty));
        assert!(matches!(four(None).place(65, None), Err(PlacementError::TooMany { .. })));
    }

    #[test]
    fn quotas_of_both_generations_are_found() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, text).expect("written");
        };
        write("outer/cpu.max", "150000 100000\n");
        write("outer/inner/cpu.max", "max 100000\n");
        assert_eq!(quota("0::/outer/inner\n", root.path()), Some(1500));
        assert_eq!(quota("0::/elsewhere\n", root.path()), None);
        write("cpu/box/cpu.cfs_quota_us", "200000\n");
        write("cpu/box/cpu.cfs_period_us", "100000\n");
        assert_eq!(quota("4:cpu,cpuacct:/box\n3:memory:/box\n", root.path()), Some(2000));
        write("cpu/box/cpu.cfs_quota_us", "-1\n");
        assert_eq!(quota("4:cpu,cpuacct:/box\n", root.path()), None);
        assert_eq!(quota("garbage\n:::\n", root.path()), None);
    }

    #[test]
    fn this_process_may_use_some_cpu() {
        assert!(!Allowed::detect().expect("Linux says").cpus.is_empty());
    }
}

//! What the machine offers, found out before anything depends on it.
//!
//! Everything here only looks (the direct I/O probe writes one unnamed block and drops it), needs
//! no executor and never panics on what it finds: a file of the kernel that is not there is `None`.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Whether a ring can be made, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uring {
    /// It can.
    Available,
    /// The sysctl `kernel.io_uring_disabled` forbids it.
    Disabled {
        /// Its value: 1 allows members of `kernel.io_uring_group`, 2 nobody.
        sysctl: u32,
    },
    /// A system call filter forbids it, as those of containers do.
    Filtered,
    /// The kernel or sandbox does not have it.
    Missing,
    /// The locked-memory limit does not allow a ring.
    NoMemory,
    /// Something else.
    Failed {
        /// What the system said.
        errno: i32,
    },
}

/// A kernel's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// As the kernel gives it, such as `6.12.3-amd64`.
    pub release: String,
    /// First two numbers.
    pub version: (u32, u32),
}

/// A resource limit; `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// In force.
    pub soft: Option<u64>,
    /// What the soft one may be raised to.
    pub hard: Option<u64>,
}

/// Where the data would lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The directory asked for, or the nearest one above it that exists.
    pub path: PathBuf,
    /// Name of the file system's type, or its magic number in hexadecimal.
    pub kind: String,
    /// Contents are lost at a restart of the machine.
    pub volatile: bool,
    /// Bytes this process may still write.
    pub free_bytes: u64,
    /// Why this process cannot create files there, if it cannot.
    pub unwritable: Option<io::ErrorKind>,
    /// Whether aligned direct I/O works there.
    pub direct: bool,
}

/// Makes a ring of one entry and drops it.
#[must_use]
pub fn io_uring() -> Uring {
    match setup() {
        Ok(()) => Uring::Available,
        Err(libc::EPERM | libc::EACCES) => match sysctl_number("kernel/io_uring_disabled") {
            Some(sysctl) if sysctl > 0 => Uring::Disabled { sysctl },
            Some(_) | None => Uring::Filtered,
        },
        Err(libc::ENOSYS) => Uring::Missing,
        Err(libc::ENOMEM) => Uring::NoMemory,
        Err(errno) => Uring::Failed { errno },
    }
}

/// `io_uring_setup(1, &params)`; the error is the errno.
#[expect(unsafe_code, reason = "the C library has no wrapper for this system call")]
fn setup() -> Result<(), i32> {
    // `struct io_uring_params` is 120 bytes; zero asks for an ordinary ring.
    let mut params = [0_u64; 15];
    // SAFETY: the kernel reads and writes 120 bytes behind the pointer, which is what the array
    // has, aligned to 8; the array outlives the call.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1_u32, params.as_mut_ptr()) };
    if fd < 0 {
        return Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL));
    }
    let fd = i32::try_from(fd).map_err(|_| libc::EBADF)?;
    // SAFETY: the kernel just made this descriptor and nobody else knows it.
    unsafe { libc::close(fd) };
    Ok(())
}

/// The running kernel.
///
/// # Errors
/// The kernel does not say, or not in the usual form.
pub fn kernel() -> io::Result<Kernel> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned();
    let version = parse_release(&release).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Kernel { release, version })
}

fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Bytes this process may lock in memory.
///
/// # Errors
/// What the system said.
pub fn memlock() -> io::Result<Limit> {
    limit(libc::RLIMIT_MEMLOCK)
}

/// Files this process may have open.
///
/// # Errors
/// What the system said.
pub fn nofile() -> io::Result<Limit> {
    limit(libc::RLIMIT_NOFILE)
}

/// Raises the soft limit of open files to the hard one, and returns what is in force then.
///
/// # Errors
/// What the system said.
#[expect(unsafe_code, reason = "the C library is the way to a resource limit")]
pub fn raise_nofile() -> io::Result<Limit> {
    let Limit { hard, .. } = nofile()?;
    let raised = hard.unwrap_or(libc::RLIM_INFINITY);
    let both = libc::rlimit { rlim_cur: raised, rlim_max: raised };
    // SAFETY: the pointer is to an initialised structure that outlives the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const both) } != 0 {
        return Err(io::Error::last_os_error());
    }
    nofile()
}

#[expect(unsafe_code, reason = "the C library is the way to a resource limit")]
fn limit(resource: libc::__rlimit_resource_t) -> io::Result<Limit> {
    let mut both = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a structure of the right type that outlives the call.
    if unsafe { libc::getrlimit(resource, &raw mut both) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let bound = |value| if value == libc::RLIM_INFINITY { None } else { Some(value) };
    Ok(Limit { soft: bound(both.rlim_cur), hard: bound(both.rlim_max) })
}

/// The disk below a directory, which need not exist yet.
///
/// # Errors
/// Nothing above the path exists, or the system does not say.
pub fn disk(directory: &Path) -> io::Result<Disk> {
    let absolute = std::path::absolute(directory)?;
    let mut above = absolute.ancestors();
    let path = above.find(|path| path.is_dir()).ok_or(io::ErrorKind::NotFound)?.to_owned();
    let (magic, free_bytes) = statfs(&path)?;
    let (kind, volatile) = file_system(magic);
    let unwritable = create(&path, 0).err().map(|error| error.kind());
    let direct = direct_io(&path).is_ok();
    Ok(Disk { path, kind, volatile, free_bytes, unwritable, direct })
}

#[expect(unsafe_code, reason = "the C library is the way to a file system's type")]
fn statfs(path: &Path) -> io::Result<(i64, u64)> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    let mut stat = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path ends in NUL and the structure has the size the call fills; both outlive it.
    if unsafe { libc::statfs(path.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it filled the structure.
    let stat = unsafe { stat.assume_init() };
    let block = u64::try_from(stat.f_bsize).unwrap_or(0);
    Ok((stat.f_type, stat.f_bavail.saturating_mul(block)))
}

/// Name and volatility of a file system, by the numbers of `linux/magic.h`.
fn file_system(magic: i64) -> (String, bool) {
    let (name, volatile) = match magic {
        0xEF53 => ("ext4", false),
        0x5846_5342 => ("xfs", false),
        0x9123_683E => ("btrfs", false),
        0xF2F5_2010 => ("f2fs", false),
        0x2FC1_2FC1 => ("zfs", false),
        0xCA45_1A4E => ("bcachefs", false),
        0x794C_7630 => ("overlayfs", false),
        0x6969 => ("nfs", false),
        0xFF53_4D42 | 0xFE53_4D42 => ("smb", false),
        0x6573_5546 => ("fuse", false),
        0x0102_1997 => ("9p", false),
        0x0102_1994 => ("tmpfs", true),
        0x8584_58F6 => ("ramfs", true),
        other => return (format!("{other:#x}"), false),
    };
    (name.to_owned(), volatile)
}

/// An unnamed file, gone when it is closed; where the file system has none, a named one that is
/// unlinked at once.
fn create(directory: &Path, flags: i32) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    let unnamed = options.clone().custom_flags(libc::O_TMPFILE | flags).open(directory);
    match unnamed {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR)) => {
            let path = directory.join(format!(".synap-probe-{}", std::process::id()));
            let file = options.create_new(true).custom_flags(flags).open(&path);
            // Also when the open failed: some file systems create first and refuse the flag then.
            match fs::remove_file(&path) {
                Err(error) if file.is_ok() => Err(error),
                Ok(()) | Err(_) => file,
            }
        }
        other => other,
    }
}

/// Writes one aligned block around the page cache.
fn direct_io(directory: &Path) -> io::Result<()> {
    const BLOCK: usize = 4096;
    let file = create(directory, libc::O_DIRECT)?;
    let space = vec![0_u8; 2 * BLOCK];
    let start = space.as_ptr().align_offset(BLOCK);
    let block = space.get(start..start + BLOCK).ok_or(io::ErrorKind::Unsupported)?;
    file.write_all_at(block, 0)
}

/// The scaling governor of a CPU, where frequencies are the kernel's business.
#[must_use]
pub fn governor(cpu: usize) -> Option<String> {
    word(&format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"))
}

/// The setting of transparent huge pages: `always`, `madvise` or `never`.
#[must_use]
pub fn transparent_huge_pages() -> Option<String> {
    let all = word("/sys/kernel/mm/transparent_hugepage/enabled")?;
    chosen(&all).map(str::to_owned)
}

/// The word in brackets.
fn chosen(all: &str) -> Option<&str> {
    all.split_once('[')?.1.split_once(']').map(|(word, _)| word)
}

/// A number below `/proc/sys`, such as `net/core/somaxconn`.
#[must_use]
pub fn sysctl_number(name: &str) -> Option<u32> {
    word(&format!("/proc/sys/{name}"))?.parse().ok()
}

fn word(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read() {
        assert_eq!(parse_release("6.12.3-amd64"), Some((6, 12)));
        assert_eq!(parse_release("5.10.0"), Some((5, 10)));
        assert_eq!(parse_release("7.0-rc1"), Some((7, 0)));
        assert_eq!(parse_release("unknown"), None);
    }

    #[test]
    fn this_machine_answers() {
        assert!(kernel().expect("Linux says its release").version.0 >= 3);
        assert!(nofile().expect("a limit").soft.is_none_or(|files| files > 0));
        let raised = raise_nofile().expect("raising to the hard limit is allowed");
        assert_eq!(raised.soft, raised.hard);
        assert_ne!(io_uring(), Uring::Failed { errno: libc::EINVAL });
    }

    #[test]
    fn a_directory_that_is_not_there_is_looked_at_above() {
        let directory = std::env::temp_dir();
        let disk = disk(&directory.join("not/there/yet")).expect("the temporary directory exists");
        assert_eq!(disk.path, std::path::absolute(directory).expect("absolute"));
        assert!(disk.unwritable.is_none() && disk.free_bytes > 0 && !disk.kind.is_empty());
    }

    #[test]
    fn the_chosen_word_is_the_one_in_brackets() {
        assert_eq!(chosen("always [madvise] never"), Some("madvise"));
        assert_eq!(chosen("always"), None);
    }
}

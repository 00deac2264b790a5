//! A small file system of its own, as full or as read-only as a test wants it.

use std::path::Path;
use std::process::Command;

/// A tmpfs, gone with its owner.
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Mounts one; says so and gives nothing where that is not allowed.
    pub fn mount(mib: u32) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(directory.path())
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("SKIPPED: a small tmpfs cannot be mounted; run as root to see this check");
        }
        mounted.then_some(Self(directory))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Changes an option of the mount, such as `ro` or `size=96m`.
    pub fn remount(&self, option: &str) {
        let mut command = Command::new("mount");
        command.args(["-o", &format!("remount,{option}")]).arg(self.path());
        assert!(command.status().is_ok_and(|status| status.success()), "remount {option}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "the small disk is unmounted");
    }
}

//! Errors of the medium: a write that fails after some of it was written, a sync that fails and
//! takes the cached pages with it. Neither may be tried again.

use super::torn;
use crate::dice::Dice;
use crate::disk::{Disk, Name};

/// The last write to a file failed; some of its blocks may be there.
pub(crate) fn fail_write(disk: &mut Disk, name: Name, dice: &mut Dice) {
    let last = disk.files.get_mut(&name).and_then(|file| file.cached.pop());
    if let Some(write) = last {
        torn::tear(disk, name, &write, dice);
    }
}

/// The sync of a file failed; of what was cached some blocks are there, and the rest is dropped.
pub(crate) fn fail_sync(disk: &mut Disk, name: Name, dice: &mut Dice) {
    let cached = disk.files.get_mut(&name).map(|file| std::mem::take(&mut file.cached));
    for write in cached.unwrap_or_default() {
        torn::tear(disk, name, &write, dice);
    }
}

//! A full disk: the write is refused whole, nothing of it is there. For a log that is the end of
//! the process, for a snapshot the end of the snapshot. By the next start somebody has made room.

use crate::disk::{Disk, Name};

/// The last write to a file found no room.
pub(crate) fn refuse_write(disk: &mut Disk, name: Name) {
    if let Some(file) = disk.files.get_mut(&name) {
        file.cached.pop();
    }
}

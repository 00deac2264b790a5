//! The calls as the system carries them out.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

/// Writes all of `bytes` at `offset`.
///
/// # Errors
/// What the system said; some of the bytes may have been written.
#[inline]
pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

/// fdatasync(2).
///
/// # Errors
/// What the system said; never to be repeated.
#[inline]
pub(crate) fn sync_data(file: &File) -> io::Result<()> {
    file.sync_data()
}

/// fsync(2).
///
/// # Errors
/// What the system said; never to be repeated.
#[inline]
pub(crate) fn sync_all(file: &File) -> io::Result<()> {
    file.sync_all()
}

/// Makes the file `bytes` long with room set aside for all of them (fallocate(2)), so that later
/// writes into it do not find the disk full. Where the file system cannot do that, it only gets its
/// length.
///
/// # Errors
/// What the system said; "no space left" before a byte was written is the point of it.
pub(crate) fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    let length = libc::off_t::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
    loop {
        // SAFETY: the descriptor is open for the length of the call; no memory is passed.
        #[expect(unsafe_code, reason = "std has no fallocate")]
        let outcome = unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, length) };
        if outcome == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EOPNOTSUPP | libc::ENOSYS) => return file.set_len(bytes),
            _ => return Err(error),
        }
    }
}

//! The file of users, API keys, roles and rules, as backups and restored directories carry it.
//!
//! It is small, replaced whole by the server, and has no history: whatever the moment of a restore,
//! who may come in is what the backup last saw.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::rebuild::{copy, sync_directory};
use crate::auth::store::{self, Store};
use crate::fatal::Fatal;

/// Copies it, if there is one, so that the copy is whole, durable, and only its owner's; returns
/// the copy.
///
/// # Errors
/// It is damaged, and nothing was copied; or what the system said.
pub(super) fn copy_access(from: &Path, to: &Path) -> Result<Option<PathBuf>, Fatal> {
    let (source, target) = (Store::of(from).path(), Store::of(to).path());
    if !source.exists() {
        return Ok(None);
    }
    let directory = to.join(store::DIRECTORY);
    match DirBuilder::new().mode(0o700).create(&directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Fatal::data("create", &directory)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let new = target.with_extension("tmp");
    // The permissions go with it.
    copy(&source, &new)?;
    if let Err(error) = store::verify(&new) {
        fs::remove_file(&new).map_err(Fatal::data("remove", &new))?;
        // The file to name is the one it came from.
        store::verify(&source)?;
        return Err(error.into());
    }
    fs::rename(&new, &target).map_err(Fatal::data("rename", &new))?;
    sync_directory(&directory)?;
    Ok(Some(target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Authority, Change, Plan, UserEdit};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn who_may_come_in_goes_along() {
        let from = tempfile::tempdir().expect("a directory");
        let to = tempfile::tempdir().expect("a directory");
        assert_eq!(copy_access(from.path(), to.path()).expect("nothing to do"), None);
        let store = Store::of(from.path());
        let (authority, _) = Authority::open(Plan::off(), store.clone(), 1).expect("empty");
        let anyone = authority.current().1.anonymous();
        for name in ["anna", "berta"] {
            let edit = UserEdit::default();
            let change = Change::CreateUser { name: name.to_owned(), edit };
            authority.change(&anyone, change).expect("made");
            let copied = copy_access(from.path(), to.path()).expect("copied").expect("there");
            assert_eq!(copied, Store::of(to.path()).path());
        }
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&Store::of(to.path()).path()), 0o600);
        let (copy, _) = Authority::open(Plan::off(), Store::of(to.path()), 1).expect("sound");
        assert_eq!(copy.current().1.users().len(), 2);
        fs::write(store.path(), b"rubbish").expect("damaged");
        let refused = copy_access(from.path(), to.path());
        assert!(matches!(refused, Err(Fatal::Corrupt { path, .. }) if path == store.path()));
        assert!(Store::of(to.path()).verify().expect("still sound"));
    }
}

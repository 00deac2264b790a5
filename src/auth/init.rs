//! Making the first administrator of a server that does not run: `synap-admin init`.

use std::fmt;
use std::path::Path;

use synap_io::clock;
use synap_io::lock::DirLock;

use super::authority::Authority;
use super::change::{Change, ChangeRefused, UserEdit};
use super::credential::Secret;
use super::plan::Plan;
use super::role;
use super::store::Store;
use crate::fatal::Fatal;

/// Why there is no administrator.
#[derive(Debug)]
pub enum InitError {
    /// The data directory cannot be used, or a server uses it.
    Data(Fatal),
    /// There is one already, or the password is weak.
    Refused(ChangeRefused),
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(fatal) => f.write_str(&fatal.what()),
            Self::Refused(refused) => refused.fmt(f),
        }
    }
}

impl std::error::Error for InitError {}

/// Makes an administrator in a data directory, which is made if need be. Slow.
///
/// # Errors
/// See [`InitError`]; then nothing has changed but the directory.
pub fn init(data: &Path, name: &str, password: Secret) -> Result<(), InitError> {
    let made = std::fs::create_dir_all(data).map_err(Fatal::data("create", data));
    made.map_err(InitError::Data)?;
    let _lock = DirLock::acquire(data).map_err(|error| InitError::Data(error.into()))?;
    let opened = Authority::open(Plan::off(), Store::of(data), clock::unix_ms());
    let (authority, _) = opened.map_err(|error| InitError::Data(Fatal::access(None, error)))?;
    let roles = Some(vec![role::ADMIN.to_owned()]);
    let edit = UserEdit { password: Some(password), roles, ..UserEdit::default() };
    let change = Change::CreateUser { name: name.to_owned(), edit };
    let by = authority.current().1.anonymous();
    authority.change(&by, change).map(drop).map_err(InitError::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_administrator_is_made_once_and_never_behind_a_servers_back() {
        let root = tempfile::tempdir().expect("a directory");
        let data = root.path().join("data");
        let make = |name, password| init(&data, name, Secret::new(password));
        assert!(matches!(make("root", "short"), Err(InitError::Refused(ChangeRefused::Weak(_)))));
        make("root", "correct horse").expect("made");
        let again = make("root", "battery staple");
        assert!(matches!(again, Err(InitError::Refused(ChangeRefused::Exists { .. }))));
        let (authority, _) = Authority::open(Plan::off(), Store::of(&data), 1).expect("there");
        let directory = authority.current().1;
        assert!(directory.is_admin(directory.user("root").expect("made")));
        let _lock = DirLock::acquire(&data).expect("nobody has it");
        let used = make("second", "correct horse");
        assert!(matches!(used, Err(InitError::Data(Fatal::Locked { .. }))));
    }
}

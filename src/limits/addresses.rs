//! How many connections each address has. Asked when one is accepted or ends, never by a command,
//! and only while there is a limit.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::client::ClientKey;

/// Connections by address; as many entries as there are addresses with one.
#[derive(Debug, Default)]
pub struct Addresses(Mutex<BTreeMap<ClientKey, usize>>);

impl Addresses {
    fn counts(&self) -> MutexGuard<'_, BTreeMap<ClientKey, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection of this address, if there may be another beside those it has.
    pub fn enter(&self, key: ClientKey, most: usize) -> bool {
        let mut counts = self.counts();
        let count = counts.entry(key).or_default();
        let may = *count < most;
        *count += usize::from(may);
        if *count == 0 {
            counts.remove(&key);
        }
        may
    }

    /// One has ended; the address it was counted for, if it was.
    pub fn leave_if(&self, key: Option<ClientKey>) {
        let Some(key) = key else { return };
        let mut counts = self.counts();
        if let Some(count) = counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_each_for_itself_and_forgotten() {
        let addresses = Addresses::default();
        let (one, two) = (ClientKey::Principal(1), ClientKey::Principal(2));
        assert!(addresses.enter(one, 2) && addresses.enter(one, 2) && !addresses.enter(one, 2));
        assert!(addresses.enter(two, 1) && !addresses.enter(two, 0));
        addresses.leave_if(Some(one));
        assert!(addresses.enter(one, 2));
        for key in [one, one, two] {
            addresses.leave_if(Some(key));
        }
        addresses.leave_if(None);
        assert!(addresses.counts().is_empty());
    }
}

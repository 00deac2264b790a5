//! Which captures a shard's changes are for: noted when the partition of one comes or goes, whoever
//! brings it, so that a shard without any is told apart at a glance.

use super::Shard;

impl Shard {
    /// Whether somebody captures what changes here.
    #[inline]
    pub(crate) fn is_captured(&self) -> bool {
        !self.captures.is_empty()
    }

    /// Keys of captures of its changes.
    pub(crate) fn captures(&self) -> impl Iterator<Item = &[u8]> {
        self.captures.iter().map(|key| &**key)
    }

    pub(super) fn note_capture(&mut self, key: &[u8], is_there: bool) {
        self.captures.retain(|known| **known != *key);
        if is_there {
            self.captures.push(key.into());
        }
    }
}

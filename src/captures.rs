//! Which cores have readers of captures that wait for changes. Whoever captures something rings
//! those, each once until it says again that it waits.

use std::sync::atomic::{AtomicBool, Ordering};

use synap_shards::id::CoreId;

/// One mark per core.
#[derive(Debug)]
pub struct Captures {
    waiting: Vec<AtomicBool>,
}

impl Captures {
    /// For so many cores.
    pub fn new(cores: usize) -> Self {
        Self { waiting: (0..cores).map(|_| AtomicBool::new(false)).collect() }
    }

    /// A reader of this core waits for what is captured from now on. To be said before it looks:
    /// what it does not see then rings.
    pub fn wait(&self, core: CoreId) {
        self.waiting[core.index()].store(true, Ordering::SeqCst);
    }

    /// Something was captured: the cores to be told.
    pub fn ring(&self) -> Vec<CoreId> {
        let rung = |core: &usize| {
            self.waiting[*core].load(Ordering::SeqCst)
                && self.waiting[*core].swap(false, Ordering::SeqCst)
        };
        (0..self.waiting.len()).filter(rung).map(CoreId::new).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_core_is_told_once() {
        let captures = Captures::new(3);
        assert!(captures.ring().is_empty());
        captures.wait(CoreId::new(0));
        captures.wait(CoreId::new(2));
        assert_eq!(captures.ring(), [CoreId::new(0), CoreId::new(2)]);
        assert!(captures.ring().is_empty());
    }
}

//! The faults. A seed draws for each whether it happens at all, and how often; one file per fault
//! says what it does. Nothing here decides whether what follows is right: that is the checkers'.

pub(crate) mod bit_flip;
pub(crate) mod clock;
pub(crate) mod crash;
pub(crate) mod full_disk;
pub(crate) mod full_ring;
pub(crate) mod io_error;
pub(crate) mod lost;
pub(crate) mod misdirected;
pub(crate) mod slow;
pub(crate) mod torn;

use crate::dice::Dice;

/// A fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Fault {
    /// The power goes: unsynced writes may be lost.
    PowerLoss,
    /// The process dies: unsynced writes stay in the cache.
    ProcessDeath,
    /// Of an unsynced write some blocks are there after a crash, others not, one may be garbage.
    Torn,
    /// Single unsynced writes are lost in a crash, later ones are not.
    Lost,
    /// A write goes to another place.
    Misdirected,
    /// A bit changes on the medium.
    BitFlip,
    /// A bit changes on its way from the medium, once.
    ReadFlip,
    /// A write fails.
    WriteError,
    /// A sync fails, and what it should have made durable may be gone.
    SyncError,
    /// There is no room for a write.
    FullDisk,
    /// A commit takes long.
    SlowCommit,
    /// A parcel takes long.
    SlowParcel,
    /// A ring of the mesh is full.
    FullRing,
    /// The clock leaps ahead.
    ClockAhead,
    /// The clock is set back.
    ClockBack,
}

/// Every fault, by the name it has on the command line.
pub(crate) const FAULTS: [(&str, Fault); 15] = [
    ("power-loss", Fault::PowerLoss),
    ("process-death", Fault::ProcessDeath),
    ("torn", Fault::Torn),
    ("lost", Fault::Lost),
    ("misdirected", Fault::Misdirected),
    ("bit-flip", Fault::BitFlip),
    ("read-flip", Fault::ReadFlip),
    ("write-error", Fault::WriteError),
    ("sync-error", Fault::SyncError),
    ("full-disk", Fault::FullDisk),
    ("slow-commit", Fault::SlowCommit),
    ("slow-parcel", Fault::SlowParcel),
    ("full-ring", Fault::FullRing),
    ("clock-ahead", Fault::ClockAhead),
    ("clock-back", Fault::ClockBack),
];

impl Fault {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        FAULTS[self as usize].0
    }

    /// Rates it may have, per 1000 occasions; several zeros make it rarer.
    fn rates(self) -> &'static [usize] {
        match self {
            Self::PowerLoss => &[500, 500, 1000, 0],
            // What is left for crashes that are no power loss.
            Self::ProcessDeath => &[1000],
            Self::Torn => &[0, 300, 800],
            Self::Lost => &[0, 300, 700],
            Self::Misdirected => &[0, 0, 0, 3, 30],
            Self::BitFlip => &[0, 0, 200, 800],
            Self::ReadFlip => &[0, 0, 0, 300],
            Self::WriteError | Self::SyncError | Self::FullDisk => &[0, 0, 0, 5, 50],
            Self::SlowCommit | Self::SlowParcel => &[0, 100, 500, 1000],
            Self::FullRing => &[0, 0, 100, 500],
            Self::ClockAhead => &[0, 0, 2, 20],
            Self::ClockBack => &[0, 0, 0, 5],
        }
    }
}

/// How often each fault happens, per 1000 occasions.
#[derive(Clone, Debug)]
pub(crate) struct Rates([usize; FAULTS.len()]);

impl Rates {
    /// Draws the rates of a seed; most seeds have a few faults only, so that each is seen alone.
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let mut rates = [0; FAULTS.len()];
        for (rate, (_, fault)) in rates.iter_mut().zip(FAULTS) {
            *rate = dice.pick(fault.rates());
        }
        Self(rates)
    }

    /// Rate of a fault.
    pub(crate) fn of(&self, fault: Fault) -> usize {
        self.0[fault as usize]
    }

    /// Switches a fault off.
    pub(crate) fn switch_off(&mut self, fault: Fault) {
        self.0[fault as usize] = 0;
    }

    /// Whether it happens now.
    pub(crate) fn strikes(&self, fault: Fault, dice: &mut Dice) -> bool {
        self.of(fault) > 0 && dice.chance(self.of(fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (at, (name, fault)) in FAULTS.iter().enumerate() {
            assert_eq!((*fault as usize, fault.name()), (at, *name));
        }
    }
}

//! What a crash leaves of the cache and of the changes of the directory. A process that dies leaves
//! all of it; when the power goes, each unsynced write may be there, torn or lost, and the last
//! changes of the directory may be undone.

use super::{Fault, Rates, lost, torn};
use crate::dice::Dice;
use crate::disk::{Change, Disk, Name};

/// The power goes. Faults that took part.
pub(crate) fn power_loss(disk: &mut Disk, rates: &Rates, dice: &mut Dice) -> Vec<Fault> {
    let mut faults = Vec::new();
    let names: Vec<Name> = disk.files.keys().copied().collect();
    // Without the finer faults the cache is written back up to some point.
    let all = dice.chance(500);
    for name in names {
        let cached = std::mem::take(&mut disk.files.get_mut(&name).expect("just listed").cached);
        for write in cached {
            if lost::strikes(rates, dice) {
                faults.push(Fault::Lost);
            } else if rates.strikes(Fault::Torn, dice) {
                faults.push(Fault::Torn);
                torn::tear(disk, name, &write, dice);
            } else if all {
                disk.apply(name, &write);
            }
        }
    }
    let kept = dice.below(disk.changes.len() + 1);
    for change in disk.changes.drain(kept..).rev() {
        match change {
            Change::Renamed(name) => {
                if let Some(file) = disk.files.get_mut(&name) {
                    file.temporary = true;
                }
            }
            Change::Removed(name, file) => {
                disk.files.insert(name, file);
            }
        }
    }
    disk.sync_directory();
    faults
}

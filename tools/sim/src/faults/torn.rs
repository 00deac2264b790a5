//! A torn write: of an unsynced write each block may be on the medium or not, and one that was
//! being written may be anything.

use crate::dice::Dice;
use crate::disk::{BLOCK, Disk, Name, Write};

/// Brings some blocks of a write to the medium.
pub(crate) fn tear(disk: &mut Disk, name: Name, write: &Write, dice: &mut Dice) {
    let blocks = write.bytes.len().div_ceil(BLOCK);
    // Half of the time blocks are written in order, up to some point.
    let in_order = dice.chance(500).then(|| dice.below(blocks + 1));
    for (number, bytes) in write.bytes.chunks(BLOCK).enumerate() {
        let there = in_order.map_or_else(|| dice.chance(500), |end| number < end);
        let (at, truncates) = (write.at + number * BLOCK, write.truncates && number == 0);
        if there {
            disk.apply(name, &Write { at, bytes: bytes.to_vec(), truncates });
        } else if in_order == Some(number) && dice.chance(200) {
            let bytes = bytes.iter().map(|_| dice.draw() as u8).collect();
            disk.apply(name, &Write { at, bytes, truncates });
        }
    }
}

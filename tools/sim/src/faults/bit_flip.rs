//! Flipped bits: on the medium, where they stay, and on the way from it, where they do not.

use crate::dice::Dice;
use crate::disk::{Disk, Name};

/// A bit of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bit {
    pub(crate) name: Name,
    pub(crate) at: usize,
    mask: u8,
}

/// Draws a bit, each file being as likely as any other and half of the time one of its last
/// written bytes, where what is behind tells least.
pub(crate) fn draw(disk: &Disk, dice: &mut Dice) -> Option<Bit> {
    let names: Vec<Name> = disk.names().collect();
    if names.is_empty() {
        return None;
    }
    let name = dice.pick(&names);
    let bytes = &disk.files[&name].bytes;
    let used = bytes.iter().rposition(|byte| *byte != 0)? + 1;
    let from = if dice.chance(500) { used.saturating_sub(300) } else { 0 };
    Some(Bit { name, at: dice.between(from, used - 1), mask: 1 << dice.below(8) })
}

/// Flips a bit on the medium, if the file is there.
pub(crate) fn flip(disk: &mut Disk, bit: Bit) {
    let byte = disk.files.get(&bit.name).and_then(|file| file.bytes.get(bit.at));
    if let Some(byte) = byte {
        disk.spoil(bit.name, bit.at, &[byte ^ bit.mask]);
    }
}

/// Flips a bit of what was read.
pub(crate) fn flip_read(bytes: &mut [u8], bit: Bit) {
    if let Some(byte) = bytes.get_mut(bit.at) {
        *byte ^= bit.mask;
    }
}

//! A misdirected write: the medium says that it wrote, and wrote to another block of some file.

use crate::dice::Dice;
use crate::disk::{BLOCK, Disk, Name};

/// Of the next write to be synced of a file, one goes elsewhere; whether there was one.
pub(crate) fn misdirect(disk: &mut Disk, name: Name, dice: &mut Dice) -> bool {
    let Some(file) = disk.files.get(&name) else { return false };
    if file.cached.is_empty() || file.cached.iter().any(|write| write.truncates) {
        return false;
    }
    let chosen = dice.below(file.cached.len());
    let write = file.cached[chosen].clone();
    let old: Vec<u8> = (write.at..write.at + write.bytes.len())
        .map(|at| file.bytes.get(at).copied().unwrap_or(0))
        .collect();
    // What ought to be there is what was written; what is there is what was there before.
    disk.sync(name);
    disk.spoil(name, write.at, &old);
    let names: Vec<Name> = disk.files.keys().copied().collect();
    let victim = dice.pick(&names);
    let blocks = disk.files[&victim].bytes.len() / BLOCK;
    if blocks > 0 {
        let at = dice.below(blocks) * BLOCK;
        let bytes = &write.bytes[..write.bytes.len().min(BLOCK * dice.between(1, 3))];
        if (victim, at) != (name, write.at) {
            disk.spoil(victim, at, bytes);
        }
    }
    true
}

//! A lost write: an unsynced write that is not on the medium after a crash, whatever was written
//! after it.

use super::{Fault, Rates};
use crate::dice::Dice;

/// Whether a crash loses a write.
pub(crate) fn strikes(rates: &Rates, dice: &mut Dice) -> bool {
    rates.strikes(Fault::Lost, dice)
}

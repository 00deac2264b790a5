//! Things that take long: commits, and parcels on their way.

use super::{Fault, Rates};
use crate::dice::Dice;

/// Beats that a commit or a parcel takes: one, or up to `most` more when it is slow.
pub(crate) fn beats(fault: Fault, rates: &Rates, most: usize, dice: &mut Dice) -> (u64, bool) {
    if most > 0 && rates.strikes(fault, dice) {
        return (1 + dice.between(1, most) as u64, true);
    }
    (1, false)
}

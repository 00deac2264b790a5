//! A full ring of the mesh: a parcel is given back to the engine, which offers it again.

use super::{Fault, Rates};
use crate::dice::Dice;

/// Whether a send is refused.
pub(crate) fn strikes(rates: &Rates, dice: &mut Dice) -> bool {
    rates.strikes(Fault::FullRing, dice)
}

//! From the times that clients state to absolute deadlines in Unix milliseconds, the only form
//! that is ever stored or recorded.

use super::args::{Arg, Args, Scalar};
use super::error::CommandError;
use super::spec::ArgSpec;

/// The latest deadline that entries and records can hold: 48 bits, in the year 10889.
pub const DEADLINE_MS_MAX: i64 = (1 << 48) - 1;

/// How a time is stated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeForm {
    /// Seconds from now.
    Seconds,
    /// Milliseconds from now.
    Milliseconds,
    /// Seconds since 1970.
    UnixSeconds,
    /// Milliseconds since 1970.
    UnixMilliseconds,
}

/// The alternatives `EX`, `PX`, `EXAT` and `PXAT`, in the order of `TimeForm::from_choice`; lists
/// of expiry options begin with them.
pub const EX: ArgSpec = ArgSpec::integer("ex", "seconds until it expires").with_token("EX");
/// See [`EX`].
pub const PX: ArgSpec = ArgSpec::integer("px", "milliseconds until it expires").with_token("PX");
/// See [`EX`].
pub const EXAT: ArgSpec =
    ArgSpec::integer("exat", "Unix time in seconds at which it expires").with_token("EXAT");
/// See [`EX`].
pub const PXAT: ArgSpec =
    ArgSpec::integer("pxat", "Unix time in milliseconds at which it expires").with_token("PXAT");

impl TimeForm {
    /// The form of the choice at this index of a list that begins with `EX PX EXAT PXAT`.
    pub(crate) fn from_choice(index: usize) -> Option<Self> {
        match index {
            0 => Some(Self::Seconds),
            1 => Some(Self::Milliseconds),
            2 => Some(Self::UnixSeconds),
            3 => Some(Self::UnixMilliseconds),
            _ => None,
        }
    }

    /// The deadline in Unix milliseconds; may lie in the past and below zero. Errs when it is
    /// beyond [`DEADLINE_MS_MAX`] or not a number of milliseconds at all.
    pub fn deadline(
        self,
        amount: i64,
        now_ms: u64,
        command: &'static str,
    ) -> Result<i64, CommandError> {
        let milliseconds = match self {
            Self::Seconds | Self::UnixSeconds => amount.checked_mul(1000),
            Self::Milliseconds | Self::UnixMilliseconds => Some(amount),
        };
        let base = match self {
            Self::Seconds | Self::Milliseconds => {
                i64::try_from(now_ms).expect("the clock is before the year 10889")
            }
            Self::UnixSeconds | Self::UnixMilliseconds => 0,
        };
        milliseconds
            .and_then(|milliseconds| milliseconds.checked_add(base))
            .filter(|deadline| *deadline <= DEADLINE_MS_MAX)
            .ok_or(CommandError::InvalidExpire { command })
    }
}

/// What a deadline means for a key at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// It has passed: the key is gone.
    Past,
    /// It lies ahead, at this Unix millisecond.
    At(u64),
}

/// Sorts a deadline that [`TimeForm::deadline`] returned.
pub fn due(deadline_ms: i64, now_ms: u64) -> Due {
    match u64::try_from(deadline_ms) {
        Ok(deadline) if deadline > now_ms => Due::At(deadline),
        Ok(_) | Err(_) => Due::Past,
    }
}

/// The deadline that an option of `EX PX EXAT PXAT` states; the amount must be positive. Nothing
/// when the option is absent or one that follows those four.
pub fn from_option(
    args: &Args<'_>,
    option: Arg,
    now_ms: u64,
    command: &'static str,
) -> Result<Option<Due>, CommandError> {
    let Some((index, Scalar::Integer(amount))) = args.choice(option) else { return Ok(None) };
    let Some(form) = TimeForm::from_choice(index) else { return Ok(None) };
    positive(form, amount, now_ms, command).map(Some)
}

/// The deadline that a positive amount states.
pub fn positive(
    form: TimeForm,
    amount: i64,
    now_ms: u64,
    command: &'static str,
) -> Result<Due, CommandError> {
    if amount <= 0 {
        return Err(CommandError::InvalidExpire { command });
    }
    Ok(due(form.deadline(amount, now_ms, command)?, now_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_that_do_not_fit_are_refused() {
        let at = |form: TimeForm, amount| form.deadline(amount, 5_000, "set");
        assert_eq!(at(TimeForm::Seconds, 2), Ok(7_000));
        assert_eq!(at(TimeForm::Milliseconds, -6_000), Ok(-1_000));
        assert_eq!(at(TimeForm::UnixSeconds, 2), Ok(2_000));
        assert_eq!(at(TimeForm::UnixMilliseconds, DEADLINE_MS_MAX), Ok(DEADLINE_MS_MAX));
        let refused = Err(CommandError::InvalidExpire { command: "set" });
        assert_eq!(at(TimeForm::Milliseconds, DEADLINE_MS_MAX), refused);
        assert_eq!(at(TimeForm::Seconds, i64::MAX), refused);
        assert_eq!(at(TimeForm::UnixSeconds, i64::MIN), refused);
    }

    #[test]
    fn a_deadline_of_now_has_passed() {
        assert_eq!(due(5, 5), Due::Past);
        assert_eq!(due(6, 5), Due::At(6));
        assert_eq!(due(-1, 5), Due::Past);
    }
}

//! Integers as their decimal digits, without an allocation.

/// Digits of `i64::MIN` with its sign.
const BYTES_MAX: usize = 20;

/// The decimal text of an integer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal {
    bytes: [u8; BYTES_MAX],
    start: usize,
}

impl Decimal {
    /// The text of `number`: canonical, as [`crate::command::args::integer`] reads it.
    pub(crate) fn new(number: i64) -> Self {
        let mut bytes = [0; BYTES_MAX];
        let mut start = BYTES_MAX;
        let mut rest = number.unsigned_abs();
        loop {
            start -= 1;
            bytes[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if number < 0 {
            start -= 1;
            bytes[start] = b'-';
        }
        Self { bytes, start }
    }

    /// The text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_sign() {
        for number in [0, 1, -1, 9, 10, 42, -100, i64::MAX, i64::MIN] {
            assert_eq!(Decimal::new(number).as_bytes(), number.to_string().as_bytes());
        }
    }
}

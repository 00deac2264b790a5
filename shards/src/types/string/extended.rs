//! Sums of decimals as the x87 extended format computes them: 64 bits of mantissa, rounded to the
//! nearest, ties to even (IEEE 754, "extended double"). Redis adds in this format and shows the sum
//! with at most 17 decimals and no exponent; so `10.5 + 0.1` reads `10.6` and not the
//! `10.59999999999999964` that doubles yield. Rust has no such type, hence this one.

use std::cmp::Ordering;
use std::fmt::Write as _;

/// Longest text that is read as a number, in bytes; Redis's buffer for such texts.
const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;
/// Numbers of 2 to this power and above are infinite.
const EXPONENT_MAX: i32 = 16_384;
/// Decimal exponents beyond these are infinite, or zero.
const DECIMAL_EXPONENT_MAX: i64 = 4_940;
const DECIMAL_EXPONENT_MIN: i64 = -5_000;
/// Digits after the point that are shown.
const DECIMALS: u32 = 17;

/// Why a text or a sum is not a number of this format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FloatError {
    /// Not a number, too long, or too close to zero to be told from it.
    NotFloat,
    /// Beyond the greatest number.
    Infinite,
}

/// A finite number: `mantissa` times two to the `exponent`. The top bit of the mantissa is set,
/// but for zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Extended {
    negative: bool,
    mantissa: u64,
    exponent: i32,
}

impl Extended {
    pub(crate) const ZERO: Self = Self { negative: false, mantissa: 0, exponent: 0 };

    /// Reads a decimal, with or without an exponent.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, FloatError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(FloatError::NotFloat);
        }
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            all => (false, all),
        };
        if digits.eq_ignore_ascii_case(b"inf") || digits.eq_ignore_ascii_case(b"infinity") {
            return Err(FloatError::Infinite);
        }
        let (number, exponent) = decimal(digits).ok_or(FloatError::NotFloat)?;
        if number.bits() == 0 {
            return Ok(Self::ZERO);
        }
        let magnitude = exponent + number.decimal_digits_about();
        if !(DECIMAL_EXPONENT_MIN..=DECIMAL_EXPONENT_MAX).contains(&magnitude) {
            return Err(FloatError::NotFloat);
        }
        let found = scale(number, exponent, negative);
        if found.is_finite() { Ok(found) } else { Err(FloatError::NotFloat) }
    }

    fn is_finite(self) -> bool {
        self.exponent + 64 <= EXPONENT_MAX
    }

    /// The rounded sum.
    pub(crate) fn add(self, other: Self) -> Result<Self, FloatError> {
        if self.mantissa == 0 {
            return Ok(other);
        }
        if other.mantissa == 0 {
            return Ok(self);
        }
        let (big, small) = match self.compare_magnitude(other) {
            Ordering::Less => (other, self),
            Ordering::Equal | Ordering::Greater => (self, other),
        };
        // One bit is left for the carry; 63 more hold what is shifted out of the smaller one.
        let wide = u128::from(big.mantissa) << 63;
        let shift = big.exponent.abs_diff(small.exponent);
        let full = u128::from(small.mantissa) << 63;
        let shifted = full.checked_shr(shift).unwrap_or(0);
        let lost = shifted.checked_shl(shift) != Some(full);
        let sum = if big.negative == small.negative {
            wide + shifted
        } else {
            wide - shifted - u128::from(lost)
        };
        let found = round(sum, lost, big.exponent - 63, big.negative);
        if found.is_finite() { Ok(found) } else { Err(FloatError::Infinite) }
    }

    fn compare_magnitude(self, other: Self) -> Ordering {
        (self.exponent, self.mantissa).cmp(&(other.exponent, other.mantissa))
    }

    /// The number with at most 17 decimals, rounded to the nearest, without trailing zeros.
    pub(crate) fn text(self) -> String {
        let scale = 10u128.pow(DECIMALS);
        let digits = if self.exponent >= 0 {
            let mut number = Natural::from_u64(self.mantissa);
            number.shift_left(self.exponent.unsigned_abs());
            number.into_decimal()
        } else {
            // Below 2^64 times 10^17, which is below 2^121.
            let scaled = u128::from(self.mantissa) * scale;
            let units = shift_rounding(scaled, self.exponent.unsigned_abs());
            let mut text = (units / scale).to_string();
            let fraction = format!("{:017}", units % scale);
            let fraction = fraction.trim_end_matches('0');
            if !fraction.is_empty() {
                text.push('.');
                text.push_str(fraction);
            }
            text
        };
        if self.negative && digits != "0" { format!("-{digits}") } else { digits }
    }
}

/// `number` shifted right and rounded to the nearest, ties to even.
fn shift_rounding(number: u128, shift: u32) -> u128 {
    let Some(kept) = number.checked_shr(shift) else { return 0 };
    let half = 1u128 << (shift - 1);
    let rest = number & ((half << 1) - 1);
    let up = rest > half || (rest == half && kept & 1 == 1);
    kept + u128::from(up)
}

/// `wide` (and more below it, if `lost`) times two to the `exponent`, in 64 bits.
fn round(wide: u128, lost: bool, exponent: i32, negative: bool) -> Extended {
    let bits = u128::BITS - wide.leading_zeros();
    if bits == 0 {
        return Extended::ZERO;
    }
    if bits <= 64 {
        let shift = 64 - bits;
        let mantissa = (wide as u64) << shift;
        return Extended { negative, mantissa, exponent: exponent - shift as i32 };
    }
    let shift = bits - 64;
    let rest = wide & ((1 << shift) - 1);
    let half = 1u128 << (shift - 1);
    let kept = wide >> shift;
    let up = rest > half || (rest == half && (lost || kept & 1 == 1));
    let rounded = kept + u128::from(up);
    let exponent = exponent + shift as i32;
    // Rounding up all ones yields one bit more, and zeros.
    match u64::try_from(rounded) {
        Ok(mantissa) => Extended { negative, mantissa, exponent },
        Err(_) => Extended { negative, mantissa: 1 << 63, exponent: exponent + 1 },
    }
}

/// The digits of an unsigned decimal as one integer, and the power of ten to multiply it by.
fn decimal(text: &[u8]) -> Option<(Natural, i64)> {
    let split = text.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(text.len());
    let (digits, power) = text.split_at(split);
    let stated = match power {
        [] => 0,
        [_, power @ ..] => std::str::from_utf8(power).ok()?.parse::<i32>().ok()?,
    };
    let point = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
    let (whole, fraction) = digits.split_at(point);
    let fraction = fraction.strip_prefix(b".").unwrap_or(fraction);
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut number = Natural::from_u64(0);
    for byte in whole.iter().chain(fraction) {
        if !byte.is_ascii_digit() {
            return None;
        }
        number.multiply_add(10, u32::from(byte - b'0'));
    }
    Some((number, i64::from(stated) - fraction.len() as i64))
}

/// `number` times ten to the `power`, rounded.
fn scale(mut number: Natural, power: i64, negative: bool) -> Extended {
    let mut exponent = 0;
    let mut lost = false;
    let mut left = power.unsigned_abs();
    if power >= 0 {
        while left > 0 {
            number.multiply_add(10u32.pow(left.min(9) as u32), 0);
            left = left.saturating_sub(9);
        }
    } else {
        // Ten has less than ten thirds of a bit; 66 bits of quotient are enough to round.
        let wanted = left * 10 / 3 + 68;
        let shift = wanted.saturating_sub(number.bits()) as u32;
        number.shift_left(shift);
        exponent = -(shift as i32);
        while left > 0 {
            lost |= number.divide(10u32.pow(left.min(9) as u32)) != 0;
            left = left.saturating_sub(9);
        }
    }
    let (top, shift, more) = number.top();
    round(top, lost || more, exponent + shift as i32, negative)
}

/// A natural number of any size: 32 bits a limb, the least first.
struct Natural(Vec<u32>);

impl Natural {
    fn from_u64(number: u64) -> Self {
        let mut found = Self(vec![number as u32, (number >> 32) as u32]);
        found.trim();
        found
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn bits(&self) -> u64 {
        self.0.last().map_or(0, |top| self.0.len() as u64 * 32 - u64::from(top.leading_zeros()))
    }

    /// Number of decimal digits, give or take a few.
    fn decimal_digits_about(&self) -> i64 {
        (self.bits() * 3 / 10) as i64
    }

    fn multiply_add(&mut self, factor: u32, summand: u32) {
        let mut carry = u64::from(summand);
        for limb in &mut self.0 {
            carry += u64::from(*limb) * u64::from(factor);
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    /// Divides by `divisor` and returns the rest.
    fn divide(&mut self, divisor: u32) -> u32 {
        let mut rest = 0u64;
        for limb in self.0.iter_mut().rev() {
            let part = rest << 32 | u64::from(*limb);
            *limb = (part / u64::from(divisor)) as u32;
            rest = part % u64::from(divisor);
        }
        self.trim();
        rest as u32
    }

    fn shift_left(&mut self, bits: u32) {
        self.multiply_add(1 << (bits % 32), 0);
        let limbs = vec![0; (bits / 32) as usize];
        self.0.splice(0..0, limbs);
        self.trim();
    }

    /// Its highest bits, how far they were shifted down, and whether any bit below them is set.
    fn top(&self) -> (u128, u32, bool) {
        let below = self.0.len().saturating_sub(4);
        let top =
            self.0[below..].iter().rev().fold(0u128, |top, limb| top << 32 | u128::from(*limb));
        (top, below as u32 * 32, self.0[..below].iter().any(|limb| *limb != 0))
    }

    fn into_decimal(mut self) -> String {
        let mut groups = Vec::new();
        while !self.0.is_empty() {
            groups.push(self.divide(1_000_000_000));
        }
        let mut text = groups.pop().unwrap_or(0).to_string();
        for group in groups.iter().rev() {
            write!(text, "{group:09}").expect("writing to a string cannot fail");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> String {
        let (a, b) = (Extended::parse(a.as_bytes()), Extended::parse(b.as_bytes()));
        a.expect("a number").add(b.expect("a number")).expect("finite").text()
    }

    #[test]
    fn sums_read_as_in_redis() {
        for (a, b, expected) in [
            ("10.5", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("0.1", "0.2", "0.3"),
            ("3.0", "-3.0", "0"),
            ("-1.5", "0.25", "-1.25"),
            ("1", "-0.00000000000000001", "0.99999999999999999"),
            ("1e20", "0.5", "100000000000000000000"),
            ("17179869184", "1e-17", "17179869184"),
            ("9223372036854775807", "1", "9223372036854775808"),
            ("123456789012345678901234567890", "0", "123456789012345678899921813504"),
            ("5.6", "2.0e2", "205.60000000000000001"),
            ("205.60000000000000001", "1234567.0000011", "1234772.60000109999998585"),
            ("3.3", "1e-5", "3.30001"),
            ("1e-400", "0", "0"),
            ("-1e-400", "0", "0"),
            (".5", "1.", "1.5"),
            ("0", "0", "0"),
            ("+1", "0", "1"),
        ] {
            assert_eq!(sum(a, b), expected, "{a} + {b}");
        }
    }

    #[test]
    fn doubles_survive() {
        let mut rng = crate::rng::Rng::new(5);
        for _ in 0..2000 {
            let number = (rng.draw() as i64) as f64 / (1u64 << rng.below(64)) as f64;
            let shown = Extended::parse(format!("{number:.17}").as_bytes()).expect("a number");
            let read: f64 = shown.text().parse().expect("a double");
            assert!((read - number).abs() <= number.abs() * 1e-15 + 1e-17, "{number} {read}");
        }
    }

    #[test]
    fn the_greatest_number_has_4933_digits() {
        let great = Extended::parse(b"1.18973149535723176502e4932").expect("just finite");
        assert_eq!(great.text().len(), 4933);
        assert_eq!(great.add(great), Err(FloatError::Infinite));
        assert_eq!(Extended::parse(b"1.2e4932"), Err(FloatError::NotFloat));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "-", ".", "e5", "1e", "1e+", "1.2.3", " 1", "1 ", "nan", "0x10", "1e99999"]
        {
            assert_eq!(Extended::parse(text.as_bytes()), Err(FloatError::NotFloat), "{text:?}");
        }
        assert_eq!(Extended::parse(b"-inf"), Err(FloatError::Infinite));
        assert_eq!(Extended::parse(&[b'1'; 5120]), Err(FloatError::NotFloat));
    }
}

//! Doubles as text: the shortest digits that read back as the same number, laid out as Redis does.
//!
//! Digits are plain while at most six zeros have to be added to a whole number, and below one while
//! there are at most seven places or three leading zeros; everything else has an exponent: `1e+21`.

use std::fmt::{self, Write};

/// Zeros that may follow the digits of a whole number.
const ZEROS_MAX: i32 = 7;
/// Digits of a double, and what else `{:e}` prints.
const SCIENTIFIC_BYTES_MAX: usize = 32;

/// A buffer for what `{:e}` prints.
#[derive(Default)]
struct Small {
    bytes: [u8; SCIENTIFIC_BYTES_MAX],
    length: usize,
}

impl Write for Small {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// Whole numbers up to this size are written as integers: every one of them is exact.
const WHOLE_MAX: f64 = (1u64 << 62) as f64;

/// Writes a number.
///
/// # Errors
/// Those of `out`.
pub fn write(number: f64, out: &mut impl Write) -> fmt::Result {
    if number.is_nan() {
        return out.write_str("nan");
    }
    if number.is_infinite() {
        return out.write_str(if number > 0.0 { "inf" } else { "-inf" });
    }
    if number == 0.0 {
        return out.write_str(if number.is_sign_negative() { "-0" } else { "0" });
    }
    if number.abs() < WHOLE_MAX && number.trunc() == number {
        return write!(out, "{}", number as i64);
    }
    let mut small = Small::default();
    write!(small, "{:e}", number.abs())?;
    let text = std::str::from_utf8(&small.bytes[..small.length]).expect("digits are ASCII");
    let (digits, exponent) = text.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a small integer");
    if number < 0.0 {
        out.write_char('-')?;
    }
    let (first, rest) = digits.split_at(1);
    let rest = rest.strip_prefix('.').unwrap_or("");
    lay_out((first, rest), exponent, number < 0.0, out)
}

/// Writes `first`.`rest` times ten to the `exponent`.
fn lay_out(
    (first, rest): (&str, &str),
    exponent: i32,
    negative: bool,
    out: &mut impl Write,
) -> fmt::Result {
    let digits = 1 + rest.len() as i32;
    // Places of the last digit: negative behind the point.
    let last = exponent - rest.len() as i32;
    let zeros = |count: i32, out: &mut dyn Write| (0..count).try_for_each(|_| out.write_char('0'));
    if last >= 0 && exponent.abs() < digits + ZEROS_MAX - i32::from(negative) {
        out.write_str(first)?;
        out.write_str(rest)?;
        return zeros(last, out);
    }
    if last < 0 && (last > -ZEROS_MAX || exponent.abs() < 4) {
        if exponent < 0 {
            out.write_str("0.")?;
            zeros(-exponent - 1, out)?;
            out.write_str(first)?;
            return out.write_str(rest);
        }
        let (whole, fraction) = rest.split_at(exponent as usize);
        out.write_str(first)?;
        out.write_str(whole)?;
        out.write_char('.')?;
        return out.write_str(fraction);
    }
    out.write_str(first)?;
    if !rest.is_empty() {
        out.write_char('.')?;
        out.write_str(rest)?;
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    write!(out, "e{sign}{}", exponent.abs())
}

/// A number as text.
pub fn text(number: f64) -> String {
    let mut out = String::new();
    write(number, &mut out).expect("a string takes all that is written to it");
    out
}

/// With up to 17 places and no trailing zeros, as Redis writes coordinates.
pub fn places(number: f64) -> String {
    let text = format!("{number:.17}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".into() } else { short.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_laid_out_as_redis_does() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (-3.0, "-3"),
            (0.1, "0.1"),
            (-2.25, "-2.25"),
            (1234.5678, "1234.5678"),
            (123_456_789.123, "123456789.123"),
            (1e17, "100000000000000000"),
            (1e20, "1e+20"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
            (0.000_001, "0.000001"),
            (1e-7, "1e-7"),
            (0.001_234_567_8, "0.0012345678"),
            (0.000_012_3, "1.23e-5"),
            (std::f64::consts::PI, "3.141592653589793"),
            (f64::NAN, "nan"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(text(number), expected);
        }
    }

    #[test]
    fn text_reads_back() {
        let mut rng = crate::rng::Rng::new(3);
        for _ in 0..20_000 {
            let number = f64::from_bits(rng.draw());
            if !number.is_nan() {
                assert_eq!(text(number).parse::<f64>(), Ok(number));
            }
            let small = rng.below(1_000_000) as f64 / 1000.0;
            assert_eq!(text(small).parse::<f64>(), Ok(small));
        }
    }

    #[test]
    fn places_are_cut() {
        assert_eq!(places(13.361_389_338_970_184), "13.36138933897018433");
        assert_eq!(places(2.5), "2.5");
        assert_eq!(places(-10.0), "-10");
    }
}

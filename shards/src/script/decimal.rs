//! Numbers as text, the way C's `%g` and the double-to-text step of Redis write them.
//!
//! Source: ISO C 7.21.6.1, conversion `g`. Pure functions of the number.

/// Appends `number` as `%.<digits>g` does: at most `digits` significant digits, no trailing zeros,
/// an exponent of at least two digits where it is below -4 or not below `digits`.
pub(super) fn general(number: f64, digits: usize, out: &mut Vec<u8>) {
    if !number.is_finite() {
        return special(number, out);
    }
    let digits = digits.max(1);
    let scientific = format!("{:.*e}", digits - 1, number);
    let (mantissa, exponent) =
        scientific.split_once('e').expect("the format writes an exponent always");
    let exponent: i32 = exponent.parse().expect("the format writes a decimal exponent");
    if exponent >= -4 && exponent < digits as i32 {
        let places = (digits as i32 - 1 - exponent) as usize;
        out.extend_from_slice(without_zeros(&format!("{number:.places$}")).as_bytes());
    } else {
        with_exponent(without_zeros(mantissa), exponent, 2, out);
    }
}

/// Appends `number` in the fewest digits that read back as the same number, as doubles are written
/// to clients: plain from 1e-6 to below 1e21, else with an exponent.
pub(super) fn shortest(number: f64, out: &mut Vec<u8>) {
    if !number.is_finite() {
        return special(number, out);
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) =
        scientific.split_once('e').expect("the format writes an exponent always");
    let exponent: i32 = exponent.parse().expect("the format writes a decimal exponent");
    if (-6..21).contains(&exponent) {
        out.extend_from_slice(format!("{number}").as_bytes());
    } else {
        with_exponent(mantissa, exponent, 1, out);
    }
}

fn special(number: f64, out: &mut Vec<u8>) {
    let text = match (number.is_nan(), number.is_sign_negative()) {
        (true, true) => "-nan",
        (true, false) => "nan",
        (false, true) => "-inf",
        (false, false) => "inf",
    };
    out.extend_from_slice(text.as_bytes());
}

fn with_exponent(mantissa: &str, exponent: i32, width: usize, out: &mut Vec<u8>) {
    let sign = if exponent < 0 { '-' } else { '+' };
    out.extend_from_slice(format!("{mantissa}e{sign}{:0width$}", exponent.abs()).as_bytes());
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn g(number: f64, digits: usize) -> String {
        let mut out = Vec::new();
        general(number, digits, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn short(number: f64) -> String {
        let mut out = Vec::new();
        shortest(number, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn general_is_what_c_prints() {
        for (number, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (1.0 / 3.0, "0.33333333333333"),
            (1e14, "1e+14"),
            (12_345_678_901_234.0, "12345678901234"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (1.5e300, "1.5e+300"),
            (99_999_999_999_999.9, "1e+14"),
        ] {
            assert_eq!(g(number, 14), text);
        }
        assert_eq!(g(0.1, 17), "0.10000000000000001");
        assert_eq!(g(f64::INFINITY, 14), "inf");
    }

    #[test]
    fn shortest_reads_back() {
        for (number, text) in [
            (0.1, "0.1"),
            (3.25, "3.25"),
            (1e21, "1e+21"),
            (1e-7, "1e-7"),
            (-12.0, "-12"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(short(number), text);
        }
    }
}

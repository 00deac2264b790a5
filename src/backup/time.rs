//! Moments as people write them: RFC 3339 with any offset, or seconds since 1970.
//!
//! The calendar is the proleptic Gregorian one; day numbers are computed by shifting the year to
//! begin in March, so that the leap day comes last.

const SECONDS_PER_DAY: i64 = 86_400;
/// Days from the first of March of year 0 to the first of January 1970.
const DAYS_TO_1970: i64 = 719_468;
const DAYS_PER_ERA: i64 = 146_097;

/// A moment as `2026-11-21T08:30:00.250Z`.
#[must_use]
pub fn rfc3339(unix_ms: u64) -> String {
    let (seconds, ms) = ((unix_ms / 1000).cast_signed(), unix_ms % 1000);
    let (days, second) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The Unix milliseconds of a text: RFC 3339 (`T` or a blank between date and time; `Z` or an
/// offset), or seconds since 1970 with an optional fraction. A moment with fewer than three digits
/// of fraction is taken exactly. Nothing for anything else.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    match text.as_bytes().get(4) {
        Some(b'-') => parse_rfc3339(text),
        Some(_) | None => {
            let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
            number(seconds)?.checked_mul(1000)?.checked_add(milliseconds(fraction)?)
        }
    }
}

fn parse_rfc3339(text: &str) -> Option<u64> {
    let (date, rest) = text.split_at_checked(10)?;
    let [year, month, day] = fields(date, '-', [4, 2, 2])?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let [hour, minute, second] = fields(clock, ':', [2, 2, 2])?;
    let (ms, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|digit: char| !digit.is_ascii_digit())?;
            (milliseconds(&rest[..end])?, &rest[end..])
        }
        None => (0, rest),
    };
    let ahead = offset_seconds(zone)?;
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let month_days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    // Second 60 is a leap second; the clock of Unix counts it as the next one.
    if !(1..=month_days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
    u64::try_from(seconds - ahead).ok()?.checked_mul(1000)?.checked_add(ms)
}

fn fields<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut words = text.split(between);
    let mut found = [0; N];
    for (field, digits) in found.iter_mut().zip(digits) {
        let word = words.next().filter(|word| word.len() == digits)?;
        *field = number(word)?.cast_signed();
    }
    words.next().is_none().then_some(found)
}

fn number(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn milliseconds(fraction: &str) -> Option<u64> {
    number(fraction)?;
    let digits: String = fraction.chars().chain("00".chars()).take(3).collect();
    digits.parse().ok()
}

/// Seconds by which a zone is ahead of UTC.
fn offset_seconds(zone: &str) -> Option<i64> {
    let (sign, clock) = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => return Some(0),
        ("+", clock) => (1, clock),
        ("-", clock) => (-1, clock),
        _ => return None,
    };
    let [hours, minutes] = fields(clock, ':', [2, 2])?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Days from 1970 to a date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * DAYS_PER_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - DAYS_TO_1970
}

/// Year, month and day, so many days after 1970.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_TO_1970;
    let (era, of_era) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_in_every_form() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-21T08:30:00.250Z", 1_795_249_800_250),
            ("2026-11-21 09:30:00+01:00", 1_795_249_800_000),
            ("2024-02-29T23:59:60z", 1_709_251_200_000),
            ("1795249800", 1_795_249_800_000),
            ("1795249800.5", 1_795_249_800_500),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        for bad in [
            "",
            "x",
            "-1",
            "1.",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-1-01T00:00:00Z",
            "2026-01-01",
            "2026-01-01T00:00:00+1:00",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_for_every_day() {
        for day in (0..60_000).step_by(13) {
            let moment = day * 86_400_000 + 12_345_678;
            assert_eq!(parse(&rfc3339(moment)), Some(moment), "{}", rfc3339(moment));
        }
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
    }
}

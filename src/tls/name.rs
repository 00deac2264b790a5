//! What a certificate says of its holder: a name, and from when until when (RFC 5280).
//!
//! Only certificates that somebody has verified come here, but the reader believes nothing: every
//! length is checked, nothing recurses, and what it does not understand is no name.

/// Bytes of a name that is taken.
pub const NAME_BYTES_MAX: usize = 256;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const OCTETS: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xA0;
const EXTENSIONS: u8 = 0xA3;
/// UTF8String, PrintableString and IA5String: those whose bytes are UTF-8.
const TEXTS: [u8; 3] = [0x0C, 0x13, 0x16];
/// rfc822Name, dNSName and uniformResourceIdentifier, in the order of preference.
const ALTERNATIVES: [u8; 3] = [0x81, 0x82, 0x86];
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1D, 0x11];

/// What is taken from a certificate.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// The subject's common name; without one, its first alternative name: e-mail address before
    /// DNS name before URI. Nothing when there is none, it is not text, or common names are
    /// several.
    pub name: Option<String>,
    /// Unix seconds from which on it is valid.
    pub not_before: u64,
    /// Unix seconds until which it is valid.
    pub not_after: u64,
}

impl Facts {
    /// Of a certificate in DER; nothing where it does not have the form of one.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let mut outer = Der(Der(certificate).expect(SEQUENCE)?);
        let mut body = Der(outer.expect(SEQUENCE)?);
        body.skip_if(VERSION)?;
        // Serial number, algorithm and issuer.
        for _ in 0..3 {
            body.next()?;
        }
        let mut validity = Der(body.expect(SEQUENCE)?);
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        let subject = body.expect(SEQUENCE)?;
        let name = match common_name(subject)? {
            CommonName::One(name) => Some(name.to_owned()),
            CommonName::Unusable => None,
            CommonName::None => alternative_name(body),
        };
        Some(Self { name, not_before, not_after })
    }
}

enum CommonName<'a> {
    None,
    One(&'a str),
    /// Several, or none that is plain text: whoever is meant, it is not certain.
    Unusable,
}

fn common_name(subject: &[u8]) -> Option<CommonName<'_>> {
    let mut found = CommonName::None;
    let mut sets = Der(subject);
    while !sets.is_empty() {
        let mut set = Der(sets.expect(SET)?);
        while !set.is_empty() {
            let mut pair = Der(set.expect(SEQUENCE)?);
            if pair.expect(OBJECT_ID)? != COMMON_NAME {
                continue;
            }
            let (tag, bytes) = pair.next()?;
            found = match (found, usable(bytes)) {
                (CommonName::None, Some(name)) if TEXTS.contains(&tag) => CommonName::One(name),
                _ => CommonName::Unusable,
            };
        }
    }
    Some(found)
}

/// The best alternative name; `body` is what follows the subject.
fn alternative_name(mut body: Der<'_>) -> Option<String> {
    while !body.is_empty() {
        let (tag, bytes) = body.next()?;
        if tag != EXTENSIONS {
            continue;
        }
        let mut extensions = Der(Der(bytes).expect(SEQUENCE)?);
        while !extensions.is_empty() {
            let mut extension = Der(extensions.expect(SEQUENCE)?);
            if extension.expect(OBJECT_ID)? != SUBJECT_ALT_NAME {
                continue;
            }
            extension.skip_if(BOOLEAN)?;
            let names = Der(extension.expect(OCTETS)?).expect(SEQUENCE)?;
            return ALTERNATIVES.iter().find_map(|wanted| first_with(names, *wanted));
        }
    }
    None
}

fn first_with(names: &[u8], wanted: u8) -> Option<String> {
    let mut names = Der(names);
    while !names.is_empty() {
        let (tag, bytes) = names.next()?;
        if tag == wanted {
            return usable(bytes).filter(|name| name.is_ascii()).map(str::to_owned);
        }
    }
    None
}

fn usable(bytes: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(bytes).ok()?;
    let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX;
    (fits && !name.chars().any(char::is_control)).then_some(name)
}

/// Unix seconds of a time; times before 1970 are 1970.
fn time((tag, bytes): (u8, &[u8])) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('Z')?;
    let (year_digits, century) = match tag {
        UTC_TIME => (2, None),
        GENERALIZED_TIME => (4, Some(0)),
        _ => return None,
    };
    if text.len() != year_digits + 10 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = text.split_at(year_digits);
    let year: i64 = year.parse().ok()?;
    // RFC 5280, 4.1.2.5.1: two digits from 50 on are of the last century.
    let year = year + century.unwrap_or(if year >= 50 { 1900 } else { 2000 });
    let part = |at: usize| rest[at..at + 2].parse::<i64>().ok();
    let (month, day, hour) = (part(0)?, part(2)?, part(4)?);
    let (minute, second) = (part(6)?, part(8)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(u64::try_from(seconds).unwrap_or(0))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, counted in years that begin in March
/// so that the leap day is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Elements of DER one after the other (X.690): a tag of one byte, a length, that many bytes.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = match first {
            0..=0x7F => usize::from(first),
            0x81..=0x84 => {
                let (digits, after) = rest.split_at_checked(usize::from(first & 0x7F))?;
                rest = after;
                digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit))
            }
            _ => return None,
        };
        let (content, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some((tag, content))
    }

    fn expect(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == wanted).map(|(_, content)| content)
    }

    fn skip_if(&mut self, tag: u8) -> Option<()> {
        if self.0.first() == Some(&tag) {
            self.next()?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        params.self_signed(&key).expect("signed").der().to_vec()
    }

    fn name(change: impl FnOnce(&mut CertificateParams)) -> Option<String> {
        Facts::of(&certificate(change)).expect("a certificate").name
    }

    fn email(address: &str) -> SanType {
        SanType::Rfc822Name(address.try_into().expect("ASCII"))
    }

    fn dns(host: &str) -> SanType {
        SanType::DnsName(host.try_into().expect("ASCII"))
    }

    #[test]
    fn the_common_name_comes_first_then_alternatives() {
        let with_both = name(|params| {
            params.distinguished_name.push(DnType::OrganizationName, "o");
            params.distinguished_name.push(DnType::CommonName, "Zoë");
            params.subject_alt_names = vec![dns("a.example")];
        });
        assert_eq!(with_both.as_deref(), Some("Zoë"));
        let alternatives = name(|params| {
            params.subject_alt_names = vec![dns("a.example"), email("z@a.example")];
        });
        assert_eq!(alternatives.as_deref(), Some("z@a.example"));
        assert_eq!(name(|_| {}), None);
    }

    #[test]
    fn names_that_are_not_plain_text_are_none() {
        for bad in ["", "a\nb", "a\0b", &"x".repeat(NAME_BYTES_MAX + 1)] {
            let found = name(|params| {
                params.distinguished_name.push(DnType::CommonName, bad);
                params.subject_alt_names = vec![dns("a.example")];
            });
            assert_eq!(found, None, "{bad:?}");
        }
    }

    #[test]
    fn times_are_read() {
        let facts = Facts::of(&certificate(|params| {
            params.not_before = rcgen::date_time_ymd(2024, 2, 29);
            params.not_after = rcgen::date_time_ymd(2100, 3, 1);
        }));
        let facts = facts.expect("a certificate");
        assert_eq!((facts.not_before, facts.not_after), (1_709_164_800, 4_107_542_400));
        assert_eq!(time((UTC_TIME, b"700101000000Z")), Some(0));
        assert_eq!(time((UTC_TIME, b"500101000000Z")), Some(0));
        for bad in [&b"7001010000Z"[..], b"700101000000", b"70x101000000Z", b"701301000000Z"] {
            assert_eq!(time((UTC_TIME, bad)), None);
        }
    }

    #[test]
    fn damaged_certificates_are_no_panic() {
        let whole = certificate(|params| {
            params.distinguished_name.push(DnType::CommonName, "a");
            params.subject_alt_names = vec![dns("a.example")];
        });
        for length in 0..whole.len() {
            assert_eq!(Facts::of(&whole[..length]), None);
        }
        for at in 0..whole.len() {
            for flip in [0x01, 0x80, 0xFF] {
                let mut damaged = whole.clone();
                damaged[at] ^= flip;
                let _any = Facts::of(&damaged);
            }
        }
    }
}

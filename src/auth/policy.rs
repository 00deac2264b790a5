//! Which passwords are good enough. Existing ones, and hashes, are taken as they are.

use std::fmt;

/// Characters a password has at least.
pub const CHARS_MIN: usize = 8;
/// Bytes it has at most: what a caller can show.
pub const BYTES_MAX: usize = super::credential::SECRET_BYTES_MAX;

/// The most common passwords of at least eight characters in published lists, in lower case; they
/// are the first that anybody tries.
const COMMON: &[&str] = &[
    "00000000",
    "0123456789",
    "11111111",
    "112233445566",
    "12121212",
    "123123123",
    "12341234",
    "12344321",
    "123454321",
    "12345678",
    "123456789",
    "1234567890",
    "123456789a",
    "1234567891",
    "123456789q",
    "12345678910",
    "123456abc",
    "123qweasd",
    "147258369",
    "1q2w3e4r",
    "1q2w3e4r5t",
    "1qaz2wsx",
    "1qazxsw2",
    "66666666",
    "77777777",
    "87654321",
    "88888888",
    "987654321",
    "9876543210",
    "99999999",
    "a1234567",
    "a12345678",
    "aa123456",
    "aaaaaaaa",
    "abc12345",
    "abcd1234",
    "abcdefgh",
    "access14",
    "admin123",
    "admin1234",
    "administrator",
    "alexander",
    "asdasdasd",
    "asdf1234",
    "asdfasdf",
    "asdfghjk",
    "asdfghjkl",
    "asdfghjkl1",
    "babygirl",
    "barcelona",
    "baseball",
    "basketball",
    "blink182",
    "butterfly",
    "caroline",
    "changeit",
    "changeme",
    "changeme1",
    "changeme123",
    "charlie1",
    "chocolate",
    "christian",
    "computer",
    "corvette",
    "courtney",
    "danielle",
    "default1",
    "dragon123",
    "elephant",
    "einstein",
    "fernando",
    "firebird",
    "football",
    "football1",
    "garfield",
    "gfhjkm12",
    "google123",
    "guest123",
    "hello123",
    "hellohello",
    "iloveyou",
    "iloveyou1",
    "iloveyou2",
    "internet",
    "jennifer",
    "jonathan",
    "jordan23",
    "letmein1",
    "letmein123",
    "liverpool",
    "loveyou1",
    "lovelove",
    "margaret",
    "maverick",
    "mercedes",
    "metallica",
    "michelle",
    "midnight",
    "minecraft",
    "mustang1",
    "myspace1",
    "nicholas",
    "nintendo",
    "november",
    "p@ssw0rd",
    "p@ssword",
    "pa55word",
    "pa$$word",
    "pass1234",
    "passw0rd",
    "password",
    "password!",
    "password0",
    "password1",
    "password1!",
    "password12",
    "password123",
    "password1234",
    "password2",
    "patricia",
    "pokemon1",
    "postgres",
    "princess",
    "princess1",
    "q1w2e3r4",
    "q1w2e3r4t5",
    "qazwsx123",
    "qazwsxedc",
    "qwer1234",
    "qwert123",
    "qwerty12",
    "qwerty123",
    "qwerty1234",
    "qwerty12345",
    "qwertyui",
    "qwertyuiop",
    "redis123",
    "root1234",
    "rootroot",
    "samantha",
    "secret123",
    "security",
    "shadow12",
    "slipknot",
    "snowball",
    "spiderman",
    "starwars",
    "steelers",
    "sunshine",
    "sunshine1",
    "superman",
    "superman1",
    "synap123",
    "synapsynap",
    "test1234",
    "testtest",
    "trustno1",
    "user1234",
    "victoria",
    "welcome1",
    "welcome123",
    "whatever",
    "william1",
    "zaq12wsx",
    "zaq1zaq1",
    "zxcvbnm1",
    "zxcvbnm123",
];

/// Why a password is not good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weak {
    /// It has fewer than [`CHARS_MIN`] characters.
    Short,
    /// It has more than [`BYTES_MAX`] bytes.
    Long,
    /// It is one of those that everybody tries.
    Common,
    /// It is the name of its user.
    Name,
}

impl fmt::Display for Weak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => write!(f, "expected at least {CHARS_MIN} characters"),
            Self::Long => write!(f, "expected at most {BYTES_MAX} bytes"),
            Self::Common => f.write_str("it is among the most common passwords"),
            Self::Name => f.write_str("it is the name of its user"),
        }
    }
}

/// Whether a password may be set for a user of this name.
///
/// # Errors
/// What is wrong with it.
pub fn check(user: &str, password: &[u8]) -> Result<(), Weak> {
    if password.len() > BYTES_MAX {
        return Err(Weak::Long);
    }
    // Bytes that are not UTF-8 count as characters; nothing is gained by refusing them.
    let chars = std::str::from_utf8(password).map_or(password.len(), |text| text.chars().count());
    if chars < CHARS_MIN {
        return Err(Weak::Short);
    }
    let lower = zeroize::Zeroizing::new(password.to_ascii_lowercase());
    if COMMON.iter().any(|common| common.as_bytes() == &**lower) {
        return Err(Weak::Common);
    }
    if user.as_bytes().eq_ignore_ascii_case(password) {
        return Err(Weak::Name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_refuses_what_anybody_would_try() {
        for (password, weak) in [
            ("", Weak::Short),
            ("1234567", Weak::Short),
            ("ÄÖÜäöü7", Weak::Short),
            ("Password123", Weak::Common),
            ("CHANGEME", Weak::Common),
            ("Robinson", Weak::Name),
        ] {
            assert_eq!(check("robinson", password.as_bytes()), Err(weak), "{password}");
        }
        assert_eq!(check("a", &[b'x'; BYTES_MAX + 1]), Err(Weak::Long));
        assert_eq!(check("a", "ÄÖÜäöüßé".as_bytes()), Ok(()));
        assert_eq!(check("a", b"correct horse"), Ok(()));
    }

    #[test]
    fn the_list_holds_what_it_is_compared_with() {
        for common in COMMON {
            assert_eq!(*common, common.to_ascii_lowercase());
            assert!(common.len() >= CHARS_MIN, "{common} is refused as too short anyway");
        }
    }
}

//! Glob patterns as Redis understands them (`KEYS`, `SCAN MATCH`, `CONFIG GET`, ACL rules):
//! `*` any run of bytes, `?` one byte, `[abc]` `[a-z]` `[^a]` one byte of a set, `\` takes the next
//! byte as it is.
//!
//! Every element but `*` takes exactly one byte, so the last `*` is the only place to go back to:
//! matching takes at most pattern times text steps and no memory, whatever a client sends.

/// Whether the whole of `text` matches `pattern`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    matches_with(pattern, text, |byte| byte)
}

/// The same, upper and lower case ASCII letters taken as equal.
pub fn matches_ignoring_case(pattern: &[u8], text: &[u8]) -> bool {
    matches_with(pattern, text, |byte| byte.to_ascii_lowercase())
}

fn matches_with(pattern: &[u8], text: &[u8], fold: impl Fn(u8) -> u8) -> bool {
    let (mut p, mut t) = (0, 0);
    // Behind the last star, and where in the text to go on if what follows it fails.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() || p < pattern.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            if p == pattern.len() {
                return true;
            }
            star = Some((p, t));
            continue;
        }
        let step = if t < text.len() { one(&pattern[p..], fold(text[t]), &fold) } else { None };
        if let Some(taken) = step {
            p += taken;
            t += 1;
        } else {
            let Some((after_star, from)) = star else { return false };
            if from >= text.len() {
                return false;
            }
            star = Some((after_star, from + 1));
            (p, t) = (after_star, from + 1);
        }
    }
    true
}

/// Bytes of the element at the front of `pattern`, if it matches `byte`, which is folded.
fn one(pattern: &[u8], byte: u8, fold: &impl Fn(u8) -> u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => {
            let (found, taken) = class(rest, byte, fold);
            found.then_some(taken + 1)
        }
        [b'\\', escaped, ..] => (fold(*escaped) == byte).then_some(2),
        [literal, ..] => (fold(*literal) == byte).then_some(1),
    }
}

/// Whether `byte` is in the set whose inside begins `pattern`, and the set's length with its
/// bracket. A set that is never closed ends with the pattern.
fn class(pattern: &[u8], byte: u8, fold: &impl Fn(u8) -> u8) -> (bool, usize) {
    let negated = pattern.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match &pattern[at..] {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', escaped, ..] => {
                found |= fold(*escaped) == byte;
                at += 2;
            }
            [from, b'-', to, ..] => {
                let (from, to) = (fold(*from), fold(*to));
                found |= (from.min(to)..=from.max(to)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= fold(*literal) == byte;
                at += 1;
            }
        }
    }
    (found != negated, at)
}

/// The part of a pattern before its first special byte: every text it matches begins so.
pub fn literal_prefix(pattern: &[u8]) -> &[u8] {
    let special = |byte: &u8| matches!(byte, b'*' | b'?' | b'[' | b'\\');
    &pattern[..pattern.iter().position(special).unwrap_or(pattern.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("", "", true),
            ("", "a", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h*l*o", "hallo wo", true),
            ("h*l*o", "hallo wor", false),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hello", false),
            ("h[^e]llo", "hbllo", true),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("h\\*llo", "h*llo", true),
            ("h\\*llo", "heello", false),
            ("a\\", "a\\", true),
            ("[abc", "b", true),
            ("[", "[", false),
            ("[]", "a", false),
            ("[\\]]", "]", true),
            ("*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("**", "x", true),
            ("a*", "a", true),
            ("*a", "ba", true),
            ("*a", "bab", false),
            ("user:*:name", "user:1:2:name", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn case_can_be_ignored() {
        assert!(matches_ignoring_case(b"MAX[a-m]*", b"maxMemory"));
        assert!(!matches(b"MAX*", b"maxmemory"));
    }

    #[test]
    fn a_prefix_ends_at_the_first_special_byte() {
        assert_eq!(literal_prefix(b"user:*"), b"user:");
        assert_eq!(literal_prefix(b"plain"), b"plain");
        assert_eq!(literal_prefix(b"[x]"), b"");
    }
}

//! Selectors and the words that make them.

use synap_shards::command::table::{self, CommandId};

use super::*;
use crate::auth::ChangeRefused;

fn selector(rules: &str) -> Selector {
    let mut selector = Selector::default();
    for rule in rules.split_whitespace() {
        assert_eq!(selector.apply(rule), Ok(Some(())), "{rule}");
    }
    selector
}

fn command(name: &str) -> CommandId {
    table::by_name(name.as_bytes()).expect(name)
}

#[test]
fn keys_are_reached_as_far_as_their_patterns_say() {
    let selector = selector("~all:* %R~read:* %W~write:* %RW~both %r~ab %w~ab");
    for (name, reads, writes) in [
        (&b"all:1"[..], true, true),
        (b"read:1", true, false),
        (b"write:1", false, true),
        (b"both", true, true),
        (b"ab", true, true),
        (b"none", false, false),
    ] {
        assert_eq!(selector.reaches(name, true, false), reads);
        assert_eq!(selector.reaches(name, false, true), writes);
        assert_eq!(selector.reaches(name, true, true), reads && writes);
    }
    assert_eq!(selector.keys(), "~all:* %R~read:* %W~write:* ~both ~ab");
}

#[test]
fn channels_and_commands_are_apart_from_keys() {
    let selector = selector("~* &news.* +subscribe");
    assert!(selector.hears(b"news.1") && !selector.hears(b"other"));
    assert!(selector.runs(command("subscribe")) && !selector.runs(command("get")));
    assert!(!selector.is_everything());
    assert_eq!(selector.rules(), "~* resetchannels &news.* -@all +subscribe");
}

#[test]
fn only_all_of_everything_is_everything() {
    for (rules, expected) in [
        ("allkeys allchannels allcommands", true),
        ("~* &* +@all", true),
        ("%R~* %W~* &* +@all", true),
        ("%R~* &* +@all", false),
        ("~* &* +@all -get", false),
        ("~* &* +@all -get +@all", true),
        ("~* +@all", false),
        ("~* &* +@all resetkeys", false),
    ] {
        assert_eq!(selector(rules).is_everything(), expected, "{rules}");
    }
}

#[test]
fn what_means_something_else_here_is_refused() {
    for (rules, last, why) in [
        ("", "~a?", BadRule::Glob),
        ("", "~a[b]", BadRule::Glob),
        ("", "&a\\*", BadRule::Glob),
        ("", "~", BadRule::Pattern),
        ("", "~*********", BadRule::Pattern),
        ("", "~a b", BadRule::Syntax),
        ("", "%X~a", BadRule::Syntax),
        ("", "%R", BadRule::Syntax),
        ("", "%~a", BadRule::Syntax),
        ("", "+nope", BadRule::Unknown),
    ] {
        let before = selector(rules);
        let mut after = before.clone();
        assert_eq!(after.apply(last), Err(why), "{last}");
        assert_eq!(after, before);
    }
    for (rules, last) in [("~*", "~a"), ("&*", "&a"), ("allkeys", "%R~a")] {
        let error = selector(rules).apply(last).expect_err(last).to_string();
        assert!(error.starts_with("Adding a pattern after the * pattern"), "{error}");
    }
    assert_eq!(selector("").apply("whatever"), Ok(None));
    let mut many = Selector::default();
    for number in 0..selector::PATTERNS_MAX {
        assert_eq!(many.apply(&format!("~k{number}")), Ok(Some(())));
    }
    assert_eq!(many.apply("~k1"), Ok(Some(())), "it has it already");
    assert_eq!(many.apply("~more"), Err(BadRule::TooMany(selector::PATTERNS_MAX)));
}

fn read(line: &str) -> Result<Vec<Step>, String> {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    Step::read(&words).map_err(|why| why.to_string())
}

#[test]
fn words_are_refused_with_what_could_be_written_instead() {
    for (line, parts) in [
        ("on nopass", &["'nopass'", ">password"][..]),
        ("#0123", &["'#***'", "Argon2id", ">password"]),
        ("!0123", &["'!***'", "Argon2id"]),
        ("skip-sanitize-payload", &["always checked"]),
        ("zap", &["'zap'", "Syntax error"]),
        ("(~a", &["'(~a'", "Unmatched parenthesis"]),
        ("(~a zap)", &["Syntax error"]),
        ("(on)", &["Syntax error"]),
        ("~a?", &["'~a?'", "write one pattern for each"]),
        ("+select|0", &["first-arg"]),
        ("+@right:fly:kv:a", &["+@right:read,write:kv:app:*"]),
        ("+@right:read:nope:a", &["found `nope`"]),
        ("+@right:read:kv:%zz", &["+@right:"]),
    ] {
        let error = read(line).expect_err(line);
        assert!(error.starts_with("Error in ACL SETUSER modifier '"), "{error}");
        for part in parts {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
    let error = read(">secret1 >secret2 >secret3 <secret4 >secret5").expect_err("too many");
    assert!(!error.contains("secret"), "{error}");
    let many = vec!["on"; rule::STEPS_MAX + 1].join(" ");
    read(&many).expect_err("too many");
    let bytes: [&[u8]; 1] = [b"~\xff"];
    assert!(matches!(Step::read(&bytes), Err(ChangeRefused::Rule { .. })));
    let bytes: [&[u8]; 1] = [b">\xff\xfe12345678"];
    Step::read(&bytes).expect("passwords are any bytes");
}

#[test]
fn parentheses_hold_together_over_words() {
    for line in ["(~a +get)", "(~a) (+get) on", "( ~a  +get )", "()"] {
        read(line).expect(line);
    }
}

#[test]
fn no_words_bring_the_reader_down() {
    let mut dice = synap_shards::rng::Rng::new(11);
    let parts = [
        "+", "-", "@", "all", "read", "get", "client", "|", "id", "~", "%", "R", "w", "*", "a",
        "&", "(", ")", " ", "#", "!", ">", "<", "on", "reset", "keys", "@role:", "@right:",
        "read:kv:", "%2", "%20", "é", "\0", "?", "[",
    ];
    for _ in 0..20_000 {
        let word = |dice: &mut synap_shards::rng::Rng| -> String {
            (0..dice.below(5)).map(|_| parts[dice.below(parts.len())]).collect()
        };
        let words: Vec<String> = (0..1 + dice.below(3)).map(|_| word(&mut dice)).collect();
        let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
        let _any = Step::read(&words);
    }
}

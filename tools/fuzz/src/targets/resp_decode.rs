//! RESP requests: the decision does not depend on how the bytes were cut into pieces, and every
//! decision moves on; reading a short request in one pass comes to the same.

use synap::protocol::resp::decode::{Decoded, Decoder, RespLimits, ShortWords, decode};

use super::{Target, texts};

pub(crate) const TARGET: Target =
    Target { name: "resp_decode", seeds, dictionary: DICTIONARY, run };

const DICTIONARY: &[&[u8]] = &[
    b"\r\n",
    b"*1\r\n",
    b"$3\r\n",
    b"*-1\r\n",
    b"$-1\r\n",
    b"*0\r\n",
    b"\"",
    b"'",
    b"\\x41",
    b"\n",
    b"GET / HTTP/1.1\r\n",
    b"$0\r\n\r\n",
];

fn seeds() -> Vec<Vec<u8>> {
    texts(&[
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n*1\r\n$4\r\nPING\r\n",
        "*2\r\n$3\r\nGET\r\n$0\r\n\r\n",
        "PING\r\nSET \"a b\" 'c\\'d' \\x00\r\nGET k\n\r\n",
        "*0\r\n*-1\r\nQUIT\r\n",
    ])
}

const LIMITS: RespLimits = RespLimits { args_max: 64, bulk_bytes_max: 512, line_bytes_max: 128 };

/// What a decision comes to.
#[derive(PartialEq, Debug)]
enum Said {
    Request(Vec<Vec<u8>>, usize),
    Incomplete,
    Empty(usize),
    Broken(String),
}

fn said(decoded: Decoded<'_>, available: usize) -> Said {
    match decoded {
        Decoded::Request { words, consumed } => {
            Said::Request(words.iter().map(|word| word.to_vec()).collect(), consumed)
        }
        Decoded::Quoted { words, consumed } => Said::Request(words, consumed),
        Decoded::Incomplete { needs } => {
            assert!(needs > available, "{needs} bytes are wanted, {available} are there");
            Said::Incomplete
        }
        Decoded::Empty { consumed } => Said::Empty(consumed),
        Decoded::Broken(error) => Said::Broken(error.to_string()),
    }
}

fn run(input: &[u8]) {
    let mut rest = input;
    loop {
        let whole = said(decode(rest, &LIMITS), rest.len());
        let pieces = in_pieces(rest);
        assert_eq!(whole, pieces, "pieces decide as the whole does");
        let mut words = ShortWords::default();
        let short = Decoder::default().decode_short(rest, &LIMITS, &mut words);
        if let Some((count, consumed)) = short {
            let words = words[..count].iter().map(|word| word.to_vec()).collect();
            assert_eq!(whole, Said::Request(words, consumed), "the short way is the long one");
        }
        match whole {
            Said::Request(words, consumed) => {
                assert!(!words.is_empty() && consumed > 0 && consumed <= rest.len());
                rest = &rest[consumed..];
            }
            Said::Empty(consumed) => {
                assert!(consumed > 0 && consumed <= rest.len());
                rest = &rest[consumed..];
            }
            Said::Incomplete | Said::Broken(_) => return,
        }
    }
}

/// The first decision, with the input growing byte by byte.
fn in_pieces(input: &[u8]) -> Said {
    let mut decoder = Decoder::default();
    for end in 0..=input.len() {
        let answer = said(decoder.decode(&input[..end], &LIMITS), end);
        if answer != Said::Incomplete {
            return answer;
        }
    }
    Said::Incomplete
}

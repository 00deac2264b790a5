//! Tables of valid requests and of every way to break one, each at every split point.

use synap_shards::rng::Rng;

use super::*;

const LIMITS: RespLimits = RespLimits { args_max: 1000, bulk_bytes_max: 5000, line_bytes_max: 80 };

/// What was decoded, without borrowing.
#[derive(Clone, PartialEq, Debug)]
enum Seen {
    Words(Vec<Vec<u8>>, usize),
    Empty(usize),
    Broken(ProtocolError),
    Incomplete,
}

fn seen(decoded: Decoded<'_>, have: usize) -> Seen {
    match decoded {
        Decoded::Request { words, consumed } => {
            Seen::Words(words.iter().map(|word| word.to_vec()).collect(), consumed)
        }
        Decoded::Quoted { words, consumed } => Seen::Words(words, consumed),
        Decoded::Empty { consumed } => Seen::Empty(consumed),
        Decoded::Broken(error) => Seen::Broken(error),
        Decoded::Incomplete { needs } => {
            assert!(needs > have, "{needs} bytes are needed and {have} are there");
            Seen::Incomplete
        }
    }
}

fn whole(input: &[u8]) -> Seen {
    seen(decode(input, &LIMITS), input.len())
}

fn words(list: &[&str], consumed: usize) -> Seen {
    Seen::Words(list.iter().map(|word| word.as_bytes().to_vec()).collect(), consumed)
}

fn encode(list: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", list.len()).into_bytes();
    for word in list {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[test]
fn requests_are_decoded() {
    for (input, expected) in [
        ("*1\r\n$4\r\nPING\r\n", words(&["PING"], 14)),
        ("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n", words(&["GET", "k"], 20)),
        ("*2\r\n$3\r\nGET\r\n$0\r\n\r\n", words(&["GET", ""], 19)),
        ("*1\r\n$4\r\n\r\n\r\n\r\n", words(&["\r\n\r\n"], 14)),
        ("*0\r\n", Seen::Empty(4)),
        ("*-1\r\n", Seen::Empty(5)),
        ("\r\nPING\r\n", Seen::Empty(2)),
        ("\n", Seen::Empty(1)),
        ("  \t \r\n", Seen::Empty(6)),
        ("PING\r\n", words(&["PING"], 6)),
        ("PING\nPING", words(&["PING"], 5)),
        ("  set  k   v \r\n", words(&["set", "k", "v"], 15)),
        ("set k \"a \\x41\"\r\n", words(&["set", "k", "a A"], 16)),
        ("GET / HTTP/1.1\r\n", words(&["GET", "/", "HTTP/1.1"], 16)),
    ] {
        assert_eq!(whole(input.as_bytes()), expected, "{input:?}");
        at_every_split(input.as_bytes(), &expected);
    }
}

#[test]
fn every_way_to_break_the_protocol_has_its_error() {
    use ProtocolError::*;
    let endless = "1".repeat(100);
    let long_line = "x".repeat(100);
    for (input, error) in [
        ("*\r\n", InvalidMultibulkLength),
        ("*x\r\n", InvalidMultibulkLength),
        ("*+1\r\n", InvalidMultibulkLength),
        ("*01\r\n", InvalidMultibulkLength),
        ("*-0\r\n", InvalidMultibulkLength),
        ("* 1\r\n", InvalidMultibulkLength),
        ("*1 \r\n", InvalidMultibulkLength),
        ("*1\rx", InvalidMultibulkLength),
        ("*1001\r\n", InvalidMultibulkLength),
        ("*9223372036854775807\r\n", InvalidMultibulkLength),
        ("*99999999999999999999\r\n", InvalidMultibulkLength),
        (&format!("*{endless}"), TooBigCount),
        ("*1\r\nPING\r\n", ExpectedDollar { found: b'P' }),
        ("*1\r\n\r\n", ExpectedDollar { found: b'\r' }),
        ("*1\r\n:1\r\n", ExpectedDollar { found: b':' }),
        ("*1\r\n$\r\n", InvalidBulkLength),
        ("*1\r\n$-1\r\n", InvalidBulkLength),
        ("*1\r\n$5001\r\n", InvalidBulkLength),
        ("*1\r\n$1a\r\n", InvalidBulkLength),
        ("*1\r\n$18446744073709551617\r\n", InvalidBulkLength),
        (&format!("*1\r\n${endless}"), TooBigBulkCount),
        ("*1\r\n$1\r\nab\r\n", ExpectedLineEnd),
        ("*1\r\n$1\r\na\n\n", ExpectedLineEnd),
        (&long_line, TooBigInline),
        (&format!("{long_line}\r\n"), TooBigInline),
        ("set k \"a\r\n", UnbalancedQuotes),
        ("set k 'a'b\r\n", UnbalancedQuotes),
        ("POST / HTTP/1.1\r\n", CrossProtocol),
        ("Host: localhost\r\n", CrossProtocol),
        ("post \"x\"\r\n", CrossProtocol),
    ] {
        assert_eq!(whole(input.as_bytes()), Seen::Broken(error), "{input:?}");
        at_every_split(input.as_bytes(), &Seen::Broken(error));
    }
}

/// The short way answers as the long one, or not at all.
fn agrees(input: &[u8]) {
    let mut words = ShortWords::default();
    let short = Decoder::default().decode_short(input, &LIMITS, &mut words);
    if let Some((count, consumed)) = short {
        let expected = Decoded::Request { words: Words::from_slice(&words[..count]), consumed };
        assert_eq!(decode(input, &LIMITS), expected);
    }
}

#[test]
fn a_short_request_is_read_in_one_pass() {
    let encode =
        |list: &[&[u8]]| encode(&list.iter().map(|word| word.to_vec()).collect::<Vec<_>>());
    for list in [&[&b"GET"[..], b"k"][..], &[b"SET", b"", &[b'v'; 999]], &[&b"a"[..]; 6]] {
        let input = encode(list);
        let mut words = ShortWords::default();
        let short = Decoder::default().decode_short(&input, &LIMITS, &mut words);
        assert_eq!(short, Some((list.len(), input.len())));
        assert_eq!(&words[..list.len()], list);
    }
    for list in [&[&[b'v'; 1000][..]][..], &[&b"a"[..]; 7], &[]] {
        let (input, mut words) = (encode(list), ShortWords::default());
        assert_eq!(Decoder::default().decode_short(&input, &LIMITS, &mut words), None);
    }
}

/// Feeds `input` in two pieces for every split point, then byte by byte: the first answer that is
/// not "incomplete" is the expected one.
fn at_every_split(input: &[u8], expected: &Seen) {
    for split in 0..=input.len() {
        agrees(&input[..split]);
        let mut decoder = Decoder::default();
        let mut answer = seen(decoder.decode(&input[..split], &LIMITS), split);
        if answer == Seen::Incomplete {
            answer = seen(decoder.decode(input, &LIMITS), input.len());
        }
        assert_eq!(answer, *expected, "{:?} split at {split}", String::from_utf8_lossy(input));
    }
    let mut decoder = Decoder::default();
    let answer = (0..=input.len())
        .map(|end| seen(decoder.decode(&input[..end], &LIMITS), end))
        .find(|answer| *answer != Seen::Incomplete);
    assert_eq!(answer.as_ref(), Some(expected));
}

#[test]
fn random_words_come_back_in_pieces_of_any_size() {
    let mut rng = Rng::new(7);
    for _ in 0..60 {
        let count = 1 + rng.below(120);
        let list: Vec<Vec<u8>> =
            (0..count).map(|_| (0..rng.below(60)).map(|_| rng.draw() as u8).collect()).collect();
        let input = encode(&list);
        let expected = Seen::Words(list, input.len());
        let (mut decoder, mut end) = (Decoder::default(), 0);
        let answer = loop {
            let answer = seen(decoder.decode(&input[..end], &LIMITS), end);
            if answer != Seen::Incomplete {
                break answer;
            }
            agrees(&input[..end]);
            end = input.len().min(end + 1 + rng.below(40));
        };
        assert_eq!(answer, expected);
        assert_eq!(decoder.held_bytes(), 0, "a complete request leaves nothing behind");
    }
}

#[test]
fn a_claim_costs_nothing_and_is_only_a_lower_bound() {
    let mut decoder = Decoder::default();
    let limits = RespLimits::default();
    let claim = b"*1048576\r\n$536870912\r\nx";
    let Decoded::Incomplete { needs } = decoder.decode(claim, &limits) else {
        panic!("most of it is missing");
    };
    assert_eq!(needs, 22 + 536_870_912 + 2 + 1_048_575 * 6);
    assert_eq!(decoder.held_bytes(), 0);
}

#[test]
fn needs_never_exceeds_the_request() {
    let input = encode(&(0..100).map(|n| vec![b'x'; n % 7]).collect::<Vec<_>>());
    for end in 0..input.len() {
        let mut decoder = Decoder::default();
        for decoded in [decode(&input[..end], &LIMITS), decoder.decode(&input[..end], &LIMITS)] {
            let Decoded::Incomplete { needs } = decoded else { panic!("it is cut at {end}") };
            assert!(needs > end && needs <= input.len(), "{needs} at {end}");
        }
    }
}

#[test]
fn a_decoder_goes_on_behind_a_long_request() {
    let long = encode(&vec![b"word".to_vec(); 500]);
    let mut input = long.clone();
    input.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    let mut decoder = Decoder::default();
    assert_eq!(seen(decoder.decode(&long[..long.len() - 3], &LIMITS), 0), Seen::Incomplete);
    assert!(decoder.held_bytes() > 0);
    let Decoded::Request { words: first, consumed } = decoder.decode(&input, &LIMITS) else {
        panic!("it is complete");
    };
    assert_eq!((first.len(), consumed), (500, long.len()));
    assert_eq!(seen(decoder.decode(&input[consumed..], &LIMITS), 0), words(&["PING"], 14));
}

#[test]
fn texts_are_those_of_redis() {
    let text = ProtocolError::ExpectedDollar { found: b'x' }.to_string();
    assert_eq!(text, "Protocol error: expected '$', got 'x'");
    assert_eq!(
        ProtocolError::ExpectedDollar { found: b'\r' }.to_string(),
        "Protocol error: expected '$', got ' '"
    );
}

//! The HTTP decoder as a table: what it takes, what it refuses, and that neither depends on where
//! the input was split.

use synap::protocol::http::decode::{Decoded, HttpDecoder};

const BODY_BYTES_MAX: usize = 1024;

/// What one decoding came to, free of lifetimes.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Outcome {
    Request { method: String, path: String, query: String, body: Vec<u8>, keep: bool, used: usize },
    Broken(u16),
    Incomplete,
}

fn step(decoder: &mut HttpDecoder, input: &[u8]) -> Outcome {
    loop {
        return match decoder.decode(input, BODY_BYTES_MAX) {
            Decoded::Request(request) => Outcome::Request {
                method: request.method.to_owned(),
                path: request.path.to_owned(),
                query: request.query.to_owned(),
                body: request.body.to_vec(),
                keep: request.keep_alive,
                used: request.consumed,
            },
            Decoded::SendContinue => continue,
            Decoded::Incomplete { needs } => {
                assert!(needs > 0, "a decoder that needs nothing would spin");
                Outcome::Incomplete
            }
            Decoded::Broken(error) => Outcome::Broken(error.status),
        };
    }
}

fn whole(input: &[u8]) -> Outcome {
    step(&mut HttpDecoder::new(), input)
}

/// Decodes with the input growing byte by byte from `first` bytes on.
fn grown(input: &[u8], first: usize, by: usize) -> Outcome {
    let mut decoder = HttpDecoder::new();
    let mut length = first;
    loop {
        match step(&mut decoder, &input[..length]) {
            Outcome::Incomplete if length < input.len() => length = (length + by).min(input.len()),
            outcome => return outcome,
        }
    }
}

fn assert_independent_of_splits(input: &[u8]) {
    let expected = whole(input);
    assert_eq!(grown(input, 0, 1), expected, "{:?}", String::from_utf8_lossy(input));
    for split in 0..input.len() {
        assert_eq!(grown(input, split, input.len()), expected, "split at {split}");
    }
}

fn body_of(outcome: Outcome) -> Vec<u8> {
    match outcome {
        Outcome::Request { body, .. } => body,
        other => panic!("expected a request, found {other:?}"),
    }
}

#[test]
fn valid_requests_are_taken_whole_and_in_pieces() {
    let cases: &[(&str, &str, &str, &str, bool)] = &[
        ("GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "/a", "", "", true),
        ("\r\nGET /a HTTP/1.1\r\nHost:\r\n\r\n", "/a", "", "", true),
        (
            "GET /a?b=c&d HTTP/1.1\r\nhOsT: x:1\r\nConnection: Close\r\n\r\n",
            "/a",
            "b=c&d",
            "",
            false,
        ),
        ("GET / HTTP/1.0\r\n\r\n", "/", "", "", false),
        ("GET / HTTP/1.0\r\nConnection: foo, Keep-Alive\r\n\r\n", "/", "", "", true),
        ("GET http://h:1/p?q HTTP/1.1\r\nHost: h:1\r\n\r\n", "/p", "q", "", true),
        ("GET HTTP://h HTTP/1.1\r\nHost: h\r\n\r\n", "/", "", "", true),
        ("GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n", "/", "q", "", true),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "*", "", "", true),
        ("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "/a", "", "abc", true),
        ("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "/a", "", "", true),
        (
            "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n\
             3\r\nabc\r\nA ; x=\"y\"\r\n0123456789\r\n00\r\nTrailer: v\r\n\r\n",
            "/a",
            "",
            "abc0123456789",
            true,
        ),
        (
            "PUT /a HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\nab",
            "/a",
            "",
            "ab",
            true,
        ),
    ];
    for (text, path, query, body, keep) in cases {
        let Outcome::Request { path: p, query: q, body: b, keep: k, used, .. } =
            whole(text.as_bytes())
        else {
            panic!("{text:?}: {:?}", whole(text.as_bytes()))
        };
        assert_eq!((&*p, &*q, &*b, k), (*path, *query, body.as_bytes(), *keep), "{text:?}");
        assert_eq!(used, text.len(), "{text:?}");
        assert_independent_of_splits(text.as_bytes());
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let host = "Host: x\r\n";
    let post = |headers: &str, rest: &str| format!("POST / HTTP/1.1\r\n{host}{headers}\r\n{rest}");
    let chunked = |rest: &str| post("Transfer-Encoding: chunked\r\n", rest);
    let cases: Vec<(String, u16)> = vec![
        (post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", ""), 400),
        (post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", ""), 400),
        (post("Content-Length: 3\r\nContent-Length: 3\r\n", ""), 400),
        (post("Content-Length: 3\r\nContent-Length: 4\r\n", ""), 400),
        (post("Content-Length: 3, 3\r\n", ""), 400),
        (post("Content-Length: -1\r\n", ""), 400),
        (post("Content-Length: +1\r\n", ""), 400),
        (post("Content-Length: 0x1\r\n", ""), 400),
        (post("Content-Length:\r\n", ""), 400),
        (post("Content-Length: 99999999999999999999\r\n", ""), 400),
        (post("Content-Length : 1\r\n", "a"), 400),
        (post("Content-Length: 1025\r\n", ""), 413),
        (post("Transfer-Encoding: gzip\r\n", ""), 501),
        (post("Transfer-Encoding: gzip, chunked\r\n", ""), 501),
        (post("Transfer-Encoding: chunked, gzip\r\n", ""), 400),
        (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ""), 400),
        (post("Transfer-Encoding: \r\n", ""), 400),
        (post("Transfer-Encoding : chunked\r\n", ""), 400),
        (post("A: b\r\n folded\r\n", ""), 400),
        (post("A: b\nC: d\r\n", ""), 400),
        (post("A: b\rC: d\r\n", ""), 400),
        (post("A: b\0\r\n", ""), 400),
        (post("Expect: 200-ok\r\n", ""), 417),
        ("GET / HTTP/1.1\n\n".to_owned(), 400),
        ("\nGET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: x y\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n".to_owned(), 505),
        ("GET / HTTP/1.2\r\nHost: x\r\n\r\n".to_owned(), 505),
        ("GET / HTTP/1.1x\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("GET a HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("GET http:///p HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("GET * HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("*3\r\n$3\r\nSET\r\n\r\n".to_owned(), 400),
        ("\x16\x03\x01\r\n\r\n".to_owned(), 400),
        (chunked("g\r\n"), 400),
        (chunked("-1\r\n"), 400),
        (chunked("+1\r\n"), 400),
        (chunked("0x1\r\n"), 400),
        (chunked("\r\n"), 400),
        (chunked("1 \r\na\r\n"), 400),
        (chunked("1\na\r\n"), 400),
        (chunked("1;a\rb\r\na\r\n"), 400),
        (chunked("1\r\nab\r\n"), 400),
        (chunked("ffffffffffffffff\r\n"), 400),
        (chunked("fffffffffffffff\r\n"), 413),
        (chunked("401\r\n"), 413),
        (chunked(&format!("1;{}\r\na\r\n", "x".repeat(300))), 400),
        (chunked("0\r\nno colon\r\n\r\n"), 400),
        (chunked("0\r\nA : b\r\n\r\n"), 400),
        (chunked(&format!("0\r\nA: {}\r\n", "x".repeat(9000))), 400),
    ];
    for (text, status) in &cases {
        assert_eq!(whole(text.as_bytes()), Outcome::Broken(*status), "{text:?}");
        assert_eq!(grown(text.as_bytes(), 0, 1), Outcome::Broken(*status), "{text:?}");
    }
}

#[test]
fn heads_are_bounded_whether_they_end_or_not() {
    let long_line = format!("GET /{} HTTP/1.1\r\n", "a".repeat(16 * 1024));
    assert_eq!(whole(long_line.as_bytes()), Outcome::Broken(414));
    assert_eq!(whole(&long_line.as_bytes()[..16 * 1024 + 1]), Outcome::Broken(414));
    let long_head = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}", "a".repeat(64 * 1024));
    assert_eq!(whole(long_head.as_bytes()), Outcome::Broken(431));
    let many =
        |count: usize| format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert_eq!(whole(many(100).as_bytes()), Outcome::Broken(431));
    assert!(matches!(whole(many(99).as_bytes()), Outcome::Request { .. }));
}

#[test]
fn chunk_framing_is_bounded() {
    let mut text = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let chunk = format!("1;{}\r\na\r\n", "x".repeat(200));
    for _ in 0..200 {
        text.extend_from_slice(chunk.as_bytes());
    }
    assert_eq!(whole(&text), Outcome::Broken(413));
}

#[test]
fn pipelined_requests_come_one_by_one_and_garbage_behind_them_is_refused() {
    let text = b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n\
        POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab\
        POST /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n\
        garbage\r\n\r\n";
    for by in 1..text.len() {
        let mut decoder = HttpDecoder::new();
        let (mut start, mut end, mut paths) = (0, by, Vec::new());
        loop {
            match step(&mut decoder, &text[start..end]) {
                Outcome::Request { path, used, .. } => {
                    paths.push(path);
                    start += used;
                }
                Outcome::Incomplete => end = (end + by).min(text.len()),
                Outcome::Broken(status) => {
                    assert_eq!(status, 400);
                    break;
                }
            }
        }
        assert_eq!(paths, ["/1", "/2", "/3"]);
    }
}

#[test]
fn leave_to_send_is_given_once_and_only_while_nothing_came() {
    let head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let mut decoder = HttpDecoder::new();
    assert!(matches!(decoder.decode(head, BODY_BYTES_MAX), Decoded::SendContinue));
    assert!(matches!(decoder.decode(head, BODY_BYTES_MAX), Decoded::Incomplete { needs: 2 }));
    let mut begun = head.to_vec();
    begun.push(b'a');
    assert!(matches!(decoder.decode(&begun, BODY_BYTES_MAX), Decoded::Incomplete { needs: 1 }));
    begun.push(b'b');
    assert!(matches!(decoder.decode(&begun, BODY_BYTES_MAX), Decoded::Request(_)));

    let mut decoder = HttpDecoder::new();
    assert!(matches!(decoder.decode(&begun[..head.len() + 1], 10), Decoded::Incomplete { .. }));
    let refused =
        b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n";
    let decoded = HttpDecoder::new().decode(refused, 10).clone_status();
    assert_eq!(decoded, Some(413));
}

trait Status {
    fn clone_status(&self) -> Option<u16>;
}

impl Status for Decoded<'_> {
    fn clone_status(&self) -> Option<u16> {
        if let Decoded::Broken(error) = self { Some(error.status) } else { None }
    }
}

#[test]
fn an_empty_body_of_chunks_does_not_reach_into_the_next_request() {
    let text = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET";
    let Outcome::Request { used, body, .. } = whole(text) else { panic!("it is whole") };
    assert_eq!((used, body.len()), (text.len() - 3, 0));
    assert_eq!(body_of(whole(text)), b"");
}

/// A small generator, so that the test is the same on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }
}

#[test]
fn random_bytes_never_panic_and_splits_never_matter() {
    const PIECES: &[&str] = &[
        "GET ",
        "POST ",
        "/",
        "http://",
        " HTTP/1.1",
        "\r\n",
        "\r",
        "\n",
        "Host: x",
        "\r\n\r\n",
        "Content-Length: ",
        "Transfer-Encoding: chunked",
        "0",
        "5",
        "a",
        ":",
        " ",
        "\0",
        "\u{ff}",
        "Expect: 100-continue",
        "0\r\n\r\n",
        "%",
        "?",
        "GET / HTTP/1.1\r\nHost: x\r\n",
    ];
    let mut dice = Dice(7);
    for _ in 0..20_000 {
        let mut input = Vec::new();
        for _ in 0..dice.roll(12) {
            match dice.roll(8) {
                0 => input.push(u8::try_from(dice.roll(256)).expect("a byte")),
                _ => input.extend_from_slice(PIECES[dice.roll(PIECES.len())].as_bytes()),
            }
        }
        assert_eq!(whole(&input), grown(&input, 0, 1), "{:?}", String::from_utf8_lossy(&input));
    }
}

//! HTTP requests: the decision does not depend on how the bytes were cut into pieces, and what is
//! read is inside what was sent.

use synap::protocol::http::decode::{Decoded, HttpDecoder};

use super::{Target, texts};

pub(crate) const TARGET: Target =
    Target { name: "http_decode", seeds, dictionary: DICTIONARY, run };

const DICTIONARY: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 6\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b" folded\r\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b";ext=1",
    b"%2f",
    b"%zz",
    b"Host: a\r\n",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"\t",
];

const BODY_BYTES_MAX: usize = 256;

fn seeds() -> Vec<Vec<u8>> {
    texts(&[
        "GET /kv/get/key?x=1&y=%20 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
        "POST /kv/set HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n\
         {\"key\":\"abc\"}GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /kv/set HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n3;a=b\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    ])
}

/// What a decision comes to.
#[derive(PartialEq, Debug)]
enum Said {
    Request { path: String, body: Vec<u8>, keep_alive: bool, consumed: usize },
    Incomplete,
    Continue,
    Broken(String),
}

fn decide(decoder: &mut HttpDecoder, input: &[u8]) -> Said {
    match decoder.decode(input, BODY_BYTES_MAX) {
        Decoded::Request(request) => {
            assert!(request.consumed > 0 && request.consumed <= input.len());
            assert!(request.body.len() <= BODY_BYTES_MAX, "the body is bounded");
            let path = format!("{} {}?{}", request.method, request.path, request.query);
            let (body, keep_alive) = (request.body.to_vec(), request.keep_alive);
            Said::Request { path, body, keep_alive, consumed: request.consumed }
        }
        Decoded::Incomplete { needs } => {
            assert!(needs > 0, "an incomplete request needs something");
            Said::Incomplete
        }
        Decoded::SendContinue => Said::Continue,
        Decoded::Broken(error) => Said::Broken(format!("{error:?}")),
    }
}

fn run(input: &[u8]) {
    let mut rest = input;
    loop {
        let whole = first(rest, rest.len());
        assert_eq!(whole, first(rest, 0), "pieces decide as the whole does");
        let Said::Request { consumed, .. } = whole else { return };
        rest = &rest[consumed..];
    }
}

/// The first decision that is not to wait, with the input growing byte by byte from `start`.
fn first(input: &[u8], start: usize) -> Said {
    let mut decoder = HttpDecoder::new();
    let mut continues = 0;
    let mut end = start;
    while end <= input.len() {
        match decide(&mut decoder, &input[..end]) {
            Said::Continue => {
                continues += 1;
                assert_eq!(continues, 1, "leave is given once per request");
            }
            Said::Incomplete => end += 1,
            other => return other,
        }
    }
    Said::Incomplete
}

//! The cases: what is sent, in pieces of which size, and what has to come until the server closes.
//! Numbered as in the Autobahn suite, whose descriptions they follow.

use crate::client::{Reply, masked};

/// One case.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// Bytes per write.
    pub(crate) step: usize,
    pub(crate) expected: Vec<Reply>,
}

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
/// The same without the bit that ends a message.
const TEXT_PART: u8 = 0x01;
const PART: u8 = 0x00;
const LAST: u8 = 0x80;

const WHOLE: usize = usize::MAX;

fn text(text: &str) -> Reply {
    Reply::Text(text.to_owned())
}

fn pong(body: &[u8]) -> Reply {
    Reply::Pong(body.to_vec())
}

fn closing(code: u16, reason: &[u8]) -> Vec<u8> {
    masked(CLOSE, &[&code.to_be_bytes(), reason].concat())
}

#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    /// A case at whose end the client closes in order.
    fn good(&mut self, name: &str, step: usize, frames: &[Vec<u8>], expected: &[Reply]) {
        let mut bytes = frames.concat();
        bytes.extend(closing(1000, b""));
        let mut expected = expected.to_vec();
        expected.push(Reply::Close(Some(1000)));
        self.0.push(Case { name: name.to_owned(), bytes, step, expected });
    }

    /// A case that the server ends with this code.
    fn bad(&mut self, name: &str, step: usize, frames: &[Vec<u8>], expected: &[Reply], code: u16) {
        let mut expected = expected.to_vec();
        expected.push(Reply::Close(Some(code)));
        self.0.push(Case { name: name.to_owned(), bytes: frames.concat(), step, expected });
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Cases::default();
    sizes(&mut cases);
    pings(&mut cases);
    reserved(&mut cases);
    fragments(&mut cases);
    stray_fragments(&mut cases);
    utf8(&mut cases);
    closes(&mut cases);
    limits(&mut cases);
    cases.0
}

fn sizes(cases: &mut Cases) {
    let sizes = [0, 125, 126, 127, 128, 65_535, 65_536];
    for (at, size) in sizes.into_iter().enumerate() {
        let body = "*".repeat(size);
        let name = format!("1.1.{}", at + 1);
        cases.good(&name, WHOLE, &[masked(TEXT, body.as_bytes())], &[text(&body)]);
        let body = vec![0xfe; size];
        let name = format!("1.2.{}", at + 1);
        cases.good(&name, WHOLE, &[masked(BINARY, &body)], &[Reply::Binary(body)]);
    }
    let body = "*".repeat(65_536);
    cases.good("1.1.8", 997, &[masked(TEXT, body.as_bytes())], &[text(&body)]);
    let body = vec![0xfe; 65_536];
    cases.good("1.2.8", 997, &[masked(BINARY, &body)], &[Reply::Binary(body)]);
}

fn pings(cases: &mut Cases) {
    let odd = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff";
    cases.good("2.1", WHOLE, &[masked(PING, b"")], &[pong(b"")]);
    cases.good("2.2", WHOLE, &[masked(PING, b"Hello, world!")], &[pong(b"Hello, world!")]);
    cases.good("2.3", WHOLE, &[masked(PING, odd)], &[pong(odd)]);
    cases.good("2.4", WHOLE, &[masked(PING, &[0xfe; 125])], &[pong(&[0xfe; 125])]);
    cases.bad("2.5", WHOLE, &[masked(PING, &[0xfe; 126])], &[], 1002);
    cases.good("2.6", 1, &[masked(PING, &[0xfe; 125])], &[pong(&[0xfe; 125])]);
    cases.good("2.7", WHOLE, &[masked(PONG, b"")], &[]);
    cases.good("2.8", WHOLE, &[masked(PONG, b"unsolicited")], &[]);
    let unasked = [masked(PONG, b"unsolicited"), masked(PING, b"ping")];
    cases.good("2.9", WHOLE, &unasked, &[pong(b"ping")]);
    let bodies: Vec<String> = (0..10).map(|number| format!("payload-{number}")).collect();
    let sent: Vec<_> = bodies.iter().map(|body| masked(PING, body.as_bytes())).collect();
    let expected: Vec<_> = bodies.iter().map(|body| pong(body.as_bytes())).collect();
    cases.good("2.10", WHOLE, &sent, &expected);
    cases.good("2.11", 1, &sent, &expected);
}

/// Sections 3 and 4: bits and opcodes without a meaning.
fn reserved(cases: &mut Cases) {
    let hello = masked(TEXT, b"Hello, world!");
    let ping = masked(PING, b"");
    for bits in 1..8 {
        let odd = masked(TEXT | bits << 4, b"Hello, world!");
        let (frames, expected) = (vec![hello.clone(), odd, ping.clone()], [text("Hello, world!")]);
        for (name, step) in [("whole", WHOLE), ("chopped", 3), ("octets", 1)] {
            cases.bad(&format!("3.{bits} {name}"), step, &frames, &expected, 1002);
        }
        let alone = [masked(TEXT | bits << 4, b"Hello, world!")];
        cases.bad(&format!("3.{bits} alone"), WHOLE, &alone, &[], 1002);
        for (kind, first) in [("binary", BINARY), ("ping", PING), ("close", CLOSE)] {
            let name = format!("3.{bits} {kind}");
            cases.bad(&name, WHOLE, &[masked(first | bits << 4, b"\x03\xe8")], &[], 1002);
        }
    }
    for (section, opcodes) in [("4.1", 3..8_u8), ("4.2", 11..16)] {
        for (at, opcode) in opcodes.enumerate() {
            let name = |rest: &str| format!("{section}.{} {rest}", at + 1);
            let odd = |body: &[u8]| masked(0x80 | opcode, body);
            cases.bad(&name("empty"), WHOLE, &[odd(b"")], &[], 1002);
            cases.bad(&name("with a body"), WHOLE, &[odd(b"reserved")], &[], 1002);
            let after = [hello.clone(), odd(b"reserved"), ping.clone()];
            cases.bad(&name("behind text"), WHOLE, &after, &[text("Hello, world!")], 1002);
            cases.bad(&name("in octets"), 1, &after, &[text("Hello, world!")], 1002);
        }
    }
}

fn fragments(cases: &mut Cases) {
    cases.bad("5.1", WHOLE, &[masked(0x09, b"a"), masked(LAST, b"b")], &[], 1002);
    cases.bad("5.2", WHOLE, &[masked(0x0a, b"a"), masked(LAST, b"b")], &[], 1002);
    let two = [masked(TEXT_PART, b"fragment1"), masked(LAST, b"fragment2")];
    for (name, step) in [("5.3", WHOLE), ("5.4", 9), ("5.5", 1)] {
        cases.good(name, step, &two, &[text("fragment1fragment2")]);
    }
    let between =
        [masked(TEXT_PART, b"fragment1"), masked(PING, b"ping"), masked(LAST, b"fragment2")];
    for (name, step) in [("5.6", WHOLE), ("5.7", 9), ("5.8", 1)] {
        cases.good(name, step, &between, &[pong(b"ping"), text("fragment1fragment2")]);
    }
    let five = |pings: bool| {
        let mut frames = vec![masked(TEXT_PART, b"fragment1"), masked(PART, b"fragment2")];
        if pings {
            frames.push(masked(PING, b"one"));
        }
        frames.extend([masked(PART, b"fragment3"), masked(PART, b"fragment4")]);
        if pings {
            frames.push(masked(PING, b"two"));
        }
        frames.push(masked(LAST, b"fragment5"));
        frames
    };
    let whole = text("fragment1fragment2fragment3fragment4fragment5");
    let ponged = [pong(b"one"), pong(b"two"), whole.clone()];
    cases.good("5.19", WHOLE, &five(true), &ponged);
    cases.good("5.20", 1, &five(true), &ponged);
    cases.good("5 five parts", WHOLE, &five(false), &[whole]);
}

fn stray_fragments(cases: &mut Cases) {
    let hello = masked(TEXT, b"Hello, world!");
    for (name, first) in [("5.9", LAST), ("5.12", PART)] {
        let frames = [masked(first, b"non-continuation payload"), hello.clone()];
        cases.bad(name, WHOLE, &frames, &[], 1002);
        cases.bad(&format!("{name} chopped"), 5, &frames, &[], 1002);
        cases.bad(&format!("{name} octets"), 1, &frames, &[], 1002);
    }
    let after_message = [
        masked(TEXT_PART, b"fragment1"),
        masked(LAST, b"fragment2"),
        masked(PART, b"fragment3"),
        masked(LAST, b"fragment4"),
    ];
    cases.bad("5.15", WHOLE, &after_message, &[text("fragment1fragment2")], 1002);
    for (name, first) in [("5.16", PART), ("5.17", LAST)] {
        let frames =
            [masked(first, b"fragment1"), masked(TEXT_PART, b"fragment2"), masked(LAST, b"3")];
        cases.bad(name, WHOLE, &frames, &[], 1002);
    }
    let twice = [masked(TEXT_PART, b"fragment1"), masked(TEXT, b"fragment2")];
    cases.bad("5.18", WHOLE, &twice, &[], 1002);
}

/// Texts that are UTF-8; the last four are at the edges of the planes.
const GOOD_TEXTS: &[&str] = &[
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\u{0}",
    "\u{80}",
    "\u{800}",
    "\u{10000}",
    "\u{7f}",
    "\u{7ff}",
    "\u{ffff}",
    "\u{10ffff}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{fffd}",
    "\u{fffe}",
    "\u{1fffe}",
    "\u{ffffe}",
];

/// Bytes that are none.
const BAD_TEXTS: &[&[u8]] = &[
    // Longer than characters get.
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xf7\xbf\xbf\xbf",
    b"\xfb\xbf\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf\xbf",
    b"\xf4\x90\x80\x80",
    // Continuations of nothing.
    b"\x80",
    b"\xbf",
    b"\x80\xbf",
    b"\x80\xbf\x80\xbf\x80\xbf",
    // Beginnings of nothing.
    b"\xc0 \xc1 \xc2 \xdf ",
    b"\xe0 \xe1 \xef ",
    b"\xf0 \xf4 \xf7 ",
    b"\xf8 \xfb ",
    b"\xfc \xfd ",
    // The last byte is missing.
    b"\xc0",
    b"\xe0\x80",
    b"\xf0\x80\x80",
    b"\xdf",
    b"\xef\xbf",
    b"\xce\xba\xe1\xbd",
    // No byte of any text.
    b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff",
    // More bytes than needed.
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xc0\x80",
    b"\xe0\x80\x80",
    // Halves of pairs.
    b"\xed\xa0\x80",
    b"\xed\xad\xbf",
    b"\xed\xae\x80",
    b"\xed\xaf\xbf",
    b"\xed\xb0\x80",
    b"\xed\xbe\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xed\xaf\xbf\xed\xbf\xbf",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
];

fn utf8(cases: &mut Cases) {
    cases.good("6.1.1", WHOLE, &[masked(TEXT, b"")], &[text("")]);
    let empty = [masked(TEXT_PART, b""), masked(PART, b""), masked(LAST, b"")];
    cases.good("6.1.2", WHOLE, &empty, &[text("")]);
    let middle = [masked(TEXT_PART, b""), masked(PART, b"middle"), masked(LAST, b"")];
    cases.good("6.1.3", WHOLE, &middle, &[text("middle")]);
    for (at, good) in GOOD_TEXTS.iter().enumerate() {
        let bytes = good.as_bytes();
        let name = |rest: &str| format!("6 good {at} {rest}");
        cases.good(&name("whole"), WHOLE, &[masked(TEXT, bytes)], &[text(good)]);
        cases.good(&name("octets"), 1, &[masked(TEXT, bytes)], &[text(good)]);
        let mut parts: Vec<Vec<u8>> = vec![masked(TEXT_PART, b"")];
        parts.extend(bytes.iter().map(|byte| masked(PART, &[*byte])));
        parts.push(masked(LAST, b""));
        cases.good(&name("byte by byte"), WHOLE, &parts, &[text(good)]);
    }
    for (at, bad) in BAD_TEXTS.iter().enumerate() {
        let name = |rest: &str| format!("6 bad {at} {rest}");
        cases.bad(&name("whole"), WHOLE, &[masked(TEXT, bad)], &[], 1007);
        cases.bad(&name("octets"), 1, &[masked(TEXT, bad)], &[], 1007);
        let parts = [masked(TEXT_PART, b"before"), masked(PART, bad), masked(LAST, b"")];
        cases.bad(&name("in parts"), WHOLE, &parts, &[], 1007);
    }
    // 6.4: what cannot become a text is refused before the rest of it has come.
    let mut unfinished = masked(TEXT_PART, b"\xce\xba\xf4\x90and more");
    unfinished.truncate(unfinished.len() - 4);
    cases.bad("6.4 within a frame", WHOLE, &[unfinished], &[], 1007);
    let waiting = [masked(TEXT_PART, b"\xce\xba"), masked(PART, b"\xf4"), masked(PART, b"\x90")];
    cases.bad("6.4 within a message", WHOLE, &waiting, &[], 1007);
}

fn closes(cases: &mut Cases) {
    let hello = masked(TEXT, b"Hello, world!");
    cases.good("7.1.1", WHOLE, std::slice::from_ref(&hello), &[text("Hello, world!")]);
    let close = closing(1000, b"");
    let behind: [(&str, Vec<Vec<u8>>); 3] = [
        ("7.1.2", vec![close.clone(), close.clone()]),
        ("7.1.3", vec![close.clone(), masked(PING, b"")]),
        ("7.1.4", vec![close.clone(), hello]),
    ];
    for (name, frames) in behind {
        cases.bad(name, WHOLE, &frames, &[], 1000);
    }
    let within = [masked(TEXT_PART, b"fragment1"), close.clone(), masked(LAST, b"fragment2")];
    cases.bad("7.1.5", WHOLE, &within, &[], 1000);
    let large = "BAsd7&jh23".repeat(26_214);
    let frames = [masked(TEXT, large.as_bytes()), close, masked(PING, b"")];
    cases.bad("7.1.6", WHOLE, &frames, &[text(&large)], 1000);
    let none = Case {
        name: "7.3.1".to_owned(),
        bytes: masked(CLOSE, b""),
        step: WHOLE,
        expected: vec![Reply::Close(None)],
    };
    cases.0.push(none);
    cases.bad("7.3.2", WHOLE, &[masked(CLOSE, b"a")], &[], 1002);
    cases.bad("7.3.3", WHOLE, &[closing(1000, b"")], &[], 1000);
    cases.bad("7.3.4", WHOLE, &[closing(1000, b"Hello World!")], &[], 1000);
    cases.bad("7.3.5", WHOLE, &[closing(1000, &[b'*'; 123])], &[], 1000);
    cases.bad("7.3.6", WHOLE, &[closing(1000, &[b'*'; 124])], &[], 1002);
    let reason = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited";
    cases.bad("7.5.1", WHOLE, &[closing(1000, reason)], &[], 1007);
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        cases.bad(&format!("7.7 {code}"), WHOLE, &[closing(code, b"")], &[], code);
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.bad(&format!("7.9 {code}"), WHOLE, &[closing(code, b"")], &[], 1002);
    }
}

/// Sections 9 and 10: large messages, whole and in many parts.
fn limits(cases: &mut Cases) {
    for size in [256 * 1024, 1024 * 1024, 4 * 1024 * 1024] {
        let body = vec![0x5a; size];
        let name = format!("9.2 {size}");
        cases.good(&name, WHOLE, &[masked(BINARY, &body)], &[Reply::Binary(body)]);
        let body = "é".repeat(size / 2);
        let name = format!("9.1 {size}");
        cases.good(&name, 65_536, &[masked(TEXT, body.as_bytes())], &[text(&body)]);
    }
    let body = "*".repeat(65_536);
    let mut parts: Vec<Vec<u8>> =
        body.as_bytes().chunks(1300).map(|part| masked(PART, part)).collect();
    let first = &mut parts[0];
    first[0] = TEXT_PART;
    let last = parts.last_mut().expect("there are some");
    last[0] = LAST;
    cases.good("10.1.1", WHOLE, &parts, &[text(&body)]);
    for size in [64, 256, 1024] {
        let body = "x".repeat(256 * 1024);
        let mut parts: Vec<Vec<u8>> =
            body.as_bytes().chunks(size).map(|part| masked(PART, part)).collect();
        parts[0][0] = TEXT_PART;
        parts.last_mut().expect("there are some")[0] = LAST;
        cases.good(&format!("9.3 {size}"), WHOLE, &parts, &[text(&body)]);
    }
}

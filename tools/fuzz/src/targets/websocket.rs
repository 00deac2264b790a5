//! WebSocket frames: what is decided does not depend on how the bytes were cut into pieces, and a
//! message is bounded.

use synap::protocol::ws::{Decoded, Decoder, Message};

use super::Target;

pub(crate) const TARGET: Target = Target { name: "websocket", seeds, dictionary: DICTIONARY, run };

const DICTIONARY: &[&[u8]] = &[
    b"\x81\x80\x00\x00\x00\x00",
    b"\x01\x81\x00\x00\x00\x00\xc3",
    b"\x80\x81\x00\x00\x00\x00\xa9",
    b"\x89\x80\x00\x00\x00\x00",
    b"\x8a\x80\x00\x00\x00\x00",
    b"\x88\x82\x00\x00\x00\x00\x03\xe8",
    b"\x82\xfe\x00\x80",
    b"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00",
    b"\xed\xa0\x80",
    b"\xf4\x90",
];

const BYTES_MAX: usize = 256;

fn seeds() -> Vec<Vec<u8>> {
    vec![
        b"\x81\x85\x01\x02\x03\x04Idomn".to_vec(),
        b"\x01\x83\x00\x00\x00\x00\xe2\x82\xac\x89\x82\x00\x00\x00\x00hi\x80\x80\x00\x00\x00\x00"
            .to_vec(),
        b"\x82\xfe\x00\x80\x00\x00\x00\x00".iter().copied().chain([7; 128]).collect(),
        b"\x88\x85\x00\x00\x00\x00\x03\xe8bye".to_vec(),
    ]
}

fn run(input: &[u8]) {
    let whole = all(input, input.len().max(1));
    for step in [1, 2, 5] {
        assert_eq!(whole, all(input, step), "pieces decide as the whole does");
    }
}

/// Everything that is decided, with the input coming in pieces.
fn all(input: &[u8], step: usize) -> Vec<Decoded> {
    let (mut decoder, mut held, mut said) = (Decoder::default(), Vec::new(), Vec::new());
    for piece in input.chunks(step) {
        held.extend_from_slice(piece);
        loop {
            let (used, decoded) = decoder.decode(&held, BYTES_MAX);
            held.drain(..used);
            match &decoded {
                Decoded::Incomplete => break,
                Decoded::Message(message) => {
                    let length = match message {
                        Message::Text(text) => text.len(),
                        Message::Binary(bytes) => bytes.len(),
                        Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
                        Message::Close(close) => close.reason.len(),
                    };
                    assert!(length <= BYTES_MAX, "a message is bounded");
                    said.push(decoded);
                }
                Decoded::Broken(_) => {
                    said.push(decoded);
                    return said;
                }
            }
        }
        assert!(held.len() < 14, "only a header may wait");
    }
    said
}

//! What scripts find to decode bytes with: whatever they are given, they raise an error or answer.

use std::cell::RefCell;

use synap_shards::command::reply::Reply;
use synap_shards::types::Thresholds;

use super::Target;
use super::solo::Solo;

pub(crate) const TARGET: Target = Target {
    name: "script_decoders",
    seeds,
    dictionary: &[
        b"[",
        b"{\"a\":",
        b"\\ud834",
        b"\xdd\xff\xff\xff\xff",
        b"\xc7",
        b"<i4",
        b"s",
        b">d",
    ],
    run,
};

fn seeds() -> Vec<Vec<u8>> {
    vec![
        b"{\"a\": [1, 2.5e3, \"x\\u00e9\\ud834\\udd1e\", null, true], \"b\": {}}".to_vec(),
        [
            &b"\x83\xa1a\x93\x01\xcb@\x09!\xfbTD-\x18\xc0"[..],
            b"\xa1b\xdc\0\x02\xd0\xff\xc4\x01x\xa1c\xda\0\x01z",
        ]
        .concat(),
        b"<i4>I2bhs\0\x01\x02\x03\x04\x05abc\0".to_vec(),
    ]
}

/// The first half of the input is the format of `struct.unpack`.
const SCRIPT: &[u8] = b"local bytes, format = ARGV[1], ARGV[2]\n\
    pcall(cjson.decode, bytes)\n\
    pcall(cmsgpack.unpack, bytes)\n\
    pcall(cmsgpack.unpack_limit, bytes, 3, 1)\n\
    pcall(struct.unpack, format, bytes)\n\
    pcall(struct.size, format)\n\
    local held, value = pcall(cmsgpack.unpack, bytes)\n\
    if held then pcall(cmsgpack.pack, value) pcall(cjson.encode, value) end\n\
    return 1";

fn run(input: &[u8]) {
    thread_local! {
        // An interpreter costs more than an input; nothing that a script does outlives it.
        static SOLO: RefCell<Solo> = RefCell::new(Solo::new(&Thresholds::default()));
    }
    let format = &input[..input.len() / 2];
    let words: [&[u8]; 5] = [b"EVAL", SCRIPT, b"0", input, format];
    let reply = SOLO.with_borrow_mut(|solo| solo.run(&words));
    assert_eq!(reply, Reply::Integer(1), "an error stays within the script");
}

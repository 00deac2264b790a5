//! JSON bodies: reading answers, and what is read and written again is read the same.

use synap::protocol::json;

use super::{Target, texts};

pub(crate) const TARGET: Target = Target { name: "json_body", seeds, dictionary: DICTIONARY, run };

const DICTIONARY: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b"\\",
    b"null",
    b"1e999",
    b"-0.0",
    b"[[[[[[[[[[[[[[[[",
    b"{\"a\":",
    b"=",
    b"AA==",
];

fn seeds() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"key":"a","value":"b","ttl":10,"nx":true}"#,
        r#"{"value":{"base64":"AAEC/w=="},"list":[1,2.5,"x\n",null]}"#,
        r#"["a","\u00e9\ud83d\ude00",[1,[2,[3]]]]"#,
        r#"{"a":{"b":{"c":[]}}}"#,
    ])
}

fn run(input: &[u8]) {
    // The members are slices of the input; reading them is all that can go wrong.
    let members_are_read = json::object(input).is_ok();
    let Ok(text) = std::str::from_utf8(input) else { return };
    assert_eq!(members_are_read, json::object(text.as_bytes()).is_ok());
    if let Ok(items) = json::array(text) {
        let mut compact = Vec::new();
        json::compact(text, &mut compact);
        let compact = String::from_utf8(compact).expect("blanks are whole characters");
        let again = json::array(&compact).expect("a compact array is an array");
        assert_eq!(items.len(), again.len());
    }
    let mut out = Vec::new();
    json::write_bytes(&mut out, input);
    out.clear();
    json::write_str(&mut out, text);
    let written = std::str::from_utf8(&out).expect("written JSON is text");
    assert_eq!(json::string(written).ok().as_deref(), Some(text));
    if let Some(bytes) = json::base64(text) {
        let mut encoded = Vec::new();
        json::write_base64(&mut encoded, &bytes);
    }
}

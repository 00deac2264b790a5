//! Writing changes as JSON (RFC 8259). Bytes that are not UTF-8 stand in base64 (RFC 4648, 4) under
//! a name with `_base64` behind it, so that no change loses a byte.

/// The members of one object.
#[derive(Debug)]
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

/// The objects of one list.
#[derive(Debug)]
pub(crate) struct List<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

impl<'o> Object<'o> {
    /// Members to be appended to `out`; braces are the caller's.
    pub(crate) fn over(out: &'o mut Vec<u8>) -> Self {
        Self { out, is_first: true }
    }

    fn name(&mut self, name: &str, suffix: &str) {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(suffix.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// A byte string: text, or base64 under another name.
    pub(crate) fn bytes(&mut self, name: &str, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                self.name(name, "");
                write_text(self.out, text);
            }
            Err(_) => {
                self.name(name, "_base64");
                self.out.push(b'"');
                write_base64(self.out, bytes);
                self.out.push(b'"');
            }
        }
    }

    /// The same, or null.
    pub(crate) fn bytes_or_null(&mut self, name: &str, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bytes(name, bytes),
            None => self.null(name),
        }
    }

    /// Null.
    pub(crate) fn null(&mut self, name: &str) {
        self.raw(name, "null");
    }

    /// A whole number.
    pub(crate) fn number(&mut self, name: &str, number: u64) {
        self.raw(name, &number.to_string());
    }

    /// The same, or null.
    pub(crate) fn number_or_null(&mut self, name: &str, number: Option<u64>) {
        match number {
            Some(number) => self.number(name, number),
            None => self.null(name),
        }
    }

    /// True or false.
    pub(crate) fn truth(&mut self, name: &str, truth: bool) {
        self.raw(name, if truth { "true" } else { "false" });
    }

    /// A score: a number, a text where it is infinite, or null.
    pub(crate) fn score(&mut self, name: &str, score: Option<f64>) {
        match score {
            None => self.null(name),
            Some(score) if score == f64::INFINITY => self.raw(name, "\"inf\""),
            Some(score) if score == f64::NEG_INFINITY => self.raw(name, "\"-inf\""),
            Some(score) => self.raw(name, &score.to_string()),
        }
    }

    /// What is JSON already.
    pub(crate) fn raw(&mut self, name: &str, json: &str) {
        self.name(name, "");
        self.out.extend_from_slice(json.as_bytes());
    }

    /// A list of objects that `write` makes.
    pub(crate) fn list(&mut self, name: &str, write: impl FnOnce(&mut List<'_>)) {
        self.name(name, "");
        self.out.push(b'[');
        write(&mut List { out: self.out, is_first: true });
        self.out.push(b']');
    }

    /// Pairs of byte strings, as objects `{"name": .., "value": ..}`: names may come twice.
    pub(crate) fn pairs<'p>(
        &mut self,
        name: &str,
        pairs: impl Iterator<Item = (&'p [u8], &'p [u8])>,
    ) {
        self.list(name, |list| {
            for (name, value) in pairs {
                list.object(|object| {
                    object.bytes("name", name);
                    object.bytes("value", value);
                });
            }
        });
    }
}

impl List<'_> {
    /// One object more.
    pub(crate) fn object(&mut self, write: impl FnOnce(&mut Object<'_>)) {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        self.out.push(b'{');
        write(&mut Object::over(self.out));
        self.out.push(b'}');
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let (bytes, mut from) = (text.as_bytes(), 0);
    for (at, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[from..at]);
        from = at + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let is_there = digit <= chunk.len();
            let bits = (word >> (18 - 6 * digit)) as usize % 64;
            out.push(if is_there { ALPHABET[bits] } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_form() {
        let mut out = Vec::new();
        let mut object = Object::over(&mut out);
        object.bytes("a", "q\"\\\n\u{1}ü".as_bytes());
        object.bytes("b", b"\xff");
        object.bytes("c", b"\xff\x00");
        object.bytes("d", b"\xff\x00\x01");
        object.bytes_or_null("e", None);
        object.score("f", Some(1.5));
        object.score("g", Some(f64::NEG_INFINITY));
        object.list("h", |list| {
            list.object(|object| object.truth("x", true));
            list.object(|object| object.number("y", 7));
        });
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\"a\":\"q\\\"\\\\\\n\\u0001ü\",\"b_base64\":\"/w==\",\"c_base64\":\"/wA=\",\
             \"d_base64\":\"/wAB\",\"e\":null,\"f\":1.5,\"g\":\"-inf\",\
             \"h\":[{\"x\":true},{\"y\":7}]"
        );
    }
}

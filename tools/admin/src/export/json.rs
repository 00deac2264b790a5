//! The JSON forms of an export: entries as objects, the checksum at the end, and reading a
//! document of any size in constant memory.

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc32c::crc32c_append;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::error::AdminError;

/// What the document says it is.
pub(crate) const FORMAT: &str = "synap-export";
/// What the first line of the other form says.
pub(crate) const FORMAT_LINES: &str = "synap-export-lines";
/// Version of both.
pub(crate) const VERSION: u64 = 1;
/// What stands before the checksum, in both.
pub(super) const CRC_MARK: &str = ",\"crc32c\":\"";
/// Bytes at the end of a file in which the checksum is looked for.
const TAIL_BYTES: u64 = 64;
const READ_BYTES: usize = 256 * 1024;

/// An entry as JSON.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<u64>,
}

fn either(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

fn bytes(text: Option<String>, base64: Option<String>) -> Option<Vec<u8>> {
    match (text, base64) {
        (Some(text), None) => Some(text.into_bytes()),
        (None, Some(base64)) => STANDARD.decode(base64).ok(),
        (Some(_), Some(_)) | (None, None) => None,
    }
}

/// An entry as an object.
pub(crate) fn encode(entry: &Entry, now_ms: u64) -> Vec<u8> {
    let (key, key_base64) = either(&entry.key);
    let (value, value_base64) = either(&entry.value);
    let expires_at_ms = entry.deadline_ms;
    let ttl_ms = expires_at_ms.map(|deadline| deadline.saturating_sub(now_ms));
    let line = Line { key, key_base64, value, value_base64, ttl_ms, expires_at_ms };
    serde_json::to_vec(&line).expect("text and numbers")
}

fn entry(line: Line, now_ms: u64) -> Option<Entry> {
    let key = bytes(line.key, line.key_base64)?;
    let value = bytes(line.value, line.value_base64)?;
    let later = line.ttl_ms.map(|ttl| now_ms.saturating_add(ttl));
    Some(Entry { key, value, deadline_ms: line.expires_at_ms.or(later) })
}

/// An object as an entry; nothing when it is none.
pub(crate) fn decode(text: &[u8], now_ms: u64) -> Option<Entry> {
    entry(serde_json::from_slice(text).ok()?, now_ms)
}

/// Compares the checksum at the end of a file with its bytes; whether there is one.
pub(crate) fn check(path: &Path) -> Result<bool, AdminError> {
    let open = || -> std::io::Result<(File, u64)> {
        let mut file = File::open(path)?;
        let bytes = file.seek(SeekFrom::End(0))?;
        Ok((file, bytes))
    };
    let failed = AdminError::file("read", path);
    let found = open().and_then(|(mut file, bytes)| {
        let start = bytes.saturating_sub(TAIL_BYTES);
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.read_to_end(&mut tail)?;
        let Some(at) = find_last(&tail, CRC_MARK.as_bytes()) else { return Ok(None) };
        let stated = tail.get(at + CRC_MARK.len()..at + CRC_MARK.len() + 8);
        let stated = stated.map(|digits| String::from_utf8_lossy(digits).into_owned());
        file.seek(SeekFrom::Start(0))?;
        Ok(Some((stated, checksum(file.take(start + at as u64))?)))
    });
    match found.map_err(failed)? {
        None => Ok(false),
        Some((Some(stated), crc)) if stated == format!("{crc:08x}") => Ok(true),
        Some((stated, crc)) => {
            let stated = stated.unwrap_or_default();
            let what = format!("damaged: its checksum is {crc:08x}, expected {stated}");
            Err(AdminError::Damaged { path: path.to_owned(), what })
        }
    }
}

fn checksum(mut input: impl Read) -> std::io::Result<u32> {
    let mut buffer = vec![0; READ_BYTES];
    let mut crc = 0;
    loop {
        match input.read(&mut buffer)? {
            0 => return Ok(crc),
            count => crc = crc32c_append(crc, &buffer[..count]),
        }
    }
}

fn find_last(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).rposition(|window| window == wanted)
}

/// What comes out of a document.
pub(crate) enum Part {
    /// A key.
    Entry(Entry),
    /// A section of another type than keys with strings, and how many values it holds.
    Section(String, u64),
}

type Sink<'a> = dyn FnMut(Part) -> Result<(), AdminError> + 'a;

/// Hands out the parts of a document as they are read.
pub(crate) fn walk(
    path: &Path,
    input: impl Read,
    now_ms: u64,
    sink: &mut Sink<'_>,
) -> Result<(), AdminError> {
    let failure = Cell::new(None);
    let buffered = BufReader::with_capacity(READ_BYTES, input);
    let mut deserializer = serde_json::Deserializer::from_reader(buffered);
    let document = Document { sink, failure: &failure, now_ms };
    let read = deserializer.deserialize_map(document).and_then(|()| deserializer.end());
    match (failure.take(), read) {
        (Some(failure), _) => Err(failure),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) => {
            Err(AdminError::Damaged { path: path.to_owned(), what: error.to_string() })
        }
    }
}

struct Document<'a, 's> {
    sink: &'a mut Sink<'s>,
    /// Why the sink took no more; serde's error cannot carry it.
    failure: &'a Cell<Option<AdminError>>,
    now_ms: u64,
}

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an export document")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let (mut named, mut read, mut stated) = (false, 0, None);
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "format" => {
                    named = map.next_value::<String>()? == FORMAT;
                }
                "version" => {
                    let found = map.next_value::<u64>()?;
                    if found > VERSION {
                        let text = format!("version {found}, this program reads {VERSION}");
                        return Err(serde::de::Error::custom(text));
                    }
                }
                "created_at" | "offset" | "crc32c" => {
                    map.next_value::<IgnoredAny>()?;
                }
                "entries" => stated = Some(map.next_value::<u64>()?),
                "kv" => read += map.next_value_seed(Entries { document: &mut self })?,
                _ => {
                    let count = map.next_value::<Vec<IgnoredAny>>()?.len() as u64;
                    self.hand(Part::Section(name, count))?;
                }
            }
        }
        if !named {
            return Err(serde::de::Error::custom("expected the format synap-export"));
        }
        if stated.is_some_and(|stated| stated != read) {
            return Err(serde::de::Error::custom(format!("{read} entries, stated otherwise")));
        }
        Ok(())
    }
}

impl Document<'_, '_> {
    fn hand<E: serde::de::Error>(&mut self, part: Part) -> Result<(), E> {
        (self.sink)(part).map_err(|error| {
            self.failure.set(Some(error));
            E::custom("stopped")
        })
    }
}

/// The section of keys; its value is how many there are.
struct Entries<'b, 'a, 's> {
    document: &'b mut Document<'a, 's>,
}

impl<'de> DeserializeSeed<'de> for Entries<'_, '_, '_> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_, '_, '_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of keys")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<u64, A::Error> {
        let mut count = 0;
        while let Some(line) = seq.next_element::<Line>()? {
            let entry = entry(line, self.document.now_ms);
            let expected = "expected key or key_base64, and value or value_base64";
            let entry = entry.ok_or_else(|| serde::de::Error::custom(expected))?;
            self.document.hand(Part::Entry(entry))?;
            count += 1;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_any_bytes_survive() {
        for (key, value, deadline_ms) in
            [(&b"k"[..], &b"v\n\""[..], None), (b"\xff", b"\xfe\0", Some(1500)), (b"", b"", None)]
        {
            let entry = Entry { key: key.to_vec(), value: value.to_vec(), deadline_ms };
            assert_eq!(decode(&encode(&entry, 1000), 9), Some(entry));
        }
        let text = br#"{"key":"k","value":"v","ttl_ms":5}"#;
        assert_eq!(decode(text, 100).unwrap().deadline_ms, Some(105));
        for bad in [r#"{"key":"k"}"#, r#"{"key":"k","key_base64":"aw==","value":""}"#, "[]"] {
            assert_eq!(decode(bad.as_bytes(), 0), None, "{bad}");
        }
    }

    fn parts(text: &str) -> Result<(usize, Vec<String>), AdminError> {
        let (mut entries, mut sections) = (0, Vec::new());
        walk(Path::new("x"), text.as_bytes(), 0, &mut |part| {
            match part {
                Part::Entry(_) => entries += 1,
                Part::Section(name, count) => sections.push(format!("{name}:{count}")),
            }
            Ok(())
        })?;
        Ok((entries, sections))
    }

    #[test]
    fn documents_are_read_and_strange_ones_refused() {
        let text = r#"{"format":"synap-export","version":1,"offset":7,"created_at":"x",
            "kv":[{"key":"a","value":"b"},{"key":"c","value":"d"}],"hash":[{"key":1}],"list":[]}"#;
        let found = parts(text).unwrap();
        assert_eq!(found, (2, vec!["hash:1".to_owned(), "list:0".to_owned()]));
        for bad in [
            "{}",
            "[1]",
            r#"{"format":"other","kv":[]}"#,
            r#"{"format":"synap-export","version":2,"kv":[]}"#,
            r#"{"format":"synap-export","kv":[{"key":"a"}]}"#,
            r#"{"format":"synap-export","kv":[],"entries":1}"#,
            r#"{"format":"synap-export","kv":[]"#,
        ] {
            assert!(parts(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_the_sink_says_comes_back() {
        let text = r#"{"format":"synap-export","kv":[{"key":"a","value":"b"}]}"#;
        let stop = |_| Err(AdminError::Found("enough".to_owned()));
        match walk(Path::new("x"), text.as_bytes(), 0, &mut { stop }) {
            Err(AdminError::Found(text)) => assert_eq!(text, "enough"),
            other => panic!("{other:?}"),
        }
    }
}

//! A message of publish and subscribe as those see it who do not speak RESP: one JSON object, in a
//! WebSocket frame, an event of a stream, or alone. Also what of it travels between cores beside
//! channel and payload.

use std::sync::Arc;

use super::json;
use super::ws::frame::{self, Opcode};

/// What a message has beside its channel and payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Extra {
    /// Its id, a UUID.
    pub id: [u8; 16],
    /// Unix seconds at which it was published.
    pub unix_secs: u64,
    /// The payload is JSON, not text.
    pub is_json: bool,
    /// A JSON object of strings; empty without.
    pub metadata: Vec<u8>,
}

/// Bytes of a packed [`Extra`] before its metadata.
const PACKED: usize = 1 + 16 + 8;

impl Extra {
    /// As bytes, for another core.
    pub fn pack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(PACKED + self.metadata.len());
        out.push(u8::from(self.is_json));
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&self.unix_secs.to_le_bytes());
        out.extend_from_slice(&self.metadata);
        out
    }

    /// What [`Extra::pack`] packed.
    pub fn unpack(bytes: &[u8]) -> Self {
        let (first, rest) = bytes.split_first().expect("packed by another core");
        let (id, rest) = rest.split_first_chunk().expect("packed by another core");
        let (secs, metadata) = rest.split_first_chunk().expect("packed by another core");
        Self {
            id: *id,
            unix_secs: u64::from_le_bytes(*secs),
            is_json: *first == 1,
            metadata: metadata.to_vec(),
        }
    }

    /// The id as clients see it.
    pub fn id_text(&self) -> String {
        uuid_text(&self.id)
    }
}

/// A UUID of version 7 (RFC 9562): the time in milliseconds, then chance.
pub fn uuid(unix_ms: u64, chance: [u64; 2]) -> [u8; 16] {
    let bits = u128::from(unix_ms) << 80
        | 7 << 76
        | u128::from(chance[0] & 0xfff) << 64
        | 2 << 62
        | u128::from(chance[1] >> 2);
    bits.to_be_bytes()
}

/// A UUID with its dashes.
pub fn uuid_text(id: &[u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(*id));
    let cuts = [0..8, 8..12, 12..16, 16..20, 20..32];
    cuts.map(|cut| &digits[cut]).join("-")
}

/// A message in the forms that are wanted of it, each made once and shared.
#[derive(Debug)]
pub struct Forms<'a> {
    channel: &'a [u8],
    payload: &'a [u8],
    extra: &'a Extra,
    forms: [Option<Arc<[u8]>>; 3],
}

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A text frame.
    Frame = 0,
    /// An event.
    Event = 1,
    /// The object alone, to be fetched.
    Object = 2,
}

impl<'a> Forms<'a> {
    /// Of a message.
    pub fn new(channel: &'a [u8], payload: &'a [u8], extra: &'a Extra) -> Self {
        Self { channel, payload, extra, forms: [const { None }; 3] }
    }

    /// The message in this form.
    pub fn get(&mut self, form: Form) -> Arc<[u8]> {
        if let Some(made) = &self.forms[form as usize] {
            return Arc::clone(made);
        }
        let made: Arc<[u8]> = self.make(form).into();
        self.forms[form as usize] = Some(Arc::clone(&made));
        made
    }

    fn make(&self, form: Form) -> Vec<u8> {
        let mut object = Vec::with_capacity(160 + self.channel.len() + self.payload.len());
        let mut out = Vec::new();
        match form {
            Form::Object => {
                object.push(b'{');
                self.members(&mut object);
                return object;
            }
            Form::Frame => {
                object.extend_from_slice(b"{\"type\":\"message\",");
                self.members(&mut object);
                frame::write(&mut out, Opcode::Text, &object);
            }
            Form::Event => {
                object.push(b'{');
                self.members(&mut object);
                event(&mut out, Some(&self.extra.id_text()), "message", &object);
            }
        }
        out
    }

    /// Appends the members, and the brace behind them.
    fn members(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"message_id\":\"");
        out.extend_from_slice(self.extra.id_text().as_bytes());
        out.extend_from_slice(b"\",\"topic\":");
        json::write_bytes(out, self.channel);
        out.extend_from_slice(b",\"payload\":");
        if self.extra.is_json {
            out.extend_from_slice(self.payload);
        } else {
            json::write_bytes(out, self.payload);
            if std::str::from_utf8(self.payload).is_err() {
                out.extend_from_slice(b",\"payload_base64\":\"");
                json::write_base64(out, self.payload);
                out.push(b'"');
            }
        }
        out.extend_from_slice(b",\"metadata\":");
        out.extend_from_slice(match &self.extra.metadata[..] {
            [] => b"{}",
            metadata => metadata,
        });
        out.extend_from_slice(b",\"timestamp\":");
        json::write_u64(out, self.extra.unix_secs);
        out.push(b'}');
    }
}

/// Bytes of a value that goes along when its key changes.
const INLINE_BYTES_MAX: usize = 65_536;

/// A change of a key as those see it who watch keys. `found` is what the key holds: version, and
/// the value where it is a string.
pub fn change(key: &[u8], event: &str, found: Option<(u64, Option<&[u8]>)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + key.len());
    out.extend_from_slice(b"{\"key\":");
    json::write_bytes(&mut out, key);
    out.extend_from_slice(b",\"event\":");
    json::write_str(&mut out, event);
    if let Some((version, value)) = found {
        out.extend_from_slice(b",\"version\":");
        json::write_u64(&mut out, version);
        match value {
            Some(value) if value.len() <= INLINE_BYTES_MAX => {
                out.extend_from_slice(b",\"value\":");
                json::write_bytes(&mut out, value);
            }
            Some(_) => out.extend_from_slice(b",\"truncated\":true"),
            None => {}
        }
    }
    out.push(b'}');
    out
}

/// Appends an event of a stream of them (the HTML standard's `text/event-stream`). `data` has no
/// line end in it, as compact JSON has none.
pub fn event(out: &mut Vec<u8>, id: Option<&str>, name: &str, data: &[u8]) {
    if let Some(id) = id {
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(id.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n");
}

/// Checks a JSON object of strings, and answers it without blanks.
pub fn metadata(text: &[u8]) -> Option<Vec<u8>> {
    let members = json::object(text).ok()?;
    let strings = members.iter().all(|(_, value)| json::Kind::of(value) == json::Kind::String);
    let text = std::str::from_utf8(text).ok()?;
    strings.then(|| compact(text))
}

/// Checks a JSON value, and answers it without blanks.
pub fn json_payload(text: &[u8]) -> Option<Vec<u8>> {
    let value: &serde_json::value::RawValue = serde_json::from_slice(text).ok()?;
    Some(compact(value.get()))
}

fn compact(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    json::compact(text, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extra(is_json: bool, metadata: &str) -> Extra {
        let id = uuid(0x0123_4567_89ab, [u64::MAX, 0]);
        Extra { id, unix_secs: 7, is_json, metadata: metadata.into() }
    }

    #[test]
    fn ids_have_their_version_and_time_in_place() {
        assert_eq!(extra(true, "").id_text(), "01234567-89ab-7fff-8000-000000000000");
        let last = uuid_text(&uuid(u64::MAX >> 16, [0, u64::MAX]));
        assert_eq!(last, "ffffffff-ffff-7000-bfff-ffffffffffff");
    }

    #[test]
    fn extras_survive_the_way_to_another_core() {
        for extra in [extra(true, "{\"a\":\"b\"}"), extra(false, "")] {
            assert_eq!(Extra::unpack(&extra.pack()), extra);
        }
    }

    #[test]
    fn messages_are_json_whatever_their_payload() {
        for (payload, is_json, shown) in [
            (&b"{\"a\":1}"[..], true, serde_json::json!({"a": 1})),
            (b"{\"a\":1}", false, serde_json::json!("{\"a\":1}")),
            (b"\xff", false, serde_json::json!("<binary data: 1 bytes>")),
        ] {
            let extra = extra(is_json, "{\"m\":\"n\"}");
            let mut forms = Forms::new(b"a.b", payload, &extra);
            let object = forms.get(Form::Object);
            let value: serde_json::Value = serde_json::from_slice(&object).expect("JSON");
            assert_eq!(value["payload"], shown);
            assert_eq!(value["metadata"]["m"], "n");
            assert_eq!(value["topic"], "a.b");
            assert!(forms.get(Form::Frame).starts_with(&[0x81]));
            let event = forms.get(Form::Event);
            let text = std::str::from_utf8(&event).expect("text");
            assert!(text.starts_with("id: 01234567-89ab-") && text.ends_with("}\n\n"), "{text}");
            assert_eq!(text.lines().count(), 4);
        }
    }

    #[test]
    fn only_objects_of_strings_are_metadata() {
        assert_eq!(metadata(b"{ \"a\" : \"b\" }").as_deref(), Some(&b"{\"a\":\"b\"}"[..]));
        for bad in ["", "[]", "{\"a\":1}", "\"a\"", "{\"a\":{}}"] {
            assert_eq!(metadata(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(json_payload(b" [1, 2] ").as_deref(), Some(&b"[1,2]"[..]));
        assert_eq!(json_payload(b"{"), None);
    }
}

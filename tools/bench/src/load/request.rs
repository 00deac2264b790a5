//! Requests as ready bytes: one template per operation, key digits patched in for each request.
//!
//! Guarantees: building a request copies the template and writes digits, it never allocates once
//! the output buffer has grown. RESP requests are arrays of bulk strings (RESP2 and RESP3 alike);
//! HTTP requests carry Host and, with a body, Content-Length. Must not touch a socket.

use std::fmt;

use super::keys::{KeySpace, Rng};

/// Keys written by one MSET.
const MSET_KEYS: usize = 10;

/// What speaks on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Protocol {
    /// Redis serialisation protocol.
    Resp,
    /// HTTP/1.1 with JSON bodies, the REST routes of Synap.
    Http,
}

/// One kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Reads one key.
    Get,
    /// Writes one key.
    Set,
    /// Adds one to a counter; counters have keys of their own.
    Incr,
    /// Writes ten keys in one command.
    Mset10,
    /// Touches no key: the floor of the protocol.
    Ping,
}

impl Op {
    const ALL: [(&'static str, Self); 5] = [
        ("get", Self::Get),
        ("set", Self::Set),
        ("incr", Self::Incr),
        ("mset10", Self::Mset10),
        ("ping", Self::Ping),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, op)| *op == self).map_or("", |(name, _)| name)
    }
}

/// A weighted set of operations, written `get` or `get=90,set=10`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mix(Vec<(Op, u32)>);

/// Why a mix was refused; carries the part that does not parse.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadMix(String);

impl fmt::Display for BadMix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected get, set, incr, mset10 or ping with =WEIGHT > 0, found {:?}", self.0)
    }
}

impl std::error::Error for BadMix {}

impl std::str::FromStr for Mix {
    type Err = BadMix;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = |part: &str| {
            let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
            let name = name.trim().to_ascii_lowercase();
            let (_, op) = Op::ALL.iter().find(|(known, _)| *known == name)?;
            weight.trim().parse().ok().filter(|&weight| weight > 0).map(|weight| (*op, weight))
        };
        let parts = text.split(',').map(|part| parse(part).ok_or_else(|| BadMix(part.to_owned())));
        parts.collect::<Result<Vec<_>, _>>().map(Self)
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (op, weight)) in self.0.iter().enumerate() {
            write!(f, "{}{}={weight}", if i == 0 { "" } else { "," }, op.name())?;
        }
        Ok(())
    }
}

impl Mix {
    /// Only `op`.
    pub(crate) fn only(op: Op) -> Self {
        Self(vec![(op, 1)])
    }

    fn draw(&self, rng: &mut Rng) -> Op {
        if let [(op, _)] = self.0[..] {
            return op;
        }
        let total = self.0.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut at = rng.below(total);
        for &(op, weight) in &self.0 {
            match at.checked_sub(u64::from(weight)) {
                Some(rest) => at = rest,
                None => return op,
            }
        }
        self.0[0].0
    }
}

/// The shape of keys: a four-letter prefix and digits up to the wanted length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyShape {
    /// Length of the whole key in bytes, at least `KeyShape::MIN`.
    pub(crate) len: usize,
}

impl KeyShape {
    /// The shortest key: the prefix and ten digits, enough for every `u32`.
    pub(crate) const MIN: usize = 14;

    /// The key with number `id`, as GET and SET use it.
    pub(crate) fn key(self, id: u64) -> Vec<u8> {
        format!("key:{id:0width$}", width = self.len - 4).into_bytes()
    }
}

/// A request with holes for keys.
#[derive(Clone, Debug, Default)]
struct Template {
    bytes: Vec<u8>,
    /// Where each run of key digits starts.
    holes: Vec<usize>,
}

/// Everything that shapes the bytes of the requests.
#[derive(Clone, Debug)]
pub(crate) struct RequestSpec {
    pub(crate) protocol: Protocol,
    pub(crate) keys: KeyShape,
    pub(crate) value_size: usize,
    pub(crate) mix: Mix,
}

/// Writes requests of one mix over one key space.
#[derive(Clone, Debug)]
pub(crate) struct RequestWriter {
    templates: [Template; 5],
    digits: usize,
    mix: Mix,
}

impl RequestWriter {
    /// Prepares the templates of every operation.
    pub(crate) fn new(spec: &RequestSpec) -> Self {
        let value = value_of(spec.value_size);
        let build = |op| match spec.protocol {
            Protocol::Resp => resp_template(op, spec.keys, &value),
            Protocol::Http => http_template(op, spec.keys, &value),
        };
        let templates = Op::ALL.map(|(_, op)| build(op));
        Self { templates, digits: spec.keys.len - 4, mix: spec.mix.clone() }
    }

    /// Appends one request of the mix with keys from the key space; says which it was.
    pub(crate) fn random(&self, keys: &KeySpace, rng: &mut Rng, out: &mut Vec<u8>) -> Op {
        let op = self.mix.draw(rng);
        self.append(op, out, || keys.draw(rng));
        op
    }

    /// Appends one SET of the key with number `id`.
    pub(crate) fn set(&self, id: u64, out: &mut Vec<u8>) {
        self.append(Op::Set, out, || id);
    }

    fn append(&self, op: Op, out: &mut Vec<u8>, mut id: impl FnMut() -> u64) {
        let template = &self.templates[op as usize];
        let base = out.len();
        out.extend_from_slice(&template.bytes);
        for &hole in &template.holes {
            write_digits(&mut out[base + hole..base + hole + self.digits], id());
        }
    }
}

/// A printable value of `size` bytes, the same in every run and safe inside a JSON string.
fn value_of(size: usize) -> Vec<u8> {
    let letters = b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut rng = Rng::new(42);
    (0..size).map(|_| letters[rng.below(letters.len() as u64) as usize]).collect()
}

fn write_digits(hole: &mut [u8], mut id: u64) {
    for byte in hole.iter_mut().rev() {
        if id == 0 {
            return; // the template holds zeroes
        }
        *byte = b'0' + (id % 10) as u8;
        id /= 10;
    }
}

/// The key with all digits zero; its digits start four bytes in.
fn blank_key(prefix: &str, shape: KeyShape) -> Vec<u8> {
    let mut key = prefix.as_bytes().to_vec();
    key.resize(shape.len, b'0');
    key
}

fn resp_template(op: Op, shape: KeyShape, value: &[u8]) -> Template {
    let key = blank_key(if op == Op::Incr { "ctr:" } else { "key:" }, shape);
    let mut args: Vec<(&[u8], bool)> = Vec::new();
    match op {
        Op::Get => args.extend([(&b"GET"[..], false), (&key, true)]),
        Op::Set => args.extend([(&b"SET"[..], false), (&key, true), (value, false)]),
        Op::Incr => args.extend([(&b"INCR"[..], false), (&key, true)]),
        Op::Ping => args.push((b"PING", false)),
        Op::Mset10 => {
            args.push((b"MSET", false));
            (0..MSET_KEYS).for_each(|_| args.extend([(&key[..], true), (value, false)]));
        }
    }
    let mut template = Template { bytes: format!("*{}\r\n", args.len()).into(), holes: vec![] };
    for (arg, is_key) in args {
        template.bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        if is_key {
            template.holes.push(template.bytes.len() + 4);
        }
        template.bytes.extend_from_slice(arg);
        template.bytes.extend_from_slice(b"\r\n");
    }
    template
}

fn http_template(op: Op, shape: KeyShape, value: &[u8]) -> Template {
    let prefix = if op == Op::Incr { "ctr:" } else { "key:" };
    let key = String::from_utf8_lossy(&blank_key(prefix, shape)).into_owned();
    let value = String::from_utf8_lossy(value);
    let (line, body) = match op {
        Op::Get => (format!("GET /kv/get/{key}"), None),
        Op::Set => {
            ("POST /kv/set".to_owned(), Some(format!(r#"{{"key":"{key}","value":"{value}"}}"#)))
        }
        Op::Incr => (format!("POST /kv/{key}/incr"), Some(String::from("{}"))),
        Op::Ping => ("GET /health".to_owned(), None),
        Op::Mset10 => {
            let pairs = vec![format!(r#"["{key}","{value}"]"#); MSET_KEYS].join(",");
            ("POST /kv/mset".to_owned(), Some(format!(r#"{{"pairs":[{pairs}]}}"#)))
        }
    };
    let mut text = format!("{line} HTTP/1.1\r\nHost: localhost\r\n");
    match body {
        None => text.push_str("\r\n"),
        Some(body) => {
            let length = body.len();
            let head = "Content-Type: application/json\r\nContent-Length: ";
            text.push_str(&format!("{head}{length}\r\n\r\n{body}"));
        }
    }
    let holes = text.match_indices(&key).map(|(at, _)| at + 4).collect();
    Template { bytes: text.into_bytes(), holes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::keys::Distribution;

    fn spec(protocol: Protocol, mix: &str) -> RequestSpec {
        RequestSpec {
            protocol,
            keys: KeyShape { len: 20 },
            value_size: 3,
            mix: mix.parse().unwrap(),
        }
    }

    #[test]
    fn resp_set_is_exact() {
        let mut out = Vec::new();
        RequestWriter::new(&spec(Protocol::Resp, "set")).set(123, &mut out);
        let value = String::from_utf8(value_of(3)).unwrap();
        let expected =
            format!("*3\r\n$3\r\nSET\r\n$20\r\nkey:0000000000000123\r\n$3\r\n{value}\r\n");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn http_bodies_have_their_announced_length() {
        let keys = KeySpace::new(1_000, Distribution::Uniform, 0.99, None, |_| vec![]).unwrap();
        for op in ["set", "incr", "mset10"] {
            let mut out = Vec::new();
            let writer = RequestWriter::new(&spec(Protocol::Http, op));
            writer.random(&keys, &mut Rng::new(1), &mut out);
            let text = String::from_utf8(out).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
            assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{body}");
        }
    }

    #[test]
    fn mset_draws_each_of_its_keys() {
        let keys = KeySpace::new(1_000_000, Distribution::Uniform, 0.99, None, |_| vec![]);
        let mut out = Vec::new();
        let writer = RequestWriter::new(&spec(Protocol::Resp, "mset10"));
        writer.random(&keys.unwrap(), &mut Rng::new(1), &mut out);
        let text = String::from_utf8(out).unwrap();
        let mut drawn: Vec<_> = text.lines().filter(|line| line.starts_with("key:")).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), MSET_KEYS);
        assert!(text.starts_with("*21\r\n"));
    }

    #[test]
    fn mix_follows_its_weights() {
        let mix: Mix = "get=90,set=10".parse().unwrap();
        let mut rng = Rng::new(5);
        let gets = (0..10_000).filter(|_| mix.draw(&mut rng) == Op::Get).count();
        assert!((8_800..9_200).contains(&gets), "{gets}");
        for bad in ["", "get=0", "fly", "get=x"] {
            assert!(bad.parse::<Mix>().is_err(), "{bad}");
        }
    }
}

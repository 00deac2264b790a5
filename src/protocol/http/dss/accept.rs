//! Whether a client wants metrics as text for Prometheus or as JSON (RFC 9110, 12.5.1). The
//! service's own clients ask for JSON or for anything; Prometheus asks for text before anything.

/// Whether an `Accept` wants text more than JSON: what it gives more weight, else what it names
/// rather than allows, else what it names first.
pub(super) fn prefers_text(accept: &[u8]) -> bool {
    let (mut text, mut json) = (None, None);
    for (at, range) in accept.split(|byte| *byte == b',').enumerate() {
        let mut fields = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = fields.next().unwrap_or_default().to_ascii_lowercase();
        let weight = fields.find_map(|field| field.strip_prefix(b"q=")).map_or(1000, thousandths);
        let (best, is_named) = match name.as_slice() {
            b"text/plain" | b"application/openmetrics-text" => (&mut text, true),
            b"text/*" => (&mut text, false),
            b"application/json" => (&mut json, true),
            b"application/*" | b"*/*" => (&mut json, false),
            _ => continue,
        };
        let wish = (weight, is_named, usize::MAX - at);
        if weight > 0 && best.is_none_or(|before| before < wish) {
            *best = Some(wish);
        }
    }
    text > json
}

/// A weight in thousandths; what cannot be read is no weight.
fn thousandths(text: &[u8]) -> u32 {
    let weight = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f32>().ok());
    weight
        .filter(|weight| (0.0..=1.0).contains(weight))
        .map_or(0, |weight| (weight * 1000.0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_gets_text_and_others_json() {
        for text in [
            "text/plain",
            "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,\
             */*;q=0.1",
            "text/plain, */*",
            "*/*, text/plain",
            "text/*",
        ] {
            assert!(prefers_text(text.as_bytes()), "{text}");
        }
        for json in [
            "",
            "*/*",
            "application/json",
            "application/json, text/plain, */*",
            "text/plain;q=0.1, application/json",
            "text/plain;q=0",
            "text/plain;q=x",
            "text/html",
        ] {
            assert!(!prefers_text(json.as_bytes()), "{json}");
        }
    }
}

//! Security events as administrators read them: JSON, alone or as server-sent events.

use serde_json::{Value, json};

use super::event::Event;
use super::journal::{Page, Recorded};

/// One event. Times are Unix milliseconds.
fn event(recorded: &Recorded) -> Value {
    let Event { kind, who, address, detail, object } = &recorded.event;
    json!({
        "id": recorded.id,
        "time": recorded.unix_ms,
        "event": kind.name(),
        "who": who.to_string(),
        "address": address.map(|address| address.to_string()),
        "detail": detail,
        "object": object.as_ref().map(ToString::to_string),
        "left_out": recorded.left_out,
    })
}

/// All of one reading.
#[must_use]
pub fn page(page: &Page) -> Value {
    let events: Vec<Value> = page.events.iter().map(event).collect();
    json!({ "events": events, "last": page.last, "lost": page.lost })
}

/// Appends them as server-sent events, whose ids are those to go on behind.
pub fn stream(page: &Page, out: &mut Vec<u8>) {
    if page.lost > 0 {
        let lost = json!({ "lost": page.lost });
        out.extend_from_slice(format!("event: lost\ndata: {lost}\n\n").as_bytes());
    }
    for recorded in &page.events {
        let (id, data) = (recorded.id, event(recorded));
        out.extend_from_slice(format!("id: {id}\ndata: {data}\n\n").as_bytes());
    }
}

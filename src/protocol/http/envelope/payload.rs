//! What clients call the members of payloads, where the arguments have other names.

use crate::protocol::json::{self, Kind, Members};

/// Command, or all of a group with `*` behind it; the name that is sent; the name that is meant.
const RENAMED: &[(&str, &str, &str)] = &[
    ("key.rename", "source", "key"),
    ("key.renamenx", "source", "key"),
    ("key.copy", "source", "key"),
    ("kv.scan", "limit", "count"),
    ("kv.cas", "expected", "ifeq"),
    ("list.*", "value", "values"),
    ("list.lpos", "value", "element"),
    ("list.lrem", "element", "value"),
    ("list.linsert", "position", "where"),
    ("list.rpoplpush", "key", "source"),
    ("set.*", "member", "members"),
    ("sortedset.zrem", "member", "members"),
    ("geospatial.*", "member1", "m1"),
    ("geospatial.*", "member2", "m2"),
    ("geospatial.*", "center_lat", "lat"),
    ("geospatial.*", "center_lon", "lon"),
    ("queue.*", "queue", "name"),
    ("queue.*", "queue_name", "name"),
    ("queue.*", "message", "payload"),
    ("queue.*", "max_size", "max_depth"),
    ("stream.*", "subscriber", "subscriber_id"),
    ("stream.*", "offset", "from_offset"),
    ("pubsub.*", "message", "payload"),
    ("pubsub.*", "data", "payload"),
    ("pubsub.*", "headers", "metadata"),
];

/// Commands whose member takes the name as it is, whatever their group does with it.
const KEPT: &[(&str, &str)] = &[
    ("list.lset", "value"),
    ("list.lrem", "value"),
    ("list.linsert", "value"),
    ("list.lpos", "value"),
    ("set.ismember", "member"),
    ("set.sismember", "member"),
    ("set.move", "member"),
    ("set.smove", "member"),
];

/// Commands of which a member holds further members.
const FLATTENED: &[(&str, &str)] = &[("queue.create", "config")];

/// The members under the names that are meant. What was sent under such a name itself comes first.
pub(super) fn renamed<'a>(command: &str, members: Members<'a>) -> Members<'a> {
    let mut all = Members::new();
    for (name, text) in members {
        let is_more = FLATTENED.contains(&(command, &*name)) && Kind::of(text) == Kind::Object;
        match json::object(text.as_bytes()) {
            Ok(inner) if is_more => all.extend(inner),
            Ok(_) | Err(_) => all.push((name, text)),
        }
    }
    let sent: Vec<String> = all.iter().map(|(name, _)| name.to_string()).collect();
    for (name, _) in &mut all {
        if let Some(meant) = meant(command, name)
            && !sent.iter().any(|other| other == meant)
        {
            *name = meant.into();
        }
    }
    all
}

fn meant(command: &str, name: &str) -> Option<&'static str> {
    let exact = RENAMED.iter().find(|(of, sent, _)| *of == command && *sent == name);
    if let Some((_, _, meant)) = exact {
        return Some(meant);
    }
    if KEPT.contains(&(command, name)) {
        return None;
    }
    let in_group = |of: &str| of.strip_suffix('*').is_some_and(|group| command.starts_with(group));
    let grouped = RENAMED.iter().find(|(of, sent, _)| in_group(of) && *sent == name);
    grouped.map(|(_, _, meant)| *meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(command: &str, payload: &str) -> Vec<String> {
        let members = json::object(payload.as_bytes()).expect("JSON");
        renamed(command, members).iter().map(|(name, _)| name.to_string()).collect()
    }

    #[test]
    fn members_get_the_names_that_are_meant() {
        assert_eq!(names("list.lpush", r#"{"key":1,"value":2}"#), ["key", "values"]);
        assert_eq!(names("list.lset", r#"{"value":2}"#), ["value"]);
        assert_eq!(names("list.lpos", r#"{"value":2}"#), ["element"]);
        assert_eq!(names("key.rename", r#"{"source":1,"destination":2}"#), ["key", "destination"]);
        assert_eq!(names("set.add", r#"{"member":1,"members":[2]}"#), ["member", "members"]);
        let config = r#"{"queue":"q","config":{"max_size":5}}"#;
        assert_eq!(names("queue.create", config), ["name", "max_depth"]);
    }
}

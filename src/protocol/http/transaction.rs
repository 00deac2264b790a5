//! The JSON bodies of transactions.

use synap_shards::command::reply::Reply;

use super::context::HttpContext;
use crate::protocol::json;

/// The answer to a write that waits for `exec`.
pub(super) const QUEUED_BODY: &[u8] = br#"{"success":true,"queued":true}"#;

const ABORTED_BODY: &[u8] =
    br#"{"success":false,"aborted":true,"message":"Transaction aborted: watched keys changed"}"#;

/// Appends that something was done, and for whom.
pub(super) fn done(context: &HttpContext, message: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"success":true,"message":"#);
    json::write_str(out, message);
    if let Some(client) = &context.client_id {
        out.extend_from_slice(br#","client_id":"#);
        json::write_str(out, client);
    }
    out.push(b'}');
}

/// Appends what `exec` came to.
pub(super) fn executed(context: &HttpContext, reply: &Reply<'_>, out: &mut Vec<u8>) {
    let Reply::Array(items) = reply else {
        out.extend_from_slice(ABORTED_BODY);
        return;
    };
    let deletes = context.deletes.as_deref().unwrap_or_default();
    out.extend_from_slice(br#"{"success":true,"results":["#);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        result(item, deletes.get(index).copied().unwrap_or_default(), out);
    }
    out.extend_from_slice(b"]}");
}

/// One command's reply: `{"ok":true}`, `{"deleted":n}`, `{"value":…}` or `{"error":"…"}`.
fn result(reply: &Reply<'_>, deletes: bool, out: &mut Vec<u8>) {
    match reply {
        Reply::Ok => return out.extend_from_slice(br#"{"ok":true}"#),
        Reply::Error(error) => {
            out.extend_from_slice(br#"{"error":"#);
            json::write_str(out, &format!("{} {error}", error.code()));
        }
        value => {
            out.extend_from_slice(if deletes { br#"{"deleted":"# } else { br#"{"value":"# });
            json::write_reply(out, value);
        }
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use synap_shards::command::error::CommandError;

    use super::super::table::RouteId;
    use super::*;

    fn body(write: impl FnOnce(&HttpContext, &mut Vec<u8>)) -> String {
        let mut context = HttpContext::closing(RouteId::NONE);
        context.deletes = Some(Box::new([false, true, false, false]));
        context.client_id = Some("a\"b".into());
        let mut out = Vec::new();
        write(&context, &mut out);
        String::from_utf8(out).expect("JSON is text")
    }

    #[test]
    fn bodies() {
        assert_eq!(
            body(|context, out| done(context, "Done", out)),
            r#"{"success":true,"message":"Done","client_id":"a\"b"}"#
        );
        let items = vec![
            Reply::Ok,
            Reply::Integer(1),
            Reply::borrowed(b"x"),
            Reply::Error(CommandError::WrongType),
        ];
        assert_eq!(
            body(|context, out| executed(context, &Reply::Array(items), out)),
            concat!(
                r#"{"success":true,"results":[{"ok":true},{"deleted":1},{"value":"x"},"#,
                r#"{"error":"WRONGTYPE Operation against a key holding the wrong kind of value"}]}"#,
            )
        );
        let aborted = body(|context, out| executed(context, &Reply::NilArray, out));
        assert!(aborted.contains(r#""aborted":true"#), "{aborted}");
    }
}

//! What is asked of a running server: where it listens, figures, health, snapshot, stop.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::args::Target;
use crate::error::AdminError;
use crate::http::{Http, accept};
use crate::resp::Connection;

/// Parts whose health can be asked for.
const COMPONENTS: [&str; 6] = ["kv", "queue", "stream", "pubsub", "persistence", "replication"];

/// The status for what is not there.
const NOT_FOUND: u16 = 404;

/// A connection to the RESP port: the one given, or the one the server says it has.
pub(crate) fn connect(target: &Target) -> Result<Connection, AdminError> {
    let address = match &target.resp {
        Some(address) => address.clone(),
        None => format!("{}:{}", target.host, resp_port(target)?),
    };
    Connection::open(&address, target)
}

fn resp_port(target: &Target) -> Result<u16, AdminError> {
    let info = Http::new(target)?.demand("/info?section=server")?;
    let field = if target.tls.is_some() { "resp_tls_port" } else { "resp_port" };
    match info["server"][field].as_u64() {
        Some(0) | None if target.tls.is_some() => {
            let text = "the server has no RESP port under TLS (`resp3.tls_port`); what is asked \
                        for over https is not sent in the clear";
            Err(AdminError::Usage(text.to_owned()))
        }
        Some(0) | None => {
            let text = "the server does not say where its RESP port is; name it with --resp";
            Err(AdminError::Usage(text.to_owned()))
        }
        Some(port) => {
            u16::try_from(port).map_err(|_| AdminError::Usage(format!("no port: {port}")))
        }
    }
}

/// `synap-admin snapshot`.
pub(crate) fn snapshot(target: &Target) -> Result<Value, AdminError> {
    let (status, body) = Http::new(target)?.post("/snapshot", &json!({}))?;
    accept("a snapshot", status, body)
}

/// `synap-admin stats`.
pub(crate) fn stats(target: &Target) -> Result<Value, AdminError> {
    Http::new(target)?.demand("/info?section=all")
}

/// `synap-admin health`.
pub(crate) fn health(target: &Target) -> Result<(bool, Value), AdminError> {
    let http = Http::new(target)?;
    let (status, whole) = http.get("/health")?;
    let mut healthy = (200..300).contains(&status);
    let mut parts = Map::new();
    for name in COMPONENTS {
        let (status, part) = http.get(&format!("/health/{name}"))?;
        if status == NOT_FOUND {
            // A part that this server does not have cannot be ill.
            continue;
        }
        healthy &= (200..300).contains(&status);
        parts.insert(name.to_owned(), part);
    }
    Ok((healthy, json!({ "healthy": healthy, "server": whole, "components": parts })))
}

/// `synap-admin stop`: by SHUTDOWN, which is answered by the end of the connection alone.
pub(crate) fn stop(target: &Target) -> Result<Value, AdminError> {
    let mut connection = connect(target)?;
    match connection.call(&[b"SHUTDOWN"]) {
        Ok(reply) => match reply.error() {
            Some(answer) => {
                let (request, answer) = ("to stop".to_owned(), answer.to_owned());
                Err(AdminError::Refused { request, answer })
            }
            None => Ok(json!({ "stopping": true })),
        },
        Err(AdminError::Connection { .. }) => Ok(json!({ "stopping": true })),
        Err(other) => Err(other),
    }
}

/// An answer as lines of `name: value`, nested objects as headings.
pub(crate) fn lines(value: &Value) -> String {
    let mut text = String::new();
    push_lines(&mut text, "", value);
    text
}

fn push_lines(text: &mut String, prefix: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let name =
                    if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                push_lines(text, &name, field);
            }
        }
        Value::String(field) => {
            let _infallible = writeln!(text, "{prefix}: {field}");
        }
        other => {
            let _infallible = writeln!(text, "{prefix}: {other}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_shown_as_lines() {
        let value = json!({ "a": 1, "b": { "c": "x y", "d": [1, 2] } });
        assert_eq!(lines(&value), "a: 1\nb.c: x y\nb.d: [1,2]\n");
    }
}

//! The description of the queue service (OpenAPI 3.0.3), made from its routes.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::show::Body;
use super::{DssRoute, LABEL, PARAMETER, ROUTES};

static JSON: LazyLock<String> = LazyLock::new(|| document().to_string());

/// The document.
pub(super) fn json() -> &'static str {
    &JSON
}

fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for (method, label, route) in ROUTES {
        let path = paths.entry(&label[LABEL.len()..]).or_insert_with(|| json!({}));
        path[method.name().to_ascii_lowercase()] = operation(label, *route);
    }
    json!({
        "openapi": "3.0.3",
        "info": { "title": "Synap: queue service", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": {
            "schemas": { "Error": {
                "type": "object",
                "required": ["error", "status_code", "detail", "details"],
                "properties": {
                    "error": { "type": "string" },
                    "status_code": { "type": "integer" },
                    // Text, or of 422 a list of objects with loc, msg and type.
                    "detail": {},
                    "details": { "nullable": true },
                },
            } },
            "securitySchemes": {
                "basic": { "type": "http", "scheme": "basic" },
                "bearer": { "type": "http", "scheme": "bearer" },
                "key": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
            },
        },
        "security": [{}, { "basic": [] }, { "bearer": [] }, { "key": [] }],
    })
}

/// Summary, and members of the request with type and whether they are needed.
type Described = (&'static str, &'static [(&'static str, &'static str, bool)]);

fn describe(route: DssRoute) -> Described {
    const QUEUE: (&str, &str, bool) = ("queue_name", "string", true);
    match route {
        DssRoute::Health => ("Whether the node serves", &[]),
        DssRoute::Enqueue => (
            "Adds a message to a queue, which is created if need be",
            &[QUEUE, ("message", "object", true)],
        ),
        DssRoute::Dequeue => (
            "Takes the next message of a queue; it comes back unless it is acknowledged in time",
            &[QUEUE],
        ),
        DssRoute::Ack => {
            ("Acknowledges a message, which is done then", &[("message_id", "string", true)])
        }
        DssRoute::Status => ("What is in a queue", &[]),
        DssRoute::All => ("What is in all queues of this node", &[]),
        DssRoute::Settings => (
            "Sets a queue, which is created if need be",
            &[
                ("visibility_timeout_seconds", "integer", false),
                ("max_retries", "integer", false),
                ("max_size", "integer", false),
            ],
        ),
        DssRoute::Metrics => ("Metrics as JSON, or as text for Prometheus", &[]),
        DssRoute::Openapi => ("This document", &[]),
    }
}

fn operation(label: &str, route: DssRoute) -> Value {
    let ((summary, inputs), body) = (describe(route), route.body());
    let typed = |(name, kind): (&str, &str)| (name.to_owned(), json!({ "type": kind }));
    let schema = body.map_or_else(
        || json!({}),
        |body| {
            let mut properties: Map<String, Value> =
                body.fields().iter().copied().map(typed).collect();
            if body == Body::Dequeued {
                let others = properties.iter_mut().filter(|(name, _)| *name != "success");
                others.for_each(|(_, schema)| schema["nullable"] = Value::from(true));
            }
            json!({ "type": "object", "properties": properties })
        },
    );
    let error = json!({
        "description": "Refused",
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
    });
    let mut parameters = Vec::new();
    if label.ends_with(PARAMETER) {
        parameters.push(json!({
            "name": "queue_name", "in": "path", "required": true, "schema": { "type": "string" },
        }));
    }
    if route == DssRoute::All {
        parameters.push(json!({
            "name": "verbose", "in": "query", "required": false, "schema": { "type": "boolean" },
        }));
    }
    let mut operation = json!({
        "summary": summary,
        "operationId": format!("{route:?}").to_ascii_lowercase(),
        "parameters": parameters,
        "responses": {
            "200": {
                "description": "Done",
                "content": { "application/json": { "schema": schema } },
            },
            "default": error,
        },
    });
    if !inputs.is_empty() {
        let properties: Map<String, Value> =
            inputs.iter().map(|(name, kind, _)| typed((name, kind))).collect();
        let needed: Vec<&str> =
            inputs.iter().filter(|(.., needed)| *needed).map(|(name, ..)| *name).collect();
        let mut schema = json!({ "type": "object", "properties": properties });
        if !needed.is_empty() {
            schema["required"] = json!(needed);
        }
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": schema } },
        });
    }
    operation
}

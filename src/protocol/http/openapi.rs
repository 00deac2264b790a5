//! The description of the HTTP interface (OpenAPI 3.0.3), made from the same tables as the routes,
//! so that it cannot differ from them. Built once, when it is first asked for.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use synap_shards::command::spec::{ArgKind, ArgSpec, CommandSpec, Method};

use super::access::AccessRoute;
use super::queue;
use super::route::parameter;
use super::table::{Own, ROUTES, Route, Shape, Target};
use crate::protocol::json as text;

static JSON: LazyLock<String> = LazyLock::new(|| document().to_string());

static YAML: LazyLock<String> = LazyLock::new(|| {
    let mut out = String::new();
    yaml_value(&document(), 0, &mut out);
    out
});

/// The document as JSON.
pub fn json() -> &'static str {
    &JSON
}

/// The document as YAML.
pub fn yaml() -> &'static str {
    &YAML
}

fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES.iter().filter(|route| !route.is_elsewhere()) {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.name().to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Synap",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": { "Error": {
                "type": "object",
                "required": ["error", "code"],
                "properties": {
                    "error": { "type": "string" },
                    "code": { "type": "integer" },
                },
            } },
            "securitySchemes": {
                "basic": { "type": "http", "scheme": "basic" },
                "bearer": { "type": "http", "scheme": "bearer" },
                "key": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
                "query": { "type": "apiKey", "in": "query", "name": "api_key" },
            },
        },
        // Where access control is off nothing is needed.
        "security": [{}, { "basic": [] }, { "bearer": [] }, { "key": [] }, { "query": [] }],
    })
}

fn operation(route: &'static Route) -> Value {
    let mut operation = match route.target {
        Target::Command(id) => command_operation(route, id.spec()),
        Target::Own(own) => own_operation(route, own),
        Target::Dss(_) => unreachable!("it is described where it is served"),
    };
    let words = route.path.split('/').filter(|part| !part.is_empty());
    let name: Vec<&str> = words.map(|part| part.trim_matches(|c| c == '{' || c == '}')).collect();
    operation["operationId"] =
        Value::from(format!("{}_{}", route.method.name().to_ascii_lowercase(), name.join("_")));
    operation
}

fn command_operation(route: &'static Route, spec: &CommandSpec) -> Value {
    let in_path: Vec<&str> = route.path.split('/').filter_map(parameter).collect();
    let mut parameters: Vec<Value> = in_path.iter().map(|name| path_parameter(name)).collect();
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for arg in spec.args.iter().filter(|arg| !fills(arg, &in_path)) {
        inputs(arg, &mut properties, &mut required);
    }
    for (name, schema) in answer_inputs(route.shape) {
        properties.insert((*name).to_owned(), json!({ "type": *schema }));
    }
    let mut operation = json!({
        "summary": spec.summary,
        "tags": [spec.family.name()],
        "responses": responses(route.shape),
    });
    if matches!(route.method, Method::Post | Method::Put) {
        if !properties.is_empty() {
            let needed = !required.is_empty();
            let mut schema = json!({ "type": "object", "properties": properties });
            if needed {
                schema["required"] = Value::from(required);
            }
            operation["requestBody"] = json!({
                "required": needed,
                "content": { "application/json": { "schema": schema } },
            });
        }
    } else {
        parameters.extend(properties.into_iter().map(|(name, schema)| {
            let needed = required.contains(&name);
            json!({ "name": name, "in": "query", "required": needed, "schema": schema })
        }));
    }
    operation["parameters"] = Value::from(parameters);
    operation
}

fn own_operation(route: &'static Route, own: Own) -> Value {
    let (summary, media_type) = match own {
        Own::Health => ("Health of the server", "application/json"),
        Own::HealthOf => ("Health of a part of the server", "application/json"),
        Own::Metrics => ("Counters and gauges for Prometheus", "text/plain"),
        Own::Info => ("Facts about the server by section", "application/json"),
        Own::KvStats => ("Totals of the key-value store", "application/json"),
        Own::Audit => ("Security events, oldest first; for administrators", "application/json"),
        Own::TypeStats(_) => ("Totals of all keys of this type", "application/json"),
        Own::OpenapiJson => ("This document as JSON", "application/json"),
        Own::OpenapiYaml => ("This document as YAML", "application/yaml"),
        Own::Live(live) => (live.summary(), live.media_type()),
        Own::Envelope => ("Carries out a command, a batch or lines of them", "application/json"),
        Own::Access(access) => (access.summary(), "application/json"),
    };
    let mut parameters: Vec<Value> =
        route.path.split('/').filter_map(parameter).map(path_parameter).collect();
    if let Own::Live(live) = own {
        parameters.extend(live.parameters(route.path).iter().map(|(name, required)| {
            json!({
                "name": name, "in": "query", "required": required, "schema": { "type": "string" },
            })
        }));
    }
    let queried: &[(&str, &str)] = match own {
        Own::Info => &[("section", "string")],
        Own::Audit => &[("after", "integer"), ("limit", "integer")],
        _ => &[],
    };
    parameters.extend(queried.iter().map(|(name, kind)| {
        json!({ "name": name, "in": "query", "required": false, "schema": { "type": kind } })
    }));
    let mut operation = json!({
        "summary": summary,
        "tags": [if matches!(own, Own::Access(_)) { "auth" } else { "server" }],
        "parameters": parameters,
        "responses": {
            "200": { "description": "Done", "content": { media_type: { "schema": {} } } },
            "default": error_response(),
        },
    });
    match own {
        Own::Access(access) if !access.inputs().is_empty() => {
            operation["requestBody"] = access_body(access);
        }
        _ => {}
    }
    if matches!(own, Own::Health | Own::Access(AccessRoute::Login)) {
        // Nobody has to say who it is.
        operation["security"] = json!([]);
    }
    operation
}

fn access_body(access: AccessRoute) -> Value {
    let typed = |(name, kind, _): &(&str, &str, bool)| {
        let mut schema = json!({ "type": kind });
        if *kind == "array" {
            schema["items"] = json!({});
        }
        ((*name).to_owned(), schema)
    };
    let properties: Map<String, Value> = access.inputs().iter().map(typed).collect();
    let needed = access.inputs().iter().filter(|(_, _, needed)| *needed).map(|(name, ..)| *name);
    let needed: Vec<&str> = needed.collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if !needed.is_empty() {
        schema["required"] = json!(needed);
    }
    json!({
        "required": !needed.is_empty(),
        "content": { "application/json": { "schema": schema } },
    })
}

fn path_parameter(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
}

/// Whether a parameter of the path fills `arg`.
fn fills(arg: &ArgSpec, in_path: &[&str]) -> bool {
    in_path.iter().any(|name| *name == arg.name || (*name == "key" && arg.name == "keys"))
}

/// Inputs that shape the answer and are no arguments of the command.
fn answer_inputs(shape: Shape) -> &'static [(&'static str, &'static str)] {
    match shape {
        Shape::KvGet => &[("type", "string"), ("format", "string")],
        Shape::Bare | Shape::HashGet => &[("type", "string")],
        Shape::KvSet => &[("ttl", "integer")],
        Shape::Keys => &[("limit", "integer")],
        Shape::Scan => &[("prefix", "string")],
        Shape::Transaction(_) | Shape::TransactionExec => &[("client_id", "string")],
        Shape::Pubsub(body) => body.inputs(),
        _ => &[],
    }
}

fn inputs(arg: &ArgSpec, properties: &mut Map<String, Value>, required: &mut Vec<String>) {
    match arg.kind {
        ArgKind::OneOf(choices) if !arg.optional => {
            let words: Vec<&str> = choices.iter().map(|choice| choice.token).collect();
            properties.insert(arg.name.to_owned(), json!({ "type": "string", "enum": words }));
            required.push(arg.name.to_owned());
        }
        ArgKind::OneOf(choices) => {
            choices.iter().for_each(|choice| inputs(choice, properties, &mut Vec::new()));
        }
        ArgKind::Block(parts) if !arg.repeated => {
            parts.iter().for_each(|part| inputs(part, properties, required));
        }
        _ => {
            let mut schema = schema(arg);
            schema["description"] = Value::from(arg.doc);
            properties.insert(arg.name.to_owned(), schema);
            let defaulted = matches!(arg.name, "amount" | "cursor" | "pattern" | "seconds");
            if !arg.optional && !defaulted {
                required.push(arg.name.to_owned());
            }
        }
    }
}

fn schema(arg: &ArgSpec) -> Value {
    let one = match arg.kind {
        ArgKind::Key | ArgKind::Name(_) | ArgKind::Pattern => json!({ "type": "string" }),
        ArgKind::Integer => json!({ "type": "integer", "format": "int64" }),
        ArgKind::Float => json!({ "type": "number", "format": "double" }),
        ArgKind::Flag => json!({ "type": "boolean", "default": false }),
        // Any JSON value.
        ArgKind::Bytes | ArgKind::OneOf(_) => json!({}),
        ArgKind::Block(_) => json!({ "type": "array", "items": {} }),
    };
    if arg.repeated { json!({ "type": "array", "items": one, "minItems": 1 }) } else { one }
}

/// Members of what `POST /snapshot` answers.
const SNAPSHOT: &[(&str, &str)] = &[
    ("success", "boolean"),
    ("message", "string"),
    ("name", "string"),
    ("path", "string"),
    ("offset", "integer"),
    ("size_bytes", "integer"),
    ("entries", "integer"),
    ("duration_ms", "integer"),
];

/// Members of what `GET /cdc/{capture}/changes` answers.
const CHANGES: &[(&str, &str)] =
    &[("position", "string"), ("changes", "array"), ("more", "boolean"), ("snapshot", "boolean")];

fn responses(shape: Shape) -> Value {
    let fields: &[(&str, &str)] = match shape {
        Shape::Bare | Shape::KvGet | Shape::HashGet | Shape::Own | Shape::Dss(_) => &[],
        Shape::Field(name) => return ok(json!({ "type": "object", "required": [name] })),
        Shape::Flag(name) => &[(name, "boolean")],
        Shape::KvSet => &[("success", "boolean"), ("key", "string"), ("written", "boolean")],
        Shape::Mset => &[("success", "boolean"), ("count", "integer")],
        Shape::Deleted => &[("deleted", "boolean"), ("key", "string")],
        Shape::Rename | Shape::RenameNx | Shape::Copy => {
            &[("success", "boolean"), ("source", "string"), ("destination", "string")]
        }
        Shape::Ttl => &[("ttl", "integer")],
        Shape::Keyed(name) => return ok(json!({ "type": "object", "required": ["key", name] })),
        Shape::BitGet => &[("key", "string"), ("offset", "integer"), ("value", "integer")],
        Shape::BitPosition => &[("key", "string"), ("position", "integer")],
        Shape::BitOperation => &[("destination", "string"), ("length", "integer")],
        Shape::KeyedFlag(name) => {
            return ok(json!({
                "type": "object",
                "properties": { "key": { "type": "string" }, name: { "type": "boolean" } },
                "required": ["key", name],
            }));
        }
        Shape::MemoryUsage => &[("key", "string"), ("bytes", "integer"), ("human", "string")],
        Shape::Keys => &[("keys", "array"), ("count", "integer")],
        Shape::Scan => &[("keys", "array"), ("cursor", "string"), ("count", "integer")],
        Shape::Slowlog => &[("entries", "array"), ("total", "integer")],
        Shape::SlowlogReset => &[("success", "boolean")],
        Shape::Clients => &[("clients", "array"), ("count", "integer")],
        Shape::KeyedSuccess => &[("key", "string"), ("success", "boolean")],
        Shape::Container(body) => body.fields(),
        Shape::Sorted(body) => body.fields(),
        Shape::Topic(body) => body.fields(),
        Shape::Transaction(_) => {
            &[("success", "boolean"), ("message", "string"), ("client_id", "string")]
        }
        Shape::TransactionExec => &[
            ("success", "boolean"),
            ("results", "array"),
            ("aborted", "boolean"),
            ("message", "string"),
        ],
        Shape::Geo(body) => body.fields(),
        Shape::Queue(body) => body.fields(),
        Shape::Pubsub(body) => body.fields(),
        Shape::Snapshot => SNAPSHOT,
        Shape::Changes => CHANGES,
    };
    if fields.is_empty() {
        return ok(json!({}));
    }
    let mut properties = Map::new();
    for (name, kind) in fields {
        let mut schema = json!({ "type": kind });
        if *kind == "array" {
            schema["items"] = json!({});
        }
        schema["nullable"] = Value::from(matches!(
            shape,
            Shape::Ttl
                | Shape::BitPosition
                | Shape::Sorted(_)
                | Shape::Geo(_)
                | Shape::Topic(_)
                | Shape::Queue(queue::Body::Message | queue::Body::Decoded)
        ));
        properties.insert((*name).to_owned(), schema);
    }
    ok(json!({ "type": "object", "properties": properties }))
}

fn ok(schema: Value) -> Value {
    json!({
        "200": { "description": "Done", "content": { "application/json": { "schema": schema } } },
        "default": error_response(),
    })
}

fn error_response() -> Value {
    json!({
        "description": "Refused",
        "content": { "application/json": {
            "schema": { "$ref": "#/components/schemas/Error" },
        } },
    })
}

/// YAML in block style. Strings are quoted as in JSON, which YAML 1.2 reads the same.
fn yaml_value(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                yaml_line(depth, &quoted(name), ":", member, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                yaml_line(depth, "-", "", item, out);
            }
        }
        _ => {
            out.push_str(&value.to_string());
            out.push('\n');
        }
    }
}

fn yaml_line(depth: usize, lead: &str, mark: &str, value: &Value, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
    out.push_str(lead);
    out.push_str(mark);
    let nested = match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    out.push(if nested { '\n' } else { ' ' });
    yaml_value(value, depth + 1, out);
}

fn quoted(name: &str) -> String {
    let mut bytes = Vec::new();
    text::write_str(&mut bytes, name);
    String::from_utf8(bytes).expect("a quoted string is UTF-8")
}

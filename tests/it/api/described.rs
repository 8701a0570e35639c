//! Every answer of a box is what the description of the interface says: held against it by the client
//! that all tests of the interface use.

use std::sync::LazyLock;

use serde_json::Value;
use ureq::http::Method;

use super::client::Reply;

static DESCRIBED: LazyLock<Value> = LazyLock::new(classveil::api::description);

/// Whether `path` is one that `template` stands for, with a part or, for files, the rest in braces.
fn is_of(template: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap();
    let (wanted, given) = (template.split('/'), path.split('/'));
    let rest = template.ends_with("/files/{path}");
    let fits = |(wanted, given): (&str, &str)| wanted.starts_with('{') || wanted == given;
    let same = wanted.clone().count() == given.clone().count();
    (same || rest && given.clone().count() > wanted.clone().count()) && wanted.zip(given).all(fits)
}

/// Fails where an answer is not as it is described.
#[track_caller]
pub(super) fn hold(method: &Method, path: &str, reply: &Reply) {
    let paths = DESCRIBED["paths"].as_object().unwrap();
    let found = paths.iter().find(|(template, _)| is_of(template, path));
    let operation = found.map(|(_, item)| &item[method.as_str().to_lowercase()]);
    let Some(operation) = operation.filter(|operation| operation.is_object()) else { return };
    let which = if reply.status < 300 { "2XX" } else { "default" };
    let content = &operation["responses"][which]["content"];
    let kind = reply.kind.split(';').next().unwrap();
    if content.is_null() {
        assert!(reply.bytes.is_empty(), "{method} {path}: {}", reply.text);
        return;
    }
    assert!(content[kind].is_object(), "{method} {path} gives {kind}: {content}");
    let schema = &content[kind]["schema"];
    if schema.is_object() {
        fits(schema, &reply.body, &format!("{method} {path} {}", reply.status));
    }
}

/// Whether a value is as a schema says, with no member that it does not name.
#[track_caller]
fn fits(schema: &Value, value: &Value, at: &str) {
    if let Err(problem) = check(schema, value) {
        panic!("{at}: {problem}\n{value}");
    }
}

fn check(schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        let schema = &DESCRIBED["components"]["schemas"][name];
        assert!(schema.is_object(), "{name} is nowhere described");
        return check(schema, value).map_err(|problem| format!("{name}: {problem}"));
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let tried: Vec<_> = choices.iter().map(|one| check(one, value)).collect();
        let fits = tried.iter().any(Result::is_ok);
        return if fits { Ok(()) } else { Err(format!("{tried:?}")) };
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().map(|kind| kind.as_str().unwrap()).collect(),
        // Anything.
        _ => return Ok(()),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_kind = kinds.contains(&kind) || kind == "integer" && kinds.contains(&"number");
    if !is_kind {
        return Err(format!("{value} is {kind}, not {kinds:?}"));
    }
    if let (Some("date-time"), Some(text)) = (schema["format"].as_str(), value.as_str()) {
        text.parse::<jiff::Timestamp>().map_err(|error| format!("{text}: {error}"))?;
    }
    for one in value.as_array().into_iter().flatten() {
        check(&schema["items"], one)?;
    }
    let (Some(members), Some(named)) = (value.as_object(), schema["properties"].as_object()) else {
        return Ok(());
    };
    for (name, value) in members {
        let schema = named.get(name).ok_or_else(|| format!("{name} is not described"))?;
        check(schema, value).map_err(|problem| format!("{name}: {problem}"))?;
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap();
        if !members.contains_key(name) {
            return Err(format!("{name} is missing"));
        }
    }
    Ok(())
}

/// What holds answers does find what is wrong.
#[test]
fn an_answer_that_is_not_as_described_is_found() {
    let schema = &DESCRIBED["components"]["schemas"]["Counts"];
    let good = serde_json::json!({ "kept": 1, "withheld": 0, "months": [] });
    assert_eq!(check(schema, &good), Ok(()));
    for (member, bad) in [
        ("kept", Value::Null),
        ("kept", "1".into()),
        ("more", 1.into()),
        ("months", serde_json::json!([{ "month": "2026-11", "recorded": 1 }])),
    ] {
        let mut wrong = good.clone();
        wrong[member] = bad;
        assert!(check(schema, &wrong).is_err(), "{wrong}");
    }
    let mut missing = good.clone();
    missing.as_object_mut().unwrap().remove("kept");
    assert!(check(schema, &missing).is_err());
}

/// Nothing is described in part: each route says what it takes and gives, and who may use it how.
#[test]
fn every_route_has_its_shapes() {
    for row in classveil::api::routes() {
        let path = row.path.replace("{*", "{");
        let operation = &DESCRIBED["paths"][&path][row.method.as_str().to_lowercase()];
        let given = &operation["responses"]["2XX"]["content"]["application/json"];
        let is_file = row.path == "/api/openapi.json";
        assert!(given.is_null() || is_file || given["schema"].is_object(), "{path}");
        let problem = &operation["responses"]["default"]["content"]["application/problem+json"];
        assert_eq!(problem["schema"]["$ref"], "#/components/schemas/Problem", "{path}");
        let is_open = row.access == classveil::api::Access::Open;
        let needed = if is_open { Value::Null } else { needed(&row.method) };
        assert_eq!(operation["security"], needed, "{path}");
    }
    for name in ["session", "csrf"] {
        assert!(DESCRIBED["components"]["securitySchemes"][name].is_object(), "{name}");
    }
    let loads = &DESCRIBED["paths"]["/api/v1/pupils/load"]["post"]["parameters"][0];
    assert_eq!((&loads["name"], &loads["in"]), (&"confirm_removals".into(), &"query".into()));
}

fn needed(method: &Method) -> Value {
    if *method == Method::GET {
        serde_json::json!([{ "session": [] }])
    } else {
        serde_json::json!([{ "session": [], "csrf": [] }])
    }
}

//! The pages themselves, and what says how the box is to other machines.

use std::time::Duration;

use axum::{
    Json,
    body::Body,
    extract::{Extension, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use rust_embed::RustEmbed;
use serde_json::Value;

use super::{
    App,
    guard::Peer,
    problem::Problem,
    table::{Access, Row, Table},
    word_in,
};
use crate::{appliance::control::Request, vault::Digest};

/// What `make ui` built.
#[derive(RustEmbed)]
#[folder = "ui/dist/"]
struct Built;

pub(super) fn add(table: Table) -> Table {
    let open = Access::Open;
    table
        .add(Row::get("/healthz", open, "says that the program runs").gives("text/plain"), healthz)
        .add(Row::get("/readyz", open, "says whether the box answers").gives("text/plain"), readyz)
        .add(
            Row::get("/metrics", open, "figures for Prometheus; off loopback with a token")
                .gives("text/plain"),
            metrics,
        )
        .add(
            Row::get("/api/openapi.json", open, "describes the interface for programs")
                .gives("application/json"),
            openapi,
        )
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(app): State<App>) -> Result<&'static str, Problem> {
    let status = app.ask(Request::Status, Duration::from_secs(3)).await?;
    // Ready once everything was looked at, whatever was seen.
    if status["ready"] == true { Ok("ready\n") } else { Err(Problem::busy()) }
}

async fn openapi() -> Json<Value> {
    Json(super::description())
}

async fn metrics(
    State(app): State<App>,
    Extension(Peer(from)): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // What a program on this machine passes on comes from somebody else.
    let is_passed_on =
        ["forwarded", "x-forwarded-for"].iter().any(|name| headers.contains_key(*name));
    if !from.ip().is_loopback() || is_passed_on {
        let path = app.metrics_token.clone();
        let wanted = app.work(move |_| Ok(path.map(|path| word_in(&path)).transpose())).await?;
        let wanted = wanted.map_err(|error| Problem::broken(&error))?.filter(|word| word.len() > 7);
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|given| given.strip_prefix("Bearer ")).map(str::trim);
        // Digests are compared: how long that takes says nothing about the word.
        let fits = wanted.zip(given).is_some_and(|(wanted, given)| {
            Digest::of(wanted.as_bytes()) == Digest::of(given.as_bytes())
        });
        if !fits {
            let text = "figures are for this machine, or for whoever sends the token";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "token", text));
        }
    }
    let text = figures(&app.status().await?);
    let kind = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    Ok(([kind], text).into_response())
}

/// What `status` says, in Prometheus' words. No names: a camera's id is all there is.
fn figures(status: &Value) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let mut say = |name: &str, kind: &str, help: &str, lines: &[(String, f64)]| {
        // Writing into a text cannot fail.
        let _ = writeln!(text, "# HELP classveil_{name} {help}\n# TYPE classveil_{name} {kind}");
        for (labels, value) in lines {
            let _ = writeln!(text, "classveil_{name}{labels} {value}");
        }
    };
    let state = status["state"].as_str().unwrap_or_default();
    say("state", "gauge", "What the box does.", &[(format!("{{state=\"{state}\"}}"), 1.0)]);
    let is = |yes: bool| f64::from(u8::from(yes));
    let works = is(status["indicator"] == "works");
    say("indicator_works", "gauge", "Whether the indicator obeys.", &[(String::new(), works)]);
    let faulty = is(!status["fault"].is_null());
    say(
        "fault",
        "gauge",
        "Whether the last recording ended by a fault.",
        &[(String::new(), faulty)],
    );
    let up = |camera: &Value| {
        let id = camera["camera"].as_str().unwrap_or_default();
        (format!("{{camera=\"{id}\"}}"), is(camera["answers"] == true))
    };
    let up: Vec<_> = status["reach"].as_array().into_iter().flatten().map(up).collect();
    say("camera_up", "gauge", "Whether the camera answered when it was asked last.", &up);
    let reasons = status["reasons"].as_array().map_or(0, Vec::len);
    #[expect(clippy::cast_precision_loss, reason = "some dozens at most")]
    let reasons = [(String::new(), reasons as f64)];
    say("reasons", "gauge", "Reasons against a recording, when last looked.", &reasons);
    let seconds = [(String::new(), status["recording_s"].as_f64().unwrap_or(0.0))];
    say("recording_seconds", "gauge", "How long the recording runs.", &seconds);
    let of = |list: &str, member: &str, more: &str| -> Vec<(String, f64)> {
        let line = |camera: &Value| {
            let id = camera["camera"].as_str().unwrap_or_default();
            (format!("{{camera=\"{id}\"{more}}}"), camera[member].as_f64().unwrap_or(0.0))
        };
        status[list].as_array().into_iter().flatten().map(line).collect()
    };
    for (name, member, help) in [
        ("frames_in", "frames_in", "Frames taken from the camera."),
        ("frames_displaced", "frames_displaced", "Frames that gave way to newer ones."),
        ("frames_veiled_whole", "frames_veiled_whole", "Frames veiled whole."),
        ("segments", "segments", "Segments handed to the writer."),
        ("seconds", "seconds", "Time of the newest frame."),
    ] {
        say(name, "gauge", help, &of("cameras", member, ""));
    }
    let queues = [
        of("cameras", "frames_waiting", ",queue=\"camera\""),
        of("cameras", "frames_held", ",queue=\"look-ahead\""),
    ];
    say("queue_frames", "gauge", "Frames that wait.", &queues.concat());
    // Since the program began, over all recordings.
    let dropped = [
        of("totals", "frames_late", ",reason=\"late\""),
        of("totals", "frames_overload", ",reason=\"overload\""),
    ];
    say(
        "frames_dropped_total",
        "counter",
        "Frames that gave way to newer ones.",
        &dropped.concat(),
    );
    for (name, member, help) in [
        ("frames_in_total", "frames_in", "Frames taken from the camera."),
        ("frames_damaged_total", "frames_damaged", "Frames that could not be decoded whole."),
        (
            "frames_veiled_by_default_total",
            "frames_veiled_whole",
            "Frames veiled whole because nothing better was known of them.",
        ),
        ("segments_total", "segments", "Segments handed to the writer."),
        ("gaps_total", "gaps", "Times that the camera was away."),
        ("gap_seconds_total", "gap_seconds", "For how long it was away."),
        ("inferences_total", "looks", "Frames that the models looked at."),
        ("inference_seconds_total", "look_seconds", "For how long they looked."),
    ] {
        say(name, "counter", help, &of("totals", member, ""));
    }
    text
}

/// A route that is asked in a way that it does not know.
pub(super) async fn other_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this cannot be asked here in this way")
}

/// Everything that is no route: a file of the pages, or the page that finds out by itself what to
/// show.
pub(super) async fn fallback(method: Method, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") || path == "api" || !matches!(method, Method::GET | Method::HEAD) {
        return Problem::not_found().into_response();
    }
    let looks_like_file = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    let name = if path.is_empty() || !looks_like_file { "index.html" } else { path };
    let Some(file) = Built::get(name) else {
        if name == "index.html" {
            let text = "this program was built without its pages: `make ui` builds them";
            return (StatusCode::NOT_FOUND, text).into_response();
        }
        return Problem::not_found().into_response();
    };
    // Vite names files under `assets/` after what is in them.
    let keep = if name.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let mut response = Response::new(Body::from(file.data));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind(name)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    response
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "webmanifest" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn figures_name_cameras_and_nobody() {
        let text = figures(&json!({
            "state": "recording", "indicator": "works", "fault": null, "recording_s": 12,
            "lesson": { "teacher": "t-07" }, "reasons": [],
            "cameras": [{ "camera": "cam1", "frames_in": 30, "frames_held": 24, "segments": 2 }],
            "totals": [{ "camera": "cam1", "frames_late": 3, "frames_overload": 4, "looks": 80 }],
        }));
        assert!(text.contains("classveil_frames_in{camera=\"cam1\"} 30\n"), "{text}");
        for line in [
            "frames_dropped_total{camera=\"cam1\",reason=\"late\"} 3",
            "frames_dropped_total{camera=\"cam1\",reason=\"overload\"} 4",
            "inferences_total{camera=\"cam1\"} 80",
            "queue_frames{camera=\"cam1\",queue=\"look-ahead\"} 24",
        ] {
            assert!(text.contains(&format!("classveil_{line}\n")), "{line}: {text}");
        }
        assert!(text.contains("classveil_state{state=\"recording\"} 1\n"), "{text}");
        assert!(!text.contains("t-07"), "{text}");
    }
}

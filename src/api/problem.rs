//! What went wrong, as RFC 9457 words it. Belongs here: the shape, and which kind of failure is which
//! status. Does not belong: the failures.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::error::{ErrorKind, Kind};

/// A refusal, or a failure. It names no file of the box and repeats nothing that was sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    more: Map<String, Value>,
    retry_after_s: Option<u64>,
}

/// What a problem looks like, beside members that one of its kind alone has.
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "a shape to describe; the response is made below")]
pub(super) struct Described {
    /// urn:classveil:problem: and the code.
    r#type: String,
    title: String,
    status: u16,
    /// The word by which programs and pages know it.
    code: String,
    detail: String,
    /// How the box is, where that is why.
    state: Option<String>,
    /// What stands against a recording.
    reasons: Option<Vec<Value>>,
    /// What is wrong with a pupil list, each with its place.
    problems: Option<Vec<Value>>,
    ok: Option<bool>,
    summary: Option<Value>,
    /// How many refusals the list lifts.
    removals: Option<u64>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), more: Map::new(), retry_after_s: None }
    }

    pub(super) fn bad(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(super) fn denied(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "there is nothing of that name")
    }

    pub(super) fn busy() -> Self {
        let text = "the box has other things to do: try again";
        Self { retry_after_s: Some(2), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text) }
    }

    /// With one member more.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// Try again then.
    pub(super) const fn after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The problem of an error. What the operator has to see to is in the log, not in the answer: it
    /// may name files of the box.
    pub(super) fn of(error: &impl Kind) -> Self {
        let (status, code) = match error.kind() {
            ErrorKind::Usage => (StatusCode::BAD_REQUEST, "wrong"),
            ErrorKind::Config => (StatusCode::UNPROCESSABLE_ENTITY, "wrong"),
            ErrorKind::Denied => (StatusCode::FORBIDDEN, "denied"),
            ErrorKind::NotFound => (StatusCode::NOT_FOUND, "not-found"),
            ErrorKind::Conflict => (StatusCode::CONFLICT, "conflict"),
            ErrorKind::Transient => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            ErrorKind::Exhausted => (StatusCode::INSUFFICIENT_STORAGE, "exhausted"),
            ErrorKind::DataLoss | ErrorKind::Bug | ErrorKind::Io => {
                return Self::broken(error);
            }
        };
        Self::new(status, code, error.to_string())
    }

    /// Something in the box does not work.
    pub(super) fn broken(error: &impl std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        let text = "the box could not do it; its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "broken", text)
    }
}

impl<E: Kind> From<E> for Problem {
    fn from(error: E) -> Self {
        Self::of(&error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Problem");
        let mut body = json!({
            "type": format!("urn:classveil:problem:{}", self.code),
            "title": title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
        });
        if let Value::Object(body) = &mut body {
            body.extend(self.more);
        }
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

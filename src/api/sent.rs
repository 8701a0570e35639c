//! What comes in a request's body. Belongs here: reading it without repeating any of it in an answer.

use axum::{
    extract::{FromRequest, Request},
    http::{StatusCode, header},
};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// A JSON body.
pub(super) struct Sent<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
        if kind != Some("application/json") {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "not-json", "send application/json"));
        }
        let bytes = axum::body::Bytes::from_request(request, state).await.map_err(|refused| {
            let status = refused.status();
            Problem::new(status, "body", "the body is too long, or was cut off")
        })?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let what = match error.classify() {
                serde_json::error::Category::Data => "a member is missing, unknown or of no use",
                _ => "this is no JSON",
            };
            Problem::bad("body", format!("line {line}, column {column}: {what}"))
        })
    }
}

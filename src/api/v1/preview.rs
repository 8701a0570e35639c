//! The veiled picture while it is recorded, for the two who are in the room.

use std::time::Instant;

use axum::{
    body::{Body, Bytes},
    extract::{Extension, Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use tokio::time::sleep;

use super::recordings::is_of;
use crate::{
    api::{App, not_yours, problem::Problem, sessions::Login},
    appliance::preview::{EVERY, Look, Watching},
    units::CameraId,
};

/// Watchers at a time: a page or two for each of the two, and one that was not closed.
const MOST: usize = 6;

/// What stands between two pictures.
const BOUNDARY: &str = "classveil-picture";

pub(super) async fn preview(
    State(app): State<App>,
    Extension(login): Extension<Login>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let camera: CameraId = id.parse().map_err(|_| Problem::not_found())?;
    if !app.desk.config().cameras.iter().any(|known| known.id == camera) {
        return Err(Problem::not_found());
    }
    let status = app.status().await?;
    if !is_of(&status, &login) {
        return Err(not_yours());
    }
    if !takes_pictures(&status) {
        let text = "no picture is taken before a recording begins and after it ends";
        return Err(Problem::new(StatusCode::CONFLICT, "no-picture", text));
    }
    if app.desk.previews().watchers() >= MOST {
        return Err(Problem::busy());
    }
    let watching = app.desk.previews().watch(&camera);
    let pictures = stream::unfold((app, login, watching, false), |watch| async move {
        let (app, login, watching, sure) = watch;
        // Where there is no next picture the answer ends.
        let (picture, watching) = next(&app, &login, watching, sure).await?;
        Some((Ok::<_, std::convert::Infallible>(picture), (app, login, watching, true)))
    });
    let mut response = Body::from_stream(pictures).into_response();
    let kind = format!("multipart/x-mixed-replace; boundary={BOUNDARY}");
    if let Ok(kind) = HeaderValue::from_str(&kind) {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    Ok(response)
}

fn takes_pictures(status: &serde_json::Value) -> bool {
    matches!(status["state"].as_str(), Some("arming" | "recording" | "stopping"))
}

/// The next picture; none where the recording, or the session, is over. Before the first it is made
/// `sure` whose recording it is: the one that was armed may have failed, and another begun.
async fn next(
    app: &App,
    login: &Login,
    mut watching: Watching,
    sure: bool,
) -> Option<(Bytes, Watching)> {
    let mut empty = 0;
    loop {
        sleep(EVERY).await;
        let looked = app.work(move |_| {
            let look = watching.look();
            Ok((look, watching))
        });
        let (look, back) = looked.await.ok()?;
        watching = back;
        match look {
            Look::New(jpeg) => {
                if !app.sessions.is_live(login.session, Instant::now(), true) {
                    return None;
                }
                if !sure && !is_of(&app.status().await.ok()?, login) {
                    return None;
                }
                let length = jpeg.len();
                let mut part = format!(
                    "--{BOUNDARY}\r\ncontent-type: image/jpeg\r\ncontent-length: {length}\r\n\r\n"
                )
                .into_bytes();
                part.extend(jpeg);
                part.extend(b"\r\n");
                return Some((part.into(), watching));
            }
            Look::NotYet => empty += 1,
            // The camera is being opened, or it is over.
            Look::Over => empty += 5,
        }
        // Every few seconds without a picture: is there still anything to see, and for whom?
        if empty >= 25 {
            empty = 0;
            let status = app.status().await.ok()?;
            let live = app.sessions.is_live(login.session, Instant::now(), true);
            if !live || !takes_pictures(&status) || !is_of(&status, login) {
                return None;
            }
        }
    }
}

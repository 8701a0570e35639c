//! The status as it changes, for pages that stay open.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{Extension, State},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::recordings::is_of;
use crate::api::{App, sessions::Login};

/// How often the box is looked at while somebody watches.
const LOOK: Duration = Duration::from_millis(500);
/// How often those who watch are told while it records, though nothing else has changed.
const WHILE_RECORDING: Duration = Duration::from_secs(2);
/// How often a session is looked at.
const STILL_LOGGED_IN: Duration = Duration::from_secs(5);

/// Looks at the box for all who watch; at nothing while nobody does.
pub(in crate::api) async fn publish(app: App) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Instant::now();
    loop {
        ticks.tick().await;
        if app.status.receiver_count() == 0 {
            continue;
        }
        let Ok(status) = app.status().await else { continue };
        let before = Arc::clone(&app.status.borrow());
        let is_due = told.elapsed() >= WHILE_RECORDING;
        if essence(&before) != essence(&status) || (is_due && *before != status) {
            told = Instant::now();
            app.status.send_replace(Arc::new(status));
        }
    }
}

/// The status without what changes with every frame and every second.
fn essence(status: &Value) -> Value {
    let mut status = status.clone();
    if let Value::Object(members) = &mut status {
        for member in ["recording_s", "left_s"] {
            members.remove(member);
        }
        if let Some(Value::Array(cameras)) = members.get_mut("cameras") {
            for camera in cameras {
                if let Value::Object(camera) = camera {
                    camera.retain(|name, _| matches!(&name[..], "camera" | "recording"));
                }
            }
        }
    }
    status
}

pub(super) async fn events(State(app): State<App>, Extension(login): Extension<Login>) -> Response {
    let first = app.status().await.ok().map(Arc::new);
    let receiver = app.status.subscribe();
    let watch = (app, login, receiver, first);
    let told = stream::unfold(watch, |(app, login, mut receiver, first)| async move {
        if let Some(status) = first {
            return Some((Ok::<_, Infallible>(told(&status)), (app, login, receiver, None)));
        }
        loop {
            let changed = timeout(STILL_LOGGED_IN, receiver.changed()).await;
            let status = Arc::clone(&receiver.borrow_and_update());
            // A page that follows a recording of its own is not idle.
            let busy = is_of(&status, &login) && !status["recording_s"].is_null();
            if !app.sessions.is_live(login.session, Instant::now(), busy) {
                return None;
            }
            match changed {
                Ok(Ok(())) => {
                    return Some((
                        Ok::<_, Infallible>(told(&status)),
                        (app, login, receiver, None),
                    ));
                }
                Ok(Err(_)) => return None,
                Err(_) => {}
            }
        }
    });
    let keep = KeepAlive::new().interval(Duration::from_secs(10)).text("still here");
    Sse::new(told).keep_alive(keep).into_response()
}

fn told(status: &Value) -> Event {
    Event::default().event("status").data(status.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_second_more_is_no_change() {
        let at = |seconds: u64, state: &str| {
            json!({
                "state": state, "recording_s": seconds,
                "cameras": [{ "camera": "cam1", "recording": "x", "frames_in": seconds * 25 }],
            })
        };
        assert_eq!(essence(&at(1, "recording")), essence(&at(2, "recording")));
        assert_ne!(essence(&at(1, "recording")), essence(&at(1, "stopping")));
    }
}

//! Logging in and out, and the first administrator.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::{Extension, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::{
    api::{
        App,
        accounts::{AccountsError, Password, is_password_of},
        guard::{self, COOKIE, Peer},
        problem::Problem,
        sent::Sent,
        sessions::Login,
    },
    clock::{Clock, SystemClock},
    units::AccountId,
};

/// How long somebody waits for the passwords of those before them.
const QUEUE: Duration = Duration::from_secs(5);

/// Who wants to log in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogIn {
    name: String,
    password: String,
}

/// Who wants to be the first administrator.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetUp {
    code: String,
    name: String,
    password: String,
}

fn told(login: &Login) -> Value {
    json!({
        "name": login.account,
        "role": login.role,
        "person": login.person,
        "csrf": login.csrf.text(),
    })
}

/// Where somebody asks from, as far as that is known: not where a program on this machine asks for them.
fn place(app: &App, from: SocketAddr) -> Option<IpAddr> {
    app.is_encrypted.then(|| from.ip())
}

/// Counts a try.
fn try_one(app: &App, name: Option<&AccountId>, from: SocketAddr) -> Result<(), Problem> {
    app.lockout.try_one(name, place(app, from), Instant::now()).map_err(|wait| {
        let seconds = wait.as_secs() + 1;
        let text = format!("too many tries: wait {seconds} s");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "wait", text).after(seconds)
    })
}

pub(super) async fn log_in(
    State(app): State<App>,
    Extension(Peer(from)): Extension<Peer>,
    headers: HeaderMap,
    Sent(LogIn { name, password }): Sent<LogIn>,
) -> Result<Response, Problem> {
    let name: Option<AccountId> = name.parse().ok();
    let password = Password::new(password);
    try_one(&app, name.as_ref(), from)?;
    let turn = timeout(QUEUE, app.hashing.acquire()).await;
    let turn = turn.ok().and_then(Result::ok).ok_or_else(Problem::busy)?;
    let wanted = name.clone();
    let account = app
        .work(move |app| {
            let known = app.accounts.read()?;
            let account = wanted.and_then(|name| known.account(&name));
            // Looked at whether there is an account or not, which takes the same time.
            let fits = is_password_of(&password, account);
            Ok(account.filter(|_| fits).cloned())
        })
        .await?;
    drop(turn);
    let Some(account) = account else {
        tracing::warn!("a login failed");
        let text = "the name or the password is wrong";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "login", text));
    };
    app.lockout.was_right(name.as_ref(), place(&app, from));
    app.forget_known();
    // Another person at the same browser.
    if let Some(before) = guard::login(&app, &headers).await? {
        app.sessions.end(before.session);
    }
    let begun = app.sessions.begin(&account, Instant::now());
    let (token, login) = begun.ok_or_else(Problem::busy)?;
    tracing::info!(account = %login.account, role = %login.role, "logged in");
    let secure = if app.is_encrypted { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict{secure}");
    Ok(with_cookie(Json(told(&login)), &cookie))
}

fn with_cookie(body: impl IntoResponse, cookie: &str) -> Response {
    let mut response = body.into_response();
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

pub(super) async fn who(Extension(login): Extension<Login>) -> Json<Value> {
    Json(told(&login))
}

pub(super) async fn log_out(
    State(app): State<App>,
    Extension(login): Extension<Login>,
) -> Response {
    app.sessions.end(login.session);
    let cookie = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    with_cookie(StatusCode::NO_CONTENT, &cookie)
}

pub(super) async fn set_up(
    State(app): State<App>,
    Extension(Peer(from)): Extension<Peer>,
    Sent(SetUp { code, name, password }): Sent<SetUp>,
) -> Result<Response, Problem> {
    try_one(&app, None, from)?;
    let name: AccountId =
        name.parse().map_err(|_| Problem::bad("name", "use 1 to 32 of a-z, 0-9 and -"))?;
    let password = Password::new(password);
    let (made, turn) = (name.clone(), timeout(QUEUE, app.hashing.acquire()).await);
    let turn = turn.ok().and_then(Result::ok).ok_or_else(Problem::busy)?;
    app.work(move |app| {
        let now = SystemClock.now();
        let done = app.accounts.set_up(app.desk.audit(), now, &code, &made, &password);
        done.map_err(|error| match error {
            AccountsError::NoCode => Problem::denied("code", error.to_string()),
            AccountsError::BadPassword { .. } => Problem::bad("password", error.to_string()),
            error => Problem::of(&error),
        })
    })
    .await?;
    drop(turn);
    app.lockout.was_right(None, place(&app, from));
    app.forget_known();
    let body = Json(json!({ "name": name, "role": "admin" }));
    Ok((StatusCode::CREATED, body).into_response())
}

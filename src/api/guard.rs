//! What stands before every route: who is it, may they, is it their own page that asks.
//!
//! Belongs here: cookies, roles, forged requests, patience, and the headers of every answer. Does not
//! belong: what a route does.

use std::{net::SocketAddr, time::Instant};

use axum::{
    body::{Body, HttpBody as _, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::timeout;

use super::{
    App,
    problem::Problem,
    server::{HEAD_BYTES, HURRY},
    sessions::Login,
    table::{Access, Row},
};

/// The cookie that holds a session's token.
pub(super) const COOKIE: &str = "classveil_session";
/// The header with the word that proves that the box's own page asks.
pub(super) const CSRF: &str = "x-csrf-token";

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Lets a request through to its route, or says why not.
pub(super) async fn guard(
    State((app, row)): State<(App, Row)>,
    request: Request,
    next: Next,
) -> Response {
    let mut request = match hear_out(request).await {
        Ok(request) => request,
        Err(problem) => return problem.into_response(),
    };
    match admit(&app, &row, request.headers()).await {
        Ok(Some(login)) => {
            request.extensions_mut().insert(login);
        }
        Ok(None) => {}
        Err(problem) => return problem.into_response(),
    }
    let answered = timeout(row.patience, next.run(request)).await;
    answered.unwrap_or_else(|_| {
        let text = "it took too long";
        Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", text).into_response()
    })
}

/// Takes a short body before anything is answered: who is answered by the head of a request alone has
/// the body on the way still, and the connection is lost for what is asked next.
async fn hear_out(request: Request) -> Result<Request, Problem> {
    let (parts, body) = request.into_parts();
    if body.size_hint().exact().is_none_or(|length| length > HEAD_BYTES as u64) {
        return Ok(Request::from_parts(parts, body));
    }
    match timeout(HURRY, to_bytes(body, HEAD_BYTES)).await {
        Ok(Ok(heard)) => Ok(Request::from_parts(parts, Body::from(heard))),
        Ok(Err(_)) => {
            Err(Problem::new(StatusCode::BAD_REQUEST, "body", "the body ended before its length"))
        }
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "it took too long")),
    }
}

async fn admit(app: &App, row: &Row, headers: &HeaderMap) -> Result<Option<Login>, Problem> {
    let changes = row.method != Method::GET;
    if changes {
        refuse_foreign(headers)?;
    }
    let Access::Roles(roles) = row.access else { return Ok(None) };
    let login = login(app, headers).await?;
    let login = login
        .ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "not-logged-in", "log in first"))?;
    if !roles.contains(&login.role) {
        // Who commissions coaching, or runs the box, tries in vain, and it is known.
        tracing::warn!(
            account = %login.account, role = %login.role, method = %row.method, route = row.path,
            "refused: not for this role"
        );
        let text = format!("this is not for the role {}", login.role);
        return Err(Problem::denied("role", text));
    }
    let given = headers.get(CSRF).map(HeaderValue::as_bytes);
    if changes && !given.is_some_and(|given| login.csrf.is(given)) {
        let text = "the header x-csrf-token is missing or not that of this session";
        return Err(Problem::denied("csrf", text));
    }
    Ok(Some(login))
}

/// Who sent the cookie, if their session is not over and their account is as it was.
pub(super) async fn login(app: &App, headers: &HeaderMap) -> Result<Option<Login>, Problem> {
    let Some(token) = token(headers) else { return Ok(None) };
    let Some(login) = app.sessions.find(token, Instant::now()) else { return Ok(None) };
    let known = app.known().await?;
    let same = known
        .account(&login.account)
        .is_some_and(|account| account.changed == login.changed && account.role == login.role);
    if !same {
        app.sessions.end(login.session);
        return Ok(None);
    }
    Ok(Some(login))
}

fn token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, token)| token)
}

/// Browsers say which site asks: no other may change anything, logging in included.
fn refuse_foreign(headers: &HeaderMap) -> Result<(), Problem> {
    let foreign = || Problem::denied("foreign", "another site asks for this");
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if !matches!(site, None | Some(b"same-origin" | b"none")) {
        return Err(foreign());
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let of = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    if host.is_some() && of.map(|(_, host)| host) == host { Ok(()) } else { Err(foreign()) }
}

/// What pages may load: their own files, and pictures and films that they made themselves. They run
/// WebAssembly that is in their scripts, for the arithmetic of a passphrase; no script from a text.
const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob:; media-src blob:; connect-src 'self'; \
    object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Headers of every answer.
pub(super) async fn dress(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), microphone=(), geolocation=(), display-capture=()",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if app.strict_transport {
        // Not for a certificate of the box's own: browsers would let nobody accept it any more.
        let value = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn the_token_is_found_among_other_cookies() {
        let sent = headers(&[("cookie", "a=b; classveil_session=abc ; c=d")]);
        assert_eq!(token(&sent), Some("abc"));
        assert_eq!(token(&headers(&[("cookie", "xclassveil_session=abc")])), None);
        assert_eq!(token(&HeaderMap::new()), None);
    }

    #[test]
    fn no_other_site_changes_anything() {
        let ours = [
            &[][..],
            &[("host", "box:8443"), ("origin", "https://box:8443")],
            &[("sec-fetch-site", "same-origin")],
        ];
        let foreign = [
            &[("host", "box:8443"), ("origin", "https://evil")][..],
            &[("host", "box:8443"), ("origin", "null")],
            &[("origin", "https://box:8443")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
        ];
        assert!(ours.iter().all(|sent| refuse_foreign(&headers(sent)).is_ok()));
        assert!(foreign.iter().all(|sent| refuse_foreign(&headers(sent)).is_err()));
    }
}

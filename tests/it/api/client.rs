//! A browser without a window: keeps its cookie, sends its word.

use std::time::Duration;

use serde_json::Value;
use ureq::{
    Agent,
    http::{HeaderMap, Method, Request},
    tls::{Certificate, RootCerts, TlsConfig},
};

use super::described;

/// One browser.
pub(crate) struct Client {
    agent: Agent,
    /// Where the box is.
    pub(crate) url: String,
    cookie: Option<String>,
    /// The word that goes with whatever changes something.
    pub(crate) csrf: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) bytes: Vec<u8>,
    /// The body where it is JSON.
    pub(crate) body: Value,
}

impl Reply {
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Client {
    /// A browser that trusts this certificate and no other.
    pub(crate) fn new(url: &str, certificate: Option<&[u8]>) -> Self {
        let roots: Vec<Certificate<'static>> =
            certificate.iter().map(|pem| Certificate::from_pem(pem).unwrap()).collect();
        let tls = TlsConfig::builder().root_certs(RootCerts::from(roots)).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .max_redirects(0)
            .build();
        Self { agent: config.into(), url: url.to_owned(), cookie: None, csrf: None }
    }

    /// Asks for a path of the interface.
    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.send(&Method::GET, &format!("/api/v1{path}"), &[], &[])
    }

    #[track_caller]
    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Reply {
        let body = body.to_string();
        let json = [("content-type", "application/json")];
        self.send(&Method::POST, &format!("/api/v1{path}"), &json, body.as_bytes())
    }

    #[track_caller]
    pub(crate) fn delete(&mut self, path: &str) -> Reply {
        self.send(&Method::DELETE, &format!("/api/v1{path}"), &[], &[])
    }

    /// Sends anything, with the cookie and the word.
    #[track_caller]
    pub(crate) fn send(
        &mut self,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let mut response = self.begin(method, path, headers, body);
        let bytes = response.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap();
        let headers = response.headers().clone();
        let kind = headers.get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_owned();
        for cookie in headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
            self.cookie = Some(cookie.to_owned()).filter(|cookie| !cookie.ends_with('='));
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let reply = Reply { status: response.status().as_u16(), kind, headers, text, bytes, body };
        described::hold(method, path, &reply);
        reply
    }

    /// Sends, and leaves the body of the answer to be read.
    #[track_caller]
    pub(crate) fn begin(
        &mut self,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> ureq::http::Response<ureq::Body> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        if let (Some(csrf), true) = (&self.csrf, *method != Method::GET) {
            request = request.header("x-csrf-token", csrf);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = if body.is_empty() && *method != Method::POST {
            self.agent.run(request.body(()).unwrap())
        } else {
            self.agent.run(request.body(body).unwrap())
        };
        sent.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }
}

//! The box over the network: pages, the interface behind them, and who may use which part of it.
//!
//! Belongs here: accounts and login sessions, the table of routes with their roles, and the words of
//! requests and answers. Does not belong: what a request does to a recording, which is asked of the
//! service like everything that comes by the socket; what is kept and who may open it (`vault`).
//!
//! It runs on threads of its own, a fixed number of them, and can hold up or end no recording: all it
//! does to one is to ask. If it cannot listen, the box does not start; if it fails later, recording
//! goes on, and the log and `classveil status` say so.

pub mod accounts;
mod described;
mod guard;
mod lockout;
mod pages;
mod peers;
mod problem;
mod sent;
mod server;
mod sessions;
mod table;
mod tls;
mod v1;

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{Router, extract::DefaultBodyLimit, middleware};
use serde_json::{Value, json};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Semaphore, watch},
    time::timeout,
};

pub use self::peers::{Peers, user_name};
use self::{
    accounts::{Accounts, Known},
    lockout::Lockout,
    problem::Problem,
    sessions::Sessions,
    table::Table,
};
pub use self::{
    table::{Access, Row, roles_page},
    tls::{Certificate, TlsError},
};
use crate::{
    appliance::{
        codes::Code,
        control::{Answer, Caller, OTHERS, Request},
        desk::{Desk, Silence},
    },
    error::{ErrorKind, Kind, advice},
};

/// Threads that carry requests; nothing blocks on them.
const WORKERS: usize = 2;
/// Threads for what takes time: reading files, hashing passwords, waiting for the service.
const HELPERS: usize = 12;
/// How long a request waits for one of them.
const QUEUE: Duration = Duration::from_secs(5);
/// Longest body of an ordinary request.
const BODY_BYTES: usize = 64 << 10;
/// How long accounts are taken to be as they were.
const FRESH: Duration = Duration::from_secs(1);

/// How the box is served.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its certificate; none where nothing is encrypted.
    pub certificate: Option<Certificate>,
    /// The file of accounts.
    pub accounts: PathBuf,
    /// The file with the word that opens `/metrics` from another machine.
    pub metrics_token: Option<PathBuf>,
}

/// Why the box cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}: name another in [api] listen, or stop what listens there"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The certificate is of no use.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The accounts are of no use.
    #[error(transparent)]
    Accounts(#[from] accounts::AccountsError),
    /// Threads cannot be started.
    #[error("cannot start the threads of the interface: {source}{hint}", hint = advice(source))]
    Threads {
        /// Why.
        source: io::Error,
    },
    /// Something would be sent over a network as it is.
    #[error("{address} is not loopback: without encryption the box listens on loopback only")]
    Plain {
        /// The address.
        address: SocketAddr,
    },
}

impl Kind for ApiError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Listen { .. } | Self::Plain { .. } => ErrorKind::Config,
            Self::Tls(error) => error.kind(),
            Self::Accounts(error) => error.kind(),
            Self::Threads { .. } => ErrorKind::Exhausted,
        }
    }
}

/// The interface while it runs. Ends it when dropped.
pub struct Running {
    runtime: Option<Runtime>,
    /// Where it is reached.
    pub url: String,
    /// SHA-256 of its certificate; none where nothing is encrypted.
    pub fingerprint: Option<String>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Whoever still waits for an answer gets none; a recording is sealed by now.
            runtime.shutdown_timeout(Duration::from_secs(2));
        }
    }
}

/// What every request finds.
struct Inner {
    desk: Desk,
    accounts: Accounts,
    known: Mutex<Option<(Instant, Arc<Known>)>>,
    /// What follows from the log.
    told: Mutex<Option<Arc<v1::Told>>>,
    sessions: Sessions,
    lockout: Lockout,
    /// Room for what takes time.
    helpers: Semaphore,
    /// One password at a time: each takes 19 MiB.
    hashing: Semaphore,
    /// One pupil list at a time.
    uploads: Arc<Semaphore>,
    /// How the box is, for pages that watch.
    status: watch::Sender<Arc<Value>>,
    is_encrypted: bool,
    strict_transport: bool,
    metrics_token: Option<PathBuf>,
}

type App = Arc<Inner>;

impl Inner {
    /// Does what takes time, on a thread for it.
    async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Inner) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = timeout(QUEUE, self.helpers.acquire()).await;
        let _permit = permit.ok().and_then(Result::ok).ok_or_else(Problem::busy)?;
        let app = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&app)).await;
        done.unwrap_or_else(|error| Err(Problem::broken(&error)))
    }

    /// Asks the service; an answer that refuses is a problem.
    async fn ask(self: &Arc<Self>, request: Request, patience: Duration) -> Result<Value, Problem> {
        self.ask_as(Caller::Anybody, request, patience).await
    }

    /// The same for `by`, who may ask it about lessons of their own only.
    async fn ask_as(
        self: &Arc<Self>,
        by: Caller,
        request: Request,
        patience: Duration,
    ) -> Result<Value, Problem> {
        let answer = self.hear(by, request, patience).await?;
        answer.map_or_else(|| Err(Problem::busy()), heard)
    }

    /// Asks the service; none where it has not answered in time.
    async fn hear(
        self: &Arc<Self>,
        by: Caller,
        request: Request,
        patience: Duration,
    ) -> Result<Option<Answer>, Problem> {
        self.work(move |app| match app.desk.ask(request, by, patience) {
            Ok(answer) => Ok(Some(answer)),
            Err(Silence::NotYet) => Ok(None),
            Err(Silence::Busy) => Err(Problem::busy()),
        })
        .await
    }

    /// How the box is.
    async fn status(self: &Arc<Self>) -> Result<Value, Problem> {
        self.ask(Request::Status, Duration::from_secs(3)).await
    }

    /// Who may log in, as of a second ago at most.
    async fn known(self: &Arc<Self>) -> Result<Arc<Known>, Problem> {
        let now = Instant::now();
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, known)) = &*lock()
            && now.duration_since(*read) < FRESH
        {
            return Ok(Arc::clone(known));
        }
        let known = self.work(|app| Ok(app.accounts.read()?)).await.map(Arc::new)?;
        *lock() = Some((now, Arc::clone(&known)));
        Ok(known)
    }

    /// From here on accounts are read again.
    fn forget_known(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What the service said.
fn heard(answer: Answer) -> Result<Value, Problem> {
    if answer.ok {
        return Ok(answer.body);
    }
    let said = answer.error.unwrap_or_default();
    if said == OTHERS {
        return Err(not_yours());
    }
    let first = said.split(", ").next().unwrap_or_default();
    let code = Code::ALL.iter().map(|code| code.word()).find(|word| *word == first);
    let conflict = axum::http::StatusCode::CONFLICT;
    let mut problem = Problem::new(conflict, code.unwrap_or("refused"), said);
    for name in ["state", "reasons"] {
        if let Some(value) = answer.body.get(name) {
            problem = problem.with(name, value.clone());
        }
    }
    Err(problem)
}

fn table() -> Table {
    pages::add(v1::add(Table::default()))
}

/// All routes, in the order of the reference.
#[must_use]
pub fn routes() -> Vec<Row> {
    table().rows()
}

/// The description of the interface for programs: `OpenAPI`, as `/api/openapi.json` has it.
#[must_use]
pub fn description() -> Value {
    serde_json::to_value(described::description(&routes())).unwrap_or_default()
}

/// Serves the box. Returns once it listens.
pub fn start(desk: Desk, setup: &Setup) -> Result<Running, ApiError> {
    let address = setup.listen;
    if setup.certificate.is_none() && !address.ip().is_loopback() {
        return Err(ApiError::Plain { address });
    }
    let listen = |source| ApiError::Listen { address, source };
    let tls = setup.certificate.as_ref().map(|one| one.load(names(address))).transpose()?;
    let accounts = Accounts::new(&setup.accounts);
    accounts.read()?;
    let listener = TcpListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let threads = |source| ApiError::Threads { source };
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(HELPERS)
        .thread_name("api")
        .enable_all()
        .build()
        .map_err(threads)?;
    let own = setup.certificate.as_ref().is_none_or(|certificate| certificate.own);
    let app = Arc::new(Inner {
        accounts,
        known: Mutex::new(None),
        told: Mutex::new(None),
        sessions: Sessions::default(),
        lockout: Lockout::new(),
        helpers: Semaphore::new(HELPERS),
        hashing: Semaphore::new(1),
        uploads: Arc::new(Semaphore::new(1)),
        status: watch::Sender::new(Arc::new(Value::Null)),
        is_encrypted: tls.is_some(),
        strict_transport: tls.is_some() && !own,
        metrics_token: setup.metrics_token.clone(),
        desk: desk.clone(),
    });
    v1::clear_shelter(desk.store());
    let router = router(&app);
    let fingerprint = tls.as_ref().map(|tls| tls.fingerprint.clone());
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{address}");
    desk.report(json!({ "url": url, "fingerprint": fingerprint, "problem": null }));
    let config = tls.map(|tls| tls.config);
    runtime.spawn(v1::publish(Arc::clone(&app)));
    let _entered = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(listener).map_err(threads)?;
    let serving = runtime.spawn(server::serve(listener, config, router));
    let (said, print) = (url.clone(), fingerprint.clone());
    runtime.spawn(async move {
        // It serves for ever, so this is a fault of the program, or its end.
        if let Err(error) = serving.await
            && error.is_panic()
        {
            tracing::error!("the interface has failed: pages do not answer, recording goes on");
            let problem = "it has failed: start the box again when nothing is recorded";
            desk.report(json!({ "url": said, "fingerprint": print, "problem": problem }));
        }
    });
    Ok(Running { runtime: Some(runtime), url, fingerprint })
}

fn router(app: &App) -> Router {
    table()
        .into_router(app)
        .fallback(pages::fallback)
        .method_not_allowed_fallback(pages::other_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn_with_state(Arc::clone(app), guard::dress))
        .with_state(Arc::clone(app))
}

/// The names that a certificate of the box's own is for.
fn names(address: SocketAddr) -> Vec<String> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !address.ip().is_unspecified() {
        names.push(address.ip().to_string());
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if !host.is_empty() && host.len() < 64 && host.chars().all(is_name) {
        names.push(format!("{host}.local"));
        names.push(host);
    }
    names.sort();
    names.dedup();
    names
}

/// A secret word in a file of mode 0600.
fn word_in(path: &Path) -> io::Result<String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(io::Error::other("others can read it: run `chmod 600` on it"));
    }
    Ok(std::fs::read_to_string(path)?.trim().to_owned())
}

/// A problem where somebody is not who a thing is for.
fn not_yours() -> Problem {
    Problem::denied("not-yours", "this is for the coach and the teacher of the lesson only")
}

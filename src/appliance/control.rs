//! How the box is spoken to: a Unix socket with one JSON object a line, each answered by one.
//!
//! Belongs here: requests and answers, the socket, both of its ends. Does not belong: what a request
//! does (`service`). Who may connect is decided by the permissions of the socket and its folder; who
//! did is asked of the kernel and logged.

use std::{
    fs,
    io::{self, BufRead, BufReader, ErrorKind as IoKind, Read, Write},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    error::{ErrorKind, Kind, advice},
    shutdown::Shutdown,
    units::{ClassId, PersonId},
    vault::Names,
};

/// Longest request or answer: a question of 16 KiB, or some hundred log lines.
const LINE_BYTES: u64 = 256 << 10;
/// How long somebody who is connected may take for a whole line, and for taking the answer.
const SILENCE: Duration = Duration::from_secs(2);
/// How many requests one conversation may have: more come by another, for which others may be first.
const REQUESTS: usize = 100;
/// How often a thread looks whether the program ends.
const LOOK: Duration = Duration::from_millis(50);
/// Threads that answer: one may wait for a recording to begin while others stop it.
pub(super) const THREADS: usize = 4;
/// How many of these may be taken by others than root and the box's own user, who can always stop it.
const FOR_OTHERS: usize = 2;
/// How long an answer may take: the button within a minute, and a minute to begin.
const ANSWER: Duration = Duration::from_secs(150);

/// A lesson as it is asked for; what is left out follows from the configuration.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewLesson {
    /// The class.
    pub class: Option<ClassId>,
    /// The teacher.
    pub teacher: Option<PersonId>,
    /// The coach.
    pub coach: Option<PersonId>,
    /// The learning question.
    pub question: String,
    /// Who is who: sealed with the question.
    pub names: Names,
    /// What for.
    pub purpose: Option<String>,
    /// How long it is meant to be, in seconds.
    pub planned_s: Option<u64>,
}

impl std::fmt::Debug for NewLesson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewLesson").field("class", &self.class).finish_non_exhaustive()
    }
}

/// What can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How the box is.
    Status,
    /// What stands against a recording.
    Preflight,
    /// What happened lately.
    Logs,
    /// This is what is to be recorded.
    Prepare {
        /// The lesson.
        lesson: NewLesson,
    },
    /// What is prepared is not to be recorded.
    Withdraw,
    /// Begin.
    Start,
    /// End.
    Stop {
        /// Whether nobody may have the recording until somebody decides.
        objection: bool,
    },
    /// Drop what was recorded last.
    Drop {
        /// How much of it, in seconds.
        #[serde(default = "last_minute")]
        seconds: u64,
        /// Whether the recording ends with it.
        #[serde(default)]
        stop: bool,
    },
    /// Read the pupil list again.
    Reload,
    /// Somebody at the box says that its clock is right.
    ConfirmClock,
}

/// Why somebody is refused whose lesson it is not.
pub const OTHERS: &str = "it is somebody else's lesson";

/// As whom somebody asks, who may ask for it as far as their role goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Whoever may ask for anything, or was asked already whether they may.
    Anybody,
    /// A coach, for lessons of their own.
    Coach(Option<PersonId>),
    /// A teacher, for lessons of their own.
    Teacher(Option<PersonId>),
    /// Another user of the machine, with a role that has no lessons.
    Other(u32),
}

impl Caller {
    /// Whether a lesson of this coach and teacher is their own.
    #[must_use]
    pub fn is_of(&self, coach: Option<&PersonId>, teacher: Option<&PersonId>) -> bool {
        match self {
            Self::Anybody => true,
            Self::Coach(own) => own.is_some() && own.as_ref() == coach,
            Self::Teacher(own) => own.is_some() && own.as_ref() == teacher,
            Self::Other(_) => false,
        }
    }
}

/// How much is dropped where nothing else is said, in seconds.
pub const LAST_MINUTE: u64 = 60;

const fn last_minute() -> u64 {
    LAST_MINUTE
}

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Whether it was done.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What was asked for.
    #[serde(default)]
    pub body: Value,
}

impl Answer {
    /// It was done.
    #[must_use]
    pub const fn done(body: Value) -> Self {
        Self { ok: true, error: None, body }
    }

    /// It was not.
    #[must_use]
    pub fn refused(error: impl Into<String>, body: Value) -> Self {
        Self { ok: false, error: Some(error.into()), body }
    }
}

/// A request on its way to the service.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) request: Request,
    /// As whom it is asked for.
    pub(super) by: Caller,
    /// Where the answer goes. Whoever asked may be gone.
    pub(super) answer: Sender<Answer>,
}

/// What can go wrong with the socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// It cannot be listened on.
    #[error("cannot listen on {path}: {source}{hint}", path = path.display(), hint = advice(source))]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another box listens there.
    #[error("{path} is in use: `classveil run` runs already", path = path.display())]
    Running {
        /// The socket.
        path: PathBuf,
    },
    /// Nobody listens there.
    #[error(
        "nobody answers on {path}: start the box with `classveil run`, or name its socket in \
         [control] socket",
        path = path.display()
    )]
    Nobody {
        /// The socket.
        path: PathBuf,
    },
    /// The kernel lets this user not ask there.
    #[error(
        "this user may not ask on {path}: run it as the user of the box, `sudo -u classveil classveil ...`, or as \
         a member of its group",
        path = path.display()
    )]
    Closed {
        /// The socket.
        path: PathBuf,
    },
    /// The box did not answer in words that are understood.
    #[error("the box did not answer on {path}: {source}", path = path.display())]
    Answer {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Kind for ControlError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Listen { source, .. } => ErrorKind::of_io(source),
            Self::Running { .. } => ErrorKind::Conflict,
            Self::Closed { .. } => ErrorKind::Denied,
            Self::Nobody { .. } | Self::Answer { .. } => ErrorKind::Transient,
        }
    }
}

/// As whom a user of the machine may ask for something; else why not.
pub type MayAsk = dyn Fn(u32, &Request) -> Result<Caller, String> + Send + Sync;

/// The socket, for as long as the box listens on it.
#[derive(Debug)]
pub(super) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Conversations with others than root and the box's own user.
    others: AtomicUsize,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Socket {
    /// Listens at `path`, for the user and group of this process.
    pub(super) fn bind(path: &Path) -> Result<Self, ControlError> {
        let failed = |source| ControlError::Listen { path: path.to_owned(), source };
        if let Ok(found) = fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                let text = "it is no socket";
                return Err(failed(io::Error::new(IoKind::AlreadyExists, text)));
            }
            if UnixStream::connect(path).is_ok() {
                return Err(ControlError::Running { path: path.to_owned() });
            }
            // A box that was killed left it.
            fs::remove_file(path).map_err(failed)?;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        let socket = Self { listener, path: path.to_owned(), others: AtomicUsize::new(0) };
        fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(failed)?;
        socket.listener.set_nonblocking(true).map_err(failed)?;
        Ok(socket)
    }

    /// Hands each request to `calls` and its answer back, until `ended`. For threads of their own.
    pub(super) fn answer(&self, may_ask: &MayAsk, calls: &impl Fn(Call) -> bool, ended: &Shutdown) {
        while !ended.is_requested() {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if let Err(error) = self.converse(&stream, may_ask, calls, ended) {
                        tracing::debug!(%error, "a conversation ended early");
                    }
                }
                Err(error) => {
                    if error.kind() != IoKind::WouldBlock {
                        tracing::warn!(%error, "nobody can connect to the box");
                    }
                    std::thread::sleep(LOOK);
                }
            }
        }
    }
}

/// A place at the socket, one of the few for others where it is counted.
struct Place<'a>(Option<&'a AtomicUsize>);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(others) = self.0 {
            others.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Socket {
    /// A place for a user of the machine; none where others have them all.
    fn place(&self, uid: u32) -> Option<Place<'_>> {
        if uid == 0 || uid == rustix::process::geteuid().as_raw() {
            return Some(Place(None));
        }
        let place = Place(Some(&self.others));
        (self.others.fetch_add(1, Ordering::SeqCst) < FOR_OTHERS).then_some(place)
    }

    fn converse(
        &self,
        stream: &UnixStream,
        may_ask: &MayAsk,
        calls: &impl Fn(Call) -> bool,
        ended: &Shutdown,
    ) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(SILENCE))?;
        let uid = rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw();
        let Some(_place) = self.place(uid) else {
            return answer_with(
                stream,
                &Answer::refused("the box is busy: try again", Value::Null),
            );
        };
        let mut reader = BufReader::new(Patient { stream, until: Instant::now() });
        for _ in 0..REQUESTS {
            reader.get_mut().until = Instant::now() + SILENCE;
            let Some(line) = read_line(&mut reader)? else { break };
            let answer = match serde_json::from_slice::<Request>(&line) {
                // What was typed is not repeated: it may hold a question.
                Err(_) => Answer::refused("the request is not understood", Value::Null),
                Ok(request) => {
                    let command = word(&request);
                    match request {
                        // Asked every few seconds by whoever watches.
                        Request::Status | Request::Preflight | Request::Logs => {
                            tracing::debug!(uid, command, "asked");
                        }
                        _ => tracing::info!(uid, command, "asked"),
                    }
                    match may_ask(uid, &request) {
                        Ok(by) => ask_service(request, by, calls, ended),
                        Err(problem) => {
                            tracing::warn!(uid, command, "refused");
                            Answer::refused(problem, Value::Null)
                        }
                    }
                }
            };
            answer_with(stream, &answer)?;
        }
        Ok(())
    }
}

/// Reads until a moment, however slowly bytes come.
struct Patient<'a> {
    stream: &'a UnixStream,
    until: Instant,
}

impl Read for Patient<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(IoKind::TimedOut, "it takes too long"));
        }
        self.stream.set_read_timeout(Some(left))?;
        (&mut &*self.stream).read(into)
    }
}

fn answer_with(mut stream: &UnixStream, answer: &Answer) -> io::Result<()> {
    let mut text = serde_json::to_vec(answer)?;
    text.push(b'\n');
    stream.write_all(&text)
}

fn ask_service(
    request: Request,
    by: Caller,
    calls: &impl Fn(Call) -> bool,
    ended: &Shutdown,
) -> Answer {
    // Capacity 1: one answer to one request, so that nobody ever waits to answer.
    let (answer, answered): (Sender<Answer>, Receiver<Answer>) = bounded(1);
    if !calls(Call { request, by, answer }) {
        return Answer::refused("the box ends", Value::Null);
    }
    let looks = ANSWER.as_millis() / LOOK.as_millis();
    for _ in 0..looks {
        match answered.recv_timeout(LOOK) {
            Ok(answer) => return answer,
            Err(crossbeam_channel::RecvTimeoutError::Timeout) if !ended.is_requested() => {}
            Err(_) => break,
        }
    }
    Answer::refused("the box did not come to it", Value::Null)
}

/// The command's name, which is all that is logged of a request.
fn word(request: &Request) -> &'static str {
    match request {
        Request::Status => "status",
        Request::Preflight => "preflight",
        Request::Logs => "logs",
        Request::Prepare { .. } => "prepare",
        Request::Withdraw => "withdraw",
        Request::Start => "start",
        Request::Stop { .. } => "stop",
        Request::Drop { .. } => "drop",
        Request::Reload => "reload",
        Request::ConfirmClock => "clock-confirm",
    }
}

/// A line without its end; `None` where the other side is done.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reader.take(LINE_BYTES).read_until(b'\n', &mut line)?;
    match line.pop() {
        Some(b'\n') => Ok(Some(line)),
        None => Ok(None),
        Some(_) => Err(io::Error::new(IoKind::InvalidData, "a line is too long, or was cut")),
    }
}

/// Asks the box that listens at `path`.
pub fn ask(path: &Path, request: &Request) -> Result<Answer, ControlError> {
    let failed = |source| ControlError::Answer { path: path.to_owned(), source };
    let mut stream = UnixStream::connect(path).map_err(|error| silence(path, &error))?;
    let patience = ANSWER + SILENCE;
    let converse = || -> io::Result<Answer> {
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(SILENCE))?;
        let mut text = serde_json::to_vec(request)?;
        text.push(b'\n');
        stream.write_all(&text)?;
        let line = read_line(&mut BufReader::new(&stream))?;
        let line = line.ok_or_else(|| io::Error::from(IoKind::UnexpectedEof))?;
        Ok(serde_json::from_slice(&line)?)
    };
    let mut converse = converse;
    converse().map_err(failed)
}

/// Why nobody can be asked at `path`.
fn silence(path: &Path, error: &io::Error) -> ControlError {
    let path = path.to_owned();
    match error.kind() {
        IoKind::PermissionDenied => ControlError::Closed { path },
        _ => ControlError::Nobody { path },
    }
}

/// Whether a box listens at `path`.
#[must_use]
pub fn is_there(path: &Path) -> bool {
    UnixStream::connect(path).is_ok()
}

#[cfg(test)]
mod tests;

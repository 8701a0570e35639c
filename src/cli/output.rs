//! The only place that prints. Results go to stdout, everything said about them to stderr.

use std::{
    io::{IsTerminal, Write},
    sync::OnceLock,
};

use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// What a configuration's filter is given to, where neither option nor environment said one.
static FOLLOW: OnceLock<Box<dyn Fn(EnvFilter) + Send + Sync>> = OnceLock::new();

/// Where the log goes: stderr, and where that is the journal each line with its level, as `sd-daemon(3)`
/// has it.
#[derive(Debug)]
struct Log {
    to_journal: bool,
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { prefix: "" }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line {
        let prefix = match *meta.level() {
            _ if !self.to_journal => "",
            Level::ERROR => "<3>",
            Level::WARN => "<4>",
            Level::INFO => "<6>",
            _ => "<7>",
        };
        Line { prefix }
    }
}

/// One line of the log, which is written at once.
#[derive(Debug)]
struct Line {
    prefix: &'static str,
}

impl std::io::Write for Line {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        let mut stderr = std::io::stderr().lock();
        stderr.write_all(std::mem::take(&mut self.prefix).as_bytes())?;
        stderr.write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// Logs to stderr, without colour codes where stderr is no terminal: as `filter` says, else as the
/// configuration will say, and until then warnings only.
pub(super) fn init_tracing(filter: Option<&str>) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(env_filter(filter.unwrap_or("warn")))
        .with_writer(Log { to_journal: std::env::var_os("JOURNAL_STREAM").is_some() })
        // A terminal that is closed or a pipe that nobody reads is told about on stderr, which is the
        // one that is gone: that would end the thread that logs.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_filter_reloading();
    let handle = log.reload_handle();
    if log.try_init().is_ok() && filter.is_none() {
        let _ = FOLLOW.set(Box::new(move |filter| {
            let _ = handle.reload(filter);
        }));
    }
}

/// Logs as the configuration says, unless it was said nearer by.
pub(super) fn follow(filter: &str) {
    if let Some(follow) = FOLLOW.get() {
        follow(env_filter(filter));
    }
}

fn env_filter(filter: &str) -> EnvFilter {
    // ONNX Runtime tells hundreds of lines about its graph, warns of each weight that it leaves out
    // and logs from its own level on; the reader of MP4 warns of boxes of ours that it does not know. Who
    // names them gets that.
    let quiet = ["ort", "mp4_atom"]
        .map(|name| if filter.contains(name) { String::new() } else { format!("{name}=error,") });
    let quiet = quiet.concat();
    // Every filter was checked where it came in; a wrong one must not silence warnings.
    EnvFilter::try_new(format!("{quiet}{filter}")).unwrap_or_else(|_| EnvFilter::new("warn"))
}

/// A line of the result.
pub(super) fn line(text: impl std::fmt::Display) {
    // A closed pipe is the reader's choice, not a failure.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A line about the work.
pub(super) fn note(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The last line of a failed command.
pub(super) fn error(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "classveil: {text}");
}

/// One JSON object on a line of its own.
pub(super) fn json(value: &impl serde::Serialize) {
    if let Ok(text) = serde_json::to_string(value) {
        line(text);
    }
}

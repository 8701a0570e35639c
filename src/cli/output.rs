//! The only place that prints. Results go to stdout, everything said about them to stderr.

use std::io::Write;

/// Logs to stderr, without colour codes where stderr is no terminal.
pub(super) fn init_tracing(filter: &str) {
    use std::io::IsTerminal;
    // ONNX Runtime tells hundreds of lines about its graph at `info`; who names `ort` gets them.
    let quiet = if filter.contains("ort") { "" } else { "ort=warn," };
    let filter = tracing_subscriber::EnvFilter::try_new(format!("{quiet}{filter}"))
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
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

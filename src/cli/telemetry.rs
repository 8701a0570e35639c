//! Keeps the inference library from reporting to its maker.
//!
//! Since version 1.29 the published builds of ONNX Runtime for Linux write a device id and an upload
//! queue under `~/.cache/Microsoft` and send events over the network. They begin while their
//! environment is made, so the switch of their API comes too late; only an environment variable
//! that is set before the library is loaded stops all of it. A running process cannot change its own
//! environment safely, so the program starts itself anew with the variable set.

use std::{
    env,
    os::unix::process::CommandExt,
    process::{Command, id},
};

use super::Failure;
use crate::{error::ErrorKind, vision::infer};

/// Names the process that was started anew, so that a variable that does not arrive ends in words,
/// not in a circle.
const STARTED_ANEW: &str = "CLASSVEIL_STARTED_ANEW";

/// Returns in a process in which ONNX Runtime reports nothing: this one, or the one that replaces it.
pub(super) fn forbid() -> Result<(), Failure> {
    if infer::telemetry_is_forbidden() {
        return Ok(());
    }
    let own = id().to_string();
    let failed = |reason: String| {
        let (name, value) = infer::NO_TELEMETRY;
        let hint = format!("ONNX Runtime would report to its maker: set {name}={value}");
        Failure::new(ErrorKind::Bug, format!("{hint} ({reason})"))
    };
    if env::var_os(STARTED_ANEW).is_some_and(|process| process == own.as_str()) {
        return Err(failed("the variable did not arrive".to_owned()));
    }
    let program = env::current_exe().map_err(|error| failed(error.to_string()))?;
    let (name, value) = infer::NO_TELEMETRY;
    let mut args = env::args_os();
    let mut command = Command::new(program);
    if let Some(typed) = args.next() {
        command.arg0(typed);
    }
    // The same process goes on under the same id; only an error returns.
    let error = command.args(args).env(name, value).env(STARTED_ANEW, own).exec();
    Err(failed(error.to_string()))
}

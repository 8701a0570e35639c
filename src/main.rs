//! Arguments in, exit code out; everything else is the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    classveil::cli::main()
}

//! What is typed: one file per subcommand. Belongs here: arguments, printing, exit codes. Does not
//! belong: anything a second front end would need too.

mod ask;
mod attack;
mod audit;
mod backup;
mod completions;
mod config;
mod eval;
mod export;
mod exports;
mod fragments;
mod grant;
mod identity;
mod keygen;
mod keys;
mod list;
mod marks;
mod open;
mod openers;
mod output;
mod paths;
mod people;
mod places;
mod preflight;
mod pupils;
mod record;
mod recover;
mod register;
mod reload;
mod renew;
mod report;
mod request;
mod retention;
mod reveil;
mod run;
mod store;
mod telemetry;
mod users;
mod verify;
mod verify_certificate;
mod viewer;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::error::{ErrorKind, Kind};

/// Classroom recordings in which refused pupils are veiled before a frame is encoded.
#[derive(Debug, Parser)]
#[command(name = "classveil", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// How much to log on stderr, such as `info` or `warn,classveil=debug` [default: warn, or what
    /// the configuration says].
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        env = "CLASSVEIL_LOG",
        value_parser = config::log_filter,
        // After the options of the command itself.
        display_order = 900
    )]
    log: Option<String>,
    /// Where a test says what time it is.
    #[cfg(feature = "test-clock")]
    #[arg(long, global = true, value_name = "FILE", hide = true)]
    test_clock: Option<std::path::PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Keygen(keygen::Args),
    Record(Box<record::Args>),
    Open(open::Args),
    Marks(marks::Args),
    Verify(verify::Args),
    Grant(grant::Args),
    Revoke(grant::RevokeArgs),
    Grants(grant::GrantsArgs),
    Request(request::Args),
    Export(Box<export::Args>),
    Exports(exports::Args),
    Reveil(reveil::Args),
    Recover(recover::Args),
    Pupils(pupils::Args),
    People(people::Args),
    Run(run::Args),
    Status(ask::Status),
    Preflight(preflight::Args),
    Prepare(Box<ask::Prepare>),
    Withdraw(ask::Withdraw),
    Start(ask::Start),
    Stop(ask::Stop),
    Drop(ask::DropLast),
    Logs(ask::Logs),
    Reload(ask::Reload),
    Clock(ask::Clock),
    Register(register::Args),
    Users(users::Args),
    Audit(audit::Args),
    Retention(retention::Args),
    VerifyCertificate(verify_certificate::Args),
    Viewer(viewer::Args),
    Store(store::Args),
    Backup(backup::Args),
    Config(config::Args),
    Eval(eval::Args),
    Completions(completions::Args),
}

/// An error on its way to the terminal: what kind, and the whole chain as text.
#[derive(Debug)]
pub struct Failure {
    kind: ErrorKind,
    message: String,
}

impl Failure {
    /// A failure found by the command itself.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl<E: Kind> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            // Many errors print their cause already; saying it twice helps nobody.
            if !message.contains(&cause_text) {
                message.push_str(": ");
                message.push_str(&cause_text);
            }
            source = cause.source();
        }
        Self { kind: error.kind(), message }
    }
}

/// What has to be so before a command begins.
fn prepare(command: &Command) -> Result<(), Failure> {
    match command {
        // These run models.
        Command::Record(_)
        | Command::Reveil(_)
        | Command::Export(_)
        | Command::Run(_)
        | Command::Preflight(_)
        | Command::Pupils(_)
        | Command::Eval(_) => telemetry::forbid(),
        _ => Ok(()),
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // Help and version were asked for; everything else is wrong usage.
            return ExitCode::from(if error.use_stderr() {
                ErrorKind::Usage.exit_code()
            } else {
                0
            });
        }
    };
    #[cfg(feature = "test-clock")]
    cli.test_clock.into_iter().for_each(crate::clock::test::follow);
    output::init_tracing(cli.log.as_deref());
    let result = prepare(&cli.command).and_then(|()| match cli.command {
        Command::Keygen(args) => keygen::run(&args),
        Command::Record(args) => record::run(&args),
        Command::Open(args) => open::run(&args),
        Command::Marks(args) => marks::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Grant(args) => grant::run(&args),
        Command::Revoke(args) => grant::revoke(&args),
        Command::Grants(args) => grant::grants(&args),
        Command::Request(args) => request::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Exports(args) => exports::run(&args),
        Command::Reveil(args) => reveil::run(&args),
        Command::Recover(args) => recover::run(&args),
        Command::Pupils(args) => pupils::run(&args),
        Command::People(args) => people::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Status(args) => ask::status(&args),
        Command::Preflight(args) => preflight::run(&args),
        Command::Prepare(args) => ask::prepare(&args),
        Command::Withdraw(args) => ask::withdraw(&args),
        Command::Start(args) => ask::start(&args),
        Command::Stop(args) => ask::stop(&args),
        Command::Drop(args) => ask::drop_last(&args),
        Command::Logs(args) => ask::logs(&args),
        Command::Reload(args) => ask::reload(&args),
        Command::Clock(args) => ask::clock(&args),
        Command::Register(args) => register::run(&args),
        Command::Users(args) => users::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Retention(args) => retention::run(&args),
        Command::VerifyCertificate(args) => verify_certificate::run(&args),
        Command::Viewer(args) => viewer::run(&args),
        Command::Store(args) => store::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Completions(args) => completions::run(&args),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::error(&failure.message);
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

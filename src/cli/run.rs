//! `classveil run`: the box itself.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use signal_hook::{consts::SIGHUP, flag};

use super::{Failure, output, paths, places};
use crate::{
    api,
    appliance::service::{self, Setup},
    config::Config,
    error::ErrorKind,
    shutdown::Shutdown,
};

/// Run the box: cameras, button, indicator, the socket that other commands ask, and its pages.
///
/// Seals what an earlier end left behind, then waits for a lesson to be prepared and started. Records
/// nothing while one reason of `classveil preflight` stands. SIGTERM and Ctrl-C end a recording that
/// runs and seal it first; a second one ends at once. SIGHUP reads the pupil list again, which counts
/// from the next frame on, and the configuration (see `classveil reload`).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil run --config /etc/classveil/classveil.toml\n  \
    classveil --log info run --config /etc/classveil/classveil.toml\n\n\
    Exit codes: 0 told to end, and everything is sealed; 65 the audit log is damaged, 74 disk, 75 a \
    recording could not be sealed in time, 78 the configuration or a key is wrong, or the box runs \
    already.")]
pub(super) struct Args {
    /// The box's settings.
    #[arg(long, value_name = "FILE", env = places::CONFIG_VARIABLE,
        default_value = places::CONFIG)]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = places::config(Some(&args.config))?;
    let of_box = places::of_box(&args.config, &config)?;
    let box_key = paths::box_key(config.store.box_key.as_deref())?;
    let audit_key = paths::audit_key(None, &box_key);
    let socket = places::socket(&config);
    let shutdown = Shutdown::new();
    let reread = Arc::new(AtomicBool::new(false));
    let taken = shutdown.on_signals().and_then(|()| {
        flag::register(SIGHUP, Arc::clone(&reread))?;
        Ok(())
    });
    taken.map_err(|error| {
        Failure::new(ErrorKind::Io, format!("cannot take over signals: {error}"))
    })?;
    let network = network(&config, &box_key)?;
    let accounts = places::accounts(&config)?;
    let setup = Setup { config, places: of_box, box_key, audit_key, socket };
    // By now the socket is bound.
    let beside = |desk| -> Result<Option<api::Running>, api::ApiError> {
        output::note(format_args!("classveil listens on {}", setup.socket.display()));
        let Some(network) = &network else { return Ok(None) };
        let running = api::start(desk, network)?;
        output::note(format_args!("classveil serves its pages on {}", running.url));
        if let Some(fingerprint) = &running.fingerprint {
            output::note(format_args!("its certificate has the SHA-256 fingerprint {fingerprint}"));
        }
        Ok(Some(running))
    };
    let peers = api::Peers::new(&accounts);
    let may_ask = move |uid, request: &_| peers.may_ask(uid, request);
    Ok(service::run(&setup, &may_ask, &shutdown, &reread, beside)?)
}

/// How the box is served over the network; none where it is not.
fn network(config: &Config, box_key: &Path) -> Result<Option<api::Setup>, Failure> {
    let Some(listen) = config.api.listen else { return Ok(None) };
    let certificate = match (&config.api.certificate, &config.api.key) {
        _ if config.api.plain_http => None,
        (Some(chain), Some(key)) => {
            Some(api::Certificate { chain: chain.clone(), key: key.clone(), own: false })
        }
        _ => Some(api::Certificate {
            chain: box_key.with_file_name("api.crt"),
            key: box_key.with_file_name("api.key"),
            own: true,
        }),
    };
    let accounts = places::accounts(config)?;
    let metrics_token = config.api.metrics_token.clone();
    Ok(Some(api::Setup { listen, certificate, accounts, metrics_token }))
}

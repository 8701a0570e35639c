//! `classveil verify-certificate`: checks the proof that a recording was destroyed.

use std::path::PathBuf;

use serde::Serialize;

use super::{Failure, output, paths, places::Within, verify::refuse_unpinned};
use crate::vault::{
    Trust,
    audit::AuditPublicKey,
    retention::{Certificate, CheckedCertificate, check_certificate},
};

/// Check the proof that a recording was destroyed, offline.
///
/// Checks the box's signature, the line of the audit log that ordered the destruction, and the way
/// from that line to the log's signed checkpoint. Needs the certificate and its .minisig beside it,
/// and the box's public key that was kept since the box was set up: by --box-key, from the configuration, or
/// this machine's own. Where there is none, anybody could have made it: then this fails, and says so.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil verify-certificate 0197c2a0-....json --box-key box.pub\n  \
    classveil verify-certificate 0197c2a0-....json --box-key box.pub --key log.vkey --json\n  \
    classveil verify-certificate 0197c2a0-... --store /srv/classveil\n  \
    minisign -Vm 0197c2a0-....json -p box.pub          # stock minisign checks the signature\n\n\
    It proves what the box did with its own keys. It cannot prove that nobody kept a copy of them.\n\n\
    Exit codes: 0 it holds, 65 it was altered, 66 no such file, 77 of another box, or nobody vouches for \
    the box's key.")]
pub(super) struct Args {
    /// The certificate, with its signature beside it as FILE.minisig; or the id of the recording that was
    /// destroyed, whose certificate lies in the store.
    #[arg(value_name = "FILE")]
    certificate: String,
    #[command(flatten)]
    within: Within,
    /// Public key of the box that must have signed it [default: this machine's own].
    #[arg(long, value_name = "FILE.pub")]
    box_key: Option<PathBuf>,
    /// Public key of the audit log [default: the one the box's signature vouches for].
    #[arg(long, value_name = "FILE.vkey")]
    key: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    pinned: bool,
    line: u64,
    lines: u64,
    certificate: &'a Certificate,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.within.config()?;
    let trust = paths::trust_by(args.box_key.as_deref(), &config)?;
    let path = args.within.certificate(&args.certificate, &config)?;
    let log = args.key.as_deref().map(AuditPublicKey::load).transpose()?;
    let checked = check_certificate(&path, &trust, log.as_ref())?;
    let CheckedCertificate { certificate, line, lines } = &checked;
    let pinned = matches!(trust, Trust::Pinned(_));
    if args.json {
        output::json(&Report { ok: pinned, pinned, line: *line, lines: *lines, certificate });
        return refuse_unpinned(&trust, &certificate.box_key.id());
    }
    let time = |at: jiff::Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let facts = &certificate.facts;
    output::line(format_args!("recording  {}", certificate.recording));
    output::line(format_args!("  destroyed  {}", time(certificate.destroyed)));
    output::line(format_args!("  because    {}", certificate.reason));
    output::line(format_args!("  due        {}", time(certificate.deadline)));
    if let Some(started) = facts.started {
        output::line(format_args!("  recorded   {}", time(started)));
    }
    output::line(format_args!(
        "  was        {} segments, {} bytes, {} granted keys",
        facts.segments, facts.bytes, facts.grants
    ));
    if let Some(manifest) = facts.manifest {
        output::line(format_args!("  manifest   sha256 {manifest}"));
    }
    output::line(format_args!(
        "  log        line {line} of {lines} of {}",
        certificate.log.origin()
    ));
    let vouched = if pinned { "" } else { ", for which nothing here vouches" };
    output::line(format_args!("  signed by  box key {}{vouched}", certificate.box_key.id()));
    refuse_unpinned(&trust, &certificate.box_key.id())
}

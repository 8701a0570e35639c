//! The proof that a recording was destroyed: a short signed text without anything about anybody, to
//! be checked by anyone, offline.
//!
//! It carries the line of the log that ordered the destruction, and the way from that line to a
//! signed checkpoint: whoever keeps checkpoints knows that it was not written afterwards. It says
//! that the box destroyed the keys it had. It cannot say that nobody kept a copy of them.

use std::{io::ErrorKind, path::Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        BoxKey, BoxPublicKey, Digest, Trust,
        audit::{AuditLog, AuditPublicKey, DestroyReason, Entry, Event, Facts, Proof, entry_of},
        keys::BadSignature,
        store::{PartFile, at, make_dirs, read_at_most, sync_dir},
    },
    RetentionError,
};
use crate::units::RecordingId;

/// Folder of the certificates in a store.
pub(in super::super) const FOLDER: &str = "certificates";
/// A certificate is a few thousand bytes; many witnesses may sign its checkpoint.
const LIMIT: u64 = 1 << 20;

/// The version of a certificate's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    #[serde(rename = "classveil-certificate/1")]
    V1,
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    format: Format,
    /// The recording that was destroyed.
    pub recording: RecordingId,
    /// When its destruction was ordered, by the log.
    pub ordered: Timestamp,
    /// When its keys were gone.
    pub destroyed: Timestamp,
    /// Why.
    pub reason: DestroyReason,
    /// The deadline that counted.
    pub deadline: Timestamp,
    /// What it was: dates, digests, sizes.
    pub facts: Facts,
    /// The key that signs this file.
    pub box_key: BoxPublicKey,
    /// The log that the line is in.
    pub log: AuditPublicKey,
    /// The line of the log that ordered the destruction.
    pub line: String,
    /// The way from that line to a signed checkpoint, as C2SP `tlog-proof`.
    pub proof: String,
}

/// A certificate that holds.
#[derive(Clone, Debug)]
pub struct CheckedCertificate {
    /// What it says.
    pub certificate: Certificate,
    /// Number of the line in the log.
    pub line: u64,
    /// How many lines the checkpoint stands for.
    pub lines: u64,
}

/// Writes the certificate of a recording whose keys are gone; returns its digest.
pub(super) fn write(
    store: &Path,
    ordered: &Entry,
    log: &AuditLog,
    key: &BoxKey,
    now: Timestamp,
) -> Result<Digest, RetentionError> {
    let Some(Event::Destroyed { recording, reason, deadline, facts }) = ordered.event.clone()
    else {
        // Only lines of this kind are handed in.
        return Err(RetentionError::BadCertificate {
            path: store.join(FOLDER),
            problem: format!("line {} of the log orders nothing", ordered.line),
        });
    };
    let certificate = Certificate {
        format: Format::V1,
        recording,
        ordered: ordered.at,
        destroyed: now,
        reason,
        deadline,
        facts,
        box_key: key.public().clone(),
        log: log.public(),
        line: ordered.text.clone(),
        proof: log.prove(ordered.line)?.to_string(),
    };
    let dir = store.join(FOLDER);
    make_dirs(&dir)?;
    let path = dir.join(format!("{recording}.json"));
    let mut bytes =
        serde_json::to_vec_pretty(&certificate).map_err(|error| at(&path)(error.into()))?;
    bytes.push(b'\n');
    let comment = format!("classveil certificate {recording} destroyed");
    let signature = key.sign(&bytes, &comment)?;
    let signature_path = signature_of(&path);
    let text = PartFile::write(&path, &bytes)?;
    let signature = PartFile::write(&signature_path, signature.as_bytes())?;
    text.publish()?;
    signature.publish()?;
    sync_dir(&dir)?;
    Ok(Digest::of(&bytes))
}

fn signature_of(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

/// Checks the certificate at `path`, and its signature beside it. `log` is the log's key where the
/// caller knows it from elsewhere; else the box key vouches for the one in the certificate.
pub fn check_certificate(
    path: &Path,
    trust: &Trust,
    log: Option<&AuditPublicKey>,
) -> Result<CheckedCertificate, RetentionError> {
    let bad = |problem: &str| RetentionError::BadCertificate {
        path: path.to_owned(),
        problem: problem.to_owned(),
    };
    let bytes = read_at_most(path, LIMIT).map_err(at(path))?;
    let signature_path = signature_of(path);
    let signature = read_at_most(&signature_path, LIMIT).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            bad("its signature is missing: keep FILE.minisig beside FILE when you copy it")
        }
        _ => at(&signature_path)(error).into(),
    })?;
    let parsed = serde_json::from_slice::<Certificate>(&bytes);
    let key = match (trust, &parsed) {
        (Trust::Pinned(key), _) => key.clone(),
        (Trust::Unpinned, Ok(certificate)) => certificate.box_key.clone(),
        (Trust::Unpinned, Err(_)) => return Err(bad("it cannot be read")),
    };
    key.verify(&bytes, &signature).map_err(|problem| match problem {
        BadSignature::OtherKey(signer) => {
            RetentionError::OtherBox { path: path.to_owned(), signer, expected: key.id() }
        }
        BadSignature::Invalid(_) => bad("its signature does not fit: one of the two was altered"),
    })?;
    let certificate = parsed.map_err(|error| bad(&format!("it cannot be read: {error}")))?;
    if certificate.box_key != key {
        return Err(bad("it names another box key than the one that signed it"));
    }
    if log.is_some_and(|log| *log != certificate.log) {
        return Err(bad("its line is of another log"));
    }
    let proof = Proof::parse(&certificate.proof, &certificate.log).map_err(bad)?;
    if !proof.proves(certificate.line.as_bytes()) {
        return Err(bad("its line is not in the log"));
    }
    let entry = entry_of(&certificate.line).ok_or_else(|| bad("its line cannot be read"))?;
    let same = entry.line == proof.line
        && entry.at == certificate.ordered
        && entry.event
            == Some(Event::Destroyed {
                recording: certificate.recording,
                reason: certificate.reason,
                deadline: certificate.deadline,
                facts: certificate.facts.clone(),
            });
    if !same {
        return Err(bad("its line is about something else"));
    }
    Ok(CheckedCertificate { line: entry.line, lines: proof.checkpoint.size, certificate })
}

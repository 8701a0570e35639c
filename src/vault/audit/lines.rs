//! The lines of a log: how one is written and read. Does not belong: what is wrong with many of them
//! (`inspect`).
//!
//! ```text
//! {"n":7,"at":"2026-11-03T10:00:00Z","previous":"HEX","event":{"kind":...},"signature":"BASE64"}
//! ```
//! `previous` is the SHA-256 of the line before. The signature covers the log's origin and the
//! bytes of the line before `,"signature"`, so a line can be neither made nor moved to another log
//! without the key; chain and tree say where it belongs. Nothing here reads or writes a file.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    super::{Digest, parallel::each},
    AuditKey, AuditPublicKey, Event,
    tree::{self, Tree},
};

/// What stands between the signed part of a line and its signature.
const SIGNATURE: &[u8] = b",\"signature\":\"";
/// How a line ends.
const END: &[u8] = b"\"}";
/// What is signed begins with this, so that it can be no checkpoint.
const CONTEXT: &str = "classveil-audit-line/1";
/// `previous` of the first line is the digest of this.
pub(super) const START: &[u8] = b"classveil-audit/1\n";

/// The signed part of a line.
#[derive(Debug, Serialize)]
struct Body<'a> {
    n: u64,
    at: Timestamp,
    previous: Digest,
    event: &'a Event,
}

/// A line as it is read. The event stays text, so that a log written by a later version can be
/// checked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line<'a> {
    pub(super) n: u64,
    pub(super) at: Timestamp,
    pub(super) previous: Digest,
    #[serde(borrow)]
    event: &'a RawValue,
    #[expect(dead_code, reason = "read from the bytes that were signed")]
    signature: &'a str,
}

/// One line of a log that was checked.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number, from 1.
    pub line: u64,
    /// When it was written, by the box's clock.
    pub at: Timestamp,
    /// What happened; none where this version does not know it.
    pub event: Option<Event>,
    /// The whole line, without its line end.
    pub text: String,
}

/// What chain and tree need of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hashed {
    digest: Digest,
    leaf: Digest,
}

impl Hashed {
    pub(super) fn of(line: &[u8]) -> Self {
        Self { digest: Digest::of(line), leaf: tree::leaf(line) }
    }
}

/// Where a log stands: what the next line has to continue.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) tree: Tree,
    pub(super) previous: Digest,
    /// The latest time in any line.
    pub(super) highest: Option<Timestamp>,
}

impl Head {
    pub(super) fn start() -> Self {
        Self { tree: Tree::default(), previous: Digest::of(START), highest: None }
    }

    /// Goes on to the next line, given without its line end.
    pub(super) fn follow(&mut self, line: &[u8], at: Timestamp) {
        self.pass(Hashed::of(line), at);
    }

    /// Goes on to the next line.
    pub(super) fn pass(&mut self, line: Hashed, at: Timestamp) {
        self.tree.push(line.leaf);
        self.previous = line.digest;
        self.highest = self.highest.max(Some(at));
    }

    /// Writes the next line, with its line end.
    pub(super) fn next_line(
        &self,
        at: Timestamp,
        event: &Event,
        key: &AuditKey,
        origin: &str,
    ) -> serde_json::Result<Vec<u8>> {
        let body = Body { n: self.tree.len() + 1, at, previous: self.previous, event };
        let mut line = serde_json::to_vec(&body)?;
        // The signature takes the place of the closing brace.
        line.pop();
        let signature = key.sign(&message(origin, &line));
        line.extend_from_slice(SIGNATURE);
        line.extend_from_slice(STANDARD.encode(signature).as_bytes());
        line.extend_from_slice(END);
        line.push(b'\n');
        Ok(line)
    }
}

fn message(origin: &str, signed: &[u8]) -> Vec<u8> {
    [CONTEXT.as_bytes(), b"\n", origin.as_bytes(), b"\n", signed].concat()
}

pub(super) fn parse(line: &[u8]) -> Option<Line<'_>> {
    serde_json::from_slice(line).ok()
}

/// Whether `line` was written with the log's key, wherever it stands.
pub(super) fn is_authentic(line: &[u8], key: &AuditPublicKey) -> bool {
    let parts = || {
        let line = line.strip_suffix(END)?;
        let at = line.windows(SIGNATURE.len()).rposition(|window| window == SIGNATURE)?;
        let signature = STANDARD.decode(&line[at + SIGNATURE.len()..]).ok()?;
        Some((&line[..at], <[u8; 64]>::try_from(signature).ok()?))
    };
    parts()
        .is_some_and(|(signed, signature)| key.verify(&message(key.origin(), signed), &signature))
}

/// The whole lines, and what comes after the last line end.
pub(super) fn split_torn(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1))
}

/// The entries of a log that has no flaw.
pub(super) fn entries(text: &[u8]) -> Vec<Entry> {
    let (whole, _) = split_torn(text);
    let lines: Vec<&[u8]> = whole.split(|&b| b == b'\n').collect();
    let read = each(&lines, |line| entry(parse(line)?, String::from_utf8_lossy(line)));
    read.into_iter().flatten().collect()
}

/// Reads one line, without its line end, that a proof vouches for.
#[must_use]
pub fn entry_of(line: &str) -> Option<Entry> {
    entry(parse(line.as_bytes())?, line.into())
}

/// What a line says. One that was carried on says what it said, at its time.
fn entry(line: Line<'_>, text: Cow<'_, str>) -> Option<Entry> {
    let mut told = (line.at, serde_json::from_str(line.event.get()).ok());
    if let (_, Some(Event::Kept { line: kept })) = &told {
        let kept = parse(kept.as_bytes())?;
        told = (kept.at, serde_json::from_str(kept.event.get()).ok());
    }
    let (at, event) = told;
    Some(Entry { line: line.n, at, event, text: text.into_owned() })
}

/// A genuine line as the next log carries it on: once, however many logs came between. None for what only
/// the old log needed.
pub(super) fn carried(line: String) -> Option<String> {
    match serde_json::from_str(parse(line.as_bytes())?.event.get()) {
        Ok(Event::Kept { line }) => Some(line),
        Ok(Event::Opened { .. } | Event::SetAside { .. }) => None,
        _ => Some(line),
    }
}

//! `history.jsonl`: a line for every load, written before the load counts.

use std::{fs, io::ErrorKind as IoKind, path::Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    disk::{self, sha256_hex},
    error::{StoreError, io},
};

const FILE: &str = "history.jsonl";

/// One line: counts, never people, so that nobody has to be removed from it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) at: Timestamp,
    pub(super) version: String,
    pub(super) people: usize,
    pub(super) refused: usize,
    pub(super) consented: usize,
    pub(super) staff: usize,
    pub(super) photos: usize,
    pub(super) added: usize,
    pub(super) removed: usize,
    pub(super) status_changed: usize,
    pub(super) photos_changed: usize,
    pub(super) refusals_lifted: usize,
    /// The impact assessment under which faces are compared.
    pub(super) dpia: Option<String>,
    /// SHA-256 of the line before, without its line end; empty for the first.
    pub(super) before: String,
}

fn text(folder: &Path) -> Result<String, StoreError> {
    let path = folder.join(FILE);
    match fs::read(&path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(e) if e.kind() == IoKind::NotFound => Ok(String::new()),
        Err(source) => Err(io("read", &path, source)),
    }
}

/// The last whole line. One that a power cut shortened is none.
pub(super) fn last(folder: &Path) -> Result<Option<Line>, StoreError> {
    Ok(text(folder)?.lines().rev().find_map(|line| serde_json::from_str(line).ok()))
}

/// Adds `line`, chained to the one before.
pub(super) fn append(folder: &Path, mut line: Line) -> Result<(), StoreError> {
    let path = folder.join(FILE);
    let text = text(folder)?;
    line.before = text.lines().last().map_or_else(String::new, |l| sha256_hex(l.as_bytes()));
    let json = serde_json::to_string(&line).map_err(|e| io("write", &path, e.into()))?;
    // Ends what a power cut left open.
    let open = !text.is_empty() && !text.ends_with('\n');
    let added = format!("{}{json}\n", if open { "\n" } else { "" });
    disk::append(&path, added.as_bytes()).map_err(|source| io("write", &path, source))
}

//! Who will be able to open a recording, as lines.

use crate::appliance::openers::{Ahead, Openers, Shown};

use super::people::seconds;

/// What is told of them, a line each.
pub(super) fn lines(told: &Openers) -> Vec<String> {
    let Openers { openers, ahead, openers_problem } = told;
    let mut lines = match openers_problem {
        Some(problem) => vec![format!("nobody will be able to open this recording: {problem}")],
        None => vec!["who will be able to open this recording:".to_owned()],
    };
    lines.extend(openers.iter().map(shown));
    lines.extend(ahead.iter().map(waiting));
    lines
}

fn shown(Shown { person, role, fingerprint, confirmed, new, .. }: &Shown) -> String {
    let who = match (person, role) {
        (Some(person), Some(role)) => format!("{person} ({role})"),
        _ => "nobody knows who".to_owned(),
    };
    let confirmed = confirmed.map_or_else(String::new, |how| format!(", confirmed: {how}"));
    let new = if *new { ", NEW since the last recording" } else { "" };
    format!("  {who}, key {fingerprint}{confirmed}{new}")
}

fn waiting(Ahead { person, role, fingerprint, from, replaces, .. }: &Ahead) -> String {
    let instead = replaces.as_ref().map_or_else(String::new, |old| format!(" instead of {old}"));
    format!(
        "  from {}: {person} ({role}) with the key {fingerprint}{instead}, which no older key signed; \
         `classveil people end-key` stops it",
        seconds(*from),
    )
}

//! Who will be able to open a recording: whom it is sealed to, and who they are, as lines.

use std::path::Path;

use super::{Failure, output, people::seconds};
use crate::{
    appliance::openers::{Ahead, Openers, Shown},
    clock::{Clock as _, SystemClock},
    error::ErrorKind,
    people::directory::{Directory, SealedTo},
    units::PersonId,
    vault::{Recipient, audit::AuditLog},
};

/// What is said of a recording in a store that knows nobody.
const NOBODY_VOUCHES: &str = "this store has no directory of people and no teacher is named, so nobody vouches \
     that a teacher can open this recording: for a lesson enrol the teacher by `classveil people add` first, \
     and name them by --teacher";

/// Whom the recording is sealed to: where the store has a directory of people, those whom it allows.
/// Says who they are, and what is to be said of a recording that has no teacher.
///
/// Without a directory no key is known to be a teacher's, so a recording that names one cannot start;
/// one that names none, as a trial of a camera does, is nobody's lesson.
pub(super) fn sealed_to(
    store: &Path,
    [teacher, coach]: [Option<&PersonId>; 2],
    given: &[Recipient],
    audit: &AuditLog,
) -> Result<(SealedTo, Option<&'static str>), Failure> {
    let (entries, now) = (audit.entries()?, SystemClock.now());
    let Some(directory) = Directory::read(store, &entries)? else {
        if let Some(teacher) = teacher {
            return Err(Failure::new(
                ErrorKind::Denied,
                format!(
                    "this store has no directory of people, so nobody vouches for {teacher}'s key, and a \
                     recording that its teacher may not be able to open is not made: enrol the teacher by \
                     `classveil people add {teacher} --role teacher`; a trial with nobody's lesson names no \
                     teacher"
                ),
            ));
        }
        output::note("who will be able to open this recording:");
        for recipient in given {
            output::note(format_args!("  {recipient}"));
        }
        output::note(format_args!("warning: {NOBODY_VOUCHES}"));
        return Ok((SealedTo::given(given), Some(NOBODY_VOUCHES)));
    };
    let openers = directory.openers(teacher, coach, given, now)?;
    let told = Openers::of(&directory, teacher, &openers, &entries, now);
    for line in lines(&told) {
        output::note(line);
    }
    if let Some(coach) = coach
        && !openers.iter().any(|opener| opener.person == *coach)
    {
        output::note(format_args!(
            "  not {coach}, the coach: the teacher has accepted no key of theirs"
        ));
    }
    Ok((SealedTo::openers(openers, teacher), None))
}

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

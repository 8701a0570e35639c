//! `classveil marks`: what people marked and noted while they watched, and whether they did.

use serde::Serialize;

use super::{
    Failure, fragments::stamp, open::Wanted, output, people::seconds, verify::refuse_unpinned,
};
use crate::{
    error::ErrorKind,
    units::RecordingId,
    vault::access::{Kept, Made, read_marks},
};

/// Show what was marked and noted in a recording, by whom, and whether their signature holds.
///
/// Marks are signed with the key that belongs to the age key of who watched. Whose that is says the
/// recording's signed manifest, or the teacher's grant. What does not hold is shown as such, and ends the
/// command with an error.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    classveil marks REC --identity teacher.key --box-key box.pub\n  \
    classveil marks 0197c2a0-... --store COPY --identity teacher.key --json\n\n\
    Exit codes: 0 all hold or there are none, 65 the recording is damaged, or marks are not by whom they\n\
    name, 66 no recording, 77 wrong key, withheld, or nobody vouches for whose marks they are.")]
pub(super) struct Args {
    #[command(flatten)]
    of: Wanted,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    recording: RecordingId,
    marks: &'a [Kept],
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let opened = args.of.open(|_| Ok(()))?;
    let all = read_marks(&opened)?;
    let manifest = opened.checked().manifest();
    if args.json {
        output::json(&Shown { recording: manifest.recording, marks: &all });
    } else {
        all.iter().for_each(say);
        output::line(format_args!("marks of {} people", all.len()));
    }
    if all.is_empty() {
        return Ok(());
    }
    if all.iter().all(|kept| kept.made == Made::Signed) {
        // Whose key is whose says the manifest, and who signed that.
        return refuse_unpinned(&args.of.trust()?, &opened.checked().signer().id());
    }
    Err(if manifest.signers.is_empty() {
        let message = "the recording does not say with which keys its people sign, so nobody can tell \
                       who made these marks: it was made without a directory of people, before marks \
                       were signed, or is an export";
        Failure::new(ErrorKind::Denied, message)
    } else {
        let message = "there are marks that are not by whom they name: do not rely on them, and ask \
                       that person to save theirs again";
        Failure::new(ErrorKind::DataLoss, message)
    })
}

fn say(kept: &Kept) {
    let Kept { person, made, at, marks } = kept;
    let at = at.map_or_else(String::new, |at| format!(", {}", seconds(at)));
    output::line(format_args!("{person}: {made}{at}"));
    for mark in marks {
        let (from, to) = (stamp(mark.from_ms), stamp(mark.to_ms));
        output::line(format_args!("  {} {from} {to}  {}", mark.camera, on_one_line(&mark.note)));
    }
}

/// Somebody's words as the rest of a line: they make no line of their own, move no cursor and turn no text
/// round, so that nothing in them can be taken for what this program says.
fn on_one_line(words: &str) -> String {
    let is_plain = |c: char| {
        !c.is_control() && !matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    words.chars().map(|c| if is_plain(c) { c } else { ' ' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_never_taken_for_a_line_of_the_program() {
        assert_eq!(on_one_line("Ça va? 👍 ok"), "Ça va? 👍 ok");
        let forged = "x\nt-07: signed\r\u{1b}[2Ky\u{202e}z\u{2028}";
        assert_eq!(on_one_line(forged), "x t-07: signed  [2Ky z ");
    }
}

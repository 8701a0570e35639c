//! What people have to have said or written before a lesson is recorded: the lesson itself, the registers, the
//! directory of people, the pupil list.
//!
//! Does not belong: anything that is plugged in, or counted in bytes (`machines`).

use std::time::Duration;

use jiff::civil::Date;

use super::{Facts, Found, ListFacts, Registers, terms, today};
use crate::{
    appliance::{codes::Code, lesson::Lesson},
    config::Config,
    people::registers::{self, Audience},
    units::PersonId,
    vault::Recipient,
    veil::policy::Policy,
};

pub(super) fn judge(config: &Config, facts: &Facts, lesson: Option<&Lesson>, found: &mut Found) {
    if let Some(lesson) = lesson {
        of_lesson(config, lesson, found);
    }
    of_registers(config, facts, lesson, found);
    of_list(config, facts, found);
}

fn of_lesson(config: &Config, lesson: &Lesson, found: &mut Found) {
    if lesson.teacher.is_none() {
        found.add(
            Code::TeacherMissing,
            "nobody said which teacher is recorded",
            "classveil prepare --config FILE.toml --teacher ID ...",
        );
    }
    // Of a lesson that goes on only its first recording has the question, sealed.
    if lesson.question.trim().is_empty() && lesson.continues.is_none() {
        found.add(
            Code::QuestionMissing,
            "the teacher's learning question is missing",
            "classveil prepare --config FILE.toml --question-file QUESTION.txt ...",
        );
    }
    if lesson.purpose != config.recording.purpose {
        found.add(
            Code::PurposeRefused,
            format!(
                "the lesson is for {}, and this box may be used for {} only",
                lesson.purpose, config.recording.purpose
            ),
            "prepare it for that purpose, or change [recording] purpose and tell everybody anew",
        );
    }
    if lesson.planned > config.recording.longest || lesson.planned.is_zero() {
        found.add(
            Code::PlannedTooLong,
            format!(
                "the lesson is planned for {} min, and a recording lasts {} min at most",
                lesson.planned.as_secs() / 60,
                config.recording.longest.as_secs() / 60
            ),
            "classveil prepare --config FILE.toml --planned \"20 min\" ...",
        );
    }
}

/// Whether the directory of people says that the teacher could open a recording, and nobody whom the
/// teacher does not allow. Without a directory nobody knows which key is the teacher's.
fn recipients(config: &Config, facts: &Facts, lesson: Option<&Lesson>, found: &mut Found) {
    let given = &config.recording.recipients;
    let problem = match &facts.directory {
        Err(problem) => format!("the directory of people cannot be relied on: {problem}"),
        Ok(None) => "no directory of people says which key is the teacher's".to_owned(),
        Ok(Some(directory)) => {
            let teacher = lesson.map_or(config.recording.teacher.as_ref(), |l| l.teacher.as_ref());
            let coach = lesson.map_or(config.recording.coach.as_ref(), |l| l.coach.as_ref());
            // Without a teacher nothing is prepared, and that is a reason of its own.
            if teacher.is_none() {
                return;
            }
            match directory.openers(teacher, coach, given, facts.now) {
                Ok(_) => return,
                Err(error) => error.to_string(),
            }
        }
    };
    found.add(
        Code::RecipientsMissing,
        problem,
        "enrol the teacher's key: classveil people add ID --role teacher --config FILE.toml, then \
         challenge, answer and enrol; [recording] recipients of FILE.toml names only keys that \
         `classveil people list` shows, the teacher's among them",
    );
}

fn of_registers(config: &Config, facts: &Facts, lesson: Option<&Lesson>, found: &mut Found) {
    recipients(config, facts, lesson, found);
    let registers = match &facts.registers {
        Ok(registers) => registers,
        Err(problem) => {
            found.add(
                Code::RegistersDamaged,
                format!("the registers cannot be relied on: {problem}"),
                "restore STORE/registers from a copy; `classveil audit verify` says what is whole",
            );
            return;
        }
    };
    let today = today(facts.now);
    if registers::assessment(&registers.assessments, today).is_none() {
        found.add(
            Code::AssessmentMissing,
            "no assessment of the school's interest counts today",
            "classveil register assessment --config FILE.toml --reference REF --by ID \
             --review YYYY-MM-DD",
        );
    }
    let reminded = registers::reminded(&registers.reminders, today);
    let limit = config.registers.reminder_age_limit.as_secs();
    let is_recent = |on: Date| {
        on.until(today)
            .is_ok_and(|span| u64::try_from(span.get_days()).unwrap_or(0) * 86_400 <= limit)
    };
    if !reminded.is_some_and(is_recent) {
        let sentence = match reminded {
            Some(on) => format!("parents were last reminded on {on}, which is too long ago"),
            None => "parents were never reminded that lessons are recorded".to_owned(),
        };
        found.add(
            Code::ReminderOld,
            sentence,
            "remind them, then: classveil register reminder --config FILE.toml \
             --on YYYY-MM-DD --channel letter --text LETTER.pdf",
        );
    }
    let untold = registers::untold(&registers.notices, terms(config));
    if !untold.is_empty() {
        let who: Vec<String> = untold.iter().map(Audience::to_string).collect();
        found.add(
            Code::NoticesStale,
            format!("notices do not say what holds now: {}", who.join(", ")),
            format!(
                "renew them, then: classveil register notice --config FILE.toml --audience {} \
                 --text NOTICE.pdf",
                untold[0]
            ),
        );
    }
    let teacher = lesson.map_or(config.recording.teacher.as_ref(), |l| l.teacher.as_ref());
    let coach = lesson.map_or(config.recording.coach.as_ref(), |l| l.coach.as_ref());
    if let Some(teacher) = teacher {
        // Where the directory says nothing, that is a reason of its own.
        let keys = match &facts.directory {
            Ok(Some(directory)) => directory.proofs_of(teacher, facts.now),
            _ => config.recording.recipients.clone(),
        };
        acceptance(&keys, registers, teacher, coach, found);
    }
}

/// Whether `teacher` accepted by one of these keys.
fn acceptance(
    keys: &[Recipient],
    registers: &Registers,
    teacher: &PersonId,
    coach: Option<&PersonId>,
    found: &mut Found,
) {
    if registers::accepts(&registers.acceptances, teacher, coach, keys) {
        return;
    }
    let with = coach.map_or_else(String::new, |coach| format!(" with {coach}"));
    let option = coach.map_or_else(String::new, |coach| format!(" --coach {coach}"));
    found.add(
        Code::AcceptanceMissing,
        format!("{teacher} has not accepted to be recorded{with}"),
        format!(
            "classveil register acceptance ask --config FILE.toml --teacher {teacher}{option} \
             --recipient age1..., and the teacher answers"
        ),
    );
}

fn of_list(config: &Config, facts: &Facts, found: &mut Found) {
    let load = "classveil pupils load LIST.csv --config FILE.toml";
    match &facts.list {
        ListFacts::Missing => {
            found.add(Code::ListMissing, "no pupil list is loaded", load);
        }
        ListFacts::Unusable(problem) => {
            found.add(
                Code::ListUnusable,
                format!("the pupil list cannot be used: {problem}"),
                load,
            );
        }
        ListFacts::Usable { loaded, weak, photos } => {
            let age = facts.now.duration_since(*loaded);
            let limit = config.pupils.list_age_limit;
            // A list from the future says that the clock is wrong, and is no new list.
            let is_recent = Duration::try_from(age).is_ok_and(|age| age <= limit);
            if !is_recent {
                found.add(
                    Code::ListStale,
                    format!("the pupil list was loaded on {}, too long ago", today(*loaded)),
                    load,
                );
            }
            if *weak > 0 && config.recording.policy == Policy::Refused {
                found.add(
                    Code::ListWeak,
                    format!("{weak} refusing pupils have no usable photo and cannot be told apart"),
                    "load a list with a photo of each, or set [recording] policy to \
                     \"unless-cleared\" or \"everyone\"",
                );
            }
            let compares = config.recording.policy != Policy::Everyone;
            if *photos && compares && config.biometrics.dpia.is_none() {
                found.add(
                    Code::DpiaMissing,
                    "the list has photos, and no impact assessment allows to compare them",
                    "name it in [biometrics] dpia of FILE.toml, or load a list without photos",
                );
            }
        }
    }
}

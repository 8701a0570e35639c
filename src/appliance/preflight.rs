//! Preflight: every reason not to record, found before a recording and told together.
//!
//! Belongs here: what follows from what was looked at ([`judge`], which looks at nothing), and what
//! settles each reason. Does not belong: looking (`facts`), what a reason does (`recording`).
//!
//! What cannot be looked at counts as a reason: nothing is taken for right that was not seen.

use std::{path::PathBuf, time::Duration};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

pub use super::facts::{Facts, Hardware, ListFacts, Lit, Registers, look};
use super::{
    codes::{Code, Who},
    lesson::Lesson,
    take,
};
use crate::{
    config::{AudioMode, Config},
    people::registers::{self, Audience, Terms},
    units::PersonId,
    vault::Recipient,
    veil::policy::Policy,
};

/// What a camera is expected to send where the rate follows from its picture: 1080p.
const ASSUMED_BITS_A_SECOND: u64 = 4_000_000;

/// Where things are that preflight looks at.
#[derive(Clone, Debug)]
pub struct Places {
    /// The configuration's file, for commands that settle a reason.
    pub config: PathBuf,
    /// The store.
    pub store: PathBuf,
    /// The key of the list's embeddings.
    pub gallery_key: PathBuf,
    /// The models' folder.
    pub models: PathBuf,
    /// The ONNX Runtime library.
    pub runtime: PathBuf,
}

/// A reason not to record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Its code.
    pub code: Code,
    /// What is the matter, in one sentence.
    pub sentence: String,
    /// Who can settle it.
    pub who: Who,
    /// The command, or the act, that does.
    pub settle: String,
}

/// The day in the school's own time zone.
#[must_use]
pub fn today(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::system()).date()
}

/// What notices have to tell of `config`.
#[must_use]
pub fn terms(config: &Config) -> crate::vault::Digest {
    let recording = &config.recording;
    Terms {
        purpose: &recording.purpose.to_string(),
        legal_basis: &recording.legal_basis.to_string(),
        policy: &recording.policy.to_string(),
        audio: config.audio.mode == AudioMode::Keep,
        retain_s: recording.retain.as_secs(),
        photos: config.biometrics.dpia.is_some(),
    }
    .digest()
}

/// Bytes that a lesson of `planned` may take.
fn needed(config: &Config, planned: Duration) -> u64 {
    let bits = config.encode.bitrate.map_or(ASSUMED_BITS_A_SECOND, u64::from);
    // A tenth for sound, reasons and what the encoder takes beyond its rate.
    let bytes = planned.as_secs().saturating_mul(bits) / 8 * 11 / 10;
    bytes
        .saturating_mul(config.cameras.len().max(1) as u64)
        .saturating_add(config.limits.disk_reserve.0)
}

/// The reasons not to record `lesson`, in the order of their codes. Without a lesson those that have
/// nothing to do with one.
#[must_use]
pub fn judge(
    config: &Config,
    places: &Places,
    facts: &Facts,
    lesson: Option<&Lesson>,
) -> Vec<Reason> {
    let mut found = Found { config: places.config.display().to_string(), reasons: Vec::new() };
    if let Some(lesson) = lesson {
        lesson_reasons(config, lesson, &mut found);
    }
    paper(config, facts, lesson, &mut found);
    box_reasons(config, facts, lesson, &mut found);
    list_reasons(config, facts, &mut found);
    found.reasons.sort_by_key(|reason| reason.code);
    found.reasons
}

struct Found {
    config: String,
    reasons: Vec<Reason>,
}

impl Found {
    fn add(&mut self, code: Code, sentence: impl Into<String>, settle: impl Into<String>) {
        let settle = settle.into().replace("FILE.toml", &self.config);
        self.reasons.push(Reason { code, sentence: sentence.into(), who: code.who(), settle });
    }
}

fn lesson_reasons(config: &Config, lesson: &Lesson, found: &mut Found) {
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

fn paper(config: &Config, facts: &Facts, lesson: Option<&Lesson>, found: &mut Found) {
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

fn list_reasons(config: &Config, facts: &Facts, found: &mut Found) {
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

fn box_reasons(config: &Config, facts: &Facts, lesson: Option<&Lesson>, found: &mut Found) {
    if facts.cameras.is_empty() {
        found.add(Code::CameraMissing, "no camera is configured", "add a [[camera]] to FILE.toml");
    }
    for (id, answer) in &facts.cameras {
        if let Err(problem) = answer {
            found.add(
                Code::CameraUnreachable,
                format!("camera {id} does not answer: {problem}"),
                "look at its power, its cable and its address in FILE.toml",
            );
        }
    }
    match &facts.indicator {
        Lit::Proven => {}
        Lit::Missing => found.add(
            Code::IndicatorMissing,
            "no indicator is configured that says when pictures are taken",
            "name its folder in [indicator] led of FILE.toml",
        ),
        Lit::Broken(problem) => found.add(
            Code::IndicatorDark,
            format!("the indicator does not do what it is told: {problem}"),
            "look at the lamp, its folder in FILE.toml and who may write there",
        ),
    }
    if let Some(Err(problem)) = &facts.button {
        found.add(
            Code::ButtonMissing,
            format!("the button cannot be read: {problem}"),
            "look at the button, its device in FILE.toml and who may read it",
        );
    }
    if let Err(problem) = &facts.models {
        found.add(Code::ModelDigest, problem.clone(), "make setup, or install the package again");
    }
    let memory = take::assumed_memory(config.veil.look_ahead);
    let memory = memory.saturating_mul(config.cameras.len() as u64);
    if memory > config.limits.memory.0 {
        found.add(
            Code::MemorySmall,
            format!(
                "the pictures that wait may take {} MiB, and {} are set aside for them",
                memory >> 20,
                config.limits.memory
            ),
            "shorten [veil] look-ahead of FILE.toml, or raise [limits] memory if the machine has it",
        );
    }
    let planned = lesson.map_or(config.recording.longest, |l| l.planned);
    match &facts.disk {
        Err(problem) => found.add(
            Code::DiskUnwritable,
            format!("the store cannot be written: {problem}"),
            "look at the disk, and who owns the store's folder",
        ),
        Ok(free) if *free < needed(config, planned) => found.add(
            Code::DiskSmall,
            format!(
                "{} MiB are free and this lesson may need {} MiB",
                free >> 20,
                needed(config, planned) >> 20
            ),
            "classveil retention apply --config FILE.toml, or a larger disk; nothing that is not due \
             is ever deleted to make room",
        ),
        Ok(_) => {}
    }
    match &facts.log {
        Err(problem) => found.add(
            Code::LogDamaged,
            format!("the audit log cannot be relied on: {problem}"),
            "classveil audit verify --config FILE.toml says which line",
        ),
        Ok(highest) => {
            if let Some(highest) = highest.filter(|highest| facts.now < *highest) {
                let (sentence, settle) = behind(facts.now, highest);
                found.add(Code::TimeUntrusted, sentence, settle);
            } else if !facts.clock_is_right {
                found.add(
                    Code::TimeUntrusted,
                    "nobody says that the clock is right",
                    "timedatectl set-ntp true, and wait until it is synchronised; or, at the box and with \
                     a watch: classveil clock confirm --config FILE.toml",
                );
            }
        }
    }
}

/// A clock that is behind the log: which of the two is wrong, somebody with a watch has to see.
#[must_use]
pub fn behind(now: Timestamp, highest: Timestamp) -> (String, &'static str) {
    let minute = |at: Timestamp| at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M");
    let (now, highest) = (minute(now), minute(highest));
    (
        format!("the clock says {now}, and the audit log has a line of {highest} already"),
        "compare with a watch. Where the clock is wrong: timedatectl set-ntp true, or timedatectl \
         set-time \"YYYY-MM-DD HH:MM\". Where the clock is right the line is wrong, and nobody can \
         confirm it away: begin a new store, as docs/guide/operator.md says under \"A line of the log \
         from a wrong year\"",
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::lesson::Continued, *};
    use crate::{
        people::{
            directory::Directory,
            registers::{Acceptance, Assessment, Notice, Reminder},
        },
        units::CameraId,
        vault::{Digest, ledger::Line},
    };

    type Spoil<'a> = Box<dyn Fn(&mut Facts) + 'a>;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn line<T>(entry: T) -> Line<T> {
        Line { n: 1, at: time("2026-11-01T09:00:00Z"), previous: Digest::of(&[]), entry }
    }

    fn config() -> Config {
        let recipient = age::x25519::Identity::generate().to_public();
        let text = format!(
            "[recording]\nteacher = \"t-07\"\ncoach = \"c-02\"\nrecipients = [\"{recipient}\"]\n\
             [biometrics]\ndpia = \"D-1\"\n[[camera]]\ninput = \"/dev/video0\"\n"
        );
        Config::parse(&text, Path::new("/etc")).unwrap()
    }

    /// A directory that has the teacher, with this key.
    fn directory(recipient: &Recipient) -> Directory {
        let since = "2026-09-01T09:00:00Z";
        serde_json::from_value(serde_json::json!({
            "format": "classveil-people/1",
            "people": { "t-07": {
                "role": "teacher", "added": since, "removed": null, "code": null, "challenge": null,
                "keys": [{
                    "recipient": recipient, "sign": null, "from": since, "until": null,
                    "replaces": null, "confirmed": "in-person", "accepted": {},
                }],
            } },
        }))
        .unwrap()
    }

    /// A box about which nothing is wrong.
    fn facts(config: &Config) -> Facts {
        let text = Digest::of(b"x");
        let notice = |audience| line(Notice { audience, text, terms: terms(config) });
        Facts {
            now: time("2026-11-22T09:00:00Z"),
            clock_is_right: true,
            log: Ok(Some(time("2026-11-22T08:59:59Z"))),
            registers: Ok(Registers {
                assessments: vec![line(Assessment {
                    reference: "IA-1".to_owned(),
                    by: "d-01".parse().unwrap(),
                    review: "2027-08-01".parse().unwrap(),
                })],
                reminders: vec![line(Reminder {
                    on: "2026-09-01".parse().unwrap(),
                    channel: registers::Channel::Letter,
                    text,
                })],
                notices: Audience::ALL.map(notice).into(),
                acceptances: vec![line(Acceptance::Accepted {
                    teacher: "t-07".parse().unwrap(),
                    coach: Some("c-02".parse().unwrap()),
                    recipient: config.recording.recipients[0].clone(),
                })],
            }),
            directory: Ok(Some(directory(&config.recording.recipients[0]))),
            models: Ok(()),
            list: ListFacts::Usable { loaded: time("2026-10-01T09:00:00Z"), weak: 0, photos: true },
            disk: Ok(100 << 30),
            indicator: Lit::Proven,
            button: Some(Ok(())),
            cameras: vec![(CameraId::first(), Ok(()))],
        }
    }

    fn lesson(config: &Config) -> Lesson {
        Lesson {
            class: None,
            teacher: config.recording.teacher.clone(),
            coach: config.recording.coach.clone(),
            names: crate::vault::Names::default(),
            question: "Do I wait long enough?".to_owned(),
            purpose: config.recording.purpose,
            planned: Duration::from_secs(1200),
            continues: None,
        }
    }

    fn codes(config: &Config, facts: &Facts, lesson: Option<&Lesson>) -> Vec<Code> {
        let places = Places {
            config: "/etc/box.toml".into(),
            store: "/store".into(),
            gallery_key: "/key".into(),
            models: "/models".into(),
            runtime: "/runtime".into(),
        };
        let reasons = judge(config, &places, facts, lesson);
        for reason in &reasons {
            assert!(!reason.settle.contains("FILE.toml"), "{reason:?}");
        }
        reasons.into_iter().map(|reason| reason.code).collect()
    }

    #[test]
    fn a_clock_behind_the_log_is_told_with_both_times() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (sentence, settle) = behind(at("2026-11-22T12:00:00Z"), at("2099-01-15T12:00:00Z"));
        assert!(sentence.contains("2026-11-22") && sentence.contains("2099-01-15"), "{sentence}");
        assert!(settle.contains("wrong year"), "{settle}");
    }

    #[test]
    fn each_fact_that_is_wrong_is_a_reason_of_its_own() {
        let config = config();
        let lesson = lesson(&config);
        assert_eq!(codes(&config, &facts(&config), Some(&lesson)), []);
        assert_eq!(codes(&config, &facts(&config), None), []);
        let usable =
            |loaded: &str, weak| ListFacts::Usable { loaded: time(loaded), weak, photos: true };
        let wrong = || Err("wrong".to_owned());
        let spoils: Vec<(Code, Spoil<'_>)> = vec![
            (Code::TimeUntrusted, Box::new(|f| f.clock_is_right = false)),
            (Code::TimeUntrusted, Box::new(|f| f.log = Ok(Some(time("2026-11-22T09:00:01Z"))))),
            (Code::LogDamaged, Box::new(|f| f.log = Err("line 4".to_owned()))),
            (Code::RegistersDamaged, Box::new(|f| f.registers = Err("altered".to_owned()))),
            (Code::RecipientsMissing, Box::new(|f| f.directory = Err("altered".to_owned()))),
            // Keys that are given are nobody's where no directory says whose they are.
            (Code::RecipientsMissing, Box::new(|f| f.directory = Ok(None))),
            (Code::ModelDigest, Box::new(|f| f.models = wrong())),
            (Code::ListMissing, Box::new(|f| f.list = ListFacts::Missing)),
            (Code::ListUnusable, Box::new(|f| f.list = ListFacts::Unusable("x".to_owned()))),
            (Code::ListStale, Box::new(|f| f.list = usable("2026-05-01T09:00:00Z", 0))),
            // A list from the future is none of today.
            (Code::ListStale, Box::new(|f| f.list = usable("2026-11-23T09:00:00Z", 0))),
            (Code::ListWeak, Box::new(|f| f.list = usable("2026-11-01T09:00:00Z", 1))),
            (Code::DiskSmall, Box::new(|f| f.disk = Ok(1 << 30))),
            (Code::DiskUnwritable, Box::new(|f| f.disk = Err("read-only".to_owned()))),
            (Code::IndicatorMissing, Box::new(|f| f.indicator = Lit::Missing)),
            (Code::IndicatorDark, Box::new(|f| f.indicator = Lit::Broken("x".to_owned()))),
            (Code::ButtonMissing, Box::new(|f| f.button = Some(wrong()))),
            (Code::CameraMissing, Box::new(|f| f.cameras.clear())),
            (Code::CameraUnreachable, Box::new(|f| f.cameras[0].1 = wrong())),
        ];
        for (code, spoil) in spoils {
            let mut facts = facts(&config);
            spoil(&mut facts);
            assert_eq!(codes(&config, &facts, Some(&lesson)), [code]);
        }
    }

    #[test]
    fn each_thing_a_lesson_lacks_is_a_reason_of_its_own() {
        let config = config();
        let facts = facts(&config);
        let with = |change: &dyn Fn(&mut Lesson)| {
            let mut lesson = lesson(&config);
            change(&mut lesson);
            codes(&config, &facts, Some(&lesson))
        };
        assert_eq!(with(&|l| l.question = " ".to_owned()), [Code::QuestionMissing]);
        assert_eq!(with(&|l| l.teacher = None), [Code::TeacherMissing]);
        let unknown = [Code::RecipientsMissing, Code::AcceptanceMissing];
        assert_eq!(with(&|l| l.teacher = "t-08".parse().ok()), unknown);
        assert_eq!(with(&|l| l.coach = None), [Code::AcceptanceMissing]);
        assert_eq!(
            with(&|l| l.purpose = crate::vault::Purpose::TeamSession),
            [Code::PurposeRefused]
        );
        assert_eq!(with(&|l| l.planned = Duration::from_secs(2701)), [Code::PlannedTooLong]);
        assert_eq!(with(&|l| l.planned = Duration::ZERO), [Code::PlannedTooLong]);
    }

    #[test]
    fn pictures_that_wait_have_to_fit_into_memory() {
        let mut config = config();
        let facts = facts(&config);
        // Two seconds of 1080p take about 220 MB a camera.
        config.limits.memory.0 = 300 << 20;
        assert_eq!(codes(&config, &facts, None), []);
        let second = config.cameras[0].clone();
        config.cameras.push(second);
        assert_eq!(codes(&config, &facts, None), [Code::MemorySmall]);
        config.limits.memory.0 = 500 << 20;
        assert_eq!(codes(&config, &facts, None), []);
    }

    #[test]
    fn a_lesson_that_goes_on_has_its_question_already() {
        let config = config();
        let facts = facts(&config);
        let mut lesson = lesson(&config);
        lesson.question.clear();
        assert_eq!(codes(&config, &facts, Some(&lesson)), [Code::QuestionMissing]);
        let ends = Duration::from_secs(9);
        lesson.continues = Some(Box::new(Continued::example(ends)));
        assert_eq!(codes(&config, &facts, Some(&lesson)), []);
    }

    #[test]
    fn a_reminder_that_is_too_old_and_terms_that_changed() {
        let config = config();
        let mut facts = facts(&config);
        facts.now = time("2027-03-01T09:00:00Z");
        assert_eq!(codes(&config, &facts, None), [Code::ReminderOld]);
        facts.now = time("2027-08-03T09:00:00Z");
        let old = [Code::AssessmentMissing, Code::ReminderOld, Code::ListStale];
        assert_eq!(codes(&config, &facts, None), old);
        let mut changed = config.clone();
        changed.recording.retain += Duration::from_secs(1);
        let facts = super::tests::facts(&config);
        assert_eq!(codes(&changed, &facts, None), [Code::NoticesStale]);
        // The teacher's own keys, without any that is given.
        changed.recording.recipients.clear();
        assert_eq!(codes(&changed, &facts, None), [Code::NoticesStale]);
        let ended = Facts { directory: Ok(Some(Directory::default())), ..facts };
        let all = [Code::RecipientsMissing, Code::NoticesStale, Code::AcceptanceMissing];
        assert_eq!(codes(&changed, &ended, None), all);
    }
}

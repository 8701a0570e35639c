//! Preflight: every reason not to record, found before a recording and told together.
//!
//! Belongs here: what follows from what was looked at ([`judge`], which looks at nothing), and what
//! settles each reason: of `papers`, and of `machines`. Does not belong: looking (`facts`), what a reason does (`recording`).
//!
//! What cannot be looked at counts as a reason: nothing is taken for right that was not seen.

mod machines;
mod papers;

use std::path::PathBuf;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

pub use self::machines::behind;
pub use super::facts::{Facts, Hardware, ListFacts, Lit, Registers, look};
use super::{
    codes::{Code, Who},
    lesson::Lesson,
};
use crate::{
    config::{AudioMode, Config},
    people::registers::Terms,
};

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
    papers::judge(config, facts, lesson, &mut found);
    machines::judge(config, facts, lesson, &mut found);
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

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use super::{super::lesson::Continued, *};
    use crate::{
        people::{
            directory::Directory,
            registers::{self, Acceptance, Assessment, Audience, Notice, Reminder},
        },
        units::CameraId,
        vault::{Digest, Recipient, ledger::Line},
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
        let away = || super::super::facts::Away { problem: "off".to_owned(), refuses: false };
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
            (Code::CameraUnreachable, Box::new(|f| f.cameras[0].1 = Err(away()))),
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

//! What the box itself has to have: cameras, lamp, button, models, memory, disk, the log, the time.
//!
//! Does not belong: what people have to have said or written (`papers`).

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

use super::{super::facts::Away, Facts, Found, Lit};
use crate::{
    appliance::{codes::Code, lesson::Lesson, take},
    config::Config,
};

/// What a camera is expected to send where the rate follows from its picture: 1080p.
const ASSUMED_BITS_A_SECOND: u64 = 4_000_000;

pub(super) fn judge(config: &Config, facts: &Facts, lesson: Option<&Lesson>, found: &mut Found) {
    if facts.cameras.is_empty() {
        found.add(Code::CameraMissing, "no camera is configured", "add a [[camera]] to FILE.toml");
    }
    for (id, answer) in &facts.cameras {
        let Err(Away { problem, refuses }) = answer else { continue };
        let (says, mend) = if *refuses {
            ("lets nobody in", "put its user and password into its credentials file")
        } else {
            ("does not answer", "look at its power, its cable and its address in FILE.toml")
        };
        found.add(Code::CameraUnreachable, format!("camera {id} {says}: {problem}"), mend);
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

/// Bytes that a lesson of `planned` may take.
fn needed(config: &Config, planned: Duration) -> u64 {
    let bits = config.encode.bitrate.map_or(ASSUMED_BITS_A_SECOND, u64::from);
    // A tenth for sound, reasons and what the encoder takes beyond its rate.
    let bytes = planned.as_secs().saturating_mul(bits) / 8 * 11 / 10;
    bytes
        .saturating_mul(config.cameras.len().max(1) as u64)
        .saturating_add(config.limits.disk_reserve.0)
}

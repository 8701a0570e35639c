//! From the operator's configuration to the settings of the rooms: one place, so that whoever records
//! looks and encodes alike.
//!
//! Belongs here: which key becomes which field. Does not belong: what a command line changes of it.

use std::time::Duration;

use crate::{
    config::Config,
    encode,
    vault::retention::{Policy, RetentionError},
    veil::{policy::Region, watch},
};

/// From one look at the finished picture to the next; less where segments are short.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// How long a recording lives once its follow-up talk is closed, where nobody says otherwise.
const AFTER_TALK: Duration = Duration::from_secs(7 * 86_400);

/// What the school decided about ends; `after_talk` where it was said.
pub fn retention_policy(
    config: &Config,
    after_talk: Option<Duration>,
) -> Result<Policy, RetentionError> {
    Policy::new(Some(config.recording.retain), Some(after_talk.unwrap_or(AFTER_TALK)))
}

/// How a camera's frames are looked at, where segments last `segment` and `region` is covered.
#[must_use]
pub fn watch_settings(config: &Config, segment: Duration, region: Region) -> watch::Settings {
    watch::Settings {
        size: config.detect.size,
        full_size: config.detect.full_size,
        full_every: config.detect.full_every,
        identify_every: config.identify.every,
        // Half a segment at most, so that each is looked at.
        check_every: CHECK_EVERY.min(segment / 2),
        region,
    }
}

/// How pictures are encoded, in segments of `segment`.
#[must_use]
pub fn encode_settings(config: &Config, segment: Duration) -> encode::Settings {
    encode::Settings {
        segment,
        bitrate: config.encode.bitrate,
        encoder: config.encode.encoder,
        preset: config.encode.preset,
        threads: config.encode.threads,
    }
}

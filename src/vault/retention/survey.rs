//! What is known of each recording of a store: from the log, and where that is silent, from the
//! recording itself.
//!
//! The log alone is enough for a recording that was begun under it, so a plan over thousands of
//! recordings opens none of their files.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{
    super::{
        BoxPublicKey, VaultError,
        audit::{Entry, Event},
        manifest,
        store::{MANIFEST, RecordingDir, names_in, read_at_most},
    },
    Deadline, Hold, Known, Life, SetBy,
};
use crate::units::RecordingId;

/// What the log says about one recording.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    pub(super) deadlines: Vec<Deadline>,
    pub(super) holds: Vec<Hold>,
    /// The line that says that it is destroyed.
    pub(super) destroyed: Option<Entry>,
    /// Whether the destruction was completed.
    pub(super) certified: bool,
}

impl Story {
    fn add(&mut self, entry: &Entry, event: &Event) {
        match event {
            Event::Armed { delete_by, .. } => {
                self.deadlines.push(Deadline { at: *delete_by, set_by: SetBy::Start });
            }
            Event::TalkClosed { delete_by, .. } => {
                self.deadlines.push(Deadline { at: *delete_by, set_by: SetBy::TalkClosed });
            }
            Event::Held { until, .. } => {
                self.holds.push(Hold { from: entry.at, until: *until });
            }
            Event::Released { .. } => {
                for hold in &mut self.holds {
                    hold.until = hold.until.min(entry.at);
                }
            }
            // The first counts: later ones would be about files that were there again.
            Event::Destroyed { .. } if self.destroyed.is_none() => {
                self.destroyed = Some(entry.clone());
            }
            Event::Certified { .. } => self.certified = true,
            _ => {}
        }
    }
}

/// What the log says about every recording.
pub(super) fn stories(entries: &[Entry]) -> BTreeMap<RecordingId, Story> {
    let mut stories: BTreeMap<RecordingId, Story> = BTreeMap::new();
    for entry in entries {
        let Some(event) = &entry.event else { continue };
        if let Some(recording) = event.recording() {
            stories.entry(recording).or_default().add(entry, event);
        }
    }
    stories
}

/// How the name of a folder ends whose recording is being destroyed.
pub(in super::super) const GONE: &str = ".gone";

/// Where a recording that is being destroyed lies.
pub(super) fn gone(recordings: &Path, id: RecordingId) -> PathBuf {
    recordings.join(format!(".{id}{GONE}"))
}

/// What is known of every recording in `store`, given the lines of its log. `key` is the key that
/// signs manifests; a manifest is read only where the log names no deadline.
pub fn survey(
    store: &Path,
    entries: &[Entry],
    key: &BoxPublicKey,
) -> Result<Vec<Known>, VaultError> {
    let stories = stories(entries);
    let recordings = store.join("recordings");
    let mut known = Vec::new();
    for name in names_in(&recordings)? {
        let Ok(id) = name.parse::<RecordingId>() else { continue };
        // Only the one spelling that is written: what it names is what is destroyed.
        if id.to_string() != name {
            continue;
        }
        let dir = RecordingDir(recordings.join(&name));
        known.push(one(&dir, id, stories.get(&id).cloned().unwrap_or_default(), key));
    }
    Ok(known)
}

fn one(dir: &RecordingDir, id: RecordingId, story: Story, key: &BoxPublicKey) -> Known {
    let Story { mut deadlines, holds, destroyed, .. } = story;
    let mut began = None;
    if deadlines.is_empty()
        && let Ok(found) = manifest::newest(dir, key)
        && found.manifest.recording == id
    {
        deadlines.push(Deadline { at: found.manifest.delete_by, set_by: SetBy::Start });
        began = Some(found.manifest.started);
    }
    let life = if destroyed.is_some() { Life::Destroyed } else { Life::Kept };
    let began = began.or_else(|| id.made()).or_else(|| changed(dir)).unwrap_or(Timestamp::MAX);
    Known { id, life, began, deadlines, holds }
}

/// When the folder was changed last: all there is to go by where neither log, manifest nor id say
/// anything.
fn changed(dir: &RecordingDir) -> Option<Timestamp> {
    let modified = std::fs::metadata(&dir.0).ok()?.modified().ok()?;
    Timestamp::try_from(modified).ok()
}

/// The bytes of a manifest, whatever they are worth.
pub(super) fn manifest_bytes(dir: &RecordingDir) -> Option<Vec<u8>> {
    /// As large as a manifest may be.
    const LIMIT: u64 = 256 << 20;
    read_at_most(&dir.file(MANIFEST), LIMIT).ok()
}

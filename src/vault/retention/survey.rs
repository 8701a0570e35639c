//! What is known of each recording of a store: from the log, and where that is silent, from the
//! recording itself.
//!
//! The log alone is enough for a recording that was begun under it, so a plan over thousands of
//! recordings reads the first lines of their manifests, and no more of one that says the same.

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{
    super::{
        BoxPublicKey, VaultError,
        access::{Ask, Decision},
        audit::{Entry, Event},
        manifest,
        parallel::each,
        store::{MANIFEST, RecordingDir, names_in, open_regular, read_at_most},
    },
    Deadline, Hold, Known, Life, SetBy, Why, Withheld,
};
use crate::units::{ClassId, RecordingId};

/// What the log says about one recording.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    pub(super) deadlines: Vec<Deadline>,
    pub(super) holds: Vec<Hold>,
    /// For whose sake nobody gets it.
    pub(super) withheld: Vec<Withheld>,
    /// The class and the line that began it, where the log has it.
    pub(super) begun: Option<(u64, Option<ClassId>)>,
    /// The pupil list that it was begun with.
    pub(super) list: Option<String>,
    /// The line that says that it is destroyed.
    pub(super) destroyed: Option<Entry>,
    /// Whether the destruction was completed.
    pub(super) certified: bool,
    /// The line that says that a damaged log leaves no doubt about it.
    cleared: Option<(u64, Timestamp)>,
}

impl Story {
    fn add(&mut self, entry: &Entry, event: &Event) {
        match event {
            Event::Armed { delete_by, class, .. } => {
                self.begun.get_or_insert_with(|| (entry.line, class.clone()));
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
            // A later one replaced it while recording: what was made before shows whom it showed.
            Event::ListVersion { version, .. } => {
                self.list.get_or_insert_with(|| version.clone());
            }
            // The first counts: later ones would be about files that were there again.
            Event::Destroyed { .. } if self.destroyed.is_none() => {
                self.destroyed = Some(entry.clone());
            }
            Event::Certified { .. } => self.certified = true,
            Event::Cleared { .. } => self.cleared = Some((entry.line, entry.at)),
            _ => {}
        }
    }
}

/// What the log says about every recording.
pub(super) fn stories(entries: &[Entry]) -> BTreeMap<RecordingId, Story> {
    let mut stories: BTreeMap<RecordingId, Story> = BTreeMap::new();
    for entry in entries {
        let Some(event) = &entry.event else { continue };
        about_many(&mut stories, entry, event);
        if let Some(recording) = event.recording() {
            stories.entry(recording).or_default().add(entry, event);
        }
    }
    stories
}

/// What one line says about several recordings.
fn about_many(stories: &mut BTreeMap<RecordingId, Story>, entry: &Entry, event: &Event) {
    match event {
        Event::Requested { request, ask: Ask::Restrict, recordings, .. } => {
            let why = Why::Request { request: *request };
            for recording in recordings {
                let told = stories.entry(*recording).or_default();
                told.withheld.push(Withheld { from: entry.at, until: None, why });
            }
        }
        Event::Answered {
            request,
            ask: Ask::Restrict,
            decision: Decision::Refused | Decision::Lifted,
            recordings,
            ..
        } => {
            for recording in recordings {
                let told = stories.entry(*recording).or_default();
                let ended = told.withheld.iter_mut();
                let ended = ended.filter(|one| one.why == Why::Request { request: *request });
                ended.for_each(|one| one.until = Some(entry.at));
            }
        }
        Event::Answered { ask: Ask::Delete, decision: Decision::Granted, recordings, .. } => {
            for recording in recordings {
                let told = stories.entry(*recording).or_default();
                told.deadlines.push(Deadline { at: entry.at, set_by: SetBy::Request });
            }
        }
        Event::Adopted { replaces, .. } => {
            let told = stories.entry(*replaces).or_default();
            told.deadlines.push(Deadline { at: entry.at, set_by: SetBy::Replaced });
        }
        _ => {}
    }
}

/// What concerns many recordings: pupil lists that came into force, and a log that may know less than it should.
#[derive(Debug, Default)]
pub(super) struct Loads<'a> {
    lists: Vec<(&'a Entry, &'a str, &'a [ClassId])>,
    doubt: (u64, Timestamp),
}

impl<'a> Loads<'a> {
    pub(super) fn of(entries: &'a [Entry]) -> Self {
        let load = |entry: &'a Entry| match &entry.event {
            Some(Event::ListLoaded { version, late }) => Some((entry, &version[..], &late[..])),
            _ => None,
        };
        Self { lists: entries.iter().filter_map(load).collect(), doubt: doubt(entries) }
    }

    /// Since when a recording is to be veiled anew: the first list with a new refusal in its class
    /// (any, where it has none) that it does not go by. One that began later counts as well where it
    /// still goes by a list that was replaced before.
    pub(super) fn late(
        &self,
        begun: u64,
        class: Option<&ClassId>,
        list: Option<&str>,
    ) -> Option<Timestamp> {
        let newest = |list| self.lists.iter().rev().find(|(_, version, _)| *version == list);
        // A list that was never in force is known by when the recording began only.
        let knows = list.and_then(newest).map_or(begun, |(entry, ..)| entry.line);
        let late = self.lists.iter().find(|(entry, version, late)| {
            let of_class = class.map_or(!late.is_empty(), |class| late.contains(class));
            of_class && list != Some(*version) && entry.line > knows
        });
        late.map(|(entry, ..)| entry.at)
    }
}

/// Up to which line a recording is in doubt that the log first knows of there, and since when: a log that was
/// renewed repeats the one before. One of which it knows nothing another log knew, wherever the recording
/// was when this one began; without any log that is all of them.
fn doubt(entries: &[Entry]) -> (u64, Timestamp) {
    let Some(first) = entries.first() else { return (0, Timestamp::MIN) };
    match &first.event {
        Some(Event::Opened { renews: Some(renewal), .. }) => (1 + renewal.kept, first.at),
        _ => (0, first.at),
    }
}

/// Which recordings a damaged log left in doubt, by the lines of the one in its place.
pub(in super::super) fn in_doubt(entries: &[Entry]) -> impl Fn(RecordingId) -> bool + use<> {
    let (stories, (last, _)) = (stories(entries), doubt(entries));
    move |id| {
        let story = stories.get(&id);
        if story.is_some_and(|story| story.destroyed.is_some()) {
            return false;
        }
        let first = story.and_then(|story| story.begun.as_ref()).map_or(0, |(line, _)| *line);
        let cleared = story.and_then(|story| story.cleared).map_or(0, |(line, _)| line);
        first <= last && cleared <= last
    }
}

/// How the name of a folder ends whose recording is being destroyed.
pub(in super::super) const GONE: &str = ".gone";

/// Where a recording that is being destroyed lies.
pub(super) fn gone(recordings: &Path, id: RecordingId) -> PathBuf {
    recordings.join(format!(".{id}{GONE}"))
}

/// What is known of every recording in `store`, given the lines of its log. `key` is the key that
/// signs manifests; a manifest is read where the log names no deadline, or a later one than it does.
pub fn survey(
    store: &Path,
    entries: &[Entry],
    key: &BoxPublicKey,
) -> Result<Vec<Known>, VaultError> {
    let stories = stories(entries);
    let loads = Loads::of(entries);
    let recordings = store.join("recordings");
    let known = each(&names_in(&recordings)?, |name| {
        let id = name.parse::<RecordingId>().ok()?;
        // Only the one spelling that is written: what it names is what is destroyed.
        if id.to_string() != *name {
            return None;
        }
        let dir = RecordingDir(recordings.join(name));
        Some(one(&dir, id, stories.get(&id).cloned().unwrap_or_default(), &loads, key))
    });
    Ok(known.into_iter().flatten().collect())
}

/// What is known of the recording `id` in `store`; none where it is not there.
#[must_use]
pub fn look_up(
    store: &Path,
    entries: &[Entry],
    id: RecordingId,
    key: &BoxPublicKey,
) -> Option<Known> {
    let dir = RecordingDir(store.join("recordings").join(id.to_string()));
    let told = stories(entries).remove(&id).unwrap_or_default();
    dir.0.is_dir().then(|| one(&dir, id, told, &Loads::of(entries), key))
}

fn one(
    dir: &RecordingDir,
    id: RecordingId,
    story: Story,
    loads: &Loads<'_>,
    key: &BoxPublicKey,
) -> Known {
    let Story { mut deadlines, holds, mut withheld, mut begun, mut list, .. } = story;
    let mut began = None;
    // A deadline that somebody ordered says nothing about its own end.
    let own = deadlines.iter().filter(|one| !one.set_by.is_order()).map(|one| one.at).min();
    if own.is_some_and(|own| written(dir).is_some_and(|there| there < own))
        && let Ok(found) = manifest::newest(dir, key)
        && found.manifest.recording == id
    {
        // Signed, and the log has lost the line: the earliest counts.
        let set_by = found.manifest.talk_closed.map_or(SetBy::Start, |_| SetBy::TalkClosed);
        deadlines.push(Deadline { at: found.manifest.delete_by, set_by });
    }
    if own.is_none()
        && let Ok(found) = manifest::newest(dir, key)
        && found.manifest.recording == id
    {
        deadlines.push(Deadline { at: found.manifest.delete_by, set_by: SetBy::Start });
        began = Some(found.manifest.started);
        // Older than the log.
        begun = begun.or(Some((0, found.manifest.class)));
        list = list.or(Some(found.manifest.list_version));
    }
    // Of one that says nothing, nobody knows who is in it.
    let (first, class) = begun.unwrap_or((0, None));
    if let Some(from) = loads.late(first, class.as_ref(), list.as_deref()) {
        withheld.push(Withheld { from, until: None, why: Why::LateRefusal });
    }
    let (last, from) = loads.doubt;
    if first <= last {
        let cleared = story.cleared.filter(|(line, _)| *line > last);
        withheld.push(Withheld { from, until: cleared.map(|(_, at)| at), why: Why::Doubt });
    }
    let life = if story.destroyed.is_some() { Life::Destroyed } else { Life::Kept };
    let began = began.or_else(|| id.made()).or_else(|| changed(dir)).unwrap_or(Timestamp::MAX);
    Known { id, life, began, deadlines, holds, withheld }
}

/// The deadline at the head of a manifest, whatever it is worth: ten thousand of them are looked at, and
/// only one that says something else than the log is read and checked.
fn written(dir: &RecordingDir) -> Option<Timestamp> {
    /// What comes before it is an id, a state and some times.
    const HEAD: usize = 2048;
    let mut head = Vec::with_capacity(HEAD);
    let file = open_regular(&dir.file(MANIFEST)).ok()?;
    file.take(HEAD as u64).read_to_end(&mut head).ok()?;
    let text = String::from_utf8_lossy(&head);
    let (_, rest) = text.split_once("\"delete_by\"")?;
    rest.split('"').nth(1)?.parse().ok()
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

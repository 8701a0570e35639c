//! Reading the configuration and the pupil list again while the box runs.
//!
//! Belongs here: which settings are in force, which of a new file count at once and which later, and
//! what is said of it. Does not belong: reading the file (`config`), using a list (`lists`).
//!
//! A recording that runs goes on by the settings with which it began: the list that counts for it is
//! read by them too. A file with a problem changes no setting, and the list is read all the same:
//! somebody may refuse in it.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::json;

use super::{
    control::Answer,
    crew::{Ground, list_in_force},
    lists::ListSender,
    service::ServiceError,
};
use crate::{
    clock::{Clock as _, SystemClock},
    config::{AudioMode, Button, Config},
    vault::Digest,
};

/// The settings in force.
#[derive(Debug)]
pub(super) struct InForce(Mutex<Arc<Config>>);

impl InForce {
    pub(super) fn new(config: Config) -> Self {
        Self(Mutex::new(Arc::new(config)))
    }

    /// As they are now.
    pub(super) fn now(&self) -> Arc<Config> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, config: Config) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }
}

/// A recording that runs.
#[derive(Debug)]
pub(super) struct Records {
    /// Its way for new lists.
    pub(super) lists: ListSender,
    /// The settings with which it began.
    pub(super) config: Arc<Config>,
}

/// Names of settings that a new file changes, by when they count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Changed {
    /// From now on.
    now: Vec<String>,
    /// From the next recording on, which is now where none is made.
    next_recording: Vec<String>,
    /// When the program starts anew.
    restart: Vec<String>,
}

/// What was read.
#[derive(Debug)]
pub(super) struct Reread {
    settings: Result<Changed, String>,
    /// The version of the list.
    list: Result<String, String>,
}

/// Reads both, and puts in force what may be.
pub(super) fn reread(ground: &Ground, records: Option<&Records>) -> Reread {
    let settings = settings(ground);
    let config = records.map_or_else(|| ground.config.now(), |one| Arc::clone(&one.config));
    let list = list_in_force(ground, &config).map_err(|ended| ended.text);
    if let Some(Records { lists, .. }) = records {
        // A recording that is over needs no list.
        let _ = match &list {
            Ok(list) => lists.replace(list.clone()),
            Err(_) => lists.refuse(),
        };
    }
    Reread { settings, list: list.map(|list| list.version) }
}

fn settings(ground: &Ground) -> Result<Changed, String> {
    let new = Config::load(&ground.places.config).map_err(|error| error.to_string())?;
    if new.audio.mode == AudioMode::Keep {
        return Err(ServiceError::Sound.to_string());
    }
    let old = ground.config.now();
    let (changed, config) = compare(&old, new);
    if config != *old {
        let text = serde_json::to_vec(&config).map_err(|error| error.to_string())?;
        // First the log: settings that it does not know are not in force.
        let noted = ground.audit.note_configuration(SystemClock.now(), Digest::of(&text));
        noted.map_err(|error| error.to_string())?;
        ground.config.put(config);
    }
    Ok(changed)
}

/// When a setting counts.
fn when<'a>(changed: &'a mut Changed, name: &str) -> &'a mut Vec<String> {
    let section = name.split(['.', '[']).next().unwrap_or_default();
    match (section, name) {
        ("store" | "control" | "api" | "indicator" | "models" | "log", _)
        | (_, "button.device") => &mut changed.restart,
        ("clock" | "registers", _) | (_, "limits.disk-reserve" | "pupils.list-age-limit") => {
            &mut changed.now
        }
        _ => &mut changed.next_recording,
    }
}

/// What `new` changes, and the settings that are in force with it: those that only a start can change
/// stay.
fn compare(old: &Config, new: Config) -> (Changed, Config) {
    let (before, after) = (old.settings(), new.settings());
    let mut names: Vec<&String> = Vec::new();
    for (one, other) in [(&before, &after), (&after, &before)] {
        let differs = one.iter().filter(|setting| !other.contains(setting));
        names.extend(differs.map(|(name, _)| name));
    }
    names.sort();
    names.dedup();
    let mut changed = Changed::default();
    for name in names {
        when(&mut changed, name).push(name.clone());
    }
    let config = Config {
        store: old.store.clone(),
        control: old.control.clone(),
        api: old.api.clone(),
        indicator: old.indicator.clone(),
        models: old.models.clone(),
        log: old.log.clone(),
        button: Button { device: old.button.device.clone(), ..new.button },
        ..new
    };
    (changed, config)
}

impl Reread {
    /// What happened, for the log.
    pub(super) fn lines(&self) -> Vec<String> {
        let settings = match &self.settings {
            Ok(changed) if *changed == Changed::default() => {
                "the configuration was read again: it is the same".to_owned()
            }
            Ok(Changed { now, next_recording, restart }) => format!(
                "the configuration was read again: {} settings count now, {} from the next \
                 recording on, {} after a restart",
                now.len(),
                next_recording.len(),
                restart.len()
            ),
            Err(_) => {
                "the configuration could not be read again: the settings before stay".to_owned()
            }
        };
        let list = match &self.list {
            Ok(version) => format!("the pupil list was read again: version {version}"),
            Err(_) => "the pupil list could not be read again: the one before stays".to_owned(),
        };
        vec![settings, list]
    }

    pub(super) fn answer(self) -> Answer {
        let body =
            json!({ "version": self.list.as_ref().ok(), "settings": self.settings.as_ref().ok() });
        let list =
            self.list.err().map(|problem| format!("the pupil list was not replaced: {problem}"));
        let settings =
            self.settings.err().map(|problem| format!("no setting was changed: {problem}"));
        let problems: Vec<String> = list.into_iter().chain(settings).collect();
        if problems.is_empty() {
            Answer::done(body)
        } else {
            Answer::refused(problems.join("; "), body)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, Path::new("/etc/classveil")).unwrap()
    }

    #[test]
    fn each_setting_counts_when_it_can() {
        let camera = |input: &str| format!("[[camera]]\ninput = \"{input}\"\n");
        let old = "[indicator]\nled = \"lamp\"\n[button]\ndevice = \"a\"\n";
        let old = config(&format!("{old}{}", camera("/dev/video1")));
        let new = "[indicator]\nled = \"light\"\n[button]\ndevice = \"b\"\n\
                   danger-remote-start = true\n[clock]\ndanger-trust = \"system\"\n\
                   [veil]\nlook-ahead = \"3 s\"\n";
        let new = config(&format!("{new}{}", camera("/dev/video0")));
        let (changed, merged) = compare(&old, new.clone());
        assert_eq!(changed.now, ["clock.danger-trust"]);
        assert_eq!(changed.restart, ["button.device", "indicator.led"]);
        assert_eq!(
            changed.next_recording,
            ["button.danger-remote-start", "camera[1].input", "veil.look-ahead"]
        );
        assert_eq!((&merged.indicator, &merged.veil), (&old.indicator, &new.veil));
        assert_eq!(merged.button.device, old.button.device);
        assert!(merged.button.danger_remote_start);
        assert_eq!(compare(&new, new.clone()), (Changed::default(), new.clone()));
    }

    #[test]
    fn every_section_counts_at_some_time() {
        // One that only a start can change and that is not kept would count without anybody saying so.
        let start = ["store", "control", "api", "indicator", "models", "log"];
        for (section, options) in crate::config::sections() {
            for option in options {
                let mut changed = Changed::default();
                let name = format!("{section}.{option}");
                when(&mut changed, &name).push(name.clone());
                let kept = start.contains(&section) || name == "button.device";
                assert_eq!(!changed.restart.is_empty(), kept, "{name}");
            }
        }
    }
}

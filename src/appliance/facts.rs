//! What preflight looks at: the box, its papers, its list and its cameras.
//!
//! Belongs here: looking, all at once and within moments. Does not belong: what follows from what is
//! seen (`preflight`). What cannot be looked at is an error, never a guess.

use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{
    indicator::Lamp,
    preflight::{Places, today},
    time,
};
use crate::{
    capture::{CaptureError, Input},
    config::Config,
    error::{ErrorKind, Kind as _},
    people::{
        self, PupilList,
        directory::Directory,
        registers::{Acceptance, Assessment, Notice, Reminder},
    },
    units::CameraId,
    vault::{
        audit::{AuditError, AuditTrust, Entry, check_log},
        ledger::{self, Ledger, Line},
        register::RegisterError,
    },
    veil::policy::Policy,
    vision::infer::{Models, VisionError},
};

/// How long a camera may take to answer.
const PROBE: Duration = Duration::from_secs(3);
/// One that refuses sooner than this is asked once more.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Why a camera cannot be recorded.
#[derive(Clone, Debug)]
pub struct Away {
    /// In a sentence.
    pub problem: String,
    /// It answers, and does not let in whoever knows these credentials.
    pub refuses: bool,
}

/// Whether the indicator can be relied on.
#[derive(Clone, Debug)]
pub enum Lit {
    /// It was switched and read back.
    Proven,
    /// There is none.
    Missing,
    /// It does not do what it is told.
    Broken(String),
}

/// The list, as far as it can be used.
#[derive(Clone, Debug)]
pub enum ListFacts {
    /// None is loaded.
    Missing,
    /// It cannot be read.
    Unusable(String),
    /// It can.
    Usable {
        /// When it was loaded.
        loaded: Timestamp,
        /// Refusing pupils without a photo by which they could be found.
        weak: usize,
        /// Whether it has photos.
        photos: bool,
    },
}

/// What the registers say.
#[derive(Clone, Debug, Default)]
pub struct Registers {
    /// How the school weighed its interest.
    pub assessments: Vec<Line<Assessment>>,
    /// When parents were reminded.
    pub reminders: Vec<Line<Reminder>>,
    /// What people were told.
    pub notices: Vec<Line<Notice>>,
    /// What teachers accepted.
    pub acceptances: Vec<Line<Acceptance>>,
}

/// Everything that was looked at.
#[derive(Debug)]
pub struct Facts {
    /// When.
    pub now: Timestamp,
    /// Whether the clock is known to be right.
    pub clock_is_right: bool,
    /// The latest time in the log, which has to be readable where it exists.
    pub log: Result<Option<Timestamp>, String>,
    /// The registers, if nobody altered them.
    pub registers: Result<Registers, String>,
    /// The directory of people, where the store has one.
    pub directory: Result<Option<Directory>, String>,
    /// The models, if they are those that were measured.
    pub models: Result<(), String>,
    /// The list.
    pub list: ListFacts,
    /// Bytes free for the store, if it can be written.
    pub disk: Result<u64, String>,
    /// The indicator.
    pub indicator: Lit,
    /// The button: none where the box needs none.
    pub button: Option<Result<(), String>>,
    /// What each camera answered.
    pub cameras: Vec<(CameraId, Result<(), Away>)>,
}

/// Which kind of look.
#[derive(Clone, Debug)]
pub enum Hardware {
    /// The lamp and the button are looked at here.
    Ours,
    /// Somebody else has them and says how they are.
    Told {
        /// The lamp.
        indicator: Lit,
        /// The button.
        button: Option<Result<(), String>>,
    },
}

/// Looks at everything. Takes as long as the slowest camera.
#[must_use]
pub fn look(config: &Config, places: &Places, now: Timestamp, hardware: Hardware) -> Facts {
    let Told { log, registers, directory, entries } = records(&places.store);
    let (indicator, button) = match hardware {
        Hardware::Told { indicator, button } => (indicator, button),
        Hardware::Ours => (lamp(config), button(config)),
    };
    Facts {
        now,
        clock_is_right: time::is_right(config, &entries),
        log,
        registers,
        directory,
        models: Models::load(&places.models, &places.runtime)
            .map(drop)
            .map_err(|error: VisionError| error.to_string()),
        list: list(config, places, now),
        disk: writable(&places.store).and_then(|()| room(&places.store)),
        indicator,
        button,
        cameras: cameras(config, &BTreeSet::new()),
    }
}

fn lamp(config: &Config) -> Lit {
    match &config.indicator.led {
        None => Lit::Missing,
        Some(folder) => match Lamp::new(folder).prove() {
            Ok(()) => Lit::Proven,
            Err(error) => Lit::Broken(error.to_string()),
        },
    }
}

fn button(config: &Config) -> Option<Result<(), String>> {
    match &config.button.device {
        None if config.button.danger_remote_start => None,
        None => Some(Err("none is configured".to_owned())),
        Some(device) => {
            Some(std::fs::metadata(device).map(drop).map_err(|error| error.to_string()))
        }
    }
}

/// What the log says, and what it vouches for.
struct Told {
    log: Result<Option<Timestamp>, String>,
    registers: Result<Registers, String>,
    directory: Result<Option<Directory>, String>,
    entries: Vec<Entry>,
}

fn records(store: &Path) -> Told {
    // What nobody vouches for is not missing: nobody has to enter it again.
    let unknown = |why: String| Told {
        log: Err(why.clone()),
        registers: Err(format!("the log that vouches for them cannot be relied on: {why}")),
        directory: Err(why),
        entries: Vec::new(),
    };
    let known_people =
        |entries: &[Entry]| Directory::read(store, entries).map_err(|error| error.to_string());
    let checked = match check_log(store, &AuditTrust::Unpinned, &[]) {
        Ok(checked) if checked.flaws.is_empty() => checked,
        Ok(_) => return unknown("it was altered".to_owned()),
        Err(AuditError::NoLog { .. }) => {
            // A register without a log was put there.
            let found = Ledger::ALL.into_iter().any(|one| ledger::exists(store, one));
            let registers =
                if found { Err("there is no log that vouches for them") } else { Ok(()) };
            let registers = registers.map(|()| Registers::default()).map_err(str::to_owned);
            let directory = known_people(&[]);
            return Told { log: Ok(None), registers, directory, entries: Vec::new() };
        }
        Err(error) => return unknown(error.to_string()),
    };
    let entries = &checked.entries;
    let read = || -> Result<Registers, RegisterError> {
        Ok(Registers {
            assessments: ledger::read(store, Ledger::Assessments, entries)?,
            reminders: ledger::read(store, Ledger::Reminders, entries)?,
            notices: ledger::read(store, Ledger::Notices, entries)?,
            acceptances: ledger::read(store, Ledger::Acceptances, entries)?,
        })
    };
    Told {
        log: Ok(checked.highest()),
        registers: read().map_err(|error| error.to_string()),
        directory: known_people(entries),
        entries: checked.entries,
    }
}

fn list(config: &Config, places: &Places, now: Timestamp) -> ListFacts {
    let today = today(now);
    let usable = |list: &PupilList, loaded| ListFacts::Usable {
        loaded,
        weak: list.refused_without_photo().count(),
        photos: list.has_photos(),
    };
    // Under `everyone` nobody is compared: the list counts, its embeddings do not.
    let read = if config.recording.policy == Policy::Everyone {
        people::store::list(&places.store, today).map(|l| usable(&l.list, l.loaded))
    } else {
        people::store::current(&places.store, &places.gallery_key, today)
            .map(|current| usable(&current.list, current.loaded))
    };
    match read {
        Ok(facts) => facts,
        Err(people::store::StoreError::NothingLoaded { .. }) => ListFacts::Missing,
        Err(error) => ListFacts::Unusable(error.to_string()),
    }
}

/// Whether a recording could put what it has to into each folder of `store` that is there.
fn writable(store: &Path) -> Result<(), String> {
    for part in ["", "recordings", "state", "audit"] {
        let folder = store.join(part);
        let problem = |why: String| format!("{}: {why}", folder.display());
        match std::fs::metadata(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(problem(error.to_string())),
            Ok(found) if !found.is_dir() => return Err(problem("it is no folder".to_owned())),
            Ok(_) => {
                let asked = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
                rustix::fs::access(&folder, asked)
                    .map_err(|error| problem(std::io::Error::from(error).to_string()))?;
            }
        }
    }
    Ok(())
}

/// Bytes that may still be written to the disk of `store`, which need not exist yet.
pub(super) fn room(store: &Path) -> Result<u64, String> {
    let nearest = store.ancestors().find(|folder| folder.is_dir()).unwrap_or(store);
    let look = || -> rustix::io::Result<u64> {
        rustix::fs::access(nearest, rustix::fs::Access::WRITE_OK)?;
        let disk = rustix::fs::statvfs(nearest)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    };
    look().map_err(|error| std::io::Error::from(error).to_string())
}

/// Asks all cameras at once: each may take its time. Those that refused to let the box in are not asked again by
/// itself: they count how often somebody tries.
pub(super) fn cameras(
    config: &Config,
    refused: &BTreeSet<CameraId>,
) -> Vec<(CameraId, Result<(), Away>)> {
    let probe = |camera: &crate::config::Camera| {
        if refused.contains(&camera.id) {
            let problem = "it did not let the box in when it was asked last".to_owned();
            return Err(Away { problem, refuses: true });
        }
        let input = Input::parse(&camera.input, camera.credentials.as_deref())
            .map_err(|error| Away { problem: error.to_string(), refuses: false })?;
        let began = Instant::now();
        let mut answer = input.probe(PROBE);
        // Whoever is not let in is not let in the next time either, and tries are counted.
        let again = |error: &CaptureError| error.kind() != ErrorKind::Denied;
        if answer.as_ref().is_err_and(again) && began.elapsed() < AT_ONCE {
            // A camera that still has to do with who asked just before.
            std::thread::sleep(AT_ONCE / 2);
            answer = input.probe(PROBE);
        }
        answer.map_err(|error| Away {
            problem: error.to_string(),
            refuses: error.kind() == ErrorKind::Denied,
        })
    };
    std::thread::scope(|scope| {
        let asked: Vec<_> = config
            .cameras
            .iter()
            .map(|camera| {
                let thread = std::thread::Builder::new()
                    .name(format!("probe-{}", camera.id))
                    .spawn_scoped(scope, move || probe(camera));
                (camera.id.clone(), thread)
            })
            .collect();
        let answer = |thread: std::io::Result<std::thread::ScopedJoinHandle<'_, _>>| {
            let failed = |problem: String| Away { problem, refuses: false };
            thread
                .map_err(|error| failed(error.to_string()))?
                .join()
                .unwrap_or_else(|_| Err(failed("asking it failed".to_owned())))
        };
        asked.into_iter().map(|(id, thread)| (id, answer(thread))).collect()
    })
}

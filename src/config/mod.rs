//! What the operator set: one TOML file, read whole, checked whole, handed on as plain values.
//!
//! Belongs here: names, defaults, ranges, contradictions, and saying what is wrong with line and
//! column. Does not belong: acting on a value; secrets (the file names their files only); the
//! command line, whose options go before the file's.
//!
//! `file` mirrors the TOML, `read` fills it value by value, `check` turns it into [`Config`]. Every
//! option is described in `docs/ref/config.md`.

mod check;
mod file;
mod hints;
mod kinds;
pub mod limits;
mod problems;
mod read;
mod values;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

pub use hints::Position;
pub use limits::Limits;
pub use problems::{ConfigProblems, Problem};
pub use values::{
    AudioMode, BadFilter, BadRate, BadSize, BadWord, Rate, Size, Span, TimeTrust, check_filter,
    words,
};

use crate::{
    encode::{EncoderChoice, Preset},
    units::{CameraId, ClassId, PersonId},
    vault::{LegalBasis, Purpose, Recipient},
    veil::{
        Style,
        policy::{Policy, Region},
    },
};

/// A configuration in which every value is in range and nothing contradicts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    /// Where recordings and keys are.
    pub store: Store,
    /// What is recorded, for whom and how long.
    pub recording: Recording,
    /// Sound.
    pub audio: Audio,
    /// The cameras, ids unique.
    #[serde(rename = "camera")]
    pub cameras: Vec<Camera>,
    /// Where the models are.
    pub models: Models,
    /// Finding faces.
    pub detect: Detect,
    /// Comparing faces.
    pub identify: Identify,
    /// Veiling.
    pub veil: Veil,
    /// Encoding.
    pub encode: Encode,
    /// The condition for comparing faces at all.
    pub biometrics: Biometrics,
    /// The pupil list.
    pub pupils: Pupils,
    /// What the school has on record.
    pub registers: Registers,
    /// What the box may take of its machine.
    pub limits: Budget,
    /// How the box is spoken to.
    pub control: Control,
    /// Pages and the interface behind them, over the network.
    pub api: Api,
    /// The button.
    pub button: Button,
    /// The lamp that says when pictures are taken.
    pub indicator: Indicator,
    /// What the box relies on to know the time.
    pub clock: Clock,
    /// Logging.
    pub log: Log,
}

/// Where recordings and keys are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Store {
    /// The store's folder.
    pub folder: Option<PathBuf>,
    /// The box's secret signing key; outside the store.
    pub box_key: Option<PathBuf>,
    /// The key of the pupils' embeddings; outside the store.
    pub gallery_key: Option<PathBuf>,
    /// Where checkpoints of the audit log are put for witnesses; outside the store.
    pub witness: Option<PathBuf>,
}

/// What is recorded, for whom and how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Recording {
    /// Who is veiled.
    pub policy: Policy,
    /// What for.
    pub purpose: Purpose,
    /// On what ground.
    pub legal_basis: LegalBasis,
    /// From the start of a recording to its deletion.
    #[serde(serialize_with = "values::span")]
    pub retain: Duration,
    /// Length of a segment.
    #[serde(serialize_with = "values::span")]
    pub segment: Duration,
    /// The longest recording that the box makes by itself.
    #[serde(serialize_with = "values::span")]
    pub longest: Duration,
    /// The class.
    pub class: Option<ClassId>,
    /// The teacher.
    pub teacher: Option<PersonId>,
    /// The coach.
    pub coach: Option<PersonId>,
    /// Who can open every recording; none twice.
    pub recipients: Vec<Recipient>,
}

impl Default for Recording {
    fn default() -> Self {
        Self {
            policy: Policy::Refused,
            purpose: Purpose::Coaching,
            legal_basis: LegalBasis::LegitimateInterest,
            retain: Duration::from_secs(30 * 86_400),
            segment: Duration::from_secs(6),
            longest: Duration::from_secs(45 * 60),
            class: None,
            teacher: None,
            coach: None,
            recipients: Vec::new(),
        }
    }
}

/// Sound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Audio {
    /// Kept or not; a recording with sound needs its own reason besides.
    pub mode: AudioMode,
}

/// A camera.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Camera {
    /// Its folder's name inside a recording.
    pub id: CameraId,
    /// An rtsp(s) address without user or password, a device, or a file.
    pub input: String,
    /// The file with user and password.
    pub credentials: Option<PathBuf>,
}

/// Where the models are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Models {
    /// The folder of the model files.
    pub folder: Option<PathBuf>,
    /// The ONNX Runtime library.
    pub onnxruntime: Option<PathBuf>,
}

/// Finding faces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Detect {
    /// Threads of the detector.
    pub threads: u32,
    /// Longest side of the picture in which near faces are looked for, in pixels.
    pub size: u32,
    /// Longest side of the picture that is looked at in tiles, in pixels; not below `size`.
    pub full_size: u32,
    /// Frames in which every tile has its turn.
    pub full_every: u32,
}

impl Default for Detect {
    fn default() -> Self {
        Self { threads: 1, size: 640, full_size: 1600, full_every: 18 }
    }
}

/// Comparing faces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Identify {
    /// Frames from one comparison to the next once a face is decided.
    pub every: u32,
}

impl Default for Identify {
    fn default() -> Self {
        Self { every: 15 }
    }
}

/// Veiling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Veil {
    /// What a veiled region looks like.
    pub style: Style,
    /// How much is covered.
    pub region: Region,
    /// How long frames wait for later ones to decide.
    #[serde(serialize_with = "values::span")]
    pub look_ahead: Duration,
}

impl Default for Veil {
    fn default() -> Self {
        Self { style: Style::Veil, region: Region::Head, look_ahead: Duration::from_secs(2) }
    }
}

/// Encoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Encode {
    /// Which encoder.
    pub encoder: EncoderChoice,
    /// How hard x264 tries.
    pub preset: Preset,
    /// Bits a second; `None` derives it from the size of the picture.
    #[serde(serialize_with = "values::auto_rate")]
    pub bitrate: Option<u32>,
    /// Threads of the encoder; `None` leaves it to the encoder.
    pub threads: Option<u32>,
}

impl Default for Encode {
    fn default() -> Self {
        Self {
            encoder: EncoderChoice::Auto,
            preset: Preset::Ultrafast,
            bitrate: None,
            threads: None,
        }
    }
}

/// The condition for comparing faces at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Biometrics {
    /// Where the school recorded its data protection impact assessment.
    pub dpia: Option<String>,
}

/// The pupil list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pupils {
    /// Age from which a reference photo is warned of.
    #[serde(serialize_with = "values::span")]
    pub photo_age_limit: Duration,
    /// Age from which the list is too old to record by.
    #[serde(serialize_with = "values::span")]
    pub list_age_limit: Duration,
}

impl Default for Pupils {
    fn default() -> Self {
        Self {
            photo_age_limit: Duration::from_secs(365 * 86_400),
            list_age_limit: Duration::from_secs(180 * 86_400),
        }
    }
}

/// What the school has on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Registers {
    /// Age from which the last reminder of parents is too old to record by.
    #[serde(serialize_with = "values::span")]
    pub reminder_age_limit: Duration,
}

impl Default for Registers {
    fn default() -> Self {
        Self { reminder_age_limit: Duration::from_secs(180 * 86_400) }
    }
}

/// What the box may take of its machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Budget {
    /// Memory for pictures that wait, of all cameras.
    pub memory: Size,
    /// Room that stays free on the store's disk.
    pub disk_reserve: Size,
}

impl Default for Budget {
    fn default() -> Self {
        Self { memory: Size(1 << 30), disk_reserve: Size(1 << 30) }
    }
}

/// How the box is spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Control {
    /// The socket on which `classveil run` listens.
    pub socket: Option<PathBuf>,
}

/// Pages and the interface behind them, over the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Api {
    /// Where the box listens; nowhere without it.
    pub listen: Option<SocketAddr>,
    /// The certificate, PEM; the box makes its own without it.
    pub certificate: Option<PathBuf>,
    /// Its secret key, PEM.
    pub key: Option<PathBuf>,
    /// Who may log in; outside the store.
    pub accounts: Option<PathBuf>,
    /// The file with the word that opens `/metrics` from another machine.
    pub metrics_token: Option<PathBuf>,
    /// Whether nothing is encrypted; on loopback only.
    pub plain_http: bool,
}

/// The button.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Button {
    /// The input device.
    pub device: Option<PathBuf>,
    /// Whether a recording starts without anybody at the box.
    pub danger_remote_start: bool,
}

/// The lamp that says when pictures are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Indicator {
    /// Its LED class folder.
    pub led: Option<PathBuf>,
}

/// What the box relies on to know the time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Clock {
    /// The kernel's word, or none at all.
    pub danger_trust: TimeTrust,
}

/// Logging.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Log {
    /// Levels by module, as `tracing` writes them.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "warn".to_owned() }
    }
}

/// The longest file that is read; a longer one is not a configuration.
const LONGEST_BYTES: u64 = 1 << 20;

impl Config {
    /// Reads the file at `path`. Relative paths in it start at its own folder.
    ///
    /// # Errors
    /// [`ConfigProblems::Unreadable`], or everything that is wrong with the file.
    pub fn load(path: &Path) -> Result<Self, ConfigProblems> {
        use std::io::Read;
        let unreadable = |source| ConfigProblems::Unreadable { path: path.to_owned(), source };
        let wrong = |problems| ConfigProblems::Wrong { path: path.to_owned(), problems };
        let start = Position { line: 1, column: 1 };

        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(LONGEST_BYTES + 1).read_to_end(&mut bytes))
            .map_err(unreadable)?;
        if bytes.len() as u64 > LONGEST_BYTES {
            let text = "longer than 1 MiB; this is no configuration";
            return Err(wrong(vec![Problem::new(start, None, text)]));
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let lossy = String::from_utf8_lossy(error.as_bytes());
                let text = "not UTF-8; save the file as UTF-8";
                return Err(wrong(vec![Problem::new(Position::of(&lossy, good), None, text)]));
            }
        };
        let base = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let base = std::path::absolute(base.unwrap_or(Path::new("."))).map_err(unreadable)?;
        Self::parse(&text, &base).map_err(wrong)
    }

    /// Reads `text`; relative paths start at `base`.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the text.
    pub fn parse(text: &str, base: &Path) -> Result<Self, Vec<Problem>> {
        let (file, mut found) = read::read(text);
        let config = check::check(file, base, &mut found);
        let problems = found.into_sorted();
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// Every option as the file names it, `recording.retain`, with its value; `null` where it has
    /// none. Cameras are numbered from 1.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, serde_json::Value)> {
        let mut settings = Vec::new();
        if let Ok(serde_json::Value::Object(sections)) = serde_json::to_value(self) {
            for (section, values) in sections {
                flatten(&section, values, &mut settings);
            }
        }
        settings
    }

    /// The settings that differ from the defaults.
    #[must_use]
    pub fn changes(&self) -> Vec<(String, serde_json::Value)> {
        let defaults = Self::default().settings();
        self.settings()
            .into_iter()
            .filter(|setting| !setting.1.is_null() && !defaults.contains(setting))
            .collect()
    }
}

fn flatten(name: &str, value: serde_json::Value, into: &mut Vec<(String, serde_json::Value)>) {
    use serde_json::Value;
    match value {
        Value::Object(values) => {
            for (key, value) in values {
                flatten(&format!("{name}.{key}"), value, into);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, item) in items.into_iter().enumerate() {
                flatten(&format!("{name}[{}]", index + 1), item, into);
            }
        }
        value => into.push((name.to_owned(), value)),
    }
}

/// The sections of the file and the options of each, as the reference lists them.
#[must_use]
pub fn sections() -> Vec<(&'static str, &'static [&'static str])> {
    file::sections()
}

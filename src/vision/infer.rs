//! The only owner of ONNX Runtime: loads models that are exactly the ones in `models/manifest.toml`
//! and runs them.
//!
//! Running a session needs `&mut`: ONNX Runtime is given one thread at a time per session.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    iter,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread,
};

use ort::{
    environment::Environment,
    session::{Session, builder::GraphOptimizationLevel},
    value::{TensorRef, ValueType},
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::graph::{self, NotOnnx};
use crate::error::{ErrorKind, Kind};

/// What can go wrong with the models.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VisionError {
    /// A model file is missing or unreadable.
    #[error("cannot read model {path}: run `make setup`, or set `[models] folder`")]
    ModelMissing {
        /// Where it was looked for.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A model file is not the one that was measured.
    #[error("model {path} has sha256 {found}, not {wanted}: fetch it again with `make setup`")]
    ModelDigest {
        /// The file.
        path: PathBuf,
        /// The manifest's digest.
        wanted: String,
        /// The file's digest.
        found: String,
    },
    /// A model's inputs or outputs differ from the manifest.
    #[error("model {model} does not have the {what} that the manifest names")]
    ModelShape {
        /// The model's name in the manifest.
        model: &'static str,
        /// Inputs or outputs.
        what: &'static str,
    },
    /// ONNX Runtime's library cannot be loaded.
    #[error(
        "cannot load ONNX Runtime from {path}: {reason}; run `make setup`, or set CLASSVEIL_ONNXRUNTIME"
    )]
    Runtime {
        /// The library.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// ONNX Runtime would report to its maker.
    #[error("{} is not set to {}: without it ONNX Runtime reports to its maker", NO_TELEMETRY.0, NO_TELEMETRY.1)]
    Telemetry,
    /// A model could not be run.
    #[error("model {model} failed")]
    Inference {
        /// The model's name in the manifest.
        model: &'static str,
        /// What ONNX Runtime said.
        #[source]
        source: ort::Error,
    },
    /// A thread for a model cannot be had.
    #[error("cannot start a thread for a model")]
    Thread(#[source] io::Error),
    /// The thread of a model has ended.
    #[error("the thread of a model has ended by a fault of the program")]
    Ended,
    /// A picture could not be brought into a model's form.
    #[error("cannot prepare a picture for the models")]
    Picture(#[source] opencv::Error),
    /// The manifest that this program was built with is wrong.
    #[error("models/manifest.toml is wrong: {0}")]
    Manifest(String),
}

impl Kind for VisionError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::ModelMissing { .. } | Self::Runtime { .. } | Self::ModelDigest { .. } => {
                ErrorKind::Config
            }
            Self::Thread(_) => ErrorKind::Exhausted,
            Self::ModelShape { .. }
            | Self::Telemetry
            | Self::Inference { .. }
            | Self::Ended
            | Self::Picture(_)
            | Self::Manifest(_) => ErrorKind::Bug,
        }
    }
}

impl From<opencv::Error> for VisionError {
    fn from(error: opencv::Error) -> Self {
        Self::Picture(error)
    }
}

#[derive(Debug, Deserialize)]
struct Manifest {
    model: BTreeMap<String, ModelEntry>,
    threshold: Thresholds,
}

#[derive(Clone, Debug, Deserialize)]
struct ModelEntry {
    file: String,
    sha256: String,
    input: InputEntry,
    outputs: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct InputEntry {
    name: String,
    shape: Vec<i64>,
}

/// The measured thresholds of `models/manifest.toml`, where each stands with its measurement.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Detections below this score are dropped.
    pub detect_keep: f32,
    /// Detections below this score go on with a face that is followed, but begin none.
    pub detect_begin: f32,
    /// Overlap above which two detections are one face.
    pub detect_nms: f32,
    /// One view at or above this cosine is the refused person.
    pub refuse: f32,
    /// The mean of a track's views at or above this cosine is the refused person.
    pub refuse_mean: f32,
    /// A view below this cosine against every refused person counts towards clearance.
    pub clear: f32,
    /// The same for oblique views.
    pub clear_oblique: f32,
    /// References that resemble each other this much or more ask for no margin.
    pub spread_alike: f32,
    /// References that resemble each other this little or less ask for the whole margin.
    pub spread_unlike: f32,
    /// How much below `clear` a view must lie for people whose own references differ much.
    pub spread_margin: f32,
    /// Views needed for clearance, each by its quality.
    pub clear_views: f32,
    /// Narrower faces, in frame pixels, are never cleared.
    pub clear_min_px: f32,
    /// A view of less strength never counts towards clearance.
    pub clear_strength_least: f32,
    /// A view of less strength counts as an oblique one.
    pub clear_strength: f32,
    /// A view of a face this wide, in frame pixels, counts fully.
    pub full_px: f32,
    /// A view of this strength counts fully.
    pub full_strength: f32,
    /// A photo whose face has less strength is no reference.
    pub photo_strength: f32,
    /// Narrower faces, in frame pixels, are not compared.
    pub compare_min_px: f32,
    /// A view at or above this cosine is the consenting person.
    pub match_cleared: f32,
}

fn manifest() -> Result<Manifest, VisionError> {
    toml::from_str(include_str!("../../models/manifest.toml"))
        .map_err(|e| VisionError::Manifest(e.to_string()))
}

impl Thresholds {
    /// The thresholds this program was built with.
    pub fn built_in() -> Result<Self, VisionError> {
        Ok(manifest()?.threshold)
    }
}

/// Models whose digests were checked, ready to be opened once per thread that needs them.
pub struct Models {
    environment: Environment,
    yunet: Checked,
    sface: Checked,
    /// The recogniser in eight bits.
    rounded: Checked,
    digests: BTreeMap<String, String>,
    thresholds: Thresholds,
}

/// Makes another graph of a model's.
type Edit = fn(&[u8]) -> Result<Vec<u8>, NotOnnx>;

struct Checked {
    name: &'static str,
    /// The file as it was checked, or what was made of it, in which the graph finds its weights.
    model: Arc<[u8]>,
    graph: Vec<u8>,
    entry: ModelEntry,
}

impl Checked {
    /// Reads a model's file, checks it, and edits its graph.
    fn read(
        folder: &Path,
        name: &'static str,
        entry: ModelEntry,
        edit: Edit,
    ) -> Result<Self, VisionError> {
        let path = folder.join(&entry.file);
        let file = read(&path)
            .map_err(|source| VisionError::ModelMissing { path: path.clone(), source })?;
        let found = hex(&Sha256::digest(&file));
        if found != entry.sha256 {
            return Err(VisionError::ModelDigest { path, wanted: entry.sha256, found });
        }
        Self::edited(name, file, entry, edit)
    }

    /// A model that is run with another graph, without its weights.
    fn edited(
        name: &'static str,
        model: Arc<[u8]>,
        entry: ModelEntry,
        edit: Edit,
    ) -> Result<Self, VisionError> {
        let graph = graph::leave_weights(&model)
            .and_then(|graph| edit(&graph))
            .map_err(|_| VisionError::ModelShape { model: name, what: "graph" })?;
        Ok(Self { name, model, graph, entry })
    }

    /// The recogniser, and the same in eight bits.
    fn recogniser(folder: &Path, entry: ModelEntry) -> Result<[Self; 2], VisionError> {
        let name = "sface";
        let edit = |graph: &[u8]| {
            graph::drop_weight_inputs(graph).and_then(|graph| graph::spell_out_prelu(&graph))
        };
        let whole = Self::read(folder, name, entry.clone(), edit)?;
        let rounded = graph::quantise(&whole.model)
            .map_err(|_| VisionError::ModelShape { model: name, what: "graph" })?;
        Ok([whole, Self::edited(name, rounded.into(), entry, edit)?])
    }
}

/// Does two things at once, the first of them on a thread of its own.
pub(super) fn at_once<A: Send, B>(
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B,
) -> Result<(A, B), VisionError> {
    thread::scope(|scope| {
        let one = thread::Builder::new()
            .name("models".into())
            .spawn_scoped(scope, one)
            .map_err(VisionError::Thread)?;
        let other = other();
        let one = one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((one, other))
    })
}

impl std::fmt::Debug for Models {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Models").field("digests", &self.digests).finish_non_exhaustive()
    }
}

impl Models {
    /// Reads and checks the models in `folder`, and loads ONNX Runtime from the file `runtime`.
    pub fn load(folder: &Path, runtime: &Path) -> Result<Self, VisionError> {
        let Manifest { mut model, threshold } = manifest()?;
        let mut entry = |name: &'static str| {
            model.remove(name).ok_or_else(|| VisionError::Manifest(format!("no {name}")))
        };
        let (yunet, sface) = (entry("yunet")?, entry("sface")?);
        // The recogniser has 37 MB to read and check, the runtime's library 30 to link.
        let (sface, (yunet, environment)) = at_once(
            || Checked::recogniser(folder, sface),
            || {
                let yunet = Checked::read(folder, "yunet", yunet, |graph| {
                    graph::free_picture_size(graph).and_then(|graph| graph::join_heads(&graph))
                });
                (yunet, environment(runtime))
            },
        )?;
        let (yunet, [sface, rounded], environment) = (yunet?, sface?, environment?);
        let digests = [&yunet, &sface]
            .map(|m| (m.name.to_owned(), m.entry.sha256.clone()))
            .into_iter()
            .collect();
        Ok(Self { environment, yunet, sface, rounded, digests, thresholds: threshold })
    }

    /// The digests of the model files, by name, for the recording's manifest.
    #[must_use]
    pub fn digests(&self) -> &BTreeMap<String, String> {
        &self.digests
    }

    /// The measured thresholds.
    #[must_use]
    pub fn thresholds(&self) -> Thresholds {
        self.thresholds
    }

    /// Opens `YuNet` on `threads` threads.
    pub(super) fn open_yunet(&self, threads: usize) -> Result<Network, VisionError> {
        self.open(&self.yunet, threads)
    }

    /// Opens `SFace` on `threads` threads.
    pub(super) fn open_sface(&self, threads: usize) -> Result<Network, VisionError> {
        self.open(&self.sface, threads)
    }

    /// Opens `SFace` in eight bits on `threads` threads.
    pub(super) fn open_rounded(&self, threads: usize) -> Result<Network, VisionError> {
        self.open(&self.rounded, threads)
    }

    fn open(&self, model: &Checked, threads: usize) -> Result<Network, VisionError> {
        let failed = |source| VisionError::Inference { model: model.name, source };
        let session = (|| {
            Session::builder(&self.environment)?
                .with_optimization_level(GraphOptimizationLevel::Level3)?
                .with_intra_threads(threads)?
                // A thread that waits for its part of a graph leaves its core to the codecs.
                .with_intra_op_spinning(false)?
                .with_inter_threads(1)?
                // Input sizes vary between passes; a pattern would be kept for each.
                .with_memory_pattern(false)?
                .with_external_initializer_file_in_memory(graph::WEIGHTS, Arc::clone(&model.model))?
                .commit_from_memory(&model.graph)
        })()
        .map_err(failed)?;
        let shape_error = |what| VisionError::ModelShape { model: model.name, what };
        let input_ok = match session.inputs() {
            [only] => {
                only.name() == model.entry.input.name
                    && matches!(only.dtype(), ValueType::Tensor { shape, .. } if shape[..] == model.entry.input.shape[..])
            }
            _ => false,
        };
        if !input_ok {
            return Err(shape_error("inputs"));
        }
        let outputs: Vec<&str> = session.outputs().iter().map(ort::value::Outlet::name).collect();
        if outputs != model.entry.outputs {
            return Err(shape_error("outputs"));
        }
        Ok(Network { name: model.name, session })
    }
}

/// The environment variable, and its value, with which ONNX Runtime for Linux writes no device id,
/// queues no event and asks no network (its pull request 27379). It is read while the library makes
/// its environment, so it has to be set before.
pub const NO_TELEMETRY: (&str, &str) = ("ORT_DISABLE_TELEMETRY", "1");

/// Whether ONNX Runtime, loaded in this process, reports nothing.
#[must_use]
pub fn telemetry_is_forbidden() -> bool {
    let (name, value) = NO_TELEMETRY;
    std::env::var_os(name).is_some_and(|set| set == value)
}

/// ONNX Runtime is a process-wide library: the first path that loads is the one that stays.
fn environment(runtime: &Path) -> Result<Environment, VisionError> {
    static LOADED: OnceLock<Environment> = OnceLock::new();
    static LOADING: Mutex<()> = Mutex::new(());
    if !telemetry_is_forbidden() {
        return Err(VisionError::Telemetry);
    }
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = LOADED.get() {
        return Ok(environment.clone());
    }
    let failed = |reason: String| VisionError::Runtime { path: runtime.to_owned(), reason };
    let environment = ort::init_from(runtime)
        .map_err(|e| failed(e.to_string()))?
        .with_name("classveil")
        // For platforms that know no such variable.
        .with_telemetry(false)
        .build()
        .map_err(|e| failed(e.to_string()))?;
    Ok(LOADED.get_or_init(|| environment).clone())
}

/// One opened model.
pub(super) struct Network {
    name: &'static str,
    session: Session,
}

impl Network {
    /// Runs the model on `input` of `shape` and hands the outputs, in the manifest's order, to
    /// `read`.
    pub(super) fn run<T>(
        &mut self,
        shape: [usize; 4],
        input: &[f32],
        read: impl FnOnce(&[&[f32]]) -> T,
    ) -> Result<T, VisionError> {
        let model = self.name;
        let failed = |source| VisionError::Inference { model, source };
        let tensor = TensorRef::from_array_view((shape, input)).map_err(failed)?;
        let outputs = self.session.run(ort::inputs![tensor]).map_err(failed)?;
        let mut slices: Vec<&[f32]> = Vec::with_capacity(outputs.len());
        for i in 0..outputs.len() {
            let (_, data) = outputs[i].try_extract_tensor::<f32>().map_err(failed)?;
            slices.push(data);
        }
        Ok(read(&slices))
    }
}

/// The bytes of a file, where sessions can share them; the digest says whether they are all of them.
fn read(path: &Path) -> io::Result<Arc<[u8]>> {
    let mut file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes: Arc<[u8]> = iter::repeat_n(0, length).collect();
    if let Some(bytes) = Arc::get_mut(&mut bytes) {
        file.read_exact(bytes)?;
    }
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut out, b| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{b:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> Models {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let runtime = project.join("models/lib/libonnxruntime.so.1.31.1");
        Models::load(&project.join("models"), &runtime).unwrap()
    }

    /// Not a face; every value of the range, in no order.
    fn noise(shape: [usize; 4]) -> Vec<f32> {
        (0..shape.iter().product()).map(|i: usize| (i * 7919 % 256) as f32).collect()
    }

    #[test]
    fn editing_a_graph_changes_no_embedding() {
        let shape = [1, 3, 112, 112];
        let run = |models: Models| {
            let mut sface = models.open_sface(1).unwrap();
            // An opened model needs the file's bytes no more.
            drop(models);
            sface.run(shape, &noise(shape), |outputs| outputs[0].to_vec()).unwrap()
        };
        let edited = run(load());
        let mut models = load();
        models.sface.graph = graph::drop_weight_inputs(&models.sface.model).unwrap();
        let original = run(models);
        for (a, b) in original.iter().zip(&edited) {
            assert!((a - b).abs() < 1e-5, "{a} became {b}");
        }
    }

    #[test]
    fn editing_a_graph_changes_no_detection() {
        let shape = [1, 3, 96, 160];
        let run = |models: Models| {
            let mut yunet = models.open_yunet(1).unwrap();
            let copy = |outputs: &[&[f32]]| outputs.iter().map(|o| o.to_vec()).collect::<Vec<_>>();
            yunet.run(shape, &noise(shape), copy).unwrap()
        };
        let edited = run(load());
        let mut models = load();
        models.yunet.graph = graph::free_picture_size(&models.yunet.model).unwrap();
        assert!(load().yunet.graph.windows(5).any(|bytes| bytes == b"Split"), "no head was joined");
        let original = run(models);
        let lengths = |outputs: &[Vec<f32>]| outputs.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(&original), lengths(&edited));
        for (a, b) in original.iter().flatten().zip(edited.iter().flatten()) {
            assert!((a - b).abs() < 1e-5, "{a} became {b}");
        }
    }
}

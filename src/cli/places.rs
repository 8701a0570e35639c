//! Where a command finds its settings, the models and the gallery key when nobody says so.

use std::path::{Path, PathBuf};

use super::{Failure, output, paths};
use crate::{
    appliance::preflight::Places, config::Config, error::ErrorKind, people, units::RecordingId,
    vision::infer::Models,
};

/// The configuration in `file`, or the defaults. From here on its log filter counts.
pub(super) fn config(file: Option<&Path>) -> Result<Config, Failure> {
    let config = file.map_or_else(|| Ok(Config::default()), Config::load)?;
    output::follow(&config.log.filter);
    Ok(config)
}

/// The store: `given`, else the configured one.
pub(super) fn store(given: Option<&Path>, config: &Config) -> Result<PathBuf, Failure> {
    given.or(config.store.folder.as_deref()).map(Path::to_owned).ok_or_else(|| {
        Failure::new(ErrorKind::Usage, "no store: give --store DIR, or set `[store] folder`")
    })
}

/// A recording that is named by its id in a store, or by its folder, and the store it lies in.
pub(super) fn recording(
    named: &str,
    store_given: Option<&Path>,
    config: &Config,
) -> Result<(PathBuf, PathBuf), Failure> {
    if let Ok(id) = named.parse::<RecordingId>() {
        let store = store(store_given, config)?;
        return Ok((store.join("recordings").join(id.to_string()), store));
    }
    let folder = PathBuf::from(named);
    if let Some(store) = store_given {
        return Ok((folder, store.to_owned()));
    }
    let store = store_of(&folder).or_else(|| config.store.folder.clone()).ok_or_else(|| {
        let message = format!("{named} lies in no store: give --store DIR");
        Failure::new(ErrorKind::Usage, message)
    })?;
    Ok((folder, store))
}

/// The store that a recording's folder lies in, if it lies in one.
pub(super) fn store_of(folder: &Path) -> Option<PathBuf> {
    let recordings = folder.canonicalize().ok()?.parent()?.to_owned();
    let store = recordings.parent()?.to_owned();
    (recordings.ends_with("recordings") && store.join("audit").is_dir()).then_some(store)
}

/// The models, and the ONNX Runtime that `CLASSVEIL_ONNXRUNTIME`, the configuration or the models'
/// folder names.
pub(super) fn models(config: &Config) -> Result<Models, Failure> {
    let (folder, runtime) = models_at(config);
    Ok(Models::load(&folder, &runtime)?)
}

/// Where they are.
fn models_at(config: &Config) -> (PathBuf, PathBuf) {
    let folder = config.models.folder.clone().unwrap_or_else(default_models);
    let runtime = std::env::var_os("CLASSVEIL_ONNXRUNTIME")
        .map(PathBuf::from)
        .or_else(|| config.models.onnxruntime.clone())
        .unwrap_or_else(|| folder.join("lib/libonnxruntime.so.1.31.1"));
    (folder, runtime)
}

/// `../share/classveil/models` beside an installed program, else where `make setup` puts them. Never
/// the working directory: a library would be loaded from it.
fn default_models() -> PathBuf {
    let program = std::env::current_exe().and_then(|p| p.canonicalize()).ok();
    let prefix = program.as_deref().and_then(Path::parent).and_then(Path::parent);
    prefix
        .map(|p| p.join("share/classveil/models"))
        .filter(|p| p.is_dir())
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("models"))
}

/// The gallery's key file: `given`, else the configuration's, else one named after the store in
/// `$XDG_DATA_HOME/classveil` or `~/.local/share/classveil`.
pub(super) fn gallery_key(
    given: Option<&Path>,
    config: &Config,
    of: &Path,
) -> Result<PathBuf, Failure> {
    if let Some(path) = given.or(config.store.gallery_key.as_deref()) {
        return Ok(path.to_owned());
    }
    let folder = paths::data_folder().ok_or_else(|| {
        Failure::new(
            ErrorKind::Config,
            "no place for the gallery key: set HOME or give --gallery-key FILE",
        )
    })?;
    Ok(folder.join(people::store::default_key_name(of)?))
}

/// Everything that the box looks at before it records. `file` is the configuration's.
pub(super) fn of_box(file: &Path, config: &Config) -> Result<Places, Failure> {
    let store = store(None, config)?;
    let gallery_key = gallery_key(None, config, &store)?;
    let (models, runtime) = models_at(config);
    Ok(Places { config: file.to_owned(), store, gallery_key, models, runtime })
}

/// The socket of `classveil run`.
pub(super) fn socket(config: &Config) -> PathBuf {
    let configured = config.control.socket.clone();
    configured.unwrap_or_else(|| PathBuf::from("/run/classveil/box.sock"))
}

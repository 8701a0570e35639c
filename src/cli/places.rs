//! Where a command finds its settings, the models and the gallery key when nobody says so.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{Failure, output, paths};
use crate::{
    api,
    appliance::preflight::Places,
    clock::{Clock, SystemClock},
    config::{Config, ConfigProblems},
    error::ErrorKind,
    people,
    units::RecordingId,
    vault::{
        BoxKey,
        audit::{AuditKey, AuditLog},
    },
    vision::infer::Models,
};

/// Where a box that was installed has its settings.
pub(super) const CONFIG: &str = "/etc/classveil/classveil.toml";
/// The variable that names others.
pub(super) const CONFIG_VARIABLE: &str = "CLASSVEIL_CONFIG";

/// `given`, else the settings of the box that is installed here, if one is.
pub(super) fn of_installed(given: Option<&Path>) -> Option<PathBuf> {
    let named = || std::env::var_os(CONFIG_VARIABLE).map(PathBuf::from);
    let installed = || Some(PathBuf::from(CONFIG)).filter(|file| file.exists());
    given.map(Path::to_owned).or_else(named).or_else(installed)
}

/// The settings in `config`; without them those of the box that is installed here, where no store is named or
/// its own is: only they say which keys belong to it.
pub(super) fn settings(config: Option<&Path>, store: Option<&Path>) -> Result<Config, Failure> {
    if config.is_some() {
        return self::config(config);
    }
    let Some(installed) = of_installed(None) else { return self::config(None) };
    let Some(store) = store else { return self::config(Some(&installed)) };
    let is_its = |of_box: &Config| {
        let own = of_box.store.folder.as_deref().and_then(|own| own.canonicalize().ok());
        own.is_some() && own == store.canonicalize().ok()
    };
    let its = match Config::load(&installed) {
        Ok(of_box) => is_its(&of_box),
        // Settings that somebody else may not read are none of theirs.
        Err(ConfigProblems::Unreadable { .. }) => false,
        Err(error) => {
            output::note(format_args!(
                "warning: the installed box's settings are not used: {error}"
            ));
            false
        }
    };
    self::config(its.then_some(&installed))
}

/// Refuses root what is another user's: what root writes there, the box could not read any more.
fn not_as_root(folder: &Path) -> Result<(), Failure> {
    let euid = rustix::process::geteuid().as_raw();
    let nearest = folder.ancestors().find_map(|folder| folder.metadata().ok());
    let Some(owner) = nearest.map(|found| found.uid()) else { return Ok(()) };
    match root_problem(euid, owner, &users(), folder) {
        None => Ok(()),
        Some(text) => Err(Failure::new(ErrorKind::Denied, text)),
    }
}

/// The machine's users, as far as they can be read.
fn users() -> String {
    let users = std::fs::read("/etc/passwd").unwrap_or_default();
    String::from_utf8_lossy(&users).into_owned()
}

fn root_problem(euid: u32, owner: u32, users: &str, folder: &Path) -> Option<String> {
    if euid != 0 || owner == 0 {
        return None;
    }
    let name = api::user_name(users, owner).map_or_else(|| format!("#{owner}"), str::to_owned);
    Some(format!(
        "{folder} belongs to {name}, and what root writes there the box could not read any more: run \
         this as `sudo -u {name} classveil ...`, with files that {name} may read",
        folder = folder.display()
    ))
}

/// The configuration in `file`, or the defaults. From here on its log filter counts.
pub(super) fn config(file: Option<&Path>) -> Result<Config, Failure> {
    let config = file.map_or_else(|| Ok(Config::default()), Config::load)?;
    output::follow(&config.log.filter);
    Ok(config)
}

/// The store: `given`, else the configured one.
pub(super) fn store(given: Option<&Path>, config: &Config) -> Result<PathBuf, Failure> {
    let store = given.or(config.store.folder.as_deref()).ok_or_else(|| {
        Failure::new(
            ErrorKind::Usage,
            "no store: give --store DIR, or --config FILE with `[store] folder`",
        )
    })?;
    not_as_root(store)?;
    Ok(store.to_owned())
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

/// Where a recording is looked for that is named by its id.
#[derive(Debug, clap::Args)]
pub(super) struct Within {
    /// The store, where the recording is named by its id [default: the configured one].
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Settings, for the store's folder and the box's key [default: those of the box that is installed here].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Within {
    pub(super) fn config(&self) -> Result<Config, Failure> {
        settings(self.config.as_deref(), self.store.as_deref())
    }

    /// The folder of the recording that is `named`.
    pub(super) fn folder(&self, named: &str, config: &Config) -> Result<PathBuf, Failure> {
        folder(named, self.store.as_deref(), config)
    }

    /// The certificate that is `named`, by its file or by the recording's id.
    pub(super) fn certificate(&self, named: &str, config: &Config) -> Result<PathBuf, Failure> {
        Ok(match by_id(named, self.store.as_deref(), config)? {
            Some((id, store)) => store.join("certificates").join(format!("{id}.json")),
            None => PathBuf::from(named),
        })
    }
}

/// The folder of a recording that is named by its id in a store, or by its folder, which may lie
/// anywhere.
pub(super) fn folder(
    named: &str,
    store_given: Option<&Path>,
    config: &Config,
) -> Result<PathBuf, Failure> {
    Ok(match by_id(named, store_given, config)? {
        Some((id, store)) => store.join("recordings").join(id.to_string()),
        None => PathBuf::from(named),
    })
}

/// An id and the store that it is looked for in. A folder here of that name is a folder, unless a store
/// is given.
fn by_id(
    named: &str,
    store_given: Option<&Path>,
    config: &Config,
) -> Result<Option<(RecordingId, PathBuf)>, Failure> {
    match named.parse::<RecordingId>() {
        Ok(id) if store_given.is_some() || !Path::new(named).exists() => {
            Ok(Some((id, store(store_given, config)?)))
        }
        _ => Ok(None),
    }
}

/// The store that a recording's folder lies in, if it lies in one.
pub(super) fn store_of(folder: &Path) -> Option<PathBuf> {
    let recordings = folder.canonicalize().ok()?.parent()?.to_owned();
    let store = recordings.parent()?.to_owned();
    (recordings.ends_with("recordings") && is_store(&store)).then_some(store)
}

/// Whether a folder is a box's store, and not some recordings that were copied for somebody: also where the
/// log was taken away, without which nobody gets anything.
fn is_store(folder: &Path) -> bool {
    let own = ["audit", "registers", "certificates", "pupils", "index.sqlite"];
    own.iter().any(|name| folder.join(name).exists())
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
        .or_else(|| installed("lib/classveil").map(|lib| lib.join(RUNTIME)))
        .unwrap_or_else(|| folder.join("lib").join(RUNTIME));
    (folder, runtime)
}

/// The library that this program was built for.
const RUNTIME: &str = "libonnxruntime.so.1.31.1";

/// Where an installed program has its models, else where `make setup` puts them. Never the working
/// directory: a library would be loaded from it.
fn default_models() -> PathBuf {
    installed("share/classveil/models")
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("models"))
}

/// A folder beside the one that the program lies in, as a package puts it there.
fn installed(folder: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().and_then(|p| p.canonicalize()).ok()?;
    Some(program.parent()?.parent()?.join(folder)).filter(|p| p.is_dir())
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

/// The file of accounts: the configured one, else `accounts.json` beside the box key.
pub(super) fn accounts(config: &Config) -> Result<PathBuf, Failure> {
    let path = match &config.api.accounts {
        Some(path) => path.clone(),
        None => paths::box_key(config.store.box_key.as_deref())?.with_file_name("accounts.json"),
    };
    not_as_root(&path)?;
    Ok(path)
}

/// The configured store and its log, for an entry. Both are made where there are none yet.
pub(super) fn log(config: &Config) -> Result<(PathBuf, AuditLog), Failure> {
    let store = store(None, config)?;
    let path = paths::box_key(config.store.box_key.as_deref())?;
    let key = BoxKey::load_or_create(&path, &store)?;
    let audit = AuditKey::load_or_create(&paths::audit_key(None, &path), &store)?;
    let log = AuditLog::open(&store, audit, key.public(), SystemClock.now())?;
    Ok((store, log))
}

/// The socket of `classveil run`.
pub(super) fn socket(config: &Config) -> PathBuf {
    let configured = config.control.socket.clone();
    configured.unwrap_or_else(|| PathBuf::from("/run/classveil/box.sock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_leaves_nothing_behind_that_the_box_cannot_read() {
        let users =
            "root:x:0:0::/root:/bin/sh\nclassveil:x:996:996::/var/lib/classveil:/bin/false\n";
        let asked = |euid, owner| root_problem(euid, owner, users, Path::new("/var/lib/classveil"));
        assert_eq!(asked(0, 0), None);
        assert_eq!(asked(996, 996), None);
        assert_eq!(asked(1000, 996), None, "the kernel says that itself");
        let text = asked(0, 996).unwrap();
        assert!(text.contains("sudo -u classveil classveil"), "{text}");
        assert!(asked(0, 997).unwrap().contains("sudo -u #997"));
    }
}

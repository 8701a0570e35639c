//! A school in a temporary folder: a home, a teacher's key, lists, a store, and the program that
//! records in it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::support::{project, sample};

/// One school. Everything in it goes when the test ends.
pub(crate) struct School {
    folder: TempDir,
    /// The teacher's public key.
    pub(crate) recipient: String,
}

/// How the program ended and what it said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Said {
    /// The object on the last line of stdout.
    pub(crate) fn json(&self) -> serde_json::Value {
        let last = self.out.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {}\n{}", self.out, self.err))
    }

    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        self
    }
}

/// A sealed recording.
pub(crate) struct Recorded {
    /// The last line that `record --json` printed.
    pub(crate) json: serde_json::Value,
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// What was said on the way.
    pub(crate) err: String,
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

impl School {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("home")).unwrap();
        let mut school = Self { folder, recipient: String::new() };
        let key = school.path("teacher.key");
        let made = school.run(&["keygen", "--output", text(&key)]).ended(0);
        made.out.trim().clone_into(&mut school.recipient);
        school
    }

    /// A school whose list refuses the man of `obama.jpg`.
    pub(crate) fn with_refused_man() -> Self {
        let school = Self::new();
        school.photo("refused.jpg", "obama.jpg");
        school.list("p-01,5b,refused,2026-09-01,refused.jpg\n");
        school
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Puts a sample beside the list, under a name of its own.
    pub(crate) fn photo(&self, name: &str, from: &str) {
        fs::copy(sample(from), self.path(name)).unwrap();
    }

    /// Writes the pupil list.
    pub(crate) fn list(&self, rows: &str) {
        let text = format!("pupil_id,class,status,since,photos\n{rows}");
        fs::write(self.path("list.csv"), text).unwrap();
    }

    /// The program, with nothing of the user's own around it.
    pub(crate) fn command(&self) -> Command {
        self.dressed(Command::new(env!("CARGO_BIN_EXE_classveil")))
    }

    /// Any program in this school's surroundings.
    pub(crate) fn dressed(&self, mut command: Command) -> Command {
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .env("HOME", self.path("home"))
            .env_remove("XDG_DATA_HOME")
            .env_remove("XDG_CACHE_HOME")
            .env_remove("CLASSVEIL_LOG")
            // Set for the tests' own process; the program has to see to it itself.
            .env_remove("ORT_DISABLE_TELEMETRY")
            // One list of plugins for all tests: making it takes longer than many a recording.
            .env("GST_REGISTRY", registry());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.command().args(args).output().expect("the program was built").into()
    }

    /// What `record` is given where a test says nothing else.
    pub(crate) fn record_args(&self, input: &str) -> Vec<String> {
        let mut args: Vec<String> =
            ["record", "--json", "--store", "store", "--input", input].map(str::to_owned).to_vec();
        args.extend(["--recipient".to_owned(), self.recipient.clone()]);
        if self.path("list.csv").exists() {
            args.extend(["--pupils", "list.csv"].map(str::to_owned));
        }
        args
    }

    /// Tries to record.
    pub(crate) fn try_record(&self, input: &Path, more: &[&str]) -> Said {
        let mut command = self.command();
        command.args(self.record_args(text(input))).args(more);
        command.output().expect("the program was built").into()
    }

    /// Records a whole file.
    #[track_caller]
    pub(crate) fn record(&self, input: &Path, more: &[&str]) -> Recorded {
        let recorded = self.recorded(self.try_record(input, more).ended(0));
        assert_eq!(recorded.json["frames_in"], recorded.json["frames_out"], "{}", recorded.json);
        assert_eq!(recorded.json["fault"], serde_json::Value::Null);
        recorded
    }

    /// The recording that the program says it made.
    #[track_caller]
    pub(crate) fn recorded(&self, said: Said) -> Recorded {
        let json = said.json();
        let folder = self.path(json["path"].as_str().expect("a path"));
        Recorded { json, folder, err: said.err }
    }

    /// Opens a recording with the teacher's key.
    #[track_caller]
    pub(crate) fn open(&self, recording: &Path) -> PathBuf {
        let out = recording.file_name().expect("a name").to_str().expect("an id");
        let out = self.path(&format!("{out}.mp4"));
        self.run(&["verify", text(recording)]).ended(0);
        let args = ["open", text(recording), "--identity", "teacher.key", "--output", text(&out)];
        self.run(&args).ended(0);
        out
    }

    /// All recordings in the store.
    pub(crate) fn recordings(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.store().join("recordings")) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Runs a stock tool in `folder`; gives what it printed.
    #[track_caller]
    pub(crate) fn stock(&self, folder: &Path, program: &str, args: &[&str]) -> Vec<u8> {
        let output = Command::new(program)
            .args(args)
            .current_dir(folder)
            .env("HOME", self.path("home"))
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|e| panic!("{program}: {e}; `make setup` installs it"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {said}");
        output.stdout
    }

    /// The recording's own key, unwrapped by stock age.
    #[track_caller]
    pub(crate) fn recording_key(&self, recording: &Path) -> PathBuf {
        let teacher = self.path("teacher.key");
        let key = self.stock(recording, "age", &["-d", "-i", text(&teacher), "key.age"]);
        let path = self.path("rec.key");
        fs::write(&path, key).unwrap();
        path
    }

    /// A sealed file of a recording, decrypted by stock age.
    #[track_caller]
    pub(crate) fn unseal(&self, recording: &Path, name: &str) -> Vec<u8> {
        let key = self.recording_key(recording);
        self.stock(recording, "age", &["-d", "-i", text(&key), name])
    }
}

impl Recorded {
    pub(crate) fn manifest(&self) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.folder.join("manifest.json")).unwrap()).unwrap()
    }
}

/// Where all tests keep `GStreamer`'s list of plugins.
fn registry() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("gstreamer-registry.bin")
}

/// The folder of the checked models.
pub(crate) fn models_folder() -> PathBuf {
    project("models")
}

//! Crashes and errors at exact system calls: a test runs a part of itself as a child under strace, which
//! breaks the child off, or fails it, at one call. Before that the child runs unharmed, and the order
//! of its calls is checked: what a power cut leaves cannot be tried out, but what it can leave follows
//! from that order.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where the child works, if this process is one.
pub(crate) const CHILD: &str = "CLASSVEIL_TEST_CHILD";
/// Set by `make crash`: every point instead of every few.
const ALL: &str = "CLASSVEIL_TEST_EVERY_CRASH";

/// Every call that changes the disk. strace counts each by itself.
const CALLS: [&str; 9] = [
    "write",
    "fsync",
    "fdatasync",
    "ftruncate",
    "/^rename(at2?)?$",
    "/^link(at)?$",
    "/^mkdir(at)?$",
    "/^unlink(at)?$",
    "/^rmdir$",
];

/// The folder that this process has to work in, if it is the child of a test. It writes a file `done`
/// there once it got through.
pub(crate) fn workplace() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// What happens to a child.
#[derive(Clone, Copy)]
pub(crate) struct Blow<'a> {
    call: &'a str,
    what: &'a str,
    nth: usize,
}

impl std::fmt::Display for Blow<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {} {}", self.what, self.call, self.nth)
    }
}

/// No blow at all: the order of calls is looked at.
const ORDER: &str = "order";

impl Blow<'_> {
    /// Runs the test `child` in the folder `root`; says whether it got through unharmed.
    pub(crate) fn strikes(self, child: &str, root: &Path) -> bool {
        let Self { call, what, nth } = self;
        if what == ORDER {
            let mut command = traced(&root.join("trace"));
            command.args(["--exact", child, "--test-threads=1"]).env(CHILD, root);
            assert!(command.status().unwrap().success(), "{child} unharmed");
            let order = Order::of(&root.join("trace"), &root.join("store"));
            assert!(order.names > 0, "{child} gives no file a name");
            return root.join("done").exists();
        }
        let status = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e"])
            .arg(format!("inject={call}:{what}:when={nth}"))
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", child, "--test-threads=1"])
            .env(CHILD, root)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap_or_else(|error| panic!("strace: {error}; `make setup` installs it"));
        status.success() && root.join("done").exists()
    }
}

/// Lets `what` happen at every call in turn, at the first and then each `step`th time that it is made,
/// `offset` later at first, until `struck` says that nothing was hit. With [`ALL`] at every time. A
/// child makes fewer than `longest` of each.
pub(crate) fn campaign(
    what: &str,
    (step, offset): (usize, usize),
    longest: usize,
    struck: impl Fn(Blow<'_>) -> bool,
) {
    let unharmed = Blow { call: "", what: ORDER, nth: 0 };
    assert!(struck(unharmed), "the child gets through when nothing strikes it");
    let every = std::env::var_os(ALL).is_some();
    let (step, offset) = if every { (1, 0) } else { (step, offset) };
    let mut tried = 0;
    for call in CALLS {
        for nth in (1 + offset..).step_by(step) {
            tried += 1;
            if struck(Blow { call, what, nth }) {
                break;
            }
            assert!(nth < longest, "the child never ends");
        }
    }
    // Each kind of call took at least one injection on average.
    assert!(tried > CALLS.len(), "{tried} runs: strace injected nothing");
}

/// This test program under strace, which writes every call that changes the disk to `trace`.
pub(crate) fn traced(trace: &Path) -> Command {
    let calls = "openat,write,pwrite64,writev,ftruncate,fallocate,fsync,fdatasync,rename,renameat,\
                 renameat2,link,linkat,unlink,unlinkat,rmdir,mkdir,mkdirat";
    let mut command = Command::new("strace");
    // Paths beside descriptors, and none of them cut off.
    command.args(["-f", "-qq", "-y", "-s", "4096", "-e", &format!("trace={calls}"), "-o"]);
    command.arg(trace).arg(std::env::current_exe().unwrap());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// What is not on the disk yet at one point of a trace, as far as the file system promises it.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// Files whose content is not.
    files: BTreeSet<PathBuf>,
    /// Folders in which a name was given or taken.
    folders: BTreeSet<PathBuf>,
    /// How many names were given.
    pub(crate) names: usize,
}

impl Order {
    /// Reads a trace. Panics where a file below `store` gets its name before its content is synced, where
    /// a line of a journal or log is written before the names that it vouches for are synced, where such
    /// a line is not synced before anything else happens, or where a name is never synced.
    pub(crate) fn of(trace: &Path, store: &Path) -> Self {
        Self::read(trace, store).unwrap_or_else(|problem| panic!("{problem}"))
    }

    fn read(trace: &Path, store: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(trace).unwrap();
        let mut order = Self::default();
        for line in text.lines().filter(|line| !line.contains(" resumed>") && !failed(line)) {
            order.follow(line, store).map_err(|problem| format!("{line}\n{problem}"))?;
        }
        match (order.files.first(), order.folders.first()) {
            (None, None) => Ok(order),
            (Some(file), _) => Err(format!("{} is never synced", file.display())),
            (_, Some(folder)) => Err(format!("a name in {} is never synced", folder.display())),
        }
    }

    fn follow(&mut self, line: &str, store: &Path) -> Result<(), String> {
        let call = line.split_once(' ').map_or("", |(_, call)| call.trim_start());
        let (name, arguments) = call.split_once('(').unwrap_or_default();
        let inside = |path: &&PathBuf| path.starts_with(store);
        let quoted = paths(name, arguments);
        match name {
            "openat" if arguments.contains("O_CREAT") => {
                self.files.extend(quoted.first().filter(inside).cloned());
            }
            "write" | "pwrite64" | "writev" | "ftruncate" | "fallocate" => {
                let Some(path) = descriptor(arguments).filter(|path| path.starts_with(store))
                else {
                    return Ok(());
                };
                if is_log(&path)
                    && let Some(folder) = self.folders.first()
                {
                    return Err(format!("vouches for unsynced names in {}", folder.display()));
                }
                self.lines_are_synced(Some(&path))?;
                self.files.insert(path);
            }
            "fsync" | "fdatasync" => {
                if let Some(path) = descriptor(arguments) {
                    self.files.remove(&path);
                    self.folders.remove(&path);
                }
            }
            "rename" | "renameat" | "renameat2" | "link" | "linkat" => {
                let [from, to] = &quoted[..] else { return Err("names no two files".to_owned()) };
                if to.starts_with(store) {
                    self.lines_are_synced(None)?;
                    self.name(from, to)?;
                }
            }
            "unlink" | "unlinkat" | "rmdir" => {
                let Some(path) = quoted.first().filter(inside) else { return Ok(()) };
                self.lines_are_synced(None)?;
                self.files.retain(|file| !file.starts_with(path));
                self.folders.retain(|folder| !folder.starts_with(path));
                if !is_part(path) {
                    self.folders.extend(path.parent().map(Path::to_owned));
                }
            }
            "mkdir" | "mkdirat" => {
                let path = quoted.first().filter(inside);
                self.folders.extend(path.and_then(|path| path.parent()).map(Path::to_owned));
            }
            _ => {}
        }
        Ok(())
    }

    /// What is at `from` gets the name `to`.
    fn name(&mut self, from: &Path, to: &Path) -> Result<(), String> {
        let unsynced = |path: &&PathBuf| *path == from || path.starts_with(from) && !is_part(path);
        if let Some(path) = self.files.iter().chain(&self.folders).find(unsynced) {
            return Err(format!("{} is not synced", path.display()));
        }
        // What is in a folder goes with it.
        for paths in [&mut self.files, &mut self.folders] {
            let moved = |path: PathBuf| match path.strip_prefix(from) {
                Ok(rest) => to.join(rest),
                Err(_) => path,
            };
            *paths = std::mem::take(paths).into_iter().map(moved).collect();
        }
        self.names += 1;
        self.folders.extend([from, to].iter().filter_map(|path| path.parent()).map(Path::to_owned));
        Ok(())
    }

    /// A line is on the disk before anything else is done.
    fn lines_are_synced(&self, but: Option<&Path>) -> Result<(), String> {
        match self.files.iter().find(|file| is_log(file) && Some(file.as_path()) != but) {
            Some(file) => Err(format!("comes before {} is synced", file.display())),
            None => Ok(()),
        }
    }
}

/// What has a part name is worth nothing, there or not.
fn is_part(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "part")
}

/// Whether lines of `path` vouch for other files.
fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jsonl")
}

fn failed(line: &str) -> bool {
    line.contains(") = -1 ")
}

/// The file of the first argument: `5</path>`.
fn descriptor(arguments: &str) -> Option<PathBuf> {
    let (_, rest) = arguments.split_once('<')?;
    Some(PathBuf::from(rest.split_once('>')?.0))
}

/// The paths that a call names, whole: `7</folder>, "name"` or `AT_FDCWD</folder>, "/path"`.
fn paths(name: &str, arguments: &str) -> Vec<PathBuf> {
    if name == "write" || name == "pwrite64" || name == "writev" {
        return Vec::new();
    }
    let mut found = Vec::new();
    let (mut folder, mut rest) = (PathBuf::new(), arguments);
    while let Some(at) = rest.find(['<', '"']) {
        let end = if rest[at..].starts_with('<') { '>' } else { '"' };
        let Some((text, after)) = rest[at + 1..].split_once(end) else { break };
        if end == '>' {
            folder = PathBuf::from(text);
        } else {
            found.push(folder.join(text));
        }
        rest = after;
    }
    found
}

#[test]
fn an_order_that_loses_something_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let good = [
        "1 openat(AT_FDCWD</>, \"/s/a.part\", O_WRONLY|O_CREAT, 0600) = 5</s/a.part>",
        "1 write(5</s/a.part>, \"x \\\"y\", 4) = 4",
        "1 fsync(5</s/a.part>) = 0",
        "1 rename(\"/s/a.part\", \"/s/a\") = 0",
        "1 fsync(6</s>) = 0",
        "1 write(7</s/log.jsonl>, \"line\", 4) = 4",
        "1 fdatasync(7</s/log.jsonl>) = 0",
        "1 unlinkat(6</s>, \"a\", 0) = 0",
        "1 fsync(6</s>) = 0",
    ];
    let check = |lines: &[&str]| {
        fs::write(&trace, lines.join("\n")).unwrap();
        Order::read(&trace, Path::new("/s")).map(|order| order.names)
    };
    assert_eq!(check(&good), Ok(1));
    // Each call that syncs is needed where it is.
    for left_out in [2, 4, 6, 8] {
        let lines: Vec<&str> =
            (0..good.len()).filter(|at| *at != left_out).map(|at| good[at]).collect();
        assert!(check(&lines).is_err(), "without {}", good[left_out]);
        let mut late = good;
        late[left_out..].rotate_left(1);
        assert!(left_out == 8 || check(&late).is_err(), "{} comes too late", good[left_out]);
    }
}

//! Crashes and errors at exact system calls: a test runs a part of itself as a child under strace, which
//! breaks the child off, or fails it, at one call.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where the child works, if this process is one.
pub(crate) const CHILD: &str = "CLASSVEIL_TEST_CHILD";
/// Set by `make crash`: every point instead of every few.
const ALL: &str = "CLASSVEIL_TEST_EVERY_CRASH";

/// Every call that changes the disk. strace counts each by itself.
const CALLS: [&str; 6] =
    ["write", "fsync", "/^rename(at2?)?$", "/^mkdir(at)?$", "/^unlink(at)?$", "/^rmdir$"];

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

impl Blow<'_> {
    /// Runs the test `child` in the folder `root`; says whether it got through unharmed.
    pub(crate) fn strikes(self, child: &str, root: &Path) -> bool {
        let Self { call, what, nth } = self;
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

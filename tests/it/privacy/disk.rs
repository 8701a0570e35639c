//! Promise 3: no plaintext media touches the disk. A whole recording is watched call by call; every
//! file opened for writing has to be on a list, and what is on disk afterwards is searched for what
//! was recorded.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    media::sample,
    scene::{Recorded, School, text},
};

const CALLS: &str = "open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,link,linkat,symlink,\
    symlinkat,rename,renameat,renameat2,unlink,unlinkat,truncate,memfd_create,connect,prctl,\
    prlimit64,setrlimit,write,writev,pwrite64,pwritev,pwritev2,copy_file_range,sendfile";

/// What one system call did, as strace tells it.
#[derive(Debug)]
struct Call {
    name: String,
    args: String,
    result: String,
}

/// Reads the calls of all threads that succeeded.
fn calls(folder: &Path) -> Vec<Call> {
    let mut calls = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        for line in fs::read_to_string(entry.unwrap().path()).unwrap().lines() {
            let Some((head, result)) = line.rsplit_once(" = ") else { continue };
            let Some((name, args)) = head.split_once('(') else { continue };
            // Whether somebody answers a call to the network does not matter.
            let failed = result.starts_with("-1") || result.starts_with('?');
            if failed && name != "connect" {
                continue;
            }
            calls.push(Call {
                name: name.to_owned(),
                args: args.trim_end().trim_end_matches(')').to_owned(),
                result: result.to_owned(),
            });
        }
    }
    calls
}

/// The path that `-y` shows beside a file descriptor at the start of `text`: `3</some/path>`.
fn shown_path(text: &str) -> Option<&str> {
    let (number, rest) = text.split_once('<')?;
    number.chars().all(|c| c.is_ascii_digit()).then_some(())?;
    rest.split_once('>').map(|(path, _)| path)
}

/// Quoted strings among the arguments.
fn quoted(args: &str) -> Vec<&str> {
    args.split('"').skip(1).step_by(2).collect()
}

/// What a path is, relative to the school's folder, with changing parts as stars; none outside it.
fn kind_of(path: &str, school: &Path) -> Option<String> {
    let inside = Path::new(path).strip_prefix(school).ok()?;
    let parts = inside.iter().map(|part| {
        let part = part.to_str().expect("UTF-8");
        let uuid = part.trim_start_matches('.').trim_end_matches(".new");
        if uuid.len() == 36 && uuid.matches('-').count() == 4 {
            return part.replace(uuid, "ID");
        }
        part.split('.').map(generic).collect::<Vec<_>>().join(".")
    });
    Some(parts.collect::<Vec<_>>().join("/"))
}

/// Numbers and random suffixes as a star.
fn generic(word: &str) -> &str {
    let random = word.len() == 16 && word.chars().all(|c| c.is_ascii_hexdigit());
    let number = word.len() == 6 && word.chars().all(|c| c.is_ascii_digit());
    if random || number { "*" } else { word }
}

/// Files that the program may write.
const FILES: &[&str] = &[
    "home/.local/share/classveil/.audit.key.*.part",
    "home/.local/share/classveil/.box.key.*.part",
    "home/.local/share/classveil/audit.key",
    "home/.local/share/classveil/box.key",
    "store/.box.pub.*.part",
    "store/audit/.log.vkey.*.part",
    "store/audit/checkpoint.part",
    "store/audit/log.jsonl",
    "store/audit/log.vkey",
    "store/box.pub",
    "store/recordings/.ID.new/details.json.age.part",
    "store/recordings/.ID.new/key.age.part",
    "store/recordings/.ID.new/manifest.json.minisig.part",
    "store/recordings/.ID.new/manifest.json.part",
    "store/recordings/.ID.new/reserve.part",
    "store/recordings/.ID.new/segments.jsonl",
    "store/recordings/ID/cam1/*.mp4.age.part",
    "store/recordings/ID/cam1/*.tracks.age.part",
    "store/recordings/ID/manifest.json.minisig.part",
    "store/recordings/ID/manifest.json.part",
    "store/recordings/ID/segments.jsonl",
];

/// Names that finished files get.
const NAMES: &[&str] = &[
    "store/recordings/ID",
    "store/recordings/.ID.new/details.json.age",
    "store/recordings/.ID.new/key.age",
    "store/recordings/.ID.new/manifest.json",
    "store/recordings/.ID.new/manifest.json.minisig",
    "store/recordings/ID/cam1/*.mp4.age",
    "store/recordings/ID/cam1/*.tracks.age",
    "store/recordings/ID/manifest.json",
    "store/recordings/ID/manifest.json.minisig",
    "store/audit/checkpoint",
    "store/audit/log.vkey",
    "store/box.pub",
    "home/.local/share/classveil/audit.key",
    "home/.local/share/classveil/box.key",
];

/// `GStreamer`'s list of plugins, and the code that ORC compiles where it may not do so in memory:
/// neither ever holds a picture.
fn is_of_a_library(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.starts_with("registry.x86_64.bin")
        || name.starts_with("registry.aarch64.bin")
        || name.starts_with("orcexec.")
        || path == "/dev/null"
}

fn may_write(path: &str, school: &Path) -> bool {
    is_of_a_library(path) || kind_of(path, school).is_some_and(|kind| FILES.contains(&&*kind))
}

fn watched_recording(school: &School) -> (Recorded, Vec<Call>) {
    let traces = school.path("traces");
    let temporary = school.path("tmp");
    fs::create_dir(&traces).unwrap();
    fs::create_dir(&temporary).unwrap();
    let mut strace = school.dressed(Command::new("strace"));
    // A first start, with nothing cached, in a session that would keep a core dump.
    strace.env_remove("GST_REGISTRY").env("TMPDIR", &temporary).env_remove("XDG_RUNTIME_DIR");
    strace.args(["-ff", "-qq", "-y", "-s", "24", "--seccomp-bpf", "-f"]);
    strace.args([
        "-o",
        text(&traces.join("t")),
        "-e",
        &format!("trace={CALLS}"),
        "-e",
        "signal=none",
    ]);
    strace.arg(env!("CARGO_BIN_EXE_classveil"));
    strace.args(school.record_args(text(&sample("obama_speech.mp4"))));
    strace.args(["--policy", "refused", "--dpia", "D", "--segment", "3 s"]);
    strace.args(["--audio", "keep", "--audio-reason", "questions"]);
    let said = crate::scene::Said::from(strace.output().expect("strace is installed")).ended(0);
    (school.recorded(said), calls(&traces))
}

#[test]
fn no_plaintext_touches_the_disk() {
    let school = School::with_refused_man();
    let root = fs::canonicalize(school.path("")).unwrap();
    let before = files(&root);
    let (recorded, calls) = watched_recording(&school);

    let mut unlisted = BTreeSet::new();
    let mut written: BTreeMap<String, u32> = BTreeMap::new();
    for call in &calls {
        match call.name.as_str() {
            "open" | "openat" | "openat2" | "creat" => {
                let intent = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND", "O_TMPFILE"];
                if call.name != "creat" && !intent.iter().any(|flag| call.args.contains(flag)) {
                    continue;
                }
                let path = shown_path(&call.result).unwrap_or(&call.result);
                *written.entry(path.to_owned()).or_default() += 1;
                if !may_write(path.trim_end_matches(" (deleted)"), &root) {
                    unlisted.insert(format!("{} {path}", call.name));
                }
            }
            "mkdir" | "mkdirat" => {
                for path in quoted(&call.args) {
                    let kind =
                        kind_of(path, &root).or_else(|| kind_of(&absolute(&root, path), &root));
                    let known = [
                        "store",
                        "store/audit",
                        "store/recordings",
                        "store/recordings/.ID.new",
                        "store/recordings/.ID.new/cam1",
                        "store/recordings/ID/cam1",
                        "home/.local",
                        "home/.local/share",
                        "home/.local/share/classveil",
                        "home/.cache",
                        "home/.cache/gstreamer-1*",
                        "home/.cache/gstreamer-1.0",
                    ];
                    if !kind.as_deref().is_some_and(|kind| known.contains(&kind)) {
                        unlisted.insert(format!("{} {path}", call.name));
                    }
                }
            }
            "rename" | "renameat" | "renameat2" | "link" | "linkat" => {
                let target = quoted(&call.args).pop().unwrap_or_default();
                let target = absolute(&root, target);
                let kind = kind_of(&target, &root);
                if !is_of_a_library(&target) && !kind.is_some_and(|kind| NAMES.contains(&&*kind)) {
                    unlisted.insert(format!("{} {target}", call.name));
                }
            }
            "mknod" | "mknodat" | "symlink" | "symlinkat" | "truncate" | "memfd_create"
            | "copy_file_range" | "sendfile" => {
                unlisted.insert(format!("{} {}", call.name, call.args));
            }
            // A file is recorded: no other machine is asked anything.
            "connect" if !call.args.contains("AF_UNIX") => {
                unlisted.insert(format!("connect {}", call.args));
            }
            "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" => {
                let Some(path) = shown_path(&call.args) else { continue };
                // Pipes, sockets and event counters have no place on a disk.
                let on_disk = path.starts_with('/') && !path.starts_with("/dev/");
                if on_disk && !may_write(path.trim_end_matches(" (deleted)"), &root) {
                    unlisted.insert(format!("{} {path}", call.name));
                }
            }
            _ => {}
        }
    }
    assert!(unlisted.is_empty(), "not on the list: {unlisted:#?}");
    let sealed = written.keys().filter(|path| path.ends_with(".mp4.age.part")).count();
    assert_eq!(sealed, 3, "the watching saw the segments: {written:#?}");
    // Nothing could have dumped a core, from before the first picture on.
    let quit_dumping = |call: &Call| call.args.contains("PR_SET_DUMPABLE, SUID_DUMP_DISABLE");
    assert!(calls.iter().any(|call| call.name == "prctl" && quit_dumping(call)));
    let no_core = |call: &Call| call.args.contains("RLIMIT_CORE, {rlim_cur=0, rlim_max=0}");
    assert!(calls.iter().any(no_core));

    search_the_disk(&school, &recorded, &root, &before);
}

fn absolute(root: &Path, path: &str) -> String {
    root.join(path).to_str().expect("UTF-8").to_owned()
}

/// Everything that is on disk now and was not before, searched for what was recorded.
fn search_the_disk(school: &School, recorded: &Recorded, root: &Path, before: &BTreeSet<PathBuf>) {
    let now: Vec<PathBuf> = files(root)
        .into_iter()
        .filter(|path| !before.contains(path) && !path.starts_with(root.join("traces")))
        .collect();
    let sealed: Vec<&PathBuf> =
        now.iter().filter(|path| path.extension().is_some_and(|e| e == "age")).collect();
    // Key, details, three segments and their reasons.
    assert_eq!(sealed.len(), 2 + 2 * 3, "{now:#?}");
    for path in &sealed {
        let bytes = fs::read(path).unwrap();
        assert!(bytes.starts_with(b"age-encryption.org/v1\n"), "{}", path.display());
        let body = &bytes[bytes.len().min(400)..];
        if body.len() > 20_000 {
            assert!(entropy(body) > 7.98, "{}: {} bits", path.display(), entropy(body));
        }
    }
    // Any 16 bytes in a row of the pictures, the sound and the reasons. The retention record is in
    // the manifest too, and names nobody.
    let mut plain = BTreeSet::new();
    for name in ["mp4", "tracks"] {
        for number in 1..=3 {
            let file = format!("cam1/{number:06}.{name}.age");
            let bytes = school.unseal(&recorded.folder, &file);
            let words = bytes.chunks_exact(16).filter(|c| distinct(c));
            let sealed_only = |c: &&[u8]| name == "tracks" || !c.iter().all(u8::is_ascii_graphic);
            let begin = if name == "tracks" { 40 } else { 0 };
            plain.extend(words.skip(begin).filter(sealed_only).map(<[u8]>::to_vec));
        }
    }
    assert!(plain.len() > 5_000, "{}", plain.len());
    let media: [&[u8]; 6] = [
        b"ftypiso",
        b"moof\0\0\0",
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n",
        b"AGE-SECRET-KEY-",
        b"RIFF",
    ];
    for path in &now {
        let bytes = fs::read(path).unwrap();
        let found = bytes.windows(16).any(|window| plain.contains(window));
        assert!(!found, "{} holds what was recorded", path.display());
        if !is_of_a_library(text(path)) {
            for magic in media {
                let found = bytes.windows(magic.len()).any(|window| window == magic);
                assert!(!found, "{} holds {:?}", path.display(), String::from_utf8_lossy(magic));
            }
        }
        let expected = is_of_a_library(text(path))
            || path.ends_with("store/audit/checkpoint")
            || path.extension().is_some_and(|e| {
                ["age", "key", "pub", "vkey", "json", "jsonl", "minisig"].iter().any(|k| e == *k)
            });
        assert!(expected, "{} was left behind", path.display());
    }
}

/// Padding and tables of zeros are in many files.
fn distinct(bytes: &[u8]) -> bool {
    bytes.iter().collect::<BTreeSet<_>>().len() > 10
}

/// Bits of information a byte carries; 8 for what is encrypted.
fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for &byte in bytes {
        counts[usize::from(byte)] += 1;
    }
    let total = bytes.len() as f64;
    counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| f64::from(count) / total)
        .map(|part| -part * part.log2())
        .sum()
}

fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path);
        }
    }
    found
}

//! `classveil pupils` as it is typed, and killed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use classveil::people::store;

use super::{Folder, TODAY, fixture};
use crate::support::{runtime, sample};

/// A home without keys, a store, and a list beside its photo.
struct Home(Folder);

impl Home {
    fn new() -> Self {
        let folder = Folder::new();
        fs::copy(sample("obama.jpg"), folder.path("one.jpg")).unwrap();
        Self(folder)
    }

    fn list(&self, rows: &str) -> PathBuf {
        self.0.write("list.csv", format!("pupil_id,class,status,since,photos\n{rows}"))
    }

    fn store(&self) -> PathBuf {
        self.0.path("store")
    }

    fn prepare(&self, mut command: Command) -> Command {
        command
            .env("HOME", self.0.path("home"))
            .env_remove("XDG_DATA_HOME")
            .env("CLASSVEIL_ONNXRUNTIME", runtime());
        command
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.prepare(Command::new(env!("CARGO_BIN_EXE_classveil")));
        command.arg("pupils").args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn load(&self, rows: &str, more: &[&str]) -> Output {
        let list = self.list(rows);
        let store = self.store();
        let mut args = vec!["load", path(&list), "--store", path(&store)];
        args.extend(more);
        self.run(&args)
    }

    fn gallery_key(&self) -> PathBuf {
        let name = store::default_key_name(&self.store()).unwrap();
        self.0.path("home/.local/share/classveil").join(name)
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_str(out(output).lines().last().unwrap()).unwrap()
}

#[test]
fn check_writes_nothing_and_tells_all() {
    let home = Home::new();
    let good = home.run(&["check", path(&fixture("every-column.csv"))]);
    assert_eq!(code(&good), 0, "{}", err(&good));
    assert_eq!(
        out(&good),
        "tests/fixtures/lists/every-column.csv: OK, 5 on the list (2 refused, 2 consented, 1 staff)\n"
    );
    assert!(err(&good).contains("every-column.csv:2:1: notice: refused without a photo"));
    let bad = home.run(&["check", path(&fixture("wrong-in-many-ways.csv")), "--json"]);
    assert_eq!(code(&bad), 78);
    assert!(err(&bad).contains("wrong-in-many-ways.csv:2:1: pupil_id is no pseudonym"));
    let value = json(&bad);
    assert_eq!(value["ok"], false);
    assert_eq!(value["problems"][0]["line"], 2);
    assert_eq!(code(&home.run(&["check", "none.csv"])), 66);
    assert!(!home.0.path("home").exists());
}

#[test]
fn a_pipe_is_no_list() {
    let home = Home::new();
    let pipe = home.0.path("pipe.csv");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).unwrap();
    let refused = home.run(&["check", path(&pipe)]);
    assert_eq!(code(&refused), 74);
    assert!(err(&refused).contains("it is no ordinary file: check that it is the file you mean"));
}

#[test]
fn check_looks_for_faces() {
    let home = Home::new();
    let list = home.list("p-01,a,refused,2026-09-01,one.jpg\n");
    let good = home.run(&["check", path(&list), "--json"]);
    assert_eq!((code(&good), &json(&good)["faces"]), (0, &"checked".into()), "{}", err(&good));
    fs::copy(sample("multi_face.jpg"), home.0.path("one.jpg")).unwrap();
    let bad = home.run(&["check", path(&list)]);
    assert_eq!(code(&bad), 78);
    assert!(
        err(&bad).contains("list.csv:2:27: photo `one.jpg` shows 5 equal faces: crop it to one")
    );
    let portrait = image::open(sample("obama.jpg")).unwrap();
    portrait.blur(16.0).save(home.0.path("one.jpg")).unwrap();
    let blurred = home.run(&["check", path(&list)]);
    assert_eq!(code(&blurred), 78);
    assert!(err(&blurred).contains("list.csv:2:27: the face in photo `one.jpg` is too blurred"));
    let blind = home
        .command(&["check", path(&list), "--json"])
        .env("CLASSVEIL_ONNXRUNTIME", home.0.path("none.so"))
        .output()
        .unwrap();
    assert_eq!((code(&blind), &json(&blind)["faces"]), (0, &"not-checked".into()));
    assert!(err(&blind).contains("faces in the photos were not looked for"));
}

#[test]
fn photos_need_an_impact_assessment() {
    let home = Home::new();
    let rows = "p-01,a,refused,2026-09-01,one.jpg\n";
    for more in [&[][..], &["--dpia", " "]] {
        let refused = home.load(rows, more);
        assert_eq!(code(&refused), 78);
        let text = err(&refused);
        assert!(text.contains("--dpia REF") && text.contains("unless-cleared"), "{text}");
        assert_eq!(text.lines().last().unwrap().matches(". ").count(), 0, "one sentence");
        assert!(text.contains("in the seat that the list gives them"), "{text}");
        assert!(!home.store().exists());
    }
    let config = home.0.write("classveil.toml", "[biometrics]\ndpia = \"DPIA-7\"\n");
    let loaded = home.load(rows, &["--config", path(&config)]);
    assert_eq!(code(&loaded), 0, "{}", err(&loaded));
    let history = fs::read_to_string(home.store().join("pupils/history.jsonl")).unwrap();
    assert!(history.contains("DPIA-7"));
}

#[test]
fn load_tells_what_changes() {
    let home = Home::new();
    let first = home.load("p-01,a,refused,2026-09-01,\np-02,a,consented,2026-09-01,\n", &[]);
    assert_eq!(code(&first), 0, "{}", err(&first));
    assert!(
        out(&first).starts_with("added: 2 (p-01, p-02)\nloaded: 2 on the list (1 refused"),
        "{}",
        out(&first)
    );
    let second = "p-01,a,consented,2026-09-01,\np-02,b,consented,2026-09-01,\n";
    let refused = home.load(second, &[]);
    assert_eq!(code(&refused), 78);
    assert!(err(&refused).contains("--confirm-removals 1"));
    assert!(out(&refused).contains("status changed: p-01 from refused to consented"));
    let wrong = home.load(second, &["--confirm-removals", "2", "--json"]);
    assert_eq!((code(&wrong), &json(&wrong)["loaded"]), (78, &false.into()));
    assert_eq!(json(&wrong)["removals"], 1);
    let right = home.load(second, &["--confirm-removals", "1", "--json"]);
    assert_eq!((code(&right), &json(&right)["loaded"]), (0, &true.into()));
    let shown = home.run(&["list", "--store", path(&home.store()), "--json"]);
    assert_eq!(json(&shown)["version"], json(&right)["version"]);
    assert_eq!(json(&shown)["people"][0]["standing"], "consented");
    assert_eq!(json(&shown)["people"][1]["class"], "b");
    let text = out(&home.run(&["list", "--store", path(&home.store())]));
    assert!(text.contains("p-02      b      consented  2026-09-01"), "{text}");
}

#[test]
fn the_same_people_have_the_same_version_on_the_same_box() {
    let home = Home::new();
    let a = home.load("p-01,a,refused,2026-09-01,\np-02,a,consented,2026-09-01,\n", &["--json"]);
    let b = home.load("p-02,a,consented,1-9-2026,\np-01,a,refused,1-9-2026,\n", &["--json"]);
    assert_eq!(json(&a)["version"], json(&b)["version"]);
    assert!(json(&a)["version"].is_string());
}

#[test]
fn nothing_loaded_is_not_found() {
    let home = Home::new();
    let none = home.run(&["list", "--store", path(&home.store())]);
    assert_eq!(code(&none), 66);
    assert!(err(&none).contains("run `classveil pupils load`"));
    assert_eq!(code(&home.run(&["list"])), 64);
    let elsewhere = home
        .load("p-01,a,refused,2026-09-01,\n", &["--gallery-key", path(&home.store().join("k"))]);
    assert_eq!(code(&elsewhere), 78);
    assert!(err(&elsewhere).contains("would lie inside the store"));
}

/// Killed at every call that changes a name or makes bytes durable, a load leaves the old or the new
/// list working, and the next one leaves nothing behind.
#[test]
fn a_power_cut_leaves_the_old_or_the_new_list() {
    let home = Home::new();
    assert_eq!(code(&home.load("p-01,a,refused,2026-09-01,one.jpg\n", &["--dpia", "D"])), 0);
    let mut photo = image::open(sample("obama.jpg")).unwrap().to_rgb8();
    let (mut old, mut new, mut killed) = (0, 0, 0);
    for when in 1..200 {
        let before = store::list(&home.store(), TODAY).unwrap().version;
        // Another photo each time, so that every load changes the version.
        photo.put_pixel(0, 0, image::Rgb([u8::try_from(when).unwrap(), 0, 0]));
        photo.save(home.0.path("one.png")).unwrap();
        let list = home.list("p-01,a,refused,2026-09-01,one.png\n");
        let mut strace = home.prepare(Command::new("strace"));
        let inject = format!("inject=rename,unlink,fsync:signal=KILL:when={when}");
        strace.args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=rename,unlink,fsync",
            "-e",
            &inject,
        ]);
        strace.args([env!("CARGO_BIN_EXE_classveil"), "pupils", "load", path(&list)]);
        strace.args(["--dpia", "D", "--store", path(&home.store())]);
        let done = strace.output().expect("strace is installed").status.success();
        let current = store::current(&home.store(), &home.gallery_key(), TODAY)
            .unwrap_or_else(|e| panic!("killed at call {when}: {e}"));
        let references = current.gallery.people.into_values().next().unwrap().references;
        assert_eq!(references.len(), 1);
        if done {
            break;
        }
        killed += 1;
        if current.version == before {
            old += 1;
        } else {
            new += 1;
        }
        // What was left is cleared already: one gallery, one identity.
        let galleries = fs::read_dir(home.store().join("pupils")).unwrap();
        let names: Vec<_> =
            galleries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(names.len(), 4, "killed at call {when}: {names:?}");
        let key = fs::read_to_string(home.gallery_key()).unwrap();
        assert_eq!(key.matches("AGE-SECRET-KEY-").count(), 1, "killed at call {when}");
    }
    assert!(killed > 10 && old > 0 && new > 0, "{killed} kills, {old} before, {new} after");
}

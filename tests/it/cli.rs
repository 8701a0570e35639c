//! What is typed and what comes back: exit codes, help, completions.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test stops where it fails")]

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Output},
};

use crate::support::{project, sample};

/// Runs the program with nothing of the user's own around it.
fn classveil(args: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    classveil_at(home.path(), args)
}

/// Runs it with `home` as home; the project's folder is the working directory.
fn classveil_at(home: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_classveil"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("HOME", home)
        .env_remove("XDG_DATA_HOME")
        .env_remove("CLASSVEIL_LOG")
        // Help is wrapped to the terminal; a test has none.
        .env_remove("COLUMNS")
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Every command that does something, with its subcommands.
fn commands() -> Vec<Vec<&'static str>> {
    vec![
        vec!["keygen"],
        vec!["viewer"],
        vec!["record"],
        vec!["open"],
        vec!["marks"],
        vec!["grant"],
        vec!["revoke"],
        vec!["grants", "list"],
        vec!["grants", "accept"],
        vec!["reveil"],
        vec!["export"],
        vec!["exports", "enter"],
        vec!["exports", "list"],
        vec!["store", "adopt"],
        vec!["store", "list"],
        vec!["request", "delete"],
        vec!["request", "restrict"],
        vec!["request", "add"],
        vec!["request", "access"],
        vec!["request", "answer"],
        vec!["request", "list"],
        vec!["people", "add"],
        vec!["people", "invite"],
        vec!["people", "challenge"],
        vec!["people", "answer"],
        vec!["people", "enrol"],
        vec!["people", "replace-key"],
        vec!["people", "approve"],
        vec!["people", "accept"],
        vec!["people", "end-key"],
        vec!["people", "remove"],
        vec!["people", "list"],
        vec!["pupils", "check"],
        vec!["pupils", "load"],
        vec!["pupils", "list"],
        vec!["verify"],
        vec!["recover"],
        vec!["run"],
        vec!["status"],
        vec!["preflight"],
        vec!["prepare"],
        vec!["withdraw"],
        vec!["start"],
        vec!["stop"],
        vec!["logs"],
        vec!["reload"],
        vec!["register", "assessment"],
        vec!["register", "reminder"],
        vec!["register", "notice"],
        vec!["register", "acceptance", "ask"],
        vec!["register", "acceptance", "answer"],
        vec!["register", "acceptance", "withdraw"],
        vec!["audit", "verify"],
        vec!["audit", "show"],
        vec!["audit", "checkpoint"],
        vec!["audit", "prove"],
        vec!["retention", "plan"],
        vec!["retention", "apply"],
        vec!["retention", "close-talk"],
        vec!["retention", "hold"],
        vec!["retention", "release"],
        vec!["verify-certificate"],
        vec!["store", "check"],
        vec!["backup"],
        vec!["config", "check"],
        vec!["eval", "attack"],
        vec!["completions"],
    ]
}

#[test]
fn wrong_usage_ends_with_64() {
    for args in [
        &[][..],
        &["nonsense"],
        &["--nonsense"],
        &["config"],
        &["config", "check"],
        &["config", "check", "a", "b"],
        &["completions", "tcsh9"],
    ] {
        let output = classveil(args);
        assert_eq!(code(&output), 64, "{args:?}: {}", stderr(&output));
        assert!(stdout(&output).is_empty(), "{args:?}");
        let said = stderr(&output);
        assert!(said.contains("Usage") || said.contains("--help"), "{args:?}: {said}");
    }
}

#[test]
fn version_and_help_are_results() {
    let version = classveil(&["--version"]);
    assert_eq!(code(&version), 0);
    assert_eq!(stdout(&version), format!("classveil {}\n", env!("CARGO_PKG_VERSION")));
    let help = classveil(&["--help"]);
    assert_eq!(code(&help), 0);
    assert!(stdout(&help).contains("Usage: classveil"));
}

#[test]
fn every_command_explains_itself_with_examples() {
    for command in commands() {
        let args: Vec<_> = command.iter().copied().chain(["--help"]).collect();
        let help = classveil(&args);
        assert_eq!(code(&help), 0, "{command:?}");
        let help = stdout(&help);
        let typed = format!("classveil {}", command.join(" "));
        assert!(help.contains("Examples:"), "{command:?}:\n{help}");
        assert!(help.matches(&typed).count() > 1, "{command:?} shows no use of itself:\n{help}");
        assert!(help.starts_with(|c: char| c.is_uppercase()), "{command:?}:\n{help}");
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{command:?}: too wide: {line}");
        }
    }
}

#[test]
fn shells_get_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let output = classveil(&["completions", shell]);
        assert_eq!(code(&output), 0, "{shell}");
        assert!(stdout(&output).contains("keygen"), "{shell}");
    }
}

#[test]
fn config_check_says_what_differs() {
    let output = classveil(&["config", "check", "config/classveil.toml"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(stdout(&output), "config/classveil.toml: OK\nevery setting has its default\n");

    let output = classveil(&["config", "check", "config/minimal.toml"]);
    assert_eq!(
        stdout(&output),
        "config/minimal.toml: OK\ncamera[1].id = \"cam1\"\ncamera[1].input = \"/dev/video0\"\n\
         store.folder = \"/var/lib/classveil/store\"\n"
    );

    let output = classveil(&["config", "check", "--json", "config/minimal.toml"]);
    let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(answer["ok"], true);
    assert_eq!(answer["changed"]["store.folder"], "/var/lib/classveil/store");
}

#[test]
fn config_check_tells_every_problem_and_ends_with_78() {
    let file = "tests/fixtures/config/ranges.toml";
    let output = classveil(&["config", "check", file]);
    assert_eq!(code(&output), 78);
    assert!(stdout(&output).is_empty());
    let said = stderr(&output);
    assert!(said.starts_with("classveil: 13 problems"), "{said}");
    // As compilers write it, so that editors jump there.
    assert!(said.contains(&format!("\n{file}:3:10: recording.retain: ")), "{said}");

    let output = classveil(&["config", "check", "--json", file]);
    assert_eq!(code(&output), 78);
    let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(answer["ok"], false);
    let problems = answer["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 13);
    assert_eq!(problems[0]["line"], 3);
    assert_eq!(problems[0]["column"], 10);
    assert_eq!(problems[0]["option"], "recording.retain");
}

#[test]
fn a_missing_file_ends_with_66() {
    let output = classveil(&["config", "check", "no/such.toml"]);
    assert_eq!(code(&output), 66);
    assert!(stderr(&output).contains("no/such.toml"), "{}", stderr(&output));
}

/// Long options in clap's list of them, without those that every command has.
fn options_of_help(help: &str) -> BTreeSet<String> {
    let mut options = BTreeSet::new();
    let list = help.lines().skip_while(|l| *l != "Options:").skip(1);
    // The list ends with the examples; what explains an option stands further in than its name.
    for line in list.take_while(|l| l.is_empty() || l.starts_with("  ")) {
        let line = if line.starts_with("        ") { "" } else { line.trim_start() };
        // `-o, --output <FILE>`
        let line =
            if line.starts_with('-') && line.get(2..4) == Some(", ") { &line[4..] } else { line };
        if let Some(option) = line.strip_prefix("--") {
            let end = option.find(|c: char| !(c.is_ascii_lowercase() || c == '-'));
            options.insert(format!("--{}", &option[..end.unwrap_or(option.len())]));
        }
    }
    for everywhere in ["--help", "--log", "--version"] {
        options.remove(everywhere);
    }
    options
}

/// Long options in the first column of a command's table in the reference.
fn options_of_reference(command: &str) -> BTreeSet<String> {
    let reference = std::fs::read_to_string(project("docs/ref/commands.md")).unwrap();
    let heading = format!("\n## {command}\n");
    let start = reference.find(&heading).unwrap_or_else(|| panic!("{command} is not described"));
    let section = &reference[start + heading.len()..];
    let section = &section[..section.find("\n## ").unwrap_or(section.len())];
    let cells = section.lines().filter_map(|l| l.strip_prefix("| ")?.split(" | ").next());
    cells
        .flat_map(|cell| cell.split('`'))
        .filter(|word| word.starts_with("--"))
        .map(|word| word.split(' ').next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_reference_has_the_options_of_every_command() {
    for command in commands() {
        let args: Vec<_> = command.iter().copied().chain(["--help"]).collect();
        let help = stdout(&classveil(&args));
        let named = format!("classveil {}", command.join(" "));
        assert_eq!(options_of_help(&help), options_of_reference(&named), "{named}");
    }
}

#[test]
fn every_exit_code_is_in_the_reference() {
    use classveil::error::ErrorKind::{
        Bug, Config, Conflict, DataLoss, Denied, Exhausted, Io, NotFound, Transient, Usage,
    };
    let reference = std::fs::read_to_string(project("docs/ref/commands.md")).unwrap();
    for kind in [Usage, Config, Denied, NotFound, Conflict, Transient, Exhausted, DataLoss, Io, Bug]
    {
        let row = format!("\n| {} | ", kind.exit_code());
        assert!(reference.contains(&row), "{kind:?}");
    }
}

/// The source, with messages that stand on several lines made one.
fn messages() -> String {
    fn walk(folder: &Path, into: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else {
                for line in std::fs::read_to_string(&path).unwrap().lines() {
                    let line = line.trim_start();
                    into.push_str(line.strip_suffix('\\').unwrap_or(line));
                }
            }
        }
    }
    let mut all = String::new();
    walk(&project("src"), &mut all);
    all
}

#[test]
fn the_guide_quotes_messages_that_exist() {
    let guide = std::fs::read_to_string(project("docs/guide/operator.md")).unwrap();
    let table = &guide[guide.find("What messages mean").unwrap()..];
    let messages = messages();
    let mut quotes = 0;
    for row in table.lines().filter(|l| l.starts_with("| `")) {
        let cell = row.split(" | ").next().unwrap();
        // Every second part stands between quotes.
        for quote in cell.split('`').skip(1).step_by(2) {
            // What the operating system says is not in the source.
            if quote == "No space left on device" {
                continue;
            }
            for part in quote.trim_start_matches("N problems").split("...") {
                let part = part.trim_matches([' ', ';']);
                assert!(messages.contains(part), "{quote}: no message says `{part}`");
            }
            quotes += 1;
        }
    }
    assert!(quotes > 25, "{quotes}");
}

#[test]
fn keygen_never_overwrites() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("teacher.key");
    let args = ["keygen", "--output", key.to_str().unwrap()];

    let output = classveil(&args);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).starts_with("age1") && stdout(&output).lines().count() == 1);
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(&key).unwrap();

    let again = classveil(&args);
    assert_eq!(code(&again), 78);
    assert!(stderr(&again).contains("teacher.key"));
    assert_eq!(std::fs::read(&key).unwrap(), before);

    let nowhere = folder.path().join("no/teacher.key");
    assert_eq!(code(&classveil(&["keygen", "--output", nowhere.to_str().unwrap()])), 66);
}

#[test]
fn what_is_not_there_ends_with_66_and_is_named() {
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().to_str().unwrap();
    for args in [
        &["verify", "/no/such/recording"][..],
        &["verify", empty],
        &["recover", "--store", "/no/such/store"],
    ] {
        let output = classveil(args);
        assert_eq!(code(&output), 66, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).starts_with("classveil: "), "{args:?}: {}", stderr(&output));
        assert!(stdout(&output).is_empty(), "{args:?}");
    }
}

/// What looking may not change: a command that only reads leaves the home as it was.
#[test]
fn reading_makes_no_keys() {
    let home = tempfile::tempdir().unwrap();
    let store = tempfile::tempdir().unwrap();
    let store = store.path().to_str().unwrap();
    for args in [
        &["verify", store][..],
        &["recover", "--store", store],
        &["config", "check", "config/classveil.toml"],
        &["--help"],
    ] {
        classveil_at(home.path(), args);
        let made: Vec<_> = std::fs::read_dir(home.path()).unwrap().collect();
        assert!(made.is_empty(), "{args:?} made {made:?}");
    }
}

/// A folder with everything that a recording needs, and a list without photos.
struct Desk {
    folder: tempfile::TempDir,
    recipient: String,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let list = "pupil_id,class,status,since\np-01,4b,refused,2026-01-05\n";
        std::fs::write(folder.path().join("list.csv"), list).unwrap();
        let key = folder.path().join("teacher.key");
        let output = classveil(&["keygen", "--output", key.to_str().unwrap()]);
        Self { folder, recipient: stdout(&output).trim().to_owned() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// `classveil record` with what it needs; an option in `other` goes before the desk's own, and
    /// one with an empty value is left out.
    fn record(&self, other: &[(&str, &str)]) -> Output {
        let sample = sample("obama_speech.mp4");
        let (list, store, key) = (self.path("list.csv"), self.path("store"), self.path("box.key"));
        let own = [
            ("--input", sample.to_str().unwrap()),
            ("--pupils", &list),
            ("--policy", "everyone"),
            ("--recipient", &self.recipient),
            ("--store", &store),
            ("--box-key", &key),
        ];
        let mut args = vec!["record"];
        let kept = own.iter().filter(|(name, _)| other.iter().all(|(o, _)| o != name));
        for (option, value) in kept.chain(other).filter(|(_, value)| !value.is_empty()) {
            args.extend([option, value]);
        }
        classveil_at(self.folder.path(), &args)
    }
}

#[test]
fn a_recording_that_may_not_be_made_is_not_begun() {
    let desk = Desk::new();
    let photos = desk.path("photos.csv");
    std::fs::write(
        &photos,
        "pupil_id,class,status,since,photos\np-01,4b,refused,2026-01-05,p-01.jpg\n",
    )
    .unwrap();
    std::fs::copy(sample("obama.jpg"), desk.path("p-01.jpg")).unwrap();
    let bad_list = desk.path("bad.csv");
    std::fs::write(&bad_list, "pupil_id,class,status,since\np-01,4b,maybe,2026-01-05\n").unwrap();
    let bad_config = "tests/fixtures/config/ranges.toml";
    let missing = desk.path("missing");

    for (options, wanted, said) in [
        (&[("--policy", "nobody")][..], 64, "unless-cleared"),
        (&[("--purpose", "appraisal")], 64, "never used for appraisal"),
        (&[("--purpose", "marketing")], 64, "team-session"),
        (&[("--legal-basis", "consent")], 64, "refuse their employer"),
        (&[("--retain", "0 d")], 64, "retain"),
        (&[("--retain", "14")], 64, "14 d"),
        (&[("--segment", "60 s")], 64, "segment"),
        (&[("--audio", "keep")], 64, "--audio-reason"),
        (&[("--class", "Klas 4B")], 64, "pseudonym"),
        (&[("--recipient", "")], 64, "--recipient"),
        (&[("--recipient", "age1nobody")], 64, "age1nobody"),
        (&[("--store", "")], 64, "--store"),
        (&[("--input", "")], 64, "--input"),
        (&[("--input", &missing)], 66, "missing"),
        (&[("--pupils", &missing)], 66, "missing"),
        (&[("--config", &missing)], 66, "missing"),
        (&[("--config", bad_config)], 78, "ranges.toml:3:10: recording.retain"),
        (&[("--pupils", &bad_list)], 78, "bad.csv:2:9: "),
        (&[("--pupils", &photos), ("--policy", "refused")], 78, "biometrics"),
        (&[("--log", "inof")], 64, "did you mean `info`?"),
    ] {
        let output = desk.record(options);
        let text = stderr(&output);
        assert_eq!(code(&output), wanted, "{options:?}: {text}");
        assert!(text.contains(said), "{options:?}: {text}");
        assert!(stdout(&output).is_empty(), "{options:?}");
        assert!(!desk.folder.path().join("store/recordings").exists(), "{options:?} began");
    }
}

#[test]
fn inputs_of_other_kinds_are_refused_without_repeating_secrets() {
    let desk = Desk::new();
    let folder = desk.path("");
    for input in [
        "http://10.0.0.2/x.mp4",
        "file:///etc/passwd",
        "srt://10.0.0.2:9000",
        "rtsp://admin:geheim@10.0.0.2/stream",
        "videotestsrc ! x264enc",
        "/dev/null",
        &folder,
    ] {
        let output = desk.record(&[("--input", input)]);
        let text = stderr(&output);
        assert!([64, 66, 78].contains(&code(&output)), "{input}: {}: {text}", code(&output));
        assert!(!text.contains("geheim"), "{text}");
    }
}

#[test]
fn a_recording_goes_from_file_to_file() {
    let desk = Desk::new();
    let output = desk.record(&[
        ("--retain", "14 d"),
        ("--teacher", "t-07"),
        ("--question", "Do I wait long enough?"),
        ("--json", "true"),
    ]);
    // A switch takes no value.
    assert_eq!(code(&output), 64, "{}", stderr(&output));

    let config = desk.path("box.toml");
    std::fs::write(
        &config,
        format!(
            "[store]\nfolder = \"store\"\nbox-key = \"box.key\"\n[recording]\npolicy = \"everyone\"\n\
             recipients = [\"{}\"]\nretain = \"14 d\"\n[[camera]]\ninput = \"{}\"\n",
            desk.recipient,
            sample("obama_speech.mp4").display()
        ),
    )
    .unwrap();
    let list = desk.path("list.csv");
    let at = |args: &[&str]| classveil_at(desk.folder.path(), args);
    let output = at(&["record", "--config", &config, "--pupils", &list, "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let answer: serde_json::Value =
        serde_json::from_str(stdout(&output).lines().last().unwrap()).unwrap();
    for name in ["recording", "path", "segments", "frames_in", "frames_out", "tracks", "seconds"] {
        assert!(!answer[name].is_null(), "{name} is missing: {answer}");
    }
    assert_eq!(answer["frames_in"], 105);
    assert_eq!(answer["frames_out"], 105);

    let recording = answer["path"].as_str().unwrap();
    let (public, key) = (desk.path("store/box.pub"), desk.path("teacher.key"));
    let out = desk.path("lesson.mp4");
    let verify = ["verify", recording, "--box-key", &public];
    let open = ["open", recording, "--identity", &key, "--output", &out, "--box-key", &public];
    assert_eq!(code(&at(&verify)), 0);
    // This home has no box key of its own.
    let unpinned = at(&verify[..2]);
    // Whole, and anybody could have made it: a script must not take that for a proof.
    assert_eq!(code(&unpinned), 77);
    assert!(stderr(&unpinned).contains("unpinned key"), "{}", stderr(&unpinned));

    let stranger = desk.path("stranger.key");
    at(&["keygen", "--output", &stranger]);
    let mut wrong_key = open;
    wrong_key[3] = &stranger;
    assert_eq!(code(&at(&wrong_key)), 77);
    assert!(!Path::new(&out).exists());
    let opened = at(&open);
    assert_eq!(code(&opened), 0, "{}", stderr(&opened));
    assert!(Path::new(&out).exists());
    assert_eq!(code(&at(&open)), 78, "an output is not replaced unasked");

    let segment = Path::new(recording).join("cam1/000001.mp4.age");
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let damaged = at(&verify);
    assert_eq!(code(&damaged), 65);
    assert!(stderr(&damaged).contains("000001"), "{}", stderr(&damaged));
    let again = desk.path("again.mp4");
    let mut reopen = open;
    reopen[5] = &again;
    assert_eq!(code(&at(&reopen)), 65);
    assert!(!Path::new(&again).exists());
}

#[test]
fn a_list_is_checked_loaded_and_shown() {
    let desk = Desk::new();
    let (list, store, key) = (desk.path("list.csv"), desk.path("store"), desk.path("box.key"));
    let at = |args: &[&str]| classveil_at(desk.folder.path(), args);
    assert_eq!(code(&at(&["pupils", "list", "--store", &store])), 66);
    assert_eq!(code(&at(&["pupils", "check", &list])), 0);
    let load = ["pupils", "load", &list, "--store", &store, "--box-key", &key];
    let loaded = at(&load);
    assert_eq!(code(&loaded), 0, "{}", stderr(&loaded));
    let shown = at(&["pupils", "list", "--store", &store, "--json"]);
    assert_eq!(code(&shown), 0);
    let shown: serde_json::Value = serde_json::from_str(&stdout(&shown)).unwrap();
    assert!(shown.to_string().contains("p-01"), "{shown}");

    // Lifting a refusal needs the exact number.
    std::fs::write(&list, "pupil_id,class,status,since\np-01,4b,consented,2026-01-05\n").unwrap();
    let lifted = at(&load);
    assert_eq!(code(&lifted), 78);
    assert!(stderr(&lifted).contains("--confirm-removals 1"), "{}", stderr(&lifted));
    let confirm = |n| at(&[&load[..], &["--confirm-removals", n]].concat());
    assert_eq!(code(&confirm("2")), 78);
    assert_eq!(code(&confirm("1")), 0);

    let missing = desk.path("missing.csv");
    assert_eq!(code(&at(&["pupils", "check", &missing])), 66);
    assert_eq!(code(&at(&["pupils", "load", &list])), 64, "no store");
}

#[test]
fn the_configuration_sets_the_log_unless_told_nearer_by() {
    let desk = Desk::new();
    let config = desk.path("log.toml");
    let logged = |filter: &str, args: &[&str]| {
        std::fs::write(&config, format!("[log]\nfilter = \"{filter}\"\n")).unwrap();
        let own = ["--config", &config];
        let args: Vec<&str> = args.iter().copied().chain(own).collect();
        stderr(&classveil_at(desk.folder.path(), &args))
    };
    let sample = sample("obama_speech.mp4");
    let (list, store, key) = (desk.path("list.csv"), desk.path("store"), desk.path("box.key"));
    let record = [
        "record",
        "--input",
        sample.to_str().unwrap(),
        "--pupils",
        &list,
        "--policy",
        "everyone",
        "--recipient",
        &desk.recipient,
        "--store",
        &store,
        "--box-key",
        &key,
    ];
    assert!(logged("classveil=info", &record).contains("INFO"));
    assert!(!logged("warn", &record).contains("INFO"));
    let nearer = [&record[..], &["--log", "warn"]].concat();
    assert!(!logged("classveil=info", &nearer).contains("INFO"));
}

#[test]
fn one_of_several_cameras_is_named() {
    let desk = Desk::new();
    let config = desk.path("two.toml");
    let cameras = "[[camera]]\nid = \"front\"\ninput = \"/nowhere/front.mp4\"\n\
                   [[camera]]\nid = \"back\"\ninput = \"/nowhere/back.mp4\"\n";
    std::fs::write(&config, cameras).unwrap();
    let record = |more: &[(&str, &str)]| {
        let own = [("--input", ""), ("--config", config.as_str())];
        desk.record(&[&own[..], more].concat())
    };
    for (more, wanted, said) in [
        (&[][..], 64, "give --camera ID, one of front, back"),
        (&[("--camera", "side")], 64, "has no camera `side`: it has front, back"),
        (&[("--camera", "back")], 66, "/nowhere/back.mp4"),
    ] {
        let output = record(more);
        assert_eq!(code(&output), wanted, "{more:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(said), "{more:?}: {}", stderr(&output));
    }
}

#[test]
fn recover_takes_its_places_from_the_configuration() {
    let desk = Desk::new();
    let (store, key) = (desk.path("store"), desk.path("box.key"));
    let made = desk.record(&[("--input", &sample("obama_speech.mp4").display().to_string())]);
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    let config = desk.path("box.toml");
    let text = format!("[store]\nfolder = \"{store}\"\nbox-key = \"{key}\"\n");
    std::fs::write(&config, text).unwrap();
    let done = classveil_at(desk.folder.path(), &["recover", "--config", &config]);
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    assert!(stdout(&done).contains("nothing to do: 1 recordings complete"), "{}", stdout(&done));
    let nowhere = classveil_at(desk.folder.path(), &["recover"]);
    assert_eq!(code(&nowhere), 64, "{}", stderr(&nowhere));
}

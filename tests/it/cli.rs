//! What is typed and what comes back: exit codes, help, completions.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test stops where it fails")]

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Output},
};

use crate::support::project;

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
        vec!["record"],
        vec!["open"],
        vec!["pupils", "check"],
        vec!["pupils", "load"],
        vec!["pupils", "list"],
        vec!["verify"],
        vec!["recover"],
        vec!["config", "check"],
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

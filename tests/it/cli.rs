//! What is typed and what comes back: exit codes, help, completions.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::process::{Command, Output};

/// Runs the program with nothing of the user's own around it.
fn classveil(args: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_classveil"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("HOME", home.path())
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

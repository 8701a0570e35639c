//! The configuration: the shipped files hold what they promise, every problem is told at once with
//! its place, and the reference says what the program does.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test stops where it fails")]

use std::{collections::BTreeMap, path::Path};

use classveil::{
    config::{self, Config, ConfigProblems, limits},
    encode::{EncoderChoice, Preset},
    error::{ErrorKind, Kind},
    vault::{LegalBasis, Purpose},
    veil::{
        Style,
        policy::{Policy, Region},
    },
};
use proptest::prelude::*;

use crate::support::project;

fn text(path: &str) -> String {
    std::fs::read_to_string(project(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn parse(text: &str) -> Result<Config, Vec<config::Problem>> {
    Config::parse(text, Path::new("/etc/classveil"))
}

/// The shipped file with its examples switched on.
fn with_examples() -> String {
    let mut out = String::new();
    for line in text("config/classveil.toml").lines() {
        // Prose has a space after the hash; an example has none.
        let example = line.strip_prefix('#').filter(|rest| {
            rest.starts_with("[[") || rest.starts_with(|c: char| c.is_ascii_lowercase())
        });
        out.push_str(example.unwrap_or(line));
        out.push('\n');
    }
    out
}

/// `section.option` for every option of the program; cameras without a number.
fn every_option() -> Vec<String> {
    config::sections()
        .into_iter()
        .flat_map(|(section, options)| options.iter().map(move |o| format!("{section}.{o}")))
        .collect()
}

#[test]
fn the_complete_file_holds_the_defaults() {
    let shipped = Config::load(&project("config/classveil.toml")).unwrap();
    assert_eq!(shipped, Config::default());
}

#[test]
fn the_complete_file_names_every_option_and_its_examples_are_valid() {
    let file: toml::Table = toml::from_str(&with_examples()).unwrap();
    let mut named = Vec::new();
    for (section, value) in &file {
        let value = value.as_array().map_or(value, |cameras| &cameras[0]);
        let options = value.as_table().unwrap();
        named.extend(options.keys().map(|option| format!("{section}.{option}")));
    }
    named.sort();
    let mut options = every_option();
    options.sort();
    assert_eq!(named, options);
    parse(&with_examples()).unwrap();
}

#[test]
fn the_minimal_file_is_enough() {
    let minimal = Config::load(&project("config/minimal.toml")).unwrap();
    assert_eq!(minimal.store.folder.as_deref(), Some(Path::new("/var/lib/classveil/store")));
    assert_eq!(minimal.cameras[0].id.as_str(), "cam1");
    assert_eq!(minimal.recording, Config::default().recording);
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(parse(""), Ok(Config::default()));
    assert!(Config::default().changes().is_empty());
}

/// What a fixture is answered with, its folder left out.
fn answer(name: &str) -> String {
    let folder = project("tests/fixtures/config");
    let error = Config::load(&folder.join(name)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    error.to_string().replace(&format!("{}/", folder.display()), "")
}

#[test]
fn every_problem_is_told_at_once() {
    for name in ["names", "types", "ranges", "choices", "contradictions", "secrets", "syntax"] {
        insta::assert_snapshot!(name, answer(&format!("{name}.toml")));
    }
}

#[test]
fn secrets_and_names_are_not_repeated() {
    let answer = answer("secrets.toml").to_lowercase();
    assert!(!answer.contains("geheim"), "{answer}");
    assert_eq!(answer.lines().count(), 1 + 7, "{answer}");
}

#[test]
fn places_count_lines_and_characters() {
    let problems = parse("\u{feff}[log]\r\n  filter = \"é\", x\r\n").unwrap_err();
    assert_eq!((problems[0].line, problems[0].column), (2, 15), "{problems:?}");
    let problems = parse("[recording]\nclass = \"b\" # é\n\tteacher = \"É\"").unwrap_err();
    assert_eq!((problems[0].line, problems[0].column), (3, 12), "{problems:?}");
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Config::load(&folder.path().join("none.toml")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert!(missing.to_string().contains("none.toml"));
    assert_eq!(Config::load(folder.path()).unwrap_err().kind(), ErrorKind::Io);

    let latin = folder.path().join("latin.toml");
    std::fs::write(&latin, b"[store]\nfolder = \"caf\xe9\"\n").unwrap();
    let error = Config::load(&latin).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("latin.toml:2:14: not UTF-8"), "{error}");

    let long = folder.path().join("long.toml");
    std::fs::write(&long, vec![b'#'; 2 << 20]).unwrap();
    assert!(matches!(Config::load(&long), Err(ConfigProblems::Wrong { .. })));
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("box.toml");
    std::fs::write(
        &file,
        "[store]\nfolder = \"store\"\nbox-key = \"/k\"\n[[camera]]\ninput = \"lesson.mp4\"\n",
    )
    .unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(config.store.folder, Some(folder.path().join("store")));
    assert_eq!(config.store.box_key.as_deref(), Some(Path::new("/k")));
    assert_eq!(config.cameras[0].input, folder.path().join("lesson.mp4").display().to_string());
}

#[test]
fn the_ends_of_every_range_belong_to_it() {
    let quoted = |value: String| format!("\"{value}\"");
    let ends = [
        ("recording", "retain", quoted(limits::RETAIN.min.to_string())),
        ("recording", "retain", quoted(limits::RETAIN.max.to_string())),
        ("recording", "segment", quoted(limits::SEGMENT.min.to_string())),
        ("recording", "segment", quoted(limits::SEGMENT.max.to_string())),
        ("recording", "longest", quoted(limits::LONGEST.min.to_string())),
        ("recording", "longest", quoted(limits::LONGEST.max.to_string())),
        ("pupils", "list-age-limit", quoted(limits::LIST_AGE.min.to_string())),
        ("pupils", "list-age-limit", quoted(limits::LIST_AGE.max.to_string())),
        ("registers", "reminder-age-limit", quoted(limits::REMINDER_AGE.min.to_string())),
        ("registers", "reminder-age-limit", quoted(limits::REMINDER_AGE.max.to_string())),
        ("limits", "memory", quoted(limits::MEMORY.min.to_string())),
        ("limits", "memory", quoted(limits::MEMORY.max.to_string())),
        ("limits", "disk-reserve", quoted(limits::DISK_RESERVE.min.to_string())),
        ("limits", "disk-reserve", quoted(limits::DISK_RESERVE.max.to_string())),
        ("veil", "look-ahead", quoted(limits::LOOK_AHEAD.min.to_string())),
        ("veil", "look-ahead", quoted(limits::LOOK_AHEAD.max.to_string())),
        ("pupils", "photo-age-limit", quoted(limits::PHOTO_AGE.min.to_string())),
        ("pupils", "photo-age-limit", quoted(limits::PHOTO_AGE.max.to_string())),
        ("encode", "bitrate", quoted(limits::BITRATE.min.to_string())),
        ("encode", "bitrate", quoted(limits::BITRATE.max.to_string())),
        ("encode", "threads", limits::ENCODE_THREADS.max.to_string()),
        ("detect", "threads", limits::THREADS.min.to_string()),
        ("detect", "size", limits::SIZE.min.to_string()),
        ("detect", "size", limits::SIZE.max.to_string()),
        ("detect", "full-size", limits::FULL_SIZE.max.to_string()),
        ("detect", "full-every", limits::FULL_EVERY.min.to_string()),
        ("detect", "full-every", limits::FULL_EVERY.max.to_string()),
        ("identify", "every", limits::IDENTIFY_EVERY.min.to_string()),
        ("identify", "every", limits::IDENTIFY_EVERY.max.to_string()),
    ];
    for (section, option, value) in ends {
        let file = format!("[{section}]\n{option} = {value}\n");
        parse(&file).unwrap_or_else(|problems| panic!("{file}{problems:?}"));
    }
}

/// The rows of the reference: option to (default, range).
fn reference() -> BTreeMap<String, (String, String)> {
    let mut rows = BTreeMap::new();
    let mut section = String::new();
    for line in text("docs/ref/config.md").lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            heading.trim_matches(['[', ']']).clone_into(&mut section);
        } else if let Some(row) = line.strip_prefix("| `") {
            let cells: Vec<&str> = row.split(" | ").collect();
            assert_eq!(cells.len(), 4, "{line}");
            assert!(cells[3].len() > 8, "{line}: nothing is said about it");
            let option = format!("{section}.{}", cells[0].trim_end_matches('`'));
            rows.insert(option, (cells[1].to_owned(), cells[2].to_owned()));
        }
    }
    rows
}

#[test]
fn the_reference_names_every_option_with_its_default() {
    let rows = reference();
    let mut options = every_option();
    options.sort();
    assert_eq!(rows.keys().cloned().collect::<Vec<_>>(), options);

    let mut defaults: BTreeMap<_, _> = Config::default().settings().into_iter().collect();
    defaults.remove("camera");
    for (option, value) in defaults {
        let said = rows[&option].0.trim_matches('`');
        let meant = if value.is_null() { "none".to_owned() } else { value.to_string() };
        assert_eq!(said, meant, "{option}");
    }
    let camera = parse("[[camera]]\ninput = \"/dev/video0\"").unwrap();
    assert_eq!(rows["camera.id"].0, format!("`\"{}\"`", camera.cameras[0].id));
}

#[test]
fn the_reference_names_every_range() {
    let rows = reference();
    let ranges = [
        ("recording.retain", limits::RETAIN.to_string()),
        ("recording.segment", limits::SEGMENT.to_string()),
        ("recording.longest", limits::LONGEST.to_string()),
        ("pupils.list-age-limit", limits::LIST_AGE.to_string()),
        ("registers.reminder-age-limit", limits::REMINDER_AGE.to_string()),
        ("limits.memory", limits::MEMORY.to_string()),
        ("limits.disk-reserve", limits::DISK_RESERVE.to_string()),
        ("veil.look-ahead", limits::LOOK_AHEAD.to_string()),
        ("pupils.photo-age-limit", limits::PHOTO_AGE.to_string()),
        ("encode.bitrate", format!("`auto`, or {}", limits::BITRATE)),
        ("encode.threads", limits::ENCODE_THREADS.to_string()),
        ("detect.threads", limits::THREADS.to_string()),
        ("detect.size", limits::SIZE.to_string()),
        ("detect.full-size", limits::FULL_SIZE.to_string()),
        ("detect.full-every", limits::FULL_EVERY.to_string()),
        ("identify.every", limits::IDENTIFY_EVERY.to_string()),
    ];
    for (option, range) in ranges {
        assert_eq!(rows[option].1, range, "{option}");
    }
    let words =
        |words: &[&str]| words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ");
    for (option, choice) in [
        ("recording.policy", config::words::<Policy>()),
        ("recording.purpose", config::words::<Purpose>()),
        ("recording.legal-basis", config::words::<LegalBasis>()),
        ("audio.mode", config::words::<config::AudioMode>()),
        ("clock.danger-trust", config::words::<config::TimeTrust>()),
        ("veil.style", config::words::<Style>()),
        ("veil.region", config::words::<Region>()),
        ("encode.encoder", config::words::<EncoderChoice>()),
        ("encode.preset", config::words::<Preset>()),
    ] {
        assert_eq!(rows[option].1, words(choice), "{option}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is cut out of a good file, it is read or its problems lie inside it.
    #[test]
    fn damaged_files_are_answered(cut in 0usize..4000, length in 0usize..60, put in "[ -~\n]{0,6}") {
        let mut file = with_examples();
        let start = (0..=cut % file.len()).rev().find(|&i| file.is_char_boundary(i)).unwrap();
        let end = (start + length).min(file.len());
        prop_assume!(file.is_char_boundary(end));
        file.replace_range(start..end, &put);
        if let Err(problems) = parse(&file) {
            prop_assert!(!problems.is_empty());
            let lines = file.split('\n').count();
            for problem in problems {
                prop_assert!((1..=lines).contains(&problem.line), "{problem}");
                prop_assert!(!problem.text.contains('\n') && !problem.text.is_empty());
            }
        }
    }

    /// Any text at all ends in an answer.
    #[test]
    fn any_text_is_answered(file in "\\PC{0,200}") {
        let _ = parse(&file);
    }
}

//! The shape of the program, read from its source: who imports whom, and what is written nowhere.
//!
//! The compiler keeps most of these promises already; here they are written down, so that a change
//! to one is seen as such. Code compiled for tests only is not looked at.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod tokens;

use std::path::Path;

use tokens::{Piece, Token, product_code};

/// The rooms in the order in which a frame walks through them; each may import those before it.
const ROOMS: [&str; 6] = ["frame", "capture", "vision", "veil", "encode", "vault"];

/// What everything may import.
const BASE: [&str; 2] = ["units", "error"];

/// What stands around the rooms, and what each may import besides [`BASE`] and itself. An entry
/// with a second part allows that item only.
const AROUND: [(&str, &[&str]); 12] = [
    ("units", &[]),
    ("error", &[]),
    ("clock", &[]),
    ("shutdown", &[]),
    // A list is compared by what `vision` says and stored as `vault` stores.
    ("people", &["frame", "vision", "vault"]),
    // Words of the file become the settings of rooms.
    ("config", &["veil", "encode", "vault"]),
    (
        "appliance",
        &[
            "frame", "capture", "vision", "veil", "encode", "vault", "people", "config", "clock",
            "shutdown",
        ],
    ),
    // It asks the service, and hands out what the vault allows.
    ("api", &["appliance", "people", "vault", "config", "clock"]),
    (
        "cli",
        &[
            "api",
            "appliance",
            "people",
            "vault",
            "config",
            "clock",
            "shutdown",
            // Rooms word their own choices and take their own settings; `appliance` hands them on.
            // What works on pictures is kept out of reach below.
            "capture",
            "encode",
            "veil::Style",
            "veil::policy",
            "veil::watch",
            // `pupils` and `record` open the models.
            "vision::Eyes",
            "vision::infer",
            "vision::detect",
            "vision::identify",
            "eval",
        ],
    ),
    (
        "eval",
        &[
            "frame",
            "capture",
            "vision",
            "veil",
            "encode",
            "vault",
            "people",
            "appliance",
            "clock",
            "shutdown",
        ],
    ),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// Crates that one part of the program keeps to itself: where their names may stand.
const KEPT: [(&str, &[&str]); 12] = [
    // One owner of a session: running one needs exclusive access.
    ("ort", &["src/vision/infer.rs"]),
    // Besides the pixel operations, the error that carries OpenCV's own.
    ("opencv", &["src/frame/", "src/vision/infer.rs"]),
    ("gstreamer", &["src/capture/", "src/encode/"]),
    ("gstreamer_app", &["src/capture/", "src/encode/"]),
    ("minisign", &["src/vault/"]),
    ("ed25519_dalek", &["src/vault/"]),
    ("clap", &["src/cli/"]),
    ("mp4_atom", &["src/encode/"]),
    ("axum", &["src/api/"]),
    ("tokio", &["src/api/"]),
    ("argon2", &["src/api/accounts/"]),
    ("zip", &["src/api/v1/shelter.rs"]),
];

/// Files that may hold `unsafe`.
const UNSAFE: [&str; 0] = [];

/// A source file without its comments and tests.
struct Source {
    /// From the project's folder, with `/`.
    path: String,
    tokens: Vec<Token>,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), tokens: product_code(text) }
    }

    /// The first part of the path below `src`: `veil` for `src/veil/redact.rs`.
    fn part(&self) -> &str {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        below.split('/').next().unwrap_or(below).trim_end_matches(".rs")
    }

    /// The module that the file is: `veil`, `redact` for `src/veil/redact.rs`.
    fn module(&self) -> Vec<String> {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let below = below.trim_end_matches(".rs").trim_end_matches("/mod");
        match below {
            "lib" | "main" => Vec::new(),
            below => below.split('/').map(str::to_owned).collect(),
        }
    }

    fn blame(&self, token: &Token, text: &str) -> String {
        format!("{}:{}: {text}", self.path, token.line)
    }

    /// Paths into this crate from its root, with the token where they begin. Groups are spread
    /// out: `crate::{a::b, c}` is two.
    fn paths(&self) -> Vec<(Vec<String>, &Token)> {
        let mut found = Vec::new();
        for (at, token) in self.tokens.iter().enumerate() {
            let within = at.checked_sub(1).is_some_and(|before| self.is_path(before));
            let base = match token.word() {
                Some("crate") => Vec::new(),
                Some("classveil") if self.part() == "main" => Vec::new(),
                Some("super") => self.module(),
                _ => continue,
            };
            if within || !self.is_path(at + 1) {
                continue;
            }
            let mut leaves = Vec::new();
            let from = if token.word() == Some("super") { at } else { at + 2 };
            self.spread(from, &[], &mut leaves);
            for leaf in leaves {
                let mut path = base.clone();
                for part in leaf {
                    if part == "super" {
                        path.pop();
                    } else {
                        path.push(part);
                    }
                }
                found.push((path, token));
            }
        }
        found
    }

    fn is_path(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|t| t.piece == Piece::Path)
    }

    /// Reads one branch of a use tree at `at`; returns where it ends.
    fn spread(&self, mut at: usize, stem: &[String], leaves: &mut Vec<Vec<String>>) -> usize {
        let mut path = stem.to_vec();
        loop {
            match self.tokens.get(at).map(|t| &t.piece) {
                Some(Piece::Word(word)) => {
                    path.push(word.clone());
                    at += 1;
                    if !self.is_path(at) {
                        break;
                    }
                    at += 1;
                }
                Some(Piece::Mark('{')) => {
                    at += 1;
                    loop {
                        match self.tokens.get(at).map(|t| &t.piece) {
                            None => return at,
                            Some(Piece::Mark('}')) => return at + 1,
                            Some(Piece::Mark(',')) => at += 1,
                            Some(Piece::Word(word)) if word == "as" => at += 2,
                            Some(_) => at = self.spread(at, &path, leaves),
                        }
                    }
                }
                Some(Piece::Mark('*')) => {
                    path.push("*".to_owned());
                    at += 1;
                    break;
                }
                _ => {
                    at += 1;
                    break;
                }
            }
        }
        leaves.push(path);
        at
    }
}

/// What the part `part` may import; `None` for a part that is not on the plan.
fn allowed(part: &str) -> Option<Vec<&'static str>> {
    if let Some(room) = ROOMS.iter().position(|r| *r == part) {
        return Some(ROOMS[..room].iter().chain(&BASE).copied().collect());
    }
    let (_, besides) = AROUND.iter().find(|(name, _)| *name == part)?;
    Some(besides.iter().chain(&BASE).copied().collect())
}

fn forbidden_edges(source: &Source) -> Vec<String> {
    let part = source.part();
    let Some(allowed) = allowed(part) else {
        return vec![format!("{}: `{part}` is not on the plan in this test", source.path)];
    };
    let mut wrong = Vec::new();
    for (path, token) in source.paths() {
        let head = path.first().map_or("*", String::as_str);
        let named = path.join("::");
        let inside = |entry: &&str| named == **entry || named.starts_with(&format!("{entry}::"));
        // Taking the whole crate would take every part of it.
        let reaches = is_part(head) || ["*", "self"].contains(&head);
        if reaches && head != part && !allowed.iter().any(inside) {
            wrong.push(source.blame(token, &format!("`{part}` may not import `{named}`")));
        }
    }
    wrong
}

fn is_part(name: &str) -> bool {
    ROOMS.contains(&name) || AROUND.iter().any(|(part, _)| *part == name)
}

fn kept_crates(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    for pair in source.tokens.windows(2) {
        let Some(word) = pair[0].word() else { continue };
        let Some((_, homes)) = KEPT.iter().find(|(name, _)| *name == word) else { continue };
        let names_crate = pair[1].piece == Piece::Path || pair[1].word() == Some("as");
        if names_crate && !homes.iter().any(|home| source.path.starts_with(home)) {
            wrong
                .push(source.blame(&pair[0], &format!("`{word}` belongs to {}", homes.join(", "))));
        }
    }
    wrong
}

/// Only `veil::redact` makes a frame a redacted one.
fn makers_of_redacted(source: &Source) -> Vec<String> {
    let home = source.path == "src/veil/redact.rs";
    let mut wrong = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|i| source.tokens[i].word());
        let after = source.tokens.get(at + 1);
        match token.word() {
            Some("Redacted")
                if !home
                    && after.is_some_and(|t| t.is('{'))
                    && !matches!(before, Some("struct" | "for" | "impl")) =>
            {
                wrong.push(source.blame(token, "builds `Redacted`"));
            }
            // A `Redacted` taken from one frame must not be put on another.
            // In `api` it is a router's word, and no frame comes there.
            Some("with_state") if !home && before != Some("fn") && source.part() != "api" => {
                wrong.push(source.blame(token, "changes the state of a frame"));
            }
            // What can be copied or read from outside can be made without veiling.
            Some("Redacted") if before == Some("struct") => {
                let head =
                    source.tokens[..at].iter().rev().take_while(|t| !t.is('}') && !t.is(';'));
                let copies = ["Clone", "Copy", "Default", "Deserialize", "Zeroable"];
                if head.filter_map(Token::word).any(|word| copies.contains(&word)) {
                    wrong.push(source.blame(token, "can be made by derived code"));
                }
                let body = source.tokens[at..].iter().take_while(|t| !t.is('}') && !t.is(';'));
                if body.filter_map(Token::word).any(|word| word == "pub") {
                    wrong.push(source.blame(token, "has a field that others can set"));
                }
            }
            _ => {}
        }
    }
    wrong
}

fn unsafe_code(source: &Source) -> Vec<String> {
    let words = source.tokens.iter().filter(|t| matches!(t.word(), Some("unsafe" | "unsafe_code")));
    words
        .filter(|_| !UNSAFE.contains(&source.path.as_str()))
        .map(|token| source.blame(token, "unsafe code"))
        .collect()
}

/// Printing happens in `cli::output`, so that results, notes and pixels never mix.
fn printing(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, pair) in source.tokens.windows(2).enumerate() {
        let word = pair[0].word().unwrap_or_default();
        // Whether somebody watches decides on a progress bar; asking prints nothing.
        let asks = source.tokens.get(at + 4).and_then(Token::word) == Some("is_terminal");
        let prints =
            ["print", "println", "eprint", "eprintln", "dbg"].contains(&word) && pair[1].is('!');
        let stream = ["stdout", "stderr"].contains(&word)
            && pair[1].is('(')
            && !asks
            && !["src/cli/output.rs", "src/cli/completions.rs"].contains(&source.path.as_str());
        if prints || stream {
            wrong.push(source.blame(&pair[0], &format!("`{word}` outside cli::output")));
        }
    }
    wrong
}

/// Nothing that is typed or sent opens a camera or holds a frame: that is `appliance`'s.
fn pictures_at_the_edge(source: &Source) -> Vec<String> {
    if !["cli", "api"].contains(&source.part()) {
        return Vec::new();
    }
    let kept = ["Capture", "CapturedFrame", "Encoder", "Frame", "Redactor", "Ring", "SlotPool"];
    let held = source.tokens.iter().filter(|t| t.word().is_some_and(|w| kept.contains(&w)));
    held.map(|token| source.blame(token, "works on pictures")).collect()
}

/// A route comes into the router by the table, which asks for its roles.
fn routes_beside_the_table(source: &Source) -> Vec<String> {
    if source.part() != "api" || source.path == "src/api/table.rs" {
        return Vec::new();
    }
    let ways = ["route", "route_service", "nest", "nest_service", "merge", "method_filter"];
    let calls = source
        .tokens
        .windows(2)
        .filter(|pair| pair[1].is('(') && pair[0].word().is_some_and(|word| ways.contains(&word)));
    calls.map(|pair| source.blame(&pair[0], "a route that names no roles")).collect()
}

/// The present comes from `clock`; `vision` and `veil` do not even measure how long they take.
fn clocks(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    for triple in source.tokens.windows(3) {
        let asks = triple[1].piece == Piece::Path && triple[2].word() == Some("now");
        let pure = ["vision", "veil"].contains(&source.part());
        let bad = match triple[0].word() {
            Some("Timestamp" | "SystemTime" | "Zoned") => source.path != "src/clock.rs",
            Some("Instant") => pure,
            _ => false,
        };
        if asks && bad {
            wrong.push(source.blame(&triple[0], "asks for the time; it is handed in"));
        }
    }
    wrong
}

/// Where a library's own switch is looked at, which is no setting of ours: whether `GStreamer` was
/// asked to log, and whether ONNX Runtime was told not to report.
const SWITCHES: [&str; 2] = ["src/capture/complaints.rs", "src/vision/infer.rs"];

/// Settings are handed in: only `cli` reads the environment.
fn environment(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    for triple in source.tokens.windows(3) {
        let reads = triple[0].word() == Some("env")
            && triple[1].piece == Piece::Path
            && matches!(triple[2].word(), Some("var" | "var_os" | "vars" | "vars_os"));
        let switch = triple[2].word() == Some("var_os") && SWITCHES.contains(&source.path.as_str());
        if reads && !switch && source.part() != "cli" {
            wrong.push(source.blame(&triple[0], "reads the environment"));
        }
    }
    wrong
}

/// From the camera to the encoder nothing can open a file for writing.
fn files_written(source: &Source) -> Vec<String> {
    if !["frame", "capture", "vision", "veil", "encode"].contains(&source.part()) {
        return Vec::new();
    }
    let mut wrong = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        let after_path = at >= 2 && source.tokens[at - 1].piece == Piece::Path;
        let owner = at.checked_sub(2).and_then(|i| source.tokens[i].word());
        let writes = match token.word() {
            Some("OpenOptions") => true,
            Some("create" | "create_new" | "options") => after_path && owner == Some("File"),
            Some("write" | "copy" | "rename" | "hard_link") => after_path && owner == Some("fs"),
            _ => false,
        };
        if writes {
            wrong.push(source.blame(token, "opens a file for writing"));
        }
    }
    wrong
}

/// No element of a pipeline sends pictures anywhere but into this program.
fn sinks(path: &str, text: &str) -> Vec<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-');
    text.split(word)
        .filter(|w| w.ends_with("sink") && !["appsink", "fakesink", "sink"].contains(w))
        .filter(|w| w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
        .map(|w| format!("{path}: `{w}` leads out of the program"))
        .collect()
}

fn sinks_in_strings(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    for token in &source.tokens {
        if let Piece::Text(text) = &token.piece {
            wrong.extend(sinks(&format!("{}:{}", source.path, token.line), text));
        }
    }
    wrong
}

/// Every file below `folder` whose name ends in `ending`, as (path from the project, text).
fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, ending: &str, into: &mut Vec<(String, String)>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries.map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, ending, into);
            } else if path.to_string_lossy().ends_with(ending) {
                let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
                let text = std::fs::read_to_string(&path).unwrap();
                into.push((name.to_str().unwrap().to_owned(), text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), ending, &mut found);
    found
}

fn product() -> Vec<Source> {
    files("src", ".rs")
        .iter()
        // A module of tests in a file of its own.
        .filter(|(path, _)| !path.ends_with("/tests.rs") && !path.contains("/tests/"))
        .map(|(path, text)| Source::new(path, text))
        .collect()
}

fn check(checker: fn(&Source) -> Vec<String>) {
    let sources = product();
    assert!(sources.len() > 20, "only {} files were read", sources.len());
    let wrong: Vec<String> = sources.iter().flat_map(checker).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn rooms_import_only_rooms_before_them() {
    check(forbidden_edges);
}

#[test]
fn some_crates_belong_to_one_room() {
    check(kept_crates);
}

#[test]
fn only_redact_makes_redacted_frames() {
    check(makers_of_redacted);
}

#[test]
fn there_is_no_unsafe_code() {
    check(unsafe_code);
}

#[test]
fn only_output_prints() {
    check(printing);
}

#[test]
fn commands_and_routes_hold_no_frames() {
    check(pictures_at_the_edge);
}

#[test]
fn every_route_has_its_roles() {
    check(routes_beside_the_table);
}

#[test]
fn time_is_handed_in() {
    check(clocks);
}

#[test]
fn settings_are_handed_in() {
    check(environment);
}

#[test]
fn no_room_before_the_vault_writes_files() {
    check(files_written);
}

#[test]
fn no_pipeline_leads_out() {
    check(sinks_in_strings);
    let wrong: Vec<_> =
        files("pipelines", ".launch").iter().flat_map(|(path, text)| sinks(path, text)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Each checker on code that it must refuse, and on code that it must not.
mod teeth {
    use super::*;

    fn bad(checker: fn(&Source) -> Vec<String>, path: &str, text: &str) {
        assert!(!checker(&Source::new(path, text)).is_empty(), "passed: {path}: {text}");
    }

    fn good(checker: fn(&Source) -> Vec<String>, path: &str, text: &str) {
        let wrong = checker(&Source::new(path, text));
        assert!(wrong.is_empty(), "{path}: {text}: {wrong:?}");
    }

    #[test]
    fn edges() {
        let bad = |path, text| bad(forbidden_edges, path, text);
        bad("src/veil/redact.rs", "use crate::encode::Encoder;");
        bad("src/veil/redact.rs", "use crate::{frame::Rect, encode::{self, Encoder}};");
        bad("src/veil/redact.rs", "fn f() { crate::vault::seal() }");
        bad("src/veil/redact.rs", "use crate::config::Config;");
        bad("src/veil/mod.rs", "use super::clock::Clock;");
        bad("src/veil/redact.rs", "use super::super::clock::Clock;");
        bad("src/veil/redact.rs", "use super::{super::encode::Encoder, Style};");
        bad("src/veil/redact.rs", "use crate::*;");
        bad("src/veil/redact.rs", "use crate::{self as all};");
        bad("src/frame/mod.rs", "use crate::capture::Input;");
        bad("src/cli/record.rs", "use crate::veil::redact::Redactor;");
        bad("src/cli/record.rs", "use crate::frame::Frame;");
        bad("src/people/list.rs", "use crate::veil::Style;");
        bad("src/people/list.rs", "use crate::config::Config;");
        bad("src/main.rs", "fn main() { classveil::vault::x() }");
        bad("src/vault/mod.rs", "macro_rules! m { () => { $crate::cli::main() } }");
        bad("src/novel/mod.rs", "");
        bad("src/error.rs", "use crate::frame::Frame;");

        let good = |path, text| good(forbidden_edges, path, text);
        good(
            "src/veil/redact.rs",
            "use super::{Cover, Style}; use crate::{frame::{Frame}, units};",
        );
        good("src/veil/redact.rs", "#[cfg(test)] mod tests { use crate::encode::E; }");
        good("src/veil/redact.rs", "// use crate::encode;\n/// [`crate::encode`]\nfn f() {}");
        good("src/veil/redact.rs", "pub(crate) fn f() -> crate::units::Pts { todo() }");
        good("src/encode/mp4/join.rs", "use super::super::video::V; use super::B;");
        good("src/cli/record.rs", "use crate::capture::Input; use super::{Failure, output};");
        good("src/cli/record.rs", "use crate::capture::Input as Source;");
        good("src/main.rs", "fn main() { classveil::cli::main() }");
        good("src/lib.rs", "pub mod veil; pub mod encode;");
    }

    #[test]
    fn crates() {
        bad(kept_crates, "src/people/photo.rs", "use ort::session::Session;");
        bad(kept_crates, "src/vault/mod.rs", "use gstreamer as gst;");
        bad(kept_crates, "src/vision/detect.rs", "fn f() { opencv::imgproc::resize() }");
        good(kept_crates, "src/vision/infer.rs", "use ort::session::Session;");
        good(kept_crates, "src/vision/detect.rs", "let ort = 1;");
    }

    #[test]
    fn redacted() {
        bad(makers_of_redacted, "src/encode/mod.rs", "let r = Redacted { whole: true };");
        bad(makers_of_redacted, "src/encode/mod.rs", "raw.with_state(*veiled.state())");
        bad(makers_of_redacted, "src/veil/ring.rs", "raw.with_state(state)");
        let home = "src/veil/redact.rs";
        bad(
            makers_of_redacted,
            home,
            "#[derive(Clone, Debug)]\npub struct Redacted { whole: bool }",
        );
        bad(makers_of_redacted, home, "pub struct Redacted { pub whole: bool }");
        bad(makers_of_redacted, home, "pub struct Redacted(pub bool);");
        good(makers_of_redacted, home, "#[derive(Debug)]\npub struct Redacted { whole: bool }");
        good(makers_of_redacted, "src/veil/redact.rs", "f.with_state(Redacted { whole, regions })");
        good(makers_of_redacted, "src/encode/mod.rs", "fn push(frame: Frame<Redacted>) {}");
        good(makers_of_redacted, "src/frame/mod.rs", "pub fn with_state<T>(self) {}");
    }

    #[test]
    fn unsafe_blocks() {
        bad(unsafe_code, "src/frame/slot.rs", "let x = unsafe { *p };");
        bad(unsafe_code, "src/frame/slot.rs", "#![allow(unsafe_code)]");
        good(unsafe_code, "src/frame/slot.rs", "// unsafe\nlet s = \"unsafe\";");
    }

    #[test]
    fn prints() {
        bad(printing, "src/vault/mod.rs", "println!(\"x\");");
        bad(printing, "src/cli/output.rs", "eprintln!(\"x\");");
        bad(printing, "src/cli/open.rs", "writeln!(std::io::stdout(), \"x\")");
        good(printing, "src/cli/record.rs", "std::io::stderr().is_terminal()");
        good(printing, "src/cli/output.rs", "writeln!(std::io::stderr(), \"x\")");
        good(printing, "src/vault/mod.rs", "write!(f, \"println!\")");
    }

    #[test]
    fn pictures() {
        bad(pictures_at_the_edge, "src/cli/record.rs", "capture::Capture::open(&input, &settings)");
        bad(pictures_at_the_edge, "src/cli/open.rs", "use crate::encode::{self, Encoder};");
        good(pictures_at_the_edge, "src/cli/record.rs", "capture::Settings { audio, ..default }");
        good(pictures_at_the_edge, "src/appliance/chain.rs", "Capture::open(&input, &settings)");
    }

    #[test]
    fn routes() {
        bad(routes_beside_the_table, "src/api/mod.rs", "router.route(\"/x\", get(x))");
        bad(routes_beside_the_table, "src/api/v1/mod.rs", "Router::new().nest(\"/x\", other)");
        good(routes_beside_the_table, "src/api/table.rs", "router.route(path, handler)");
        good(routes_beside_the_table, "src/vault/mod.rs", "one.merge(other)");
    }

    #[test]
    fn clock() {
        bad(clocks, "src/vault/mod.rs", "let t = jiff::Timestamp::now();");
        bad(clocks, "src/cli/keygen.rs", "let t = std::time::SystemTime::now();");
        bad(clocks, "src/veil/decide.rs", "let t = Instant::now();");
        good(clocks, "src/clock.rs", "Timestamp::now()");
        good(clocks, "src/capture/mod.rs", "let t = Instant::now();");
        good(clocks, "src/vault/mod.rs", "let t = clock.now();");
    }

    #[test]
    fn env() {
        bad(environment, "src/vision/infer.rs", "std::env::var(\"CLASSVEIL_ONNXRUNTIME\")");
        good(environment, "src/cli/paths.rs", "std::env::var_os(\"HOME\")");
        good(environment, "src/vault/mod.rs", "env!(\"CARGO_PKG_VERSION\")");
    }

    #[test]
    fn writing() {
        bad(files_written, "src/encode/mod.rs", "std::fs::File::create(path)");
        bad(files_written, "src/capture/mod.rs", "fs::write(path, bytes)");
        bad(files_written, "src/vision/infer.rs", "OpenOptions::new()");
        good(
            files_written,
            "src/capture/mod.rs",
            "File::open(path); fs::read(path); ring.write(x)",
        );
        good(files_written, "src/vault/store.rs", "File::create(path)");
    }

    #[test]
    fn pipeline_sinks() {
        assert!(!sinks("p", "videoconvert ! filesink location=x").is_empty());
        assert!(!sinks("p", "tee name=t t. ! udpsink").is_empty());
        assert!(!sinks("p", "splitmuxsink name=out").is_empty());
        assert!(sinks("p", "videoconvert ! appsink name=video-sink sync=false").is_empty());
        bad(sinks_in_strings, "src/encode/mod.rs", "make(\"filesink\")");
        good(sinks_in_strings, "src/encode/mod.rs", "pad(\"sink\"); make(\"appsink\")");
    }
}

//! From text to [`File`], one value at a time, so that one wrong value does not hide the next.
//!
//! Each value is offered to serde alone, inside a table that holds nothing else; the types in
//! `file` stay the only description of the format.

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue, ValueDeserializer},
};

use super::{
    file::{self, Camera, File, names, sections},
    hints::{Position, nearest},
    problems::Problem,
};

/// Collects what is wrong while a file is read and checked.
#[derive(Debug)]
pub(super) struct Findings<'t> {
    text: &'t str,
    problems: Vec<Problem>,
    /// Lines that are no TOML.
    broken: Vec<usize>,
}

impl<'t> Findings<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, problems: Vec::new(), broken: Vec::new() }
    }

    /// Notes a problem at the byte `offset`, about `option` if it is about one.
    pub(super) fn add(&mut self, offset: usize, option: Option<&str>, text: impl Into<String>) {
        let at = Position::of(self.text, offset);
        // What the parser recovered on a broken line is a guess: say nothing more about it.
        if self.broken.contains(&at.line) {
            return;
        }
        self.problems.push(Problem::new(at, option.map(str::to_owned), text));
    }

    /// Everything found, in the order of the file, nothing twice.
    pub(super) fn into_sorted(mut self) -> Vec<Problem> {
        self.problems.sort();
        self.problems.dedup();
        self.problems
    }
}

/// Reads as much of `text` as can be understood, and notes the rest.
pub(super) fn read(text: &str) -> (File, Findings<'_>) {
    let mut found = Findings::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or_default();
        let said = match (error.message(), text.get(span.clone())) {
            ("duplicate key", Some(key)) => format!("`{key}` stands here a second time"),
            (message, _) => sentence(message),
        };
        found.add(span.start, None, said);
    }
    found.broken = found.problems.iter().map(|p| p.line).collect();
    let file = whole_file(table.into_inner(), &mut found);
    (file, found)
}

fn whole_file(root: DeTable<'_>, found: &mut Findings<'_>) -> File {
    let mut file = File::default();
    for (key, value) in root {
        let name = key.get_ref().as_ref();
        let at = key.span().start;
        match name {
            "camera" => file.camera = cameras(value, found),
            "store" => file.store = section(name, value, found),
            "recording" => file.recording = section(name, value, found),
            "audio" => file.audio = section(name, value, found),
            "models" => file.models = section(name, value, found),
            "detect" => file.detect = section(name, value, found),
            "identify" => file.identify = section(name, value, found),
            "veil" => file.veil = section(name, value, found),
            "encode" => file.encode = section(name, value, found),
            "biometrics" => file.biometrics = section(name, value, found),
            "pupils" => file.pupils = section(name, value, found),
            "registers" => file.registers = section(name, value, found),
            "limits" => file.limits = section(name, value, found),
            "control" => file.control = section(name, value, found),
            "api" => file.api = section(name, value, found),
            "button" => file.button = section(name, value, found),
            "indicator" => file.indicator = section(name, value, found),
            "clock" => file.clock = section(name, value, found),
            "log" => file.log = section(name, value, found),
            _ => found.add(at, None, unknown_section(name)),
        }
    }
    file
}

fn section<T>(name: &str, value: Spanned<DeValue<'_>>, found: &mut Findings<'_>) -> T
where
    T: Default + for<'de> Deserialize<'de>,
{
    let at = value.span().start;
    match value.into_inner() {
        DeValue::Table(table) => values(name, name, table, found),
        DeValue::Array(array) if array.iter().all(|v| v.get_ref().is_table()) => {
            found.add(at, None, format!("[[{name}]] stands here; there is only one: [{name}]"));
            T::default()
        }
        other => {
            found.add(
                at,
                None,
                format!("`{name}` is {}; write [{name}] on a line of its own", kind(&other)),
            );
            T::default()
        }
    }
}

fn cameras(value: Spanned<DeValue<'_>>, found: &mut Findings<'_>) -> Vec<Spanned<Camera>> {
    let at = value.span().start;
    let DeValue::Array(array) = value.into_inner() else {
        found.add(at, None, "a camera is written [[camera]], with two brackets");
        return Vec::new();
    };
    let mut cameras = Vec::new();
    for (index, element) in array.into_iter().enumerate() {
        let span = element.span();
        let option = format!("camera[{}]", index + 1);
        match element.into_inner() {
            DeValue::Table(table) => {
                cameras.push(Spanned::new(span, values("camera", &option, table, found)));
            }
            other => found.add(
                span.start,
                Some(&option),
                format!("{} stands here; write [[camera]] on a line of its own", kind(&other)),
            ),
        }
    }
    cameras
}

/// Reads the values of one section; `label` is what problems call it.
fn values<T>(section: &str, label: &str, table: DeTable<'_>, found: &mut Findings<'_>) -> T
where
    T: Default + for<'de> Deserialize<'de>,
{
    let known = names::<T>();
    let mut good = DeTable::new();
    for (key, value) in table {
        let name = key.get_ref().clone();
        if !known.contains(&name.as_ref()) {
            found.add(key.span().start, None, unknown_option(section, &name, known));
            continue;
        }
        let option = format!("{label}.{name}");
        let span = value.span();
        let value = match value.into_inner() {
            // Each element alone, so that the second wrong one is told as well.
            DeValue::Array(array) => {
                let mut kept = DeArray::default();
                for element in array {
                    let mut one = DeArray::default();
                    one.push(element.clone());
                    let one = Spanned::new(span.clone(), DeValue::Array(one));
                    if offer::<T>(&key, one, &option, found) {
                        kept.push(element);
                    }
                }
                Spanned::new(span, DeValue::Array(kept))
            }
            other => Spanned::new(span, other),
        };
        if offer::<T>(&key, value.clone(), &option, found) {
            good.insert(key, value);
        }
    }
    let whole = Spanned::new(0..0, DeValue::Table(good));
    // Every entry was accepted alone; a failure here would be a defect of the types above, and a
    // section that silently falls back to defaults would hide it.
    T::deserialize(ValueDeserializer::from(whole)).unwrap_or_else(|error| {
        found.add(0, None, format!("[{label}] cannot be read: {}", sentence(error.message())));
        T::default()
    })
}

/// Whether serde takes this one value; if not, the reason is noted.
fn offer<'i, T: Deserialize<'i>>(
    key: &Spanned<std::borrow::Cow<'i, str>>,
    value: Spanned<DeValue<'i>>,
    option: &str,
    found: &mut Findings<'_>,
) -> bool {
    let place = value.span();
    let date = value.get_ref().is_datetime();
    let mut one = DeTable::new();
    one.insert(key.clone(), value);
    match T::deserialize(ValueDeserializer::from(Spanned::new(place.clone(), DeValue::Table(one))))
    {
        Ok(_) => true,
        Err(error) => {
            let at = error.span().unwrap_or(place).start;
            let mut said = sentence(error.message());
            if date {
                // serde has no dates; toml hands them over as maps.
                said = said.replace("invalid type: map", "invalid type: date");
            }
            found.add(at, Some(option), said);
            false
        }
    }
}

fn unknown_section(name: &str) -> String {
    let homes: Vec<_> =
        sections().into_iter().filter(|(_, options)| options.contains(&name)).collect();
    if let [(home, _), ..] = homes.as_slice() {
        return format!("`{name}` stands outside its section; it belongs under [{home}]");
    }
    match nearest(name, names::<File>().iter().copied()) {
        Some(near) => format!("unknown section `{name}`; did you mean `{near}`?"),
        None => format!("unknown section `{name}`; there are {}", names::<File>().join(", ")),
    }
}

fn unknown_option(section: &str, name: &str, known: &[&str]) -> String {
    if let Some(near) = nearest(name, known.iter().copied()) {
        return format!("unknown option `{name}` in [{section}]; did you mean `{near}`?");
    }
    let elsewhere = file::sections().into_iter().find(|(_, options)| options.contains(&name));
    match elsewhere {
        Some((home, _)) => {
            format!("`{name}` is no option of [{section}]; it belongs under [{home}]")
        }
        None => {
            format!("unknown option `{name}` in [{section}]; there are {}", known.join(", "))
        }
    }
}

/// What a value is, with its article.
fn kind(value: &DeValue<'_>) -> String {
    let kind = value.type_str();
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {kind}")
}

/// A library's message as part of ours: one line, no full stop.
fn sentence(message: &str) -> String {
    let line = message.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>();
    line.join(", ").trim_end_matches('.').to_owned()
}

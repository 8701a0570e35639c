//! Lists without faces.

use classveil::{
    error::{ErrorKind, Kind},
    people::{Draft, ListProblems, Marker, Status, list},
    vision::identify::Standing,
};
use jiff::civil::date;
use proptest::prelude::*;

use super::{Folder, KEY, TODAY, fixture, rules, texts};

#[test]
fn every_column_is_read() {
    let (list, notices) = list::read(&fixture("every-column.csv"), TODAY).unwrap();
    let standings: Vec<_> = list.people().values().map(|e| e.standing(TODAY)).collect();
    assert_eq!(
        standings,
        [
            Standing::Refused,
            Standing::Consented,
            Standing::NotYet,
            // A refusal counts before its day.
            Standing::Refused,
            Standing::Staff,
        ]
    );
    let first = list.people().values().next().unwrap();
    assert_eq!(first.reference.as_deref(), Some("brief 2026-014"));
    let owners: Vec<_> = list.seats().map(|(id, _, s)| format!("{id} {}", s.camera)).collect();
    assert_eq!(owners, ["p-01 cam1", "p-02 cam1", "p-02 cam2"]);
    let markers: Vec<_> = list.markers().map(|(m, _, standing)| (m.id(), standing)).collect();
    let of = [(17, Standing::Consented), (18, Standing::NotYet), (586, Standing::Staff)];
    assert_eq!(markers, of);
    let without: Vec<_> = list.refused_without_photo().map(ToString::to_string).collect();
    assert_eq!(without, ["p-01", "p-04"]);
    assert!(!list.has_photos());
    let said: Vec<_> = notices.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_day_later_consent_counts() {
    let (list, _) = list::read(&fixture("every-column.csv"), date(2027, 1, 1)).unwrap();
    assert!(list.people().values().all(|e| e.standing(list.today()) != Standing::NotYet));
}

#[test]
fn a_dutch_spreadsheet_is_read() {
    let (list, notices) = list::read(&fixture("dutch-excel.csv"), TODAY).unwrap();
    let first = list.people().values().next().unwrap();
    assert_eq!(first.since, date(2026, 9, 1));
    assert_eq!(first.reference.as_deref(), Some("brief van café de Zon"));
    assert_eq!(list.count(Status::Consented), 1);
    assert!(notices.iter().any(|n| n.to_string().contains("CP1252")));
}

#[test]
fn all_problems_are_told_at_once() {
    let problems = list::read(&fixture("wrong-in-many-ways.csv"), TODAY).unwrap_err();
    assert_eq!(problems.kind(), ErrorKind::Config);
    let text = problems.to_string();
    // What stands in a cell may be a name.
    assert!(!text.contains("Vries"));
    insta::assert_snapshot!(text);
}

#[test]
fn files_that_are_no_list() {
    let folder = Folder::new();
    let large = vec![b'x'; (4 << 20) + 1];
    let utf16: Vec<u8> = "\u{feff}pupil_id".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&str, &[u8], &str); 14] = [
        ("empty", b"", "1:1: the list is empty"),
        ("blank", b"\xEF\xBB\xBF \r\n\r\n", "1:1: the list is empty"),
        ("header only", b"pupil_id,class,status,since\n", "1:28: the list names nobody"),
        ("no header", b"p-01,5a,refused,2026-09-01\n", "1:1: this line is no header"),
        ("utf-16", &utf16, "1:1: the file is UTF-16"),
        ("nul", b"pupil_id,cl\0ass", "1:12: a NUL byte"),
        ("large", &large, "1:1: the list is larger than 4 MiB"),
        ("tabs", b"pupil_id\tclass\tstatus\tsince\n", "1:1: columns are separated by tabs"),
        ("pipes", b"sep=|\npupil_id|class\n", "1:5: `sep=` names"),
        ("broken", b"\xEF\xBB\xBFpupil_id,\xE9", "1:10: the file begins as UTF-8"),
        (
            "missing",
            b"pupil_id,class,since\na,b,2026-09-01",
            "1:21: the header lacks the column `status`",
        ),
        (
            "twice",
            b"class,pupil_id,class,status,since\n",
            "1:16: the column `class` stands twice, first at column 1",
        ),
        ("misspelt", b"pupil_id,class,status,since,foto\n", "1:29: unknown column"),
        (
            "near",
            b"pupil_id,class,status,since,Photo\n",
            "1:29: unknown column: did you mean `photos`?",
        ),
    ];
    for (name, bytes, expected) in cases {
        let path = folder.write("list.csv", bytes);
        let problems = texts(&list::read(&path, TODAY).unwrap_err());
        assert!(problems[0].starts_with(expected), "{name}: {problems:?}");
    }
    let missing = list::read(&folder.path("none.csv"), TODAY).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[test]
fn both_lines_of_a_double_are_named() {
    let problems = Folder::new()
        .read("p-01,a,consented,2026-09-01,,,5,\np-01,a,consented,2026-09-01,,,5,\n")
        .unwrap_err();
    assert_eq!(
        problems,
        [
            "3:1: this pupil_id stands on line 2 already",
            "3:31: marker 5 stands on line 2 already: a marker clears one person",
        ]
    );
}

#[test]
fn a_list_is_applied_to_a_day_only_where_it_matters() {
    let open = |day| Draft::open(&fixture("every-column.csv"), super::Rules::on(day)).unwrap();
    let now = open(TODAY).finish().unwrap().list;
    let later = open(date(2028, 1, 1)).finish().unwrap().list;
    assert_eq!(now.version(&KEY), later.version(&KEY));
    assert_eq!(now.version(&KEY).len(), 64);
    assert_ne!(now.version(&KEY), now.version(&[8; 32]));
    assert_eq!(rules().today, TODAY);
}

/// A row that is right, as its parts: id number, class, status, day, seats, marker, reference.
#[derive(Clone, Debug)]
struct Row {
    id: u16,
    class: String,
    status: &'static str,
    day: (i16, i8, i8),
    seat: Option<(u8, u8)>,
    marker: bool,
    reference: String,
}

fn row() -> impl Strategy<Value = Row> {
    (
        0u16..500,
        "[a-z0-9-]{1,32}",
        prop::sample::select(vec!["refused", "consented", "staff"]),
        (1990i16..2100, 1i8..=12, 1i8..=28),
        prop::option::of((1u8..90, 1u8..90)),
        any::<bool>(),
        "[a-zA-Zé;,\"' ]{0,20}",
    )
        .prop_map(|(id, class, status, day, seat, marker, reference)| Row {
            id,
            class,
            status,
            day,
            seat,
            marker: marker && status != "refused",
            reference,
        })
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::btree_map(0u16..500, row(), 1..12)
        .prop_map(|rows| rows.into_iter().map(|(id, row)| Row { id, ..row }).collect())
}

/// How a list is written down.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
struct Manner {
    semicolon: bool,
    mark: bool,
    crlf: bool,
    dutch_days: bool,
    quote_all: bool,
    reversed: bool,
    columns_reversed: bool,
}

fn manner() -> impl Strategy<Value = Manner> {
    any::<[bool; 7]>().prop_map(|b| Manner {
        semicolon: b[0],
        mark: b[1],
        crlf: b[2],
        dutch_days: b[3],
        quote_all: b[4],
        reversed: b[5],
        columns_reversed: b[6],
    })
}

fn write(rows: &[Row], manner: &Manner) -> Vec<u8> {
    let mut table: Vec<Vec<String>> = rows
        .iter()
        .map(|r| {
            let (y, m, d) = r.day;
            let day = if manner.dutch_days {
                format!("{d}-{m}-{y}")
            } else {
                format!("{y:04}-{m:02}-{d:02}")
            };
            let seat = r.seat.map_or(String::new(), |(x, y)| {
                let (x, y) = (f32::from(x) / 100.0, f32::from(y) / 100.0);
                format!("cam1:{x:.2}/{y:.2} {:.2}/{y:.2} {x:.3}/{:.2}", x + 0.1, y + 0.1)
            });
            let marker = if r.marker { r.id.to_string() } else { String::new() };
            let id = format!("p-{}", r.id);
            let cells = [&id, &r.class, r.status, &day, "", &seat, &marker, &r.reference];
            cells.map(str::to_owned).to_vec()
        })
        .collect();
    if manner.reversed {
        table.reverse();
    }
    table.insert(0, list::COLUMNS.map(str::to_owned).to_vec());
    if manner.columns_reversed {
        for row in &mut table {
            row.reverse();
        }
    }
    let mut writer = csv::WriterBuilder::new()
        .delimiter(if manner.semicolon { b';' } else { b',' })
        .terminator(if manner.crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
        .quote_style(if manner.quote_all {
            csv::QuoteStyle::Always
        } else {
            csv::QuoteStyle::Necessary
        })
        .from_writer(if manner.mark { b"\xEF\xBB\xBF".to_vec() } else { vec![] });
    for row in table {
        writer.write_record(row).expect("a row");
    }
    writer.into_inner().expect("bytes")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However a list is written, it says the same and has the same version.
    #[test]
    fn the_way_of_writing_does_not_matter(rows in rows(), one in manner(), other in manner()) {
        let folder = Folder::new();
        let read = |manner| {
            let path = folder.write("list.csv", write(&rows, manner));
            list::read(&path, TODAY).map(|(list, _)| list).map_err(|e| TestCaseError::fail(e.to_string()))
        };
        let (a, b) = (read(&one)?, read(&other)?);
        prop_assert_eq!(a.canonical(), b.canonical());
        prop_assert_eq!(a.version(&KEY), b.version(&KEY));
        prop_assert_eq!(a.people().len(), rows.len());
        for row in &rows {
            let id = format!("p-{}", row.id).parse().unwrap();
            let entry = &a.people()[&id];
            prop_assert_eq!(entry.status.as_str(), row.status);
            prop_assert_eq!(entry.since, date(row.day.0, row.day.1, row.day.2));
            prop_assert_eq!(entry.marker.map(Marker::id), row.marker.then_some(row.id));
            prop_assert_eq!(entry.reference.as_deref().unwrap_or(""), row.reference.trim());
            prop_assert_eq!(entry.seats.len(), usize::from(row.seat.is_some()));
        }
    }

    /// One field of one person is another version.
    #[test]
    fn another_list_has_another_version(rows in rows(), how in manner(), which: prop::sample::Index) {
        let folder = Folder::new();
        let version = |rows: &[Row]| {
            let path = folder.write("list.csv", write(rows, &how));
            list::read(&path, TODAY).unwrap().0.version(&KEY)
        };
        let mut other = rows.clone();
        let row = &mut other[which.index(rows.len())];
        row.day.0 = if row.day.0 == 1990 { 1991 } else { row.day.0 - 1 };
        prop_assert_ne!(version(&rows), version(&other));
    }

    /// Whatever a file holds, the answer is a list or problems.
    #[test]
    fn no_file_upsets_it(junk: Vec<u8>, headed: bool) {
        let folder = Folder::new();
        let mut bytes = if headed { b"pupil_id,class,status,since\n".to_vec() } else { vec![] };
        bytes.extend(junk);
        let path = folder.write("list.csv", bytes);
        if let Err(problems) = list::read(&path, TODAY) {
            let wrong = matches!(problems, ListProblems::Wrong { .. });
            prop_assert!(wrong);
        }
    }
}

#[test]
fn a_row_with_the_wrong_number_of_fields_tells_its_other_problems() {
    let folder = Folder::new();
    // Its end is missing: the rest is where it should be.
    let short = folder.read("Jan Jansen,5a,perhaps,2026-09-01\n").unwrap_err();
    let problems = ["2:1: pupil_id", "2:15: status", "2:33: this row has 4 fields"];
    assert!(short.iter().zip(problems).all(|(got, part)| got.starts_with(part)), "{short:?}");
    assert_eq!(short.len(), 3, "{short:?}");
    // A comma too many in front of `class`: what lies behind is told in the wrong column.
    let long = folder.read("p-01,,5a,refused,2026-09-01,,,,x\n").unwrap_err();
    assert_eq!(long, ["2:6: class is empty", "2:32: this row has 9 fields, the header has 8"]);
    // What has moved into the column of photos may be a name: it is not repeated.
    let moved = folder.read("p-01,5a,refused,2026-09-01,Jan Jansen,,,,x\n").unwrap_err();
    assert_eq!(moved, ["2:42: this row has 9 fields, the header has 8"]);
    // The pupil counts as named.
    let twice = folder.read("p-01,5a,refused\np-01,5a,refused,2026-09-01,,,,\n").unwrap_err();
    assert!(twice.iter().any(|p| p == "3:1: this pupil_id stands on line 2 already"), "{twice:?}");
}

//! Requests of people who were recorded, over the network: for the privacy officer, each with its due
//! date, and in force at once.

use classveil::vault::Digest;
use serde_json::json;

use super::{
    account, code,
    files::{fetch, recorded},
    logged_in,
};
use crate::service::Station;

/// Puts the privacy officer and another into the directory of people.
fn known(station: &Station) {
    for (person, role) in [("p-01", "privacy-officer"), ("m-01", "manager")] {
        station.run(&["people", "add", person, "--role", role]).ended(0);
    }
}

/// An account of that role is not enough: the directory says who the privacy officer is.
#[test]
fn a_hold_is_for_who_was_recorded_and_by_the_officer_of_the_directory() {
    let (mut station, id, _) = recorded();
    account(&station, "p-02", "privacy-officer", None);
    let mut officer = logged_in(&mut station, "p-01");
    let mut teacher = logged_in(&mut station, "t-07");
    let reason = Digest::of(b"a claim").to_string();
    let asked = json!({ "recording": id, "requested_by": "t-07", "reason_sha256": reason });
    assert_eq!(officer.post("/holds", &asked).status, 403, "not in the directory");
    known(&station);
    let mut other = logged_in(&mut station, "p-02");
    assert_eq!(code(&other.post("/holds", &asked).is(403)), "denied");
    for name in ["a-01", "t-07", "c-02"] {
        let reply = logged_in(&mut station, name).post("/holds", &asked);
        assert_eq!(code(&reply.is(403)), "role", "{name}");
    }
    for (member, value, status) in [
        ("requested_by", json!("m-01"), 403),
        ("requested_by", json!("p-01"), 403),
        ("requested_by", json!("x-99"), 403),
        ("days", json!(91), 403),
        ("days", json!(0), 403),
        ("recording", json!("01990000-0000-7000-8000-000000000000"), 404),
        ("reason_sha256", json!("00"), 400),
    ] {
        let mut bad = asked.clone();
        bad[member] = value;
        let reply = officer.post("/holds", &bad);
        assert_eq!(reply.status, status, "{bad}: {}", reply.text);
    }
    fetch(&mut teacher, &id, "key").is(200);
    officer.post("/holds", &asked).is(200);
    assert_eq!(code(&fetch(&mut teacher, &id, "key").is(403)), "withheld");
    let plan = station.run(&["retention", "plan"]).ended(0).out;
    assert!(plan.contains("held until"), "{plan}");
    let held = officer.get("/holds").is(200).body["holds"][0].clone();
    assert_eq!((&held["recording"], &held["counts"]), (&json!(id), &json!(true)), "{held}");
    assert_eq!((&held["requested_by"], &held["approved_by"]), (&json!("t-07"), &json!("p-01")));
    let end = json!({ "recording": id });
    assert_eq!(other.post("/holds/release", &end).status, 403);
    officer.post("/holds/release", &end).is(200);
    let held = officer.get("/holds").is(200).body["holds"][0].clone();
    assert_eq!((&held["counts"], held["released"].is_string()), (&json!(false), true), "{held}");
    assert_eq!(officer.post("/holds/release", &end).status, 403, "there is none");
    fetch(&mut teacher, &id, "key").is(200);
    let entered = json!({ "ask": "restrict", "by": "t-07", "recordings": [id] });
    officer.post("/requests", &entered).is(200);
    let refusal = json!({ "number": 1, "decision": "refused", "reason_sha256": reason });
    assert_eq!(code(&other.post("/requests/decide", &refusal).is(403)), "denied");
    officer.post("/requests/decide", &refusal).is(200);
}

#[test]
fn an_objection_withholds_at_once_until_it_is_decided_with_a_reason() {
    let (mut station, id, _) = recorded();
    known(&station);
    let mut officer = logged_in(&mut station, "p-01");
    let mut teacher = logged_in(&mut station, "t-07");
    fetch(&mut teacher, &id, "key").is(200);
    let known = officer.get("/requests").is(200).body;
    assert_eq!(known["requests"], json!([]));
    assert_eq!(
        (&known["recordings"][0]["id"], &known["recordings"][0]["withheld"]),
        (&json!(id), &json!(false))
    );

    let day = "2026-01-31";
    let asked = json!({ "ask": "restrict", "by": "p-14", "recordings": [id], "received": day });
    for (member, value) in [
        ("ask", json!("forget")),
        ("by", json!("Jan Jansen")),
        ("recordings", json!(["01990000-0000-7000-8000-000000000000"])),
        ("recordings", json!([])),
        ("received", json!("yesterday")),
        ("received", json!("2999-01-01")),
        ("text_sha256", json!("00")),
    ] {
        let mut bad = asked.clone();
        bad[member] = value;
        let reply = officer.post("/requests", &bad);
        assert!([400, 403, 404].contains(&reply.status), "{bad}: {}", reply.text);
        assert!(!reply.text.contains("Jansen"), "{}", reply.text);
    }
    fetch(&mut teacher, &id, "key").is(200);
    let entered = officer.post("/requests", &asked).is(200).body;
    assert!(entered["due"].as_str().unwrap().starts_with("2026-02-2"), "a month: {entered}");
    assert_eq!((&entered["number"], &entered["overdue"]), (&json!(1), &json!(true)));
    assert_eq!(code(&fetch(&mut teacher, &id, "key").is(403)), "withheld");

    let refusal = json!({ "number": 1, "decision": "refused" });
    assert_eq!(officer.post("/requests/decide", &refusal).status, 403, "not without a reason");
    let mut refusal = refusal;
    refusal["reason_sha256"] = json!(Digest::of(b"the objection was weighed").to_string());
    for name in ["a-01", "t-07", "c-02"] {
        let reply = logged_in(&mut station, name).post("/requests/decide", &refusal);
        assert_eq!(code(&reply.is(403)), "role", "{name}");
    }
    let decided = officer.post("/requests/decide", &refusal).is(200).body;
    assert_eq!((&decided["open"], &decided["answers"][0]["by"]), (&json!(false), &json!("p-01")));
    fetch(&mut teacher, &id, "key").is(200);
    assert_eq!(officer.post("/requests/decide", &refusal).status, 403, "it was answered");
    let listed = station.run(&["request", "list", "--json"]).ended(0).json();
    assert_eq!(listed["requests"][0]["answers"][0]["decision"], "refused", "{listed}");
}

#[test]
fn a_note_that_is_added_is_for_those_who_may_look() {
    let (mut station, id, folder) = recorded();
    known(&station);
    let mut officer = logged_in(&mut station, "p-01");
    let note = "That was not my answer.\n";
    let digest = Digest::of(note.as_bytes()).to_string();
    let asked = json!({ "ask": "add", "by": "p-14", "recordings": [id], "text_sha256": digest });
    officer.post("/requests", &asked).is(200);
    let granted = |note: &str| json!({ "number": 1, "decision": "granted", "note": note });
    assert_eq!(officer.post("/requests/decide", &granted("Another.\n")).status, 403);
    officer.post("/requests/decide", &granted(note)).is(200);
    let root = station.school.path("");
    let sealed = folder.join("notes/000001.age");
    let args = ["-d", "-i", "teacher.key", sealed.to_str().unwrap()];
    let opened = String::from_utf8(station.school.stock(&root, "age", &args)).unwrap();
    assert!(opened.contains("That was not my answer."), "{opened}");
    // The log has digests, and nobody's words.
    let log = std::fs::read_to_string(station.school.store().join("audit/log.jsonl")).unwrap();
    assert!(log.contains("\"answered\"") && !log.contains("my answer"), "{log}");
}

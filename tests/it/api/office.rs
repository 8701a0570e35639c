//! Requests of people who were recorded, over the network: for the privacy officer, each with its due
//! date, and in force at once.

use classveil::vault::Digest;
use serde_json::json;

use super::{
    code,
    files::{fetch, recorded},
    logged_in,
};

#[test]
fn an_objection_withholds_at_once_until_it_is_decided_with_a_reason() {
    let (mut station, id, _) = recorded();
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

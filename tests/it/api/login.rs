//! Who gets in, and for how long.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::json;
use ureq::http::Method;

use super::{PAGES, WORD, account, code, log_in, logged_in, stranger};
use crate::{media::sample, scene::text, service::Station};

fn station(more: &str) -> Station {
    Station::bare(&[text(&sample("obama_speech.mp4"))], &format!("{PAGES}{more}"))
}

#[test]
fn from_the_code_on_paper_to_a_coach_who_is_logged_in() {
    let mut station = station("");
    let code_of = station.run(&["users", "setup-code"]).ended(0).out.trim().to_owned();
    let accounts = station.school.path("accounts.json");
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(accounts.clone()), 0o600);
    station.start();
    let mut page = stranger(&mut station);
    let first =
        |code: &str, password: &str| json!({ "code": code, "name": "a-01", "password": password });
    assert_eq!(code(&page.post("/setup", &first("guessed", WORD)).is(403)), "code");
    assert_eq!(code(&page.post("/setup", &first(&code_of, "short")).is(400)), "password");
    page.post("/setup", &first(&code_of, WORD)).is(201);
    assert_eq!(code(&page.post("/setup", &first(&code_of, WORD)).is(403)), "code");
    station.run(&["users", "setup-code"]).ended(78);

    let reply = log_in(&mut page, "a-01", WORD).is(200);
    assert_eq!((&reply.body["role"], &reply.body["person"]), (&json!("admin"), &json!(null)));
    let cookie = reply.header("set-cookie");
    for part in ["classveil_session=", "; Path=/", "; HttpOnly", "; SameSite=Strict", "; Secure"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert!(reply.header("content-security-policy").contains("frame-ancestors 'none'"));
    // A certificate of the box's own has to be accepted by hand, which this header would forbid.
    assert_eq!(reply.header("strict-transport-security"), "");
    assert_eq!(page.get("/session").is(200).body["name"], "a-01");

    // What changes something needs the page's own word, and no other site's page may ask.
    let word = page.csrf.take();
    assert_eq!(code(&page.delete("/session").is(403)), "csrf");
    page.csrf = Some("guessed".to_owned());
    assert_eq!(code(&page.delete("/session").is(403)), "csrf");
    page.csrf = word;
    let evil = [("origin", "https://evil.example")];
    let forged = page.send(&Method::DELETE, "/api/v1/session", &evil, &[]).is(403);
    assert_eq!(code(&forged), "foreign");
    page.delete("/session").is(204);
    assert_eq!(code(&page.get("/session").is(401)), "not-logged-in");

    // Whoever's account goes, or gets another password, is out.
    account(&station, "c-02", "coach", Some("c-02"));
    let mut coach = logged_in(&mut station, "c-02");
    let mut other = logged_in(&mut station, "c-02");
    coach.get("/status").is(200);
    fs::write(station.school.path("word"), "another few words\n").unwrap();
    station.run(&["users", "passwd", "c-02", "--password-file", "word"]).ended(0);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    coach.get("/status").is(401);
    log_in(&mut coach, "c-02", "another few words").is(200);
    station.run(&["users", "remove", "c-02"]).ended(0);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    coach.get("/status").is(401);
    other.get("/status").is(401);
    log_in(&mut coach, "c-02", "another few words").is(401);
    let all = station.run(&["users", "list", "--json"]).ended(0).json();
    assert_eq!(all["accounts"].as_array().unwrap().len(), 1);

    // It is all in the audit log, and nothing secret is anywhere.
    let log = fs::read_to_string(station.school.store().join("audit/log.jsonl")).unwrap();
    assert_eq!(log.matches("\"kind\":\"account-changed\"").count(), 4, "{log}");
    let said = fs::read_to_string(station.school.path("log")).unwrap();
    let kept = fs::read_to_string(&accounts).unwrap();
    for secret in [WORD, "another few words", &code_of] {
        assert!(!log.contains(secret) && !said.contains(secret) && !kept.contains(secret));
    }
}

#[test]
fn guessing_is_slow() {
    let mut station = station("");
    account(&station, "o-01", "operator", None);
    station.start();
    let mut page = stranger(&mut station);
    for _ in 0..5 {
        assert_eq!(code(&log_in(&mut page, "o-01", "guessed at random").is(401)), "login");
    }
    // Now not even the right one counts, for a while.
    let wait = log_in(&mut page, "o-01", WORD).is(429);
    assert_eq!(code(&wait), "wait");
    let seconds: u64 = wait.header("retry-after").parse().unwrap();
    assert!((20..=31).contains(&seconds), "{seconds}");
    // A name that does not exist is answered like one that does.
    for _ in 0..5 {
        let unknown = log_in(&mut page, "o-99", WORD).is(401);
        assert_eq!(unknown.body["detail"], "the name or the password is wrong");
    }
    log_in(&mut page, "o-99", WORD).is(429);
    // Many names from one place: the place waits.
    let mut waits = false;
    for number in 0..30 {
        waits |= log_in(&mut page, &format!("o-1{number}"), WORD).status == 429;
    }
    assert!(waits);
}

#[test]
fn a_certificate_by_which_the_box_is_known() {
    let mut station = station("");
    account(&station, "o-01", "operator", None);
    station.start();
    let mut page = logged_in(&mut station, "o-01");
    let shown = page.get("/status").is(200).body["network"]["fingerprint"].clone();
    let folder = station.school.path("home/.local/share/classveil");
    let args = ["x509", "-in", "api.crt", "-noout", "-fingerprint", "-sha256"];
    let stock = station.school.stock(&folder, "openssl", &args);
    let stock = String::from_utf8(stock).unwrap();
    let shown = shown.as_str().unwrap();
    assert!(stock.trim().ends_with(shown), "{stock} {shown}");
    let said = station.run(&["status"]).ended(0).out;
    assert!(said.contains(shown), "{said}");
    let said = fs::read_to_string(station.school.path("log")).unwrap();
    assert!(said.contains(shown), "{said}");
    let mode = fs::metadata(folder.join("api.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // The same one after the next start.
    station.send(rustix::process::Signal::TERM);
    assert_eq!(station.ended(), Some(0));
    station.start();
    // Sessions are not kept.
    assert_eq!(page_after(&mut station).status, 401);
    let again = station.until("served", |body| body["network"]["url"].is_string());
    assert_eq!(again["network"]["fingerprint"], shown);
}

fn page_after(station: &mut Station) -> super::Reply {
    stranger(station).get("/session")
}

#[test]
fn without_encryption_on_this_machine_only() {
    let station = station("plain-http = true\n");
    let config = fs::read_to_string(station.school.path("box.toml")).unwrap();
    fs::write(station.school.path("box.toml"), config.replace("127.0.0.1:0", "0.0.0.0:0")).unwrap();
    let said = station.run(&["run"]).ended(78);
    assert!(said.err.contains("api.plain-http"), "{}", said.err);
    fs::write(station.school.path("box.toml"), config).unwrap();
    let mut station = station;
    account(&station, "o-01", "operator", None);
    station.start();
    let mut page = stranger(&mut station);
    assert!(page.url.starts_with("http://127.0.0.1:"));
    // Behind a proxy all come from one address: a stranger's tries lock out nobody else, and who they say
    // they are gives them no more of them.
    let guess = |page: &mut super::client::Client, name: &str, number: u8| {
        let from = format!("10.0.0.{number}");
        let body = format!("{{\"name\":\"{name}\",\"password\":\"guessed at random\"}}");
        let headers = [("content-type", "application/json"), ("x-forwarded-for", &from)];
        page.send(&Method::POST, "/api/v1/session", &headers, body.as_bytes()).status
    };
    for number in 0..30 {
        assert_eq!(guess(&mut page, &format!("o-2{number}"), number), 401);
    }
    account(&station, "o-03", "operator", None);
    let tries: Vec<u16> = (0..6).map(|number| guess(&mut page, "o-03", number)).collect();
    assert_eq!(tries, [401, 401, 401, 401, 401, 429]);
    let reply = log_in(&mut page, "o-01", WORD).is(200);
    assert!(!reply.header("set-cookie").contains("Secure"));
    page.get("/status").is(200);
}

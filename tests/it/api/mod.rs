//! Promise: the box answers over the network only to whom a thing is for, by encrypted connections, and
//! nothing that comes that way holds up a recording.

mod access;
pub(crate) mod client;
mod described;
mod files;
mod lessons;
mod limits;
mod login;
mod office;
mod openers;
mod preview;
mod roles;
mod uploads;

use std::fs;

use client::{Client, Reply};
use serde_json::{Value, json};

use crate::service::Station;

/// The password of everybody here.
pub(crate) const WORD: &str = "four words make one";

/// Settings that serve pages on a free port.
pub(crate) const PAGES: &str = "[api]\nlisten = \"127.0.0.1:0\"\naccounts = \"accounts.json\"\n";

/// Makes an account.
#[track_caller]
pub(crate) fn account(station: &Station, name: &str, role: &str, person: Option<&str>) {
    fs::write(station.school.path("word"), format!("{WORD}\n")).unwrap();
    let mut args = vec!["users", "add", name, "--role", role, "--password-file", "word"];
    args.extend(person.iter().flat_map(|person| ["--person", person]));
    station.run(&args).ended(0);
}

/// Somebody who has not logged in.
pub(crate) fn stranger(station: &mut Station) -> Client {
    let body = station.until("served", |body| body["network"]["url"].is_string());
    let url = body["network"]["url"].as_str().unwrap().to_owned();
    let certificate = fs::read(station.school.path("home/.local/share/classveil/api.crt"));
    Client::new(&url, certificate.ok().as_deref())
}

/// Somebody who is logged in.
#[track_caller]
pub(crate) fn logged_in(station: &mut Station, name: &str) -> Client {
    let mut client = stranger(station);
    log_in(&mut client, name, WORD).is(200);
    client
}

#[track_caller]
pub(crate) fn log_in(client: &mut Client, name: &str, word: &str) -> Reply {
    let reply = client.post("/session", &json!({ "name": name, "password": word }));
    if reply.status == 200 {
        client.csrf = reply.body["csrf"].as_str().map(str::to_owned);
    }
    reply
}

/// What a problem has to say.
#[track_caller]
pub(crate) fn code(reply: &Reply) -> &str {
    assert_eq!(reply.kind, "application/problem+json", "{}", reply.text);
    assert_eq!(reply.body["status"], reply.status);
    for member in ["type", "title", "detail"] {
        assert!(reply.body[member].as_str().is_some_and(|text| !text.is_empty()), "{}", reply.text);
    }
    match &reply.body["code"] {
        Value::String(code) => code,
        other => panic!("no code: {other}"),
    }
}

//! The table of roles, by hand-made requests.

use classveil::api::{Access, Row, accounts::Role, roles_page, routes};
use serde_json::json;
use ureq::http::Method;

use super::{PAGES, account, client::Client, code, files::recorded, logged_in, stranger};
use crate::{media::sample, scene::text, service::Station, support::project};

#[test]
fn the_page_is_what_the_router_does() {
    let page = roles_page(&routes());
    let path = project("docs/ref/roles.md");
    if std::env::var_os("CLASSVEIL_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, page, "write it anew: CLASSVEIL_WRITE_DOCS=1 cargo test --test it api::roles");
}

#[test]
fn every_route_is_explained() {
    let reference = std::fs::read_to_string(project("docs/ref/api.md")).unwrap();
    for Row { method, path, .. } in routes() {
        let named = format!("`{method} {}`", path.strip_prefix("/api/v1").unwrap_or(path));
        assert!(reference.contains(&named), "docs/ref/api.md does not explain {named}");
    }
}

/// Sends a request that is in order but for who sends it.
fn ask(page: &mut Client, row: &Row) -> (u16, String) {
    let id = "01990000-0000-7000-8000-000000000000";
    let path = row
        .path
        .replace("{id}", if row.path.contains("/cameras/") { "cam1" } else { id })
        .replace("{*path}", "manifest.json");
    let body = match row.path {
        // What is in order, and would not be forgotten.
        "/api/v1/session" => json!({ "name": "nobody", "password": "none" }),
        "/api/v1/setup" => json!({ "code": "none", "name": "nobody", "password": "none" }),
        _ => json!({}),
    };
    let body = if row.method == Method::POST { body.to_string() } else { String::new() };
    let kind = [("content-type", "application/json")];
    let kind = if body.is_empty() { &[][..] } else { &kind };
    let mut response = page.begin(&row.method, &path, kind, body.as_bytes());
    let status = response.status().as_u16();
    // What goes on for ever is not waited for.
    let streams = response
        .headers()
        .get("content-type")
        .is_some_and(|kind| kind.to_str().unwrap().contains("stream"));
    let text = if streams { String::new() } else { response.body_mut().read_to_string().unwrap() };
    (status, text)
}

#[test]
fn every_route_with_every_role_and_with_none() {
    let mut station = Station::bare(&[text(&sample("obama_speech.mp4"))], PAGES);
    for role in Role::ALL {
        let person = role.needs_person().then_some("x-01");
        account(&station, role.word(), role.word(), person);
    }
    station.start();
    let rows = routes();
    assert!(rows.len() > 20);
    let mut nobody = stranger(&mut station);
    for row in &rows {
        let (status, text) = ask(&mut nobody, row);
        if row.access == Access::Open {
            assert!(!text.contains("not-logged-in"), "{} {}: {text}", row.method, row.path);
        } else {
            assert_eq!(status, 401, "{} {}: {text}", row.method, row.path);
        }
    }
    for role in Role::ALL {
        let mut page = logged_in(&mut station, role.word());
        for row in rows.iter().filter(|row| row.method != Method::DELETE) {
            let Access::Roles(roles) = row.access else { continue };
            let (status, text) = ask(&mut page, row);
            let refused = text.contains("\"code\":\"role\"");
            assert_ne!(status, 401, "{role}: {} {}", row.method, row.path);
            assert_eq!(
                refused,
                !roles.contains(&role),
                "{role}: {} {}: {text}",
                row.method,
                row.path
            );
            assert_eq!(refused, refused && status == 403);
        }
        // Without the page's word nothing is changed, whoever asks.
        page.csrf = None;
        for row in rows.iter().filter(|row| row.method != Method::GET) {
            let Access::Roles(roles) = row.access else { continue };
            let (status, text) = ask(&mut page, row);
            assert_eq!(status, 403, "{role}: {} {}", row.method, row.path);
            let code =
                if roles.contains(&role) { "\"code\":\"csrf\"" } else { "\"code\":\"role\"" };
            assert!(text.contains(code), "{text}");
        }
    }
}

/// GOVERNANCE R33: numbers for who commissions coaching and who runs the box; every try to get more is
/// refused and known.
#[test]
fn manager_and_admin_have_counts_only() {
    let (mut station, id, _) = recorded();
    account(&station, "m-01", "manager", None);
    let footage = [
        "recordings/{id}/files",
        "recordings/{id}/files/manifest.json",
        "recordings/{id}/key",
        "recordings/{id}/access",
        "cameras/cam1/preview",
    ];
    for name in ["m-01", "a-01"] {
        let mut page = logged_in(&mut station, name);
        let counts = page.get("/counts").is(200).body;
        assert_eq!((&counts["kept"], &counts["withheld"]), (&json!(1), &json!(0)), "{counts}");
        let month = &counts["months"][0];
        assert_eq!((&month["recorded"], &month["destroyed"]), (&json!(1), &json!(0)), "{counts}");
        assert!(!counts.to_string().contains(&id) && !counts.to_string().contains("t-07"));
        for path in footage {
            let path = format!("/{}", path.replace("{id}", &id));
            assert_eq!(code(&page.get(&path).is(403)), "role", "{path}");
        }
    }
    let log = std::fs::read_to_string(station.school.path("log")).unwrap();
    for name in ["m-01", "a-01"] {
        let refused = |line: &&str| {
            line.contains("refused: not for this role") && line.contains(&format!("account={name}"))
        };
        let refused: Vec<&str> = log.lines().filter(refused).collect();
        assert_eq!(refused.len(), footage.len(), "{log}");
        assert!(refused[2].contains("/api/v1/recordings/{id}/key"), "{refused:?}");
    }
    // Nothing else of the box is the manager's, not even that there is a lesson.
    let mut manager = logged_in(&mut station, "m-01");
    for path in ["/status", "/recordings", "/people", "/terms", "/events", "/preflight"] {
        assert_eq!(code(&manager.get(path).is(403)), "role", "{path}");
    }
}

#[test]
fn the_description_for_programs_has_every_route() {
    let mut station = Station::bare(&[text(&sample("obama_speech.mp4"))], PAGES);
    station.start();
    let mut page = stranger(&mut station);
    let described = page.send(&Method::GET, "/api/openapi.json", &[], &[]).is(200).body;
    assert!(described["openapi"].as_str().unwrap().starts_with("3."));
    for Row { method, path, .. } in routes() {
        let path = path.replace("{*", "{");
        let operation = &described["paths"][&path][method.as_str().to_lowercase()];
        assert!(operation["summary"].is_string(), "{method} {path}");
    }
    let body = &described["paths"]["/api/v1/recordings/prepare"]["post"]["requestBody"];
    let schema = &body["content"]["application/json"]["schema"];
    assert_eq!(schema["$ref"], "#/components/schemas/Prepare", "{body}");
    let question = &described["components"]["schemas"]["Prepare"]["properties"]["question"];
    assert_eq!(question["type"], "string", "{described}");
}

//! How many recordings there are, for those who see nothing else of them.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use jiff::tz::TimeZone;
use serde::Serialize;
use utoipa::ToSchema;

use super::recordings::Shelf;
use crate::{
    api::{App, problem::Problem},
    vault::{audit::Event, shelf},
};

/// What there is, and what there was.
#[derive(Serialize, ToSchema)]
pub(super) struct Counts {
    /// Recordings that may be looked at.
    kept: usize,
    /// Recordings that nobody gets at present.
    withheld: usize,
    /// The newest month last.
    months: Vec<InMonth>,
}

/// What happened in one month.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct InMonth {
    /// YYYY-MM.
    month: String,
    /// Recordings that were begun.
    recorded: u64,
    /// Recordings that were destroyed.
    destroyed: u64,
}

pub(super) async fn counts(State(app): State<App>) -> Result<Json<Counts>, Problem> {
    app.work(|app| {
        let shelf = Shelf::look(app)?;
        let all = shelf::recordings(app.desk.store())?;
        let withheld = all.iter().filter(|id| shelf.is_withheld(**id)).count();
        let mut months: BTreeMap<String, InMonth> = BTreeMap::new();
        for entry in app.desk.audit().known()?.iter() {
            let (recorded, destroyed) = match &entry.event {
                Some(Event::Armed { .. }) => (1, 0),
                Some(Event::Destroyed { .. }) => (0, 1),
                _ => continue,
            };
            let month = entry.at.to_zoned(TimeZone::system()).strftime("%Y-%m").to_string();
            let of = months
                .entry(month.clone())
                .or_insert_with(|| InMonth { month, ..InMonth::default() });
            of.recorded += recorded;
            of.destroyed += destroyed;
        }
        let months = months.into_values().collect();
        Ok(Json(Counts { kept: all.len() - withheld, withheld, months }))
    })
    .await
}

//! The routes and who may use them: one table, from which the router, the reference of roles and the
//! description for programs (`OpenAPI`) are made.
//!
//! Belongs here: rows, and what is made of them. Does not belong: handlers. A handler comes into the
//! router by [`Table::add`] only, which takes a [`Row`], and there is no row without an [`Access`]:
//! a route that does not say whose it is does not compile.

use std::{borrow::Cow, fmt::Write as _, time::Duration};

use axum::{
    Router,
    handler::Handler,
    http::Method,
    middleware,
    routing::{MethodFilter, MethodRouter, on},
};
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use super::{App, accounts::Role, guard::guard};

/// How long an ordinary request may take, its body included.
const USUAL: Duration = Duration::from_secs(30);

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody who reaches the box.
    Open,
    /// Whoever is logged in with one of these roles.
    Roles(&'static [Role]),
}

/// Everybody who is logged in.
pub(super) const ALL: Access = Access::Roles(&Role::ALL);

/// Everybody who has to do with the box itself; not who commissions coaching, or looks at what was granted.
pub(super) const STAFF: Access =
    Access::Roles(&[Role::Coach, Role::Admin, Role::Teacher, Role::Operator, Role::PrivacyOfficer]);

/// What a JSON body looks like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) name: fn() -> Cow<'static, str>,
    pub(super) schema: fn() -> RefOr<Schema>,
    /// Those that it names.
    pub(super) named: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl Shape {
    fn of<T: ToSchema>() -> Self {
        Self { name: T::name, schema: T::schema, named: T::schemas }
    }
}

/// What a route answers with when it is done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Gives {
    /// JSON of that shape.
    Json(Shape),
    /// Something of that type.
    File(&'static str),
    /// No body.
    Nothing,
}

/// A number in the query of an address, which may be left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
}

/// One route.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its method.
    pub method: Method,
    /// Its path; `{name}` stands for a part, `{*name}` for the rest.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// What it does, in a few words.
    pub about: &'static str,
    pub(super) takes: Option<(&'static str, Option<Shape>)>,
    pub(super) gives: Gives,
    pub(super) query: Option<Query>,
    pub(super) patience: Duration,
}

impl Row {
    fn new(method: Method, path: &'static str, access: Access, about: &'static str) -> Self {
        let (gives, patience) = (Gives::Nothing, USUAL);
        Self { method, path, access, about, takes: None, gives, query: None, patience }
    }

    pub(super) fn get(path: &'static str, access: Access, about: &'static str) -> Self {
        Self::new(Method::GET, path, access, about)
    }

    pub(super) fn post(path: &'static str, access: Access, about: &'static str) -> Self {
        Self::new(Method::POST, path, access, about)
    }

    pub(super) fn delete(path: &'static str, access: Access, about: &'static str) -> Self {
        Self::new(Method::DELETE, path, access, about)
    }

    /// It takes a JSON body of that shape.
    pub(super) fn takes<T: ToSchema>(mut self) -> Self {
        self.takes = Some(("application/json", Some(Shape::of::<T>())));
        self
    }

    /// It takes a body of that type, for which it has that long.
    pub(super) fn takes_file(mut self, kind: &'static str, patience: Duration) -> Self {
        self.takes = Some((kind, None));
        self.patience = patience;
        self
    }

    /// It answers with JSON of that shape.
    pub(super) fn answers<T: ToSchema>(mut self) -> Self {
        self.gives = Gives::Json(Shape::of::<T>());
        self
    }

    /// It answers with something of that type.
    pub(super) const fn gives(mut self, kind: &'static str) -> Self {
        self.gives = Gives::File(kind);
        self
    }

    /// A number may be asked for by that name.
    pub(super) const fn asks(mut self, name: &'static str, about: &'static str) -> Self {
        self.query = Some(Query { name, about });
        self
    }
}

/// All routes.
#[derive(Default)]
pub(super) struct Table {
    routes: Vec<(Row, MethodRouter<App>)>,
}

impl Table {
    /// Adds a route.
    pub(super) fn add<H, T>(mut self, row: Row, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let filter = match row.method {
            Method::POST => MethodFilter::POST,
            Method::DELETE => MethodFilter::DELETE,
            _ => MethodFilter::GET,
        };
        self.routes.push((row, on(filter, handler)));
        self
    }

    /// The rows alone.
    pub(super) fn rows(self) -> Vec<Row> {
        self.routes.into_iter().map(|(row, _)| row).collect()
    }

    /// The router, with a guard before every route.
    pub(super) fn into_router(self, app: &App) -> Router<App> {
        self.routes.into_iter().fold(Router::new(), |router, (row, handler)| {
            let path = row.path;
            let guarded = middleware::from_fn_with_state((app.clone(), row), guard);
            router.route(path, handler.route_layer(guarded))
        })
    }
}

/// The table of roles, as `docs/ref/roles.md` has it.
#[must_use]
pub fn roles_page(rows: &[Row]) -> String {
    let mut page = String::from(
        "# Roles\n\nWho may use which part of the box over the network. Made from the router itself: a \
         test compares this\npage with it, and another tries every route with every role and with \
         none. What a route is for is in\n[api.md](api.md); what a role may do there is further \
         limited to recordings that are its own.\n\n| route | does |",
    );
    for role in Role::ALL {
        // Writing into a text cannot fail.
        let _ = write!(page, " {role} |");
    }
    page.push_str(" nobody |\n|---|---|");
    page.push_str(&"---|".repeat(Role::ALL.len() + 1));
    page.push('\n');
    for row in rows {
        let _ = write!(page, "| `{} {}` | {} |", row.method, row.path, row.about);
        for role in Role::ALL {
            let may = match row.access {
                Access::Open => true,
                Access::Roles(roles) => roles.contains(&role),
            };
            page.push_str(if may { " yes |" } else { " |" });
        }
        page.push_str(if row.access == Access::Open { " yes |\n" } else { " |\n" });
    }
    page
}

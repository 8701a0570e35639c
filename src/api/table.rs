//! The routes and who may use them: one table, from which the router, the reference of roles and the
//! description for programs (`OpenAPI`) are made.
//!
//! Belongs here: rows, and what is made of them. Does not belong: handlers. A handler comes into the
//! router by [`Table::add`] only, which takes a [`Row`], and there is no row without an [`Access`]:
//! a route that does not say whose it is does not compile.

use std::{fmt::Write as _, time::Duration};

use axum::{
    Router,
    handler::Handler,
    http::Method,
    middleware,
    routing::{MethodFilter, MethodRouter, on},
};
use utoipa::openapi::{
    self, ContentBuilder, InfoBuilder, OpenApiBuilder, PathsBuilder, RefOr, Required,
    ResponseBuilder, Schema,
    path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn},
    request_body::RequestBodyBuilder,
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

/// What a JSON body looks like.
type Shape = fn() -> RefOr<Schema>;

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
    takes: Option<(&'static str, Option<Shape>)>,
    gives: &'static str,
    pub(super) patience: Duration,
}

impl Row {
    fn new(method: Method, path: &'static str, access: Access, about: &'static str) -> Self {
        let gives = "application/json";
        Self { method, path, access, about, takes: None, gives, patience: USUAL }
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
    pub(super) fn takes<T: utoipa::PartialSchema>(mut self) -> Self {
        self.takes = Some(("application/json", Some(T::schema)));
        self
    }

    /// It takes a body of that type, for which it has that long.
    pub(super) fn takes_file(mut self, kind: &'static str, patience: Duration) -> Self {
        self.takes = Some((kind, None));
        self.patience = patience;
        self
    }

    /// It answers with something of that type.
    pub(super) const fn gives(mut self, kind: &'static str) -> Self {
        self.gives = kind;
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

/// The description for programs.
pub(super) fn description(rows: &[Row]) -> openapi::OpenApi {
    let mut paths = PathsBuilder::new();
    for row in rows {
        let method = match row.method {
            Method::POST => HttpMethod::Post,
            Method::DELETE => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        let roles = match row.access {
            Access::Open => "Nobody has to be logged in.".to_owned(),
            Access::Roles(roles) => {
                let roles: Vec<&str> = roles.iter().map(|role| role.word()).collect();
                format!("Roles: {}.", roles.join(", "))
            }
        };
        let mut operation =
            OperationBuilder::new().summary(Some(row.about)).description(Some(roles));
        for part in row.path.split('/').filter_map(|part| part.strip_prefix('{')) {
            let name = part.trim_start_matches('*').trim_end_matches('}');
            let parameter = ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True);
            operation = operation.parameter(parameter);
        }
        if let Some((kind, schema)) = row.takes {
            let content = ContentBuilder::new().schema(schema.map(|schema| schema())).build();
            let body = RequestBodyBuilder::new().content(kind, content);
            operation = operation.request_body(Some(body.required(Some(Required::True)).build()));
        }
        let given = ResponseBuilder::new()
            .description("done")
            .content(row.gives, ContentBuilder::new().build());
        let problem = ResponseBuilder::new()
            .description("a problem, RFC 9457")
            .content("application/problem+json", ContentBuilder::new().build());
        operation = operation.response("2XX", given).response("default", problem);
        let item = openapi::PathItem::new(method, operation);
        let path = row.path.replace("{*", "{");
        paths = paths.path(path, item);
    }
    let info = InfoBuilder::new()
        .title("classveil")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("The box over the network: docs/ref/api.md explains it."));
    OpenApiBuilder::new().info(info).paths(paths).build()
}

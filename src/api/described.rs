//! The description of the interface for programs (`OpenAPI`), made from the table of routes and the shapes
//! that its rows name. Does not belong: the rows, the shapes.

use std::collections::BTreeMap;

use axum::http::Method;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        self, ComponentsBuilder, Content, ContentBuilder, InfoBuilder, ObjectBuilder,
        OpenApiBuilder, PathsBuilder, Ref, RefOr, Required, ResponseBuilder, Schema, Type,
        path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme},
    },
};

use super::{
    guard::{COOKIE, CSRF},
    problem::Described,
    table::{Access, Gives, Row, Shape},
};

/// Shapes by their names.
type Named = BTreeMap<String, RefOr<Schema>>;

/// The name of a shape in the description, which has it from here on.
fn named(shape: Shape, all: &mut Named) -> RefOr<Schema> {
    let mut inner = Vec::new();
    (shape.named)(&mut inner);
    all.extend(inner);
    let name = (shape.name)().into_owned();
    all.insert(name.clone(), (shape.schema)());
    RefOr::Ref(Ref::from_schema_name(name))
}

fn json(schema: RefOr<Schema>) -> Content {
    ContentBuilder::new().schema(Some(schema)).build()
}

/// The description for programs.
pub(super) fn description(rows: &[Row]) -> openapi::OpenApi {
    let mut all = Named::new();
    all.insert(Described::name().into_owned(), Described::schema());
    let mut paths = PathsBuilder::new();
    for row in rows {
        let method = match row.method {
            Method::POST => HttpMethod::Post,
            Method::DELETE => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        let item = openapi::PathItem::new(method, operation(row, &mut all));
        paths = paths.path(row.path.replace("{*", "{"), item);
    }
    let cookie = "the session that `POST /api/v1/session` begins";
    let csrf = "`csrf` of the session, with whatever changes something";
    let components = ComponentsBuilder::new()
        .schemas_from_iter(all)
        .security_scheme(
            "session",
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(COOKIE, cookie))),
        )
        .security_scheme(
            "csrf",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(CSRF, csrf))),
        );
    let info = InfoBuilder::new()
        .title("classveil")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("The box over the network: docs/ref/api.md explains it."));
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components.build())).build()
}

fn operation(row: &Row, all: &mut Named) -> openapi::path::Operation {
    let roles = match row.access {
        Access::Open => "Nobody has to be logged in.".to_owned(),
        Access::Roles(roles) => {
            let roles: Vec<&str> = roles.iter().map(|role| role.word()).collect();
            format!("Roles: {}.", roles.join(", "))
        }
    };
    let mut operation = OperationBuilder::new().summary(Some(row.about)).description(Some(roles));
    if row.access != Access::Open {
        let no_scopes: [&str; 0] = [];
        let session = SecurityRequirement::new("session", no_scopes);
        let is_change = row.method != Method::GET;
        let needed = if is_change { session.add("csrf", no_scopes) } else { session };
        operation = operation.security(needed);
    }
    for part in row.path.split('/').filter_map(|part| part.strip_prefix('{')) {
        let name = part.trim_start_matches('*').trim_end_matches('}');
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .required(Required::True);
        operation = operation.parameter(parameter);
    }
    if let Some(query) = row.query {
        let parameter = ParameterBuilder::new()
            .name(query.name)
            .description(Some(query.about))
            .parameter_in(ParameterIn::Query)
            .schema(Some(ObjectBuilder::new().schema_type(Type::Integer)))
            .required(Required::False);
        operation = operation.parameter(parameter);
    }
    if let Some((kind, shape)) = row.takes {
        let content = match shape {
            Some(shape) => json(named(shape, all)),
            None => ContentBuilder::new().build(),
        };
        let body = RequestBodyBuilder::new().content(kind, content);
        operation = operation.request_body(Some(body.required(Some(Required::True)).build()));
    }
    let given = ResponseBuilder::new().description("done");
    let given = match row.gives {
        Gives::Json(shape) => given.content("application/json", json(named(shape, all))),
        Gives::File(kind) => given.content(kind, ContentBuilder::new().build()),
        Gives::Nothing => given,
    };
    let problem = RefOr::Ref(Ref::from_schema_name(Described::name()));
    let problem = ResponseBuilder::new()
        .description("a problem, RFC 9457")
        .content("application/problem+json", json(problem));
    operation.response("2XX", given).response("default", problem).build()
}

//! The pages: served from the binary, loading nothing from another host.

use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};

/// Scripts, styles and connections of this server alone; nothing inline runs, and nobody frames the page.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);

fn page(html: &'static str) -> Response {
    let mut response = Html(html).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
    response
}

pub(super) async fn welcome() -> Response {
    page(include_str!("welcome.html"))
}

pub(super) async fn graphiql() -> Response {
    page(include_str!("graphiql.html"))
}

pub(super) async fn graphiql_script() -> Response {
    let script = include_str!("graphiql.js");
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], script).into_response()
}

/// The schema in the schema definition language.
pub(super) async fn sdl() -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], crate::schema::sdl()).into_response()
}

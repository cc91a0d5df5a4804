use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::http::{App, REQUEST_ID};

/// How long the database may take to answer before this server calls itself not ready.
const READY_PATIENCE: Duration = Duration::from_secs(2);

/// Whether the process answers at all.
pub(super) async fn live() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// Whether it can do its work: the database answers, and the server is not stopping.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    let database = tokio::time::timeout(READY_PATIENCE, app.engine.platform().ping()).await;
    let (status, answer) = if app.stopping.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "stopping" }))
    } else if matches!(database, Ok(Ok(()))) {
        (StatusCode::OK, json!({ "status": "ok", "database": "ok" }))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "unavailable", "database": "unavailable" }))
    };
    (status, Json(answer)).into_response()
}

/// Figures for Prometheus. No label names an account.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let text = app.metrics.text(app.engine.platform());
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}

/// The keys that verify access tokens, for services that are handed one.
pub(super) async fn keys(State(app): State<Arc<App>>) -> Response {
    let keys = app.engine.platform().auth().public_keys();
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(json!({ "keys": keys }))).into_response()
}

/// Logs and counts each request: its method, route, status and time, and nothing of who sent it or what it said.
pub(super) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    // The route as it is declared: what a stranger put into a path is not logged.
    let route = request.extensions().get::<axum::extract::MatchedPath>().cloned();
    let started = tokio::time::Instant::now();
    let mut response = next.run(request).await;
    harden(&mut response);
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let id = response.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let status = response.status().as_u16();
    let route = route.as_ref().map(axum::extract::MatchedPath::as_str);
    // To write a line costs as much as to answer: it is there for whoever asks for it, and what went wrong always is.
    if status >= 500 {
        tracing::warn!(target: "request", request = id, %method, route, status, milliseconds);
    } else {
        tracing::debug!(target: "request", request = id, %method, route, status, milliseconds);
    }
    app.metrics.served(status);
    response
}

/// What every answer says to browsers.
fn harden(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // Answers are about one caller; only pages say otherwise.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

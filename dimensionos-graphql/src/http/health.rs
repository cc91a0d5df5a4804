use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
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
pub(super) async fn ready(State(app): State<App>) -> Response {
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
pub(super) async fn metrics(State(app): State<App>) -> Response {
    let text = app.metrics.text(app.engine.platform());
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}

/// The keys that verify access tokens, for services that are handed one.
pub(super) async fn keys(State(app): State<App>) -> Response {
    let keys = app.engine.platform().auth().public_keys();
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(json!({ "keys": keys }))).into_response()
}

/// Logs and counts each request: its method, route, status and time, and nothing of who sent it or what it said.
pub(super) async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    // The route as it is declared: what a stranger put into a path is not logged.
    let route = request.extensions().get::<axum::extract::MatchedPath>().map(|path| path.as_str().to_owned());
    let started = tokio::time::Instant::now();
    let response = next.run(request).await;
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let id = response.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let status = response.status().as_u16();
    tracing::info!(target: "request", request = id, %method, route, status, milliseconds);
    app.metrics.served(status);
    response
}

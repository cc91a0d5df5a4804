//! Where a test clock is read and moved. It is there in development alone, and only where the server was started with one.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use dimensionos_core::Clock;
use serde::Deserialize;
use serde_json::json;

use crate::clock::TestClock;
use crate::http::App;

/// Seconds that a clock is moved at most, on or back: twenty years.
const MAX_SECONDS: i64 = 20 * 366 * 86_400;

#[derive(Debug, Clone)]
pub(super) struct Movable {
    pub(super) app: App,
    pub(super) clock: TestClock,
}

/// How the clock is to be moved.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Step {
    advance_seconds: i64,
}

pub(super) async fn read(State(movable): State<Movable>) -> Response {
    Json(json!({ "now": movable.clock.now().to_string() })).into_response()
}

/// Moves the clock, and has the jobs do what is due then before it answers.
pub(super) async fn advance(State(movable): State<Movable>, Json(step): Json<Step>) -> Response {
    if step.advance_seconds.abs() > MAX_SECONDS {
        let told = json!({ "error": format!("advanceSeconds: more than {MAX_SECONDS}") });
        return (StatusCode::BAD_REQUEST, Json(told)).into_response();
    }
    movable.clock.advance(step.advance_seconds);
    let platform = movable.app.engine.platform();
    let ran = platform.payment().follow_clock(&dimensionos_core::Context::system()).await;
    let told = json!({ "now": movable.clock.now().to_string(), "jobs": ran.map_or_else(|error| error.code().name(), |_| "OK") });
    Json(told).into_response()
}

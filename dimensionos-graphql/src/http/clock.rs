//! Where a test clock is read and moved. It is there in development alone, and only where the server was started with one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use dimensionos_core::Clock;
use dimensionos_core::jobs::JobName;
use serde::Deserialize;
use serde_json::json;

use crate::clock::TestClock;
use crate::http::App;

/// Seconds that a clock is moved at most, on or back: twenty years.
const MAX_SECONDS: i64 = 20 * 366 * 86_400;

#[derive(Debug, Clone)]
pub(super) struct Movable {
    pub(super) app: Arc<App>,
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
    let mut jobs = serde_json::Map::new();
    for job in JobName::ALL {
        let ran = platform.jobs().run(&dimensionos_core::Context::system(), job).await;
        jobs.insert(job.name().to_owned(), ran.map_or_else(|error| error.code().name(), |_| "OK").into());
    }
    let told = json!({ "now": movable.clock.now().to_string(), "jobs": jobs });
    Json(told).into_response()
}

//! The bytes of the answer, and nothing that would make them.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use crate::Known;

#[derive(Clone)]
struct Plain {
    known: Arc<Known>,
    body: Bytes,
}

pub(crate) fn router(known: Arc<Known>) -> Router {
    let body = format!(
        r#"{{"data":{{"me":{{"id":"{}","tier":"ENTERPRISE","status":"ACTIVE","metrics":{{"cpu":{{"percent":{}}},"ram":{{"megabytesUsed":{:.1}}},"activity":{{"apiCallsPerHour":{}}}}}}}}}}}"#,
        known.id, known.cpu_percent, known.megabytes_used, known.calls_per_hour
    );
    Router::new().route("/graphql", post(answer)).with_state(Plain { known, body: body.into() })
}

async fn answer(State(plain): State<Plain>, headers: HeaderMap, _operation: Bytes) -> Response {
    if !plain.known.is(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    ([(header::CONTENT_TYPE, "application/json")], plain.body).into_response()
}

//! juniper, whose requests and answers are JSON by themselves, in a handler of axum.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use juniper::http::GraphQLRequest;
use juniper::{
    EmptyMutation, EmptySubscription, FieldResult, GraphQLEnum, GraphQLObject, ID, RootNode, graphql_object,
};

use crate::Known;

#[derive(GraphQLEnum, Clone, Copy)]
enum TierName {
    Free,
    Starter,
    Pro,
    Enterprise,
}

#[derive(GraphQLEnum, Clone, Copy)]
enum ServiceStatus {
    Active,
    ReadOnly,
    Suspended,
    Cancelled,
}

#[derive(GraphQLObject)]
struct CpuMetrics {
    percent: Option<f64>,
}

#[derive(GraphQLObject)]
struct RamMetrics {
    megabytes_used: Option<f64>,
}

#[derive(GraphQLObject)]
struct ActivityMetrics {
    api_calls_per_hour: Option<i32>,
}

#[derive(GraphQLObject)]
struct ResourceMetrics {
    cpu: CpuMetrics,
    ram: RamMetrics,
    activity: ActivityMetrics,
}

#[derive(GraphQLObject)]
struct Account {
    id: ID,
    tier: TierName,
    status: ServiceStatus,
    metrics: ResourceMetrics,
}

/// Who asks.
struct Asking {
    known: Arc<Known>,
    is_known: bool,
}

impl juniper::Context for Asking {}

struct Query;

#[graphql_object(context = Asking)]
impl Query {
    fn me(context: &Asking) -> FieldResult<Account> {
        if !context.is_known {
            return Err("who are you?".into());
        }
        let known = &context.known;
        Ok(Account {
            id: ID::new(known.id.clone()),
            tier: TierName::Enterprise,
            status: ServiceStatus::Active,
            metrics: ResourceMetrics {
                cpu: CpuMetrics { percent: Some(known.cpu_percent) },
                ram: RamMetrics { megabytes_used: Some(known.megabytes_used) },
                activity: ActivityMetrics { api_calls_per_hour: Some(known.calls_per_hour) },
            },
        })
    }
}

type Root = RootNode<Query, EmptyMutation<Asking>, EmptySubscription<Asking>>;

#[derive(Clone)]
struct Server {
    root: Arc<Root>,
    known: Arc<Known>,
}

pub(crate) fn router(known: Arc<Known>) -> Router {
    let root = Arc::new(Root::new(Query, EmptyMutation::new(), EmptySubscription::new()));
    Router::new().route("/graphql", post(answer)).with_state(Server { root, known })
}

async fn answer(State(server): State<Server>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(request) = serde_json::from_slice::<GraphQLRequest>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let asking = Asking { is_known: server.known.is(&headers), known: server.known };
    let answer = request.execute(&server.root, &asking).await;
    let body = serde_json::to_vec(&answer).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

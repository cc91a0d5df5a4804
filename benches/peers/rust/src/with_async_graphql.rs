//! async-graphql with its own glue for axum, and with what a server may do around it.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use async_graphql::parser::parse_query;
use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{
    Context, EmptyMutation, EmptySubscription, Enum, ID, Object, Request, Result, Schema, SimpleObject, ValidationMode,
};
use async_graphql_axum::{GraphQLRequest, GraphQLResponse};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use crate::Known;

#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum TierName {
    Free,
    Starter,
    Pro,
    Enterprise,
}

#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum ServiceStatus {
    Active,
    ReadOnly,
    Suspended,
    Cancelled,
}

#[derive(SimpleObject)]
struct CpuMetrics {
    percent: Option<f64>,
}

#[derive(SimpleObject)]
struct RamMetrics {
    megabytes_used: Option<f64>,
}

#[derive(SimpleObject)]
struct ActivityMetrics {
    api_calls_per_hour: Option<i32>,
}

#[derive(SimpleObject)]
struct ResourceMetrics {
    cpu: CpuMetrics,
    ram: RamMetrics,
    activity: ActivityMetrics,
}

#[derive(SimpleObject)]
struct Account {
    id: ID,
    tier: TierName,
    status: ServiceStatus,
    metrics: ResourceMetrics,
}

struct IsKnown(bool);

struct Query(Arc<Known>);

#[Object]
impl Query {
    async fn me(&self, context: &Context<'_>) -> Result<Account> {
        if !context.data::<IsKnown>()?.0 {
            return Err("who are you?".into());
        }
        let Self(known) = self;
        Ok(Account {
            id: known.id.clone().into(),
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

#[derive(Clone)]
struct Server {
    schema: Schema<Query, EmptyMutation, EmptySubscription>,
    known: Arc<Known>,
    /// Documents that were asked before. A server that strangers ask has to bound it.
    documents: Arc<RwLock<HashMap<String, ExecutableDocument>>>,
}

impl Server {
    fn new(known: Arc<Known>, validation: ValidationMode) -> Self {
        let schema = Schema::build(Query(Arc::clone(&known)), EmptyMutation, EmptySubscription);
        Self { schema: schema.validation_mode(validation).finish(), known, documents: Arc::default() }
    }

    fn parsed(&self, query: &str) -> Option<ExecutableDocument> {
        if let Some(document) = self.documents.read().ok()?.get(query) {
            return Some(document.clone());
        }
        let document = parse_query(query).ok()?;
        self.documents.write().ok()?.insert(query.to_owned(), document.clone());
        Some(document)
    }
}

/// The handler that the library's own documentation shows.
pub(crate) fn as_it_comes(known: Arc<Known>) -> Router {
    async fn answer(State(server): State<Server>, headers: HeaderMap, request: GraphQLRequest) -> GraphQLResponse {
        let is_known = IsKnown(server.known.is(&headers));
        server.schema.execute(request.into_inner().data(is_known)).await.into()
    }
    Router::new().route("/graphql", post(answer)).with_state(Server::new(known, ValidationMode::Strict))
}

/// The executor alone, with documents that are parsed once, and validated by the fast rules.
pub(crate) fn cached(known: Arc<Known>) -> Router {
    async fn answer(State(server): State<Server>, headers: HeaderMap, body: Bytes) -> Response {
        let Ok(request) = serde_json::from_slice::<Request>(&body) else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        let mut request = request.data(IsKnown(server.known.is(&headers)));
        if let Some(document) = server.parsed(&request.query) {
            request.set_parsed_query(document);
        }
        let answer = server.schema.execute(request).await;
        let body = serde_json::to_vec(&answer).unwrap_or_default();
        ([(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
    Router::new().route("/graphql", post(answer)).with_state(Server::new(known, ValidationMode::Fast))
}

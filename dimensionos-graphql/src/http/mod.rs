//! The routes: GraphQL over POST, GET, WebSocket and server-sent events, health, metrics, keys and pages.

mod bearer;
mod clock;
mod cookie;
mod encoding;
mod events;
mod graphql;
mod health;
mod listeners;
mod origin;
mod pages;
mod protocol;
mod rates;
mod socket;
mod source;
mod upgrade;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::routing::get;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::cors::{AllowCredentials, CorsLayer};

use crate::clock::TestClock;
use crate::config::Environment;
use crate::engine::Engine;
use crate::http::listeners::Listeners;
use crate::http::rates::Rates;
use crate::metrics::Metrics;

pub(crate) use origin::Origins;
pub use rates::SourceRate;
pub use source::Peer;

/// What the routes share.
#[derive(Debug, Clone)]
pub struct App {
    pub(crate) engine: Engine,
    pub(crate) environment: Environment,
    pub(crate) origins: Arc<Origins>,
    /// How many proxies of ours stand in front, whose word on where a request comes from is believed.
    pub(crate) trusted_proxies: u8,
    /// How often each source asks without a token that holds.
    pub(crate) rates: Arc<Rates>,
    pub(crate) metrics: Arc<Metrics>,
    /// A clock that can be moved, where the server was started with one.
    pub(crate) clock: Option<TestClock>,
    /// Cancelled when the server stops: connections that would last for ever end then.
    pub(crate) stopping: CancellationToken,
    /// Counts those connections.
    pub(crate) sockets: TaskTracker,
    /// Asks whether those who listen still may.
    pub(crate) listeners: Arc<Listeners>,
}

impl App {
    /// Routes over an engine, with the origins that browsers may call from besides this server's own.
    #[must_use]
    pub fn new(engine: Engine, environment: Environment, allowed_origins: Vec<String>) -> Self {
        Self {
            engine,
            environment,
            origins: Arc::new(Origins::new(allowed_origins)),
            trusted_proxies: 0,
            rates: Arc::new(Rates::new(SourceRate::default())),
            metrics: Arc::default(),
            clock: None,
            stopping: CancellationToken::new(),
            sockets: TaskTracker::new(),
            listeners: Arc::default(),
        }
    }

    /// The same behind that many proxies, each of which adds whom it heard from to `X-Forwarded-For`.
    #[must_use]
    pub fn behind(mut self, proxies: u8) -> Self {
        self.trusted_proxies = proxies;
        self
    }

    /// The same with another rate at which a source may ask without a token that holds.
    #[must_use]
    pub fn with_source_rate(mut self, rate: SourceRate) -> Self {
        self.rates = Arc::new(Rates::new(rate));
        self
    }

    /// The same with a clock that can be moved, in development alone.
    #[must_use]
    pub fn with_test_clock(mut self, clock: Option<TestClock>) -> Self {
        self.clock = clock.filter(|_| self.environment == Environment::Development);
        self
    }
}

/// The routes of the server, to serve or to mount in a router of one's own.
pub fn router(app: App) -> Router {
    let app = Arc::new(app);
    let mut routes = Router::new()
        .route("/graphql", get(graphql::get).post(graphql::post))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/.well-known/jwks.json", get(health::keys))
        .route("/", get(pages::console))
        .route("/assets/{*name}", get(pages::asset));
    for (path, file) in pages::beside() {
        routes = routes.route(path, get(async move |headers: HeaderMap| file.answer(&headers)));
    }
    if app.environment == Environment::Development {
        routes = routes.route("/graphiql", get(pages::graphiql)).route("/schema.graphql", get(pages::sdl));
    }
    if let Some(clock) = app.clock.clone() {
        let movable = clock::Movable { app: Arc::clone(&app), clock };
        let moving = get(clock::read).post(clock::advance).with_state(movable);
        routes = routes.route("/development/clock", moving);
    }
    let origins = Arc::clone(&app.origins);
    let cors = CorsLayer::new()
        .allow_origin(app.origins.allowed().to_vec())
        // For the cookie of a session: nothing else that a browser adds by itself is looked at.
        .allow_credentials(AllowCredentials::predicate(move |origin, _| origins.allowed().contains(origin)))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT, cookie::ASKED])
        .expose_headers([REQUEST_ID, header::RETRY_AFTER])
        .vary([header::ORIGIN]);
    routes.layer(axum::middleware::from_fn_with_state(Arc::clone(&app), health::observe)).layer(cors).with_state(app)
}

/// Names a request in its answer and in the log.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

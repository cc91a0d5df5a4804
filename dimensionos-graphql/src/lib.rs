//! The DimensionOS server as a library: the GraphQL schema, the HTTP routes, and the agent that meters.
//!
//! The binary `dimensionos-graphql` is its first example: it reads [`config::Settings`], opens a database, and calls
//! [`serve::serve`]. A program with a router of its own takes [`router()`] and mounts it.

pub mod agent;
mod billing;
pub mod bus;
pub mod cli;
mod clock;
pub mod config;
mod demo;
mod doctor;
mod engine;
mod error;
mod guard;
mod http;
mod keys;
mod loader;
mod logging;
mod metrics;
mod patience;
mod plan;
mod recipient;
#[expect(
    unnameable_types,
    unreachable_pub,
    clippy::unused_async,
    reason = "async-graphql takes public types and async resolvers; the schema itself is what is public here"
)]
pub mod schema;
pub mod serve;

pub use clock::TestClock;
pub use engine::{AllowList, AllowListError, Calls, Engine, EngineOptions, Introspection, PersistedQueries};
pub use guard::{Limits, TooComplex, check_document, parse_document};
pub use http::{App, Peer, SourceRate, router};
pub use recipient::{AppealRecipient, InvalidRecipient};

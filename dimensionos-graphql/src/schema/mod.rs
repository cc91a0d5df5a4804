//! The GraphQL schema: a resolver parses its input, calls the platform once, and dresses the answer.

mod account;
mod account_page;
mod agent;
mod allocation;
mod auth;
mod credentials;
mod enforcement;
mod events;
mod jobs;
pub(crate) mod live;
mod monitoring;
mod node;
mod page;
mod payment;
mod quota;
mod report;
mod scalars;
mod service;
mod session;
mod standing;
mod terms;
mod violation;
mod voucher;

use async_graphql::{MergedObject, Schema, SchemaBuilder};

pub(crate) use account::{Account, ME, Me};
pub(crate) use monitoring::{METRICS, ResourceMetrics};
pub(crate) use scalars::{DateTime, UInt53};

/// Everything that can be asked.
#[derive(Debug, MergedObject, Default)]
pub struct Query(
    account::AccountQuery,
    agent::AgentQuery,
    allocation::AllocationQuery,
    enforcement::EnforcementQuery,
    jobs::JobQuery,
    node::NodeQuery,
    service::ServiceQuery,
    voucher::VoucherQuery,
);

/// Everything that can be done.
#[derive(Debug, MergedObject, Default)]
pub struct Mutation(
    auth::AuthMutation,
    credentials::CredentialsMutation,
    session::SessionMutation,
    standing::StandingMutation,
    payment::PaymentMutation,
    voucher::VoucherMutation,
    report::ReportMutation,
    agent::AgentMutation,
    quota::QuotaMutation,
    enforcement::EnforcementMutation,
);

/// The schema's type.
pub type DimensionSchema = Schema<Query, Mutation, live::Subscription>;

/// Begins the schema. Operations find the platform and who asks in their request's data.
#[must_use]
pub fn builder() -> SchemaBuilder<Query, Mutation, live::Subscription> {
    Schema::build(Query::default(), Mutation::default(), live::Subscription)
}

/// The schema in the schema definition language.
#[must_use]
pub fn sdl() -> String {
    builder().finish().sdl()
}

/// A resource as the schema names it.
pub(crate) fn resource(resource: dimensionos_core::allocation::Resource) -> monitoring::Resource {
    resource.into()
}

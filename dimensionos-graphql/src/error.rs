//! A core error as a GraphQL one: the only place that turns the one into the other.

use std::time::Duration;

use async_graphql::{ErrorExtensionValues, ErrorExtensions, Name, ServerError, Value};
use dimensionos_core::allocation::Decision;
use dimensionos_core::{Code, Error};

use crate::engine::Asked;
use crate::schema::UInt53;

/// The code of an operation that passes a limit before it is executed.
pub(crate) const QUERY_TOO_COMPLEX: &str = "QUERY_TOO_COMPLEX";

/// The code of a digest that stands for no document here.
pub(crate) const PERSISTED_QUERY_NOT_FOUND: &str = "PERSISTED_QUERY_NOT_FOUND";

/// Characters of a message that GraphQL itself raises.
const MAX_MESSAGE_CHARACTERS: usize = 300;

/// What the client is told. A fault of ours is logged, with its causes, under the request's id, and the client sees that
/// id alone.
pub(crate) fn dress(error: &Error, asked: &Asked) -> async_graphql::Error {
    dress_for(error, &asked.context)
}

/// The same, for whoever asks.
pub(crate) fn dress_for(error: &Error, context: &dimensionos_core::Context) -> async_graphql::Error {
    let code = error.code();
    let request = context.request.map(|request| request.to_string());
    if code == Code::Internal {
        tracing::error!(request, error = error as &dyn std::error::Error, "a request failed");
        let dressed = async_graphql::Error::new("internal error");
        return dressed.extend_with(|_, extensions| {
            extensions.set("code", code.name());
            extensions.set("requestId", request.unwrap_or_default());
        });
    }
    let dressed = async_graphql::Error::new(error.to_string());
    dressed.extend_with(|_, extensions| {
        extensions.set("code", code.name());
        add_facts(error, extensions);
    })
}

fn add_facts(error: &Error, extensions: &mut ErrorExtensionValues) {
    match error {
        Error::InvalidInput { field, .. } => extensions.set("field", *field),
        Error::WeakPassword { hint } => extensions.set("hint", hint.as_str()),
        Error::RateLimited { retry_after, challenge } => {
            extensions.set("retryAfterSeconds", whole_seconds(*retry_after));
            let mut work = async_graphql::indexmap::IndexMap::new();
            work.insert(Name::new("challenge"), Value::from(challenge.text.as_str()));
            work.insert(Name::new("difficulty"), Value::from(challenge.difficulty));
            work.insert(Name::new("expiresAt"), Value::from(challenge.expires_at.to_string()));
            extensions.set("proofOfWork", Value::Object(work));
        }
        Error::Busy { retry_after } => extensions.set("retryAfterSeconds", whole_seconds(*retry_after)),
        Error::ServiceReadOnly { reason } | Error::ServiceSuspended { reason } | Error::ServiceCancelled { reason } => {
            extensions.set("statusReason", reason.name());
        }
        Error::QuotaExceeded(decision) => facts(decision).for_each(|(name, value)| extensions.set(name, value)),
        Error::DoesNotFit { exceeding } => {
            exceeding.iter().take(1).flat_map(facts).for_each(|(name, value)| extensions.set(name, value));
            let each = |decision| facts(decision).map(|(name, value)| (Name::new(name), value)).collect();
            extensions.set(
                "exceeding",
                Value::List(exceeding.iter().map(|decision| Value::Object(each(decision))).collect()),
            );
        }
        Error::PaymentRequired { tier, price_cents } => {
            extensions.set("tier", Name::new(tier.name()));
            extensions.set("priceCentsPerMonth", UInt53::from(*price_cents).0);
        }
        Error::AttestationInvalid { reason } => extensions.set("reason", *reason),
        _ if error.code() == Code::Busy => extensions.set("retryAfterSeconds", 1),
        _ => {}
    }
}

/// The figures of a refusal.
fn facts(decision: &Decision) -> impl Iterator<Item = (&'static str, Value)> + use<> {
    let figure = |value: u64| Value::from(UInt53::from(value).0);
    [
        ("resource", Value::Enum(Name::new(resource_name(decision.resource)))),
        ("limit", decision.limit.map_or(Value::Null, figure)),
        ("used", figure(decision.used)),
        ("resetsAt", decision.resets_at.map_or(Value::Null, |at| Value::from(at.to_string()))),
    ]
    .into_iter()
}

fn resource_name(resource: dimensionos_core::allocation::Resource) -> String {
    match async_graphql::resolver_utils::enum_value(crate::schema::resource(resource)) {
        Value::Enum(name) => name.to_string(),
        other => other.to_string(),
    }
}

/// At least one: to ask again at once would be of no use.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().max(1)
}

/// Gives every error a code: one that GraphQL itself raises is about what the client sent.
pub(crate) fn code(error: &mut ServerError) {
    let extensions = error.extensions.get_or_insert_default();
    if extensions.get("code").is_some() {
        return;
    }
    let field = error.path.iter().rev().find_map(|segment| match segment {
        async_graphql::PathSegment::Field(name) => Some(name.clone()),
        async_graphql::PathSegment::Index(_) => None,
    });
    // The library quotes what it was given, which may be all of a body, once for each error.
    if let Some((end, _)) = error.message.char_indices().nth(MAX_MESSAGE_CHARACTERS) {
        error.message.truncate(end);
        error.message.push('…');
    }
    extensions.set("code", Code::InvalidInput.name());
    extensions.set("field", field.unwrap_or_else(|| "query".to_owned()));
}

/// An input of a request that is not executed, with its field.
pub(crate) fn invalid_request(field: &str, message: impl Into<String>) -> ServerError {
    let mut error = request_error(message, Code::InvalidInput.name());
    error.extensions.get_or_insert_default().set("field", field);
    error
}

/// An error of a request that is not executed.
pub(crate) fn request_error(message: impl Into<String>, code: &str) -> ServerError {
    let mut error = ServerError::new(message, None);
    error.extensions.get_or_insert_default().set("code", code);
    error
}

/// A source asks too often.
pub(crate) fn too_often(wait: Duration) -> ServerError {
    let mut error = request_error("too many requests from here", Code::RateLimited.name());
    error.extensions.get_or_insert_default().set("retryAfterSeconds", whole_seconds(wait));
    error
}

/// A core error that ends a request outside any resolver.
pub(crate) fn dress_request(error: &Error, context: &dimensionos_core::Context) -> ServerError {
    let mut told = request_error(error.to_string(), error.code().name());
    let extensions = told.extensions.get_or_insert_default();
    add_facts(error, extensions);
    if error.code() == Code::Internal {
        let request = context.request.map(|request| request.to_string()).unwrap_or_default();
        tracing::error!(request, error = error as &dyn std::error::Error, "a request failed");
        extensions.set("requestId", request);
        "internal error".clone_into(&mut told.message);
    }
    told
}

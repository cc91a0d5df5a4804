//! Server-sent events: graphql-sse's distinct connections, one operation each.

use std::convert::Infallible;
use std::time::Duration;

use async_graphql::ServerError;
use async_graphql::parser::types::OperationType;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use dimensionos_core::Context;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};

use crate::engine::{Answer, Prepared};
use crate::error::dress_request;
use crate::http::listeners::Ended;
use crate::http::{App, graphql};

/// How often a quiet connection shows that it is alive: below the half minute after which proxies give one up.
const KEEP_ALIVE: Duration = Duration::from_secs(12);
/// Streams an operation's results.
pub(super) fn stream(app: &App, prepared: Prepared, context: &Context) -> Response {
    let is_live = prepared.kind == OperationType::Subscription;
    let results = app.engine.stream(prepared, context.clone());
    if !is_live {
        // What answers once was let in once: a suspended account may still export or sign out in this form too.
        return respond(app, results, context);
    }
    let results = while_allowed(app, results, context.clone());
    respond(app, results, context)
}

/// Streams the one refusal of an operation that is not executed.
pub(super) fn refused(app: &App, error: ServerError, context: &Context) -> Response {
    respond(app, futures_util::stream::iter([Answer::refused(error)]), context)
}

fn respond(app: &App, results: impl Stream<Item = Answer> + Send + 'static, context: &Context) -> Response {
    let metrics = std::sync::Arc::clone(&app.metrics);
    let watching = metrics.subscribed();
    let next = results.map(move |answer| {
        metrics.answered(&answer);
        Event::default().event("next").data(String::from_utf8_lossy(&answer.to_json()))
    });
    let complete = futures_util::stream::iter([Event::default().event("complete").data("")]);
    let events = next.chain(complete).map(move |event| {
        let _ = &watching;
        Ok::<_, Infallible>(event)
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    graphql::name(&mut response, context);
    response
}

/// The results until the caller may no longer listen, or the server stops.
fn while_allowed(
    app: &App,
    results: BoxStream<'static, Answer>,
    context: Context,
) -> impl Stream<Item = Answer> + Send + use<> {
    let listening = app.listeners.enlist(app.engine.platform(), &app.stopping, context.caller.clone());
    futures_util::stream::unfold(Some((listening, results, context)), |state| async {
        let (listening, mut results, context) = state?;
        tokio::select! {
            biased;
            ended = listening.ended() => match ended {
                Ended::Stopping => None,
                Ended::Refused(error) => Some((Answer::refused(dress_request(&error, &context)), None)),
            },
            answer = results.next() => Some((answer?, Some((listening, results, context)))),
        }
    })
}

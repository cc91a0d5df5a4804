//! Server-sent events: graphql-sse's distinct connections, one operation each.

use std::convert::Infallible;
use std::time::Duration;

use async_graphql::ServerError;
use async_graphql::parser::types::OperationType;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use dimensionos_core::Context;
use futures_util::{Stream, StreamExt};

use crate::engine::{Answer, Prepared};
use crate::error::dress_request;
use crate::http::{App, graphql};

/// How often a quiet connection shows that it is alive: below the half minute after which proxies give one up.
const KEEP_ALIVE: Duration = Duration::from_secs(12);
/// How often it is asked whether the caller may still listen; the contract gives a second.
const RECHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Streams an operation's results.
pub(super) fn stream(app: &App, prepared: Prepared, context: &Context) -> Response {
    let is_live = prepared.kind == OperationType::Subscription;
    let results = app.engine.stream(prepared, context.clone()).boxed();
    if !is_live {
        // What answers once was let in once: a suspended account may still export or sign out in this form too.
        return respond(app, results, context);
    }
    let results = while_allowed(app.clone(), results, context.clone());
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
        Event::default().event("next").data(serde_json::to_string(&answer).unwrap_or_default())
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

struct Listening {
    app: App,
    results: futures_util::stream::BoxStream<'static, Answer>,
    context: Context,
    rechecks: tokio::time::Interval,
    has_ended: bool,
}

/// The results until the caller's token ends, or the server stops.
fn while_allowed(
    app: App,
    results: futures_util::stream::BoxStream<'static, Answer>,
    context: Context,
) -> impl Stream<Item = Answer> + Send + 'static {
    let rechecks = tokio::time::interval(RECHECK_INTERVAL);
    let listening = Listening { app, results, context, rechecks, has_ended: false };
    futures_util::stream::unfold(listening, |mut listening| async move {
        let answer = listening.next().await?;
        Some((answer, listening))
    })
}

impl Listening {
    async fn next(&mut self) -> Option<Answer> {
        while !self.has_ended {
            tokio::select! {
                biased;
                () = self.app.stopping.cancelled() => return None,
                _ = self.rechecks.tick() => {
                    let rechecked = self.app.engine.platform().recheck_listener(&self.context.caller).await;
                    if let Err(error) = rechecked {
                        self.has_ended = true;
                        return Some(Answer::refused(dress_request(&error, &self.context)));
                    }
                }
                answer = self.results.next() => return answer,
            }
        }
        None
    }
}

use std::time::Duration;

use async_graphql::Context;
use dimensionos_core::Error;
use futures_util::{Stream, StreamExt};

use crate::engine::Asked;
use crate::error::dress;
use crate::schema::events::AccountEvent;
use crate::schema::monitoring::ResourceMetrics;

/// The shortest interval of a subscription: ten values a second are as many as an eye follows.
const MIN_INTERVAL_MS: i32 = 100;
/// The longest: an hour.
const MAX_INTERVAL_MS: i32 = 3_600_000;
/// The interval where none is given.
pub(crate) const DEFAULT_INTERVAL_MS: i32 = 1_000;

/// How long there is between two values at least.
///
/// # Errors
/// `InvalidInput` for an interval out of bounds.
pub(crate) fn interval(milliseconds: i32) -> Result<Duration, Error> {
    let bounds = MIN_INTERVAL_MS..=MAX_INTERVAL_MS;
    let whole = u64::try_from(milliseconds).ok().filter(|_| bounds.contains(&milliseconds));
    whole.map(Duration::from_millis).ok_or_else(|| Error::InvalidInput {
        field: "intervalMs",
        reason: format!("not from {MIN_INTERVAL_MS} to {MAX_INTERVAL_MS}"),
    })
}

/// Everything that can be followed.
#[derive(Debug)]
pub struct Subscription;

/// Everything that can be followed.
#[async_graphql::Subscription]
impl Subscription {
    /// The signed-in account's metrics: now, and then on change, at most once per interval. A slow reader gets the
    /// newest, never a backlog.
    async fn usage(
        &self,
        context: &Context<'_>,
        #[graphql(
            default_with = "DEFAULT_INTERVAL_MS",
            desc = "Milliseconds between two values, from 100 to 3,600,000."
        )]
        interval_ms: i32,
    ) -> async_graphql::Result<impl Stream<Item = ResourceMetrics> + use<>> {
        let asked = Asked::of(context)?;
        let watched = async {
            let account = asked.context.account()?.account;
            let interval = interval(interval_ms)?;
            let monitoring = asked.platform.monitoring();
            let changes = monitoring.watch(&asked.context, account, interval).await?;
            Ok((changes, asked.platform.allocation().follow(&asked.context, account).await?))
        };
        let (changes, allotted) = watched.await.map_err(|error: Error| dress(&error, asked))?;
        Ok(changes.map(move |metrics| ResourceMetrics::new(&metrics, &allotted.now())))
    }

    /// What happens to the signed-in account, from now on. Quotas are looked at twice a second.
    async fn account_events(
        &self,
        context: &Context<'_>,
    ) -> async_graphql::Result<impl Stream<Item = AccountEvent> + use<>> {
        let asked = Asked::of(context)?;
        let events = async {
            let account = asked.context.account()?.account;
            asked.platform.users().events(&asked.context, account).await
        };
        let events = events.await.map_err(|error: Error| dress(&error, asked))?;
        Ok(events.filter_map(async |event| AccountEvent::of(event)))
    }
}

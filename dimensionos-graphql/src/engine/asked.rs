use std::sync::atomic::{AtomicUsize, Ordering};

use async_graphql::ErrorExtensions;
use dimensionos_core::{Context, Platform, Timestamp};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::QUERY_TOO_COMPLEX;

/// What resolvers find in their context: the platform, and who asks.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) platform: Platform,
    pub(crate) context: Context,
    pub(crate) started_at: Timestamp,
    /// Turns at reading usage from the storage: one at a time, and so many in all.
    turns: Semaphore,
    reads: AtomicUsize,
}

/// Readings of usage from the storage that one operation may make: a page of every resource's history, and some more.
/// Each may give thousands of points, however few words ask for it.
const MAX_READS: usize = 16;

impl Asked {
    pub(super) fn new(platform: Platform, context: Context, started_at: Timestamp) -> Self {
        Self { platform, context, started_at, turns: Semaphore::new(1), reads: AtomicUsize::new(0) }
    }

    pub(crate) fn of<'a>(context: &async_graphql::Context<'a>) -> async_graphql::Result<&'a Self> {
        context.data::<Self>()
    }

    /// A turn at reading usage from the storage. One operation's fields are executed at once, and would otherwise take
    /// every connection from everybody else.
    pub(crate) async fn turn(&self) -> async_graphql::Result<SemaphorePermit<'_>> {
        self.take(1).await
    }

    /// The only turn of an operation: what is read takes megabytes.
    pub(crate) async fn only_turn(&self) -> async_graphql::Result<SemaphorePermit<'_>> {
        self.take(MAX_READS).await
    }

    async fn take(&self, reads: usize) -> async_graphql::Result<SemaphorePermit<'_>> {
        if self.reads.fetch_add(reads, Ordering::Relaxed) + reads > MAX_READS {
            let told =
                format!("the operation reads usage more than {MAX_READS} times, or exports together with other reads");
            let dressed = async_graphql::Error::new(told);
            return Err(dressed.extend_with(|_, extensions| extensions.set("code", QUERY_TOO_COMPLEX)));
        }
        // The semaphore is never closed.
        self.turns.acquire().await.map_err(|_| async_graphql::Error::new("no turn"))
    }
}

use std::sync::Arc;

use dimensionos_core::{AccountId, Context, Platform, Timestamp};
use tokio::sync::SemaphorePermit;

use crate::engine::Cookie;
use crate::loader::{Loader, Loaders, Read, Turns};

/// What resolvers find in their context: the platform, and who asks.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) platform: Platform,
    pub(crate) context: Context,
    pub(crate) started_at: Timestamp,
    /// Where the refresh token is kept, if a cookie keeps it.
    pub(crate) cookie: Option<Arc<Cookie>>,
    /// What it may read, and whose turn it is.
    turns: Arc<Turns>,
    loaders: Loaders,
}

impl Asked {
    pub(super) fn new(
        platform: Platform,
        context: Context,
        started_at: Timestamp,
        cookie: Option<Arc<Cookie>>,
    ) -> Self {
        Self { platform, context, started_at, cookie, turns: Arc::default(), loaders: Loaders::default() }
    }

    pub(crate) fn of<'a>(context: &async_graphql::Context<'a>) -> async_graphql::Result<&'a Self> {
        context.data::<Self>()
    }

    /// The caller's own session has ended, and so has its cookie.
    pub(crate) fn end_cookie(&self) {
        if let Some(cookie) = &self.cookie {
            cookie.remove();
        }
    }

    /// A turn at reading from the storage. One operation's fields are executed at once, and would otherwise take every
    /// connection from everybody else.
    pub(crate) async fn turn(&self) -> async_graphql::Result<SemaphorePermit<'_>> {
        self.turns.one().await
    }

    /// The only turn of an operation: what is read takes megabytes.
    pub(crate) async fn only_turn(&self) -> async_graphql::Result<SemaphorePermit<'_>> {
        self.turns.only().await
    }

    /// What a read comes to for one account, made together with those of other fields.
    pub(crate) async fn load<R: Read>(
        &self,
        loader: fn(&Loaders) -> &Loader<R>,
        viewer: &Context,
        read: R,
        account: AccountId,
    ) -> async_graphql::Result<R::Answer> {
        loader(&self.loaders).load(&self.platform, &self.turns, viewer, read, account).await
    }
}

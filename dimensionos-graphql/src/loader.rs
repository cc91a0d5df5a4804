//! Reads for several accounts at once.
//!
//! The fields of a list are executed beside one another, and each asks for its own account. What is asked of the same
//! read in one round of the executor is put together, and read by one call: so many statements however long the list is.

mod reads;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_graphql::ErrorExtensions;
use dimensionos_core::{AccountId, Caller, Context, Error, Platform, Timestamp};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{QUERY_TOO_COMPLEX, dress_for};

pub(crate) use reads::{
    AllocationRead, HistoryRead, MetricsRead, OverridesRead, RecoveryCodesRead, UsageRead, ViolationsRead,
};

/// Calls that read from the storage which one operation may make, each for any number of accounts: a page of every
/// resource's history, and every other field of an account, with some more.
const MAX_READS: usize = 24;

/// Rows that one operation may ask for: sixteen of the longest histories. They are counted for each field that asks, for
/// each writes them into the answer.
const MAX_ROWS: u64 = 16 * 3_001;

/// What one operation may read, and whose turn it is: its fields are executed at once, and would otherwise take every
/// connection from everybody else.
#[derive(Debug)]
pub(crate) struct Turns {
    turn: Semaphore,
    reads: AtomicUsize,
    rows: AtomicU64,
}

impl Default for Turns {
    fn default() -> Self {
        Self { turn: Semaphore::new(1), reads: AtomicUsize::new(0), rows: AtomicU64::new(0) }
    }
}

impl Turns {
    pub(crate) async fn one(&self) -> async_graphql::Result<SemaphorePermit<'_>> {
        self.take(1).await
    }

    /// The only turn of an operation: what is read takes megabytes.
    pub(crate) async fn only(&self) -> async_graphql::Result<SemaphorePermit<'_>> {
        self.take(MAX_READS).await
    }

    async fn take(&self, reads: usize) -> async_graphql::Result<SemaphorePermit<'_>> {
        if self.reads.fetch_add(reads, Ordering::Relaxed) + reads > MAX_READS {
            return Err(too_complex(&format!(
                "the operation reads more than {MAX_READS} times, or exports together with other reads"
            )));
        }
        // The semaphore is never closed.
        self.turn.acquire().await.map_err(|_| async_graphql::Error::new("no turn"))
    }

    fn ask_for(&self, rows: u64) -> async_graphql::Result<()> {
        if self.rows.fetch_add(rows, Ordering::Relaxed).saturating_add(rows) > MAX_ROWS {
            return Err(too_complex("the operation asks for too much of too many accounts"));
        }
        Ok(())
    }
}

fn too_complex(told: &str) -> async_graphql::Error {
    async_graphql::Error::new(told).extend_with(|_, extensions| extensions.set("code", QUERY_TOO_COMPLEX))
}

/// Something that is read for several accounts by one call.
pub(crate) trait Read: Clone + PartialEq + Send + Sync + 'static {
    /// What it comes to for one account.
    type Answer: Clone + Send + Sync + 'static;

    /// Rows that one account's answer may take at that time.
    fn rows(&self, now: Timestamp) -> u64;

    /// Reads it, in the order of the accounts, of which none stands twice.
    fn read(
        self,
        platform: Platform,
        viewer: Context,
        accounts: Vec<AccountId>,
    ) -> impl Future<Output = Result<Vec<Result<Self::Answer, Error>>, Error>> + Send;
}

type Answers<R> = Arc<HashMap<AccountId, async_graphql::Result<<R as Read>::Answer>>>;
type Reading<R> = Shared<BoxFuture<'static, async_graphql::Result<Answers<R>>>>;

/// Accounts that a read is still to be made for; none once it has begun.
type Asking = Arc<Mutex<Option<Vec<AccountId>>>>;

struct Open<R: Read> {
    read: R,
    viewer: Caller,
    asking: Asking,
    reading: Reading<R>,
}

/// The reads of one kind in one operation.
pub(crate) struct Loader<R: Read> {
    open: Mutex<Vec<Open<R>>>,
}

impl<R: Read> Default for Loader<R> {
    fn default() -> Self {
        Self { open: Mutex::new(Vec::new()) }
    }
}

impl<R: Read> fmt::Debug for Loader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").finish_non_exhaustive()
    }
}

impl<R: Read> Loader<R> {
    /// What a read comes to for one account, made together with whatever else asks for it in this round.
    pub(crate) async fn load(
        &self,
        platform: &Platform,
        turns: &Arc<Turns>,
        viewer: &Context,
        read: R,
        account: AccountId,
    ) -> async_graphql::Result<R::Answer> {
        turns.ask_for(read.rows(platform.clock().now()))?;
        let answers = self.join(platform, turns, viewer, read, account).await?;
        // Whatever was joined is answered for every account that joined it.
        answers.get(&account).cloned().unwrap_or_else(|| Err(async_graphql::Error::new("no answer")))
    }

    fn join(
        &self,
        platform: &Platform,
        turns: &Arc<Turns>,
        viewer: &Context,
        read: R,
        account: AccountId,
    ) -> Reading<R> {
        let mut open = locked(&self.open);
        open.retain(|open| locked(&open.asking).is_some());
        let known = open.iter().find(|open| open.read == read && open.viewer == viewer.caller);
        if let Some(Open { asking, reading, .. }) = known
            && let Some(accounts) = &mut *locked(asking)
        {
            if !accounts.contains(&account) {
                accounts.push(account);
            }
            return reading.clone();
        }
        let asking: Asking = Arc::new(Mutex::new(Some(vec![account])));
        let (platform, turns) = (platform.clone(), Arc::clone(turns));
        // Whoever waits for it drives it: where one of them is dropped the others go on.
        let reading = answer(platform, turns, viewer.clone(), read.clone(), Arc::clone(&asking)).boxed().shared();
        open.push(Open { read, viewer: viewer.caller.clone(), asking, reading: reading.clone() });
        reading
    }
}

async fn answer<R: Read>(
    platform: Platform,
    turns: Arc<Turns>,
    viewer: Context,
    read: R,
    asking: Asking,
) -> async_graphql::Result<Answers<R>> {
    let accounts = all(&asking).await;
    let _turn = turns.one().await?;
    let answers = read.read(platform, viewer.clone(), accounts.clone()).await;
    let answers = answers.map_err(|error| dress_for(&error, &viewer))?;
    let each = accounts.into_iter().zip(answers);
    Ok(Arc::new(each.map(|(account, answer)| (account, answer.map_err(|error| dress_for(&error, &viewer)))).collect()))
}

/// The accounts that are asked for, once a round of the executor has brought no more.
async fn all(asking: &Asking) -> Vec<AccountId> {
    let count = || locked(asking).as_ref().map_or(0, Vec::len);
    loop {
        let before = count();
        // Goes on when everything beside it has had its turn, and waits for something.
        tokio::task::yield_now().await;
        if count() == before {
            return locked(asking).take().unwrap_or_default();
        }
    }
}

// Nothing that could panic is done under these locks.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The reads of one operation.
#[derive(Debug, Default)]
pub(crate) struct Loaders {
    pub(crate) allocations: Loader<AllocationRead>,
    pub(crate) overrides: Loader<OverridesRead>,
    pub(crate) metrics: Loader<MetricsRead>,
    pub(crate) usages: Loader<UsageRead>,
    pub(crate) histories: Loader<HistoryRead>,
    pub(crate) violations: Loader<ViolationsRead>,
    pub(crate) recovery_codes: Loader<RecoveryCodesRead>,
}

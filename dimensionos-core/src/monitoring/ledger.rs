//! The way to the one writer of usage.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::Error;
use crate::allocation::accounting::Question;
use crate::context::Principal;
use crate::id::{AccessKeyId, AccountId};
use crate::monitoring::metering::Metering;
use crate::monitoring::report::{Receipt, Report};
use crate::monitoring::writer::Writer;
use crate::payment::Tombstone;
use crate::users::Account;

/// Reports waiting for the next transactions; past it the answer is `Busy`.
const MAX_WAITING: usize = 1_024;
/// What a refused source is told to wait.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Hands reports to the writer.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// What it writes down.
    pub(super) metering: Arc<Metering>,
    jobs: mpsc::Sender<Job>,
    /// Whether the writer has ended as it was told to.
    has_ended: watch::Receiver<bool>,
}

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Job {
    Report(Entry),
    Quota(Question),
    Flush(Reply<()>),
    Renew(Vec<AccountId>, Reply<()>),
    Close(Reply<()>),
    Evict { idle: Duration, reply: Reply<usize> },
    Erase(Erasure, Reply<()>),
}

/// A report on its way, and where its receipt goes.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) agent: AccessKeyId,
    pub(super) report: Report,
    pub(super) reply: Reply<Receipt>,
}

impl Ledger {
    /// Starts the writer. It ends when it is closed, or the last handle is gone.
    pub(crate) fn start(writer: Writer) -> Self {
        let (jobs, waiting) = mpsc::channel(MAX_WAITING);
        let (end, has_ended) = watch::channel(false);
        let metering = Arc::clone(&writer.metering);
        tokio::spawn(async move {
            writer.run(waiting).await;
            let _ = end.send(true);
        });
        Self { metering, jobs, has_ended }
    }

    /// Makes a report durable and counts it, once.
    pub(crate) async fn report(&self, agent: AccessKeyId, report: Report) -> Result<Receipt, Error> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Report(Entry { agent, report, reply });
        self.jobs.try_send(job).map_err(|_| Error::Busy { retry_after: RETRY_AFTER })?;
        answer.await.map_err(|_| STOPPED)?
    }

    /// Erases an account. The writer does it itself, so that nothing of the account is written
    /// after it.
    pub(crate) async fn erase(&self, erasure: Erasure) -> Result<(), Error> {
        self.ask(|reply| Job::Erase(erasure, reply)).await
    }

    /// Makes accounts in memory anew from the storage.
    pub(crate) async fn renew(&self, accounts: Vec<AccountId>) -> Result<(), Error> {
        self.ask(|reply| Job::Renew(accounts, reply)).await
    }

    /// Makes durable everything recorded so far.
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        self.ask(Job::Flush).await
    }

    /// The same, and gives back what this process was granted of quotas. Then the writer ends, which is waited for.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        // Where nobody takes it or answers it, somebody else has closed it before.
        if self.jobs.send(Job::Close(reply)).await.is_ok()
            && let Ok(closed) = answer.await
        {
            closed?;
        }
        self.has_ended.clone().wait_for(|has_ended| *has_ended).await.map(drop).map_err(|_| STOPPED)
    }

    /// Asks about a quota.
    pub(crate) async fn decide<T>(&self, question: impl FnOnce(Reply<T>) -> Question) -> Result<T, Error> {
        self.ask(|reply| Job::Quota(question(reply))).await
    }

    /// Lets accounts that were idle for that long leave memory, and says how many did.
    pub(crate) async fn evict(&self, idle: Duration) -> Result<usize, Error> {
        self.ask(|reply| Job::Evict { idle, reply }).await
    }

    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).await.map_err(|_| STOPPED)?;
        answer.await.map_err(|_| STOPPED)?
    }
}

const STOPPED: Error = Error::Internal { what: "the writer of usage has stopped" };

/// Which account is to be erased, and whether that still may be.
pub(crate) struct Erasure {
    pub(crate) whose: Whose,
    pub(crate) permit: Permit,
}

/// Whose account is to be erased.
#[derive(Debug)]
pub(crate) enum Whose {
    /// That of whoever is signed in, as long as they still are.
    Holder(Principal),
    /// One whose time has come.
    Account(AccountId),
}

impl Whose {
    pub(crate) const fn account(&self) -> AccountId {
        match self {
            Self::Holder(principal) => principal.account,
            Self::Account(id) => *id,
        }
    }
}

/// Decides about an account as the writer finds it, and says what is left of it.
type Permit = Box<dyn FnOnce(&Account) -> Result<Tombstone, Error> + Send>;

impl std::fmt::Debug for Erasure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Erasure").field("whose", &self.whose).finish_non_exhaustive()
    }
}

//! The one writer of usage: everything that arrives while a transaction commits goes into the next one together.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::Error;
use crate::context::Principal;
use crate::id::{AccessKeyId, AccountId};
use crate::monitoring::cell::{Cell, Pending};
use crate::monitoring::metering::Metering;
use crate::monitoring::reading::Readings;
use crate::monitoring::report::{Arrival, MAX_SOURCES_PER_AGENT, Receipt, Report, SourceName, SourceState};
use crate::monitoring::rollup::{Bucket, Resolution, Rollup, UsageRow};
use crate::store::{Access, Store, StoreError, Tx};
use crate::time::Clock;
use crate::users::{Account, Directory};

/// How long what a process records itself may stay in memory alone.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// Reports of one transaction: enough to share its fsync, few enough that its rows stay small.
const MAX_GROUP: usize = 256;
/// Reports waiting for the next transactions; past it the answer is `Busy`.
const MAX_WAITING: usize = 1_024;
/// What a refused source is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Hands reports to the writer.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    jobs: mpsc::Sender<Job>,
}

#[derive(Debug)]
enum Job {
    Report { agent: AccessKeyId, report: Report, reply: oneshot::Sender<Result<Receipt, Error>> },
    Flush { reply: oneshot::Sender<Result<(), Error>> },
    Erase { erasure: Erasure, reply: oneshot::Sender<Result<(), Error>> },
}

impl Ledger {
    /// Starts the writer. It ends when the last handle is gone.
    pub(crate) fn start(writer: Writer) -> Self {
        let (jobs, waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(writer.run(waiting));
        Self { jobs }
    }

    /// Makes a report durable and counts it, once.
    pub(crate) async fn report(&self, agent: AccessKeyId, report: Report) -> Result<Receipt, Error> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Report { agent, report, reply };
        self.jobs.try_send(job).map_err(|_| Error::Busy { retry_after: RETRY_AFTER })?;
        answer.await.map_err(|_| STOPPED)?
    }

    /// Erases the account of a signed-in caller. The writer does it itself, so that nothing of the account is written
    /// after it.
    pub(crate) async fn erase(&self, erasure: Erasure) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Erase { erasure, reply }).await.map_err(|_| STOPPED)?;
        answer.await.map_err(|_| STOPPED)?
    }

    /// Makes durable everything recorded so far.
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Flush { reply }).await.map_err(|_| STOPPED)?;
        answer.await.map_err(|_| STOPPED)?
    }
}

const STOPPED: Error = Error::Internal { what: "the writer of usage has stopped" };

/// Who has asked for their account to be erased, and whether that still may be.
pub(crate) struct Erasure {
    pub(crate) principal: Principal,
    pub(crate) permit: Permit,
}

/// Decides about an account as the writer finds it.
type Permit = Box<dyn FnOnce(&Account) -> Result<(), Error> + Send>;

impl std::fmt::Debug for Erasure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Erasure").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// What the writer works on.
pub(crate) struct Writer {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) metering: Arc<Metering>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A report on its way, and what is to be answered.
struct Entry {
    agent: AccessKeyId,
    report: Report,
    reply: oneshot::Sender<Result<Receipt, Error>>,
}

impl Writer {
    async fn run(self, mut waiting: mpsc::Receiver<Job>) {
        let mut ticks = tokio::time::interval(FLUSH_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let first = tokio::select! {
                job = waiting.recv() => match job {
                    Some(job) => Some(job),
                    None => break,
                },
                _ = ticks.tick() => None,
            };
            let is_flush_due = first.is_none();
            let mut entries = Vec::new();
            let mut flush_replies = Vec::new();
            let mut erasures = Vec::new();
            let mut next = first;
            while let Some(job) = next {
                match job {
                    Job::Report { agent, report, reply } => entries.push(Entry { agent, report, reply }),
                    Job::Flush { reply } => flush_replies.push(reply),
                    Job::Erase { erasure, reply } => erasures.push((erasure, reply)),
                }
                next = if entries.len() < MAX_GROUP { waiting.try_recv().ok() } else { None };
            }
            let pending =
                if is_flush_due || !flush_replies.is_empty() { self.metering.take_pending() } else { Vec::new() };
            self.write(entries, pending, flush_replies).await;
            for (erasure, reply) in erasures {
                let account = erasure.principal.account;
                let erased = self.erase(erasure).await;
                self.directory.forget(account);
                let _ = reply.send(erased);
            }
        }
        let pending = self.metering.take_pending();
        self.write(Vec::new(), pending, Vec::new()).await;
    }

    async fn erase(&self, Erasure { principal, permit }: Erasure) -> Result<(), Error> {
        let mut tx = self.store.begin(Access::Write).await?;
        // The password was checked before: it may have been changed, or the session ended, since.
        let account = crate::auth::held(&mut *tx, &principal).await?;
        permit(&account)?;
        tx.erase_account(account.id).await?;
        tx.commit().await?;
        self.metering.erase(account.id);
        if let Err(error) = self.store.scrub().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what was erased may still be in the storage's log"
            );
        }
        Ok(())
    }

    async fn write(
        &self,
        entries: Vec<Entry>,
        pending: Vec<(Arc<Cell>, Pending)>,
        flush_replies: Vec<oneshot::Sender<Result<(), Error>>>,
    ) {
        if entries.is_empty() && pending.is_empty() {
            for reply in flush_replies {
                let _ = reply.send(Ok(()));
            }
            return;
        }
        match self.commit(&entries, &pending).await {
            Ok(verdicts) => {
                for (entry, verdict) in entries.into_iter().zip(verdicts) {
                    // Whoever stopped waiting finds out by sending the report again.
                    let _ = entry.reply.send(verdict);
                }
                for reply in flush_replies {
                    let _ = reply.send(Ok(()));
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "usage could not be written");
                self.metering.put_back(&pending);
                for entry in entries {
                    let _ = entry.reply.send(Err(each(&error)));
                }
                for reply in flush_replies {
                    let _ = reply.send(Err(each(&error)));
                }
            }
        }
    }

    /// Writes all of it in one transaction, and then shows it to watchers.
    async fn commit(
        &self,
        entries: &[Entry],
        pending: &[(Arc<Cell>, Pending)],
    ) -> Result<Vec<Result<Receipt, Error>>, Error> {
        // Cells are resumed before the transaction: one resumed after it would find this group in the store, and then
        // be given it a second time.
        let mut cells = HashMap::new();
        for (account, _) in entries.iter().flat_map(|entry| &entry.report.samples) {
            if !cells.contains_key(account) && !self.metering.is_erased(*account) {
                let cell = self.metering.cell(&*self.store, *account, self.clock.now()).await?;
                cells.insert(*account, cell);
            }
        }

        let mut tx = self.store.begin(Access::Write).await?;
        let mut sums = Sums::default();
        let mut sources = Sources::default();
        let mut verdicts = Vec::with_capacity(entries.len());
        for entry in entries {
            let arrival = sources.count(&mut *tx, entry.agent, &entry.report).await?;
            if let Ok(Receipt { is_duplicate: false, .. }) = arrival {
                let kept = entry.report.samples.iter().filter(|(account, _)| !self.metering.is_erased(*account));
                kept.for_each(|(account, sample)| sums.add_sample(*account, sample));
            }
            verdicts.push(arrival);
        }
        let kept = pending.iter().filter(|(cell, _)| !self.metering.is_erased(cell.account));
        kept.for_each(|(cell, pending)| sums.add_pending(cell.account, pending));
        tx.add_usage(&sums.rows()).await?;
        tx.save_readings(&sums.readings()).await?;
        sources.save(&mut *tx).await?;
        tx.commit().await?;

        let now = self.clock.now();
        for (entry, verdict) in entries.iter().zip(&verdicts) {
            if let Ok(Receipt { is_duplicate: false, .. }) = verdict {
                for (account, sample) in &entry.report.samples {
                    if let Some(cell) = cells.get(account) {
                        cell.apply(sample, now);
                    }
                }
            }
        }
        Ok(verdicts)
    }
}

/// What a failed group tells each of its reports.
fn each(error: &Error) -> Error {
    match error {
        // Another writer was there first; the same report will do on another try.
        Error::Store(StoreError::Busy | StoreError::Conflict) | Error::Busy { .. } => {
            Error::Busy { retry_after: RETRY_AFTER }
        }
        // The cause has been logged, once for the group.
        _ => Error::Internal { what: "usage could not be written" },
    }
}

/// The group's usage, folded.
#[derive(Default)]
struct Sums {
    // Ordered, so that two writers on one database take its rows in the same order and never wait in a circle.
    buckets: BTreeMap<(Resolution, Bucket, AccountId), Rollup>,
    readings: BTreeMap<AccountId, Readings>,
}

impl Sums {
    fn add_sample(&mut self, account: AccountId, sample: &crate::monitoring::Sample) {
        for resolution in Resolution::ALL {
            let bucket = Bucket::holding(sample.taken_at(), resolution);
            self.buckets.entry((resolution, bucket, account)).or_default().add(sample);
        }
        self.readings.entry(account).or_default().add(sample);
    }

    fn add_pending(&mut self, account: AccountId, pending: &Pending) {
        for (minute, rollup) in &pending.minutes {
            for resolution in Resolution::ALL {
                let bucket = Bucket::holding(minute.start(), resolution);
                self.buckets.entry((resolution, bucket, account)).or_default().merge(rollup);
            }
        }
        self.readings.entry(account).or_default().merge(&pending.readings);
    }

    fn rows(&self) -> Vec<UsageRow> {
        let row = |(key, rollup): (&(Resolution, Bucket, AccountId), &Rollup)| UsageRow {
            resolution: key.0,
            bucket: key.1,
            account: key.2,
            rollup: *rollup,
        };
        self.buckets.iter().map(row).collect()
    }

    fn readings(&self) -> Vec<(AccountId, Readings)> {
        let measured = self.readings.iter().filter(|(_, readings)| **readings != Readings::default());
        measured.map(|(account, readings)| (*account, *readings)).collect()
    }
}

/// The sources of the group, each read once and written once.
#[derive(Default)]
struct Sources {
    states: BTreeMap<(AccessKeyId, SourceName), SourceState>,
}

impl Sources {
    async fn count(
        &mut self,
        tx: &mut dyn Tx,
        agent: AccessKeyId,
        report: &Report,
    ) -> Result<Result<Receipt, Error>, Error> {
        let key = (agent, report.source.clone());
        if !self.states.contains_key(&key) {
            let state = match tx.source(agent, &report.source).await? {
                Some(state) => state,
                None if self.has_room(tx, agent).await? => SourceState::default(),
                None => return Ok(Err(Error::Conflict { reason: "this agent has too many sources" })),
            };
            self.states.insert(key.clone(), state);
        }
        let arrival = self.states.entry(key).or_default().count(report.sequence);
        let receipt = |is_duplicate| Receipt { sequence: report.sequence, is_duplicate, samples: report.samples.len() };
        Ok(match arrival {
            Arrival::New => Ok(receipt(false)),
            Arrival::Repeat => Ok(receipt(true)),
            Arrival::TooScattered => Err(Error::Conflict { reason: "too many earlier sequences are missing" }),
        })
    }

    async fn has_room(&self, tx: &mut dyn Tx, agent: AccessKeyId) -> Result<bool, Error> {
        let unsaved = self.states.keys().filter(|(owner, _)| *owner == agent).count() as u64;
        Ok(tx.source_count(agent).await? + unsaved < MAX_SOURCES_PER_AGENT)
    }

    async fn save(&self, tx: &mut dyn Tx) -> Result<(), Error> {
        for ((agent, name), state) in &self.states {
            tx.save_source(*agent, name, state).await?;
        }
        Ok(())
    }
}

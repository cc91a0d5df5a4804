//! Doing the jobs that are due, for as long as the lease is this process's.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::RwLock;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, MissedTickBehavior};

use crate::Error;
use crate::id::ReplicaId;
use crate::jobs::{JobLease, JobName, JobOutcome, JobRun, JobStatus};
use crate::platform::Inner;
use crate::store::{Access, StoreError};
use crate::time::Timestamp;

/// The name of the one lease, whoever holds which does all jobs.
pub const LEASE_NAME: &str = "jobs";
/// How long the lease lasts from its last renewal. With the time until another looks for it, jobs go on within 25 seconds
/// of their holder's death, and by as much later as the other's clock is behind; four renewals fit into it, so that one
/// slow commit loses nothing.
pub const LEASE_TIME: Duration = Duration::from_secs(20);
/// How often a process renews the lease, or looks whether it is free, and what is due. The clocks of two processes may
/// differ by [`LEASE_TIME`] less this without either taking the lease from the other.
pub const RENEW_INTERVAL: Duration = Duration::from_secs(5);
/// How long a platform that is closed waits for jobs that are under way. None is lost: another process begins it anew.
const JOBS_END_WITHIN: Duration = Duration::from_secs(5);

/// Counts how often this process took the lease. What began in one term is not recorded in another: between them the lease
/// was somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Term(u64);

/// What this process knows of the jobs, and of whose they are.
#[derive(Debug)]
pub(crate) struct Scheduler {
    replica: ReplicaId,
    /// Held while the lease's row is written, so that what is known of it follows what the storage has.
    tenure: Mutex<Tenure>,
    seen: RwLock<Seen>,
    /// Whose turn each job is: no job is done twice at once by this process.
    turns: [Arc<Mutex<()>>; JobName::ALL.len()],
}

#[derive(Debug, Default)]
struct Tenure {
    term: Term,
    is_closed: bool,
    /// Another's lease, and since when it has not been renewed.
    other: Option<(JobLease, Instant)>,
}

/// What the storage had when it was asked last.
#[derive(Debug)]
struct Seen {
    runs: Vec<JobRun>,
    held_until: Option<Timestamp>,
}

impl Scheduler {
    /// Knows the runs that are stored, and holds nothing.
    pub(crate) fn new(replica: ReplicaId, runs: Vec<JobRun>) -> Self {
        let seen = RwLock::new(Seen { runs, held_until: None });
        Self { replica, tenure: Mutex::default(), seen, turns: Default::default() }
    }

    /// Every job as this process saw it last, a few seconds ago.
    pub(super) fn seen(&self) -> Vec<JobStatus> {
        JobStatus::all(&self.seen.read().runs)
    }

    /// Whether the lease is this process's.
    pub(super) fn is_holder(&self, now: Timestamp) -> bool {
        self.seen.read().held_until.is_some_and(|until| until > now)
    }

    /// Does what is due, for as long as the platform is there and open. It begins after a while: what a command opens and
    /// leaves again takes nothing on.
    pub(crate) async fn serve(platform: Weak<Inner>) {
        let mut ticks = tokio::time::interval_at(Instant::now() + RENEW_INTERVAL, RENEW_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_failing = false;
        loop {
            ticks.tick().await;
            let Some(inner) = platform.upgrade() else { return };
            if inner.scheduler.tenure.lock().await.is_closed {
                return;
            }
            match inner.scheduler.hold(&inner).await {
                Ok(held) => {
                    is_failing = false;
                    held.into_iter().for_each(|term| begin_due(&inner, term));
                }
                // Once for as long as it lasts.
                Err(error) if !std::mem::replace(&mut is_failing, true) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the jobs' lease cannot be asked for");
                }
                Err(_) => {}
            }
        }
    }

    /// Takes the lease, or goes on with it, and looks what ran when. Absent where it is another's.
    pub(super) async fn hold(&self, inner: &Inner) -> Result<Option<Term>, Error> {
        let mut tenure = self.tenure.lock().await;
        if tenure.is_closed {
            return Err(Error::Internal { what: "the platform is closed" });
        }
        let now = inner.clock.now();
        let until = now.after(LEASE_TIME);
        let mut tx = inner.store.begin(Access::Write).await?;
        let before = tx.job_lease(LEASE_NAME).await?;
        let is_abandoned = before.is_some_and(|lease| tenure.is_abandoned(lease, until));
        let as_of = if is_abandoned { Timestamp::LAST } else { now };
        let is_held = tx.take_job(LEASE_NAME, self.replica, as_of, until).await?;
        if is_held && before.is_none_or(|lease| lease.holder != self.replica) {
            // Before the commit, whose answer may be lost.
            tenure.term.0 += 1;
        }
        let runs = tx.job_runs().await?;
        tx.commit().await?;
        *self.seen.write() = Seen { runs, held_until: is_held.then_some(until) };
        Ok(is_held.then_some(tenure.term))
    }

    /// Waits until nobody in this process does that job.
    pub(super) async fn turn(&self, job: JobName) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turns[job as usize]).lock_owned().await
    }

    /// Does some work, which is a job's, and records how it went, unless another process has taken over meanwhile.
    pub(super) async fn attempt(
        &self,
        inner: &Inner,
        (job, term): (JobName, Term),
        work: impl Future<Output = Result<u64, Error>>,
    ) -> Result<JobRun, Error> {
        let started_at = inner.clock.now();
        // One that panics is one that failed, and is told of as such.
        let done = AssertUnwindSafe(work).catch_unwind().await;
        let done = done.unwrap_or(Err(Error::Internal { what: "a job panicked" }));
        let ended_at = inner.clock.now();
        let outcome = match &done {
            Ok(done) => JobOutcome::Ok { done: *done },
            Err(error) => {
                tracing::warn!(job = job.name(), error = error as &dyn std::error::Error, "a job failed");
                JobOutcome::Failed { fault: error.code() }
            }
        };
        let last_ok_at = done.is_ok().then_some(ended_at);
        let mut run = JobRun { job, started_at, ended_at, outcome, last_ok_at };
        match self.record(inner, &mut run, term).await {
            Ok(true) => {}
            Ok(false) => tracing::warn!(job = job.name(), "another process has taken the jobs over meanwhile"),
            Err(error) => {
                tracing::warn!(
                    job = job.name(),
                    error = &error as &dyn std::error::Error,
                    "a run could not be recorded"
                );
            }
        }
        done.map(|_| run)
    }

    /// Writes a run down where the lease has been this process's ever since it began, and says whether it was.
    async fn record(&self, inner: &Inner, run: &mut JobRun, term: Term) -> Result<bool, StoreError> {
        let tenure = self.tenure.lock().await;
        let mut tx = inner.store.begin(Access::Write).await?;
        // Nobody takes it before this transaction ends. One that ran off is still ours where nobody took it.
        let lease = tx.job_lease(LEASE_NAME).await?;
        if tenure.term != term || lease.is_none_or(|lease| lease.holder != self.replica) {
            return Ok(false);
        }
        let mut runs = tx.job_runs().await?;
        let before = runs.iter().position(|known| known.job == run.job).map(|place| runs.remove(place));
        run.last_ok_at = run.last_ok_at.or(before.and_then(|before| before.last_ok_at));
        tx.save_job_run(run).await?;
        tx.commit().await?;
        runs.push(*run);
        self.seen.write().runs = runs;
        Ok(true)
    }

    /// Begins no more jobs, waits for those under way, and gives the lease back: another process goes on at once.
    pub(crate) async fn close(&self, inner: &Inner) {
        self.tenure.lock().await.is_closed = true;
        let ended = async {
            for job in JobName::ALL {
                drop(self.turn(job).await);
            }
        };
        if tokio::time::timeout(JOBS_END_WITHIN, ended).await.is_err() {
            tracing::warn!("a job has not come to its end, and another process begins it anew");
        }
        let mut tenure = self.tenure.lock().await;
        // What still goes on is recorded by nobody.
        tenure.term.0 += 1;
        if self.seen.write().held_until.take().is_some()
            && let Err(error) = self.give_back(inner).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "the jobs' lease runs off by itself");
        }
    }

    async fn give_back(&self, inner: &Inner) -> Result<(), StoreError> {
        let mut tx = inner.store.begin(Access::Write).await?;
        // Until an instant that has passed, whatever clock another process goes by.
        tx.take_job(LEASE_NAME, self.replica, inner.clock.now(), Timestamp::EPOCH).await?;
        tx.commit().await
    }
}

impl Tenure {
    /// Whether another's lease holds for ever as it is: it ends later than any that is taken now, and has not been renewed
    /// for as long as one lasts. It was taken before the clock was set back, and its holder is gone.
    fn is_abandoned(&mut self, lease: JobLease, until: Timestamp) -> bool {
        match self.other {
            Some((known, since)) if known == lease => lease.expires_at > until && since.elapsed() >= LEASE_TIME,
            _ => {
                self.other = Some((lease, Instant::now()));
                false
            }
        }
    }
}

/// Begins the jobs that are due, each by itself: one that takes long, or fails, keeps no other waiting.
fn begin_due(inner: &Arc<Inner>, term: Term) {
    let now = inner.clock.now();
    for status in inner.scheduler.seen().into_iter().filter(|status| status.is_due(now)) {
        let job = status.job;
        // One that is under way is not begun again.
        let Ok(turn) = Arc::clone(&inner.scheduler.turns[job as usize]).try_lock_owned() else { continue };
        let inner = Arc::clone(inner);
        tokio::spawn(async move {
            // How it went has been recorded, and logged where it failed.
            let _ = inner.scheduler.attempt(&inner, (job, term), job.perform(&inner)).await;
            drop(turn);
        });
    }
}

#[cfg(test)]
mod tests;

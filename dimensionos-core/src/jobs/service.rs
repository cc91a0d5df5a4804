use crate::Error;
use crate::context::Context;
use crate::jobs::{JobName, JobRun, JobStatus};
use crate::platform::Inner;
use crate::policy::{Action, Target, allows};
use crate::store::Access;

/// Tells what the service does by itself and how that went, and lets the program do it at once.
#[derive(Debug)]
pub struct Schedule<'a>(pub(crate) &'a Inner);

impl Schedule<'_> {
    /// Every job with its last run, whichever process it ran in.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator and the program.
    pub async fn status(&self, context: &Context) -> Result<Vec<JobStatus>, Error> {
        allows(&context.caller, Action::SeeJobs, Target::Service)?;
        let runs = self.0.store.begin(Access::Read).await?.job_runs().await?;
        Ok(JobStatus::all(&runs))
    }

    /// Does a job now, whether or not it is due, and records it like any other run: for tests, and for whoever has moved
    /// the clock. The lease is this process's from then on.
    ///
    /// # Errors
    /// `Forbidden` for any caller but the program; `Conflict` where another process does the jobs; whatever the job itself
    /// failed with, which is recorded as well.
    pub async fn run(&self, context: &Context, job: JobName) -> Result<JobRun, Error> {
        let Self(inner) = self;
        allows(&context.caller, Action::RunJob, Target::Service)?;
        let _turn = inner.scheduler.turn(job).await;
        let held = inner.scheduler.hold(inner).await?;
        let term = held.ok_or(Error::Conflict { reason: "another process does the jobs" })?;
        inner.scheduler.attempt(inner, (job, term), job.perform(inner)).await
    }

    /// Every job as this process saw it last, some seconds ago at most. Asks nobody: for metrics.
    #[must_use]
    pub fn seen(&self) -> Vec<JobStatus> {
        self.0.scheduler.seen()
    }

    /// Whether this process is the one that does the jobs.
    #[must_use]
    pub fn is_holder(&self) -> bool {
        self.0.scheduler.is_holder(self.0.clock.now())
    }
}

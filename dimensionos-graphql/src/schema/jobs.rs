//! What the service does by itself, and how that went.

use async_graphql::{Context, Enum, Object, Result, SimpleObject};
use dimensionos_core::jobs::{self, JobOutcome as Outcome};

use crate::engine::Asked;
use crate::error::dress;
use crate::schema::{DateTime, UInt53};

/// What is done by itself, by one of the servers on a database.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "jobs::JobName")]
pub enum JobName {
    /// Removes what has run out: sessions, quotas, violations, usage past its retention.
    Purge,
    /// Tells what time did to accounts, and erases those whose time has come.
    Lifecycle,
}

/// How a run ended.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
pub enum JobOutcome {
    /// It did what there was to do.
    Ok,
    /// It did not, and is tried again at its next turn.
    Failed,
}

/// The last run of a job.
#[derive(Debug, SimpleObject)]
pub struct JobRun {
    /// When it began.
    started_at: DateTime,
    /// When it ended.
    ended_at: DateTime,
    /// How.
    outcome: JobOutcome,
    /// Set where it failed: one of the error codes.
    fault: Option<&'static str>,
    /// How many things it did; null where it failed.
    done: Option<UInt53>,
}

/// A job, and how it went last, whichever server did it.
#[derive(Debug, SimpleObject)]
pub struct Job {
    /// Which.
    name: JobName,
    /// Seconds from one beginning to the next.
    interval_seconds: UInt53,
    /// Null where it never ran.
    last_run: Option<JobRun>,
    /// When a run last ended well; null where none ever did.
    last_success_at: Option<DateTime>,
}

impl From<jobs::JobRun> for JobRun {
    fn from(run: jobs::JobRun) -> Self {
        let (outcome, fault, done) = match run.outcome {
            Outcome::Ok { done } => (JobOutcome::Ok, None, Some(done.into())),
            Outcome::Failed { fault } => (JobOutcome::Failed, Some(fault.name()), None),
        };
        Self { started_at: run.started_at.into(), ended_at: run.ended_at.into(), outcome, fault, done }
    }
}

impl From<jobs::JobStatus> for Job {
    fn from(status: jobs::JobStatus) -> Self {
        Self {
            name: status.job.into(),
            interval_seconds: status.job.interval().as_secs().into(),
            last_run: status.last.map(JobRun::from),
            last_success_at: status.last.and_then(|run| run.last_ok_at).map(DateTime::from),
        }
    }
}

#[derive(Debug, Default)]
pub struct JobQuery;

#[Object]
impl JobQuery {
    /// Operators only. What the service does by itself, and how each went last.
    async fn jobs(&self, context: &Context<'_>) -> Result<Vec<Job>> {
        let asked = Asked::of(context)?;
        let known = asked.platform.jobs().status(&asked.context).await.map_err(|error| dress(&error, asked))?;
        Ok(known.into_iter().map(Job::from).collect())
    }
}

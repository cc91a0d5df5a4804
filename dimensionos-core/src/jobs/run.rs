use std::time::Duration;

use crate::Code;
use crate::id::ReplicaId;
use crate::jobs::JobName;
use crate::time::Timestamp;

/// How a run of a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobOutcome {
    /// It did what there was to do.
    Ok {
        /// How many things that were.
        done: u64,
    },
    /// It did not, and is tried again at its next turn.
    Failed {
        /// The stable name of what it failed with, and nothing more of it: causes are in the log of whoever ran it.
        fault: Code,
    },
}

impl JobOutcome {
    /// The names of all outcomes.
    pub const NAMES: [&'static str; 2] = ["OK", "FAILED"];

    /// The name in tables, answers and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok { .. } => "OK",
            Self::Failed { .. } => "FAILED",
        }
    }
}

/// The last run of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobRun {
    /// Of which job.
    pub job: JobName,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How.
    pub outcome: JobOutcome,
    /// When a run last ended well, this one or one before; absent where none ever did.
    pub last_ok_at: Option<Timestamp>,
}

impl JobRun {
    /// How long it took, by the clock.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.ended_at.since(self.started_at)
    }
}

/// A job, and how it went last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobStatus {
    /// Which.
    pub job: JobName,
    /// Its last run; absent where it never ran.
    pub last: Option<JobRun>,
}

impl JobStatus {
    /// Every job, with its run among those that are stored.
    #[must_use]
    pub fn all(runs: &[JobRun]) -> Vec<Self> {
        let status = |job| Self { job, last: runs.iter().find(|run| run.job == job).copied() };
        JobName::ALL.map(status).into()
    }

    /// Whether it is time to do it again. A run that has not begun yet, as the clock has it, is one from before the clock
    /// was set back: to wait for its end would silence the job for as long as the step.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.last.is_none_or(|run| run.started_at > now || now.since(run.started_at) >= self.job.interval())
    }
}

/// Who does a job, or did it last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobLease {
    /// Which process.
    pub holder: ReplicaId,
    /// Until when it is that process's alone.
    pub expires_at: Timestamp,
}

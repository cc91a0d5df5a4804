//! What the service does by itself: each job at its interval, by one of the processes on a database.
//!
//! That process holds the lease, a row that runs off 20 seconds after it was renewed last; where it dies, another goes
//! on. Every job may be done again at any time and by two processes at once, and comes to the same.

mod job;
mod purge;
mod run;
mod scheduler;
mod service;

pub use job::JobName;
pub use run::{JobLease, JobOutcome, JobRun, JobStatus};
pub(crate) use scheduler::Scheduler;
pub use scheduler::{LEASE_NAME, LEASE_TIME, RENEW_INTERVAL};
pub use service::Schedule;

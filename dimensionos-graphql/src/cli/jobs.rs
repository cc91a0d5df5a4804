//! `operator jobs`: what the service does by itself, as the database has it.

use dimensionos_core::jobs::{JobLease, JobOutcome, JobStatus, LEASE_NAME};
use dimensionos_core::store::{Access, Store};
use dimensionos_core::{Clock, SystemClock, Timestamp};
use dimensionos_store::Database;

use crate::cli::{Fault, check_schema, table};
use crate::config::Settings;

/// The table's head.
const HEAD: [&str; 7] = ["job", "every", "last run", "took", "outcome", "done", "last success"];

/// Prints every job with its last run, and whether somebody does them. Changes nothing.
pub(super) async fn print(settings: &Settings) -> Result<(), Fault> {
    check_schema(settings).await?;
    let database = Database::open_for_reading(settings.database_url.expose()).await?;
    let mut tx = database.begin(Access::Read).await?;
    let (runs, lease) = (tx.job_runs().await?, tx.job_lease(LEASE_NAME).await?);
    drop(tx);
    database.close().await;
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(JobStatus::all(&runs).iter().map(line));
    table::print(&lines);
    println!("{}", holder(lease, SystemClock.now()));
    Ok(())
}

fn line(status: &JobStatus) -> [String; HEAD.len()] {
    let none = || "-".to_owned();
    let every = format!("{} s", status.job.interval().as_secs());
    let Some(run) = status.last else {
        return [status.job.name().to_owned(), every, "never".to_owned(), none(), none(), none(), none()];
    };
    let (outcome, done) = match run.outcome {
        JobOutcome::Ok { done } => (run.outcome.name().to_owned(), done.to_string()),
        JobOutcome::Failed { fault } => (format!("{} {}", run.outcome.name(), fault.name()), none()),
    };
    let took = format!("{:.1} s", run.duration().as_secs_f64());
    let success = run.last_ok_at.map_or_else(none, |at| at.to_string());
    [status.job.name().to_owned(), every, run.started_at.to_string(), took, outcome, done, success]
}

fn holder(lease: Option<JobLease>, now: Timestamp) -> String {
    match lease {
        Some(JobLease { expires_at, .. }) if expires_at > now => {
            format!("a server does them, at least until {expires_at}")
        }
        _ => "no server does them at present".to_owned(),
    }
}

//! How the service's jobs went, as this process saw it last.

use std::sync::atomic::{AtomicI64, AtomicU64};

use dimensionos_core::Timestamp;
use dimensionos_core::jobs::{JobOutcome, JobRun, Schedule};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// A figure of each job that ever ran.
type OfJob<const LABELS: usize> = Family<[(&'static str, &'static str); LABELS], Gauge<f64, AtomicU64>>;

/// What is told of jobs. One that never ran has no figures yet.
#[derive(Debug)]
pub(super) struct JobFigures {
    run: OfJob<1>,
    success: OfJob<1>,
    duration: OfJob<1>,
    outcome: OfJob<2>,
    lease: Gauge<i64, AtomicI64>,
}

impl JobFigures {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let figures = Self {
            run: Family::default(),
            success: Family::default(),
            duration: Family::default(),
            outcome: Family::default(),
            lease: Gauge::default(),
        };
        let timestamp = "When the job last began, in seconds since 1970";
        registry.register("job_last_run_timestamp_seconds", timestamp, figures.run.clone());
        let timestamp = "When a run of the job last ended well, in seconds since 1970";
        registry.register("job_last_success_timestamp_seconds", timestamp, figures.success.clone());
        let duration = "How long the job's last run took";
        registry.register_with_unit("job_last_duration", duration, Unit::Seconds, figures.duration.clone());
        let outcome = "How the job's last run ended: 1 for that outcome, 0 for the others";
        registry.register("job_last_outcome", outcome, figures.outcome.clone());
        let lease = "Whether this process is the one that does the jobs";
        registry.register("job_lease_held", lease, figures.lease.clone());
        figures
    }

    pub(super) fn set(&self, jobs: &Schedule<'_>) {
        self.lease.set(i64::from(jobs.is_holder()));
        jobs.seen().iter().filter_map(|status| status.last.as_ref()).for_each(|run| self.set_run(run));
    }

    fn set_run(&self, run: &JobRun) {
        let job = ("job", run.job.name());
        self.run.get_or_create(&[job]).set(seconds(run.started_at));
        if let Some(at) = run.last_ok_at {
            self.success.get_or_create(&[job]).set(seconds(at));
        }
        self.duration.get_or_create(&[job]).set(run.duration().as_secs_f64());
        for outcome in JobOutcome::NAMES {
            let is_this = outcome == run.outcome.name();
            self.outcome.get_or_create(&[job, ("outcome", outcome)]).set(f64::from(u8::from(is_this)));
        }
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.since(Timestamp::EPOCH).as_secs_f64()
}

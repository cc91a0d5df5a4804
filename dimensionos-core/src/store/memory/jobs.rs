use async_trait::async_trait;

use crate::id::ReplicaId;
use crate::jobs::{JobLease, JobRun};
use crate::store::memory::MemoryTx;
use crate::store::{Jobs, StoreError};
use crate::time::Timestamp;

#[async_trait]
impl Jobs for MemoryTx {
    async fn take_job(
        &mut self,
        job: &'static str,
        holder: ReplicaId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let jobs = &mut self.state_mut()?.jobs;
        let is_free = jobs.rows.get(&job).is_none_or(|lease| lease.holder == holder || lease.expires_at <= now);
        if is_free {
            jobs.put(job, JobLease { holder, expires_at: until });
        }
        Ok(is_free)
    }

    async fn job_lease(&mut self, job: &'static str) -> Result<Option<JobLease>, StoreError> {
        Ok(self.state().jobs.rows.get(&job).copied())
    }

    async fn save_job_run(&mut self, run: &JobRun) -> Result<(), StoreError> {
        self.state_mut()?.job_runs.put(run.job.name(), *run);
        Ok(())
    }

    async fn job_runs(&mut self) -> Result<Vec<JobRun>, StoreError> {
        Ok(self.state().job_runs.rows.values().copied().collect())
    }
}

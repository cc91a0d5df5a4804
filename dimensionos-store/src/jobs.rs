use async_trait::async_trait;
use dimensionos_core::id::ReplicaId;
use dimensionos_core::jobs::{JobLease, JobName, JobOutcome, JobRun};
use dimensionos_core::store::{Jobs, StoreError};
use dimensionos_core::{Code, Timestamp};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{EntityTrait, IntoActiveModel, Iterable, QueryOrder};
use uuid::Uuid;

use crate::entity::job_lease::{Column, Entity, Model};
use crate::entity::job_run;
use crate::error::{store_error, unreadable};
use crate::transaction::{SqlTx, signed, unsigned};

fn run(job: JobName, row: &job_run::Model) -> Result<JobRun, StoreError> {
    let outcome = match (row.outcome.as_str(), &row.fault) {
        ("OK", None) => JobOutcome::Ok { done: unsigned(row.done) },
        // Of a later version, which may fail with what this one has no code for.
        ("FAILED", Some(fault)) => JobOutcome::Failed { fault: fault.parse().unwrap_or(Code::Internal) },
        _ => return Err(unreadable("outcome of a job")),
    };
    Ok(JobRun {
        job,
        started_at: Timestamp::from_millis(row.started_at),
        ended_at: Timestamp::from_millis(row.ended_at),
        outcome,
        last_ok_at: row.last_ok_at.map(Timestamp::from_millis),
    })
}

#[async_trait]
impl Jobs for SqlTx {
    async fn take_job(
        &mut self,
        job: &'static str,
        holder: ReplicaId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let holder = Uuid::from_u128(holder.bits());
        let row = Model { job: job.to_owned(), holder, expires_at: until.as_millis() };
        // One statement decides: of two that try at once the second finds the first one's row.
        let is_free = Expr::col((Entity, Column::ExpiresAt)).lte(now.as_millis());
        let is_own = Expr::col((Entity, Column::Holder)).eq(holder);
        let replace = OnConflict::column(Column::Job)
            .update_columns([Column::Holder, Column::ExpiresAt])
            .action_and_where(is_free.or(is_own))
            .to_owned();
        let insert = Entity::insert(row.into_active_model()).on_conflict(replace);
        let written = insert.exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(written > 0)
    }

    async fn job_lease(&mut self, job: &'static str) -> Result<Option<JobLease>, StoreError> {
        let row = self.held(Entity::find_by_id(job)).one(&self.sql).await.map_err(store_error)?;
        Ok(row.map(|row| JobLease {
            holder: ReplicaId::from_bits(row.holder.as_u128()),
            expires_at: Timestamp::from_millis(row.expires_at),
        }))
    }

    async fn save_job_run(&mut self, run: &JobRun) -> Result<(), StoreError> {
        let (fault, done) = match run.outcome {
            JobOutcome::Ok { done } => (None, done),
            JobOutcome::Failed { fault } => (Some(fault.name().to_owned()), 0),
        };
        let row = job_run::Model {
            job: run.job.name().to_owned(),
            started_at: run.started_at.as_millis(),
            ended_at: run.ended_at.as_millis(),
            outcome: run.outcome.name().to_owned(),
            fault,
            done: signed(done),
            last_ok_at: run.last_ok_at.map(Timestamp::as_millis),
        };
        let replace = OnConflict::column(job_run::Column::Job).update_columns(job_run::Column::iter()).to_owned();
        let insert = job_run::Entity::insert(row.into_active_model()).on_conflict(replace);
        insert.exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn job_runs(&mut self) -> Result<Vec<JobRun>, StoreError> {
        let rows = job_run::Entity::find().order_by_asc(job_run::Column::Job).all(&self.sql).await;
        let rows = rows.map_err(store_error)?;
        rows.iter().filter_map(|row| Some(run(row.job.parse().ok()?, row))).collect()
    }
}

//! Whose the jobs are, and how they went.

use std::time::Duration;

use super::{NOW, commit, read, write};
use crate::Code;
use crate::id::ReplicaId;
use crate::jobs::{JobLease, JobName, JobOutcome, JobRun};
use crate::store::Store;
use crate::time::Timestamp;

pub async fn one_process_has_a_job_until_it_ends(store: &dyn Store) {
    let [one, other] = [1, 2].map(ReplicaId::from_bits);
    let at = |seconds| NOW.after(Duration::from_secs(seconds));
    let mut taken = Vec::new();
    for (holder, now) in [(one, 0), (other, 5), (one, 6), (other, 15), (other, 16), (one, 25), (other, 26)] {
        let mut tx = write(store).await;
        taken.push(tx.take_job("test", holder, at(now), at(now + 10)).await.unwrap());
        commit(tx).await;
    }
    assert_eq!(taken, [true, false, true, false, true, false, true]);
    let mut tx = write(store).await;
    assert!(tx.take_job("another", one, at(26), at(30)).await.unwrap(), "each job has a holder of its own");
}

pub async fn a_lease_names_its_last_holder(store: &dyn Store) {
    let [one, other] = [1, 2].map(|number| ReplicaId::from_bits(number << 100 | number));
    let later = NOW.after(Duration::from_secs(10));
    assert_eq!(read(store).await.job_lease("test").await.unwrap(), None);
    let mut tx = write(store).await;
    assert_eq!(tx.job_lease("test").await.unwrap(), None);
    tx.take_job("test", one, NOW, later).await.unwrap();
    commit(tx).await;
    let mut tx = write(store).await;
    assert_eq!(tx.job_lease("test").await.unwrap(), Some(JobLease { holder: one, expires_at: later }));
    assert!(!tx.take_job("test", other, NOW, later).await.unwrap());
    // Given back, and named until another takes it.
    tx.take_job("test", one, NOW, Timestamp::EPOCH).await.unwrap();
    commit(tx).await;
    let mut tx = write(store).await;
    assert_eq!(tx.job_lease("test").await.unwrap().map(|lease| lease.holder), Some(one));
    assert!(tx.take_job("test", other, NOW, later).await.unwrap());
    commit(tx).await;
    // Asked for in a writing transaction, as by whoever would take it: a storage of one process may forget it at its end.
    let mut tx = write(store).await;
    assert_eq!(tx.job_lease("test").await.unwrap().map(|lease| lease.holder), Some(other));
    assert_eq!(tx.job_lease("another").await.unwrap(), None);
}

pub async fn a_job_has_one_last_run(store: &dyn Store) {
    assert_eq!(read(store).await.job_runs().await.unwrap(), []);
    let good = JobRun {
        job: JobName::Purge,
        started_at: NOW,
        ended_at: NOW.after(Duration::from_secs(7)),
        outcome: JobOutcome::Ok { done: u64::from(u32::MAX) + 1 },
        last_ok_at: Some(NOW.after(Duration::from_secs(7))),
    };
    let fault = JobOutcome::Failed { fault: Code::ServiceReadOnly };
    let bad = JobRun { outcome: fault, last_ok_at: None, ..good };
    for run in [bad, good, JobRun { last_ok_at: good.last_ok_at, ..bad }] {
        let mut tx = write(store).await;
        tx.save_job_run(&run).await.expect("a run is written down");
        commit(tx).await;
        assert_eq!(read(store).await.job_runs().await.unwrap(), [run]);
    }
}

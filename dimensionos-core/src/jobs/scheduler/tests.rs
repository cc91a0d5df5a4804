//! Runs of work that is not a job's own: as long, as wrong and as late as a test needs it.

use std::time::Duration;

use tokio::sync::oneshot;

use super::Term;
use crate::auth::HashCost;
use crate::jobs::{JobName, JobOutcome, JobRun};
use crate::testing::{BreakingStore, FixedClock};
use crate::{Clock, Code, Context, Error, MemoryStore, Platform};

const PURGE: JobName = JobName::Purge;
const SECOND: Duration = Duration::from_secs(1);

async fn open(store: &BreakingStore, clock: &FixedClock) -> Platform {
    let builder = Platform::builder(store.clone()).clock(clock.clone()).hash_cost(HashCost::for_tests());
    builder.open().await.unwrap()
}

async fn hold(platform: &Platform) -> Option<Term> {
    let inner = platform.jobs().0;
    inner.scheduler.hold(inner).await.unwrap()
}

async fn attempt(
    platform: &Platform,
    term: Term,
    work: impl Future<Output = Result<u64, Error>>,
) -> Result<JobRun, Error> {
    let inner = platform.jobs().0;
    inner.scheduler.attempt(inner, (PURGE, term), work).await
}

async fn last(platform: &Platform) -> Option<JobRun> {
    platform.jobs().status(&Context::system()).await.unwrap()[0].last
}

/// Lets time pass, on the clock and for whatever waits.
async fn pass(clock: &FixedClock, seconds: u64) {
    for _ in 0..seconds {
        clock.advance(SECOND);
        tokio::time::sleep(SECOND).await;
    }
}

#[tokio::test]
async fn a_run_is_recorded_with_how_it_ended_and_when_one_last_ended_well() {
    let (store, clock) = (BreakingStore::to(MemoryStore::new()), FixedClock::default());
    let platform = open(&store, &clock).await;
    let term = hold(&platform).await.unwrap();
    assert_eq!(last(&platform).await, None);
    let began = clock.now();
    let good = attempt(&platform, term, async {
        clock.advance(7 * SECOND);
        Ok(3)
    });
    let good = good.await.unwrap();
    assert_eq!((good.started_at, good.ended_at, good.duration()), (began, clock.now(), 7 * SECOND));
    assert_eq!((good.outcome, good.last_ok_at), (JobOutcome::Ok { done: 3 }, Some(clock.now())));
    assert_eq!(last(&platform).await, Some(good));

    clock.advance(SECOND);
    let bad = attempt(&platform, term, async { Err(Error::no_account()) }).await.unwrap_err();
    assert_eq!(bad.code(), Code::NotFound);
    let fault = |fault| JobRun {
        started_at: clock.now(),
        ended_at: clock.now(),
        outcome: JobOutcome::Failed { fault },
        ..good
    };
    assert_eq!(last(&platform).await, Some(fault(Code::NotFound)), "and that the one before ended well");
    let panicked = attempt(&platform, term, async { panic!("as a fault would") }).await.unwrap_err();
    assert_eq!(panicked.code(), Code::Internal);
    assert_eq!(last(&platform).await, Some(fault(Code::Internal)));
    assert_eq!(platform.jobs().seen()[0].last, last(&platform).await);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_takes_longer_than_the_lease_keeps_it_and_is_recorded() {
    let (store, clock) = (BreakingStore::to(MemoryStore::new()), FixedClock::default());
    let (one, other) = (open(&store, &clock).await, open(&store.another(), &clock).await);
    let term = hold(&one).await.unwrap();
    let (end, ended) = oneshot::channel();
    let job = tokio::spawn({
        let one = one.clone();
        async move { attempt(&one, term, async { Ok(ended.await.unwrap()) }).await }
    });
    tokio::task::yield_now().await;
    for _ in 0..60 {
        pass(&clock, 1).await;
        assert_eq!((one.jobs().is_holder(), other.jobs().is_holder()), (true, false));
    }
    let done = 11;
    end.send(done).unwrap();
    let run = job.await.unwrap().unwrap();
    assert_eq!((run.duration(), run.outcome), (60 * SECOND, JobOutcome::Ok { done }));
    assert_eq!(last(&other).await, Some(run));
}

#[tokio::test(start_paused = true)]
async fn a_run_is_not_recorded_by_a_process_that_lost_the_lease() {
    let (store, clock) = (BreakingStore::to(MemoryStore::new()), FixedClock::default());
    let others = store.another();
    let (one, other) = (open(&store, &clock).await, open(&others, &clock).await);
    let term = hold(&one).await.unwrap();
    let (end, ended) = oneshot::channel::<u64>();
    let job = tokio::spawn({
        let one = one.clone();
        async move { attempt(&one, term, async { Ok(ended.await.unwrap()) }).await }
    });
    pass(&clock, 1).await;
    store.cut();
    pass(&clock, 30).await;
    assert_eq!((one.jobs().is_holder(), other.jobs().is_holder()), (false, true));
    let by_other = last(&other).await;
    assert!(by_other.is_some(), "it was due");
    // Back again, and even the holder again: what began before is not recorded over what was done since.
    store.mend();
    other.close().await.unwrap();
    let again = hold(&one).await.unwrap();
    assert_ne!(again, term);
    end.send(1).unwrap();
    let run = job.await.unwrap().unwrap();
    assert_eq!(run.outcome, JobOutcome::Ok { done: 1 }, "it did what it did");
    assert_eq!(last(&one).await, by_other);
    let recorded = attempt(&one, again, async { Ok(2) }).await.unwrap();
    assert_eq!(last(&one).await, Some(recorded));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_does_not_end_holds_no_close_up_and_is_recorded_by_nobody() {
    let (store, clock) = (BreakingStore::to(MemoryStore::new()), FixedClock::default());
    let platform = open(&store, &clock).await;
    let term = hold(&platform).await.unwrap();
    let (end, ended) = oneshot::channel::<u64>();
    let job = tokio::spawn({
        let platform = platform.clone();
        async move {
            let _turn = platform.jobs().0.scheduler.turn(PURGE).await;
            attempt(&platform, term, async { Ok(ended.await.unwrap()) }).await
        }
    });
    tokio::task::yield_now().await;
    platform.close().await.unwrap();
    end.send(1).unwrap();
    job.await.unwrap().unwrap();
    assert_eq!(last(&platform).await, None);
    assert!(!platform.jobs().is_holder());
}

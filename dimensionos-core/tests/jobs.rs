//! Jobs of several processes on one storage, on a clock that is set by hand.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod setting;

use std::time::Duration;

use dimensionos_core::auth::{HashCost, Role};
use dimensionos_core::jobs::{JobName, JobOutcome, JobRun, LEASE_TIME, RENEW_INTERVAL};
use dimensionos_core::secret::BearerToken;
use dimensionos_core::testing::{BreakingStore, FixedClock};
use dimensionos_core::{Clock, Code, Context, MemoryStore, Platform};
use setting::{DAY, Setting, code, keys};

const PURGE: JobName = JobName::Purge;
const SECOND: Duration = Duration::from_secs(1);
const SYSTEM: Context = Context::system();

/// Two processes on one storage; the first of them has been there for longer, and does the jobs.
struct Two {
    clock: FixedClock,
    stores: [BreakingStore; 2],
    platforms: [Platform; 2],
}

impl Two {
    async fn new() -> Self {
        let clock = FixedClock::default();
        let store = BreakingStore::to(MemoryStore::new());
        let stores = [store.another(), store];
        let open = async |store: &BreakingStore| {
            let builder = Platform::builder(store.clone()).clock(clock.clone()).keys(keys(&[1]));
            builder.hash_cost(HashCost::for_tests()).open().await.unwrap()
        };
        let first = open(&stores[0]).await;
        tokio::time::sleep(SECOND).await;
        let second = open(&stores[1]).await;
        let two = Self { clock, stores, platforms: [first, second] };
        two.pass(RENEW_INTERVAL).await;
        assert_eq!((two.holders(), two.purges()), ([true, false], [1, 0]));
        two
    }

    /// Lets time pass, on the clock and for whatever waits.
    async fn pass(&self, time: Duration) {
        for _ in 0..time.as_secs() {
            self.clock.advance(SECOND);
            tokio::time::sleep(SECOND).await;
        }
    }

    fn holders(&self) -> [bool; 2] {
        [0, 1].map(|place| self.platforms[place].jobs().is_holder())
    }

    fn purges(&self) -> [u64; 2] {
        [0, 1].map(|place| self.stores[place].purges())
    }

    async fn last(&self) -> JobRun {
        self.platforms[1].jobs().status(&SYSTEM).await.unwrap()[PURGE as usize].last.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn one_process_does_the_jobs_and_another_goes_on_where_it_dies() {
    let two = Two::new().await;
    two.pass(2 * PURGE.interval()).await;
    assert_eq!((two.holders(), two.purges()), ([true, false], [3, 0]));
    two.pass(RENEW_INTERVAL).await;
    assert_eq!(two.platforms[0].jobs().seen(), two.platforms[1].jobs().seen(), "both tell of it");
    // Dead to the others: it renews nothing more, and takes nothing back.
    two.stores[0].cut();
    two.pass(LEASE_TIME - RENEW_INTERVAL).await;
    assert_eq!(two.holders(), [true, false], "the lease has not run off");
    two.pass(2 * RENEW_INTERVAL).await;
    assert_eq!(two.holders(), [false, true]);
    assert_eq!(two.purges(), [3, 0], "what ran is known to whoever goes on");
    two.pass(PURGE.interval()).await;
    assert_eq!(two.purges(), [3, 1]);
    // Back again, it leaves the jobs where they are.
    two.stores[0].mend();
    two.pass(PURGE.interval()).await;
    assert_eq!((two.holders(), two.purges()), ([false, true], [3, 2]));
}

#[tokio::test(start_paused = true)]
async fn a_clean_close_hands_over_at_once() {
    let two = Two::new().await;
    two.platforms[0].close().await.unwrap();
    // By the clock no time passes: nothing has run off.
    tokio::time::sleep(RENEW_INTERVAL).await;
    assert_eq!(two.holders(), [false, true]);
    tokio::time::sleep(2 * RENEW_INTERVAL).await;
    assert_eq!(two.holders(), [false, true], "it does not come back");
    assert_eq!(code(two.platforms[0].jobs().run(&SYSTEM, PURGE).await), Code::Internal);
    two.platforms[0].close().await.unwrap();
    assert_eq!(two.holders(), [false, true], "closed is closed");
}

#[tokio::test(start_paused = true)]
async fn what_is_due_is_the_clocks_matter() {
    let two = Two::new().await;
    tokio::time::sleep(3 * PURGE.interval()).await;
    assert_eq!(two.purges(), [1, 0], "by the clock no time has passed");
    two.clock.advance(PURGE.interval() - RENEW_INTERVAL);
    tokio::time::sleep(RENEW_INTERVAL).await;
    assert_eq!(two.purges().iter().sum::<u64>(), 1, "not before its time");
    two.clock.advance(RENEW_INTERVAL);
    tokio::time::sleep(RENEW_INTERVAL).await;
    assert_eq!(two.purges().iter().sum::<u64>(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_silences_neither_a_job_nor_whoever_would_do_it() {
    let two = Two::new().await;
    two.clock.set(two.clock.now().before(DAY));
    two.pass(2 * RENEW_INTERVAL).await;
    assert_eq!(two.purges(), [2, 0], "at once, and then at its interval");
    assert_eq!(two.last().await.started_at.since(two.clock.now()), Duration::ZERO);
    // The holder dies before it has seen that the clock was set back: its lease lasts for a day more.
    two.stores[0].cut();
    two.clock.set(two.clock.now().before(DAY));
    two.pass(LEASE_TIME + 2 * RENEW_INTERVAL).await;
    assert!(two.holders()[1]);
    assert_eq!(two.purges(), [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_is_recorded_with_its_code_and_stops_nothing() {
    let two = Two::new().await;
    let good = two.last().await;
    assert_eq!((good.outcome, good.last_ok_at), (JobOutcome::Ok { done: 0 }, Some(good.ended_at)));
    two.stores[0].refuse_purges(true);
    two.pass(PURGE.interval()).await;
    assert_eq!(two.purges(), [2, 0]);
    for status in two.platforms[1].jobs().status(&SYSTEM).await.unwrap() {
        let last = status.last.unwrap();
        let failed = JobOutcome::Failed { fault: Code::Internal };
        // Others go on.
        assert_eq!(last.outcome == failed, status.job == PURGE, "{last:?}");
    }
    let bad = two.last().await;
    assert!(bad.started_at > good.started_at && bad.last_ok_at == good.last_ok_at);
    two.pass(PURGE.interval() / 2).await;
    assert_eq!(two.purges(), [2, 0], "not again before its turn");
    two.stores[0].refuse_purges(false);
    two.pass(PURGE.interval() / 2).await;
    assert_eq!((two.purges(), two.last().await.outcome), ([3, 0], JobOutcome::Ok { done: 0 }));
}

#[tokio::test]
async fn the_program_alone_runs_a_job_at_once_where_nobody_else_does_the_jobs() {
    let setting = Setting::new().await;
    let other = setting::platform(&setting.store, &setting.clock, keys(&[1])).await;
    let (jobs, others) = (setting.platform.jobs(), other.jobs());
    let registered = setting.register().await;
    let account = setting.context(&registered.tokens).await;
    let mut callers = vec![(Context::anonymous(), Code::Unauthenticated), (account, Code::Forbidden)];
    for role in [Role::Agent, Role::Operator] {
        let key = setting.platform.auth().create_key(&SYSTEM, role, "a".parse().unwrap()).await.unwrap();
        let caller = setting.platform.auth().caller(&BearerToken::new(key.token.expose())).await.unwrap();
        callers.push((Context::new(caller), Code::Forbidden));
    }
    for (context, refusal) in &callers {
        assert_eq!(code(jobs.run(context, PURGE).await), *refusal);
    }
    let (operator, _) = callers.pop().unwrap();
    for (context, refusal) in &callers {
        assert_eq!(code(jobs.status(context).await), *refusal);
    }
    assert_eq!(jobs.status(&operator).await.unwrap()[PURGE as usize].last, None);

    let run = jobs.run(&SYSTEM, PURGE).await.unwrap();
    assert_eq!(jobs.status(&operator).await.unwrap()[PURGE as usize].last, Some(run));
    // Again and again, due or not.
    jobs.run(&SYSTEM, PURGE).await.unwrap();
    assert_eq!(code(others.run(&SYSTEM, PURGE).await), Code::Conflict);
    setting.clock.advance(LEASE_TIME);
    // What has run out is gone: the session is a month old then, and so is that its account was changed.
    setting.clock.advance(31 * DAY);
    let run = others.run(&SYSTEM, PURGE).await.unwrap();
    assert_eq!(run.outcome, JobOutcome::Ok { done: 2 });
    assert_eq!(code(jobs.run(&SYSTEM, PURGE).await), Code::Conflict);
    other.close().await.unwrap();
    let again = jobs.run(&SYSTEM, PURGE).await.unwrap();
    assert_eq!(again.outcome, JobOutcome::Ok { done: 0 });
}

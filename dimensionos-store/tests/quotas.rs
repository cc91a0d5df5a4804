//! Many who use one quota at once, on every storage, with crashes and replicas: never a unit more than the limit, and
//! nothing lost for good.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dimensionos_core::allocation::{ConsumeKey, LimitOverride, Resource};
use dimensionos_core::auth::{HashCost, Password};
use dimensionos_core::monitoring::{Counter, Level, Sample};
use dimensionos_core::store::{Access, Store, StoreError, Tx};
use dimensionos_core::testing::FixedClock;
use dimensionos_core::users::Registration;
use dimensionos_core::{AccountId, Clock, Code, Context, MemoryStore, Platform};
use dimensionos_store::testing;
use futures_util::future::join_all;

/// A connection to a storage that can be cut, as a crash cuts it.
#[derive(Debug, Clone)]
struct Cord {
    store: Arc<dyn Store>,
    is_cut: Arc<AtomicBool>,
}

impl Cord {
    fn to(store: impl Store) -> Self {
        Self { store: Arc::new(store), is_cut: Arc::default() }
    }

    /// Another process's connection to the same storage.
    fn another(&self) -> Self {
        Self { store: Arc::clone(&self.store), is_cut: Arc::default() }
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Store for Cord {
    async fn begin(&self, access: Access) -> Result<Box<dyn Tx>, StoreError> {
        self.ping().await?;
        self.store.begin(access).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        if self.is_cut.load(Ordering::SeqCst) { Err(StoreError::unavailable("cut")) } else { Ok(()) }
    }
}

const SYSTEM: Context = Context::system();
const LIMIT: u64 = 100;
const TAKERS: usize = 1_000;

struct Setting {
    cord: Cord,
    clock: FixedClock,
    platform: Platform,
    account: AccountId,
}

async fn process(cord: &Cord, clock: &FixedClock) -> Platform {
    Platform::builder(cord.clone()).clock(clock.clone()).hash_cost(HashCost::for_tests()).open().await.unwrap()
}

impl Setting {
    /// An account that may make a hundred calls an hour, for some days.
    async fn new(store: impl Store) -> Self {
        let (cord, clock) = (Cord::to(store), FixedClock::default());
        let platform = process(&cord, &clock).await;
        let registration = Registration::new(None, Password::new("violet harbour kestrel 41").unwrap());
        let account = platform.users().register(&Context::anonymous(), registration).await.unwrap().account.id;
        for resource in [Resource::ApiCalls, Resource::Files] {
            let until = clock.now().after(Duration::from_hours(24 * 20));
            let own = LimitOverride { resource, limit: LIMIT, until };
            platform.allocation().set_override(&SYSTEM, account, own).await.unwrap();
        }
        Self { cord, clock, platform, account }
    }

    /// A process on the same storage.
    async fn another(&self) -> Self {
        let cord = self.cord.another();
        let platform = process(&cord, &self.clock).await;
        Self { cord, clock: self.clock.clone(), platform, account: self.account }
    }

    async fn take(&self, resource: Resource, amount: u64) -> Result<bool, Code> {
        loop {
            let decision = self.platform.allocation().consume(&SYSTEM, self.account, resource, amount, None).await;
            match decision.map_err(|error| error.code()) {
                // Whoever finds another process writing tries again, as a client does.
                Err(Code::Busy) => {}
                other => return other.map(|decision| decision.is_allowed),
            }
        }
    }

    /// How many of so many takers at once get a unit.
    async fn passed(&self, resource: Resource, takers: usize) -> usize {
        let takers = (0..takers).map(|_| self.take(resource, 1));
        join_all(takers).await.into_iter().filter(|taken| *taken == Ok(true)).count()
    }

    async fn calls_in_the_hour(&self) -> u64 {
        self.platform.monitoring().metrics(&SYSTEM, self.account).await.unwrap().api_calls_per_hour
    }
}

async fn a_thousand_takers_get_exactly_the_limit(store: impl Store) {
    let setting = Setting::new(store).await;
    for resource in [Resource::ApiCalls, Resource::Files] {
        assert_eq!(setting.passed(resource, TAKERS).await, 100, "{resource:?}");
    }
    let refused = setting.platform.allocation().consume(&SYSTEM, setting.account, Resource::ApiCalls, 1, None).await;
    let refused = refused.unwrap();
    assert_eq!((refused.limit, refused.used, refused.remaining()), (Some(LIMIT), LIMIT, Some(0)));
    assert_eq!(refused.reason, Some(Code::QuotaExceeded));
    assert!(refused.resets_at.unwrap() > setting.clock.now());
    assert_eq!(refused.require().unwrap_err().code(), Code::QuotaExceeded);
    assert_eq!(setting.calls_in_the_hour().await, LIMIT);
    // An hour and a bucket later the calls have run off, and the granted files would have been measured.
    setting.clock.advance(Duration::from_secs(3_900));
    for resource in [Resource::ApiCalls, Resource::Files] {
        assert_eq!(setting.passed(resource, TAKERS).await, 100, "{resource:?}, an hour later");
    }
    setting.platform.close().await.unwrap();
}

async fn a_crash_gives_nobody_more_and_what_it_lost_comes_back(store: impl Store) {
    let first = Setting::new(store).await;
    let mut passed = first.passed(Resource::ApiCalls, 40).await;
    assert_eq!(passed, 40);
    // Some of what follows is used in memory alone when the process dies.
    first.cord.cut();
    passed += first.passed(Resource::ApiCalls, TAKERS).await;
    let second = first.another().await;
    drop(first);
    passed += second.passed(Resource::ApiCalls, TAKERS).await;
    assert!(passed <= 100, "{passed} passed");
    assert!(passed >= 90, "a process holds a small part of what is free: {passed}");
    // Nothing more within the hour, also for a third process.
    second.platform.close().await.unwrap();
    let third = second.another().await;
    third.clock.advance(Duration::from_secs(3_000));
    assert_eq!(third.passed(Resource::ApiCalls, 10).await, 0);
    // And then all of it.
    third.clock.advance(Duration::from_secs(1_200));
    assert_eq!(third.passed(Resource::ApiCalls, TAKERS).await, 100);
}

async fn several_processes_share_one_limit(store: impl Store) {
    let first = Setting::new(store).await;
    let (second, third) = (first.another().await, first.another().await);
    let rounds = [&first, &second, &third].map(|process| process.passed(Resource::ApiCalls, TAKERS));
    let mut passed: usize = join_all(rounds).await.into_iter().sum();
    assert!(passed <= 100, "{passed} passed");
    // What one was granted and has not used is the others' once it gives it back.
    first.platform.close().await.unwrap();
    third.platform.close().await.unwrap();
    passed += second.passed(Resource::ApiCalls, TAKERS).await;
    assert_eq!(passed, 100);
}

async fn a_key_counts_once_in_any_process_and_after_a_crash(store: impl Store) {
    let first = Setting::new(store).await;
    let key = ConsumeKey::new("invoice 7").unwrap();
    let ask = async |setting: &Setting, resource, amount| {
        setting.platform.allocation().consume(&SYSTEM, setting.account, resource, amount, Some(&key)).await
    };
    let decisions = join_all((0..50).map(|_| ask(&first, Resource::ApiCalls, 30))).await;
    let decisions: Vec<_> = decisions.into_iter().map(Result::unwrap).collect();
    assert!(decisions.iter().all(|decision| *decision == decisions[0] && decision.is_allowed));
    assert_eq!(decisions[0].used, 30);
    first.cord.cut();
    let second = first.another().await;
    assert_eq!(ask(&second, Resource::ApiCalls, 30).await.unwrap(), decisions[0]);
    assert_eq!(second.calls_in_the_hour().await, 30);
    for (resource, amount) in [(Resource::ApiCalls, 31), (Resource::FileOperations, 30)] {
        assert_eq!(ask(&second, resource, amount).await.unwrap_err().code(), Code::Conflict);
    }
    // A refusal is remembered as well.
    let other = ConsumeKey::new("invoice 8").unwrap();
    let refused = second.platform.allocation();
    let refused = refused.consume(&SYSTEM, second.account, Resource::ApiCalls, 71, Some(&other)).await.unwrap();
    assert!(!refused.is_allowed);
    assert_eq!(second.passed(Resource::ApiCalls, TAKERS).await, 70);
    assert_eq!(second.calls_in_the_hour().await, LIMIT);
}

async fn a_reservation_counts_until_it_is_settled_or_ends(store: impl Store) {
    let setting = Setting::new(store).await;
    let (quotas, account) = (setting.platform.allocation(), setting.account);
    let minute = Duration::from_secs(60);
    for resource in [Resource::ApiCalls, Resource::Files] {
        let one = quotas.reserve(&SYSTEM, account, resource, 60, minute).await.unwrap();
        assert!(one.decision.is_allowed);
        let two = quotas.reserve(&SYSTEM, account, resource, 41, minute).await.unwrap();
        assert_eq!((two.decision.is_allowed, two.decision.remaining()), (false, Some(40)));
        let most = quotas.commit(&SYSTEM, account, one.id, 61).await.unwrap_err();
        assert_eq!(most.code(), Code::InvalidInput);
        quotas.commit(&SYSTEM, account, one.id, 10).await.unwrap();
        assert_eq!(quotas.commit(&SYSTEM, account, one.id, 10).await.unwrap_err().code(), Code::NotFound);
        let two = quotas.reserve(&SYSTEM, account, resource, 90, minute).await.unwrap();
        assert!(two.decision.is_allowed);
        assert_eq!(setting.passed(resource, 10).await, 0);
        quotas.release(&SYSTEM, account, two.id).await.unwrap();
        let three = quotas.reserve(&SYSTEM, account, resource, 90, minute).await.unwrap();
        assert!(three.decision.is_allowed);
        setting.clock.advance(minute);
        assert_eq!(quotas.commit(&SYSTEM, account, three.id, 1).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(setting.passed(resource, TAKERS).await, 90, "{resource:?}: what ended is free again");
    }
}

async fn what_is_recorded_and_what_is_consumed_count_together(store: impl Store) {
    let setting = Setting::new(store).await;
    let meter = setting.platform.monitoring().meter(&SYSTEM, setting.account).await.unwrap();
    let now = setting.clock.now();
    meter.record(&Sample::at(now).with_added(Counter::ApiCalls, 60).with_level(Level::FileCount, 60));
    for resource in [Resource::ApiCalls, Resource::Files] {
        let one = meter.consume(resource, 1, now).await.unwrap();
        assert!(one.is_allowed && one.used >= 61, "{one:?}");
        assert_eq!(setting.passed(resource, TAKERS).await, 39);
    }
    let check = setting.platform.allocation().check(&SYSTEM, setting.account, Resource::ApiCalls, 1).await.unwrap();
    assert_eq!((check.is_allowed, check.used), (false, LIMIT));
}

macro_rules! on_every_storage {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case(super::MemoryStore::new()).await;
                }
            )+
        }

        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let (database, _folder) = super::testing::sqlite().await;
                    super::$case(database).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    if let Some((database, _fresh)) = super::testing::postgres().await {
                        super::$case(database).await;
                    }
                }
            )+
        }
    };
}

on_every_storage!(
    a_thousand_takers_get_exactly_the_limit,
    a_crash_gives_nobody_more_and_what_it_lost_comes_back,
    several_processes_share_one_limit,
    a_key_counts_once_in_any_process_and_after_a_crash,
    a_reservation_counts_until_it_is_settled_or_ends,
    what_is_recorded_and_what_is_consumed_count_together,
);

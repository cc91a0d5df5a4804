//! Metering from inside a program, and what a quota then says.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dimensionos_core::allocation::Resource;
use dimensionos_core::auth::{HashCost, Password, Role};
use dimensionos_core::monitoring::{Counter, Level, Report, Sample, UsagePeriod};
use dimensionos_core::secret::BearerToken;
use dimensionos_core::store::{Access, Store, StoreError, Tx};
use dimensionos_core::testing::FixedClock;
use dimensionos_core::users::Registration;
use dimensionos_core::{AccountId, Clock, Code, Context, Error, MemoryStore, Platform};
use futures_util::StreamExt;

/// A store that can be made to fail.
#[derive(Debug, Clone, Default)]
struct Failing {
    store: MemoryStore,
    is_away: Arc<AtomicBool>,
}

#[async_trait]
impl Store for Failing {
    async fn begin(&self, access: Access) -> Result<Box<dyn Tx>, StoreError> {
        self.ping().await?;
        self.store.begin(access).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        if self.is_away.load(Ordering::SeqCst) { Err(StoreError::unavailable("away")) } else { Ok(()) }
    }
}

async fn open(store: &Failing, clock: &FixedClock) -> Platform {
    let builder = Platform::builder(store.clone()).clock(clock.clone()).hash_cost(HashCost::for_tests());
    builder.open().await.unwrap()
}

async fn register(platform: &Platform) -> AccountId {
    let password = Password::new("violet harbour kestrel 41").unwrap();
    let registration = Registration::new(None, password);
    platform.users().register(&Context::anonymous(), registration).await.unwrap().account.id
}

async fn total(platform: &Platform, account: AccountId) -> Option<u64> {
    let usage = platform.monitoring().usage(&Context::system(), account, UsagePeriod::Month).await.unwrap();
    usage.resources.iter().find(|usage| usage.resource == Resource::ApiCalls).unwrap().total
}

#[tokio::test]
async fn what_a_program_records_is_durable_after_a_flush_and_survives_a_restart() {
    let (store, clock) = (Failing::default(), FixedClock::default());
    let system = Context::system();
    let first = open(&store, &clock).await;
    let account = register(&first).await;
    let meter = first.monitoring().meter(&system, account).await.unwrap();
    for _ in 0..1_000 {
        meter.record(&Sample::at(clock.now()).with_added(Counter::ApiCalls, 1).with_level(Level::RamBytes, 7));
    }
    first.monitoring().flush().await.unwrap();
    assert_eq!(total(&first, account).await, Some(1_000));
    drop((first, meter));
    clock.advance(Duration::from_secs(600));
    let second = open(&store, &clock).await;
    let used = second.allocation().check(&system, account, Resource::ApiCalls, 1).await.unwrap();
    assert_eq!((used.used, used.is_allowed, used.limit), (1_000, false, Some(1_000)));
    let refusal = used.require().unwrap_err();
    assert!(matches!(&refusal, Error::QuotaExceeded(decision) if decision.remaining() == Some(0)));
    // The hour runs off by itself.
    clock.advance(Duration::from_secs(3_600));
    assert!(second.allocation().check(&system, account, Resource::ApiCalls, 1).await.unwrap().is_allowed);
    let metrics = second.monitoring().metrics(&system, account).await.unwrap();
    assert_eq!(metrics.readings.of(Level::RamBytes).unwrap().value, 7);
}

#[tokio::test]
async fn a_store_that_is_away_loses_nothing_that_was_recorded_and_acknowledges_no_report() {
    let (store, clock) = (Failing::default(), FixedClock::default());
    let platform = open(&store, &clock).await;
    let account = register(&platform).await;
    let meter = platform.monitoring().meter(&Context::system(), account).await.unwrap();
    let key = platform.auth().create_key(&Context::system(), Role::Agent, "a".parse().unwrap()).await.unwrap();
    let agent = Context::new(platform.auth().caller(&BearerToken::new(key.token.expose())).await.unwrap());
    let sample = Sample::at(clock.now()).with_added(Counter::ApiCalls, 1);
    let report =
        Report { source: "".parse().unwrap(), sequence: 1, samples: vec![(account, sample)], signals: Vec::new() };
    platform.monitoring().metrics(&Context::system(), account).await.unwrap();

    store.is_away.store(true, Ordering::SeqCst);
    let refusal = meter.record_durable(&sample).await.unwrap_err();
    assert_eq!(refusal.code(), Code::Internal);
    assert!(platform.monitoring().report(&agent, report.clone()).await.is_err());
    meter.record(&sample);
    store.is_away.store(false, Ordering::SeqCst);

    platform.monitoring().flush().await.unwrap();
    assert_eq!(total(&platform, account).await, Some(2));
    assert!(!platform.monitoring().report(&agent, report.clone()).await.unwrap().is_duplicate);
    assert!(platform.monitoring().report(&agent, report).await.unwrap().is_duplicate);
    assert_eq!(total(&platform, account).await, Some(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_from_many_threads_loses_nothing() {
    let (store, clock) = (Failing::default(), FixedClock::default());
    let platform = open(&store, &clock).await;
    let account = register(&platform).await;
    let meter = platform.monitoring().meter(&Context::system(), account).await.unwrap();
    let sample = Sample::at(clock.now()).with_added(Counter::ApiCalls, 1);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10_000).for_each(|_| meter.record(&sample)));
        }
    });
    platform.monitoring().flush().await.unwrap();
    assert_eq!(total(&platform, account).await, Some(40_000));
}

#[tokio::test(start_paused = true)]
async fn a_watcher_gets_the_present_at_once_and_then_the_newest_of_each_interval() {
    let (store, clock) = (Failing::default(), FixedClock::default());
    let platform = open(&store, &clock).await;
    let account = register(&platform).await;
    let meter = platform.monitoring().meter(&Context::system(), account).await.unwrap();
    let second = Duration::from_secs(1);
    let watched = platform.monitoring().watch(&Context::system(), account, second).await.unwrap();
    let mut watched = std::pin::pin!(watched);
    let ram = |metrics: dimensionos_core::monitoring::Metrics| {
        metrics.readings.of(Level::RamBytes).map(|reading| reading.value)
    };
    assert_eq!(watched.next().await.map(ram), Some(None));
    let record = |values: std::ops::RangeInclusive<u64>| {
        values.for_each(|value| meter.record(&Sample::at(clock.now()).with_level(Level::RamBytes, value)));
    };
    // The first change is told at once: the present, with which watching begins, is none.
    record(1..=50);
    let before = tokio::time::Instant::now();
    assert_eq!(watched.next().await.map(ram), Some(Some(50)));
    assert_eq!(before.elapsed(), Duration::ZERO);
    record(51..=99);
    assert_eq!(watched.next().await.map(ram), Some(Some(99)));
    assert_eq!(before.elapsed(), second);
    // Who changes as often as it is watched is told at once each time, also where a change comes a little early or late.
    for (step, value) in (2..30).zip(100..) {
        let wavering = if step % 2 == 0 { second / 20 } else { Duration::ZERO };
        tokio::time::sleep_until(before + second * step - wavering).await;
        let recorded = tokio::time::Instant::now();
        record(value..=value);
        assert_eq!(watched.next().await.map(ram), Some(Some(value)));
        assert_eq!(recorded.elapsed(), Duration::ZERO, "step {step}");
    }
    // Nothing changes, so nothing comes.
    assert!(tokio::time::timeout(second * 5, watched.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_idle_account_leaves_memory_and_comes_back_exactly() {
    let (store, clock) = (Failing::default(), FixedClock::default());
    let platform = open(&store, &clock).await;
    let system = Context::system();
    let (account, other) = (register(&platform).await, register(&platform).await);
    let (monitoring, minute) = (platform.monitoring(), Duration::from_secs(60));
    for step in 0..70 {
        let sample = Sample::at(clock.now())
            .with_added(Counter::ApiCalls, step)
            .with_added(Counter::FileOperations, 1)
            .with_added(Counter::BytesSent, 10)
            .with_added(Counter::DatabaseQueries, 3);
        let sample = if step == 30 { sample.with_level(Level::TableCount, 4) } else { sample };
        let sample = if step > 60 { sample.with_level(Level::RamBytes, step) } else { sample };
        monitoring.record_batch(&system, &[(account, sample), (other, Sample::at(clock.now()))]).await.unwrap();
        clock.advance(Duration::from_millis(59_750));
    }
    let held = monitoring.meter(&system, other).await.unwrap();
    assert_eq!(monitoring.evict_idle(Duration::ZERO).await.unwrap(), 0, "nobody is idle before two minutes");
    clock.advance(minute * 3);
    monitoring.flush().await.unwrap();
    let before = monitoring.metrics(&system, account).await.unwrap();
    assert_eq!(before.readings.of(Level::TableCount).map(|reading| reading.value), Some(4));
    assert_eq!((before.bytes_sent, before.api_calls_per_hour > 1_000), (Some(700), true));
    let used = async || platform.allocation().check(&system, account, Resource::ApiCalls, 1).await.unwrap();
    let decision = used().await;
    assert_eq!((monitoring.cells(), monitoring.evict_idle(Duration::ZERO).await.unwrap()), (2, 0), "above its limit");
    // Below its limit by time alone, and then nothing keeps it.
    clock.advance(minute * 54);
    let (before, _) = (monitoring.metrics(&system, account).await.unwrap(), decision);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(monitoring.evict_idle(Duration::ZERO).await.unwrap(), 1);
    assert_eq!(monitoring.cells(), 1, "the other is held by its meter");
    assert_eq!(monitoring.metrics(&system, account).await.unwrap(), before);
    let decision = used().await;
    assert_eq!(decision.used, before.api_calls_per_hour);
    drop(held);
    assert_eq!((monitoring.evict_idle(Duration::ZERO).await.unwrap(), monitoring.cells()), (2, 0));
}

#[tokio::test]
async fn a_batch_counts_for_all_that_are_there_and_says_that_one_is_not() {
    let (store, clock) = (Failing::default(), FixedClock::default());
    let platform = open(&store, &clock).await;
    let system = Context::system();
    let accounts = [register(&platform).await, register(&platform).await];
    let sample = Sample::at(clock.now()).with_added(Counter::ApiCalls, 1);
    let mut batch: Vec<_> = (0..100).map(|place| (accounts[place % 2], sample)).collect();
    batch.insert(7, (AccountId::NOBODY, sample));
    assert_eq!(platform.monitoring().record_batch(&system, &batch).await.unwrap_err().code(), Code::NotFound);
    let refused = platform.monitoring().record_batch(&Context::anonymous(), &batch).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    platform.monitoring().flush().await.unwrap();
    for account in accounts {
        assert_eq!(total(&platform, account).await, Some(50));
    }
}

#[tokio::test(start_paused = true)]
async fn a_sample_by_account_counts_as_one_by_its_meter_in_memory_or_not() {
    let (store, clock) = (Failing::default(), FixedClock::default());
    let platform = open(&store, &clock).await;
    let (system, monitoring) = (Context::system(), platform.monitoring());
    let account = register(&platform).await;
    let call = |at| Sample::at(at).with_added(Counter::ApiCalls, 1);
    monitoring.record(&system, account, &call(clock.now())).await.unwrap();
    monitoring.meter(&system, account).await.unwrap().record(&call(clock.now()));
    monitoring.flush().await.unwrap();
    clock.advance(Duration::from_secs(180));
    assert_eq!((monitoring.evict_idle(Duration::ZERO).await.unwrap(), monitoring.cells()), (1, 0));
    monitoring.record(&system, account, &call(clock.now())).await.unwrap();
    monitoring.flush().await.unwrap();
    assert_eq!(total(&platform, account).await, Some(3));
    let nobody = monitoring.record(&system, AccountId::NOBODY, &call(clock.now())).await.unwrap_err();
    assert_eq!(nobody.code(), Code::NotFound);
    let refused = monitoring.record(&Context::anonymous(), account, &call(clock.now())).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_stops_no_window() {
    let (store, clock) = (Failing::default(), FixedClock::default());
    let platform = open(&store, &clock).await;
    let account = register(&platform).await;
    let meter = platform.monitoring().meter(&Context::system(), account).await.unwrap();
    let call = |at| Sample::at(at).with_added(Counter::ApiCalls, 1);
    meter.record(&call(clock.now()));
    platform.monitoring().flush().await.unwrap();
    let yesterday = clock.now().before(Duration::from_hours(24));
    clock.set(yesterday);
    // The writer looks at the clock twice a second.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    meter.record(&call(clock.now()));
    let metrics = platform.monitoring().metrics(&Context::system(), account).await.unwrap();
    assert_eq!(metrics.api_calls_per_hour, 2);
}

#[tokio::test]
async fn closing_makes_everything_durable_and_waits_for_the_writers_end() {
    let (store, clock) = (Failing::default(), FixedClock::default());
    let platform = open(&store, &clock).await;
    let account = register(&platform).await;
    let meter = platform.monitoring().meter(&Context::system(), account).await.unwrap();
    meter.record(&Sample::at(clock.now()).with_added(Counter::ApiCalls, 3));
    // A storage that is away ends nothing, and nothing is lost.
    store.is_away.store(true, Ordering::SeqCst);
    assert!(platform.close().await.is_err());
    store.is_away.store(false, Ordering::SeqCst);
    meter.record(&Sample::at(clock.now()).with_added(Counter::ApiCalls, 4));
    let (one, other) = futures_util::future::join(platform.close(), platform.close()).await;
    assert_eq!((one.is_ok(), other.is_ok()), (true, true));
    assert_eq!(total(&platform, account).await, Some(7));
    // Nobody is there any more who would write, and whoever asks for it is told.
    assert_eq!(platform.monitoring().flush().await.unwrap_err().code(), Code::Internal);
    assert_eq!(meter.record_durable(&Sample::at(clock.now())).await.unwrap_err().code(), Code::Internal);
    assert!(platform.close().await.is_ok(), "closed is closed");
}

/// What lies ahead of the clock would push what has happened out of the windows before its time.
#[tokio::test]
async fn a_sample_ahead_of_the_clock_pushes_nothing_out_of_a_window() {
    let (store, clock) = (Failing::default(), FixedClock::default());
    let builder = Platform::builder(store.clone()).clock(clock.clone()).hash_cost(HashCost::for_tests());
    let platform = builder.soft_limits(vec![Resource::FileOperations]).open().await.unwrap();
    let system = Context::system();
    let calls = |at, calls| {
        let sample = Sample::at(at).with_added(Counter::ApiCalls, calls).with_added(Counter::FileOperations, calls);
        sample.with_level(Level::RamBytes, calls)
    };
    for lead in [1, 60, 299, 300, 301, 3_600, 86_400, 400 * 86_400].map(Duration::from_secs) {
        let (one, other) = (register(&platform).await, register(&platform).await);
        let meter = platform.monitoring().meter(&system, one).await.unwrap();
        let now = clock.now();
        platform.monitoring().record_batch(&system, &[(other, calls(now, 100))]).await.unwrap();
        meter.record(&calls(now, 100));
        clock.advance(Duration::from_secs(3_500));
        let now = clock.now();
        // Ahead by handle, by account, and as what a caller says is now.
        meter.record(&calls(now.after(lead), 1));
        meter.record(&calls(now.after(lead), 1));
        platform.monitoring().record_batch(&system, &[(other, calls(now.after(lead), 2))]).await.unwrap();
        for account in [one, other] {
            let metrics = platform.monitoring().metrics(&system, account).await.unwrap();
            assert_eq!(metrics.api_calls_per_hour, 102, "{lead:?} ahead");
            // The newest reading is not one that nothing would be newer than: five minutes ahead, to the minute.
            assert!(metrics.at < now.after(Duration::from_secs(360)), "{lead:?} ahead");
        }
        let decision = meter.consume(Resource::ApiCalls, 1, now.after(lead)).await.unwrap();
        assert_eq!((decision.is_allowed, decision.used), (true, 103), "{lead:?} ahead");
        // What has no hard limit is counted in memory, by what the caller says is now.
        let decision = meter.consume(Resource::FileOperations, 1, now.after(lead)).await.unwrap();
        assert_eq!((decision.is_allowed, decision.used), (true, 103), "{lead:?} ahead");
        meter.record(&calls(now.after(Duration::from_secs(301)), 7));
        platform.monitoring().flush().await.unwrap();
        assert_eq!(total(&platform, one).await, Some(110), "{lead:?} ahead: durable in the month it happened in");
        let metrics = platform.monitoring().metrics(&system, one).await.unwrap();
        assert_eq!(metrics.api_calls_per_hour, 110, "{lead:?} ahead");
        // It runs off with the rest.
        clock.advance(Duration::from_secs(4_200));
        assert_eq!(platform.monitoring().metrics(&system, one).await.unwrap().api_calls_per_hour, 0);
    }
}

//! This library over a storage that has every account.
#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a bench that cannot set itself up has failed")]

use std::pin::pin;
use std::task::{self, Poll, Waker};
use std::time::Duration;

use dimensionos_core::allocation::{LimitOverride, MAX_HOURLY_LIMIT, Resource};
use dimensionos_core::monitoring::{Counter, Level, Meter, Sample};
use dimensionos_core::{AccountId, Clock, Context, Platform, SystemClock, Timestamp};
use tokio::runtime::Runtime;

use crate::everyone::Everyone;
use crate::floor::FIGURES;

/// Units of an account's first lease.
const FIRST_LEASE: u64 = 64;
/// Leases that are used up before the one that a bench takes from: it has 134 million units.
const LEASES: u32 = 21;

/// A platform whose writer of usage stands still: nothing runs on its runtime while samples are recorded, as no peer is
/// read out either. What making them durable costs is the bench `report`'s matter.
#[derive(Debug)]
pub struct Ours {
    platform: Platform,
    context: Context,
    // Dropped last: the writer ends with the runtime it was started on.
    runtime: Runtime,
}

impl Ours {
    /// An open platform that has metered nobody yet.
    #[must_use]
    pub fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let platform = runtime.block_on(Platform::builder(Everyone::new()).open()).expect("a platform");
        Self { platform, context: Context::system(), runtime }
    }

    /// The sample all are given: [`FIGURES`], taken now.
    #[must_use]
    pub fn sample() -> Sample {
        Self::sample_of(SystemClock.now())
    }

    /// The same, taken at another instant.
    #[must_use]
    pub fn sample_of(at: Timestamp) -> Sample {
        let [cpu, ram, connections] = FIGURES.levels;
        let [cpu_time, sent, received, calls, operations] = FIGURES.added;
        Sample::at(at)
            .with_level(Level::CpuMillicores, cpu)
            .with_level(Level::RamBytes, ram)
            .with_level(Level::Connections, connections)
            .with_added(Counter::CpuMicroseconds, cpu_time)
            .with_added(Counter::BytesSent, sent)
            .with_added(Counter::BytesReceived, received)
            .with_added(Counter::ApiCalls, calls)
            .with_added(Counter::FileOperations, operations)
    }

    /// The meter of an account.
    #[must_use]
    pub fn meter(&self, account: AccountId) -> Meter {
        let _entered = self.runtime.enter();
        ready(self.platform.monitoring().meter(&self.context, account)).expect("its meter")
    }

    /// The meter of each account.
    #[must_use]
    pub fn meters(&self, accounts: &[AccountId]) -> Vec<Meter> {
        accounts.iter().map(|account| self.meter(*account)).collect()
    }

    /// The meter of an account that was granted more API calls than a bench can use, so that each is decided in memory: a
    /// lease that is used up at once is followed by one twice as large.
    #[must_use]
    pub fn granted(&self, account: AccountId) -> Meter {
        let now = SystemClock.now();
        let until = now.after(Duration::from_hours(24));
        let own = LimitOverride { resource: Resource::ApiCalls, limit: MAX_HOURLY_LIMIT, until };
        self.runtime.block_on(async {
            self.platform.allocation().set_override(&self.context, account, own).await.expect("a limit of its own");
            let meter = self.platform.monitoring().meter(&self.context, account).await.expect("its meter");
            for lease in (0..LEASES).map(|lease| FIRST_LEASE << lease) {
                for amount in [1, lease] {
                    assert!(meter.consume(Resource::ApiCalls, amount, now).await.expect("a decision").is_allowed);
                }
            }
            assert!(meter.consume(Resource::ApiCalls, 1, now).await.expect("a decision").is_allowed);
            meter
        })
    }

    /// Uses one API call of a granted account's.
    #[inline]
    pub fn consume(meter: &Meter, now: Timestamp) {
        let decision = ready(meter.consume(Resource::ApiCalls, 1, now)).expect("a decision");
        assert!(decision.is_allowed);
    }

    /// Makes durable what was recorded, which the detectors of abuse are shown then.
    pub fn flush(&self, account: AccountId) {
        self.runtime.block_on(async {
            let meter = self.platform.monitoring().meter(&self.context, account).await.expect("its meter");
            meter.record_durable(&Self::sample()).await.expect("a storage that takes all");
        });
    }

    /// Records a sample by id.
    #[inline]
    pub fn record(&self, account: AccountId, sample: &Sample) {
        ready(self.platform.monitoring().record(&self.context, account, sample)).expect("it is there");
    }

    /// Records a batch by id.
    #[inline]
    pub fn record_batch(&self, batch: &[(AccountId, Sample)]) {
        ready(ours_batch(&self.platform, &self.context, batch));
    }
}

/// How this library is given a batch.
async fn ours_batch(platform: &Platform, context: &Context, batch: &[(AccountId, Sample)]) {
    platform.monitoring().record_batch(context, batch).await.expect("all are there");
}

/// Finishes what has nothing to wait for: entering a runtime for each batch would cost more than a sample.
#[inline]
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = task::Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::yield_now();
    }
}

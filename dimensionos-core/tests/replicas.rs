//! Platforms that share a storage and a bus, and what remains where the bus fails them.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dimensionos_core::allocation::{LimitOverride, Resource};
use dimensionos_core::auth::{HashCost, Keys, Password, Role};
use dimensionos_core::id::AccessKeyId;
use dimensionos_core::monitoring::{Counter, Level, Metrics, Report, Sample};
use dimensionos_core::payment::ServiceStatus;
use dimensionos_core::replicas::{Bus, Delivery, LocalBus, Topic};
use dimensionos_core::secret::BearerToken;
use dimensionos_core::testing::FixedClock;
use dimensionos_core::users::{AccountEvent, Registration};
use dimensionos_core::{AccountId, Caller, Clock, Context, Error, MemoryStore, OsEntropy, Platform};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};

const PASSWORD: &str = "violet harbour kestrel 41";
/// More than anything here takes, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(20);

/// A bus whose messages can be swallowed, with or without anybody's knowing.
#[derive(Debug, Clone, Default)]
struct Lossy {
    bus: LocalBus,
    is_cut: Arc<AtomicBool>,
    is_known: Arc<AtomicBool>,
}

impl Lossy {
    fn swallow(&self, is_cut: bool, is_known: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
        self.is_known.store(is_known, Ordering::SeqCst);
    }
}

#[async_trait]
impl Bus for Lossy {
    fn publish(&self, topic: &Topic, message: Vec<u8>) {
        if !self.is_cut.load(Ordering::SeqCst) {
            self.bus.publish(topic, message);
        }
    }

    async fn subscribe(&self, topics: &[Topic]) -> BoxStream<'static, Delivery> {
        self.bus.subscribe(topics).await
    }

    fn is_connected(&self) -> bool {
        !(self.is_cut.load(Ordering::SeqCst) && self.is_known.load(Ordering::SeqCst))
    }
}

struct Two {
    platforms: [Platform; 2],
    bus: Lossy,
    clock: FixedClock,
    agent: AccessKeyId,
    account: AccountId,
    holder: Context,
}

impl Two {
    async fn new() -> Self {
        let (store, clock, bus) = (MemoryStore::new(), FixedClock::default(), Lossy::default());
        let keys = Keys::generate(&OsEntropy).unwrap();
        let open = async || {
            let builder = Platform::builder(store.clone()).clock(clock.clone()).hash_cost(HashCost::for_tests());
            builder.keys(keys.clone()).bus(bus.clone()).open().await.unwrap()
        };
        let platforms = [open().await, open().await];
        let registration = Registration::new(None, Password::new(PASSWORD).unwrap());
        let registered = platforms[0].users().register(&Context::anonymous(), registration).await.unwrap();
        let (account, token) = (registered.account.id, BearerToken::new(registered.tokens.access_token.expose()));
        let holder = Context::new(platforms[0].auth().caller(&token).await.unwrap());
        let key =
            platforms[0].auth().create_key(&Context::system(), Role::Agent, "web".parse().unwrap()).await.unwrap();
        Self { platforms, bus, clock, agent: key.key.id, account, holder }
    }

    fn agent(&self) -> Context {
        Context { caller: Caller::Agent(self.agent), ..Context::system() }
    }

    /// Reports calls, and how many bytes are in use, on one of the two.
    async fn report(&self, place: usize, sequence: u64, calls: u64) {
        let sample =
            Sample::at(self.clock.now()).with_added(Counter::ApiCalls, calls).with_level(Level::RamBytes, sequence);
        let report = Report {
            source: "one".parse().unwrap(),
            sequence,
            samples: vec![(self.account, sample)],
            signals: Vec::new(),
        };
        self.platforms[place].monitoring().report(&self.agent(), report).await.unwrap();
    }

    async fn metrics(&self, place: usize) -> Metrics {
        self.platforms[place].monitoring().metrics(&Context::system(), self.account).await.unwrap()
    }

    async fn suspend(&self, place: usize, status: ServiceStatus) {
        let note = "report 17".parse().unwrap();
        self.platforms[place].users().set_status(&Context::system(), self.account, status, note).await.unwrap();
    }
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waited).await.is_ok(), "{what}");
}

#[tokio::test]
async fn what_is_reported_to_one_is_shown_by_the_other_whoever_asks() {
    let two = Two::new().await;
    two.report(0, 1, 3).await;
    assert_eq!(two.metrics(1).await.api_calls_per_hour, 3);
    // In memory on both from here on; asked at once, and after the account has long been followed.
    for (sequence, place) in (2..40).zip([0, 1].into_iter().cycle()) {
        two.report(place, sequence, 1).await;
        if sequence == 20 {
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
        let total = 3 + (sequence - 1);
        eventually("both show it", async || {
            let shown = [two.metrics(0).await, two.metrics(1).await];
            shown.iter().all(|metrics| metrics.api_calls_per_hour == total)
                && shown.iter().all(|metrics| metrics.readings.of(Level::RamBytes).unwrap().value == sequence)
        })
        .await;
    }
}

#[tokio::test]
async fn who_watches_on_one_sees_what_is_reported_to_the_other() {
    let two = Two::new().await;
    let monitoring = two.platforms[1].monitoring();
    let watching = monitoring.watch(&Context::system(), two.account, Duration::from_millis(1)).await.unwrap();
    let mut watching = Box::pin(watching);
    assert_eq!(watching.next().await.unwrap().api_calls_per_hour, 0);
    for sequence in 1..=50 {
        two.report(0, sequence, 1).await;
        let seen = async { while watching.next().await.unwrap().api_calls_per_hour < sequence {} };
        tokio::time::timeout(PATIENCE, seen).await.unwrap();
    }
}

#[tokio::test]
async fn what_the_bus_swallows_is_shown_a_little_later() {
    let two = Two::new().await;
    let monitoring = two.platforms[1].monitoring();
    let watching = monitoring.watch(&Context::system(), two.account, Duration::from_millis(1)).await.unwrap();
    let mut watching = Box::pin(watching);
    watching.next().await.unwrap();
    two.report(0, 1, 1).await;
    for (sequence, is_known) in [(2, true), (4, false)] {
        two.bus.swallow(true, is_known);
        two.report(0, sequence, 1).await;
        let seen = async { while watching.next().await.unwrap().api_calls_per_hour < sequence {} };
        tokio::time::timeout(PATIENCE, seen).await.unwrap();
        // What comes after a gap shows that there was one.
        two.report(0, sequence + 1, 1).await;
        two.bus.swallow(false, false);
        let seen = async { while watching.next().await.unwrap().api_calls_per_hour <= sequence {} };
        tokio::time::timeout(PATIENCE, seen).await.unwrap();
    }
    assert_eq!(two.metrics(1).await.api_calls_per_hour, 5);
}

#[tokio::test]
async fn a_suspension_on_one_is_a_refusal_on_the_other_with_the_bus_and_without() {
    let two = Two::new().await;
    let is_suspended = async || {
        let decision = two.platforms[1].allocation();
        let decision = decision.consume(&two.agent(), two.account, Resource::ApiCalls, 1, None).await.unwrap();
        !decision.is_allowed
    };
    assert!(!is_suspended().await);
    for is_cut in [false, true] {
        two.bus.swallow(is_cut, true);
        two.suspend(0, ServiceStatus::Suspended).await;
        eventually("it is refused", async || is_suspended().await).await;
        two.suspend(0, ServiceStatus::Active).await;
        eventually("it is allowed again", async || !is_suspended().await).await;
    }
}

#[tokio::test]
async fn an_event_reaches_those_who_listen_elsewhere_once() {
    let two = Two::new().await;
    let mut here = two.platforms[0].users().events(&Context::system(), two.account).await.unwrap();
    let mut elsewhere = two.platforms[1].users().events(&Context::system(), two.account).await.unwrap();
    // Until the other knows that somebody listens.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    two.suspend(0, ServiceStatus::Suspended).await;
    for events in [&mut here, &mut elsewhere] {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap();
        assert!(matches!(event, AccountEvent::StatusChanged { to: ServiceStatus::Suspended, .. }), "{event:?}");
    }
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(elsewhere.next().now_or_never().is_none() && here.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_quota_is_crossed_once_for_those_who_listen_to_either() {
    let two = Two::new().await;
    let mut here = two.platforms[0].users().events(&Context::system(), two.account).await.unwrap();
    let mut elsewhere = two.platforms[1].users().events(&Context::system(), two.account).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    // Half on each: neither has seen it all by itself.
    two.report(0, 1, 450).await;
    two.report(1, 2, 450).await;
    for events in [&mut here, &mut elsewhere] {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap();
        let is_right = matches!(
            event,
            AccountEvent::QuotaCrossed { resource: Resource::ApiCalls, percent: 80, is_above: true, .. }
        );
        assert!(is_right, "{event:?}");
    }
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(elsewhere.next().now_or_never().is_none() && here.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_limit_set_on_one_holds_on_the_other() {
    let two = Two::new().await;
    let limit = async || {
        let check = two.platforms[1].allocation();
        check.check(&Context::system(), two.account, Resource::ApiCalls, 1).await.unwrap().limit
    };
    assert_eq!(limit().await, Some(1_000));
    let until = two.clock.now().after(Duration::from_secs(3_600));
    let own = LimitOverride { resource: Resource::ApiCalls, limit: 7, until };
    two.platforms[0].allocation().set_override(&Context::system(), two.account, own).await.unwrap();
    eventually("the limit is known", async || limit().await == Some(7)).await;
}

#[tokio::test]
async fn what_is_left_and_when_it_comes_back_is_the_same_on_both() {
    let two = Two::new().await;
    for place in [0, 1] {
        two.metrics(place).await;
    }
    two.report(0, 1, 600).await;
    two.clock.advance(Duration::from_secs(900));
    two.report(1, 2, 400).await;
    for place in [0, 1] {
        let allocation = two.platforms[place].allocation();
        let refused = allocation.consume(&two.agent(), two.account, Resource::ApiCalls, 1, None).await.unwrap();
        assert_eq!((refused.is_allowed, refused.used, refused.limit), (false, 1_000, Some(1_000)));
        let resets_at = refused.resets_at.unwrap();
        // The first report's runs off first, an hour and a bucket after it at most.
        let first = two.clock.now().before(Duration::from_secs(900));
        assert!(resets_at > first.after(Duration::from_secs(3_599)), "{resets_at}");
        assert!(resets_at <= first.after(Duration::from_secs(3_901)), "{resets_at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn takers_on_both_get_as_much_as_there_is_and_no_more() {
    let two = Arc::new(Two::new().await);
    let takers: Vec<_> = (0..1_500)
        .map(|taker| {
            let two = Arc::clone(&two);
            tokio::spawn(async move {
                let allocation = two.platforms[taker % 2].allocation();
                loop {
                    match allocation.consume(&two.agent(), two.account, Resource::ApiCalls, 1, None).await {
                        Ok(decision) => return decision.is_allowed,
                        Err(Error::Busy { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
                        Err(error) => unreachable!("{error}"),
                    }
                }
            })
        })
        .collect();
    let mut given = 0;
    for taker in takers {
        given += u64::from(taker.await.unwrap());
    }
    // What lies with one while another is refused is little, and is there for whoever asks again.
    assert!((900..=1_000).contains(&given), "{given}");
}

#[tokio::test]
async fn an_account_erased_on_one_is_gone_on_the_other() {
    let two = Two::new().await;
    two.report(1, 1, 1).await;
    let users = two.platforms[0].users();
    users.erase(&two.holder, &Password::new(PASSWORD).unwrap(), None).await.unwrap();
    eventually("it is gone", async || {
        let asked = two.platforms[1].monitoring().metrics(&Context::system(), two.account).await;
        matches!(asked, Err(Error::NotFound { .. }))
    })
    .await;
}

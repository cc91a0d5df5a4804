//! Usage that is written while connections break and other processes erase accounts, on every storage.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dimensionos_core::allocation::{LimitOverride, Resource};
use dimensionos_core::auth::{HashCost, Password, Role};
use dimensionos_core::monitoring::{Counter, Level, Meter, Report, Resolution, Sample};
use dimensionos_core::secret::BearerToken;
use dimensionos_core::store::{Access, Store};
use dimensionos_core::testing::{Break, BreakingStore, FixedClock};
use dimensionos_core::users::Registration;
use dimensionos_core::{AccountId, Clock, Code, Context, MemoryStore, Platform, Timestamp};
use dimensionos_store::{Database, testing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SYSTEM: Context = Context::system();
/// After all that is measured here.
const END: Timestamp = Timestamp::from_millis(4_000_000_000_000);

fn password() -> Password {
    Password::new("violet harbour kestrel 41").unwrap()
}

/// One process on a storage.
struct Process {
    store: BreakingStore,
    clock: FixedClock,
    platform: Platform,
    agent: Context,
}

impl Process {
    async fn new(store: BreakingStore, clock: FixedClock, agent: &str) -> Self {
        let builder = Platform::builder(store.clone()).clock(clock.clone()).hash_cost(HashCost::for_tests());
        let platform = builder.open().await.unwrap();
        let key = platform.auth().create_key(&SYSTEM, Role::Agent, agent.parse().unwrap()).await.unwrap();
        let agent = Context::new(platform.auth().caller(&BearerToken::new(key.token.expose())).await.unwrap());
        Self { store, clock, platform, agent }
    }

    async fn first(store: impl Store) -> Self {
        Self::new(BreakingStore::to(store), FixedClock::default(), "first").await
    }

    /// Another process on the same storage.
    async fn another(&self) -> Self {
        Self::new(self.store.another(), self.clock.clone(), "second").await
    }

    /// A new account, and who it is when it signs in.
    async fn register(&self) -> (AccountId, Context) {
        let registration = Registration::new(None, password());
        let registered = self.platform.users().register(&Context::anonymous(), registration).await.unwrap();
        let token = BearerToken::new(registered.tokens.access_token.expose());
        (registered.account.id, Context::new(self.platform.auth().caller(&token).await.unwrap()))
    }

    fn break_next(&self, how: Break, is_cut_then: bool) {
        if is_cut_then {
            self.store.break_next_and_cut(how);
        } else {
            self.store.break_next(how);
        }
    }

    async fn meter(&self, account: AccountId) -> Meter {
        self.platform.monitoring().meter(&SYSTEM, account).await.unwrap()
    }

    fn calls(&self, calls: u64) -> Sample {
        Sample::at(self.clock.now()).with_added(Counter::ApiCalls, calls).with_level(Level::RamBytes, calls)
    }

    async fn report(&self, sequence: u64, samples: &[(AccountId, Sample)]) -> Result<bool, Code> {
        let report = Report { source: "".parse().unwrap(), sequence, samples: samples.to_vec(), signals: Vec::new() };
        let receipt = self.platform.monitoring().report(&self.agent, report).await;
        receipt.map(|receipt| receipt.is_duplicate).map_err(|error| error.code())
    }

    /// What is durable of an account's calls, by minute, hour and day.
    async fn durable(&self, account: AccountId) -> [Option<u64>; 3] {
        let mut tx = self.store.another().begin(Access::Read).await.unwrap();
        let mut totals = [None; 3];
        for (total, resolution) in totals.iter_mut().zip(Resolution::ALL) {
            let rows = tx.usage(account, resolution, Timestamp::EPOCH, END).await.unwrap();
            *total =
                rows.iter().filter_map(|(_, rollup)| rollup.total(Counter::ApiCalls)).reduce(|one, more| one + more);
        }
        totals
    }

    async fn shown(&self, account: AccountId) -> u64 {
        self.platform.monitoring().metrics(&SYSTEM, account).await.unwrap().api_calls_per_hour
    }
}

/// What was recorded, reported and consumed in a commit whose answer is lost counts once, whatever became of it.
async fn a_commit_whose_answer_is_lost_counts_once(store: impl Store) {
    let process = Process::first(store).await;
    let account = process.register().await.0;
    let meter = process.meter(account).await;
    let mut expected = 0;
    let cases = [Break::BeforeEffect, Break::AfterEffect].into_iter().flat_map(|how| [(how, false), (how, true)]);
    for (round, (how, is_cut_then)) in (0_u64..).zip(cases) {
        // What a program records.
        meter.record(&process.calls(3));
        process.break_next(how, is_cut_then);
        let _ = process.platform.monitoring().flush().await;
        assert!(!process.store.is_to_break(), "it broke");
        meter.record(&process.calls(4));
        let flushed = process.platform.monitoring().flush().await;
        assert_eq!(flushed.is_err(), is_cut_then, "{how:?}");
        process.store.mend();
        process.platform.monitoring().flush().await.unwrap();
        expected += 7;
        assert_eq!(process.durable(account).await, [Some(expected); 3], "recorded, {how:?}, cut: {is_cut_then}");
        assert_eq!(process.shown(account).await, expected, "recorded, {how:?}, cut: {is_cut_then}");

        // What an agent reports, and sends again until it is acknowledged.
        process.break_next(how, is_cut_then);
        let report = [(account, process.calls(5))];
        let answer = process.report(round + 1, &report).await;
        assert!(!process.store.is_to_break(), "it broke");
        let is_known = how == Break::AfterEffect;
        assert_eq!(answer.is_ok(), is_known && !is_cut_then, "{how:?}, cut: {is_cut_then}");
        process.store.mend();
        assert_eq!(process.report(round + 1, &report).await, Ok(is_known), "{how:?}, cut: {is_cut_then}");
        expected += 5;
        assert_eq!(process.durable(account).await, [Some(expected); 3], "reported, {how:?}, cut: {is_cut_then}");
        assert_eq!(process.shown(account).await, expected, "reported, {how:?}, cut: {is_cut_then}");
    }
    process.platform.close().await.unwrap();
    assert_eq!(process.durable(account).await, [Some(expected); 3]);
}

/// The same of what is granted: never more than the limit, whatever became of the commit, and nothing is lost for good.
async fn a_quota_holds_when_the_answer_to_a_commit_is_lost(store: impl Store) {
    const LIMIT: u64 = 100;
    let process = Process::first(store).await;
    for how in [Break::BeforeEffect, Break::AfterEffect] {
        for is_cut_then in [false, true] {
            let account = process.register().await.0;
            let until = process.clock.now().after(Duration::from_hours(24));
            let own = LimitOverride { resource: Resource::ApiCalls, limit: LIMIT, until };
            process.platform.allocation().set_override(&SYSTEM, account, own).await.unwrap();
            let meter = process.meter(account).await;
            process.break_next(how, is_cut_then);
            let mut passed = 0;
            for _ in 0..LIMIT * 2 {
                match meter.consume(Resource::ApiCalls, 1, process.clock.now()).await {
                    Ok(decision) => passed += u64::from(decision.is_allowed),
                    Err(_) => process.store.mend(),
                }
            }
            let counted = process.shown(account).await;
            process.platform.monitoring().flush().await.unwrap();
            assert_eq!(process.durable(account).await, [Some(counted); 3], "{how:?}, cut: {is_cut_then}");
            // Of one answer nobody knows; where it took effect it was counted.
            let is_counted = how == Break::AfterEffect && is_cut_then;
            assert_eq!((passed, counted), (LIMIT - u64::from(is_counted), LIMIT), "{how:?}, cut: {is_cut_then}");
        }
    }
}

/// An account that another process has erased leaves nothing behind, and keeps nobody from being counted.
async fn what_is_metered_of_an_account_that_another_process_erased_is_dropped(store: impl Store) {
    let here = Process::first(store).await;
    let there = here.another().await;
    let (gone, holder) = there.register().await;
    let (stays, _) = there.register().await;
    let (meter, other) = (here.meter(gone).await, here.meter(stays).await);
    // Granted to this process, and held in a row that leads to the account.
    let decision = meter.consume(Resource::ApiCalls, 1, here.clock.now()).await.unwrap();
    assert!(decision.is_allowed);
    here.report(1, &[(gone, here.calls(2)), (stays, here.calls(2))]).await.unwrap();
    assert_eq!(here.durable(gone).await, [Some(3); 3]);

    there.platform.users().erase(&holder, &password(), None).await.unwrap();
    assert_eq!(here.durable(gone).await, [None; 3]);
    meter.record(&here.calls(3));
    other.record(&here.calls(3));
    here.platform.monitoring().flush().await.unwrap();
    assert_eq!(here.durable(gone).await, [None; 3]);
    assert_eq!(here.durable(stays).await, [Some(5); 3]);

    meter.record(&here.calls(3));
    assert_eq!(here.report(2, &[(gone, here.calls(4)), (stays, here.calls(4))]).await, Err(Code::NotFound));
    assert_eq!(here.report(2, &[(stays, here.calls(4))]).await, Ok(false));
    let refused = meter.consume(Resource::ApiCalls, 1, here.clock.now()).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    here.platform.close().await.unwrap();
    let mut tx = here.store.begin(Access::Read).await.unwrap();
    assert_eq!(here.durable(gone).await, [None; 3]);
    assert_eq!(tx.readings(gone).await.unwrap(), dimensionos_core::monitoring::Readings::default());
    assert_eq!(tx.holds(gone).await.unwrap(), []);
    assert_eq!(here.durable(stays).await, [Some(9); 3]);
}

/// The same while both are at it.
async fn accounts_that_are_erased_while_they_are_metered_leave_nothing(store: impl Store) {
    const ACCOUNTS: usize = 12;
    let here = Process::first(store).await;
    let there = here.another().await;
    let mut accounts = Vec::new();
    for _ in 0..ACCOUNTS {
        accounts.push(there.register().await);
    }
    let stays = there.register().await.0;
    let metered: Vec<AccountId> = accounts.iter().map(|(account, _)| *account).chain([stays]).collect();
    for account in &metered {
        here.meter(*account).await.consume(Resource::ApiCalls, 1, here.clock.now()).await.unwrap();
    }
    let is_over = AtomicBool::new(false);
    let erasing = async {
        for (_, holder) in &accounts {
            there.platform.users().erase(holder, &password(), None).await.unwrap();
        }
        is_over.store(true, Ordering::SeqCst);
    };
    let metering = async {
        let mut counted = 1;
        while !is_over.load(Ordering::SeqCst) {
            let samples: Vec<_> = metered.iter().map(|account| (*account, here.calls(1))).collect();
            let recorded = here.platform.monitoring().record_batch(&SYSTEM, &samples).await;
            assert!(recorded.is_ok() || recorded.unwrap_err().code() == Code::NotFound);
            counted += 1;
            here.platform.monitoring().flush().await.unwrap();
            tokio::task::yield_now().await;
        }
        counted
    };
    let ((), counted) = futures_util::future::join(erasing, metering).await;
    here.platform.close().await.unwrap();
    for account in &metered[..ACCOUNTS] {
        assert_eq!(here.durable(*account).await, [None; 3]);
    }
    assert_eq!(here.durable(stays).await, [Some(counted); 3]);
}

/// Between a process and PostgreSQL; breaks a connection in the middle of a commit when it is told to.
struct Wire {
    url: String,
    breaks: Arc<Mutex<Option<Break>>>,
}

impl Wire {
    async fn to(url: &str) -> Self {
        let (before, server) = url.split_once('@').unwrap();
        let (server, database) = server.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = format!("{before}@{}/{database}", listener.local_addr().unwrap());
        let (breaks, server) = (Arc::<Mutex<Option<Break>>>::default(), server.to_owned());
        let armed = Arc::clone(&breaks);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(Self::carry(client, server, Arc::clone(&armed)));
            }
        });
        Self { url: own, breaks }
    }

    /// Carries both ways until either end closes, or a commit is to break.
    async fn carry(mut client: TcpStream, mut server: TcpStream, breaks: Arc<Mutex<Option<Break>>>) {
        let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
        loop {
            tokio::select! {
                read = client.read(&mut asked) => {
                    let Ok(length @ 1..) = read else { return };
                    let asked = &asked[..length];
                    let is_commit = asked.ends_with(b"COMMIT\0");
                    let broken = if is_commit { breaks.lock().unwrap().take() } else { None };
                    match broken {
                        Some(Break::BeforeEffect) => return,
                        // It arrives, and nobody hears the answer: the server may well be at it when it is asked.
                        Some(Break::AfterEffect) => return server.write_all(asked).await.unwrap(),
                        None => server.write_all(asked).await.unwrap(),
                    }
                }
                read = server.read(&mut answered) => {
                    let Ok(length @ 1..) = read else { return };
                    if client.write_all(&answered[..length]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_in_the_middle_of_a_commit_doubles_and_loses_nothing() {
    const ROUNDS: u64 = 40;
    let Some((_database, fresh)) = testing::postgres().await else { return };
    let wire = Wire::to(&fresh.url).await;
    let process = Process::first(Database::connect(&wire.url).await.unwrap()).await;
    let account = process.register().await.0;
    let meter = process.meter(account).await;
    let (mut broken, mut expected) = (0, 0);
    for round in 0..ROUNDS {
        process.platform.monitoring().flush().await.unwrap();
        meter.record(&process.calls(1 + round));
        expected += 1 + round;
        let how = if round % 2 == 0 { Break::AfterEffect } else { Break::BeforeEffect };
        *wire.breaks.lock().unwrap() = Some(how);
        let flushed = process.platform.monitoring().flush().await;
        broken += u64::from(wire.breaks.lock().unwrap().take().is_none());
        if flushed.is_err() {
            process.platform.monitoring().flush().await.unwrap();
        }
        assert_eq!(process.durable(account).await, [Some(expected); 3], "{how:?}, round {round}");
        assert_eq!(process.shown(account).await, expected, "{how:?}, round {round}");
    }
    assert_eq!(broken, ROUNDS, "every commit of these broke");
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
    a_commit_whose_answer_is_lost_counts_once,
    a_quota_holds_when_the_answer_to_a_commit_is_lost,
    what_is_metered_of_an_account_that_another_process_erased_is_dropped,
    accounts_that_are_erased_while_they_are_metered_leave_nothing,
);

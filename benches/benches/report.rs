//! Reports made durable on SQLite: one alone, and many sources at once, beside one bare commit.
#![expect(clippy::expect_used, reason = "a bench that cannot set itself up has failed")]

use std::cell::Cell;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dimensionos_core::auth::{HashCost, Password, Role};
use dimensionos_core::monitoring::{Counter, Report, Sample};
use dimensionos_core::secret::BearerToken;
use dimensionos_core::store::{Access, Store};
use dimensionos_core::users::Registration;
use dimensionos_core::{AccountId, Context, Platform};
use dimensionos_store::{Database, testing};

struct Setting {
    platform: Platform,
    database: Database,
    account: AccountId,
    agent: Context,
}

async fn setting(database: Database) -> Setting {
    let platform = Platform::builder(database.clone()).hash_cost(HashCost::for_tests());
    let platform = platform.open().await.expect("a platform");
    let password = Password::new("violet harbour kestrel 41").expect("a good password");
    let registration = Registration::new(None, password);
    let registered = platform.users().register(&Context::anonymous(), registration).await.expect("a new account");
    let name = "bench".parse().expect("a good name");
    let key = platform.auth().create_key(&Context::system(), Role::Agent, name).await.expect("a new key");
    let caller = platform.auth().caller(&BearerToken::new(key.token.expose())).await.expect("its holder");
    Setting { account: registered.account.id, agent: Context::new(caller), platform, database }
}

impl Setting {
    async fn report(&self, source: usize, sequence: u64) {
        let sample = Sample::at(self.platform.clock().now()).with_added(Counter::ApiCalls, 1);
        let source = format!("source-{source}").parse().expect("a good name");
        let report = Report { source, sequence, samples: vec![(self.account, sample)] };
        self.platform.monitoring().report(&self.agent, report).await.expect("a receipt");
    }

    /// The floor: one row written in a transaction of its own.
    async fn commit(&self, sequence: u64) {
        let mut tx = self.database.begin(Access::Write).await.expect("a transaction");
        let state = sequence.to_string().parse().expect("a state");
        let name = "floor".parse().expect("a good name");
        tx.save_source(dimensionos_core::id::AccessKeyId::from_bits(1), &name, &state).await.expect("a row");
        tx.commit().await.expect("a commit");
    }
}

fn report(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (setting, _folder) = runtime.block_on(async {
        let (database, folder) = testing::sqlite().await;
        (setting(database).await, folder)
    });
    let sequence = Cell::new(0);
    let next = || {
        sequence.set(sequence.get() + 1);
        sequence.get()
    };
    let mut group = criterion.benchmark_group("a report of one sample, SQLite, synchronous=FULL");
    group.sample_size(20);
    group.bench_function("floor: one commit of one row", |bencher| {
        bencher.iter(|| runtime.block_on(setting.commit(next())));
    });
    group.bench_function("one report, alone", |bencher| {
        bencher.iter(|| runtime.block_on(setting.report(0, next())));
    });
    group.throughput(Throughput::Elements(64));
    group.bench_function("64 reports of 64 sources at once", |bencher| {
        bencher.iter(|| {
            let sequence = next();
            runtime.block_on(futures_util::future::join_all((0..64).map(|source| setting.report(source, sequence))))
        });
    });
    group.finish();
}

criterion_group!(benches, report);
criterion_main!(benches);

//! One sample recorded by handle, beside a plain struct behind `dashmap`.
#![expect(clippy::expect_used, reason = "a bench that cannot set itself up has failed")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use dashmap::DashMap;
use dimensionos_core::auth::{HashCost, Password};
use dimensionos_core::monitoring::{Counter, Level, Meter, Sample};
use dimensionos_core::users::Registration;
use dimensionos_core::{Context, MemoryStore, Platform};

/// What `dashmap` holds: eight plain counters, without windows, readings or anything durable.
#[derive(Default)]
struct Plain([u64; 8]);

async fn meter(platform: &Platform) -> Meter {
    let password = Password::new("violet harbour kestrel 41").expect("a good password");
    let registration = Registration::new(None, password);
    let registered = platform.users().register(&Context::anonymous(), registration).await.expect("a new account");
    platform.monitoring().meter(&Context::system(), registered.account.id).await.expect("its meter")
}

fn record(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (platform, meter) = runtime.block_on(async {
        let platform = Platform::builder(MemoryStore::new()).hash_cost(HashCost::for_tests());
        let platform = platform.open().await.expect("a platform");
        let meter = meter(&platform).await;
        (platform, meter)
    });
    let sample = Sample::at(platform.clock().now())
        .with_level(Level::CpuMillicores, 250)
        .with_level(Level::RamBytes, 1 << 30)
        .with_level(Level::Connections, 12)
        .with_added(Counter::CpuMicroseconds, 10_000)
        .with_added(Counter::BytesSent, 1_500)
        .with_added(Counter::BytesReceived, 900)
        .with_added(Counter::ApiCalls, 1)
        .with_added(Counter::FileOperations, 2);
    let mut group = criterion.benchmark_group("one sample of 8 fields, one account");
    group.bench_function("by handle: 3 windows, levels, durable minute", |bencher| {
        bencher.iter(|| meter.record(black_box(&sample)));
    });
    let peer: DashMap<u128, Plain> = DashMap::new();
    group.bench_function("peer: dashmap of 8 plain counters", |bencher| {
        bencher.iter(|| {
            let mut counters = peer.entry(black_box(7)).or_default();
            counters.0.iter_mut().for_each(|counter| *counter += black_box(1));
        });
    });
    group.finish();
}

criterion_group!(benches, record);
criterion_main!(benches);

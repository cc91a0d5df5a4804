//! Signing in beside bcrypt itself, and knowing a caller beside the tag of an address.
#![expect(clippy::expect_used, reason = "a bench that cannot set itself up has failed")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use dimensionos_core::auth::{Password, SignIn};
use dimensionos_core::secret::BearerToken;
use dimensionos_core::users::{Identity, Registration};
use dimensionos_core::{Context, MemoryStore, Platform};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const COST: u32 = 12;

fn identity(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let password = Password::new("violet harbour kestrel 41").expect("a good password");
    let identity = Identity::email("ada@example.org").expect("a good address");
    let (platform, access) = runtime.block_on(async {
        let platform = Platform::builder(MemoryStore::new()).open().await.expect("a platform");
        let registration = Registration::new(Some(identity.clone()), password.clone());
        let registered = platform.users().register(&Context::anonymous(), registration).await.expect("a new account");
        (platform, BearerToken::new(registered.tokens.access_token.expose()))
    });
    let mut group = criterion.benchmark_group("signing in, cost 12");
    group.sample_size(10);
    let hash = bcrypt::hash("violet harbour kestrel 41", COST).expect("a hash");
    group.bench_function("floor: bcrypt's verify", |bencher| {
        bencher.iter(|| bcrypt::verify(black_box("violet harbour kestrel 41"), &hash).expect("a verdict"));
    });
    group.bench_function("login", |bencher| {
        bencher.iter(|| {
            let login = async {
                platform.auth().login(&Context::anonymous(), SignIn::new(identity.clone(), password.clone())).await
            };
            runtime.block_on(login).expect("signed in")
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("knowing who asks");
    group.bench_function("a caller by an access token that was verified before: digest, session, epoch", |bencher| {
        bencher.iter(|| runtime.block_on(platform.auth().caller(black_box(&access))).expect("a caller"));
    });
    group.bench_function("an address, normalised and digested", |bencher| {
        bencher.iter(|| Identity::email(black_box("Ada@Example.org")).expect("a good address"));
    });
    group.bench_function("floor: one HMAC-SHA-256 of 32 bytes", |bencher| {
        bencher.iter(|| {
            let mut mac = Hmac::<Sha256>::new_from_slice(black_box(&[1; 32])).expect("a key of any length");
            mac.update(black_box(&[2; 32]));
            mac.finalize().into_bytes()
        });
    });
    group.finish();
}

criterion_group!(benches, identity);
criterion_main!(benches);

//! Ten thousand vouchers bought and redeemed, in processor time of one thread, beside as many multiplications of points
//! as they cannot do without; and then by a whole server, in memory and on SQLite, whose every
//! redemption is a commit.
#![expect(clippy::expect_used, reason = "a bench that cannot set itself up has failed")]

use std::hint::black_box;
use std::time::Duration;

use benches::cpu;
use curve25519_dalek::{RistrettoPoint, Scalar};
use dimensionos_core::auth::{Audience, BillingKey, HashCost, Keys, Password, VoucherKey};
use dimensionos_core::payment::voucher::{Denomination, Epoch, Issue, IssuingKey, MAX_VOUCHERS, Order, Voucher};
use dimensionos_core::payment::{Attester, BillingIssuer, Grant};
use dimensionos_core::secret::BearerToken;
use dimensionos_core::store::Store;
use dimensionos_core::testing::FixedClock;
use dimensionos_core::users::Registration;
use dimensionos_core::{Context, MemoryStore, OsEntropy, Platform, Timestamp};
use dimensionos_store::testing;

const VOUCHERS: usize = 10_000;
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Multiplications that a voucher of a hundred cannot do without: the buyer blinds, and unblinds; the server evaluates
/// when it issues, and when it redeems. Of the proof the server has one more, and the buyer two.
const OF_A_HUNDRED: [usize; 4] = [1, 2, 3, 1];
/// The same of one that is bought alone: what a proof takes once, it takes for each.
const ALONE: [usize; 4] = [1, 5, 7, 1];
const STEPS: [&str; 4] = ["blind", "issue", "unblind", "redeem"];

fn key() -> IssuingKey {
    let denomination: Denomination = "STARTER:30".parse().expect("a denomination");
    IssuingKey::derive(&VoucherKey::from_bytes([1; 32]), Epoch::of(NOW), denomination).expect("a key")
}

/// So many multiplications, one after the other.
fn multiplied(times: usize) -> Duration {
    let scalar = Scalar::from_bytes_mod_order([0x5a; 32]);
    let mut point = RistrettoPoint::from_uniform_bytes(&[7; 64]);
    let took = cpu::time(|| (0..times).for_each(|_| point *= scalar));
    black_box(point.compress());
    took
}

/// Each step of buying and redeeming all of them, so many with one attestation.
fn steps(at_once: usize) -> [Duration; 4] {
    let key = key();
    let orders_in_all = VOUCHERS / at_once;
    let denomination = key.published().denomination;
    let mut orders: Vec<Order> = Vec::with_capacity(orders_in_all);
    let order = || Order::new(denomination, at_once, NOW, &OsEntropy).expect("an order");
    let blind = cpu::time(|| orders.extend((0..orders_in_all).map(|_| order())));
    let requests: Vec<_> = orders.iter().map(Order::blinded).collect();
    let mut issues: Vec<Issue> = Vec::with_capacity(orders_in_all);
    let issue = cpu::time(|| {
        issues.extend(requests.iter().map(|blinded| key.issue(blinded, &OsEntropy).expect("an issue")));
    });
    let mut vouchers: Vec<Voucher> = Vec::with_capacity(VOUCHERS);
    let unblind = cpu::time(|| {
        for (order, issue) in orders.iter().zip(&issues) {
            vouchers.extend(order.finish(issue, &[key.published()]).expect("vouchers"));
        }
    });
    let redeem = cpu::time(|| assert!(vouchers.iter().all(|voucher| key.verifies(voucher))));
    assert_eq!(vouchers.len(), VOUCHERS);
    [blind, issue, unblind, redeem]
}

/// The same through the services, in processor time of the whole process: the buyers' part, server and database.
async fn through_a_server(store: impl Store) -> [Duration; 2] {
    let (issuer, audience) = (BillingIssuer::default(), Audience::default());
    let billing = Attester { key: BillingKey::from_bytes([7; 32]), issuer, audience };
    let keys = Keys::generate(&OsEntropy).expect("keys").with_billing(vec![billing.key.public().expect("a key")]);
    let builder = Platform::builder(store).keys(keys).clock(FixedClock::at(NOW)).hash_cost(HashCost::for_tests());
    let platform = builder.open().await.expect("a platform");
    let registration = Registration::new(None, Password::new("violet harbour kestrel 41").expect("a password"));
    let registered = platform.users().register(&Context::anonymous(), registration).await.expect("an account");
    let token = BearerToken::new(registered.tokens.access_token.expose());
    let own = Context::new(platform.auth().caller(&token).await.expect("a caller"));

    let denomination = key().published().denomination;
    let grant = Grant::Vouchers { denomination, count: MAX_VOUCHERS };
    let day = Duration::from_hours(24);
    let mut vouchers = Vec::with_capacity(VOUCHERS);
    let before = cpu::of_this_process();
    for _ in 0..VOUCHERS / MAX_VOUCHERS {
        let paid = billing.attest(grant, NOW, day, &OsEntropy).expect("an attestation");
        let order = Order::new(denomination, MAX_VOUCHERS, NOW, &OsEntropy).expect("an order");
        let issue = platform.payment().issue_vouchers(&paid, order.blinded()).await.expect("an issue");
        let published = platform.payment().voucher_keys().await.expect("keys");
        vouchers.extend(order.finish(&issue, &published).expect("vouchers"));
    }
    let bought = cpu::of_this_process();
    for voucher in &vouchers {
        platform.payment().redeem_voucher(&own, voucher).await.expect("a redemption");
    }
    let redeemed = cpu::of_this_process();
    platform.close().await.expect("it closes");
    [bought.saturating_sub(before), redeemed.saturating_sub(bought)]
}

fn main() {
    println!("| {VOUCHERS} vouchers | processor time | as many multiplications | ratio |\n| --- | --- | --- | --- |");
    for (how, at_once, each) in [("a hundred at once", MAX_VOUCHERS, OF_A_HUNDRED), ("one by one", 1, ALONE)] {
        let mut total = [Duration::ZERO; 2];
        for ((step, each), took) in STEPS.into_iter().zip(each).zip(steps(at_once)) {
            let floor = multiplied(each * VOUCHERS);
            row(&format!("{how}: {step}, {each} each"), took, floor);
            total = [total[0] + took, total[1] + floor];
        }
        let [took, floor] = total;
        row(&format!("{how}: all of it"), took, floor);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    served("in memory", runtime.block_on(through_a_server(MemoryStore::new())));
    let (database, _folder) = runtime.block_on(testing::sqlite());
    served("on SQLite, a commit each", runtime.block_on(through_a_server(database)));
}

fn served(how: &str, [bought, redeemed]: [Duration; 2]) {
    row(&format!("a server {how}: bought, with the buyers' part, 6 each"), bought, multiplied(6 * VOUCHERS));
    row(&format!("a server {how}: redeemed, 1 each"), redeemed, multiplied(VOUCHERS));
    row(&format!("a server {how}: all of it"), bought + redeemed, multiplied(7 * VOUCHERS));
}

fn row(what: &str, took: Duration, floor: Duration) {
    let ratio = took.as_secs_f64() / floor.as_secs_f64();
    println!("| {what} | {:.2} s | {:.2} s | {ratio:.2} |", took.as_secs_f64(), floor.as_secs_f64());
}

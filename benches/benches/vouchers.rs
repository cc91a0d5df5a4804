//! Ten thousand vouchers bought and redeemed, in processor time of one thread, beside as many multiplications of points
//! as they cannot do without.
#![expect(clippy::expect_used, reason = "a bench that cannot set itself up has failed")]

use std::hint::black_box;
use std::time::Duration;

use benches::cpu;
use curve25519_dalek::{RistrettoPoint, Scalar};
use dimensionos_core::auth::VoucherKey;
use dimensionos_core::payment::voucher::{Denomination, Epoch, Issue, IssuingKey, MAX_VOUCHERS, Order, Voucher};
use dimensionos_core::{OsEntropy, Timestamp};

const VOUCHERS: usize = 10_000;
const ORDERS: usize = VOUCHERS / MAX_VOUCHERS;
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Multiplications that a voucher cannot do without: the buyer blinds, and unblinds; the server evaluates when it
/// issues, and when it redeems. The proof takes one more of the server, and two of the buyer.
const EACH: [(&str, usize); 4] = [("blind", 1), ("issue", 2), ("unblind", 3), ("redeem", 1)];

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

/// Each step of buying and redeeming all of them.
fn steps() -> [Duration; 4] {
    let key = key();
    let denomination = key.published().denomination;
    let mut orders: Vec<Order> = Vec::with_capacity(ORDERS);
    let order = || Order::new(denomination, MAX_VOUCHERS, NOW, &OsEntropy).expect("an order");
    let blind = cpu::time(|| orders.extend((0..ORDERS).map(|_| order())));
    let requests: Vec<_> = orders.iter().map(Order::blinded).collect();
    let mut issues: Vec<Issue> = Vec::with_capacity(ORDERS);
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

fn main() {
    println!("| {VOUCHERS} vouchers | processor time | as many multiplications | ratio |\n| --- | --- | --- | --- |");
    let mut total = [Duration::ZERO; 2];
    for ((step, each), took) in EACH.into_iter().zip(steps()) {
        let floor = multiplied(each * VOUCHERS);
        row(&format!("{step}, {each} each"), took, floor);
        total = [total[0] + took, total[1] + floor];
    }
    let [took, floor] = total;
    row("all of it", took, floor);
}

fn row(what: &str, took: Duration, floor: Duration) {
    let ratio = took.as_secs_f64() / floor.as_secs_f64();
    println!("| {what} | {:.2} s | {:.2} s | {ratio:.2} |", took.as_secs_f64(), floor.as_secs_f64());
}

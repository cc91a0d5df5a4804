//! Threads that meet in the cells, for real.
#![expect(unsafe_code, reason = "a race that is planted on purpose, to see that it is found")]

use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::allocation::schedule::TierSchedule;
use crate::allocation::{OwnLimits, TierName};
use crate::monitoring::reading::Readings;
use crate::monitoring::sample::{Counter, Level, Sample};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const ACCOUNTS: u64 = 48;
const ROUNDS: u64 = 300;
/// Set where the writers are to race for [`Plain`] memory.
const PLANT: &str = "DIMENSIONOS_TEST_PLANT_RACE";

/// Memory as a cell's would be if it were not atomics. The sanitizer says nothing of atomics that are used without the
/// lock, which is what the totals below are for; what it is for is memory like this, and it has to find it.
#[derive(Default)]
struct Plain(UnsafeCell<u64>);

// SAFETY: none. Nobody touches it but where a race is asked for, to be reported by the sanitizer.
unsafe impl Sync for Plain {}

impl Plain {
    fn add(&self) {
        // SAFETY: none, on purpose; see above.
        unsafe { *self.0.get() += 1 };
    }
}

fn metering() -> Arc<Metering> {
    let (sentinel, _) = Sentinel::new();
    Arc::new(Metering::new(
        Limits::new(TierSchedule::initial(), Vec::new()),
        Arc::new(crate::SystemClock),
        sentinel,
        false,
    ))
}

fn nothing_known() -> Past {
    Past {
        tier: TierName::Free,
        own: OwnLimits::default(),
        readings: Readings::default(),
        minutes: Vec::new(),
        days: Vec::new(),
        version: 0,
    }
}

fn sample(round: u64) -> Sample {
    // Now of this minute and now of the last: what gives way to another minute is put aside.
    let at = if round.is_multiple_of(7) { NOW.before(Duration::from_secs(60)) } else { NOW };
    Sample::at(at).with_added(Counter::ApiCalls, 1).with_level(Level::RamBytes, round)
}

fn calls(pending: &Pending) -> u64 {
    pending.minutes.iter().filter_map(|(_, rollup)| rollup.total(Counter::ApiCalls)).sum()
}

/// Handles, batches, flushes, evictions and readers at once: every call that was recorded is flushed once.
#[test]
fn meeting_threads_lose_nothing_and_count_nothing_twice() {
    let metering = metering();
    let ids: Vec<AccountId> =
        (1..=ACCOUNTS).map(|number| AccountId::from_bits(u128::from(number) << 64 | u128::from(number))).collect();
    let (recorded, flushed, evicted) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let is_over = AtomicBool::new(false);
    let (plain, is_planted) = (Plain::default(), std::env::var_os(PLANT).is_some());
    let flush = || {
        let mut from = Some(0);
        while let Some(slot) = from {
            let (pending, next) = metering.take_pending(slot, 16, NOW);
            flushed.fetch_add(pending.iter().map(|(_, pending)| calls(pending)).sum(), Ordering::Relaxed);
            from = next;
        }
    };
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let meter = metering.admit(ids[0], &nothing_known(), NOW).unwrap();
                    for round in 0..ROUNDS * ACCOUNTS {
                        meter.record(&sample(round), metering.beside(meter.slot()));
                        if is_planted {
                            plain.add();
                        }
                        recorded.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .chain((0..2).map(|_| {
                scope.spawn(|| {
                    let mut round = 0;
                    // On until some have come and gone, however late the thread that sends them away gets its turn. By
                    // then one account alone is in use: of those that are recorded all the time none would ever go.
                    while round < ROUNDS || evicted.load(Ordering::Relaxed) == 0 {
                        let used = if round < ROUNDS { &ids[..] } else { &ids[..1] };
                        round += 1;
                        let batch: Vec<_> = used.iter().map(|account| (*account, sample(round))).collect();
                        let each = |place: &usize| !metering.record(batch[*place].0, &batch[*place].1);
                        let absent = if round % 2 == 0 {
                            metering.record_batch(&batch)
                        } else {
                            (0..batch.len()).filter(each).collect()
                        };
                        for place in absent {
                            let held = metering.admit(batch[place].0, &nothing_known(), NOW).unwrap();
                            held.record(&batch[place].1, metering.beside(held.slot()));
                        }
                        recorded.fetch_add(batch.len() as u64, Ordering::Relaxed);
                    }
                })
            }))
            .collect();
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                flush();
                let gone = (0..metering.slab.used()).filter(|slot| metering.evict_one(*slot, NOW.after(MIN_IDLE)));
                evicted.fetch_add(gone.count() as u64, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for account in &ids {
                    if let Some(held) = metering.resident(*account) {
                        let metrics = metering.metrics(held.cell(), NOW);
                        assert!(metrics.readings.of(Level::RamBytes).is_none_or(|ram| ram.value < u64::MAX / 2));
                    }
                }
            }
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        is_over.store(true, Ordering::Relaxed);
    });
    flush();
    assert_eq!(flushed.load(Ordering::Relaxed), recorded.load(Ordering::Relaxed));
    assert!(evicted.load(Ordering::Relaxed) > 0, "some came and went");
    assert!(metering.len() <= ids.len());
}

/// The index, over growth and removal, as a slow map.
#[test]
fn every_account_is_found_where_it_is_and_nowhere_else() {
    let metering = metering();
    let id = |number: u64| AccountId::from_bits(u128::from(number) << 96 | u128::from(number % 3));
    for number in 1..=5_000 {
        metering.admit(id(number), &nothing_known(), NOW).unwrap();
        if number.is_multiple_of(3) {
            let gone = id(number / 3);
            let slot = metering.find(gone).unwrap();
            assert!(metering.evict_one(slot, NOW));
        }
    }
    let lowest_left = 5_000 / 3 + 1;
    for number in 1..=5_000 {
        assert_eq!(metering.is_resident(id(number)), number >= lowest_left, "{number}");
    }
    assert_eq!(metering.len() as u64, 5_000 - (lowest_left - 1));
}

//! What the adaptive layer costs: processor time a sample, and bytes a metric.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use benches::cpu;
use dimensionos_core::Timestamp;
use dimensionos_core::tos::detectors::adaptive::{Adaptive, AdaptiveParameters};

use crate::report::{Report, put};

/// Samples that a state has learnt before: over a week of five minutes.
const LEARNT: u32 = 3_000;
/// Samples of one state, which stays in the nearest cache.
const HOT_SAMPLES: u32 = 4_000_000;
/// States of a tick, which do not fit into any cache.
const STATES: usize = 1_000_000;
const TICKS: u32 = 6;
/// The least of so many runs is kept: what is more is a neighbour's.
const RUNS: usize = 5;

/// Puts `cost.ns_hot`, `cost.ns_tick` and `cost.bytes_per_metric` in.
///
/// # Errors
/// Where the report has them already.
pub(crate) fn evaluate(report: &mut Report) -> Result<(), Box<dyn Error>> {
    put(report, "cost.ns_hot", least(hot) / f64::from(HOT_SAMPLES))?;
    #[expect(clippy::cast_precision_loss, reason = "a count of states")]
    let samples = f64::from(TICKS) * STATES as f64;
    put(report, "cost.ns_tick", least(tick) / samples)?;
    put(report, "cost.bytes_per_metric", size_of::<Adaptive>())
}

fn least(mut run: impl FnMut() -> Duration) -> f64 {
    (0..RUNS).map(|_| run()).min().unwrap_or_default().as_secs_f64() * 1e9
}

/// One metric, sample after sample.
fn hot() -> Duration {
    let parameters = AdaptiveParameters::default();
    let mut adaptive = used(&parameters);
    cpu::time(|| {
        for sample in LEARNT..LEARNT + HOT_SAMPLES {
            observe(&mut adaptive, sample, figure(sample), &parameters);
        }
    })
}

/// Every account's metric once, one after the other, several times.
fn tick() -> Duration {
    let parameters = AdaptiveParameters::default();
    let mut states = vec![used(&parameters); STATES];
    cpu::time(|| {
        for tick in LEARNT..LEARNT + TICKS {
            for (state, metric) in states.iter_mut().zip(0..) {
                observe(state, tick, figure(tick.wrapping_mul(7_919) ^ metric), &parameters);
            }
        }
    })
}

/// A state that has learnt enough to raise notices, so that all of the work is done.
fn used(parameters: &AdaptiveParameters) -> Adaptive {
    let mut adaptive = Adaptive::new();
    (0..LEARNT).for_each(|sample| observe(&mut adaptive, sample, figure(sample), parameters));
    adaptive
}

fn observe(adaptive: &mut Adaptive, sample: u32, value: f64, parameters: &AdaptiveParameters) {
    black_box(adaptive.observe(instant(sample), value, "value", parameters, &mut |finding| {
        black_box(finding);
    }));
}

fn instant(sample: u32) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + i64::from(sample) * 300_000)
}

/// Something that goes up and down, without a pattern that a processor could foresee.
fn figure(sample: u32) -> f64 {
    f64::from(sample.wrapping_mul(2_654_435_761) >> 16)
}

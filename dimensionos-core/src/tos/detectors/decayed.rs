//! Sums that fade: what was done an age ago counts `e^(-age / window)`.
//!
//! Such a sum says what was done at a steady pace in a window, and what was done just now, as a plain sum over the
//! window does; in between it is the smaller one while a burst grows and the larger one after its end. It takes no list
//! of the past, and nothing leaves it all at once. No input counts for more than itself, so a figure is never more than a
//! plain sum over all inputs; it is recomputed from them with the same weights.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What part of a limit the inputs of a flag's window may come to at most, so that a rule on a faded sum stays silent.
/// The rest of the limit is for what is left of what was done before the window.
pub const COUNTERFACTUAL_PART: f64 = 0.6;

/// What is left of an amount after a while, as a part of it.
#[must_use]
pub fn decay(elapsed: Duration, window: Duration) -> f64 {
    if elapsed.is_zero() { 1.0 } else { (-elapsed.as_secs_f64() / window.as_secs_f64()).exp() }
}

/// How far time went from one observation to the next.
///
/// A clock that was set back, and the first observation, count as no time at all: what is kept neither fades nor grows
/// by it, and the next step is measured from the new instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pace {
    /// Milliseconds; 0 before the first observation.
    last: u64,
}

impl Pace {
    /// Whether nothing was observed yet.
    #[must_use]
    pub const fn is_new(self) -> bool {
        self.last == 0
    }

    /// How long ago the last observation was.
    #[expect(clippy::cast_sign_loss, reason = "instants begin with 1970")]
    pub fn step(&mut self, at: Timestamp) -> Duration {
        let now = (at.as_millis() as u64).max(1);
        let elapsed = if self.is_new() { 0 } else { now.saturating_sub(self.last) };
        self.last = now;
        Duration::from_millis(elapsed)
    }
}

/// One faded sum with its own clock, in 16 bytes.
///
/// Exact but for rounding: within one part in 10^9 of the weighted sum of all inputs, for a million of them a window.
///
/// ```
/// use std::time::Duration;
/// use dimensionos_core::Timestamp;
/// use dimensionos_core::tos::detectors::Decayed;
///
/// let minute = Duration::from_secs(60);
/// let mut sum = Decayed::default();
/// sum.add(Timestamp::from_millis(1_000), 100.0, minute);
/// assert!((sum.at(Timestamp::from_millis(61_000), minute) - 36.79).abs() < 0.01);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Decayed {
    sum: f64,
    pace: Pace,
}

impl Decayed {
    /// Adds an amount at an instant, and says what the sum is then.
    pub fn add(&mut self, at: Timestamp, amount: f64, window: Duration) -> f64 {
        let elapsed = self.pace.step(at);
        self.sum = self.sum * decay(elapsed, window) + amount;
        self.sum
    }

    /// What the sum is at an instant.
    #[must_use]
    pub fn at(&self, at: Timestamp, window: Duration) -> f64 {
        let mut pace = self.pace;
        self.sum * decay(pace.step(at), window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOW: Duration = Duration::from_secs(900);

    /// Every input by itself, weighed at the end.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of some days")]
    fn slow(inputs: &[(i64, f64)], at: i64) -> f64 {
        let weighed = |(when, amount): &(i64, f64)| amount * (-((at - when) as f64) / 900_000.0).exp();
        inputs.iter().map(weighed).sum()
    }

    proptest! {
        #[test]
        fn a_faded_sum_is_the_weighted_sum_of_its_inputs(
            steps in proptest::collection::vec((0_i64..400_000, 0.0..1e6_f64), 1..300),
            after in 0_i64..2_000_000,
        ) {
            let mut sum = Decayed::default();
            let (mut now, mut inputs) = (1_700_000_000_000, Vec::new());
            for (step, amount) in steps {
                now += step;
                inputs.push((now, amount));
                sum.add(Timestamp::from_millis(now), amount, WINDOW);
            }
            let exact = slow(&inputs, now + after);
            let kept = sum.at(Timestamp::from_millis(now + after), WINDOW);
            prop_assert!((kept - exact).abs() <= exact * 1e-9, "{kept} is not {exact}");
        }

        #[test]
        fn a_clock_set_back_neither_adds_nor_takes(back in 0_i64..100_000_000, amount in 0.0..1e6_f64) {
            let mut sum = Decayed::default();
            sum.add(Timestamp::from_millis(1_700_000_000_000), amount, WINDOW);
            let set_back = Timestamp::from_millis(1_700_000_000_000 - back);
            prop_assert!((sum.add(set_back, 0.0, WINDOW) - amount).abs() <= amount * 1e-12);
            // From there on it fades as ever.
            let later = sum.at(set_back.after(WINDOW), WINDOW);
            prop_assert!((later - amount / std::f64::consts::E).abs() <= amount * 1e-9);
        }
    }

    #[test]
    fn a_steady_pace_and_a_burst_read_as_they_would_in_a_plain_window() {
        let mut sum = Decayed::default();
        for second in 0..9_000 {
            sum.add(Timestamp::from_millis(1_700_000_000_000 + second * 1_000), 2.0, WINDOW);
        }
        let steady = sum.at(Timestamp::from_millis(1_700_009_000_000), WINDOW);
        assert!((steady - 1_800.0).abs() < 1_800.0 * 0.002, "{steady}");
        let burst = Decayed::default().add(Timestamp::from_millis(5), 70.0, WINDOW);
        assert!((burst - 70.0).abs() < 1e-9, "{burst}");
        assert_eq!(size_of::<Decayed>(), 16);
    }
}

//! What a figure has been like, in a few numbers, and how unlike that the next one is.

use serde::{Deserialize, Serialize};

/// Figures beyond this are held to it, so that their squares stay within single precision.
const MAGNITUDE_AT_MOST: f64 = 1e18;
/// Part of a figure below which a difference is rounding: what single precision and meters can tell apart.
const ROUNDING: f64 = 1e-4;
/// Part of the mean below which a spread is no spread, so that a series that was constant has one to compare with.
const LEAST_SPREAD: f64 = 1e-3;
/// A figure below this is nothing, whatever its unit.
const NOTHING: f64 = 1e-9;
/// After so many figures the spread is one; before, it is that of the first few.
const FIRST_SPREAD: u32 = 20;

/// How a habit is learnt and compared. The defaults were chosen by consensus over the files of two public benchmarks,
/// each in the middle of a range over which results hardly change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HabitParameters {
    /// The weight of a figure in the short mean: about the last 2 / weight figures.
    pub mean_weight: f64,
    /// Its weight in the short spread.
    pub spread_weight: f64,
    /// The least weight of a figure in the long spread, which is a plain mean up to 1 / weight figures.
    pub long_weight: f64,
    /// The part of what is remembered that each figure makes forgotten: 20 ppm is half in 35,000 figures.
    pub forgetting: f64,
    /// The part by which a detection quietens what follows that each later figure takes off.
    pub recovery: f64,
    /// Excess over everything remembered, as a part of its range, that scores one half.
    pub half_excess: f64,
    /// Standard deviations from the short mean that score one half.
    pub half_deviations: f64,
    /// The part of the mean that a standard deviation is at least taken for, in a spike.
    pub least_deviation: f64,
    /// A deviation adds to the long spread as if it were at most so many standard deviations.
    pub deviations_at_most: f64,
}

impl Default for HabitParameters {
    fn default() -> Self {
        Self {
            mean_weight: 0.03,
            spread_weight: 0.1,
            long_weight: 0.001,
            forgetting: 20e-6,
            recovery: 0.05,
            half_excess: 0.02,
            half_deviations: 4.0,
            least_deviation: 0.2,
            deviations_at_most: 2.5,
        }
    }
}

/// How unlike its habit a figure was. Both parts are 0 to 1, without a unit, and one half is where to draw the line.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Score {
    /// How far the figure, its short mean or its short spread went beyond everything remembered. It is 0 for a while
    /// after it was high, unless it is higher still: what lasts is said once.
    pub novelty: f64,
    /// How many deviations the figure was from its short mean. It says so as long as it lasts and every time.
    pub spike: f64,
}

impl Score {
    /// The larger of the two.
    #[must_use]
    pub fn largest(self) -> f64 {
        self.novelty.max(self.spike)
    }
}

/// The least and most that something has been, both drifting towards each other while nothing confirms them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Bounds {
    low: f32,
    high: f32,
}

/// One figure's habit, as learnt so far. It depends on the order of figures and not on when they were.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Habit {
    samples: u32,
    mean: f32,
    short_variance: f32,
    long_variance: f32,
    value: Bounds,
    level: Bounds,
    spread: Bounds,
    /// What was detected of late; less than it is not said again.
    said: f32,
}

impl Habit {
    /// How many figures were learnt, each a sample.
    pub(super) fn samples(&self) -> u32 {
        self.samples
    }

    /// The largest figure that would not be as much as so many ranges beyond what is remembered, neither itself nor by
    /// the short mean that it makes. A range is taken for at least that part of its upper end.
    pub(super) fn at_most(&self, ranges: f64, least_range: f64, parameters: &HabitParameters) -> f64 {
        let beyond = |bounds: Bounds| {
            let (low, high) = (f64::from(bounds.low), f64::from(bounds.high));
            high + ranges * (high - low).max(least_range * high.abs())
        };
        let mean = f64::from(self.mean);
        let by_level = mean + (beyond(self.level) - mean) / self.weight(parameters.mean_weight);
        beyond(self.value).min(by_level)
    }

    /// Scores a figure against what was learnt before it, then learns it.
    #[expect(clippy::cast_possible_truncation, reason = "a habit is kept in single precision")]
    pub(super) fn take(&mut self, value: f64, parameters: &HabitParameters) -> Score {
        let value = value.clamp(-MAGNITUDE_AT_MOST, MAGNITUDE_AT_MOST);
        if self.samples == 0 {
            let level = value as f32;
            let bounds = Bounds { low: level, high: level };
            *self = Self { samples: 1, mean: level, value: bounds, level: bounds, ..Self::default() };
            return Score::default();
        }
        let mean_before = f64::from(self.mean);
        let deviation = value - mean_before;
        let spike = self.spike(deviation, parameters);

        let mean = mean_before + self.weight(parameters.mean_weight) * deviation;
        let short = f64::from(self.short_variance);
        let short = short + self.weight(parameters.spread_weight) * (deviation * deviation - short);
        self.mean = mean as f32;
        self.short_variance = short as f32;
        let floor = NOTHING + LEAST_SPREAD * mean.abs();
        // The logarithm of a standard deviation: a spread that halves is as unusual as one that doubles.
        let spread = 0.5 * (short + floor * floor).ln();
        let excess = self.value.take(value, parameters).max(self.level.take(mean, parameters));
        let excess = excess.max(self.spread_excess(spread, parameters));
        self.samples = self.samples.saturating_add(1);
        Score { novelty: share(self.unsaid(excess, parameters), parameters.half_excess), spike }
    }

    /// The weight of a figure while few were learnt: that of a plain mean.
    fn weight(&self, weight: f64) -> f64 {
        weight.max(1.0 / (f64::from(self.samples) + 1.0))
    }

    #[expect(clippy::cast_possible_truncation, reason = "a habit is kept in single precision")]
    fn spike(&mut self, deviation: f64, parameters: &HabitParameters) -> f64 {
        let floor = NOTHING + parameters.least_deviation * f64::from(self.mean.abs());
        let long = f64::from(self.long_variance);
        let variance = long + floor * floor;
        let squared = deviation * deviation;
        let most = parameters.deviations_at_most * parameters.deviations_at_most * variance;
        let learnt = if self.samples < FIRST_SPREAD { squared } else { squared.min(most) };
        self.long_variance = (long + self.weight(parameters.long_weight) * (learnt - long)) as f32;
        share((squared / variance).sqrt(), parameters.half_deviations)
    }

    #[expect(clippy::cast_possible_truncation, reason = "a habit is kept in single precision")]
    fn spread_excess(&mut self, spread: f64, parameters: &HabitParameters) -> f64 {
        if self.samples < FIRST_SPREAD {
            self.spread = Bounds { low: spread as f32, high: spread as f32 };
            return 0.0;
        }
        self.spread.take(spread, parameters)
    }

    /// What is left of an excess beside what was said of late. A rise in steps is said once: each step adds to what the
    /// next has to be more than.
    #[expect(clippy::cast_possible_truncation, reason = "a habit is kept in single precision")]
    fn unsaid(&mut self, excess: f64, parameters: &HabitParameters) -> f64 {
        let said = f64::from(self.said) * (1.0 - parameters.recovery);
        // Held so that a single figure cannot silence the habit for longer than its memory.
        self.said = (said + excess).min(MAGNITUDE_AT_MOST) as f32;
        if excess > said { excess } else { 0.0 }
    }
}

impl Bounds {
    /// How far beyond them something is, as a part of their range; then they take it in.
    #[expect(clippy::cast_possible_truncation, reason = "a habit is kept in single precision")]
    fn take(&mut self, value: f64, parameters: &HabitParameters) -> f64 {
        let (low, high) = (f64::from(self.low), f64::from(self.high));
        let range = (high - low).max(NOTHING + ROUNDING * value.abs());
        let excess = (value - high).max(low - value).max(0.0) / range;
        let drift = 0.5 * parameters.forgetting * (high - low);
        self.low = (low + drift).min(value) as f32;
        self.high = (high - drift).max(value) as f32;
        excess
    }
}

/// From 0 on to 1, with one half at `half`.
fn share(amount: f64, half: f64) -> f64 {
    amount / (amount + half)
}

//! What a figure has been like, in a few numbers, and how unlike that the next one is.

use serde::{Deserialize, Serialize};

/// Figures beyond this are held to it, so that their squares stay within single precision.
const MAGNITUDE_AT_MOST: f64 = 1e18;
/// What the logarithm of a spread is at least taken to range over: a spread that grows by a tenth is none that ever was.
const LEAST_LOGARITHMS: f64 = 0.1;
/// What was detected counts for at most so many ranges in what follows it, so that it is heard again after the same
/// while, however far it went.
const SAID_AT_MOST: f64 = 10.0;
/// Part of a figure below which a difference is rounding: what single precision and meters can tell apart.
const ROUNDING: f64 = 1e-4;
/// Part of the mean below which a spread is no spread, so that a series that was constant has one to compare with.
const LEAST_SPREAD: f64 = 1e-3;
/// The part of the least figure remembered below which a figure fell to nothing.
const OUTAGE: f64 = 0.05;
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
    /// Its weight in the long mean, from which spikes are measured.
    pub base_weight: f64,
    /// Its weight in the long spread of deviations.
    pub long_weight: f64,
    /// The part of what is remembered that each figure makes forgotten: 20 ppm is half in 35,000 figures.
    pub forgetting: f64,
    /// The part by which a detection quietens what follows that each later figure takes off.
    pub recovery: f64,
    /// Excess over everything remembered, as a part of its range, that scores one half.
    pub half_excess: f64,
    /// Standard deviations from the long mean that score one half.
    pub half_deviations: f64,
    /// A deviation is taken as a part of the figure and so many times the long mean together: what is many times the
    /// mean then counts for less than as many times more, as series of counts and latencies have it.
    pub compression: f64,
    /// And so much of the largest figure remembered on top. Where a figure is mostly nothing, as rare counts are, its
    /// mean is no measure of it; what it has been before is.
    pub largest_weight: f64,
    /// So many times a deviation counts where the figure fell to nothing and never was near it, as in an outage. A fall
    /// can be no longer than the way down, while a rise can be any.
    pub outage_times: f64,
    /// The weight of a figure among the last few, whose mean deviation counts: one that stands alone weighs less than
    /// two together.
    pub recent_weight: f64,
    /// The least that a standard deviation of such parts is taken for.
    pub least_deviation: f64,
    /// A figure moves the long mean as if it were at most so many standard deviations away,
    pub base_deviations_at_most: f64,
    /// and adds to the long spread as if it were at most so many: what is unusual shall not become the measure.
    pub deviations_at_most: f64,
}

impl Default for HabitParameters {
    fn default() -> Self {
        Self {
            mean_weight: 0.03,
            spread_weight: 0.2,
            base_weight: 0.0125,
            long_weight: 0.001,
            forgetting: 20e-6,
            recovery: 0.05,
            half_excess: 0.02,
            half_deviations: 3.1,
            compression: 16.0,
            largest_weight: 0.2,
            outage_times: 2.5,
            recent_weight: 0.7,
            least_deviation: 0.015,
            base_deviations_at_most: 2.4,
            deviations_at_most: 1.5,
        }
    }
}

/// How unlike its habit a figure was. Both parts are 0 to 1, without a unit, and one half is where to draw the line.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Score {
    /// How far the figure, its short mean or its short spread went beyond everything remembered. It is 0 for a while
    /// after it was high, unless it is higher still: what lasts is said once.
    pub novelty: f64,
    /// How many deviations the figure was from its long mean. It says so as long as it lasts and every time.
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
    base: f32,
    /// The mean deviation of the last few.
    recent: f32,
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
    #[inline]
    pub(super) fn at_most(&self, ranges: f64, least_range: f64, parameters: &HabitParameters) -> f64 {
        let beyond = |bounds: Bounds| {
            let (low, high) = (f64::from(bounds.low), f64::from(bounds.high));
            high + ranges * larger(high - low, least_range * high.abs())
        };
        let mean = f64::from(self.mean);
        let by_level = mean + (beyond(self.level) - mean) * smaller(self.plain(), 1.0 / parameters.mean_weight);
        smaller(beyond(self.value), by_level)
    }

    /// Scores a figure against what was learnt before it, then learns it.
    #[expect(clippy::cast_possible_truncation, reason = "a habit is kept in single precision")]
    pub(super) fn take(&mut self, value: f64, parameters: &HabitParameters) -> Score {
        let value = value.clamp(-MAGNITUDE_AT_MOST, MAGNITUDE_AT_MOST);
        if self.samples == 0 {
            let level = value as f32;
            let bounds = Bounds { low: level, high: level };
            *self = Self { samples: 1, mean: level, base: level, value: bounds, level: bounds, ..Self::default() };
            return Score::default();
        }
        let spike = self.spike(value, parameters);
        let mean_before = f64::from(self.mean);
        let deviation = value - mean_before;
        let mean = mean_before + self.weight(parameters.mean_weight) * deviation;
        let short = f64::from(self.short_variance);
        let short = short + self.weight(parameters.spread_weight) * (deviation * deviation - short);
        self.mean = mean as f32;
        self.short_variance = short as f32;
        let floor = NOTHING + LEAST_SPREAD * mean.abs();
        // The logarithm of a standard deviation: a spread that halves is as unusual as one that doubles.
        let spread = 0.5 * logarithm(short + floor * floor);
        let tick = NOTHING + ROUNDING * value.abs();
        let excess = larger(self.value.take(value, tick, parameters), self.level.take(mean, tick, parameters));
        let excess = larger(excess, self.spread_excess(spread, parameters));
        self.samples = self.samples.saturating_add(1);
        Score { novelty: self.unsaid(excess, parameters), spike }
    }

    /// How many figures there are with the next one.
    fn plain(&self) -> f64 {
        f64::from(self.samples) + 1.0
    }

    /// The weight of a figure while few were learnt: that of a plain mean.
    fn weight(&self, weight: f64) -> f64 {
        larger(weight, 1.0 / self.plain())
    }

    #[expect(clippy::cast_possible_truncation, reason = "a habit is kept in single precision")]
    fn spike(&mut self, value: f64, parameters: &HabitParameters) -> f64 {
        let base = f64::from(self.base);
        let (low, high) = (f64::from(self.value.low), f64::from(self.value.high));
        let largest = larger(high.abs(), low.abs());
        let unit = value.abs() + parameters.compression * base.abs() + parameters.largest_weight * largest + NOTHING;
        let part = (value - base) / unit;
        let long = f64::from(self.long_variance);
        let variance = long + parameters.least_deviation * parameters.least_deviation;
        let deviation = variance.sqrt();
        // The first few may be anything: they are the measure.
        let measure = if self.samples < FIRST_SPREAD { f64::INFINITY } else { deviation };
        let held = |most: f64| smaller(larger(part, -most * measure), most * measure);
        let learnt = held(parameters.deviations_at_most);
        let moved = unit * held(parameters.base_deviations_at_most);
        self.long_variance = (long + self.weight(parameters.long_weight) * (learnt * learnt - long)) as f32;
        self.base = (base + self.weight(parameters.base_weight) * moved) as f32;
        let recent = f64::from(self.recent);
        let recent = recent + parameters.recent_weight * (part - recent);
        self.recent = recent as f32;
        let times = if value.abs() < OUTAGE * low.abs() { parameters.outage_times } else { 1.0 };
        // Both divided by the deviation at once.
        share(times * recent.abs(), parameters.half_deviations * deviation)
    }

    #[expect(clippy::cast_possible_truncation, reason = "a habit is kept in single precision")]
    fn spread_excess(&mut self, spread: f64, parameters: &HabitParameters) -> f64 {
        if self.samples < FIRST_SPREAD {
            self.spread = Bounds { low: spread as f32, high: spread as f32 };
            return 0.0;
        }
        self.spread.take(spread, LEAST_LOGARITHMS, parameters)
    }

    /// The score of what is left of an excess beside what was said of late. A rise in steps is said once: each step adds to what the
    /// next has to be more than.
    #[expect(clippy::cast_possible_truncation, reason = "a habit is kept in single precision")]
    fn unsaid(&mut self, excess: f64, parameters: &HabitParameters) -> f64 {
        let said = f64::from(self.said) * (1.0 - parameters.recovery);
        self.said = smaller(said + excess, SAID_AT_MOST) as f32;
        if excess > said { share(excess, parameters.half_excess) } else { 0.0 }
    }
}

impl Bounds {
    /// How far beyond them something is, as a part of their range, which is taken for at least so much; then they take
    /// it in.
    #[expect(clippy::cast_possible_truncation, reason = "a habit is kept in single precision")]
    fn take(&mut self, value: f64, least: f64, parameters: &HabitParameters) -> f64 {
        let (low, high) = (f64::from(self.low), f64::from(self.high));
        let beyond = larger(value - high, low - value);
        // Hardly ever, and a division is a third of what all of this costs.
        let excess = if beyond > 0.0 { beyond / larger(high - low, least) } else { 0.0 };
        let drift = 0.5 * parameters.forgetting * (high - low);
        self.low = smaller(low + drift, value) as f32;
        self.high = larger(high - drift, value) as f32;
        excess
    }
}

/// From 0 on to 1, with one half at `half`.
fn share(amount: f64, half: f64) -> f64 {
    amount / (amount + half)
}

/// The natural logarithm of a number that is normal and more than 0, to seven digits, which is what it is kept in. The
/// same on every platform, as that of a platform's own library is not, and it saves the call.
fn logarithm(number: f64) -> f64 {
    const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    // The number as a power of two times something near one, between the roots of a half and of two.
    let bits = number.to_bits();
    let exponent = bits.wrapping_sub(std::f64::consts::FRAC_1_SQRT_2.to_bits()).cast_signed() >> MANTISSA_BITS;
    let near_one = f64::from_bits(bits.wrapping_sub((exponent << MANTISSA_BITS).cast_unsigned()));
    // The series of the inverse hyperbolic tangent, whose next term is below 3e-8.
    let tangent = (near_one - 1.0) / (near_one + 1.0);
    let square = tangent * tangent;
    let series = 1.0 + square * (1.0 / 3.0 + square * (1.0 / 5.0 + square * (1.0 / 7.0)));
    #[expect(clippy::cast_precision_loss, reason = "an exponent is up to 1,024 either way")]
    let exponent = exponent as f64;
    exponent * std::f64::consts::LN_2 + 2.0 * tangent * series
}

/// The larger of two numbers. Nothing here is no number, which [`f64::max`] would ask each time: that is a tenth of what
/// all of this costs.
pub(super) fn larger(one: f64, other: f64) -> f64 {
    if one > other { one } else { other }
}

/// The smaller of two numbers.
fn smaller(one: f64, other: f64) -> f64 {
    if one < other { one } else { other }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_logarithm_is_right_to_seven_digits(power in -41.0..90.0_f64) {
            prop_assert!((logarithm(power.exp()) - power).abs() < 1e-7);
        }
    }
}

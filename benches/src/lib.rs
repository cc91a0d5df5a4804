//! Measurements, each beside a named floor or peer of the same run: see `README.md` in this folder. Here is what they
//! share: order statistics and a comparison of two samples; the accounts, floors and peers of `record` and `memory`.

pub mod answer;
pub mod cpu;
pub mod everyone;
pub mod floor;
pub mod ours;
pub mod peers;
pub mod visits;

/// Readings of one thing, in any unit.
#[derive(Debug, Default, Clone)]
pub struct Readings(Vec<f64>);

impl Readings {
    /// Adds one.
    pub fn push(&mut self, reading: f64) {
        self.0.push(reading);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The reading below which that share of them lies, from 0 to 1; 0 where there are none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place in a list of some thousands"
        )]
        let place = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
        sorted.get(place).copied().unwrap_or(0.0)
    }

    /// Their mean.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "some thousands of readings")]
    pub fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len().max(1) as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "some thousands of readings")]
    fn error_of_mean(&self) -> f64 {
        let mean = self.mean();
        let squares: f64 = self.0.iter().map(|reading| (reading - mean).powi(2)).sum();
        squares / (self.0.len().max(2) - 1) as f64 / self.0.len().max(1) as f64
    }

    /// Without the slowest tenth: what else runs on a machine makes single readings long, and says nothing of what is
    /// measured.
    #[must_use]
    pub fn trimmed(&self) -> Self {
        let limit = self.quantile(0.9);
        Self(self.0.iter().copied().filter(|reading| *reading <= limit).collect())
    }

    /// Welch's t of the two means: within 4.5 of 0, as dudect has it, nobody could tell them apart by so many readings.
    #[must_use]
    pub fn welch_t(&self, other: &Self) -> f64 {
        (self.mean() - other.mean()) / (self.error_of_mean() + other.error_of_mean()).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(values: impl IntoIterator<Item = f64>) -> Readings {
        Readings(values.into_iter().collect())
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "each is one of the readings, as it was")]
    fn quantiles_are_of_the_sorted_readings() {
        let five = readings([5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!([0.0, 0.5, 1.0].map(|share| five.quantile(share)), [1.0, 3.0, 5.0]);
        assert_eq!(five.trimmed().len(), 5);
    }

    #[test]
    fn samples_that_differ_are_told_apart_and_equal_ones_are_not() {
        let around = |center: f64| readings((0..100).map(|n| center + f64::from(n % 10)));
        assert!(around(0.0).welch_t(&around(0.0)).abs() < 0.001);
        assert!(around(3.0).welch_t(&around(0.0)) > 4.5);
    }
}

//! Rates with what they were counted from, and how far chance may have moved them.

use serde_json::{Value, json};

/// The quantile of the normal distribution that leaves 2.5 % on either side.
const Z: f64 = 1.959_963_984_540_054;

/// A rate of so many in so many, with Wilson's bounds of 95 %: unlike the textbook interval they stay within 0 to 1 and
/// say something where nothing was counted. Nothing of nothing has no rate, and could be anything.
#[expect(clippy::cast_precision_loss, reason = "counts of samples")]
pub(crate) fn rate(count: u64, of: u64) -> Value {
    if of == 0 {
        return json!({"count": count, "of": of, "rate": null, "low95": 0.0, "high95": 1.0});
    }
    let total = of as f64;
    let share = count as f64 / total;
    let scale = 1.0 + Z * Z / total;
    let middle = (share + Z * Z / (2.0 * total)) / scale;
    let reach = Z / scale * (share * (1.0 - share) / total + Z * Z / (4.0 * total * total)).sqrt();
    // Rounding would leave the ends a hair beside 0 and 1.
    let low = if count == 0 { 0.0 } else { (middle - reach).max(0.0) };
    let high = if count == of { 1.0 } else { (middle + reach).min(1.0) };
    json!({"count": count, "of": of, "rate": share, "low95": low, "high95": high})
}

/// Events in a stretch of something (days, thousands of points), with bounds of 95 % for a Poisson process in the form
/// of Byar, good to three digits from one event on; with no event the upper bound is exact.
#[expect(clippy::cast_precision_loss, reason = "counts of events")]
pub(crate) fn frequency(events: u64, stretch: f64) -> Value {
    if stretch <= 0.0 {
        return json!({"count": events, "of": stretch, "rate": null});
    }
    let byar = |events: f64, z: f64| events * (1.0 - 1.0 / (9.0 * events) + z / (3.0 * events.sqrt())).powi(3);
    let low = if events == 0 { 0.0 } else { byar(events as f64, -Z) };
    // -ln 0.025: above it, no event at all is seen one time in forty.
    let high = if events == 0 { 3.688_879 } else { byar(events as f64 + 1.0, Z) };
    let rate = events as f64 / stretch;
    json!({"count": events, "of": stretch, "rate": rate, "low95": low / stretch, "high95": high / stretch})
}

/// The median; nothing of nothing. Of an even number, the mean of the two in the middle.
pub(crate) fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    let upper = *figures.get(middle)?;
    Some(if figures.len() % 2 == 1 { upper } else { f64::midpoint(figures[middle - 1], upper) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(of: &Value) -> (f64, f64) {
        (of["low95"].as_f64().unwrap(), of["high95"].as_f64().unwrap())
    }

    #[test]
    fn bounds_are_those_of_the_tables() {
        // Wilson, 1927: 5 of 10 and 0 of 10.
        let (low, high) = bounds(&rate(5, 10));
        assert!((low - 0.2366).abs() < 1e-4 && (high - 0.7634).abs() < 1e-4, "{low} {high}");
        let (low, high) = bounds(&rate(0, 10));
        assert!(low == 0.0 && (high - 0.2775).abs() < 1e-4, "{low} {high}");
        // Exact bounds of a Poisson count of 10: 4.795 to 18.391.
        let (low, high) = bounds(&frequency(10, 1.0));
        assert!((low - 4.795).abs() < 0.02 && (high - 18.391).abs() < 0.02, "{low} {high}");
    }

    #[test]
    fn nothing_of_nothing_could_be_anything() {
        assert_eq!(bounds(&rate(0, 0)), (0.0, 1.0));
        assert!(rate(0, 0)["rate"].is_null());
        assert!(frequency(0, 0.0)["rate"].is_null());
    }

    #[test]
    fn bounds_hold_the_rate() {
        for of in 1..40_u64 {
            for count in 0..=of {
                let value = rate(count, of);
                let (low, high) = bounds(&value);
                let share = value["rate"].as_f64().unwrap();
                assert!(0.0 <= low && low <= share && share <= high && high <= 1.0, "{value}");
            }
        }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(Vec::new()), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}

//! How often one source may ask without a token that holds.

use std::hash::RandomState;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dimensionos_core::auth::Source;
use tokio::time::Instant;

/// How often a source may ask before it has said who it is. Whoever shows a token that holds is counted by account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceRate {
    /// Requests a second; 0 for no limit. Default 1,000: a hundredth of what a core answers of public queries, and more
    /// than the people behind one address ask.
    pub per_second: u64,
    /// Requests at once, where there were none for a while. Default 5,000: five seconds' worth.
    pub burst: u64,
}

impl Default for SourceRate {
    fn default() -> Self {
        Self { per_second: 1_000, burst: 5_000 }
    }
}

/// Places of each row. With 1,000 sources at their limit, one in some 300 others shares both its places with them.
const PLACES: usize = 1 << 14;
const ROWS: usize = 2;

/// Counts by source, in memory that does not grow with their number: each has a place in two rows, which others may
/// share, and is refused only where both are full. Which, nobody outside can tell.
#[derive(Debug)]
pub(crate) struct Rates {
    rate: SourceRate,
    keys: [RandomState; ROWS],
    /// When what was asked for at each place has been paid for by time, in microseconds since the start.
    paid_at: Box<[AtomicU64]>,
    started: Instant,
}

impl Rates {
    pub(crate) fn new(rate: SourceRate) -> Self {
        let places = if rate.per_second == 0 { 0 } else { ROWS * PLACES };
        let paid_at = std::iter::repeat_with(AtomicU64::default).take(places).collect();
        Self { rate, keys: std::array::from_fn(|_| RandomState::new()), paid_at, started: Instant::now() }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// How long the source has to wait; then the request is not counted.
    pub(crate) fn take(&self, source: Option<Source>) -> Result<(), Duration> {
        self.wait(source).map_or(Ok(()), Err)?;
        if let Some((places, cost)) = self.places(source) {
            let now = self.now();
            for place in places {
                let later = |paid: u64| Some(paid.max(now) + cost);
                // It always has a next value.
                let _ = place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
            }
        }
        Ok(())
    }

    /// How long a source has to wait; absent where it need not.
    pub(crate) fn wait(&self, source: Option<Source>) -> Option<Duration> {
        let (places, cost) = self.places(source)?;
        let now = self.now();
        let latest = now + cost * (self.rate.burst - 1);
        let owed = places.map(|place| place.load(Ordering::Relaxed).saturating_sub(latest));
        let least = owed.into_iter().min().filter(|owed| *owed > 0)?;
        Some(Duration::from_micros(least))
    }

    /// Where a source is counted, and how many microseconds pay for one request; absent where nothing is counted.
    fn places(&self, source: Option<Source>) -> Option<([&AtomicU64; ROWS], u64)> {
        let source = source?;
        let cost = 1_000_000_u64.checked_div(self.rate.per_second)?.max(1);
        let place = |row: usize| {
            #[expect(clippy::cast_possible_truncation, reason = "the low bits choose a place")]
            let chosen = source.hash_with(&self.keys[row]) as usize % PLACES;
            &self.paid_at[row * PLACES + chosen]
        };
        Some((std::array::from_fn(place), cost))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn source(number: u32) -> Source {
        Source::new(IpAddr::from(number.to_be_bytes()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_gets_its_burst_and_then_its_rate_and_others_do_not_notice() {
        let rates = Rates::new(SourceRate { per_second: 10, burst: 5 });
        assert_eq!((0..100).filter(|_| rates.take(Some(source(1))).is_ok()).count(), 5);
        assert_eq!(rates.take(Some(source(1))), Err(Duration::from_millis(100)));
        assert!(rates.wait(Some(source(1))).is_some() && rates.wait(Some(source(2))).is_none());
        tokio::time::advance(Duration::from_millis(300)).await;
        assert_eq!((0..100).filter(|_| rates.take(Some(source(1))).is_ok()).count(), 3);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!((0..100).filter(|_| rates.take(Some(source(1))).is_ok()).count(), 5);
        assert_eq!((0..100).filter(|_| rates.take(None).is_ok()).count(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_floods_hardly_touch_anybody_else() {
        let rates = Rates::new(SourceRate { per_second: 10, burst: 5 });
        for number in 0..1_000 {
            (0..10).for_each(|_| {
                let _ = rates.take(Some(source(number)));
            });
        }
        let refused = (1_000_000..1_010_000).filter(|number| rates.wait(Some(source(*number))).is_some()).count();
        assert!(refused <= 100, "{refused} of 10,000");
    }

    #[test]
    fn no_rate_is_no_limit_and_no_memory() {
        let rates = Rates::new(SourceRate { per_second: 0, burst: 1 });
        assert!((0..10_000).all(|_| rates.take(Some(source(1))).is_ok()));
        assert!(rates.paid_at.is_empty());
    }
}

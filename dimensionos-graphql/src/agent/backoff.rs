//! How long to wait before the next try.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// A server may ask for more patience than the longest delay, up to this.
const LONGEST_ASKED: Duration = Duration::from_mins(5);

/// Delays that double from half a second to half a minute.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) const fn new() -> Self {
        Self { next: FIRST }
    }

    /// Begins anew with the shortest delay.
    pub(super) const fn reset(&mut self) {
        self.next = FIRST;
    }

    /// The next delay: no shorter than the server asked for, and up to a fifth off by `chance`, so that agents which
    /// lost a server together do not come back together.
    pub(super) fn delay(&mut self, asked: Option<Duration>, chance: u8) -> Duration {
        let delay = self.next * (80 + u32::from(chance % 41)) / 100;
        self.next = (self.next * 2).min(LONGEST);
        delay.max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_half_a_minute_within_a_fifth() {
        let mut backoff = Backoff::new();
        // A chance of 20 is the middle.
        let delays: Vec<u128> = (0..9).map(|_| backoff.delay(None, 20).as_millis()).collect();
        assert_eq!(delays, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        backoff.reset();
        for chance in 0..=u8::MAX {
            backoff.reset();
            assert!((400..=600).contains(&backoff.delay(None, chance).as_millis()));
        }
    }

    #[test]
    fn a_server_may_ask_for_patience_but_not_for_hours() {
        let mut backoff = Backoff::new();
        assert_eq!(backoff.delay(Some(Duration::from_secs(45)), 0), Duration::from_secs(45));
        assert_eq!(backoff.delay(Some(Duration::from_hours(9)), 0), LONGEST_ASKED);
    }
}

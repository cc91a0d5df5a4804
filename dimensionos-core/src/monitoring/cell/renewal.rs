//! Making a cell anew from the store while it is in use.

use super::writing::{HOURLY, Locked};
use super::{Aside, MONTH_COUNTERS, Parts, Past, known, millis};
use crate::monitoring::pending::Pending;
use crate::monitoring::sample::{Counter, Level, Sample};
use crate::time::{Month, Timestamp};

impl Locked<'_> {
    /// Sets it to what the store has, beside which what is not durable yet stays: what the cell has of it, and what is
    /// `waiting`. Queries, which the store cannot tell by the second, stay as they are.
    pub(crate) fn renew(&self, past: &Past, waiting: Option<&Pending>, now: Timestamp, aside: impl Aside) {
        let Parts { cell, rest, .. } = self.parts;
        self.parts.expect_nothing();
        for level in Level::ALL {
            if let Some(reading) = past.readings.of(level) {
                self.see_levels(&Sample::at(reading.at).with_level(level, reading.value));
            }
        }
        let own = [self.parts.calls().clear(), self.parts.files().clear()];
        let stored = past.minutes.iter().chain(waiting.into_iter().flat_map(|waiting| &waiting.minutes));
        for (bucket, rollup) in stored {
            self.count_hourly(bucket.start(), HOURLY.map(|of| rollup.total(of)), now, aside);
        }
        for (counter, amount) in HOURLY.into_iter().zip(own) {
            if cell.shape.of() & u32::from(counter.bit()) != 0 {
                let window = if counter == Counter::ApiCalls { self.parts.calls() } else { self.parts.files() };
                self.count_in(window, counter, rest.minute_start(), amount, true, || now, aside);
            }
        }
        rest.month.set(0);
        rest.known.set(rest.known.of() & !(3 << known::MONTH_SHIFT));
        rest.month_bytes.iter().for_each(|bytes| bytes.set(0));
        let days = past.days.iter().chain(waiting.into_iter().flat_map(|waiting| &waiting.minutes));
        // What is of another month has been put aside.
        for (bucket, rollup) in days.filter(|(bucket, _)| Month::of(bucket.start()) == Month::of(now)) {
            self.add_to_month(bucket.start(), MONTH_COUNTERS.map(|counter| rollup.total(counter)), aside);
        }
        let newest_minute = past.minutes.last().map(|(bucket, _)| bucket.start());
        let newest = past.readings.newest().max(newest_minute).map_or(0, millis);
        self.parts.see_time(newest);
    }
}

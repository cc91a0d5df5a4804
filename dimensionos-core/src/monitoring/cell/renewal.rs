//! Making a cell anew from the store while it is in use.

use super::writing::Locked;
use super::{Aside, MONTH_COUNTERS, Past, known, millis};
use crate::monitoring::pending::Pending;
use crate::monitoring::sample::{Counter, Level, Sample};
use crate::time::{Month, Timestamp};

impl Locked<'_> {
    /// Sets it to what the store has, beside which what is not durable yet stays: what the cell has of it, and what is
    /// `waiting`. Queries, which the store cannot tell by the second, stay as they are.
    pub(crate) fn renew(&self, past: &Past, waiting: Option<&Pending>, now: Timestamp, aside: impl Aside) {
        let cell = self.cell;
        for level in Level::ALL {
            if let Some(reading) = past.readings.of(level) {
                self.materialise();
                self.see_levels(&Sample::at(reading.at).with_level(level, reading.value));
            }
        }
        cell.calls().clear();
        cell.files().clear();
        let stored = past.minutes.iter().chain(waiting.into_iter().flat_map(|waiting| &waiting.minutes));
        for (bucket, rollup) in stored {
            self.count_hourly(
                bucket.start(),
                [Counter::ApiCalls, Counter::FileOperations].map(|of| rollup.total(of)),
                now,
            );
        }
        let own = [Counter::ApiCalls, Counter::FileOperations].map(|counter| {
            let is_pending = cell.shape.of() & u32::from(counter.bit()) != 0;
            is_pending.then(|| cell.added[counter.index()].of())
        });
        self.count_hourly(cell.minute_start(), own, now);
        cell.month.set(0);
        cell.known.set(cell.known.of() & !(3 << known::MONTH_SHIFT));
        cell.month_bytes.iter().for_each(|bytes| bytes.set(0));
        let days = past.days.iter().chain(waiting.into_iter().flat_map(|waiting| &waiting.minutes));
        // What is of another month has been put aside.
        for (bucket, rollup) in days.filter(|(bucket, _)| Month::of(bucket.start()) == Month::of(now)) {
            self.add_to_month(bucket.start(), MONTH_COUNTERS.map(|counter| rollup.total(counter)), aside);
        }
        let newest_minute = past.minutes.last().map(|(bucket, _)| bucket.start());
        let newest = past.readings.newest().max(newest_minute).map_or(0, millis);
        cell.newest.set(cell.newest.of().max(newest));
    }

    fn count_hourly(&self, at: Timestamp, [calls, files]: [Option<u64>; 2], now: Timestamp) {
        if let Some(calls) = calls {
            self.cell.calls().add(at, calls, || now);
        }
        if let Some(files) = files {
            self.cell.files().add(at, files, || now);
        }
    }
}

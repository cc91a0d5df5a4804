//! One account's figures in memory.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::allocation::Resource;
use crate::id::AccountId;
use crate::monitoring::reading::{Metrics, Readings};
use crate::monitoring::rollup::{Bucket, Resolution, Rollup};
use crate::monitoring::sample::{Counter, MAX_AMOUNT, Sample};
use crate::monitoring::window::{HourWindow, MinuteWindow};
use crate::time::Timestamp;

/// Newest readings, windows, this month's totals, and what is not durable yet.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) account: AccountId,
    figures: Mutex<Figures>,
    /// Whether it waits for the next flush; set by the writer that enqueues it, cleared by the flush that takes it.
    is_waiting: AtomicBool,
    /// Raised by every change, so that a watcher knows whether it missed one.
    version: AtomicU64,
    changed: Notify,
}

#[derive(Debug, Clone, Default)]
struct Figures {
    newest: Option<Timestamp>,
    readings: Readings,
    api_calls: HourWindow,
    file_operations: HourWindow,
    queries: MinuteWindow,
    /// When queries were first and last measured since the start.
    queries_measured: Option<(Timestamp, Timestamp)>,
    months: Months,
    pending: Pending,
}

/// What was sent and received in a month.
#[derive(Debug, Clone, Copy, Default)]
struct Month {
    start: Timestamp,
    sent: Option<u64>,
    received: Option<u64>,
}

/// The two newest months that were measured: a source's clock may be ahead of this one's at a month's end, and then both
/// go on.
#[derive(Debug, Clone, Copy, Default)]
struct Months([Month; 2]);

impl Months {
    fn add(&mut self, at: Timestamp, sent: Option<u64>, received: Option<u64>) {
        let start = at.start_of_month();
        let [older, newer] = &mut self.0;
        if start > newer.start {
            (*older, *newer) = (*newer, Month { start, ..Month::default() });
        } else if start > older.start && start < newer.start {
            *older = Month { start, ..Month::default() };
        }
        if let Some(month) = self.0.iter_mut().find(|month| month.start == start) {
            for (total, added) in [(&mut month.sent, sent), (&mut month.received, received)] {
                if let Some(added) = added {
                    *total = Some(total.unwrap_or(0).saturating_add(added).min(MAX_AMOUNT));
                }
            }
        }
    }

    fn of(&self, now: Timestamp) -> Month {
        let start = now.start_of_month();
        self.0.into_iter().find(|month| month.start == start).unwrap_or_default()
    }
}

/// What was recorded and is not durable yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pending {
    pub(crate) minutes: Vec<(Bucket, Rollup)>,
    pub(crate) readings: Readings,
}

impl Pending {
    fn add(&mut self, sample: &Sample) {
        self.readings.add(sample);
        self.minute(Bucket::holding(sample.taken_at(), Resolution::Minute)).add(sample);
    }

    fn merge(&mut self, other: &Self) {
        self.readings.merge(&other.readings);
        for (bucket, rollup) in &other.minutes {
            self.minute(*bucket).merge(rollup);
        }
    }

    fn minute(&mut self, bucket: Bucket) -> &mut Rollup {
        // Almost always the last one: samples come in order, and a flush a second leaves one or two.
        let place = self.minutes.iter().rposition(|(known, _)| *known == bucket).unwrap_or_else(|| {
            self.minutes.push((bucket, Rollup::default()));
            self.minutes.len() - 1
        });
        &mut self.minutes[place].1
    }
}

/// What a store knows of an account's recent past.
#[derive(Debug, Default)]
pub(crate) struct Past {
    pub(crate) readings: Readings,
    /// The minutes of the last hour.
    pub(crate) minutes: Vec<(Bucket, Rollup)>,
    /// The days of this month.
    pub(crate) days: Vec<(Bucket, Rollup)>,
}

/// How long the window of queries is.
const QUERY_WINDOW_SECONDS: f64 = 60.0;
/// The least time a rate is taken over: one bucket of its window.
const QUERY_BUCKET_SECONDS: f64 = 5.0;

impl Cell {
    /// A cell that goes on where the store's past ends, so that no window starts empty after a restart.
    pub(crate) fn resume(account: AccountId, past: &Past) -> Self {
        let mut figures = Figures { readings: past.readings, ..Figures::default() };
        for (bucket, rollup) in &past.minutes {
            let at = bucket.start();
            figures.api_calls.add(at, rollup.total(Counter::ApiCalls).unwrap_or(0));
            figures.file_operations.add(at, rollup.total(Counter::FileOperations).unwrap_or(0));
        }
        for (bucket, rollup) in &past.days {
            let total = |counter| rollup.total(counter);
            figures.months.add(bucket.start(), total(Counter::BytesSent), total(Counter::BytesReceived));
        }
        let newest_reading = crate::monitoring::Level::ALL.iter().filter_map(|level| past.readings.of(*level));
        let newest_minute = past.minutes.last().map(|(bucket, _)| bucket.start());
        figures.newest = newest_reading.map(|reading| reading.at).chain(newest_minute).max();
        Self {
            account,
            figures: Mutex::new(figures),
            is_waiting: AtomicBool::new(false),
            version: AtomicU64::new(0),
            changed: Notify::new(),
        }
    }

    /// Takes a sample that is durable already.
    pub(crate) fn apply(&self, sample: &Sample, now: Timestamp) {
        self.figures.lock().apply(sample, now);
        self.tell();
    }

    /// Takes a sample that the next flush makes durable. Says whether the cell has to be enqueued for it.
    pub(crate) fn record(&self, sample: &Sample) -> bool {
        let mut figures = self.figures.lock();
        figures.apply(sample, sample.taken_at());
        figures.pending.add(sample);
        // Under the lock, so that a flush which has just emptied `pending` has cleared the mark before this sets it.
        let has_to_wait = !self.is_waiting.swap(true, Ordering::Relaxed);
        drop(figures);
        self.tell();
        has_to_wait
    }

    /// Takes what is to be made durable.
    pub(crate) fn take_pending(&self) -> Pending {
        let mut figures = self.figures.lock();
        self.is_waiting.store(false, Ordering::Relaxed);
        std::mem::take(&mut figures.pending)
    }

    /// Puts back what could not be made durable. Says whether the cell has to be enqueued for it.
    pub(crate) fn put_back(&self, pending: &Pending) -> bool {
        let mut figures = self.figures.lock();
        figures.pending.merge(pending);
        !self.is_waiting.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn metrics(&self, now: Timestamp) -> Metrics {
        self.figures.lock().metrics(now)
    }

    /// How much of a resource is in use, and when that begins to run off by itself.
    pub(crate) fn used(&self, resource: Resource, now: Timestamp) -> (u64, Option<Timestamp>) {
        let figures = self.figures.lock();
        match resource {
            Resource::ApiCalls => (figures.api_calls.sum(now), figures.api_calls.next_reset(now)),
            Resource::FileOperations => (figures.file_operations.sum(now), figures.file_operations.next_reset(now)),
            Resource::BytesSent => (figures.months.of(now).sent.unwrap_or(0), None),
            Resource::BytesReceived => (figures.months.of(now).received.unwrap_or(0), None),
            Resource::DatabaseQueries => (figures.queries.sum(now), figures.queries.next_reset(now)),
            _ => {
                let reading = resource.level().and_then(|level| figures.readings.of(level));
                (reading.map_or(0, |reading| reading.value), None)
            }
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Waits until the cell is newer than `version`.
    pub(crate) async fn newer_than(&self, version: u64) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Enlisted before the look, so that no change falls between the two.
            changed.as_mut().enable();
            if self.version() != version {
                return;
            }
            changed.await;
        }
    }

    fn tell(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }
}

impl Figures {
    fn apply(&mut self, sample: &Sample, now: Timestamp) {
        self.newest = self.newest.max(Some(sample.taken_at()));
        self.readings.add(sample);
        // A source's clock may be ahead: what it counted has happened by now, and must not push what is older out of
        // its window before the time.
        let at = sample.taken_at().min(now);
        if let Some(calls) = sample.added(Counter::ApiCalls) {
            self.api_calls.add(at, calls);
        }
        if let Some(operations) = sample.added(Counter::FileOperations) {
            self.file_operations.add(at, operations);
        }
        if let Some(queries) = sample.added(Counter::DatabaseQueries) {
            self.queries.add(at, queries);
            let (first, last) = self.queries_measured.unwrap_or((at, at));
            self.queries_measured = Some((first, last.max(at)));
        }
        let (sent, received) = (sample.added(Counter::BytesSent), sample.added(Counter::BytesReceived));
        if sent.is_some() || received.is_some() {
            self.months.add(sample.taken_at(), sent, received);
        }
    }

    fn metrics(&self, now: Timestamp) -> Metrics {
        Metrics {
            at: self.newest.unwrap_or(now),
            readings: self.readings,
            bytes_sent: self.months.of(now).sent,
            bytes_received: self.months.of(now).received,
            queries_per_second: self.queries_per_second(now),
            api_calls_per_hour: self.api_calls.sum(now),
            file_operations_per_hour: self.file_operations.sum(now),
        }
    }

    fn queries_per_second(&self, now: Timestamp) -> Option<f64> {
        let (first, last) = self.queries_measured?;
        if now.since(last).as_secs_f64() > QUERY_WINDOW_SECONDS {
            return None;
        }
        let measured_for = now.since(first).as_secs_f64().clamp(QUERY_BUCKET_SECONDS, QUERY_WINDOW_SECONDS);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
        Some(self.queries.sum(now) as f64 / measured_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitoring::Level;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn cell() -> Cell {
        Cell::resume(AccountId::from_bits(1), &Past::default())
    }

    #[test]
    fn what_nobody_measured_is_absent_and_not_zero() {
        let cell = cell();
        let metrics = cell.metrics(NOW);
        assert_eq!(metrics.readings, Readings::default());
        assert_eq!((metrics.bytes_sent, metrics.queries_per_second), (None, None));
        cell.apply(&Sample::at(NOW).with_added(Counter::BytesSent, 0), NOW);
        assert_eq!(cell.metrics(NOW).bytes_sent, Some(0));
        assert_eq!(cell.metrics(NOW).bytes_received, None);
    }

    #[test]
    fn a_late_sample_adds_up_but_does_not_turn_a_level_back() {
        let cell = cell();
        let earlier = NOW.before(Duration::from_secs(30));
        cell.apply(&Sample::at(NOW).with_level(Level::RamBytes, 2).with_added(Counter::ApiCalls, 1), NOW);
        cell.apply(&Sample::at(earlier).with_level(Level::RamBytes, 1).with_added(Counter::ApiCalls, 1), NOW);
        let metrics = cell.metrics(NOW);
        assert_eq!(metrics.readings.of(Level::RamBytes).unwrap().value, 2);
        assert_eq!((metrics.api_calls_per_hour, metrics.at), (2, NOW));
    }

    #[test]
    fn what_was_put_back_is_taken_again_whole() {
        let cell = cell();
        let sample = Sample::at(NOW).with_added(Counter::ApiCalls, 1);
        assert!(cell.record(&sample));
        assert!(!cell.record(&sample));
        let taken = cell.take_pending();
        assert!(cell.record(&sample));
        assert!(!cell.put_back(&taken));
        let again = cell.take_pending();
        assert_eq!(again.minutes.len(), 1);
        assert_eq!(again.minutes[0].1.total(Counter::ApiCalls), Some(3));
    }

    #[test]
    fn a_new_month_starts_its_bytes_anew() {
        let cell = cell();
        let last_of_month: Timestamp = "2024-01-31T23:59:00Z".parse().unwrap();
        let first_of_next: Timestamp = "2024-02-01T00:01:00Z".parse().unwrap();
        let sent = |at, bytes| Sample::at(at).with_added(Counter::BytesSent, bytes);
        cell.apply(&sent(last_of_month, 7), last_of_month);
        assert_eq!(cell.metrics(last_of_month).bytes_sent, Some(7));
        assert_eq!(cell.metrics(first_of_next).bytes_sent, None);
        // From a source whose clock is ahead: the present month goes on.
        cell.apply(&sent(first_of_next, 1), last_of_month);
        cell.apply(&sent(last_of_month, 5), last_of_month);
        assert_eq!(cell.metrics(last_of_month).bytes_sent, Some(12));
        assert_eq!(cell.metrics(first_of_next).bytes_sent, Some(1));
    }

    #[test]
    fn a_source_ahead_of_its_time_pushes_nothing_out_of_the_hour() {
        let cell = cell();
        let one = |at| Sample::at(at).with_added(Counter::ApiCalls, 1);
        cell.apply(&one(NOW.before(Duration::from_secs(58 * 60))), NOW);
        cell.apply(&one(NOW.after(Duration::from_secs(290))), NOW);
        assert_eq!(cell.metrics(NOW).api_calls_per_hour, 2);
    }

    #[test]
    fn a_rate_is_taken_over_the_time_that_was_measured() {
        let cell = cell();
        for second in 0..20 {
            let at = NOW.after(Duration::from_secs(second));
            cell.apply(&Sample::at(at).with_added(Counter::DatabaseQueries, 50), at);
        }
        let rate = cell.metrics(NOW.after(Duration::from_secs(20))).queries_per_second.unwrap();
        assert!((rate - 50.0).abs() < 2.6, "{rate}");
        assert_eq!(cell.metrics(NOW.after(Duration::from_secs(100))).queries_per_second, None);
    }
}

//! One account's figures in memory: seven cache lines, of which a sample writes three.

mod granted;
mod levels;
mod renewal;
mod writing;

use std::time::Duration;

use crate::allocation::{OwnLimits, Resource, TierName};
use crate::id::AccountId;
use crate::monitoring::reading::{Metrics, Reading, Readings};
use crate::monitoring::rollup::{Bucket, Rollup};
use crate::monitoring::sample::{Counter, Level, MAX_AMOUNT};
use crate::monitoring::sequence::Sequence;
use crate::monitoring::window::{HOUR_CLOSED, HourWindow, MINUTE_CLOSED, MinuteWindow};
use crate::time::{Month, Timestamp};
use crate::words::{Half, Quarter, Word};

pub(crate) use granted::{Leasable, Snapshot};
pub(crate) use writing::{Locked, Told};

const LEVELS: usize = Level::ALL.len();
const COUNTERS: usize = Counter::ALL.len();
/// The bits of the levels in what a sample measured.
const LEVEL_BITS: u32 = (1 << LEVELS) - 1;

/// What is known of one account, but for the readings that [`Tally`] adds up.
///
/// Laid out by how often a field is written: the lock, what every sample touches, and what changes with a bucket, a
/// month or a source. The figures of the wire (`Option`s, instants, rollups) are made when somebody asks.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Cell {
    sequence: Sequence,
    /// [`WAITING`] and the like.
    flags: Half,
    account: [Word; 2],
    /// When the newest of it was measured.
    newest: Word,
    /// When the levels that are marked fresh were read.
    levels_at: Word,
    /// What is not durable yet: which fields, whether the tally has the levels, and of how many readings. See
    /// [`Shape`].
    shape: Half,
    /// The minute it was measured in.
    minute: Half,
    /// What was ever measured: see [`Known`].
    known: Half,
    /// Which thresholds the account is above: see [`crate::monitoring::crossing`].
    crossed: Half,
    levels: [Word; LEVELS],

    /// What was added and is not durable yet.
    added: [Word; COUNTERS],
    calls_present: Half,
    calls_sum: Half,
    files_present: Half,
    files_sum: Half,
    queries_present: Half,
    queries_sum: Half,
    /// The limits by which units are granted.
    leased_by: [Half; 2],

    calls_closed: [Half; HOUR_CLOSED],
    files_closed: [Half; HOUR_CLOSED],
    queries_closed: [Half; MINUTE_CLOSED],
    /// In which bucket queries were first measured since the account came into memory.
    queries_since: Half,
    /// Units of API calls and of file operations that may be used without asking the storage, and until when.
    leased: [Half; 2],
    leased_until: [Half; 2],
    /// When the levels that are not fresh were read, in two parts.
    read_at_low: [Half; LEVELS],
    read_at_high: [Quarter; LEVELS],
    /// The newest month that anything was sent or received in, and how much of it is durable.
    month: Quarter,
    month_bytes: [Word; 2],
}

/// The readings of levels since they were last made durable. Used from the second of them on: of one alone, the cell has
/// everything.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Tally {
    sums: [Word; LEVELS],
    peaks: [Word; LEVELS],
    counts: [Quarter; LEVELS],
}

/// Whether it waits for the next flush.
const WAITING: u32 = 1;
/// Whether anything of it is not durable yet.
const RECORDED: u32 = 32;
/// Whether somebody follows its changes.
const WATCHED: u32 = 2;
/// Whether the account was erased: what is still recorded of it is dropped.
const ERASED: u32 = 4;
/// Whether the account is in it at all.
const LIVE: u32 = 8;
/// Whether limits of its own are in force for the account.
const OVERRIDDEN: u32 = 16;
/// Where the tier stands, by its place in [`TierName::ALL`].
const TIER_SHIFT: u32 = 8;
const TIER_BITS: u32 = 3;

/// What waits to be made durable: a bit for each field, then whether the levels are in the tally, whether they were not
/// always read together, and how many readings there are.
mod shape {
    pub(crate) const TALLIED: u32 = 1 << 13;
    pub(crate) const UNEVEN: u32 = 1 << 14;
    pub(crate) const READING: u32 = 1 << 16;
    /// Readings after which a tally is put aside: so many of the largest value still fit its sum.
    pub(crate) const MAX_READINGS: u32 = 2_047;
}

/// What was ever measured: levels, levels read at `levels_at`, and the bytes of the month.
mod known {
    pub(crate) const FRESH_SHIFT: u32 = 8;
    pub(crate) const MONTH_SHIFT: u32 = 16;
    pub(crate) const QUERIES: u32 = 1 << 24;
}

/// What a store knows of an account's recent past.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) tier: TierName,
    pub(crate) own: OwnLimits,
    pub(crate) readings: Readings,
    /// The minutes of the last hour and a bucket.
    pub(crate) minutes: Vec<(Bucket, Rollup)>,
    /// The days of this month.
    pub(crate) days: Vec<(Bucket, Rollup)>,
    /// How often usage of it was counted.
    pub(crate) version: u64,
}

/// How far back the minutes reach that a cell is made from again.
pub(crate) const WINDOW_PAST: Duration = Duration::from_secs(65 * 60);

/// Where a cell leaves what it has no room for. Called under its lock.
pub(crate) trait Aside: Copy {
    /// The present instant, for what may be dated ahead of it.
    fn now(self) -> Timestamp;
    /// It has something to make durable, or to be looked at.
    fn mark(self);
    /// A minute that was begun and gives way to another.
    fn put(self, account: AccountId, minute: Bucket, rollup: &Rollup);
    /// What was sent and received in another month than the cell's.
    fn month(self, account: AccountId, month: Month, bytes: MonthBytes);
}

/// What was sent and received in a month; absent where nobody measured.
pub(crate) type MonthBytes = [Option<u64>; 2];

const MONTH_COUNTERS: [Counter; 2] = [Counter::BytesSent, Counter::BytesReceived];

impl Cell {
    /// Takes the turn to write.
    #[inline]
    pub(crate) fn write<'a>(&'a self, tally: &'a Tally) -> Locked<'a> {
        Locked::new(self.sequence.write(), self, tally)
    }

    pub(crate) fn account(&self) -> AccountId {
        self.sequence.read(|| self.owner())
    }

    pub(crate) fn version(&self) -> u32 {
        self.sequence.version()
    }

    /// By what the account's limits are known: its tier, and whether it has some of its own.
    pub(crate) fn limits(&self) -> (TierName, bool) {
        let flags = self.flags.of();
        (TierName::ALL[(flags >> TIER_SHIFT & TIER_BITS) as usize], flags & OVERRIDDEN != 0)
    }

    /// What the account uses as of an instant. Bytes of another month than the cell's are `aside`.
    pub(crate) fn metrics(&self, now: Timestamp, aside: MonthBytes) -> Metrics {
        self.sequence.read(|| {
            let [bytes_sent, bytes_received] = self.month_bytes(Month::of(now), aside);
            Metrics {
                at: if self.newest.of() == 0 { now } else { instant(self.newest.of()) },
                readings: self.readings(),
                bytes_sent,
                bytes_received,
                queries_per_second: self.queries_per_second(now),
                api_calls_per_hour: self.calls().sum(now),
                file_operations_per_hour: self.files().sum(now),
            }
        })
    }

    /// How much of a resource is in use, and when that begins to run off by itself. Of bytes, this month's.
    pub(crate) fn used(&self, resource: Resource, now: Timestamp) -> (u64, Option<Timestamp>) {
        self.sequence.read(|| match resource {
            Resource::ApiCalls => (self.calls().sum(now), self.calls().next_reset(now)),
            Resource::FileOperations => (self.files().sum(now), self.files().next_reset(now)),
            Resource::DatabaseQueries => (self.queries().sum(now), self.queries().next_reset(now)),
            Resource::BytesSent | Resource::BytesReceived => {
                let month = self.month_bytes(Month::of(now), [None; 2]);
                (month[usize::from(resource == Resource::BytesReceived)].unwrap_or(0), None)
            }
            _ => (resource.level().and_then(|level| self.level(level)).unwrap_or(0), None),
        })
    }

    fn owner(&self) -> AccountId {
        AccountId::from_bits(u128::from(self.account[0].of()) << 64 | u128::from(self.account[1].of()))
    }

    fn level(&self, level: Level) -> Option<u64> {
        (self.known.of() & u32::from(level.bit()) != 0).then(|| self.levels[level.index()].of())
    }

    fn readings(&self) -> Readings {
        let mut readings = Readings::default();
        let fresh = self.known.of() >> known::FRESH_SHIFT;
        for level in Level::ALL {
            if let Some(value) = self.level(level) {
                let place = level.index();
                let at = if fresh & u32::from(level.bit()) != 0 {
                    self.levels_at.of()
                } else {
                    u64::from(self.read_at_high[place].of()) << 32 | u64::from(self.read_at_low[place].of())
                };
                readings.set(level, Reading { value, at: instant(at) });
            }
        }
        if self.newest.of() > 0 {
            readings.see(instant(self.newest.of()));
        }
        readings
    }

    /// A month's bytes, durable or not; where the cell has another month, what is durable is `aside`.
    fn month_bytes(&self, month: Month, aside: MonthBytes) -> MonthBytes {
        let is_known = month.number() == self.month.of();
        let is_pending = self.shape.of() & bytes_bits() != 0 && Month::of(self.minute_start()) == month;
        std::array::from_fn(|place| {
            let counter = MONTH_COUNTERS[place];
            let durable = if is_known { self.durable_month_bytes()[place] } else { aside[place] };
            let pending = is_pending && self.shape.of() & u32::from(counter.bit()) != 0;
            let pending = pending.then(|| self.added[counter.index()].of());
            sum(durable, pending)
        })
    }

    /// What is durable of the cell's month.
    fn durable_month_bytes(&self) -> MonthBytes {
        std::array::from_fn(|place| {
            let is_measured = self.known.of() >> known::MONTH_SHIFT & 1 << place != 0;
            is_measured.then(|| self.month_bytes[place].of())
        })
    }

    fn queries_per_second(&self, now: Timestamp) -> Option<f64> {
        if self.known.of() & known::QUERIES == 0 {
            return None;
        }
        let queries = self.queries();
        let newest = MinuteWindow::number(now).max(queries.present.of());
        #[expect(clippy::cast_possible_truncation, reason = "there are five of them")]
        let length = MINUTE_CLOSED as u32;
        if newest - queries.present.of() > length {
            return None;
        }
        // From the first bucket that can be in the sum, or was measured at all, until now.
        let first = newest.saturating_sub(length).max(self.queries_since.of());
        let start = MinuteWindow::start(first);
        let measured_for = now.since(start).max(QUERY_BUCKET).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
        Some(queries.sum(now) as f64 / measured_for)
    }

    fn minute_start(&self) -> Timestamp {
        Timestamp::from_millis(i64::from(self.minute.of()) * 60_000)
    }

    fn calls(&self) -> HourWindow<'_> {
        HourWindow { present: &self.calls_present, sum: &self.calls_sum, closed: &self.calls_closed }
    }

    fn files(&self) -> HourWindow<'_> {
        HourWindow { present: &self.files_present, sum: &self.files_sum, closed: &self.files_closed }
    }

    fn queries(&self) -> MinuteWindow<'_> {
        MinuteWindow { present: &self.queries_present, sum: &self.queries_sum, closed: &self.queries_closed }
    }
}

/// The least time that a rate is taken over: one bucket of the window of queries.
const QUERY_BUCKET: Duration = Duration::from_secs(10);

fn bytes_bits() -> u32 {
    u32::from(Counter::BytesSent.bit() | Counter::BytesReceived.bit())
}

/// What two measurements together say.
pub(crate) fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other).min(MAX_AMOUNT)),
        (one, other) => one.or(other).map(|amount| amount.min(MAX_AMOUNT)),
    }
}

fn instant(millis: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

#[expect(clippy::cast_sign_loss, reason = "instants begin with 1970")]
#[inline]
fn millis(at: Timestamp) -> u64 {
    at.as_millis() as u64
}

#[cfg(test)]
mod tests;

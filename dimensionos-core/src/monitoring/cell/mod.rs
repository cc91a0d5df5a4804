//! One account's figures in memory: two cache lines that a sample writes, and what changes less often beside them.

mod alike;
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

pub(crate) use granted::{Grants, Leasable, Snapshot};
pub(crate) use levels::Seldom;
pub(crate) use writing::{Locked, Told};

use levels::{Large, SMALL, Small};

const LEVELS: usize = Level::ALL.len();
const COUNTERS: usize = Counter::ALL.len();
/// The bits of the levels in what a sample measured.
const LEVEL_BITS: u32 = (1 << LEVELS) - 1;
/// Counters that are summed over a sliding window too.
const WINDOWS: usize = 3;
const QUERIES: usize = 0;
const CALLS: usize = 1;
const FILES: usize = 2;

/// The part of what is known of an account that a sample like the one before writes: all of it, and nothing else.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(crate) struct Cell {
    sequence: Sequence,
    /// What is not durable yet: which fields, whether they were not always read together, and of how many readings. See
    /// [`shape`].
    shape: Half,
    /// When the newest of it was measured: in which ten seconds, and when in them.
    tick: Half,
    offset: Quarter,
    /// What the sample measured that the next one may be like: see [`alike`].
    like: Quarter,
    /// [`WAITING`] and the like.
    flags: Quarter,
    /// The sums of the windows.
    used: [Half; WINDOWS],
    /// What was added to the other counters and is not durable yet.
    added: [Word; COUNTERS - WINDOWS],
    account: [Word; 2],
    /// The levels that a source reads each second.
    ram: Large,
    small: [Small; SMALL.len()],
}

/// What changes with a minute, a month or a source.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Rest {
    /// When the levels that are marked fresh were read, unless the cell says it.
    levels_at: Word,
    /// How much of the month's bytes is durable.
    month_bytes: [Word; 2],
    /// The minute in which was measured what is not durable yet.
    minute: Half,
    /// What was ever measured: see [`known`].
    known: Half,
    /// Which thresholds the account is above: see [`crate::monitoring::crossing`].
    crossed: Half,
    /// The windows' present buckets, and what of their sums waits for nothing.
    present: [Half; WINDOWS],
    settled: [Half; WINDOWS],
    /// The newest month that anything was sent or received in.
    month: Quarter,
}

/// The buckets that windows have closed. Untouched until the first one closes, as the memory below is until it is needed.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Buckets {
    calls: [Half; HOUR_CLOSED],
    files: [Half; HOUR_CLOSED],
    queries: [Half; MINUTE_CLOSED],
    /// In which bucket queries were first measured since the account came into memory.
    queries_since: Half,
}

/// All that is known of one account, each part in a place of its own: what nobody measures of an account takes no memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) cell: &'a Cell,
    pub(crate) rest: &'a Rest,
    pub(crate) buckets: &'a Buckets,
    pub(crate) grants: &'a Grants,
    pub(crate) seldom: &'a Seldom,
}

/// Whether it waits for the next flush.
const WAITING: u16 = 1;
/// Whether anything of it is not durable yet.
const RECORDED: u16 = 32;
/// Whether somebody follows its changes.
const WATCHED: u16 = 2;
/// Whether the account was erased: what is still recorded of it is dropped.
const ERASED: u16 = 4;
/// Whether the account is in it at all.
const LIVE: u16 = 8;
/// Whether limits of its own are in force for the account.
const OVERRIDDEN: u16 = 16;
/// Where the tier stands, by its place in [`TierName::ALL`].
const TIER_SHIFT: u16 = 8;
const TIER_BITS: u16 = 3;

/// What waits to be made durable: a bit for each field, then whether the levels were not always read together, and how
/// many readings there are.
mod shape {
    pub(crate) const UNEVEN: u32 = 1 << 14;
    pub(crate) const READING: u32 = 1 << 16;
    /// Readings after which a minute is put aside: so many of the largest value still fit its sum.
    pub(crate) const MAX_READINGS: u32 = 2_047;
}

/// What was ever measured: levels, levels read at `levels_at`, and the bytes of the month.
mod known {
    pub(crate) const FRESH_SHIFT: u32 = 8;
    pub(crate) const MONTH_SHIFT: u32 = 16;
    pub(crate) const QUERIES: u32 = 1 << 24;
    /// Whether a level was ever more than the cell has room for.
    pub(crate) const UPPER: u32 = 1 << 25;
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
    pub(crate) fn version(&self) -> u32 {
        self.sequence.version()
    }

    fn owner(&self) -> AccountId {
        AccountId::from_bits(u128::from(self.account[0].of()) << 64 | u128::from(self.account[1].of()))
    }

    /// When the newest of it was measured, in milliseconds; 0 where nothing ever was.
    fn newest(&self) -> u64 {
        u64::from(self.tick.of()) * alike::TICK_MILLIS + u64::from(self.offset.of())
    }
}

impl<'a> Parts<'a> {
    /// Takes the turn to write.
    pub(crate) fn write(self) -> Locked<'a> {
        Locked::new(self.cell.sequence.write(), self)
    }

    /// Whether it seems to be in use: asked before its turn is taken.
    pub(crate) fn is_in_use(self, since: Timestamp) -> bool {
        let flags = self.cell.flags.of();
        flags & (WAITING | WATCHED) != 0 || flags & LIVE != 0 && self.cell.newest() >= millis(since)
    }

    pub(crate) fn account(self) -> AccountId {
        self.cell.sequence.read(|| self.cell.owner())
    }

    pub(crate) fn version(self) -> u32 {
        self.cell.version()
    }

    /// By what the account's limits are known: its tier, and whether it has some of its own.
    pub(crate) fn limits(self) -> (TierName, bool) {
        let flags = self.cell.flags.of();
        (TierName::ALL[usize::from(flags >> TIER_SHIFT & TIER_BITS)], flags & OVERRIDDEN != 0)
    }

    /// What the account uses as of an instant. Bytes of another month than the cell's are `aside`.
    pub(crate) fn metrics(self, now: Timestamp, aside: MonthBytes) -> Metrics {
        self.cell.sequence.read(|| {
            let [bytes_sent, bytes_received] = self.month_bytes(Month::of(now), aside);
            Metrics {
                at: if self.cell.newest() == 0 { now } else { instant(self.cell.newest()) },
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
    pub(crate) fn used(self, resource: Resource, now: Timestamp) -> (u64, Option<Timestamp>) {
        self.cell.sequence.read(|| match resource {
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

    fn level(self, level: Level) -> Option<u64> {
        let is_known = self.rest.known.of() & u32::from(level.bit()) != 0;
        is_known.then(|| self.value(level))
    }

    fn readings(self) -> Readings {
        let mut readings = Readings::default();
        for level in Level::ALL {
            if let Some(value) = self.level(level) {
                readings.set(level, Reading { value, at: instant(self.read_at(level)) });
            }
        }
        if self.cell.newest() > 0 {
            readings.see(instant(self.cell.newest()));
        }
        readings
    }

    /// A month's bytes, durable or not; where the cell has another month, what is durable is `aside`.
    fn month_bytes(self, month: Month, aside: MonthBytes) -> MonthBytes {
        let is_known = month.number() == self.rest.month.of();
        let shape = self.cell.shape.of();
        let is_pending = shape & bytes_bits() != 0 && Month::of(self.rest.minute_start()) == month;
        std::array::from_fn(|place| {
            let counter = MONTH_COUNTERS[place];
            let durable = if is_known { self.rest.durable_month_bytes()[place] } else { aside[place] };
            let pending = is_pending && shape & u32::from(counter.bit()) != 0;
            let pending = pending.then(|| self.cell.added[counter.index()].of());
            sum(durable, pending)
        })
    }

    fn queries_per_second(self, now: Timestamp) -> Option<f64> {
        if self.rest.known.of() & known::QUERIES == 0 {
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
        let first = newest.saturating_sub(length).max(self.buckets.queries_since.of());
        let start = MinuteWindow::start(first);
        let measured_for = now.since(start).max(QUERY_BUCKET).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
        Some(queries.sum(now) as f64 / measured_for)
    }

    fn queries(self) -> MinuteWindow<'a> {
        let Self { cell, rest, buckets, .. } = self;
        MinuteWindow {
            present: &rest.present[QUERIES],
            sum: &cell.used[QUERIES],
            settled: &rest.settled[QUERIES],
            closed: &buckets.queries,
        }
    }

    fn calls(self) -> HourWindow<'a> {
        self.hour(CALLS, &self.buckets.calls)
    }

    fn files(self) -> HourWindow<'a> {
        self.hour(FILES, &self.buckets.files)
    }

    const fn hour(self, place: usize, closed: &'a [Half; HOUR_CLOSED]) -> HourWindow<'a> {
        let Self { cell, rest, .. } = self;
        HourWindow { present: &rest.present[place], sum: &cell.used[place], settled: &rest.settled[place], closed }
    }
}

impl Rest {
    fn minute_start(&self) -> Timestamp {
        Timestamp::from_millis(i64::from(self.minute.of()) * 60_000)
    }

    /// What is durable of the month.
    fn durable_month_bytes(&self) -> MonthBytes {
        std::array::from_fn(|place| {
            let is_measured = self.known.of() >> known::MONTH_SHIFT & 1 << place != 0;
            is_measured.then(|| self.month_bytes[place].of())
        })
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

//! Writing to a cell.

use super::granted::Leasable;
use super::levels::Small;
use super::{
    Aside, COUNTERS, Cell, ERASED, LEVEL_BITS, LIVE, MONTH_COUNTERS, MonthBytes, OVERRIDDEN, Parts, Past, RECORDED,
    TIER_BITS, TIER_SHIFT, WAITING, WATCHED, known, millis, shape,
};
use crate::allocation::{Resource, TierName};
use crate::id::AccountId;
use crate::monitoring::pending::Pending;
use crate::monitoring::report::MAX_SAMPLE_LEAD;
use crate::monitoring::rollup::{Bucket, Resolution, Rollup};
use crate::monitoring::sample::{Counter, Level, MAX_AMOUNT, Sample};
use crate::monitoring::sequence::Writing;
use crate::monitoring::window::Window;
use crate::time::{Month, Timestamp};
use crate::words::{Half, Quarter, Word};

/// A cell whose turn to write this is.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    pub(super) parts: Parts<'a>,
    /// Given back when this is dropped.
    _writing: Writing<'a>,
}

/// Who has to be told of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Nobody,
    Watchers,
}

impl Cell {
    /// Takes a sample that the next flush makes durable. What stands beside the cell is looked for where it is needed.
    #[inline]
    pub(crate) fn record<'a>(&'a self, sample: &Sample, aside: impl Aside, parts: impl FnOnce() -> Parts<'a>) -> Told {
        let writing = self.sequence.write();
        if self.record_alike(sample) {
            return self.told();
        }
        Locked::new(writing, parts()).record(sample, aside)
    }

    /// The same, where it is the account's. Absent where it is not.
    #[inline]
    pub(crate) fn record_of<'a>(
        &'a self,
        account: AccountId,
        sample: &Sample,
        aside: impl Aside,
        parts: impl FnOnce() -> Option<Parts<'a>>,
    ) -> Option<Told> {
        let writing = self.sequence.write();
        if self.owner() != account || self.flags.of() & LIVE == 0 {
            return None;
        }
        if self.record_alike(sample) {
            return Some(self.told());
        }
        Some(Locked::new(writing, parts()?).record(sample, aside))
    }

    /// Who is to be told of a change.
    #[inline]
    pub(super) fn told(&self) -> Told {
        if self.flags.of() & WATCHED == 0 { Told::Nobody } else { Told::Watchers }
    }

    /// Notes that there is something to be made durable; not where the account was erased.
    #[cold]
    pub(super) fn begin_recording(&self, aside: impl Aside) -> bool {
        let is_open = self.wait(aside);
        if is_open {
            self.flags.set(self.flags.of() | RECORDED);
        }
        is_open
    }

    fn wait(&self, aside: impl Aside) -> bool {
        let flags = self.flags.of();
        if flags & ERASED != 0 {
            return false;
        }
        if flags & WAITING == 0 {
            self.flags.set(flags | WAITING);
            aside.mark();
        }
        true
    }
}

impl<'a> Locked<'a> {
    #[inline]
    pub(super) const fn new(writing: Writing<'a>, parts: Parts<'a>) -> Self {
        Self { parts, _writing: writing }
    }
}

impl Locked<'_> {
    /// Whether it holds the account, and so may be written for it.
    pub(crate) fn is_of(&self, account: AccountId) -> bool {
        self.account() == account && self.is_live()
    }

    /// Whether it holds an account at all.
    pub(crate) fn is_live(&self) -> bool {
        self.parts.cell.flags.of() & LIVE != 0
    }

    /// Whose it is.
    pub(crate) fn account(&self) -> AccountId {
        self.parts.cell.owner()
    }

    /// Whether its account was erased while somebody had a handle to it.
    pub(crate) fn is_orphan(&self) -> bool {
        self.parts.cell.flags.of() & (LIVE | ERASED) == ERASED
    }

    /// Takes a sample that is the first since a flush, or not like the last one.
    #[inline(never)]
    fn record(self, sample: &Sample, aside: impl Aside) -> Told {
        let Parts { cell, rest, .. } = self.parts;
        if cell.flags.of() & (RECORDED | ERASED) != RECORDED {
            if !cell.begin_recording(aside) {
                return Told::Nobody;
            }
            if cell.record_alike(sample) {
                return self.told();
            }
        }
        self.parts.expect_nothing();
        let minute = minute_of(sample.taken_at());
        let has_to_turn = rest.minute.of() != minute || cell.shape.of() >= shape::MAX_READINGS * shape::READING;
        if has_to_turn && !self.turn_minute(minute, aside) {
            self.record_late(sample, aside);
            return self.told();
        }
        for (added, more) in cell.added.iter().zip(sample.counters()) {
            // Absent is 0, and adds nothing.
            added.set(added.of().saturating_add(*more));
        }
        let measured = u32::from(sample.measured());
        let mut shape = cell.shape.of();
        if measured & LEVEL_BITS != 0 {
            shape = self.record_levels(sample, shape);
        }
        cell.shape.set(shape | measured);
        self.count(sample, true, || aside.now(), aside);
        self.parts.expect_alike(sample);
        self.told()
    }

    /// Takes a sample that is durable already.
    pub(crate) fn apply(&self, sample: &Sample, now: Timestamp, aside: impl Aside) -> Told {
        if !self.wait(aside) {
            return Told::Nobody;
        }
        self.parts.expect_nothing();
        if u32::from(sample.measured()) & LEVEL_BITS != 0 {
            self.see_levels(sample);
        }
        let bytes = MONTH_COUNTERS.map(|counter| sample.added(counter));
        self.add_to_month(sample.taken_at(), bytes, aside);
        self.count(sample, false, || now, aside);
        self.told()
    }

    /// Who is to be told of a change.
    pub(crate) fn told(&self) -> Told {
        self.parts.cell.told()
    }

    pub(crate) fn begin_recording(&self, aside: impl Aside) -> bool {
        self.parts.cell.begin_recording(aside)
    }

    /// Sees to it that the next flush looks at it; not where the account was erased.
    pub(crate) fn wait(&self, aside: impl Aside) -> bool {
        self.parts.cell.wait(aside)
    }

    /// Counts in the windows, and the time of it.
    fn count(&self, sample: &Sample, waits: bool, clock: impl Fn() -> Timestamp, aside: impl Aside) {
        let (parts, at) = (self.parts, sample.taken_at());
        if let Some(queries) = sample.added(Counter::DatabaseQueries) {
            self.count_in(parts.queries(), Counter::DatabaseQueries, at, queries, waits, &clock, aside);
            let known = parts.rest.known.of();
            if known & known::QUERIES == 0 {
                parts.rest.known.set(known | known::QUERIES);
                parts.buckets.queries_since.set(parts.queries().present.of());
            }
        }
        if let Some(calls) = sample.added(Counter::ApiCalls) {
            self.count_in(parts.calls(), Counter::ApiCalls, at, calls, waits, &clock, aside);
        }
        if let Some(files) = sample.added(Counter::FileOperations) {
            self.count_in(parts.files(), Counter::FileOperations, at, files, waits, &clock, aside);
        }
        parts.see_time(millis(at));
    }

    /// Counts in a window. What waits to be made durable and finds no room there, since it is older than the window or
    /// more than it holds, is put aside.
    #[expect(clippy::too_many_arguments, reason = "an amount of a counter at an instant, and where it goes")]
    pub(super) fn count_in<const CLOSED: usize, const SECONDS: u32>(
        &self,
        window: Window<'_, CLOSED, SECONDS>,
        counter: Counter,
        at: Timestamp,
        amount: u64,
        waits: bool,
        clock: impl FnOnce() -> Timestamp,
        aside: impl Aside,
    ) {
        let run_off = window.turn_to(at, clock);
        let is_in = waits && window.add(at, amount);
        if !is_in {
            window.add_settled(at, amount);
        }
        let left = if waits && !is_in { run_off.saturating_add(amount) } else { run_off };
        if left > 0 {
            let mut rollup = Rollup::default();
            rollup.add_total(counter, left);
            aside.put(self.account(), Bucket::at(self.parts.rest.minute_start()), &rollup);
        }
    }

    /// Begins another minute; what waits of the one before is put aside. Not for a minute that has passed, which is
    /// counted beside the present one, and neither for one that the clock is far from.
    #[cold]
    pub(super) fn turn_minute(&self, minute: u32, aside: impl Aside) -> bool {
        let Parts { cell, rest, .. } = self.parts;
        if minute > rest.minute.of() && minute > minute_of(aside.now().after(MAX_SAMPLE_LEAD)) {
            return false;
        }
        if cell.shape.of() != 0 {
            if minute < rest.minute.of() {
                return false;
            }
            let (minute, rollup) = self.take(aside);
            aside.put(cell.owner(), minute, &rollup);
        }
        rest.minute.set(minute);
        true
    }

    /// A sample of a minute that has passed while another one waits, or one that is dated too far ahead.
    #[cold]
    fn record_late(&self, sample: &Sample, aside: impl Aside) {
        let sample = &sample.taken_by(held_to(sample.taken_at(), aside.now()));
        let mut rollup = Rollup::default();
        rollup.add(sample);
        aside.put(self.account(), Bucket::holding(sample.taken_at(), Resolution::Minute), &rollup);
        let bytes = MONTH_COUNTERS.map(|counter| sample.added(counter));
        self.add_to_month(sample.taken_at(), bytes, aside);
        if u32::from(sample.measured()) & LEVEL_BITS != 0 {
            self.see_levels(sample);
        }
        self.count(sample, false, || aside.now(), aside);
    }

    /// Takes what is to be made durable; it waits for nothing any more.
    pub(crate) fn take_pending(&self, aside: impl Aside) -> Option<Pending> {
        let cell = self.parts.cell;
        let flags = cell.flags.of();
        cell.flags.set(flags & !(WAITING | RECORDED));
        if flags & RECORDED == 0 {
            return None;
        }
        let mut pending = Pending { leased: Some(self.leased()), ..Pending::of(self.parts.readings()) };
        if cell.shape.of() != 0 {
            let (minute, rollup) = self.take(aside);
            pending.add(minute, &rollup);
        }
        Some(pending)
    }

    fn take(&self, aside: impl Aside) -> (Bucket, Rollup) {
        let Parts { cell, rest, .. } = self.parts;
        let shape = cell.shape.of();
        let mut rollup = Rollup::default();
        let waiting = self.take_counters();
        for counter in Counter::ALL.into_iter().filter(|counter| shape & u32::from(counter.bit()) != 0) {
            rollup.add_total(counter, waiting[counter.index()]);
        }
        for level in Level::ALL.into_iter().filter(|level| shape & u32::from(level.bit()) != 0) {
            rollup.set_level(level, self.parts.tallied(level, shape));
            self.parts.begin_tally(level);
        }
        cell.shape.set(0);
        let bytes = MONTH_COUNTERS.map(|counter| rollup.total(counter));
        self.add_to_month(rest.minute_start(), bytes, aside);
        (Bucket::at(rest.minute_start()), rollup)
    }

    /// What waits of each counter, which waits no more.
    fn take_counters(&self) -> [u64; COUNTERS] {
        let Parts { cell, .. } = self.parts;
        let (queries, calls, files) = (self.parts.queries(), self.parts.calls(), self.parts.files());
        let [cpu, sent, received] = std::array::from_fn(|place| {
            let added = cell.added[place].of();
            cell.added[place].set(0);
            added
        });
        [cpu, sent, received, queries.settle(), calls.settle(), files.settle()]
    }

    /// Adds to what is durable of a month: the cell has the newest one, and others are put aside.
    pub(super) fn add_to_month(&self, at: Timestamp, bytes: MonthBytes, aside: impl Aside) {
        if bytes == [None; 2] {
            return;
        }
        let (Parts { cell, rest, .. }, month) = (self.parts, Month::of(at));
        if month.number() < rest.month.of() {
            aside.month(cell.owner(), month, bytes);
            return;
        }
        if month.number() > rest.month.of() {
            // A source may be ahead of its time at a month's end, and then both go on.
            let before = rest.durable_month_bytes();
            if before != [None; 2] {
                aside.month(cell.owner(), Month::from_number(rest.month.of()), before);
            }
            rest.month.set(month.number());
            rest.known.set(rest.known.of() & !(3 << known::MONTH_SHIFT));
            rest.month_bytes.iter().for_each(|bytes| bytes.set(0));
        }
        for (place, added) in bytes.into_iter().enumerate() {
            if let Some(added) = added {
                rest.month_bytes[place].set(rest.month_bytes[place].of().saturating_add(added).min(MAX_AMOUNT));
                rest.known.set(rest.known.of() | 1 << place << known::MONTH_SHIFT);
            }
        }
    }

    /// Makes it an account's of which nothing is known: one that was cleared, or never used.
    pub(crate) fn begin(&self, account: AccountId) {
        let cell = self.parts.cell;
        let bits = account.bits();
        #[expect(clippy::cast_possible_truncation, reason = "128 bits in two halves")]
        let halves = [(bits >> 64) as u64, bits as u64];
        cell.account.iter().zip(halves).for_each(|(word, half)| word.set(half));
        cell.flags.set(LIVE);
    }

    /// Makes it an account's, as the store's past has it, so that no window starts empty after a restart.
    pub(crate) fn resume(&self, account: AccountId, past: &Past, now: Timestamp, aside: impl Aside) {
        let Parts { rest, seldom, .. } = self.parts;
        self.begin(account);
        for level in Level::ALL {
            if let Some(reading) = past.readings.of(level) {
                self.parts.set_value(level, reading.value);
                seldom.set_read_at(level, millis(reading.at));
                rest.known.set(rest.known.of() | u32::from(level.bit()));
                rest.levels_at.set(rest.levels_at.of().max(millis(reading.at)));
            }
        }
        for (bucket, rollup) in &past.minutes {
            self.count_hourly(bucket.start(), HOURLY.map(|counter| rollup.total(counter)), now, aside);
        }
        for (bucket, rollup) in &past.days {
            let bytes = MONTH_COUNTERS.map(|counter| rollup.total(counter));
            self.add_to_month(bucket.start(), bytes, aside);
        }
        let newest_minute = past.minutes.last().map(|(bucket, _)| bucket.start());
        self.parts.set_newest(past.readings.newest().max(newest_minute).map_or(0, millis));
    }

    /// Counts in the windows of an hour what is durable.
    pub(super) fn count_hourly(
        &self,
        at: Timestamp,
        [calls, files]: [Option<u64>; 2],
        now: Timestamp,
        aside: impl Aside,
    ) {
        if let Some(calls) = calls {
            self.count_in(self.parts.calls(), Counter::ApiCalls, at, calls, false, || now, aside);
        }
        if let Some(files) = files {
            self.count_in(self.parts.files(), Counter::FileOperations, at, files, false, || now, aside);
        }
    }

    /// Forgets the account; its place may be another's.
    pub(crate) fn clear(&self) {
        let Parts { cell, rest, buckets, grants, seldom } = self.parts;
        [&cell.like, &cell.flags, &cell.offset, &rest.month].into_iter().for_each(Quarter::clear);
        [&cell.shape, &cell.tick, &rest.minute, &rest.known, &rest.crossed, &buckets.queries_since]
            .into_iter()
            .for_each(Half::clear);
        [&rest.levels_at].into_iter().chain(&cell.account).chain(&rest.month_bytes).for_each(Word::clear);
        cell.added.iter().for_each(Word::clear);
        cell.ram.clear();
        cell.small.iter().for_each(Small::clear);
        self.parts.queries().clear();
        self.parts.calls().clear();
        self.parts.files().clear();
        grants.clear();
        seldom.clear();
    }

    /// Whether nothing would be lost if the store had the account alone: nobody follows it, nothing of it waits, no
    /// window has anything that the store's minutes do not tell, and nothing was granted to it.
    pub(crate) fn is_idle(&self, since: Timestamp) -> bool {
        let Parts { cell, rest, .. } = self.parts;
        cell.flags.of() & (WAITING | WATCHED | LIVE) == LIVE
            && cell.shape.of() == 0
            && rest.crossed.of() == 0
            && self.leased() == [0; 2]
            && cell.newest() < millis(since)
    }

    pub(crate) fn erase(&self) {
        self.parts.cell.flags.set(ERASED);
    }

    pub(crate) fn set_watched(&self, is_watched: bool) {
        let cell = self.parts.cell;
        let flags = cell.flags.of() & !WATCHED;
        cell.flags.set(if is_watched { flags | WATCHED } else { flags });
    }

    /// Sets by what the account's limits are known.
    pub(crate) fn set_limits(&self, tier: TierName, is_overridden: bool) {
        let cell = self.parts.cell;
        let flags = cell.flags.of() & !(TIER_BITS << TIER_SHIFT | OVERRIDDEN);
        let place = u16::try_from(TierName::ALL.iter().position(|known| *known == tier).unwrap_or(0)).unwrap_or(0);
        let overridden = if is_overridden { OVERRIDDEN } else { 0 };
        cell.flags.set(flags | place << TIER_SHIFT | overridden);
    }

    /// By what the account's limits are known.
    pub(crate) fn limits(&self) -> (TierName, bool) {
        self.parts.limits()
    }

    /// The thresholds it is above.
    pub(crate) fn crossed(&self) -> u32 {
        self.parts.rest.crossed.of()
    }

    pub(crate) fn set_crossed(&self, crossed: u32) {
        self.parts.rest.crossed.set(crossed);
    }

    /// What is used of a resource, as of an instant.
    pub(crate) fn used(&self, resource: Resource, now: Timestamp) -> Option<u64> {
        match Leasable::of(resource) {
            Some(Leasable::ApiCalls) => Some(self.parts.calls().sum(now)),
            Some(Leasable::FileOperations) => Some(self.parts.files().sum(now)),
            None => resource.level().and_then(|level| self.parts.level(level)),
        }
    }

    /// For a clock that was set back: see [`super::window::Window::set_back`].
    pub(crate) fn set_back(&self, now: Timestamp, aside: impl Aside) {
        let Parts { cell, rest, seldom, .. } = self.parts;
        if rest.minute.of() > minute_of(now) {
            // A minute that lies ahead now is no minute to go on with.
            if cell.shape.of() != 0 {
                let (minute, rollup) = self.take(aside);
                aside.put(cell.owner(), minute, &rollup);
            }
            rest.minute.set(minute_of(now));
        }
        self.parts.queries().set_back(now);
        self.parts.calls().set_back(now);
        self.parts.files().set_back(now);
        // And so would every reading be, until the clock is where it was.
        self.parts.expect_nothing();
        let now = millis(now);
        self.parts.set_newest(cell.newest().min(now));
        let is_known = |level: &Level| rest.known.of() & u32::from(level.bit()) != 0;
        for level in Level::ALL.into_iter().filter(is_known) {
            seldom.set_read_at(level, self.parts.read_at(level).min(now));
        }
        rest.levels_at.set(rest.levels_at.of().min(now));
    }
}

/// The counters that quotas of an hour are for.
pub(super) const HOURLY: [Counter; 2] = [Counter::ApiCalls, Counter::FileOperations];

/// When something happened that is dated so: by the clock where it is dated further ahead than clocks may differ.
pub(super) fn held_to(at: Timestamp, now: Timestamp) -> Timestamp {
    if at > now.after(MAX_SAMPLE_LEAD) { now } else { at }
}

#[expect(clippy::cast_possible_truncation, reason = "the minutes until the year 9999 are fewer than 2^32 - 1")]
#[inline]
pub(crate) fn minute_of(at: Timestamp) -> u32 {
    (millis(at) / 60_000) as u32
}

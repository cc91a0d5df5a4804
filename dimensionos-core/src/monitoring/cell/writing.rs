//! Writing to a cell.

use super::granted::Leasable;
use super::{
    Aside, Cell, ERASED, LEVEL_BITS, LEVELS, LIVE, MONTH_COUNTERS, MonthBytes, OVERRIDDEN, Past, RECORDED, TIER_BITS,
    TIER_SHIFT, Tally, WAITING, WATCHED, known, millis, shape,
};
use crate::allocation::{Resource, TierName};
use crate::id::AccountId;
use crate::monitoring::pending::Pending;
use crate::monitoring::report::MAX_SAMPLE_LEAD;
use crate::monitoring::rollup::{Bucket, Resolution, Rollup};
use crate::monitoring::sample::{Counter, Level, MAX_AMOUNT, Sample};
use crate::monitoring::sequence::Writing;
use crate::time::{Month, Timestamp};

/// A cell whose turn to write this is.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    pub(super) cell: &'a Cell,
    pub(super) tally: &'a Tally,
    /// Given back when this is dropped.
    _writing: Writing<'a>,
}

/// Who has to be told of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Nobody,
    Watchers,
}

impl<'a> Locked<'a> {
    #[inline]
    pub(super) const fn new(writing: Writing<'a>, cell: &'a Cell, tally: &'a Tally) -> Self {
        Self { cell, tally, _writing: writing }
    }
}

impl Locked<'_> {
    /// Whether it holds the account, and so may be written for it.
    #[inline]
    pub(crate) fn is_of(&self, account: AccountId) -> bool {
        self.cell.owner() == account && self.cell.flags.of() & LIVE != 0
    }

    /// Whether it holds an account at all.
    pub(crate) fn is_live(&self) -> bool {
        self.cell.flags.of() & LIVE != 0
    }

    /// Whose it is.
    pub(crate) fn account(&self) -> AccountId {
        self.cell.owner()
    }

    /// Whether its account was erased while somebody had a handle to it.
    pub(crate) fn is_orphan(&self) -> bool {
        self.cell.flags.of() & (LIVE | ERASED) == ERASED
    }

    /// Takes a sample that the next flush makes durable.
    #[expect(clippy::inline_always, reason = "one of the few parts of the path of a sample, which is one function")]
    #[inline(always)]
    pub(crate) fn record(self, sample: &Sample, aside: impl Aside) -> Told {
        let cell = self.cell;
        if cell.flags.of() & (RECORDED | ERASED) != RECORDED && !self.begin_recording(aside) {
            return Told::Nobody;
        }
        let minute = minute_of(sample.taken_at());
        let has_to_turn = cell.minute.of() != minute || cell.shape.of() >= shape::MAX_READINGS * shape::READING;
        if has_to_turn && !self.turn_minute(minute, aside) {
            self.record_late(sample, aside);
            return self.told();
        }
        let measured = u32::from(sample.measured());
        for (added, more) in cell.added.iter().zip(sample.counters()) {
            // Absent is 0, and adds nothing.
            added.set(added.of().saturating_add(*more));
        }
        let before = cell.shape.of();
        let mut after = before | measured;
        if measured & LEVEL_BITS != 0 {
            after = self.record_levels(sample, before) | measured;
        }
        cell.shape.set(after);
        self.count(sample, || aside.now());
        self.told()
    }

    /// Takes a sample that is durable already.
    pub(crate) fn apply(&self, sample: &Sample, now: Timestamp, aside: impl Aside) -> Told {
        if !self.wait(aside) {
            return Told::Nobody;
        }
        if u32::from(sample.measured()) & LEVEL_BITS != 0 {
            self.materialise();
            self.see_levels(sample);
        }
        let bytes = MONTH_COUNTERS.map(|counter| sample.added(counter));
        self.add_to_month(sample.taken_at(), bytes, aside);
        self.count(sample, || now);
        self.told()
    }

    /// Who is to be told of a change.
    #[inline]
    pub(crate) fn told(&self) -> Told {
        if self.cell.flags.of() & WATCHED == 0 { Told::Nobody } else { Told::Watchers }
    }

    #[cold]
    pub(crate) fn begin_recording(&self, aside: impl Aside) -> bool {
        let is_open = self.wait(aside);
        if is_open {
            self.cell.flags.set(self.cell.flags.of() | RECORDED);
        }
        is_open
    }

    /// Sees to it that the next flush looks at it; not where the account was erased.
    pub(crate) fn wait(&self, aside: impl Aside) -> bool {
        let flags = self.cell.flags.of();
        if flags & ERASED != 0 {
            return false;
        }
        if flags & WAITING == 0 {
            self.cell.flags.set(flags | WAITING);
            aside.mark();
        }
        true
    }

    /// Counts in the windows, and the time of it.
    #[expect(clippy::inline_always, reason = "one of the few parts of the path of a sample, which is one function")]
    #[inline(always)]
    fn count(&self, sample: &Sample, clock: impl Fn() -> Timestamp) {
        let (cell, at) = (self.cell, sample.taken_at());
        let [.., queries, calls, files] = sample.counters();
        let measured = sample.measured();
        if measured & Counter::ApiCalls.bit() != 0 {
            cell.calls().add(at, *calls, &clock);
        }
        if measured & Counter::FileOperations.bit() != 0 {
            cell.files().add(at, *files, &clock);
        }
        if measured & Counter::DatabaseQueries.bit() != 0 {
            self.count_queries(at, *queries, &clock);
        }
        let newest = millis(at);
        if newest > cell.newest.of() {
            cell.newest.set(newest);
        }
    }

    #[inline]
    fn count_queries(&self, at: Timestamp, amount: u64, clock: impl Fn() -> Timestamp) {
        self.cell.queries().add(at, amount, clock);
        if self.cell.known.of() & known::QUERIES == 0 {
            self.cell.known.set(self.cell.known.of() | known::QUERIES);
            self.cell.queries_since.set(self.cell.queries_present.of());
        }
    }

    /// Begins another minute; what waits of the one before is put aside. Not for a minute that has passed, which is
    /// counted beside the present one, and neither for one that the clock is far from.
    #[cold]
    pub(super) fn turn_minute(&self, minute: u32, aside: impl Aside) -> bool {
        let cell = self.cell;
        if minute > cell.minute.of() && minute > minute_of(aside.now().after(MAX_SAMPLE_LEAD)) {
            return false;
        }
        if cell.shape.of() != 0 {
            if minute < cell.minute.of() {
                return false;
            }
            let (minute, rollup) = self.take(aside);
            aside.put(cell.owner(), minute, &rollup);
        }
        cell.minute.set(minute);
        true
    }

    /// A sample of a minute that has passed while another one waits, or one that is dated too far ahead.
    #[cold]
    fn record_late(&self, sample: &Sample, aside: impl Aside) {
        let sample = &sample.taken_by(held_to(sample.taken_at(), aside.now()));
        let mut rollup = Rollup::default();
        rollup.add(sample);
        aside.put(self.cell.owner(), Bucket::holding(sample.taken_at(), Resolution::Minute), &rollup);
        let bytes = MONTH_COUNTERS.map(|counter| sample.added(counter));
        self.add_to_month(sample.taken_at(), bytes, aside);
        if u32::from(sample.measured()) & LEVEL_BITS != 0 {
            self.materialise();
            self.see_levels(sample);
        }
        self.count(sample, || aside.now());
    }

    /// Takes what is to be made durable; it waits for nothing any more.
    pub(crate) fn take_pending(&self, aside: impl Aside) -> Option<Pending> {
        let flags = self.cell.flags.of();
        self.cell.flags.set(flags & !(WAITING | RECORDED));
        if flags & RECORDED == 0 {
            return None;
        }
        let mut pending = Pending { leased: Some(self.leased()), ..Pending::of(self.cell.readings()) };
        if self.cell.shape.of() != 0 {
            let (minute, rollup) = self.take(aside);
            pending.add(minute, &rollup);
        }
        Some(pending)
    }

    fn take(&self, aside: impl Aside) -> (Bucket, Rollup) {
        let cell = self.cell;
        let shape = cell.shape.of();
        let mut rollup = Rollup::default();
        for counter in Counter::ALL {
            if shape & u32::from(counter.bit()) != 0 {
                rollup.add_total(counter, cell.added[counter.index()].of());
            }
            cell.added[counter.index()].set(0);
        }
        for level in Level::ALL.into_iter().filter(|level| shape & u32::from(level.bit()) != 0) {
            rollup.set_level(level, self.tallied(level, shape));
        }
        cell.shape.set(0);
        let bytes = MONTH_COUNTERS.map(|counter| rollup.total(counter));
        self.add_to_month(cell.minute_start(), bytes, aside);
        (Bucket::at(cell.minute_start()), rollup)
    }

    /// Adds to what is durable of a month: the cell has the newest one, and others are put aside.
    pub(super) fn add_to_month(&self, at: Timestamp, bytes: MonthBytes, aside: impl Aside) {
        if bytes == [None; 2] {
            return;
        }
        let (cell, month) = (self.cell, Month::of(at));
        if month.number() < cell.month.of() {
            aside.month(cell.owner(), month, bytes);
            return;
        }
        if month.number() > cell.month.of() {
            // A source may be ahead of its time at a month's end, and then both go on.
            let before = cell.durable_month_bytes();
            if before != [None; 2] {
                aside.month(cell.owner(), Month::from_number(cell.month.of()), before);
            }
            cell.month.set(month.number());
            cell.known.set(cell.known.of() & !(3 << known::MONTH_SHIFT));
            cell.month_bytes.iter().for_each(|bytes| bytes.set(0));
        }
        for (place, added) in bytes.into_iter().enumerate() {
            if let Some(added) = added {
                cell.month_bytes[place].set(cell.month_bytes[place].of().saturating_add(added).min(MAX_AMOUNT));
                cell.known.set(cell.known.of() | 1 << place << known::MONTH_SHIFT);
            }
        }
    }

    /// Makes it an account's of which nothing is known.
    pub(crate) fn begin(&self, account: AccountId) {
        let cell = self.cell;
        self.clear();
        let bits = account.bits();
        #[expect(clippy::cast_possible_truncation, reason = "128 bits in two halves")]
        let halves = [(bits >> 64) as u64, bits as u64];
        cell.account.iter().zip(halves).for_each(|(word, half)| word.set(half));
        cell.flags.set(LIVE);
    }

    /// Makes it an account's, as the store's past has it, so that no window starts empty after a restart.
    pub(crate) fn resume(&self, account: AccountId, past: &Past, now: Timestamp, aside: impl Aside) {
        let cell = self.cell;
        self.begin(account);
        for level in Level::ALL {
            if let Some(reading) = past.readings.of(level) {
                cell.levels[level.index()].set(reading.value);
                self.set_read_at(level.index(), millis(reading.at));
                cell.known.set(cell.known.of() | u32::from(level.bit()));
                cell.levels_at.set(cell.levels_at.of().max(millis(reading.at)));
            }
        }
        for (bucket, rollup) in &past.minutes {
            let at = bucket.start();
            if let Some(calls) = rollup.total(Counter::ApiCalls) {
                cell.calls().add(at, calls, || now);
            }
            if let Some(operations) = rollup.total(Counter::FileOperations) {
                cell.files().add(at, operations, || now);
            }
        }
        for (bucket, rollup) in &past.days {
            let bytes = MONTH_COUNTERS.map(|counter| rollup.total(counter));
            self.add_to_month(bucket.start(), bytes, aside);
        }
        let newest_minute = past.minutes.last().map(|(bucket, _)| bucket.start());
        cell.newest.set(past.readings.newest().max(newest_minute).map_or(0, millis));
    }

    /// Forgets the account; its place may be another's.
    pub(crate) fn clear(&self) {
        let cell = self.cell;
        let halves = [&cell.flags, &cell.shape, &cell.minute, &cell.known, &cell.crossed, &cell.queries_since];
        halves.into_iter().chain(&cell.leased).chain(&cell.leased_until).for_each(|half| half.set(0));
        [&cell.newest, &cell.levels_at].into_iter().for_each(|word| word.set(0));
        cell.account
            .iter()
            .chain(&cell.levels)
            .chain(&cell.added)
            .chain(&cell.month_bytes)
            .for_each(|word| word.set(0));
        cell.calls().clear();
        cell.files().clear();
        cell.queries().clear();
        cell.read_at_low.iter().for_each(|half| half.set(0));
        cell.read_at_high.iter().for_each(|quarter| quarter.set(0));
        cell.month.set(0);
    }

    /// Whether nothing would be lost if the store had the account alone: nobody follows it, nothing of it waits, no
    /// window has anything that the store's minutes do not tell, and nothing was granted to it.
    pub(crate) fn is_idle(&self, since: Timestamp) -> bool {
        let cell = self.cell;
        cell.flags.of() & (WAITING | WATCHED | LIVE) == LIVE
            && cell.shape.of() == 0
            && cell.crossed.of() == 0
            && cell.leased.iter().all(|leased| leased.of() == 0)
            && cell.newest.of() < millis(since)
    }

    pub(crate) fn erase(&self) {
        self.cell.flags.set(ERASED);
    }

    pub(crate) fn set_watched(&self, is_watched: bool) {
        let flags = self.cell.flags.of() & !WATCHED;
        self.cell.flags.set(if is_watched { flags | WATCHED } else { flags });
    }

    /// Sets by what the account's limits are known.
    pub(crate) fn set_limits(&self, tier: TierName, is_overridden: bool) {
        let flags = self.cell.flags.of() & !(TIER_BITS << TIER_SHIFT | OVERRIDDEN);
        let place = u32::try_from(TierName::ALL.iter().position(|known| *known == tier).unwrap_or(0)).unwrap_or(0);
        let overridden = if is_overridden { OVERRIDDEN } else { 0 };
        self.cell.flags.set(flags | place << TIER_SHIFT | overridden);
    }

    /// By what the account's limits are known.
    pub(crate) fn limits(&self) -> (TierName, bool) {
        self.cell.limits()
    }

    /// The thresholds it is above.
    pub(crate) fn crossed(&self) -> u32 {
        self.cell.crossed.of()
    }

    pub(crate) fn set_crossed(&self, crossed: u32) {
        self.cell.crossed.set(crossed);
    }

    /// What is used of a resource, as of an instant.
    pub(crate) fn used(&self, resource: Resource, now: Timestamp) -> Option<u64> {
        match Leasable::of(resource) {
            Some(Leasable::ApiCalls) => Some(self.cell.calls().sum(now)),
            Some(Leasable::FileOperations) => Some(self.cell.files().sum(now)),
            None => resource.level().and_then(|level| self.cell.level(level)),
        }
    }

    /// For a clock that was set back: see [`super::window::Window::set_back`].
    pub(crate) fn set_back(&self, now: Timestamp, aside: impl Aside) {
        if self.cell.minute.of() > minute_of(now) {
            // A minute that lies ahead now is no minute to go on with.
            if self.cell.shape.of() != 0 {
                let (minute, rollup) = self.take(aside);
                aside.put(self.cell.owner(), minute, &rollup);
            }
            self.cell.minute.set(minute_of(now));
        }
        self.cell.calls().set_back(now);
        self.cell.files().set_back(now);
        self.cell.queries().set_back(now);
        // And so would every reading be, until the clock is where it was.
        let (cell, now) = (self.cell, millis(now));
        [&cell.newest, &cell.levels_at].into_iter().for_each(|at| at.set(at.of().min(now)));
        for place in 0..LEVELS {
            let read_at = u64::from(cell.read_at_high[place].of()) << 32 | u64::from(cell.read_at_low[place].of());
            self.set_read_at(place, read_at.min(now));
        }
    }
}

/// When something happened that is dated so: by the clock where it is dated further ahead than clocks may differ.
pub(super) fn held_to(at: Timestamp, now: Timestamp) -> Timestamp {
    if at > now.after(MAX_SAMPLE_LEAD) { now } else { at }
}

#[expect(clippy::cast_possible_truncation, reason = "the minutes until the year 9999 are fewer than 2^32 - 1")]
#[inline]
pub(crate) fn minute_of(at: Timestamp) -> u32 {
    (millis(at) / 60_000) as u32
}

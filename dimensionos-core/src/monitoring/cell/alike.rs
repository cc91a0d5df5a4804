//! A sample that is like the one before: of the same fields, in the same ten seconds, and no older.
//!
//! Almost every sample is. Whatever else may happen to a cell begins with another minute, another bucket of a window, or
//! with fields that come or go, so that all a sample like the last one does is to add and to replace numbers: those of
//! [`Cell`], two lines of memory.

use super::levels::{SELDOM_BITS, SMALL};
use super::{CALLS, Cell, ERASED, FILES, LEVEL_BITS, Parts, QUERIES, RECORDED, millis, shape};
use crate::monitoring::sample::{Counter, Level, Sample};
use crate::monitoring::window::{HourWindow, MinuteWindow};

/// Ten seconds: the shortest of the stretches that samples alike may not leave. A bucket of the window of queries; five
/// minutes and a minute hold them whole.
pub(super) const TICK_MILLIS: u64 = 10_000;

/// The largest sum and the largest amount that are added without a look: the sum of two has 32 bits.
const MAX_SHORT: u64 = (1 << 31) - 1;

/// Set in [`Cell::like`] where the next sample may be like the last.
const EXPECTED: u16 = 1 << 15;

/// In which ten seconds an instant is, and when in them.
const fn tick(at: u64) -> (u64, u16) {
    (at / TICK_MILLIS, (at % TICK_MILLIS) as u16)
}

impl Cell {
    /// Counts a sample that is like the last one, and says whether it is. Where it is not, nothing has happened.
    #[expect(clippy::inline_always, reason = "the path of a sample")]
    #[inline(always)]
    pub(super) fn record_alike(&self, sample: &Sample) -> bool {
        let (tick, offset) = tick(millis(sample.taken_at()));
        let [cpu, sent, received, windowed @ ..] = sample.counters();
        let (measured, levels) = (sample.measured(), sample.levels());
        let small = SMALL.map(|level| u32::try_from(levels[level.index()]));
        let largest = self.used.iter().zip(windowed).fold(0, |all, (used, more)| all | u64::from(used.of()) | *more);
        let is_alike = self.like.of() == measured | EXPECTED
            && u64::from(self.tick.of()) == tick
            && self.offset.of() <= offset
            && self.shape.of() < shape::MAX_READINGS * shape::READING
            && largest <= MAX_SHORT
            && self.flags.of() & (RECORDED | ERASED) == RECORDED;
        // Absent is 0, which is small.
        let (true, [Ok(cpu_now), Ok(connections)]) = (is_alike, small) else { return false };
        self.offset.set(offset);
        for (added, more) in self.added.iter().zip([cpu, sent, received]) {
            // Absent is 0, and adds nothing.
            added.set(added.of().saturating_add(*more));
        }
        #[expect(clippy::cast_possible_truncation, reason = "no larger than half of what 32 bits hold")]
        self.used.iter().zip(windowed).for_each(|(used, more)| used.set(used.of() + *more as u32));
        let mut shape = self.shape.of() | u32::from(measured);
        if u32::from(measured) & LEVEL_BITS != 0 {
            if measured & Level::RamBytes.bit() != 0 {
                self.ram.read(levels[Level::RamBytes.index()]);
            }
            for ((readout, level), value) in self.small.iter().zip(SMALL).zip([cpu_now, connections]) {
                if measured & level.bit() != 0 {
                    readout.read(value);
                }
            }
            shape += shape::READING;
        }
        self.shape.set(shape);
        true
    }
}

impl Parts<'_> {
    /// When the newest levels were read.
    pub(super) fn levels_at(self) -> u64 {
        let has_newest = u32::from(self.cell.like.of()) & LEVEL_BITS != 0;
        if has_newest { self.cell.newest() } else { self.rest.levels_at.of() }
    }

    /// Expects nothing of the next sample, so that anything may change.
    pub(super) fn expect_nothing(self) {
        self.rest.levels_at.set(self.levels_at());
        self.cell.like.set(0);
    }

    /// Expects the next sample to be like this one, which has just been recorded, unless there is more to one like it than
    /// [`Cell::record_alike`] does.
    pub(super) fn expect_alike(self, sample: &Sample) {
        let Self { cell, rest, .. } = self;
        let (at, measured) = (sample.taken_at(), sample.measured());
        let levels = u32::from(measured) & LEVEL_BITS;
        let is_newest = cell.newest() == millis(at);
        let has_all_levels = levels & SELDOM_BITS == 0
            && !rest.has_upper()
            && cell.shape.of() & shape::UNEVEN == 0
            && (levels == 0 || rest.fresh() == levels && rest.levels_at.of() == millis(at));
        let is_present = |counter: Counter, place: usize, bucket| {
            measured & counter.bit() == 0 || rest.present[place].of() == bucket
        };
        if is_newest
            && has_all_levels
            && is_present(Counter::DatabaseQueries, QUERIES, MinuteWindow::number(at))
            && is_present(Counter::ApiCalls, CALLS, HourWindow::number(at))
            && is_present(Counter::FileOperations, FILES, HourWindow::number(at))
        {
            cell.like.set(measured | EXPECTED);
        }
    }

    /// Something was measured at that instant, which may be the newest.
    pub(super) fn see_time(self, at: u64) {
        if at > self.cell.newest() {
            self.set_newest(at);
        }
    }

    pub(super) fn set_newest(self, at: u64) {
        let Self { cell, .. } = self;
        let (tick, offset) = tick(at);
        if u32::from(cell.like.of()) & LEVEL_BITS != 0 || u64::from(cell.tick.of()) != tick {
            self.expect_nothing();
        }
        // 32 bits have the ten seconds until the year 3331.
        cell.tick.set(u32::try_from(tick).unwrap_or(u32::MAX));
        cell.offset.set(offset);
    }
}

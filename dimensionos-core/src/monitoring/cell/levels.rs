//! Levels in a cell: the newest of each, and the sum of those that are not durable yet.

use super::writing::Locked;
use super::{LEVEL_BITS, LEVELS, known, millis, shape};
use crate::monitoring::rollup::LevelRollup;
use crate::monitoring::sample::{Level, Sample};

impl Locked<'_> {
    /// Takes the levels of a sample and adds them to what is to be made durable. Gives the shape after it, but for the
    /// sample's own fields.
    #[expect(clippy::inline_always, reason = "one of the few parts of the path of a sample, which is one function")]
    #[inline(always)]
    pub(super) fn record_levels(&self, sample: &Sample, shape: u32) -> u32 {
        let cell = self.cell;
        let (at, levels) = (millis(sample.taken_at()), u32::from(sample.measured()) & LEVEL_BITS);
        let fresh = cell.known.of() >> known::FRESH_SHIFT & LEVEL_BITS;
        let is_like_the_last = shape & (LEVEL_BITS | shape::TALLIED | shape::UNEVEN) == levels | shape::TALLIED
            && fresh == levels
            && at >= cell.levels_at.of();
        if !is_like_the_last {
            return self.record_other_levels(sample, shape);
        }
        // The same source measures the same levels again: all that changes is their values.
        each(levels, |place| {
            let value = sample.levels()[place];
            cell.levels[place].set(value);
            self.add_to_tally(place, value);
        });
        cell.levels_at.set(at);
        shape + shape::READING
    }

    #[cold]
    #[inline(never)]
    fn record_other_levels(&self, sample: &Sample, shape: u32) -> u32 {
        let shape = self.tally_levels(sample, shape);
        self.see_levels(sample);
        shape
    }

    #[expect(clippy::inline_always, reason = "one of the few parts of the path of a sample, which is one function")]
    #[inline(always)]
    fn add_to_tally(&self, place: usize, value: u64) {
        let (sum, peak) = (&self.tally.sums[place], &self.tally.peaks[place]);
        sum.set(sum.of() + value);
        if value > peak.of() {
            peak.set(value);
        }
    }

    /// Takes the newest of each level.
    pub(super) fn see_levels(&self, sample: &Sample) {
        let cell = self.cell;
        let (at, levels) = (millis(sample.taken_at()), u32::from(sample.measured()) & LEVEL_BITS);
        let known = cell.known.of();
        let fresh = known >> known::FRESH_SHIFT & LEVEL_BITS;
        if at < cell.levels_at.of() {
            self.see_late_levels(sample);
            return;
        }
        let is_same = at == cell.levels_at.of();
        if !is_same && fresh & !levels != 0 {
            self.write_down_times(fresh & !levels);
        }
        each(levels, |place| cell.levels[place].set(sample.levels()[place]));
        let fresh = if is_same { fresh | levels } else { levels };
        let after = known & !(LEVEL_BITS << known::FRESH_SHIFT) | levels | fresh << known::FRESH_SHIFT;
        if after != known {
            cell.known.set(after);
        }
        cell.levels_at.set(at);
    }

    /// Levels that are no longer fresh keep the time they were read at.
    #[cold]
    fn write_down_times(&self, levels: u32) {
        each(levels, |place| self.set_read_at(place, self.cell.levels_at.of()));
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "48 bits hold the milliseconds until the year 9999, in two parts"
    )]
    pub(super) fn set_read_at(&self, place: usize, at: u64) {
        self.cell.read_at_low[place].set(at as u32);
        self.cell.read_at_high[place].set((at >> 32) as u16);
    }

    /// Levels of a sample that is older than the newest one: each goes by its own time.
    #[cold]
    fn see_late_levels(&self, sample: &Sample) {
        let readings = self.cell.readings();
        for level in Level::ALL {
            if let Some(value) = sample.level(level)
                && readings.of(level).is_none_or(|known| known.at <= sample.taken_at())
            {
                self.cell.levels[level.index()].set(value);
                self.set_read_at(level.index(), millis(sample.taken_at()));
                // Not fresh: its time is its own.
                let fresh = u32::from(level.bit()) << known::FRESH_SHIFT;
                self.cell.known.set((self.cell.known.of() | u32::from(level.bit())) & !fresh);
            }
        }
    }

    /// Adds the levels of a sample to what is to be made durable, before they are seen. Gives the shape after it, but
    /// for the sample's own fields.
    fn tally_levels(&self, sample: &Sample, shape: u32) -> u32 {
        let (levels, before) = (u32::from(sample.measured()) & LEVEL_BITS, shape & LEVEL_BITS);
        let is_first = before == 0 && millis(sample.taken_at()) >= self.cell.levels_at.of();
        if is_first {
            // The levels themselves are the tally.
            return shape + shape::READING;
        }
        let shape =
            if shape & shape::TALLIED == 0 || levels != before { self.open_tally(shape, levels) } else { shape };
        each(levels, |place| self.add_to_tally(place, sample.levels()[place]));
        if shape & shape::UNEVEN != 0 {
            let counts = &self.tally.counts;
            each(levels, |place| counts[place].set(counts[place].of() + 1));
        }
        shape + shape::READING
    }

    /// Moves the one reading that the cell has to the tally, and gives each level a count of its own where they were
    /// not always read together.
    #[cold]
    fn open_tally(&self, mut shape: u32, levels: u32) -> u32 {
        let before = shape & LEVEL_BITS;
        if shape & shape::TALLIED == 0 {
            for place in 0..LEVELS {
                let value = if before & 1 << place == 0 { 0 } else { self.cell.levels[place].of() };
                self.tally.sums[place].set(value);
                self.tally.peaks[place].set(value);
            }
            shape |= shape::TALLIED;
        }
        if levels != before && shape & shape::UNEVEN == 0 {
            for place in 0..LEVELS {
                let count = if before & 1 << place == 0 { 0 } else { readings_in(shape) };
                self.tally.counts[place].set(count);
            }
            shape |= shape::UNEVEN;
        }
        shape
    }

    /// Before levels change that are the only record of a reading that is not durable yet.
    pub(super) fn materialise(&self) {
        let shape = self.cell.shape.of();
        if shape & LEVEL_BITS != 0 && shape & shape::TALLIED == 0 {
            self.cell.shape.set(self.open_tally(shape, shape & LEVEL_BITS));
        }
    }

    pub(super) fn tallied(&self, level: Level, shape: u32) -> LevelRollup {
        let place = level.index();
        let (sum, count, peak) = if shape & shape::TALLIED == 0 {
            (self.cell.levels[place].of(), 1, self.cell.levels[place].of())
        } else if shape & shape::UNEVEN == 0 {
            (self.tally.sums[place].of(), readings_in(shape), self.tally.peaks[place].of())
        } else {
            (self.tally.sums[place].of(), self.tally.counts[place].of(), self.tally.peaks[place].of())
        };
        #[expect(clippy::cast_precision_loss, reason = "a sum of readings, for their mean")]
        LevelRollup { sum: sum as f64, count: u64::from(count), peak }
    }
}

const fn readings_in(shape: u32) -> u16 {
    (shape >> 16) as u16
}

/// Calls for the place of each bit.
#[expect(clippy::inline_always, reason = "one of the few parts of the path of a sample, which is one function")]
#[inline(always)]
fn each(mut bits: u32, mut act: impl FnMut(usize)) {
    while bits != 0 {
        let place = bits.trailing_zeros() as usize;
        bits &= bits - 1;
        if place < LEVELS {
            act(place);
        }
    }
}

//! Levels in a cell: the newest reading of each, and the sum and peak of those that are not durable yet.

use super::writing::Locked;
use super::{LEVEL_BITS, LEVELS, Parts, Rest, known, millis, shape};
use crate::monitoring::rollup::LevelRollup;
use crate::monitoring::sample::{Level, Sample};
use crate::words::{Half, Quarter, Word};

/// The levels that sources read each second. Others are counted through now and then, and stand apart.
pub(super) const OFTEN: [Level; 3] = [Level::CpuMillicores, Level::RamBytes, Level::Connections];
const SELDOM: [Level; LEVELS - OFTEN.len()] =
    [Level::StorageBytes, Level::FileCount, Level::TableCount, Level::RecordCount];
/// The bits of those that stand apart.
pub(super) const SELDOM_BITS: u32 = {
    let [one, two, three, four] = SELDOM;
    (one.bit() | two.bit() | three.bit() | four.bit()) as u32
};

/// One level.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Readout {
    pub(super) value: Word,
    /// Of the readings that are not durable yet.
    sum: Word,
    peak: Word,
}

impl Readout {
    #[expect(clippy::inline_always, reason = "one of the few parts of the path of a sample, which is one function")]
    #[inline(always)]
    pub(super) fn read(&self, value: u64) {
        self.value.set(value);
        self.gather(value);
    }

    #[expect(clippy::inline_always, reason = "as above")]
    #[inline(always)]
    fn gather(&self, value: u64) {
        self.sum.set(self.sum.of() + value);
        if value > self.peak.of() {
            self.peak.set(value);
        }
    }

    pub(super) fn clear(&self) {
        [&self.value, &self.sum, &self.peak].into_iter().for_each(Word::clear);
    }
}

/// Levels that are seldom read, and when each was that was not read with the newest.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Seldom {
    pub(super) levels: [Readout; SELDOM.len()],
    /// In two parts.
    read_at_low: [Half; LEVELS],
    read_at_high: [Quarter; LEVELS],
    /// The readings of each that are not durable yet, where they were not always read together.
    counts: [Quarter; LEVELS],
}

impl Seldom {
    pub(super) fn clear(&self) {
        self.levels.iter().for_each(Readout::clear);
        self.read_at_low.iter().for_each(Half::clear);
        self.read_at_high.iter().chain(&self.counts).for_each(Quarter::clear);
    }

    fn read_at(&self, level: Level) -> u64 {
        let place = level.index();
        u64::from(self.read_at_high[place].of()) << 32 | u64::from(self.read_at_low[place].of())
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "48 bits hold the milliseconds until the year 9999, in two parts"
    )]
    pub(super) fn set_read_at(&self, level: Level, at: u64) {
        self.read_at_low[level.index()].set(at as u32);
        self.read_at_high[level.index()].set((at >> 32) as u16);
    }
}

impl Rest {
    /// The levels that were read when the newest of them was.
    pub(super) fn fresh(&self) -> u32 {
        self.known.of() >> known::FRESH_SHIFT & LEVEL_BITS
    }
}

impl<'a> Parts<'a> {
    pub(super) const fn readout(self, level: Level) -> &'a Readout {
        let Self { cell, seldom, .. } = self;
        match level {
            Level::CpuMillicores => &cell.often[0],
            Level::RamBytes => &cell.often[1],
            Level::Connections => &cell.often[2],
            Level::StorageBytes => &seldom.levels[0],
            Level::FileCount => &seldom.levels[1],
            Level::TableCount => &seldom.levels[2],
            Level::RecordCount => &seldom.levels[3],
        }
    }

    /// When a level was read.
    pub(super) fn read_at(self, level: Level) -> u64 {
        if self.rest.fresh() & u32::from(level.bit()) == 0 { self.seldom.read_at(level) } else { self.levels_at() }
    }

    pub(super) fn tallied(self, level: Level, shape: u32) -> LevelRollup {
        let Readout { sum, peak, .. } = self.readout(level);
        let count =
            if shape & shape::UNEVEN == 0 { readings_in(shape) } else { self.seldom.counts[level.index()].of() };
        #[expect(clippy::cast_precision_loss, reason = "a sum of readings, for their mean")]
        LevelRollup { sum: sum.of() as f64, count: u64::from(count), peak: peak.of() }
    }

    /// Begins the sum and peak of a level anew.
    pub(super) fn begin_tally(self, level: Level) {
        let Readout { sum, peak, .. } = self.readout(level);
        sum.set(0);
        peak.set(0);
    }
}

impl Locked<'_> {
    /// Takes the levels of a sample and adds them to what is to be made durable. Gives the shape after it, but for the
    /// sample's own fields.
    pub(super) fn record_levels(&self, sample: &Sample, mut shape: u32) -> u32 {
        let counts = &self.parts.seldom.counts;
        let (levels, before) = (u32::from(sample.measured()) & LEVEL_BITS, shape & LEVEL_BITS);
        if levels != before && before != 0 && shape & shape::UNEVEN == 0 {
            for level in Level::ALL {
                let count = if before & u32::from(level.bit()) == 0 { 0 } else { readings_in(shape) };
                counts[level.index()].set(count);
            }
            shape |= shape::UNEVEN;
        }
        for (level, value) in measured(sample) {
            self.parts.readout(level).gather(value);
            if shape & shape::UNEVEN != 0 {
                let count = &counts[level.index()];
                count.set(count.of() + 1);
            }
        }
        self.see_levels(sample);
        shape + shape::READING
    }

    /// Takes the newest of each level.
    pub(super) fn see_levels(&self, sample: &Sample) {
        let rest = self.parts.rest;
        let (at, levels) = (millis(sample.taken_at()), u32::from(sample.measured()) & LEVEL_BITS);
        let (known, fresh) = (rest.known.of(), rest.fresh());
        if at < rest.levels_at.of() {
            self.see_late_levels(sample);
            return;
        }
        let is_same = at == rest.levels_at.of();
        if !is_same && fresh & !levels != 0 {
            self.write_down_times(fresh & !levels);
        }
        measured(sample).for_each(|(level, value)| self.parts.readout(level).value.set(value));
        let fresh = if is_same { fresh | levels } else { levels };
        rest.known.set(known & !(LEVEL_BITS << known::FRESH_SHIFT) | levels | fresh << known::FRESH_SHIFT);
        rest.levels_at.set(at);
    }

    /// Levels that are no longer fresh keep the time they were read at.
    #[cold]
    fn write_down_times(&self, levels: u32) {
        let Parts { rest, seldom, .. } = self.parts;
        for level in Level::ALL.into_iter().filter(|level| levels & u32::from(level.bit()) != 0) {
            seldom.set_read_at(level, rest.levels_at.of());
        }
    }

    /// Levels of a sample that is older than the newest one: each goes by its own time.
    #[cold]
    fn see_late_levels(&self, sample: &Sample) {
        let Parts { rest, seldom, .. } = self.parts;
        let at = millis(sample.taken_at());
        for (level, value) in measured(sample) {
            let bit = u32::from(level.bit());
            if rest.known.of() & bit == 0 || self.parts.read_at(level) <= at {
                self.parts.readout(level).value.set(value);
                seldom.set_read_at(level, at);
                // Not fresh: its time is its own.
                rest.known.set((rest.known.of() | bit) & !(bit << known::FRESH_SHIFT));
            }
        }
    }
}

fn measured(sample: &Sample) -> impl Iterator<Item = (Level, u64)> {
    Level::ALL.into_iter().filter_map(|level| Some((level, sample.level(level)?)))
}

const fn readings_in(shape: u32) -> u16 {
    (shape >> 16) as u16
}

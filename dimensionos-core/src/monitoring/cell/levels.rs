//! Levels in a cell: the newest reading of each, and the sum and peak of those that are not durable yet.

use super::writing::Locked;
use super::{LEVEL_BITS, LEVELS, Parts, Rest, known, millis, shape};
use crate::monitoring::rollup::LevelRollup;
use crate::monitoring::sample::{Level, Sample};
use crate::words::{Half, Quarter, Word};

/// The levels that sources read each second and whose readings hardly ever take more than 32 bits. They stand in the cell,
/// as [`Level::RamBytes`] does; others are counted through now and then, and stand apart.
pub(super) const SMALL: [Level; 2] = [Level::CpuMillicores, Level::Connections];
const SELDOM: [Level; LEVELS - SMALL.len() - 1] =
    [Level::StorageBytes, Level::FileCount, Level::TableCount, Level::RecordCount];
/// The bits of those that stand apart.
pub(super) const SELDOM_BITS: u32 = {
    let [one, two, three, four] = SELDOM;
    (one.bit() | two.bit() | three.bit() | four.bit()) as u32
};

/// One level.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Large {
    value: Word,
    /// Of the readings that are not durable yet.
    sum: Word,
    peak: Word,
}

/// One level whose value and peak have 32 bits here. What is above them stands apart.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Small {
    value: Half,
    peak: Half,
    sum: Word,
}

/// What of a [`Small`] level has no room in the cell.
#[derive(Debug, Default)]
#[repr(C)]
struct Upper {
    value: Half,
    peak: Half,
}

impl Large {
    #[expect(clippy::inline_always, reason = "one of the few parts of the path of a sample, which is one function")]
    #[inline(always)]
    pub(super) fn read(&self, value: u64) {
        self.value.set(value);
        self.sum.set(self.sum.of() + value);
        if value > self.peak.of() {
            self.peak.set(value);
        }
    }

    pub(super) fn clear(&self) {
        [&self.value, &self.sum, &self.peak].into_iter().for_each(Word::clear);
    }
}

impl Small {
    /// Where nothing of it stands apart.
    #[expect(clippy::inline_always, reason = "as above")]
    #[inline(always)]
    pub(super) fn read(&self, value: u32) {
        self.value.set(value);
        self.sum.set(self.sum.of() + u64::from(value));
        if value > self.peak.of() {
            self.peak.set(value);
        }
    }

    pub(super) fn clear(&self) {
        [&self.value, &self.peak].into_iter().for_each(Half::clear);
        self.sum.clear();
    }
}

/// A value or a peak, wherever it stands.
#[derive(Clone, Copy)]
enum Figure<'a> {
    Whole(&'a Word),
    Halves { lower: &'a Half, upper: &'a Half, rest: &'a Rest },
}

impl Figure<'_> {
    fn of(self) -> u64 {
        match self {
            Self::Whole(word) => word.of(),
            // Not looked at where it was never needed: memory that nobody touched takes no room.
            Self::Halves { lower, upper, rest } => {
                let upper = if rest.has_upper() { upper.of() } else { 0 };
                u64::from(upper) << 32 | u64::from(lower.of())
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "64 bits in two halves")]
    fn set(self, value: u64) {
        match self {
            Self::Whole(word) => word.set(value),
            Self::Halves { lower, upper, rest } => {
                lower.set(value as u32);
                if value > u64::from(u32::MAX) {
                    rest.known.set(rest.known.of() | known::UPPER);
                }
                if rest.has_upper() {
                    upper.set((value >> 32) as u32);
                }
            }
        }
    }
}

/// A level, wherever it stands.
#[derive(Clone, Copy)]
struct Readout<'a> {
    value: Figure<'a>,
    sum: &'a Word,
    peak: Figure<'a>,
}

impl<'a> Readout<'a> {
    const fn large(Large { value, sum, peak }: &'a Large) -> Self {
        Self { value: Figure::Whole(value), sum, peak: Figure::Whole(peak) }
    }

    const fn small(lower: &'a Small, upper: &'a Upper, rest: &'a Rest) -> Self {
        let value = Figure::Halves { lower: &lower.value, upper: &upper.value, rest };
        let peak = Figure::Halves { lower: &lower.peak, upper: &upper.peak, rest };
        Self { value, sum: &lower.sum, peak }
    }

    fn gather(self, value: u64) {
        self.sum.set(self.sum.of() + value);
        if value > self.peak.of() {
            self.peak.set(value);
        }
    }
}

/// Levels that are seldom read, and when each was that was not read with the newest.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Seldom {
    levels: [Large; SELDOM.len()],
    upper: [Upper; SMALL.len()],
    /// In two parts.
    read_at_low: [Half; LEVELS],
    read_at_high: [Quarter; LEVELS],
    /// The readings of each that are not durable yet, where they were not always read together.
    counts: [Quarter; LEVELS],
}

impl Seldom {
    pub(super) fn clear(&self) {
        self.levels.iter().for_each(Large::clear);
        self.upper.iter().for_each(|Upper { value, peak }| [value, peak].into_iter().for_each(Half::clear));
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

    /// Whether any reading ever took more than a [`Small`] level has room for.
    pub(super) fn has_upper(&self) -> bool {
        self.known.of() & known::UPPER != 0
    }
}

impl<'a> Parts<'a> {
    const fn readout(self, level: Level) -> Readout<'a> {
        let Self { cell, rest, seldom, .. } = self;
        match level {
            Level::CpuMillicores => Readout::small(&cell.small[0], &seldom.upper[0], rest),
            Level::RamBytes => Readout::large(&cell.ram),
            Level::Connections => Readout::small(&cell.small[1], &seldom.upper[1], rest),
            Level::StorageBytes => Readout::large(&seldom.levels[0]),
            Level::FileCount => Readout::large(&seldom.levels[1]),
            Level::TableCount => Readout::large(&seldom.levels[2]),
            Level::RecordCount => Readout::large(&seldom.levels[3]),
        }
    }

    /// A level as it was last read.
    pub(super) fn value(self, level: Level) -> u64 {
        self.readout(level).value.of()
    }

    pub(super) fn set_value(self, level: Level, value: u64) {
        self.readout(level).value.set(value);
    }

    /// When a level was read.
    pub(super) fn read_at(self, level: Level) -> u64 {
        if self.rest.fresh() & u32::from(level.bit()) == 0 { self.seldom.read_at(level) } else { self.levels_at() }
    }

    pub(super) fn tallied(self, level: Level, shape: u32) -> LevelRollup {
        let readout = self.readout(level);
        let count =
            if shape & shape::UNEVEN == 0 { readings_in(shape) } else { self.seldom.counts[level.index()].of() };
        #[expect(clippy::cast_precision_loss, reason = "a sum of readings, for their mean")]
        LevelRollup { sum: readout.sum.of() as f64, count: u64::from(count), peak: readout.peak.of() }
    }

    /// Begins the sum and peak of a level anew.
    pub(super) fn begin_tally(self, level: Level) {
        let readout = self.readout(level);
        readout.sum.set(0);
        readout.peak.set(0);
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
        let fresh = rest.fresh();
        if at < rest.levels_at.of() {
            self.see_late_levels(sample);
            return;
        }
        let is_same = at == rest.levels_at.of();
        if !is_same && fresh & !levels != 0 {
            self.write_down_times(fresh & !levels);
        }
        measured(sample).for_each(|(level, value)| self.parts.set_value(level, value));
        let fresh = if is_same { fresh | levels } else { levels };
        rest.known.set(rest.known.of() & !(LEVEL_BITS << known::FRESH_SHIFT) | levels | fresh << known::FRESH_SHIFT);
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
                self.parts.set_value(level, value);
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

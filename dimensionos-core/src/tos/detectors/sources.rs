//! Where sign-ins come from, in a table of a fixed size.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::distinct::tag;
use super::windows::millis;
use crate::tos::latch::Latch;

/// Sources of which a part of the table keeps count.
const WAYS: usize = 8;
/// Names of which a source keeps count in half a window: as many as raise its flag, and raise it again.
pub(super) const NAMES: usize = 16;

/// Failures over a window of at most a given length and no less than half of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Halves {
    half: u64,
    now: u32,
    before: u32,
}

impl Halves {
    /// Moves on, and says by how many halves.
    pub(super) fn roll(&mut self, elapsed: u64, window: Duration) -> u64 {
        let half = elapsed / half_millis(window);
        let passed = half.saturating_sub(self.half);
        if passed > 0 {
            self.before = if passed == 1 { self.now } else { 0 };
            self.now = 0;
            self.half = half;
        }
        passed
    }

    pub(super) fn add(&mut self, count: u32) {
        self.now = self.now.saturating_add(count);
    }

    pub(super) fn sum(&self) -> u32 {
        self.now.saturating_add(self.before)
    }

    pub(super) fn span(&self, elapsed: u64, window: Duration) -> Duration {
        Duration::from_millis((elapsed + 1).saturating_sub(self.half.saturating_sub(1) * half_millis(window)))
    }
}

fn half_millis(window: Duration) -> u64 {
    (millis(window) / 2).max(1)
}

/// Tags of different names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Names {
    held: u8,
    tags: [u32; NAMES],
}

impl Names {
    fn held(&self) -> &[u32] {
        &self.tags[..usize::from(self.held)]
    }

    fn insert(&mut self, tag: u32) {
        if usize::from(self.held) < NAMES && !self.held().contains(&tag) {
            self.tags[usize::from(self.held)] = tag;
            self.held += 1;
        }
    }
}

/// What is known of one source.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Source {
    tag: u64,
    last: u64,
    pub(super) minute: Halves,
    pub(super) hour: Halves,
    pub(super) day: Halves,
    /// Sign-ins that succeeded within the day.
    pub(super) succeeded: Halves,
    names: Names,
    names_before: Names,
    pub(super) failures_latch: Latch,
    pub(super) names_latch: Latch,
}

impl Source {
    /// Counts an attempt at a name.
    pub(super) fn add(&mut self, elapsed: u64, name: u64, has_succeeded: bool, windows: [Duration; 3]) {
        let [minute, hour, day] = windows;
        self.last = elapsed;
        self.minute.roll(elapsed, minute);
        self.day.roll(elapsed, day);
        self.succeeded.roll(elapsed, day);
        match self.hour.roll(elapsed, hour) {
            0 => {}
            1 => self.names_before = std::mem::take(&mut self.names),
            _ => (self.names, self.names_before) = Default::default(),
        }
        if has_succeeded {
            return self.succeeded.add(1);
        }
        [&mut self.minute, &mut self.hour, &mut self.day].into_iter().for_each(|window| window.add(1));
        self.names.insert(tag(name, self.tag));
    }

    /// Different names within the hour, up to [`NAMES`].
    pub(super) fn names(&self) -> usize {
        let again = self.names.held().iter().filter(|tag| self.names_before.held().contains(tag)).count();
        (self.names.held().len() + self.names_before.held().len() - again).min(NAMES)
    }

    fn is_flagged(&self) -> bool {
        self.failures_latch.is_up() || self.names_latch.is_up()
    }
}

/// The sources seen last, or most suspiciously. A source has eight places that it may take; where all are taken, it
/// takes that of the least suspicious: one without a flag, with the fewest failures, seen longest ago. Sources that failed
/// once push each other out where there are more than there is room for, and are found by what the whole service sees;
/// one that failed more often has to be outdone by eight others whose places are the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sources {
    places: Box<[Source]>,
}

impl Sources {
    /// Room for that many, rounded up to whole parts of the table.
    pub(super) fn new(capacity: usize) -> Self {
        Self { places: vec![Source::default(); capacity.max(1).next_multiple_of(WAYS)].into() }
    }

    pub(super) fn find(&mut self, tag: u64) -> &mut Source {
        let parts = self.places.len() / WAYS;
        let part = usize::try_from((tag ^ (tag >> 32)) % parts.max(1) as u64).unwrap_or_default();
        // No flagged source is pushed out by one without a failure.
        let places = &mut self.places[part * WAYS..][..WAYS];
        let found = places.iter().position(|source| source.last > 0 && source.tag == tag);
        let index = found.unwrap_or_else(|| {
            let suspicion = |source: &Source| (source.is_flagged(), source.hour.sum(), source.last);
            let least = (0..WAYS).min_by_key(|&index| suspicion(&places[index])).unwrap_or_default();
            places[least] = Source { tag, ..Source::default() };
            least
        });
        &mut places[index]
    }
}

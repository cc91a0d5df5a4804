//! What was recorded and is not durable yet.

use crate::monitoring::reading::Readings;
use crate::monitoring::rollup::{Bucket, Rollup};

/// What the next flush makes durable of one account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pending {
    pub(crate) minutes: Vec<(Bucket, Rollup)>,
    pub(crate) readings: Readings,
    /// What the account was granted of its hourly quotas and had not used when this was taken.
    pub(crate) leased: Option<[u32; 2]>,
}

impl Pending {
    pub(crate) fn of(readings: Readings) -> Self {
        Self { readings, ..Self::default() }
    }

    pub(crate) fn add(&mut self, minute: Bucket, rollup: &Rollup) {
        // Almost always the last one: samples come in order, and a flush leaves one or two.
        match self.minutes.iter_mut().rev().find(|(known, _)| *known == minute) {
            Some((_, known)) => known.merge(rollup),
            None => self.minutes.push((minute, *rollup)),
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.readings.merge(&other.readings);
        other.minutes.iter().for_each(|(minute, rollup)| self.add(*minute, rollup));
    }
}

//! Which tiers grant what, and when.

use std::sync::Arc;

use crate::allocation::version::in_force;
use crate::allocation::{Allocation, TierName, TierVersion};
use crate::time::Timestamp;

/// What all tiers grant at one instant, cheapest first.
pub(crate) type Tiers = Arc<[Allocation; TierName::ALL.len()]>;

/// The versions of all tiers, and what follows from them. Never changed: another takes its place.
#[derive(Debug)]
pub(crate) struct TierSchedule {
    versions: Vec<TierVersion>,
    /// From when on which tiers hold, until the next; oldest first. The first begins before anything.
    spans: Vec<(Timestamp, Tiers)>,
}

impl TierSchedule {
    /// By the versions that are stored, in any order. A tier without any grants what it is seeded with.
    pub(crate) fn new(mut versions: Vec<TierVersion>) -> Self {
        versions.sort_by_key(|version| (version.allocation.tier, version.version));
        let mut starts: Vec<Timestamp> = versions.iter().map(|version| version.effective_from).collect();
        starts.push(Timestamp::EPOCH);
        starts.sort_unstable();
        let mut spans: Vec<(Timestamp, Tiers)> = Vec::new();
        for start in starts {
            let granted = |tier| match in_force(&versions, tier, start) {
                Some(version) => version.allocation.clone(),
                None => Allocation::initial(tier),
            };
            let tiers = TierName::ALL.map(granted);
            // Where nothing changes, nothing begins.
            if spans.last().is_none_or(|(_, before)| **before != tiers) {
                spans.push((start, Arc::new(tiers)));
            }
        }
        Self { versions, spans }
    }

    /// By the tiers of a new database.
    #[cfg(test)]
    pub(crate) fn initial() -> Self {
        Self::new(TierName::ALL.map(TierVersion::initial).into())
    }

    /// Every version of every tier, in the order of the tiers and of the versions.
    pub(crate) fn versions(&self) -> &[TierVersion] {
        &self.versions
    }

    /// What the tiers grant at an instant.
    pub(crate) fn at(&self, now: Timestamp) -> &Tiers {
        // From the end: what is still to come is little, and mostly nothing.
        let begun = self.spans.iter().rev().find(|(start, _)| *start <= now);
        &begun.unwrap_or(&self.spans[0]).1
    }

    /// When something changes next; absent where nothing does.
    pub(crate) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.spans.iter().map(|(start, _)| *start).find(|start| *start > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(tier: TierName, version: u32, from: i64) -> TierVersion {
        let effective_from = Timestamp::from_millis(from);
        let calls = u64::from(version) * 1_000;
        let allocation = Allocation { api_calls_per_hour: calls, ..Allocation::initial(tier) };
        TierVersion { version, effective_from, allocation }
    }

    #[test]
    fn a_version_holds_from_its_millisecond_on() {
        let schedule = TierSchedule::new(vec![version(TierName::Pro, 2, 500), version(TierName::Pro, 1, 0)]);
        let calls = |at| schedule.at(Timestamp::from_millis(at))[TierName::Pro as usize].api_calls_per_hour;
        assert_eq!([0, 499, 500, 501].map(calls), [1_000, 1_000, 2_000, 2_000]);
        let next = |at| schedule.next_change(Timestamp::from_millis(at)).map(Timestamp::as_millis);
        assert_eq!([0, 499, 500].map(next), [Some(500), Some(500), None]);
        // Others are as they were seeded.
        assert_eq!(schedule.at(Timestamp::EPOCH)[0], Allocation::initial(TierName::Free));
    }

    #[test]
    fn a_schedule_of_nothing_has_what_is_seeded() {
        let schedule = TierSchedule::new(Vec::new());
        assert_eq!(**schedule.at(Timestamp::LAST), TierName::ALL.map(Allocation::initial));
        assert_eq!(schedule.next_change(Timestamp::EPOCH), None);
    }

    proptest! {
        #[test]
        fn what_holds_is_the_latest_version_that_has_begun(
            starts in prop::collection::vec((0..4_usize, 0..50_i64), 0..20),
            at in 0..60_i64,
        ) {
            let numbered = starts.iter().zip(2..).map(|((tier, from), number)| version(TierName::ALL[*tier], number, *from));
            let versions: Vec<TierVersion> = numbered.collect();
            let schedule = TierSchedule::new(versions.clone());
            let now = Timestamp::from_millis(at);
            for tier in TierName::ALL {
                let latest = versions.iter().rev().find(|one| one.allocation.tier == tier && one.effective_from <= now);
                let expected = latest.map_or_else(|| Allocation::initial(tier), |version| version.allocation.clone());
                prop_assert_eq!(&schedule.at(now)[tier as usize], &expected);
            }
            // Nothing changes before it is said to.
            let next = schedule.next_change(now);
            let last = next.map_or(60, |next| next.as_millis() - 1);
            prop_assert_eq!(schedule.at(now), schedule.at(Timestamp::from_millis(last.max(at))));
            if let Some(next) = next {
                prop_assert_ne!(schedule.at(now), schedule.at(next));
            }
        }
    }
}

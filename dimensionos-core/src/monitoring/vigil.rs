//! What the detectors of abuse are fed: what was measured, once it is durable.

use std::borrow::Cow;

use crate::allocation::{Allocation, LimitOverride, TiersAt};
use crate::id::{AccountId, ByAccount};
use crate::monitoring::metering::Metering;
use crate::monitoring::pending::Pending;
use crate::monitoring::report::Report;
use crate::monitoring::sample::{Counter, Level, Sample};
use crate::monitoring::slab::Pinned;
use crate::time::Timestamp;
use crate::tos::Signals;

/// Accounts with flags up that are told the time at once: they are few, and the others have their turn a moment later.
const PASSED_AT_ONCE: usize = 4_096;
/// What was counted beside most samples.
static NOTHING: Signals = Signals::new();

impl Metering {
    /// Shows detectors what a report counted.
    pub(super) fn watch_report(&self, report: &Report, cells: &ByAccount<Pinned>, now: Timestamp) {
        let tiers = self.limits.at(now);
        let mut signals = report.signals.iter().peekable();
        let mut place = 0;
        for (account, samples) in report.by_account() {
            let samples = samples.iter().map(|(_, sample)| {
                let mut counted = Cow::Borrowed(&NOTHING);
                while let Some((_, more)) = signals.next_if(|(at, _)| *at <= place) {
                    counted = Cow::Owned(counted.and(more));
                }
                place += 1;
                (sample, counted)
            });
            match cells.get(&account) {
                Some(cell) => self.sentinel.observe(account, &self.granted(cell, account, &tiers, now), samples, now),
                // They are passed over all the same.
                None => samples.for_each(drop),
            }
        }
    }

    /// Shows detectors what the program counted itself.
    pub(super) fn watch_signals(&self, account: AccountId, at: Timestamp, signals: &Signals, now: Timestamp) {
        self.watch(account, &Sample::at(at), signals, now);
    }

    /// Shows detectors what this process recorded since the last flush.
    pub(super) fn watch_pending(&self, account: AccountId, pending: &Pending, now: Timestamp) {
        if pending.minutes.is_empty() {
            return;
        }
        let mut sample = Sample::at(pending.readings.newest().map_or(now, |newest| newest.min(now)));
        for level in Level::ALL {
            if let Some(reading) = pending.readings.of(level) {
                sample.set_level(level, reading.value);
            }
        }
        for (_, rollup) in &pending.minutes {
            for counter in Counter::ALL {
                if let Some(total) = rollup.total(counter) {
                    sample.add(counter, total);
                }
            }
        }
        self.watch(account, &sample, &NOTHING, now);
    }

    fn watch(&self, account: AccountId, sample: &Sample, signals: &Signals, now: Timestamp) {
        if let Some(cell) = self.resident(account) {
            let tiers = self.limits.at(now);
            let granted = self.granted(&cell, account, &tiers, now);
            self.sentinel.observe(account, &granted, [(sample, Cow::Borrowed(signals))], now);
        }
    }

    /// Tells the detectors of accounts with flags up what time it is: silence lowers them.
    pub(super) fn pass(&self, now: Timestamp) {
        let tiers = self.limits.at(now);
        for account in self.sentinel.raised(PASSED_AT_ONCE) {
            if let Some(cell) = self.resident(account) {
                self.sentinel.pass(account, &self.granted(&cell, account, &tiers, now), now);
            }
        }
    }

    /// What an account is held to: its tier, and more where more was granted to it. Less, as of an account that is
    /// throttled, is a matter of its quotas and no breach of the terms.
    fn granted<'a>(
        &self,
        cell: &Pinned,
        account: AccountId,
        tiers: &'a TiersAt,
        now: Timestamp,
    ) -> Cow<'a, Allocation> {
        let (tier, is_overridden) = cell.cell().limits();
        let tier = tiers.tier(tier);
        if !is_overridden {
            return Cow::Borrowed(tier);
        }
        let is_more = |own: &&LimitOverride| own.resource.limit(tier).is_some_and(|limit| own.limit > limit);
        let more: Vec<LimitOverride> = self.limits.own(account).at(tier, now).iter().filter(is_more).copied().collect();
        Cow::Owned(tier.clone().with_overrides(&more, now))
    }
}

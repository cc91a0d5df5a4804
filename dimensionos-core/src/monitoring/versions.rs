//! Whether what is in memory of an account's usage is all there is, where other processes count it too.
//!
//! Every transaction that counts usage of an account raises the account's version in the storage by as much as it says. A
//! cell that is made from the storage knows its version; what is counted from then on, here or elsewhere, is added where it
//! follows on it. Where something is missing between the two, the cell is not to be believed, and the writer makes it anew
//! from the storage, between two of its own transactions: what is not durable yet stays beside.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::Error;
use crate::id::AccountId;
use crate::monitoring::cell::Past;
use crate::monitoring::metering::{Metering, pasts};
use crate::monitoring::pending::Pending;
use crate::monitoring::rollup::Rollup;
use crate::monitoring::sample::{Counter, Level, Sample};
use crate::monitoring::writer::Writer;
use crate::replicas::Delta;
use crate::store::Access;
use crate::time::Timestamp;

/// Accounts that are made anew between two transactions: their pasts take a fraction of a second to read, for which
/// reports wait.
const RENEWED_AT_ONCE: usize = 500;

/// The versions of the accounts in memory.
#[derive(Debug)]
pub(super) struct Versions {
    /// Whether anybody else counts usage.
    is_shared: bool,
    known: Mutex<HashMap<AccountId, u64>>,
    /// Of which something is missing.
    stale: Mutex<HashSet<AccountId>>,
    /// Those known further than the storage had them when it was asked last, and how far.
    ahead: Mutex<HashMap<AccountId, u64>>,
    pub(super) wanted: Notify,
}

/// That a transaction counted usage of an account.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) account: AccountId,
    /// The account's version before it.
    pub(super) before: u64,
    /// And after.
    pub(super) version: u64,
}

impl Versions {
    pub(super) fn new(is_shared: bool) -> Self {
        Self {
            is_shared,
            known: Mutex::default(),
            stale: Mutex::default(),
            ahead: Mutex::default(),
            wanted: Notify::new(),
        }
    }

    pub(super) const fn is_shared(&self) -> bool {
        self.is_shared
    }

    pub(super) fn know(&self, account: AccountId, version: u64) {
        if self.is_shared {
            self.known.lock().insert(account, version);
        }
    }

    pub(super) fn forget(&self, account: AccountId) {
        if self.is_shared {
            self.known.lock().remove(&account);
            self.stale.lock().remove(&account);
            self.ahead.lock().remove(&account);
        }
    }

    /// What this process has just counted: gives the accounts whose cells are not to be shown it, because they are made
    /// anew.
    pub(super) fn advance(&self, counted: &[Counted]) -> HashSet<AccountId> {
        let mut missing = HashSet::new();
        if counted.is_empty() {
            return missing;
        }
        let mut known = self.known.lock();
        for Counted { account, before, version } in counted {
            match known.get_mut(account) {
                Some(known) if *known == *before => *known = *version,
                Some(known) => {
                    // What the storage has not counted is not known either, whoever says so.
                    if *known > *before {
                        *known = 0;
                    }
                    missing.insert(*account);
                }
                None => {}
            }
        }
        drop(known);
        self.want(missing.iter().copied());
        missing
    }

    pub(super) fn want(&self, accounts: impl IntoIterator<Item = AccountId>) {
        let mut stale = self.stale.lock();
        let before = stale.len();
        stale.extend(accounts);
        if stale.len() > before {
            self.wanted.notify_one();
        }
    }

    /// The same for what could not be done, which is tried again with the next tick: at once it would fail again.
    fn put_back(&self, accounts: Vec<AccountId>) {
        self.stale.lock().extend(accounts);
    }

    /// Some of those that are to be made anew; the others have their turn after them.
    fn take_stale(&self) -> Vec<AccountId> {
        let mut stale = self.stale.lock();
        let taken: Vec<AccountId> = stale.iter().copied().take(RENEWED_AT_ONCE).collect();
        for account in &taken {
            stale.remove(account);
        }
        if !stale.is_empty() {
            self.wanted.notify_one();
        }
        taken
    }
}

impl Metering {
    /// Has an account be made anew from the storage, where it is in memory: another process has changed it.
    pub(crate) fn distrust(&self, account: AccountId) {
        if self.is_resident(account) {
            self.versions.want([account]);
        }
    }

    /// The same of all accounts in memory.
    pub(crate) fn distrust_all(&self) {
        let all: Vec<AccountId> = self.versions.known.lock().keys().copied().collect();
        self.versions.want(all);
    }

    /// Those of these accounts in memory that are not what the storage has: it has more of them, or it has had less of them
    /// twice while nothing was counted in between. That it has less once is how it is asked while something is counted; for
    /// longer it is a storage that was set back, or something that nobody counted.
    pub(crate) fn behind(&self, versions: &[(AccountId, u64)]) -> Vec<AccountId> {
        let mut known = self.versions.known.lock();
        let mut ahead = self.versions.ahead.lock();
        let mut behind = Vec::new();
        for (account, version) in versions {
            let Some(known) = known.get_mut(account) else { continue };
            let was_ahead = ahead.remove(account);
            if *known < *version {
                behind.push(*account);
            } else if *known > *version {
                if was_ahead == Some(*known) {
                    // Whatever the storage has is taken for what there is.
                    *known = 0;
                    behind.push(*account);
                } else {
                    ahead.insert(*account, *known);
                }
            }
        }
        behind
    }

    /// Takes what another process has counted of an account that is followed here.
    pub(crate) fn take_delta(&self, delta: &Delta, now: Timestamp) {
        let mut known = self.versions.known.lock();
        let Some(version) = known.get_mut(&delta.account) else { return };
        if *version >= delta.version {
            return;
        }
        if *version == delta.before {
            let shown = self.with(delta.account, |locked, slot| {
                let beside = self.beside(slot);
                for sample in &delta.samples {
                    locked.apply(sample, now, beside);
                }
                (slot, locked.told())
            });
            if let Some((slot, told)) = shown {
                *version = delta.version;
                drop(known);
                self.tell(slot, told);
            }
            return;
        }
        drop(known);
        self.versions.want([delta.account]);
    }

    /// Makes an account's cell anew, as the storage has it.
    fn renew(&self, account: AccountId, past: &Past, now: Timestamp) {
        let mut known = self.versions.known.lock();
        let Some(version) = known.get_mut(&account) else { return };
        // What was taken since is newer than what was read.
        if *version > past.version {
            return;
        }
        self.limits.keep(account, past.own.clone());
        let shown = self.with(account, |locked, slot| {
            let beside = self.beside(slot);
            locked.renew(past, self.waiting(account).as_ref(), now, beside);
            locked.set_limits(past.tier, !past.own.is_empty());
            locked.wait(beside);
            (slot, locked.told())
        });
        if let Some((slot, told)) = shown {
            *version = past.version;
            drop(known);
            self.tell(slot, told);
        }
    }
}

impl Writer {
    /// Makes sure that all that was counted of accounts is known here, where others count too: what is decided about them
    /// says when it resets by what is in memory.
    pub(super) async fn catch_up(&self, accounts: Vec<AccountId>) -> Result<(), Error> {
        if !self.metering.versions.is_shared() || accounts.is_empty() {
            return Ok(());
        }
        let versions = self.store.begin(Access::Read).await?.usage_versions(&accounts).await?;
        let behind = self.metering.behind(&versions);
        if behind.is_empty() { Ok(()) } else { self.renew(behind).await }
    }

    /// Makes those accounts anew of which something is missing, and those.
    pub(super) async fn renew(&self, mut accounts: Vec<AccountId>) -> Result<(), Error> {
        accounts.extend(self.metering.versions.take_stale());
        accounts.retain(|account| self.metering.is_resident(*account));
        accounts.sort_unstable();
        accounts.dedup();
        if accounts.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let renewed = match pasts(&*self.store, &accounts, now).await {
            Ok(renewed) => renewed,
            Err(error) => {
                self.metering.versions.put_back(accounts);
                return Err(error);
            }
        };
        for (account, past, _) in &renewed {
            self.metering.renew(*account, past, now);
        }
        for account in accounts {
            if !renewed.iter().any(|(known, ..)| *known == account) {
                self.forget(account);
            }
        }
        Ok(())
    }
}

/// What was recorded here, as samples: of each minute what was added in it, and every reading.
pub(super) fn samples_of(pending: &Pending) -> impl Iterator<Item = Sample> + '_ {
    let added = |start: Timestamp, rollup: &Rollup| {
        // As late as anything of it can have been measured, so that what runs off does not run off too early.
        let end = start.after(std::time::Duration::from_millis(59_999));
        let at = pending.readings.newest().map_or(start, |newest| newest.clamp(start, end));
        let counters = Counter::ALL.into_iter().filter_map(|counter| Some((counter, rollup.total(counter)?)));
        counters.fold(Sample::at(at), |sample, (counter, amount)| sample.with_added(counter, amount))
    };
    let readings = Level::ALL.into_iter().filter_map(|level| {
        let reading = pending.readings.of(level)?;
        Some(Sample::at(reading.at).with_level(level, reading.value))
    });
    pending.minutes.iter().map(move |(minute, rollup)| added(minute.start(), rollup)).chain(readings)
}

#[cfg(all(test, not(dimensionos_loom)))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::allocation::Limits;
    use crate::allocation::schedule::TierSchedule;
    use crate::time::SystemClock;
    use crate::tos::sentinel::Sentinel;

    const ACCOUNT: AccountId = AccountId::from_bits(7);

    fn known_to(version: u64) -> Metering {
        let limits = Limits::new(TierSchedule::initial(), Vec::new());
        let metering = Metering::new(limits, Arc::new(SystemClock), Sentinel::new().0, true);
        metering.versions.know(ACCOUNT, version);
        metering
    }

    #[test]
    fn what_the_storage_has_less_of_for_longer_is_made_anew() {
        let metering = known_to(7);
        let behind = |version| metering.behind(&[(ACCOUNT, version)]);
        assert!(behind(7).is_empty());
        assert_eq!(behind(8), [ACCOUNT]);
        // Once it may have been asked before what is known was counted.
        assert!(behind(5).is_empty());
        assert_eq!(behind(5), [ACCOUNT]);
        // From then on whatever it has is news.
        assert_eq!(behind(1), [ACCOUNT]);
    }

    #[test]
    fn what_is_counted_meanwhile_is_no_reason() {
        let metering = known_to(7);
        assert!(metering.behind(&[(ACCOUNT, 6)]).is_empty());
        let counted = Counted { account: ACCOUNT, before: 7, version: 8 };
        assert!(metering.versions.advance(&[counted]).is_empty());
        assert!(metering.behind(&[(ACCOUNT, 7)]).is_empty());
        assert!(metering.behind(&[(ACCOUNT, 8)]).is_empty());
    }

    #[test]
    fn what_does_not_follow_is_not_shown_and_made_anew() {
        for before in [8, 5] {
            let metering = known_to(7);
            let counted = Counted { account: ACCOUNT, before, version: before + 1 };
            assert!(metering.versions.advance(&[counted]).contains(&ACCOUNT));
            assert_eq!(metering.versions.take_stale(), [ACCOUNT]);
            assert_eq!(metering.behind(&[(ACCOUNT, before + 1)]), [ACCOUNT]);
        }
    }
}

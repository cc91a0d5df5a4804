//! One account's quotas within a transaction: what is used, what is held, and what is left.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::Error;
use crate::allocation::accounting::Request;
use crate::allocation::quota::{Counted, Figures};
use crate::allocation::{Decision, Hold, Limits, OwnLimits, Resource, TierName};
use crate::id::{AccountId, HoldId};
use crate::monitoring::cell::{Leasable, Snapshot};
use crate::monitoring::slab::Pinned;
use crate::monitoring::{Counter, Sample};
use crate::store::Tx;
use crate::time::Timestamp;

/// One account's quotas within a transaction.
pub(crate) struct Book {
    pub(super) cell: Pinned,
    pub(super) tier: TierName,
    pub(super) own: OwnLimits,
    pub(super) holds: Vec<Hold>,
    /// The windows and leases when what was recorded was last taken for the storage.
    pub(super) snapshot: Snapshot,
    pub(super) used: HashMap<Resource, u64>,
    /// What is counted by this transaction, to be shown after it.
    pub(super) counted: BTreeMap<Counter, u64>,
    /// Units added to what the process may use, and taken out of it already.
    pub(super) granted: [u32; 2],
    pub(super) taken: [u32; 2],
    /// The holds of what the process may use.
    pub(super) leases: [Option<HoldId>; 2],
    /// The limits they are granted by.
    pub(super) limits: [u64; 2],
}

impl Book {
    /// The limit, and what counts against it: what is used, and what others hold. What this process may still use is
    /// free to it.
    pub(super) async fn figures(
        &mut self,
        tx: &mut dyn Tx,
        limits: &Limits,
        request: Request,
        now: Timestamp,
    ) -> Result<Figures, Error> {
        let Request { account, resource, .. } = request;
        let limit = limits.limit(self.tier, &self.own, resource, now);
        let limit = limit.map(|limit| resource.in_counted_unit(limit));
        if let (Some(what), Some(limit)) = (Leasable::of(resource), limit) {
            self.limits[what as usize] = limit;
        }
        let used = if let Some(used) = self.used.get(&resource) {
            *used
        } else {
            let used = self.read_used(tx, account, resource, now).await?;
            self.used.insert(resource, used);
            used
        };
        let held = self.holds.iter().filter(|hold| hold.resource == resource);
        let total = held.fold(used, |sum, hold| sum.saturating_add(hold.amount));
        Ok(Figures { limit, used: total, resets_at: self.resets_at(resource, now) })
    }

    async fn read_used(
        &self,
        tx: &mut dyn Tx,
        account: AccountId,
        resource: Resource,
        now: Timestamp,
    ) -> Result<u64, Error> {
        let (Counted::For { seconds }, Some(counter)) = (resource.counted(), resource.counter()) else {
            // What other processes were told is in the storage, and what this one recorded was just written there.
            let readings = tx.readings(account).await?;
            let reading = resource.level().and_then(|level| readings.of(level));
            return Ok(reading.map_or(0, |reading| reading.value));
        };
        // The whole of the minute that the stretch begins in.
        let from = now.before(Duration::from_secs(seconds)).floor(60);
        let stored = tx.used_since(account, counter, from).await?;
        // The window in memory has what the storage has, but for what other processes counted; the larger of the two
        // is what everybody agrees on who asks.
        Ok(Leasable::of(resource).map_or(stored, |what| stored.max(self.snapshot.used[what as usize])))
    }

    /// What the process has used of its leases has just become usage, and is no longer held.
    pub(super) fn settle_leases(&mut self) {
        for (own, left) in self.leases.into_iter().zip(self.snapshot.leased) {
            self.holds.iter_mut().filter(|hold| Some(hold.id) == own).for_each(|hold| hold.amount = u64::from(left));
        }
    }

    fn resets_at(&self, resource: Resource, now: Timestamp) -> Option<Timestamp> {
        let runs_off = self.cell.cell().used(resource, now).1;
        // What this process may use is no obstacle to it, and ends by being used.
        let is_foreign = |hold: &&Hold| hold.amount > 0 && !self.leases.contains(&Some(hold.id));
        let of_resource = self.holds.iter().filter(|hold| hold.resource == resource);
        let released = of_resource.filter(is_foreign).map(|hold| hold.expires_at).min();
        match (runs_off, released) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    pub(super) fn count(&mut self, resource: Resource, amount: u64) {
        if let Some(counter) = resource.counter() {
            let used = self.used.entry(resource).or_default();
            *used = used.saturating_add(amount);
            let counted = self.counted.entry(counter).or_default();
            *counted = counted.saturating_add(amount);
        }
    }

    /// Takes what is missing out of what the process may use without asking: it is granted, so it is there for whoever
    /// asks. Says whether there was enough.
    pub(super) fn take_of_lease(&mut self, resource: Resource, refused: &Decision, amount: u64) -> bool {
        let Some(what) = Leasable::of(resource) else { return false };
        let place = what as usize;
        let free = refused.remaining().unwrap_or(u64::MAX);
        let Ok(missing) = u32::try_from(amount.saturating_sub(free)) else { return false };
        // What this transaction granted is not in the cell yet.
        let of_new = missing.min(self.granted[place]);
        let of_old = missing - of_new;
        if of_old > 0 && !self.cell.write().take_leased(what, of_old) {
            return false;
        }
        self.granted[place] -= of_new;
        self.taken[place] += of_old;
        let own = self.leases[place];
        if let Some(hold) = self.holds.iter_mut().find(|hold| Some(hold.id) == own) {
            hold.amount = hold.amount.saturating_sub(u64::from(missing));
        }
        true
    }

    pub(super) fn sample(&self, now: Timestamp) -> Option<Sample> {
        let counted = self.counted.iter();
        let sample = counted.fold(Sample::at(now), |sample, (counter, amount)| sample.with_added(*counter, *amount));
        (!sample.is_empty()).then_some(sample)
    }
}

//! Recording samples and using quotas, of accounts that are in memory: without a lock but the cell's own.

use crate::allocation::{Decision, Enforcement, Resource};
use crate::id::AccountId;
use crate::monitoring::cell::{Cell, Leasable};
use crate::monitoring::metering::Metering;
use crate::monitoring::sample::{MAX_AMOUNT, Sample};
use crate::monitoring::slab::{self, Pinned, Slot};
use crate::time::Timestamp;

/// Samples whose cells are asked for ahead of their use: as many as a core has reads under way, and some more.
const BATCH: usize = 16;

impl Metering {
    /// Records samples of accounts that are in memory, and says which are not.
    pub(super) fn record_batch(&self, samples: &[(AccountId, Sample)]) -> Vec<usize> {
        let (index, mut absent) = (self.index.view(), Vec::new());
        for (block, first) in samples.chunks(BATCH).zip((0..).step_by(BATCH)) {
            // Three passes, each asking for what the next one reads: the misses of a block overlap.
            block.iter().for_each(|(account, _)| index.prefetch(*account));
            let mut found: [Option<(Slot, &Cell)>; BATCH] = [None; BATCH];
            for (found, (account, _)) in found.iter_mut().zip(block) {
                *found = index.nearest(*account).and_then(|slot| self.ask_for(slot));
            }
            for ((account, sample), (found, place)) in block.iter().zip(found.into_iter().zip(first..)) {
                let is_recorded = found.is_some_and(|found| self.record_in(found, *account, sample));
                if !is_recorded && !self.record_elsewhere(*account, sample) {
                    absent.push(place);
                }
            }
        }
        absent
    }

    /// Records a sample of an account; not where it is not in memory.
    pub(super) fn record(&self, account: AccountId, sample: &Sample) -> bool {
        let found = self.index.view().nearest(account).and_then(|slot| self.ask_for(slot));
        found.is_some_and(|found| self.record_in(found, account, sample)) || self.record_elsewhere(account, sample)
    }

    /// The same, where it is not in the first cell that may be the account's.
    #[cold]
    fn record_elsewhere(&self, account: AccountId, sample: &Sample) -> bool {
        let mut cells = self.index.candidates(account).filter_map(|slot| Some((slot, self.slab.cell(slot)?)));
        cells.any(|found| self.record_in(found, account, sample))
    }

    /// A cell, which the processor is asked for.
    #[inline]
    fn ask_for(&self, slot: Slot) -> Option<(Slot, &Cell)> {
        let cell = self.slab.cell(slot)?;
        slab::prefetch(cell);
        Some((slot, cell))
    }

    /// Records a sample in a cell, if it is the account's.
    #[inline]
    fn record_in(&self, (slot, cell): (Slot, &Cell), account: AccountId, sample: &Sample) -> bool {
        let told = cell.record_of(account, sample, self.beside(slot), || self.slab.parts(slot));
        told.is_some_and(|told| {
            self.tell(slot, told);
            true
        })
    }

    /// Decides by what is in memory: what was granted already, or what has no hard limit. Absent where the storage has to
    /// be asked.
    pub(crate) fn consume(&self, cell: &Pinned, resource: Resource, amount: u64, now: Timestamp) -> Option<Decision> {
        let what = Leasable::of(resource)?;
        let (slot, locked) = (cell.slot(), cell.write());
        let beside = self.beside(slot);
        let (limit, used) = if let Some((limit, used)) = locked.consume(what, amount, now, beside) {
            (Some(limit), used)
        } else {
            let limit = self.limits.of(locked.limits(), locked.account(), resource, now);
            let is_hard = limit.is_some() && self.limits.enforcement(resource) == Enforcement::Hard;
            if is_hard || amount == 0 || amount > MAX_AMOUNT {
                return None;
            }
            (limit, locked.spend(what, amount, now, beside)?)
        };
        let resets_at = locked.next_reset(what, now);
        let told = locked.told();
        drop(locked);
        self.tell(slot, told);
        let is_over = limit.is_some_and(|limit| used > limit);
        Some(Decision { is_allowed: true, resource, limit, used, resets_at, is_over, reason: None })
    }
}

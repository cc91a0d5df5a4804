//! The least that recording a sample can cost: plain stores, no lock, one writer.

use std::hash::BuildHasher;

use dimensionos_core::AccountId;
use foldhash::fast::FixedState;
use prefetch_index::prefetch_index;

const HOUR_SECONDS: u32 = 3_600;

/// A sample of eight fields, as plainly as it can be said.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// When, in seconds.
    pub at: u32,
    /// Processor, memory, connections.
    pub levels: [u64; 3],
    /// Processor time, bytes sent, bytes received, calls, file operations.
    pub added: [u64; 5],
}

/// The sample every floor and peer is given.
pub const FIGURES: Figures =
    Figures { at: 1_700_000_000, levels: [250, 1 << 30, 12], added: [10_000, 1_500, 900, 1, 2] };

/// A sum over the last hour, to one hour: what was counted in this one and in the one before.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    hour: u32,
    current: u32,
    previous: u32,
}

impl Window {
    fn add(&mut self, hour: u32, amount: u32) {
        if self.hour != hour {
            self.previous = if self.hour + 1 == hour { self.current } else { 0 };
            (self.hour, self.current) = (hour, 0);
        }
        self.current += amount;
    }
}

/// What is known of an account: levels, counters, three windows and a limit.
#[derive(Debug, Clone, Copy)]
// In this order, so that the counters of an `Account` begin in its second line, and prefetching them brings it.
#[repr(C)]
pub struct Plain {
    levels: [u64; 3],
    windows: [Window; 3],
    counters: [u64; 5],
    limit: u64,
}

impl Default for Plain {
    fn default() -> Self {
        Self { levels: [0; 3], windows: [Window::default(); 3], counters: [0; 5], limit: 1 << 40 }
    }
}

impl Plain {
    /// Records a sample, and says whether the account is within its limit.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "an hour of calls, operations or KiB has 32 bits")]
    pub fn record(&mut self, figures: &Figures) -> bool {
        self.levels = figures.levels;
        self.counters.iter_mut().zip(figures.added).for_each(|(counter, added)| *counter += added);
        let hour = figures.at / HOUR_SECONDS;
        let [_, sent, _, calls, operations] = figures.added;
        for (window, amount) in self.windows.iter_mut().zip([sent >> 10, calls, operations]) {
            window.add(hour, amount as u32);
        }
        let Window { current, previous, .. } = self.windows[1];
        u64::from(current) + u64::from(previous) <= self.limit
    }
}

/// An account in two cache lines of its own.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub struct Account {
    id: AccountId,
    /// What is known of it.
    pub plain: Plain,
}

const _: () = assert!(size_of::<Account>() == 128);

impl Account {
    /// An account that nothing was recorded of.
    #[must_use]
    pub fn new(id: AccountId) -> Self {
        Self { id, plain: Plain::default() }
    }
}

/// Accounts in one block, found by their id.
///
/// The index has a word for each of twice as many places: half of the id's hash, and where the account is. The id lies
/// with the account, so that a look-up takes the index's line and the account's own two.
#[derive(Debug)]
pub struct Table {
    accounts: Vec<Account>,
    index: Vec<u64>,
    hasher: FixedState,
}

/// What prefetching pays for: so many misses at once are under way in one core.
pub const BATCH: usize = 16;

const SLOT_BITS: u32 = 32;
const SLOT_MASK: u64 = (1 << SLOT_BITS) - 1;

impl Table {
    /// Those accounts.
    #[must_use]
    pub fn new(ids: &[AccountId]) -> Self {
        let accounts = ids.iter().copied().map(Account::new).collect();
        let index = vec![0; (ids.len() * 2).next_power_of_two()];
        let mut table = Self { accounts, index, hasher: FixedState::default() };
        for (slot, id) in (1..).zip(ids) {
            let hash = table.hash(*id);
            let mut at = table.first(hash);
            while table.index[at] != 0 {
                at = table.next(at);
            }
            table.index[at] = hash & !SLOT_MASK | slot;
        }
        table
    }

    /// Records a sample by id, and says whether the account is there and within its limit.
    #[inline]
    pub fn record(&mut self, id: AccountId, figures: &Figures) -> bool {
        self.record_hashed(self.hash(id), id, figures)
    }

    /// Records a sample of each of a batch, and says how many are there and within their limit.
    #[inline]
    pub fn record_batch(&mut self, ids: &[AccountId; BATCH], figures: &Figures) -> usize {
        let hashes = ids.map(|id| self.hash(id));
        hashes.iter().for_each(|hash| prefetch_index(&self.index, self.first(*hash)));
        for hash in hashes {
            // The first that may be it: to know it is would be to wait for its line.
            if let Some(slot) = self.find(hash, |_| true) {
                prefetch_index(&self.accounts, slot);
                // As a slice: the array itself would be copied, and so waited for.
                let second_line: &[u64] = &self.accounts[slot].plain.counters;
                prefetch_index(second_line, 0);
            }
        }
        hashes.iter().zip(ids).filter(|(hash, id)| self.record_hashed(**hash, **id, figures)).count()
    }

    #[inline]
    fn record_hashed(&mut self, hash: u64, id: AccountId, figures: &Figures) -> bool {
        let slot = self.find(hash, |account| account.id == id);
        slot.is_some_and(|slot| self.accounts[slot].plain.record(figures))
    }

    /// Where the first account is that is meant, of those whose hashes have the same upper half.
    #[inline]
    fn find(&self, hash: u64, is_meant: impl Fn(&Account) -> bool) -> Option<usize> {
        let mut at = self.first(hash);
        loop {
            let word = self.index[at];
            if word == 0 {
                return None;
            }
            let slot = (word & SLOT_MASK) as usize - 1;
            if (word ^ hash) >> SLOT_BITS == 0 && is_meant(&self.accounts[slot]) {
                return Some(slot);
            }
            at = self.next(at);
        }
    }

    fn hash(&self, id: AccountId) -> u64 {
        self.hasher.hash_one(id.bits())
    }

    #[expect(clippy::cast_possible_truncation, reason = "masked to a place")]
    const fn first(&self, hash: u64) -> usize {
        hash as usize & (self.index.len() - 1)
    }

    const fn next(&self, at: usize) -> usize {
        (at + 1) & (self.index.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::visits::Accounts;

    #[test]
    fn each_account_is_found_by_its_id_and_nobody_is_not() {
        let accounts = Accounts::new(1_000);
        let mut table = Table::new(accounts.ids());
        assert!(accounts.ids().iter().all(|id| table.record(*id, &FIGURES)));
        let batches = accounts.ids().as_chunks().0;
        assert!(batches.iter().all(|batch| table.record_batch(batch, &FIGURES) == BATCH));
        assert!(!table.record(AccountId::NOBODY, &FIGURES));
        assert_eq!(table.accounts[0].plain.counters, FIGURES.added.map(|added| added * 2));
    }
}

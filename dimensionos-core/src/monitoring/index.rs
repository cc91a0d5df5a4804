//! From an account to its cell, without a lock on the way.

use std::fmt;
use std::sync::OnceLock;

use parking_lot::{Mutex, MutexGuard};

use crate::id::AccountId;
use crate::monitoring::block::{Block, prefetch_line};
use crate::monitoring::slab::Slot;
use crate::words::{AtomicU32, Ordering};

/// Places of the first table.
const FIRST_BITS: u32 = if cfg!(dimensionos_loom) { 2 } else { 11 };
/// Tables, each twice as large as the one before: as many places as there can be cells, twice over.
const TABLES: usize = 18;
/// Places that hold nine entries of ten: at most three quarters of all are taken.
const NEAR: usize = 4;
/// An entry has a slot and one in its lower bits, and bits of the account's hash above.
const SLOT_BITS: u32 = 27;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;

/// A hash table of slots with open addressing, of four bytes a place.
///
/// Whoever looks takes no lock. It may miss an account while an entry is moved, and may be led to a cell that has just
/// been given to another account: so a cell is asked whose it is under its own lock, and what was not found is looked for
/// again by [`Index::lock`], which is always right. A table that was outgrown is kept, for somebody may be looking at it;
/// all of them together are as large as the present one.
pub(super) struct Index {
    tables: [OnceLock<Block<AtomicU32>>; TABLES],
    /// Which table is the present one.
    present: AtomicU32,
    entries: Mutex<usize>,
}

impl Default for Index {
    fn default() -> Self {
        let tables = [const { OnceLock::new() }; TABLES];
        let _ = tables[0].set(table(0));
        Self { tables, present: AtomicU32::new(0), entries: Mutex::new(0) }
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

fn table(number: u32) -> Block<AtomicU32> {
    Block::zeroed_in_large_pages(1 << (FIRST_BITS + number))
}

/// Ids are random; those a program chooses may be not, so all bits have a say.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "128 bits in two halves")]
const fn hash(account: AccountId) -> u64 {
    let bits = account.bits();
    let folded = bits as u64 ^ ((bits >> 64) as u64).rotate_left(32);
    // The golden ratio in 64 bits: neighbouring numbers land far apart.
    let product = folded as u128 * 0x9e37_79b9_7f4a_7c15;
    (product >> 64) as u64 ^ product as u64
}

/// Where an account's entry would be.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Probe {
    start: usize,
    tag: u32,
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "some bits of a hash")]
const fn probe(account: AccountId) -> Probe {
    let hash = hash(account);
    Probe { start: hash as usize, tag: ((hash >> 32) as u32) & !SLOT_MASK }
}

impl Index {
    #[inline]
    fn present(&self) -> &[AtomicU32] {
        // Acquire: a table that is the present one is filled.
        let number = self.present.load(Ordering::Acquire) as usize;
        self.tables.get(number).and_then(OnceLock::get).map_or(&[], Block::values)
    }

    /// The table as it is now: for many looks one after the other.
    #[inline]
    pub(super) fn view(&self) -> View<'_> {
        View { table: self.present() }
    }

    /// The slots that may be the account's, most probably one or none.
    pub(super) fn candidates(&self, account: AccountId) -> impl Iterator<Item = Slot> {
        self.view().candidates(account)
    }

    /// Takes the lock that changes are made under.
    pub(super) fn lock(&self) -> Changing<'_> {
        Changing { index: self, entries: self.entries.lock() }
    }
}

/// The index, for a moment: what is added later is not in it.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    table: &'a [AtomicU32],
}

impl<'a> View<'a> {
    /// The slots that may be the account's, most probably one or none.
    #[inline]
    pub(super) fn candidates(self, account: AccountId) -> impl Iterator<Item = Slot> + use<'a> {
        let (table, probe) = (self.table, probe(account));
        let entries = (0..table.len()).map(move |step| {
            let place = probe.start.wrapping_add(step) & (table.len() - 1);
            table[place].load(Ordering::Acquire)
        });
        let slots = entries.take_while(|entry| *entry != 0);
        slots.filter(move |entry| entry & !SLOT_MASK == probe.tag).map(|entry| (entry & SLOT_MASK) - 1)
    }

    /// The slot that is most probably the account's: of the first few places, all of which are looked at without a branch
    /// between them that a processor could guess wrong.
    #[inline]
    pub(super) fn nearest(self, account: AccountId) -> Option<Slot> {
        let (table, probe) = (self.table, probe(account));
        let mask = table.len().wrapping_sub(1);
        let entry = (0..NEAR).rev().fold(0, |found, step| {
            let entry =
                table.get(probe.start.wrapping_add(step) & mask).map_or(0, |entry| entry.load(Ordering::Acquire));
            if entry & !SLOT_MASK == probe.tag { entry } else { found }
        });
        (entry & SLOT_MASK).checked_sub(1)
    }

    /// Asks the processor for the place of an account's entry, ahead of its use.
    #[inline]
    pub(super) fn prefetch(self, account: AccountId) {
        let (table, probe) = (self.table, probe(account));
        if let Some(entry) = table.get(probe.start & table.len().wrapping_sub(1)) {
            prefetch_line(entry);
        }
    }
}

/// The index, while nobody else changes it.
pub(super) struct Changing<'a> {
    index: &'a Index,
    entries: MutexGuard<'a, usize>,
}

impl Changing<'_> {
    /// Adds an account that is not in it. `owner` says whose each cell in it is.
    pub(super) fn insert(&mut self, account: AccountId, slot: Slot, owner: impl Fn(Slot) -> AccountId) {
        let table = self.index.present();
        // At most three quarters full: then a look takes some three steps at worst on average.
        if (*self.entries + 1) * 4 > table.len() * 3 {
            self.grow(owner);
        }
        put(self.index.present(), account, slot);
        *self.entries += 1;
    }

    fn grow(&self, owner: impl Fn(Slot) -> AccountId) {
        let number = self.index.present.load(Ordering::Relaxed) + 1;
        // There are more tables than cells to fill them.
        let Some(next) = self.index.tables.get(number as usize) else { return };
        let next = next.get_or_init(|| table(number)).values();
        for entry in self.index.present() {
            let entry = entry.load(Ordering::Relaxed);
            if entry != 0 {
                let slot = (entry & SLOT_MASK) - 1;
                put(next, owner(slot), slot);
            }
        }
        self.index.present.store(number, Ordering::Release);
    }

    /// Removes an account's entry, and moves those behind it that it kept from their place.
    pub(super) fn remove(&mut self, account: AccountId, slot: Slot, owner: impl Fn(Slot) -> AccountId) {
        let table = self.index.present();
        let mask = table.len() - 1;
        let start = probe(account).start;
        let places = (0..table.len()).map(|step| start.wrapping_add(step) & mask);
        let entry = |place: usize| table[place].load(Ordering::Relaxed);
        let found = places.take_while(|place| entry(*place) != 0).find(|place| entry(*place) & SLOT_MASK == slot + 1);
        let Some(mut gap) = found else { return };
        let mut next = (gap + 1) & mask;
        while entry(next) != 0 {
            let home = probe(owner((entry(next) & SLOT_MASK) - 1)).start & mask;
            // It may move where its home does not lie between the gap and it.
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(gap) & mask) {
                table[gap].store(entry(next), Ordering::Release);
                gap = next;
            }
            next = (next + 1) & mask;
        }
        table[gap].store(0, Ordering::Release);
        *self.entries -= 1;
    }
}

fn put(table: &[AtomicU32], account: AccountId, slot: Slot) {
    let probe = probe(account);
    let places = (0..table.len()).map(|step| probe.start.wrapping_add(step) & (table.len() - 1));
    let free = places.into_iter().find(|place| table[*place].load(Ordering::Relaxed) == 0);
    if let Some(place) = free {
        // Release: whoever finds the slot finds its cell as it was made.
        table[place].store(probe.tag | (slot + 1), Ordering::Release);
    }
}

//! Where cells live: in rungs, each as large as all before it together, so that none is ever moved.
#![expect(unsafe_code, reason = "a handle reaches its cell without a look at the rungs")]

use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::monitoring::block::{Block, prefetch_line};
use crate::monitoring::cell::{Aside, Buckets, Cell, Grants, Locked, Parts, Rest, Seldom, Told};
use crate::monitoring::sample::Sample;
use crate::words::{AtomicU32, AtomicU64, Ordering};

/// Cells of the first rung.
const FIRST: u32 = 1 << FIRST_BITS;
const FIRST_BITS: u32 = 10;
/// Rungs: some 67 million cells, 15 GB of them at least, before there is no room for another.
const RUNGS: usize = 16;

/// The number of a cell.
pub(super) type Slot = u32;

/// Some cells, and what stands beside each: apart, so that what nothing is written to takes no memory.
struct Rung {
    cells: Block<Cell>,
    rests: Block<Rest>,
    buckets: Block<Buckets>,
    grants: Block<Grants>,
    seldom: Block<Seldom>,
    /// How many handles each has.
    pins: Block<AtomicU32>,
    /// A bit for each cell that waits for the next flush.
    waiting: Block<AtomicU64>,
}

impl Rung {
    fn new(cells: usize) -> Self {
        Self {
            cells: Block::zeroed_in_large_pages(cells),
            rests: Block::zeroed_in_large_pages(cells),
            buckets: Block::zeroed(cells),
            grants: Block::zeroed(cells),
            seldom: Block::zeroed(cells),
            pins: Block::zeroed(cells),
            waiting: Block::zeroed(cells.div_ceil(64)),
        }
    }

    #[inline]
    fn parts(&self, place: usize) -> Option<Parts<'_>> {
        Some(Parts {
            cell: self.cells.values().get(place)?,
            rest: self.rests.values().get(place)?,
            buckets: self.buckets.values().get(place)?,
            grants: self.grants.values().get(place)?,
            seldom: self.seldom.values().get(place)?,
        })
    }
}

/// All cells. A slot that was given back is handed out again.
pub(super) struct Slab {
    rungs: [OnceLock<Rung>; RUNGS],
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    /// Slots that were ever handed out are those below.
    used: u32,
    free: Vec<Slot>,
}

/// No more cells can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Default for Slab {
    fn default() -> Self {
        Self { rungs: [const { OnceLock::new() }; RUNGS], slots: Mutex::default() }
    }
}

impl fmt::Debug for Slab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slab").finish_non_exhaustive()
    }
}

/// Which rung a slot is in, and where in it.
#[inline]
const fn place(slot: Slot) -> (usize, usize) {
    let number = slot + FIRST;
    let rung = number.ilog2() - FIRST_BITS;
    (rung as usize, (number - (FIRST << rung)) as usize)
}

impl Slab {
    /// A slot that nobody has.
    pub(super) fn take(&self) -> Result<Slot, Full> {
        let mut slots = self.slots.lock();
        let slot = slots.free.pop().unwrap_or(slots.used);
        let (rung, _) = place(slot);
        let rungs = self.rungs.get(rung).ok_or(Full)?;
        rungs.get_or_init(|| Rung::new((FIRST << rung) as usize));
        slots.used = slots.used.max(slot + 1);
        Ok(slot)
    }

    /// Gives back a slot whose cell was cleared.
    pub(super) fn give_back(&self, slot: Slot) {
        self.slots.lock().free.push(slot);
    }

    /// How many slots are in use.
    pub(super) fn len(&self) -> usize {
        let slots = self.slots.lock();
        slots.used as usize - slots.free.len()
    }

    /// Slots that were ever handed out are those below.
    pub(super) fn used(&self) -> Slot {
        self.slots.lock().used
    }

    #[inline]
    fn rung(&self, slot: Slot) -> Option<(&Rung, usize)> {
        let (rung, place) = place(slot);
        Some((self.rungs.get(rung)?.get()?, place))
    }

    /// All of an account; absent for a slot that was never handed out.
    #[inline]
    pub(super) fn parts(&self, slot: Slot) -> Option<Parts<'_>> {
        let (rung, place) = self.rung(slot)?;
        rung.parts(place)
    }

    /// An account's cell; absent for a slot that was never handed out.
    #[inline]
    pub(super) fn cell(&self, slot: Slot) -> Option<&Cell> {
        let (rung, place) = self.rung(slot)?;
        rung.cells.values().get(place)
    }

    /// How many handles a cell has.
    pub(super) fn pins(&self, slot: Slot) -> u32 {
        self.rung(slot).map_or(0, |(rung, place)| rung.pins.values()[place].load(Ordering::Acquire))
    }

    /// Notes that a cell waits for the next flush.
    pub(super) fn mark(&self, slot: Slot) {
        if let Some((rung, place)) = self.rung(slot) {
            rung.waiting.values()[place / 64].fetch_or(1 << (place % 64), Ordering::Release);
        }
    }

    /// Calls for the cells that wait, from that slot on (a multiple of 64) until at least `enough` were called for. They
    /// wait no more. Gives where to go on; absent at the end.
    pub(super) fn take_waiting(&self, from: Slot, enough: usize, mut each: impl FnMut(Slot)) -> Option<Slot> {
        let (mut slot, end, mut called) = (from, self.used(), 0);
        while slot < end {
            if called >= enough {
                return Some(slot);
            }
            let (rung, place) = self.rung(slot)?;
            let word = &rung.waiting.values()[place / 64];
            if word.load(Ordering::Relaxed) != 0 {
                let mut bits = word.swap(0, Ordering::Acquire);
                while bits != 0 {
                    each(slot + bits.trailing_zeros());
                    bits &= bits - 1;
                    called += 1;
                }
            }
            slot += 64;
        }
        None
    }
}

/// Asks the processor for a cell, ahead of its use.
#[inline]
pub(super) fn prefetch(cell: &Cell) {
    let first = std::ptr::from_ref(cell).cast::<u8>();
    prefetch_line(first);
    prefetch_line(first.wrapping_add(64));
}

/// A handle to one cell, which is not given to another account for as long as there is one.
pub(crate) struct Pinned {
    slab: Arc<Slab>,
    cell: NonNull<Cell>,
    slot: Slot,
}

// SAFETY: a handle is a counted reference to a slab, which may be shared and sent, and to a cell in it that may, too.
unsafe impl Send for Pinned {}
// SAFETY: as above.
unsafe impl Sync for Pinned {}

impl Pinned {
    /// A handle to a cell that was handed out. Whoever makes the first one holds the registry's lock, so that the cell
    /// is not given away meanwhile.
    pub(super) fn new(slab: &Arc<Slab>, slot: Slot) -> Option<Self> {
        let (rung, place) = slab.rung(slot)?;
        let cell = NonNull::from(rung.parts(place)?.cell);
        rung.pins.values()[place].fetch_add(1, Ordering::AcqRel);
        Some(Self { slab: Arc::clone(slab), cell, slot })
    }

    #[inline]
    fn hot(&self) -> &Cell {
        // SAFETY: the cell is in a rung of the slab, which never moves or drops one before itself, and the slab is
        // held by this handle. Nobody has a `&mut` to it: rungs are only ever shared.
        unsafe { self.cell.as_ref() }
    }

    fn rung(&self) -> (&Rung, usize) {
        let found = self.slab.rung(self.slot);
        // SAFETY: a handle is made of a slot whose rung was there, and rungs stay.
        unsafe { found.unwrap_unchecked() }
    }

    /// The account's figures.
    pub(crate) fn cell(&self) -> Parts<'_> {
        let (rung, place) = self.rung();
        Parts {
            cell: self.hot(),
            rest: &rung.rests.values()[place],
            buckets: &rung.buckets.values()[place],
            grants: &rung.grants.values()[place],
            seldom: &rung.seldom.values()[place],
        }
    }

    /// Takes the turn to write.
    #[inline]
    pub(crate) fn write(&self) -> Locked<'_> {
        self.cell().write()
    }

    /// Takes a sample that the next flush makes durable.
    #[inline]
    pub(super) fn record(&self, sample: &Sample, aside: impl Aside) -> Told {
        self.hot().record(sample, aside, || self.cell())
    }

    #[inline]
    pub(super) fn slot(&self) -> Slot {
        self.slot
    }
}

impl Clone for Pinned {
    fn clone(&self) -> Self {
        let (rung, place) = self.rung();
        rung.pins.values()[place].fetch_add(1, Ordering::AcqRel);
        Self { slab: Arc::clone(&self.slab), ..*self }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let (rung, place) = self.rung();
        rung.pins.values()[place].fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned").field("account", &self.cell().account()).finish_non_exhaustive()
    }
}

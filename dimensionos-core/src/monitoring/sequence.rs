//! The lock word of a cell: one writer at a time, and readers who never hold one up.

use crate::words::{AtomicU32, Ordering, fence, pause};

/// How patient who waits for its turn is from the first, as [`pause`] counts. Whoever holds it is done in some ten
/// nanoseconds, and may come back a hundred times in those microseconds: two threads that took turns by the sample would
/// send the cell's lines to and fro each time, which costs either of them three times as much.
const FIRST_WAIT: u32 = 5;

/// Even while nobody writes, odd while somebody does; two more with every write.
///
/// Taking it is one read-modify-write and giving it back one plain store, so that all a writer does in between may be
/// plain stores too: eight counters added to atomically would take eight read-modify-writes, which do not overlap.
#[derive(Debug, Default)]
pub(super) struct Sequence(AtomicU32);

/// The right to write, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    sequence: &'a Sequence,
    next: u32,
}

impl Sequence {
    /// Waits for its turn to write.
    #[inline]
    pub(super) fn write(&self) -> Writing<'_> {
        let seen = self.0.load(Ordering::Relaxed);
        match self.try_write(seen) {
            Some(writing) => writing,
            None => self.wait(),
        }
    }

    #[inline]
    fn try_write(&self, seen: u32) -> Option<Writing<'_>> {
        // Acquire: what the writer before stored is seen.
        let is_taken = seen & 1 == 0
            && self.0.compare_exchange(seen, seen.wrapping_add(1), Ordering::Acquire, Ordering::Relaxed).is_ok();
        if !is_taken {
            return None;
        }
        // Whoever reads anything that is stored from here on also sees the odd number.
        fence(Ordering::Release);
        Some(Writing { sequence: self, next: seen.wrapping_add(2) })
    }

    #[cold]
    fn wait(&self) -> Writing<'_> {
        let mut tries = FIRST_WAIT;
        loop {
            pause(&mut tries);
            if let Some(writing) = self.try_write(self.0.load(Ordering::Relaxed)) {
                return writing;
            }
        }
    }

    /// Reads again until nobody wrote meanwhile. `read` may see a mixture of two states, which is then thrown away.
    pub(super) fn read<T>(&self, read: impl Fn() -> T) -> T {
        let mut tries = 0;
        loop {
            let before = self.0.load(Ordering::Acquire);
            if before & 1 == 0 {
                let value = read();
                // What was read came before the second look at the number.
                fence(Ordering::Acquire);
                if self.0.load(Ordering::Relaxed) == before {
                    return value;
                }
            }
            pause(&mut tries);
        }
    }

    /// Another number after every write.
    pub(super) fn version(&self) -> u32 {
        self.0.load(Ordering::Acquire) >> 1
    }
}

impl Drop for Writing<'_> {
    #[inline]
    fn drop(&mut self) {
        self.sequence.0.store(self.next, Ordering::Release);
    }
}

//! The atomics of the metering cells, which a model checker can take the place of.

#[cfg(dimensionos_loom)]
pub(crate) use loom::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering, fence};
#[cfg(not(dimensionos_loom))]
pub(crate) use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering, fence};

/// Tries before a thread gives up its turn: whoever holds what it waits for may be one that is not running.
#[cfg(not(dimensionos_loom))]
const PATIENCE: u32 = 7;

/// Waits a moment for another thread, twice as long each time: whoever looks too often takes the line away from the one
/// who is to give it back.
#[cfg(not(dimensionos_loom))]
pub(crate) fn pause(tries: &mut u32) {
    if *tries < PATIENCE {
        (0..1_u32 << *tries).for_each(|_| std::hint::spin_loop());
        *tries += 1;
    } else {
        std::thread::yield_now();
    }
}

#[cfg(dimensionos_loom)]
pub(crate) fn pause(_tries: &mut u32) {
    loom::thread::yield_now();
}

macro_rules! word {
    ($(#[doc = $doc:literal])+ $name:ident, $atomic:ident, $value:ty) => {
        $(#[doc = $doc])+
        ///
        /// Written by whoever holds the lock beside it, with plain stores; read by others under a sequence check. All
        /// of it is relaxed: the lock orders it.
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub(crate) struct $name($atomic);

        impl $name {
            #[inline]
            pub(crate) fn of(&self) -> $value {
                self.0.load(Ordering::Relaxed)
            }

            #[inline]
            pub(crate) fn set(&self, value: $value) {
                self.0.store(value, Ordering::Relaxed);
            }

            /// Sets it to 0, without a write where it is: memory that was never written to takes no room.
            pub(crate) fn clear(&self) {
                if self.of() != 0 {
                    self.set(0);
                }
            }
        }
    };
}

word! {
    /// 64 bits of a cell.
    Word, AtomicU64, u64
}
word! {
    /// 32 bits of a cell.
    Half, AtomicU32, u32
}
word! {
    /// 16 bits of a cell.
    Quarter, AtomicU16, u16
}

//! Memory for many values of one kind, made of zeros the system gives.
#![expect(unsafe_code, reason = "what is made of zeros is not written to before it is used")]

use std::ptr::NonNull;

use crate::monitoring::cell::{Buckets, Cell, Grants, Rest, Seldom};
use crate::words::{AtomicU32, AtomicU64};

/// Bytes of a block that is worth large pages: some of them whole.
#[cfg(all(target_os = "linux", not(dimensionos_loom)))]
const LARGE_PAGES: usize = 8 << 20;

/// What may be made of zeros alone.
///
/// # Safety
/// All bytes zero is a value of the type.
pub(super) unsafe trait Zeros: Default {}
// SAFETY: all of them are made of integers alone, each in an atomic of its size, which has the same representation.
unsafe impl Zeros for Cell {}
// SAFETY: as above.
unsafe impl Zeros for Rest {}
// SAFETY: as above.
unsafe impl Zeros for Buckets {}
// SAFETY: as above.
unsafe impl Zeros for Grants {}
// SAFETY: as above.
unsafe impl Zeros for Seldom {}
// SAFETY: as above.
unsafe impl Zeros for AtomicU32 {}
// SAFETY: as above.
unsafe impl Zeros for AtomicU64 {}

/// Some values, in memory that the system need not find before it is written to.
pub(super) struct Block<T> {
    /// Zeros of the system's, and as many more as it takes to begin with a whole line: only what needs no alignment
    /// beyond its own is handed out without being written to. The block's own, and given back with it.
    #[cfg(not(dimensionos_loom))]
    memory: NonNull<[u128]>,
    /// In that memory. The model checker's atomics are no integers, and are a boxed slice that is the block's own.
    values: NonNull<[T]>,
}

// SAFETY: a block is its values, and hands out shared references to them alone.
unsafe impl<T: Send> Send for Block<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Block<T> {}

impl<T: Zeros> Block<T> {
    #[cfg(not(dimensionos_loom))]
    pub(super) fn zeroed(length: usize) -> Self {
        let bytes = length * size_of::<T>() + align_of::<T>();
        // SAFETY: zeros are a `u128`.
        let memory = unsafe { Box::<[u128]>::new_zeroed_slice(bytes.div_ceil(size_of::<u128>())).assume_init() };
        let memory = NonNull::from(Box::leak(memory));
        let first = memory.cast::<u8>();
        // SAFETY: the memory is longer than the values by their alignment.
        let first = unsafe { first.add(first.align_offset(align_of::<T>())) };
        Self { memory, values: NonNull::slice_from_raw_parts(first.cast(), length) }
    }

    #[cfg(dimensionos_loom)]
    pub(super) fn zeroed(length: usize) -> Self {
        let values: Box<[T]> = (0..length).map(|_| T::default()).collect();
        Self { values: NonNull::from(Box::leak(values)) }
    }

    /// The same, in pages of 2 MB where it is large: a million cells take a hundred thousand of the common ones, and to
    /// find one of those takes as long as to read it. Not for what most accounts have no use for.
    pub(super) fn zeroed_in_large_pages(length: usize) -> Self {
        let block = Self::zeroed(length);
        #[cfg(all(target_os = "linux", not(dimensionos_loom)))]
        block.ask_for_large_pages();
        block
    }

    #[cfg(all(target_os = "linux", not(dimensionos_loom)))]
    fn ask_for_large_pages(&self) {
        use rustix::mm::{Advice, madvise};
        const PAGE: usize = 4_096;
        let bytes = self.memory.len() * size_of::<u128>();
        if bytes < LARGE_PAGES {
            return;
        }
        let start = self.memory.as_ptr().cast::<u8>();
        let skipped = start.align_offset(PAGE);
        let length = (bytes - skipped) / PAGE * PAGE;
        // SAFETY: the pages are the block's own, and the advice changes nothing that is in them.
        let advised = unsafe { madvise(start.wrapping_add(skipped).cast(), length, Advice::LinuxHugepage) };
        // A system without them serves the common ones.
        let _ = advised;
    }
}

impl<T> Block<T> {
    #[inline]
    pub(super) const fn values(&self) -> &[T] {
        // SAFETY: the memory is zeros and then whatever was written to it as `T`, which is `Zeros`; it lives as long as the
        // block does, and is only ever handed out shared.
        unsafe { self.values.as_ref() }
    }
}

impl<T> Drop for Block<T> {
    fn drop(&mut self) {
        #[cfg(not(dimensionos_loom))]
        let memory = self.memory;
        #[cfg(dimensionos_loom)]
        let memory = self.values;
        // SAFETY: it was leaked when the block was made, and nobody has a reference to it any more. Integers need not be
        // dropped.
        drop(unsafe { Box::from_raw(memory.as_ptr()) });
    }
}

/// Asks the processor for a line of memory, ahead of its use.
#[cfg(all(target_arch = "x86_64", not(dimensionos_loom)))]
#[inline]
pub(super) fn prefetch_line<T>(line: *const T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing and faults nowhere, whatever the address.
    unsafe { _mm_prefetch(line.cast::<i8>(), _MM_HINT_T0) };
}

/// Other processors have to find the line when it is used.
#[cfg(not(all(target_arch = "x86_64", not(dimensionos_loom))))]
pub(super) const fn prefetch_line<T>(_line: *const T) {}

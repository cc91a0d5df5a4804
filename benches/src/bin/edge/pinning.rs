//! Which core a program runs on.

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Fault;

/// The core of the server that is measured, with the kernel's part of its work.
pub(crate) const OF_SERVERS: usize = 0;
/// The core of whoever asks.
pub(crate) const OF_THE_LOAD: usize = 1;

/// Has this thread run on one core, and what it starts from now on.
pub(crate) fn pin(core: usize) -> Result<(), Fault> {
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}

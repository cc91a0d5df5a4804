//! Processor time of threads: on a machine that is shared, wall time says more of the neighbours than of the work.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The processor time that a piece of work took of this thread.
pub fn time(work: impl FnOnce()) -> Duration {
    let before = of_this_thread();
    work();
    of_this_thread().saturating_sub(before)
}

/// The mean processor time of several pieces of work that run at once, each on a thread of its own.
pub fn time_at_once(works: impl IntoIterator<Item = impl FnOnce() + Send, IntoIter: ExactSizeIterator>) -> Duration {
    let works = works.into_iter();
    let threads = works.len();
    // None begins alone.
    let start = Barrier::new(threads);
    let measured = |work| {
        start.wait();
        time(work)
    };
    let total: Duration = thread::scope(|scope| {
        let running: Vec<_> = works.map(|work| scope.spawn(|| measured(work))).collect();
        // A work that panicked has said so, and the time of the others is no measurement.
        running.into_iter().map(|running| running.join().unwrap_or_default()).sum()
    });
    total / u32::try_from(threads.max(1)).unwrap_or(u32::MAX)
}

/// The processor time that all threads of this process took so far.
#[must_use]
pub fn of_this_process() -> Duration {
    read(ClockId::ProcessCPUTime)
}

fn of_this_thread() -> Duration {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_takes_no_processor_time() {
        let waiting = || thread::sleep(Duration::from_millis(50));
        assert!(time(waiting) < Duration::from_millis(25));
        assert!(time_at_once([waiting, waiting]) < Duration::from_millis(25));
    }
}

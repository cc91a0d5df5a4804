//! Who in a process tree has used how much, so that nothing is counted twice and nothing is lost between readings.
//!
//! The kernel knows two figures of a process: what it has used itself, and what the children it waited for had used
//! when they ended. A child that was read while it lived is in its own figure and, once waited for, in its parent's
//! children's figure too; a child that came and went between two readings is in the latter alone. So of what a parent's
//! children's figure grows by, only that part counts which was not counted of a child while it lived.
//!
//! All figures are running totals, never sums of differences: an error in one reading is made good by the next.

use super::kernel::ProcessStat;

/// One process of the tree.
#[derive(Debug)]
struct Entry {
    pid: u32,
    stat: ProcessStat,
    /// What it had used itself before it was metered.
    own_before: u64,
    /// What its children had used before it was metered.
    reaped_before: u64,
    /// What of its children's figure was counted of them while they lived.
    counted: u64,
    /// The same of children that went after its last reading, and that its next one will hold.
    awaited: u64,
    /// Its children's figure of the last reading at which those in `awaited` still lived.
    reaped_earlier: u64,
}

impl Entry {
    /// Takes a new reading, made after every child in `awaited` was gone.
    fn update(&mut self, stat: ProcessStat) {
        self.stat = stat;
        // What is not in the figure now was never waited for by this process (it ignores the signal, or the child was
        // handed to another), and must not be taken off what its other children use.
        let counted = self.counted.saturating_add(self.awaited);
        self.counted = counted.min(stat.reaped.saturating_sub(self.reaped_before));
        self.awaited = 0;
    }

    /// Ends its readings: it is gone, and was read last before or after it waited for those in `awaited`. They lived
    /// at the reading before, so they are in no more of its children's figure than that has grown by since.
    fn close(&mut self) {
        let known = self.awaited.min(self.stat.reaped.saturating_sub(self.reaped_earlier));
        self.counted = self.counted.saturating_add(known);
        self.awaited = self.awaited.saturating_sub(known);
    }

    /// What it has used itself, and what children have used that were never read.
    fn used(&self) -> u64 {
        let unseen = self.stat.reaped.saturating_sub(self.reaped_before).saturating_sub(self.counted);
        self.stat.own.saturating_sub(self.own_before).saturating_add(unseen)
    }

    /// What the children's figure of whoever waits for it grows by.
    fn bequest(&self) -> u64 {
        self.stat.own.saturating_add(self.stat.reaped).saturating_add(self.awaited)
    }
}

/// The processes of a tree, parents before their children, in ticks.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
    /// What those had used that are gone.
    settled: u64,
}

impl Ledger {
    /// Takes up a process: all that it used where `from_birth`, else what it uses from now on.
    pub(super) fn meet(&mut self, pid: u32, stat: ProcessStat, from_birth: bool) {
        let (own_before, reaped_before) = if from_birth { (0, 0) } else { (stat.own, stat.reaped) };
        self.entries.push(Entry {
            pid,
            stat,
            own_before,
            reaped_before,
            counted: 0,
            awaited: 0,
            reaped_earlier: stat.reaped,
        });
    }

    /// Reads every process anew, in the order of the entries, and settles those that are gone.
    ///
    /// A parent is read before its children, so a child that is read has not been waited for in the parent's figures.
    /// `read` answers with the process that has the id now, absent where there is none; a process whose reading fails
    /// keeps its last one.
    pub(super) fn refresh<E>(&mut self, mut read: impl FnMut(u32) -> Result<Option<ProcessStat>, E>) -> Result<(), E> {
        let mut failure = None;
        let mut gone = Vec::new();
        for (place, entry) in self.entries.iter_mut().enumerate() {
            if entry.awaited == 0 {
                entry.reaped_earlier = entry.stat.reaped;
            }
            match read(entry.pid) {
                // Another start means another process under the same id.
                Ok(Some(stat)) if stat.started == entry.stat.started => entry.update(stat),
                Ok(_) => gone.push(place),
                Err(error) => failure = Some(error),
            }
        }
        // Children first, so that what a grandchild bequeaths has reached its parent when the parent goes itself.
        for place in gone.into_iter().rev() {
            let mut entry = self.entries.remove(place);
            entry.close();
            self.settle(&entry, &mut read);
        }
        failure.map_or(Ok(()), Err)
    }

    fn settle<E>(&mut self, gone: &Entry, read: &mut impl FnMut(u32) -> Result<Option<ProcessStat>, E>) {
        self.settled = self.settled.saturating_add(gone.used());
        let Some(parent) = self.entries.iter_mut().find(|entry| entry.pid == gone.stat.parent) else { return };
        parent.awaited = parent.awaited.saturating_add(gone.bequest());
        // Read at once: a parent that ends before the next reading would leave what it waited for counted twice.
        if let Ok(Some(stat)) = read(parent.pid)
            && stat.started == parent.stat.started
        {
            parent.update(stat);
        }
    }

    /// All that was used since each process was taken up.
    pub(super) fn total(&self) -> u64 {
        self.entries.iter().fold(self.settled, |sum, entry| sum.saturating_add(entry.used()))
    }

    /// The processes that run, with their latest reading.
    pub(super) fn running(&self) -> impl Iterator<Item = (u32, &ProcessStat)> {
        self.entries.iter().filter(|entry| !entry.stat.has_ended).map(|entry| (entry.pid, &entry.stat))
    }

    /// Whether that process is in the ledger.
    pub(super) fn holds(&self, pid: u32) -> bool {
        self.entries.iter().any(|entry| entry.pid == pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const ROOT: u32 = 10;
    const CHILD: u32 = 11;
    const GRANDCHILD: u32 = 12;

    /// A kernel with a few processes.
    #[derive(Default)]
    struct Kernel(HashMap<u32, ProcessStat>);

    impl Kernel {
        fn run(&mut self, pid: u32, parent: u32, own: u64) -> ProcessStat {
            let started = u64::from(pid);
            let reaped = self.0.get(&pid).map_or(0, |stat| stat.reaped);
            let stat = ProcessStat { parent, started, own, reaped, resident_pages: 1, threads: 1, has_ended: false };
            self.0.insert(pid, stat);
            stat
        }

        /// Ends a process and has its parent wait for it.
        fn reap(&mut self, pid: u32) {
            let ended = self.0.remove(&pid).unwrap();
            if let Some(parent) = self.0.get_mut(&ended.parent) {
                parent.reaped += ended.own + ended.reaped;
            }
        }

        fn refresh(&self, ledger: &mut Ledger) -> u64 {
            ledger.refresh(|pid| Ok::<_, ()>(self.0.get(&pid).copied())).unwrap();
            ledger.total()
        }
    }

    fn tree(pids: &[(u32, u32, u64)]) -> (Kernel, Ledger) {
        let mut kernel = Kernel::default();
        let mut ledger = Ledger::default();
        for &(pid, parent, own) in pids {
            let stat = kernel.run(pid, parent, own);
            ledger.meet(pid, stat, true);
        }
        (kernel, ledger)
    }

    #[test]
    fn a_parent_that_ends_right_after_its_child_leaves_nothing_counted_twice() {
        let (mut kernel, mut ledger) = tree(&[(ROOT, 1, 5), (CHILD, ROOT, 40)]);
        assert_eq!(kernel.refresh(&mut ledger), 45);
        kernel.reap(CHILD);
        // The root is read once, with its child's time in it, and is gone when it is read again.
        let mut reads_of_root = 0;
        let read = |pid| {
            reads_of_root += u32::from(pid == ROOT);
            Ok::<_, ()>(kernel.0.get(&pid).copied().filter(|_| reads_of_root <= 1))
        };
        ledger.refresh(read).unwrap();
        kernel.reap(ROOT);
        assert_eq!(kernel.refresh(&mut ledger), 45);
    }

    #[test]
    fn a_child_that_came_and_went_unseen_is_counted_once() {
        let (mut kernel, mut ledger) = tree(&[(ROOT, 1, 5)]);
        kernel.run(CHILD, ROOT, 40);
        kernel.reap(CHILD);
        assert_eq!(kernel.refresh(&mut ledger), 45);
        assert_eq!(kernel.refresh(&mut ledger), 45);
    }

    #[test]
    fn a_child_that_was_seen_and_then_waited_for_is_counted_once() {
        let (mut kernel, mut ledger) = tree(&[(ROOT, 1, 5), (CHILD, ROOT, 30)]);
        assert_eq!(kernel.refresh(&mut ledger), 35);
        kernel.run(CHILD, ROOT, 42);
        kernel.reap(CHILD);
        assert_eq!(kernel.refresh(&mut ledger), 47);
    }

    #[test]
    fn a_child_and_its_child_that_end_together_are_counted_once() {
        let (mut kernel, mut ledger) = tree(&[(ROOT, 1, 5), (CHILD, ROOT, 1), (GRANDCHILD, CHILD, 30)]);
        assert_eq!(kernel.refresh(&mut ledger), 36);
        kernel.run(GRANDCHILD, CHILD, 33);
        kernel.reap(GRANDCHILD);
        kernel.reap(CHILD);
        assert_eq!(kernel.refresh(&mut ledger), 39);
        kernel.reap(ROOT);
        assert_eq!(kernel.refresh(&mut ledger), 39);
    }

    #[test]
    fn a_last_child_that_ends_with_its_parent_takes_nothing_off_the_earlier_ones() {
        let (mut kernel, mut ledger) = tree(&[(ROOT, 1, 0)]);
        kernel.run(GRANDCHILD, ROOT, 100);
        kernel.reap(GRANDCHILD);
        let child = kernel.run(CHILD, ROOT, 30);
        ledger.meet(CHILD, child, true);
        assert_eq!(kernel.refresh(&mut ledger), 130);
        kernel.reap(CHILD);
        kernel.reap(ROOT);
        assert_eq!(kernel.refresh(&mut ledger), 130);
    }

    #[test]
    fn a_child_nobody_waits_for_takes_nothing_off_its_siblings() {
        let (mut kernel, mut ledger) = tree(&[(ROOT, 1, 0), (CHILD, ROOT, 500)]);
        // Gone without a trace in its parent, as under a parent that ignores SIGCHLD.
        kernel.0.remove(&CHILD);
        assert_eq!(kernel.refresh(&mut ledger), 500);
        kernel.run(GRANDCHILD, ROOT, 70);
        kernel.reap(GRANDCHILD);
        assert_eq!(kernel.refresh(&mut ledger), 570);
    }

    #[test]
    fn an_orphan_stays_counted() {
        let (mut kernel, mut ledger) = tree(&[(ROOT, 1, 5), (CHILD, ROOT, 3)]);
        kernel.reap(ROOT);
        kernel.run(CHILD, 1, 60);
        assert_eq!(kernel.refresh(&mut ledger), 65);
        assert_eq!(ledger.running().map(|(pid, _)| pid).collect::<Vec<_>>(), [CHILD]);
    }

    #[test]
    fn a_process_met_late_counts_from_then_on() {
        let mut kernel = Kernel::default();
        let mut ledger = Ledger::default();
        kernel.run(ROOT, 1, 0);
        kernel.run(CHILD, ROOT, 900);
        ledger.meet(ROOT, kernel.0[&ROOT], false);
        ledger.meet(CHILD, kernel.0[&CHILD], false);
        assert_eq!(ledger.total(), 0);
        kernel.run(CHILD, ROOT, 907);
        kernel.reap(CHILD);
        // The last seven ticks are lost where nobody read them, and the 900 before are not made new ones.
        assert_eq!(kernel.refresh(&mut ledger), 7);
    }

    #[test]
    fn another_process_under_the_same_id_is_not_taken_for_the_first() {
        let (mut kernel, mut ledger) = tree(&[(ROOT, 1, 5)]);
        let mut stranger = kernel.run(ROOT, 1, 9_000);
        stranger.started = 99;
        kernel.0.insert(ROOT, stranger);
        assert_eq!(kernel.refresh(&mut ledger), 5);
        assert_eq!(ledger.running().count(), 0);
    }

    #[test]
    fn a_reading_that_fails_keeps_the_last() {
        let (_, mut ledger) = tree(&[(ROOT, 1, 5)]);
        assert_eq!(ledger.refresh(|_| Err::<Option<ProcessStat>, _>(())), Err(()));
        assert!(ledger.holds(ROOT));
        assert_eq!(ledger.total(), 5);
    }
}

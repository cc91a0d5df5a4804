//! One process with all its descendants.

use super::super::sample::{Counter, Level, Sample};
use super::kernel::ProcessStat;
use super::ledger::Ledger;
use super::pace::{Stopwatch, millicores};
use super::traffic::{self, Carried, Interfaces, Traffic};
use super::{Absence, CollectError, Collector, Gap, Gaps, kernel};

/// A process younger than this when it is met is metered from its birth: whoever starts a process and then its meter
/// means the whole of it. An older one is metered from now.
const YOUNG_SECONDS: u64 = 60;

/// Only every so many polls are the costly places looked at for new descendants: the children of each single thread of
/// a process with many, and all of `/proc` where the kernel lists no children.
const POLLS_PER_WIDE_LOOK: u32 = 8;
/// More threads than this are many.
const MANY_THREADS: u64 = 32;

/// Meters a process and everything it started, also what outlives it and what came and went between two readings.
///
/// - Processor time is that of all members, to the kernel's 10 ms. Of a process that ends and that no other member
///   waits for, what it used after the last [`poll`](Collector::poll) is lost; and one is not found at all where every
///   process between it and a known member ended within one poll, as a daemon's do that forks twice. Meter a
///   [`Cgroup`](super::Cgroup) where tenants might do so on purpose.
/// - Memory is the sum of the resident sizes; pages that members share count for each of them.
/// - Connections are the established TCP connections whose sockets a member holds open; absent where the system does
///   not let us see them.
/// - Bytes sent and received are those of the process's network namespace, where it has another than ours, from the
///   first [`collect`](Collector::collect) on. Else they are absent: the kernel counts no bytes by process.
///
/// The [`collect`](Collector::collect) that finds no member running any more hands out the last that was used; from the
/// next on it fails with [`CollectError::TargetEnded`].
///
/// Cost: a [`poll`](Collector::poll) reads two files for each process, 1.5 reads of `/proc/self/stat` (18 µs). A
/// `collect` takes some 700 (8.5 ms) for the lists of TCP connections, once for each network namespace of the tree, and
/// 6 more (70 µs) for each process.
#[derive(Debug)]
pub struct ProcessTree {
    birth: Birth,
    ledger: Ledger,
    lists_children: bool,
    polls: u32,
    /// Ticks of the total that are not to be handed out (again).
    handed: u64,
    has_ended: bool,
    watch: Stopwatch,
    interfaces: Interfaces,
    traffic: Traffic,
    gaps: Gaps,
}

impl ProcessTree {
    /// Meters the process of that id with its descendants, from its birth where it is younger than a minute, else from
    /// now.
    ///
    /// # Errors
    /// [`CollectError::NotThere`] where there is no such process; [`CollectError::Unreadable`] where the system does not
    /// let us see it.
    pub fn new(pid: u32) -> Result<Self, CollectError> {
        Self::take_up(pid, kernel::ticks(YOUNG_SECONDS), None)
    }

    /// Goes on where a collector of the same process has left its [`mark`](Collector::mark), so that nothing is handed
    /// out twice, and what was used in between is handed out now. The mark of another process counts for nothing.
    ///
    /// # Errors
    /// As of [`new`](Self::new).
    pub fn resume(pid: u32, mark: &str) -> Result<Self, CollectError> {
        Self::take_up(pid, kernel::ticks(YOUNG_SECONDS), Some(mark))
    }

    /// Counts the bytes over the namespace's loopback too, which its processes send each other.
    #[must_use]
    pub fn with_loopback(mut self) -> Self {
        self.interfaces = Interfaces::All;
        self
    }

    fn take_up(pid: u32, young: u64, mark: Option<&str>) -> Result<Self, CollectError> {
        let root = kernel::process(pid)?.ok_or(CollectError::NotThere { what: "process" })?;
        let birth = Birth { boot: kernel::boot(), pid, started: root.started };
        let mut ledger = Ledger::default();
        ledger.meet(pid, root, true);
        let mut tree = Self {
            birth,
            ledger,
            lists_children: kernel::lists_children(),
            polls: 0,
            handed: 0,
            has_ended: false,
            watch: Stopwatch::default(),
            interfaces: Interfaces::default(),
            traffic: Traffic::default(),
            gaps: Gaps::default(),
        };
        tree.read(true)?;
        let total = tree.ledger.total();
        tree.handed = match mark.and_then(|mark| tree.birth.handed(mark)) {
            // Descendants that were counted then and are gone now are in no figure any more: what a mark is beyond the
            // total is no debt.
            Some(handed) => handed.min(total),
            None if kernel::uptime()?.saturating_sub(root.started) < young => 0,
            None => total,
        };
        Ok(tree)
    }

    fn read(&mut self, wide: bool) -> Result<(), CollectError> {
        let refreshed = self.ledger.refresh(kernel::process);
        let found = if self.lists_children { self.meet_children(wide) } else { self.search(wide) };
        refreshed.and(found)
    }

    /// Takes up new children of members, theirs, and so on.
    fn meet_children(&mut self, wide: bool) -> Result<(), CollectError> {
        let mut parents: Vec<(u32, u64)> = self.ledger.running().map(|(pid, stat)| (pid, stat.threads)).collect();
        while let Some((parent, threads)) = parents.pop() {
            if threads > MANY_THREADS && !wide {
                continue;
            }
            for child in kernel::children(parent, threads) {
                if self.ledger.holds(child) {
                    continue;
                }
                if let Some(stat) = kernel::process(child)? {
                    self.take_in(child, stat);
                    parents.push((child, stat.threads));
                }
            }
        }
        Ok(())
    }

    /// Takes up new descendants from the list of all processes.
    fn search(&mut self, wide: bool) -> Result<(), CollectError> {
        if !wide {
            return Ok(());
        }
        let mut rest = kernel::processes()?;
        loop {
            let is_new = |pid, parent| !self.ledger.holds(pid) && self.ledger.holds(parent);
            let (found, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(pid, stat)| is_new(*pid, stat.parent));
            if found.is_empty() {
                return Ok(());
            }
            for (pid, stat) in found {
                self.take_in(pid, stat);
            }
            rest = others;
        }
    }

    fn take_in(&mut self, pid: u32, stat: ProcessStat) {
        // What is older than the root was adopted, and what it used before was used elsewhere.
        self.ledger.meet(pid, stat, stat.started >= self.birth.started);
    }

    fn spent(&mut self, read: &Result<(), CollectError>) -> Result<u64, Absence> {
        // A total may fall for one reading, where a child was read alive and its parent already had waited for it;
        // nothing is handed out again until it has passed what was.
        let total = self.ledger.total();
        let added = kernel::microseconds(total.saturating_sub(self.handed));
        self.handed = self.handed.max(total);
        match read {
            // Nothing that is known of is no zero where the reading has failed.
            Err(error) if added == 0 => Err(Absence::from(error)),
            _ => Ok(added),
        }
    }

    fn connections(&self) -> Result<u64, Absence> {
        // What may not be looked at stays absent; it is no fault of the reading.
        let members = self.ledger.running().map(|(pid, _)| pid);
        kernel::connections(members).map_err(|error| Absence::from(&error))
    }

    fn carried(&mut self) -> Result<Carried, Absence> {
        let (first, _) = self.ledger.running().next().ok_or(Absence::NotThere)?;
        if kernel::namespace(first)? == kernel::namespace(std::process::id())? {
            return Err(Absence::SharedNamespace);
        }
        self.traffic.since(kernel::carried(Some(first), self.interfaces).map_err(|error| Absence::from(&error))?)
    }

    fn fill(&mut self, sample: &mut Sample, spent: Result<u64, Absence>) {
        let mut gaps = Gaps::default();
        let pages = self.ledger.running().fold(0_u64, |sum, (_, stat)| sum.saturating_add(stat.resident_pages));
        gaps.set_level(sample, Level::RamBytes, Ok(kernel::bytes(pages)));
        gaps.add(sample, Counter::CpuMicroseconds, spent);
        let elapsed = self.watch.lap();
        gaps.set_level(sample, Level::CpuMillicores, spent.and_then(|added| millicores(added, elapsed)));
        gaps.set_level(sample, Level::Connections, self.connections());
        traffic::fill(sample, &mut gaps, self.carried());
        self.gaps = gaps;
    }

    /// There is nothing to read any more.
    fn leave_absent(&mut self, sample: &mut Sample) {
        let mut gaps = Gaps::default();
        for level in [Level::RamBytes, Level::CpuMillicores, Level::Connections] {
            gaps.set_level(sample, level, Err(Absence::NotThere));
        }
        gaps.add(sample, Counter::CpuMicroseconds, Err(Absence::NotThere));
        traffic::fill(sample, &mut gaps, Err(Absence::NotThere));
        self.gaps = gaps;
    }
}

impl Collector for ProcessTree {
    fn collect(&mut self, sample: &mut Sample) -> Result<(), CollectError> {
        if self.has_ended {
            self.leave_absent(sample);
            return Err(CollectError::TargetEnded { pid: self.birth.pid });
        }
        let read = self.read(true);
        let spent = self.spent(&read);
        self.fill(sample, spent);
        self.has_ended = self.ledger.running().next().is_none();
        read
    }

    fn gaps(&self) -> &[Gap] {
        self.gaps.as_slice()
    }

    fn poll(&mut self) {
        self.polls = self.polls.wrapping_add(1);
        // A reading that fails is made again at the next poll, and told by the next collect.
        let _ = self.read(self.polls.is_multiple_of(POLLS_PER_WIDE_LOOK));
    }

    fn mark(&self) -> Option<String> {
        Some(self.birth.mark(self.handed))
    }
}

/// What tells one process from every other, of this boot and of others.
#[derive(Debug)]
struct Birth {
    boot: String,
    pid: u32,
    started: u64,
}

impl Birth {
    fn mark(&self, handed: u64) -> String {
        format!("{} {} {} {handed}", self.boot, self.pid, self.started)
    }

    /// The ticks of a mark; absent where it is one of another process.
    fn handed(&self, mark: &str) -> Option<u64> {
        let handed = mark.trim_end().rsplit(' ').next()?.parse().ok()?;
        (self.mark(handed) == mark.trim_end()).then_some(handed)
    }
}

#[cfg(test)]
mod tests;

//! One control group.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::super::sample::{Counter, Level, Sample};
use super::pace::{Stopwatch, millicores};
use super::{Absence, CollectError, Collector, Gap, Gaps, kernel};

/// Meters a cgroup (version 2) with those below it, as the kernel accounts for it: processor time to the microsecond,
/// memory where its controller is on, and the established TCP connections of its processes.
///
/// Bytes sent and received stay absent: a cgroup has no such count.
///
/// Processor time counts from the making of the collector. The [`collect`](Collector::collect) that finds the group
/// removed hands out the last that was used; from the next on it fails with [`CollectError::CgroupRemoved`].
///
/// Cost: a [`poll`](Collector::poll) reads one file, as much as a read of `/proc/self/stat` (10 µs). A `collect` reads
/// three, one more for each group below, and the descriptors of every process; it takes some 700 such reads (8 ms) for
/// the lists of TCP connections.
pub struct Cgroup {
    path: PathBuf,
    /// Microseconds at the last reading.
    used: u64,
    /// Microseconds that were there before, or were handed out.
    handed: u64,
    is_removed: bool,
    watch: Stopwatch,
    gaps: Gaps,
}

impl Cgroup {
    /// Meters the group of that directory, such as `/sys/fs/cgroup/system.slice/tenant.service`.
    ///
    /// # Errors
    /// [`CollectError::NotThere`] where the directory is none of a cgroup of version 2.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, CollectError> {
        let path = path.into();
        // Version 1 has a `cpu.stat` too, without the figure and without the list of controllers.
        let is_second_version = fs::exists(path.join("cgroup.controllers")).unwrap_or(false);
        let used = match processor_time(&path) {
            Ok(Some(used)) if is_second_version => used,
            Ok(_) => return Err(CollectError::NotThere { what: "cgroup of version 2" }),
            Err(source) if is_gone(&source) => return Err(CollectError::NotThere { what: "cgroup of version 2" }),
            Err(source) => return Err(CollectError::Unreadable { what: "the cgroup's processor time", source }),
        };
        Ok(Self { path, used, handed: used, is_removed: false, watch: Stopwatch::default(), gaps: Gaps::default() })
    }

    /// Reads the processor time; whether the group is still there.
    fn read(&mut self) -> Result<bool, CollectError> {
        let what = "the cgroup's processor time";
        match processor_time(&self.path) {
            Ok(Some(used)) => {
                self.used = used;
                Ok(true)
            }
            Ok(None) => Err(CollectError::Unreadable { what, source: ErrorKind::InvalidData.into() }),
            Err(source) if is_gone(&source) => Ok(false),
            Err(source) => Err(CollectError::Unreadable { what, source }),
        }
    }

    /// What is not handed out yet. Nothing of it is no zero where the reading has failed or found no group.
    fn spent(&mut self, read: &Result<bool, CollectError>) -> Result<u64, Absence> {
        let added = self.used.saturating_sub(self.handed);
        self.handed = self.used;
        match read {
            Ok(false) if added == 0 => Err(Absence::NotThere),
            Err(error) if added == 0 => Err(Absence::from(error)),
            _ => Ok(added),
        }
    }

    fn fill(&mut self, sample: &mut Sample, spent: Result<u64, Absence>, is_there: bool) {
        let mut gaps = Gaps::default();
        gaps.add(sample, Counter::CpuMicroseconds, spent);
        let elapsed = self.watch.lap();
        gaps.set_level(sample, Level::CpuMillicores, spent.and_then(|added| millicores(added, elapsed)));
        let of_group = |reading: fn(&Path) -> Result<u64, Absence>| {
            if is_there { reading(&self.path) } else { Err(Absence::NotThere) }
        };
        gaps.set_level(sample, Level::RamBytes, of_group(memory));
        gaps.set_level(sample, Level::Connections, of_group(connections));
        gaps.add(sample, Counter::BytesSent, Err(Absence::NotCounted));
        gaps.add(sample, Counter::BytesReceived, Err(Absence::NotCounted));
        self.gaps = gaps;
    }
}

impl Collector for Cgroup {
    fn collect(&mut self, sample: &mut Sample) -> Result<(), CollectError> {
        if self.is_removed {
            self.fill(sample, Err(Absence::NotThere), false);
            return Err(CollectError::CgroupRemoved);
        }
        let read = self.read();
        let spent = self.spent(&read);
        self.fill(sample, spent, !matches!(read, Ok(false)));
        // Only a collect ends the metering, since only a collect hands out what is left.
        self.is_removed = !read?;
        Ok(())
    }

    fn gaps(&self) -> &[Gap] {
        self.gaps.as_slice()
    }

    fn poll(&mut self) {
        // A reading that fails is made again, and told, by the next collect.
        let _ = self.read();
    }
}

impl fmt::Debug for Cgroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cgroup").field("used", &self.used).finish_non_exhaustive()
    }
}

/// Microseconds since the group was made; absent where the file does not hold the figure.
fn processor_time(path: &Path) -> io::Result<Option<u64>> {
    let text = fs::read_to_string(path.join("cpu.stat"))?;
    Ok(text.lines().find_map(|line| number(line.strip_prefix("usage_usec ")?)))
}

fn memory(path: &Path) -> Result<u64, Absence> {
    match fs::read_to_string(path.join("memory.current")) {
        Ok(text) => number(&text).ok_or(Absence::Unreadable),
        // Without its controller the file is not made.
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Absence::SwitchedOff),
        Err(error) => Err(Absence::from(&error)),
    }
}

fn connections(path: &Path) -> Result<u64, Absence> {
    kernel::connections(processes(path)?.into_iter()).map_err(|error| Absence::from(&error))
}

/// The processes of the group and of those below it.
fn processes(path: &Path) -> Result<BTreeSet<u32>, Absence> {
    let mut pids = BTreeSet::new();
    for group in WalkDir::new(path).into_iter().filter_entry(|entry| entry.file_type().is_dir()) {
        // A group below that goes while its parent is walked has no process left.
        let Ok(group) = group else { continue };
        match fs::read_to_string(group.path().join("cgroup.procs")) {
            Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok())),
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(Absence::from(&error)),
        }
    }
    // Processes of another PID namespace are listed as 0.
    if pids.contains(&0) { Err(Absence::HiddenNamespace) } else { Ok(pids) }
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Opening a file of a group that was removed finds nothing; reading one that was open finds no device.
fn is_gone(error: &io::Error) -> bool {
    const NO_SUCH_DEVICE: i32 = 19;
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(NO_SUCH_DEVICE)
}

#[cfg(test)]
mod tests {
    use super::super::Figure;
    use super::*;
    use crate::time::Timestamp;

    fn group(used: u64) -> tempfile::TempDir {
        let group = tempfile::tempdir().unwrap();
        fs::write(group.path().join("cgroup.controllers"), "cpu memory\n").unwrap();
        fs::write(group.path().join("cgroup.procs"), format!("{}\n", std::process::id())).unwrap();
        fs::write(group.path().join("memory.current"), "4096\n").unwrap();
        use_up(&group, used);
        group
    }

    fn use_up(group: &tempfile::TempDir, used: u64) {
        let text = format!("usage_usec {used}\nuser_usec {used}\nsystem_usec 0\n");
        fs::write(group.path().join("cpu.stat"), text).unwrap();
    }

    fn read(cgroup: &mut Cgroup) -> Result<Sample, CollectError> {
        let mut sample = Sample::at(Timestamp::EPOCH);
        cgroup.collect(&mut sample).map(|()| sample)
    }

    fn reason(cgroup: &Cgroup, figure: Figure) -> Option<Absence> {
        cgroup.gaps().iter().find(|gap| gap.figure == figure).map(|gap| gap.absence)
    }

    #[test]
    fn a_directory_that_is_no_cgroup_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(Cgroup::new(directory.path()), Err(CollectError::NotThere { .. })));
        fs::write(directory.path().join("cpu.stat"), "nr_periods 0\n").unwrap();
        assert!(matches!(Cgroup::new(directory.path()), Err(CollectError::NotThere { .. })));
    }

    #[test]
    fn what_was_used_before_is_not_counted_and_what_follows_is() {
        let group = group(1_000_000);
        let mut cgroup = Cgroup::new(group.path()).unwrap();
        let sample = read(&mut cgroup).unwrap();
        assert_eq!(sample.added(Counter::CpuMicroseconds), Some(0));
        assert_eq!(sample.level(Level::RamBytes), Some(4_096));
        assert!(sample.level(Level::Connections).is_some());
        assert_eq!(sample.added(Counter::BytesSent), None);
        use_up(&group, 1_250_000);
        assert_eq!(read(&mut cgroup).unwrap().added(Counter::CpuMicroseconds), Some(250_000));
    }

    #[test]
    fn memory_without_its_controller_is_absent() {
        let group = group(0);
        fs::remove_file(group.path().join("memory.current")).unwrap();
        let mut cgroup = Cgroup::new(group.path()).unwrap();
        let sample = read(&mut cgroup).unwrap();
        assert_eq!(sample.level(Level::RamBytes), None);
        assert_eq!(reason(&cgroup, Figure::Level(Level::RamBytes)), Some(Absence::SwitchedOff));
    }

    #[test]
    fn bytes_are_absent_because_no_cgroup_counts_them() {
        let group = group(0);
        let mut cgroup = Cgroup::new(group.path()).unwrap();
        assert_eq!(cgroup.gaps(), []);
        read(&mut cgroup).unwrap();
        read(&mut cgroup).unwrap();
        let bytes = [Figure::Counter(Counter::BytesSent), Figure::Counter(Counter::BytesReceived)];
        assert_eq!(cgroup.gaps(), bytes.map(|figure| Gap { figure, absence: Absence::NotCounted }));
    }

    #[test]
    fn processes_that_our_namespace_hides_have_no_connections_that_we_know_of() {
        let group = group(0);
        fs::write(group.path().join("cgroup.procs"), "0\n0\n").unwrap();
        let mut cgroup = Cgroup::new(group.path()).unwrap();
        assert_eq!(read(&mut cgroup).unwrap().level(Level::Connections), None);
        assert_eq!(reason(&cgroup, Figure::Level(Level::Connections)), Some(Absence::HiddenNamespace));
    }

    #[test]
    fn a_figure_that_cannot_be_read_is_absent_and_not_zero() {
        let group = group(1_000);
        let mut cgroup = Cgroup::new(group.path()).unwrap();
        fs::write(group.path().join("cpu.stat"), "usage_usec many\n").unwrap();
        let mut sample = Sample::at(Timestamp::EPOCH);
        assert!(matches!(cgroup.collect(&mut sample), Err(CollectError::Unreadable { .. })));
        assert_eq!(sample.added(Counter::CpuMicroseconds), None);
        assert_eq!(reason(&cgroup, Figure::Counter(Counter::CpuMicroseconds)), Some(Absence::Unreadable));
        assert_eq!(sample.level(Level::RamBytes), Some(4_096), "the rest is read all the same");
    }

    #[test]
    fn a_removed_group_hands_out_what_was_polled_and_then_ends() {
        let group = group(0);
        let mut cgroup = Cgroup::new(group.path()).unwrap();
        use_up(&group, 70_000);
        cgroup.poll();
        fs::remove_dir_all(group.path()).unwrap();
        cgroup.poll();
        assert_eq!(read(&mut cgroup).unwrap().added(Counter::CpuMicroseconds), Some(70_000));
        assert_eq!(reason(&cgroup, Figure::Level(Level::RamBytes)), Some(Absence::NotThere));
        assert!(matches!(read(&mut cgroup), Err(CollectError::CgroupRemoved)));
        assert_eq!(reason(&cgroup, Figure::Counter(Counter::CpuMicroseconds)), Some(Absence::NotThere));
    }
}

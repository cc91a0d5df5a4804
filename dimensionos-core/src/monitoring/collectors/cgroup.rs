//! One control group.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::super::sample::{Counter, Level, Sample};
use super::pace::{Stopwatch, millicores};
use super::{CollectError, Collector, kernel};

/// Meters a cgroup (version 2) with those below it, as the kernel accounts for it: processor time to the microsecond,
/// memory where its controller is on, and the established TCP connections of its processes.
///
/// Bytes sent and received stay absent: a cgroup has no such count.
///
/// Processor time counts from the making of the collector. The [`collect`](Collector::collect) that finds the group
/// removed hands out the last that was used; from the next on it fails with [`CollectError::CgroupRemoved`].
pub struct Cgroup {
    path: PathBuf,
    /// Microseconds at the last reading.
    used: u64,
    /// Microseconds that were there before, or were handed out.
    handed: u64,
    is_removed: bool,
    watch: Stopwatch,
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
        Ok(Self { path, used, handed: used, is_removed: false, watch: Stopwatch::default() })
    }

    /// Reads the processor time; whether the group is still there.
    fn read(&mut self) -> Result<bool, CollectError> {
        match processor_time(&self.path) {
            Ok(used) => {
                self.used = used.unwrap_or(self.used);
                Ok(true)
            }
            Err(source) if is_gone(&source) => Ok(false),
            Err(source) => Err(CollectError::Unreadable { what: "the cgroup's processor time", source }),
        }
    }
}

impl Collector for Cgroup {
    fn collect(&mut self, sample: &mut Sample) -> Result<(), CollectError> {
        if self.is_removed {
            return Err(CollectError::CgroupRemoved);
        }
        let read = self.read();
        let added = self.used.saturating_sub(self.handed);
        self.handed = self.used;
        sample.add(Counter::CpuMicroseconds, added);
        if let Some(share) = self.watch.lap().and_then(|elapsed| millicores(added, elapsed)) {
            sample.set_level(Level::CpuMillicores, share);
        }
        if let Some(memory) = fs::read_to_string(self.path.join("memory.current")).ok().and_then(|text| number(&text)) {
            sample.set_level(Level::RamBytes, memory);
        }
        if let Some(count) = processes(&self.path).and_then(|pids| kernel::connections(pids.into_iter()).ok()) {
            sample.set_level(Level::Connections, count);
        }
        // Only a collect ends the metering, since only a collect hands out what is left.
        self.is_removed = !read?;
        Ok(())
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

/// The processes of the group and of those below it; absent where they may not be listed.
fn processes(path: &Path) -> Option<BTreeSet<u32>> {
    let mut pids = BTreeSet::new();
    for group in WalkDir::new(path).into_iter().filter_entry(|entry| entry.file_type().is_dir()) {
        // A group below that goes while its parent is walked has no process left.
        let Ok(group) = group else { continue };
        match fs::read_to_string(group.path().join("cgroup.procs")) {
            Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok())),
            Err(error) if is_gone(&error) => {}
            Err(_) => return None,
        }
    }
    // Processes of another PID namespace are listed as 0.
    (!pids.contains(&0)).then_some(pids)
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
        let sample = read(&mut Cgroup::new(group.path()).unwrap()).unwrap();
        assert_eq!(sample.level(Level::RamBytes), None);
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
        assert!(matches!(read(&mut cgroup), Err(CollectError::CgroupRemoved)));
    }
}

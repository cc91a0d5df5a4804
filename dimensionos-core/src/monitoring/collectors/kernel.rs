//! What Linux offers under `/proc`, each figure read in one place.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{FDTarget, Process, Stat};
use procfs::{Current, CurrentSI, FromRead, KernelStats, ProcError, ProcResult, Uptime};

use super::traffic::{Carried, Interfaces};
use super::{Absence, CollectError};

/// One process as `/proc/PID/stat` has it, in the kernel's ticks (10 ms on every usual kernel).
///
/// The ticks of `stat` are the right source although the nanoseconds of `schedstat` are finer: `/proc/PID/schedstat`
/// is about the main thread alone, and those of the threads are gone when a thread ends, whereas `stat` holds the whole
/// thread group with the threads that ended, scaled by the kernel to the exact run time and cut to 10 ms. Only totals
/// are compared here, so what is cut off does not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProcessStat {
    pub(super) parent: u32,
    /// When it started, in ticks since boot; together with the process id it names one process for good.
    pub(super) started: u64,
    /// What the process itself has used.
    pub(super) own: u64,
    /// What its children that it waited for had used, and theirs.
    pub(super) reaped: u64,
    pub(super) resident_pages: u64,
    pub(super) threads: u64,
    /// Ended, and not yet waited for.
    pub(super) has_ended: bool,
}

impl From<Stat> for ProcessStat {
    fn from(stat: Stat) -> Self {
        Self {
            // A parent outside of this PID namespace is 0.
            parent: u32::try_from(stat.ppid).unwrap_or(0),
            started: stat.starttime,
            own: stat.utime.saturating_add(stat.stime),
            reaped: u64::try_from(stat.cutime.saturating_add(stat.cstime)).unwrap_or(0),
            resident_pages: stat.rss,
            threads: u64::try_from(stat.num_threads).unwrap_or(1),
            // A main thread that ended before the others is shown as a zombie with more than one thread.
            has_ended: matches!(stat.state, 'Z' | 'X' | 'x') && stat.num_threads <= 1,
        }
    }
}

/// The process of that id; absent where there is none.
pub(super) fn process(pid: u32) -> Result<Option<ProcessStat>, CollectError> {
    let stat = File::open(format!("/proc/{pid}/stat")).map_err(ProcError::from).and_then(Stat::from_read);
    present(stat).map(|stat| stat.map(ProcessStat::from)).map_err(unreadable("the state of a process"))
}

/// Every process there is.
pub(super) fn processes() -> Result<Vec<(u32, ProcessStat)>, CollectError> {
    let what = "the list of processes";
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").map_err(|source| CollectError::Unreadable { what, source })? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(stat) = process(pid)? {
            found.push((pid, stat));
        }
    }
    Ok(found)
}

/// Whether this kernel lists the children of a thread (`CONFIG_PROC_CHILDREN`).
pub(super) fn lists_children() -> bool {
    let own = std::process::id();
    fs::exists(format!("/proc/{own}/task/{own}/children")).unwrap_or(false)
}

/// The present children of a process with so many threads.
///
/// The kernel may leave some out while others end; the next reading has them.
pub(super) fn children(pid: u32, threads: u64) -> Vec<u32> {
    let of_thread = |thread: u32| {
        let listed = fs::read_to_string(format!("/proc/{pid}/task/{thread}/children")).unwrap_or_default();
        listed.split_ascii_whitespace().filter_map(|child| child.parse().ok()).collect::<Vec<u32>>()
    };
    if threads <= 1 {
        return of_thread(pid);
    }
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let threads = threads.filter_map(|thread| thread.ok()?.file_name().to_str()?.parse().ok());
    threads.flat_map(of_thread).collect()
}

/// Time since boot in ticks, comparable with [`ProcessStat::started`].
pub(super) fn uptime() -> Result<u64, CollectError> {
    let uptime = Uptime::current().map_err(unreadable("the time since boot"))?;
    let millis = Duration::try_from_secs_f64(uptime.uptime).unwrap_or_default().as_millis();
    Ok(u64::try_from(millis).unwrap_or(u64::MAX).saturating_mul(procfs::ticks_per_second()) / 1_000)
}

/// What tells this boot of the machine from every other; empty where the kernel does not say.
pub(super) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Ticks in so many seconds.
pub(super) fn ticks(seconds: u64) -> u64 {
    seconds.saturating_mul(procfs::ticks_per_second())
}

/// Ticks as microseconds.
pub(super) fn microseconds(ticks: u64) -> u64 {
    ticks.saturating_mul(1_000_000) / procfs::ticks_per_second()
}

/// Memory pages as bytes.
pub(super) fn bytes(pages: u64) -> u64 {
    pages.saturating_mul(procfs::page_size())
}

/// Ticks in which any processor of this machine ran something, since boot.
pub(super) fn busy_ticks() -> Result<u64, CollectError> {
    let total = KernelStats::current().map_err(unreadable("the processors' time"))?.total;
    let interrupts = total.irq.unwrap_or(0).saturating_add(total.softirq.unwrap_or(0));
    // Guests' time is within `user` and `nice` already; stolen time was spent by others.
    Ok([total.nice, total.system, interrupts].into_iter().fold(total.user, u64::saturating_add))
}

/// The socket inodes of the established TCP connections in the network namespace of a process, or in our own.
pub(super) fn established(pid: Option<u32>) -> Result<Vec<u64>, CollectError> {
    let (four, six) = match pid {
        None => (procfs::net::tcp(), procfs::net::tcp6()),
        Some(pid) => match handle(pid) {
            Ok(process) => (process.tcp(), process.tcp6()),
            Err(error) => (Err(error), Ok(Vec::new())),
        },
    };
    let what = "the TCP connections";
    // Where a protocol is switched off its table is missing.
    let entries = |table: ProcResult<Vec<TcpNetEntry>>| present(table).map(Option::unwrap_or_default);
    let four = entries(four).map_err(unreadable(what))?;
    let six = entries(six).map_err(unreadable(what))?;
    let open = four.into_iter().chain(six).filter(|entry| entry.state == TcpState::Established);
    Ok(open.map(|entry| entry.inode).collect())
}

/// The inodes of the sockets that a process holds open; none where it has ended.
pub(super) fn sockets(pid: u32) -> Result<HashSet<u64>, CollectError> {
    let descriptors = present(handle(pid).and_then(|process| process.fd()));
    let what = "the open sockets of a process";
    let mut sockets = HashSet::new();
    for descriptor in descriptors.map_err(unreadable(what))?.into_iter().flatten() {
        match descriptor {
            Ok(descriptor) => {
                if let FDTarget::Socket(inode) = descriptor.target {
                    sockets.insert(inode);
                }
            }
            // A process may let us list its descriptors and not follow them.
            Err(error @ ProcError::PermissionDenied(_)) => return Err(unreadable(what)(error)),
            // Closed since it was listed, or of a kind that is not known.
            Err(_) => {}
        }
    }
    Ok(sockets)
}

/// How many of the sockets that these processes hold open are established TCP connections.
///
/// The processes may be in network namespaces of their own, so each namespace's table is read once.
pub(super) fn connections(pids: impl Iterator<Item = u32>) -> Result<u64, CollectError> {
    let mut namespaces = HashSet::new();
    let mut established_inodes = HashSet::new();
    let mut held = HashSet::new();
    for pid in pids {
        if namespaces.insert(namespace(pid).ok()) {
            established_inodes.extend(established(Some(pid))?);
        }
        held.extend(sockets(pid)?);
    }
    Ok(held.intersection(&established_inodes).count() as u64)
}

/// The network namespace of a process.
pub(super) fn namespace(pid: u32) -> Result<u64, Absence> {
    match fs::metadata(format!("/proc/{pid}/ns/net")) {
        Ok(namespace) => Ok(namespace.ino()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Absence::NotThere),
        Err(error) => Err(Absence::from(&error)),
    }
}

/// What each interface that counts has carried, in the network namespace of a process or in our own.
pub(super) fn carried(pid: Option<u32>, counted: Interfaces) -> Result<HashMap<String, Carried>, CollectError> {
    let interfaces = match pid {
        None => procfs::net::dev_status(),
        Some(pid) => handle(pid).and_then(|process| process.dev_status()),
    };
    let interfaces = interfaces.map_err(unreadable("the network interfaces"))?;
    let counted = interfaces.into_iter().filter(|(name, _)| counted.hold(name));
    Ok(counted.map(|(name, now)| (name, Carried { sent: now.sent_bytes, received: now.recv_bytes })).collect())
}

fn handle(pid: u32) -> ProcResult<Process> {
    let pid = i32::try_from(pid).map_err(|_| ProcError::NotFound(None))?;
    Process::new(pid)
}

/// Absent where the process or file is not there, or ended while it was read.
fn present<T>(reading: ProcResult<T>) -> ProcResult<Option<T>> {
    const NO_SUCH_PROCESS: i32 = 3;
    match reading {
        Ok(value) => Ok(Some(value)),
        Err(ProcError::NotFound(_)) => Ok(None),
        Err(ProcError::Io(error, _)) if error.raw_os_error() == Some(NO_SUCH_PROCESS) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The error without the path, and without what was read.
fn unreadable(what: &'static str) -> impl FnOnce(ProcError) -> CollectError {
    move |error| {
        let source = match error {
            ProcError::PermissionDenied(_) => ErrorKind::PermissionDenied.into(),
            ProcError::NotFound(_) => ErrorKind::NotFound.into(),
            ProcError::Io(source, _) => source,
            ProcError::Incomplete(_) | ProcError::Other(_) | ProcError::InternalError(_) => {
                io::Error::from(ErrorKind::InvalidData)
            }
        };
        CollectError::Unreadable { what, source }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Lets a shell burn at least so many microseconds of processor time, and tells how many the kernel charged for it
    /// to us when we waited.
    pub(in super::super) fn burn(at_least: u64) -> u64 {
        let mut shell = Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn().unwrap();
        let used = loop {
            let used = microseconds(process(shell.id()).unwrap().unwrap().own);
            if used >= at_least {
                break used;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        shell.kill().unwrap();
        shell.wait().unwrap();
        used
    }

    #[test]
    fn our_own_process_is_there_and_an_impossible_one_is_not() {
        let own = process(std::process::id()).unwrap().unwrap();
        assert!(own.resident_pages > 0 && !own.has_ended);
        assert_eq!(process(u32::MAX).unwrap(), None);
        assert!(processes().unwrap().iter().any(|(pid, _)| *pid == std::process::id()));
    }

    #[test]
    fn a_child_that_ended_is_ended_until_it_is_waited_for_and_then_gone() {
        let mut child = Command::new("true").spawn().unwrap();
        while !process(child.id()).unwrap().unwrap().has_ended {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(process(child.id()).unwrap(), None);
    }

    #[test]
    fn a_child_of_any_thread_is_listed() {
        if !lists_children() {
            return;
        }
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let threads = process(std::process::id()).unwrap().unwrap().threads;
        assert!(children(std::process::id(), threads.max(2)).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn an_error_names_no_path() {
        let error = unreadable("it")(ProcError::NotFound(Some("/proc/1/secret".into())));
        assert!(!format!("{error:?}").contains("secret"));
    }
}

//! Readers of this machine's own figures: the host, a process with its descendants, a cgroup, a directory.
//!
//! A collector reads numbers and keeps numbers. No name of a file, an interface or a peer leaves it, in a sample, an
//! error or a log line. What the system does not offer stays absent from the sample, and is never reported as zero;
//! [`Collector::gaps`] tells why.
//!
//! Processes, cgroups and connection counts are read from Linux's `/proc` and `/sys/fs/cgroup`. On other systems
//! [`Host`] measures what `sysinfo` offers, [`Directory`] works alike, and [`ProcessTree`] and [`Cgroup`] say
//! [`CollectError::Unsupported`].
//!
//! Each collector states what a reading costs, in reads of `/proc/self/stat`, the least that any reading takes (12 µs
//! on the 2 cores where `cargo bench -p benches --bench collectors` was read last). Times differ between machines; the
//! ratios less so. The dearest figure is the count of connections, wherever it is among the figures: to list the TCP
//! connections, of version 4 and again of version 6, the kernel goes through a table that it sized by the machine's
//! memory, however few there are. At 24 GB the two lists take some 700 such reads, 8 ms.

mod directory;
mod gaps;
mod pace;
mod traffic;

#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(target_os = "linux")]
mod host;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod ledger;
#[cfg(target_os = "linux")]
mod process;

#[cfg(not(target_os = "linux"))]
mod elsewhere;

use std::fmt;
use std::io;

use super::sample::Sample;

pub use directory::Directory;
pub use gaps::{Absence, Figure, Gap, Gaps};
pub use pace::{Begun, Pace};

#[cfg(target_os = "linux")]
pub use {cgroup::Cgroup, host::Host, process::ProcessTree};

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{Cgroup, Host, ProcessTree};

/// Something that reads the system and fills in what it measures of a sample.
///
/// The calls block; an asynchronous program gives them a thread of their own. Counters are what was added since the
/// last [`collect`](Self::collect), so every sample that was filled has to be used.
pub trait Collector: fmt::Debug + Send {
    /// Reads the system and fills in what this collector measures.
    ///
    /// # Errors
    /// [`CollectError::is_final`] tells an end, after which every call fails, from a reading that may succeed the next
    /// time. Where a reading fails in part, what could be read is in the sample all the same.
    fn collect(&mut self, sample: &mut Sample) -> Result<(), CollectError>;

    /// What the last [`collect`](Self::collect) left absent of what a collector of this kind may measure, each with the
    /// reason; empty before the first. Every such figure was either put in the sample or is here.
    fn gaps(&self) -> &[Gap] {
        &[]
    }

    /// Notes what would be lost if it were read no sooner than at the next [`collect`](Self::collect), such as the
    /// processor time of a process about to end. Cheap; call it as often as the loss matters (every 25 ms).
    fn poll(&mut self) {}

    /// How far it has handed out, in a form to be kept and given to a later collector of the same target, such as
    /// [`ProcessTree::resume`]; absent where a later one begins anew.
    fn mark(&self) -> Option<String> {
        None
    }
}

/// Why a collector could not read what it measures. Carries no name and no path.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The metered process and every descendant of it have ended, and all they used was handed out before.
    #[error("process {pid} and its descendants have ended")]
    TargetEnded {
        /// The process that was metered.
        pid: u32,
    },
    /// The metered cgroup was removed, and all it used was handed out before.
    #[error("the cgroup was removed")]
    CgroupRemoved,
    /// There is nothing of the kind that was to be metered.
    #[error("there is no such {what}")]
    NotThere {
        /// What was looked for.
        what: &'static str,
    },
    /// The system refused or failed a reading.
    #[error("could not read {what}")]
    Unreadable {
        /// What was to be read.
        what: &'static str,
        /// What the system answered.
        source: io::Error,
    },
    /// This operating system does not offer the figures.
    #[error("this system offers no figures of a {what}")]
    Unsupported {
        /// What was to be metered.
        what: &'static str,
    },
}

impl CollectError {
    /// Whether the target is gone for good, so that no later call can succeed.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::TargetEnded { .. } | Self::CgroupRemoved | Self::Unsupported { .. } => true,
            Self::NotThere { .. } | Self::Unreadable { .. } => false,
        }
    }
}

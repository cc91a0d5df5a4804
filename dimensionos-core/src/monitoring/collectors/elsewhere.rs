//! What is left of the collectors on systems other than Linux: the host by way of `sysinfo`, and no more.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, NetworkData, Networks, RefreshKind, System};

use super::super::sample::{Counter, Level, Sample};
use super::pace::{Stopwatch, millicores};
use super::traffic::{self, Carried, Interfaces, Traffic};
use super::{Absence, CollectError, Collector, Gap, Gaps};

/// Meters the whole machine: processor, memory, bytes over its interfaces. Connections stay absent here.
///
/// The first [`collect`](Collector::collect) sets the baseline. Cost: three questions to the system, not measured there.
pub struct Host {
    /// Absent where sysinfo does not know the system, and likewise below.
    system: Option<System>,
    networks: Option<Networks>,
    interfaces: Interfaces,
    traffic: Traffic,
    watch: Stopwatch,
    gaps: Gaps,
}

impl Host {
    /// Meters this machine, from the first [`collect`](Collector::collect) on.
    #[must_use]
    pub fn new() -> Self {
        Self {
            system: System::new().ok(),
            networks: Networks::new_with_refreshed_list().ok(),
            interfaces: Interfaces::default(),
            traffic: Traffic::default(),
            watch: Stopwatch::default(),
            gaps: Gaps::default(),
        }
    }

    /// Counts the bytes over loopback too, which programs of this machine send each other.
    #[must_use]
    pub fn with_loopback(mut self) -> Self {
        self.interfaces = Interfaces::All;
        self
    }

    /// Memory in use, and processor time since the last call.
    fn system(&mut self, elapsed: Option<Duration>) -> (Result<u64, Absence>, Result<u64, Absence>) {
        let Some(system) = &mut self.system else { return (Err(Absence::Unsupported), Err(Absence::Unsupported)) };
        let usage = CpuRefreshKind::nothing().with_usage();
        let memory = MemoryRefreshKind::nothing().with_ram();
        system.refresh_specifics(RefreshKind::nothing().with_cpu(usage).with_memory(memory));
        // No machine runs in no memory: nothing is what stands there where the reading failed.
        let used = Some(system.used_memory()).filter(|used| *used > 0).ok_or(Absence::Unreadable);
        let spent = elapsed.ok_or(Absence::Baseline).map(|elapsed| {
            // sysinfo offers the share since its last refresh, and the time follows from it.
            let share: f64 = system.cpus().iter().map(|cpu| f64::from(cpu.usage()) / 100.0).sum();
            let time = elapsed.mul_f64(share.clamp(0.0, 65_536.0));
            u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
        });
        (used, spent)
    }

    fn carried(&mut self) -> Result<Carried, Absence> {
        let networks = self.networks.as_mut().ok_or(Absence::Unsupported)?;
        networks.refresh(true);
        let named = networks.iter().map(|(name, now)| (name.to_string_lossy().into_owned(), now));
        let counted = named.filter(|(name, _)| self.interfaces.hold(name));
        let carried = |now: &NetworkData| Carried { sent: now.total_transmitted(), received: now.total_received() };
        self.traffic.since(counted.map(|(name, now)| (name, carried(now))).collect())
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Collector for Host {
    fn collect(&mut self, sample: &mut Sample) -> Result<(), CollectError> {
        let mut gaps = Gaps::default();
        let elapsed = self.watch.lap();
        let (used, spent) = self.system(elapsed);
        gaps.set_level(sample, Level::RamBytes, used);
        gaps.add(sample, Counter::CpuMicroseconds, spent);
        gaps.set_level(sample, Level::CpuMillicores, spent.and_then(|added| millicores(added, elapsed)));
        gaps.set_level(sample, Level::Connections, Err(Absence::Unsupported));
        traffic::fill(sample, &mut gaps, self.carried());
        self.gaps = gaps;
        Ok(())
    }

    fn gaps(&self) -> &[Gap] {
        self.gaps.as_slice()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

impl ProcessTree {
    /// Cannot be made on this system.
    ///
    /// # Errors
    /// Always [`CollectError::Unsupported`].
    pub fn resume(pid: u32, _: &str) -> Result<Self, CollectError> {
        Self::new(pid)
    }

    /// As it was, since there is none.
    #[must_use]
    pub fn with_loopback(self) -> Self {
        match self.0 {}
    }
}

macro_rules! unsupported {
    ($(#[doc = $doc:literal])+ $name:ident, $target:ty, $what:literal) => {
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub struct $name(std::convert::Infallible);

        impl $name {
            /// Cannot be made on this system.
            ///
            /// # Errors
            /// Always [`CollectError::Unsupported`].
            pub fn new(_: impl Into<$target>) -> Result<Self, CollectError> {
                Err(CollectError::Unsupported { what: $what })
            }
        }

        impl Collector for $name {
            fn collect(&mut self, _: &mut Sample) -> Result<(), CollectError> {
                match self.0 {}
            }
        }
    };
}

unsupported! {
    /// A process with its descendants, which is metered on Linux alone.
    ProcessTree, u32, "process"
}
unsupported! {
    /// A cgroup, which there is on Linux alone.
    Cgroup, PathBuf, "cgroup"
}

//! What is left of the collectors on systems other than Linux: the host by way of `sysinfo`, and no more.

use std::fmt;
use std::path::PathBuf;

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, Networks, RefreshKind, System};

use super::super::sample::{Counter, Level, Sample};
use super::pace::{Stopwatch, millicores};
use super::{CollectError, Collector};

/// Meters the whole machine: processor, memory, bytes over its interfaces. Connections stay absent here.
///
/// The first [`collect`](Collector::collect) sets the baseline.
pub struct Host {
    /// Absent where sysinfo does not know the system, and likewise below.
    system: Option<System>,
    networks: Option<Networks>,
    watch: Stopwatch,
}

impl Host {
    /// Meters this machine, from the first [`collect`](Collector::collect) on.
    #[must_use]
    pub fn new() -> Self {
        Self {
            system: System::new().ok(),
            networks: Networks::new_with_refreshed_list().ok(),
            watch: Stopwatch::default(),
        }
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Collector for Host {
    fn collect(&mut self, sample: &mut Sample) -> Result<(), CollectError> {
        let elapsed = self.watch.lap();
        if let Some(system) = &mut self.system {
            let usage = CpuRefreshKind::nothing().with_usage();
            let memory = MemoryRefreshKind::nothing().with_ram();
            system.refresh_specifics(RefreshKind::nothing().with_cpu(usage).with_memory(memory));
            sample.set_level(Level::RamBytes, system.used_memory());
            if let Some(elapsed) = elapsed {
                // sysinfo offers the share since its last refresh, and the time follows from it.
                let share: f64 = system.cpus().iter().map(|cpu| f64::from(cpu.usage()) / 100.0).sum();
                let time = elapsed.mul_f64(share.clamp(0.0, 65_536.0));
                let added = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
                sample.add(Counter::CpuMicroseconds, added);
                if let Some(share) = millicores(added, elapsed) {
                    sample.set_level(Level::CpuMillicores, share);
                }
            }
        }
        if let Some(networks) = &mut self.networks {
            networks.refresh(true);
            if elapsed.is_some() {
                let outward = || networks.iter().filter(|(name, _)| !name.to_string_lossy().starts_with("lo"));
                sample.add(Counter::BytesSent, outward().map(|(_, carried)| carried.transmitted()).sum());
                sample.add(Counter::BytesReceived, outward().map(|(_, carried)| carried.received()).sum());
            }
        }
        Ok(())
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

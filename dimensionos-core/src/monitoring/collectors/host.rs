//! The whole machine.

use std::fmt;

use sysinfo::{MemoryRefreshKind, System};

use super::super::sample::{Counter, Level, Sample};
use super::pace::{Stopwatch, millicores};
use super::traffic::Traffic;
use super::{CollectError, Collector, kernel};

/// Meters the whole machine: processor, memory, established TCP connections, bytes over every interface but loopback.
///
/// Processor time is what ran here: waiting for a disk is idle, and so is time that a hypervisor gave to other guests.
/// The first [`collect`](Collector::collect) sets the baseline, so its sample carries levels of the moment and no
/// counters.
pub struct Host {
    /// Absent where sysinfo does not know the system.
    memory: Option<System>,
    busy_ticks: Option<u64>,
    traffic: Traffic,
    watch: Stopwatch,
}

impl Host {
    /// Meters this machine, from the first [`collect`](Collector::collect) on.
    #[must_use]
    pub fn new() -> Self {
        Self { memory: System::new().ok(), busy_ticks: None, traffic: Traffic::default(), watch: Stopwatch::default() }
    }

    fn used_memory(&mut self) -> Option<u64> {
        let memory = self.memory.as_mut()?;
        memory.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        // No machine runs in no memory: nothing is what stands there where the reading failed.
        Some(memory.used_memory()).filter(|used| *used > 0)
    }

    fn processor(&mut self, sample: &mut Sample) -> Result<(), CollectError> {
        let now = kernel::busy_ticks()?;
        let elapsed = self.watch.lap();
        if let Some(before) = self.busy_ticks.replace(now) {
            let added = kernel::microseconds(now.saturating_sub(before));
            sample.add(Counter::CpuMicroseconds, added);
            if let Some(share) = elapsed.and_then(|elapsed| millicores(added, elapsed)) {
                sample.set_level(Level::CpuMillicores, share);
            }
        }
        Ok(())
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Collector for Host {
    fn collect(&mut self, sample: &mut Sample) -> Result<(), CollectError> {
        if let Some(used) = self.used_memory() {
            sample.set_level(Level::RamBytes, used);
        }
        // Each of these is read whatever becomes of the others; the first failure is told.
        let processor = self.processor(sample);
        let connections = kernel::established(None).map(|sockets| {
            sample.set_level(Level::Connections, sockets.len() as u64);
        });
        let traffic = kernel::carried(None).map(|carried| self.traffic.add_to(sample, carried));
        processor.and(connections).and(traffic)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("busy_ticks", &self.busy_ticks).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn read(host: &mut Host) -> Sample {
        let mut sample = Sample::at(Timestamp::EPOCH);
        host.collect(&mut sample).unwrap();
        sample
    }

    #[test]
    fn the_first_reading_has_levels_and_no_counters() {
        let sample = read(&mut Host::new());
        assert!(sample.level(Level::RamBytes).is_some_and(|bytes| bytes > 1 << 20));
        assert!(sample.level(Level::Connections).is_some());
        assert_eq!(sample.level(Level::CpuMillicores), None);
        assert_eq!(sample.added(Counter::CpuMicroseconds), None);
        assert_eq!(sample.added(Counter::BytesSent), None);
    }

    #[test]
    fn what_a_process_burns_is_in_the_hosts_processor_time() {
        let mut host = Host::new();
        read(&mut host);
        let burned = kernel::tests::burn(300_000);
        let sample = read(&mut host);
        let added = sample.added(Counter::CpuMicroseconds).unwrap();
        // Ten milliseconds a processor is what the kernel's ticks may hide.
        assert!(added + 50_000 >= burned, "{added} of {burned}");
        assert!(sample.level(Level::CpuMillicores).is_some_and(|share| share > 0));
    }

    #[test]
    fn an_open_connection_is_counted_at_both_its_ends() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let far = listener.accept().unwrap();
        assert!(read(&mut Host::new()).level(Level::Connections).is_some_and(|count| count >= 2));
        drop((near, far));
    }
}

//! The whole machine.

use std::fmt;

use sysinfo::{MemoryRefreshKind, System};

use super::super::sample::{Counter, Level, Sample};
use super::pace::{Stopwatch, millicores};
use super::traffic::{self, Interfaces, Traffic};
use super::{Absence, CollectError, Collector, Gap, Gaps, kernel};

/// Meters the whole machine: processor, memory, established TCP connections, bytes over every interface but loopback
/// ([`with_loopback`](Self::with_loopback) counts it too).
///
/// Processor time is what ran here: waiting for a disk is idle, and so is time that a hypervisor gave to other guests.
/// The first [`collect`](Collector::collect) sets the baseline, so its sample carries levels of the moment and no
/// counters.
///
/// Cost: five files of `/proc`, some 700 reads of `/proc/self/stat` (8.4 ms), nearly all of it the lists of TCP
/// connections; more with each connection.
pub struct Host {
    /// Absent where sysinfo does not know the system.
    memory: Option<System>,
    busy_ticks: Option<u64>,
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
            memory: System::new().ok(),
            busy_ticks: None,
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

    fn used_memory(&mut self) -> Result<u64, Absence> {
        let memory = self.memory.as_mut().ok_or(Absence::Unsupported)?;
        memory.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        // No machine runs in no memory: nothing is what stands there where the reading failed.
        Some(memory.used_memory()).filter(|used| *used > 0).ok_or(Absence::Unreadable)
    }

    fn processor(&mut self, sample: &mut Sample, gaps: &mut Gaps) -> Result<(), CollectError> {
        let busy = kernel::busy_ticks();
        let spent = busy.as_ref().map_err(Absence::from).and_then(|now| {
            let elapsed = self.watch.lap();
            let before = self.busy_ticks.replace(*now).ok_or(Absence::Baseline)?;
            Ok((kernel::microseconds(now.saturating_sub(before)), elapsed))
        });
        gaps.add(sample, Counter::CpuMicroseconds, spent.map(|(added, _)| added));
        gaps.set_level(sample, Level::CpuMillicores, spent.and_then(|(added, elapsed)| millicores(added, elapsed)));
        busy.map(|_| ())
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
        gaps.set_level(sample, Level::RamBytes, self.used_memory());
        // Each of these is read whatever becomes of the others; the first failure is told.
        let processor = self.processor(sample, &mut gaps);
        let sockets = kernel::established(None);
        let count = sockets.as_ref().map(|sockets| sockets.len() as u64);
        gaps.set_level(sample, Level::Connections, count.map_err(Absence::from));
        let (carried, traffic) = match kernel::carried(None, self.interfaces) {
            Ok(present) => (self.traffic.since(present), Ok(())),
            Err(error) => (Err(Absence::from(&error)), Err(error)),
        };
        traffic::fill(sample, &mut gaps, carried);
        self.gaps = gaps;
        processor.and(sockets.map(|_| ())).and(traffic)
    }

    fn gaps(&self) -> &[Gap] {
        self.gaps.as_slice()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("busy_ticks", &self.busy_ticks).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Figure;
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
    fn counters_of_the_first_reading_wait_for_the_second() {
        let mut host = Host::new();
        assert_eq!(host.gaps(), []);
        read(&mut host);
        let waiting = [
            Figure::Counter(Counter::CpuMicroseconds),
            Figure::Level(Level::CpuMillicores),
            Figure::Counter(Counter::BytesSent),
            Figure::Counter(Counter::BytesReceived),
        ];
        assert_eq!(host.gaps(), waiting.map(|figure| Gap { figure, absence: Absence::Baseline }));
        read(&mut host);
        assert_eq!(host.gaps(), []);
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

//! Bytes over the network since the last reading, interface by interface.

use std::collections::HashMap;

use super::super::sample::{Counter, Sample};
use super::{Absence, Gaps};

/// Bytes that one interface has carried since it came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Carried {
    pub(super) sent: u64,
    pub(super) received: u64,
}

/// Whose bytes count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Interfaces {
    /// Every interface but loopback.
    #[default]
    Outward,
    /// Loopback too.
    All,
}

impl Interfaces {
    pub(super) fn hold(self, name: &str) -> bool {
        // Elsewhere loopback has a number; on Linux a name that only begins like it is some other interface's.
        let is_loopback = if cfg!(target_os = "linux") { name == "lo" } else { name.starts_with("lo") };
        self == Self::All || !is_loopback
    }
}

/// What each interface had carried at the last reading.
///
/// The interfaces are followed one by one, because a sum falls when one of them is taken away, and would lose what the
/// others carried meanwhile.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    last: Option<HashMap<String, Carried>>,
}

impl Traffic {
    /// What was carried since the last call; the first call only sets the baseline.
    pub(super) fn since(&mut self, present: HashMap<String, Carried>) -> Result<Carried, Absence> {
        let last = self.last.replace(present).ok_or(Absence::Baseline)?;
        let nothing = Carried { sent: 0, received: 0 };
        let mut sum = nothing;
        for (name, now) in self.last.iter().flatten() {
            // An interface that was not there before has carried everything since then.
            let before = last.get(name).copied().unwrap_or(nothing);
            sum.sent = sum.sent.saturating_add(grown(before.sent, now.sent));
            sum.received = sum.received.saturating_add(grown(before.received, now.received));
        }
        Ok(sum)
    }
}

/// Fills in what was carried, or why nothing is known of it.
pub(super) fn fill(sample: &mut Sample, gaps: &mut Gaps, carried: Result<Carried, Absence>) {
    gaps.add(sample, Counter::BytesSent, carried.map(|carried| carried.sent));
    gaps.add(sample, Counter::BytesReceived, carried.map(|carried| carried.received));
}

/// A count that went back began anew, so that all of it is new.
fn grown(before: u64, now: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn read(traffic: &mut Traffic, interfaces: &[(&str, u64, u64)]) -> (Option<u64>, Option<u64>) {
        let present =
            interfaces.iter().map(|&(name, sent, received)| (name.to_owned(), Carried { sent, received })).collect();
        let mut sample = Sample::at(Timestamp::EPOCH);
        let mut gaps = Gaps::default();
        fill(&mut sample, &mut gaps, traffic.since(present));
        assert!(gaps.as_slice().iter().all(|gap| gap.absence == Absence::Baseline));
        (sample.added(Counter::BytesSent), sample.added(Counter::BytesReceived))
    }

    #[test]
    fn the_first_reading_is_the_baseline() {
        let mut traffic = Traffic::default();
        assert_eq!(read(&mut traffic, &[("eth0", 500, 700)]), (None, None));
        assert_eq!(read(&mut traffic, &[("eth0", 510, 700)]), (Some(10), Some(0)));
    }

    #[test]
    fn an_interface_that_goes_takes_nothing_of_the_others_with_it() {
        let mut traffic = Traffic::default();
        read(&mut traffic, &[("eth0", 500, 700), ("veth1", 9_000, 9_000)]);
        assert_eq!(read(&mut traffic, &[("eth0", 510, 720)]), (Some(10), Some(20)));
    }

    #[test]
    fn an_interface_that_begins_anew_counts_from_zero() {
        let mut traffic = Traffic::default();
        read(&mut traffic, &[("eth0", 500, 700)]);
        assert_eq!(read(&mut traffic, &[("eth0", 30, 40)]), (Some(30), Some(40)));
        assert_eq!(read(&mut traffic, &[("eth0", 30, 40), ("eth1", 5, 6)]), (Some(5), Some(6)));
    }
}

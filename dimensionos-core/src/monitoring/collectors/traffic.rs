//! Bytes over the network since the last reading, interface by interface.

use std::collections::HashMap;

use super::super::sample::{Counter, Sample};

/// Bytes that one interface has carried since it came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Carried {
    pub(super) sent: u64,
    pub(super) received: u64,
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
    /// Adds to the sample what was carried since the last call; the first call only sets the baseline.
    pub(super) fn add_to(&mut self, sample: &mut Sample, present: HashMap<String, Carried>) {
        if let Some(last) = &self.last {
            let nothing = Carried { sent: 0, received: 0 };
            let mut sent = 0_u64;
            let mut received = 0_u64;
            for (name, now) in &present {
                // An interface that was not there before has carried everything since then.
                let before = last.get(name).copied().unwrap_or(nothing);
                sent = sent.saturating_add(grown(before.sent, now.sent));
                received = received.saturating_add(grown(before.received, now.received));
            }
            sample.add(Counter::BytesSent, sent);
            sample.add(Counter::BytesReceived, received);
        }
        self.last = Some(present);
    }
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
        traffic.add_to(&mut sample, present);
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

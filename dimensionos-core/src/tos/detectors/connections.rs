//! What is counted of the connections that one account opens: at single peers, at different ones, and in all.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::distinct::{Distinct, EXACT};
use super::peers::{Peers, Tally};
use super::windows::millis;
use crate::tos::signal::{Signal, Signals};

/// The most that attempts at one peer are counted over to find passwords or ports being tried. Somebody who signs in
/// after that, from the same account, is outside of it within seconds.
pub const HAMMERING_WINDOW: Duration = Duration::from_secs(10);
/// The most that attempts at one peer are counted over to find a program that calls home in vain: such programs try
/// again after ten seconds or so.
pub const REPEATED_WINDOW: Duration = Duration::from_secs(90);
/// The most that different peers are counted over.
pub const SCAN_WINDOW: Duration = Duration::from_secs(60);

/// Parts that a packet is counted in: a long connection has a small part of its packets in a short window.
pub(super) const FRACTION: u64 = 256;

/// Connections that an account opened to one peer, at the time when what became of them is known.
///
/// One connection is one attempt; a reader that sees counters alone may put several into one. Answers that an account
/// gives, such as ICMP messages, are no connections of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Connection {
    /// Whom to, as a number that is the same for the same host and says nothing else; the port is no part of it.
    pub peer: u64,
    /// How many were opened.
    pub attempts: u32,
    /// How many of them nobody took, or were refused or broken off by the peer. No more than `attempts`.
    pub failed: u32,
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets received.
    pub packets_received: u64,
    /// Over how long the packets went.
    pub lasting: Duration,
}

impl Connection {
    /// A number of packets, in parts of [`FRACTION`], as far as they fall into the last part of the connection that a
    /// window holds, as if they had come evenly.
    pub(super) fn within(&self, packets: u64, window: Duration) -> u64 {
        let packets = packets.saturating_mul(FRACTION);
        let (lasting, window) = (millis(self.lasting), millis(window));
        let part = u128::from(packets) * u128::from(window) / u128::from(lasting.max(window).max(1));
        u64::try_from(part).unwrap_or(u64::MAX)
    }
}

/// The state that connections of one account are counted in: 616 bytes, where the connections are seen.
///
/// Peers are held as tags under random salts that are dropped with their window, so that none can be recognised from
/// one to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Connections {
    pub(super) fast: Peers,
    pub(super) slow: Peers,
    scan: Scanned,
}

/// Peers at which connections failed in this minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Scanned {
    minute: u64,
    /// How many there were in the minute before, if most failed.
    before: u32,
    connections: u32,
    failed: u32,
    peers: Distinct,
}

/// What is to be said of peers at which connections failed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scan {
    /// How many: exactly up to [`EXACT`], about so many above.
    pub(super) peers: f64,
    /// How many in the minute before.
    pub(super) before: f64,
    /// Which part of all connections failed.
    pub(super) failed_share: f64,
    /// Since the beginning of the minute.
    pub(super) window: Duration,
}

impl Connections {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn roll(&mut self, elapsed: u64, chance: &mut impl FnMut() -> u64) {
        self.fast.roll(elapsed, HAMMERING_WINDOW, chance);
        self.slow.roll(elapsed, REPEATED_WINDOW, chance);
        let minute = elapsed / millis(SCAN_WINDOW);
        if minute != self.scan.minute {
            let follows = minute == self.scan.minute + 1;
            let before = if follows { self.scan.few() } else { 0 };
            self.scan = Scanned { minute, before, peers: Distinct::new(chance()), ..Scanned::default() };
        }
    }

    pub(super) fn add(&mut self, connection: &Connection, counts_slowly: bool) -> (Tally, Tally) {
        let Connection { peer, attempts, .. } = *connection;
        let failed = connection.failed.min(attempts);
        self.scan.connections = self.scan.connections.saturating_add(attempts);
        self.scan.failed = self.scan.failed.saturating_add(failed);
        if failed > 0 {
            self.scan.peers.insert(peer);
        }
        let fast = self.fast.add(peer, attempts, failed);
        let slow = if counts_slowly { self.slow.add(peer, attempts, failed) } else { Tally::default() };
        (fast, slow)
    }

    pub(super) fn scan(&self, elapsed: u64) -> Scan {
        let Scanned { minute, before, connections, failed, .. } = self.scan;
        Scan {
            peers: self.scan.peers.len().round(),
            before: before.into(),
            failed_share: f64::from(failed) / f64::from(connections.max(1)),
            window: Duration::from_millis((elapsed + 1).saturating_sub(minute * millis(SCAN_WINDOW))),
        }
    }
}

impl Scanned {
    /// As many as are counted exactly: above, they are many.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to the most there can be")]
    fn few(&self) -> u32 {
        self.peers.len().min(f64::from(EXACT)) as u32
    }
}

/// What an agent counts of an account's connections between two reports: numbers alone leave the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionCount {
    counts: Signals,
    peers: Distinct,
}

impl ConnectionCount {
    /// Nothing counted yet, under a random salt.
    #[must_use]
    pub fn new(salt: u64) -> Self {
        Self { counts: Signals::new(), peers: Distinct::new(salt) }
    }

    /// Counts a connection.
    pub fn add(&mut self, connection: &Connection) {
        self.counts.add(Signal::OutboundConnections, connection.attempts.into());
        self.counts.add(Signal::FailedConnections, connection.failed.min(connection.attempts).into());
        self.counts.add(Signal::PacketsSent, connection.packets_sent);
        self.counts.add(Signal::PacketsReceived, connection.packets_received);
        self.peers.insert(connection.peer);
    }

    /// What there is to report, and begins anew under another salt. Different peers are counted exactly up to 32, and
    /// with a standard error of 1.6 % above.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count from 0 to a few thousand")]
    pub fn take(&mut self, salt: u64) -> Signals {
        let Self { counts, peers } = std::mem::replace(self, Self::new(salt));
        if counts.is_empty() { counts } else { counts.with(Signal::DistinctPeers, peers.len().round() as u64) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_counts_for_the_part_that_the_window_holds() {
        let window = Duration::from_secs(2);
        let connection = Connection { lasting: Duration::from_secs(20), ..Connection::default() };
        assert_eq!(connection.within(1_000, window), 100 * FRACTION);
        assert_eq!(Connection::default().within(1_000, window), 1_000 * FRACTION);
    }

    #[test]
    fn an_agent_reports_numbers_alone() {
        let mut count = ConnectionCount::new(1);
        assert!(count.take(2).is_empty());
        for peer in 0..20 {
            count.add(&Connection {
                peer: peer % 10,
                attempts: 2,
                failed: 3,
                packets_sent: 5,
                ..Connection::default()
            });
        }
        let signals = count.take(3);
        assert_eq!(signals.get(Signal::DistinctPeers), Some(10));
        // No more can fail than were tried.
        assert_eq!(signals.get(Signal::FailedConnections), Some(40));
        assert_eq!(signals.get(Signal::PacketsSent), Some(100));
        assert!(count.take(4).is_empty());
    }

    #[test]
    fn the_state_is_as_large_as_it_says() {
        assert_eq!(size_of::<Connections>(), 616);
    }
}

//! The rules about connections and packets: scans, attempts at one peer, and taking part in floods.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::connections::{Connection, Connections, FRACTION, HAMMERING_WINDOW, REPEATED_WINDOW, SCAN_WINDOW};
use super::distinct::EXACT;
use super::measured::{Gate, Measured};
use super::peers::Tally;
use super::windows::{KINDS, Passing, Recent, millis};
use crate::time::Timestamp;
use crate::tos::flag::Finding;
use crate::tos::latch::{LEAVE_AT, Latch, Turn};
use crate::tos::rule::Rule;
use crate::tos::signal::{Signal, Signals};

/// The most that connections and packets are counted over to find a flood.
pub const TRAFFIC_WINDOW: Duration = Duration::from_secs(2);

/// How long attempts at one peer over [`REPEATED_WINDOW`] have to be few: what calls home in vain gets through now and
/// then, and goes on when it is cut off.
const REPEATED_FALL: Duration = Duration::from_secs(15);

/// What part of the limit of packets keeps that rule silent, however the parts of packets round.
const PACKETS_SILENT_AT: f64 = 0.95;

/// Limits of the rules about the network. Each is the most that is allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NetworkParameters {
    /// Attempts at one peer within [`HAMMERING_WINDOW`]. 8: people who sign in try once or twice, programs that were
    /// made well wait a second and longer.
    pub hammering: u32,
    /// Attempts at one peer within [`REPEATED_WINDOW`]. 8: from 6 to 8 over 60 to 90 s make no difference on a day of
    /// a device that calls home in vain, and a time service that does not answer is asked less than twice a minute.
    pub repeated: u32,
    /// Different peers at which connections failed within [`SCAN_WINDOW`].
    pub scanned: u32,
    /// Which part of the connections has to fail before any of these three counts. 0.5: of passwords tried over SSH a
    /// third still get a full answer.
    pub failed_share: f64,
    /// Failed connections a second, over [`TRAFFIC_WINDOW`].
    pub failed_connections: f64,
    /// Packets a second, over [`TRAFFIC_WINDOW`], where hardly any is answered.
    pub packets: f64,
    /// Which part of the packets may be answered at most for them to count. 0.1: one acknowledgement for ten packets is
    /// far less than any protocol sends that has somebody at its other end.
    pub answered_share: f64,
    /// At how many times the limit attempts at one peer, and peers, do harm: a flag is a warning below it. What calls
    /// home in vain only warns, and connections that flood do harm from their limit on.
    pub harmful: f64,
    /// The same for packets. 5: sound, pictures and measurements are sent one way at a few hundred packets a second.
    pub harmful_packets: f64,
}

impl Default for NetworkParameters {
    fn default() -> Self {
        Self {
            hammering: 8,
            repeated: 8,
            scanned: 15,
            failed_share: 0.5,
            failed_connections: 20.0,
            packets: 150.0,
            answered_share: 0.1,
            harmful: 1.5,
            harmful_packets: 5.0,
        }
    }
}

/// What a report of sums may count.
const REPORTED: [Signal; 5] = [
    Signal::OutboundConnections,
    Signal::FailedConnections,
    Signal::DistinctPeers,
    Signal::PacketsSent,
    Signal::PacketsReceived,
];
/// Kinds of traffic, as indices of what is counted.
const CONNECTIONS: usize = 0;
const FAILED: usize = 1;
const SENT: usize = 2;
const RECEIVED: usize = 3;

/// The rules about the network for one account: 184 bytes.
///
/// Feed it either the account's connections one by one, where they are seen, or what an agent counted of them. Time has
/// to be told about once a second while a flag is up ([`pass`](Self::pass)): silence lowers a flag.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Network {
    passing: Passing,
    /// When sums were last reported, as time passed; 0 before the first report.
    reported: u64,
    traffic: Recent,
    hammering: Latch,
    repeated: Latch,
    scan: Latch,
    connections: Latch,
    packets: Latch,
}

impl Network {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The rules whose flags are up.
    pub fn up(&self) -> impl Iterator<Item = Rule> {
        let latches = [
            (Rule::Hammering, self.hammering),
            (Rule::CommandAndControl, self.repeated),
            (Rule::Scan, self.scan),
            (Rule::DdosConnections, self.connections),
            (Rule::DdosPackets, self.packets),
        ];
        latches.into_iter().filter(|(_, latch)| latch.is_up()).map(|(rule, _)| rule)
    }

    /// Takes connections to one peer. `chance` gives the salts of windows that begin.
    pub fn connection(
        &mut self,
        at: Timestamp,
        connection: &Connection,
        connections: &mut Connections,
        parameters: &NetworkParameters,
        chance: &mut impl FnMut() -> u64,
        sink: &mut impl FnMut(Finding),
    ) {
        let elapsed = self.roll(at, Some((&mut *connections, chance)));
        // Where somebody hammers at a peer, that is what is said of it.
        let (fast, slow) = connections.add(connection, !self.hammering.is_up());
        self.traffic.add(CONNECTIONS, connection.attempts.into());
        self.traffic.add(FAILED, connection.failed.min(connection.attempts).into());
        self.traffic.add(SENT, connection.within(connection.packets_sent, TRAFFIC_WINDOW));
        self.traffic.add(RECEIVED, connection.within(connection.packets_received, TRAFFIC_WINDOW));
        self.judge_peers(elapsed, fast, slow, connections, parameters, sink);
        self.judge_traffic(elapsed, parameters, sink);
    }

    /// Tells what time it is where nothing happened.
    pub fn pass(
        &mut self,
        at: Timestamp,
        connections: &mut Connections,
        parameters: &NetworkParameters,
        chance: &mut impl FnMut() -> u64,
        sink: &mut impl FnMut(Finding),
    ) {
        let elapsed = self.roll(at, Some((&mut *connections, chance)));
        self.judge_peers(elapsed, Tally::default(), Tally::default(), connections, parameters, sink);
        self.judge_traffic(elapsed, parameters, sink);
    }

    /// Takes what was counted since the last report that counted any of it: others only tell what time it is. The first
    /// time says from when on is counted, and is not judged; nor is a report after the clock was set back, of which nobody
    /// knows how long it took.
    ///
    /// Sums say less than connections do, and what they leave open is taken in favour of the account: that every
    /// connection that was answered was to another peer, and that the others were to all peers alike.
    pub fn signals(
        &mut self,
        at: Timestamp,
        signals: &Signals,
        parameters: &NetworkParameters,
        sink: &mut impl FnMut(Finding),
    ) {
        let had_begun = self.passing.has_begun();
        let elapsed = self.roll(at, None::<(&mut Connections, &mut fn() -> u64)>);
        if !had_begun {
            self.reported = elapsed;
            return;
        }
        let count = |signal| signals.get(signal);
        if REPORTED.iter().all(|signal| count(*signal).is_none()) {
            return self.judge_traffic(elapsed, parameters, sink);
        }
        let interval = Duration::from_millis(elapsed - self.reported);
        self.reported = elapsed;
        if interval.is_zero() {
            return;
        }
        let mut traffic = [0; KINDS];
        if let (Some(opened), Some(failed)) = (count(Signal::OutboundConnections), count(Signal::FailedConnections)) {
            let failed = failed.min(opened);
            if let Some(peers) = count(Signal::DistinctPeers) {
                self.judge_sums(interval, Sums { opened, failed, peers }, parameters, sink);
            }
            (traffic[CONNECTIONS], traffic[FAILED]) = (opened, failed);
        }
        // Packets of which nobody says how many were answered are no evidence.
        if let (Some(sent), Some(received)) = (count(Signal::PacketsSent), count(Signal::PacketsReceived)) {
            let parts = |packets: u64| packets.saturating_mul(FRACTION);
            (traffic[SENT], traffic[RECEIVED]) = (parts(sent), parts(received));
        }
        // A report of a longer stretch stands for itself.
        if interval > TRAFFIC_WINDOW {
            self.traffic.clear(elapsed);
            return self.judge_flood(interval, interval, traffic, parameters, sink);
        }
        traffic.into_iter().enumerate().for_each(|(kind, count)| self.traffic.add(kind, count));
        self.judge_traffic(elapsed, parameters, sink);
    }

    fn roll(&mut self, at: Timestamp, peers: Option<(&mut Connections, &mut impl FnMut() -> u64)>) -> u64 {
        let elapsed = self.passing.take(at);
        self.traffic.roll(elapsed, TRAFFIC_WINDOW);
        if let Some((connections, chance)) = peers {
            connections.roll(elapsed, chance);
        }
        elapsed
    }

    fn judge_peers(
        &mut self,
        elapsed: u64,
        fast: Tally,
        slow: Tally,
        connections: &mut Connections,
        parameters: &NetworkParameters,
        sink: &mut impl FnMut(Finding),
    ) {
        let at = self.passing.now();
        let needed = parameters.failed_share;
        let attempts = |rule, tally: Tally, limit: u32, standing: u32, window| Measured {
            standing: f64::from(standing) / f64::from(limit),
            gate: Gate::Least { signal: "failed_share", observed: tally.failed_share(), limit: needed },
            harmful: parameters.harmful,
            ..Measured::new(rule, "attempts_at_one_peer", tally.attempts.into(), limit.into(), window)
        };
        let most = connections.fast.most(needed * LEAVE_AT);
        let window = connections.fast.span(elapsed, HAMMERING_WINDOW);
        let measured = attempts(Rule::Hammering, fast, parameters.hammering, most, window);
        if matches!(measured.judge(at, &mut self.hammering, sink), Some(Turn::Lowered)) {
            // What led to that flag is not held against the account once more.
            connections.slow.clear(elapsed);
        }
        let slow = if self.hammering.is_up() { Tally::default() } else { slow };
        let most = connections.slow.most(needed * LEAVE_AT);
        let window = connections.slow.span(elapsed, REPEATED_WINDOW);
        let measured = attempts(Rule::CommandAndControl, slow, parameters.repeated, most, window);
        Measured { fall: REPEATED_FALL, ..measured }.judge(at, &mut self.repeated, sink);
        let scan = connections.scan(elapsed);
        Measured {
            standing: scan.before / f64::from(parameters.scanned),
            most: f64::from(EXACT) / f64::from(parameters.scanned),
            gate: Gate::Least { signal: "failed_share", observed: scan.failed_share, limit: needed },
            harmful: parameters.harmful,
            ..Measured::new(Rule::Scan, "failed_peers", scan.peers, parameters.scanned.into(), scan.window)
        }
        .judge(at, &mut self.scan, sink);
    }

    fn judge_traffic(&mut self, elapsed: u64, parameters: &NetworkParameters, sink: &mut impl FnMut(Finding)) {
        let traffic = [CONNECTIONS, FAILED, SENT, RECEIVED].map(|kind| self.traffic.sum(kind));
        self.judge_flood(self.traffic.span(elapsed, TRAFFIC_WINDOW), TRAFFIC_WINDOW, traffic, parameters, sink);
    }

    /// `window` is what was counted over, and `allowed` what the limit is for. Packets are in parts of [`FRACTION`].
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    fn judge_flood(
        &mut self,
        window: Duration,
        allowed: Duration,
        [opened, failed, sent, received]: [u64; KINDS],
        parameters: &NetworkParameters,
        sink: &mut impl FnMut(Finding),
    ) {
        let at = self.passing.now();
        let [sent, received] = [sent, received].map(|parts| parts as f64 / FRACTION as f64);
        let (signal, limit) = (Signal::FailedConnections.name(), parameters.failed_connections * allowed.as_secs_f64());
        Measured {
            gate: Gate::Least {
                signal: "failed_share",
                observed: failed as f64 / opened.max(1) as f64,
                limit: parameters.failed_share,
            },
            ..Measured::new(Rule::DdosConnections, signal, failed as f64, limit, window)
        }
        .judge(at, &mut self.connections, sink);
        let (signal, limit) = (Signal::PacketsSent.name(), parameters.packets * allowed.as_secs_f64());
        Measured {
            gate: Gate::Most {
                signal: "answered_share",
                observed: received / sent.max(1.0),
                limit: parameters.answered_share,
            },
            harmful: parameters.harmful_packets,
            silent_at: PACKETS_SILENT_AT,
            ..Measured::new(Rule::DdosPackets, signal, sent, limit, window)
        }
        .judge(at, &mut self.packets, sink);
    }

    /// What the sums of a report leave no doubt of, by the pigeonhole principle.
    #[expect(clippy::cast_precision_loss, reason = "counts of one report")]
    fn judge_sums(
        &mut self,
        interval: Duration,
        sums: Sums,
        parameters: &NetworkParameters,
        sink: &mut impl FnMut(Finding),
    ) {
        let at = self.passing.now();
        let Sums { opened, failed, peers } = sums;
        let share = failed as f64 / opened.max(1) as f64;
        let gate = Gate::Least { signal: "failed_share", observed: share, limit: parameters.failed_share };
        // How many windows of the rule the report is as long as, and no less than one.
        let windows = |window: Duration| (millis(interval) as f64 / millis(window) as f64).max(1.0);
        let signal = Signal::OutboundConnections.name();
        for (rule, limit, window, harmful) in [
            (Rule::Hammering, parameters.hammering, HAMMERING_WINDOW, parameters.harmful),
            (Rule::CommandAndControl, parameters.repeated, REPEATED_WINDOW, f64::INFINITY),
        ] {
            let limit = f64::from(limit) * windows(window) * peers.max(1) as f64;
            let latch = if rule == Rule::Hammering { &mut self.hammering } else { &mut self.repeated };
            let measured = Measured::new(rule, signal, opened as f64, limit, interval);
            Measured { gate, harmful, ..measured }.judge(at, latch, sink);
        }
        let answered = (opened - failed) as f64;
        let limit = f64::from(parameters.scanned) * windows(SCAN_WINDOW) + answered;
        let measured =
            Measured::new(Rule::Scan, Signal::DistinctPeers.name(), peers.min(opened) as f64, limit, interval);
        Measured { gate, harmful: parameters.harmful, ..measured }.judge(at, &mut self.scan, sink);
    }
}

/// What a report says of connections.
#[derive(Debug, Clone, Copy)]
struct Sums {
    opened: u64,
    failed: u64,
    peers: u64,
}

#[cfg(test)]
mod tests;

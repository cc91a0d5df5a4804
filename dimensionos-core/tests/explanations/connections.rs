//! Connections one by one, as whoever sees them feeds them.

use std::collections::BTreeSet;
use std::time::Duration;

use dimensionos_core::Timestamp;
use dimensionos_core::tos::detectors::{Connection, Connections, Network, NetworkParameters, TRAFFIC_WINDOW};
use dimensionos_core::tos::{Finding, Flag, Rule};

use crate::account::{BEGIN, flags};
use crate::chance::Chance;
use crate::figures::is_in_window;
use crate::{Held, TOLERANCE};

type Event = (Timestamp, Connection);

/// Peers up to which a table has room for all of them.
const FEW: u64 = 8;
/// Peers up to which different ones are counted exactly, and five standard errors of the estimate above.
const EXACT: f64 = 32.0;
const ESTIMATE: f64 = 0.08;

/// Holds the flags of three accounts: one at few peers, a slow one, and one that scans or floods.
pub(crate) fn hold(seed: u64, held: &mut Held) {
    for (index, (apart, peers)) in [(2_500, FEW), (20_000, 4), (120, 64)].into_iter().enumerate() {
        let events = events(&mut Chance(seed * 3 + index as u64), apart, peers);
        for flag in flags(&run(&events)) {
            let until = events.partition_point(|(at, _)| *at <= flag.at);
            let events = &events[..until];
            let peer = events[until - 1].1.peer;
            let exact = recomputed(&flag, events, peer);
            let is_of_one = matches!(flag.rule, Rule::Hammering | Rule::CommandAndControl);
            if is_of_one && peers > FEW && flag.figure.observed < exact {
                // A peer that had to make room is counted from anew: no fewer attempts than are said, and less of them
                // is less of what is said.
                let again = flags(&run(&with_less(&flag, events, peer)));
                held.hold(&flag, flag.figure.observed, 0.0, &again, seed);
                continue;
            }
            let tolerance = if flag.rule == Rule::Scan && exact > EXACT { ESTIMATE } else { TOLERANCE };
            let again = flags(&run(&with_less(&flag, events, peer)));
            held.hold(&flag, exact, tolerance, &again, seed);
        }
    }
}

fn run(events: &[Event]) -> Vec<Finding> {
    let (mut network, mut connections, mut chance) = (Network::new(), Connections::new(), Chance(1));
    let mut found = Vec::new();
    for (at, connection) in events {
        let parameters = NetworkParameters::default();
        let mut sink = |finding| found.push(finding);
        network.connection(*at, connection, &mut connections, &parameters, &mut || chance.next(), &mut sink);
    }
    found
}

fn events(chance: &mut Chance, apart: u64, peers: u64) -> Vec<Event> {
    let (mut at, fails) = (BEGIN, chance.one_in(2));
    let mut events = Vec::new();
    for _ in 0..90 {
        at = at.after(Duration::from_millis(chance.between(1, apart)));
        let attempts = u32::try_from(chance.between(1, 2)).unwrap();
        let packets_sent = chance.between(0, 400);
        let connection = Connection {
            peer: chance.between(1, peers),
            attempts,
            failed: if fails || chance.one_in(2) { attempts } else { 0 },
            packets_sent,
            packets_received: packets_sent / 20,
            lasting: Duration::from_millis(chance.between(0, 9_000)),
        };
        events.push((at, connection));
    }
    events
}

fn recomputed(flag: &Flag, events: &[Event], at_peer: u64) -> f64 {
    let within = || events.iter().filter(|(at, _)| is_in_window(flag, *at)).map(|(_, connection)| connection);
    match flag.rule {
        Rule::Hammering | Rule::CommandAndControl => {
            within().filter(|of| of.peer == at_peer).map(|of| f64::from(of.attempts)).sum()
        }
        Rule::Scan => {
            let peers: BTreeSet<u64> = within().filter(|of| of.failed > 0).map(|of| of.peer).collect();
            f64::from(u32::try_from(peers.len()).unwrap())
        }
        Rule::DdosConnections => within().map(|of| f64::from(of.failed)).sum(),
        // As far as the packets fall into the window, as if they had come evenly.
        _ => within()
            .map(|of| packets(of) * TRAFFIC_WINDOW.as_secs_f64() / of.lasting.max(TRAFFIC_WINDOW).as_secs_f64())
            .sum(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "some hundred")]
fn packets(of: &Connection) -> f64 {
    of.packets_sent as f64
}

/// The same events with no more of the signal in the flag's window than the counterfactual says.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded down, as no more than so much")]
fn with_less(flag: &Flag, events: &[Event], at_peer: u64) -> Vec<Event> {
    let part = flag.counterfactual.at_most / flag.figure.observed;
    let less = |count: u32| (f64::from(count) * part) as u32;
    let mut peers = BTreeSet::new();
    let change = |(at, connection): &Event| {
        let mut connection = *connection;
        if is_in_window(flag, *at) {
            match flag.rule {
                Rule::Hammering | Rule::CommandAndControl if connection.peer == at_peer => {
                    connection.attempts = less(connection.attempts);
                }
                Rule::Scan if connection.failed > 0 => {
                    // So many peers fail, and the others answer.
                    if f64::from(u32::try_from(peers.len()).unwrap()) < flag.counterfactual.at_most.floor() {
                        peers.insert(connection.peer);
                    }
                    if !peers.contains(&connection.peer) {
                        connection.failed = 0;
                    }
                }
                Rule::DdosConnections => connection.failed = less(connection.failed),
                Rule::DdosPackets => connection.packets_sent = (packets(&connection) * part) as u64,
                _ => {}
            }
        }
        (*at, connection)
    };
    events.iter().map(change).collect()
}

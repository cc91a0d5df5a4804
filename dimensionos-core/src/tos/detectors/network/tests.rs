use proptest::prelude::*;

use super::*;
use crate::tos::flag::Flag;
use crate::tos::rule::Severity;

const START: i64 = 1_700_000_000_000;

type Event = (Timestamp, Connection);

fn run(events: &[Event]) -> Vec<Finding> {
    let (mut network, mut connections, mut salt) = (Network::new(), Connections::new(), 0);
    let mut found = Vec::new();
    for (at, connection) in events {
        let mut chance = || {
            salt += 1;
            salt
        };
        let mut sink = |finding| found.push(finding);
        network.connection(*at, connection, &mut connections, &NetworkParameters::default(), &mut chance, &mut sink);
    }
    found
}

fn flags(found: &[Finding]) -> Vec<Flag> {
    let raised = |finding: &Finding| if let Finding::Raised(flag) = finding { Some(*flag) } else { None };
    found.iter().filter_map(raised).collect()
}

/// Connections one after the other, so many milliseconds apart.
fn every(millis: i64, count: i64, connection: impl Fn(i64) -> Connection) -> Vec<Event> {
    (0..count).map(|index| (Timestamp::from_millis(START + index * millis), connection(index))).collect()
}

fn to(peer: u64, failed: bool) -> Connection {
    Connection { peer, attempts: 1, failed: u32::from(failed), packets_sent: 3, ..Connection::default() }
}

fn in_window(flag: &Flag, at: Timestamp) -> bool {
    at > flag.at.before(flag.window) && at <= flag.at
}

/// The figure of a flag, from the events alone.
fn recomputed(flag: &Flag, events: &[Event], at_peer: u64) -> f64 {
    let within = || events.iter().filter(|(at, _)| in_window(flag, *at)).map(|(_, connection)| connection);
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let sum = |of: &dyn Fn(&Connection) -> u64| within().map(of).sum::<u64>() as f64;
    match flag.rule {
        Rule::Hammering | Rule::CommandAndControl => sum(&|of| if of.peer == at_peer { of.attempts.into() } else { 0 }),
        Rule::Scan => {
            let peers: std::collections::BTreeSet<u64> =
                within().filter(|of| of.failed > 0).map(|of| of.peer).collect();
            #[expect(clippy::cast_precision_loss, reason = "small counts")]
            let count = peers.len() as f64;
            count
        }
        Rule::DdosConnections => sum(&|of| of.failed.into()),
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        _ => sum(&|of| of.within(of.packets_sent, TRAFFIC_WINDOW)) / FRACTION as f64,
    }
}

/// The same events with no more of the signal in the flag's window than the counterfactual says.
fn with_less(flag: &Flag, events: &[Event], at_peer: u64) -> Vec<Event> {
    let part = flag.counterfactual.at_most / flag.figure.observed;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small counts, rounded down")]
    let less = |count: u32| (f64::from(count) * part) as u32;
    let mut peers = Vec::new();
    let change = |(at, connection): &Event| {
        let mut connection = *connection;
        if in_window(flag, *at) {
            match flag.rule {
                Rule::Hammering | Rule::CommandAndControl if connection.peer != at_peer => {}
                Rule::Hammering | Rule::CommandAndControl => connection.attempts = less(connection.attempts),
                Rule::Scan if connection.failed > 0 => {
                    if !peers.contains(&connection.peer) {
                        peers.push(connection.peer);
                    }
                    let place = peers.iter().position(|peer| *peer == connection.peer).unwrap();
                    if f64::from(u32::try_from(place).unwrap()) >= flag.counterfactual.at_most {
                        connection.failed = 0;
                    }
                }
                Rule::DdosConnections => connection.failed = less(connection.failed),
                Rule::DdosPackets => {
                    connection.packets_sent = less(u32::try_from(connection.packets_sent).unwrap()).into();
                }
                _ => {}
            }
        }
        (*at, connection)
    };
    events.iter().map(change).collect()
}

/// Every flag says what the events say, and none goes up where its counterfactual holds.
fn check(events: &[Event], of: impl Fn(&Flag) -> bool) -> Result<(), TestCaseError> {
    for flag in flags(&run(events)).into_iter().filter(of) {
        let candidates: Vec<u64> =
            events.iter().filter(|(at, _)| *at == flag.at).map(|(_, connection)| connection.peer).collect();
        let agrees = |peer: &&u64| {
            (recomputed(&flag, events, **peer) - flag.figure.observed).abs() <= 0.05 * flag.figure.observed
        };
        let peer = candidates.iter().find(agrees);
        prop_assert!(peer.is_some(), "{flag:?}");
        prop_assert!(flag.figure.observed > flag.figure.limit);
        let silent = flags(&run(&with_less(&flag, events, *peer.unwrap())));
        let again = silent.iter().find(|other| other.rule == flag.rule && other.at == flag.at);
        prop_assert!(again.is_none(), "{flag:?} and still {again:?}");
    }
    Ok(())
}

prop_compose! {
    /// A busy account: up to `peers` peers, so many milliseconds apart at most.
    fn account(apart: u64, peers: u64)(
        of in prop::collection::vec((1..apart, 0..peers, 1_u32..3, any::<bool>(), 0_u64..400, 0_u64..9_000), 20..120),
        fails: bool,
    ) -> Vec<Event> {
        let mut at = Timestamp::from_millis(START);
        of.into_iter().map(|(step, peer, attempts, failed, packets_sent, lasting)| {
            at = at.after(Duration::from_millis(step));
            let failed = if failed || fails { attempts } else { 0 };
            let lasting = Duration::from_millis(lasting);
            (at, Connection { peer, attempts, failed, packets_sent, packets_received: packets_sent / 20, lasting })
        }).collect()
    }
}

proptest! {
    #[test]
    fn flags_of_attempts_at_few_peers_are_honest(events in account(2_500, 8)) {
        check(&events, |_| true)?;
    }

    #[test]
    fn flags_of_slow_attempts_are_honest(events in account(20_000, 4)) {
        check(&events, |_| true)?;
    }

    #[test]
    fn flags_of_scans_and_floods_are_honest(events in account(120, 32)) {
        // Peers that had to make room are counted from anew, which may only be too few.
        let own = |event: &Flag| matches!(event.rule, Rule::Scan | Rule::DdosConnections | Rule::DdosPackets);
        check(&events, own)?;
    }

    #[test]
    fn a_restart_from_what_was_saved_changes_nothing(events in account(1_000, 20), cut in 0_usize..120) {
        let (mut network, mut connections, mut salt) = (Network::new(), Connections::new(), 0_u64);
        let mut found = Vec::new();
        for (index, (at, connection)) in events.iter().enumerate() {
            if index == cut {
                let saved = serde_json::to_string(&(network, connections)).unwrap();
                (network, connections) = serde_json::from_str(&saved).unwrap();
            }
            let mut chance = || { salt += 1; salt };
            let parameters = NetworkParameters::default();
            network.connection(*at, connection, &mut connections, &parameters, &mut chance, &mut |of| found.push(of));
        }
        prop_assert_eq!(found, run(&events));
    }

    #[test]
    fn sums_are_honest_and_never_say_more_than_connections_do(
        reports in prop::collection::vec((200_u64..90_000, 0_u64..400, 0_u64..400, 1_u64..60, 0_u64..9_000, 0_u64..900), 2..40),
    ) {
        let signals = |failed: u64, answered: u64, peers: u64, sent: u64, received: u64| {
            Signals::new()
                .with(Signal::OutboundConnections, failed + answered)
                .with(Signal::FailedConnections, failed)
                .with(Signal::DistinctPeers, peers)
                .with(Signal::PacketsSent, sent)
                .with(Signal::PacketsReceived, received)
        };
        let mut at = Timestamp::from_millis(START);
        let all: Vec<(Timestamp, Signals)> = reports.into_iter().map(|(step, failed, answered, peers, sent, received)| {
            at = at.after(Duration::from_millis(step));
            (at, signals(failed, answered / 4, peers.min(failed + answered / 4), sent, received))
        }).collect();
        let run = |all: &[(Timestamp, Signals)]| {
            let (mut network, mut found) = (Network::new(), Vec::new());
            for (at, signals) in all {
                network.signals(*at, signals, &NetworkParameters::default(), &mut |finding| found.push(finding));
            }
            flags(&found)
        };
        for flag in run(&all) {
            let signal = Signal::ALL.into_iter().find(|signal| signal.name() == flag.figure.signal).unwrap();
            let within = all.iter().skip(1).filter(|(at, _)| in_window(&flag, *at));
            #[expect(clippy::cast_precision_loss, reason = "small counts")]
            let sum = within.map(|(_, of)| of.get(signal).unwrap()).sum::<u64>() as f64;
            prop_assert!((sum - flag.figure.observed).abs() <= 0.05 * sum, "{sum}: {flag:?}");
            let part = flag.counterfactual.at_most / flag.figure.observed;
            let less: Vec<_> = all.iter().map(|(at, of)| {
                let changed = Signal::ALL.into_iter().filter_map(|other| Some((other, of.get(other)?)));
                #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small counts")]
                let changed = changed.fold(Signals::new(), |sum, (other, count)| {
                    let scaled = other == signal && in_window(&flag, *at);
                    sum.with(other, if scaled { (count as f64 * part) as u64 } else { count })
                });
                (*at, changed)
            }).collect();
            prop_assert!(run(&less).iter().all(|other| other.rule != flag.rule || other.at != flag.at), "{flag:?}");
        }
    }
}

#[test]
fn passwords_tried_at_one_peer_warn_and_then_restrict_and_silence_lowers() {
    let mut events = every(400, 40, |index| to(1, index % 3 != 0));
    let last = events.last().unwrap().0;
    events.extend((1..20).map(|second| (last.after(Duration::from_secs(second)), to(9, false))));
    let found = run(&events);
    let raised = flags(&found);
    assert!(raised.iter().all(|flag| flag.rule == Rule::Hammering), "{raised:?}");
    assert_eq!(raised[0].severity, Severity::Warn);
    assert_eq!(raised.last().unwrap().severity, Severity::Restrict);
    let down = found.iter().find_map(|finding| match finding {
        Finding::Lowered { rule: Rule::Hammering, at } => Some(at.since(last)),
        _ => None,
    });
    assert!(down.is_some_and(|after| after <= Duration::from_secs(13)), "{down:?}");
}

#[test]
fn good_sessions_and_time_that_nobody_tells_are_silent() {
    // Two tries at a password and a session; a server whose time is asked once a minute, in vain.
    assert_eq!(run(&every(3_000, 3, |index| to(1, index == 0))), []);
    assert_eq!(run(&every(64_000, 500, |_| to(7, true))), []);
    // A crawler that opens thirty a second at as many peers, of which one in ten is down.
    let crawl = |index: i64| Connection { packets_received: 3, ..to(u64::try_from(index).unwrap(), index % 10 == 0) };
    assert_eq!(run(&every(33, 3_000, crawl)), []);
}

#[test]
fn calling_home_in_vain_is_a_warning_and_no_more() {
    let raised = flags(&run(&every(9_000, 100, |_| to(3, true))));
    assert!(!raised.is_empty());
    assert!(raised.iter().all(|flag| flag.rule == Rule::CommandAndControl && flag.severity == Severity::Warn));
}

#[test]
fn a_scan_restricts_within_a_minute_and_names_nobody() {
    let raised = flags(&run(&every(900, 300, |index| to(u64::try_from(index).unwrap(), true))));
    assert!(raised.iter().any(|flag| flag.rule == Rule::Scan && flag.severity == Severity::Restrict), "{raised:?}");
    assert!(raised.iter().all(|flag| flag.rule == Rule::Scan));
}

#[test]
fn a_flood_restricts_within_two_seconds() {
    for flood in
        [every(20, 200, |_| to(5, true)), every(1_000, 2, |_| Connection { packets_sent: 1_600, ..to(5, true) })]
    {
        let raised = flags(&run(&flood));
        let first = raised.iter().find(|flag| flag.rule.kind() == crate::tos::ViolationKind::Ddos).unwrap();
        assert_eq!(first.severity, Severity::Restrict);
        assert!(first.at.as_millis() <= START + 2_000, "{first:?}");
    }
}

#[test]
fn packets_of_which_nobody_says_how_many_were_answered_are_no_evidence() {
    let mut network = Network::new();
    let signals = Signals::new().with(Signal::PacketsSent, 1_000_000).with(Signal::OutboundConnections, 1_000_000);
    for second in 0..100 {
        let at = Timestamp::from_millis(START + second * 1_000);
        network.signals(at, &signals, &NetworkParameters::default(), &mut |finding| panic!("{finding:?}"));
    }
}

#[test]
fn a_clock_that_is_set_back_raises_nothing_by_itself() {
    // One failure every twenty seconds, and the clock an hour back and forth in between.
    let step = |index: i64| if (index / 7) % 2 == 0 { 0 } else { 3_600_000 };
    let events: Vec<Event> =
        (0..200).map(|index| (Timestamp::from_millis(START + index * 20_000 - step(index)), to(1, true))).collect();
    assert_eq!(run(&events), []);
}

#[test]
fn the_rules_take_as_many_bytes_as_they_say() {
    assert_eq!(size_of::<Network>(), 184);
}

//! Westermo's industrial test bed: good and bad SSH, scans, and much that numbers cannot tell (Strandberg et al., 2023).

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use dimensionos_core::Timestamp;
use dimensionos_core::tos::detectors::{Connection, NetworkParameters};
use dimensionos_core::tos::{Rule, Severity};
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value, json};

use crate::flows::{self, Stretch, Watched};
use crate::statistics::{median, rate};

/// The flows' clock is this far behind that of the events.
const CLOCK_OFFSET_SECONDS: f64 = 3_600.0;
/// What is known of an event's last half second comes after its end.
const GRACE: Duration = Duration::from_secs(1);
/// Kinds of events that counts can show: passwords and ports being tried. A man in the middle by ARP sends less than the
/// network itself, and a wrong or doubled address is a mistake and no abuse.
const VISIBLE: [&str; 3] = ["BAD-SSH", "BAD-PORTSCAN1", "BAD-PORTSCAN2"];
const GOOD: &str = "GOOD-SSH";

/// Puts `westermo` into the report.
///
/// The flows of each file are what one tap of the network saw, of half a second each, and are fed to a detector for each
/// address at their end. A tap sees a part of the hosts, and some see a packet twice. An event is detected where a flag
/// goes up at any tap while it lasts; a good session counts against the detector if a flag of anybody is up anywhere at
/// any time of it, even one that was raised before.
pub(crate) fn evaluate(folder: &Path, report: &mut Map<String, Value>) -> Result<(), Box<dyn Error>> {
    let mut taps = Vec::new();
    let mut events = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "gz") {
            let log = BufReader::new(MultiGzDecoder::new(File::open(path)?));
            taps.push(Tap::watch(read(log)?));
        } else if path.file_name().is_some_and(|name| name == "events.txt") {
            events = read_events(&fs::read_to_string(path)?);
        }
    }
    let last = taps.iter().filter_map(|tap| tap.sides.last()).map(|side| side.at).max().unwrap_or(Timestamp::EPOCH);
    let first = taps.iter().filter_map(|tap| tap.sides.first()).map(|side| side.at).min().unwrap_or(Timestamp::EPOCH);
    let events: Vec<Event> = events
        .into_iter()
        .filter(|event| event.from >= first && event.from < last)
        .map(|event| Event { to: event.to.min(last), ..event })
        .collect();
    let visible: Vec<&Event> = events.iter().filter(|event| VISIBLE.contains(&event.kind.as_str())).collect();
    let good: Vec<&Event> = events.iter().filter(|event| event.kind == GOOD).collect();

    let mut westermo = Map::new();
    score(&mut westermo, "", &taps, &visible);
    for kind in VISIBLE {
        let of: Vec<&Event> = visible.iter().copied().filter(|event| event.kind == kind).collect();
        score(&mut westermo, &format!("{}.", kind.to_ascii_lowercase()), &taps, &of);
    }
    let middle = Timestamp::from_millis(i64::midpoint(first.as_millis(), last.as_millis()));
    let (early, late): (Vec<&Event>, Vec<&Event>) = visible.iter().partition(|event| event.from < middle);
    score(&mut westermo, "first_half.", &taps, &early);
    score(&mut westermo, "second_half.", &taps, &late);
    let during = |event: &Event| {
        taps.iter().flat_map(Tap::stretches).any(|stretch| stretch.meets(event.from, event.to.after(GRACE)))
    };
    let flagged = good.iter().filter(|event| during(event)).count() as u64;
    westermo.insert("good_ssh_flagged".into(), json!(flagged));
    westermo.insert("good_ssh_flagged_bound".into(), rate(flagged, good.len() as u64));
    let windows = taps.iter().map(Tap::windows).fold((0, 0), |sum, (found, of)| (sum.0 + found, sum.1 + of));
    westermo.insert("window_recall".into(), rate(windows.0, windows.1)["rate"].clone());
    westermo.insert("window_recall_bound".into(), rate(windows.0, windows.1));
    for rule in [Rule::CommandAndControl, Rule::Hammering, Rule::Scan, Rule::DdosConnections, Rule::DdosPackets] {
        let alone = visible.iter().filter(|event| delay(&taps, event, |of| of == rule).is_some()).count();
        let without = visible.iter().filter(|event| delay(&taps, event, |of| of != rule).is_some()).count();
        westermo
            .insert(format!("ablation.{}", rule.name()), json!({"alone_detected": alone, "without_detected": without}));
    }
    let outside = |severity| {
        let flags = taps.iter().flat_map(|tap| tap.accounts.values()).flat_map(|account| &account.raised);
        let is_bad = |at| {
            events.iter().any(|event| event.kind.starts_with("BAD") && event.from <= at && at <= event.to.after(GRACE))
        };
        flags.filter(|flag| flag.severity == severity && !is_bad(flag.at)).count()
    };
    westermo.insert("outside_events.warn".into(), json!(outside(Severity::Warn)));
    westermo.insert("outside_events.restrict".into(), json!(outside(Severity::Restrict)));
    report.insert("westermo".into(), westermo.into());
    Ok(())
}

/// How many events there were, how many were detected, and how long after their start.
fn score(into: &mut Map<String, Value>, under: &str, taps: &[Tap], events: &[&Event]) {
    let delays: Vec<f64> = events.iter().filter_map(|event| delay(taps, event, |_| true)).collect();
    into.insert(format!("{under}events"), json!(events.len()));
    into.insert(format!("{under}detected"), json!(delays.len()));
    into.insert(format!("{under}detected_bound"), rate(delays.len() as u64, events.len() as u64));
    into.insert(format!("{under}max_delay_s"), json!(delays.iter().copied().max_by(f64::total_cmp)));
    into.insert(format!("{under}median_delay_s"), json!(median(delays)));
    // A tap that sees packets twice counts twice as fast; this is the slowest of those that detect the event.
    let slowest = |event: &&&Event| {
        taps.iter().filter_map(|tap| delay(std::slice::from_ref(tap), event, |_| true)).max_by(f64::total_cmp)
    };
    into.insert(
        format!("{under}slowest_tap_median_delay_s"),
        json!(median(events.iter().filter_map(|event| slowest(&event)).collect())),
    );
}

/// How long after the start of an event the first flag went up at any tap.
fn delay(taps: &[Tap], event: &Event, counts: impl Fn(Rule) -> bool) -> Option<f64> {
    let raised = taps.iter().flat_map(|tap| tap.accounts.values()).flat_map(|account| &account.raised);
    let during = raised.filter(|flag| counts(flag.rule) && event.from <= flag.at && flag.at <= event.to.after(GRACE));
    during.map(|flag| flag.at.since(event.from).as_secs_f64()).min_by(f64::total_cmp)
}

#[derive(Debug, Clone)]
struct Event {
    kind: String,
    from: Timestamp,
    to: Timestamp,
}

/// Lines of `[seconds -- date -- offset] [KIND-START] what`. An event without an end lasts until the data ends.
fn read_events(text: &str) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for line in text.lines() {
        let Some((head, rest)) = line.trim_start_matches('[').split_once(']') else { continue };
        let Some(seconds) = head.split(' ').next().and_then(|seconds| seconds.parse().ok()) else { continue };
        let Some((name, _)) = rest.trim_start_matches([' ', '[']).split_once(']') else { continue };
        let at = flows::millis(seconds);
        if let Some(kind) = name.strip_suffix("-START") {
            events.push(Event { kind: kind.to_owned(), from: at, to: Timestamp::from_millis(i64::MAX) });
        } else if let Some(kind) = name.strip_suffix("-END")
            && let Some(event) = events.iter_mut().rev().find(|event| event.kind == kind)
        {
            event.to = at;
        }
    }
    events
}

/// One side of a flow, when it ended.
#[derive(Debug, Clone)]
struct Side {
    at: Timestamp,
    address: String,
    seen: Connection,
    label: String,
}

/// One tap of the network.
struct Tap {
    sides: Vec<Side>,
    accounts: BTreeMap<String, Watched>,
}

impl Tap {
    fn watch(mut sides: Vec<Side>) -> Self {
        sides.sort_by_key(|side| side.at);
        let mut accounts: BTreeMap<String, Watched> = BTreeMap::new();
        for side in &sides {
            let watched =
                accounts.entry(side.address.clone()).or_insert_with(|| Watched::new(NetworkParameters::default()));
            watched.connection(side.at, &side.seen);
        }
        accounts.values_mut().for_each(Watched::finish);
        Self { sides, accounts }
    }

    fn stretches(&self) -> impl Iterator<Item = &Stretch> {
        self.accounts.values().flat_map(|account| &account.stretches)
    }

    /// Seconds in which an address opened connections that are labelled as an attack that counts can show; and in how
    /// many of them a flag of that address was up by the end of the second.
    fn windows(&self) -> (u64, u64) {
        let attacks = self.sides.iter().filter(|side| side.seen.attempts > 0 && VISIBLE.contains(&side.label.as_str()));
        let seconds: BTreeSet<(&str, i64)> =
            attacks.map(|side| (side.address.as_str(), side.at.as_seconds())).collect();
        let is_up = |(address, second): &&(&str, i64)| {
            let end = Timestamp::from_millis((second + 1) * 1_000 - 1);
            let start = Timestamp::from_millis(second * 1_000);
            self.accounts.get(*address).is_some_and(|account| account.stretches.iter().any(|of| of.meets(start, end)))
        };
        (seconds.iter().filter(is_up).count() as u64, seconds.len() as u64)
    }
}

/// Reads flows, whose columns the first line names, as what each of their two sides saw.
fn read(mut log: impl BufRead) -> Result<Vec<Side>, Box<dyn Error>> {
    let mut head = String::new();
    log.read_line(&mut head)?;
    let columns: BTreeMap<&str, usize> = head.trim_end().split(',').zip(0..).collect();
    let mut sides = Vec::new();
    for line in log.lines() {
        let line = line?;
        let fields: Vec<&str> = line.split(',').collect();
        sides.extend(both(&columns, &fields).ok_or_else(|| format!("no flow: {line}"))?);
    }
    Ok(sides)
}

/// What one side of a flow sent.
#[derive(Debug, Clone, Copy)]
struct Sent {
    packets: f64,
    /// Packets that ask for a connection, or agree to one.
    syn: f64,
    /// Packets that break one off.
    rst: f64,
    /// Packets that ask for a connection: they alone acknowledge nothing.
    asking: f64,
}

fn both(columns: &BTreeMap<&str, usize>, fields: &[&str]) -> Option<[Side; 2]> {
    let field = |name: &str| fields.get(*columns.get(name)?).copied();
    // A side that sent nothing, and a protocol that has no such packets, have empty fields.
    let number = |name: String| field(&name).and_then(|number| number.parse::<f64>().ok());
    let sent = |side: char| {
        let packets = number(format!("{side}Packets"))?;
        let of = |what: &str| (number(format!("{side}{what}Rate")).unwrap_or(0.0) * packets).round();
        let (syn, rst) = (of("Syn"), of("Rst"));
        let silent = packets - number(format!("{side}AckRate")).map_or(packets, |share| (share * packets).round());
        // What breaks a connection off may acknowledge nothing either.
        Some(Sent { packets, syn, rst, asking: syn.min((silent - rst).max(0.0)) })
    };
    let (one, other) = (sent('s')?, sent('r')?);
    let at = flows::millis(field("end")?.parse::<f64>().ok()? + CLOCK_OFFSET_SECONDS);
    let lasting = Duration::from_secs_f64(field("duration")?.parse::<f64>().ok()?.max(0.0));
    let (first, second) = (field("sAddress")?, field("rAddress")?);
    let label = field("NST_M_Label")?;
    let side = |own: &str, peer: &str, sent: Sent, answered: Sent| {
        // Nobody agreed, or the other side broke it off after it had.
        let agreed = answered.syn - answered.asking;
        let failed = (sent.asking - agreed).max(0.0) + answered.rst.min(agreed);
        Side {
            at,
            address: own.to_owned(),
            seen: Connection {
                peer: flows::peer(peer),
                attempts: whole(sent.asking),
                failed: whole(failed.min(sent.asking)),
                packets_sent: whole(sent.packets).into(),
                packets_received: whole(answered.packets).into(),
                lasting,
            },
            label: label.to_owned(),
        }
    };
    Some([side(first, second, one, other), side(second, first, other, one)])
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of half a second")]
fn whole(count: f64) -> u32 {
    count.max(0.0) as u32
}

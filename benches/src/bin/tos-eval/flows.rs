//! Connections as Zeek writes them down, and an account that is watched while they come in.

use std::collections::BTreeMap;
use std::error::Error;
use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use dimensionos_core::Timestamp;
use dimensionos_core::tos::detectors::{Connection, Connections, Network, NetworkParameters};
use dimensionos_core::tos::{Finding, Flag, Rule, Severity, ViolationKind};

/// One line of a connection log.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    pub(crate) start: f64,
    pub(crate) from: String,
    /// What is known at the end, from the account's own side.
    pub(crate) seen: Connection,
    pub(crate) is_local: bool,
    /// The last two columns of a labelled log.
    pub(crate) label: Option<String>,
}

impl Flow {
    /// When what became of it is known: a detector hears of it no sooner.
    pub(crate) fn end(&self) -> Timestamp {
        millis(self.start).after(self.seen.lasting)
    }
}

/// An instant of seconds since the epoch, as logs have them.
#[expect(clippy::cast_possible_truncation, reason = "instants of this century")]
pub(crate) fn millis(seconds: f64) -> Timestamp {
    Timestamp::from_millis((seconds * 1_000.0).round() as i64)
}

/// A number that stands for a peer.
pub(crate) fn peer(address: &str) -> u64 {
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    hasher.write(address.as_bytes());
    hasher.finish()
}

/// Reads a connection log of Zeek's, whose columns its `#fields` line names.
///
/// # Errors
/// Where a line is not what the columns say.
pub(crate) fn read(log: impl Read) -> Result<Vec<Flow>, Box<dyn Error>> {
    let mut columns = BTreeMap::new();
    let mut flows = Vec::new();
    for line in BufReader::new(log).lines() {
        let line = line?;
        if let Some(names) = line.strip_prefix("#fields\t") {
            columns = names.split('\t').map(str::to_owned).zip(0..).collect();
        }
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        let fields: Vec<&str> = line.split('\t').collect();
        flows.push(flow(&columns, &fields).ok_or_else(|| format!("no connection: {line}"))?);
    }
    Ok(flows)
}

fn flow(columns: &BTreeMap<String, usize>, fields: &[&str]) -> Option<Flow> {
    let field = |name: &str| fields.get(*columns.get(name)?).copied();
    let count = |name| field(name).and_then(|count| count.parse().ok()).unwrap_or(0);
    let lasting: f64 = field("duration")?.parse().unwrap_or(0.0);
    let (sent, received) = (count("orig_pkts"), count("resp_pkts"));
    let opens = field("proto")? != "icmp";
    // Nobody took it (S0, SH), it was refused (REJ), or it was given up before an answer (RSTOS0); in the middle of
    // something (OTH), it is an attempt where nothing ever came back.
    let has_failed = match field("conn_state")? {
        "S0" | "REJ" | "RSTOS0" | "SH" => true,
        "OTH" => received == 0,
        _ => false,
    };
    Some(Flow {
        start: field("ts")?.parse().ok()?,
        from: field("id.orig_h")?.to_owned(),
        seen: Connection {
            peer: peer(field("id.resp_h")?),
            attempts: u32::from(opens),
            failed: u32::from(opens && has_failed),
            packets_sent: sent,
            packets_received: received,
            lasting: Duration::from_secs_f64(lasting.max(0.0)),
        },
        is_local: field("local_orig").is_some_and(|is_local| is_local == "T"),
        label: fields.last().and_then(|last| last.split_once("   ")).map(|(_, label)| label.to_owned()),
    })
}

/// A stretch during which a flag was up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) rule: Rule,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Stretch {
    pub(crate) fn meets(&self, from: Timestamp, to: Timestamp) -> bool {
        self.from <= to && from <= self.to
    }

    /// Whether it is about a flood: many connections or packets, or many of them at one peer.
    pub(crate) fn is_of_a_flood(&self) -> bool {
        self.rule == Rule::Hammering || self.rule.kind() == ViolationKind::Ddos
    }
}

/// An account and what its detectors said.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    network: Network,
    connections: Connections,
    parameters: NetworkParameters,
    chance: u64,
    now: Option<Timestamp>,
    open: Vec<(Rule, Timestamp)>,
    /// Every flag, in the order in which they were raised.
    pub(crate) raised: Vec<Flag>,
    /// When flags were up, once [`finish`](Self::finish) was called.
    pub(crate) stretches: Vec<Stretch>,
}

impl Watched {
    pub(crate) fn new(parameters: NetworkParameters) -> Self {
        Self { parameters, ..Self::default() }
    }

    /// Takes a connection; connections come in the order of when they are known.
    pub(crate) fn connection(&mut self, at: Timestamp, connection: &Connection) {
        self.pass(at);
        let mut found = Vec::new();
        let Self { network, connections, parameters, chance, .. } = self;
        let mut salts = || salt(chance);
        network.connection(at, connection, connections, parameters, &mut salts, &mut |finding| found.push(finding));
        self.note(found);
    }

    /// A second at a time while a flag is up, as an owner would.
    fn pass(&mut self, until: Timestamp) {
        let mut now = self.now.replace(until).unwrap_or(until);
        while !self.open.is_empty() {
            now = now.after(Duration::from_secs(1));
            if now >= until {
                break;
            }
            let mut found = Vec::new();
            let Self { network, connections, parameters, chance, .. } = self;
            let mut salts = || salt(chance);
            network.pass(now, connections, parameters, &mut salts, &mut |finding| found.push(finding));
            self.note(found);
        }
    }

    fn note(&mut self, found: Vec<Finding>) {
        for finding in found {
            match finding {
                Finding::Raised(flag) => {
                    self.raised.push(flag);
                    if self.open.iter().all(|(rule, _)| *rule != flag.rule) {
                        self.open.push((flag.rule, flag.at));
                    }
                }
                Finding::Lowered { rule, at } => {
                    if let Some(place) = self.open.iter().position(|(open, _)| *open == rule) {
                        let (_, from) = self.open.remove(place);
                        self.stretches.push(Stretch { rule, from, to: at });
                    }
                }
            }
        }
    }

    /// Ends the watch: flags that are still up are so until then.
    pub(crate) fn finish(&mut self) {
        if let Some(to) = self.now {
            self.stretches.extend(self.open.drain(..).map(|(rule, from)| Stretch { rule, from, to }));
        }
    }

    /// How many flags of at least that severity were raised.
    pub(crate) fn count(&self, severity: Severity) -> u64 {
        self.raised.iter().filter(|flag| flag.severity == severity).count() as u64
    }
}

/// Salts that are the same in every run.
fn salt(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

/// Watches every source of flows that `select` admits, each by itself.
pub(crate) fn watch(
    flows: &[Flow],
    parameters: NetworkParameters,
    select: impl Fn(&Flow) -> bool,
) -> BTreeMap<String, Watched> {
    let mut known: Vec<&Flow> = flows.iter().filter(|flow| select(flow)).collect();
    known.sort_by_key(|flow| flow.end());
    let mut accounts = BTreeMap::new();
    for flow in known {
        let watched = accounts.entry(flow.from.clone()).or_insert_with(|| Watched::new(parameters));
        watched.connection(flow.end(), &flow.seen);
    }
    accounts.values_mut().for_each(Watched::finish);
    accounts
}

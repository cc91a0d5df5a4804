//! What accounts may do: made up by chance, and lively enough that every rule has something to say.

use std::time::Duration;

use dimensionos_core::Timestamp;
use dimensionos_core::allocation::{Allocation, TierName};
use dimensionos_core::monitoring::{Counter, Level, Sample};
use dimensionos_core::tos::detectors::{AccountDetectors, DetectorParameters};
use dimensionos_core::tos::{Finding, Flag, Rule, Signal, Signals};

use crate::chance::Chance;

pub(crate) const BEGIN: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A sample and what was counted with it.
pub(crate) type Input = (Sample, Signals);

/// What an account does all along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// Uses more than it has, by levels and by counters, for spells.
    Greedy,
    /// Writes files over.
    Encrypting,
    Mailing,
    /// Computes all day.
    Mining,
    /// Opens connections, of which an agent reports sums.
    Connecting,
    /// Fails to sign in elsewhere.
    Trying,
    /// Goes about its habits for a week, and then no more.
    Changing,
}

impl Conduct {
    pub(crate) const ALL: [Self; 7] =
        [Self::Greedy, Self::Encrypting, Self::Mailing, Self::Mining, Self::Connecting, Self::Trying, Self::Changing];

    /// The rules that it is there for.
    pub(crate) fn rules(self) -> &'static [Rule] {
        match self {
            Self::Greedy => &[Rule::ExcessQuarterHour, Rule::ExcessSixHours, Rule::ExcessDay, Rule::HardCap],
            Self::Encrypting => &[Rule::Ransomware, Rule::RansomwareBlocks, Rule::RansomwareReads],
            Self::Mailing => &[Rule::SpamEvidence, Rule::SpamVolume],
            Self::Mining => &[Rule::Mining],
            Self::Connecting => &[Rule::Scan, Rule::Hammering, Rule::CommandAndControl],
            Self::Trying => &[Rule::StuffingFailures, Rule::StuffingNames],
            Self::Changing => &[Rule::Unusual],
        }
    }

    pub(crate) fn inputs(self, chance: &mut Chance) -> Vec<Input> {
        match self {
            Self::Greedy => greedy(chance),
            Self::Encrypting => encrypting(chance),
            Self::Mailing => mailing(chance),
            Self::Mining => mining(chance),
            Self::Connecting => connecting(chance),
            Self::Trying => trying(chance),
            Self::Changing => changing(chance),
        }
    }
}

pub(crate) fn allocation() -> Allocation {
    Allocation::initial(TierName::Free)
}

/// Every finding on some inputs, from scratch.
pub(crate) fn findings(inputs: &[Input]) -> Vec<Finding> {
    let (mut detectors, mut findings) = (AccountDetectors::new(), Vec::new());
    let (allocation, parameters) = (allocation(), DetectorParameters::default());
    for (sample, signals) in inputs {
        detectors.observe(sample, signals, &allocation, &parameters, &mut |finding| findings.push(finding));
    }
    findings
}

pub(crate) fn flags(findings: &[Finding]) -> Vec<Flag> {
    let raised = |finding: &Finding| if let Finding::Raised(flag) = finding { Some(*flag) } else { None };
    findings.iter().filter_map(raised).collect()
}

fn later(at: &mut Timestamp, millis: u64) -> Sample {
    *at = at.after(Duration::from_millis(millis));
    Sample::at(*at)
}

fn greedy(chance: &mut Chance) -> Vec<Input> {
    let (mut at, mut inputs) = (BEGIN, Vec::new());
    let counts_processor = chance.one_in(3);
    for _ in 0..chance.between(2, 5) {
        let (measured, longest, most) = (chance.next(), chance.one_of([60, 300, 900]), chance.one_of([3, 20, 200]));
        let step = chance.between(5, longest) * 1_000;
        let (cpu, ram) = (chance.between(500, 9_000), chance.between(1 << 30, 30 << 30));
        let calls = chance.between(0, step / 3_600 * most);
        for _ in 0..chance.between(5, 25) {
            let is = |bit: u64| measured & (1 << bit) != 0;
            let millis = step + chance.between(0, 900);
            let mut sample = later(&mut at, millis);
            // Now and then a sample of nothing, as clocks and other meters send.
            if chance.one_in(5) {
                inputs.push((sample, Signals::new()));
                continue;
            }
            if is(0) && counts_processor {
                sample.add(Counter::CpuMicroseconds, cpu * millis);
            } else if is(0) {
                sample.set_level(Level::CpuMillicores, cpu + chance.between(0, 200));
            }
            if is(1) {
                sample.set_level(Level::RamBytes, ram);
            }
            if is(2) {
                sample.add(Counter::ApiCalls, calls + chance.between(0, 2));
            }
            if is(3) {
                sample.add(Counter::BytesSent, chance.between(0, 400_000) * millis);
            }
            inputs.push((sample, Signals::new()));
        }
    }
    inputs
}

fn encrypting(chance: &mut Chance) -> Vec<Input> {
    let (mut at, mut inputs) = (BEGIN, Vec::new());
    let sees = chance.next();
    for _ in 0..chance.between(2, 4) {
        let (step, operations) = (chance.between(300, 5_000), chance.between(0, 250));
        let (read, hops, share) = (chance.between(0, 9_000_000), chance.between(0, 300), chance.between(0, 10));
        for _ in 0..chance.between(10, 35) {
            let mut sample = later(&mut at, step + chance.between(0, 90));
            let mut signals = Signals::new();
            if sees & 0b0011 != 0 {
                sample.add(Counter::FileOperations, operations);
                signals.add(Signal::FilesOverwritten, operations * share / 10);
                signals.add(Signal::FilesRenamed, operations / 9);
            }
            signals.add(Signal::BytesRead, read);
            if sees & 0b1100 != 0 {
                signals.add(Signal::BytesWritten, read * chance.between(5, 9) / 7);
                signals.add(Signal::BytesOverwritten, read * share / 10);
            }
            signals.add(Signal::HoppingReads, hops);
            inputs.push((sample, signals));
        }
    }
    inputs
}

fn mailing(chance: &mut Chance) -> Vec<Input> {
    let (mut at, mut inputs) = (BEGIN, Vec::new());
    let sees = chance.next();
    for _ in 0..chance.between(2, 5) {
        let most = chance.one_of([12, 120]);
        let (step, recipients) = (chance.between(10_000, 400_000), chance.between(0, most));
        let (bounced, answered) = (chance.between(0, 5), chance.between(0, 3));
        for _ in 0..chance.between(5, 25) {
            let sample = later(&mut at, step);
            let recipients = recipients + chance.between(0, 3);
            let mut signals = Signals::new().with(Signal::NewRecipients, recipients);
            if sees & 1 != 0 {
                signals.add(Signal::MessagesBounced, recipients * bounced / 10);
            }
            if sees & 2 != 0 {
                signals.add(Signal::MessagesAnswered, recipients * answered / 50);
            }
            inputs.push((sample, signals));
        }
    }
    inputs
}

fn mining(chance: &mut Chance) -> Vec<Input> {
    let (mut at, mut inputs) = (BEGIN, Vec::new());
    let (step, counts) = (chance.between(300, 599), chance.one_in(3));
    // Some are not held to what they have.
    let mut share = if chance.one_in(4) { chance.between(955, 3_500) } else { chance.between(955, 1_060) };
    for _ in 0..chance.between(26, 40) * 3_600 / step {
        let mut sample = later(&mut at, step * 1_000);
        if chance.one_in(60) {
            continue;
        }
        if chance.one_in(250) {
            share = share * 16 / 10;
        }
        let used = share + chance.between(0, 20);
        if counts {
            sample.add(Counter::CpuMicroseconds, used * step * 1_000);
        } else {
            sample.set_level(Level::CpuMillicores, used);
        }
        sample.add(Counter::BytesSent, chance.between(0, 9_000));
        inputs.push((sample, Signals::new().with(Signal::BytesRead, chance.between(0, 9_000))));
    }
    inputs
}

fn connecting(chance: &mut Chance) -> Vec<Input> {
    let (mut at, mut inputs) = (BEGIN, Vec::new());
    let longest = chance.one_of([700, 5_000, 90_000]);
    for _ in 0..chance.between(20, 60) {
        let sample = later(&mut at, chance.between(200, longest));
        // Meters and clocks say what time it is in between.
        if chance.one_in(4) {
            inputs.push((sample, Signals::new()));
            continue;
        }
        let (failed, answered) = (chance.between(0, 400), chance.between(0, 100));
        let (sent, received) = (chance.between(0, 9_000), chance.between(0, 900));
        let peers = chance.between(1, 60).min(failed + answered);
        let signals = Signals::new()
            .with(Signal::OutboundConnections, failed + answered)
            .with(Signal::FailedConnections, failed)
            .with(Signal::DistinctPeers, peers)
            .with(Signal::PacketsSent, sent)
            .with(Signal::PacketsReceived, received);
        inputs.push((sample, signals));
    }
    inputs
}

fn trying(chance: &mut Chance) -> Vec<Input> {
    let (mut at, mut inputs) = (BEGIN, Vec::new());
    let longest = chance.one_of([60_000, 900_000, 9_000_000]);
    for _ in 0..chance.between(20, 80) {
        let sample = later(&mut at, chance.between(1_000, longest));
        if chance.one_in(4) {
            inputs.push((sample, Signals::new()));
            continue;
        }
        let most = chance.one_of([4, 20, 80]);
        let failures = chance.between(0, most);
        let names = chance.between(0, 40).min(failures);
        inputs
            .push((sample, Signals::new().with(Signal::FailedLogins, failures).with(Signal::FailedLoginNames, names)));
    }
    inputs
}

fn changing(chance: &mut Chance) -> Vec<Input> {
    let (mut at, mut inputs) = (BEGIN, Vec::new());
    let of = |chance: &mut Chance, mut sample: Sample, times: u64| {
        sample.set_level(Level::CpuMillicores, chance.between(20, 40) * times);
        sample.add(Counter::BytesSent, chance.between(1_000, 5_000) * times);
        sample.add(Counter::ApiCalls, chance.between(5, 15) * times);
        sample.add(Counter::FileOperations, chance.between(10, 30) * times);
        (sample, Signals::new())
    };
    for _ in 0..305 {
        let sample = later(&mut at, 2_020_000);
        inputs.push(of(chance, sample, 1));
    }
    let (mut times, pace) = (chance.between(3, 12), chance.between(60, 700) * 1_000);
    for _ in 0..chance.between(20, 60) {
        times = (times * chance.between(9, 14) / 10).clamp(2, 100_000);
        let sample = later(&mut at, pace);
        inputs.push(of(chance, sample, times));
    }
    inputs
}

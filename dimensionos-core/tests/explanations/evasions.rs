//! What is done to a meter hides nothing and makes nothing up: restarts, steps of its clock, samples that are lost.

use std::collections::BTreeSet;
use std::time::Duration;

use dimensionos_core::Timestamp;
use dimensionos_core::monitoring::{Counter, Level, Sample};
use dimensionos_core::tos::detectors::{AccountDetectors, DetectorParameters};
use dimensionos_core::tos::{Finding, Rule, Signal, Signals};

use crate::account::{BEGIN, Conduct, Input, allocation, findings, flags};
use crate::chance::Chance;
use crate::{SEED, assert_same};

/// Accounts of each conduct that the properties are asked of.
const ACCOUNTS: u64 = 12;

fn restarted(inputs: &[Input], every: usize) -> Vec<Finding> {
    let (mut detectors, mut found) = (AccountDetectors::new(), Vec::new());
    let (allocation, parameters) = (allocation(), DetectorParameters::default());
    for (index, (sample, signals)) in inputs.iter().enumerate() {
        detectors.observe(sample, signals, &allocation, &parameters, &mut |finding| found.push(finding));
        if index % every == 0 {
            detectors = AccountDetectors::from_bytes(&detectors.to_bytes()).unwrap();
        }
    }
    found
}

#[test]
fn a_restart_from_saved_state_gives_the_same_flags_whatever_the_account_does() {
    for seed in SEED..SEED + ACCOUNTS {
        for conduct in Conduct::ALL {
            let inputs = conduct.inputs(&mut Chance(seed));
            assert_same(&findings(&inputs), &restarted(&inputs, 1 + usize::try_from(seed % 9).unwrap()), seed);
        }
    }
}

/// What it raises, how far samples of it are apart, how many there are, and what they are.
type Abuse = (Rule, Duration, usize, fn(Sample) -> Input);

/// What abuse of one kind looks like, sample by sample.
fn abuses() -> [Abuse; 7] {
    let second = Duration::from_secs(1);
    [
        (Rule::ExcessQuarterHour, second * 10, 180, |sample| {
            (sample.with_level(Level::CpuMillicores, 2_500), Signals::new())
        }),
        (Rule::HardCap, second * 10, 180, |sample| (sample.with_added(Counter::ApiCalls, 100), Signals::new())),
        (Rule::Ransomware, second, 240, |sample| {
            let signals = Signals::new().with(Signal::BytesRead, 1 << 20).with(Signal::BytesWritten, 1 << 20);
            (sample.with_added(Counter::FileOperations, 60), signals.with(Signal::FilesOverwritten, 40))
        }),
        (Rule::SpamVolume, second * 60, 180, |sample| (sample, Signals::new().with(Signal::NewRecipients, 25))),
        (Rule::Scan, second * 5, 120, |sample| {
            let signals = Signals::new().with(Signal::OutboundConnections, 60).with(Signal::FailedConnections, 58);
            (sample, signals.with(Signal::DistinctPeers, 60))
        }),
        (Rule::DdosPackets, second, 120, |sample| {
            (sample, Signals::new().with(Signal::PacketsSent, 2_000).with(Signal::PacketsReceived, 3))
        }),
        (Rule::StuffingFailures, second * 60, 120, |sample| (sample, Signals::new().with(Signal::FailedLogins, 1))),
    ]
}

fn rules(inputs: &[Input]) -> BTreeSet<Rule> {
    flags(&findings(inputs)).into_iter().map(|flag| flag.rule).collect()
}

/// An abuse, its samples at the instants that the clock shows.
fn seen(
    step: Duration,
    count: usize,
    of: fn(Sample) -> Input,
    clock: impl Fn(usize, Timestamp) -> Timestamp,
) -> Vec<Input> {
    let at = |index: usize| BEGIN.after(step * u32::try_from(index).unwrap());
    (0..count).map(|index| of(Sample::at(clock(index, at(index))))).collect()
}

#[test]
fn no_step_of_the_clock_hides_abuse() {
    for (rule, step, count, of) in abuses() {
        assert!(rules(&seen(step, count, of, |_, at| at)).contains(&rule), "{rule} does not fire at all");
        for moved in [Duration::from_secs(40), Duration::from_secs(3_600), Duration::from_secs(3 * 86_400)] {
            for half in [count / 10, count / 4] {
                let back = seen(step, count, of, |index, at| if index < half { at } else { at.before(moved) });
                assert!(rules(&back).contains(&rule), "{rule} was hidden by {moved:?} back after {half}");
                let ahead = seen(step, count, of, |index, at| if index < half { at } else { at.after(moved) });
                assert!(rules(&ahead).contains(&rule), "{rule} was hidden by {moved:?} ahead after {half}");
            }
        }
    }
}

#[test]
fn lost_samples_hide_no_abuse() {
    for (rule, step, count, of) in abuses() {
        for every in [3, 4, 7] {
            let mut lossy = seen(step, count, of, |_, at| at);
            let mut index = 0;
            lossy.retain(|_| {
                index += 1;
                index % every != 0
            });
            assert!(rules(&lossy).contains(&rule), "{rule} was hidden by the loss of one in {every}");
        }
    }
}

/// A busy account within every limit: a tenth of what would be too much, reported every ten seconds.
fn innocent(sample: Sample) -> Input {
    let sample = sample
        .with_level(Level::CpuMillicores, 950)
        .with_level(Level::RamBytes, 3 << 30)
        .with_added(Counter::ApiCalls, 2)
        .with_added(Counter::FileOperations, 20);
    let signals = Signals::new()
        .with(Signal::OutboundConnections, 40)
        .with(Signal::FailedConnections, 24)
        .with(Signal::DistinctPeers, 20)
        .with(Signal::PacketsSent, 1_400)
        .with(Signal::PacketsReceived, 100)
        .with(Signal::BytesRead, 1 << 20)
        .with(Signal::BytesWritten, 1 << 20)
        .with(Signal::FilesOverwritten, 15);
    (sample, signals)
}

#[test]
fn neither_a_step_of_the_clock_nor_lost_samples_make_up_abuse() {
    let ten = Duration::from_secs(10);
    assert_eq!(findings(&seen(ten, 400, innocent, |_, at| at)), []);
    for seed in SEED..SEED + ACCOUNTS {
        let mut chance = Chance(seed);
        let steps: Vec<(bool, Duration)> = (0..400)
            .scan((true, Duration::ZERO), |clock, _| {
                if chance.one_in(12) {
                    *clock = (chance.one_in(2), Duration::from_millis(chance.between(1, 50_000_000)));
                }
                Some(*clock)
            })
            .collect();
        let stepped = seen(ten, 400, innocent, |index, at| {
            let (is_back, by) = steps[index];
            if is_back { at.before(by) } else { at.after(by) }
        });
        assert_eq!(findings(&stepped), [], "seed {seed}");
        let mut lossy = seen(ten, 400, innocent, |_, at| at);
        lossy.retain(|_| !chance.one_in(3));
        assert_eq!(findings(&lossy), [], "seed {seed}");
    }
}

#[test]
fn samples_that_only_say_what_time_it_is_change_no_flag_but_when_it_goes_down() {
    for (rule, step, count, of) in abuses() {
        let inputs = seen(step, count, of, |_, at| at);
        let mut with_ticks = Vec::new();
        for input in &inputs {
            with_ticks.push(*input);
            with_ticks.push((Sample::at(input.0.taken_at().after(step / 3)), Signals::new()));
        }
        let first = |inputs: &[Input]| flags(&findings(inputs)).into_iter().find(|flag| flag.rule == rule).unwrap();
        let (plain, ticked) = (first(&inputs), first(&with_ticks));
        assert!(ticked.at.since(plain.at) <= Duration::from_secs(60), "{plain:?}, {ticked:?}");
        assert_eq!(rules(&inputs), rules(&with_ticks), "{rule}");
    }
    let ten = Duration::from_secs(10);
    let innocent = seen(ten, 400, innocent, |_, at| at);
    let ticks =
        innocent.iter().flat_map(|input| [*input, (Sample::at(input.0.taken_at().after(ten / 2)), Signals::new())]);
    assert_eq!(findings(&ticks.collect::<Vec<_>>()), []);
}

//! What holds for every rule on what a host sees: its figures are those of the raw inputs, its counterfactual keeps it
//! silent, a restart changes nothing, and no clock confuses it.

use std::time::Duration;

use proptest::prelude::*;

use crate::allocation::{Allocation, TierName};
use crate::monitoring::{Counter, Level, Sample};
use crate::time::Timestamp;
use crate::tos::detectors::*;
use crate::tos::{Finding, Flag, Rule, Severity, Signal, Signals};

const BEGIN: i64 = 1_700_000_000_000;

/// A sample and what was counted with it.
#[derive(Debug, Clone)]
struct Input {
    at: i64,
    cpu: Option<f64>,
    ram: Option<f64>,
    operations: f64,
    signals: Vec<(Signal, f64)>,
}

impl Input {
    fn at(at: i64) -> Self {
        Self { at, cpu: None, ram: None, operations: 0.0, signals: Vec::new() }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts made for a test")]
    fn sample(&self) -> Sample {
        let at = Timestamp::from_millis(self.at);
        let mut sample = Sample::at(at).with_added(Counter::FileOperations, self.operations as u64);
        if let Some(cpu) = self.cpu {
            sample.set_level(Level::CpuMillicores, cpu as u64);
        }
        if let Some(ram) = self.ram {
            sample.set_level(Level::RamBytes, ram as u64);
        }
        sample
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts made for a test")]
    fn counts(&self) -> Signals {
        self.signals.iter().fold(Signals::new(), |counts, (signal, count)| counts.with(*signal, *count as u64))
    }

    /// The same with less of what a counterfactual names.
    fn scaled(&self, signal: &str, by: f64) -> Self {
        let mut scaled = self.clone();
        match signal {
            "excess_seconds" | "times_of_limit" | "cpu_share" => {
                scaled.cpu = self.cpu.map(|cpu| cpu * by);
                scaled.ram = self.ram.map(|ram| ram * by);
            }
            "file_operations" => scaled.operations *= by,
            _ => {
                let named = scaled.signals.iter_mut().filter(|(of, _)| of.name() == signal);
                named.for_each(|(_, count)| *count *= by);
            }
        }
        scaled
    }
}

/// Every rule on what a host sees, as one account has them.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
struct Account {
    resources: ResourceExcess,
    mining: Mining,
    ransomware: Ransomware,
    spam: Spam,
}

impl Account {
    fn observe(&mut self, input: &Input, sink: &mut impl FnMut(Finding)) {
        let (sample, signals) = (input.sample(), input.counts());
        let allocation = Allocation { file_operations_per_hour: u64::MAX >> 11, ..Allocation::initial(TierName::Free) };
        self.resources.observe(&sample, &allocation, &ResourceExcessParameters::default(), sink);
        self.mining.observe(&sample, &signals, &allocation, &MiningParameters::default(), sink);
        let (at, parameters) = (sample.taken_at(), RansomwareParameters::default());
        self.ransomware.observe(at, Some(&sample), &signals, &Allocation::initial(TierName::Free), &parameters, sink);
        self.spam.observe(at, &signals, &SpamParameters::default(), sink);
    }

    fn flags(&mut self, inputs: &[Input]) -> Vec<Flag> {
        let mut flags = Vec::new();
        for input in inputs {
            self.observe(input, &mut |finding| {
                if let Finding::Raised(flag) = finding {
                    flags.push(flag);
                }
            });
        }
        flags
    }
}

fn flags(inputs: &[Input]) -> Vec<Flag> {
    Account::default().flags(inputs)
}

fn rules(inputs: &[Input]) -> Vec<Rule> {
    let mut rules: Vec<_> = flags(inputs).iter().map(|flag| flag.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

/// Spells of an activity, some within and some far beyond what is allowed, some of it not measured.
fn inputs(longest_step: i64) -> impl Strategy<Value = Vec<Input>> {
    let spell = (1_usize..40, 1_i64..longest_step, 0.0..7_000.0_f64, 0.0..2e10_f64, 0.0..1.0_f64, 0.0..1.0_f64);
    proptest::collection::vec((spell, any::<u8>()), 1..12).prop_map(|spells| {
        let mut now = BEGIN;
        let mut inputs = Vec::new();
        for ((length, step, cpu, ram, much, share), measured) in spells {
            for turn in 0..length {
                now += step * 1_000 + i64::try_from(turn % 7).unwrap();
                let is = |bit: u8| measured & (1 << bit) != 0;
                // Whole counts, so that what is fed is what is reckoned with.
                let some = |most: f64| (most * much).floor();
                let part = |most: f64| (most * much * share).floor();
                inputs.push(Input {
                    at: now,
                    cpu: is(0).then_some(cpu.floor()),
                    ram: (is(1) && turn % 3 == 0).then_some(ram.floor()),
                    operations: some(400.0),
                    signals: [
                        (is(2), Signal::FilesOverwritten, part(400.0)),
                        (is(3), Signal::BytesRead, some(5e6)),
                        (is(4), Signal::BytesWritten, some(4e6)),
                        (is(4), Signal::BytesOverwritten, part(4e6)),
                        (is(5), Signal::HoppingReads, some(200.0)),
                        (is(6), Signal::NewRecipients, some(90.0)),
                        (is(6), Signal::MessagesBounced, part(60.0)),
                        (is(7), Signal::MessagesAnswered, part(20.0)),
                    ]
                    .into_iter()
                    .filter_map(|(is_counted, signal, count)| is_counted.then_some((signal, count)))
                    .collect(),
                });
            }
        }
        inputs
    })
}

/// The figure of a flag, from the raw inputs up to its instant: every one by itself, with its weight at the end.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of some days")]
fn recomputed(flag: &Flag, inputs: &[Input]) -> Option<f64> {
    let at = flag.at.as_millis();
    let until = || inputs.iter().filter(|input| input.at <= at);
    let weight = |age: i64, window: f64| (-(age as f64) / 1_000.0 / window).exp();
    let sum = |window: f64, of: &dyn Fn(&Input) -> f64| {
        until().map(|input| of(input) * weight(at - input.at, window)).sum::<f64>()
    };
    let signal = |name: &'static str| {
        move |input: &Input| input.signals.iter().filter(|(of, _)| of.name() == name).map(|(_, count)| count).sum()
    };
    let excess = |window: f64| {
        let mut total = 0.0;
        for (of, limit) in [(0, 1_000.0), (1, 4_096.0 * 1_048_576.0)] {
            let mut last = inputs.first()?.at;
            for input in until() {
                let Some(level) = (if of == 0 { input.cpu } else { input.ram }) else { continue };
                let span = ((input.at - last) as f64 / 1_000.0).min(600.0);
                last = input.at;
                // In a hundred slices, each with its own weight.
                let slices: f64 = (0..100)
                    .map(|slice| {
                        weight(at - input.at, window) * (-(span * (f64::from(slice) + 0.5) / 100.0) / window).exp()
                    })
                    .sum();
                total += (level / limit - 1.0).max(0.0) * span * slices / 100.0;
            }
        }
        Some(total)
    };
    match flag.rule {
        Rule::ExcessQuarterHour => excess(900.0),
        Rule::ExcessSixHours => excess(21_600.0),
        Rule::ExcessDay => excess(86_400.0),
        Rule::Ransomware => Some(sum(60.0, &|input| input.operations)),
        Rule::RansomwareBlocks | Rule::RansomwareReads => Some(sum(60.0, &signal(flag.figure.signal))),
        Rule::SpamEvidence | Rule::SpamVolume => Some(sum(3_600.0, &signal("new_recipients"))),
        _ => None,
    }
}

fn check(inputs: &[Input]) -> Result<usize, TestCaseError> {
    let flags = flags(inputs);
    for flag in &flags {
        if let Some(exact) = recomputed(flag, inputs) {
            let off = (flag.figure.observed - exact).abs() / exact;
            prop_assert!(off < 0.05, "{:?} of {}: {exact}", flag.figure, flag.rule);
        }
        prop_assert!(flag.figure.observed > flag.figure.limit, "{flag:?}");
        prop_assert!(flag.severity <= flag.rule.severity() && flag.since <= flag.at);
        let by = flag.counterfactual.at_most / flag.figure.observed;
        prop_assert!(by < 1.0);
        let from = flag.at.as_millis() - i64::try_from(flag.window.as_millis()).unwrap();
        let is_in = |input: &Input| input.at > from && input.at <= flag.at.as_millis();
        let scaled =
            |input: &Input| if is_in(input) { input.scaled(flag.counterfactual.signal, by) } else { input.clone() };
        let other: Vec<_> = inputs.iter().filter(|input| input.at <= flag.at.as_millis()).map(scaled).collect();
        let still = self::flags(&other).into_iter().find(|other| other.rule == flag.rule && other.at == flag.at);
        prop_assert!(still.is_none(), "{flag:?}\nwith {by} of it: {still:?}");
    }
    Ok(flags.len())
}

proptest! {
    #[test]
    fn figures_are_those_of_the_inputs_and_counterfactuals_keep_rules_silent(inputs in inputs(40)) {
        check(&inputs)?;
    }

    #[test]
    fn so_they_do_for_slow_meters(inputs in inputs(900)) {
        check(&inputs)?;
    }

    #[test]
    fn a_restart_from_what_was_saved_changes_no_finding(inputs in inputs(300), restart in 0_usize..400) {
        let (before, after) = inputs.split_at(restart.min(inputs.len()));
        let mut account = Account::default();
        let mut flags = account.flags(before);
        let saved = serde_json::to_string(&account).unwrap();
        let mut restored: Account = serde_json::from_str(&saved).unwrap();
        prop_assert_eq!(restored, account);
        flags.extend(restored.flags(after));
        prop_assert_eq!(flags, self::flags(&inputs));
    }

    #[test]
    fn no_step_of_the_clock_makes_a_flag_of_what_is_allowed(
        steps in proptest::collection::vec(-100_000_000_i64..100_000_000, 1..200),
        limit in 0.5..1.0_f64,
    ) {
        let mut now = BEGIN;
        let inputs: Vec<_> = steps.into_iter().map(|step| {
            now = (now + step).max(1);
            Input { cpu: Some(1_000.0 * limit), ram: Some(4e9 * limit), ..Input::at(now) }
        }).collect();
        prop_assert_eq!(rules(&inputs), []);
    }
}

/// So many seconds of the same, sampled at a pace.
fn steady(seconds: i64, step: i64, of: impl Fn(i64) -> Input) -> Vec<Input> {
    (1..=seconds / step).map(|turn| of(BEGIN + turn * step * 1_000)).collect()
}

#[test]
fn excess_is_found_by_how_much_and_how_long() {
    let at = |times: f64| move |at| Input { cpu: Some(1_000.0 * times), ..Input::at(at) };
    let day = 86_400;
    assert_eq!(rules(&steady(10 * day, 60, at(1.0))), []);
    assert_eq!(rules(&steady(10 * day, 60, at(1.09))), [], "clocks above their nominal pace");
    assert_eq!(rules(&steady(4 * day, 60, at(1.2))), [Rule::ExcessDay]);
    assert_eq!(rules(&steady(day, 60, at(1.4))), [Rule::ExcessSixHours, Rule::ExcessDay]);
    assert_eq!(rules(&steady(1_200, 10, at(2.0))), [Rule::ExcessQuarterHour]);
    assert_eq!(rules(&steady(350, 10, at(4.5))), [Rule::ExcessQuarterHour, Rule::HardCap]);
    assert_eq!(rules(&steady(290, 10, at(4.5))), [Rule::ExcessQuarterHour], "not yet as long as a hard cap takes");
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "hours of some days")]
fn neither_pulses_nor_a_slow_ramp_get_past() {
    let pulse = |at: i64| Input { cpu: Some(if at / 60_000 % 20 < 4 { 3_000.0 } else { 900.0 }), ..Input::at(at) };
    let ramp = |at: i64| Input { cpu: Some(800.0 + 6.0 * ((at - BEGIN) / 3_600_000) as f64), ..Input::at(at) };
    let all = [Rule::ExcessQuarterHour, Rule::ExcessSixHours, Rule::ExcessDay];
    assert_eq!(rules(&steady(86_400, 30, pulse)), all);
    assert_eq!(rules(&steady(6 * 86_400, 60, ramp)), all);
}

#[test]
fn lost_samples_and_steps_of_the_clock_hide_no_excess() {
    let busy = || steady(1_200, 10, |at| Input { cpu: Some(2_000.0), ..Input::at(at) });
    let expected = rules(&busy());
    assert_eq!(expected, [Rule::ExcessQuarterHour]);
    let mut lossy = busy();
    lossy.retain(|input| input.at / 10_000 % 3 != 0);
    assert_eq!(rules(&lossy), expected);
    for step in [-3_600_000, 1_200_000] {
        let mut stepped = busy();
        stepped.iter_mut().skip(60).for_each(|input| input.at += step);
        assert_eq!(rules(&stepped), expected, "{step}");
    }
}

#[test]
fn who_is_within_the_limits_by_now_is_not_told_of_what_was() {
    let mut inputs = steady(295, 295, |at| Input { cpu: Some(3_900.0), ..Input::at(at) });
    inputs.extend((1..100).map(|turn| Input { cpu: Some(900.0), ..Input::at(BEGIN + 295_000 + turn * 10_000) }));
    assert_eq!(rules(&inputs), []);
}

#[test]
fn a_counter_is_held_against_its_limit_by_the_hour() {
    let run = |an_hour: f64| {
        let allocation = Allocation { file_operations_per_hour: 1_000, ..Allocation::initial(TierName::Free) };
        let (mut resources, mut raised) = (ResourceExcess::default(), Vec::new());
        for input in steady(36_000, 36, |at| Input { operations: an_hour / 100.0, ..Input::at(at) }) {
            resources.observe(&input.sample(), &allocation, &ResourceExcessParameters::default(), &mut |finding| {
                if let Finding::Raised(flag) = finding {
                    raised.push(flag.rule);
                }
            });
        }
        raised.sort_unstable();
        raised.dedup();
        raised
    };
    assert_eq!(run(1_000.0), []);
    assert_eq!(run(1_900.0), [Rule::ExcessQuarterHour, Rule::ExcessSixHours, Rule::ExcessDay]);
}

fn mining(cpu: f64, bytes: f64) -> impl Fn(i64) -> Input {
    move |at| Input {
        cpu: Some(cpu),
        signals: vec![(Signal::BytesRead, bytes), (Signal::BytesWritten, 0.0)],
        ..Input::at(at)
    }
}

fn with_network(inputs: &[Input], bytes: u64) -> Vec<Flag> {
    let (mut mining, mut flags) = (Mining::default(), Vec::new());
    let allocation = Allocation::initial(TierName::Free);
    for input in inputs {
        let sample = input.sample().with_added(Counter::BytesSent, bytes).with_added(Counter::BytesReceived, bytes);
        mining.observe(&sample, &input.counts(), &allocation, &MiningParameters::default(), &mut |finding| {
            if let Finding::Raised(flag) = finding {
                flags.push(flag);
            }
        });
    }
    flags
}

#[test]
fn a_day_of_nothing_but_processor_is_suspected_and_only_that() {
    let busy = steady(25 * 3_600, 60, mining(985.0, 1_000.0));
    let flags = with_network(&busy, 3_000);
    assert_eq!(
        flags.iter().map(|flag| (flag.rule, flag.severity)).collect::<Vec<_>>(),
        [(Rule::Mining, Severity::Warn)]
    );
    assert!((flags[0].figure.observed - 0.985).abs() < 0.985 * 0.01);
    let by = flags[0].counterfactual.at_most / flags[0].figure.observed;
    let less: Vec<_> = busy.iter().map(|input| input.scaled("cpu_share", by)).collect();
    assert_eq!(with_network(&less, 3_000), []);
    for (innocent, network, why) in [
        (steady(20 * 3_600, 60, mining(985.0, 1_000.0)), 3_000, "no day yet"),
        (steady(25 * 3_600, 60, mining(985.0, 1_000.0)), 300_000, "it serves somebody"),
        (steady(25 * 3_600, 60, mining(985.0, 900_000.0)), 3_000, "it works on what is stored"),
        (steady(25 * 3_600, 60, mining(930.0, 1_000.0)), 3_000, "it is not at its limit"),
        (
            steady(25 * 3_600, 60, |at| mining(if at / 60_000 % 2 == 0 { 900.0 } else { 1_050.0 }, 0.0)(at)),
            3_000,
            "it varies",
        ),
    ] {
        assert_eq!(with_network(&innocent, network), [], "{why}");
    }
    assert_eq!(rules(&busy), [], "nobody knows of its network");
}

#[test]
fn the_clock_and_lost_samples_hide_no_miner() {
    let mut busy = steady(30 * 3_600, 60, mining(985.0, 0.0));
    busy.retain(|input| input.at / 60_000 % 5 != 0);
    busy.iter_mut().skip(700).for_each(|input| input.at -= 40 * 60_000);
    assert_eq!(with_network(&busy, 0).len(), 1);
}

#[test]
fn a_pause_in_every_hour_hides_no_miner_and_costs_one_that_does_a_twentieth() {
    let paused = |minutes: i64| {
        let pausing = move |at: i64| mining(if at / 60_000 % 60 < minutes { 0.0 } else { 995.0 }, 0.0)(at);
        with_network(&steady(26 * 3_600, 60, pausing), 0).len()
    };
    assert_eq!((paused(1), paused(2), paused(4)), (1, 1, 0));
}

fn encrypting(operations: f64) -> impl Fn(i64) -> Input {
    move |at| Input {
        operations,
        signals: vec![
            (Signal::FilesOverwritten, operations * 0.4),
            (Signal::FilesRenamed, operations * 0.2),
            (Signal::BytesRead, operations * 50_000.0),
            (Signal::BytesWritten, operations * 49_000.0),
        ],
        ..Input::at(at)
    }
}

#[test]
fn files_turned_into_others_in_great_number_are_found_within_a_minute() {
    assert_eq!(rules(&steady(60, 1, encrypting(50.0))), [Rule::Ransomware]);
    assert_eq!(rules(&steady(600, 1, encrypting(10.0))), [], "at the limit");
    let less = |change: fn(&mut Input)| {
        let mut inputs = steady(600, 1, encrypting(50.0));
        inputs.iter_mut().for_each(change);
        rules(&inputs)
    };
    assert_eq!(less(|input| input.signals[3].1 /= 4.0), [], "it reads far more than it writes");
    assert_eq!(less(|input| input.signals.drain(..2).for_each(drop)), [], "it only makes new files");
}

#[test]
fn reads_alone_are_no_evidence_where_writes_are_seen() {
    let reads = |more: Option<(Signal, f64)>| {
        steady(120, 1, |at| {
            let signals = [Some((Signal::HoppingReads, 60.0)), more].into_iter().flatten().collect();
            Input { signals, ..Input::at(at) }
        })
    };
    assert_eq!(rules(&reads(None)), [Rule::RansomwareReads]);
    assert_eq!(rules(&reads(Some((Signal::BytesWritten, 1e6)))), []);
    assert!(
        Rule::RansomwareReads.severity() < Severity::Restrict && Rule::RansomwareBlocks.severity() < Severity::Restrict
    );
}

fn letters(recipients: f64, back: Option<(Signal, f64)>) -> Vec<Input> {
    steady(3_600, 60, |at| {
        let signals = [Some((Signal::NewRecipients, recipients)), back].into_iter().flatten().collect();
        Input { signals, ..Input::at(at) }
    })
}

#[test]
fn volume_alone_warns_and_what_comes_back_restricts() {
    assert_eq!(rules(&letters(5.0, None)), []);
    assert_eq!(rules(&letters(20.0, None)), [Rule::SpamVolume]);
    assert!(Rule::SpamVolume.severity() < Severity::Restrict);
    assert_eq!(rules(&letters(5.0, Some((Signal::MessagesBounced, 2.0)))), [Rule::SpamEvidence]);
    assert_eq!(rules(&letters(10.0, Some((Signal::MessagesAnswered, 0.0)))), [Rule::SpamEvidence]);
    assert_eq!(rules(&letters(10.0, Some((Signal::MessagesAnswered, 1.0)))), []);
}

#[test]
fn an_account_costs_little_memory() {
    assert!(size_of::<ResourceExcess>() <= 216, "{}", size_of::<ResourceExcess>());
    assert!(size_of::<Mining>() <= 96, "{}", size_of::<Mining>());
    assert!(size_of::<Ransomware>() <= 112, "{}", size_of::<Ransomware>());
    assert!(size_of::<Spam>() <= 72, "{}", size_of::<Spam>());
}

#[test]
fn two_windows_of_silence_take_every_flag_down() {
    let mut account = Account::default();
    let mut open = std::collections::BTreeSet::new();
    let mut inputs = steady(120, 1, encrypting(200.0));
    inputs.extend((1..2_000).map(|turn| Input::at(BEGIN + 120_000 + turn * 5_000)));
    for input in &inputs {
        account.observe(input, &mut |finding| match finding {
            Finding::Raised(flag) => drop(open.insert(flag.rule)),
            Finding::Lowered { rule, .. } => assert!(open.remove(&rule), "{rule} was not up"),
        });
    }
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(Duration::from_secs(60), RansomwareParameters::default().window);
}

//! Ways round the detectors of what a host sees, made by hand. Each says what is to come of it: the flags that the plain
//! act raises, or none where it stays within what is allowed. What gets away is written down as well.

use std::error::Error;
use std::path::Path;

use dimensionos_core::Timestamp;
use dimensionos_core::allocation::{Allocation, TierName};
use dimensionos_core::monitoring::{Counter, Level, Sample};
use dimensionos_core::tos::detectors::{
    Mining, MiningParameters, Ransomware, RansomwareParameters, ResourceExcess, ResourceExcessParameters, Spam,
    SpamParameters,
};
use dimensionos_core::tos::{Finding, Rule, Signal, Signals};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::report::{Report, put};

const BEGIN: i64 = 1_700_000_000_000;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

type Input = (Sample, Signals);

/// Needs no set: the folder is that of all of them.
pub(crate) fn evaluate(_: &Path, report: &mut Report) -> Result<(), Box<dyn Error>> {
    let (mut held, mut of) = (0, 0);
    for (name, inputs, expected) in evasions() {
        let rules = Account::default().rules(&inputs)?;
        let is_held = rules == expected;
        let names = |rules: &[Rule]| rules.iter().map(|rule| rule.name()).collect::<Vec<_>>();
        put(
            report,
            &format!("evasions.{name}"),
            json!({"held": is_held, "raised": names(&rules), "expected": names(&expected)}),
        )?;
        (held, of) = (held + u64::from(is_held), of + 1);
    }
    put(report, "evasions.host_held", held)?;
    put(report, "evasions.host_of", of)
}

/// Every evasion: its name, what is fed, and what a detector that is not fooled raises.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small figures, not below zero")]
#[expect(clippy::cast_precision_loss, reason = "a few days in milliseconds")]
fn evasions() -> Vec<(&'static str, Vec<Input>, Vec<Rule>)> {
    let busy = |times: f64| move |at| vec![cpu(at, times)];
    let encrypting = |pace: f64| series(120, 1, |at| vec![files(at, pace)]);
    // What keeps it apart from a busy server is that it talks to nobody but its pool.
    let alone = |at, times: f64| {
        let sample = Sample::at(Timestamp::from_millis(at)).with_level(Level::CpuMillicores, (1_000.0 * times) as u64);
        vec![(sample.with_added(Counter::BytesSent, 1_800), disk(0))]
    };
    let mining = move |at| alone(at, 0.985);
    let excess = vec![Rule::ExcessQuarterHour];
    let mut forward = series(1_200, 10, busy(2.0));
    forward.iter_mut().skip(60).for_each(|input| *input = moved(input, 20 * 60_000));
    let mut back = series(1_200, 10, busy(2.0));
    back.iter_mut().skip(60).for_each(|input| *input = moved(input, -HOUR * 1_000));
    let mut missing = series(1_200, 10, busy(2.0));
    missing.retain(|(sample, _)| sample.taken_at().as_seconds() / 10 % 3 != 0);
    let mut reset = encrypting(60.0);
    // A source that begins to count anew has nothing to report the first time.
    reset.iter_mut().step_by(20).for_each(|input| *input = (Sample::at(input.0.taken_at()), Signals::new()));
    vec![
        ("at_the_limit", series(30 * DAY, 60, busy(1.0)), vec![]),
        ("just_over_the_limit", series(20 * DAY, 300, busy(1.08)), vec![]),
        ("a_fifth_over_for_days", series(4 * DAY, 60, busy(1.2)), vec![Rule::ExcessDay]),
        (
            "pulses",
            series(DAY, 30, |at| busy(if at / 60_000 % 20 < 4 { 3.0 } else { 0.9 })(at)),
            vec![Rule::ExcessQuarterHour, Rule::ExcessSixHours, Rule::ExcessDay],
        ),
        (
            "slow_ramp",
            series(5 * DAY, 60, |at| busy(0.8 + 0.006 * ((at - BEGIN) as f64 / 3_600_000.0))(at)),
            vec![Rule::ExcessQuarterHour, Rule::ExcessSixHours, Rule::ExcessDay],
        ),
        ("clock_forward", forward, excess.clone()),
        ("clock_back", back, excess.clone()),
        ("missing_samples", missing, excess.clone()),
        ("counter_resets", reset, vec![Rule::Ransomware, Rule::RansomwareBlocks]),
        ("mining", series(26 * HOUR, 60, mining), vec![Rule::Mining]),
        (
            "mining_with_a_pause_a_day",
            series(50 * HOUR, 60, |at| if at / 1_000 % DAY < 600 { alone(at, 0.0) } else { mining(at) }),
            vec![Rule::Mining],
        ),
        (
            "mining_with_a_pause_an_hour",
            series(50 * HOUR, 60, |at| if at / 1_000 % HOUR < 60 { alone(at, 0.0) } else { mining(at) }),
            vec![Rule::Mining],
        ),
        ("encryption", encrypting(60.0), vec![Rule::Ransomware, Rule::RansomwareBlocks]),
        ("slow_encryption", series(HOUR, 1, |at| vec![files(at, 8.0)]), vec![Rule::Ransomware]),
        (
            // It escapes what restricts, not what warns.
            "encryption_among_reads",
            series(120, 1, |at| vec![(files(at, 60.0).0, files(at, 60.0).1.with(Signal::BytesRead, 20_000_000))]),
            vec![Rule::RansomwareBlocks],
        ),
        ("spam", series(HOUR, 30, |at| vec![letters(at, 8, 2)]), vec![Rule::SpamEvidence, Rule::SpamVolume]),
        ("spam_just_under_the_limit", series(DAY, 900, |at| vec![letters(at, 14, 4)]), vec![Rule::SpamEvidence]),
        ("spam_split_over_ten_accounts", series(HOUR, 300, |at| vec![letters(at, 4, 1)]), vec![Rule::SpamEvidence]),
    ]
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Account {
    resources: ResourceExcess,
    mining: Mining,
    ransomware: Ransomware,
    spam: Spam,
}

impl Account {
    /// The rules that were raised, in order and each once; the state is saved and restored at every tenth input.
    fn rules(mut self, inputs: &[Input]) -> Result<Vec<Rule>, Box<dyn Error>> {
        let allocation = Allocation { file_operations_per_hour: 1 << 40, ..Allocation::initial(TierName::Free) };
        let mut rules = Vec::new();
        for (turn, (sample, signals)) in inputs.iter().enumerate() {
            if turn % 10 == 0 {
                self = serde_json::from_str(&serde_json::to_string(&self)?)?;
            }
            let mut sink = |finding| {
                if let Finding::Raised(flag) = finding {
                    rules.push(flag.rule);
                }
            };
            let at = sample.taken_at();
            self.resources.observe(sample, &allocation, &ResourceExcessParameters::default(), &mut sink);
            self.mining.observe(sample, signals, &allocation, &MiningParameters::default(), &mut sink);
            let tier = Allocation::initial(TierName::Free);
            self.ransomware.observe(at, Some(sample), signals, &tier, &RansomwareParameters::default(), &mut sink);
            self.spam.observe(at, signals, &SpamParameters::default(), &mut sink);
        }
        rules.sort_unstable();
        rules.dedup();
        Ok(rules)
    }
}

/// So many seconds, an instant every `step` of them.
fn series(seconds: i64, step: i64, of: impl Fn(i64) -> Vec<Input>) -> Vec<Input> {
    (1..=seconds / step).flat_map(|turn| of(BEGIN + turn * step * 1_000)).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small figure, not below zero")]
fn cpu(at: i64, times: f64) -> Input {
    let sample = Sample::at(Timestamp::from_millis(at)).with_level(Level::CpuMillicores, (1_000.0 * times) as u64);
    (sample.with_added(Counter::BytesSent, 1_000_000), disk(0))
}

fn disk(bytes: u64) -> Signals {
    Signals::new().with(Signal::BytesRead, bytes).with(Signal::BytesWritten, bytes)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small figure, not below zero")]
fn files(at: i64, pace: f64) -> Input {
    let pace = pace as u64;
    let counts = disk(pace * 40_000).with(Signal::BytesOverwritten, pace * 40_000);
    let counts = counts.with(Signal::FilesOverwritten, pace / 2).with(Signal::FilesRenamed, pace / 2);
    (Sample::at(Timestamp::from_millis(at)).with_added(Counter::FileOperations, pace), counts)
}

fn letters(at: i64, recipients: u64, bounced: u64) -> Input {
    let counts = Signals::new().with(Signal::NewRecipients, recipients).with(Signal::MessagesBounced, bounced);
    (Sample::at(Timestamp::from_millis(at)), counts)
}

/// The same at another instant.
fn moved((sample, signals): &Input, millis: i64) -> Input {
    let mut moved = Sample::at(Timestamp::from_millis(sample.taken_at().as_millis() + millis));
    Level::ALL.into_iter().for_each(|level| {
        if let Some(value) = sample.level(level) {
            moved.set_level(level, value);
        }
    });
    Counter::ALL.into_iter().for_each(|counter| {
        if let Some(amount) = sample.added(counter) {
            moved.add(counter, amount);
        }
    });
    (moved, *signals)
}

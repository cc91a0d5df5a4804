//! All detectors of one account, fed together.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::allocation::Allocation;
use crate::monitoring::{Counter, Level, Sample};
use crate::time::Timestamp;
use crate::tos::detectors::adaptive::{Adaptive, AdaptiveParameters};
use crate::tos::detectors::{
    AccountSignIns, Mining, MiningParameters, Network, NetworkParameters, Ransomware, RansomwareParameters,
    ResourceExcess, ResourceExcessParameters, SignInParameters, Spam, SpamParameters,
};
use crate::tos::flag::{Finding, Flag};
use crate::tos::signal::Signals;

/// How often habits are fed: the pace at which they were tuned.
const HABIT_PACE: Duration = Duration::from_secs(300);

/// The layout of a saved state: another one wherever a detector's fields change, for numbers do not tell what they are.
const LAYOUT: u8 = 1;

/// The metrics that have habits, by their names in a flag: what an account does, and not what it has.
const HABITS: [(&str, Metric); 4] = [
    ("cpu_millicores", Metric::Level(Level::CpuMillicores)),
    ("bytes_sent", Metric::Counter(Counter::BytesSent)),
    ("api_calls", Metric::Counter(Counter::ApiCalls)),
    ("file_operations", Metric::Counter(Counter::FileOperations)),
];

#[derive(Debug, Clone, Copy)]
enum Metric {
    Level(Level),
    Counter(Counter),
}

impl Metric {
    #[expect(clippy::cast_precision_loss, reason = "amounts are at most 2^53 - 1")]
    fn of(self, sample: &Sample) -> Option<f64> {
        let amount = match self {
            Self::Level(level) => sample.level(level),
            Self::Counter(counter) => sample.added(counter),
        };
        amount.map(|amount| amount as f64)
    }
}

/// What the detectors hold figures against. The defaults are the ones that were scored.
#[derive(Debug, Clone, Copy, Default)]
pub struct DetectorParameters {
    /// Excess over what a tier grants.
    pub resources: ResourceExcessParameters,
    /// Mining.
    pub mining: MiningParameters,
    /// Habits.
    pub adaptive: AdaptiveParameters,
    /// Scans, commands from outside and floods.
    pub network: NetworkParameters,
    /// Passwords being tried elsewhere.
    pub sign_ins: SignInParameters,
    /// Files being encrypted.
    pub ransomware: RansomwareParameters,
    /// Messages that nobody asked for.
    pub spam: SpamParameters,
}

/// What is kept of one metric until its habit is fed: sums over the pace.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Gathering {
    sum: f64,
    count: u32,
}

/// All detectors of one account. A plain value: saved and restored at any point, it raises the same flags.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AccountDetectors {
    resources: ResourceExcess,
    mining: Mining,
    habits: [Adaptive; HABITS.len()],
    gathering: [Gathering; HABITS.len()],
    /// When the stretch began that is gathered; 0 before the first sample.
    gathering_since: u64,
    /// A bit for each rule whose flag is up.
    up: u32,
    /// Those that count what few accounts' agents count; absent until one does.
    conduct: Option<Box<Conduct>>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Conduct {
    network: Network,
    sign_ins: AccountSignIns,
    ransomware: Ransomware,
    spam: Spam,
}

impl AccountDetectors {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a sample, what was counted beside it, and what the account is allotted. An empty sample without counts says
    /// what time it is, which lowers flags that silence lowers.
    pub fn observe(
        &mut self,
        sample: &Sample,
        signals: &Signals,
        allocation: &Allocation,
        parameters: &DetectorParameters,
        sink: &mut impl FnMut(Finding),
    ) {
        let at = sample.taken_at();
        let mut up = self.up;
        let sink = &mut |finding: Finding| {
            match finding {
                Finding::Raised(flag) => up |= flag.rule.bit(),
                Finding::Lowered { rule, .. } => up &= !rule.bit(),
            }
            sink(finding);
        };
        self.resources.observe(sample, allocation, &parameters.resources, sink);
        self.mining.observe(sample, signals, allocation, &parameters.mining, sink);
        self.gather(sample, parameters, sink);
        if !signals.is_empty() && self.conduct.is_none() {
            self.conduct = Some(Box::default());
        }
        if let Some(conduct) = &mut self.conduct {
            conduct.network.signals(at, signals, &parameters.network, sink);
            conduct.sign_ins.signals(at, signals, &parameters.sign_ins, sink);
            conduct.ransomware.observe(at, Some(sample), signals, allocation, &parameters.ransomware, sink);
            conduct.spam.observe(at, signals, &parameters.spam, sink);
        }
        self.up = up;
    }

    /// Whether any flag is up, which silence may lower.
    #[must_use]
    pub const fn is_any_up(&self) -> bool {
        self.up != 0
    }

    /// As bytes, for a storage.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Numbers alone: it cannot fail.
        postcard::to_extend(self, vec![LAYOUT]).unwrap_or_default()
    }

    /// From the bytes of a storage; absent where they are another version's, and the detectors begin anew.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let state = bytes.strip_prefix(&[LAYOUT])?;
        let (detectors, rest) = postcard::take_from_bytes(state).ok()?;
        rest.is_empty().then_some(detectors)
    }

    fn gather(&mut self, sample: &Sample, parameters: &DetectorParameters, sink: &mut impl FnMut(Finding)) {
        #[expect(clippy::cast_sign_loss, reason = "instants begin with 1970")]
        let now = sample.taken_at().as_millis().max(1) as u64;
        #[expect(clippy::cast_possible_truncation, reason = "five minutes")]
        let pace = HABIT_PACE.as_millis() as u64;
        // A clock that was set back begins the stretch again.
        if self.gathering_since == 0 || now < self.gathering_since {
            self.gathering_since = now;
            self.gathering = Default::default();
        }
        // A sample tells of the time before it, so the one that ends a stretch is part of it.
        for (gathering, (_, metric)) in self.gathering.iter_mut().zip(HABITS) {
            if let Some(amount) = metric.of(sample) {
                gathering.sum += amount;
                gathering.count += 1;
            }
        }
        let gathered = now - self.gathering_since;
        if gathered >= pace {
            // The figure was taken over the stretch, however long ago its metric was last fed.
            self.feed(sample.taken_at(), parameters, &mut |finding| match finding {
                Finding::Raised(flag) => {
                    sink(Finding::Raised(Flag { window: Duration::from_millis(gathered), ..flag }));
                }
                lowered @ Finding::Lowered { .. } => sink(lowered),
            });
            self.gathering_since = now;
        }
    }

    fn feed(&mut self, at: Timestamp, parameters: &DetectorParameters, sink: &mut impl FnMut(Finding)) {
        for ((habit, gathering), (name, metric)) in self.habits.iter_mut().zip(&mut self.gathering).zip(HABITS) {
            let gathered = std::mem::take(gathering);
            let value = match metric {
                _ if gathered.count == 0 => continue,
                Metric::Level(_) => gathered.sum / f64::from(gathered.count),
                Metric::Counter(_) => gathered.sum,
            };
            habit.observe(at, value, name, &parameters.adaptive, sink);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocation::TierName;
    use crate::tos::rule::Rule;
    use crate::tos::signal::Signal;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    /// What an account does in a second: a scan from the hundredth on, and a processor beyond its tier all along.
    fn second(number: u64) -> (Sample, Signals) {
        let at = NOW.after(Duration::from_secs(number));
        let sample = Sample::at(at).with_level(Level::CpuMillicores, 9_000).with_added(Counter::ApiCalls, number % 7);
        let mut signals = Signals::new();
        if number >= 100 {
            let counted =
                [(Signal::OutboundConnections, 40), (Signal::FailedConnections, 39), (Signal::DistinctPeers, 40)];
            counted.into_iter().for_each(|(signal, count)| signals.add(signal, count));
        }
        (sample, signals)
    }

    fn findings(seconds: u64, restart: impl Fn(u64) -> bool) -> Vec<Finding> {
        let (free, parameters) = (Allocation::initial(TierName::Free), DetectorParameters::default());
        let (mut detectors, mut findings) = (AccountDetectors::new(), Vec::new());
        for number in 0..seconds {
            let (sample, signals) = second(number);
            detectors.observe(&sample, &signals, &free, &parameters, &mut |finding| findings.push(finding));
            if restart(number) {
                detectors = AccountDetectors::from_bytes(&detectors.to_bytes()).unwrap();
            }
        }
        findings
    }

    #[test]
    fn detectors_that_were_restored_raise_the_same_flags() {
        let without = findings(2_000, |_| false);
        let rules: Vec<Rule> = without
            .iter()
            .filter_map(|finding| match finding {
                Finding::Raised(flag) => Some(flag.rule),
                Finding::Lowered { .. } => None,
            })
            .collect();
        assert!(rules.contains(&Rule::Scan) && rules.contains(&Rule::HardCap), "{rules:?}");
        assert_eq!(findings(2_000, |_| true), without);
        assert_eq!(findings(2_000, |number| number % 97 == 0), without);
    }

    #[test]
    fn bytes_of_something_else_are_no_state() {
        for bytes in [&[][..], &[1, 2, 3], &[0xff; 400]] {
            assert_eq!(AccountDetectors::from_bytes(bytes), None);
        }
    }
}

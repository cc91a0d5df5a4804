//! What follows from a flag: a policy, which is data, decides it from figures alone.
//!
//! The same policy and the same figures give the same decision on every machine and at any later time: there is no
//! floating point, no clock and no chance in it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::tos::rule::{Rule, Severity, ViolationKind};
use crate::tos::sanction::Sanction;

/// The largest text of a policy: a ladder for every rule takes a tenth of it.
pub const MAX_POLICY_BYTES: usize = 65_536;
/// Steps of one ladder at most: there are five sanctions, and some of them in several lengths.
pub const MAX_STEPS: usize = 16;
/// The longest sanction that a policy may give: a year. What has to last longer is decided by a person, again.
pub const MAX_HOURS: u32 = 365 * 24;
/// The longest suspension without a person, of attacks in progress alone.
pub const MAX_AUTOMATED_SUSPENSION_HOURS: u32 = 24;
/// What one earlier violation counts for on its first day.
pub const STRIKE: u32 = 1_000;
/// What is found of one kind within so long of each other is one incident: an attack that several rules see, or that
/// comes in waves, is held against its account once.
pub const INCIDENT: Duration = Duration::from_secs(3_600);
/// Strikes that are counted at most: no ladder looks further.
const MAX_STRIKES: u32 = 1_000 * STRIKE;

/// A policy that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// It is no JSON of the form of a policy.
    #[error("not a policy: {0}")]
    Unreadable(String),
    /// Its text is longer than [`MAX_POLICY_BYTES`].
    #[error("longer than {MAX_POLICY_BYTES} bytes")]
    TooLong,
    /// A ladder of no rule.
    #[error("there is no rule {0}")]
    UnknownRule(String),
    /// A figure is out of its range.
    #[error("{0}")]
    OutOfRange(&'static str),
    /// A ladder that goes further than its rule may by itself.
    #[error("{0} may go no further than {1} by itself")]
    TooFar(String, &'static str),
}

/// One step of a ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// From so many strikes on, in thousandths of a violation: 0 for the first time.
    pub strikes: u32,
    /// What follows.
    pub sanction: Sanction,
    /// For how many hours.
    pub hours: u32,
}

/// What follows from flags, in rising order of what went before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnforcementPolicy {
    /// The count of its versions: a later one has a higher.
    pub version: u32,
    /// After how many days of good conduct an earlier violation counts for half.
    pub half_life_days: u32,
    /// What follows from a warning, unless its rule has a ladder of its own.
    pub warn: Vec<Step>,
    /// What follows from a flag that calls for restricting, unless its rule has a ladder of its own.
    pub restrict: Vec<Step>,
    /// Ladders of rules, by their names.
    #[serde(default)]
    pub rules: BTreeMap<String, Vec<Step>>,
}

/// What a decision is made from, all of it stored with the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grounds {
    /// The rule that fired.
    pub rule: Rule,
    /// How much its flag weighs.
    pub severity: Severity,
    /// What went before, in thousandths of a violation: see [`EnforcementPolicy::strikes`].
    pub strikes: u32,
}

/// What a policy decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What follows.
    pub sanction: Sanction,
    /// For how long; zero for no sanction.
    pub lasting: Duration,
}

impl Decision {
    const NOTHING: Self = Self { sanction: Sanction::None, lasting: Duration::ZERO };
}

const HOUR: Duration = Duration::from_secs(3_600);
const DAY_MILLIS: u128 = 86_400_000;

const fn step(strikes: u32, sanction: Sanction, hours: u32) -> Step {
    Step { strikes, sanction, hours }
}

impl Default for EnforcementPolicy {
    /// Warn first and restrict what harms others now; each repeat goes a step further, and a month of good conduct
    /// halves what went before.
    fn default() -> Self {
        use Sanction::{ReadOnly, Suspend, Throttle, Warn};
        let ladder = |rule: Rule, steps: &[Step]| (rule.name().to_owned(), steps.to_vec());
        Self {
            version: 1,
            half_life_days: 30,
            warn: vec![step(0, Warn, 168), step(2 * STRIKE, Throttle, 24), step(4 * STRIKE, Throttle, 168)],
            restrict: vec![step(0, Throttle, 24), step(STRIKE, ReadOnly, 24), step(3 * STRIKE, ReadOnly, 168)],
            rules: BTreeMap::from([
                // Suspected only, whatever went before.
                ladder(Rule::Mining, &[step(0, Warn, 168)]),
                // What is being destroyed is worth stopping at once.
                ladder(Rule::Ransomware, &[step(0, ReadOnly, 24), step(STRIKE, ReadOnly, 168)]),
                // An attack in progress, for as long as a person takes to look.
                ladder(Rule::DdosConnections, &[step(0, Suspend, 1), step(STRIKE, Suspend, 24)]),
                ladder(Rule::DdosPackets, &[step(0, Suspend, 1), step(STRIKE, Suspend, 24)]),
                // The third notice in half a year makes a repeat infringer.
                ladder(
                    Rule::CopyrightNotice,
                    &[step(0, Warn, 336), step(2 * STRIKE, ReadOnly, 336), step(4 * STRIKE, ReadOnly, 2_160)],
                ),
            ]),
        }
    }
}

impl EnforcementPolicy {
    /// Reads a policy and holds it against every rule that a policy has to keep.
    ///
    /// # Errors
    /// [`InvalidPolicy`], which says what is wrong with it.
    pub fn from_json(text: &str) -> Result<Self, InvalidPolicy> {
        if text.len() > MAX_POLICY_BYTES {
            return Err(InvalidPolicy::TooLong);
        }
        let policy: Self = serde_json::from_str(text).map_err(|error| InvalidPolicy::Unreadable(error.to_string()))?;
        policy.validate()?;
        Ok(policy)
    }

    /// As a storage keeps it; [`Self::from_json`] reads it back to the same.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Numbers and names alone: it cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What follows from a flag.
    #[must_use]
    pub fn decide(&self, grounds: &Grounds) -> Decision {
        let Some(ladder) = self.ladder(grounds.rule, grounds.severity) else { return Decision::NOTHING };
        let reached = ladder.iter().rev().find(|step| step.strikes <= grounds.strikes);
        reached.map_or(Decision::NOTHING, |step| {
            // Also where a ladder is the general one: what is suspected only is never acted on further.
            let sanction = step.sanction.min(furthest(grounds.rule));
            let lasting = if sanction == Sanction::None { Duration::ZERO } else { HOUR * step.hours };
            Decision { sanction, lasting }
        })
    }

    /// What earlier violations count for: each incident of them [`STRIKE`], and half of it after every half-life. What was
    /// found within [`INCIDENT`] of something else, or of now, is one incident with it. Overruled violations are for the
    /// caller to leave out.
    #[must_use]
    pub fn strikes(&self, earlier: impl IntoIterator<Item = Timestamp>, now: Timestamp) -> u32 {
        let half_life = u128::from(self.half_life_days.max(1)) * DAY_MILLIS;
        let mut earlier: Vec<Timestamp> = earlier.into_iter().collect();
        earlier.sort_unstable();
        let mut next = now;
        let mut incidents = Vec::new();
        for at in earlier.into_iter().rev() {
            if next.since(at) > INCIDENT {
                incidents.push(at);
            }
            next = at;
        }
        let strikes = incidents.into_iter().fold(0_u32, |sum, at| {
            let halvings = u32::try_from(now.since(at).as_millis() / half_life).unwrap_or(u32::MAX);
            sum.saturating_add(STRIKE.checked_shr(halvings).unwrap_or(0))
        });
        strikes.min(MAX_STRIKES)
    }

    fn ladder(&self, rule: Rule, severity: Severity) -> Option<&[Step]> {
        match severity {
            // Shown, and never acted on.
            Severity::Notice => None,
            // A rule's own ladder is for all that it may weigh; a milder flag of it is a warning like others.
            _ if severity == rule.severity() && self.rules.contains_key(rule.name()) => {
                self.rules.get(rule.name()).map(Vec::as_slice)
            }
            Severity::Warn => Some(&self.warn),
            Severity::Restrict => Some(&self.restrict),
        }
    }

    fn validate(&self) -> Result<(), InvalidPolicy> {
        if !(1..=i32::MAX.unsigned_abs()).contains(&self.version) {
            return Err(InvalidPolicy::OutOfRange("version is 1 to 2147483647"));
        }
        if !(1..=3_650).contains(&self.half_life_days) {
            return Err(InvalidPolicy::OutOfRange("halfLifeDays is 1 to 3650"));
        }
        check("warn", &self.warn, Sanction::Throttle)?;
        check("restrict", &self.restrict, Sanction::ReadOnly)?;
        for (name, ladder) in &self.rules {
            let rule: Rule = name.parse().map_err(|_| InvalidPolicy::UnknownRule(name.clone()))?;
            check(name, ladder, furthest(rule))?;
        }
        Ok(())
    }
}

/// How far a rule may go without a person.
#[must_use]
pub const fn furthest(rule: Rule) -> Sanction {
    match (rule, rule.kind(), rule.severity()) {
        (_, _, Severity::Notice) => Sanction::None,
        // Suspected only, or without evidence.
        (Rule::Mining | Rule::SpamVolume | Rule::RansomwareBlocks | Rule::RansomwareReads, _, _) => Sanction::Warn,
        (_, ViolationKind::Ddos, _) => Sanction::Suspend,
        (_, _, Severity::Warn) => Sanction::Throttle,
        (_, _, Severity::Restrict) => Sanction::ReadOnly,
    }
}

fn check(name: &str, ladder: &[Step], furthest: Sanction) -> Result<(), InvalidPolicy> {
    if ladder.is_empty() || ladder.len() > MAX_STEPS {
        return Err(InvalidPolicy::OutOfRange("a ladder has 1 to 16 steps"));
    }
    if ladder.first().is_none_or(|first| first.strikes != 0) {
        return Err(InvalidPolicy::OutOfRange("the first step of a ladder is at 0 strikes"));
    }
    if !ladder.is_sorted_by(|one, next| one.strikes < next.strikes && one.sanction <= next.sanction) {
        return Err(InvalidPolicy::OutOfRange("the steps of a ladder rise"));
    }
    for step in ladder {
        if step.sanction > furthest {
            return Err(InvalidPolicy::TooFar(name.to_owned(), furthest.name()));
        }
        if step.sanction != Sanction::None && !(1..=MAX_HOURS).contains(&step.hours) {
            return Err(InvalidPolicy::OutOfRange("a sanction lasts 1 to 8760 hours"));
        }
        if step.sanction == Sanction::Suspend && step.hours > MAX_AUTOMATED_SUSPENSION_HOURS {
            return Err(InvalidPolicy::OutOfRange("a suspension without a person lasts 24 hours at most"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const DAY: Duration = Duration::from_hours(24);

    fn with(rule: &str, steps: &[Step]) -> Result<EnforcementPolicy, InvalidPolicy> {
        let mut policy = EnforcementPolicy::default();
        policy.rules.insert(rule.to_owned(), steps.to_vec());
        EnforcementPolicy::from_json(&policy.to_json())
    }

    #[test]
    fn the_policy_that_comes_with_the_program_is_a_valid_one() {
        let policy = EnforcementPolicy::default();
        assert_eq!(EnforcementPolicy::from_json(&policy.to_json()), Ok(policy));
    }

    #[test]
    fn no_policy_goes_further_than_its_rules_may_without_a_person() {
        use Sanction::{None, ReadOnly, Suspend, Throttle, Warn};
        for (rule, steps) in [
            ("scan", &[step(0, Suspend, 1)][..]),
            ("mining-suspected", &[step(0, Throttle, 1)]),
            ("unusual", &[step(0, Warn, 1)]),
            ("spam-volume", &[step(0, Throttle, 1)]),
            ("ddos-packets", &[step(0, Suspend, 25)]),
            ("no-such-rule", &[step(0, Warn, 1)]),
            ("scan", &[]),
            ("scan", &[step(1, Warn, 1)]),
            ("scan", &[step(0, Warn, 0)]),
            ("scan", &[step(0, Warn, 8_761)]),
            ("scan", &[step(0, Throttle, 1), step(1, Warn, 1)]),
            ("scan", &[step(0, Warn, 1), step(0, Throttle, 1)]),
        ] {
            assert!(with(rule, steps).is_err(), "{rule} {steps:?}");
        }
        assert!(with("ddos-packets", &[step(0, Suspend, 24)]).is_ok());
        assert!(with("scan", &[step(0, None, 0), step(1, ReadOnly, 8_760)]).is_ok());
        for text in ["", "[]", "{\"version\":1}", &EnforcementPolicy::default().to_json().replace("warn", "wran")] {
            assert!(matches!(EnforcementPolicy::from_json(text), Err(InvalidPolicy::Unreadable(_))), "{text}");
        }
        let long = " ".repeat(MAX_POLICY_BYTES + 1);
        assert_eq!(EnforcementPolicy::from_json(&long), Err(InvalidPolicy::TooLong));
    }

    #[test]
    fn repeats_go_further_and_good_conduct_is_forgotten() {
        let policy = EnforcementPolicy::default();
        let decide = |strikes| policy.decide(&Grounds { rule: Rule::Scan, severity: Severity::Restrict, strikes });
        assert_eq!(decide(0).sanction, Sanction::Throttle);
        assert_eq!(decide(policy.strikes([NOW.before(DAY)], NOW)).sanction, Sanction::ReadOnly);
        assert_eq!(decide(policy.strikes([NOW.before(30 * DAY)], NOW)).sanction, Sanction::Throttle);
        assert_eq!(policy.strikes([NOW.before(DAY), NOW.before(29 * DAY), NOW.before(31 * DAY)], NOW), 2_500);
        let waves = (0..10).map(|wave| NOW.before(DAY + INCIDENT * wave));
        assert_eq!(policy.strikes(waves.chain([NOW, NOW.before(INCIDENT)]), NOW), STRIKE, "one incident, and this one");
        assert_eq!(policy.strikes([NOW.before(3_650 * DAY)], NOW), 0);
        let notice = Grounds { rule: Rule::Unusual, severity: Severity::Notice, strikes: 1_000_000 };
        assert_eq!(policy.decide(&notice), Decision::NOTHING);
    }

    #[test]
    fn a_warning_of_a_harmful_rule_is_a_warning_and_what_is_only_suspected_stays_one() {
        let policy = EnforcementPolicy::default();
        let decide = |rule, severity, strikes| policy.decide(&Grounds { rule, severity, strikes }).sanction;
        assert_eq!(decide(Rule::DdosPackets, Severity::Warn, 0), Sanction::Warn);
        assert_eq!(decide(Rule::DdosPackets, Severity::Restrict, 0), Sanction::Suspend);
        for rule in [Rule::Mining, Rule::SpamVolume] {
            let without = EnforcementPolicy { rules: BTreeMap::new(), ..policy.clone() };
            let grounds = Grounds { rule, severity: Severity::Warn, strikes: MAX_STRIKES };
            assert_eq!(without.decide(&grounds).sanction, Sanction::Warn, "{rule}");
        }
    }

    proptest! {
        #[test]
        fn more_that_went_before_never_leads_to_less(
            rule in prop::sample::select(&Rule::ALL[..]),
            (fewer, more) in (0_u32..10_000, 0_u32..10_000),
        ) {
            let policy = EnforcementPolicy::default();
            let (fewer, more) = (fewer.min(more), fewer.max(more));
            let decide = |strikes| policy.decide(&Grounds { rule, severity: rule.severity(), strikes });
            prop_assert!(decide(fewer).sanction <= decide(more).sanction);
            prop_assert!(decide(more).sanction <= furthest(rule));
        }
    }
}

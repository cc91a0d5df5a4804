//! The statement of reasons that every sanction owes the account it falls on.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::allocation::TierName;
use crate::time::Timestamp;
use crate::tos::flag::{Counterfactual, Exit, Figure, Flag, MAX_SUPPORTING};
use crate::tos::rule::{Rule, Severity};

/// The ways open to whoever does not agree, in words.
pub const REDRESS: &str = "You may appeal, also while suspended. Somebody other than whoever imposed it decides; an \
                           appeal that waits for 14 days relaxes the sanction by one step.";

/// Why something follows from what was found: figures, and the sentences made from them. There is no sanction without
/// one.
#[derive(Debug, Clone, PartialEq)]
pub struct StatementOfReasons {
    flag: Flag,
    /// Of the rule that was in force then, which may be an older one than today's.
    rule_version: u16,
    is_automated: bool,
    expires_at: Option<Timestamp>,
}

impl StatementOfReasons {
    pub(crate) fn new(mut flag: Flag, is_automated: bool, expires_at: Option<Timestamp>) -> Self {
        // A figure that is no number could be neither stored nor contested.
        let figures = std::iter::once(&mut flag.figure).chain(flag.supporting.iter_mut().flatten());
        figures.for_each(|figure| (figure.observed, figure.limit) = (finite(figure.observed), finite(figure.limit)));
        flag.exit.at_most = finite(flag.exit.at_most);
        flag.counterfactual.at_most = finite(flag.counterfactual.at_most);
        Self { flag, rule_version: flag.rule.version(), is_automated, expires_at }
    }

    /// The stable name of the rule, with its version: `scan@1`.
    #[must_use]
    pub fn rule(&self) -> String {
        format!("{}@{}", self.flag.rule.name(), self.rule_version)
    }

    /// Everything the detector found.
    #[must_use]
    pub const fn flag(&self) -> &Flag {
        &self.flag
    }

    /// What was found, in words made from the figures.
    #[must_use]
    pub fn facts(&self) -> String {
        self.flag.facts()
    }

    /// What would have kept the rule from firing, in words.
    #[must_use]
    pub fn counterfactual(&self) -> String {
        self.flag.counterfactual_sentence()
    }

    /// Whether no person took part in the decision.
    #[must_use]
    pub const fn is_automated(&self) -> bool {
        self.is_automated
    }

    /// When what follows ends by itself.
    #[must_use]
    pub const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// The ways open to whoever does not agree.
    #[must_use]
    pub const fn redress(&self) -> &'static str {
        REDRESS
    }

    /// As a storage keeps it.
    #[must_use]
    pub fn to_text(&self) -> String {
        // A map of numbers and names cannot fail to be written.
        serde_json::to_string(&Stored::from(self)).unwrap_or_default()
    }

    /// As a storage kept it.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str::<Stored<'_>>(text).ok()?.statement()
    }
}

fn finite(figure: f64) -> f64 {
    if figure.is_nan() { 0.0 } else { figure.clamp(f64::MIN, f64::MAX) }
}

/// The names of signals are the detectors' own; those read back are looked up among them.
#[derive(Serialize, Deserialize)]
struct StoredFigure<'a> {
    #[serde(borrow)]
    signal: Cow<'a, str>,
    observed: f64,
    limit: f64,
}

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    rule: Cow<'a, str>,
    version: u16,
    severity: Severity,
    figure: StoredFigure<'a>,
    window_ms: u64,
    since: i64,
    at: i64,
    #[serde(borrow)]
    tier: Option<Cow<'a, str>>,
    supporting: Vec<StoredFigure<'a>>,
    exit_at_most: f64,
    exit_ms: u64,
    counterfactual_signal: Cow<'a, str>,
    counterfactual_at_most: f64,
    automated: bool,
    expires_at: Option<i64>,
}

fn stored(figure: &Figure) -> StoredFigure<'_> {
    StoredFigure { signal: figure.signal.into(), observed: figure.observed, limit: figure.limit }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl<'a> From<&'a StatementOfReasons> for Stored<'a> {
    fn from(statement: &'a StatementOfReasons) -> Self {
        let Flag { rule, severity, figure, window, since, at, tier, supporting, exit, counterfactual } =
            &statement.flag;
        Self {
            rule: rule.name().into(),
            version: statement.rule_version,
            severity: *severity,
            figure: stored(figure),
            window_ms: millis(*window),
            since: since.as_millis(),
            at: at.as_millis(),
            tier: tier.map(|tier| tier.name().into()),
            supporting: supporting.iter().flatten().map(stored).collect(),
            exit_at_most: exit.at_most,
            exit_ms: millis(exit.lasting),
            counterfactual_signal: counterfactual.signal.into(),
            counterfactual_at_most: counterfactual.at_most,
            automated: statement.is_automated,
            expires_at: statement.expires_at.map(Timestamp::as_millis),
        }
    }
}

impl Stored<'_> {
    fn statement(self) -> Option<StatementOfReasons> {
        let figure = |figure: &StoredFigure<'_>| {
            Some(Figure { signal: named(&figure.signal)?, observed: figure.observed, limit: figure.limit })
        };
        let mut supporting = [None; MAX_SUPPORTING];
        for (place, stored) in supporting.iter_mut().zip(&self.supporting) {
            *place = Some(figure(stored)?);
        }
        let tier = self.tier.map(|tier| tier.parse::<TierName>()).transpose().ok()?;
        let exit = Exit { at_most: self.exit_at_most, lasting: Duration::from_millis(self.exit_ms) };
        let counterfactual =
            Counterfactual { signal: named(&self.counterfactual_signal)?, at_most: self.counterfactual_at_most };
        let flag = Flag {
            rule: self.rule.parse::<Rule>().ok()?,
            severity: self.severity,
            figure: figure(&self.figure)?,
            window: Duration::from_millis(self.window_ms),
            since: Timestamp::from_millis(self.since),
            at: Timestamp::from_millis(self.at),
            tier,
            supporting,
            exit,
            counterfactual,
        };
        Some(StatementOfReasons {
            flag,
            rule_version: self.version,
            is_automated: self.automated,
            expires_at: self.expires_at.map(Timestamp::from_millis),
        })
    }
}

/// The name of a signal for as long as the program runs. There are some dozens of them, and a name that a former version
/// stored is kept once.
fn named(name: &str) -> Option<&'static str> {
    use std::collections::BTreeSet;

    use parking_lot::Mutex;
    /// Names kept at most: there are some dozens, and a store that was tampered with must not fill memory.
    const MAX_NAMES: usize = 1_024;
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock();
    if let Some(known) = names.get(name) {
        return Some(known);
    }
    if names.len() == MAX_NAMES {
        return None;
    }
    let kept: &'static str = Box::leak(name.into());
    names.insert(kept);
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_stored_reads_back_to_the_bit(
            observed in prop::num::f64::ANY,
            limit in prop::num::f64::NORMAL,
            at in 0_i64..4_000_000_000_000,
            supporting in prop::collection::vec((0.0_f64..1e18, 0.0_f64..1e18), 0..=MAX_SUPPORTING),
        ) {
            let mut figures = [None; MAX_SUPPORTING];
            for (place, (observed, limit)) in figures.iter_mut().zip(supporting) {
                *place = Some(Figure { signal: "distinct_peers", observed, limit });
            }
            let at = Timestamp::from_millis(at);
            let flag = Flag {
                rule: Rule::Scan,
                severity: Severity::Restrict,
                figure: Figure { signal: "failed_connections", observed, limit },
                window: Duration::from_secs(60),
                since: at,
                at,
                tier: Some(TierName::Pro),
                supporting: figures,
                exit: Exit { at_most: limit * 0.75, lasting: Duration::from_secs(120) },
                counterfactual: Counterfactual { signal: "failed_connections", at_most: limit },
            };
            let statement = StatementOfReasons::new(flag, true, Some(at));
            prop_assert_eq!(StatementOfReasons::from_text(&statement.to_text()), Some(statement));
        }
    }

    #[test]
    fn what_is_no_statement_is_none() {
        for text in ["", "{}", "{\"rule\":\"scan\"}", "null"] {
            assert_eq!(StatementOfReasons::from_text(text), None, "{text}");
        }
    }
}

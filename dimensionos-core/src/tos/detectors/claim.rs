//! From a figure and its limit to a finding: the part that is the same in every rule.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::allocation::TierName;
use crate::time::Timestamp;
use crate::tos::detectors::windows::millis;
use crate::tos::{Counterfactual, Exit, Figure, Finding, Flag, LEAVE_AT, Latch, MAX_SUPPORTING, Rule, Severity, Turn};

/// What part of its limit a faded sum may have been at before the window of its flag began. With the 0.6 of
/// `COUNTERFACTUAL_PART` from within the window that makes 0.95 of the limit: what the counterfactual says is true
/// whatever was done before.
const QUIET_PART: f64 = 0.35;

/// One rule's flag for one account, and how far back what makes its figure goes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Standing {
    latch: Latch,
    /// Since when the figure is over [`QUIET_PART`] of its limit; 0 where it is not.
    stirring_since: u64,
}

impl Standing {
    /// How long the figure has been stirring, and the instant where it began with it.
    #[expect(clippy::cast_sign_loss, reason = "instants begin with 1970")]
    fn stirring(&mut self, at: Timestamp, part: f64, reach: Duration) -> Duration {
        let now = (at.as_millis() as u64).max(1);
        if part <= QUIET_PART {
            self.stirring_since = 0;
            return Duration::ZERO;
        }
        if self.stirring_since == 0 || self.stirring_since > now {
            self.stirring_since = now.saturating_sub(millis(reach)).max(1);
        }
        Duration::from_millis(now - self.stirring_since + 1)
    }
}

/// What a rule holds against an account at one instant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub(super) rule: Rule,
    pub(super) severity: Severity,
    pub(super) figure: Figure,
    /// Over how long the figure is taken. A faded one goes further back where it was not quiet before.
    pub(super) window: Duration,
    /// The limit to be quiet beside, where the figure is a faded sum. It is the smallest one that the rule may take.
    pub(super) quiet_beside: Option<f64>,
    /// What else may not be more than a quiet part of itself before the window begins: 0 where there is nothing.
    pub(super) unrest: f64,
    /// Since how long ago there are inputs that the rule is asked about for the first time now.
    pub(super) reach: Duration,
    /// How long all of it has to hold before the flag goes up,
    pub(super) rise: Duration,
    /// and how long it has to be well below before the flag goes down.
    pub(super) fall: Duration,
    pub(super) tier: Option<TierName>,
    /// How far what else is asked holds: over 1 where all of it does, else the part that the weakest of it comes to.
    pub(super) gate: f64,
    pub(super) supporting: [Option<Figure>; MAX_SUPPORTING],
    /// What there would have had to be less of.
    pub(super) counterfactual: Counterfactual,
}

impl Claim {
    /// Gives the claim to the rule's latch, and tells the sink what came of it.
    pub(super) fn hold(self, standing: &mut Standing, at: Timestamp, sink: &mut impl FnMut(Finding)) {
        let figure = part(self.figure.observed, self.figure.limit);
        let ratio = if self.gate > 1.0 { figure } else { figure.min(self.gate) };
        let stirring = self.quiet_beside.map(|limit| {
            let unrest = part(self.figure.observed, limit).max(self.unrest);
            standing.stirring(at, unrest, self.reach)
        });
        match standing.latch.take_for(at, ratio, self.rise, self.fall) {
            Some(Turn::Raised { since }) => sink(Finding::Raised(Flag {
                rule: self.rule,
                severity: self.severity,
                figure: self.figure,
                window: self.window.max(stirring.unwrap_or_default()),
                since,
                at,
                tier: self.tier,
                supporting: self.supporting,
                exit: Exit { at_most: self.figure.limit * LEAVE_AT, lasting: self.fall },
                counterfactual: self.counterfactual,
            })),
            Some(Turn::Lowered) => sink(Finding::Lowered { rule: self.rule, at }),
            None => {}
        }
    }
}

/// What part of a limit something comes to. Of a limit of nothing, anything is infinitely much.
pub(super) fn part(observed: f64, limit: f64) -> f64 {
    match (observed > 0.0, limit > 0.0) {
        (false, _) => 0.0,
        (true, false) => f64::INFINITY,
        (true, true) => observed / limit,
    }
}

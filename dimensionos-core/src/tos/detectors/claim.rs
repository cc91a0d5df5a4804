//! From a figure and its limit to a finding: the part that is the same in every rule.

use std::time::Duration;

use crate::allocation::TierName;
use crate::time::Timestamp;
use crate::tos::{Counterfactual, Exit, Figure, Finding, Flag, LEAVE_AT, Latch, MAX_SUPPORTING, Rule, Severity, Turn};

/// What a rule holds against an account at one instant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub(super) rule: Rule,
    pub(super) severity: Severity,
    pub(super) figure: Figure,
    pub(super) window: Duration,
    /// How long all of it has to hold.
    pub(super) dwell: Duration,
    pub(super) tier: Option<TierName>,
    /// How far what else is asked holds: over 1 where all of it does, else the part that the weakest of it comes to.
    pub(super) gate: f64,
    pub(super) supporting: [Option<Figure>; MAX_SUPPORTING],
    /// What there would have had to be less of.
    pub(super) counterfactual: Counterfactual,
}

impl Claim {
    /// Gives the claim to the rule's latch and tells the sink what came of it.
    pub(super) fn hold(self, latch: &mut Latch, at: Timestamp, sink: &mut impl FnMut(Finding)) {
        let figure = part(self.figure.observed, self.figure.limit);
        let ratio = if self.gate > 1.0 { figure } else { figure.min(self.gate) };
        match latch.take(at, ratio, self.dwell) {
            Some(Turn::Raised { since }) => sink(Finding::Raised(Flag {
                rule: self.rule,
                severity: self.severity,
                figure: self.figure,
                window: self.window,
                since,
                at,
                tier: self.tier,
                supporting: self.supporting,
                exit: Exit { at_most: self.figure.limit * LEAVE_AT, lasting: self.dwell * 2 },
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

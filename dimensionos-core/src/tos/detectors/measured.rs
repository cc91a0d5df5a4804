//! A figure on its way to a flag.

use std::time::Duration;

use crate::time::Timestamp;
use crate::tos::flag::{Counterfactual, Exit, Figure, Finding, Flag};
use crate::tos::latch::{LEAVE_AT, Latch, Turn};
use crate::tos::rule::{Rule, Severity};

/// How long a figure has to be low before its flag goes down, beyond the window that it is counted over: twice a second,
/// which is the pace at which somebody has to look.
const FALL: Duration = Duration::from_secs(2);

/// What else has to hold before a figure counts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gate {
    Open,
    Least { signal: &'static str, observed: f64, limit: f64 },
    Most { signal: &'static str, observed: f64, limit: f64 },
}

impl Gate {
    fn is_open(self) -> bool {
        self.is_open_at(1.0)
    }

    /// Whether it was nearly open: what keeps a flag up that is up.
    fn is_open_at(self, part: f64) -> bool {
        match self {
            Self::Open => true,
            Self::Least { observed, limit, .. } => observed >= limit * part,
            Self::Most { observed, limit, .. } => observed <= limit / part,
        }
    }

    fn figure(self) -> Option<Figure> {
        match self {
            Self::Open => None,
            Self::Least { signal, observed, limit } | Self::Most { signal, observed, limit } => {
                Some(Figure { signal, observed, limit })
            }
        }
    }
}

/// A figure on its way to a latch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub(super) rule: Rule,
    pub(super) signal: &'static str,
    pub(super) observed: f64,
    pub(super) limit: f64,
    pub(super) window: Duration,
    /// How far the same is over a limit of another kind, as a part of that limit, where that is farther.
    pub(super) at_least: f64,
    /// What still stands of the same kind elsewhere, as a part of the limit: it keeps a flag up and raises none.
    pub(super) standing: f64,
    pub(super) gate: Gate,
    /// From which multiple of the limit on the flag has the rule's full severity, and is a warning below.
    pub(super) harmful: f64,
    pub(super) fall: Duration,
    /// The most that the figure is taken for, as a part of the limit: above, it is too rough to raise a flag again.
    pub(super) most: f64,
    /// Which part of the limit keeps the rule silent: less than all of it where inputs are counted in parts that round.
    pub(super) silent_at: f64,
}

impl Measured {
    pub(super) fn new(rule: Rule, signal: &'static str, observed: f64, limit: f64, window: Duration) -> Self {
        Self {
            rule,
            signal,
            observed,
            limit,
            window,
            at_least: 0.0,
            standing: 0.0,
            gate: Gate::Open,
            harmful: 1.0,
            fall: FALL,
            silent_at: 1.0,
            most: f64::INFINITY,
        }
    }

    pub(super) fn judge(self, at: Timestamp, latch: &mut Latch, sink: &mut impl FnMut(Finding)) -> Option<Turn> {
        let ratio = (self.observed / self.limit).max(self.at_least).min(self.most);
        let effective = match (latch.is_up(), self.gate.is_open()) {
            (false, true) => ratio,
            (false, false) => 0.0,
            (true, true) => ratio.max(self.standing.min(1.0)),
            (true, false) if self.gate.is_open_at(LEAVE_AT) => ratio.max(self.standing).min(1.0),
            (true, false) => self.standing.min(1.0),
        };
        let turn = latch.take_for(at, effective, Duration::ZERO, self.fall)?;
        sink(match turn {
            Turn::Lowered => Finding::Lowered { rule: self.rule, at },
            Turn::Raised { since } => Finding::Raised(self.flag(ratio, since, at)),
        });
        Some(turn)
    }

    fn flag(self, ratio: f64, since: Timestamp, at: Timestamp) -> Flag {
        let severity = if ratio >= self.harmful { self.rule.severity() } else { Severity::Warn };
        Flag {
            rule: self.rule,
            severity: severity.min(self.rule.severity()),
            figure: Figure { signal: self.signal, observed: self.observed, limit: self.limit },
            window: self.window,
            since,
            at,
            tier: None,
            supporting: [self.gate.figure(), None, None, None],
            exit: Exit { at_most: self.limit * LEAVE_AT, lasting: self.fall },
            counterfactual: Counterfactual { signal: self.signal, at_most: self.limit * self.silent_at },
        }
    }
}

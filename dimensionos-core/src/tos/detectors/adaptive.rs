//! The adaptive layer: what is unusual for one metric of one account, learnt from the metric itself.
//!
//! It keeps the range of what it has seen of a figure, of its short mean and of its short spread, and scores how far the
//! next one goes beyond them; and beside that how many deviations it is from the short mean. Records of a range come
//! ever more rarely whatever the figure's distribution is, so that one limit means much the same for every series, which
//! no quantile learnt from it could be made to do.
//!
//! What it raises is a notice: shown to the account, never acted on. It knows nothing of limits or of harm.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::habit::{Habit, larger};
pub use self::habit::{HabitParameters, Score};
use crate::time::Timestamp;
use crate::tos::flag::MAX_SUPPORTING;
use crate::tos::{Counterfactual, Exit, Figure, Finding, Flag, LEAVE_AT, RAISE_AGAIN_AT, Rule, Severity};

mod habit;
#[cfg(test)]
mod tests;

/// The score from which on something is unusual, in both of its parts. Notices ask for more, see
/// [`AdaptiveParameters::notice_ranges`].
pub const UNUSUAL: f64 = 0.5;
/// Samples further apart count as if they were so far apart: a clock that jumps ahead, or a metric that was away, does
/// not make a habit older than what was seen of it.
const STEP_MILLIS_AT_MOST: i64 = 3_600_000;
/// The part by which the counterfactual stays under the limit, so that rounding does not undo it.
const UNDER_THE_LIMIT: f64 = 1e-9;
const MILLIS_PER_DAY: f64 = 86_400_000.0;

/// When an unusual figure becomes a notice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaptiveParameters {
    /// How the habit is learnt.
    pub habit: HabitParameters,
    /// No notice before so many samples,
    pub least_samples: u32,
    /// nor before the habit was watched for so long; both have to have passed. A week has each hour and each day of the
    /// week in it, and 300 samples are a spread that is known to a tenth.
    pub least_age: Duration,
    /// How far beyond everything remembered a figure has to go for a notice, in ranges of what is remembered. At five,
    /// 41 machines of ordinary customers with six metrics each get less than one in 50 days each.
    pub notice_ranges: f64,
    /// The part of the largest figure remembered that its range is taken for at least: without it, a figure that was
    /// constant would be unusual at the first tick of a meter.
    pub least_range: f64,
    /// A figure up to this is never a notice, in the metric's own unit. One of anything is nothing.
    pub least_figure: f64,
    /// How long the figure has to stay down for its notice to go.
    pub lasting: Duration,
}

impl Default for AdaptiveParameters {
    fn default() -> Self {
        Self {
            habit: HabitParameters::default(),
            least_samples: 300,
            least_age: Duration::from_secs(7 * 86_400),
            notice_ranges: 5.0,
            least_range: 0.25,
            least_figure: 1.0,
            lasting: Duration::from_secs(86_400),
        }
    }
}

/// The habit of one metric of one account, and whether its notice is up. A plain value of constant size: saved and
/// restored at any point, it goes on as if nothing had been.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Adaptive {
    habit: Habit,
    /// For how long it was watched, no step counting for more than [`STEP_MILLIS_AT_MOST`].
    watched_millis: u32,
    last_at: i64,
    notice: Notice,
}

/// Whether the notice is up; all zero while it is not.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Notice {
    /// The limit that was passed.
    limit: f32,
    /// By what.
    raised_at: f32,
    /// Since when the figure is down; 0 while it is not.
    down_since: i64,
}

impl Adaptive {
    /// Nothing learnt yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what the metric was at an instant: scores it against all that came before, reports a notice that went up or
    /// down, and learns it. The metric's name stands in the flag.
    ///
    /// Samples are expected at one pace, of a minute to an hour; the habit goes by their order, so that a gap, or a clock
    /// that steps, leaves it as it was. A figure that is no number is passed over, as one that is missing is.
    pub fn observe(
        &mut self,
        at: Timestamp,
        value: f64,
        signal: &'static str,
        parameters: &AdaptiveParameters,
        sink: &mut impl FnMut(Finding),
    ) -> Score {
        if !value.is_finite() {
            return Score::default();
        }
        let step = self.step(at);
        if self.is_ready(parameters) {
            self.judge(at, step, value, signal, parameters, sink);
        }
        self.habit.take(value, &parameters.habit)
    }

    /// Whether enough was seen for a notice. The score is there from the second sample on.
    #[inline]
    #[must_use]
    pub fn is_ready(&self, parameters: &AdaptiveParameters) -> bool {
        self.habit.samples() >= parameters.least_samples
            && u128::from(self.watched_millis) >= parameters.least_age.as_millis()
    }

    /// The largest next figure that would raise no notice, were the habit ready.
    #[inline]
    #[must_use]
    pub fn at_most(&self, parameters: &AdaptiveParameters) -> f64 {
        let usual = self.habit.at_most(parameters.notice_ranges, parameters.least_range, &parameters.habit);
        larger(usual, parameters.least_figure)
    }

    /// The milliseconds since the last sample, as far as they count.
    #[inline]
    #[expect(clippy::cast_sign_loss, reason = "a step is 0 to an hour")]
    fn step(&mut self, at: Timestamp) -> u32 {
        let since_last = (at.as_millis() - self.last_at).clamp(0, STEP_MILLIS_AT_MOST) as u32;
        let step = if self.habit.samples() == 0 { 0 } else { since_last };
        self.watched_millis = self.watched_millis.saturating_add(step);
        self.last_at = at.as_millis();
        step
    }

    #[expect(clippy::cast_possible_truncation, reason = "limits are kept in single precision, as what they come from")]
    fn judge(
        &mut self,
        at: Timestamp,
        step: u32,
        value: f64,
        signal: &'static str,
        parameters: &AdaptiveParameters,
        sink: &mut impl FnMut(Finding),
    ) {
        let is_up = self.notice.raised_at > 0.0;
        let again = RAISE_AGAIN_AT * f64::from(self.notice.raised_at);
        let limit = larger(self.at_most(parameters), again);
        if value > limit {
            sink(Finding::Raised(self.flag(at, step, Figure { signal, observed: value, limit }, parameters)));
            self.notice = Notice { limit: limit as f32, raised_at: value as f32, down_since: 0 };
        } else if is_up && self.notice.is_over(at, value, parameters.lasting) {
            self.notice = Notice::default();
            sink(Finding::Lowered { rule: Rule::Unusual, at });
        }
    }

    fn flag(&self, at: Timestamp, step: u32, figure: Figure, parameters: &AdaptiveParameters) -> Flag {
        let mut supporting = [None; MAX_SUPPORTING];
        supporting[0] = Some(Figure {
            signal: "samples_learnt",
            observed: f64::from(self.habit.samples()),
            limit: f64::from(parameters.least_samples),
        });
        supporting[1] = Some(Figure {
            signal: "days_learnt",
            observed: f64::from(self.watched_millis) / MILLIS_PER_DAY,
            limit: parameters.least_age.as_secs_f64() * 1e3 / MILLIS_PER_DAY,
        });
        Flag {
            rule: Rule::Unusual,
            severity: Severity::Notice,
            figure,
            // A sample speaks for the time since the one before.
            window: Duration::from_millis(u64::from(step.max(1))),
            since: at,
            at,
            tier: None,
            supporting,
            exit: Exit { at_most: LEAVE_AT * figure.limit, lasting: parameters.lasting },
            counterfactual: Counterfactual { signal: figure.signal, at_most: figure.limit * (1.0 - UNDER_THE_LIMIT) },
        }
    }
}

impl Notice {
    fn is_over(&mut self, at: Timestamp, value: f64, lasting: Duration) -> bool {
        if value > LEAVE_AT * f64::from(self.limit) {
            self.down_since = 0;
            return false;
        }
        // A clock that was set back begins the stretch again.
        if self.down_since == 0 || self.down_since > at.as_millis() {
            self.down_since = at.as_millis().max(1);
        }
        at.since(Timestamp::from_millis(self.down_since)) >= lasting
    }
}

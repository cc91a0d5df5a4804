//! A flag: which rule, which figure, against which limit, and what would have kept it from being raised.

use std::fmt;
use std::time::Duration;

use crate::allocation::TierName;
use crate::time::Timestamp;
use crate::tos::rule::{Rule, Severity};

/// Figures beside the one that the rule is about.
pub const MAX_SUPPORTING: usize = 4;

/// A figure that was held against a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// What was measured, such as `failed_connections` or `cpu_share`, with its unit where it is no count.
    pub signal: &'static str,
    /// What it was.
    pub observed: f64,
    /// What it was held against.
    pub limit: f64,
}

/// What a detector raised, with everything that is needed to check it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flag {
    /// Which rule.
    pub rule: Rule,
    /// How much it weighs; never more than [`Rule::severity`].
    pub severity: Severity,
    /// The figure that the rule is about, and its limit. The limit is a most: more of it is what is flagged.
    pub figure: Figure,
    /// Over how long the figure was taken, up to `at`.
    pub window: Duration,
    /// Since when the figure was over its limit.
    pub since: Timestamp,
    /// When the flag was raised: the instant of the sample that did it.
    pub at: Timestamp,
    /// The tier whose limits it was held against, where the limit is the tier's.
    pub tier: Option<TierName>,
    /// What else had to hold.
    pub supporting: [Option<Figure>; MAX_SUPPORTING],
    /// When the flag goes down by itself.
    pub exit: Exit,
    /// What would have kept the rule silent.
    pub counterfactual: Counterfactual,
}

/// When a flag goes down by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exit {
    /// The figure has to be at most this,
    pub at_most: f64,
    /// for so long.
    pub lasting: Duration,
}

/// What would have kept a rule from firing: the same inputs, but for that signal of which no more than this in the
/// flag's window. Every input of the signal in the window, scaled by `at_most / observed`, is such inputs.
///
/// Some signals are reckoned from inputs. Those of `excess_seconds` are what levels are over their limits, and all of what
/// counters count; of `times_of_limit` and `cpu_share`, levels and counts as a whole; of `attempts_at_one_peer`, the
/// attempts at that peer. `unflagged_failed_logins` are those of sources that raised no flag. Each metric has a habit of
/// its own, so for what is unusual the rule is silent about that metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counterfactual {
    /// What there would have had to be less of.
    pub signal: &'static str,
    /// How much of it keeps the rule silent.
    pub at_most: f64,
}

/// What a detector has to say of an observation.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "findings are few and handed on at once; a box would allocate where nothing may"
)]
pub enum Finding {
    /// A flag went up, or up again by half as much more.
    Raised(Flag),
    /// A flag went down by itself.
    Lowered {
        /// Whose flag.
        rule: Rule,
        /// When.
        at: Timestamp,
    },
}

impl Flag {
    /// What was found, in one plain sentence made from the figures.
    #[must_use]
    pub fn facts(&self) -> String {
        Facts(self).to_string()
    }

    /// What would have kept the rule from firing, in one plain sentence.
    #[must_use]
    pub fn counterfactual_sentence(&self) -> String {
        format!(
            "The rule would not have fired with {} at most {} in {}.",
            self.counterfactual.signal,
            Number(self.counterfactual.at_most),
            Span(self.window)
        )
    }
}

struct Facts<'a>(&'a Flag);

impl fmt::Display for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Flag { figure, window, .. } = self.0;
        write!(
            f,
            "{} was {} in {}, where at most {} is allowed",
            figure.signal,
            Number(figure.observed),
            Span(*window),
            Number(figure.limit)
        )?;
        let mut joint = "; with ";
        for figure in self.0.supporting.iter().flatten() {
            write!(f, "{joint}{} {} against {}", figure.signal, Number(figure.observed), Number(figure.limit))?;
            joint = " and ";
        }
        f.write_str(".")
    }
}

/// A number as people read it: whole where it is large, with three digits where it is small.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number) = *self;
        if number.abs() >= 100.0 || number.fract() == 0.0 { write!(f, "{number:.0}") } else { write!(f, "{number:.3}") }
    }
}

/// A stretch of time in the largest unit that it is a whole number of.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0 => write!(f, "{} ms", self.0.as_millis()),
            86_400.. if seconds.is_multiple_of(86_400) => write!(f, "{} d", seconds / 86_400),
            3_600.. if seconds.is_multiple_of(3_600) => write!(f, "{} h", seconds / 3_600),
            60.. if seconds.is_multiple_of(60) => write!(f, "{} min", seconds / 60),
            _ => write!(f, "{seconds} s"),
        }
    }
}

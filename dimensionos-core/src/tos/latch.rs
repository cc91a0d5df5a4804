//! Hysteresis: a flag goes up once, stays up while it nearly holds, and goes down late.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The part of its limit that a figure has to fall to before its flag goes down.
pub const LEAVE_AT: f64 = 0.75;
/// How much more of it raises a flag again that is already up.
pub const RAISE_AGAIN_AT: f64 = 1.5;

/// What became of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It went up, or up again; since when the figure had been over its limit.
    Raised {
        /// The first instant of the stretch.
        since: Timestamp,
    },
    /// It went down.
    Lowered,
}

/// Whether one rule's flag is up for one account.
///
/// The figure, as a part of its limit, has to be over 1 for the rule's dwell before the flag goes up; then at most
/// [`LEAVE_AT`] for twice the dwell before it goes down; and [`RAISE_AGAIN_AT`] times what it was raised at to be raised
/// again meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Latch {
    /// When the figure went over its limit, or fell to where it leaves; 0 where it is neither.
    turning_since: u64,
    /// What the flag was last raised at; 0 while it is down.
    raised_at: f32,
}

impl Latch {
    /// Whether the flag is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.raised_at > 0.0
    }

    /// Takes a figure as a part of its limit.
    pub fn take(&mut self, at: Timestamp, ratio: f64, dwell: Duration) -> Option<Turn> {
        self.take_for(at, ratio, dwell, dwell * 2)
    }

    /// The same where how long the figure has to be over its limit is no half of how long it has to be below. A figure
    /// that is counted over a window has lasted by the time it is over, and `rise` is zero.
    #[expect(clippy::cast_possible_truncation, reason = "a ratio, of which seven digits are enough")]
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_wrap, reason = "instants begin with 1970")]
    pub fn take_for(&mut self, at: Timestamp, ratio: f64, rise: Duration, fall: Duration) -> Option<Turn> {
        let now = (at.as_millis() as u64).max(1);
        let is_turning = if self.is_up() { ratio <= LEAVE_AT } else { ratio > 1.0 };
        if self.is_up() && ratio > f64::from(self.raised_at) * RAISE_AGAIN_AT {
            self.turning_since = 0;
            self.raised_at = ratio as f32;
            return Some(Turn::Raised { since: at });
        }
        if !is_turning {
            self.turning_since = 0;
            return None;
        }
        // A clock that was set back begins the stretch again.
        if self.turning_since == 0 || self.turning_since > now {
            self.turning_since = now;
        }
        let lasting = Duration::from_millis(now - self.turning_since);
        if self.is_up() {
            if lasting < fall {
                return None;
            }
            *self = Self::default();
            return Some(Turn::Lowered);
        }
        if lasting < rise {
            return None;
        }
        let since = Timestamp::from_millis(self.turning_since as i64);
        *self = Self { turning_since: 0, raised_at: ratio as f32 };
        Some(Turn::Raised { since })
    }
}

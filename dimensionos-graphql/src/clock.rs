//! A clock that can be moved, for trying out what months do to an account.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use dimensionos_core::{Clock, SystemClock, Timestamp};

/// The system's clock, moved by a while that is set by hand. Clones are one clock.
#[derive(Debug, Clone, Default)]
pub struct TestClock {
    ahead_millis: Arc<AtomicI64>,
}

impl TestClock {
    /// Moves the clock on by so many seconds, or back where they are less than none.
    pub fn advance(&self, seconds: i64) {
        self.ahead_millis.fetch_add(seconds.saturating_mul(1_000), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead_millis.load(Ordering::SeqCst);
        let by = Duration::from_millis(ahead.unsigned_abs());
        let now = SystemClock.now();
        if ahead < 0 { now.before(by) } else { now.after(by) }
    }
}

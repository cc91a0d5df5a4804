//! What every process does for itself, for as long as its platform is there.

use std::sync::Weak;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Inner;
use crate::Error;
use crate::id::AccountId;
use crate::time::Timestamp;
use crate::tos::{Finding, Tos};

/// How often what has run out leaves this process's memory.
const TIDY_INTERVAL: Duration = Duration::from_hours(1);

/// How often accounts that nobody uses are looked for.
const EVICT_INTERVAL: Duration = Duration::from_secs(300);

/// How long what was found waits where the storage does not take it.
const FINDING_RETRY: Duration = Duration::from_secs(1);

/// How often: ten minutes, as long as a storage may be away for a restart.
const FINDING_ATTEMPTS: u32 = 600;

/// How long nobody has to use an account before it leaves memory: by then its windows are empty.
const IDLE_TIME: Duration = Duration::from_secs(2 * 3_600);

/// Does what follows from what the detectors find, in the order in which they find it.
pub(super) async fn follow_findings(platform: Weak<Inner>, mut findings: mpsc::Receiver<(AccountId, Finding)>) {
    while let Some((account, finding)) = findings.recv().await {
        for attempt in 1..=FINDING_ATTEMPTS {
            let Some(inner) = platform.upgrade() else { return };
            match Tos(&inner).take(account, finding).await {
                // Erased meanwhile.
                Ok(()) | Err(Error::NotFound { .. }) => break,
                Err(error) if attempt == FINDING_ATTEMPTS => {
                    // One that can not be followed does not keep those of all other accounts waiting for ever.
                    tracing::error!(error = &error as &dyn std::error::Error, "a finding could not be followed");
                }
                // The storage is away, and what was found is not lost for it.
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "a finding waits"),
            }
            drop(inner);
            tokio::time::sleep(FINDING_RETRY).await;
        }
        if let Some(inner) = platform.upgrade() {
            inner.metering.sentinel.followed();
        }
    }
}

/// Keeps this process's memory small, for as long as the platform is there. Every process does it for itself: what is
/// stored is the jobs' matter.
pub(super) async fn upkeep(platform: Weak<Inner>) {
    let mut ticks = tokio::time::interval(EVICT_INTERVAL);
    let mut tidied: Option<Timestamp> = None;
    loop {
        ticks.tick().await;
        let Some(inner) = platform.upgrade() else { return };
        let now = inner.clock.now();
        // The writer has stopped where this fails, and says so to everybody who asks it.
        let _ = inner.ledger.evict(IDLE_TIME).await;
        if tidied.is_some_and(|tidied| now.since(tidied) < TIDY_INTERVAL && tidied <= now) {
            continue;
        }
        tidied = Some(now);
        inner.throttle.tidy(now);
        inner.secrets().tokens.tidy(now);
    }
}

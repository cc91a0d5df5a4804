//! Following what accounts use that others count.

use std::sync::Weak;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use crate::id::AccountId;
use crate::platform::Inner;

/// How often it is looked what is followed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Every how many looks all that is followed is held against the database: what a lost message took is back after that.
const LOOKS_PER_CHECK: u64 = 5;
/// Every how many looks the others are told all that is followed.
const LOOKS_PER_ROUND: u64 = 10;
/// Accounts whose versions are asked for at once.
const VERSIONS_AT_ONCE: usize = 1_000;

/// Sees to it that what is followed here is known here, for as long as the platform is there.
pub(crate) async fn follow(platform: Weak<Inner>) {
    let mut ticks = tokio::time::interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks: u64 = 0;
    let mut is_failing = false;
    loop {
        ticks.tick().await;
        let Some(inner) = platform.upgrade() else { return };
        looks += 1;
        let watched = inner.metering.watched();
        let followed = inner.sharing.go_on_following(watched.into_iter());
        if looks.is_multiple_of(LOOKS_PER_ROUND) {
            inner.sharing.tell_followed();
            inner.sharing.peers_known().tidy();
        }
        // Where nobody can tell, everything is asked for each time.
        let is_alone = !inner.sharing.bus().is_connected();
        let (all, now) = (is_alone || looks.is_multiple_of(LOOKS_PER_CHECK), Instant::now());
        let doubtful = followed.into_iter().filter(|(_, how)| all || !how.is_settled(now));
        let doubtful: Vec<AccountId> = doubtful.map(|(account, _)| account).collect();
        for accounts in doubtful.chunks(VERSIONS_AT_ONCE) {
            match inner.catch_up(accounts).await {
                Ok(_) => is_failing = false,
                Err(error) => {
                    // Once for as long as it lasts.
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "usage counted by others is not known"
                        );
                    }
                    break;
                }
            }
        }
    }
}

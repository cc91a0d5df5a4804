//! Noticing that use passes a part of its limit.

use crate::allocation::{Limits, Resource, limit};
use crate::monitoring::cell::Locked;
use crate::time::Timestamp;
use crate::users::AccountEvent;

/// The parts of a limit that are told: early enough to act, and when it is reached.
const PERCENTS: [u8; 2] = [80, 100];

/// Sets the thresholds an account is above, and tells each it has passed since the last look: up or down, once each.
pub(super) fn look(locked: &Locked<'_>, limits: &Limits, now: Timestamp, mut tell: impl FnMut(AccountEvent)) {
    let before = locked.crossed();
    let (tier, has_own) = locked.limits();
    let (tiers, own) = (limits.at(now), limits.own_if(has_own, locked.account()));
    let mut after = 0;
    for (place, resource) in Resource::ALL.into_iter().enumerate() {
        // Without a reading nothing is known; what is limited by the second is over before it is told. A limit that has
        // ended is passed no more.
        let used = locked.used(resource, now).unwrap_or(0);
        let limit = limit(tiers.tier(tier), own.as_deref(), resource, now);
        for (bit, percent) in (place * PERCENTS.len()..).zip(PERCENTS) {
            let is_reached = |limit| u128::from(used) * 100 >= u128::from(limit) * u128::from(percent);
            let is_above = used > 0 && limit.is_some_and(is_reached);
            if is_above {
                after |= 1 << bit;
            }
            if is_above != (before >> bit & 1 == 1) {
                tell(AccountEvent::QuotaCrossed { resource, percent, is_above, at: now });
            }
        }
    }
    if after != before {
        locked.set_crossed(after);
    }
}

use std::hash::Hash;
use std::sync::atomic::{AtomicI64, Ordering};

use dashmap::DashMap;

use crate::time::Timestamp;

/// Keys counted one by one; past it, new ones share a count. Each takes some 50 bytes.
const MAX_COUNTED: usize = 200_000;
/// How often a full map is looked through for counts that have run off, in milliseconds.
const TIDY_INTERVAL: i64 = 1_000;
/// Failures past the limit that are remembered: what waits for them to be forgiven waits two hours at most.
pub(super) const MAX_EXCESS: u32 = 256;

/// How failures are counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// How many are free.
    pub(super) limit: u32,
    /// After how many milliseconds one is forgiven.
    pub(super) every: i64,
}

/// Counts that run off: of each key, when the last of its failures will be forgiven, in milliseconds.
#[derive(Debug)]
pub(super) struct Tallies<K: Eq + Hash> {
    // `None` is everybody who came when there was no more room.
    clear_at: DashMap<Option<K>, i64>,
    tidied_at: AtomicI64,
}

impl<K: Eq + Hash> Default for Tallies<K> {
    fn default() -> Self {
        Self { clear_at: DashMap::new(), tidied_at: AtomicI64::new(0) }
    }
}

impl<K: Eq + Hash + Copy> Tallies<K> {
    /// By how many failures one more would be past the limit.
    pub(super) fn excess(&self, key: K, rule: Rule, now: Timestamp) -> u32 {
        let clear_at = self.clear_at.get(&self.slot(key, now)).map_or(0, |clear_at| *clear_at);
        let owed = (clear_at - now.as_millis()).max(0);
        let failures = owed.div_euclid(rule.every) + i64::from(owed % rule.every > 0) + 1;
        u32::try_from(failures).unwrap_or(u32::MAX).saturating_sub(rule.limit).min(MAX_EXCESS + 1)
    }

    /// Counts a failure.
    pub(super) fn charge(&self, key: K, rule: Rule, now: Timestamp) {
        let slot = self.slot(key, now);
        let now = now.as_millis();
        let mut clear_at = self.clear_at.entry(slot).or_insert(now);
        let owed = (*clear_at).max(now).saturating_add(rule.every) - now;
        let most = i64::from(rule.limit.saturating_add(MAX_EXCESS)).saturating_mul(rule.every);
        *clear_at = now + owed.min(most);
    }

    fn slot(&self, key: K, now: Timestamp) -> Option<K> {
        if self.clear_at.len() >= MAX_COUNTED && !self.clear_at.contains_key(&Some(key)) {
            let tidied_at = self.tidied_at.load(Ordering::Relaxed);
            if now.as_millis().abs_diff(tidied_at) < TIDY_INTERVAL.unsigned_abs() {
                return None;
            }
            self.tidied_at.store(now.as_millis(), Ordering::Relaxed);
            self.tidy(now);
            return (self.clear_at.len() < MAX_COUNTED).then_some(key);
        }
        Some(key)
    }

    /// Removes the counts that have run off.
    pub(super) fn tidy(&self, now: Timestamp) {
        self.clear_at.retain(|_, clear_at| *clear_at > now.as_millis());
    }

    pub(super) fn clear(&self) {
        self.clear_at.clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.clear_at.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const RULE: Rule = Rule { limit: 2, every: 30_000 };

    #[test]
    fn a_full_map_makes_room_where_counts_have_run_off_and_else_counts_newcomers_together() {
        let tallies = Tallies::default();
        for key in 0..MAX_COUNTED {
            tallies.charge(key, RULE, NOW);
        }
        for newcomer in 0..3 {
            tallies.charge(MAX_COUNTED + newcomer, RULE, NOW);
        }
        assert_eq!(tallies.excess(MAX_COUNTED + 9, RULE, NOW), 2);
        assert_eq!(tallies.excess(0, RULE, NOW), 0);
        let later = NOW.after(Duration::from_secs(31));
        tallies.charge(MAX_COUNTED + 9, RULE, later);
        assert!(tallies.len() < 10);
    }
}

//! Accounts' own operations, which may be as many in an hour as the API calls they are granted.
//!
//! They are counted beside the calls that are metered, and are no part of those: what an account is shown of its usage is
//! what was measured, and whoever's workload has used up its calls can still look at that. They are known to this process
//! alone.

use dashmap::DashMap;
use dimensionos_core::allocation::{Decision, Resource};
use dimensionos_core::{AccountId, Context, Error, Platform, Timestamp};

/// How much time one count covers: an operation counts for an hour at least, and for so much more at most.
const BUCKET_MILLIS: i64 = 5 * 60 * 1_000;
/// Counts of the last hour, and the one that runs.
const BUCKETS: usize = 13;
/// Accounts that are counted at once, before those are forgotten that have asked nothing for an hour: some 16 MB.
const MAX_COUNTED: usize = 100_000;

/// The operations of the last hour, by account.
#[derive(Debug, Default)]
pub(super) struct Calls(DashMap<AccountId, Window>);

#[derive(Debug, Default, Clone, Copy)]
struct Window {
    /// The number of the newest bucket.
    newest: i64,
    /// By the remainder of their numbers.
    counts: [u32; BUCKETS],
}

impl Window {
    fn turn_to(&mut self, bucket: i64) {
        // A clock that was set back goes on in the newest.
        let passed = bucket.saturating_sub(self.newest);
        if passed >= 13 {
            self.counts = [0; BUCKETS];
        } else {
            (1..=passed).for_each(|step| self.counts[place(self.newest + step)] = 0);
        }
        self.newest = self.newest.max(bucket);
    }

    fn sum(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// When the oldest that are counted run off.
    fn resets_at(&self) -> Option<Timestamp> {
        let oldest = (self.newest - 12..=self.newest).find(|bucket| self.counts[place(*bucket)] > 0)?;
        Some(Timestamp::from_millis((oldest + 13) * BUCKET_MILLIS))
    }
}

fn place(bucket: i64) -> usize {
    usize::try_from(bucket.rem_euclid(13)).unwrap_or(0)
}

impl Calls {
    /// Counts an operation of an account.
    ///
    /// # Errors
    /// `QuotaExceeded` where there were as many as the account is granted calls; then it is not counted. `Store`.
    pub(super) async fn charge(&self, platform: &Platform, account: AccountId) -> Result<(), Error> {
        let now = platform.clock().now();
        let own = self.count(account, now);
        let checked = platform.allocation().check(&Context::system(), account, Resource::ApiCalls, own).await;
        match checked {
            Ok(decision) if decision.is_allowed || decision.limit.is_none_or(|limit| own <= limit) => Ok(()),
            Ok(decision) => Err(Error::QuotaExceeded(Box::new(self.take_back(account, decision)))),
            Err(error @ Error::Store(_)) => Err(error),
            // Whatever else may be wrong with the account, its fields will say.
            Err(_) => Ok(()),
        }
    }

    fn count(&self, account: AccountId, now: Timestamp) -> u64 {
        if self.0.len() >= MAX_COUNTED {
            let hour_ago = now.as_millis().div_euclid(BUCKET_MILLIS) - 13;
            self.0.retain(|_, window| window.newest > hour_ago);
        }
        let mut window = self.0.entry(account).or_default();
        window.turn_to(now.as_millis().div_euclid(BUCKET_MILLIS));
        let newest = place(window.newest);
        window.counts[newest] = window.counts[newest].saturating_add(1);
        window.sum()
    }

    /// Counts an operation no longer that was not let in, and tells of those that were.
    fn take_back(&self, account: AccountId, mut decision: Decision) -> Decision {
        if let Some(mut window) = self.0.get_mut(&account) {
            let newest = place(window.newest);
            window.counts[newest] = window.counts[newest].saturating_sub(1);
            decision.used = window.sum();
            decision.resets_at = window.resets_at();
        }
        decision
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + minutes * MINUTE)
    }

    #[test]
    fn an_operation_counts_for_an_hour_and_five_minutes_at_most() {
        let calls = Calls::default();
        let account = AccountId::NOBODY;
        let first: Vec<u64> = (0..3).map(|_| calls.count(account, at(0))).collect();
        assert_eq!(first, [1, 2, 3]);
        assert_eq!(calls.count(account, at(30)), 4);
        assert_eq!(calls.count(account, at(60)), 5);
        assert_eq!(calls.count(account, at(65)), 6 - 3);
        assert_eq!(calls.count(account, at(64)), 4, "a clock that was set back");
        assert_eq!(calls.count(account, at(1_000)), 1);
    }

    #[test]
    fn those_who_ask_nothing_for_long_are_forgotten() {
        let calls = Calls::default();
        for number in 0..MAX_COUNTED {
            calls.count(AccountId::from_bits(number as u128), at(0));
        }
        calls.count(AccountId::NOBODY, at(120));
        assert_eq!(calls.0.len(), 1);
    }
}

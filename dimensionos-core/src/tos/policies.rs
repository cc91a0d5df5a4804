//! Putting policies to use, trying them beside those in force, and checking what was decided.

use std::time::Duration;

use crate::Error;
use crate::context::Context;
use crate::policy::{Action, Target, allows};
use crate::store::{Access, Store, StoreError};
use crate::time::{Clock, Timestamp};
use crate::tos::Tos;
use crate::tos::enforcement::EnforcementPolicy;
use crate::tos::records::{PolicyMode, PolicyRecord, ViolationFilter};
use crate::tos::statement::StatementOfReasons;
use crate::tos::violation::AppealVerdict;

/// Violations of a replay that are read at once.
const REPLAY_PAGE: u64 = 1_000;
/// Groups smaller than this are left out of a transparency report: few are easily told apart.
pub const SMALLEST_GROUP: u64 = 10;

/// What came of deciding again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replay {
    /// Decisions that were made again from what is stored.
    pub checked: u64,
    /// Those that came out otherwise.
    pub differing: u64,
    /// Those whose policy is not stored.
    pub unknown: u64,
}

/// One line of a transparency report: how many violations of a stretch of time were alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransparencyLine {
    /// What was counted: a kind, a sanction, an origin or an appeal's end, such as `kind` and `SPAM`.
    pub group: &'static str,
    /// Which of them.
    pub name: &'static str,
    /// How many; absent where there were fewer than [`SMALLEST_GROUP`], and some.
    pub count: Option<u64>,
}

impl Tos<'_> {
    /// Puts a policy in force, or in shadow, from the next decision on, in every process on the database.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator and the program; `InvalidInput` for what is no policy; `Conflict` where
    /// its version is not the next one.
    pub async fn apply_policy(&self, context: &Context, json: &str, mode: PolicyMode) -> Result<PolicyRecord, Error> {
        let Self(inner) = self;
        allows(&context.caller, Action::Enforce, Target::Service)?;
        let policy =
            EnforcementPolicy::from_json(json).map_err(|invalid| Error::invalid("policy", invalid.to_string()))?;
        let record = PolicyRecord { policy, mode, applied_at: inner.clock.now() };
        let mut tx = inner.store.begin(Access::Write).await?;
        let newest = tx.policies().await?.last().map_or(0, |record| record.policy.version);
        if record.policy.version != newest + 1 {
            return Err(Error::Conflict { reason: "its version is not the next one" });
        }
        tx.insert_policy(&record).await?;
        tx.commit().await?;
        Ok(record)
    }

    /// Every policy that ever was in force or in shadow, oldest first.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator and the program.
    pub async fn policies(&self, context: &Context) -> Result<Vec<PolicyRecord>, Error> {
        allows(&context.caller, Action::Enforce, Target::Service)?;
        Ok(self.0.store.begin(Access::Read).await?.policies().await?)
    }

    /// Decides everything again that was decided since an instant, from the stored figures and the stored policies.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator and the program.
    pub async fn replay(&self, context: &Context, from: Timestamp) -> Result<Replay, Error> {
        allows(&context.caller, Action::Enforce, Target::Service)?;
        let mut tx = self.0.store.begin(Access::Read).await?;
        let records = tx.policies().await?;
        let filter = ViolationFilter { from: Some(from), ..ViolationFilter::default() };
        let (mut replay, mut after) = (Replay::default(), None);
        loop {
            let page = tx.violations(&filter, after, REPLAY_PAGE).await?;
            for violation in &page {
                let policy = records.iter().find(|record| record.policy.version == violation.policy);
                match policy.map(|record| record.policy.decide(&violation.grounds).sanction) {
                    None => replay.unknown += 1,
                    Some(sanction) => {
                        replay.checked += 1;
                        replay.differing += u64::from(sanction != violation.decided);
                    }
                }
            }
            match page.last() {
                Some(last) if page.len() as u64 == REPLAY_PAGE => after = Some(last.place()),
                _ => return Ok(replay),
            }
        }
    }

    /// What was found about the sign-ins of this process, newest first: sources that try passwords, and the whole service
    /// being tried slowly and from everywhere. Nothing is done about an account for it; guesses are limited anyhow.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator and the program.
    pub fn sign_in_flags(&self, context: &Context) -> Result<Vec<StatementOfReasons>, Error> {
        allows(&context.caller, Action::Enforce, Target::Service)?;
        let flags = self.0.throttle.flags();
        Ok(flags.into_iter().map(|flag| StatementOfReasons::new(flag, true, None)).collect())
    }

    /// What was found and decided in the calendar month of an instant, in UTC, in numbers from which nobody can be told.
    /// Months alone, and only those that are over: two stretches that differ by a day would tell what happened in it.
    ///
    /// # Errors
    /// `InvalidInput` for a month that is not over. It is for everybody to read.
    pub async fn transparency(&self, month: Timestamp) -> Result<Vec<TransparencyLine>, Error> {
        let from = month.start_of_month();
        // The 32nd day of any month is in the next.
        let to = from.after(Duration::from_hours(32 * 24)).start_of_month();
        if to > self.0.clock.now() {
            return Err(Error::invalid("month", "is not over"));
        }
        let counts = self.0.store.begin(Access::Read).await?.violation_counts(from, to).await?;
        let mut sums: std::collections::BTreeMap<(&'static str, &'static str), u64> = std::collections::BTreeMap::new();
        for count in counts {
            let origin = if count.is_automated { "AUTOMATED" } else { "OPERATOR" };
            let appeal = match (count.is_appealed, count.verdict) {
                (false, _) => "NONE",
                (true, None) => "PENDING",
                (true, Some(AppealVerdict::Overruled)) => "GRANTED",
                (true, Some(AppealVerdict::Upheld)) => "REJECTED",
            };
            let groups = [
                ("kind", count.kind.name()),
                ("sanction", count.sanction.name()),
                ("origin", origin),
                ("appeal", appeal),
            ];
            groups.into_iter().for_each(|key| *sums.entry(key).or_default() += count.count);
        }
        // What is left out of a group must not follow from the rest of it: the next smallest goes with a lone one.
        let mut lines: Vec<_> = sums
            .into_iter()
            .map(|((group, name), count)| TransparencyLine { group, name, count: Some(count) })
            .collect();
        for group in lines.chunk_by_mut(|one, other| one.group == other.group) {
            let mut suppressed = 0;
            group.sort_unstable_by_key(|line| line.count);
            for line in group {
                let count = line.count.unwrap_or(0);
                // What the hidden ones come to together is hidden in numbers too: it is what is left of the total.
                if count < SMALLEST_GROUP || (1..SMALLEST_GROUP).contains(&suppressed) {
                    line.count = None;
                    suppressed += count;
                }
            }
        }
        lines.sort_unstable();
        Ok(lines)
    }
}

/// Puts the policy that comes with the program in force where there is none.
pub(crate) async fn seed(store: &dyn Store, clock: &dyn Clock) -> Result<(), Error> {
    if !store.begin(Access::Read).await?.policies().await?.is_empty() {
        return Ok(());
    }
    let policy = EnforcementPolicy::default();
    let record = PolicyRecord { policy, mode: PolicyMode::InForce, applied_at: clock.now() };
    let mut tx = store.begin(Access::Write).await?;
    if !tx.policies().await?.is_empty() {
        return Ok(());
    }
    match tx.insert_policy(&record).await {
        // Two that start at once on an empty database: the other was first.
        Err(StoreError::Conflict) => Ok(()),
        inserted => {
            inserted?;
            Ok(tx.commit().await?)
        }
    }
}

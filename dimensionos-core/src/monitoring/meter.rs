use std::fmt;
use std::sync::Arc;

use crate::Error;
use crate::allocation::accounting::{Question, Request};
use crate::allocation::{Decision, Resource};
use crate::id::AccountId;
use crate::monitoring::ledger::Ledger;
use crate::monitoring::sample::Sample;
use crate::monitoring::slab::Pinned;
use crate::time::Timestamp;

/// Meters one account from inside the program: resolved once, then recorded to as often as anything happens.
#[derive(Clone)]
pub struct Meter {
    // As small as can be: who holds a million of them goes through them at each turn.
    pub(super) cell: Pinned,
    pub(super) ledger: Arc<Ledger>,
}

impl Meter {
    /// The account it meters.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.cell.cell().account()
    }

    /// Counts a sample. It is seen at once, and durable within a second.
    ///
    /// One dated ahead of the platform's clock counts in windows as of now, and one dated more than
    /// [`MAX_SAMPLE_LEAD`](crate::monitoring::MAX_SAMPLE_LEAD) ahead (to the minute) counts altogether as taken now:
    /// nothing is lost, and nothing older leaves a window before its time.
    pub fn record(&self, sample: &Sample) {
        let (metering, slot) = (&*self.ledger.metering, self.cell.slot());
        let told = self.cell.record(sample, metering.beside(slot));
        metering.tell(slot, told);
    }

    /// Whether the account may use that much more of a resource now; where it may, it is counted. As
    /// [`Allocations::consume`](crate::allocation::Allocations::consume), for a caller that has seen to the account's
    /// status itself. API calls and file operations are decided in memory as long as some of what this process was granted
    /// is left, and by the storage otherwise. `now` is held to the platform's clock as a sample's time is.
    ///
    /// # Errors
    /// `NotFound` where the account was erased; `InvalidInput` for an amount of zero or past 2^53 - 1; `Store`, and then
    /// nothing was counted.
    pub async fn consume(&self, resource: Resource, amount: u64, now: Timestamp) -> Result<Decision, Error> {
        if let Some(decision) = self.ledger.metering.consume(&self.cell, resource, amount, now) {
            return Ok(decision);
        }
        let request = Request::new(self.account(), resource, amount)?;
        self.ledger.decide(|reply| Question::Consume { request, key: None, reply }).await
    }

    /// Counts a sample and waits until it is durable.
    ///
    /// # Errors
    /// Where the storage fails. The sample is counted all the same, and written when the storage is back.
    pub async fn record_durable(&self, sample: &Sample) -> Result<(), Error> {
        self.record(sample);
        self.ledger.flush().await
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("account", &self.account()).finish_non_exhaustive()
    }
}

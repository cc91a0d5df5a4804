use std::fmt;
use std::sync::Arc;

use crate::Error;
use crate::id::AccountId;
use crate::monitoring::cell::Cell;
use crate::monitoring::ledger::Ledger;
use crate::monitoring::metering::Metering;
use crate::monitoring::sample::Sample;

/// Meters one account from inside the program: resolved once, then recorded to as often as anything happens.
#[derive(Clone)]
pub struct Meter {
    pub(super) cell: Arc<Cell>,
    pub(super) metering: Arc<Metering>,
    pub(super) ledger: Ledger,
}

impl Meter {
    /// The account it meters.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.cell.account
    }

    /// Counts a sample. It is seen at once, and durable within a second.
    pub fn record(&self, sample: &Sample) {
        if self.cell.record(sample) {
            self.metering.enqueue(&self.cell);
        }
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
        f.debug_struct("Meter").field("account", &self.cell.account).finish_non_exhaustive()
    }
}

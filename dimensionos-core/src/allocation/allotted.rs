use std::fmt;
use std::sync::Arc;

use crate::allocation::Allocation;
use crate::monitoring::Metering;
use crate::monitoring::slab::Pinned;

/// What an account is allotted, whenever it is asked for: for whoever follows the account while its tier may change.
#[derive(Clone)]
pub struct Allotted {
    pub(super) cell: Pinned,
    pub(super) metering: Arc<Metering>,
}

impl Allotted {
    /// What it is at this instant, from memory.
    #[must_use]
    pub fn now(&self) -> Allocation {
        let cell = self.cell.cell();
        let (tier, has_own) = cell.limits();
        self.metering.limits.allotted(tier, has_own.then(|| cell.account()), self.metering.now())
    }
}

impl fmt::Debug for Allotted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Allotted").field("account", &self.cell.cell().account()).finish_non_exhaustive()
    }
}

//! Several processes on one database: what one of them changes the others know at once, and what somebody watches
//! travels to the process that shows it.
//!
//! The database has everything that lasts, and is what they agree by. A [`Bus`] between them carries what is live: that an
//! account was changed, what was just counted of an account that somebody watches elsewhere, and what happened to it. A
//! message that is lost delays, and never loses: every process asks the database once a second which accounts were changed
//! ([`AccountChange`]), and every account's usage has a version that tells whether all of it is known.

mod bus;
mod following;
mod local;
mod message;
mod peers;
mod reconciling;
mod sharing;

use std::time::Duration;

use crate::Error;
use crate::entropy::Entropy;
use crate::id::{AccountId, DeploymentId, ReplicaId};
use crate::store::{Access, Store};

pub use bus::{Bus, Delivery, Topic};
pub(crate) use following::follow;
pub use local::LocalBus;
pub(crate) use message::{Delta, WireSample, sample, wire_sample};
pub(crate) use reconciling::{listen, reconcile};
pub(crate) use sharing::{Sharing, Trust};

/// How long it is kept which accounts were changed. Whoever has not asked for half as long knows nothing any more.
pub(crate) const CHANGE_RETENTION: Duration = Duration::from_hours(1);

/// That an account was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountChange {
    /// Names the change.
    pub number: u64,
    /// The account.
    pub account: AccountId,
    /// The process that changed it.
    pub by: ReplicaId,
}

/// Up to where the changes of accounts are known: what a storage makes of it is its own matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeMark(pub u64);

/// The name of the deployment that works on a storage, which is given one where it has none.
///
/// # Errors
/// `Store` where the storage cannot be read or written.
pub async fn deployment(store: &dyn Store, entropy: &dyn Entropy) -> Result<DeploymentId, Error> {
    let new = DeploymentId::random(entropy)?;
    let mut tx = store.begin(Access::Write).await?;
    let deployment = tx.deployment(new).await?;
    tx.commit().await?;
    Ok(deployment)
}

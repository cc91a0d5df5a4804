use std::time::Duration;

use crate::Error;
use crate::monitoring::Resolution;
use crate::payment::voucher::Epoch;
use crate::platform::Inner;
use crate::replicas::CHANGE_RETENTION;
use crate::store::Access;
use crate::tos::VIOLATION_RETENTION;

/// How long the mark of a process that flushes no more is kept: longer than any process waits to learn what became of a
/// commit.
const FLUSH_RETENTION: Duration = Duration::from_hours(31 * 24);

/// Removes what has run out, and says how many rows went.
pub(super) async fn purge(inner: &Inner) -> Result<u64, Error> {
    let now = inner.clock.now();
    let mut tx = inner.store.begin(Access::Write).await?;
    let mut gone = tx.purge_sessions(now).await?;
    gone += tx.purge_quotas(now).await?;
    gone += tx.purge_violations(now.before(VIOLATION_RETENTION)).await?;
    gone += tx.purge_flushes(now.before(FLUSH_RETENTION)).await?;
    gone += tx.purge_changes(now.before(CHANGE_RETENTION)).await?;
    gone += tx.purge_tombstones(now).await?;
    gone += tx.purge_vouchers(Epoch::of(now).oldest_kept()).await?;
    for resolution in Resolution::ALL {
        gone += tx.purge_usage(resolution, now.before(inner.retention.of(resolution))).await?;
    }
    tx.commit().await?;
    Ok(gone)
}

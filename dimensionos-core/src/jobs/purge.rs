use std::time::Duration;

use crate::Error;
use crate::monitoring::Resolution;
use crate::payment::voucher::Epoch;
use crate::platform::Inner;
use crate::replicas::CHANGE_RETENTION;
use crate::store::Access;
use crate::time::Timestamp;
use crate::tos::VIOLATION_RETENTION;

/// How long the mark of a process that flushes no more is kept: longer than any process waits to learn what became of a
/// commit.
const FLUSH_RETENTION: Duration = Duration::from_hours(31 * 24);

/// Removes what has run out, and says how many rows went.
pub(super) async fn purge(inner: &Inner) -> Result<u64, Error> {
    let now = inner.clock.now();
    let mut gone = purge_rows(inner, now).await?;
    // Each by itself: usage that is busy in one resolution holds up neither the others nor what is gone already.
    let mut fault = None;
    for resolution in Resolution::ALL {
        match purge_usage(inner, resolution, now).await {
            Ok(rows) => gone += rows,
            Err(error) => fault = Some(error),
        }
    }
    fault.map_or(Ok(gone), Err)
}

async fn purge_rows(inner: &Inner, now: Timestamp) -> Result<u64, Error> {
    let mut tx = inner.store.begin(Access::Write).await?;
    let mut gone = tx.purge_sessions(now).await?;
    gone += tx.purge_quotas(now).await?;
    gone += tx.purge_violations(now.before(VIOLATION_RETENTION)).await?;
    gone += tx.purge_flushes(now.before(FLUSH_RETENTION)).await?;
    gone += tx.purge_changes(now.before(CHANGE_RETENTION)).await?;
    gone += tx.purge_tombstones(now).await?;
    gone += tx.purge_vouchers(Epoch::of(now).oldest_kept()).await?;
    tx.commit().await?;
    Ok(gone)
}

/// Makes room for the usage that comes, and removes what is past its retention. Two transactions, since each may lock what
/// others write to until it ends.
async fn purge_usage(inner: &Inner, resolution: Resolution, now: Timestamp) -> Result<u64, Error> {
    let oldest = now.before(inner.retention.of(resolution));
    let mut tx = inner.store.begin(Access::Write).await?;
    tx.prepare_usage(resolution, oldest, now).await?;
    tx.commit().await?;
    let mut tx = inner.store.begin(Access::Write).await?;
    let gone = tx.purge_usage(resolution, oldest).await?;
    tx.commit().await?;
    Ok(gone)
}

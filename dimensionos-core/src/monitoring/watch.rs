//! Following what an account uses.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use futures_util::Stream;
use tokio::sync::Notify;

use crate::monitoring::Metrics;
use crate::monitoring::metering::Metering;
use crate::monitoring::slab::{Pinned, Slot};
use crate::time::Clock;

/// How often a watcher looks for what changes by itself, such as calls running off their hour.
const DRIFT_INTERVAL: Duration = Duration::from_secs(60);

/// Who follows which cell.
#[derive(Debug, Default)]
pub(super) struct Watchers(DashMap<Slot, Watched>);

#[derive(Debug, Default)]
struct Watched {
    watchers: usize,
    changed: Arc<Notify>,
}

impl Watchers {
    #[cold]
    pub(super) fn tell(&self, slot: Slot) {
        if let Some(watched) = self.0.get(&slot) {
            watched.changed.notify_waiters();
        }
    }
}

/// One follower of a cell, which is kept in memory for it.
#[derive(Debug)]
struct Following {
    metering: Arc<Metering>,
    cell: Pinned,
    changed: Arc<Notify>,
}

impl Following {
    fn begin(metering: Arc<Metering>, cell: Pinned) -> Self {
        let changed = {
            let mut watched = metering.watchers.0.entry(cell.slot()).or_default();
            watched.watchers += 1;
            cell.write().set_watched(true);
            Arc::clone(&watched.changed)
        };
        Self { metering, cell, changed }
    }

    /// Waits until the cell is newer than `version`.
    async fn newer_than(&self, version: u32) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Enlisted before the look, so that no change falls between the two.
            changed.as_mut().enable();
            if self.cell.cell().version() != version {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let (watchers, cell) = (&self.metering.watchers.0, &self.cell);
        if let dashmap::Entry::Occupied(mut watched) = watchers.entry(cell.slot()) {
            watched.get_mut().watchers -= 1;
            if watched.get().watchers == 0 {
                cell.write().set_watched(false);
                watched.remove();
            }
        }
    }
}

struct Watch {
    following: Following,
    clock: Arc<dyn Clock>,
    ticks: tokio::time::Interval,
    seen: Option<(u32, Metrics)>,
}

/// The figures of a cell now, and then on change, at most once an interval.
pub(super) fn changes(
    metering: Arc<Metering>,
    cell: Pinned,
    clock: Arc<dyn Clock>,
    interval: Duration,
) -> impl Stream<Item = Metrics> + Send + use<> {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let watch = Watch { following: Following::begin(metering, cell), clock, ticks, seen: None };
    futures_util::stream::unfold(watch, |mut watch| async move {
        let metrics = watch.next().await;
        Some((metrics, watch))
    })
}

impl Watch {
    async fn next(&mut self) -> Metrics {
        self.ticks.tick().await;
        loop {
            if let Some((version, _)) = self.seen {
                // A time-out is no error: figures that run off by themselves are looked at again.
                let _ = tokio::time::timeout(DRIFT_INTERVAL, self.following.newer_than(version)).await;
            }
            let Following { metering, cell, .. } = &self.following;
            // The version first: a change after it is seen next time.
            let version = cell.cell().version();
            let metrics = metering.metrics(cell.cell(), self.clock.now());
            let is_news = self.seen.is_none_or(|(_, seen)| seen != metrics);
            self.seen = Some((version, metrics));
            if is_news {
                return metrics;
            }
        }
    }
}

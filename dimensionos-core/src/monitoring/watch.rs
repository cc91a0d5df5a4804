//! Following what an account uses.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use futures_util::Stream;
use tokio::sync::Notify;
use tokio::time::{Instant, Interval, interval_at};

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
    slots: Slots,
    drift: Interval,
    seen: Option<(u32, Metrics)>,
}

/// The figures of a cell now, and then on change, at most once an interval.
pub(super) fn changes(
    metering: Arc<Metering>,
    cell: Pinned,
    clock: Arc<dyn Clock>,
    interval: Duration,
) -> impl Stream<Item = Metrics> + Send + use<> {
    let drift = interval_at(Instant::now() + DRIFT_INTERVAL, DRIFT_INTERVAL);
    let watch =
        Watch { following: Following::begin(metering, cell), clock, slots: Slots::new(interval), drift, seen: None };
    futures_util::stream::unfold(watch, |mut watch| async move {
        let metrics = watch.next().await;
        Some((metrics, watch))
    })
}

/// Time cut into intervals, each of which has one value at most. The cuts stay where they are: counted from the last
/// value instead, one late value would make every later one as late.
#[derive(Debug)]
struct Slots {
    interval: Duration,
    first: Instant,
    /// When the slot after the last value's begins.
    next: Instant,
}

impl Slots {
    fn new(interval: Duration) -> Self {
        let now = Instant::now();
        Self { interval, first: now, next: now }
    }

    async fn open(&self) {
        // A timer is dearer than a look at the clock, and whoever changes as often as it is watched needs none.
        if Instant::now() < self.next {
            tokio::time::sleep_until(self.next).await;
        }
    }

    fn take(&mut self) {
        let slot = self.first.elapsed().as_nanos() / self.interval.as_nanos().max(1);
        let passed = u32::try_from(slot + 1).unwrap_or(u32::MAX);
        self.next = self.first + self.interval.saturating_mul(passed);
    }
}

impl Watch {
    async fn next(&mut self) -> Metrics {
        loop {
            if let Some((version, _)) = self.seen {
                tokio::select! {
                    () = self.following.newer_than(version) => {}
                    // Figures that run off by themselves are looked at again.
                    _ = self.drift.tick() => {}
                }
            }
            self.slots.open().await;
            let Following { metering, cell, .. } = &self.following;
            // The version first: a change after it is seen next time.
            let version = cell.cell().version();
            let metrics = metering.metrics(cell.cell(), self.clock.now());
            let is_news = self.seen.is_none_or(|(_, seen)| seen != metrics);
            self.seen = Some((version, metrics));
            if is_news {
                self.slots.take();
                return metrics;
            }
        }
    }
}

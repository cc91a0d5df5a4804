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

/// What part of an interval a value may come early: a sixteenth, as much as clocks and busy machines are late.
const EARLY: u32 = 16;

/// Who follows which cell.
#[derive(Debug, Default)]
pub(super) struct Watchers(DashMap<Slot, Watched>);

#[derive(Debug, Default)]
struct Watched {
    watchers: usize,
    changed: Arc<Notify>,
}

impl Watchers {
    /// The cells that are followed.
    pub(super) fn slots(&self) -> Vec<Slot> {
        self.0.iter().map(|watched| *watched.key()).collect()
    }

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
    let watch = Watch {
        following: Following::begin(metering, cell),
        clock,
        slots: Slots { interval, next: None },
        drift,
        seen: None,
    };
    futures_util::stream::unfold(watch, |mut watch| async move {
        let metrics = watch.next().await;
        Some((metrics, watch))
    })
}

/// When the next value may be given. Changes that come as often as the interval each find theirs open: it is counted
/// from when the last was due, and not from when it was given, or one late value would make every later one as late.
#[derive(Debug)]
struct Slots {
    interval: Duration,
    /// Absent until the first change: the value with which watching begins is none.
    next: Option<Instant>,
}

impl Slots {
    async fn open(&self) {
        // A timer is dearer than a look at the clock, and whoever changes as often as it is watched needs none: a change
        // that comes a little before its time is let through, and the next is due no sooner for it.
        if let Some(next) = self.next.filter(|next| Instant::now() + self.interval / EARLY < *next) {
            tokio::time::sleep_until(next).await;
        }
    }

    fn take(&mut self) {
        let now = Instant::now();
        let due = self.next.filter(|due| now < *due + self.interval / 2);
        self.next = Some(due.unwrap_or(now) + self.interval);
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
            let before = self.seen.replace((version, metrics));
            match before {
                None => return metrics,
                Some((_, before)) if before != metrics => {
                    self.slots.take();
                    return metrics;
                }
                Some(_) => {}
            }
        }
    }
}

//! The detectors of all accounts that are in use: fed with what was counted, once it is durable.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::{DashMap, DashSet};
use tokio::sync::mpsc;

use crate::allocation::Allocation;
use crate::id::{AccountId, FastHash};
use crate::monitoring::Sample;
use crate::time::Timestamp;
use crate::tos::detectors::{AccountDetectors, DetectorParameters};
use crate::tos::flag::Finding;
use crate::tos::signal::Signals;

/// Findings that wait to be written down. A flag goes up once in a while for each account; so many at once is a fault of
/// the storage that lasts, and then the oldest are worth most.
const MAX_WAITING: usize = 65_536;
/// How long a state may be in memory alone: what a crash takes of sums that fade over hours.
const SAVE_INTERVAL: Duration = Duration::from_secs(30);

/// How old a sample may be that detectors are shown, by this clock and beside the newest of its account: as long as an
/// agent's reports wait for a server that is restarted.
const OLDEST: Duration = Duration::from_secs(900);
/// How long nothing comes of an account before its detectors are told the time instead: agents report each second, or
/// in batches of some.
const SILENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Watched {
    detectors: AccountDetectors,
    /// When the newest sample was taken by its source's clock, and when it arrived by this one.
    newest: Timestamp,
    arrived: Timestamp,
    /// When it was saved last.
    saved_at: Timestamp,
    is_unsaved: bool,
}

/// Who is found to do what.
#[derive(Debug)]
pub(crate) struct Sentinel {
    watched: DashMap<AccountId, Box<Watched>, FastHash>,
    /// Those with flags up, which silence may lower.
    raised: DashSet<AccountId>,
    parameters: DetectorParameters,
    findings: mpsc::Sender<(AccountId, Finding)>,
    /// Findings that nobody has followed yet.
    waiting: AtomicUsize,
}

impl Sentinel {
    pub(crate) fn new() -> (Self, mpsc::Receiver<(AccountId, Finding)>) {
        let (findings, waiting) = mpsc::channel(MAX_WAITING);
        (
            Self {
                watched: DashMap::default(),
                raised: DashSet::new(),
                parameters: DetectorParameters::default(),
                findings,
                waiting: AtomicUsize::new(0),
            },
            waiting,
        )
    }

    /// Goes on where the account's detectors were when they were last saved.
    pub(crate) fn resume(&self, account: AccountId, state: Option<&[u8]>) {
        let Some(detectors) = state.and_then(AccountDetectors::from_bytes) else { return };
        if detectors.is_any_up() {
            self.raised.insert(account);
        }
        let resumed = Watched { detectors, ..Watched::default() };
        self.watched.entry(account).or_insert_with(|| Box::new(resumed));
    }

    /// Shows detectors samples of an account that arrived just now, and what was counted beside each. What is long past, as
    /// of a source that was cut off, is usage and no conduct: nothing is done today for what was done then.
    pub(crate) fn observe<'a>(
        &self,
        account: AccountId,
        allocation: &Allocation,
        samples: impl IntoIterator<Item = (&'a Sample, Cow<'a, Signals>)>,
        now: Timestamp,
    ) {
        let mut watched = self.watched.entry(account).or_default();
        for (sample, signals) in samples {
            let taken_at = sample.taken_at();
            if now.since(taken_at) <= OLDEST && watched.newest.since(taken_at) <= OLDEST {
                watched.newest = watched.newest.max(taken_at);
                watched.arrived = now;
                self.show(account, &mut watched, allocation, sample, &signals);
            }
        }
    }

    fn show(
        &self,
        account: AccountId,
        watched: &mut Watched,
        allocation: &Allocation,
        sample: &Sample,
        signals: &Signals,
    ) {
        let Watched { detectors, is_unsaved, .. } = watched;
        *is_unsaved = true;
        let was_any_up = detectors.is_any_up();
        detectors.observe(sample, signals, allocation, &self.parameters, &mut |finding| {
            self.waiting.fetch_add(1, Ordering::AcqRel);
            if self.findings.try_send((account, finding)).is_err() {
                self.waiting.fetch_sub(1, Ordering::AcqRel);
                tracing::error!("a finding could not be kept: too many wait to be written down");
            }
        });
        if was_any_up != detectors.is_any_up() {
            if was_any_up {
                self.raised.remove(&account);
            } else {
                self.raised.insert(account);
            }
        }
    }

    /// Accounts with flags that silence may lower, at most so many.
    pub(crate) fn raised(&self, most: usize) -> Vec<AccountId> {
        self.raised.iter().take(most).map(|account| *account).collect()
    }

    /// States that have changed since they were saved an interval ago, at most so many.
    pub(crate) fn take_unsaved(&self, most: usize, now: Timestamp) -> Vec<(AccountId, Vec<u8>)> {
        let mut unsaved = Vec::new();
        for mut watched in self.watched.iter_mut() {
            if unsaved.len() == most {
                break;
            }
            // A clock that was set back saves once too often.
            let is_due = now.since(watched.saved_at) >= SAVE_INTERVAL || now < watched.saved_at;
            if is_due && std::mem::take(&mut watched.is_unsaved) {
                watched.saved_at = now;
                unsaved.push((*watched.key(), watched.detectors.to_bytes()));
            }
        }
        // In one order everywhere, so that two processes on one database never wait in a circle.
        unsaved.sort_unstable_by_key(|(account, _)| *account);
        unsaved
    }

    /// States that could not be saved.
    pub(crate) fn put_back(&self, states: &[(AccountId, Vec<u8>)]) {
        for (account, _) in states {
            if let Some(mut watched) = self.watched.get_mut(account) {
                watched.is_unsaved = true;
                watched.saved_at = Timestamp::EPOCH;
            }
        }
    }

    /// A finding was followed, or can not be.
    pub(crate) fn followed(&self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether nothing that was found waits to be followed.
    pub(crate) fn is_quiet(&self) -> bool {
        self.waiting.load(Ordering::Acquire) == 0
    }

    /// Forgets an account, and its state where that has been saved.
    pub(crate) fn forget(&self, account: AccountId) {
        self.watched.remove(&account);
        self.raised.remove(&account);
    }

    /// Forgets an account that leaves memory, unless its state has still to be saved.
    pub(crate) fn leave(&self, account: AccountId) {
        if self.watched.remove_if(&account, |_, watched| !watched.is_unsaved).is_some() {
            self.raised.remove(&account);
        }
    }

    /// Tells detectors what time it is by their source's clock, where nothing has come of it for a while.
    pub(crate) fn pass(&self, account: AccountId, allocation: &Allocation, now: Timestamp) {
        let Some(mut watched) = self.watched.get_mut(&account) else { return };
        let silence = now.since(watched.arrived);
        if silence >= SILENCE {
            let at = watched.newest.after(silence);
            self.show(account, &mut watched, allocation, &Sample::at(at), &Signals::new());
        }
    }
}

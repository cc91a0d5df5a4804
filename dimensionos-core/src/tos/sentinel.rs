//! The detectors of all accounts that are in use: fed with what was counted, once it is durable.

use std::time::Duration;

use dashmap::{DashMap, DashSet};
use tokio::sync::mpsc;

use crate::allocation::Allocation;
use crate::id::AccountId;
use crate::monitoring::Sample;
use crate::time::Timestamp;
use crate::tos::detectors::{AccountDetectors, DetectorParameters};
use crate::tos::flag::Finding;
use crate::tos::signal::Signals;

/// Findings that wait to be written down. A flag goes up once in a while for each account; so many at once is a fault of
/// the storage that lasts, and then the oldest are worth most.
const MAX_WAITING: usize = 65_536;
/// How long a state may be in memory alone: what a crash takes of sums that fade over hours.
pub(crate) const SAVE_INTERVAL: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct Watched {
    detectors: AccountDetectors,
    is_unsaved: bool,
}

/// Who is found to do what.
#[derive(Debug)]
pub(crate) struct Sentinel {
    watched: DashMap<AccountId, Box<Watched>>,
    /// Those with flags up, which silence may lower.
    raised: DashSet<AccountId>,
    parameters: DetectorParameters,
    findings: mpsc::Sender<(AccountId, Finding)>,
}

impl Sentinel {
    pub(crate) fn new() -> (Self, mpsc::Receiver<(AccountId, Finding)>) {
        let (findings, waiting) = mpsc::channel(MAX_WAITING);
        (
            Self {
                watched: DashMap::new(),
                raised: DashSet::new(),
                parameters: DetectorParameters::default(),
                findings,
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
        let resumed = Watched { detectors, is_unsaved: false };
        self.watched.entry(account).or_insert_with(|| Box::new(resumed));
    }

    pub(crate) fn observe(&self, account: AccountId, allocation: &Allocation, sample: &Sample, signals: &Signals) {
        let mut watched = self.watched.entry(account).or_default();
        let Watched { detectors, is_unsaved } = &mut **watched;
        *is_unsaved = true;
        let was_any_up = detectors.is_any_up();
        detectors.observe(sample, signals, allocation, &self.parameters, &mut |finding| {
            if self.findings.try_send((account, finding)).is_err() {
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

    /// States that were not saved since they changed, at most so many.
    pub(crate) fn take_unsaved(&self, most: usize) -> Vec<(AccountId, Vec<u8>)> {
        let mut unsaved = Vec::new();
        for mut watched in self.watched.iter_mut() {
            if unsaved.len() == most {
                break;
            }
            if std::mem::take(&mut watched.is_unsaved) {
                unsaved.push((*watched.key(), watched.detectors.to_bytes()));
            }
        }
        unsaved
    }

    /// States that could not be saved.
    pub(crate) fn put_back(&self, states: &[(AccountId, Vec<u8>)]) {
        for (account, _) in states {
            if let Some(mut watched) = self.watched.get_mut(account) {
                watched.is_unsaved = true;
            }
        }
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

    /// Tells detectors what time it is.
    pub(crate) fn pass(&self, account: AccountId, allocation: &Allocation, now: Timestamp) {
        if self.watched.contains_key(&account) {
            self.observe(account, allocation, &Sample::at(now), &Signals::new());
        }
    }
}

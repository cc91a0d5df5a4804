//! What one transaction of usage writes.

use std::collections::BTreeMap;

use crate::Error;
use crate::id::{AccessKeyId, AccountId, ByAccount};
use crate::monitoring::ledger::Entry;
use crate::monitoring::pending::Pending;
use crate::monitoring::reading::Readings;
use crate::monitoring::report::{Arrival, MAX_SOURCES_PER_AGENT, Receipt, Report, SourceName, SourceState};
use crate::monitoring::rollup::{Bucket, Resolution, Rollup, UsageRow};
use crate::monitoring::sample::Sample;
use crate::store::Tx;

/// The group's usage: samples fold into one row an account and minute before anything is written.
#[derive(Default)]
pub(super) struct Sums {
    accounts: ByAccount<Pending>,
}

impl Sums {
    /// Adds samples of one account: a source reports them one after the other, and so the account is looked for once.
    pub(super) fn add_samples<'a>(&mut self, account: AccountId, samples: impl IntoIterator<Item = &'a Sample>) {
        let known = self.accounts.entry(account).or_default();
        for sample in samples {
            let minute = Bucket::holding(sample.taken_at(), Resolution::Minute);
            // What is not the last one's minute may have come before all the same, and is merged once all are sorted.
            match known.minutes.last_mut() {
                Some((last, rollup)) if *last == minute => rollup.add(sample),
                _ => {
                    let mut rollup = Rollup::default();
                    rollup.add(sample);
                    known.minutes.push((minute, rollup));
                }
            }
            known.readings.add(sample);
        }
    }

    pub(super) fn add_pending(&mut self, account: AccountId, pending: &Pending) {
        let known = self.accounts.entry(account).or_default();
        known.minutes.extend(&pending.minutes);
        known.readings.merge(&pending.readings);
    }

    /// The rows by their key, each once, with the newest readings: in one order everywhere, so that two writers on one
    /// database never wait in a circle, and neighbours land on one page.
    pub(super) fn fold(self) -> (Vec<UsageRow>, Vec<(AccountId, Readings)>) {
        let mut accounts: Vec<(AccountId, Pending)> = self.accounts.into_iter().collect();
        accounts.sort_unstable_by_key(|(account, _)| *account);
        let minutes: usize = accounts.iter().map(|(_, pending)| pending.minutes.len()).sum();
        let mut rows: Vec<UsageRow> = Vec::with_capacity(minutes + accounts.len() * 2);
        for (account, pending) in &mut accounts {
            pending.minutes.sort_unstable_by_key(|(minute, _)| *minute);
            for resolution in Resolution::ALL {
                let first = rows.len();
                for (minute, rollup) in &pending.minutes {
                    let bucket = Bucket::holding(minute.start(), resolution);
                    match rows[first..].last_mut() {
                        Some(row) if row.bucket == bucket => row.rollup.merge(rollup),
                        _ => rows.push(UsageRow { account: *account, resolution, bucket, rollup: *rollup }),
                    }
                }
            }
        }
        let readings = accounts.into_iter().map(|(account, pending)| (account, pending.readings));
        (rows, readings.filter(|(_, readings)| *readings != Readings::default()).collect())
    }
}

/// The sources of the group, all read at once and written at once.
#[derive(Default)]
pub(super) struct Sources {
    states: BTreeMap<(AccessKeyId, SourceName), Known>,
}

struct Known {
    state: SourceState,
    /// Whether the store has it.
    is_stored: bool,
    has_changed: bool,
}

impl Sources {
    pub(super) async fn read(tx: &mut dyn Tx, entries: &[Entry]) -> Result<Self, Error> {
        let mut keys: Vec<_> = entries.iter().map(|entry| (entry.agent, entry.report.source.clone())).collect();
        keys.sort_unstable();
        keys.dedup();
        let states = tx.sources(&keys).await?;
        let known = keys.into_iter().zip(states).map(|(key, state)| {
            let is_stored = state.is_some();
            (key, Known { state: state.unwrap_or_default(), is_stored, has_changed: false })
        });
        Ok(Self { states: known.collect() })
    }

    /// Counts a report's sequence, once.
    pub(super) async fn count(
        &mut self,
        tx: &mut dyn Tx,
        agent: AccessKeyId,
        report: &Report,
    ) -> Result<Result<Receipt, Error>, Error> {
        let key = (agent, report.source.clone());
        let is_known = self.states.get(&key).is_some_and(|known| known.is_stored || known.has_changed);
        if !is_known && !self.has_room(tx, agent).await? {
            return Ok(Err(Error::Conflict { reason: "this agent has too many sources" }));
        }
        let Some(known) = self.states.get_mut(&key) else {
            return Err(Error::Internal { what: "a report's source was not read" });
        };
        let receipt = |is_duplicate| Receipt { sequence: report.sequence, is_duplicate, samples: report.samples.len() };
        Ok(match known.state.count(report.sequence) {
            Arrival::New => {
                known.has_changed = true;
                Ok(receipt(false))
            }
            Arrival::Repeat => Ok(receipt(true)),
            Arrival::TooScattered => Err(Error::Conflict { reason: "too many earlier sequences are missing" }),
        })
    }

    async fn has_room(&self, tx: &mut dyn Tx, agent: AccessKeyId) -> Result<bool, Error> {
        let is_new = |known: &&Known| known.has_changed && !known.is_stored;
        let own = self.states.iter().filter(|((owner, _), _)| *owner == agent).map(|(_, known)| known);
        let unsaved = own.filter(is_new).count() as u64;
        Ok(tx.source_count(agent).await? + unsaved < MAX_SOURCES_PER_AGENT)
    }

    pub(super) async fn save(self, tx: &mut dyn Tx) -> Result<(), Error> {
        let changed = self.states.into_iter().filter(|(_, known)| known.has_changed);
        let (known, new): (Vec<_>, Vec<_>) = changed.partition(|(_, known)| known.is_stored);
        let rows = |sources: Vec<((AccessKeyId, SourceName), Known)>| -> Vec<_> {
            sources.into_iter().map(|((agent, name), known)| (agent, name, known.state)).collect()
        };
        tx.add_sources(&rows(new)).await?;
        Ok(tx.save_sources(&rows(known)).await?)
    }
}

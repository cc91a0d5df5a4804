//! One transaction of usage: what it writes, and what follows once it is known what became of it.

use std::collections::{BTreeMap, HashMap};

use crate::Error;
use crate::allocation::Hold;
use crate::allocation::accounting::{Accounting, Decided, Lease, Question, Verdict, lease_end, save_lease};
use crate::id::{AccessKeyId, AccountId, ByAccount, ReplicaId};
use crate::monitoring::cell::Leasable;
use crate::monitoring::group::{Sources, Sums};
use crate::monitoring::ledger::{Entry, RETRY_AFTER};
use crate::monitoring::metering::Metering;
use crate::monitoring::pending::Pending;
use crate::monitoring::report::{Receipt, Report, SourceName};
use crate::monitoring::sample::Sample;
use crate::monitoring::slab::Pinned;
use crate::monitoring::versions::{Counted, samples_of};
use crate::monitoring::writer::Writer;
use crate::replicas::{Delta, Sharing};
use crate::store::{Access, Store, StoreError, Tx};
use crate::time::Timestamp;

/// What is made durable together.
#[derive(Default)]
pub(super) struct Group {
    pub(super) entries: Vec<Entry>,
    pub(super) questions: Vec<Question>,
    pub(super) pending: Vec<(AccountId, Pending)>,
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.questions.is_empty() && self.pending.is_empty()
    }
}

/// Leases as they are once a transaction is over.
type Settled = Vec<((AccountId, Leasable), Option<Lease>)>;

/// A transaction whose statements are done, and whose commit is not.
pub(super) struct Prepared {
    pub(super) tx: Box<dyn Tx>,
    pub(super) receipts: Vec<Result<Receipt, Error>>,
    pub(super) verdicts: Vec<Result<Verdict, Error>>,
    pub(super) written: Written,
}

/// What a transaction wrote: shown where it took effect, and taken back where it did not.
pub(crate) struct Written {
    now: Timestamp,
    proof: Proof,
    pub(super) settled: Settled,
    pub(super) decided: Decided,
    /// Those of accounts that are reported, held in memory until they are shown.
    cells: ByAccount<Pinned>,
    /// Those that were counted.
    pub(super) reports: Vec<Report>,
    pub(super) pending: Vec<(AccountId, Pending)>,
    /// Whose versions it raised, where others count as well.
    counted: Vec<Counted>,
}

/// What the storage has of a transaction where it took effect, and has not where it did not.
enum Proof {
    /// Nothing was changed.
    Nothing,
    /// Reports alone: the number of one of them has been counted.
    Report(AccessKeyId, SourceName, u64),
    /// The number of the process's flush: what it recorded and decided itself has no number of its own.
    Flush(u64),
}

impl Written {
    /// Whether it took effect. Waits for a commit that is still under way.
    pub(super) async fn is_durable(&self, store: &dyn Store, replica: ReplicaId) -> Result<bool, Error> {
        if matches!(self.proof, Proof::Nothing) {
            return Ok(true);
        }
        let mut tx = store.begin(Access::Write).await?;
        Ok(match &self.proof {
            Proof::Nothing => true,
            Proof::Flush(number) => tx.last_flush(replica).await? == Some(*number),
            Proof::Report(agent, source, sequence) => {
                let states = tx.sources(&[(*agent, source.clone())]).await?;
                states.into_iter().flatten().any(|state| state.has(*sequence))
            }
        })
    }

    /// Shows what is durable to watchers and to whoever asks what is in use.
    pub(super) fn show(self, metering: &Metering, sharing: &Sharing) {
        // What others counted before it is not known here, and comes with it from the storage.
        let missing = metering.versions.advance(&self.counted);
        self.tell(sharing);
        let show = |cell: &Pinned, sample: &Sample| {
            if !missing.is_empty() && missing.contains(&cell.cell().account()) {
                return;
            }
            let told = cell.write().apply(sample, self.now, metering.beside(cell.slot()));
            metering.tell(cell.slot(), told);
        };
        self.decided.show(show);
        for (account, samples) in self.reports.iter().flat_map(Report::by_account) {
            if let Some(cell) = self.cells.get(&account) {
                samples.iter().for_each(|(_, sample)| show(cell, sample));
            }
        }
        self.reports.iter().for_each(|report| metering.watch_report(report, &self.cells, self.now));
        self.pending.iter().for_each(|(account, pending)| metering.watch_pending(*account, pending, self.now));
    }

    /// Tells other processes what was counted of accounts that they follow.
    fn tell(&self, sharing: &Sharing) {
        let followed = self.counted.iter().filter(|counted| sharing.is_followed(counted.account));
        let mut deltas: HashMap<AccountId, Delta> = followed
            .map(|Counted { account, before, version }| {
                (*account, Delta { account: *account, before: *before, version: *version, samples: Vec::new() })
            })
            .collect();
        if deltas.is_empty() {
            return;
        }
        for (account, samples) in self.reports.iter().flat_map(Report::by_account) {
            if let Some(delta) = deltas.get_mut(&account) {
                delta.samples.extend(samples.iter().map(|(_, sample)| *sample));
            }
        }
        for (account, sample) in self.decided.samples() {
            if let Some(delta) = deltas.get_mut(&account) {
                delta.samples.push(sample);
            }
        }
        for (account, pending) in &self.pending {
            if let Some(delta) = deltas.get_mut(account) {
                delta.samples.extend(samples_of(pending));
            }
        }
        sharing.counted(deltas.into_values());
    }

    /// Takes back what was taken for it.
    pub(super) fn take_back(self, metering: &Metering) {
        self.decided.undo();
        metering.put_back(self.pending);
    }
}

/// What is done with an account before a transaction writes usage.
enum Taken {
    /// What is left of its leases is written down.
    Leased([u32; 2]),
    /// It is decided about.
    Asked(Pinned),
}

impl Writer {
    /// Writes all of a group but for the commit.
    pub(super) async fn prepare(&self, group: &mut Group) -> Result<Prepared, Error> {
        let Group { entries, questions, pending } = group;
        let reported = || entries.iter().flat_map(|entry| entry.report.by_account()).map(|(account, _)| account);
        let cells = self.cells(reported()).await?;
        let asked = self.cells(questions.iter().map(Question::account)).await?;
        self.catch_up(asked.keys().copied().collect()).await?;

        let mut tx = self.store.begin(Access::Write).await?;
        let now = self.clock.now();
        let written = reported().chain(pending.iter().map(|(account, _)| *account));
        self.drop_erased(&mut *tx, written.filter(|account| !asked.contains_key(account)).collect()).await?;
        let (mut accounting, mut settled) = self.open_books(&mut *tx, asked, pending, now).await?;
        let books = accounting.books.keys().copied();
        let (receipts, mut raised) = self.write_reports(&mut *tx, entries, pending, books, now).await?;
        let proof = self.proof(entries, &receipts, !questions.is_empty() || !pending.is_empty());
        let decided = async {
            let verdicts = accounting.answer(&mut *tx, questions).await?;
            let mut counted = Sums::default();
            accounting.counted().for_each(|(account, sample)| counted.add_samples(account, [&sample]));
            raised.extend(write_usage(&mut *tx, counted).await?);
            settled.extend(accounting.save_leases(&mut *tx).await?);
            if let Proof::Flush(number) = proof {
                tx.mark_flush(self.replica, number, now).await?;
            }
            Ok::<_, Error>((verdicts, self.counted(&mut *tx, &raised).await?))
        };
        let decided = decided.await;
        let (verdicts, decided) = (decided, accounting.decided());
        let (verdicts, counted) = verdicts.inspect_err(|_| decided.undo())?;
        let (reports, pending) = (Vec::new(), Vec::new());
        let written = Written { now, proof, settled, decided, cells, reports, pending, counted };
        Ok(Prepared { tx, receipts, verdicts, written })
    }

    /// What will tell whether the transaction took effect.
    fn proof(&self, entries: &[Entry], receipts: &[Result<Receipt, Error>], is_own: bool) -> Proof {
        if is_own {
            return Proof::Flush(self.flushes + 1);
        }
        let counted = entries.iter().zip(receipts).find(|(_, receipt)| is_counted(receipt));
        counted.map_or(Proof::Nothing, |(entry, _)| {
            Proof::Report(entry.agent, entry.report.source.clone(), entry.report.sequence)
        })
    }

    /// Forgets those of the accounts that another process has erased. The others stay until the transaction ends: usage
    /// leads to its account by no foreign key, and nobody would find what is written of one that is gone.
    async fn drop_erased(&self, tx: &mut dyn Tx, mut accounts: Vec<AccountId>) -> Result<(), Error> {
        accounts.retain(|account| !self.metering.is_erased(*account));
        // In one order everywhere, so that two writers on one database never wait in a circle.
        accounts.sort_unstable();
        accounts.dedup();
        for account in tx.missing_accounts(&accounts).await? {
            self.forget(account);
        }
        Ok(())
    }

    /// Takes the accounts that are decided about, and settles what was used of others' leases, before anything else is
    /// written: two writers on one database would wait for each other otherwise, the one for the account and the other
    /// for its usage. What is decided about is counted to the last sample.
    async fn open_books(
        &self,
        tx: &mut dyn Tx,
        asked: ByAccount<Pinned>,
        pending: &mut Vec<(AccountId, Pending)>,
        now: Timestamp,
    ) -> Result<(Accounting<'_>, Settled), Error> {
        let (limits, entropy, leases, paces) = (&self.metering.limits, &*self.entropy, &self.leases, &self.paces);
        let (lease_end, is_closed) = (lease_end(limits, now), self.is_closed);
        let mut accounting =
            Accounting { limits, entropy, leases, paces, now, lease_end, is_closed, books: BTreeMap::new() };
        let mut settled = Vec::new();
        // In one order everywhere, for the same reason.
        let mut taken: BTreeMap<AccountId, Taken> = BTreeMap::new();
        if !leases.is_empty() {
            let to_settle =
                pending.iter().filter_map(|(account, pending)| Some((*account, Taken::Leased(pending.leased?))));
            taken.extend(to_settle);
        }
        taken.extend(asked.into_iter().map(|(account, cell)| (account, Taken::Asked(cell))));
        for (account, taken) in taken {
            match taken {
                // What was granted went with the account.
                Taken::Leased(_) if self.metering.is_erased(account) => {
                    settled.extend(Leasable::ALL.map(|what| ((account, what), None)));
                }
                Taken::Leased(left) => settled.extend(self.settle(tx, account, left).await?),
                Taken::Asked(cell) => {
                    let (taken, snapshot) = self.metering.take_of(&cell, now);
                    pending.extend(taken.map(|taken| (account, taken)));
                    if !accounting.open(tx, account, cell, snapshot).await? {
                        self.forget(account);
                    }
                }
            }
        }
        Ok((accounting, settled))
    }

    /// Writes what is reported and what was recorded.
    async fn write_reports(
        &self,
        tx: &mut dyn Tx,
        entries: &[Entry],
        pending: &[(AccountId, Pending)],
        decided: impl Iterator<Item = AccountId>,
        now: Timestamp,
    ) -> Result<(Vec<Result<Receipt, Error>>, Vec<AccountId>), Error> {
        let mut sums = Sums::default();
        // What will be counted of these is added later, to rows that are taken in their order here.
        let empty = Sample::at(now);
        let decided = decided.filter(|account| !self.metering.is_erased(*account));
        decided.for_each(|account| sums.add_samples(account, [&empty]));
        let mut sources = Sources::read(tx, entries).await?;
        let mut receipts = Vec::with_capacity(entries.len());
        for entry in entries {
            let arrival = sources.count(tx, entry.agent, &entry.report).await?;
            if is_counted(&arrival) {
                for (account, samples) in entry.report.by_account() {
                    if !self.metering.is_erased(account) {
                        sums.add_samples(account, samples.iter().map(|(_, sample)| sample));
                    }
                }
            }
            receipts.push(arrival);
        }
        let kept = pending.iter().filter(|(account, _)| !self.metering.is_erased(*account));
        kept.for_each(|(account, pending)| sums.add_pending(*account, pending));
        sources.save(tx).await?;
        Ok((receipts, write_usage(tx, sums).await?))
    }

    /// By what the versions of accounts were raised, of which each stands in the list as often as it was.
    async fn counted(&self, tx: &mut dyn Tx, raised: &[AccountId]) -> Result<Vec<Counted>, Error> {
        if !self.metering.versions.is_shared() {
            return Ok(Vec::new());
        }
        let mut times: BTreeMap<AccountId, u64> = BTreeMap::new();
        raised.iter().for_each(|account| *times.entry(*account).or_default() += 1);
        let accounts: Vec<AccountId> = times.keys().copied().collect();
        let versions = tx.usage_versions(&accounts).await?;
        let counted = |(account, version): (AccountId, u64)| {
            let before = version.saturating_sub(times.get(&account).copied().unwrap_or_default());
            Counted { account, before, version }
        };
        Ok(versions.into_iter().map(counted).collect())
    }

    /// What was used of leases since they were last written down has become usage, and is no longer held.
    async fn settle(&self, tx: &mut dyn Tx, account: AccountId, leased: [u32; 2]) -> Result<Settled, Error> {
        let mut settled = Vec::new();
        for what in Leasable::ALL {
            if let Some(before) = self.leases.get(&(account, what)) {
                let hold = Hold { amount: u64::from(leased[what as usize]), ..before.hold };
                settled.push(((account, what), save_lease(tx, Some(before), Lease { hold, ..*before }).await?));
            }
        }
        Ok(settled)
    }

    /// The cells of accounts. They are resumed before the transaction: one resumed after it would find this group in the
    /// store, and then be given it a second time.
    async fn cells(&self, accounts: impl Iterator<Item = AccountId>) -> Result<ByAccount<Pinned>, Error> {
        let mut cells = ByAccount::default();
        let now = self.clock.now();
        for account in accounts {
            if cells.contains_key(&account) || self.metering.is_erased(account) {
                continue;
            }
            match self.metering.cell(&*self.store, account, now).await {
                Ok(cell) => drop(cells.insert(account, cell)),
                // Erased since it was asked about, by another process: the others of this group are not to blame.
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(cells)
    }
}

/// Writes usage, and gives the accounts whose versions that raised.
async fn write_usage(tx: &mut dyn Tx, sums: Sums) -> Result<Vec<AccountId>, Error> {
    let (rows, readings) = sums.fold();
    tx.add_usage(&rows).await?;
    tx.save_readings(&readings).await?;
    Ok(readings.into_iter().map(|(account, _)| account).collect())
}

pub(super) const fn is_counted(verdict: &Result<Receipt, Error>) -> bool {
    matches!(verdict, Ok(Receipt { is_duplicate: false, .. }))
}

/// What a failed group tells each of those who wait for it.
pub(super) fn each(error: &Error) -> Error {
    match error {
        // Another writer was there first; the same report will do on another try.
        Error::Store(StoreError::Busy | StoreError::Conflict) | Error::Busy { .. } => {
            Error::Busy { retry_after: RETRY_AFTER }
        }
        // The cause has been logged, once for the group.
        _ => Error::Internal { what: "usage could not be written" },
    }
}

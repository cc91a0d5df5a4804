//! The one writer of usage: everything that arrives while a transaction commits goes into the next one together.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;

use crate::Error;
use crate::allocation::Hold;
use crate::allocation::accounting::{Accounting, Lease, Leases, Question, Verdict, save_lease};
use crate::entropy::Entropy;
use crate::id::AccountId;
use crate::monitoring::cell::Leasable;
use crate::monitoring::group::{Sources, Sums};
use crate::monitoring::ledger::{Entry, Erasure, Job, RETRY_AFTER, Reply};
use crate::monitoring::metering::Metering;
use crate::monitoring::pending::Pending;
use crate::monitoring::report::Receipt;
use crate::monitoring::sample::Sample;
use crate::monitoring::slab::{Pinned, Slot};
use crate::store::{Access, Store, StoreError, Tx};
use crate::time::{Clock, Timestamp};
use crate::users::Directory;

/// How long what a process records itself may stay in memory alone: with the time of a commit, less than a second.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// Accounts whose recorded usage one transaction makes durable: with their hours and days some 12,000 rows, a fraction
/// of a second, so that reports never wait long for a flush of many.
const FLUSH_ACCOUNTS: usize = 4_096;
/// Reports of one transaction: enough to share its fsync, few enough that its rows stay small.
const MAX_GROUP: usize = 256;
/// Samples of one transaction, for the same reason.
const MAX_GROUP_SAMPLES: usize = 65_536;
/// How far the clock has to go back before windows are set to it: less is what clocks do when they are kept in time, and
/// what is counted then is late by as much.
const CLOCK_STEP: Duration = Duration::from_secs(60);

/// What the writer works on.
pub(crate) struct Writer {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) metering: Arc<Metering>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// What this process was granted of hourly quotas.
    pub(crate) leases: Leases,
    /// Whether it is granted nothing more: the process is about to end.
    pub(crate) is_closed: bool,
}

/// Leases as they are once a transaction is over.
type Settled = Vec<((AccountId, Leasable), Option<Lease>)>;

/// What one transaction did.
struct Done {
    receipts: Vec<Result<Receipt, Error>>,
    verdicts: Vec<Result<Verdict, Error>>,
    settled: Settled,
}

/// What is done with an account before a transaction writes usage.
enum Taken {
    /// What is left of its leases is written down.
    Leased([u32; 2]),
    /// It is decided about.
    Asked(Pinned),
}

/// One going through of all cells that wait to be made durable.
#[derive(Default)]
struct Sweep {
    /// Where it goes on; absent where none is under way.
    next: Option<Slot>,
    /// Who is answered at its end.
    replies: Vec<Reply<()>>,
    /// Who asked while it was under way, and is answered at the end of another.
    later: Vec<Reply<()>>,
}

impl Sweep {
    fn ask(&mut self, replies: Vec<Reply<()>>) {
        match self.next {
            None => {
                self.next = Some(0);
                self.replies = replies;
            }
            Some(_) => self.later.extend(replies),
        }
    }

    /// Ends it where there is nothing more, and answers.
    fn go_on(&mut self, next: Option<Slot>, done: &Result<(), Error>) {
        self.next = if done.is_ok() { next } else { None };
        if self.next.is_some() {
            return;
        }
        for reply in self.replies.drain(..) {
            let _ = reply.send(done.as_ref().copied().map_err(each));
        }
        if !self.later.is_empty() {
            let later = std::mem::take(&mut self.later);
            self.ask(later);
        }
    }
}

/// What is done together.
#[derive(Default)]
struct Work {
    entries: Vec<Entry>,
    questions: Vec<Question>,
    flushes: Vec<Reply<()>>,
    is_closing: bool,
    evictions: Vec<(Duration, Reply<usize>)>,
    erasures: Vec<(Erasure, Reply<()>)>,
}

impl Work {
    fn add(&mut self, job: Job) {
        match job {
            Job::Report(entry) => self.entries.push(entry),
            Job::Quota(question) => self.questions.push(question),
            Job::Flush(reply) => self.flushes.push(reply),
            Job::Close(reply) => {
                self.flushes.push(reply);
                self.is_closing = true;
            }
            Job::Evict { idle, reply } => self.evictions.push((idle, reply)),
            Job::Erase(erasure, reply) => self.erasures.push((erasure, reply)),
        }
    }

    fn is_full(&self) -> bool {
        let samples: usize = self.entries.iter().map(|entry| entry.report.samples.len()).sum();
        self.entries.len() + self.questions.len() >= MAX_GROUP || samples >= MAX_GROUP_SAMPLES
    }
}

impl Writer {
    pub(super) async fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        let mut ticks = tokio::time::interval(FLUSH_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut sweep = Sweep::default();
        let mut latest = self.clock.now();
        loop {
            let mut work = Work::default();
            if sweep.next.is_none() {
                tokio::select! {
                    job = waiting.recv() => match job {
                        Some(job) => work.add(job),
                        None => break,
                    },
                    _ = ticks.tick() => {
                        latest = self.tick(latest);
                        sweep.ask(Vec::new());
                    }
                }
            } else if ticks.tick().now_or_never().is_some() {
                // Also where one sweep follows another.
                latest = self.tick(latest);
            }
            // Those who were answered by the last transaction are just about to report again, and the first of them wakes
            // this: after the others' turn they share one transaction, where they would wait for two.
            tokio::task::yield_now().await;
            while !work.is_full()
                && let Ok(job) = waiting.try_recv()
            {
                work.add(job);
            }
            if work.is_closing {
                self.is_closed = true;
                self.end_leases(Timestamp::LAST);
            }
            if !work.flushes.is_empty() {
                sweep.ask(std::mem::take(&mut work.flushes));
            }
            self.turn(work, &mut sweep).await;
        }
        // Nobody is left to answer, and what was recorded is not lost.
        self.end_leases(Timestamp::LAST);
        let mut last = Some(0);
        while let Some(from) = last {
            let (pending, next) = self.metering.take_pending(from, FLUSH_ACCOUNTS, self.clock.now());
            last = self.write(Vec::new(), Vec::new(), pending).await.is_ok().then_some(next).flatten();
        }
    }

    async fn turn(&mut self, work: Work, sweep: &mut Sweep) {
        if let Some(from) = sweep.next {
            let (pending, next) = self.metering.take_pending(from, FLUSH_ACCOUNTS, self.clock.now());
            let done = self.write(work.entries, work.questions, pending).await;
            sweep.go_on(next, &done);
        } else {
            // Its failure has been told to each of them.
            let _ = self.write(work.entries, work.questions, Vec::new()).await;
        }
        for (erasure, reply) in work.erasures {
            let account = erasure.principal.account;
            let erased = self.erase(erasure).await;
            self.directory.forget(account);
            let _ = reply.send(erased);
        }
        for (idle, reply) in work.evictions {
            let _ = reply.send(Ok(self.metering.evict(self.clock.now(), idle).await));
        }
    }

    /// What is done twice a second.
    fn tick(&self, latest: Timestamp) -> Timestamp {
        let latest = self.follow_clock(latest);
        self.end_leases(latest);
        self.metering.look_again(latest);
        latest
    }

    /// Sets the windows to a clock that was set back: what is counted from now on would be taken for past otherwise.
    fn follow_clock(&self, latest: Timestamp) -> Timestamp {
        let now = self.clock.now();
        if latest.since(now) > CLOCK_STEP {
            self.metering.set_back(now);
            return now;
        }
        latest.max(now)
    }

    /// Takes back what was granted until that instant, so that it is free again.
    fn end_leases(&self, by: Timestamp) {
        let ended = self.leases.iter().filter(|(_, lease)| lease.until <= by);
        ended.for_each(|((account, _), _)| self.metering.settle(*account, by));
    }

    async fn erase(&mut self, Erasure { principal, permit }: Erasure) -> Result<(), Error> {
        let mut tx = self.store.begin(Access::Write).await?;
        // The password was checked before: it may have been changed, or the session ended, since.
        let account = crate::auth::held(&mut *tx, &principal).await?;
        permit(&account)?;
        tx.erase_account(account.id).await?;
        tx.commit().await?;
        self.metering.erase(account.id);
        self.leases.retain(|(owner, _), _| *owner != account.id);
        if let Err(error) = self.store.scrub().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what was erased may still be in the storage's log"
            );
        }
        Ok(())
    }

    async fn write(
        &mut self,
        entries: Vec<Entry>,
        questions: Vec<Question>,
        mut pending: Vec<(AccountId, Pending)>,
    ) -> Result<(), Error> {
        if entries.is_empty() && questions.is_empty() && pending.is_empty() {
            return Ok(());
        }
        match self.commit(&entries, &questions, &mut pending).await {
            Ok(Done { receipts, verdicts, settled }) => {
                for (key, lease) in settled {
                    match lease {
                        Some(lease) => drop(self.leases.insert(key, lease)),
                        None => drop(self.leases.remove(&key)),
                    }
                }
                for (entry, receipt) in entries.into_iter().zip(receipts) {
                    // Whoever stopped waiting finds out by sending the report again.
                    let _ = entry.reply.send(receipt);
                }
                questions.into_iter().zip(verdicts).for_each(|(question, verdict)| question.answer(verdict));
                Ok(())
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "usage could not be written");
                self.metering.put_back(pending);
                for entry in entries {
                    let _ = entry.reply.send(Err(each(&error)));
                }
                questions.into_iter().for_each(|question| question.answer(Err(each(&error))));
                Err(error)
            }
        }
    }

    /// Writes all of it in one transaction, and then shows it to watchers.
    async fn commit(
        &self,
        entries: &[Entry],
        questions: &[Question],
        pending: &mut Vec<(AccountId, Pending)>,
    ) -> Result<Done, Error> {
        let reported = entries.iter().flat_map(|entry| entry.report.by_account()).map(|(account, _)| account);
        let cells = self.cells(reported).await?;
        let asked = self.cells(questions.iter().map(Question::account)).await?;

        let mut tx = self.store.begin(Access::Write).await?;
        let now = self.clock.now();
        let (mut accounting, mut settled) = self.open_books(&mut *tx, asked, pending, now).await?;
        let receipts = self.write_reports(&mut *tx, entries, pending, accounting.books.keys().copied(), now).await?;
        let decided = async {
            let verdicts = accounting.answer(&mut *tx, questions).await?;
            let mut counted = Sums::default();
            accounting.counted().for_each(|(account, sample)| counted.add_samples(account, [&sample]));
            write_usage(&mut *tx, counted).await?;
            settled.extend(accounting.save_leases(&mut *tx).await?);
            tx.commit().await?;
            Ok::<_, Error>(verdicts)
        };
        let verdicts = decided.await.inspect_err(|_| accounting.undo())?;

        let show = |cell: &Pinned, sample: &Sample| {
            let told = cell.write().apply(sample, now, self.metering.beside(cell.slot()));
            self.metering.tell(cell.slot(), told);
        };
        accounting.show(show);
        for (entry, _) in entries.iter().zip(&receipts).filter(|(_, receipt)| is_counted(receipt)) {
            for (account, samples) in entry.report.by_account() {
                if let Some(cell) = cells.get(&account) {
                    samples.iter().for_each(|(_, sample)| show(cell, sample));
                }
            }
        }
        Ok(Done { receipts, verdicts, settled })
    }

    /// Takes the accounts that are decided about, and settles what was used of others' leases, before anything else is
    /// written: two writers on one database would wait for each other otherwise, the one for the account and the other
    /// for its usage. What is decided about is counted to the last sample.
    async fn open_books(
        &self,
        tx: &mut dyn Tx,
        asked: HashMap<AccountId, Pinned>,
        pending: &mut Vec<(AccountId, Pending)>,
        now: Timestamp,
    ) -> Result<(Accounting<'_>, Settled), Error> {
        let (limits, entropy, leases) = (&self.metering.limits, &*self.entropy, &self.leases);
        let is_closed = self.is_closed;
        let mut accounting = Accounting { limits, entropy, leases, now, is_closed, books: BTreeMap::new() };
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
                Taken::Leased(left) => settled.extend(self.settle(tx, account, left).await?),
                Taken::Asked(cell) => {
                    let (taken, snapshot) = self.metering.take_of(&cell, now);
                    pending.extend(taken.map(|taken| (account, taken)));
                    accounting.open(tx, account, cell, snapshot).await?;
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
    ) -> Result<Vec<Result<Receipt, Error>>, Error> {
        let mut sums = Sums::default();
        // What will be counted of these is added later, to rows that are taken in their order here.
        let empty = Sample::at(now);
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
        write_usage(tx, sums).await?;
        Ok(receipts)
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
    async fn cells(&self, accounts: impl Iterator<Item = AccountId>) -> Result<HashMap<AccountId, Pinned>, Error> {
        let mut cells = HashMap::new();
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

async fn write_usage(tx: &mut dyn Tx, sums: Sums) -> Result<(), Error> {
    let (rows, readings) = sums.fold();
    tx.add_usage(&rows).await?;
    Ok(tx.save_readings(&readings).await?)
}

const fn is_counted(verdict: &Result<Receipt, Error>) -> bool {
    matches!(verdict, Ok(Receipt { is_duplicate: false, .. }))
}

/// What a failed group tells each of those who wait for it.
fn each(error: &Error) -> Error {
    match error {
        // Another writer was there first; the same report will do on another try.
        Error::Store(StoreError::Busy | StoreError::Conflict) | Error::Busy { .. } => {
            Error::Busy { retry_after: RETRY_AFTER }
        }
        // The cause has been logged, once for the group.
        _ => Error::Internal { what: "usage could not be written" },
    }
}

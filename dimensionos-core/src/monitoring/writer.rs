//! The one writer of usage: everything that arrives while a transaction commits goes into the next one together.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;

use crate::Error;
use crate::allocation::TierName;
use crate::allocation::accounting::{Leases, Paces, Question};
use crate::allocation::schedule::Tiers;
use crate::entropy::Entropy;
use crate::id::{AccountId, ReplicaId};
use crate::monitoring::ledger::{Entry, Erasure, Job, RETRY_AFTER, Whose};
use crate::monitoring::metering::Metering;
use crate::monitoring::sweep::{Sweep, Work};
use crate::monitoring::transaction::{Group, Prepared, Written, each, is_counted};
use crate::replicas::Sharing;
use crate::store::{Access, Store, Tx};
use crate::time::{Clock, Timestamp};
use crate::users::Directory;

/// How long what a process records itself may stay in memory alone: with the time of a commit, less than a second.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// Accounts whose recorded usage one transaction makes durable: with their hours and days some 12,000 rows, a fraction
/// of a second, so that reports never wait long for a flush of many.
const FLUSH_ACCOUNTS: usize = 4_096;
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
    /// How fast they are used up.
    pub(crate) paces: Paces,
    /// Whether it is granted nothing more: the process is about to end.
    pub(crate) is_closed: bool,
    /// Tells this process from others on the same database.
    pub(crate) replica: ReplicaId,
    /// Those others, and what they are told.
    pub(crate) sharing: Arc<Sharing>,
    /// How many transactions were written.
    pub(crate) flushes: u64,
    /// A transaction whose commit ended with an error, until it is known whether it took effect.
    pub(crate) doubt: Option<Written>,
    /// When the state of detectors was last kept.
    pub(crate) saved_at: Timestamp,
    /// What the tiers granted when it was last looked whether use is past it.
    pub(crate) tiers: Tiers,
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
                    () = self.metering.versions.wanted.notified() => {}
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
            let closings = std::mem::take(&mut work.closings);
            self.is_closed |= !closings.is_empty();
            if !work.flushes.is_empty() {
                sweep.ask(std::mem::take(&mut work.flushes));
            }
            self.turn(work, &mut sweep).await;
            if latest.since(self.saved_at) >= FLUSH_INTERVAL || latest < self.saved_at {
                self.saved_at = latest;
                // Another turn finds them again.
                let _ = self.save_detectors(FLUSH_ACCOUNTS, latest).await;
            }
            if !closings.is_empty() {
                let closed = self.flush_all().await;
                for reply in closings {
                    let _ = reply.send(closed.as_ref().copied().map_err(each));
                }
                // Where it failed, what was recorded is still there to be closed with again.
                if closed.is_ok() {
                    return sweep.end();
                }
            }
        }
        // Nobody is left to answer, and what was recorded is not lost.
        let _ = self.flush_all().await;
    }

    /// Keeps the state of detectors, from time to time. It is no part of what was acknowledged: what a crash takes of sums
    /// that fade is little, and a storage that fails is told of by those who wait for it.
    async fn save_detectors(&mut self, most: usize, now: Timestamp) -> Result<(), Error> {
        let states = self.metering.sentinel.take_unsaved(most, now);
        if states.is_empty() {
            return Ok(());
        }
        let saved = async {
            let mut tx = self.store.begin(Access::Write).await?;
            tx.save_detectors(&states).await?;
            tx.commit().await
        };
        let saved = saved.await;
        if saved.is_err() {
            self.metering.sentinel.put_back(&states);
        }
        for (account, _) in states {
            // It has left memory, and stayed for this.
            if !self.metering.is_resident(account) {
                self.metering.sentinel.leave(account);
            }
        }
        Ok(saved?)
    }

    async fn turn(&mut self, work: Work, sweep: &mut Sweep) {
        // First of all, and nothing else where it is not known: what is taken next would follow from it.
        if let Err(error) = self.resolve().await {
            sweep.go_on(None, &Err(each(&error)));
            refuse(work.entries, work.questions, &error);
            work.erasures.into_iter().for_each(|(_, reply)| drop(reply.send(Err(each(&error)))));
            work.evictions.into_iter().for_each(|(_, reply)| drop(reply.send(Ok(0))));
            work.renewals.into_iter().for_each(|(_, reply)| drop(reply.send(Err(each(&error)))));
            return;
        }
        let Work { entries, questions, erasures, evictions, renewals, .. } = work;
        if let Some(from) = sweep.next {
            let (pending, next) = self.metering.take_pending(from, FLUSH_ACCOUNTS, self.clock.now());
            let done = self.write(Group { entries, questions, pending }).await;
            sweep.go_on(next, &done);
        } else {
            // Its failure has been told to each of them.
            let _ = self.write(Group { entries, questions, pending: Vec::new() }).await;
        }
        for (erasure, reply) in erasures {
            let account = erasure.whose.account();
            let erased = self.erase(erasure).await;
            self.directory.forget(account);
            let _ = reply.send(erased);
        }
        for (idle, reply) in evictions {
            // What may have to be put back is not let go.
            let gone = if self.doubt.is_some() { 0 } else { self.metering.evict(self.clock.now(), idle).await };
            let _ = reply.send(Ok(gone));
        }
        let (accounts, replies): (Vec<_>, Vec<_>) = renewals.into_iter().unzip();
        // Not while it is not known what has become of the last transaction: what it wrote would be counted twice, or not.
        let renewed = match self.doubt {
            Some(_) => Err(Error::Busy { retry_after: RETRY_AFTER }),
            None => self.renew(accounts.concat()).await,
        };
        for reply in replies {
            let _ = reply.send(renewed.as_ref().copied().map_err(each));
        }
    }

    /// Makes durable all there is, and gives back what was granted.
    async fn flush_all(&mut self) -> Result<(), Error> {
        self.end_leases(Timestamp::LAST);
        self.resolve().await?;
        let mut from = Some(0);
        while let Some(slot) = from {
            let (pending, next) = self.metering.take_pending(slot, FLUSH_ACCOUNTS, self.clock.now());
            self.write(Group { pending, ..Group::default() }).await?;
            from = next;
        }
        self.save_detectors(usize::MAX, Timestamp::LAST).await
    }

    /// What is done twice a second.
    fn tick(&mut self, latest: Timestamp) -> Timestamp {
        let latest = self.follow_clock(latest);
        self.follow_tiers(latest);
        self.end_leases(latest);
        self.metering.look_again(latest);
        self.metering.pass(latest);
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

    /// Has the next flush look at accounts whose tier grants something else from now on: what they use may be past it
    /// though they do nothing.
    fn follow_tiers(&mut self, now: Timestamp) {
        let tiers = self.metering.limits.tiers(now);
        if Arc::ptr_eq(&tiers, &self.tiers) {
            return;
        }
        let before = std::mem::replace(&mut self.tiers, tiers);
        let changed = self.tiers.iter().zip(before.iter()).filter(|(now, before)| now != before);
        let changed: Vec<TierName> = changed.map(|(tier, _)| tier.tier).collect();
        if !changed.is_empty() {
            self.metering.look_at(&changed);
        }
    }

    /// Takes back what was granted until that instant, so that it is free again.
    fn end_leases(&mut self, by: Timestamp) {
        let metering = &self.metering;
        self.paces.retain(|_, pace| !pace.is_over(by));
        self.leases.retain(|(account, _), lease| {
            let has_ended = lease.until <= by;
            if has_ended {
                metering.settle(*account, by);
            }
            // What was granted to an account that is gone went with it.
            !(has_ended && metering.is_erased(*account))
        });
    }

    async fn erase(&mut self, Erasure { whose, permit }: Erasure) -> Result<(), Error> {
        let mut tx = self.store.begin(Access::Write).await?;
        let account = match whose {
            // The password was checked before: it may have been changed, or the session ended, since.
            Whose::Holder(principal) => crate::auth::held(&mut *tx, &principal).await?,
            Whose::Account(id) => tx.account(id).await?.ok_or(Error::no_account())?,
        };
        let left = permit(&account)?;
        tx.erase_account(account.id).await?;
        tx.keep_tombstone(&left).await?;
        // Where nobody else could know of it, not even its id is left.
        if self.store.is_shared() || self.metering.versions.is_shared() {
            tx.note_change(account.id, self.replica, self.clock.now()).await?;
        }
        tx.commit().await?;
        self.forget(account.id);
        self.sharing.account_changed(account.id);
        self.leases.retain(|(owner, _), _| *owner != account.id);
        if let Err(error) = self.store.scrub().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what was erased may still be in the storage's log"
            );
        }
        Ok(())
    }

    /// Forgets an account that is gone for good: what a meter still records of it is dropped.
    pub(super) fn forget(&self, account: AccountId) {
        self.metering.erase(account);
        self.directory.forget(account);
    }

    async fn write(&mut self, mut group: Group) -> Result<(), Error> {
        if group.is_empty() {
            return Ok(());
        }
        let prepared = self.prepare(&mut group).await;
        let Group { entries, questions, pending } = group;
        let Prepared { tx, receipts, verdicts, mut written } = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "usage could not be written");
                self.metering.put_back(pending);
                refuse(entries, questions, &error);
                return Err(error);
            }
        };
        self.flushes += 1;
        written.pending = pending;
        let mut waiting = Vec::with_capacity(entries.len());
        for (Entry { report, reply, .. }, receipt) in entries.into_iter().zip(receipts) {
            if is_counted(&receipt) {
                written.reports.push(report);
            }
            waiting.push((reply, receipt));
        }
        let committed = self.commit(tx, written).await;
        // Whoever stopped waiting finds out by sending the report again.
        for (reply, receipt) in waiting {
            let _ = reply.send(committed.as_ref().map_err(each).and(receipt));
        }
        let verdicts = verdicts.into_iter().map(|verdict| committed.as_ref().map_err(each).and(verdict));
        questions.into_iter().zip(verdicts).for_each(|(question, verdict)| question.answer(verdict));
        committed
    }

    async fn commit(&mut self, tx: Box<dyn Tx>, written: Written) -> Result<(), Error> {
        let Err(error) = tx.commit().await else {
            self.keep(written);
            return Ok(());
        };
        tracing::warn!(error = &error as &dyn std::error::Error, "usage could not be committed");
        // The answer may be what was lost, and not the commit.
        self.doubt = Some(written);
        if self.resolve().await.is_ok_and(|is_durable| is_durable) { Ok(()) } else { Err(error.into()) }
    }

    /// Finds out what became of a commit that ended with an error, and does what follows from it. Says whether it took
    /// effect.
    async fn resolve(&mut self) -> Result<bool, Error> {
        let Some(written) = self.doubt.take() else { return Ok(true) };
        match written.is_durable(&*self.store, self.replica).await {
            Ok(true) => {
                self.keep(written);
                Ok(true)
            }
            Ok(false) => {
                written.take_back(&self.metering);
                Ok(false)
            }
            Err(error) => {
                self.doubt = Some(written);
                Err(error)
            }
        }
    }

    /// Does what follows from a transaction that took effect.
    fn keep(&mut self, mut written: Written) {
        self.paces.extend(written.decided.grants());
        for (key, lease) in std::mem::take(&mut written.settled) {
            match lease {
                Some(lease) => drop(self.leases.insert(key, lease)),
                None => drop(self.leases.remove(&key)),
            }
        }
        written.show(&self.metering, &self.sharing);
    }
}

/// Tells each of those who wait that nothing was done.
fn refuse(entries: Vec<Entry>, questions: Vec<Question>, error: &Error) {
    for entry in entries {
        let _ = entry.reply.send(Err(each(error)));
    }
    questions.into_iter().for_each(|question| question.answer(Err(each(error))));
}

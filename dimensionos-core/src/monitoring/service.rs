use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;

use crate::Error;
use crate::allocation::{Allocations, Resource};
use crate::context::{Caller, Context};
use crate::id::{AccessKeyId, AccountId};
use crate::monitoring::metering::by_account;
use crate::monitoring::report::{MAX_REPORT_SAMPLES, MAX_SAMPLE_AGE, MAX_SAMPLE_LEAD};
use crate::monitoring::sample::MAX_AMOUNT;
use crate::monitoring::slab::Pinned;
use crate::monitoring::summary::{UsagePeriod, UsagePoint, UsageSummary, point, summarise};
use crate::monitoring::watch::changes;
use crate::monitoring::{Meter, Metrics, Receipt, Report, Resolution, Sample, UsageTotals};
use crate::platform::{Inner, admitted, only};
use crate::policy::{Action, Target, allows};
use crate::store::Access;
use crate::time::Timestamp;
use crate::tos::Signals;
use crate::users::Entry;

/// Points of one history: two days by the minute are 2,880, a month by the hour 744, three years by the day 1,096.
pub const MAX_HISTORY_POINTS: i64 = 3_000;

/// Accounts of one report whose pasts are read from the storage together: an hour of minutes of each.
const ARRIVING_AT_ONCE: usize = 250;

/// Records what accounts use, and answers for it.
#[derive(Debug)]
pub struct Monitoring<'a>(pub(crate) &'a Inner);

impl Monitoring<'_> {
    /// The meter of an account, for a program that measures by itself.
    ///
    /// # Errors
    /// `Forbidden` for any caller but the program; `NotFound`.
    pub async fn meter(&self, context: &Context, account: AccountId) -> Result<Meter, Error> {
        let Self(inner) = self;
        allows(&context.caller, Action::Meter, Target::Service)?;
        let cell = inner.metering.cell(&*inner.store, account, inner.clock.now()).await?;
        Ok(Meter { cell, ledger: Arc::clone(&inner.ledger) })
    }

    /// Counts a sample of an account, for a program that measures by itself and keeps no [`Meter`] of it. As
    /// [`Meter::record`].
    ///
    /// # Errors
    /// `Forbidden` for any caller but the program; `NotFound`; `Store` where the account is not in memory and cannot be
    /// read.
    pub async fn record(&self, context: &Context, account: AccountId, sample: &Sample) -> Result<(), Error> {
        let Self(inner) = self;
        allows(&context.caller, Action::Meter, Target::Service)?;
        if !inner.metering.record(account, sample) {
            // Apart: whoever awaits this would carry the room for a transaction where the cell is in memory.
            Box::pin(self.meter(context, account)).await?.record(sample);
        }
        Ok(())
    }

    /// Counts samples of many accounts, for a program that measures by itself: seen at once, and durable within a
    /// second. Faster than as many meters where the accounts are more than the processor's caches hold, and the faster
    /// the more samples come together: hundreds are best. Samples dated ahead count as those of a [`Meter`] do.
    ///
    /// # Errors
    /// `Forbidden` for any caller but the program; `NotFound` where an account is not there, with the samples of all
    /// others counted; `Store` where an account is not in memory and cannot be read.
    pub async fn record_batch(&self, context: &Context, samples: &[(AccountId, Sample)]) -> Result<(), Error> {
        let Self(inner) = self;
        allows(&context.caller, Action::Meter, Target::Service)?;
        let absent = inner.metering.record_batch(samples);
        let mut counted = Ok(());
        for (account, sample) in absent.into_iter().map(|place| &samples[place]) {
            match self.meter(context, *account).await {
                Ok(meter) => meter.record(sample),
                Err(error) => counted = Err(error),
            }
        }
        counted
    }

    /// Lets accounts that nobody records to, asks about or follows leave memory once they have been idle for that long
    /// (two minutes at least), and says how many did. What is known of them is in the storage, and they come back with
    /// it when they are next asked for. A running platform does it by itself.
    ///
    /// # Errors
    /// `Internal` where the writer of usage has stopped.
    pub async fn evict_idle(&self, idle: Duration) -> Result<usize, Error> {
        self.0.ledger.evict(idle).await
    }

    /// Counts an agent's report and makes it durable, in the storage, or in a log of reports where there is one, from which
    /// it is counted a moment later. A sequence seen before is acknowledged and not counted again.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an agent; `InvalidInput` where a sample cannot be meant; `NotFound` where an
    /// account is not there; `Conflict`; `Busy`. Then nothing of the report was counted.
    pub async fn report(&self, context: &Context, report: Report) -> Result<Receipt, Error> {
        let Self(inner) = self;
        allows(&context.caller, Action::ReportUsage, Target::Service)?;
        let Caller::Agent(agent) = context.caller else { return Err(Error::Forbidden) };
        if report.sequence == 0 || report.sequence > MAX_AMOUNT {
            return Err(Error::invalid("sequence", "not a whole number from 1 to 2^53 - 1"));
        }
        if report.samples.len() > MAX_REPORT_SAMPLES {
            return Err(Error::invalid("samples", format!("more than {MAX_REPORT_SAMPLES}")));
        }
        let places = report.signals.iter().map(|(place, _)| *place);
        if !places.clone().is_sorted() || places.max().is_some_and(|last| last >= report.samples.len()) {
            return Err(Error::invalid("signals", "not in the order of the samples"));
        }
        let now = inner.clock.now();
        let (oldest, newest) = (now.before(MAX_SAMPLE_AGE), now.after(MAX_SAMPLE_LEAD));
        for (_, sample) in &report.samples {
            if sample.taken_at() < oldest {
                return Err(Error::invalid("at", "more than 31 days ago"));
            }
            if sample.taken_at() > newest {
                return Err(Error::invalid("at", "more than 5 minutes ahead"));
            }
        }
        match &inner.report_log {
            Some(log) => inner.log(&**log, agent, &report).await,
            None => self.count(agent, report, true).await,
        }
    }

    /// Counts a report that is in order, and makes it durable. Accounts that are not there are refused, or their samples
    /// dropped.
    pub(super) async fn count(&self, agent: AccessKeyId, report: Report, is_strict: bool) -> Result<Receipt, Error> {
        let Self(inner) = self;
        let now = inner.clock.now();
        // Here and not by the writer, whom all others wait for: it finds them in memory then.
        let absent = report.by_account().filter(|(account, _)| !inner.metering.is_resident(*account));
        let mut absent: Vec<AccountId> = absent.map(|(account, _)| account).collect();
        absent.sort_unstable();
        absent.dedup();
        for accounts in absent.chunks(ARRIVING_AT_ONCE) {
            let arrived = inner.metering.cells(&*inner.store, accounts, now).await?;
            if is_strict && arrived.len() < accounts.len() {
                return Err(Error::no_account());
            }
        }
        inner.ledger.report(agent, report).await
    }

    /// Shows the detectors of abuse what a program counted of an account since it last did: connections, packets, files
    /// and messages, and never which. For a program that meters by itself; agents report such counts with their samples.
    ///
    /// # Errors
    /// `Forbidden` for any caller but the program; `NotFound`; `InvalidInput` for what was counted more than five minutes
    /// ahead. What was counted more than a quarter of an hour ago is passed over.
    pub async fn show(
        &self,
        context: &Context,
        account: AccountId,
        at: Timestamp,
        signals: &Signals,
    ) -> Result<(), Error> {
        let Self(inner) = self;
        inner.admit(&context.caller, Action::Meter, account).await?;
        let now = inner.clock.now();
        if at > now.after(MAX_SAMPLE_LEAD) {
            return Err(Error::invalid("at", "more than 5 minutes ahead"));
        }
        // In memory from here on, for detectors are fed with what is.
        let _held = inner.metering.cell(&*inner.store, account, now).await?;
        inner.metering.watch_signals(account, at, signals, now);
        Ok(())
    }

    /// What an account uses at this instant.
    ///
    /// # Errors
    /// `NotFound` where there is none, or it is not the caller's; `ServiceSuspended`, `ServiceCancelled`.
    pub async fn metrics(&self, context: &Context, account: AccountId) -> Result<Metrics, Error> {
        let cell = self.cell(context, account, Action::SeeUsage).await?;
        Ok(self.0.metering.metrics(cell.cell(), self.0.clock.now()))
    }

    /// The same of several accounts, none of them twice, each by itself, in the order asked.
    ///
    /// # Errors
    /// Where the storage fails; and of each account as [`metrics`](Self::metrics).
    pub async fn metrics_of_each(
        &self,
        context: &Context,
        accounts: &[AccountId],
    ) -> Result<Vec<Result<Metrics, Error>>, Error> {
        let Self(inner) = self;
        let entries = inner.admit_each(&context.caller, Action::SeeUsage, accounts).await?;
        let now = inner.clock.now();
        let admitted = admitted(&entries);
        let cells = inner.metering.cells(&*inner.store, &admitted, now).await?;
        let followed: Vec<AccountId> = admitted.into_iter().filter(|account| inner.sharing.follow(*account)).collect();
        if !followed.is_empty() {
            inner.catch_up(&followed).await?;
        }
        let metrics = |entry: Result<Arc<Entry>, Error>| {
            let cell = cells.get(&entry?.account.id).ok_or(Error::no_account())?;
            Ok(inner.metering.metrics(cell.cell(), now))
        };
        Ok(entries.into_iter().map(metrics).collect())
    }

    /// What an account used in the present hour, day or month. What a meter of this program recorded in the last
    /// second may be missing.
    ///
    /// # Errors
    /// As [`metrics`](Self::metrics).
    pub async fn usage(
        &self,
        context: &Context,
        account: AccountId,
        period: UsagePeriod,
    ) -> Result<UsageSummary, Error> {
        only(self.usage_of_each(context, &[account], period).await?)
    }

    /// The same of several accounts, none of them twice, each by itself, in the order asked.
    ///
    /// # Errors
    /// Where the storage fails; and of each account as [`metrics`](Self::metrics).
    pub async fn usage_of_each(
        &self,
        context: &Context,
        accounts: &[AccountId],
        period: UsagePeriod,
    ) -> Result<Vec<Result<UsageSummary, Error>>, Error> {
        let Self(inner) = self;
        let entries = inner.admit_each(&context.caller, Action::SeeUsage, accounts).await?;
        let admitted = admitted(&entries);
        if admitted.is_empty() {
            return Ok(entries.into_iter().map(|entry| Err(entry.err().unwrap_or(Error::no_account()))).collect());
        }
        let allocations = Allocations(inner);
        let own = allocations.own_limits(&entries).await?;
        let now = inner.clock.now();
        // What sources measured ahead of this clock is counted, but not into the next period.
        let end = now.after(MAX_SAMPLE_LEAD).min(period.end(now));
        let mut tx = inner.store.begin(Access::Read).await?;
        let totals = tx.usage_totals(&admitted, period.resolution(), (period.start(now), end)).await?;
        let totals: HashMap<AccountId, UsageTotals> = totals.into_iter().collect();
        let summary = |entry: Result<Arc<Entry>, Error>| {
            let account = &entry?.account;
            let totals = totals.get(&account.id).copied().unwrap_or_default();
            Ok(summarise(period, now, &totals, &allocations.allotted(account, &own)))
        };
        Ok(entries.into_iter().map(summary).collect())
    }

    /// What an account used of one resource, bucket by bucket, oldest first; buckets in which nobody measured are left
    /// out.
    ///
    /// # Errors
    /// As [`metrics`](Self::metrics); `InvalidInput` where the range is empty or has more than
    /// [`MAX_HISTORY_POINTS`] buckets.
    pub async fn history(
        &self,
        context: &Context,
        account: AccountId,
        resource: Resource,
        range: (Timestamp, Option<Timestamp>),
        resolution: Resolution,
    ) -> Result<Vec<UsagePoint>, Error> {
        only(self.history_of_each(context, &[account], resource, range, resolution).await?)
    }

    /// The same of several accounts, none of them twice, each by itself, in the order asked.
    ///
    /// # Errors
    /// `InvalidInput` for the range; where the storage fails; and of each account as [`metrics`](Self::metrics).
    pub async fn history_of_each(
        &self,
        context: &Context,
        accounts: &[AccountId],
        resource: Resource,
        range: (Timestamp, Option<Timestamp>),
        resolution: Resolution,
    ) -> Result<Vec<Result<Vec<UsagePoint>, Error>>, Error> {
        let Self(inner) = self;
        let entries = inner.admit_each(&context.caller, Action::SeeUsage, accounts).await?;
        let admitted = admitted(&entries);
        if admitted.is_empty() {
            return Ok(entries.into_iter().map(|entry| Err(entry.err().unwrap_or(Error::no_account()))).collect());
        }
        let (from, to) = (range.0, range.1.unwrap_or_else(|| inner.clock.now()));
        if from >= to {
            return Err(Error::invalid("to", "not after from"));
        }
        let from = from.floor(resolution.seconds());
        if (to.as_seconds() - from.as_seconds()) / resolution.seconds() > MAX_HISTORY_POINTS {
            return Err(Error::invalid(
                "from",
                format!("more than {MAX_HISTORY_POINTS} points; take a coarser resolution"),
            ));
        }
        let mut tx = inner.store.begin(Access::Read).await?;
        let buckets = tx.usage_of_each(&admitted, Some(resource), resolution, (from, to)).await?;
        let points = buckets
            .into_iter()
            .filter_map(|(account, bucket, rollup)| Some((account, point(resource, resolution, bucket, &rollup)?)));
        let mut points = by_account(points);
        Ok(entries.into_iter().map(|entry| Ok(points.remove(&entry?.account.id).unwrap_or_default())).collect())
    }

    /// Follows what an account uses: its figures now, and then on change, at most once an interval. Whoever reads
    /// slowly gets the newest, never a backlog.
    ///
    /// # Errors
    /// As [`metrics`](Self::metrics).
    pub async fn watch(
        &self,
        context: &Context,
        account: AccountId,
        interval: Duration,
    ) -> Result<impl Stream<Item = Metrics> + Send + use<>, Error> {
        let cell = self.cell(context, account, Action::WatchUsage).await?;
        let Self(inner) = self;
        Ok(changes(Arc::clone(&inner.metering), cell, Arc::clone(&inner.clock), interval))
    }

    /// Makes durable everything that meters recorded so far.
    ///
    /// # Errors
    /// Where the storage fails; nothing is lost, and the next flush writes it.
    pub async fn flush(&self) -> Result<(), Error> {
        self.0.ledger.flush().await
    }

    /// How many accounts are held in memory for metering.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.0.metering.len()
    }

    async fn cell(&self, context: &Context, account: AccountId, action: Action) -> Result<Pinned, Error> {
        let Self(inner) = self;
        inner.admit(&context.caller, action, account).await?;
        inner.present_cell(account).await
    }
}

//! The cells of all accounts in memory.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use dashmap::{DashMap, DashSet};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::Error;
use crate::allocation::{Limits, OwnLimits, TierName};
use crate::id::{AccountId, FastHash};
use crate::monitoring::cell::{Aside, Locked, MonthBytes, Parts, Past, Snapshot, Told, WINDOW_PAST};
use crate::monitoring::crossing;
use crate::monitoring::index::Index;
use crate::monitoring::pending::Pending;
use crate::monitoring::reading::Metrics;
use crate::monitoring::rollup::{Bucket, Resolution, Rollup};
use crate::monitoring::slab::{Pinned, Slab, Slot};
use crate::monitoring::versions::Versions;
use crate::monitoring::watch::Watchers;
use crate::store::{Access, Store};
use crate::time::{Clock, Month, Timestamp};
use crate::tos::sentinel::Sentinel;
use crate::users::{Account, AccountEvent, Events};

/// Cells that are looked through under one hold of the index.
const SWEEP: u32 = 1_024;
/// The least time an account has to be idle before it may leave memory: by then the window of queries is empty, which the
/// store's minutes could not tell again.
const MIN_IDLE: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(crate) struct Metering {
    clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) events: Arc<Events>,
    /// The detectors of abuse.
    pub(crate) sentinel: Sentinel,
    /// Cells above a part of a limit, which may get below it by time alone.
    above: Mutex<HashSet<Slot>>,
    pub(super) slab: Arc<Slab>,
    pub(super) index: Index,
    /// Accounts whose past is being read: whoever comes second waits for the first one's reading.
    arriving: DashMap<AccountId, Arc<OnceCell<Pinned>>>,
    /// What waits for the next flush beside the cells: minutes that gave way to others, and what could not be written.
    aside: Mutex<HashMap<AccountId, Pending>>,
    /// What was sent and received in other months than the cells'.
    months: Mutex<HashMap<(AccountId, Month), MonthBytes>>,
    pub(super) watchers: Watchers,
    pub(super) versions: Versions,
    /// Accounts that were erased while this process runs: what a meter still records of them is dropped.
    erased: DashSet<AccountId, FastHash>,
}

/// The registry, for one cell under its lock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside<'a> {
    pub(super) metering: &'a Metering,
    pub(super) slot: Slot,
}

impl Aside for Beside<'_> {
    #[cold]
    fn now(self) -> Timestamp {
        self.metering.clock.now()
    }

    #[cold]
    fn mark(self) {
        self.metering.slab.mark(self.slot);
    }

    #[cold]
    fn put(self, account: AccountId, minute: Bucket, rollup: &Rollup) {
        self.metering.aside.lock().entry(account).or_default().add(minute, rollup);
    }

    #[cold]
    fn month(self, account: AccountId, month: Month, bytes: MonthBytes) {
        let mut months = self.metering.months.lock();
        let known = months.entry((account, month)).or_default();
        for (known, more) in known.iter_mut().zip(bytes) {
            *known = crate::monitoring::cell::sum(*known, more);
        }
    }
}

impl Metering {
    pub(crate) fn new(limits: Limits, clock: Arc<dyn Clock>, sentinel: Sentinel, is_shared: bool) -> Self {
        Self {
            clock,
            limits,
            events: Arc::default(),
            sentinel,
            above: Mutex::default(),
            slab: Arc::default(),
            index: Index::default(),
            arriving: DashMap::new(),
            aside: Mutex::default(),
            months: Mutex::default(),
            watchers: Watchers::default(),
            versions: Versions::new(is_shared),
            erased: DashSet::default(),
        }
    }

    /// The cell of an account, resumed from the store where it is not in memory; `NotFound` where there is no account.
    pub(crate) async fn cell(&self, store: &dyn Store, account: AccountId, now: Timestamp) -> Result<Pinned, Error> {
        if let Some(pinned) = self.resident(account) {
            return Ok(pinned);
        }
        // Apart: whoever awaits this would carry the room for a transaction where the cell is in memory.
        Box::pin(self.arrive(store, account, now)).await
    }

    async fn arrive(&self, store: &dyn Store, account: AccountId, now: Timestamp) -> Result<Pinned, Error> {
        let arriving = Arc::clone(&self.arriving.entry(account).or_default());
        let resumed = arriving.get_or_try_init(|| async {
            if let Some(pinned) = self.resident(account) {
                return Ok(pinned);
            }
            let (past, detectors) = past(store, account, now).await?;
            let admitted = self.admit(account, &past, now)?;
            self.sentinel.resume(account, detectors.as_deref());
            Ok(admitted)
        });
        let resumed = resumed.await.cloned();
        self.arriving.remove_if(&account, |_, known| Arc::ptr_eq(known, &arriving));
        resumed
    }

    /// The cells of several accounts, with the pasts read together of those that are not in memory; those that are not
    /// there are left out.
    pub(super) async fn cells(
        &self,
        store: &dyn Store,
        accounts: &[AccountId],
        now: Timestamp,
    ) -> Result<HashMap<AccountId, Pinned>, Error> {
        let mut cells = HashMap::with_capacity(accounts.len());
        cells.extend(accounts.iter().filter_map(|account| Some((*account, self.resident(*account)?))));
        let absent: Vec<AccountId> = accounts.iter().copied().filter(|account| !cells.contains_key(account)).collect();
        if !absent.is_empty() {
            for (account, past, detectors) in pasts(store, &absent, now).await? {
                cells.insert(account, self.admit(account, &past, now)?);
                self.sentinel.resume(account, detectors.as_deref());
            }
        }
        Ok(cells)
    }

    /// The cell of an account that is in memory.
    pub(super) fn resident(&self, account: AccountId) -> Option<Pinned> {
        // Under the lock nothing is given to another account.
        let _changing = self.index.lock();
        let slot = self.find(account)?;
        Pinned::new(&self.slab, slot)
    }

    /// Whether an account is in memory, and so is there.
    pub(crate) fn is_resident(&self, account: AccountId) -> bool {
        self.find(account).is_some()
    }

    fn find(&self, account: AccountId) -> Option<Slot> {
        self.index.candidates(account).find(|slot| self.owner(*slot) == account)
    }

    fn owner(&self, slot: Slot) -> AccountId {
        self.slab.parts(slot).map_or(AccountId::NOBODY, Parts::account)
    }

    fn admit(&self, account: AccountId, past: &Past, now: Timestamp) -> Result<Pinned, Error> {
        const FULL: Error = Error::Internal { what: "there is no room in memory for another account" };
        let mut changing = self.index.lock();
        if let Some(slot) = self.find(account) {
            return Pinned::new(&self.slab, slot).ok_or(FULL);
        }
        let slot = self.slab.take().map_err(|_| FULL)?;
        let pinned = Pinned::new(&self.slab, slot).ok_or(FULL)?;
        self.limits.keep(account, past.own.clone());
        let locked = pinned.write();
        locked.resume(account, past, now, self.beside(slot));
        locked.set_limits(past.tier, !past.own.is_empty());
        // What was passed before has been told.
        self.look(&locked, slot, now, |_| {});
        drop(locked);
        changing.insert(account, slot, |slot| self.owner(slot));
        self.versions.know(account, past.version);
        Ok(pinned)
    }

    pub(super) const fn beside(&self, slot: Slot) -> Beside<'_> {
        Beside { metering: self, slot }
    }

    #[inline]
    pub(super) fn tell(&self, slot: Slot, told: Told) {
        if told == Told::Watchers {
            self.watchers.tell(slot);
        }
    }

    /// What an account uses as of an instant.
    pub(super) fn metrics(&self, cell: Parts<'_>, now: Timestamp) -> Metrics {
        let month = (cell.account(), Month::of(now));
        let aside = self.months.lock().get(&month).copied().unwrap_or_default();
        cell.metrics(now, aside)
    }

    /// Forgets an account that has been erased, for good.
    pub(crate) fn erase(&self, account: AccountId) {
        self.erased.insert(account);
        self.sentinel.forget(account);
        self.aside.lock().remove(&account);
        self.months.lock().retain(|(owner, _), _| *owner != account);
        self.versions.forget(account);
        let mut changing = self.index.lock();
        if let Some(slot) = self.find(account)
            && let Some(parts) = self.slab.parts(slot)
        {
            changing.remove(account, slot, |slot| self.owner(slot));
            self.above.lock().remove(&slot);
            let locked = parts.write();
            locked.erase();
            self.leave(slot, &locked);
        }
    }

    pub(crate) fn is_erased(&self, account: AccountId) -> bool {
        self.erased.contains(&account)
    }

    /// Gives back the slot of a cell that is no longer in the index, once nobody has a handle to it.
    fn leave(&self, slot: Slot, locked: &Locked<'_>) {
        if self.slab.pins(slot) == 0 {
            locked.clear();
            self.slab.give_back(slot);
        }
    }

    /// Lets accounts that nobody recorded to, asked about or follows since `before` leave memory, and says how many did.
    /// The store has everything of them. Called by the writer alone, between two flushes.
    pub(super) async fn evict(&self, now: Timestamp, idle: Duration) -> usize {
        let before = now.before(idle.max(MIN_IDLE));
        let (mut gone, mut slot) = (0, 0);
        while slot < self.slab.used() {
            let end = (slot + SWEEP).min(self.slab.used());
            gone += (slot..end).filter(|slot| self.evict_one(*slot, before)).count();
            slot = end;
            // Others have their turn: a million cells take some tens of milliseconds.
            tokio::task::yield_now().await;
        }
        self.months.lock().retain(|(_, month), _| *month >= Month::of(now));
        gone
    }

    fn evict_one(&self, slot: Slot, before: Timestamp) -> bool {
        let Some(parts) = self.slab.parts(slot) else { return false };
        if parts.is_in_use(before) {
            return false;
        }
        let mut changing = self.index.lock();
        if self.slab.pins(slot) > 0 {
            return false;
        }
        let locked = parts.write();
        if locked.is_orphan() {
            self.leave(slot, &locked);
            return false;
        }
        if !locked.is_idle(before) {
            return false;
        }
        let account = locked.account();
        changing.remove(account, slot, |slot| self.owner(slot));
        self.leave(slot, &locked);
        drop(locked);
        self.sentinel.leave(account);
        self.versions.forget(account);
        true
    }

    /// What waits to be made durable, from that slot on: of some `enough` accounts, and where to go on.
    pub(super) fn take_pending(
        &self,
        from: Slot,
        enough: usize,
        now: Timestamp,
    ) -> (Vec<(AccountId, Pending)>, Option<Slot>) {
        let mut taken = Vec::new();
        let next = self.slab.take_waiting(from, enough, |slot| {
            if let Some(parts) = self.slab.parts(slot) {
                let locked = parts.write();
                taken.extend(self.take(&locked, slot, now).map(|pending| (locked.account(), pending)));
            }
        });
        if next.is_none() {
            // Last: what gave way to another minute while the cells were gone through is in it.
            taken.extend(std::mem::take(&mut *self.aside.lock()));
        }
        (taken, next)
    }

    /// What waits to be made durable of one account, and its quotas at that moment.
    pub(super) fn take_of(&self, cell: &Pinned, now: Timestamp) -> (Option<Pending>, Snapshot) {
        let locked = cell.write();
        (self.take(&locked, cell.slot(), now), locked.snapshot(now))
    }

    fn take(&self, locked: &Locked<'_>, slot: Slot, now: Timestamp) -> Option<Pending> {
        locked.end_leases(now);
        let account = locked.account();
        self.look(locked, slot, now, |event| self.events.tell(account, event));
        let mut pending = locked.take_pending(self.beside(slot))?;
        // What gave way to it is written with it: what was used of a lease leaves the lease and becomes usage at once.
        if let Some(aside) = self.aside.lock().remove(&locked.account()) {
            pending.merge(&aside);
        }
        Some(pending)
    }

    fn look(&self, locked: &Locked<'_>, slot: Slot, now: Timestamp, tell: impl FnMut(AccountEvent)) {
        let was_above = locked.crossed() != 0;
        crossing::look(locked, &self.limits, now, tell);
        let is_above = locked.crossed() != 0;
        match (was_above, is_above) {
            (false, true) => drop(self.above.lock().insert(slot)),
            (true, false) => drop(self.above.lock().remove(&slot)),
            _ => {}
        }
    }

    /// Looks whether what is above a part of its limit has got below it by time alone.
    pub(super) fn look_again(&self, now: Timestamp) {
        let above: Vec<Slot> = self.above.lock().iter().copied().collect();
        for slot in above {
            if let Some(parts) = self.slab.parts(slot) {
                let locked = parts.write();
                let account = locked.account();
                self.look(&locked, slot, now, |event| self.events.tell(account, event));
            }
        }
    }

    /// Has the next flush look whether what accounts of some tiers use is past their limits.
    pub(super) fn look_at(&self, tiers: &[TierName]) {
        for slot in 0..self.slab.used() {
            if let Some(parts) = self.slab.parts(slot) {
                let locked = parts.write();
                if locked.is_live() && tiers.contains(&locked.limits().0) {
                    locked.wait(self.beside(slot));
                }
            }
        }
    }

    /// Notes that limits of its own are in force for an account, and has the next flush look whether they are passed.
    pub(crate) fn set_limits(&self, cell: &Pinned, tier: TierName) {
        let locked = cell.write();
        locked.set_limits(tier, true);
        locked.wait(self.beside(cell.slot()));
    }

    /// Has the next flush look at what was granted of an account's quotas.
    pub(super) fn settle(&self, account: AccountId, by: Timestamp) {
        self.with(account, |locked, slot| {
            locked.end_leases(by);
            locked.begin_recording(self.beside(slot));
        });
    }

    /// Puts back what could not be made durable.
    pub(super) fn put_back(&self, pending: Vec<(AccountId, Pending)>) {
        for (account, pending) in pending {
            self.aside.lock().entry(account).or_default().merge(&pending);
            // What waits is not evicted.
            self.with(account, |locked, slot| locked.begin_recording(self.beside(slot)));
        }
    }

    /// Does something to an account's cell, where it is in memory.
    pub(super) fn with<T>(&self, account: AccountId, act: impl FnOnce(&Locked<'_>, Slot) -> T) -> Option<T> {
        let (slot, parts): (Slot, Parts<'_>) = self.index.candidates(account).find_map(|slot| {
            let parts = self.slab.parts(slot)?;
            (parts.account() == account).then_some((slot, parts))
        })?;
        let locked = parts.write();
        locked.is_of(account).then(|| act(&locked, slot))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What was recorded of an account and waits for the next flush beside its cell.
    pub(super) fn waiting(&self, account: AccountId) -> Option<Pending> {
        self.aside.lock().get(&account).cloned()
    }

    /// The accounts that somebody follows or listens to.
    pub(crate) fn watched(&self) -> HashSet<AccountId> {
        let mut watched: HashSet<AccountId> = self.watchers.slots().into_iter().map(|slot| self.owner(slot)).collect();
        watched.extend(self.events.listened());
        watched
    }

    /// How many accounts are in memory.
    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// For a clock that was set back: see [`super::window::Window::set_back`].
    pub(super) fn set_back(&self, now: Timestamp) {
        for slot in 0..self.slab.used() {
            if let Some(parts) = self.slab.parts(slot) {
                parts.write().set_back(now, self.beside(slot));
            }
        }
    }
}

/// What a store knows of an account's recent past, and the state of its detectors.
async fn past(store: &dyn Store, account: AccountId, now: Timestamp) -> Result<(Past, Option<Vec<u8>>), Error> {
    let known = pasts(store, &[account], now).await?.pop();
    known.map(|(_, past, detectors)| (past, detectors)).ok_or(Error::no_account())
}

/// The same of several accounts, with those left out that are not there.
pub(super) async fn pasts(
    store: &dyn Store,
    accounts: &[AccountId],
    now: Timestamp,
) -> Result<Vec<(AccountId, Past, Option<Vec<u8>>)>, Error> {
    // Samples may be a little ahead of this clock, and are part of the past all the same.
    let end = now.after(crate::monitoring::MAX_SAMPLE_LEAD).after(Duration::from_millis(1));
    let mut tx = store.begin(Access::Read).await?;
    let rows = tx.accounts(accounts).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut detectors: HashMap<_, _> = tx.detectors_of(accounts).await?.into_iter().collect();
    let mut own = by_account(tx.overrides_of(accounts).await?);
    let readings: HashMap<_, _> = tx.readings_of(accounts).await?.into_iter().collect();
    let versions: HashMap<_, _> = tx.usage_versions(accounts).await?.into_iter().collect();
    let (hour, month) = ((now.before(WINDOW_PAST), end), (now.start_of_month(), end));
    let bucket = |(account, bucket, rollup)| (account, (bucket, rollup));
    let minutes = tx.usage_of_each(accounts, None, Resolution::Minute, hour).await?;
    let mut minutes = by_account(minutes.into_iter().map(bucket));
    let days = tx.usage_of_each(accounts, None, Resolution::Day, month).await?;
    let mut days = by_account(days.into_iter().map(bucket));
    let past = |row: &Account| {
        let past = Past {
            tier: row.tier,
            own: OwnLimits::of(row, own.remove(&row.id).unwrap_or_default()),
            readings: readings.get(&row.id).copied().unwrap_or_default(),
            minutes: minutes.remove(&row.id).unwrap_or_default(),
            days: days.remove(&row.id).unwrap_or_default(),
            version: versions.get(&row.id).copied().unwrap_or_default(),
        };
        (row.id, past, detectors.remove(&row.id))
    };
    Ok(rows.iter().map(past).collect())
}

/// What belongs to each account, in the order it comes in.
pub(super) fn by_account<T>(rows: impl IntoIterator<Item = (AccountId, T)>) -> HashMap<AccountId, Vec<T>> {
    let mut each: HashMap<AccountId, Vec<T>> = HashMap::new();
    for (account, row) in rows {
        each.entry(account).or_default().push(row);
    }
    each
}

#[cfg(all(test, not(dimensionos_loom)))]
#[path = "meeting.rs"]
mod meeting;

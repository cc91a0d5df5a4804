//! Taking up what others changed: from the bus at once, and from the database whatever the bus may lose.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::time::{Instant, MissedTickBehavior};

use crate::Error;
use crate::id::AccountId;
use crate::monitoring::slab::Pinned;
use crate::platform::Inner;
use crate::replicas::message::Message;
use crate::replicas::{CHANGE_RETENTION, ChangeMark, Delivery};
use crate::store::{Access, StoreError};

/// How often the database is asked which accounts were changed.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(1);

impl Inner {
    /// Takes up that an account was changed by another process.
    fn changed_elsewhere(&self, account: AccountId) {
        self.directory.forget(account);
        // Its limits may be others now, and it may be gone.
        self.metering.distrust(account);
        self.sharing.note_changed(account);
    }

    fn take(&self, message: Message) {
        match message {
            Message::Changed(accounts) => accounts.into_iter().for_each(|account| self.changed_elsewhere(account)),
            Message::Hello => self.sharing.tell_followed(),
            Message::Follows(replica, round, accounts) if replica != self.sharing.replica => {
                self.sharing.peers_known().hear(replica, round, accounts);
            }
            Message::Counted(deltas) => {
                let now = self.clock.now();
                deltas.iter().for_each(|delta| self.metering.take_delta(delta, now));
            }
            Message::Happened(account, event) => self.metering.events.tell(account, event),
            // Its own; and tiers, which have to be read.
            Message::Follows(..) | Message::Tiers => {}
        }
    }
}

/// Takes up what others tell from now on, for as long as the platform is there.
pub(crate) async fn listen(inner: &Arc<Inner>) {
    let heard = inner.sharing.bus().subscribe(&inner.sharing.topics()).await;
    begin(inner);
    tokio::spawn(take_up(Arc::downgrade(inner), heard));
}

async fn take_up(platform: Weak<Inner>, mut heard: BoxStream<'static, Delivery>) {
    while let Some(delivery) = heard.next().await {
        let Some(inner) = platform.upgrade() else { return };
        match delivery {
            // Of another version of the program, which is learnt of from the database.
            Delivery::Message(bytes) => match Message::decode(&bytes) {
                Some(Message::Tiers) => reread_tiers(inner),
                Some(message) => inner.take(message),
                None => {}
            },
            Delivery::Gap => begin(&inner),
        }
    }
}

/// What is not known may have been told: everything is asked for.
fn begin(inner: &Inner) {
    inner.sharing.tell_everybody(&Message::Hello);
    inner.sharing.tell_followed();
    inner.sharing.lost.notify_one();
}

/// Apart: what else is told does not wait for the storage.
fn reread_tiers(inner: Arc<Inner>) {
    tokio::spawn(async move {
        if let Err(error) = inner.metering.limits.reread(&*inner.store).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the versions of the tiers are read in a while");
        }
    });
}

/// Asks the database which accounts others changed, again and again, for as long as the platform is there.
pub(crate) async fn reconcile(platform: Weak<Inner>, mut mark: ChangeMark) {
    let Some(lost) = platform.upgrade().map(|inner| Arc::clone(&inner.sharing.lost)) else { return };
    // It begins after a while: what a command opens and leaves again has nothing to take up.
    let mut ticks = tokio::time::interval_at(Instant::now() + RECONCILE_INTERVAL, RECONCILE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = HashSet::new();
    let mut is_failing = false;
    loop {
        tokio::select! { _ = ticks.tick() => {}, () = lost.notified() => {} }
        let Some(inner) = platform.upgrade() else { return };
        match look(&inner, mark, &mut known).await {
            Ok(next) => {
                mark = next;
                is_failing = false;
            }
            // Once for as long as it lasts.
            Err(error) if !std::mem::replace(&mut is_failing, true) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "changes by others cannot be asked for");
            }
            Err(_) => {}
        }
    }
}

async fn look(inner: &Inner, mark: ChangeMark, known: &mut HashSet<u64>) -> Result<ChangeMark, StoreError> {
    let asked_at = Instant::now();
    let (changes, next) = inner.store.begin(Access::Read).await?.changes_since(Some(mark)).await?;
    if !inner.sharing.trust.holds() {
        // It was not believed meanwhile; what was read then was read before what is known now.
        inner.directory.clear();
    }
    if inner.sharing.trust.age() > CHANGE_RETENTION / 2 {
        // Some of what was changed may have been forgotten.
        inner.metering.distrust_all();
    }
    let present: HashSet<u64> = changes.iter().map(|change| change.number).collect();
    for change in changes {
        if change.by != inner.sharing.replica && !known.contains(&change.number) {
            inner.changed_elsewhere(change.account);
        }
    }
    *known = present;
    inner.sharing.trust.renew(asked_at);
    Ok(next)
}

impl Inner {
    /// The cell of an account, with all that was counted of it, here and elsewhere.
    pub(crate) async fn present_cell(&self, account: AccountId) -> Result<Pinned, Error> {
        let cell = self.metering.cell(&*self.store, account, self.clock.now()).await?;
        if self.sharing.follow(account) {
            // Apart, as reading a cell is.
            Box::pin(self.catch_up(&[account])).await?;
        }
        Ok(cell)
    }

    /// Makes sure that all that was counted of accounts in memory is known here, and gives those that were behind.
    pub(crate) async fn catch_up(&self, accounts: &[AccountId]) -> Result<usize, Error> {
        let versions = self.store.begin(Access::Read).await?.usage_versions(accounts).await?;
        let behind = self.metering.behind(&versions);
        let count = behind.len();
        if count > 0 {
            self.ledger.renew(behind).await?;
        }
        Ok(count)
    }
}

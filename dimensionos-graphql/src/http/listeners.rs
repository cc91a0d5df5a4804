//! Those who listen for as long as they may: their tokens run out, their accounts are suspended, the server stops.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use dimensionos_core::{AccountId, Caller, Error, Platform};
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

/// How often it is asked whether each may still listen; the contract gives a second.
const RECHECK_INTERVAL: Duration = Duration::from_millis(500);

/// How long changes of accounts are gathered before it is looked whom they concern.
const TOGETHER: Duration = Duration::from_millis(10);

/// Everybody who listens. One task asks for all of them, which costs a look into memory each: a timer for each would
/// cost more than what they listen to.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Mutex<Enlisted>);

#[derive(Debug, Default)]
struct Enlisted {
    all: HashMap<u64, Arc<Listener>>,
    last: u64,
    is_watched: bool,
}

/// Why somebody may no longer listen.
#[derive(Debug)]
pub(super) enum Ended {
    /// The caller may not.
    Refused(Error),
    /// The server stops.
    Stopping,
}

#[derive(Debug)]
struct Listener {
    caller: Mutex<Caller>,
    ended: Mutex<Option<Ended>>,
    told: Notify,
}

/// One who listens, for as long as this is kept.
#[derive(Debug)]
pub(super) struct Listening {
    listeners: Arc<Listeners>,
    listener: Arc<Listener>,
    number: u64,
}

impl Listeners {
    /// Enlists a caller.
    pub(super) fn enlist(
        self: &Arc<Self>,
        platform: &Platform,
        stopping: &CancellationToken,
        caller: Caller,
    ) -> Listening {
        let listener = Arc::new(Listener { caller: Mutex::new(caller), ended: Mutex::default(), told: Notify::new() });
        let mut enlisted = self.0.lock();
        enlisted.last += 1;
        let number = enlisted.last;
        enlisted.all.insert(number, Arc::clone(&listener));
        if !std::mem::replace(&mut enlisted.is_watched, true) {
            tokio::spawn(Arc::clone(self).watch(platform.clone(), stopping.clone()));
        }
        drop(enlisted);
        Listening { listeners: Arc::clone(self), listener, number }
    }

    /// Asks for everybody, again and again, until nobody listens.
    async fn watch(self: Arc<Self>, platform: Platform, stopping: CancellationToken) {
        let mut looks = tokio::time::interval(RECHECK_INTERVAL);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut accounts = platform.changes();
        while let Some(listeners) = self.present() {
            tokio::select! {
                () = stopping.cancelled() => {
                    // Whoever comes from now on sees that for itself.
                    listeners.iter().for_each(|listener| listener.end(Ended::Stopping));
                    tokio::time::sleep(RECHECK_INTERVAL).await;
                }
                _ = looks.tick() => listeners.iter().for_each(|listener| listener.look(&platform)),
                first = accounts.recv() => {
                    let changed = all_changed(first, &mut accounts).await;
                    let is_concerned = |listener: &&Arc<Listener>| listener.is_concerned(changed.as_ref());
                    listeners.iter().filter(is_concerned).for_each(|listener| listener.look(&platform));
                }
            }
        }
    }

    fn present(&self) -> Option<Vec<Arc<Listener>>> {
        let mut enlisted = self.0.lock();
        if enlisted.all.is_empty() {
            enlisted.is_watched = false;
            enlisted.all.shrink_to_fit();
            return None;
        }
        Some(enlisted.all.values().cloned().collect())
    }
}

/// Which accounts were changed until now; absent where there were too many to be told of.
async fn all_changed(
    first: Result<AccountId, RecvError>,
    others: &mut broadcast::Receiver<AccountId>,
) -> Option<HashSet<AccountId>> {
    let mut changed = HashSet::from([first.ok()?]);
    // A moment, in which more of them come: everybody is gone through for all of them once.
    tokio::time::sleep(TOGETHER).await;
    loop {
        match others.try_recv() {
            Ok(account) => drop(changed.insert(account)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Some(changed),
            Err(TryRecvError::Lagged(_)) => return None,
        }
    }
}

impl Listener {
    /// Whether one of these accounts is the listener's.
    fn is_concerned(&self, changed: Option<&HashSet<AccountId>>) -> bool {
        match (&*self.caller.lock(), changed) {
            (Caller::Account(principal), Some(changed)) => changed.contains(&principal.account),
            (_, changed) => changed.is_none(),
        }
    }

    /// Asks whether one may still listen. What memory cannot say is asked for on its own, so that nobody waits for it.
    fn look(self: &Arc<Self>, platform: &Platform) {
        if self.ended.lock().is_some() {
            return;
        }
        let caller = self.caller.lock().clone();
        if let Some(checked) = platform.recheck_listener(&caller).now_or_never() {
            self.take(checked);
            return;
        }
        let (listener, platform) = (Arc::clone(self), platform.clone());
        tokio::spawn(async move {
            let checked = platform.recheck_listener(&caller).await;
            listener.take(checked);
        });
    }

    fn take(&self, checked: Result<(), Error>) {
        match checked {
            // The storage may be away for a moment; the next look decides.
            Ok(()) | Err(Error::Store(_)) => {}
            Err(error) => self.end(Ended::Refused(error)),
        }
    }

    fn end(&self, ended: Ended) {
        self.ended.lock().get_or_insert(ended);
        self.told.notify_one();
    }
}

impl Listening {
    /// Waits until the caller may no longer listen. Told once.
    pub(super) async fn ended(&self) -> Ended {
        loop {
            if let Some(ended) = self.listener.ended.lock().take() {
                return ended;
            }
            self.listener.told.notified().await;
        }
    }

    /// Another caller listens in this one's place.
    pub(super) fn replace(&self, caller: Caller) {
        *self.listener.caller.lock() = caller;
        *self.listener.ended.lock() = None;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.listeners.0.lock().all.remove(&self.number);
    }
}

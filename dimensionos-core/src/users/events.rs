//! What happens to an account, told to whoever listens.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use dashmap::DashMap;
use futures_util::Stream;
use tokio::sync::broadcast;

use crate::allocation::Resource;
use crate::id::{AccountId, ViolationId};
use crate::payment::{LapseStep, ServiceStatus, StatusReason};
use crate::time::Timestamp;

/// Events that wait for a slow listener; the oldest beyond them are dropped, for the newest say how things stand.
const BACKLOG: usize = 64;

/// Something that happened to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccountEvent {
    /// What the account may do has changed.
    StatusChanged {
        /// What it was.
        from: ServiceStatus,
        /// What it is.
        to: ServiceStatus,
        /// Why.
        reason: StatusReason,
        /// Since when.
        at: Timestamp,
    },
    /// The use of a resource has passed a part of its limit: once on the way up and once on the way down.
    QuotaCrossed {
        /// Of what.
        resource: Resource,
        /// Which part of the limit: 80 or 100 percent.
        percent: u8,
        /// Whether it is at or above that part now.
        is_above: bool,
        /// When it was noticed.
        at: Timestamp,
    },
    /// A step is ahead that takes something from the account, unless somebody does something. Once seven, three and one
    /// days before.
    StepAhead {
        /// Which.
        step: LapseStep,
        /// Why.
        reason: StatusReason,
        /// When.
        at: Timestamp,
        /// How many days before.
        days: u8,
    },
    /// Something was found against the account.
    ViolationRaised {
        /// What.
        violation: ViolationId,
    },
}

/// Who listens to which account.
#[derive(Debug, Default)]
pub(crate) struct Events {
    listeners: DashMap<AccountId, broadcast::Sender<AccountEvent>>,
}

impl Events {
    /// Tells whoever listens.
    pub(crate) fn tell(&self, account: AccountId, event: AccountEvent) {
        if let Some(listeners) = self.listeners.get(&account) {
            // Nobody left to hear it is no fault.
            let _ = listeners.send(event);
        }
    }

    /// The accounts that somebody listens to.
    pub(crate) fn listened(&self) -> Vec<AccountId> {
        self.listeners.iter().map(|listeners| *listeners.key()).collect()
    }

    /// Listens from now on.
    pub(crate) fn listen(self: &Arc<Self>, account: AccountId) -> Listener {
        let listeners = self.listeners.entry(account).or_insert_with(|| broadcast::channel(BACKLOG).0);
        let receiver = listeners.subscribe();
        drop(listeners);
        let events = Box::pin(futures_util::stream::unfold(receiver, |mut receiver| async move {
            loop {
                match receiver.recv().await {
                    Ok(event) => return Some((event, receiver)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        }));
        Listener { hub: Arc::clone(self), account, events: Some(events) }
    }
}

/// One listener's events.
pub(crate) struct Listener {
    hub: Arc<Events>,
    account: AccountId,
    /// Absent once it is being dropped.
    events: Option<Pin<Box<dyn Stream<Item = AccountEvent> + Send>>>,
}

impl Stream for Listener {
    type Item = AccountEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<AccountEvent>> {
        self.events.as_mut().map_or(Poll::Ready(None), |events| events.as_mut().poll_next(context))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.events = None;
        self.hub.listeners.remove_if(&self.account, |_, listeners| listeners.receiver_count() == 0);
    }
}

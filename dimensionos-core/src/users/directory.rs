//! The accounts in use, in memory: what every operation checks its token against.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;

use crate::Error;
use crate::auth::Session;
use crate::id::{AccountId, SessionId};
use crate::replicas::Trust;
use crate::store::{Access, Store};
use crate::users::Account;

/// Accounts held at most: some 100 MB. When it is reached the directory starts over, which costs each account that is
/// still in use one read.
const MAX_ENTRIES: usize = 200_000;

/// An account and the sessions that are open on it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) account: Account,
    pub(crate) sessions: Vec<Session>,
}

impl Entry {
    pub(crate) fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.iter().find(|session| session.id == id)
    }
}

#[derive(Debug)]
pub(crate) struct Directory {
    entries: DashMap<AccountId, Arc<Entry>>,
    /// Whether what is known here may be believed: another process may have changed it.
    trust: Arc<Trust>,
    /// Counts changes, so that a read that began before one is not kept after it.
    changes: AtomicU64,
}

impl Directory {
    pub(crate) fn new(trust: Arc<Trust>) -> Self {
        Self { entries: DashMap::new(), trust, changes: AtomicU64::new(0) }
    }

    fn known(&self, id: AccountId) -> Option<Arc<Entry>> {
        let entry = self.entries.get(&id).map(|entry| Arc::clone(&entry));
        entry.filter(|_| self.trust.holds())
    }

    /// Whether an account was there when it was last looked at.
    pub(crate) fn has_heard_of(&self, id: AccountId) -> bool {
        self.entries.contains_key(&id)
    }

    /// The account and its sessions as last committed.
    pub(crate) async fn entry(&self, store: &dyn Store, id: AccountId) -> Result<Option<Arc<Entry>>, Error> {
        if let Some(entry) = self.known(id) {
            return Ok(Some(entry));
        }
        // Apart: whoever awaits this would carry the room for a transaction where memory has the answer.
        Box::pin(self.read(store, id)).await
    }

    async fn read(&self, store: &dyn Store, id: AccountId) -> Result<Option<Arc<Entry>>, Error> {
        let changes_before = self.changes.load(Ordering::Acquire);
        let mut tx = store.begin(Access::Read).await?;
        let Some(account) = tx.account(id).await? else { return Ok(None) };
        let sessions = tx.sessions(id).await?;
        drop(tx);
        let entry = Arc::new(Entry { account, sessions });
        self.keep(id, &entry, changes_before);
        Ok(Some(entry))
    }

    /// The same of several accounts, with those read together that are not in use; those that are not there are left out.
    pub(crate) async fn entries(
        &self,
        store: &dyn Store,
        ids: &[AccountId],
    ) -> Result<HashMap<AccountId, Arc<Entry>>, Error> {
        let mut known = HashMap::with_capacity(ids.len());
        known.extend(ids.iter().filter_map(|id| Some((*id, self.known(*id)?))));
        let absent: HashSet<AccountId> = ids.iter().copied().filter(|id| !known.contains_key(id)).collect();
        if absent.is_empty() {
            return Ok(known);
        }
        let absent: Vec<AccountId> = absent.into_iter().collect();
        let changes_before = self.changes.load(Ordering::Acquire);
        let mut tx = store.begin(Access::Read).await?;
        let accounts = tx.accounts(&absent).await?;
        let mut sessions: HashMap<AccountId, Vec<Session>> = HashMap::new();
        for session in tx.sessions_of(&absent).await? {
            sessions.entry(session.account).or_default().push(session);
        }
        drop(tx);
        for account in accounts {
            let id = account.id;
            let entry = Arc::new(Entry { account, sessions: sessions.remove(&id).unwrap_or_default() });
            self.keep(id, &entry, changes_before);
            known.insert(id, entry);
        }
        Ok(known)
    }

    /// Forgets what is known of an account. Call it after the commit that changed it, before anybody is told.
    pub(crate) fn forget(&self, id: AccountId) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.entries.remove(&id);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.entries.clear();
    }

    /// Shows a change of an account until it is forgotten, which the end of its commit does, whatever comes of it.
    pub(crate) fn show(&self, entry: Entry) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.entries.insert(entry.account.id, Arc::new(entry));
    }

    fn keep(&self, id: AccountId, entry: &Arc<Entry>, changes_before: u64) {
        if self.entries.len() >= MAX_ENTRIES {
            self.entries.clear();
        }
        // The shard's lock is taken first and the count compared under it: a `forget` either raised the count by then,
        // or will find the entry and remove it.
        let slot = self.entries.entry(id);
        if self.changes.load(Ordering::Acquire) == changes_before {
            // What was not believed is replaced.
            drop(slot.insert(Arc::clone(entry)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{HashCost, Password};
    use crate::context::Context;
    use crate::payment::ServiceStatus;
    use crate::users::{OperatorStatus, Registration};
    use crate::{MemoryStore, Platform};

    #[tokio::test]
    async fn a_change_shows_while_it_is_committed_and_only_what_is_stored_shows_after() {
        let store = MemoryStore::new();
        let builder = Platform::builder(store.clone()).hash_cost(HashCost::for_tests());
        let platform = builder.open().await.unwrap();
        let registration = Registration::new(None, Password::new("violet harbour kestrel 41").unwrap());
        let account = platform.users().register(&Context::anonymous(), registration).await.unwrap().account;
        let directory = Directory::new(Arc::new(Trust::new(None)));
        let is_suspended = async || {
            let entry = directory.entry(&store, account.id).await.unwrap().unwrap();
            entry.account.operator_status.is_some()
        };
        assert!(!is_suspended().await);
        let note = "report 17".parse().unwrap();
        let status = OperatorStatus { status: ServiceStatus::Suspended, since: account.created_at, note };
        let changed = Account { operator_status: Some(status), ..account.clone() };
        directory.show(Entry { account: changed, sessions: Vec::new() });
        assert!(is_suspended().await);
        directory.forget(account.id);
        assert!(!is_suspended().await);
    }
}

//! The accounts in use, in memory: what every operation checks its token against.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;

use crate::Error;
use crate::auth::Session;
use crate::id::{AccountId, SessionId};
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

#[derive(Debug, Default)]
pub(crate) struct Directory {
    entries: DashMap<AccountId, Arc<Entry>>,
    /// Counts changes, so that a read that began before one is not kept after it.
    changes: AtomicU64,
}

impl Directory {
    /// The account and its sessions as last committed.
    pub(crate) async fn entry(&self, store: &dyn Store, id: AccountId) -> Result<Option<Arc<Entry>>, Error> {
        if let Some(entry) = self.entries.get(&id) {
            return Ok(Some(Arc::clone(&entry)));
        }
        let changes_before = self.changes.load(Ordering::Acquire);
        let mut tx = store.begin(Access::Read).await?;
        let Some(account) = tx.account(id).await? else { return Ok(None) };
        let sessions = tx.sessions(id).await?;
        drop(tx);
        let entry = Arc::new(Entry { account, sessions });
        self.keep(id, &entry, changes_before);
        Ok(Some(entry))
    }

    /// Forgets what is known of an account. Call it after the commit that changed it, before anybody is told.
    pub(crate) fn forget(&self, id: AccountId) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.entries.remove(&id);
    }

    fn keep(&self, id: AccountId, entry: &Arc<Entry>, changes_before: u64) {
        if self.entries.len() >= MAX_ENTRIES {
            self.entries.clear();
        }
        // The shard's lock is taken first and the count compared under it: a `forget` either raised the count by then,
        // or will find the entry and remove it.
        let slot = self.entries.entry(id);
        if self.changes.load(Ordering::Acquire) == changes_before {
            slot.or_insert_with(|| Arc::clone(entry));
        }
    }
}

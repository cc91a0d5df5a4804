//! The job that writes down and announces what time did.

use crate::Error;
use crate::id::AccountId;
use crate::monitoring::ledger::{Erasure, Whose};
use crate::payment::Tombstone;
use crate::platform::Inner;
use crate::store::Access;
use crate::users::Account;

/// Accounts that are read at once. Each is written by itself: a lock on many would be in the way of those who report.
const BATCH: u64 = 64;

/// Tells what time did to accounts since the last run, and erases those whose time has come. Says of how many.
pub(crate) async fn follow_clock(inner: &Inner) -> Result<u64, Error> {
    let mut done = 0;
    loop {
        let due = inner.store.begin(Access::Read).await?.accounts_due(inner.clock.now(), BATCH).await?;
        let (before, mut fault) = (done, None);
        for id in &due {
            match follow(inner, *id).await {
                Ok(()) => done += 1,
                // One that cannot be done does not keep the others waiting.
                Err(error) => fault = Some(error),
            }
        }
        let is_last = (due.len() as u64) < BATCH || done == before;
        match fault {
            Some(error) if is_last => return Err(error),
            None if is_last => return Ok(done),
            _ => {}
        }
    }
}

async fn follow(inner: &Inner, id: AccountId) -> Result<(), Error> {
    let mut tx = inner.store.begin(Access::Write).await?;
    // Erased meanwhile.
    let Some(mut account) = tx.account(id).await? else { return Ok(()) };
    let now = inner.clock.now();
    if inner.lifecycle.is_gone(&account, now) {
        drop(tx);
        return erase(inner, id).await;
    }
    let events = inner.lifecycle.catch_up(&mut account, now);
    tx.update_account(&account).await?;
    inner.commit(tx, id).await?;
    inner.tell(id, events);
    Ok(())
}

/// Erases an account whose time has come, unless something was done about it meanwhile.
pub(crate) async fn erase(inner: &Inner, id: AccountId) -> Result<(), Error> {
    let (lifecycle, clock, secrets) = (inner.lifecycle.clone(), inner.clock.clone(), inner.secrets());
    let permit = Box::new(move |account: &Account| {
        let now = clock.now();
        let is_gone = lifecycle.is_gone(account, now);
        is_gone.then(|| Tombstone::of(&account.anonymous_id, &secrets.keys, now)).ok_or(Error::Forbidden)
    });
    match inner.ledger.erase(Erasure { whose: Whose::Account(id), permit }).await {
        // Erased by somebody else, or restored.
        Err(Error::NotFound { .. } | Error::Forbidden) => Ok(()),
        erased => erased,
    }
}

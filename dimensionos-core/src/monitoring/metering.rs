//! The cells of all accounts in use.

use std::sync::Arc;
use std::time::Duration;

use dashmap::{DashMap, DashSet};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::Error;
use crate::id::AccountId;
use crate::monitoring::cell::{Cell, Past, Pending};
use crate::monitoring::rollup::Resolution;
use crate::store::{Access, Store};
use crate::time::Timestamp;

const HOUR: Duration = Duration::from_hours(1);

#[derive(Debug, Default)]
pub(crate) struct Metering {
    cells: DashMap<AccountId, Arc<OnceCell<Arc<Cell>>>>,
    /// Cells with something to make durable, each once.
    waiting: Mutex<Vec<Arc<Cell>>>,
    /// Accounts that were erased while this process runs: what a meter still records of them is dropped.
    erased: DashSet<AccountId>,
}

impl Metering {
    /// The cell of an account that exists, resumed from the store the first time it is asked for.
    pub(crate) async fn cell(&self, store: &dyn Store, account: AccountId, now: Timestamp) -> Result<Arc<Cell>, Error> {
        let slot = Arc::clone(&self.cells.entry(account).or_default());
        // Whoever comes second waits for the first one's reading instead of reading again.
        let cell = slot.get_or_try_init(|| async {
            let past = past(store, account, now).await?;
            Ok::<_, Error>(Arc::new(Cell::resume(account, &past)))
        });
        cell.await.map(Arc::clone)
    }

    /// Forgets an account that has been erased, for good.
    pub(crate) fn erase(&self, account: AccountId) {
        self.erased.insert(account);
        self.cells.remove(&account);
    }

    pub(crate) fn is_erased(&self, account: AccountId) -> bool {
        self.erased.contains(&account)
    }

    pub(crate) fn enqueue(&self, cell: &Arc<Cell>) {
        self.waiting.lock().push(Arc::clone(cell));
    }

    /// Everything that waits to be made durable.
    pub(crate) fn take_pending(&self) -> Vec<(Arc<Cell>, Pending)> {
        let cells = std::mem::take(&mut *self.waiting.lock());
        cells.into_iter().map(|cell| (Arc::clone(&cell), cell.take_pending())).collect()
    }

    pub(crate) fn put_back(&self, pending: &[(Arc<Cell>, Pending)]) {
        for (cell, pending) in pending {
            if cell.put_back(pending) {
                self.enqueue(cell);
            }
        }
    }

    /// How many accounts have a cell.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }
}

async fn past(store: &dyn Store, account: AccountId, now: Timestamp) -> Result<Past, Error> {
    // Samples may be a little ahead of this clock, and are part of the past all the same.
    let end = now.after(crate::monitoring::MAX_SAMPLE_LEAD).after(Duration::from_millis(1));
    let mut tx = store.begin(Access::Read).await?;
    Ok(Past {
        readings: tx.readings(account).await?,
        minutes: tx.usage(account, Resolution::Minute, now.before(HOUR), end).await?,
        days: tx.usage(account, Resolution::Day, now.start_of_month(), end).await?,
    })
}

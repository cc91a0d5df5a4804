//! One spool for the metering and the sending.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::{Spool, SpoolError};

/// A handle on the spool whose calls block no task.
#[derive(Debug, Clone)]
pub(in super::super) struct SharedSpool {
    spool: Arc<Mutex<Spool>>,
    appended: Arc<Notify>,
}

impl SharedSpool {
    pub(in super::super) async fn open(directory: PathBuf) -> Result<Self, SpoolError> {
        let spool = tokio::task::spawn_blocking(move || Spool::open(directory));
        let spool = spool.await.map_err(|_| SpoolError::BrokenOff)??;
        Ok(Self { spool: Arc::new(Mutex::new(spool)), appended: Arc::new(Notify::new()) })
    }

    /// Does that with the spool, on a thread that may wait for the disk.
    pub(in super::super) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Spool) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let spool = Arc::clone(&self.spool);
        // A call that broke off has left what is on disk as a kill would, and that is what the spool is made for.
        let done = tokio::task::spawn_blocking(move || work(&mut spool.lock().unwrap_or_else(PoisonError::into_inner)));
        done.await.map_err(|_| SpoolError::BrokenOff)?
    }

    /// Adds a sample, a line of JSON, with the mark of how far it goes, and wakes whoever waits for one.
    pub(in super::super) async fn append(&self, line: String, mark: Option<String>) -> Result<(), SpoolError> {
        self.with(move |spool| {
            // The mark first: a kill in between costs one sample, and counts none twice.
            mark.map_or(Ok(()), |mark| spool.set_mark(&mark))?;
            spool.append(&line)
        })
        .await?;
        self.appended.notify_one();
        Ok(())
    }

    /// Waits for a sample that was added since the last wait.
    pub(in super::super) async fn appended(&self) {
        self.appended.notified().await;
    }
}

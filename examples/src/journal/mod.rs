//! A storage of one's own: everything in memory, and every change in a file first.
//!
//! Each transaction that is committed is one line of the file `journal`: a checksum, and its writing calls as JSON. The
//! line is on the disk ([`sync_data`](std::fs::File::sync_data)) before the commit returns; at the start all lines are
//! done again. A last line that was cut off, as by a power cut, is dropped whole: nobody was ever told that it was there.
//! A bad line with others behind it is damage, and such a folder is not opened; a disk that spoils the last line itself
//! cannot be told from one that never got to its end.
//!
//! What it is not: a database. All of it has to fit in memory, readers wait while a commit is on its way to the disk, and
//! the file grows with every write. [`scrub`](Store::scrub) takes out of it what was erased, ended or purged.

mod compact;
mod file;
mod ports;
mod rows;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use dimensionos_core::MemoryStore;
use dimensionos_core::store::{Access, Store, StoreError, Tx};
use serde_json::Value;
use tokio::task::spawn_blocking;

use file::Journal;

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process, or another store of this one, works on it.
    #[error("the folder is in use")]
    InUse,
    /// A line that was whole once no longer is, or a later version wrote it.
    #[error("line {line} of the journal cannot be read")]
    Damaged {
        /// Which, from 1 on.
        line: usize,
    },
    /// The file system refused.
    #[error("the folder cannot be read or written")]
    Io(#[from] io::Error),
}

/// A call as it is noted: its name, then its arguments.
type Note = Vec<Value>;

/// A note that makes no sense.
#[derive(Debug, Clone, Copy)]
struct Damaged;

/// A [`Store`] in memory with a journal on disk.
#[derive(Debug, Clone)]
pub struct JournalStore {
    memory: MemoryStore,
    journal: Arc<Journal>,
}

impl JournalStore {
    /// Opens a folder for this store alone. Where there is none it is made, in one that is there.
    ///
    /// # Errors
    /// [`JournalError`]; then nothing that was there is changed.
    pub async fn open(folder: impl Into<PathBuf>) -> Result<Self, JournalError> {
        let folder = folder.into();
        let (journal, transactions) = spawn_blocking(|| Journal::open(folder)).await.map_err(io::Error::other)??;
        let memory = MemoryStore::new();
        for (transaction, line) in transactions.iter().zip(1..) {
            let damaged = |_| JournalError::Damaged { line };
            repeat(&memory, transaction).await.map_err(damaged)?;
        }
        let journal = spawn_blocking(|| journal.cut()).await.map_err(io::Error::other)??;
        Ok(Self { memory, journal: Arc::new(journal) })
    }
}

async fn repeat(memory: &MemoryStore, transaction: &[Note]) -> Result<(), Damaged> {
    let mut tx = memory.begin(Access::Write).await.map_err(|_| Damaged)?;
    for note in transaction {
        let [Value::String(name), notes @ ..] = note.as_slice() else { return Err(Damaged) };
        ports::again(&mut *tx, name, notes).await?;
    }
    tx.commit().await.map_err(|_| Damaged)
}

#[async_trait]
impl Store for JournalStore {
    async fn begin(&self, access: Access) -> Result<Box<dyn Tx>, StoreError> {
        // Writers take turns here, so that the lines are in the order in which memory was changed.
        let inner = self.memory.begin(access).await?;
        Ok(Box::new(JournalTx { inner, journal: Arc::clone(&self.journal), notes: Vec::new(), has_failed: false }))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.journal.is_sound().await.map_err(StoreError::unavailable)
    }

    /// Writes the journal anew, without what is gone from memory: until then its lines have it as it was.
    async fn scrub(&self) -> Result<(), StoreError> {
        self.journal.on_disk(Journal::rewrite).await
    }
}

struct JournalTx {
    inner: Box<dyn Tx>,
    journal: Arc<Journal>,
    notes: Vec<Note>,
    has_failed: bool,
}

impl JournalTx {
    fn note<T>(&mut self, name: &str, arguments: Note, done: Result<T, StoreError>) -> Result<T, StoreError> {
        match done {
            Ok(_) => self.notes.push([vec![name.into()], arguments].concat()),
            // Memory may hold half of it, which no note could say.
            Err(_) => self.has_failed = true,
        }
        done
    }

    async fn finish(self) -> Result<(), StoreError> {
        if self.has_failed {
            return Err(StoreError::unavailable("a commit after a call of the transaction had failed"));
        }
        if !self.notes.is_empty() {
            let notes = self.notes;
            self.journal.on_disk(move |journal| journal.append(&notes)).await?;
        }
        // Seen by others only now: what anybody has read is never lost.
        self.inner.commit().await
    }
}

#[async_trait]
impl Tx for JournalTx {
    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        // In a task of its own. Whoever waits may stop waiting, and disk and memory would differ if that ended it halfway.
        tokio::spawn(self.finish()).await.map_err(StoreError::unavailable)?
    }
}

//! The file, and what may befall it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dimensionos_core::store::StoreError;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::compact::compact;
use super::rows::hex;
use super::{JournalError, Note};

#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    tail: Mutex<Tail>,
    /// Held as long as the journal is; the system lets it go with the process.
    _lock: File,
}

/// Where the next line goes.
#[derive(Debug)]
struct Tail {
    file: File,
    end: u64,
    has_failed: bool,
}

impl Tail {
    fn sound(&self) -> io::Result<()> {
        if self.has_failed { Err(io::Error::other("a write to the journal has failed before")) } else { Ok(()) }
    }
}

impl Journal {
    pub(super) fn open(folder: PathBuf) -> Result<(Self, Vec<Vec<Note>>), JournalError> {
        make(&folder)?;
        let lock = private(&folder.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => JournalError::InUse,
            TryLockError::Error(error) => JournalError::Io(error),
        })?;
        let file = private(&folder.join("journal"))?;
        sync_names(&folder)?;
        let (transactions, end) = read(&folder)?;
        let tail = Mutex::new(Tail { file, end, has_failed: false });
        Ok((Self { folder, tail, _lock: lock }, transactions))
    }

    /// Does something to the files on a thread that may wait for the disk.
    pub(super) async fn on_disk(
        self: &Arc<Self>,
        act: impl FnOnce(&Self) -> Result<(), JournalError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let journal = Arc::clone(self);
        let done = spawn_blocking(move || act(&journal)).await.map_err(StoreError::unavailable)?;
        done.map_err(StoreError::unavailable)
    }

    /// Whether it can be written to, as far as is known.
    pub(super) async fn is_sound(&self) -> io::Result<()> {
        self.tail.lock().await.sound()
    }

    /// Takes off what stands behind the last whole line. That line is durable from here on: where only its process was
    /// killed, it may not have been.
    pub(super) fn cut(mut self) -> io::Result<Self> {
        cut(&self.folder, self.tail.get_mut().end)?;
        Ok(self)
    }

    pub(super) fn append(&self, transaction: &[Note]) -> Result<(), JournalError> {
        let line = line(transaction);
        let mut tail = self.tail.blocking_lock();
        tail.sound()?;
        let written = tail.file.write_all(line.as_bytes()).and_then(|()| tail.file.sync_data());
        if let Err(error) = written {
            // What of it reached the disk is not known, nor will be. Nothing more is written until the folder is opened
            // again; the line is taken off now, if that can be done, because its commit is said to have failed.
            tail.has_failed = true;
            let _ = cut(&self.folder, tail.end);
            return Err(error.into());
        }
        tail.end += line.len() as u64;
        Ok(())
    }

    pub(super) fn rewrite(&self) -> Result<(), JournalError> {
        // No commit gets between reading the old file and naming the new one: it waits for this lock.
        let mut tail = self.tail.blocking_lock();
        tail.sound()?;
        let (transactions, _) = read(&self.folder)?;
        let lines: String = compact(transactions).iter().map(|transaction| line(transaction)).collect();
        let new = self.folder.join("journal.new");
        if new.exists() {
            // Of a rewriting that was cut off.
            fs::remove_file(&new)?;
        }
        let mut file = private(&new)?;
        file.write_all(lines.as_bytes())?;
        file.sync_all()?;
        fs::rename(new, self.folder.join("journal"))?;
        (tail.file, tail.end) = (file, lines.len() as u64);
        // Under a name that a power cut may undo, nothing is acknowledged.
        sync_names(&self.folder).inspect_err(|_| tail.has_failed = true)?;
        Ok(())
    }
}

fn line(transaction: &[Note]) -> String {
    let json = json!(transaction).to_string();
    format!("{} {json}\n", checksum(&json))
}

/// Half of the digest that would do against forgery: nothing here is forged, but cut off or worn out.
fn checksum(json: &str) -> String {
    hex(&Sha256::digest(json)[..16])
}

/// The transactions of the journal, and where the last whole line ends.
fn read(folder: &Path) -> Result<(Vec<Vec<Note>>, u64), JournalError> {
    let file = fs::read(folder.join("journal"))?;
    let (mut transactions, mut end) = (Vec::new(), 0);
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        match parse(line) {
            Some(transaction) => transactions.push(transaction),
            None if end + line.len() == file.len() => break,
            None => return Err(JournalError::Damaged { line: transactions.len() + 1 }),
        }
        end += line.len();
    }
    Ok((transactions, end as u64))
}

fn parse(line: &[u8]) -> Option<Vec<Note>> {
    let (sum, json) = str::from_utf8(line).ok()?.strip_suffix('\n')?.split_once(' ')?;
    if sum == checksum(json) { serde_json::from_str(json).ok() } else { None }
}

fn cut(folder: &Path, end: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(folder.join("journal"))?;
    file.set_len(end)?;
    file.sync_all()
}

/// Makes a folder where there is none, and its name durable. The folder it is to be in is there.
fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => folder.canonicalize()?.parent().map_or(Ok(()), sync_names),
    }
}

/// Opens a file to append to, which nobody else may read: there are password hashes in it.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes durable that files were made or renamed, which a file's own sync does not; elsewhere the system sees to it.
fn sync_names(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

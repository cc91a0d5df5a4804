//! What was measured and not yet acknowledged, on disk.
//!
//! A directory with `state.json` (the source's name and its next sequence), one file of JSON lines for each report, a
//! mark of how far the target is metered, and a lock. A sequence is written down as used before its report is begun, so
//! it never names two reports. Samples are appended without waiting for the disk: a kill costs none of them, a power cut
//! may cost the last few.

mod shared;
mod state;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

pub(super) use shared::SharedSpool;
use state::State;

/// Reports that are kept while the server is away. At one sample a second and 500 samples a report this is some 70
/// hours, and some 60 MB; then the oldest make room.
const MAX_REPORTS: usize = 512;
/// Samples after which a report is closed, half of what the server takes at once.
const MAX_SAMPLES: usize = 500;
/// Refused reports that are kept for the operator to look at.
const MAX_REFUSED: usize = 16;

/// Why the spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another agent works on the same directory.
    #[error("another agent uses the same state directory")]
    InUse,
    /// The file that holds the source's name and sequence is not one of ours.
    #[error("state.json in the state directory is damaged")]
    Damaged,
    /// There was no chance to make a name from.
    #[error("the source of randomness failed")]
    NoEntropy,
    /// A call on the spool broke off.
    #[error("an operation on the state directory broke off")]
    BrokenOff,
    /// The file system refused.
    #[error("could not {what} in the state directory")]
    Io {
        /// What was to be done.
        what: &'static str,
        /// What the system answered.
        source: io::Error,
    },
}

/// A report that is ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) source: String,
    pub(super) sequence: u64,
    pub(super) samples: Vec<Value>,
    /// It was begun by this run, so that no earlier one can have sent it.
    pub(super) is_of_this_run: bool,
}

#[derive(Debug)]
pub(super) struct Spool {
    directory: PathBuf,
    state: State,
    /// Every report on disk, by its sequence, the oldest first.
    reports: BTreeMap<u64, Kept>,
    /// The newest report, while samples are added to it.
    open: Option<Open>,
    dropped: u64,
    /// Held for as long as the spool is; the system lets it go with the process.
    _lock: File,
}

#[derive(Debug)]
struct Kept {
    samples: usize,
    is_of_this_run: bool,
}

#[derive(Debug)]
struct Open {
    sequence: u64,
    file: File,
}

impl Spool {
    /// Takes up the spool in that directory, which is made where there is none.
    pub(super) fn open(directory: PathBuf) -> Result<Self, SpoolError> {
        make_private(&directory).map_err(failed("make the directory"))?;
        let lock = private(&directory.join("lock")).map_err(failed("make the lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SpoolError::InUse),
            Err(TryLockError::Error(source)) => return Err(SpoolError::Io { what: "lock", source }),
        }
        let mut reports = BTreeMap::new();
        for sequence in sequences(&directory, "jsonl")? {
            let samples = lines(&path(&directory, sequence, "jsonl"))?.len();
            reports.insert(sequence, Kept { samples, is_of_this_run: false });
        }
        let refused = sequences(&directory, "refused")?;
        let beyond = reports.keys().chain(&refused).max().map_or(1, |last| last.saturating_add(1));
        let state = State::open(&directory, beyond)?;
        Ok(Self { directory, state, reports, open: None, dropped: 0, _lock: lock })
    }

    /// Adds a sample, a line of JSON, to the newest report.
    pub(super) fn append(&mut self, line: &str) -> Result<(), SpoolError> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin()?,
        };
        // In one call, so that a kill in between leaves a torn line at the end or none.
        open.file.write_all(format!("{line}\n").as_bytes()).map_err(failed("write a sample"))?;
        let samples = self.reports.get_mut(&open.sequence).map_or(0, |report| {
            report.samples += 1;
            report.samples
        });
        self.open = (0 < samples && samples < MAX_SAMPLES).then_some(open);
        Ok(())
    }

    /// How far an earlier run has metered its target; absent where none has.
    pub(super) fn mark(&self) -> Result<Option<String>, SpoolError> {
        match fs::read_to_string(self.directory.join("mark")) {
            Ok(mark) => Ok(Some(mark)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SpoolError::Io { what: "read the mark", source }),
        }
    }

    /// Keeps how far the target is metered. It need not outlive a power cut, which no process does either.
    pub(super) fn set_mark(&self, mark: &str) -> Result<(), SpoolError> {
        let new = self.directory.join("mark.new");
        remove(&new)?;
        let write = || {
            private(&new)?.write_all(mark.as_bytes())?;
            fs::rename(&new, self.directory.join("mark"))
        };
        write().map_err(failed("write the mark"))
    }

    fn begin(&mut self) -> Result<Open, SpoolError> {
        while self.reports.len() >= MAX_REPORTS {
            let Some((sequence, report)) = self.reports.pop_first() else { break };
            self.dropped = self.dropped.saturating_add(report.samples as u64);
            remove(&path(&self.directory, sequence, "jsonl"))?;
        }
        let sequence = self.state.next(&self.directory)?;
        let file = private(&path(&self.directory, sequence, "jsonl")).map_err(failed("begin a report"))?;
        self.reports.insert(sequence, Kept { samples: 0, is_of_this_run: true });
        Ok(Open { sequence, file })
    }

    /// The report to send next, to which no sample is added from now on.
    pub(super) fn oldest(&mut self) -> Result<Option<Report>, SpoolError> {
        while let Some((&sequence, kept)) = self.reports.first_key_value() {
            let is_of_this_run = kept.is_of_this_run;
            self.open.take_if(|open| open.sequence == sequence);
            let samples = lines(&path(&self.directory, sequence, "jsonl"))?;
            if !samples.is_empty() {
                return Ok(Some(Report { source: self.state.source().to_owned(), sequence, samples, is_of_this_run }));
            }
            // Nothing but a torn line, or removed by hand.
            self.delivered(sequence)?;
        }
        Ok(None)
    }

    /// Forgets a report that the server holds.
    pub(super) fn delivered(&mut self, sequence: u64) -> Result<(), SpoolError> {
        self.reports.remove(&sequence);
        remove(&path(&self.directory, sequence, "jsonl"))
    }

    /// Keeps a report that the server refuses out of the way, and not more of them than can be looked at.
    pub(super) fn set_aside(&mut self, sequence: u64) -> Result<(), SpoolError> {
        self.reports.remove(&sequence);
        let refused = path(&self.directory, sequence, "refused");
        match fs::rename(path(&self.directory, sequence, "jsonl"), refused) {
            // Dropped meanwhile, to make room.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed.map_err(failed("set a report aside"))?,
        }
        let kept = sequences(&self.directory, "refused")?;
        for sequence in kept.iter().rev().skip(MAX_REFUSED) {
            remove(&path(&self.directory, *sequence, "refused"))?;
        }
        Ok(())
    }

    /// Reports on under a new name. The sequences go on: under a name that the server has never heard any of them is
    /// new, and no file has to be renamed half-way before a crash.
    pub(super) fn renew_source(&mut self) -> Result<(), SpoolError> {
        self.state.renew_source(&self.directory)
    }

    /// Reports that wait for the server.
    pub(super) fn waiting(&self) -> usize {
        self.reports.len()
    }

    /// Samples that were dropped since the last call, to make room.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

fn path(directory: &Path, sequence: u64, kind: &str) -> PathBuf {
    directory.join(format!("{sequence:020}.{kind}"))
}

/// The sequences of the files of a kind, in order.
fn sequences(directory: &Path, kind: &str) -> Result<Vec<u64>, SpoolError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed("list the reports"))? {
        let name = entry.map_err(failed("list the reports"))?.file_name();
        let sequence = name.to_str().and_then(|name| name.strip_suffix(kind)?.strip_suffix('.')?.parse::<u64>().ok());
        found.extend(sequence);
    }
    found.sort_unstable();
    Ok(found)
}

/// The samples of a report: whole lines alone, since a kill may have torn the last.
fn lines(path: &Path) -> Result<Vec<Value>, SpoolError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(SpoolError::Io { what: "read a report", source }),
    };
    let whole = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    Ok(whole.filter_map(|line| serde_json::from_slice(line).ok()).filter(Value::is_object).collect())
}

fn remove(path: &Path) -> Result<(), SpoolError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(failed("remove a report")),
    }
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> SpoolError {
    move |source| SpoolError::Io { what, source }
}

/// Makes the directory for our eyes only; one that is there keeps the mode its owner gave it.
fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Opens a file for appending, made for our eyes only.
fn private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests;

//! One sample from everything that is metered, none of which may hold up the others.

mod background;

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use dimensionos_core::Timestamp;
use dimensionos_core::monitoring::collectors::{Cgroup, CollectError, Collector, Directory, Host, ProcessTree};
use dimensionos_core::monitoring::{Counter, Level, Sample};
use dimensionos_store::collectors::{DatabaseCollectError, DatabaseCollector};
use tokio::sync::oneshot;

use super::{AgentError, Target};
use background::Background;

/// Between two polls of the target: so much of a process that ends unseen may be lost.
const POLL_PERIOD: Duration = Duration::from_millis(25);
/// Polling takes at most one part in so many of a core, however large the target is.
const LARGEST_POLL_SHARE: u32 = 20;
/// How long a sample waits for a directory or a database, where half its interval is longer.
const LONGEST_GRACE: Duration = Duration::from_millis(500);

/// Everything that one agent meters.
pub(super) struct Meter {
    target: Option<mpsc::Sender<Request>>,
    storage: Option<Background<Directory, CollectError>>,
    database: Option<Background<Database, DatabaseCollectError>>,
    grace: Duration,
    complaints: Complaints,
}

/// A sample, and whether the target goes on.
pub(super) struct Reading {
    pub(super) sample: Sample,
    pub(super) has_ended: bool,
    /// How far the target's figures are handed out with this sample.
    pub(super) mark: Option<String>,
}

struct Request {
    at: Timestamp,
    reply: oneshot::Sender<Collected>,
}

struct Collected {
    sample: Sample,
    result: Result<(), CollectError>,
    mark: Option<String>,
}

/// A database that may have to be connected to anew.
struct Database {
    url: String,
    collector: Option<DatabaseCollector>,
}

impl Meter {
    /// Begins to meter; a target goes on where an earlier run has left its mark.
    pub(super) async fn start(
        target: Option<Target>,
        storage: Option<PathBuf>,
        database: Option<String>,
        interval: Duration,
        mark: Option<String>,
    ) -> Result<Self, AgentError> {
        let target = match target {
            Some(target) => Some(follow(target, mark).await?),
            None => None,
        };
        Ok(Self {
            target,
            storage: storage.map(|path| Background::new(Directory::new(path))),
            database: database.map(|url| Background::new(Database { url, collector: None })),
            grace: (interval / 2).min(LONGEST_GRACE),
            complaints: Complaints::default(),
        })
    }

    /// Reads the target, and takes up what the directory and the database have ready.
    pub(super) async fn read(&mut self, at: Timestamp) -> Result<Reading, AgentError> {
        let mut reading = Reading { sample: Sample::at(at), has_ended: false, mark: None };
        if let Some(target) = &self.target {
            let (reply, answer) = oneshot::channel();
            let broken_off = || AgentError::BrokenOff("metering thread");
            target.send(Request { at, reply }).map_err(|_| broken_off())?;
            let Collected { sample, result, mark } = answer.await.map_err(|_| broken_off())?;
            reading.sample = sample;
            reading.mark = mark;
            reading.has_ended = result.as_ref().is_err_and(CollectError::is_final);
            if !reading.has_ended {
                self.complaints.target.hear(result.as_ref());
            }
        }
        if let Some(storage) = &mut self.storage
            && let Some((found, result)) = storage.read(self.grace, measure).await
        {
            merge(&mut reading.sample, &found);
            self.complaints.storage.hear(result.as_ref());
        }
        if let Some(database) = &mut self.database
            && let Some((found, result)) = database.read(self.grace, query).await
        {
            merge(&mut reading.sample, &found);
            self.complaints.database.hear(result.as_ref());
            if let Err(error @ (DatabaseCollectError::UnknownScheme | DatabaseCollectError::InvalidUrl)) = result {
                return Err(AgentError::Database(error));
            }
        }
        Ok(reading)
    }
}

/// Starts the thread that polls the target between the samples; it ends when the sender of requests is dropped.
async fn follow(target: Target, mark: Option<String>) -> Result<mpsc::Sender<Request>, AgentError> {
    let (requests, received) = mpsc::channel();
    let (ready, started) = oneshot::channel();
    let thread = std::thread::Builder::new().name("meter".to_owned());
    let body = move || match collector(target, mark.as_deref()) {
        Ok(mut collector) => {
            // Nobody listens any more where the run was given up meanwhile; then the requests end too.
            let _ = ready.send(Ok(()));
            serve(collector.as_mut(), &received);
        }
        Err(error) => {
            let _ = ready.send(Err(error));
        }
    };
    thread.spawn(body).map_err(|_| AgentError::BrokenOff("metering thread"))?;
    started.await.map_err(|_| AgentError::BrokenOff("metering thread"))?.map_err(AgentError::Target)?;
    Ok(requests)
}

fn collector(target: Target, mark: Option<&str>) -> Result<Box<dyn Collector>, CollectError> {
    Ok(match target {
        Target::Host => Box::new(Host::new()),
        Target::Process(pid) => Box::new(match mark {
            Some(mark) => ProcessTree::resume(pid, mark)?,
            None => ProcessTree::new(pid)?,
        }),
        Target::Cgroup(path) => Box::new(Cgroup::new(path)?),
    })
}

fn serve(collector: &mut dyn Collector, requests: &mpsc::Receiver<Request>) {
    let mut period = POLL_PERIOD;
    loop {
        match requests.recv_timeout(period) {
            Ok(Request { at, reply }) => {
                let mut sample = Sample::at(at);
                let result = collector.collect(&mut sample);
                let mark = collector.mark();
                if reply.send(Collected { sample, result, mark }).is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                let begun = now();
                collector.poll();
                period = now().saturating_duration_since(begun).saturating_mul(LARGEST_POLL_SHARE).max(POLL_PERIOD);
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "what a poll costs is measured on the monotonic clock")]
fn now() -> Instant {
    Instant::now()
}

/// Walks the directory, on a thread that may block.
async fn measure(mut directory: Directory) -> (Directory, Sample, Result<(), CollectError>) {
    let walk = tokio::task::spawn_blocking(move || {
        let mut sample = Sample::at(Timestamp::EPOCH);
        let result = directory.collect(&mut sample);
        (directory, sample, result)
    });
    match walk.await {
        Ok(measured) => measured,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The program ends, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Asks the database, and connects to it first where there is no connection.
async fn query(mut database: Database) -> (Database, Sample, Result<(), DatabaseCollectError>) {
    let mut sample = Sample::at(Timestamp::EPOCH);
    let result = database.collect(&mut sample).await;
    (database, sample, result)
}

impl Database {
    async fn collect(&mut self, sample: &mut Sample) -> Result<(), DatabaseCollectError> {
        let collector = match &mut self.collector {
            Some(collector) => collector,
            none => none.insert(DatabaseCollector::connect(&self.url).await?),
        };
        collector.collect(sample).await
    }
}

/// Adds what another collector has measured; the instant stays.
fn merge(sample: &mut Sample, found: &Sample) {
    for level in Level::ALL {
        if let Some(value) = found.level(level) {
            sample.set_level(level, value);
        }
    }
    for counter in Counter::ALL {
        if let Some(amount) = found.added(counter) {
            sample.add(counter, amount);
        }
    }
}

/// What was said of readings that failed, so that it is said once.
struct Complaints {
    target: Complaint,
    storage: Complaint,
    database: Complaint,
}

struct Complaint {
    what: &'static str,
    is_told: bool,
}

impl Default for Complaints {
    fn default() -> Self {
        let about = |what| Complaint { what, is_told: false };
        Self { target: about("target"), storage: about("storage directory"), database: about("database") }
    }
}

impl Complaint {
    /// Tells the first failure after a success.
    fn hear<E: std::error::Error>(&mut self, result: Result<&(), &E>) {
        match result {
            Ok(()) => self.is_told = false,
            Err(error) if !self.is_told => {
                self.is_told = true;
                tracing::warn!("the {} cannot be measured: {error}", self.what);
            }
            Err(_) => {}
        }
    }
}

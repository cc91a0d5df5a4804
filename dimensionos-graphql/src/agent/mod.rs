//! The agent: meters a machine, a process or a cgroup, and reports to a server.
//!
//! Metering and sending are apart. Every sample goes to a spool on disk first, so that a server that is away, or an
//! agent that is killed, costs no sample; a report that is sent again keeps its sequence, so that it counts once.

mod answer;
mod backoff;
mod client;
mod interval;
mod meter;
mod sender;
mod spool;
mod wire;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use dimensionos_core::monitoring::collectors::CollectError;
use dimensionos_core::{Clock, SystemClock};
use dimensionos_store::collectors::DatabaseCollectError;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use client::Client;
use meter::Meter;
use sender::Sender;
use spool::SharedSpool;

pub use answer::Refusal;
pub use client::InvalidServer;
pub use interval::{InvalidInterval, parse_interval};
pub use spool::SpoolError;

/// How long an agent that was told to stop goes on trying to send what is left.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// The same after the target has ended, when nobody is waiting for the agent.
const END_PATIENCE: Duration = Duration::from_secs(30);
/// How often samples that had to be dropped are told.
const DROPS_TOLD_EVERY: Duration = Duration::from_mins(1);

/// What to meter, and where to report it.
pub struct AgentSettings {
    /// The server's address, such as `https://usage.example.org`.
    pub server: String,
    /// The agent's bearer token.
    pub token: AgentToken,
    /// The account that the usage is of, as the server wrote its id (`acc_…`).
    pub account: String,
    /// What is metered; a run may also measure storage or a database alone.
    pub target: Option<Target>,
    /// A directory whose contents are measured.
    pub storage: Option<PathBuf>,
    /// The URL of a database that is measured, `sqlite://…` or `postgres://…`.
    pub database: Option<String>,
    /// The time from one sample to the next.
    pub interval: Duration,
    /// The directory of the spool, used by one agent at a time.
    pub state: PathBuf,
}

/// What is metered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The whole machine.
    Host,
    /// A process with all its descendants.
    Process(u32),
    /// A control group, by its directory.
    Cgroup(PathBuf),
}

/// An agent's bearer token: shown to the server alone, and wiped when dropped.
#[derive(Clone)]
pub struct AgentToken(Zeroizing<String>);

/// How a run ended that had no fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was told to stop.
    Stopped {
        /// Reports that the server has not acknowledged; they stay in the spool for the next run.
        left: usize,
    },
    /// The metered process or cgroup has ended.
    TargetEnded {
        /// Reports that the server has not acknowledged; they stay in the spool for the next run.
        left: usize,
    },
}

/// Why a run could not begin, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Neither a target nor a directory nor a database was given.
    #[error("there is nothing to meter")]
    NothingToMeter,
    /// The server's address or the token cannot be used.
    #[error(transparent)]
    Server(#[from] InvalidServer),
    /// The target cannot be metered.
    #[error("the target cannot be metered")]
    Target(#[source] CollectError),
    /// The database's URL cannot be used.
    #[error("the database cannot be metered")]
    Database(#[source] DatabaseCollectError),
    /// The spool cannot be used.
    #[error("the spool cannot be used")]
    Spool(#[from] SpoolError),
    /// The server will not take reports from this agent for this account. The spool is kept.
    #[error("the server does not take this agent's reports")]
    Refused(#[source] Refusal),
    /// A task of the agent's own broke off.
    #[error("the agent's {0} broke off")]
    BrokenOff(&'static str),
}

/// Meters until told to stop, until the target ends, or until the server refuses the agent for good.
///
/// # Errors
/// What cannot be made good by waiting. A server that is away is no error: metering goes on, and the reports wait.
pub async fn run(settings: AgentSettings, stop: CancellationToken) -> Result<Outcome, AgentError> {
    if settings.target.is_none() && settings.storage.is_none() && settings.database.is_none() {
        return Err(AgentError::NothingToMeter);
    }
    let client = Client::new(&settings.server, &settings.token)?;
    // Told only now that the address is known to hold no password.
    let metered = settings.target.iter().map(ToString::to_string);
    let storage = settings.storage.iter().map(|_| "a storage directory".to_owned());
    let database = settings.database.iter().map(|_| "a database".to_owned());
    let metered: Vec<String> = metered.chain(storage).chain(database).collect();
    tracing::info!("metering {} for {}, reporting to {}", metered.join(", "), settings.account, settings.server);
    let spool = SharedSpool::open(settings.state).await?;
    let mark = spool.with(|spool| spool.mark()).await?;
    let meter = Meter::start(settings.target, settings.storage, settings.database, settings.interval, mark).await?;
    let finish = CancellationToken::new();
    let sender = Sender::new(spool.clone(), client, finish.clone());
    let sender = tokio::spawn(async move { sender.run().await });
    let mut agent = Agent { account: settings.account, spool, meter, sender, finish };
    let ended = agent.meter_until(&stop, settings.interval).await;
    // Whatever ended it, what was used until now is known now, and is sent or kept.
    if !matches!(ended, Ok(End::Target) | Err(AgentError::Spool(_))) {
        agent.sample().await?;
    }
    match ended? {
        End::Stop => Ok(Outcome::Stopped { left: agent.drain(STOP_PATIENCE).await? }),
        End::Target => Ok(Outcome::TargetEnded { left: agent.drain(END_PATIENCE).await? }),
    }
}

/// Why metering ended without a fault.
enum End {
    Stop,
    Target,
}

struct Agent {
    account: String,
    spool: SharedSpool,
    meter: Meter,
    sender: JoinHandle<Result<(), AgentError>>,
    finish: CancellationToken,
}

impl Agent {
    async fn meter_until(&mut self, stop: &CancellationToken, interval: Duration) -> Result<End, AgentError> {
        let mut ticks = tokio::time::interval(interval);
        // After a pause (a suspended machine) one sample tells as much as a burst of them.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut drops = tokio::time::interval(DROPS_TOLD_EVERY);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(End::Stop),
                sent = &mut self.sender => return Err(fault(sent)),
                _ = drops.tick() => self.tell_drops().await?,
                _ = ticks.tick() => {
                    if self.sample().await? == Metered::Ended {
                        return Ok(End::Target);
                    }
                }
            }
        }
    }

    /// Takes one sample and puts it into the spool, where anything was measured.
    async fn sample(&mut self) -> Result<Metered, AgentError> {
        let reading = self.meter.read(SystemClock.now()).await?;
        if let Some(line) = wire::line(&self.account, &reading.sample) {
            self.spool.append(line, reading.mark).await?;
        }
        Ok(if reading.has_ended { Metered::Ended } else { Metered::Running })
    }

    async fn tell_drops(&self) -> Result<(), AgentError> {
        let dropped = self.spool.with(|spool| Ok(spool.take_dropped())).await?;
        if dropped > 0 {
            tracing::warn!(samples = dropped, "the spool is full: the oldest samples were dropped");
        }
        Ok(())
    }

    /// Sends what is in the spool for as long as that, and tells how many reports are left.
    async fn drain(mut self, patience: Duration) -> Result<usize, AgentError> {
        self.finish.cancel();
        match tokio::time::timeout(patience, &mut self.sender).await {
            Ok(Ok(Ok(()))) => {}
            Ok(sent) => return Err(fault(sent)),
            Err(_) => self.sender.abort(),
        }
        self.tell_drops().await?;
        Ok(self.spool.with(|spool| Ok(spool.waiting())).await?)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Without this a fault of the metering would leave the sender behind, with the spool locked.
        self.sender.abort();
    }
}

/// Whether the target goes on after a sample.
#[derive(PartialEq, Eq)]
enum Metered {
    Running,
    Ended,
}

/// The sender ends by itself only on a fault, or when it was told to finish.
fn fault(sent: Result<Result<(), AgentError>, tokio::task::JoinError>) -> AgentError {
    match sent {
        Ok(Err(error)) => error,
        Ok(Ok(())) | Err(_) => AgentError::BrokenOff("sender"),
    }
}

impl AgentToken {
    /// Holds that text as the token.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The token in clear: for the request's header alone.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AgentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgentToken")
    }
}

impl fmt::Debug for AgentSettings {
    /// Without the database's URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentSettings")
            .field("account", &self.account)
            .field("target", &self.target)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("this machine"),
            Self::Process(pid) => write!(f, "process {pid} and its children"),
            Self::Cgroup(path) => write!(f, "cgroup {}", path.display()),
        }
    }
}

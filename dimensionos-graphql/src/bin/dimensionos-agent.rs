//! `dimensionos-agent`: meters a machine, a process or a cgroup, and reports to a DimensionOS server.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgGroup, Parser};
use dimensionos_core::AccountId;
use dimensionos_graphql::agent::{self, AgentSettings, AgentToken, Outcome, Target, parse_interval};
use dimensionos_graphql::cli::chain;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Meters a machine, a process or a cgroup, and reports to a DimensionOS server.
///
/// Samples wait on disk while the server is away. On SIGINT or SIGTERM what is left is sent for up to 5 seconds, and
/// kept for the next run.
#[derive(Parser)]
#[command(name = "dimensionos-agent", version)]
#[command(group(ArgGroup::new("target").args(["host", "pid", "cgroup"])))]
#[command(group(ArgGroup::new("metered").args(["host", "pid", "cgroup", "storage", "database"]).multiple(true).required(true)))]
struct Arguments {
    /// The server's address, such as `https://usage.example.org`
    #[arg(long, value_name = "URL")]
    server: String,
    /// The agent's token; better given in the environment, as everybody on the machine can see a command line
    #[arg(long, value_name = "T", env = "DIMENSIONOS_AGENT_TOKEN", hide_env_values = true,
        value_parser = clap::builder::NonEmptyStringValueParser::new())]
    token: String,
    /// The account that the usage is of
    #[arg(long, value_name = "ID")]
    account: AccountId,
    /// Meter the whole machine
    #[arg(long)]
    host: bool,
    /// Meter this process with its children
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Meter this cgroup (version 2)
    #[arg(long, value_name = "PATH")]
    cgroup: Option<PathBuf>,
    /// Measure what is stored below this directory
    #[arg(long, value_name = "DIR")]
    storage: Option<PathBuf>,
    /// Measure this database, sqlite://PATH or postgres://...
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// The time from one sample to the next, from 100ms to 1h
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_interval)]
    interval: Duration,
    /// Where samples wait; without it, a directory of this account and target below $XDG_STATE_HOME or ~/.local/state
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::new("dimensionos_graphql::agent=info"))
        .without_time()
        .with_target(false)
        .init();
    let Some(settings) = settings(arguments) else {
        return fault(&"there is no home directory to keep samples in: give --state-dir");
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fault(&error),
    };
    let ended = runtime.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signal(stop.clone())?;
        Ok::<_, Box<dyn Error>>(agent::run(settings, stop).await?)
    });
    // A walk or a query that is under way is not waited for.
    runtime.shutdown_background();
    match ended {
        Ok(Outcome::TargetEnded { left: 0 } | Outcome::Stopped { left: 0 }) => ExitCode::SUCCESS,
        Ok(Outcome::Stopped { left }) => {
            eprintln!("{left} reports are not sent yet, and wait for the next run");
            ExitCode::SUCCESS
        }
        Ok(Outcome::TargetEnded { left }) => {
            fault(&format!("the target has ended, and the server has not taken {left} reports, which are kept"))
        }
        Err(error) => fault(&chain(error.as_ref())),
    }
}

/// What was asked for, told in one line; absent where there is no place for the spool.
fn settings(arguments: Arguments) -> Option<AgentSettings> {
    let Arguments { server, token, account, host, pid, cgroup, storage, database, interval, state_dir } = arguments;
    let target = match (host, pid, cgroup) {
        (true, ..) => Some(Target::Host),
        (_, Some(pid), _) => Some(Target::Process(pid)),
        (.., Some(path)) => Some(Target::Cgroup(path)),
        (false, None, None) => None,
    };
    let account = account.to_string();
    let state = match state_dir {
        Some(directory) => directory,
        None => state_home()?.join("dimensionos-agent").join(name(&account, target.as_ref(), storage.as_ref())),
    };
    let token = AgentToken::new(token);
    Some(AgentSettings { server, token, account, target, storage, database, interval, state })
}

fn state_home() -> Option<PathBuf> {
    // The XDG rules have a relative path ignored.
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))
}

/// A directory's name that two agents on one machine share only if they meter the same for the same account.
fn name(account: &str, target: Option<&Target>, storage: Option<&PathBuf>) -> String {
    let target = match (target, storage) {
        (Some(Target::Host), _) => "host".to_owned(),
        (Some(Target::Process(pid)), _) => format!("pid-{pid}"),
        (Some(Target::Cgroup(path)), _) => format!("cgroup-{}", path.display()),
        (None, Some(path)) => format!("storage-{}", path.display()),
        (None, None) => "database".to_owned(),
    };
    let plain = |character: char| if character.is_ascii_alphanumeric() || character == '_' { character } else { '-' };
    // File systems take 255 bytes; the end of a path tells more than its beginning.
    let name: Vec<char> = format!("{account}-{target}").chars().map(plain).collect();
    name[name.len().saturating_sub(200)..].iter().collect()
}

#[cfg(unix)]
fn stop_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}

#[cfg(not(unix))]
fn stop_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    });
    Ok(())
}

fn fault(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("dimensionos-agent: {error}");
    ExitCode::from(1)
}

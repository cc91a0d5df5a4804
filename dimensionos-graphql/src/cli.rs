//! The command line of `dimensionos-graphql`.

mod jobs;
mod partitions;
mod table;
mod tiers;

use std::error::Error as StdError;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use dimensionos_core::auth::{KeyName, Role};
use dimensionos_core::{Context, OsEntropy, Platform, replicas};
use dimensionos_store::{Company, Database, Membership};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::billing::{self, Billing};
use crate::bus::{NatsBus, ReportStream};
use crate::clock::TestClock;
use crate::config::{Environment, Settings, Written};
use crate::demo::Demo;
use crate::doctor::{self, Finding};
use crate::engine::Engine;
use crate::http::App;
use crate::keys::DataDirLock;
use crate::{keys, logging, schema, serve};

/// Accounts, tiers and metering for hosting platforms, without knowing people.
#[derive(Debug, Parser)]
#[command(name = "dimensionos-graphql", version, after_help = AFTER_HELP)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Written,
}

const AFTER_HELP: &str = "Every setting may also stand in the environment as DIMENSIONOS_NAME, or in dimensionos.toml as \
                          name. Exit codes: 0 done, 1 a fault, 2 wrong usage.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Migrate and seed the database, then serve until SIGINT or SIGTERM (the default)
    Serve(Serve),
    /// Look after the database
    #[command(subcommand)]
    Db(Db),
    /// Let operators in, and see what they would
    #[command(subcommand)]
    Operator(Operator),
    /// Let agents report
    #[command(subcommand)]
    Agent(Key),
    /// Attest payments, for development
    #[command(subcommand)]
    Billing(Billing),
    /// Print the GraphQL schema; needs no database
    Schema,
    /// Check configuration, keys, file modes, database and clock
    Doctor,
}

#[derive(Debug, Args, Default)]
struct Serve {
    /// Add an account that is metered live from this server's own process
    #[arg(long)]
    demo: bool,
    /// Let the clock be moved at /development/clock, to see what months do
    #[arg(long)]
    test_clock: bool,
    /// Serve beside other servers on one database without NATS: what they change shows late, and what they count hardly
    #[arg(long)]
    allow_stale: bool,
}

#[derive(Debug, Subcommand)]
enum Db {
    /// Make the tables and seed the tiers
    Init,
    /// Say what is applied, and how usage is kept
    Status,
    /// Divide usage into partitions, for good (PostgreSQL alone): old usage is dropped then, not deleted row by row
    Partition,
    /// Drop every table and make them anew, empty
    Reset {
        /// Really do it
        #[arg(long, required = true)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Operator {
    /// Print a new bearer token, this once
    Create(NewKey),
    /// Say what is done by itself, and how that went last
    Jobs,
    /// Look at what tiers grant, and change it
    #[command(subcommand)]
    Tiers(tiers::Tiers),
}

#[derive(Debug, Subcommand)]
enum Key {
    /// Print a new bearer token, this once
    Create(NewKey),
}

#[derive(Debug, Args)]
struct NewKey {
    /// What it is called: letters, digits, dots, hyphens and underscores
    #[arg(long)]
    name: KeyName,
}

/// How long closing the database may take: SQLite folds its log into the file then.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// What a command failed with, said in one line.
pub(crate) type Fault = Box<dyn StdError + Send + Sync>;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let line = CommandLine::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(run(line)) {
        Ok(code) => code,
        Err(fault) => fail(&*fault),
    }
}

fn fail(error: &(dyn StdError + 'static)) -> ExitCode {
    eprintln!("dimensionos-graphql: {}", chain(error));
    ExitCode::from(1)
}

/// An error and its causes, in one line: how both binaries say a fault.
#[must_use]
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told.replace('\n', " ")
}

async fn run(line: CommandLine) -> Result<ExitCode, Fault> {
    let command = line.command.unwrap_or(Command::Serve(Serve::default()));
    if matches!(command, Command::Schema) {
        print!("{}", schema::sdl());
        return Ok(ExitCode::SUCCESS);
    }
    let written = line.settings;
    let settings = Settings::load(written.clone())?;
    match command {
        Command::Serve(options) => serve_until_told(&settings, written, &options).await?,
        Command::Db(Db::Init) => {
            Platform::builder(migrated(&settings).await?).open().await?;
            println!("the database is ready");
        }
        Command::Db(Db::Status) => status(&settings).await?,
        Command::Db(Db::Partition) => partitions::divide(&settings).await?,
        Command::Db(Db::Reset { yes: _ }) => reset(&settings).await?,
        Command::Operator(Operator::Create(NewKey { name })) => create_key(&settings, Role::Operator, name).await?,
        Command::Operator(Operator::Jobs) => jobs::print(&settings).await?,
        Command::Operator(Operator::Tiers(command)) => tiers::run(&settings, command).await?,
        Command::Agent(Key::Create(NewKey { name })) => create_key(&settings, Role::Agent, name).await?,
        Command::Billing(command) => billing::run(&settings, command)?,
        Command::Doctor => return Ok(examine(&settings).await),
        Command::Schema => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes sure that nobody else serves from this data folder: each server keeps accounts in memory, and would not see what
/// another changes.
fn alone(settings: &Settings) -> Result<DataDirLock, Fault> {
    keys::make_data_dir(&settings.data_dir)?;
    let lock = DataDirLock::take(&settings.data_dir)?;
    lock.ok_or_else(|| format!("another server is running from {}", settings.data_dir.display()).into())
}

async fn open_database(settings: &Settings) -> Result<Database, Fault> {
    if settings.database_url.is_sqlite() {
        keys::make_data_dir(&settings.data_dir)?;
    }
    Ok(Database::connect(settings.database_url.expose()).await?)
}

/// For commands that look, and leave a database of another version as it is.
async fn check_schema(settings: &Settings) -> Result<(), Fault> {
    let state = Database::inspect(settings.database_url.expose()).await?;
    if state.pending.is_empty() { Ok(()) } else { Err("the database is of another version: see db status".into()) }
}

/// A database that is there and is of this version.
async fn current(settings: &Settings) -> Result<Database, Fault> {
    check_schema(settings).await?;
    open_database(settings).await
}

async fn migrated(settings: &Settings) -> Result<Database, Fault> {
    let database = open_database(settings).await?;
    database.migrate().await?;
    Ok(database)
}

/// Makes sure that all who serve from the database learn what the others change.
async fn beside_others(settings: &Settings, options: &Serve) -> Result<Option<Membership>, Fault> {
    if options.allow_stale {
        return Ok(None);
    }
    let company = if settings.nats.is_some() { Company::Others } else { Company::Alone };
    let membership = Membership::take(settings.database_url.expose(), company).await?;
    let reason = match company {
        Company::Alone => {
            "another server serves from this database: set NATS_URL for all of them, or give --allow-stale"
        }
        Company::Others => {
            "a server without NATS_URL serves from this database, and would not learn what this one changes"
        }
    };
    membership.map(Some).ok_or_else(|| reason.into())
}

async fn open_platform(
    settings: &Settings,
    database: Database,
    clock: Option<TestClock>,
    bus: Option<NatsBus>,
) -> Result<Platform, Fault> {
    keys::make_data_dir(&settings.data_dir)?;
    let keys = keys::load(settings)?;
    let deployment = replicas::deployment(&database, &OsEntropy).await?;
    let builder = Platform::builder(database).keys(keys).hash_cost(settings.bcrypt_cost);
    let builder = builder.passwords(settings.password_rule).terms(settings.terms.clone());
    let builder = builder.tokens(settings.issuer.clone(), settings.audience.clone());
    let builder = builder.services(settings.services.clone());
    let builder = builder.soft_limits(settings.soft_limits.clone()).retention(settings.retention);
    let builder = builder.billing(settings.billing_issuer.clone()).lapses(settings.lapse_periods);
    let builder = builder.denominations(settings.denominations.clone());
    let builder = match clock {
        Some(clock) => builder.clock(clock),
        None => builder,
    };
    let builder = match (bus, settings.report_copies) {
        (Some(bus), Some(copies)) => builder.report_log(ReportStream::new(&bus, deployment, copies)).bus(bus),
        (Some(bus), None) => builder.bus(bus),
        (None, _) => builder,
    };
    Ok(builder.open().await?)
}

/// Takes up other keys whenever the process is told to read its settings again (SIGHUP). What cannot be used is said in
/// the log, and the keys in use stay.
fn replace_keys_when_told(platform: &Platform, written: Written) -> Result<(), Fault> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut told = signal(SignalKind::hangup())?;
        let platform = platform.clone();
        tokio::spawn(async move {
            while told.recv().await.is_some() {
                let replaced: Result<(), Fault> = Settings::load(written.clone())
                    .map_err(Fault::from)
                    .and_then(|settings| Ok(keys::reload(&settings)?))
                    .and_then(|keys| Ok(platform.replace_keys(keys)?));
                match replaced {
                    Ok(()) => tracing::info!("the keys were read again"),
                    Err(fault) => tracing::error!(error = chain(&*fault), "the keys could not be read again"),
                }
            }
        });
    }
    #[cfg(not(unix))]
    let _ = (platform, written);
    Ok(())
}

async fn serve_until_told(settings: &Settings, written: Written, options: &Serve) -> Result<(), Fault> {
    if options.demo && settings.environment == Environment::Production {
        return Err("--demo is refused in production".into());
    }
    if options.test_clock && settings.environment == Environment::Production {
        return Err("--test-clock is refused in production".into());
    }
    let clock = options.test_clock.then(TestClock::default);
    logging::start(settings.environment);
    let _lock = alone(settings)?;
    // Told to stop from here on, so that a stop during the start is not lost.
    let stop = stop_signal()?;
    // Before the tables are brought to this version: who is not to serve changes nothing.
    let membership = beside_others(settings, options).await?;
    let database = migrated(settings).await?;
    let bus = match &settings.nats {
        Some(nats) => Some(NatsBus::connect(nats).await?),
        None => None,
    };
    let platform = open_platform(settings, database.clone(), clock.clone(), bus).await?;
    replace_keys_when_told(&platform, written)?;
    let listener = TcpListener::bind(settings.listen).await?;
    let address = serve::address(&listener)?;
    let engine = Engine::new(platform.clone(), settings.engine.clone());
    let app = App::new(engine, settings.environment, settings.allowed_origins.clone());
    let app = app.behind(settings.trusted_proxies).with_source_rate(settings.source_rate).with_test_clock(clock);
    println!("listening on {address}");
    if options.demo {
        let (demo, account) = Demo::open(&platform, &settings.data_dir).await?;
        println!("{}", demo.message(&address));
        demo.meter(account, &address, settings, stop.clone());
    }
    serve::serve(app, listener, stop).await?;
    drop((platform, membership));
    // What was cut off may hold a connection for ever; all that matters is durable already.
    let _ = tokio::time::timeout(CLOSE_PATIENCE, database.close()).await;
    Ok(())
}

/// Cancelled by SIGINT or SIGTERM.
fn stop_signal() -> Result<CancellationToken, Fault> {
    let stop = CancellationToken::new();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            stop.cancel();
        });
    }
    #[cfg(not(unix))]
    {
        let stop = stop.clone();
        tokio::spawn(async move {
            let _ = tokio::signal::ctrl_c().await;
            stop.cancel();
        });
    }
    Ok(stop)
}

async fn status(settings: &Settings) -> Result<(), Fault> {
    let state = Database::inspect(settings.database_url.expose()).await?;
    state.applied.iter().for_each(|step| println!("applied  {step}"));
    state.pending.iter().for_each(|step| println!("pending  {step}"));
    partitions::print(settings).await
}

async fn reset(settings: &Settings) -> Result<(), Fault> {
    if settings.environment == Environment::Production {
        return Err("db reset is refused in production".into());
    }
    let _lock = alone(settings)?;
    let database = open_database(settings).await?;
    database.reset().await?;
    Platform::builder(database).open().await?;
    println!("the database is empty and ready");
    Ok(())
}

async fn create_key(settings: &Settings, role: Role, name: KeyName) -> Result<(), Fault> {
    let database = migrated(settings).await?;
    let platform = Platform::builder(database).open().await?;
    let created = platform.auth().create_key(&Context::system(), role, name).await?;
    println!("{}", created.token.expose());
    Ok(())
}

async fn examine(settings: &Settings) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for finding in doctor::examine(settings).await {
        match finding {
            Finding::Good(what) => println!("ok     {what}"),
            Finding::Fault(what) => {
                println!("fault  {what}");
                code = ExitCode::from(1);
            }
        }
    }
    code
}

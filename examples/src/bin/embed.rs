//! A program that meters itself and keeps to its own quota, on a SQLite file.
//!
//! `cargo run -p examples --bin embed`, with a folder for the file where it is to stay

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dimensionos_core::allocation::{Decision, Resource};
use dimensionos_core::auth::{Keys, Password};
use dimensionos_core::monitoring::collectors::{Collector, ProcessTree};
use dimensionos_core::monitoring::{Level, Metrics, Sample};
use dimensionos_core::users::{AccountEvent, Registration};
use dimensionos_core::{Code, Context, OsEntropy, Platform, Timestamp};
use dimensionos_store::Database;
use futures_util::{Stream, StreamExt};
use tokio::task::block_in_place;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let own = std::env::temp_dir().join(format!("dimensionos-embed-{}", std::process::id()));
    let folder = given.as_ref().unwrap_or(&own);
    std::fs::create_dir_all(folder)?;
    let done = run(&folder.join("embed.db")).await;
    if given.is_none() {
        std::fs::remove_dir_all(own)?;
    }
    done
}

async fn open(file: &Path, keys: Keys) -> Result<(Database, Platform), Box<dyn Error>> {
    let database = Database::connect(&Database::sqlite_url(file)).await?;
    database.migrate().await?;
    let platform = Platform::builder(database.clone()).keys(keys).open().await?;
    Ok((database, platform))
}

async fn run(file: &Path) -> Result<(), Box<dyn Error>> {
    // A program that signs anybody in keeps these from one run to the next, and not in the database.
    let keys = Keys::generate(&OsEntropy)?;
    let (database, platform) = open(file, keys.clone()).await?;
    // Whoever acts for itself, and not for somebody who signed in, is the system.
    let system = Context::system();

    // No address. To sign in, it would take the number that the answer shows this once; this program never does.
    let registration = Registration::new(None, Password::new("violet harbour kestrel 41")?);
    let account = platform.users().register(&Context::anonymous(), registration).await?.account;
    let calls = platform.allocation().of(&system, account.id).await?.api_calls_per_hour;
    println!("{} is on the tier {}, which has {calls} API calls an hour", account.id, account.tier.name());
    let listener = tokio::spawn(tell(platform.users().events(&system, account.id).await?));

    // What is reserved is nobody else's. Of the 50 calls of this batch 30 turn out to be needed; the rest is free again.
    let allocation = platform.allocation();
    let batch = allocation.reserve(&system, account.id, Resource::ApiCalls, 50, Duration::from_secs(60)).await?;
    let set_aside = batch.decision.require()?;
    allocation.commit(&system, account.id, batch.id, 30).await?;
    println!("a batch had {} calls set aside, and 30 of them were made", set_aside.used);

    let meter = platform.monitoring().meter(&system, account.id).await?;
    // Absent on a system without `/proc`: the calls are counted all the same.
    let mut process = ProcessTree::new(std::process::id()).inspect_err(|error| println!("{error}")).ok();
    let mut arrivals = tokio::time::interval(Duration::from_millis(1));
    for call in 1_u64.. {
        arrivals.tick().await;
        // Asked before the work, because what is allowed is counted with the asking.
        let decision = meter.consume(Resource::ApiCalls, 1, platform.clock().now()).await?;
        if !decision.is_allowed {
            println!("call {call} was refused: {}", in_words(&decision, platform.clock().now()));
            break;
        }
        // What the program does for its user goes here. Now and then it looks at what that takes.
        if let Some(process) = process.as_mut().filter(|_| call.is_multiple_of(100)) {
            let mut sample = Sample::at(platform.clock().now());
            block_in_place(|| process.collect(&mut sample))?;
            meter.record(&sample);
        }
    }

    // Quotas are looked at twice a second, so the last event may be a moment behind the refusal.
    tokio::time::timeout(Duration::from_secs(5), listener).await??;
    let before = platform.monitoring().metrics(&system, account.id).await?;
    println!("before it was closed: {}", figures(&before));
    // Makes durable what was recorded, and gives back what was granted to this process and not used.
    platform.close().await?;
    drop((platform, meter));
    database.close().await;

    let (database, platform) = open(file, keys).await?;
    let after = platform.monitoring().metrics(&system, account.id).await?;
    println!("opened again:         {}", figures(&after));
    println!("{}", if before == after { "the figures are the same" } else { "the figures differ" });
    platform.close().await?;
    drop(platform);
    database.close().await;
    Ok(())
}

/// Says what happens to the account's quotas, until one is used up.
async fn tell(events: impl Stream<Item = AccountEvent>) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        if let AccountEvent::QuotaCrossed { resource, percent, is_above: true, .. } = event {
            println!("event: {} is at {percent} % of its limit", resource.name());
            if percent == 100 {
                return;
            }
        }
    }
}

fn in_words(decision: &Decision, now: Timestamp) -> String {
    let amount = |amount: Option<u64>| amount.map_or_else(|| "without end".to_owned(), |amount| amount.to_string());
    let reset = match decision.resets_at {
        Some(at) => format!("some of it comes back in {} minutes, at {at}", at.since(now).as_secs().div_ceil(60)),
        None => "none of it comes back by itself".to_owned(),
    };
    format!(
        "{} of {}. The limit is {}, {} are used, {} remain; {reset}",
        decision.reason.map_or("no reason", Code::name),
        decision.resource.name(),
        amount(decision.limit),
        decision.used,
        amount(decision.remaining()),
    )
}

fn figures(metrics: &Metrics) -> String {
    let reading = |level: Level| Some(format!(", {} {}", level.name(), metrics.readings.of(level)?.value));
    let readings: String = Level::ALL.into_iter().filter_map(reading).collect();
    format!("{} API calls in the last hour{readings}", metrics.api_calls_per_hour)
}

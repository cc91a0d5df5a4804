//! A program that meters itself and asks its own quota, on a SQLite file.
//!
//! `cargo run -p examples --bin embed`

use std::error::Error;

use dimensionos_core::allocation::Resource;
use dimensionos_core::auth::{Keys, Password};
use dimensionos_core::monitoring::collectors::{Collector, ProcessTree};
use dimensionos_core::monitoring::{Counter, Sample};
use dimensionos_core::users::Registration;
use dimensionos_core::{Context, OsEntropy, Platform};
use dimensionos_store::Database;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("dimensionos-embed-{}.db", std::process::id()));
    let database = Database::connect(&format!("sqlite://{}", path.display())).await?;
    database.migrate().await?;
    // A real program keeps its keys beside the database, and not in it.
    let keys = Keys::generate(&OsEntropy)?;
    let platform = Platform::builder(database.clone()).keys(keys).open().await?;

    let password = Password::new("violet harbour kestrel 41")?;
    let registered = platform.users().register(&Context::anonymous(), Registration::new(None, password)).await?;
    let account = registered.account.id;
    let system = Context::system();
    let meter = platform.monitoring().meter(&system, account).await?;

    let mut process = ProcessTree::new(std::process::id())?;
    for call in 1..=1_005_u64 {
        // What a real program does for its user goes here; this one only asks whether it still may.
        let quota = platform.allocation().check(&system, account, Resource::ApiCalls, 1).await?;
        match quota.require() {
            Ok(_) => {
                let mut sample = Sample::at(platform.clock().now()).with_added(Counter::ApiCalls, 1);
                if call.is_multiple_of(250) {
                    process.collect(&mut sample)?;
                }
                meter.record(&sample);
            }
            Err(refused) => {
                println!("call {call}: {refused}");
                break;
            }
        }
    }
    platform.monitoring().flush().await?;
    let metrics = platform.monitoring().metrics(&system, account).await?;
    println!("{} calls in the last hour, {:?}", metrics.api_calls_per_hour, metrics.readings);
    drop((platform, meter));
    database.close().await;
    std::fs::remove_file(path)?;
    Ok(())
}

//! `db partition`: usage in partitions, and what `db status` says of them.

use dimensionos_core::{Clock, SystemClock};
use dimensionos_store::{Company, Database, Membership, Partitioning, UsagePartitions};

use crate::cli::{Fault, current};
use crate::config::Settings;

/// Divides usage into partitions where it is one table, and says what was done. Refused while a server runs: whoever
/// waits for the table meanwhile would find nothing in the new one, for its rows are younger than what it reads.
pub(super) async fn divide(settings: &Settings) -> Result<(), Fault> {
    let database = current(settings).await?;
    let alone = Membership::take(settings.database_url.expose(), Company::Alone).await?;
    if alone.is_none() && !database.is_partitioned().await? {
        return Err("a server is running on this database: stop all of them first".into());
    }
    let divided = database.partition_usage(&settings.retention, SystemClock.now()).await?;
    database.close().await;
    drop(alone);
    match divided {
        Partitioning::Divided { rows, partitions } => {
            println!("usage is partitioned, {rows} rows: {}", told(partitions));
        }
        Partitioning::Already(partitions) => println!("usage was partitioned before: {}", told(partitions)),
    }
    Ok(())
}

/// Prints how usage is kept. Changes nothing.
pub(super) async fn print(settings: &Settings) -> Result<(), Fault> {
    let database = Database::open_for_reading(settings.database_url.expose()).await?;
    let partitions = database.usage_partitions().await?;
    database.close().await;
    match partitions {
        Some(partitions) => println!("usage    partitioned: {}", told(partitions)),
        None => println!("usage    not partitioned"),
    }
    Ok(())
}

fn told(UsagePartitions { minutes, hours, days }: UsagePartitions) -> String {
    format!("{minutes} of minutes, {hours} of hours, {days} of days")
}

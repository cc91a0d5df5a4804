//! `operator tiers`: what tiers grant and will, and changing it.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use dimensionos_core::allocation::{
    Allocation, DatabaseEngine, TierChange, TierExcess, TierName, TierPlan, TierVersion, TierVersionState,
};
use dimensionos_core::{Context, Platform, Timestamp};
use serde::{Deserialize, Deserializer};

use crate::billing::instant;
use crate::cli::{Fault, current, table};
use crate::config::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Tiers {
    /// Print what every tier granted, grants and will grant
    List,
    /// Print what a change would do, and to whom; changes nothing
    Plan(Change),
    /// Change a tier from a date on, in every server on the database; prints the plan first
    Apply {
        #[command(flatten)]
        change: Change,
        /// Really do it
        #[arg(long, required = true)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct Change {
    /// A JSON object with "tier" and what is to change of it: cpuMillicores, ramMegabytes, storageGigabytes,
    /// bandwidthBitsPerSecond, database, apiCallsPerHour, fileOperationsPerHour, priceCentsPerMonth, trialDays. What is left
    /// out stays as it is
    #[arg(long)]
    file: PathBuf,
    /// From when on: a date such as 2027-01-31, or an instant in RFC 3339; a minute ahead at least
    #[arg(long, value_parser = instant)]
    from: Timestamp,
}

/// A change as it is written in a file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenChange {
    #[serde(deserialize_with = "tier")]
    tier: TierName,
    cpu_millicores: Option<u64>,
    ram_megabytes: Option<u64>,
    storage_gigabytes: Option<u64>,
    bandwidth_bits_per_second: Option<u64>,
    #[serde(default, deserialize_with = "engine")]
    database: Option<DatabaseEngine>,
    api_calls_per_hour: Option<u64>,
    file_operations_per_hour: Option<u64>,
    price_cents_per_month: Option<u64>,
    trial_days: Option<u32>,
}

fn tier<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TierName, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map_err(|_| serde::de::Error::custom("tier: not FREE, STARTER, PRO or ENTERPRISE"))
}

fn engine<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DatabaseEngine>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?;
    let unknown =
        |_| serde::de::Error::custom("database: not SQLITE, POSTGRESQL, POSTGRESQL_CLUSTER or POSTGRESQL_REDIS");
    name.map(|name| name.parse().map_err(unknown)).transpose()
}

impl Change {
    fn read(&self) -> Result<TierChange, Fault> {
        let unreadable = |file: &Path, why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
        let text = std::fs::read_to_string(&self.file).map_err(|error| unreadable(&self.file, &error))?;
        let written: WrittenChange = serde_json::from_str(&text).map_err(|error| unreadable(&self.file, &error))?;
        Ok(TierChange {
            tier: written.tier,
            effective_from: self.from,
            cpu_millicores: written.cpu_millicores,
            ram_megabytes: written.ram_megabytes,
            storage_gigabytes: written.storage_gigabytes,
            bandwidth_bits_per_second: written.bandwidth_bits_per_second,
            database: written.database,
            api_calls_per_hour: written.api_calls_per_hour,
            file_operations_per_hour: written.file_operations_per_hour,
            price_cents_per_month: written.price_cents_per_month,
            trial_days: written.trial_days,
        })
    }
}

/// Does one of the commands.
pub(super) async fn run(settings: &Settings, command: Tiers) -> Result<(), Fault> {
    // Before the database is touched.
    let change = match &command {
        Tiers::List => None,
        Tiers::Plan(change) | Tiers::Apply { change, .. } => Some(change.read()?),
    };
    let platform = Platform::builder(current(settings).await?).open().await?;
    let (allocation, system) = (platform.allocation(), Context::system());
    let Some(change) = change else {
        list(&allocation.tier_versions(&system).await?, platform.clock().now());
        return Ok(());
    };
    print(&allocation.plan_tier(&system, &change).await?);
    if let Tiers::Apply { .. } = command {
        let applied = allocation.apply_tier(&system, &change).await?;
        println!("applied: version {} of {}", applied.version, applied.allocation.tier.name());
    }
    Ok(())
}

/// What a tier has figures of.
const FIGURES: [&str; 9] = [
    "cpuMillicores",
    "ramMegabytes",
    "storageGigabytes",
    "bandwidthBitsPerSecond",
    "database",
    "apiCallsPerHour",
    "fileOperationsPerHour",
    "priceCentsPerMonth",
    "trialDays",
];

fn figures(allocation: &Allocation) -> [String; FIGURES.len()] {
    [
        allocation.cpu_millicores.to_string(),
        allocation.ram_megabytes.to_string(),
        allocation.storage_gigabytes.to_string(),
        allocation.bandwidth_bits_per_second.to_string(),
        allocation.database.name().to_owned(),
        allocation.api_calls_per_hour.to_string(),
        allocation.file_operations_per_hour.to_string(),
        allocation.price_cents_per_month.to_string(),
        allocation.trial_days.map_or_else(|| "-".to_owned(), |days| days.to_string()),
    ]
}

/// A block for each version, oldest first.
fn list(versions: &[TierVersion], now: Timestamp) {
    const COLUMNS: usize = 4 + FIGURES.len();
    let row = |head: [&str; 4], figures: [String; FIGURES.len()]| -> [String; COLUMNS] {
        let mut cells = head.map(str::to_owned).into_iter().chain(figures);
        std::array::from_fn(|_| cells.next().unwrap_or_default())
    };
    let mut rows = vec![row(["tier", "version", "state", "from"], FIGURES.map(str::to_owned))];
    rows.extend(versions.iter().map(|version| {
        let state = match version.state(versions, now) {
            TierVersionState::Former => "former",
            TierVersionState::InForce => "in force",
            TierVersionState::Upcoming => "upcoming",
            TierVersionState::Replaced => "replaced",
        };
        let number = version.version.to_string();
        let from = match version.effective_from {
            Timestamp::EPOCH => "always".to_owned(),
            from => from.to_string(),
        };
        row([version.allocation.tier.name(), &number, state, &from], figures(&version.allocation))
    }));
    table::print(&rows);
}

fn print(plan: &TierPlan) {
    let TierPlan { present, proposed, replaced, accounts, excesses } = plan;
    let name = proposed.allocation.tier.name();
    println!(
        "{name}: version {} from {}, after version {}",
        proposed.version, proposed.effective_from, present.version
    );
    let (before, after) = (figures(&present.allocation), figures(&proposed.allocation));
    for (figure, (before, after)) in FIGURES.iter().zip(before.iter().zip(&after)) {
        if before != after {
            println!("  {figure}: {before} -> {after}");
        }
    }
    for version in replaced {
        println!("  version {version}, which has not begun, never will");
    }
    println!("accounts on {name}: {accounts}");
    excesses.iter().for_each(print_excess);
}

fn print_excess(excess: &TierExcess) {
    let TierExcess { resource, old_limit, new_limit, accounts, heaviest } = excess;
    let name = resource.name();
    println!("{name}: its limit falls from {old_limit} to {new_limit}; accounts past that now: {accounts}");
    for user in heaviest {
        println!("  {}  {}", user.account, user.used);
    }
    let named = heaviest.len() as u64;
    if *accounts > named {
        println!("  and {} more", accounts - named);
    }
}

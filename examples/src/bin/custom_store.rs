//! A platform on a storage of one's own, that loses nothing it has acknowledged: [`examples::journal`].
//!
//! `cargo run -p examples --bin custom_store`

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use dimensionos_core::allocation::{LimitOverride, Resource};
use dimensionos_core::auth::{Keys, Password};
use dimensionos_core::users::Registration;
use dimensionos_core::{AccountId, Context, OsEntropy, Platform};
use examples::journal::{JournalError, JournalStore};

const SYSTEM: Context = Context::system();

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("dimensionos-journal-{}", std::process::id()));
    let done = run(&folder).await;
    fs::remove_dir_all(folder)?;
    done
}

async fn run(folder: &Path) -> Result<(), Box<dyn Error>> {
    let keys = Keys::generate(&OsEntropy)?;
    let journal = folder.join("journal");
    let platform = open(folder, &keys).await?;
    let registration = Registration::new(None, Password::new("violet harbour kestrel 41")?);
    let account = platform.users().register(&Context::anonymous(), registration).await?.account.id;
    let meter = platform.monitoring().meter(&SYSTEM, account).await?;
    for _ in 0..7 {
        meter.consume(Resource::ApiCalls, 1, platform.clock().now()).await?.require()?;
    }
    platform.close().await?;
    println!("with 7 API calls:         {}", standing(&platform, account).await?);
    if let Err(refused) = JournalStore::open(folder).await {
        println!("a second store:           {refused}");
    }

    let until = platform.clock().now().after(Duration::from_hours(1));
    let own = LimitOverride { resource: Resource::ApiCalls, limit: 5_000, until };
    platform.allocation().set_override(&SYSTEM, account, own).await?;
    println!("with a limit of its own:  {}", standing(&platform, account).await?);
    drop((platform, meter));

    let platform = open(folder, &keys).await?;
    println!("opened again:             {}", standing(&platform, account).await?);
    drop(platform);
    drop(store(folder).await?);

    // What a power cut leaves of a commit that was on its way: the last line up to somewhere.
    let (lines, bytes) = size(&journal)?;
    println!("the journal:              {lines} lines, {bytes} bytes");
    let file = fs::read(&journal)?;
    let limit = file.windows(12).rposition(|word| word == b"set_override").ok_or("the limit is not in the journal")?;
    fs::write(&journal, &file[..limit])?;
    let platform = open(folder, &keys).await?;
    println!("cut off within the limit: {}", standing(&platform, account).await?);
    Ok(())
}

async fn open(folder: &Path, keys: &Keys) -> Result<Platform, Box<dyn Error>> {
    Ok(Platform::builder(store(folder).await?).keys(keys.clone()).open().await?)
}

/// Opens the folder, once the platform before has let go of it: a moment after its last handle is dropped.
async fn store(folder: &Path) -> Result<JournalStore, JournalError> {
    loop {
        match JournalStore::open(folder).await {
            Err(JournalError::InUse) => tokio::time::sleep(Duration::from_millis(10)).await,
            opened => return opened,
        }
    }
}

async fn standing(platform: &Platform, account: AccountId) -> Result<String, dimensionos_core::Error> {
    let calls = platform.allocation().check(&SYSTEM, account, Resource::ApiCalls, 1).await?;
    Ok(format!("{} of {} used", calls.used, calls.limit.unwrap_or_default()))
}

fn size(journal: &Path) -> std::io::Result<(usize, usize)> {
    let text = fs::read_to_string(journal)?;
    Ok((text.lines().count(), text.len()))
}

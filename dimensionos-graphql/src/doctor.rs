//! Looks at everything a server needs before it starts.

use std::path::Path;

use dimensionos_core::auth::{KeyId, Pepper};
use dimensionos_core::store::{Access, Store};
use dimensionos_core::{Clock, SystemClock, Timestamp};
use dimensionos_store::Database;

use crate::bus::NatsBus;
use crate::config::{Environment, Settings};
use crate::keys::{self, KeyError};

/// One thing that was looked at.
pub(crate) enum Finding {
    Good(String),
    Fault(String),
}

/// A clock before this is wrong: it is when the first schema was made.
const EARLIEST: Timestamp = Timestamp::from_millis(1_795_305_600_000);

/// Everything that was found. Nothing is made or changed.
pub(crate) async fn examine(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![Finding::Good(format!("configuration: {:?}", settings.environment).to_lowercase())];
    let files = [keys::PEPPER_FILE, keys::SIGNING_FILE, keys::TOMBSTONE_FILE, keys::VOUCHER_FILE, keys::BILLING_FILE];
    findings.extend(files.map(|name| key(settings, name)));
    findings.extend(folder(&settings.data_dir));
    findings.extend(database(settings).await);
    findings.extend(nats(settings).await);
    findings.push(appeals(settings));
    findings.push(clock(SystemClock.now()));
    findings
}

fn key(settings: &Settings, name: &str) -> Finding {
    let is_given = match name {
        keys::PEPPER_FILE => settings.peppers.is_some(),
        keys::SIGNING_FILE => settings.signing_keys.is_some(),
        keys::BILLING_FILE => settings.billing_public_keys.is_some(),
        keys::VOUCHER_FILE => settings.voucher_keys.is_some() || settings.environment == Environment::Production,
        _ => settings.tombstone_keys.is_some() || settings.environment == Environment::Production,
    };
    let path = settings.data_dir.join(name);
    let what = name.trim_end_matches(".key");
    if is_given {
        return Finding::Good(format!("{what} key: given"));
    }
    match keys::count(&path) {
        Ok(count) => private(&path, format!("{what} key: {count} in {}", path.display())),
        Err(KeyError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Finding::Good(format!("{what} key: none yet, made at the first start"))
        }
        Err(error) => Finding::Fault(format!("{what} key: {error}")),
    }
}

/// Good where nobody but the owner may read the file.
fn private(path: &Path, good: String) -> Finding {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path).map(|metadata| metadata.permissions().mode() & 0o777);
        match mode {
            Ok(mode) if mode & 0o077 == 0 => Finding::Good(good),
            Ok(mode) => Finding::Fault(format!("{}: mode {mode:03o}, others may read it; make it 600", path.display())),
            Err(error) => Finding::Fault(format!("{}: {}", path.display(), error.kind())),
        }
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Finding::Good(good)
    }
}

fn folder(data_dir: &Path) -> Option<Finding> {
    match std::fs::metadata(data_dir) {
        Ok(metadata) if metadata.is_dir() => None,
        Ok(_) => Some(Finding::Fault(format!("data folder: {} is no folder", data_dir.display()))),
        Err(_) => Some(Finding::Good(format!("data folder: {} is made at the first start", data_dir.display()))),
    }
}

async fn database(settings: &Settings) -> Vec<Finding> {
    let url = settings.database_url.expose();
    let path = Database::sqlite_path(url);
    if path.as_ref().is_some_and(|path| !path.exists()) {
        return vec![Finding::Good("database: none yet, made at the first start".to_owned())];
    }
    let state = match Database::inspect(url).await {
        Ok(state) if state.pending.is_empty() => {
            Finding::Good("database: answers, and its schema is current".to_owned())
        }
        Ok(state) => {
            Finding::Good(format!("database: answers; {} steps are applied at the next start", state.pending.len()))
        }
        Err(error) => Finding::Fault(format!("database: {}", crate::cli::chain(&error))),
    };
    let peppers = by_pepper(settings).await;
    let vouchers = vouchers(settings).await;
    let mode = path.map(|path| private(&path, format!("database: in {}", path.display())));
    mode.into_iter().chain([state]).chain(peppers).chain(vouchers).collect()
}

/// Whether NATS answers, where servers tell one another over it; and whether it keeps reports, where it is to.
async fn nats(settings: &Settings) -> Option<Finding> {
    let bus = match NatsBus::connect(settings.nats.as_ref()?).await {
        Ok(bus) => bus,
        Err(error) => return Some(Finding::Fault(format!("NATS: {}", crate::cli::chain(&error)))),
    };
    Some(match (bus.answers().await, settings.report_copies) {
        (false, _) => Finding::Fault("NATS: does not answer, or lets nobody in under these credentials".to_owned()),
        (true, None) => Finding::Good("NATS: answers".to_owned()),
        (true, Some(_)) if bus.has_streams().await => Finding::Good("NATS: answers, and keeps streams".to_owned()),
        (true, Some(_)) => Finding::Fault("NATS: keeps no streams; JetStream is off".to_owned()),
    })
}

/// How many accounts are found under each pepper. One that has accounts and is not among the keys locks them out; one
/// that has none left may go.
async fn by_pepper(settings: &Settings) -> Vec<Finding> {
    let counted = async {
        let database = Database::open_for_reading(settings.database_url.expose()).await.ok()?;
        let counts = database.begin(Access::Read).await.ok()?.accounts_by_pepper().await.ok()?;
        database.close().await;
        Some(counts)
    };
    // A database that cannot be read, or has no tables yet, has been told of.
    let counts = counted.await.unwrap_or_default();
    let known: Vec<KeyId> = keys::peppers(settings).unwrap_or_default().iter().map(Pepper::id).collect();
    let unused = known.iter().filter(|id| !counts.iter().any(|(used, _)| used == *id)).map(|id| (*id, 0));
    let all = counts.iter().copied().chain(unused);
    all.map(|(id, count)| match known.iter().position(|known| *known == id) {
        Some(0) => Finding::Good(format!("pepper {id}: {count} accounts, and new ones")),
        Some(_) => Finding::Good(format!("pepper {id}: {count} accounts until they sign in again")),
        None => {
            Finding::Fault(format!("pepper {id}: {count} accounts, and it is not among the keys: they cannot sign in"))
        }
    })
    .collect()
}

/// Whether the keys are those that vouchers were sold under. Without them nothing is sold or redeemed.
async fn vouchers(settings: &Settings) -> Option<Finding> {
    let published = async {
        let database = Database::open_for_reading(settings.database_url.expose()).await.ok()?;
        let published = database.begin(Access::Read).await.ok()?.voucher_keys().await.ok()?;
        database.close().await;
        Some(published)
    };
    let (published, keys) = (published.await?, keys::reload(settings).ok()?);
    let strange = published.iter().filter(|published| !keys.makes(**published)).count();
    match (published.len(), strange) {
        (0, _) => None,
        (all, 0) => Some(Finding::Good(format!("vouchers: {all} public keys, all made by the keys here"))),
        (_, strange) => Some(Finding::Fault(format!(
            "vouchers: {strange} public keys are made by none of the keys here: their vouchers cannot be sold or redeemed"
        ))),
    }
}

/// Whether holders can say anything with an appeal: without a key there is nobody to seal it to.
fn appeals(settings: &Settings) -> Finding {
    Finding::Good(match &settings.engine.appeal_recipient {
        Some(recipient) => format!("appeals: statements are sealed to {recipient}"),
        None => "appeals: no key to seal statements to; APPEAL_RECIPIENT names one".to_owned(),
    })
}

fn clock(now: Timestamp) -> Finding {
    if now < EARLIEST {
        Finding::Fault(format!("clock: {now} is in the past"))
    } else {
        Finding::Good(format!("clock: {now}"))
    }
}

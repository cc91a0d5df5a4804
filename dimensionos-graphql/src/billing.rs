//! A billing issuer for development: makes its key, and attests payments with it. In production another program does both,
//! and this server has the public half alone.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use dimensionos_core::allocation::TierName;
use dimensionos_core::auth::BillingKey;
use dimensionos_core::payment::{Attester, Grant};
use dimensionos_core::{AccountId, Clock, OsEntropy, SystemClock, Timestamp};

use crate::cli::Fault;
use crate::config::Settings;
use crate::keys;

/// How long an attestation can be shown, where nothing else is said.
const VALID_FOR: Duration = Duration::from_hours(24);

#[derive(Debug, Subcommand)]
pub(crate) enum Billing {
    /// Make the key of a billing issuer, where there is none yet, and print its public half
    Keygen,
    /// Print an attestation that an account is paid for, which `reportPayment` takes
    Attest(Attest),
}

#[derive(Debug, Args)]
pub(crate) struct Attest {
    /// Whose account
    #[arg(long)]
    account: AccountId,
    /// For which tier: STARTER, PRO or ENTERPRISE
    #[arg(long, value_parser = paid_tier)]
    tier: TierName,
    /// Until when: a date such as 2027-01-31, or an instant in RFC 3339
    #[arg(long, value_parser = instant)]
    until: Timestamp,
    /// The billing key, where it is not the data folder's
    #[arg(long)]
    key: Option<PathBuf>,
    /// From which instant on it can be shown, for a day; now when left out
    #[arg(long, value_parser = instant)]
    at: Option<Timestamp>,
}

fn paid_tier(text: &str) -> Result<TierName, String> {
    match text.parse() {
        Ok(TierName::Free) | Err(_) => Err("not STARTER, PRO or ENTERPRISE".to_owned()),
        Ok(tier) => Ok(tier),
    }
}

/// A date or an instant as it is written on the command line.
pub(crate) fn instant(text: &str) -> Result<Timestamp, String> {
    let day = || format!("{text}T00:00:00Z").parse();
    text.parse()
        .or_else(|_| day())
        .map_err(|_| "neither a date such as 2027-01-31 nor an instant in RFC 3339".to_owned())
}

/// Does one of the commands.
pub(crate) fn run(settings: &Settings, command: Billing) -> Result<(), Fault> {
    match command {
        Billing::Keygen => {
            keys::make_data_dir(&settings.data_dir)?;
            let key = keys::billing(settings)?;
            println!("{}", key.public()?);
        }
        Billing::Attest(Attest { account, tier, until, key, at }) => {
            let key: BillingKey = match key {
                Some(path) => keys::billing_from(&path)?,
                None => keys::billing_from(&settings.data_dir.join(keys::BILLING_FILE))?,
            };
            let (issuer, audience) = (settings.billing_issuer.clone(), settings.audience.clone());
            let attester = Attester { key, issuer, audience };
            let now = at.unwrap_or_else(|| SystemClock.now());
            let grant = Grant::Account { account, tier, until };
            println!("{}", attester.attest(grant, now, VALID_FOR, &OsEntropy)?);
        }
    }
    Ok(())
}

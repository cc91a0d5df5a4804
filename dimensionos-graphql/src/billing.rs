//! A billing issuer for development: makes its key, and attests payments with it. In production another program does both,
//! and this server has the public half alone.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use dimensionos_core::allocation::TierName;
use dimensionos_core::auth::BillingKey;
use dimensionos_core::payment::voucher::{Denomination, MAX_VOUCHERS};
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
    /// Print an attestation that an account is paid for, which `reportPayment` takes, or that vouchers are, which
    /// `issueVouchers` takes
    Attest(Attest),
}

/// What an attestation for an account has nothing of.
const FOR_VOUCHERS: [&str; 2] = ["vouchers", "denomination"];

#[derive(Debug, Args)]
pub(crate) struct Attest {
    /// Whose account
    #[arg(long, requires_all = ["tier", "until"], required_unless_present = "vouchers", conflicts_with_all = FOR_VOUCHERS)]
    account: Option<AccountId>,
    /// For which tier: STARTER, PRO or ENTERPRISE
    #[arg(long, value_parser = paid_tier, requires = "account", conflicts_with_all = FOR_VOUCHERS)]
    tier: Option<TierName>,
    /// Until when: a date such as 2027-01-31, or an instant in RFC 3339
    #[arg(long, value_parser = instant, requires = "account", conflicts_with_all = FOR_VOUCHERS)]
    until: Option<Timestamp>,
    /// In place of an account: how many vouchers, 100 at most
    #[arg(long, value_name = "N", value_parser = count, requires = "denomination")]
    vouchers: Option<usize>,
    /// What each voucher is for, such as STARTER:30 for 30 days
    #[arg(long, requires = "vouchers")]
    denomination: Option<Denomination>,
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

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=MAX_VOUCHERS).contains(count));
    count.ok_or_else(|| format!("not 1 to {MAX_VOUCHERS}"))
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
        Billing::Attest(Attest { account, tier, until, vouchers, denomination, key, at }) => {
            let key: BillingKey = match key {
                Some(path) => keys::billing_from(&path)?,
                None => keys::billing_from(&settings.data_dir.join(keys::BILLING_FILE))?,
            };
            let (issuer, audience) = (settings.billing_issuer.clone(), settings.audience.clone());
            let attester = Attester { key, issuer, audience };
            let now = at.unwrap_or_else(|| SystemClock.now());
            let for_account = account.zip(tier).zip(until);
            let for_account = for_account.map(|((account, tier), until)| Grant::Account { account, tier, until });
            let for_vouchers = denomination.zip(vouchers);
            let for_vouchers = for_vouchers.map(|(denomination, count)| Grant::Vouchers { denomination, count });
            // The command line has either all of the one or all of the other.
            let grant = for_account.or(for_vouchers).ok_or("neither an account nor vouchers")?;
            println!("{}", attester.attest(grant, now, VALID_FOR, &OsEntropy)?);
        }
    }
    Ok(())
}

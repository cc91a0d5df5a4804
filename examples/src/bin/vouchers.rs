//! Buys prepaid time blind, waits, and redeems it for an account that the purchase does not lead to. The clock is moved
//! in place of waiting.
//!
//! `cargo run -p examples --bin vouchers`

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use dimensionos_core::auth::{Audience, BillingKey, Keys, Password};
use dimensionos_core::payment::voucher::{Denomination, Order, Voucher};
use dimensionos_core::payment::{Attester, BillingIssuer, Grant};
use dimensionos_core::secret::BearerToken;
use dimensionos_core::users::Registration;
use dimensionos_core::{Clock, Context, MemoryStore, OsEntropy, Platform, SystemClock, Timestamp};

const DAY: Duration = Duration::from_hours(24);

/// Today's clock, set ahead by hand.
#[derive(Debug, Clone, Default)]
struct Ahead(Arc<AtomicI64>);

impl Ahead {
    fn wait(&self, days: u32) {
        self.0.fetch_add(i64::from(days), Ordering::SeqCst);
    }
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        let days = u32::try_from(self.0.load(Ordering::SeqCst)).unwrap_or_default();
        SystemClock.now().after(DAY * days)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The billing system is another program on another machine: only its public key is here.
    let (issuer, audience) = (BillingIssuer::default(), Audience::default());
    let billing = Attester { key: BillingKey::generate(&OsEntropy)?, issuer, audience };
    let keys = Keys::generate(&OsEntropy)?.with_billing(vec![billing.key.public()?]);
    let clock = Ahead::default();
    let platform = Platform::builder(MemoryStore::new()).clock(clock.clone()).keys(keys).open().await?;

    // Somebody has paid for three months of STARTER, and nobody has said for whom.
    let month: Denomination = "STARTER:30".parse()?;
    let paid = billing.attest(Grant::Vouchers { denomination: month, count: 3 }, clock.now(), DAY, &OsEntropy)?;
    let kept = buy(&platform, &paid, month).await?;

    // What hides a purchase is how many others buy before the voucher is redeemed.
    clock.wait(11);

    // Another day, another connection, and any account at all.
    let registration = Registration::new(None, Password::new("violet harbour kestrel 41")?);
    let registered = platform.users().register(&Context::anonymous(), registration).await?;
    let token = BearerToken::new(registered.tokens.access_token.expose());
    let ada = Context::new(platform.auth().caller(&token).await?);
    let voucher: Voucher = kept[1].parse()?;
    let account = platform.payment().redeem_voucher(&ada, &voucher).await?;
    let until = platform.payment().state_of(&account).paid_until.map_or_else(String::new, |until| until.to_string());
    println!("{} is on {} until {until}", account.id, account.tier.name());

    match platform.payment().redeem_voucher(&ada, &voucher).await {
        Ok(_) => return Err("a voucher was redeemed twice".into()),
        Err(refusal) => println!("the same voucher again: {}", refusal.code().name()),
    }
    platform.close().await?;
    Ok(())
}

/// What a buyer's own program does. It asks for nothing that names its user, and is not signed in.
async fn buy(platform: &Platform, paid: &str, month: Denomination) -> Result<Vec<String>, Box<dyn Error>> {
    let order = Order::new(month, 3, platform.clock().now(), &OsEntropy)?;
    // To a file, before anything is sent: an attestation buys once, and the answer may be lost.
    let file = order.expose();

    // Over the wire it is `issueVouchers`, with these texts.
    let texts = order.blinded().texts();
    println!("the server is shown {} and two more", texts[0]);
    let _lost = platform.payment().issue_vouchers(paid, order.blinded()).await?;

    // The answer never came. The same order is sent again, and answered again.
    let order: Order = file.parse()?;
    let issued = platform.payment().issue_vouchers(paid, order.blinded()).await?;
    // Asked for another day, from elsewhere: everybody has to be shown the same.
    let published = platform.payment().voucher_keys().await?;
    let vouchers = order.finish(&issued, &published)?;
    println!("{} vouchers under the key {}", vouchers.len(), issued.key.public_key);
    Ok(vouchers.iter().map(|voucher| voucher.expose().to_string()).collect())
}

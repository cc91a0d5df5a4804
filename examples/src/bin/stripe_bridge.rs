//! Stands between a shop's payment provider and a deployment, and lets one attestation through: verifies a webhook in
//! Stripe's form, and attests what was paid for to whom. It runs where the deployment does not, and what it knows of the
//! payment (name, card, amount, customer) ends here.
//!
//! As a CGI program would be, it is given the body on standard input and the header in the environment; it prints the
//! attestation, which an operator's `reportPayment` takes:
//!
//! ```sh
//! export STRIPE_WEBHOOK_SECRET=whsec_… PRICES=price_1AbC=STARTER:30,price_2DeF=PRO:365 BILLING_KEY_FILE=data/billing.key
//! HTTP_STRIPE_SIGNATURE=t=…,v1=… stripe_bridge < body
//! ```
//!
//! The shop puts the account's id into the checkout session's `client_reference_id`, and the price's id into its metadata
//! as `price`. An event that is sent again gives the very same attestation, which counts once.

use std::error::Error;
use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use dimensionos_core::auth::{Audience, BillingKey};
use dimensionos_core::payment::{Attester, BillingIssuer, Grant};
use dimensionos_core::{Clock, Entropy, EntropyError, SystemClock};
use examples::stripe::{MAX_BODY_BYTES, Paid, Prices, paid, verify};
use zeroize::Zeroizing;

/// How long an attestation can be shown: as long as Stripe goes on sending an event, and some days more.
const VALID_FOR: Duration = Duration::from_hours(7 * 24);
const DAY: Duration = Duration::from_hours(24);

fn main() -> ExitCode {
    match attestation() {
        Ok(attestation) => {
            println!("{attestation}");
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            // What was sent is not repeated: it is a payment.
            eprintln!("refused: {refusal}");
            ExitCode::FAILURE
        }
    }
}

fn attestation() -> Result<String, Box<dyn Error>> {
    let secret = Zeroizing::new(setting("STRIPE_WEBHOOK_SECRET")?);
    let prices: Prices = setting("PRICES")?.parse()?;
    let key: BillingKey = Zeroizing::new(std::fs::read_to_string(setting("BILLING_KEY_FILE")?)?).trim().parse()?;
    let mut body = Vec::new();
    std::io::stdin().take(MAX_BODY_BYTES + 1).read_to_end(&mut body)?;
    if body.len() as u64 > MAX_BODY_BYTES {
        return Err("the webhook is too long".into());
    }
    // Before any of it is read: until then it is a stranger's.
    verify(&secret, &setting("HTTP_STRIPE_SIGNATURE")?, &body, SystemClock.now())?;
    let paid = paid(&secret, &body, &prices)?;
    let attester = Attester { key, issuer: BillingIssuer::default(), audience: Audience::default() };
    Ok(attest(&attester, &paid)?)
}

fn setting(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("{name} is not set"))
}

/// Everything in it follows from the payment, and nothing from when it is heard of.
fn attest(attester: &Attester, paid: &Paid) -> Result<String, dimensionos_core::Error> {
    let until = paid.at.after(DAY * u32::from(paid.sold.days()));
    let grant = Grant::Account { account: paid.account, tier: paid.sold.tier(), until };
    attester.attest(grant, paid.at, VALID_FOR, &Named(paid.name))
}

/// Chance in which an attestation's `jti` is drawn: none, but the payment's own name.
#[derive(Debug)]
struct Named([u8; 16]);

impl Entropy for Named {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let name = self.0.get(..bytes.len()).ok_or(EntropyError)?;
        bytes.copy_from_slice(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dimensionos_core::{AccountId, Timestamp};

    const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn attested(name: u8) -> String {
        let (issuer, audience) = (BillingIssuer::default(), Audience::default());
        let attester = Attester { key: BillingKey::from_bytes([7; 32]), issuer, audience };
        let paid = Paid { account: AccountId::from_bits(1), sold: "PRO:30".parse().unwrap(), at: AT, name: [name; 16] };
        attest(&attester, &paid).unwrap()
    }

    #[test]
    fn a_payment_gives_one_attestation_however_often_it_is_heard_of() {
        assert_eq!(attested(1), attested(1));
        assert_ne!(attested(1), attested(2));
    }
}

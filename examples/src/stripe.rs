//! Webhooks in Stripe's form: whether one is signed, and the little of it that leaves the bridge.

use std::str::FromStr;
use std::time::Duration;

use dimensionos_core::payment::voucher::Denomination;
use dimensionos_core::{AccountId, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

/// How far a webhook's time may lie from this clock's, to either side: what Stripe's own libraries allow, and as long as
/// one that was overheard is good for anything.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// Bytes a webhook may have; Stripe's have some thousands.
pub const MAX_BODY_BYTES: u64 = 1 << 20;

/// Signatures in one header that are looked at: two while a secret is being replaced, and some to spare.
const MAX_SIGNATURES: usize = 8;

/// Why a webhook buys nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The header is not `t=SECONDS,v1=HEX`.
    #[error("the signature's header cannot be read")]
    Malformed,
    /// No signature of it is one over this body at that time.
    #[error("no signature is one of this body")]
    Forged,
    /// It was signed too long ago.
    #[error("the webhook was signed more than five minutes ago")]
    Old,
    /// It was signed too far ahead.
    #[error("the webhook was signed more than five minutes from now")]
    Future,
    /// It is signed, and says nothing of a payment that has been made.
    #[error("the webhook is of no payment that has been made")]
    NoPayment,
    /// It is signed, and names no account of ours.
    #[error("the payment names no account")]
    NoAccount,
    /// It is signed, and for something else than is sold here.
    #[error("the payment is for no price that is sold here")]
    NoPrice,
}

/// Whether `header` signs `body`: HMAC-SHA-256 over the time, a dot and the bytes as they came.
///
/// # Errors
/// [`Refused`] for one that cannot be read, is forged, or is older or newer than [`TOLERANCE`].
pub fn verify(secret: &str, header: &str, body: &[u8], now: Timestamp) -> Result<(), Refused> {
    let (time, signatures) = read(header)?;
    // The time as it is written: another text for the same second was not signed.
    let mac = mac(secret, [time.as_bytes(), b".", body]);
    // All of them, so that nothing tells which one was right.
    let is_signed = signatures.iter().fold(false, |is_signed, signature| {
        let is_this_one = mac.clone().verify_slice(signature).is_ok();
        is_signed | is_this_one
    });
    if !is_signed {
        return Err(Refused::Forged);
    }
    let seconds: i64 = time.parse().map_err(|_| Refused::Malformed)?;
    let signed_at = Timestamp::from_millis(seconds.saturating_mul(1_000));
    if now.since(signed_at) > TOLERANCE {
        Err(Refused::Old)
    } else if signed_at.since(now) > TOLERANCE {
        Err(Refused::Future)
    } else {
        Ok(())
    }
}

/// The time and the signatures of the only scheme that is known. Others stand beside it, and are passed over.
fn read(header: &str) -> Result<(&str, Vec<[u8; 32]>), Refused> {
    let mut times = Vec::new();
    let mut signatures = Vec::new();
    for item in header.split(',') {
        match item.trim().split_once('=').ok_or(Refused::Malformed)? {
            ("t", time) => times.push(time),
            ("v1", digits) => signatures.push(hex(digits).ok_or(Refused::Malformed)?),
            _ => {}
        }
    }
    let [time] = times[..] else { return Err(Refused::Malformed) };
    let is_number = (1..=12).contains(&time.len()) && time.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number || signatures.is_empty() || signatures.len() > MAX_SIGNATURES {
        return Err(Refused::Malformed);
    }
    Ok((time, signatures))
}

fn hex(digits: &str) -> Option<[u8; 32]> {
    let nibble = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let nibbles: Vec<u8> = digits.as_bytes().iter().map(nibble).collect::<Option<_>>()?;
    let (pairs, []) = nibbles.as_chunks::<2>() else { return None };
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    bytes.try_into().ok()
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn mac<'a>(secret: &str, parts: impl IntoIterator<Item = &'a [u8]>) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    parts.into_iter().for_each(|part| mac.update(part));
    mac
}

/// What each price is for, as in `price_1AbC=STARTER:30,price_2DeF=PRO:365`.
#[derive(Debug, Clone)]
pub struct Prices(Vec<(String, Denomination)>);

/// A text that is no list of prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("prices are a list such as price_1AbC=STARTER:30,price_2DeF=PRO:365")]
pub struct InvalidPrices;

impl FromStr for Prices {
    type Err = InvalidPrices;

    fn from_str(text: &str) -> Result<Self, InvalidPrices> {
        let prices = text.split(',').map(|item| {
            let (price, sold) = item.trim().split_once('=')?;
            Some((price.to_owned(), sold.parse().ok()?))
        });
        prices.collect::<Option<_>>().map(Self).ok_or(InvalidPrices)
    }
}

/// All that leaves the bridge: whose account, what was paid for, and since when. No name, address, card, amount,
/// customer or number of a payment; those end here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paid {
    /// The account that the shop put into the session's `client_reference_id`.
    pub account: AccountId,
    /// What the price is for.
    pub sold: Denomination,
    /// When the payment was made.
    pub at: Timestamp,
    /// A name of this payment that nobody without the secret can tell the payment by; the same where Stripe sends the
    /// webhook again, which it does until it is answered.
    pub name: [u8; 16],
}

/// What a webhook that was verified says was paid.
///
/// # Errors
/// [`Refused`] where it says nothing of the kind.
pub fn paid(secret: &str, body: &[u8], prices: &Prices) -> Result<Paid, Refused> {
    let event: Value = serde_json::from_slice(body).map_err(|_| Refused::NoPayment)?;
    let session = &event["data"]["object"];
    if event["type"] != "checkout.session.completed" || session["payment_status"] != "paid" {
        return Err(Refused::NoPayment);
    }
    let created = event["created"].as_i64().ok_or(Refused::NoPayment)?;
    let id = event["id"].as_str().ok_or(Refused::NoPayment)?;
    let account = session["client_reference_id"].as_str().and_then(|id| id.parse().ok()).ok_or(Refused::NoAccount)?;
    let price = session["metadata"]["price"].as_str().ok_or(Refused::NoPrice)?;
    let (_, sold) = prices.0.iter().find(|(known, _)| known == price).ok_or(Refused::NoPrice)?;
    let tag = mac(secret, [b"dimensionos/payment-name/v1\0", id.as_bytes()]).finalize().into_bytes();
    let mut name = [0; 16];
    name.copy_from_slice(&tag[..16]);
    Ok(Paid { account, sold: *sold, at: Timestamp::from_millis(created.saturating_mul(1_000)), name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SECRET: &str = "whsec_test";
    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const BODY: &[u8] = br#"{"id":"evt_1"}"#;

    fn signature(secret: &str, seconds: i64, body: &[u8]) -> String {
        let tag = mac(secret, [seconds.to_string().as_bytes(), b".", body]).finalize().into_bytes();
        tag.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn header(seconds: i64) -> String {
        format!("t={seconds},v1={}", signature(SECRET, seconds, BODY))
    }

    /// Seconds after now.
    fn signed(after: i64) -> Result<(), Refused> {
        verify(SECRET, &header(NOW.as_seconds() + after), BODY, NOW)
    }

    #[test]
    fn a_signature_is_good_for_five_minutes_to_either_side_and_not_a_second_more() {
        assert_eq!((signed(0), signed(-300), signed(300)), (Ok(()), Ok(()), Ok(())));
        assert_eq!(signed(-301), Err(Refused::Old));
        assert_eq!(signed(301), Err(Refused::Future));
        assert_eq!(signed(-NOW.as_seconds()), Err(Refused::Old));
    }

    #[test]
    fn the_tag_is_the_one_that_another_program_computes() {
        // printf '1700000000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test
        let tag = "c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925";
        assert_eq!(signature(SECRET, 1_700_000_000, BODY), tag);
    }

    #[test]
    fn a_forged_signature_is_refused() {
        let seconds = NOW.as_seconds();
        let good = signature(SECRET, seconds, BODY);
        let flipped = format!("{}{}", if good.starts_with('0') { '1' } else { '0' }, &good[1..]);
        for forged in [flipped, signature("whsec_other", seconds, BODY), signature(SECRET, seconds, b"{}")] {
            assert_eq!(verify(SECRET, &format!("t={seconds},v1={forged}"), BODY, NOW), Err(Refused::Forged));
        }
        // Another time under the same signature, and another text for the same time.
        assert_eq!(verify(SECRET, &format!("t={},v1={good}", seconds + 1), BODY, NOW), Err(Refused::Forged));
        assert_eq!(verify(SECRET, &format!("t=0{seconds},v1={good}"), BODY, NOW), Err(Refused::Forged));
        // The right signature under a scheme that anybody may write.
        let zeros = "0".repeat(64);
        assert_eq!(verify(SECRET, &format!("t={seconds},v0={good},v1={zeros}"), BODY, NOW), Err(Refused::Forged));
    }

    #[test]
    fn one_of_several_signatures_is_enough_wherever_it_stands() {
        let seconds = NOW.as_seconds();
        let (good, other) = (signature(SECRET, seconds, BODY), signature("whsec_old", seconds, BODY));
        for signatures in [format!("v1={good},v1={other}"), format!("v1={other},v0=none, v1={good}")] {
            assert_eq!(verify(SECRET, &format!("t={seconds},{signatures}"), BODY, NOW), Ok(()));
        }
        let nine = format!(",v1={good}").repeat(9);
        assert_eq!(verify(SECRET, &format!("t={seconds}{nine}"), BODY, NOW), Err(Refused::Malformed));
    }

    #[test]
    fn a_header_that_cannot_be_read_is_refused() {
        let (seconds, good) = (NOW.as_seconds(), signature(SECRET, NOW.as_seconds(), BODY));
        for header in [
            String::new(),
            "t".to_owned(),
            format!("v1={good}"),
            format!("t={seconds}"),
            format!("t={seconds},t={seconds},v1={good}"),
            format!("t=,v1={good}"),
            format!("t=-{seconds},v1={good}"),
            format!("t={seconds}.0,v1={good}"),
            format!("t=9999999999999,v1={good}"),
            format!("t={seconds},v1="),
            format!("t={seconds},v1={}", &good[1..]),
            format!("t={seconds},v1={}", &good[2..]),
            format!("t={seconds},v1={good}00"),
            format!("t={seconds},v1=+{}", &good[1..]),
            format!("t={seconds},v1={}", "é".repeat(32)),
        ] {
            assert_eq!(verify(SECRET, &header, BODY, NOW), Err(Refused::Malformed), "{header}");
        }
    }

    fn event() -> Value {
        json!({
            "id": "evt_1", "type": "checkout.session.completed", "created": 1_700_000_000, "livemode": true,
            "data": { "object": {
                "client_reference_id": AccountId::from_bits(7).to_string(), "payment_status": "paid",
                "metadata": { "price": "price_2" }, "amount_total": 5_000, "currency": "usd",
                "customer": "cus_4711", "customer_details": { "email": "ada@example.org", "name": "Ada Lovelace" },
            } },
        })
    }

    fn read_event(event: &Value) -> Result<Paid, Refused> {
        paid(SECRET, event.to_string().as_bytes(), &"price_1=STARTER:30,price_2=PRO:30".parse().unwrap())
    }

    #[test]
    fn only_the_account_and_what_was_bought_leave_a_webhook() {
        let paid = read_event(&event()).unwrap();
        assert_eq!((paid.account, paid.sold.to_string(), paid.at), (AccountId::from_bits(7), "PRO:30".to_owned(), NOW));
        assert_eq!(read_event(&event()).unwrap(), paid);
        let mut other = event();
        other["id"] = "evt_2".into();
        assert_ne!(read_event(&other).unwrap().name, paid.name);
    }

    #[test]
    fn what_is_not_paid_or_not_sold_here_or_nobodys_buys_nothing() {
        let with = |pointer: &str, value: Value| {
            let mut event = event();
            *event.pointer_mut(pointer).unwrap() = value;
            read_event(&event).unwrap_err()
        };
        assert_eq!(with("/type", "checkout.session.expired".into()), Refused::NoPayment);
        assert_eq!(with("/data/object/payment_status", "unpaid".into()), Refused::NoPayment);
        assert_eq!(with("/created", "yesterday".into()), Refused::NoPayment);
        assert_eq!(with("/id", Value::Null), Refused::NoPayment);
        assert_eq!(with("/data/object/client_reference_id", Value::Null), Refused::NoAccount);
        assert_eq!(with("/data/object/client_reference_id", "ada@example.org".into()), Refused::NoAccount);
        assert_eq!(with("/data/object/metadata/price", "price_3".into()), Refused::NoPrice);
        assert_eq!(paid(SECRET, b"not JSON", &Prices(Vec::new())), Err(Refused::NoPayment));
    }

    #[test]
    fn a_list_of_prices_that_sells_nothing_that_there_is_is_refused() {
        for text in ["", "price_1", "price_1=FREE:30", "price_1=STARTER:30,", "price_1=STARTER"] {
            assert_eq!(text.parse::<Prices>().unwrap_err(), InvalidPrices, "{text}");
        }
    }
}

//! The built bridge: what goes in is a payment, and what comes out is an attestation that a deployment takes once.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dimensionos_core::allocation::TierName;
use dimensionos_core::auth::{BillingKey, Keys, Password};
use dimensionos_core::users::Registration;
use dimensionos_core::{Clock, Code, Context, MemoryStore, OsEntropy, Platform, SystemClock};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

const SECRET: &str = "whsec_test";
/// What a webhook says of a payment, and nobody behind the bridge is to learn.
const PRIVATE: [&str; 8] =
    ["ada@example.org", "Lovelace", "cus_4711", "cs_live_815", "pi_0042", "evt_1701", "4999", "price_2DeF"];

fn webhook(account: &str, created: i64) -> String {
    json!({
        "id": "evt_1701", "type": "checkout.session.completed", "created": created,
        "data": { "object": {
            "id": "cs_live_815", "client_reference_id": account, "payment_status": "paid", "customer": "cus_4711",
            "customer_details": { "email": "ada@example.org", "name": "Ada Lovelace" }, "payment_intent": "pi_0042",
            "amount_total": 4999, "metadata": { "price": "price_2DeF" },
        } },
    })
    .to_string()
}

fn signature(seconds: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{seconds}.{body}").as_bytes());
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={digits},v0=none")
}

fn bridge(folder: &Path, header: &str, body: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stripe_bridge"));
    command.env("STRIPE_WEBHOOK_SECRET", SECRET).env("PRICES", "price_1AbC=STARTER:30,price_2DeF=PRO:365");
    command.env("BILLING_KEY_FILE", folder.join("billing.key")).env("HTTP_STRIPE_SIGNATURE", header);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[tokio::test]
async fn a_paid_webhook_pays_for_its_account_once_and_tells_nothing_else() {
    let folder = tempfile::TempDir::new().unwrap();
    let billing = BillingKey::generate(&OsEntropy).unwrap();
    std::fs::write(folder.path().join("billing.key"), format!("{}\n", *billing.expose())).unwrap();
    let keys = Keys::generate(&OsEntropy).unwrap().with_billing(vec![billing.public().unwrap()]);
    let platform = Platform::builder(MemoryStore::new()).keys(keys).open().await.unwrap();
    let registration = Registration::new(None, Password::new("violet harbour kestrel 41").unwrap());
    let account = platform.users().register(&Context::anonymous(), registration).await.unwrap().account.id;

    let now = SystemClock.now();
    let body = webhook(&account.to_string(), now.as_seconds());
    let passed = bridge(folder.path(), &signature(now.as_seconds(), &body), &body);
    assert!(passed.status.success(), "{}", String::from_utf8_lossy(&passed.stderr));
    let attestation = String::from_utf8(passed.stdout).unwrap().trim().to_owned();
    let said: String = attestation
        .split('.')
        .take(2)
        .map(|part| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    assert!(said.contains(&account.to_string()), "{said}");
    for private in PRIVATE {
        assert!(!said.contains(private), "{private} in {said}");
    }

    let paid = platform.payment().report(&Context::system(), &attestation).await.unwrap();
    let until = now.floor(1).after(Duration::from_hours(365 * 24));
    assert_eq!((paid.tier, paid.paid.until(TierName::Pro)), (TierName::Pro, Some(until)));
    // Sent again, and signed anew.
    let again = bridge(folder.path(), &signature(now.as_seconds() + 60, &body), &body);
    let again = String::from_utf8(again.stdout).unwrap();
    let refused = platform.payment().report(&Context::system(), again.trim()).await.unwrap_err();
    assert_eq!(refused.code(), Code::AttestationSpent);
}

#[test]
fn what_is_refused_gives_no_attestation_and_is_not_repeated() {
    let folder = tempfile::TempDir::new().unwrap();
    let key = BillingKey::generate(&OsEntropy).unwrap();
    std::fs::write(folder.path().join("billing.key"), key.expose().as_str()).unwrap();
    let seconds = SystemClock.now().as_seconds();
    let body = webhook("acc_00000000000000000000000001", seconds);
    let good = signature(seconds, &body);
    let nobodys = webhook("ada@example.org", seconds);
    for (header, body) in [
        (good.as_str(), body.replace("4999", "1")),
        (&good.replace("v1=", "v1=00"), body.clone()),
        (&signature(seconds - 400, &body), body.clone()),
        (&signature(seconds + 400, &body), body.clone()),
        ("", body.clone()),
        (&signature(seconds, &nobodys), nobodys),
        (&signature(seconds, "{}"), "{}".to_owned()),
    ] {
        let refused = bridge(folder.path(), header, &body);
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0), "{header}");
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(told.starts_with("refused: ") && told.lines().count() == 1, "{told}");
        assert!(!PRIVATE.iter().any(|private| told.contains(private)), "{told}");
    }
}

//! Vouchers from outside: bought by whoever has an attestation, redeemed by whoever has one, and written nowhere.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod harness;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dimensionos_core::payment::voucher::{Denomination, Epoch, Evaluated, Issue, Order, PublishedKey};
use dimensionos_core::{Clock, OsEntropy, SystemClock};
use harness::{Client, Home};
use serde_json::{Value, json};

const KEYS: &str = "{ voucherKeys { epoch tier days publicKey redeemableUntil } }";
const ISSUE: &str = "mutation($a: String!, $b: [String!]!) {
    issueVouchers(attestation: $a, blindedElements: $b) { epoch tier days publicKey elements proof }
}";
const REDEEM: &str = "mutation($v: String!) { redeemVoucher(voucher: $v) { status paidUntil tiers { tier until } } }";

fn attest(home: &Home, count: usize, denomination: &str) -> String {
    home.print(&["billing", "attest", "--vouchers", &count.to_string(), "--denomination", denomination])
}

fn key(json: &Value) -> PublishedKey {
    let denomination = format!("{}:{}", json["tier"].as_str().unwrap(), json["days"]);
    PublishedKey {
        epoch: Epoch::from_number(json["epoch"].as_u64().unwrap().try_into().unwrap()),
        denomination: denomination.parse().unwrap(),
        public_key: json["publicKey"].as_str().unwrap().parse().unwrap(),
    }
}

fn issue(json: &Value) -> Issue {
    let texts: Vec<&str> = json["elements"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let proof = json["proof"].as_str().unwrap().parse().unwrap();
    Issue { key: key(json), elements: Evaluated::parse(&texts).unwrap(), proof }
}

fn request(attestation: &str, order: &Order) -> Value {
    json!({ "a": attestation, "b": order.blinded().texts() })
}

fn order(count: usize) -> Order {
    let denomination: Denomination = "STARTER:30".parse().unwrap();
    Order::new(denomination, count, SystemClock.now(), &OsEntropy).unwrap()
}

async fn keys(client: &Client) -> Vec<PublishedKey> {
    client.data(KEYS, Value::Null).await["voucherKeys"].as_array().unwrap().iter().map(key).collect()
}

#[tokio::test]
async fn a_voucher_is_bought_by_nobody_redeemed_by_anybody_once_and_written_nowhere() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let (attestation, order) = (attest(&home, 2, "STARTER:30"), order(2));
    let issued = client.data(ISSUE, request(&attestation, &order)).await["issueVouchers"].clone();
    let vouchers = order.finish(&issue(&issued), &keys(&client).await).unwrap();
    let texts: Vec<String> = vouchers.iter().map(|voucher| voucher.expose().to_string()).collect();

    let (ada, bob) = (client.register("ada@example.org").await, client.register("bob@example.org").await);
    assert_eq!(client.code(REDEEM, json!({ "v": texts[0] })).await, "UNAUTHENTICATED");
    for wrong in ["", "dimv_", &texts[0][1..], &format!("{}A", texts[0]), &texts[0].replace("dimv_A", "dimv_B")] {
        assert_eq!(ada.client.code(REDEEM, json!({ "v": wrong })).await, "ATTESTATION_INVALID", "{wrong}");
    }
    let payment = ada.client.data(REDEEM, json!({ "v": texts[0] })).await["redeemVoucher"].clone();
    assert_eq!((&payment["status"], &payment["tiers"][0]["tier"]), (&json!("PAID"), &json!("STARTER")));
    let me = "{ me { tier status payment { paidUntil } } }";
    let me = ada.client.data(me, Value::Null).await["me"].clone();
    assert_eq!((&me["tier"], &me["payment"]["paidUntil"]), (&json!("STARTER"), &payment["paidUntil"]));
    assert_eq!(bob.client.code(REDEEM, json!({ "v": texts[0] })).await, "ATTESTATION_SPENT");

    // Killed, and started again: what was spent is spent, and what was asked for is answered alike.
    server.kill();
    let server = home.serve();
    let (client, bob) = (server.client(), bob.client.with_token(&bob.access));
    let bob = Client { address: client.address.clone(), ..bob };
    assert_eq!(bob.code(REDEEM, json!({ "v": texts[0] })).await, "ATTESTATION_SPENT");
    let again = client.data(ISSUE, request(&attestation, &order)).await["issueVouchers"].clone();
    assert_eq!((&again["elements"], &again["publicKey"]), (&issued["elements"], &issued["publicKey"]));
    assert_eq!(client.code(ISSUE, request(&attestation, &self::order(2))).await, "ATTESTATION_SPENT");
    bob.data(REDEEM, json!({ "v": texts[1] })).await;

    let mut secrets = vec![("attestation", attestation.into_bytes())];
    let blinded = order.blinded().texts();
    let elements = issued["elements"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned());
    for text in texts.iter().map(|text| text[5..].to_owned()).chain(blinded).chain(elements) {
        secrets.push(("element's bytes", URL_SAFE_NO_PAD.decode(&text).unwrap()));
        secrets.push(("element", text.into_bytes()));
    }
    let nonces = texts.iter().map(|text| URL_SAFE_NO_PAD.decode(&text[5..]).unwrap()[6..38].to_vec());
    secrets.extend(nonces.map(|nonce| ("nonce", nonce)));
    let files = home.files();
    for (path, content) in &files {
        for (what, secret) in &secrets {
            let is_there = content.windows(secret.len()).any(|window| window == secret);
            assert!(!is_there, "{what} stands in {}", path.display());
        }
    }
    // The scan finds what is there.
    let spent = vouchers[0].nullifier();
    assert!(files.iter().any(|(_, content)| content.windows(32).any(|window| window == spent.as_bytes())));
}

#[tokio::test]
async fn what_buys_no_vouchers_is_refused_by_name() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let order = order(2);
    let ada = client.register("ada@example.org").await;
    let paid = ["billing", "attest", "--account", &ada.id, "--tier", "STARTER", "--until", "2999-01-01"];
    assert!(!home.run(&paid).stdout.is_empty());
    let for_account = ["billing", "attest", "--account", &ada.id, "--tier", "STARTER", "--until", "2027-01-01"];
    for attestation in ["", "mine", &home.print(&for_account), &attest(&home, 2, "STARTER:31")] {
        assert_eq!(client.code(ISSUE, request(attestation, &order)).await, "ATTESTATION_INVALID", "{attestation}");
    }
    let attestation = attest(&home, 3, "STARTER:30");
    for elements in [json!([]), json!(["mine"]), json!(order.blinded().texts())] {
        let refusal = client.refusal(ISSUE, json!({ "a": attestation, "b": elements })).await;
        assert_eq!((&refusal["code"], &refusal["field"]), (&json!("INVALID_INPUT"), &json!("blindedElements")));
    }
    let refusal = ada.client.refusal(REDEEM, json!({ "v": "mine" })).await;
    assert_eq!((&refusal["code"], &refusal["reason"]), (&json!("ATTESTATION_INVALID"), &json!("it is no voucher")));
}

#[tokio::test]
async fn one_secret_makes_the_keys_of_all_its_servers_and_another_makes_none() {
    let secret = "0101010101010101010101010101010101010101010101010101010101010101";
    let home = Home::new().with("VOUCHER_KEY", secret).with("VOUCHER_DENOMINATIONS", "PRO:30, STARTER:365");
    let server = home.serve();
    let shown = server.client().data(KEYS, Value::Null).await["voucherKeys"].clone();
    let names: Vec<String> = keys(&server.client()).await.iter().map(|key| key.denomination.to_string()).collect();
    assert_eq!(names, ["STARTER:365", "PRO:30"]);
    assert_eq!(server.stop(), Some(0));
    let server = home.serve();
    assert_eq!(server.client().data(KEYS, Value::Null).await["voucherKeys"], shown);
    assert_eq!(server.stop(), Some(0));

    let told = home.print(&["doctor"]);
    assert!(told.contains("voucher key: given") && told.contains("vouchers: 2 public keys, all made by"), "{told}");
    let home = home.with("VOUCHER_KEY", &secret.replace("01", "02"));
    let server = home.serve();
    assert_eq!(server.client().code(KEYS, Value::Null).await, "INTERNAL");
    let told = home.run(&["doctor"]);
    assert_eq!(told.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&told.stdout).contains("vouchers: 2 public keys are made by none"));
    let log = std::fs::read_to_string(home.log()).unwrap();
    assert!(log.contains("no key of vouchers here makes the one that was published"));
}

#[test]
fn an_attestation_is_for_an_account_or_for_vouchers_and_never_for_half_of_either() {
    let home = Home::new();
    home.print(&["billing", "keygen"]);
    let account = ["--account", "acc_00000000000000000000000001"];
    let rest = ["--tier", "PRO", "--until", "2027-01-01"];
    let vouchers = ["--vouchers", "2"];
    let denomination = ["--denomination", "STARTER:30"];
    let run = |parts: &[&[&str]]| {
        let arguments: Vec<&str> = [&["billing", "attest"], parts.concat().as_slice()].concat();
        home.run(&arguments).status.code()
    };
    assert_eq!(run(&[&account, &rest]), Some(0));
    assert_eq!(run(&[&vouchers, &denomination]), Some(0));
    let halves: [&[&[&str]]; 8] = [
        &[],
        &[&account],
        &[&rest],
        &[&vouchers],
        &[&denomination],
        &[&account, &rest, &denomination],
        &[&account, &rest, &vouchers, &denomination],
        &[&vouchers, &denomination, &rest],
    ];
    for half in halves {
        assert_eq!(run(half), Some(2), "{half:?}");
    }
    for wrong in [["--vouchers", "0"], ["--vouchers", "101"]] {
        assert_eq!(run(&[&wrong, &denomination]), Some(2));
    }
    for wrong in ["FREE:30", "STARTER:0", "STARTER"] {
        assert_eq!(run(&[&vouchers, &["--denomination", wrong]]), Some(2));
    }
    assert_eq!(home.with("VOUCHER_DENOMINATIONS", "FREE:30").run(&["doctor"]).status.code(), Some(1));
}

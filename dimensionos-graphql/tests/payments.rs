//! The life of an account, from its trial to its end, by a clock that is moved; and what servers take for a payment.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod harness;

use std::time::Duration;

use dimensionos_core::Timestamp;
use dimensionos_core::id::ReplicaId;
use dimensionos_core::jobs::LEASE_NAME;
use dimensionos_core::store::{Access, Store};
use dimensionos_store::Database;
use dimensionos_store::testing::PostgresDatabase;
use harness::live::Events;
use harness::{Client, Home, PASSWORD, Server};
use serde_json::{Value, json};

const DAY: i64 = 86_400;
const LIFE: &str = "{ me { tier status statusReason trial { daysLeft } payment { status paidUntil overdueSince } nextStep { step reason } } }";
const PAY: &str = "mutation($a: String!) { reportPayment(attestation: $a) { status paidUntil } }";
const EVENTS: &str = "subscription { accountEvents { __typename
    ... on StepAhead { step reason daysBefore }
    ... on StatusChanged { from to reason } } }";

/// Ada, on a server whose clock is moved by hand.
struct Ada<'a> {
    home: &'a Home,
    server: Server,
    id: String,
    client: Client,
}

impl<'a> Ada<'a> {
    async fn new(home: &'a Home) -> Self {
        let server = home.serve_with(&["serve", "--test-clock"]).0;
        let ada = server.client().register("ada@example.org").await;
        Self { home, server, id: ada.id, client: ada.client }
    }

    /// Moves the clock, which has the jobs run, and gives the time.
    async fn advance(&self, seconds: i64) -> String {
        let request = self.client.http.post(self.server.url("/development/clock"));
        let request = request.header("content-type", "application/json");
        let answer = request.body(json!({ "advanceSeconds": seconds }).to_string()).send().await.unwrap();
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(answer["jobs"], json!({ "PURGE": "OK", "LIFECYCLE": "OK" }), "{answer}");
        answer["now"].as_str().unwrap().to_owned()
    }

    /// Signs in again: the clock has moved past every token.
    async fn login(&mut self) -> Value {
        let login = "mutation($e: String!, $p: String!) {
            login(input: { identity: { email: $e }, password: $p }) { account { status } tokens { accessToken } } }";
        let variables = json!({ "e": "ada@example.org", "p": PASSWORD });
        let answer = self.server.client().ask(login, variables).await;
        if let Some(token) = answer["data"]["login"]["tokens"]["accessToken"].as_str() {
            self.client = self.server.client().with_token(token);
        }
        answer
    }

    /// An attestation, made by the command line at the time that the moved clock has.
    fn attest(&self, tier: &str, until: &str, now: &str) -> String {
        let arguments = ["billing", "attest", "--account", &self.id, "--tier", tier, "--until", until, "--at", now];
        self.home.print(&arguments)
    }

    async fn life(&self) -> Value {
        self.client.data(LIFE, Value::Null).await["me"].clone()
    }

    /// What is told while the clock passes an instant that is `seconds` ahead.
    async fn told_at(&mut self, seconds: i64) -> Value {
        self.advance(seconds - 120).await;
        self.login().await;
        let mut events = Events::of(&self.client, EVENTS).await;
        self.advance(120).await;
        events.result().await["data"]["accountEvents"].clone()
    }
}

fn later(now: &str, days: u64) -> String {
    now.parse::<Timestamp>().unwrap().after(Duration::from_hours(days * 24)).to_string()
}

#[tokio::test]
async fn an_account_lives_from_its_trial_to_its_end() {
    let home = Home::new();
    let mut ada = Ada::new(&home).await;
    let life = ada.life().await;
    assert_eq!((&life["status"], &life["trial"]["daysLeft"]), (&json!("ACTIVE"), &json!(30)));
    assert_eq!((&life["payment"]["status"], &life["nextStep"]["step"]), (&json!("NOT_REQUIRED"), &json!("READ_ONLY")));

    // The trial's notices, and its end.
    let notice = |days: i32, step: &str, reason: &str| json!({ "__typename": "StepAhead", "step": step, "reason": reason, "daysBefore": days });
    assert_eq!(ada.told_at(23 * DAY).await, notice(7, "READ_ONLY", "TRIAL_EXPIRED"));
    assert_eq!(ada.told_at(4 * DAY).await, notice(3, "READ_ONLY", "TRIAL_EXPIRED"));
    assert_eq!(ada.told_at(2 * DAY).await, notice(1, "READ_ONLY", "TRIAL_EXPIRED"));
    let ended =
        json!({ "__typename": "StatusChanged", "from": "ACTIVE", "to": "READ_ONLY", "reason": "TRIAL_EXPIRED" });
    assert_eq!(ada.told_at(DAY).await, ended);
    let life = ada.life().await;
    assert_eq!((&life["statusReason"], &life["payment"]["status"]), (&json!("TRIAL_EXPIRED"), &json!("UNPAID")));
    let move_up = "mutation { changeTier(tier: STARTER) { tier } }";
    assert_eq!(ada.client.code(move_up, Value::Null).await, "SERVICE_READ_ONLY");

    // Paid for ten days, overdue, out of grace, suspended, restored by a payment.
    let now = ada.advance(0).await;
    let until = later(&now, 10);
    let attestation = ada.attest("PRO", &until, &now);
    let paid = ada.client.data(PAY, json!({ "a": attestation })).await["reportPayment"].clone();
    assert_eq!(paid["status"], "PAID");
    assert_eq!(ada.client.code(PAY, json!({ "a": attestation })).await, "ATTESTATION_SPENT");
    let life = ada.life().await;
    assert_eq!((&life["tier"], &life["status"], &life["trial"]), (&json!("PRO"), &json!("ACTIVE"), &Value::Null));
    ada.advance(10 * DAY + 60).await;
    ada.login().await;
    let life = ada.life().await;
    assert_eq!((&life["payment"]["status"], &life["status"]), (&json!("OVERDUE"), &json!("ACTIVE")));
    assert_eq!(life["payment"]["overdueSince"], life["payment"]["paidUntil"]);
    ada.advance(7 * DAY).await;
    ada.login().await;
    assert_eq!(ada.life().await["statusReason"], "PAYMENT_OVERDUE");
    ada.advance(30 * DAY).await;
    assert_eq!(ada.login().await["data"]["login"]["account"]["status"], "SUSPENDED");
    let refusal = ada.client.refusal("{ me { metrics { at } } }", Value::Null).await;
    assert_eq!((&refusal["code"], &refusal["statusReason"]), (&json!("SERVICE_SUSPENDED"), &json!("PAYMENT_OVERDUE")));
    let now = ada.advance(0).await;
    let until = later(&now, 300);
    ada.client.data(PAY, json!({ "a": ada.attest("STARTER", &until, &now) })).await;
    let life = ada.life().await;
    assert_eq!((&life["tier"], &life["status"]), (&json!("STARTER"), &json!("ACTIVE")));

    // Cancelled, taken back, cancelled for good; what is left refuses a second trial.
    let reauthenticate = "mutation($p: String!) { reauthenticate(password: $p) { id } }";
    let cancel = "mutation($p: String!) { cancelAccount(password: $p) { status statusReason } }";
    let password = json!({ "p": PASSWORD });
    ada.client.data(reauthenticate, password.clone()).await;
    let cancelled = ada.client.data(cancel, password.clone()).await["cancelAccount"].clone();
    assert_eq!(cancelled, json!({ "status": "CANCELLED", "statusReason": "OWNER" }));
    assert_eq!(ada.client.code("{ me { id } }", Value::Null).await, "SERVICE_CANCELLED");
    ada.advance(20 * DAY).await;
    ada.login().await;
    let restored = ada.client.data("mutation { restoreAccount { status } }", Value::Null).await;
    assert_eq!(restored["restoreAccount"]["status"], "ACTIVE");
    ada.client.data(cancel, password).await;
    ada.advance(30 * DAY).await;
    assert_eq!(ada.login().await["errors"][0]["extensions"]["code"], "INVALID_CREDENTIALS");
    let again = ada.server.client().register("ada@example.org").await;
    let life = again.client.data(LIFE, Value::Null).await["me"].clone();
    assert_ne!(again.id, ada.id);
    assert_eq!((&life["status"], &life["statusReason"]), (&json!("READ_ONLY"), &json!("TRIAL_EXPIRED")));
}

#[tokio::test]
async fn a_stopped_job_changes_nothing_about_who_may_do_what() {
    let home = Home::new();
    let mut ada = Ada::new(&home).await;
    // Another server has the jobs, as far as this one can tell: none of them runs here.
    let clock = ada.server.url("/development/clock");
    let database = Database::connect(&Database::sqlite_url(&home.path().join("data/dimensionos.db"))).await.unwrap();
    let mut tx = database.begin(Access::Write).await.unwrap();
    let end = Timestamp::from_millis(i64::MAX);
    assert!(tx.take_job(LEASE_NAME, ReplicaId::from_bits(1), end, end).await.unwrap());
    tx.commit().await.unwrap();
    database.close().await;
    for (days, expected) in [(30, "READ_ONLY"), (30, "SUSPENDED"), (60, "CANCELLED")] {
        let request = ada.client.http.post(&clock).header("content-type", "application/json");
        let answer = request.body(json!({ "advanceSeconds": days * DAY }).to_string()).send().await.unwrap();
        assert!(answer.text().await.unwrap().contains("CONFLICT"), "the job did not run");
        assert_eq!(ada.login().await["data"]["login"]["account"]["status"], expected);
    }
}

#[tokio::test]
async fn one_attestation_is_counted_once_by_two_servers_on_one_database() {
    let Some(database) = PostgresDatabase::create().await else { return };
    let key = |digit: &str| digit.repeat(64);
    let issuer = Home::new();
    let public = issuer.print(&["billing", "keygen"]);
    assert_eq!(public.len(), 64, "{public}");
    assert_eq!(issuer.print(&["billing", "keygen"]), public, "one that is there stays");
    let homes = [0, 1].map(|_| {
        let home = Home::new().with("DATABASE_URL", &database.url).with("BILLING_PUBLIC_KEY", &public);
        home.with("PEPPER", &key("a")).with("SIGNING_KEY", &key("b"))
    });
    // What is spent is spent for both, whatever else the one knows of the other.
    let servers = homes.each_ref().map(|home| home.serve_with(&["serve", "--allow-stale"]).0);
    for round in 0..20 {
        let ada = servers[0].client().register(&format!("ada{round}@example.org")).await;
        let arguments = ["billing", "attest", "--account", &ada.id, "--tier", "STARTER", "--until", "2099-01-31"];
        // More than ten years ahead is a slip of the pen.
        let refusal = ada.client.refusal(PAY, json!({ "a": issuer.print(&arguments) })).await;
        assert_eq!(refusal["code"], "ATTESTATION_INVALID", "{refusal}");
        let attestation =
            issuer.print(&["billing", "attest", "--account", &ada.id, "--tier", "STARTER", "--until", "2027-12-31"]);
        let other = Client { address: servers[1].address.clone(), ..ada.client.clone() };
        let variables = json!({ "a": attestation });
        let (one, two) = tokio::join!(ada.client.ask(PAY, variables.clone()), other.ask(PAY, variables));
        let codes = [&one, &two].map(|answer| answer["errors"][0]["extensions"]["code"].as_str());
        assert!(matches!(codes, [None, Some("ATTESTATION_SPENT")] | [Some("ATTESTATION_SPENT"), None]), "{one} {two}");
    }
}

#[tokio::test]
async fn the_test_clock_is_there_only_where_it_was_asked_for() {
    let home = Home::new();
    let server = home.serve();
    let answer = server.client().http.get(server.url("/development/clock")).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    let key = "ab".repeat(32);
    let production = Home::new().with("ENV", "production").with("PEPPER", &key).with("SIGNING_KEY", &key);
    let production = production.with("BILLING_PUBLIC_KEY", &key).with("ALLOWED_ORIGINS", "");
    let refused = production.run(&["serve", "--test-clock"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--test-clock is refused in production"));
}

#[tokio::test]
async fn an_attestation_that_cannot_be_meant_is_not_made() {
    let home = Home::new();
    home.print(&["billing", "keygen"]);
    let id = "acc_00000000000000000000000001";
    for (account, tier, until) in [
        ("ada@example.org", "PRO", "2027-01-31"),
        (id, "FREE", "2027-01-31"),
        (id, "GOLD", "2027-01-31"),
        (id, "PRO", "next year"),
    ] {
        let refused = home.run(&["billing", "attest", "--account", account, "--tier", tier, "--until", until]);
        assert_eq!(refused.status.code(), Some(2), "{account} {tier} {until}");
    }
    let nowhere = Home::new();
    let refused = nowhere.run(&["billing", "attest", "--account", id, "--tier", "PRO", "--until", "2027-01-31"]);
    assert_eq!(refused.status.code(), Some(1), "there is no key yet");
}

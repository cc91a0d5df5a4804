//! What each status of an account leaves open: every query, mutation and subscription of the schema, and every field of
//! an account.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod harness;

use std::collections::BTreeSet;

use harness::live::Events;
use harness::{Client, Home, PASSWORD, Registered};
use serde_json::{Value, json};

const STATUSES: [&str; 4] = ["ACTIVE", "READ_ONLY", "SUSPENDED", "CANCELLED"];

/// What an operation comes to, in the order of the statuses above; absent is that it succeeds.
type Outcome = [Option<&'static str>; 4];

const ALWAYS: Outcome = [None; 4];
const NEVER: Outcome = [Some("FORBIDDEN"); 4];
const UNTIL_CANCELLED: Outcome = [None, None, None, Some("SERVICE_CANCELLED")];
const READING: Outcome = [None, None, Some("SERVICE_SUSPENDED"), Some("SERVICE_CANCELLED")];
const WRITING: Outcome = [None, Some("SERVICE_READ_ONLY"), Some("SERVICE_SUSPENDED"), Some("SERVICE_CANCELLED")];
/// What has first to be there: where there is nothing, the status shows all the same.
const CONTESTING: Outcome = [Some("NOT_FOUND"), Some("NOT_FOUND"), Some("NOT_FOUND"), Some("SERVICE_CANCELLED")];
/// A payment is looked at in every status, and what is none is refused as that.
const PAYING: Outcome = [Some("ATTESTATION_INVALID"); 4];
const MOVING: Outcome =
    [Some("PAYMENT_REQUIRED"), Some("SERVICE_READ_ONLY"), Some("SERVICE_SUSPENDED"), Some("SERVICE_CANCELLED")];
/// What is done to the account is not seen in it any more.
const CANCELLING: Outcome = WRITING;
/// An operator's cancelling is not the holder's to take back.
const RESTORING: Outcome = [Some("CONFLICT"), Some("SERVICE_READ_ONLY"), Some("SERVICE_SUSPENDED"), Some("CONFLICT")];
const LEAVING: Outcome = [None, Some("SERVICE_READ_ONLY"), Some("SERVICE_SUSPENDED"), None];

/// Every field of the roots; in an operation, `$…` stands for what the account at hand has.
const OPERATIONS: [(&str, &str, Outcome); 53] = [
    ("me", "{ me { id } }", UNTIL_CANCELLED),
    ("tiers", "{ tiers { tier } }", ALWAYS),
    ("service", "{ service { name } }", ALWAYS),
    ("node", "{ node(id: \"$account\") { id } }", UNTIL_CANCELLED),
    ("account", "{ account(id: \"$account\") { id } }", NEVER),
    ("accounts", "{ accounts { nodes { id } } }", NEVER),
    ("agents", "{ agents { nodes { id } } }", NEVER),
    ("register", "mutation { register(input: { password: \"$password\" }) { accountNumber } }", ALWAYS),
    (
        "login",
        "mutation { login(input: { identity: { email: \"$email\" }, password: \"$password\" }) { tokens { accessToken } } }",
        ALWAYS,
    ),
    ("refresh", "mutation { refresh(refreshToken: \"$refresh\") { tokens { accessToken } } }", ALWAYS),
    ("logout", "mutation { logout }", ALWAYS),
    (
        "changePassword",
        "mutation { changePassword(current: \"$password\", new: \"copper lantern meadow 58\") { account { id } } }",
        WRITING,
    ),
    (
        "recover",
        "mutation { recover(input: { identity: { email: \"$email\" }, recoveryCode: \"$code\", newPassword: \"copper lantern meadow 58\" }) { account { status } } }",
        ALWAYS,
    ),
    ("reauthenticate", "mutation { reauthenticate(password: \"$password\") { authenticatedAt } }", LEAVING),
    ("renewRecoveryCodes", "mutation { renewRecoveryCodes { recoveryCodes } }", WRITING),
    ("endSession", "mutation { endSession(session: \"$session\") }", ALWAYS),
    ("endSessionsOf", "mutation { endSessionsOf(account: \"$account\") }", NEVER),
    ("serviceToken", "mutation { serviceToken(audience: \"billing\") { subject } }", WRITING),
    ("acceptTerms", "mutation { acceptTerms(version: \"1\") { id } }", WRITING),
    ("reportPayment", "mutation { reportPayment(attestation: \"mine\") { status } }", PAYING),
    ("voucherKeys", "{ voucherKeys { publicKey } }", ALWAYS),
    (
        "issueVouchers",
        "mutation { issueVouchers(attestation: \"mine\", blindedElements: [\"4vKuCmq8TnGohKlhxQBRX1jjC2qlgt2NtqZZReCNLXY\"]) { proof } }",
        PAYING,
    ),
    ("redeemVoucher", "mutation { redeemVoucher(voucher: \"mine\") { status } }", PAYING),
    ("changeTier", "mutation { changeTier(tier: STARTER) { id } }", MOVING),
    ("cancelAccount", "mutation { cancelAccount(password: \"$password\") { id } }", CANCELLING),
    ("restoreAccount", "mutation { restoreAccount { id } }", RESTORING),
    ("eraseAccount", "mutation { eraseAccount(password: \"$password\") }", LEAVING),
    (
        "setServiceStatus",
        "mutation { setServiceStatus(account: \"$account\", status: ACTIVE, reason: \"mine\") { id } }",
        NEVER,
    ),
    ("reportUsage", "mutation { reportUsage(input: { sequence: 1, samples: [] }) { sequence } }", NEVER),
    ("createAgent", "mutation { createAgent(name: \"mine\") { id } }", NEVER),
    ("consume", "mutation { consume(account: \"$account\", resource: API_CALLS, amount: 1) { allowed } }", NEVER),
    ("reserveQuota", "mutation { reserveQuota(account: \"$account\", resource: RAM, amount: 1) { expiresAt } }", NEVER),
    (
        "commitReservation",
        "mutation { commitReservation(account: \"$account\", reservation: \"hld_\", amount: 1) }",
        NEVER,
    ),
    ("releaseReservation", "mutation { releaseReservation(account: \"$account\", reservation: \"hld_\") }", NEVER),
    (
        "setLimit",
        "mutation { setLimit(account: \"$account\", resource: RAM, limit: 1, until: \"2999-01-01T00:00:00Z\") { id } }",
        NEVER,
    ),
    ("violations", "{ violations { nodes { id } } }", NEVER),
    ("enforcementPolicies", "{ enforcementPolicies { version } }", NEVER),
    ("replayDecisions", "{ replayDecisions(from: \"2026-01-01T00:00:00Z\") { checked } }", NEVER),
    ("signInFlags", "{ signInFlags { rule } }", NEVER),
    ("jobs", "{ jobs { name } }", NEVER),
    ("transparencyReport", "{ transparencyReport(month: \"2026-01-01T00:00:00Z\") { group } }", ALWAYS),
    ("appeal", "mutation { appeal(violation: \"vio_\", ground: NOT_ME) { id } }", CONTESTING),
    (
        "fileCounterNotice",
        "mutation { fileCounterNotice(violation: \"vio_\", noticeDigest: \"$digest\") { id } }",
        CONTESTING,
    ),
    ("decideAppeal", "mutation { decideAppeal(violation: \"vio_\", grant: true) { id } }", NEVER),
    (
        "imposeSanction",
        "mutation { imposeSanction(violation: \"vio_\", sanction: NONE, until: \"2999-01-01T00:00:00Z\") { id } }",
        NEVER,
    ),
    (
        "fileCopyrightComplaint",
        "mutation { fileCopyrightComplaint(input: { account: \"$account\", noticeDigest: \"$digest\" }) { id } }",
        NEVER,
    ),
    ("completeCopyrightComplaint", "mutation { completeCopyrightComplaint(violation: \"vio_\") { id } }", NEVER),
    ("releaseCopyrightComplaint", "mutation { releaseCopyrightComplaint(violation: \"vio_\") { id } }", NEVER),
    ("reportCourtAction", "mutation { reportCourtAction(violation: \"vio_\") { id } }", NEVER),
    ("withdrawCopyrightComplaint", "mutation { withdrawCopyrightComplaint(violation: \"vio_\") { id } }", NEVER),
    ("applyEnforcementPolicy", "mutation { applyEnforcementPolicy(policy: \"{}\", mode: SHADOW) { version } }", NEVER),
    ("usage", "subscription { usage { at } }", READING),
    ("accountEvents", "subscription { accountEvents { __typename } }", READING),
];

/// Every field of an account, with what it comes to while the account itself can be seen.
const FIELDS: [(&str, &str, Outcome); 21] = [
    ("id", "id", UNTIL_CANCELLED),
    ("anonymousId", "anonymousId", UNTIL_CANCELLED),
    ("tier", "tier", UNTIL_CANCELLED),
    ("status", "status", UNTIL_CANCELLED),
    ("statusReason", "statusReason", UNTIL_CANCELLED),
    ("statusSince", "statusSince", UNTIL_CANCELLED),
    ("statusNote", "statusNote", UNTIL_CANCELLED),
    ("trial", "trial { daysLeft }", UNTIL_CANCELLED),
    ("payment", "payment { status }", UNTIL_CANCELLED),
    ("nextStep", "nextStep { step }", UNTIL_CANCELLED),
    ("terms", "terms { due }", UNTIL_CANCELLED),
    ("allocation", "allocation { cpuCores }", UNTIL_CANCELLED),
    ("limitOverrides", "limitOverrides { limit }", UNTIL_CANCELLED),
    ("export", "export", UNTIL_CANCELLED),
    ("violations", "violations { nodes { id } }", UNTIL_CANCELLED),
    ("metrics", "metrics { at }", READING),
    ("usage", "usage { from }", READING),
    ("usageHistory", "usageHistory(resource: RAM, from: \"2026-01-01T00:00:00Z\", resolution: DAY) { at }", READING),
    ("sessions", "sessions { id current }", READING),
    ("recoveryCodesLeft", "recoveryCodesLeft", READING),
    ("__typename", "__typename", UNTIL_CANCELLED),
];

struct Subject {
    account: Registered,
    email: String,
    code: String,
    session: String,
}

impl Subject {
    async fn new(client: &Client, number: usize) -> Self {
        let email = format!("subject{number}@example.org");
        let account = client.register(&email).await;
        let own = "mutation { renewRecoveryCodes { recoveryCodes } }";
        let codes = account.client.data(own, Value::Null).await;
        let sessions = account.client.data("{ me { sessions { id } } }", Value::Null).await;
        Self {
            code: codes["renewRecoveryCodes"]["recoveryCodes"][0].as_str().unwrap().to_owned(),
            session: sessions["me"]["sessions"][0]["id"].as_str().unwrap().to_owned(),
            email,
            account,
        }
    }

    fn write(&self, operation: &str) -> String {
        let texts = [
            ("$account", self.account.id.as_str()),
            ("$email", &self.email),
            ("$password", PASSWORD),
            ("$refresh", &self.account.refresh),
            ("$code", &self.code),
            ("$session", &self.session),
            ("$digest", "0707070707070707070707070707070707070707070707070707070707070707"),
        ];
        texts.iter().fold(operation.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

async fn set(operator: &Client, account: &str, status: &str) {
    let set = "mutation($a: ID!, $s: ServiceStatus!) {
        setServiceStatus(account: $a, status: $s, reason: \"report 17\") { status statusReason statusNote }
    }";
    let set = operator.data(set, json!({ "a": account, "s": status })).await["setServiceStatus"].clone();
    assert_eq!(set["status"], status);
}

async fn outcome(client: &Client, operation: &str) -> Option<String> {
    let answer = if operation.starts_with("subscription") {
        Events::of(client, operation).await.result().await
    } else {
        client.ask(operation, Value::Null).await
    };
    code(&answer, operation)
}

fn code(answer: &Value, operation: &str) -> Option<String> {
    let extensions = &answer["errors"][0]["extensions"];
    let code = extensions["code"].as_str()?.to_owned();
    if code.starts_with("SERVICE_") {
        assert_eq!(extensions["statusReason"], "OPERATOR", "{operation}");
    }
    Some(code)
}

#[tokio::test]
async fn a_status_leaves_open_exactly_what_it_says() {
    let home = Home::new().with("SERVICES", "billing");
    let server = home.serve();
    let client = server.client();
    let operator = client.with_token(&home.print(&["operator", "create", "--name", "ops"]));

    let roots = "{ __schema { queryType { fields { name } } mutationType { fields { name } } subscriptionType { fields { name } } } }";
    let schema = client.data(roots, Value::Null).await["__schema"].clone();
    let mut known: Vec<&str> = Vec::new();
    for root in ["queryType", "mutationType", "subscriptionType"] {
        known.extend(schema[root]["fields"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap()));
    }
    let listed: BTreeSet<&str> = OPERATIONS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(known.iter().copied().collect::<BTreeSet<_>>(), listed, "every root field has its row");
    assert_eq!(known.len(), OPERATIONS.len());

    let mut number = 0;
    for (name, operation, expected) in OPERATIONS {
        for (status, expected) in STATUSES.iter().zip(expected) {
            number += 1;
            let subject = Subject::new(&client, number).await;
            set(&operator, &subject.account.id, status).await;
            let (own, operation) = (&subject.account.client, subject.write(operation));
            let outcome = if name == "accountEvents" {
                // It says nothing before something happens.
                let mut events = Events::of(own, &operation).await;
                let other = if *status == "ACTIVE" { "READ_ONLY" } else { "ACTIVE" };
                set(&operator, &subject.account.id, other).await;
                code(&events.result().await, &operation)
            } else {
                outcome(own, &operation).await
            };
            assert_eq!(outcome.as_deref(), expected, "{name} while {status}");
        }
    }
}

#[tokio::test]
async fn every_field_of_an_account_follows_its_status() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let operator = client.with_token(&home.print(&["operator", "create", "--name", "ops"]));
    let fields = "{ __type(name: \"Account\") { fields { name } } }";
    let fields = client.data(fields, Value::Null).await["__type"]["fields"].clone();
    let known: BTreeSet<&str> =
        fields.as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap()).collect();
    let listed: BTreeSet<&str> = FIELDS.iter().map(|(name, ..)| *name).filter(|name| *name != "__typename").collect();
    assert_eq!(known, listed, "every field has its row");
    let subject = Subject::new(&client, 0).await;
    for (place, status) in STATUSES.iter().enumerate() {
        set(&operator, &subject.account.id, status).await;
        for (name, field, expected) in FIELDS {
            let outcome = outcome(&subject.account.client, &format!("{{ me {{ {field} }} }}")).await;
            assert_eq!(outcome.as_deref(), expected[place], "{name} while {status}");
        }
    }
}

#[tokio::test]
async fn an_operator_sees_how_an_account_stands_and_not_what_is_its_holders() {
    let home = Home::new();
    let server = home.serve();
    let client = server.client();
    let operator = client.with_token(&home.print(&["operator", "create", "--name", "ops"]));
    let agent = client.with_token(&home.print(&["agent", "create", "--name", "a"]));
    let ada = client.register("ada@example.org").await;
    let account = |fields: &str| format!("query($id: ID!) {{ account(id: $id) {{ {fields} }} }}");
    let id = json!({ "id": ada.id });
    let seen = operator.data(&account("id tier status metrics { at } usage { from }"), id.clone()).await;
    assert_eq!(seen["account"]["status"], "ACTIVE");
    for private in ["anonymousId", "sessions { id }", "export", "recoveryCodesLeft"] {
        assert_eq!(operator.code(&account(private), id.clone()).await, "FORBIDDEN", "{private}");
    }
    for nobody in ["acc_00000000000000000000000000", "nonsense"] {
        assert_eq!(operator.data(&account("id"), json!({ "id": nobody })).await["account"], Value::Null);
    }
    for (other, code) in [(&client, "UNAUTHENTICATED"), (&ada.client, "FORBIDDEN"), (&agent, "FORBIDDEN")] {
        assert_eq!(other.code(&account("id"), id.clone()).await, code);
    }
    let end = "mutation($a: ID!) { endSessionsOf(account: $a) }";
    assert_eq!(operator.code(end, json!({ "a": "nonsense" })).await, "NOT_FOUND");
    assert_eq!(agent.code(end, json!({ "a": ada.id })).await, "FORBIDDEN");
    ada.client.data("{ me { id } }", Value::Null).await;
    let set = "mutation($a: ID!, $r: String!) { setServiceStatus(account: $a, status: SUSPENDED, reason: $r) { id } }";
    for reason in ["", "write to ada@example.org", &"x".repeat(281)] {
        let refusal = operator.refusal(set, json!({ "a": ada.id, "r": reason })).await;
        assert_eq!((&refusal["code"], &refusal["field"]), (&json!("INVALID_INPUT"), &json!("reason")));
    }
    assert_eq!(operator.code(set, json!({ "a": "nonsense", "r": "x" })).await, "NOT_FOUND");
    assert_eq!(operator.data(end, json!({ "a": ada.id })).await["endSessionsOf"], true);
    assert_eq!(ada.client.code("{ me { id } }", Value::Null).await, "TOKEN_INVALID");
}

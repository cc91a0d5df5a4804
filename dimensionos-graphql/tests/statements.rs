//! How many statements an operation takes does not depend on how many rows it answers with: every query, and every field
//! of an account, over few rows and over many, counted at the database.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use dimensionos_core::allocation::{LimitOverride, Resource, TierVersion};
use dimensionos_core::auth::{AccessKey, Audience, BillingKey, HashCost, Keys, Password, Pepper, Role, SigningKey};
use dimensionos_core::id::{AccessKeyId, SessionId, ViolationId};
use dimensionos_core::monitoring::{Bucket, Counter, Level, Readings, Resolution, Rollup, Sample, UsageRow};
use dimensionos_core::payment::voucher::{Epoch, Order, PublicKey, PublishedKey};
use dimensionos_core::payment::{Attester, BillingIssuer, Grant};
use dimensionos_core::secret::SecretDigest;
use dimensionos_core::store::{Access, Store, Tx};
use dimensionos_core::testing::FixedClock;
use dimensionos_core::tos::{
    Counterfactual, EnforcementPolicy, Exit, Figure, Flag, MAX_SUPPORTING, PolicyMode, PolicyRecord, Rule, Severity,
    Violation,
};
use dimensionos_core::users::{Account, AnonymousId, Identity, Registration};
use dimensionos_core::{AccountId, Clock, Context, OsEntropy, Platform, Timestamp};
use dimensionos_graphql::config::Environment;
use dimensionos_graphql::{App, Calls, Engine, EngineOptions, Limits, router};
use dimensionos_store::{Database, testing};
use serde_json::{Value, json};
use tower::ServiceExt;

const FEW: u32 = 3;
const MANY: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);

tokio::task_local! {
    /// The statements of the operation that is measured; what the platform does beside it is another task's.
    static STATEMENTS: RefCell<Vec<String>>;
}

/// Whether an answer grows with what there is, as lists do.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Answer {
    Grows,
    Stays,
}
use Answer::{Grows, Stays};

/// Every query, as an operator and as an account's holder asks it: what it asks for, and whether that grows for each.
/// `$owner` and `$other` stand for what is there, `$from` for two hours ago.
const QUERIES: [(&str, &str, [Answer; 2]); 15] = [
    ("me", "me { id tier payment { status tiers { tier } } terms { due } nextStep { step } }", [Stays, Stays]),
    ("tiers", "tiers { tier cpuCores }", [Stays, Stays]),
    ("service", "service { name storedData { column } }", [Stays, Stays]),
    ("node", "node(id: \"$owner\") { id }", [Stays, Stays]),
    ("account", "account(id: \"$other\") { id status }", [Stays, Stays]),
    (
        "accounts",
        "accounts(first: 100) { edges { cursor node { id status } } nodes { id trial { daysLeft } } }",
        [Grows, Stays],
    ),
    ("agents", "agents(first: 100) { edges { cursor } nodes { id name createdAt } }", [Grows, Stays]),
    (
        "violations",
        "violations(first: 100) { edges { cursor } nodes { id statement { facts } appeal { state } } }",
        [Grows, Stays],
    ),
    ("enforcementPolicies", "enforcementPolicies { version policy }", [Grows, Stays]),
    ("replayDecisions", "replayDecisions(from: \"2023-01-01T00:00:00Z\") { checked }", [Stays, Stays]),
    ("signInFlags", "signInFlags { rule }", [Stays, Stays]),
    ("transparencyReport", "transparencyReport(month: \"2023-10-01T00:00:00Z\") { name count }", [Stays, Stays]),
    ("jobs", "jobs { name lastRun { outcome } }", [Stays, Stays]),
    ("voucherKeys", "voucherKeys { epoch publicKey }", [Grows, Grows]),
    ("accountsOfAStatus", "accounts(status: ACTIVE, tier: FREE, first: 100) { nodes { id } }", [Grows, Stays]),
];

/// Every field of an account, asked for all accounts by an operator, and of their own by a holder.
const FIELDS: [(&str, &str, [Answer; 2]); 20] = [
    ("id", "id", [Grows, Stays]),
    ("anonymousId", "anonymousId", [Stays, Stays]),
    ("tier", "tier", [Grows, Stays]),
    ("status", "status", [Grows, Stays]),
    ("statusReason", "statusReason", [Grows, Stays]),
    ("statusSince", "statusSince", [Grows, Stays]),
    ("statusNote", "statusNote", [Grows, Stays]),
    ("trial", "trial { daysLeft }", [Grows, Stays]),
    ("payment", "payment { status tiers { tier } }", [Grows, Stays]),
    ("nextStep", "nextStep { step }", [Grows, Stays]),
    ("terms", "terms { due }", [Grows, Stays]),
    ("allocation", "allocation { cpuCores }", [Grows, Stays]),
    ("limitOverrides", "limitOverrides { resource limit }", [Grows, Stays]),
    ("metrics", "metrics { at ram { megabytesUsed percent } }", [Grows, Stays]),
    ("usage", "usage(period: DAY) { resources { resource total limit } }", [Grows, Stays]),
    ("usageHistory", "usageHistory(resource: RAM, from: \"$from\", resolution: MINUTE) { at average }", [Grows, Grows]),
    (
        "violations",
        "violations(first: 20) { nodes { id statement { facts } } pageInfo { hasNextPage } }",
        [Grows, Grows],
    ),
    ("sessions", "sessions { id current }", [Stays, Grows]),
    ("recoveryCodesLeft", "recoveryCodesLeft", [Stays, Stays]),
    // Its holder's alone, and everything there is of one account; the pages of its violations are of a hundred.
    ("export", "export", [Stays, Grows]),
];

/// A database with so many of everything.
struct Scene {
    database: Database,
    clock: FixedClock,
    tokens: [String; 2],
    owner: AccountId,
    _folder: Box<dyn Send>,
}

fn keys() -> Keys {
    Keys::new(vec![Pepper::from_bytes([1; 32])], vec![SigningKey::from_bytes([2; 32])])
        .unwrap()
        .with_billing(vec![BillingKey::from_bytes([3; 32]).public().unwrap()])
}

impl Scene {
    async fn with(count: u32) -> Self {
        let (database, folder) = testing::sqlite().await;
        let database = database.observed(|sql| {
            let _ = STATEMENTS.try_with(|statements| statements.borrow_mut().push(sql.to_owned()));
        });
        let clock = FixedClock::default();
        let platform = open(&database, &clock).await;
        let system = Context::system();
        let password = Password::new("violet harbour kestrel 41").unwrap();
        let registration = Registration::new(Some(Identity::email("ada@example.org").unwrap()), password);
        let registered = platform.users().register(&Context::anonymous(), registration).await.unwrap();
        let operator = platform.auth().create_key(&system, Role::Operator, "ops".parse().unwrap()).await.unwrap();
        platform.payment().voucher_keys().await.unwrap();
        let owner = registered.account;
        let found = platform.tos().raise(&system, owner.id, flag(clock.now())).await.unwrap();
        platform.close().await.unwrap();
        let scene = Self {
            database,
            tokens: [operator.token.expose().to_owned(), registered.tokens.access_token.expose().to_owned()],
            owner: owner.id,
            clock,
            _folder: Box::new(folder),
        };
        scene.fill(count, &owner, &found).await;
        scene
    }

    async fn fill(&self, count: u32, owner: &Account, found: &Violation) {
        let now = self.clock.now();
        let mut tx = self.database.begin(Access::Write).await.unwrap();
        for number in 1..=count {
            let id = AccountId::from_bits(number.into());
            let account = Account {
                id,
                anonymous_id: AnonymousId::from_bytes([u8::try_from(number).unwrap(); 32]),
                created_at: now.before(MINUTE * number),
                ..owner.clone()
            };
            tx.insert_account(&account).await.unwrap();
            fill_account(&mut *tx, id, now, 2).await;
            for (place, account) in [(0, id), (1, owner.id)] {
                let id = ViolationId::from_bits(u128::from(number) * 2 + place);
                let detected_at = found.detected_at.before(MINUTE * number);
                let one = Violation { id, account, detected_at, ..found.clone() };
                tx.insert_violation(&one).await.unwrap();
            }
            let session = dimensionos_core::auth::Session {
                id: SessionId::from_bits(number.into()),
                account: owner.id,
                created_at: now,
                expires_at: now.after(MINUTE * 60 * 24),
                authenticated_at: now,
            };
            tx.insert_session(&session).await.unwrap();
            let agent = AccessKey {
                id: AccessKeyId::from_bits(number.into()),
                role: Role::Agent,
                name: format!("agent-{number}").parse().unwrap(),
                digest: SecretDigest::from_bytes([u8::try_from(number).unwrap(); 32]),
                created_at: now,
            };
            tx.insert_access_key(&agent).await.unwrap();
            let policy = EnforcementPolicy { version: number + 1, ..EnforcementPolicy::default() };
            let record = PolicyRecord { policy, mode: PolicyMode::Shadow, applied_at: now };
            tx.insert_policy(&record).await.unwrap();
            let epoch = Epoch::from_number(Epoch::of(now).number() + u16::try_from(number).unwrap());
            let denomination = "STARTER:30".parse().unwrap();
            let key = PublishedKey { epoch, denomination, public_key: PublicKey::from_bytes([7; 32]) };
            tx.insert_voucher_key(&key).await.unwrap();
            let version = tx.tier_versions().await.unwrap().remove(0);
            let version =
                TierVersion { version: 100 + number, effective_from: now.after(MINUTE * 60 * number), ..version };
            tx.insert_tier_version(&version).await.unwrap();
        }
        fill_account(&mut *tx, owner.id, now, count).await;
        tx.commit().await.unwrap();
    }

    /// What an operation is answered, and the statements it took, on a platform that remembers nothing.
    async fn measure(&self, operation: &str, token: &str) -> (Value, Vec<String>) {
        let platform = open(&self.database, &self.clock).await;
        // What is too dear by its text is another test's matter.
        let limits = Limits { cost: 1_000_000, ..Limits::default() };
        let engine =
            Engine::new(platform.clone(), EngineOptions { limits, calls: Calls::Free, ..EngineOptions::default() });
        let routes = router(App::new(engine, Environment::Development, Vec::new()));
        let from = self.clock.now().before(MINUTE * 120).to_string();
        let texts =
            [("$owner", self.owner.to_string()), ("$other", AccountId::from_bits(1).to_string()), ("$from", from)];
        let query = texts.iter().fold(operation.to_owned(), |text, (name, value)| text.replace(name, value));
        let request = Request::post("/graphql")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::from(json!({ "query": query }).to_string()))
            .unwrap();
        let asking = async {
            let answer = routes.oneshot(request).await.unwrap();
            let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            (body, STATEMENTS.with(RefCell::take))
        };
        let (body, statements) = STATEMENTS.scope(RefCell::default(), asking).await;
        platform.close().await.unwrap();
        (serde_json::from_slice(&body).unwrap(), statements)
    }
}

async fn open(database: &Database, clock: &FixedClock) -> Platform {
    let builder = Platform::builder(database.clone()).clock(clock.clone()).keys(keys());
    builder.hash_cost(HashCost::for_tests()).open().await.unwrap()
}

fn flag(at: Timestamp) -> Flag {
    let figure = Figure { signal: "cpu", observed: 2.0, limit: 1.0 };
    Flag {
        rule: Rule::ExcessQuarterHour,
        severity: Severity::Notice,
        figure,
        window: MINUTE,
        since: at,
        at,
        tier: None,
        supporting: [None; MAX_SUPPORTING],
        exit: Exit { at_most: 1.0, lasting: MINUTE },
        counterfactual: Counterfactual { signal: "cpu", at_most: 1.0 },
    }
}

/// Readings, limits and so many minutes of usage.
async fn fill_account(tx: &mut dyn Tx, account: AccountId, now: Timestamp, minutes: u32) {
    let own = LimitOverride { resource: Resource::Ram, limit: 1 << 30, until: now.after(MINUTE) };
    tx.set_override(account, &own).await.unwrap();
    let (mut rows, mut readings) = (Vec::new(), Readings::default());
    for minute in 0..minutes {
        let at = now.before(MINUTE * minute);
        let sample = Sample::at(at).with_level(Level::RamBytes, 1 << 20).with_added(Counter::ApiCalls, 1);
        readings.add(&sample);
        let mut rollup = Rollup::default();
        rollup.add(&sample);
        rows.push(UsageRow {
            account,
            resolution: Resolution::Minute,
            bucket: Bucket::holding(at, Resolution::Minute),
            rollup,
        });
    }
    let day = UsageRow { resolution: Resolution::Hour, bucket: Bucket::holding(now, Resolution::Hour), ..rows[0] };
    rows.push(day);
    tx.add_usage(&rows).await.unwrap();
    tx.save_readings(&[(account, readings)]).await.unwrap();
    tx.save_detectors(&[(account, vec![0; 8])]).await.unwrap();
}

/// The names of a type's fields.
async fn fields(scene: &Scene, kind: &str) -> BTreeSet<String> {
    let query = format!("{{ __type(name: \"{kind}\") {{ fields {{ name }} }} }}");
    let answer = scene.measure(&query, &scene.tokens[0]).await.0;
    let fields = answer["data"]["__type"]["fields"].as_array().unwrap().clone();
    fields.iter().map(|field| field["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn statements_do_not_grow_with_the_rows_of_an_answer() {
    let (few, many) = (Scene::with(FEW).await, Scene::with(MANY).await);
    let listed: BTreeSet<String> = QUERIES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    let mut known = fields(&few, "Query").await;
    // `accounts` stands twice: with a status it is read in another way.
    known.insert("accountsOfAStatus".to_owned());
    assert_eq!(known, listed, "every query has its row");
    let listed: BTreeSet<String> = FIELDS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(fields(&few, "Account").await, listed, "every field of an account has its row");

    let mut operations = Vec::new();
    for (name, query, answers) in QUERIES {
        operations.push((name.to_owned(), format!("{{ {query} }}"), 0, answers[0]));
        operations.push((name.to_owned(), format!("{{ {query} }}"), 1, answers[1]));
    }
    for (name, field, answers) in FIELDS {
        let of_all = format!("{{ accounts(first: 100) {{ nodes {{ {field} }} }} }}");
        operations.push((format!("Account.{name}"), of_all, 0, answers[0]));
        operations.push((format!("Account.{name}"), format!("{{ me {{ {field} }} }}"), 1, answers[1]));
    }
    // All that an operator may see of every account, at once.
    let all = FIELDS.iter().filter(|(_, _, answers)| answers[0] == Grows).map(|(_, field, _)| *field);
    let all = format!("{{ accounts(first: 100) {{ nodes {{ {} }} }} }}", all.collect::<Vec<_>>().join(" "));
    operations.push(("Account, all of it".to_owned(), all, 0, Grows));

    let mut wrong = Vec::new();
    for (name, operation, caller, expected) in operations {
        let who = ["operator", "holder"][caller];
        let (answer, taken) = few.measure(&operation, &few.tokens[caller]).await;
        let (long, taken_by_many) = many.measure(&operation, &many.tokens[caller]).await;
        let (short, long) = (answer.to_string(), long.to_string());
        println!(
            "{name} by {who}: {} and {} statements, {} and {} bytes",
            taken.len(),
            taken_by_many.len(),
            short.len(),
            long.len()
        );
        if taken != taken_by_many && without_lists(&taken) != without_lists(&taken_by_many) {
            wrong.push(format!("{name} by {who}: {} and {}: {taken_by_many:#?}", taken.len(), taken_by_many.len()));
        }
        let grows = long.len() > short.len() * 2;
        if expected == Grows && (!grows || long.contains("\"errors\"")) {
            wrong.push(format!("{name} by {who} was to grow: {short:.300} and {long:.300}"));
        }
        if taken.is_empty() && expected == Grows {
            wrong.push(format!("{name} by {who} was not counted"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // What few accounts may be asked, many may not: by the rows that it would answer with, before any is read.
    let history = "{ accounts(first: 100) { nodes { usageHistory(resource: RAM, from: \"2023-11-13T22:00:00Z\", resolution: MINUTE) { at } } } }";
    let (answer, _) = few.measure(history, &few.tokens[0]).await;
    assert!(answer.get("errors").is_none(), "{answer}");
    let (answer, _) = many.measure(history, &many.tokens[0]).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX");
}

/// Of the mutations, the one whose answer is as long as what was asked for.
#[tokio::test]
async fn as_many_statements_issue_sixty_vouchers_as_three() {
    let scene = Scene::with(1).await;
    let denomination = "STARTER:30".parse().unwrap();
    let (issuer, audience) = (BillingIssuer::default(), Audience::default());
    let attester = Attester { key: BillingKey::from_bytes([3; 32]), issuer, audience };
    let mut taken = Vec::new();
    for count in [FEW, MANY] {
        let count = usize::try_from(count).unwrap();
        let grant = Grant::Vouchers { denomination, count };
        let attestation = attester.attest(grant, scene.clock.now(), MINUTE, &OsEntropy).unwrap();
        let order = Order::new(denomination, count, scene.clock.now(), &OsEntropy).unwrap();
        let elements = json!(order.blinded().texts());
        let issue = format!(
            "mutation {{ issueVouchers(attestation: \"{attestation}\", blindedElements: {elements}) {{ elements }} }}"
        );
        let (answer, statements) = scene.measure(&issue, &scene.tokens[1]).await;
        let given = answer["data"]["issueVouchers"]["elements"].as_array().map(Vec::len);
        assert_eq!(given, Some(count), "{answer}");
        taken.push(statements);
    }
    assert!(!taken[0].is_empty());
    assert_eq!(taken[0], taken[1]);
}

/// The same texts whatever the length of the lists of ids in them.
fn without_lists(statements: &[String]) -> Vec<String> {
    statements.iter().map(|sql| sql.replace(", ?", "")).collect()
}
